//! Rotary position embedding (Su et al. 2021), in the "rotate half" form of the reference.
//!
//! A head vector x = (x1, x2) of width E at position p is turned in E/2 planes:
//!
//! ```text
//! x1'[e] = x1[e] cos[p,e] - x2[e] sin[p,e]        cos, sin: (S, E/2)
//! x2'[e] = x2[e] cos[p,e] + x1[e] sin[p,e]        angle[p,e] = p * theta^(-2e/E)
//! ```
//!
//! Backward is the turn the other way: the same with -sin. Nothing is saved. Run by [`crate::Kernels::rope_forward`] and
//! [`crate::Kernels::rope_backward`], with [`tables()`].

use crate::lanes::for_lanes;
use crate::simd::Isa;
use crate::view::{MatMut, MatRef};

/// Turns all heads of `x` (S x heads·E) in place.
#[inline(always)]
pub(crate) fn forward<I: Isa>(isa: I, x: MatMut<'_>, cos: MatRef<'_>, sin: MatRef<'_>) {
    turn(isa, x, cos, sin, 1.0);
}

/// Gradient of [`forward`]: replaces the gradient of the turned vectors in `d` by that of the originals.
#[inline(always)]
pub(crate) fn backward<I: Isa>(isa: I, d: MatMut<'_>, cos: MatRef<'_>, sin: MatRef<'_>) {
    turn(isa, d, cos, sin, -1.0);
}

#[inline(always)]
fn turn<I: Isa>(isa: I, mut x: MatMut<'_>, cos: MatRef<'_>, sin: MatRef<'_>, direction: f32) {
    let half = cos.cols();
    assert!(
        x.rows() == cos.rows() && x.rows() == sin.rows() && sin.cols() == half,
        "one row of angles a position"
    );
    assert!(
        half > 0 && x.cols().is_multiple_of(2 * half),
        "{} columns are not whole heads of {}",
        x.cols(),
        2 * half
    );
    let direction = isa.splat(direction);
    for i in 0..x.rows() {
        let (cos, sin) = (cos.row(i), sin.row(i));
        for head in x.row(i).chunks_exact_mut(2 * half) {
            let (x1, x2) = head.split_at_mut(half);
            for_lanes!(isa; x1, x2 <- x1, x2, cos, sin; {
                let sin = isa.mul(sin, direction);
                [isa.neg_mul_add(x2, sin, isa.mul(x1, cos)), isa.mul_add(x1, sin, isa.mul(x2, cos))]
            });
        }
    }
}

/// The tables of [`crate::Kernels::rope_forward`]: writes cos and sin, each S x E/2, angles computed in f64.
///
/// Panics when the slices do not hold whole rows of E/2.
pub fn tables(cos: &mut [f32], sin: &mut [f32], head_width: usize, theta: f64) {
    let half = head_width / 2;
    assert!(
        half > 0 && cos.len() == sin.len() && cos.len().is_multiple_of(half),
        "whole rows of {half}"
    );
    for (i, (cos, sin)) in cos.iter_mut().zip(sin).enumerate() {
        let (position, e) = (i / half, i % half);
        let angle = position as f64 * theta.powf(-2.0 * e as f64 / head_width as f64);
        (*cos, *sin) = (angle.cos() as f32, angle.sin() as f32);
    }
}
