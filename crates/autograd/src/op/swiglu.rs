//! The gated feed-forward layer (Shazeer 2020), over channels or, as the token mixer, over positions.
//!
//! ```text
//! Channels:    u = x·W_guᵀ   a = silu(gate) ⊙ up   y = a·W_downᵀ      u: (N, 2F)   a: (N, F)
//! Positions:   u = W_gu·x    a = silu(gate) ⊙ up   y = W_down·a       u: (2F, D)   a: (F, D), each puzzle
//! ```
//!
//! W_gu is (2F, width): its first F rows give the gate, the others "up". W_down is (width, F).
//! Saved: u; x is the caller's. a is rebuilt in the backward pass.

use super::{Scratch, linear};
use crate::arena::Carver;
use crate::params::{Axis, Linear, Weights};
use trm_kernels::{MatMut, MatRef, Write};

/// The two matrices of the layer.
#[derive(Clone, Debug)]
pub struct SwiGlu {
    /// W_gu, (2F, width).
    pub gate_up: Linear,
    /// W_down, (width, F).
    pub down: Linear,
}

/// What the backward pass reads besides x.
#[derive(Debug)]
pub struct Saved<'a> {
    /// Gate and up before the gate is applied: (N, 2F), or (puzzles, 2F, D).
    pub u: &'a mut [f32],
}

impl SwiGlu {
    /// The inner width F.
    pub fn inner(&self) -> usize {
        self.down.input
    }

    /// Floats of a for one product: all rows of a micro-batch, or one puzzle. Of u: twice as many.
    pub fn inner_len(&self, puzzles: usize, s: usize, d: usize) -> usize {
        match self.gate_up.axis {
            Axis::Channels => puzzles * s * self.inner(),
            Axis::Positions => self.inner() * d,
        }
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
        Saved {
            u: arena.floats(rows * 2 * self.inner()),
        }
    }
}

/// The groups of rows that one product takes: the micro-batch at once, or a puzzle at a time.
fn groups(layer: &SwiGlu, rows: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
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
}

fn shapes(layer: &SwiGlu, rows: usize, d: usize) -> Shapes {
    let f = layer.inner();
    match layer.gate_up.axis {
        Axis::Channels => Shapes {
            u: (rows, 2 * f),
            a: (rows, f),
            gate: (rows, f),
        },
        Axis::Positions => Shapes {
            u: (2 * f, d),
            a: (f, d),
            gate: (1, f * d),
        },
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
    let mut rest = &mut *saved.u;
    for rows in groups(layer, x.rows()) {
        let shape = shapes(layer, rows.len(), x.cols());
        let (u, tail) = rest.split_at_mut(shape.u.0 * shape.u.1);
        rest = tail;
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
        let halves = MatRef::new(u, shape.gate.0, 2 * shape.gate.1);
        w.kernels
            .swiglu_forward(MatMut::new(a, shape.gate.0, shape.gate.1), halves);
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
    let mut rest = &*saved.u;
    for rows in groups(layer, x.rows()) {
        let shape = shapes(layer, rows.len(), x.cols());
        let (u, tail) = rest.split_at(shape.u.0 * shape.u.1);
        rest = tail;
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
        let (rows, cols) = shape.gate;
        w.kernels.swiglu_backward(
            MatMut::new(d_u, rows, 2 * cols),
            MatMut::new(a, rows, cols),
            MatRef::new(u, rows, 2 * cols),
        );
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
