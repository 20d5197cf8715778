//! Winner takes all: K states of a puzzle from different starts, of which only the best is trained.
//!
//! ```text
//! k* = argmin_k loss(step(z_k))        the gradient is that of step(z_k*); all K states go on
//! ```
//!
//! A network that is trained on one state must make every start end in the answer. Trained on the best of K, it
//! may let each start explore another way, and learns from the one that leads there ("Speed is Confidence",
//! arXiv 2601.19085). It costs K steps forward beside the one that is trained. Starts differ by the model's
//! `init_noise`; halting follows the winner.

use crate::carry::Rows;
use crate::metrics::Metrics;
use crate::recursion::{self, State};
use crate::train_step::{self, StepContext};
use crate::workspace::{Mode, Workspace};
use crate::{config::ModelConfig, embed, heads, overflow};
use trm_autograd::random::{Purpose, stream};

/// Floats of scratch of a worker: the winner's state before the step, and one more.
pub fn scratch_len(c: &ModelConfig) -> usize {
    2 * (c.state_len() + c.latent_len())
}

/// Takes the puzzles of `rows`, each with K states, through one supervision step, as
/// [`train_step::micro_batch`] does with one state each; uses up `scratch`.
pub(crate) fn micro_batch(
    ctx: StepContext<'_>,
    ws: &mut Workspace<'_>,
    scratch: &mut [f32],
    rows: &mut Rows<'_>,
    grads: &mut [f32],
    metrics: &mut Metrics,
) {
    let half = scratch.len() / 2;
    for b in 0..rows.len() {
        let mut row = rows.row(b);
        start_new_puzzle(ctx, &mut row);
        let (winner, spare) = scratch.split_at_mut(half);
        let before = metrics.rows_reset;
        rank(ctx, ws, winner, spare, &mut row, metrics);
        let (z_h, z_l) = winner.split_at_mut(ctx.net.config.state_len());
        let mut trained = Rows { z_h, z_l, ..row };
        train_step::improve(ctx, ws, &mut trained, grads, metrics);
        // However many of its states were lost, it is one row.
        metrics.rows_reset = metrics.rows_reset.min(before + 1.0);
    }
}

/// The K states of a puzzle: z_H and z_L of each.
fn states<'a>(
    c: &ModelConfig,
    z_h: &'a mut [f32],
    z_l: &'a mut [f32],
) -> impl Iterator<Item = (&'a mut [f32], &'a mut [f32])> {
    let latents = z_l.chunks_exact_mut(c.latent_len());
    z_h.chunks_exact_mut(c.state_len()).zip(latents)
}

/// Puts K initial states into a row that holds a new puzzle.
fn start_new_puzzle(ctx: StepContext<'_>, row: &mut Rows<'_>) {
    if !row.halted[0] {
        return;
    }
    let (c, k) = (&ctx.net.config, ctx.config.winner_take_all as u64);
    let draw = train_step::draw_of(ctx, row.first);
    for (i, (z_h, z_l)) in (0..).zip(states(c, row.z_h, row.z_l)) {
        let noise = stream(ctx.config.seed, Purpose::Noise, draw * k + i);
        embed::start(ctx.params, z_h, z_l, c.init_noise, noise);
    }
    (row.halted[0], row.steps[0]) = (false, 0);
}

/// Takes all states of one puzzle one step further, and leaves in `winner` the z_H and z_L that the best of them had
/// before.
fn rank(
    ctx: StepContext<'_>,
    ws: &mut Workspace<'_>,
    winner: &mut [f32],
    spare: &mut [f32],
    row: &mut Rows<'_>,
    metrics: &mut Metrics,
) {
    let pass = ctx.pass(1);
    let c = &ctx.net.config;
    embed::forward(pass, ctx.params, ws.x, row.inputs, row.puzzles);
    let mut least = f64::INFINITY;
    for (i, (z_h, z_l)) in states(c, row.z_h, row.z_l).enumerate() {
        let (spare_h, spare_l) = spare.split_at_mut(c.state_len());
        spare_h.copy_from_slice(z_h);
        spare_l.copy_from_slice(z_l);
        let mut state = State { z_h, z_l };
        for _ in 0..pass.depth.h_cycles {
            recursion::forward(pass, ws, &mut state, Mode::Evaluate);
        }
        heads::forward(pass, ws, state.z_h);
        let State { z_h, z_l } = state;
        let loss = train_step::token_loss(ctx, ws, 0, row.labels, 1.0).loss;
        let lost = overflow::lose_state(ctx, z_h, z_l, loss, metrics);
        // One state must win: a lost one only where all are lost.
        if i == 0 || !lost && loss < least {
            winner.copy_from_slice(spare);
        }
        if !lost {
            least = least.min(loss);
        }
    }
}
