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
//! Saved: u. The backward pass also gives a again, for the gradient of the weight that read it: one
//! multiplication more, one saved activation less.

use crate::lanes::for_lanes;
use crate::simd::{Isa, math::sigmoid};
use crate::view::{MatMut, MatRef};

/// Writes the gated values to `a`.
#[inline(always)]
pub(crate) fn forward<I: Isa>(isa: I, mut a: MatMut<'_>, u: MatRef<'_>) {
    let width = a.cols();
    assert!(
        u.rows() == a.rows() && u.cols() == 2 * width,
        "u is twice as wide as a"
    );
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
    assert!(
        u.rows() == d_a.rows() && u.cols() == 2 * width,
        "u is twice as wide as a"
    );
    assert!(
        d_u.rows() == u.rows() && d_u.cols() == u.cols(),
        "d_u has the shape of u"
    );
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
