//! Residual addition and normalisation of a micro-batch, over channels or over positions.
//!
//! ```text
//! Channels:    y[i,:] = norm(f[i,:] + h[i,:])      r: (N)
//! Positions:   y[:,c] = norm(f[:,c] + h[:,c])      r: (puzzles, D), one puzzle at a time
//! ```
//!
//! Saved: y (the next layer's input) and r. See [`trm_kernels::rms_norm`].

use crate::arena::Carver;
use crate::params::Axis;
use trm_kernels::{Kernels, MatMut, MatRef};

/// What the backward pass reads besides y.
#[derive(Debug)]
pub struct Saved<'a> {
    /// 1 / root-mean-square: (N) over channels, (puzzles, D) over positions.
    pub r: &'a mut [f32],
}

/// Floats of r for `puzzles` of S x D.
pub fn saved_len(axis: Axis, puzzles: usize, s: usize, d: usize) -> usize {
    match axis {
        Axis::Channels => puzzles * s,
        Axis::Positions => puzzles * d,
    }
}

/// Carves [`Saved`] for `puzzles` of S x D.
pub fn saved<'a>(
    arena: &mut impl Carver<'a>,
    axis: Axis,
    puzzles: usize,
    s: usize,
    d: usize,
) -> Saved<'a> {
    Saved {
        r: arena.floats(saved_len(axis, puzzles, s, d)),
    }
}

/// Replaces f in `y` (N x D) by the normalised sum with `h`; positions are normalised `s` rows at a time.
///
/// Panics when `h` has another shape, r another length than [`saved_len`], or some rows are left over.
pub fn forward(
    k: &Kernels,
    axis: Axis,
    mut y: MatMut<'_>,
    saved: &mut Saved<'_>,
    h: MatRef<'_>,
    s: usize,
    eps: f32,
) {
    let (rows, width) = (y.rows(), y.cols());
    assert!(rows.is_multiple_of(s), "{rows} rows, {s} at a time");
    assert_eq!(
        saved.r.len(),
        saved_len(axis, rows / s, s, width),
        "r of {rows} x {width}"
    );
    match axis {
        Axis::Channels => k.rms_norm_forward(y, saved.r, Some(h), eps),
        Axis::Positions => {
            for (b, r) in saved.r.chunks_exact_mut(h.cols()).enumerate() {
                let rows = b * s..(b + 1) * s;
                k.rms_norm_columns_forward(
                    y.row_range(rows.clone()),
                    r,
                    Some(h.row_range(rows)),
                    eps,
                );
            }
        }
    }
}

/// Gradient of [`forward`]: replaces d_y in `d` by the gradient of f, which is also that of h.
///
/// `mean` is scratch of D floats.
///
/// Panics when `d` has another shape than `y`, r another length than [`saved_len`], or some rows are left over.
pub fn backward(
    k: &Kernels,
    axis: Axis,
    mut d: MatMut<'_>,
    y: MatRef<'_>,
    saved: &Saved<'_>,
    s: usize,
    mean: &mut [f32],
) {
    let (rows, width) = (y.rows(), y.cols());
    assert!(rows.is_multiple_of(s), "{rows} rows, {s} at a time");
    assert_eq!(
        saved.r.len(),
        saved_len(axis, rows / s, s, width),
        "r of {rows} x {width}"
    );
    match axis {
        Axis::Channels => k.rms_norm_backward(d, y, saved.r),
        Axis::Positions => {
            for (b, r) in saved.r.chunks_exact(y.cols()).enumerate() {
                let rows = b * s..(b + 1) * s;
                k.rms_norm_columns_backward(d.row_range(rows.clone()), mean, y.row_range(rows), r);
            }
        }
    }
}
