//! Root-mean-square normalisation without gain, fused with the residual addition before it.
//!
//! Over channels ([`Kernels::rms_norm_forward`]), for x = f + h with f the output of a sub-layer and h its input:
//!
//! ```text
//! r[i]   = (mean_j x[i,j]^2 + eps)^(-1/2)        f, h, y: (N, D)   r: (N)
//! y[i,j] = x[i,j] * r[i]
//! ```
//!
//! Backward ([`Kernels::rms_norm_backward`]), with g = d_y:
//!
//! ```text
//! d_x[i,j] = r[i] * (g[i,j] - y[i,j] * mean_k(g[i,k] * y[i,k]))
//! ```
//!
//! and d_f = d_h = d_x, since the addition passes its gradient to both.
//!
//! [`Kernels::rms_norm_columns_forward`] and [`Kernels::rms_norm_columns_backward`] are the same along the other axis:
//! one r for each channel, the mean over the positions of one puzzle. That serves the token mixer (TRM_SPEC 3.3), whose
//! norm runs over positions.
//!
//! Saved: y and r, not x: the next layer keeps y anyway, so the norm costs one float a row.
//! Both directions work in place: f becomes y, and d_y becomes d_x.
//!
//! Numerics: sums of D squares in f32, so r and y are within (D + 8) 2^-24 of themselves. Two ends: where the squares
//! overflow (from |x\[i,j\]| of 1.8e19, or many below it), r is 0 and the row of y zeros, not an error; and eps has to be
//! above 0, or r of a row of zeros is infinite and y NaN.
//!
//! [`Kernels::rms_norm_forward`]: crate::Kernels::rms_norm_forward
//! [`Kernels::rms_norm_backward`]: crate::Kernels::rms_norm_backward
//! [`Kernels::rms_norm_columns_forward`]: crate::Kernels::rms_norm_columns_forward
//! [`Kernels::rms_norm_columns_backward`]: crate::Kernels::rms_norm_columns_backward

use crate::elementwise::{dot, scale};
use crate::lanes::for_lanes;
use crate::shapes::same_shape;
use crate::simd::Isa;
use crate::view::{MatMut, MatRef};

/// Panics unless the residual, where there is one, has the shape of `y`.
#[inline(always)]
fn check_residual(y: MatRef<'_>, residual: Option<MatRef<'_>>) {
    let shape = |x: MatRef<'_>| (x.rows(), x.cols());
    if let Some(h) = residual {
        same_shape("the residual has the shape of y", shape(h), shape(y));
    }
}

/// Replaces f in `y` by the normalised sum f + h; without a residual, by f normalised. Overwrites `r`.
#[inline(always)]
pub(crate) fn forward<I: Isa>(
    isa: I,
    mut y: MatMut<'_>,
    r: &mut [f32],
    residual: Option<MatRef<'_>>,
    eps: f32,
) {
    assert_eq!(y.rows(), r.len(), "one r for each row");
    check_residual(y.as_ref(), residual);
    for (i, r) in r.iter_mut().enumerate() {
        let y = y.row(i);
        if let Some(h) = residual {
            let h = h.row(i);
            for_lanes!(isa; y <- y, h; [isa.add(y, h)]);
        }
        *r = 1.0 / (dot(isa, y, y) / y.len() as f32 + eps).sqrt();
        scale(isa, y, *r);
    }
}

/// Gradient of [`forward`]: replaces d_y in `d` by d_x.
#[inline(always)]
pub(crate) fn backward<I: Isa>(isa: I, mut d: MatMut<'_>, y: MatRef<'_>, r: &[f32]) {
    assert_eq!(y.rows(), r.len(), "one r for each row");
    let shape = (y.rows(), y.cols());
    same_shape("d has the shape of y", (d.rows(), d.cols()), shape);
    for (i, &r) in r.iter().enumerate() {
        let (d, y) = (d.row(i), y.row(i));
        let mean = dot(isa, d, y) / y.len() as f32;
        scaled_difference(isa, d, y, r, mean);
    }
}

/// [`forward`] over the rows of each column: one r for each column.
#[inline(always)]
pub(crate) fn forward_columns<I: Isa>(
    isa: I,
    mut y: MatMut<'_>,
    r: &mut [f32],
    residual: Option<MatRef<'_>>,
    eps: f32,
) {
    assert_eq!(y.cols(), r.len(), "one r for each column");
    check_residual(y.as_ref(), residual);
    let rows = y.rows();
    r.fill(0.0);
    for i in 0..rows {
        let y = y.row(i);
        if let Some(h) = residual {
            let h = h.row(i);
            for_lanes!(isa; y <- y, h; [isa.add(y, h)]);
        }
        product_acc(isa, r, y, y);
    }
    for r in r.iter_mut() {
        *r = 1.0 / (*r / rows as f32 + eps).sqrt();
    }
    for i in 0..rows {
        let y = y.row(i);
        for_lanes!(isa; y <- y, r; [isa.mul(y, r)]);
    }
}

/// Gradient of [`forward_columns`]: replaces d_y in `d` by d_x. `mean` (one float a column) is overwritten.
#[inline(always)]
pub(crate) fn backward_columns<I: Isa>(
    isa: I,
    mut d: MatMut<'_>,
    mean: &mut [f32],
    y: MatRef<'_>,
    r: &[f32],
) {
    assert!(
        d.cols() == r.len() && mean.len() == r.len(),
        "one r and one mean for each column"
    );
    let shape = (y.rows(), y.cols());
    same_shape("d has the shape of y", (d.rows(), d.cols()), shape);
    let rows = d.rows();
    mean.fill(0.0);
    for i in 0..rows {
        product_acc(isa, mean, d.row(i), y.row(i));
    }
    for mean in mean.iter_mut() {
        *mean /= rows as f32;
    }
    for i in 0..rows {
        scaled_difference_columns(isa, d.row(i), y.row(i), r, mean);
    }
}

/// `sum[j] += a[j] * b[j]`
#[inline(always)]
fn product_acc<I: Isa>(isa: I, sum: &mut [f32], a: &[f32], b: &[f32]) {
    for_lanes!(isa; sum <- sum, a, b; [isa.mul_add(a, b, sum)]);
}

/// `d[j] = r * (d[j] - y[j] * mean)`
#[inline(always)]
fn scaled_difference<I: Isa>(isa: I, d: &mut [f32], y: &[f32], r: f32, mean: f32) {
    let (r, mean) = (isa.splat(r), isa.splat(mean));
    for_lanes!(isa; d <- d, y; [isa.mul(r, isa.neg_mul_add(y, mean, d))]);
}

/// `d[j] = r[j] * (d[j] - y[j] * mean[j])`
#[inline(always)]
fn scaled_difference_columns<I: Isa>(isa: I, d: &mut [f32], y: &[f32], r: &[f32], mean: &[f32]) {
    for_lanes!(isa; d <- d, y, r, mean; [isa.mul(r, isa.neg_mul_add(y, mean, d))]);
}
