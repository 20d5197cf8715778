//! Sums and scalings of equally long slices, and products of rows.
//!
//! ```text
//! y[i] = a[i] + b[i]     y[i] += a[i]     y[i] *= factor     dots[i] = sum_j a[i,j] * b[i,j]
//! ```
//!
//! Run by [`crate::Kernels::add`], [`crate::Kernels::add_acc`], [`crate::Kernels::scale`] and
//! [`crate::Kernels::row_dots`].

use crate::lanes::for_lanes;
use crate::shapes::{same_length, same_shape};
use crate::simd::Isa;
use crate::view::MatRef;

/// `y[i] = a[i] + b[i]`. Panics unless all have the same length.
#[inline(always)]
pub(crate) fn add<I: Isa>(isa: I, y: &mut [f32], a: &[f32], b: &[f32]) {
    same_length(a.len(), y.len());
    same_length(b.len(), y.len());
    for_lanes!(isa; y <- a, b; [isa.add(a, b)]);
}

/// `y[i] += a[i]`. Panics unless both have the same length.
#[inline(always)]
pub(crate) fn add_acc<I: Isa>(isa: I, y: &mut [f32], a: &[f32]) {
    same_length(a.len(), y.len());
    for_lanes!(isa; y <- y, a; [isa.add(y, a)]);
}

/// `y[i] *= factor`.
#[inline(always)]
pub(crate) fn scale<I: Isa>(isa: I, y: &mut [f32], factor: f32) {
    let factor = isa.splat(factor);
    for_lanes!(isa; y <- y; [isa.mul(y, factor)]);
}

/// `dots[i] = sum_j a[i,j] * b[i,j]`; overwrites `dots`. a, b: (N, M)   dots: (N)
#[inline(always)]
pub(crate) fn row_dots<I: Isa>(isa: I, dots: &mut [f32], a: MatRef<'_>, b: MatRef<'_>) {
    same_shape(
        "b has the shape of a",
        (b.rows(), b.cols()),
        (a.rows(), a.cols()),
    );
    assert_eq!(a.rows(), dots.len(), "one dot for each row");
    for (i, value) in dots.iter_mut().enumerate() {
        *value = dot(isa, a.row(i), b.row(i));
    }
}

/// `sum_j a[j] * b[j]`, in four registers of sums, since one would wait for itself.
#[inline(always)]
pub(crate) fn dot<I: Isa>(isa: I, a: &[f32], b: &[f32]) -> f32 {
    let (len, mut at) = (a.len(), 0);
    let mut sums = [isa.splat(0.0); 4];
    while at + 4 * I::LANES <= len {
        for sum in &mut sums {
            *sum = isa.mul_add(isa.load(&a[at..len]), isa.load(&b[at..len]), *sum);
            at += I::LANES;
        }
    }
    let [s0, s1, s2, s3] = sums;
    let mut sum = isa.add(isa.add(s0, s1), isa.add(s2, s3));
    while at + I::LANES <= len {
        sum = isa.mul_add(isa.load(&a[at..]), isa.load(&b[at..len]), sum);
        at += I::LANES;
    }
    let tail = isa.load_partial(&a[at..], 0.0);
    isa.sum(isa.mul_add(tail, isa.load_partial(&b[at..len], 0.0), sum))
}
