//! One supervision step of a micro-batch: forward, loss, halting, backward.
//!
//! Read top to bottom, it is the training algorithm of the paper (figure 3, `deep supervision`), with the
//! loop over supervision steps turned inside out: every optimiser step does one supervision step for
//! every puzzle of the carry, and a puzzle that halts is replaced.

use crate::block::Pass;
use crate::carry::Rows;
use crate::config::TrainConfig;
use crate::halting::Halting;
use crate::network::{Network, Parameters};
use crate::recursion::State;
use crate::workspace::Workspace;
use crate::{heads, recursion};
use rand::Rng;
use trm_autograd::init::add_truncated_normal;
use trm_autograd::op::embedding;
use trm_autograd::op::loss::{self, RowLoss, TokenLoss};
use trm_autograd::random::{Purpose, stream};

/// What all micro-batches of a step share.
#[derive(Clone, Copy, Debug)]
pub struct StepContext<'a> {
    /// The network.
    pub net: &'a Network,
    /// Its values.
    pub params: &'a Parameters,
    /// The run's config.
    pub config: &'a TrainConfig,
    /// Number of the optimiser step, 1, 2, …
    pub step: u64,
}

/// Sums over the puzzles of a step (TRM_SPEC 5).
///
/// `lm_loss` and `q_halt_loss` are over all puzzles; everything else over those that halted with labels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Puzzles that halted and had labels.
    pub count: f64,
    /// Share of right cells of each, added up.
    pub accuracy: f64,
    /// Puzzles with every cell right.
    pub exact_accuracy: f64,
    /// Puzzles whose halting logit agreed with that.
    pub q_halt_accuracy: f64,
    /// Supervision steps that they took.
    pub steps: f64,
    /// Token loss.
    pub lm_loss: f64,
    /// Halting loss.
    pub q_halt_loss: f64,
}

impl Metrics {
    /// Adds the sums of `other`.
    pub fn add(&mut self, other: &Metrics) {
        self.count += other.count;
        self.accuracy += other.accuracy;
        self.exact_accuracy += other.exact_accuracy;
        self.q_halt_accuracy += other.q_halt_accuracy;
        self.steps += other.steps;
        self.lm_loss += other.lm_loss;
        self.q_halt_loss += other.q_halt_loss;
    }

    /// Counts one puzzle: its losses always, the rest if it `halted` and has labels.
    pub fn count_puzzle(
        &mut self,
        row: &RowLoss,
        q_halt: f32,
        q_halt_loss: f64,
        steps: u32,
        halted: bool,
    ) {
        self.lm_loss += row.loss;
        self.q_halt_loss += q_halt_loss;
        if halted && row.count > 0 {
            self.count += 1.0;
            self.accuracy += row.correct as f64 / row.count as f64;
            self.exact_accuracy += f64::from(row.all_right());
            self.q_halt_accuracy += f64::from((q_halt >= 0.0) == row.all_right());
            self.steps += f64::from(steps);
        }
    }
}

/// Takes the puzzles of `rows` through one supervision step.
///
/// Updates the rows in place (their `d_puzzle` is overwritten), adds the gradient of
/// `total loss / B` to `grads`, and the sums to `metrics`. Leaves logits and q in `ws`.
pub fn micro_batch(
    ctx: StepContext<'_>,
    ws: &mut Workspace<'_>,
    rows: &mut Rows<'_>,
    grads: &mut [f32],
    metrics: &mut Metrics,
) {
    start_new_puzzles(ctx, rows);
    improve(ctx, ws, rows, grads, metrics);
}

/// [`micro_batch`] once every row has a state.
pub(crate) fn improve(
    ctx: StepContext<'_>,
    ws: &mut Workspace<'_>,
    rows: &mut Rows<'_>,
    grads: &mut [f32],
    metrics: &mut Metrics,
) {
    let pass = Pass::of_training(ctx, rows.len());
    embed(pass, ctx.params, ws.x, rows.inputs, rows.puzzles);

    let mode = ctx.config.mode();
    ws.d_x.fill(0.0);
    for cycle in 1..=pass.depth.h_cycles {
        let last = cycle == pass.depth.h_cycles;
        let judged = last || ctx.config.cycle_loss > 0.0;
        let mut state = State {
            z_h: rows.z_h,
            z_l: rows.z_l,
        };
        recursion::forward(pass, ws, &mut state, judged.then_some(mode));
        if !judged {
            continue;
        }
        heads::forward(pass, ws, rows.z_h);
        if last {
            losses(ctx, ws, rows, metrics);
        } else {
            cycle_losses(ctx, ws, rows);
        }
        heads::backward(pass, ws, grads, rows.z_h);
        recursion::backward(pass, ws, grads, mode);
    }
    embed_backward(pass, ws.d_x, grads, rows);
}

/// Puts the initial state into every row that holds a new puzzle.
fn start_new_puzzles(ctx: StepContext<'_>, rows: &mut Rows<'_>) {
    let c = &ctx.net.config;
    let states = rows
        .z_h
        .chunks_exact_mut(c.rows() * c.width)
        .zip(rows.z_l.chunks_exact_mut(c.rows() * c.width));
    let flags = rows.halted.iter_mut().zip(rows.steps.iter_mut());
    for (b, ((z_h, z_l), (halted, steps))) in states.zip(flags).enumerate() {
        if *halted {
            let draw = draw_of(ctx, rows.first + b);
            let noise = stream(ctx.config.seed, Purpose::Noise, draw);
            start(ctx.params, z_h, z_l, c.init_noise, noise);
            (*halted, *steps) = (false, 0);
        }
    }
}

/// The number of the random draws of a row of the batch in a step.
pub(crate) fn draw_of(ctx: StepContext<'_>, row: usize) -> u64 {
    ctx.step * ctx.config.batch as u64 + row as u64
}

/// Writes the initial state of one puzzle: the same vector at every position, and on z_L noise of standard
/// deviation `sigma` (EqR, arXiv 2605.21488, trains with a random start and gains from restarts).
pub(crate) fn start(
    params: &Parameters,
    z_h: &mut [f32],
    z_l: &mut [f32],
    sigma: f64,
    mut draws: impl Rng,
) {
    for (z, init) in [(&mut *z_h, &params.h_init), (&mut *z_l, &params.l_init)] {
        for row in z.chunks_exact_mut(init.len()) {
            row.copy_from_slice(init);
        }
    }
    if sigma > 0.0 {
        add_truncated_normal(z_l, sigma, &mut draws);
    }
}

/// Overwrites `x` (N x D) with the embedding of every puzzle.
pub(crate) fn embed(
    pass: Pass<'_>,
    params: &Parameters,
    x: &mut [f32],
    inputs: &[u8],
    puzzles: &[u32],
) {
    let c = &pass.net.config;
    let boards = x
        .chunks_exact_mut(c.rows() * c.width)
        .zip(inputs.chunks_exact(c.cells));
    for ((x, inputs), &id) in boards.zip(puzzles) {
        embedding::forward(
            &pass.net.embedding,
            x,
            pass.weights.values,
            params.puzzle(pass.net, id),
            inputs,
        );
    }
}

/// Gradient of [`embed`]: adds to the tables in `grads`, overwrites the rows' `d_puzzle`.
fn embed_backward(pass: Pass<'_>, d_x: &mut [f32], grads: &mut [f32], rows: &mut Rows<'_>) {
    let c = &pass.net.config;
    let p = c.puzzle_emb_ndim;
    let boards = d_x
        .chunks_exact_mut(c.rows() * c.width)
        .zip(rows.inputs.chunks_exact(c.cells));
    for (b, (d_x, inputs)) in boards.enumerate() {
        let d_puzzle = &mut rows.d_puzzle[b * p..(b + 1) * p];
        embedding::backward(&pass.net.embedding, d_x, grads, d_puzzle, inputs);
    }
}

/// How the tokens of an answer are judged.
pub(crate) fn token_loss(ctx: StepContext<'_>) -> TokenLoss {
    TokenLoss {
        kind: ctx.config.loss.into(),
        smoothing: ctx.config.label_smoothing,
        first: ctx.net.config.first_output(),
    }
}

/// Gradients of the token loss after a cycle that is not the last (`ws.d_logits`); nobody halts there.
fn cycle_losses(ctx: StepContext<'_>, ws: &mut Workspace<'_>, rows: &Rows<'_>) {
    let (c, loss) = (&ctx.net.config, token_loss(ctx));
    let share = ctx.config.cycle_loss / ctx.config.batch as f64;
    let len = c.cells * c.outputs();
    for b in 0..rows.len() {
        let logits = &ws.logits[b * len..(b + 1) * len];
        let d_logits = &mut ws.d_logits[b * len..(b + 1) * len];
        let labels = &rows.labels[b * c.cells..(b + 1) * c.cells];
        loss::token_cross_entropy(loss, d_logits, logits, labels, share);
    }
    ws.d_q.fill(0.0);
}

/// Losses of every puzzle and their gradients (`ws.d_logits`, `ws.d_q`), and who halts.
///
/// ```text
/// total = sum_rows (lm_loss + w_halt BCE(q_halt, all cells right)), divided by B for the gradient.
/// ```
fn losses(
    ctx: StepContext<'_>,
    ws: &mut Workspace<'_>,
    rows: &mut Rows<'_>,
    metrics: &mut Metrics,
) {
    let (c, t) = (&ctx.net.config, ctx.config);
    let rule = Halting {
        max_steps: c.halt_max_steps as u32,
        exploration: t.halt_exploration,
        seed: t.seed,
    };
    let share = 1.0 / t.batch as f64;
    let len = c.cells * c.outputs();
    let loss = token_loss(ctx);
    for b in 0..rows.len() {
        let logits = &ws.logits[b * len..(b + 1) * len];
        let d_logits = &mut ws.d_logits[b * len..(b + 1) * len];
        let labels = &rows.labels[b * c.cells..(b + 1) * c.cells];
        let row = loss::token_cross_entropy(loss, d_logits, logits, labels, share);
        let q_halt = ws.q[2 * b];
        let (q_halt_loss, d_q_halt) =
            loss::bce_with_logits(f64::from(q_halt), f64::from(u8::from(row.all_right())));
        ws.d_q[2 * b] = (t.halt_loss_weight * share * d_q_halt) as f32;
        ws.d_q[2 * b + 1] = 0.0; // q_continue is never used: its gradient exists and is zero

        rows.steps[b] += 1;
        let draw = draw_of(ctx, rows.first + b);
        rows.halted[b] = rule.halts(rows.steps[b], q_halt, draw);
        metrics.count_puzzle(&row, q_halt, q_halt_loss, rows.steps[b], rows.halted[b]);
    }
}
