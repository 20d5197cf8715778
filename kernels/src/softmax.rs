//! Softmax over the rows of a score matrix, as attention needs it.
//!
//! ```text
//! p[i,j] = exp(c s[i,j] - lse[i])        lse[i] = log sum_j exp(c s[i,j])        s, p: (N, M)
//! ```
//!
//! c is the scale 1/sqrt(E) of attention. It has to be above 0, or [`Kernels::softmax_forward`] panics: the largest
//! c s is taken for that of the largest s. That kernel leaves the last factor to its caller, who multiplies p with
//! something of fewer columns: it gives e and `inverse` with p\[i,j\] = e\[i,j\] inverse\[i\]. Backward, with
//! `delta[i] = sum_j d_p[i,j] p[i,j]`:
//!
//! ```text
//! d_s[i,j] = c p[i,j] (d_p[i,j] - delta[i])
//! ```
//!
//! Saved: lse alone, one float a row. In the backward pass [`Kernels::softmax_recompute`] rebuilds p from s, and
//! [`Kernels::softmax_backward`] gives d_s.
//!
//! [`Kernels::softmax_forward`]: crate::Kernels::softmax_forward
//! [`Kernels::softmax_recompute`]: crate::Kernels::softmax_recompute
//! [`Kernels::softmax_backward`]: crate::Kernels::softmax_backward

use crate::lanes::for_lanes;
use crate::shapes::same_shape;
use crate::simd::{Isa, math::exp};
use crate::view::{MatMut, MatRef};

/// Replaces the scores s in `e` by e^(c s - largest of the row) and overwrites `inverse` and `lse`.
///
/// Panics unless the scale c is above 0.
#[inline(always)]
pub(crate) fn forward<I: Isa>(
    isa: I,
    mut e: MatMut<'_>,
    inverse: &mut [f32],
    lse: &mut [f32],
    scale: f32,
) {
    let rows = e.rows();
    assert!(
        rows == lse.len() && rows == inverse.len(),
        "one lse and one inverse for each row"
    );
    if scale.is_nan() || scale <= 0.0 {
        not_positive(scale);
    }
    let c = isa.splat(scale);
    for (i, (lse, inverse)) in lse.iter_mut().zip(inverse).enumerate() {
        let row = e.row(i);
        let largest = scale * max(isa, row);
        let (shift, mut sums) = (isa.splat(largest), isa.splat(0.0));
        let mut at = 0;
        while at + I::LANES <= row.len() {
            let e = exp(isa, isa.sub(isa.mul(isa.load(&row[at..]), c), shift));
            sums = isa.add(sums, e);
            isa.store(&mut row[at..], e);
            at += I::LANES;
        }
        // The tail reads -inf beyond the row; exp clamps that to 1e-38, which no sum of a 1 can see.
        if at < row.len() {
            let s = isa.load_partial(&row[at..], f32::NEG_INFINITY);
            let e = exp(isa, isa.sub(isa.mul(s, c), shift));
            sums = isa.add(sums, e);
            isa.store_partial(&mut row[at..], e);
        }
        let sum = isa.sum(sums);
        *lse = largest + sum.ln();
        *inverse = 1.0 / sum;
    }
}

#[cold]
#[inline(never)]
fn not_positive(scale: f32) -> ! {
    panic!("a scale of {scale}, expected above 0");
}

/// Replaces the scores s in `p` by the probabilities that [`forward`] gave, from its `lse`.
#[inline(always)]
pub(crate) fn recompute<I: Isa>(isa: I, mut p: MatMut<'_>, lse: &[f32], scale: f32) {
    assert_eq!(p.rows(), lse.len(), "one lse for each row");
    let c = isa.splat(scale);
    for (i, &lse) in lse.iter().enumerate() {
        let (p, lse) = (p.row(i), isa.splat(lse));
        for_lanes!(isa; p <- p; [exp(isa, isa.sub(isa.mul(p, c), lse))]);
    }
}

/// Gradient of [`forward`]: replaces d_p in `d` by d_s.
#[inline(always)]
pub(crate) fn backward<I: Isa>(
    isa: I,
    mut d: MatMut<'_>,
    p: MatRef<'_>,
    delta: &[f32],
    scale: f32,
) {
    assert_eq!(d.rows(), delta.len(), "one delta for each row");
    let shape = (p.rows(), p.cols());
    same_shape("d has the shape of p", (d.rows(), d.cols()), shape);
    let c = isa.splat(scale);
    for (i, &delta) in delta.iter().enumerate() {
        let (d, p, delta) = (d.row(i), p.row(i), isa.splat(delta));
        for_lanes!(isa; d <- d, p; [isa.mul(isa.mul(c, p), isa.sub(d, delta))]);
    }
}

/// The largest value of a row; -inf for an empty one.
#[inline(always)]
fn max<I: Isa>(isa: I, row: &[f32]) -> f32 {
    let (mut largest, mut at) = (isa.splat(f32::NEG_INFINITY), 0);
    while at + I::LANES <= row.len() {
        largest = isa.max(largest, isa.load(&row[at..]));
        at += I::LANES;
    }
    largest = isa.max(largest, isa.load_partial(&row[at..], f32::NEG_INFINITY));
    isa.max_lane(largest)
}
