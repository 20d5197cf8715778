//! The gate of SwiGLU (Shazeer 2020), between its two matrix products.
//!
//! ```text
//! a[i,f] = silu(g[i,f]) * up[i,f]        silu(g) = g * sigmoid(g)
//! ```
//!
//! `u` holds gate and up side by side: `g[i,f] = u[i,f]`, `up[i,f] = u[i,F+f]`.   u: (N, 2F)   a: (N, F)
//! The token mixer has them one below the other, (2F, D); that is one row of 2FD, with F·D in a half.
//!
//! Backward, with s = sigmoid(g):
//!
//! ```text
//! d_up[i,f] = d_a[i,f] * g s
//! d_g[i,f]  = d_a[i,f] * up[i,f] * s (1 + g (1 - s))
//! ```
//!
//! Run by [`Kernels::swiglu_forward`] and [`Kernels::swiglu_backward`].
//!
//! Saved: u. The backward pass also gives a again, for the gradient of the weight that read it: one
//! multiplication more, one saved activation less.
//!
//! Numerics: the sigmoid is within 4 ULP, and stays at 4.2e-39 below -88.37, where [`crate::simd::math::exp`] is clamped
//! and the true one goes on to 0. So for gates below about -88 the error of a is not small beside a itself, but at most
//! 4.2e-39 |g up|; that of d_up and d_g at most 4.2e-39 |d_a g| and 4.2e-39 |d_a up| (1 + |g|).
//!
//! [`Kernels::swiglu_forward`]: crate::Kernels::swiglu_forward
//! [`Kernels::swiglu_backward`]: crate::Kernels::swiglu_backward

use crate::lanes::for_lanes;
use crate::shapes::same_shape;
use crate::simd::{Isa, math::sigmoid};
use crate::view::{MatMut, MatRef};

/// Writes the gated values to `a`.
#[inline(always)]
pub(crate) fn forward<I: Isa>(isa: I, mut a: MatMut<'_>, u: MatRef<'_>) {
    let width = a.cols();
    let shape = (a.rows(), 2 * width);
    same_shape("u is twice as wide as a", (u.rows(), u.cols()), shape);
    for i in 0..a.rows() {
        let a = a.row(i);
        let (g, up) = u.row(i).split_at(width);
        for_lanes!(isa; a <- g, up; {
            let silu = isa.mul(g, sigmoid(isa, g));
            [isa.mul(silu, up)]
        });
    }
}

/// Gradient of [`forward`]: overwrites `d_u`, and replaces d_a in `d_a` by a.
#[inline(always)]
pub(crate) fn backward<I: Isa>(isa: I, mut d_u: MatMut<'_>, mut d_a: MatMut<'_>, u: MatRef<'_>) {
    let width = d_a.cols();
    let shape = (d_a.rows(), 2 * width);
    same_shape("u is twice as wide as a", (u.rows(), u.cols()), shape);
    same_shape("d_u has the shape of u", (d_u.rows(), d_u.cols()), shape);
    let one = isa.splat(1.0);
    for i in 0..d_a.rows() {
        let (d_g, d_up) = d_u.row(i).split_at_mut(width);
        let d_a = d_a.row(i);
        let (g, up) = u.row(i).split_at(width);
        for_lanes!(isa; d_a, d_g, d_up <- d_a, g, up; {
            let s = sigmoid(isa, g);
            let silu = isa.mul(g, s);
            let silu_prime = isa.mul_add(silu, isa.sub(one, s), s); // s (1 + g (1 - s))
            [isa.mul(silu, up), isa.mul(isa.mul(d_a, up), silu_prime), isa.mul(d_a, silu)]
        });
    }
}
