//! The optimiser step: refill, micro-batches in parallel, reduce, update, average, pack.
//!
//! Gradients are summed into a fixed number of shards, each over a fixed range of micro-batches in order,
//! and the shards are added in order. Threads only decide who computes a shard, never what it contains:
//! the same config and seed give the same bits on any number of threads. Nothing is allocated in a step.

#[cfg(test)]
mod a_small_step;
pub(crate) mod astray;
mod split;
mod worker;

pub use astray::Astray;
pub use split::muon_bytes;
pub use worker::workspace_bytes;

use crate::carry::{Carry, Rows, Slot};
use crate::config::{ConfigError, OptimizerName, TrainConfig};
use crate::metrics::Metrics;
use crate::network::{Network, Parameters};
use crate::train_step::{StepContext, micro_batch};
use crate::winner;
use rayon::prelude::*;
use split::Split;
use std::sync::Mutex;
use trm_autograd::optim::{Hyper, ema, muon, schedule, sign_sgd};
use trm_kernels::Precision;
use trm_tensor::AlignedVec;
use worker::Worker;

/// Updates in halves that may be skipped one after the other before the run counts as diverged.
const MOST_SKIPPED: u32 = 20;

/// Values that one task of the update takes.
const UPDATE_CHUNK: usize = 1 << 14;

/// A partial sum of gradients and metrics.
#[derive(Debug)]
struct Shard {
    grads: AlignedVec,
    metrics: Metrics,
}

/// A training run: everything that changes from step to step.
#[derive(Debug)]
pub struct Trainer {
    /// The network.
    pub net: Network,
    /// The run's config.
    pub config: TrainConfig,
    /// Current values.
    pub params: Parameters,
    /// Moving average of the values; empty without one.
    pub ema: AlignedVec,
    /// Means of the gradients; of Muon's matrices the sum M (`trm_autograd::optim::muon`).
    pub m: AlignedVec,
    /// Means of their squares; of Muon's matrices zero.
    pub v: AlignedVec,
    /// The batch.
    pub carry: Carry,
    /// Optimiser steps done.
    pub step: u64,
    /// Updates applied: `step` less those skipped in halves. Adam's bias correction counts these.
    pub updates: u64,
    /// Updates that were skipped one after the other.
    skipped: u32,
    /// Row numbers sorted by puzzle identifier, (B); scratch of the embedding update.
    by_puzzle: Vec<u32>,
    shards: Vec<Shard>,
    split: Split,
    /// Threads the run was made for.
    threads: usize,
    /// One for each shard that is computed at the same time.
    workers: Vec<Mutex<Worker>>,
}

impl Trainer {
    /// Prepares a run that starts from `params`, for a pool of `threads`: as many shards are computed at the same time.
    ///
    /// # Errors
    /// When the config cannot work.
    ///
    /// Panics when the network's kernels are not those of [`TrainConfig::kernels`].
    pub fn new(
        net: Network,
        params: Parameters,
        config: TrainConfig,
        threads: usize,
    ) -> Result<Self, ConfigError> {
        config.validate(&net.config)?;
        let precision = net.kernels.precision();
        assert_eq!(precision, config.precision, "the network's, and the run's");
        let len = net.layout.len();
        let ema = if config.ema_rate > 0.0 {
            AlignedVec::from_slice(&params.values)
        } else {
            AlignedVec::zeros(0)
        };
        let shards = (0..config.shards()).map(|_| Shard {
            grads: AlignedVec::zeros(len),
            metrics: Metrics::default(),
        });
        let workers = (0..config.workers(threads)).map(|_| Mutex::new(Worker::new(&net, &config)));
        Ok(Trainer {
            ema,
            m: AlignedVec::zeros(len),
            v: AlignedVec::zeros(len),
            carry: Carry::new(&net.config, config.batch, config.winner_take_all),
            step: 0,
            updates: 0,
            skipped: 0,
            by_puzzle: (0..config.batch as u32).collect(),
            shards: shards.collect(),
            split: Split::new(&net, config.optimizer, threads.max(1)),
            threads: threads.max(1),
            workers: workers.collect(),
            params,
            config,
            net,
        })
    }

    /// One optimiser step; `fill(row, slot)` writes a new puzzle for every row that has halted.
    ///
    /// Runs on the current rayon pool. Panics when that has more threads than the run was made for, or `fill` writes
    /// what the network has no row of a table or no logit for.
    ///
    /// # Errors
    /// When the loss, a gradient or a value is not finite any more, or a gradient too large to be squared. If it
    /// was the loss or a gradient, values and moments are as before the step; the run can go on only from a
    /// checkpoint. In halves, rows that overflow are reset and updates skipped instead ([`crate::overflow`]), until
    /// too many are.
    pub fn step(&mut self, fill: impl FnMut(usize, Slot<'_>)) -> Result<Metrics, Astray> {
        let (pool, own) = (rayon::current_num_threads(), self.threads);
        assert!(pool <= own, "a pool of {pool} threads, in a run for {own}");
        self.step += 1;
        self.carry.refill(fill);
        let ctx = StepContext {
            net: &self.net,
            params: &self.params,
            config: &self.config,
            step: self.step,
        };
        let micro_batches = self.config.micro_batches();
        over_shards(
            ctx,
            &self.workers,
            &mut self.shards,
            (0, micro_batches),
            self.carry.rows(),
        );
        let mut metrics = Metrics::default();
        for shard in &self.shards {
            metrics.add(&shard.metrics);
        }
        self.reduce();
        if let Err(astray) = self.check_gradients(&metrics) {
            self.skipped += 1;
            if self.config.precision == Precision::F32 || self.skipped > MOST_SKIPPED {
                return Err(astray);
            }
            metrics.updates_skipped = 1.0;
            metrics.forget_what_overflowed();
            return Ok(metrics);
        }
        self.skipped = 0;
        self.updates += 1;
        self.update_puzzle_embeddings();
        self.check_puzzle_embeddings()?;
        if !self.config.freeze_weights {
            self.update();
            self.check_values()?;
            self.net.pack(&mut self.params);
        }
        Ok(metrics)
    }

    /// The gradients of the last step.
    pub fn grads(&self) -> &[f32] {
        &self.shards[0].grads
    }

    /// Learning rate of the last step, after warm-up and decay, of an optimiser with rate `base`.
    pub fn lr(&self, base: f64) -> f64 {
        let c = &self.config;
        schedule::learning_rate(base, self.step, c.warmup_steps, c.steps, c.lr_min_ratio)
    }

    /// Shows `see` the weights to evaluate and ship: the moving average if there is one, packed. Nothing is copied:
    /// the average changes places with the current values, and back.
    pub fn with_average<T>(&mut self, see: impl FnOnce(&Network, &Parameters) -> T) -> T {
        self.exchange_average();
        let seen = see(&self.net, &self.params);
        self.exchange_average();
        seen
    }

    fn exchange_average(&mut self) {
        if !self.ema.is_empty() {
            self.params.values.swap_with_slice(&mut self.ema);
            self.net.pack(&mut self.params);
        }
    }

    /// Adds all shards into the first, in order.
    fn reduce(&mut self) {
        let (first, others) = self.shards.split_first_mut().expect("at least one shard");
        first
            .grads
            .par_chunks_mut(UPDATE_CHUNK)
            .enumerate()
            .for_each(|(i, sum)| {
                for other in &*others {
                    let part = &other.grads[i * UPDATE_CHUNK..][..sum.len()];
                    for (sum, part) in sum.iter_mut().zip(part) {
                        *sum += part;
                    }
                }
            });
    }

    /// The main optimiser and the moving average, chunk by chunk; Muon matrix by matrix.
    fn update(&mut self) {
        let c = &self.config;
        let hyper = Hyper {
            beta1: c.beta1,
            beta2: c.beta2,
            eps: 1e-8,
            weight_decay: c.weight_decay,
        };
        let (optimizer, mu) = (c.optimizer, c.ema_rate);
        let (k, step) = (self.net.kernels, hyper.step(self.lr(c.lr), self.updates));
        for range in &self.split.others {
            let moments = self.m[range.clone()]
                .par_chunks_mut(UPDATE_CHUNK)
                .zip(self.v[range.clone()].par_chunks_mut(UPDATE_CHUNK));
            let grads = self.shards[0].grads[range.clone()].par_chunks(UPDATE_CHUNK);
            let values = self.params.values[range.clone()].par_chunks_mut(UPDATE_CHUNK);
            values
                .zip(moments)
                .zip(grads)
                .for_each(|((p, (m, v)), g)| match optimizer {
                    OptimizerName::AdamAtan2 => k.adam_atan2(p, m, v, g, &step),
                    // Beside Muon, which takes the matrices of the blocks, AdamW takes the rest.
                    OptimizerName::Adamw | OptimizerName::Muon => k.adamw(p, m, v, g, &step),
                });
        }
        let (lr, muon_hyper) = (
            self.lr(c.muon_lr),
            muon::Hyper {
                momentum: c.muon_momentum,
                weight_decay: c.muon_weight_decay,
            },
        );
        for matrix in &self.split.matrices {
            let state = muon::State {
                w: &mut self.params.values[matrix.at.clone()],
                m: &mut self.m[matrix.at.clone()],
            };
            let (g, shape) = (
                &self.shards[0].grads[matrix.at.clone()],
                (matrix.out, matrix.input),
            );
            let (k, scratch) = (self.net.kernels.in_floats(), &mut self.split.scratch);
            let k = (k, self.threads);
            muon::update(k, state, g, shape, lr, &muon_hyper, scratch);
        }
        if !self.ema.is_empty() {
            let values = self.params.values.par_chunks(UPDATE_CHUNK);
            self.ema
                .par_chunks_mut(UPDATE_CHUNK)
                .zip(values)
                .for_each(|(shadow, p)| ema::update(shadow, p, mu));
        }
    }

    /// Sign-SGD on the embeddings of the puzzles in the batch (TRM_SPEC 6): one update for each identifier,
    /// with its gradients summed in row order into the first row that has it.
    fn update_puzzle_embeddings(&mut self) {
        let p = self.net.config.puzzle_emb_ndim;
        if p == 0 {
            return;
        }
        let (lr, wd) = (
            self.lr(self.config.puzzle_emb_lr),
            self.config.puzzle_emb_weight_decay,
        );
        let Carry {
            d_puzzle, puzzles, ..
        } = &mut self.carry;
        let id = |row: u32| puzzles[row as usize];
        self.by_puzzle.sort_unstable_by_key(|&row| (id(row), row));
        for rows in self.by_puzzle.chunk_by(|&a, &b| id(a) == id(b)) {
            let (first, id) = (rows[0] as usize, id(rows[0]) as usize);
            for &row in &rows[1..] {
                let row = row as usize;
                let (before, this) = d_puzzle.split_at_mut(row * p);
                for (sum, d) in before[first * p..][..p].iter_mut().zip(&this[..p]) {
                    *sum += d;
                }
            }
            let w = &mut self.params.puzzle_emb[id * p..][..p];
            sign_sgd::update_row(w, &d_puzzle[first * p..][..p], lr, wd);
        }
    }
}

/// Splits `shards`, the micro-batches `first..end` and their rows in halves until a task holds one shard.
///
/// Each of n shards gets the next count/n micro-batches, rounded up or down; which of the two follows from both numbers
/// alone.
fn over_shards(
    ctx: StepContext<'_>,
    workers: &[Mutex<Worker>],
    shards: &mut [Shard],
    (first, end): (usize, usize),
    rows: Rows<'_>,
) {
    if let [shard] = shards {
        return one_shard(ctx, workers, shard, rows);
    }
    // Cutting the range of micro-batches in proportion keeps every shard's share within one of the others'.
    let half = shards.len() / 2;
    let cut = first + (end - first) * half / shards.len();
    let (left, right) = shards.split_at_mut(half);
    let (rows_left, rows_right) = rows.split_at((cut - first) * ctx.config.micro_batch);
    rayon::join(
        || over_shards(ctx, workers, left, (first, cut), rows_left),
        || over_shards(ctx, workers, right, (cut, end), rows_right),
    );
}

/// All micro-batches of one shard, in order, on the current thread.
fn one_shard(
    ctx: StepContext<'_>,
    workers: &[Mutex<Worker>],
    shard: &mut Shard,
    mut rows: Rows<'_>,
) {
    let mut worker = Worker::free(workers);
    let Worker { memory, states } = &mut *worker;
    shard.grads.fill(0.0);
    shard.metrics = Metrics::default();
    while !rows.is_empty() {
        let puzzles = ctx.config.micro_batch.min(rows.len());
        let (mut these, rest) = rows.split_at(puzzles);
        let (grads, metrics) = (&mut shard.grads, &mut shard.metrics);
        if ctx.config.winner_take_all > 1 {
            let mut ws = memory.carve(ctx.net, 1);
            winner::micro_batch(ctx, &mut ws, states, &mut these, grads, metrics);
        } else {
            let mut ws = memory.carve(ctx.net, these.len());
            micro_batch(ctx, &mut ws, &mut these, grads, metrics);
        }
        rows = rest;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::{FeedForward, ModelConfig};
    use trm_kernels::Kernels;

    /// A run of a network.
    pub(super) fn run_of(model: ModelConfig, config: TrainConfig) -> Trainer {
        let kernels = &Kernels::available()[0];
        let kernels = match config.precision {
            Precision::F32 => kernels,
            Precision::F16 => kernels.emulating_halves(),
        };
        let net = Network::new(model, kernels).expect("a network");
        let params = net.init(0);
        Trainer::new(net, params, config, rayon::current_num_threads()).expect("a run")
    }

    /// A run of a network for three cells and four tokens, with an embedding of 8 values for each puzzle.
    pub(crate) fn small(config: TrainConfig) -> Trainer {
        let model = ModelConfig {
            cells: 3,
            vocab_size: 4,
            width: 8,
            inner: 8,
            inner_positions: 4,
            prefix_len: 1,
            puzzle_emb_ndim: 8,
            puzzle_identifiers: 2,
            init_noise: if config.winner_take_all > 1 { 0.5 } else { 0.0 },
            ..ModelConfig::default()
        };
        run_of(model, config)
    }

    /// The gate's norm over positions has a sum for every channel: here more of them than a kernel has scratch.
    #[test]
    fn a_state_may_be_wider_than_a_kernels_scratch() {
        let model = ModelConfig {
            cells: 2,
            vocab_size: 2,
            width: trm_kernels::SCRATCH + 1,
            heads: 1,
            layers: 1,
            inner: 1,
            inner_positions: 1,
            prefix_len: 0,
            puzzle_emb_ndim: 0,
            h_cycles: 1,
            l_cycles: 1,
            feed_forward: FeedForward::GatedNorm,
            ..ModelConfig::default()
        };
        let config = TrainConfig {
            batch: 1,
            micro_batch: 1,
            ..TrainConfig::default()
        };
        let mut trainer = run_of(model, config);
        let step = trainer.step(|_, slot| slot.labels.fill(1));
        assert!(step.expect("finite numbers").lm_loss > 0.0);
    }

    /// A batch of 50 in micro-batches of 3: 17 of them, which 8 shards cannot share evenly.
    #[test]
    fn every_shard_gets_its_part_of_the_batch() {
        let config = TrainConfig {
            batch: 50,
            micro_batch: 3,
            gradient_shards: 8,
            ..TrainConfig::default()
        };
        let mut trainer = small(config);
        let mut filled = 0;
        let metrics = trainer.step(|row, slot| {
            slot.inputs.fill((row % 4) as u8);
            slot.labels.fill(3);
            filled += 1;
        });
        metrics.expect("finite numbers");
        assert_eq!((trainer.shards.len(), filled), (8, 50));
        for (i, shard) in trainer.shards.iter().enumerate() {
            // The loss of a puzzle with four tokens to choose from is about ln 4.
            let puzzles = shard.metrics.lm_loss / 4_f64.ln();
            assert!(
                (5.0..11.0).contains(&puzzles),
                "shard {i}: {puzzles} puzzles"
            );
            assert!(shard.grads.iter().any(|&g| g != 0.0), "shard {i}");
        }
    }
}
