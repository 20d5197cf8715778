//! The gated feed-forward layer (Shazeer 2020), over channels or, as the token mixer, over positions.
//!
//! ```text
//! Channels:    u = x·W_guᵀ   a = silu(gate) ⊙ up   y = a·W_downᵀ      u: (N, 2F)   a: (N, F)
//! Positions:   u = W_gu·x    a = silu(gate) ⊙ up   y = W_down·a       u: (2F, D)   a: (F, D), each puzzle
//! ```
//!
//! W_gu is (2F, width): its first F rows give the gate, the others "up". W_down is (width, F).
//! Saved: u; x is the caller's. a is rebuilt in the backward pass.
//!
//! With a norm, a = sigmoid(gate) ⊙ norm(gate ⊙ up) instead, normalised over F ([`trm_kernels::gated_norm`]);
//! saved is then also n = norm(…) and its factors. The recipe of "Speed is Confidence" (arXiv 2601.19085).

use super::{Scratch, linear};
use crate::arena::Carver;
use crate::params::{Axis, Linear, Weights};
use std::ops::Range;
use trm_kernels::{Kernels, MatMut, MatRef, Write};

/// The two matrices of the layer.
#[derive(Clone, Debug)]
pub struct SwiGlu {
    /// W_gu, (2F, width).
    pub gate_up: Linear,
    /// W_down, (width, F).
    pub down: Linear,
    /// What is added to the mean square where the gated product is normalised; none: SwiGLU.
    pub norm: Option<f32>,
}

/// What the backward pass reads besides x.
#[derive(Debug)]
pub struct Saved<'a> {
    /// Gate and up before the gate is applied: (N, 2F), or (puzzles, 2F, D).
    pub u: &'a mut [f32],
    /// With a norm, the normalised product: (N, F), or (puzzles, F, D).
    pub n: &'a mut [f32],
    /// With a norm, its factors: (N), or (puzzles, D).
    pub r: &'a mut [f32],
}

impl SwiGlu {
    /// The inner width F.
    pub fn inner(&self) -> usize {
        self.down.input
    }

    /// Floats of [`Scratch::inner`] and [`Scratch::d_wide`]: a and d_u of one product, which takes all rows of a
    /// micro-batch, or one puzzle.
    pub fn scratch_len(&self, puzzles: usize, s: usize, d: usize) -> (usize, usize) {
        let a = match self.gate_up.axis {
            Axis::Channels => puzzles * s * self.inner(),
            Axis::Positions => self.inner() * d,
        };
        (a, 2 * a)
    }

    /// Carves [`Saved`] for `puzzles` of S x D.
    pub fn saved<'a>(
        &self,
        arena: &mut impl Carver<'a>,
        puzzles: usize,
        s: usize,
        d: usize,
    ) -> Saved<'a> {
        let rows = match self.gate_up.axis {
            Axis::Channels => puzzles * s,
            Axis::Positions => puzzles * d,
        };
        let normed = if self.norm.is_some() { rows } else { 0 };
        Saved {
            u: arena.floats(rows * 2 * self.inner()),
            n: arena.floats(normed * self.inner()),
            r: arena.floats(normed),
        }
    }
}

/// The groups of rows that one product takes: the micro-batch at once, or a puzzle at a time.
fn groups(layer: &SwiGlu, rows: usize) -> impl Iterator<Item = Range<usize>> {
    let step = match layer.gate_up.axis {
        Axis::Channels => rows.max(1),
        Axis::Positions => layer.gate_up.input,
    };
    (0..rows)
        .step_by(step)
        .map(move |start| start..start + step)
}

/// Shapes of u and a for the products of one group, and of the two halves of u for the gate.
struct Shapes {
    u: (usize, usize),
    a: (usize, usize),
    /// Rows and columns of a as the gate sees it: halves of u side by side, so one long row for positions.
    gate: (usize, usize),
    /// Rows or columns of a that are normalised, each over F.
    norms: usize,
}

fn shapes(layer: &SwiGlu, rows: usize, d: usize) -> Shapes {
    let f = layer.inner();
    match layer.gate_up.axis {
        Axis::Channels => Shapes {
            u: (rows, 2 * f),
            a: (rows, f),
            gate: (rows, f),
            norms: rows,
        },
        Axis::Positions => Shapes {
            u: (2 * f, d),
            a: (f, d),
            gate: (1, f * d),
            norms: d,
        },
    }
}

/// Where the `i`-th part of `len` floats lies; an empty range where `all` is empty.
fn part(i: usize, len: usize, all: &[f32]) -> Range<usize> {
    if all.is_empty() {
        0..0
    } else {
        i * len..(i + 1) * len
    }
}

impl Shapes {
    /// Where the saved u, n and r of the `i`-th group lie.
    fn places(&self, i: usize, saved: &Saved<'_>) -> [Range<usize>; 3] {
        let (u, a) = (self.u.0 * self.u.1, self.a.0 * self.a.1);
        [
            part(i, u, saved.u),
            part(i, a, saved.n),
            part(i, self.norms, saved.r),
        ]
    }
}

impl SwiGlu {
    /// Overwrites `a` with the gated values of `u`, and with a norm `n` and `r`.
    fn gate(
        &self,
        k: &Kernels,
        a: &mut [f32],
        u: &[f32],
        n: &mut [f32],
        r: &mut [f32],
        shape: &Shapes,
    ) {
        let (rows, cols) = shape.gate;
        let u = MatRef::new(u, rows, 2 * cols);
        let Some(eps) = self.norm else {
            return k.swiglu_forward(MatMut::new(a, rows, cols), u);
        };
        k.gated_product_forward(MatMut::new(n, rows, cols), u);
        let product = MatMut::new(n, shape.a.0, shape.a.1);
        match self.gate_up.axis {
            Axis::Channels => k.rms_norm_forward(product, r, None, eps),
            Axis::Positions => k.rms_norm_columns_forward(product, r, None, eps),
        }
        let n = MatRef::new(n, rows, cols);
        k.gated_norm_forward(MatMut::new(a, rows, cols), u, n);
    }

    /// Gradient of [`SwiGlu::gate`]: overwrites `d_u`, and replaces d_a in `a` by a.
    fn gate_backward(
        &self,
        k: &Kernels,
        d_u: &mut [f32],
        a: &mut [f32],
        (u, n, r): (&[f32], &[f32], &[f32]),
        shape: &Shapes,
        kernel: &mut [f32],
    ) {
        let (rows, cols) = shape.gate;
        let u = MatRef::new(u, rows, 2 * cols);
        let mut d_u = MatMut::new(d_u, rows, 2 * cols);
        if self.norm.is_none() {
            return k.swiglu_backward(d_u, MatMut::new(a, rows, cols), u);
        }
        // a = sigmoid(gate) ⊙ n
        let n_gate = MatRef::new(n, rows, cols);
        k.gated_norm_backward(d_u.reborrow(), MatMut::new(a, rows, cols), u, n_gate);
        // n = norm(p)
        let d_p = MatMut::new(a, shape.a.0, shape.a.1);
        let n = MatRef::new(n, shape.a.0, shape.a.1);
        match self.gate_up.axis {
            Axis::Channels => k.rms_norm_backward(d_p, n, r),
            Axis::Positions => {
                k.rms_norm_columns_backward(d_p, &mut kernel[..shape.a.1], n, r);
            }
        }
        // p = gate ⊙ up
        k.gated_product_backward(d_u, MatRef::new(a, rows, cols), u);
        k.gated_norm_forward(MatMut::new(a, rows, cols), u, n_gate);
    }
}

/// Writes the layer's output to `y` (N x D).
pub fn forward(
    w: Weights<'_>,
    layer: &SwiGlu,
    mut y: MatMut<'_>,
    saved: &mut Saved<'_>,
    x: MatRef<'_>,
    scratch: &mut Scratch<'_>,
) {
    for (i, rows) in groups(layer, x.rows()).enumerate() {
        let shape = shapes(layer, rows.len(), x.cols());
        let [u, n, r] = shape.places(i, saved);
        let (u, n, r) = (&mut saved.u[u], &mut saved.n[n], &mut saved.r[r]);
        let a = &mut scratch.inner[..shape.a.0 * shape.a.1];
        let x = x.row_range(rows.clone());
        linear::forward(
            w,
            &layer.gate_up,
            MatMut::new(u, shape.u.0, shape.u.1),
            x,
            Write::Overwrite,
            scratch.kernel,
        );
        layer.gate(w.kernels, a, u, n, r, &shape);
        let a = MatRef::new(a, shape.a.0, shape.a.1);
        linear::forward(
            w,
            &layer.down,
            y.row_range(rows),
            a,
            Write::Overwrite,
            scratch.kernel,
        );
    }
}

/// Gradient of [`forward`]: **adds** d_x to d_y in `d`, which is what the residual around the layer asks
/// for, and adds the gradients of both matrices to `grads`.
pub fn backward(
    w: Weights<'_>,
    layer: &SwiGlu,
    mut d: MatMut<'_>,
    grads: &mut [f32],
    saved: &Saved<'_>,
    x: MatRef<'_>,
    scratch: &mut Scratch<'_>,
) {
    for (i, rows) in groups(layer, x.rows()).enumerate() {
        let shape = shapes(layer, rows.len(), x.cols());
        let [u, n, r] = shape.places(i, saved);
        let (u, n, r) = (&saved.u[u], &saved.n[n], &saved.r[r]);
        let a = &mut scratch.inner[..shape.a.0 * shape.a.1];
        let d_u = &mut scratch.d_wide[..u.len()];
        let x = x.row_range(rows.clone());
        let mut d = d.row_range(rows);
        // y = down(a)
        linear::backward(
            w,
            &layer.down,
            MatMut::new(a, shape.a.0, shape.a.1),
            d.as_ref(),
            Write::Overwrite,
            scratch.kernel,
        );
        // a = silu(gate) ⊙ up; from here on `a` holds a again
        layer.gate_backward(w.kernels, d_u, a, (u, n, r), &shape, scratch.kernel);
        let a = MatRef::new(a, shape.a.0, shape.a.1);
        linear::backward_weight(w, &layer.down, grads, d.as_ref(), a, scratch.kernel);
        // u = gate_up(x)
        let d_u = MatRef::new(d_u, shape.u.0, shape.u.1);
        linear::backward_weight(w, &layer.gate_up, grads, d_u, x, scratch.kernel);
        linear::backward(
            w,
            &layer.gate_up,
            d.reborrow(),
            d_u,
            Write::Add,
            scratch.kernel,
        );
    }
}
