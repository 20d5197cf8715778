//! The gate of the gated norm, a tamer SwiGLU: what passes the gate is normalised first.
//!
//! ```text
//! p[i,f] = g[i,f] * up[i,f]        n = norm(p)        a[i,f] = sigmoid(g[i,f]) * n[i,f]
//! ```
//!
//! SwiGLU is a = sigmoid(g) * p: the norm in between keeps a product of two large numbers from growing.
//! It is [`crate::rms_norm`] without a residual, over the inner width F. Gate and up lie in `u` as for
//! [`crate::swiglu`].   u: (N, 2F)   p, n, a: (N, F)
//!
//! Backward, with s = sigmoid(g), in the order in which it runs:
//!
//! ```text
//! d_n[i,f]  = d_a[i,f] s              d_g[i,f]  = d_a[i,f] n[i,f] s (1 - s)
//! d_p       = the norm's gradient
//! d_up[i,f] = d_p[i,f] g[i,f]         d_g[i,f] += d_p[i,f] up[i,f]
//! ```
//!
//! Run by [`Kernels::gated_product_forward`], the norm and [`Kernels::gated_norm_forward`]; and back by
//! [`Kernels::gated_norm_backward`], the norm's backward pass and [`Kernels::gated_product_backward`]. For gates below
//! about -88 the sigmoid stays at 4.2e-39, as in [`crate::swiglu`].
//!
//! [`Kernels::gated_product_forward`]: crate::Kernels::gated_product_forward
//! [`Kernels::gated_product_backward`]: crate::Kernels::gated_product_backward
//! [`Kernels::gated_norm_forward`]: crate::Kernels::gated_norm_forward
//! [`Kernels::gated_norm_backward`]: crate::Kernels::gated_norm_backward

use crate::lanes::for_lanes;
use crate::shapes::same_shape;
use crate::simd::{Isa, math::sigmoid};
use crate::view::{MatMut, MatRef};

/// Panics unless `u` is as high as the matrix of that shape, and twice as wide.
fn check(u: MatRef<'_>, rows: usize, cols: usize) {
    let shape = (rows, 2 * cols);
    same_shape(
        "u is twice as wide as its gate",
        (u.rows(), u.cols()),
        shape,
    );
}

/// p = gate ⊙ up.
#[inline(always)]
pub(crate) fn product<I: Isa>(isa: I, mut p: MatMut<'_>, u: MatRef<'_>) {
    check(u, p.rows(), p.cols());
    for i in 0..p.rows() {
        let (g, up) = u.row(i).split_at(p.cols());
        let p = p.row(i);
        for_lanes!(isa; p <- g, up; [isa.mul(g, up)]);
    }
}

/// Gradient of [`product`]: overwrites the half of `d_u` that is up's and adds to the gate's.
#[inline(always)]
pub(crate) fn product_backward<I: Isa>(
    isa: I,
    mut d_u: MatMut<'_>,
    d_p: MatRef<'_>,
    u: MatRef<'_>,
) {
    check(u, d_p.rows(), d_p.cols());
    check(d_u.as_ref(), d_p.rows(), d_p.cols());
    for i in 0..d_p.rows() {
        let (d_g, d_up) = d_u.row(i).split_at_mut(d_p.cols());
        let (g, up) = u.row(i).split_at(d_p.cols());
        let d_p = d_p.row(i);
        for_lanes!(isa; d_g, d_up <- d_g, d_p, g, up; {
            [isa.mul_add(d_p, up, d_g), isa.mul(d_p, g)]
        });
    }
}

/// a = sigmoid(gate) ⊙ n.
#[inline(always)]
pub(crate) fn forward<I: Isa>(isa: I, mut a: MatMut<'_>, u: MatRef<'_>, n: MatRef<'_>) {
    check(u, a.rows(), a.cols());
    let shape = (a.rows(), a.cols());
    same_shape("n has the shape of a", (n.rows(), n.cols()), shape);
    for i in 0..a.rows() {
        let (g, n) = (&u.row(i)[..a.cols()], n.row(i));
        let a = a.row(i);
        for_lanes!(isa; a <- g, n; [isa.mul(sigmoid(isa, g), n)]);
    }
}

/// Gradient of [`forward`]: overwrites the gate's half of `d_u`, and replaces d_a in `d_a` by d_n.
#[inline(always)]
pub(crate) fn backward<I: Isa>(
    isa: I,
    mut d_u: MatMut<'_>,
    mut d_a: MatMut<'_>,
    u: MatRef<'_>,
    n: MatRef<'_>,
) {
    check(u, d_a.rows(), d_a.cols());
    check(d_u.as_ref(), d_a.rows(), d_a.cols());
    let shape = (d_a.rows(), d_a.cols());
    same_shape("n has the shape of d_a", (n.rows(), n.cols()), shape);
    let one = isa.splat(1.0);
    for i in 0..d_a.rows() {
        let width = d_a.cols();
        let (d_g, g) = (&mut d_u.row(i)[..width], &u.row(i)[..width]);
        let (d_a, n) = (d_a.row(i), n.row(i));
        for_lanes!(isa; d_a, d_g <- d_a, g, n; {
            let s = sigmoid(isa, g);
            let d_n = isa.mul(d_a, s);
            [d_n, isa.mul(isa.mul(d_n, n), isa.sub(one, s))]
        });
    }
}
