//! One block, and the level that chains the blocks (TRM_SPEC 3.3).
//!
//! ```text
//! y1 = norm(h + mixer(h))        over positions for the MLP, over channels for attention and groups
//! y2 = norm(y1 + swiglu(y1))     over channels
//! ```
//!
//! ```text
//! level(h) = block_last(… block_0(h))        h, y1, y2: (N, D), N = puzzles · S
//! ```

use crate::config::Depth;
use crate::network::Network;
use trm_autograd::arena::{Carve, Carver, Count};
use trm_autograd::op::attention::{self, Attention};
use trm_autograd::op::group_mixer::{self, GroupMixer};
use trm_autograd::op::swiglu::{self, SwiGlu};
use trm_autograd::op::{Scratch, rms_norm};
use trm_autograd::params::{Axis, Weights};
use trm_kernels::{MatMut, MatRef};

/// What mixes positions, with its matrices.
#[derive(Clone, Debug)]
pub enum TokenMixer {
    /// SwiGLU over positions.
    Mlp(SwiGlu),
    /// Self-attention.
    Attention(Attention),
    /// Sums over groups of rows.
    Groups(GroupMixer),
}

/// One post-norm block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Over positions.
    pub mixer: TokenMixer,
    /// Over channels.
    pub ffn: SwiGlu,
}

/// A micro-batch on its way through the network.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// The network.
    pub net: &'a Network,
    /// Its values.
    pub weights: Weights<'a>,
    /// Puzzles in the micro-batch.
    pub puzzles: usize,
    /// Cycles of the supervision step.
    pub depth: Depth,
}

impl<'a> Pass<'a> {
    /// Rows of an activation: puzzles · S, S the rows of a puzzle's state.
    pub fn rows(&self) -> usize {
        self.puzzles * self.net.config.rows()
    }

    /// Floats of a state of one puzzle: (S, D).
    pub fn state_len(&self) -> usize {
        self.net.config.state_len()
    }

    /// Channels D.
    pub fn width(&self) -> usize {
        self.net.config.width
    }

    fn matrix<'b>(&self, x: &'b [f32]) -> MatRef<'b> {
        MatRef::new(x, self.rows(), self.width())
    }

    fn matrix_mut<'b>(&self, x: &'b mut [f32]) -> MatMut<'b> {
        MatMut::new(x, self.rows(), self.width())
    }
}

/// What the mixer's backward pass reads.
#[derive(Debug)]
enum MixerSaved<'a> {
    Mlp(swiglu::Saved<'a>),
    Attention(attention::Saved<'a>),
    Groups(group_mixer::Saved<'a>),
}

/// The memory of one block.
#[derive(Debug)]
struct Saved<'a> {
    mixer: MixerSaved<'a>,
    /// (N, D)
    y1: &'a mut [f32],
    /// (puzzles, D) for the MLP, (N) for attention and groups
    norm1: rms_norm::Saved<'a>,
    /// (N, 2F); with a gated norm (N, F) and (N) more
    ffn: swiglu::Saved<'a>,
    /// (N, D)
    y2: &'a mut [f32],
    /// (N)
    norm2: rms_norm::Saved<'a>,
}

impl Block {
    /// The axis of the first norm.
    fn axis(&self) -> Axis {
        match self.mixer {
            TokenMixer::Mlp(_) => Axis::Positions,
            TokenMixer::Attention(_) | TokenMixer::Groups(_) => Axis::Channels,
        }
    }

    fn saved<'a>(
        &self,
        arena: &mut impl Carver<'a>,
        puzzles: usize,
        s: usize,
        d: usize,
    ) -> Saved<'a> {
        Saved {
            mixer: match &self.mixer {
                TokenMixer::Mlp(mlp) => MixerSaved::Mlp(mlp.saved(arena, puzzles, s, d)),
                TokenMixer::Attention(attention) => {
                    MixerSaved::Attention(attention.saved(arena, puzzles))
                }
                TokenMixer::Groups(groups) => MixerSaved::Groups(groups.saved(arena, puzzles, d)),
            },
            y1: arena.floats(puzzles * s * d),
            norm1: rms_norm::saved(arena, self.axis(), puzzles, s, d),
            ffn: self.ffn.saved(arena, puzzles, s, d),
            y2: arena.floats(puzzles * s * d),
            norm2: rms_norm::saved(arena, Axis::Channels, puzzles, s, d),
        }
    }

    /// Floats of [`Scratch::inner`] and [`Scratch::d_wide`] for this block: as many as its widest layer takes, and
    /// D at least for the means of a norm over positions.
    pub(crate) fn scratch_len(&self, puzzles: usize, s: usize, d: usize) -> (usize, usize) {
        let (inner, d_wide) = match &self.mixer {
            TokenMixer::Mlp(mlp) => mlp.scratch_len(puzzles, s, d),
            TokenMixer::Attention(attention) => attention.scratch_len(puzzles),
            TokenMixer::Groups(groups) => groups.scratch_len(d),
        };
        let of_ffn = self.ffn.scratch_len(puzzles, s, d);
        (inner.max(of_ffn.0).max(d), d_wide.max(of_ffn.1))
    }
}

/// y2 from h.
fn forward(
    pass: Pass<'_>,
    block: &Block,
    saved: &mut Saved<'_>,
    h: MatRef<'_>,
    scratch: &mut Scratch<'_>,
) {
    let (w, k, c) = (pass.weights, pass.net.kernels, &pass.net.config);
    let s = c.rows();
    let mut y1 = pass.matrix_mut(saved.y1);
    match (&block.mixer, &mut saved.mixer) {
        (TokenMixer::Mlp(mlp), MixerSaved::Mlp(saved)) => {
            swiglu::forward(w, mlp, y1.reborrow(), saved, h, scratch)
        }
        (TokenMixer::Attention(attention), MixerSaved::Attention(saved)) => {
            attention::forward(w, attention, y1.reborrow(), saved, h, scratch);
        }
        (TokenMixer::Groups(groups), MixerSaved::Groups(saved)) => {
            group_mixer::forward(w, groups, y1.reborrow(), saved, h, scratch);
        }
        _ => unreachable!("saved by the same block"),
    }
    rms_norm::forward(
        k,
        block.axis(),
        y1.reborrow(),
        &mut saved.norm1,
        h,
        s,
        c.norm_eps,
    );

    let mut y2 = pass.matrix_mut(saved.y2);
    swiglu::forward(
        w,
        &block.ffn,
        y2.reborrow(),
        &mut saved.ffn,
        y1.as_ref(),
        scratch,
    );
    rms_norm::forward(
        k,
        Axis::Channels,
        y2,
        &mut saved.norm2,
        y1.as_ref(),
        s,
        c.norm_eps,
    );
}

/// Gradient of [`forward`]: replaces d_y2 in `d` by d_h and adds to `grads`.
fn backward(
    pass: Pass<'_>,
    block: &Block,
    d: &mut [f32],
    grads: &mut [f32],
    saved: &Saved<'_>,
    h: MatRef<'_>,
    scratch: &mut Scratch<'_>,
) {
    let (w, k, s) = (pass.weights, pass.net.kernels, pass.net.config.rows());
    let mut d = pass.matrix_mut(d);
    let (y1, y2) = (pass.matrix(saved.y1), pass.matrix(saved.y2));
    // y2 = norm(y1 + swiglu(y1))
    rms_norm::backward(
        k,
        Axis::Channels,
        d.reborrow(),
        y2,
        &saved.norm2,
        s,
        &mut scratch.inner[..pass.width()],
    );
    swiglu::backward(w, &block.ffn, d.reborrow(), grads, &saved.ffn, y1, scratch);
    // y1 = norm(h + mixer(h))
    rms_norm::backward(
        k,
        block.axis(),
        d.reborrow(),
        y1,
        &saved.norm1,
        s,
        &mut scratch.inner[..pass.width()],
    );
    match (&block.mixer, &saved.mixer) {
        (TokenMixer::Mlp(mlp), MixerSaved::Mlp(saved)) => {
            swiglu::backward(w, mlp, d, grads, saved, h, scratch)
        }
        (TokenMixer::Attention(attention), MixerSaved::Attention(saved)) => {
            attention::backward(w, attention, d, grads, saved, h, scratch);
        }
        (TokenMixer::Groups(groups), MixerSaved::Groups(saved)) => {
            group_mixer::backward(w, groups, d, grads, saved, scratch);
        }
        _ => unreachable!("saved by the same block"),
    }
}

/// A level: the blocks in a row. Its memory is one slice, a part of equal length for each block.
pub mod level {
    use super::*;

    /// Floats of memory that one block needs for `puzzles`.
    pub fn block_len(net: &Network, puzzles: usize) -> usize {
        let (s, d) = (net.config.rows(), net.config.width);
        let mut count = Count::default();
        net.low[0].saved(&mut count, puzzles, s, d);
        count.total()
    }

    /// Floats of memory in which a level keeps all its activations for `puzzles`.
    pub fn saved_len(net: &Network, puzzles: usize) -> usize {
        net.low.len().max(net.high.len()) * block_len(net, puzzles)
    }

    fn carve<'a>(pass: Pass<'_>, block: &Block, memory: &'a mut [f32]) -> Saved<'a> {
        let s = pass.net.config.rows();
        block.saved(&mut Carve::new(memory), pass.puzzles, s, pass.width())
    }

    /// The level of `h` (N x D), in `memory`, which is one block's: all blocks share it, so that the cycles without
    /// gradients stay in the second-level cache. Overwrites `h`.
    pub fn forward<'a>(
        pass: Pass<'_>,
        blocks: &[Block],
        h: &mut [f32],
        memory: &'a mut [f32],
        scratch: &mut Scratch<'_>,
    ) -> &'a [f32] {
        let (last, before) = blocks.split_last().expect("at least one block");
        for block in before {
            let mut saved = carve(pass, block, memory);
            super::forward(pass, block, &mut saved, pass.matrix(h), scratch);
            h.copy_from_slice(saved.y2);
        }
        let mut saved = carve(pass, last, memory);
        super::forward(pass, last, &mut saved, pass.matrix(h), scratch);
        saved.y2
    }

    /// As [`forward`], keeping in `memory` (a level's) what [`backward`] reads. `h` stays.
    pub fn forward_saving<'a>(
        pass: Pass<'_>,
        blocks: &[Block],
        mut h: &'a [f32],
        memory: &'a mut [f32],
        scratch: &mut Scratch<'_>,
    ) -> &'a [f32] {
        let chunks = memory.chunks_exact_mut(block_len(pass.net, pass.puzzles));
        for (block, memory) in blocks.iter().zip(chunks) {
            let mut saved = carve(pass, block, memory);
            super::forward(pass, block, &mut saved, pass.matrix(h), scratch);
            h = saved.y2;
        }
        h
    }

    /// Gradient of [`forward`]: replaces the gradient of the level in `d` (N x D) by d_h and adds the parameters' to `grads`.
    /// `h` and `memory` are as [`forward_saving`] left them.
    pub fn backward(
        pass: Pass<'_>,
        blocks: &[Block],
        d: &mut [f32],
        grads: &mut [f32],
        h: &[f32],
        memory: &mut [f32],
        scratch: &mut Scratch<'_>,
    ) {
        let len = block_len(pass.net, pass.puzzles);
        let mut rest = memory;
        for (i, block) in blocks.iter().enumerate().rev() {
            let (before, this) = rest.split_at_mut(i * len);
            let saved = carve(pass, block, this);
            if i == 0 {
                super::backward(pass, block, d, grads, &saved, pass.matrix(h), scratch);
            } else {
                let previous = carve(pass, &blocks[i - 1], &mut before[(i - 1) * len..]);
                let h = pass.matrix(previous.y2);
                super::backward(pass, block, d, grads, &saved, h, scratch);
            }
            rest = before;
        }
    }
}
