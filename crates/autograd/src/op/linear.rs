//! A matrix product with a weight, over channels or over positions.
//!
//! ```text
//! Channels:    y[i,o] = sum_c x[i,c] W[o,c]      x: (N, in)   y: (N, out)
//! Positions:   y[o,c] = sum_i W[o,i] x[i,c]      x: (in, D)   y: (out, D), one puzzle
//! ```
//!
//! Saved: x, by the caller. Backward:
//!
//! ```text
//! Channels:    d_x = d_y·W        d_W += d_yᵀ·x
//! Positions:   d_x = Wᵀ·d_y       d_W += d_y·xᵀ
//! ```

use crate::params::{Axis, Linear, Weights};
use trm_kernels::{Lhs, MatMut, MatRef, Packed, Rhs, Write};

/// C = A·B or C += A·B, on the threads that share it.
fn product(
    w: Weights<'_>,
    c: MatMut<'_>,
    a: Lhs<'_>,
    b: Rhs<'_>,
    write: Write,
    scratch: &mut [f32],
) {
    w.kernels
        .matmul_on_threads(c, a, b, write, scratch, w.threads);
}

/// Writes the product to `y` (or adds it, as `write` says).
///
/// Panics when the shapes of `x` and `y` are not those of the matrix.
pub fn forward(
    w: Weights<'_>,
    linear: &Linear,
    y: MatMut<'_>,
    x: MatRef<'_>,
    write: Write,
    scratch: &mut [f32],
) {
    let packed = Packed::new(&w.packed[linear.forward.clone()], linear.out, linear.input);
    match linear.axis {
        Axis::Channels => product(w, y, Lhs::Plain(x), Rhs::Packed(packed), write, scratch),
        Axis::Positions => product(w, y, Lhs::Packed(packed), Rhs::Plain(x), write, scratch),
    }
}

/// Gradient of [`forward`] with respect to x: overwrites `d_x` (or adds to it, as `write` says).
///
/// Panics when the shapes of `d_x` and `d_y` are not those of the matrix.
pub fn backward(
    w: Weights<'_>,
    linear: &Linear,
    d_x: MatMut<'_>,
    d_y: MatRef<'_>,
    write: Write,
    scratch: &mut [f32],
) {
    let packed = Packed::new(&w.packed[linear.backward.clone()], linear.input, linear.out);
    match linear.axis {
        Axis::Channels => product(w, d_x, Lhs::Plain(d_y), Rhs::Packed(packed), write, scratch),
        Axis::Positions => product(w, d_x, Lhs::Packed(packed), Rhs::Plain(d_y), write, scratch),
    }
}

/// Gradient of [`forward`] with respect to W: adds to its range of the flat buffer `grads`, unless W is frozen.
///
/// Panics when the shapes of `x` and `d_y` are not those of the matrix.
pub fn backward_weight(
    w: Weights<'_>,
    linear: &Linear,
    grads: &mut [f32],
    d_y: MatRef<'_>,
    x: MatRef<'_>,
    scratch: &mut [f32],
) {
    if w.frozen {
        return;
    }
    let d_w = MatMut::new(&mut grads[linear.at.clone()], linear.out, linear.input);
    match linear.axis {
        Axis::Channels => product(
            w,
            d_w,
            Lhs::Transposed(d_y),
            Rhs::Plain(x),
            Write::Add,
            scratch,
        ),
        Axis::Positions => product(
            w,
            d_w,
            Lhs::Plain(d_y),
            Rhs::Transposed(x),
            Write::Add,
            scratch,
        ),
    }
}
