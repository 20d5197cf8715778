//! One supervision step of a micro-batch: forward, loss, halting, backward.
//!
//! Read top to bottom, it is the training algorithm of the paper (figure 3, `deep supervision`), with the
//! loop over supervision steps turned inside out: every optimiser step does one supervision step for
//! every puzzle of the carry, and a puzzle that halts is replaced.
//!
//! For puzzle b = 1, …, B of the batch, cell i and symbol k, with the halting logit q_b (TRM_SPEC 5):
//!
//! ```text
//! loss    = 1/B sum_b (lm_b + w BCE(q_b, right_b))                     w: halt_loss_weight, 0.5
//! lm_b    = 1/max(n_b, 1) sum_{i labelled} -ln p(logits[b,i,:])[label[b,i]]       n_b: labelled cells of b   p: stable-max
//! right_b = 1 if argmax_k logits[b,i,k] = label[b,i] for every labelled i, otherwise 0; no gradient
//! ```
//!
//! [`trm_autograd::op::loss`] has p, and the sum with `label_smoothing`.
//! Beside it: w BCE(q_continue_b, target_b) with HRM, and `cycle_loss` · lm_b after each cycle before the last.

use crate::block::Pass;
use crate::carry::Rows;
use crate::config::{System, TrainConfig};
use crate::metrics::Metrics;
use crate::network::{Network, Parameters};
use crate::recursion::State;
use crate::workspace::{Mode, Workspace};
use crate::{embed, halting, heads, overflow, recursion};
use trm_autograd::op::loss::{self, RowLoss, TokenLoss};
use trm_autograd::params::Weights;
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

impl<'a> StepContext<'a> {
    /// The pass of this step for `puzzles`.
    pub(crate) fn pass(self, puzzles: usize) -> Pass<'a> {
        Pass {
            net: self.net,
            weights: Weights {
                frozen: self.config.freeze_weights,
                ..self.params.weights(self.net)
            },
            puzzles,
            depth: self.config.depth(&self.net.config, self.step),
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
    let pass = ctx.pass(rows.len());
    embed::forward(pass, ctx.params, ws.x, rows.inputs, rows.puzzles);

    let mode = ctx.config.mode();
    ws.d_x.fill(0.0);
    for cycle in 1..=pass.depth.h_cycles {
        let last = cycle == pass.depth.h_cycles;
        let judged = last || ctx.config.cycle_loss > 0.0;
        let mut state = State {
            z_h: rows.z_h,
            z_l: rows.z_l,
        };
        recursion::forward(
            pass,
            ws,
            &mut state,
            if judged { mode } else { Mode::Evaluate },
        );
        if !judged {
            continue;
        }
        heads::forward(pass, ws, rows.z_h);
        if last {
            let lost = overflow::is_handled(ctx) && overflow::reset_rows(ctx, ws, rows, metrics);
            losses(ctx, ws, rows, metrics);
            if lost {
                rows.d_puzzle.fill(0.0);
                return;
            }
            // Where every puzzle halts after one step, there is no going on to be judged (TRM_SPEC 12).
            if ctx.net.config.system == System::Hrm && ctx.net.config.halt_max_steps > 1 {
                continue_losses(pass, ctx, ws, rows, metrics);
            }
        } else if overflow::is_handled(ctx) && !overflow::are_finite(ws, rows) {
            continue;
        } else {
            cycle_losses(ctx, ws, rows);
        }
        heads::backward(pass, ws, grads, rows.z_h);
        recursion::backward(pass, ws, grads, mode);
    }
    embed::backward(pass, ws.d_x, grads, rows);
}

/// Puts the initial state into every row that holds a new puzzle.
fn start_new_puzzles(ctx: StepContext<'_>, rows: &mut Rows<'_>) {
    for b in 0..rows.len() {
        let row = rows.row(b);
        if row.halted[0] {
            let draw = draw_of(ctx, row.first);
            let noise = stream(ctx.config.seed, Purpose::Noise, draw);
            let sigma = ctx.net.config.init_noise;
            embed::start(ctx.params, row.z_h, row.z_l, sigma, noise);
            (row.halted[0], row.steps[0]) = (false, 0);
        }
    }
}

/// The number of the random draws of a row of the batch in a step.
pub(crate) fn draw_of(ctx: StepContext<'_>, row: usize) -> u64 {
    ctx.step * ctx.config.batch as u64 + row as u64
}

/// The token loss of puzzle `b` of a micro-batch, from its logits in `ws`, and `scale` times its gradient to `ws.d_logits`.
pub(crate) fn token_loss(
    ctx: StepContext<'_>,
    ws: &mut Workspace<'_>,
    b: usize,
    labels: &[u8],
    scale: f64,
) -> RowLoss {
    let c = &ctx.net.config;
    let loss = TokenLoss {
        kind: ctx.config.loss.into(),
        smoothing: ctx.config.label_smoothing,
        first: c.first_output(),
    };
    let len = c.cells * c.outputs();
    let of_puzzle = b * len..(b + 1) * len;
    let (logits, d_logits) = (&ws.logits[of_puzzle.clone()], &mut ws.d_logits[of_puzzle]);
    let labels = &labels[b * c.cells..(b + 1) * c.cells];
    loss::token_cross_entropy(loss, d_logits, logits, labels, scale)
}

/// Gradients of the token loss after a cycle that is not the last (`ws.d_logits`); nobody halts there.
fn cycle_losses(ctx: StepContext<'_>, ws: &mut Workspace<'_>, rows: &Rows<'_>) {
    let share = ctx.config.cycle_loss / ctx.config.batch as f64;
    for b in 0..rows.len() {
        token_loss(ctx, ws, b, rows.labels, share);
    }
    ws.d_q.fill(0.0);
}

/// Losses of every puzzle and their gradients (`ws.d_logits`, `ws.d_q`), and who halts.
fn losses(
    ctx: StepContext<'_>,
    ws: &mut Workspace<'_>,
    rows: &mut Rows<'_>,
    metrics: &mut Metrics,
) {
    let (c, t) = (&ctx.net.config, ctx.config);
    let share = 1.0 / t.batch as f64;
    for b in 0..rows.len() {
        let row = token_loss(ctx, ws, b, rows.labels, share);
        let q_halt = ws.q[2 * b];
        let (q_halt_loss, d_q_halt) =
            loss::bce_with_logits(f64::from(q_halt), f64::from(u8::from(row.all_right())));
        ws.d_q[2 * b] = (t.halt_loss_weight * share * d_q_halt) as f32;
        // Only HRM has a target for q_continue; elsewhere its gradient exists and is zero.
        ws.d_q[2 * b + 1] = 0.0;

        rows.steps[b] += 1;
        let draw = draw_of(ctx, rows.first + b);
        let margin = halting::margin(c.system, q_halt, ws.q[2 * b + 1]);
        rows.halted[b] = halting::halts(c, t, rows.steps[b], margin, draw);
        metrics.count_puzzle(&row, q_halt, q_halt_loss, rows.steps[b], rows.halted[b]);
    }
}

/// HRM's second halting loss and its gradient (`ws.d_q`): what going on is worth, as the network itself says after one
/// more supervision step (Q-learning without a replay memory; TRM_SPEC 12).
///
/// ```text
/// target = sigmoid(q'_halt at the last step, otherwise max(q'_halt, q'_continue))     q': after the next step
/// total += w_halt BCE(q_continue, target)
/// ```
fn continue_losses(
    pass: Pass<'_>,
    ctx: StepContext<'_>,
    ws: &mut Workspace<'_>,
    rows: &Rows<'_>,
    metrics: &mut Metrics,
) {
    look_ahead(pass, ws, rows);
    let share = ctx.config.halt_loss_weight / ctx.config.batch as f64;
    for (b, next) in ws.ahead.q.chunks_exact(2).enumerate() {
        let last = rows.steps[b] as usize >= ctx.net.config.halt_max_steps;
        let value = if last { next[0] } else { next[0].max(next[1]) };
        let target = 1.0 / (1.0 + f64::from(-value).exp());
        let (loss, d_q_continue) = loss::bce_with_logits(f64::from(ws.q[2 * b + 1]), target);
        ws.d_q[2 * b + 1] = (share * d_q_continue) as f32;
        metrics.q_continue_loss += loss;
    }
}

/// Overwrites `ws.ahead.q` with the halting logits after one more supervision step, which leaves no other trace.
fn look_ahead(pass: Pass<'_>, ws: &mut Workspace<'_>, rows: &Rows<'_>) {
    let swap = |ws: &mut Workspace<'_>| {
        std::mem::swap(&mut ws.inputs, &mut ws.ahead.inputs);
        std::mem::swap(&mut ws.levels, &mut ws.ahead.levels);
        std::mem::swap(&mut ws.logits, &mut ws.ahead.logits);
        std::mem::swap(&mut ws.pooled, &mut ws.ahead.pooled);
        std::mem::swap(&mut ws.q, &mut ws.ahead.q);
    };
    swap(ws);
    let mut state = State {
        z_h: std::mem::take(&mut ws.ahead.z_h),
        z_l: std::mem::take(&mut ws.ahead.z_l),
    };
    state.z_h.copy_from_slice(rows.z_h);
    state.z_l.copy_from_slice(rows.z_l);
    for _ in 0..pass.depth.h_cycles {
        recursion::forward(pass, ws, &mut state, Mode::Evaluate);
    }
    heads::forward(pass, ws, state.z_h);
    (ws.ahead.z_h, ws.ahead.z_l) = (state.z_h, state.z_l);
    swap(ws);
}
