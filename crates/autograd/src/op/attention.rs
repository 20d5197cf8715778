//! Self-attention with its projections: y = attention(rope(x·W_qkvᵀ))·W_oᵀ, puzzle by puzzle.
//!
//! ```text
//! qkv: (N, 3·H·E), q and k turned by position where there are tables   o: (N, H·E)   y: (N, D)
//! ```
//!
//! Saved: qkv after the turn, o, and the log-sum-exps; x is the caller's. See [`trm_kernels::attention`].

use super::{Scratch, linear};
use crate::arena::Carver;
use crate::params::{Linear, Weights};
use std::sync::Arc;
use trm_kernels::{MatMut, MatRef, Write, attention, rope};
use trm_tensor::{Shape, Tensor};

/// The two matrices of the layer, its heads and positions.
#[derive(Clone, Debug)]
pub struct Attention {
    /// W_qkv, (3·H·E, D): all q heads, then k, then v.
    pub qkv: Linear,
    /// W_o, (D, H·E).
    pub out: Linear,
    /// H.
    pub heads: usize,
    /// S.
    pub positions: usize,
    /// Angles of every position, if positions are rotary.
    pub rope: Option<Arc<Rope>>,
}

/// Rotary tables, both (S, E/2).
#[derive(Debug)]
pub struct Rope {
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    /// The tables of S positions for heads of `head_width`, an even number.
    pub fn new(positions: usize, head_width: usize, theta: f64) -> Self {
        let mut tables = [0, 1].map(|_| Tensor::zeros(Shape::from([positions, head_width / 2])));
        let [cos, sin] = &mut tables;
        rope::tables(cos.data_mut(), sin.data_mut(), head_width, theta);
        let [cos, sin] = tables;
        Rope { cos, sin }
    }

    /// Cosines and sines.
    pub fn tables(&self) -> (MatRef<'_>, MatRef<'_>) {
        let (s, half) = (self.cos.shape().dims()[0], self.cos.shape().dims()[1]);
        (
            MatRef::new(self.cos.data(), s, half),
            MatRef::new(self.sin.data(), s, half),
        )
    }
}

/// What the backward pass reads besides x.
#[derive(Debug)]
pub struct Saved<'a> {
    /// (N, 3·H·E)
    pub qkv: &'a mut [f32],
    /// (N, H·E)
    pub o: &'a mut [f32],
    /// (puzzles, S, H)
    pub lse: &'a mut [f32],
}

impl Attention {
    /// H·E.
    pub fn width(&self) -> usize {
        self.out.input
    }

    /// Floats of [`Scratch::inner`] and [`Scratch::d_wide`]: d_o and d_qkv.
    pub fn scratch_len(&self, puzzles: usize) -> (usize, usize) {
        let o = puzzles * self.positions * self.width();
        (o, 3 * o)
    }

    /// Carves [`Saved`] for `puzzles`.
    pub fn saved<'a>(&self, arena: &mut impl Carver<'a>, puzzles: usize) -> Saved<'a> {
        let s = self.positions;
        Saved {
            qkv: arena.floats(puzzles * s * 3 * self.width()),
            o: arena.floats(puzzles * s * self.width()),
            lse: arena.floats(puzzles * self.heads * s),
        }
    }
}

/// Writes the layer's output to `y` (N x D).
pub fn forward(
    w: Weights<'_>,
    layer: &Attention,
    y: MatMut<'_>,
    saved: &mut Saved<'_>,
    x: MatRef<'_>,
    scratch: &mut Scratch<'_>,
) {
    let (n, s, width) = (x.rows(), layer.positions, layer.width());
    let mut qkv = MatMut::new(saved.qkv, n, 3 * width);
    let mut o = MatMut::new(saved.o, n, width);
    linear::forward(
        w,
        &layer.qkv,
        qkv.reborrow(),
        x,
        Write::Overwrite,
        scratch.kernel,
    );
    for (b, lse) in saved.lse.chunks_exact_mut(layer.heads * s).enumerate() {
        let rows = b * s..(b + 1) * s;
        if let Some((cos, sin)) = layer.rope.as_ref().map(|rope| rope.tables()) {
            w.kernels
                .rope_forward(qkv.block(rows.clone(), 0..2 * width), cos, sin);
        }
        let qkv = qkv.as_ref().row_range(rows.clone());
        attention::forward_on_threads(
            w.kernels,
            o.row_range(rows),
            lse,
            qkv,
            layer.heads,
            scratch.kernel,
            w.threads,
        );
    }
    linear::forward(
        w,
        &layer.out,
        y,
        o.as_ref(),
        Write::Overwrite,
        scratch.kernel,
    );
}

/// Gradient of [`forward`]: **adds** d_x to d_y in `d`, which is what the residual around the layer asks
/// for, and adds the gradients of both matrices to `grads`.
pub fn backward(
    w: Weights<'_>,
    layer: &Attention,
    mut d: MatMut<'_>,
    grads: &mut [f32],
    saved: &Saved<'_>,
    x: MatRef<'_>,
    scratch: &mut Scratch<'_>,
) {
    let (n, s, width) = (x.rows(), layer.positions, layer.width());
    let qkv = MatRef::new(saved.qkv, n, 3 * width);
    let o = MatRef::new(saved.o, n, width);
    let mut d_qkv = MatMut::new(scratch.d_wide, n, 3 * width);
    let mut d_o = MatMut::new(scratch.inner, n, width);
    // y = out(o)
    linear::backward_weight(w, &layer.out, grads, d.as_ref(), o, scratch.kernel);
    linear::backward(
        w,
        &layer.out,
        d_o.reborrow(),
        d.as_ref(),
        Write::Overwrite,
        scratch.kernel,
    );
    for (b, lse) in saved.lse.chunks_exact(layer.heads * s).enumerate() {
        let rows = b * s..(b + 1) * s;
        // o = attention(qkv)
        let saved = attention::Saved {
            qkv: qkv.row_range(rows.clone()),
            o: o.row_range(rows.clone()),
            lse,
        };
        let d_o = d_o.as_ref().row_range(rows.clone());
        attention::backward(
            w.kernels,
            d_qkv.row_range(rows.clone()),
            d_o,
            saved,
            layer.heads,
            scratch.kernel,
        );
        // q, k = rope(q, k)
        if let Some((cos, sin)) = layer.rope.as_ref().map(|rope| rope.tables()) {
            w.kernels
                .rope_backward(d_qkv.block(rows, 0..2 * width), cos, sin);
        }
    }
    // qkv = qkv(x)
    linear::backward_weight(w, &layer.qkv, grads, d_qkv.as_ref(), x, scratch.kernel);
    linear::backward(
        w,
        &layer.qkv,
        d.reborrow(),
        d_qkv.as_ref(),
        Write::Add,
        scratch.kernel,
    );
}
