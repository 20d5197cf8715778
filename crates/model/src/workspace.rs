//! The memory of one worker: everything a micro-batch needs, carved from one buffer.
//!
//! Its size depends on the network, on the micro-batch, on what is kept ([`Mode`]) and on the threads that share it:
//! not on the batch, H_cycles, or the number of supervision steps. The cycles without gradients use the memory of one
//! block for all of theirs.

use crate::block::level;
use crate::config::{Mixer, System};
use crate::network::Network;
use trm_autograd::arena::{Carve, Carver, Count};
use trm_autograd::op::Scratch;
use trm_kernels::{SCRATCH, attention};
use trm_tensor::AlignedVec;

/// Whether gradients will be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every level of a cycle with gradients keeps its activations.
    Train,
    /// Every level of a cycle with gradients keeps its input; the backward pass rebuilds the rest.
    Recompute,
    /// Nothing is kept.
    Evaluate,
}

/// The slices of one worker, for at most `puzzles` of S x D; N = puzzles · S.
#[derive(Debug)]
pub struct Workspace<'a> {
    /// Input embedding, (N, D).
    pub x: &'a mut [f32],
    /// z_H + x of the running cycle, (N, D).
    pub y_x: &'a mut [f32],
    /// Inputs h of the levels, (levels, N, D): those of a cycle in training, one otherwise.
    pub inputs: &'a mut [f32],
    /// Activations: of all levels of a cycle, of one level ([`Mode::Recompute`]), or of one block.
    pub levels: &'a mut [f32],
    /// Logits of the cells, (puzzles, cells, V), or K for V with symbols.
    pub logits: &'a mut [f32],
    /// What the halting head reads where that is no row of the state, (puzzles, D); its gradient later.
    pub pooled: &'a mut [f32],
    /// Halting logits, (puzzles, 2): halt, continue.
    pub q: &'a mut [f32],
    /// Gradient on its way down, (N, D).
    pub d: &'a mut [f32],
    /// Gradient of x, (N, D).
    pub d_x: &'a mut [f32],
    /// (puzzles, cells, V), or K for V with symbols.
    pub d_logits: &'a mut [f32],
    /// (puzzles, 2)
    pub d_q: &'a mut [f32],
    /// Gradient of the latents that were not written yet on the way down, (N, D); with several latents.
    pub d_latents: &'a mut [f32],
    /// HRM's look at the next step.
    pub ahead: Ahead<'a>,
    /// Used up within an op.
    pub scratch: Scratch<'a>,
}

/// What one more supervision step needs that must leave no trace in the rest of the workspace.
#[derive(Debug)]
pub struct Ahead<'a> {
    /// (N, D)
    pub z_h: &'a mut [f32],
    /// (N, D)
    pub z_l: &'a mut [f32],
    /// (N, D)
    pub inputs: &'a mut [f32],
    /// Activations of one block.
    pub levels: &'a mut [f32],
    /// (puzzles, cells, V), or K for V with symbols.
    pub logits: &'a mut [f32],
    /// As [`Workspace::pooled`].
    pub pooled: &'a mut [f32],
    /// (puzzles, 2)
    pub q: &'a mut [f32],
}

/// The map: run once to count and, for every micro-batch, to carve.
fn layout<'a>(
    arena: &mut impl Carver<'a>,
    net: &Network,
    puzzles: usize,
    mode: Mode,
    threads: usize,
) -> Workspace<'a> {
    let c = &net.config;
    let (s, d) = (c.rows(), c.width);
    let (n_d, logits) = (puzzles * s * d, puzzles * c.cells * c.outputs());
    let trained_updates = c.system.trained_updates(c.depth());
    let block = level::block_len(net, puzzles);
    let (inputs, levels) = match mode {
        Mode::Train => (
            trained_updates,
            trained_updates * level::saved_len(net, puzzles),
        ),
        Mode::Recompute => (trained_updates, level::saved_len(net, puzzles)),
        Mode::Evaluate => (1, block),
    };
    let pooled = if c.pools() { puzzles * d } else { 0 };
    let trained = |len: usize| if mode == Mode::Evaluate { 0 } else { len };
    let with = |system, len| if c.system == system { trained(len) } else { 0 };
    let of_attention = match c.mixer {
        Mixer::Attention => attention::scratch_len(net.kernels, s, c.head_width()),
        Mixer::Mlp | Mixer::Groups | Mixer::Neighbours => 0,
    };
    // All blocks of a network are of one layout.
    let (inner, d_wide) = net.low[0].scratch_len(puzzles, s, d);
    Workspace {
        x: arena.floats(n_d),
        y_x: arena.floats(n_d),
        inputs: arena.floats(inputs * n_d),
        levels: arena.floats(levels),
        logits: arena.floats(logits),
        pooled: arena.floats(pooled),
        q: arena.floats(puzzles * 2),
        d: arena.floats(trained(n_d)),
        d_x: arena.floats(trained(n_d)),
        d_logits: arena.floats(trained(logits)),
        d_q: arena.floats(trained(puzzles * 2)),
        d_latents: arena.floats(with(System::MultiZ, n_d)),
        ahead: Ahead {
            z_h: arena.floats(with(System::Hrm, n_d)),
            z_l: arena.floats(with(System::Hrm, n_d)),
            inputs: arena.floats(with(System::Hrm, n_d)),
            levels: arena.floats(with(System::Hrm, block)),
            logits: arena.floats(with(System::Hrm, logits)),
            pooled: arena.floats(with(System::Hrm, pooled)),
            q: arena.floats(with(System::Hrm, puzzles * 2)),
        },
        scratch: Scratch {
            inner: arena.floats(inner),
            d_wide: arena.floats(trained(d_wide)),
            // The gate's norm over positions sums its D channels here.
            kernel: arena.floats(threads * of_attention.max(SCRATCH).max(d)),
        },
    }
}

/// The buffer behind a [`Workspace`].
#[derive(Debug)]
pub struct Memory {
    buffer: AlignedVec,
    mode: Mode,
    threads: usize,
}

impl Memory {
    /// Floats for micro-batches of at most `puzzles`, on which `threads` work together.
    pub fn floats(net: &Network, puzzles: usize, mode: Mode, threads: usize) -> usize {
        let mut count = Count::default();
        layout(&mut count, net, puzzles, mode, threads);
        count.total()
    }

    /// Allocates [`Memory::floats`].
    pub fn new(net: &Network, puzzles: usize, mode: Mode, threads: usize) -> Self {
        Memory {
            buffer: AlignedVec::zeros(Self::floats(net, puzzles, mode, threads)),
            mode,
            threads,
        }
    }

    /// Carves it for a micro-batch of `puzzles`.
    ///
    /// Panics when they are more than it was made for.
    pub fn carve(&mut self, net: &Network, puzzles: usize) -> Workspace<'_> {
        layout(
            &mut Carve::new(&mut self.buffer),
            net,
            puzzles,
            self.mode,
            self.threads,
        )
    }
}
