//! How a network is trained: batches, losses, recursion depth over the run, optimiser, schedule.

use super::{ConfigError, Depth, ModelConfig, System, check};
use crate::workspace::Mode;
use serde::{Deserialize, Serialize};
use trm_autograd::op::loss::LossKind;
use trm_kernels::{Kernels, Precision};

/// The training run: batches, optimiser, schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Puzzles in the carry, one supervision step each per optimiser step \[B\].
    pub batch: usize,
    /// Puzzles that a worker takes through a step together.
    pub micro_batch: usize,
    /// Partial gradient sums, 1 to 8, each computed by one thread: fixed, so that results do not depend on the
    /// number of threads, and the most threads that compute the gradient.
    pub gradient_shards: usize,
    /// What matrix products are computed in: "f32", or "f16" on a CPU that has halves ([`trm_kernels::matmul::half`]).
    #[serde(with = "precision")]
    pub precision: Precision,
    /// Keep only the inputs of the levels and run each again for its gradient: less memory, the same bits.
    pub recompute: bool,
    /// Optimiser steps of the whole run.
    pub steps: u64,
    /// Seed of every random stream.
    pub seed: u64,
    /// Loss of a token.
    pub loss: LossName,
    /// Part of the loss's target that is spread evenly over all tokens (label smoothing); 0: none.
    pub label_smoothing: f64,
    /// Weight of the same loss after each cycle before the last, each with gradients through its own cycle;
    /// 0: those cycles have no gradients.
    pub cycle_loss: f64,
    /// Stages in which the recursion is shallower than the model's, such as the first 30 % of the run with
    /// one cycle; empty: none.
    pub curriculum: Vec<Stage>,
    /// Weight of the halting loss.
    pub halt_loss_weight: f64,
    /// States of each puzzle, from different starts (the model's `init_noise`), of which each step trains the best;
    /// 1: one state.
    pub winner_take_all: usize,
    /// Probability that a puzzle must go on for a random number of steps.
    pub halt_exploration: f64,
    /// Optimiser of everything but the puzzle embeddings.
    pub optimizer: OptimizerName,
    /// Learning rate after warm-up.
    pub lr: f64,
    /// Learning rate of Muon's matrices.
    pub muon_lr: f64,
    /// Weight decay of Muon's matrices.
    pub muon_weight_decay: f64,
    /// Decay of Muon's sum of the gradients.
    pub muon_momentum: f64,
    /// Fraction of `lr` at the end of the cosine; 1 keeps it constant.
    pub lr_min_ratio: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Decoupled weight decay of every parameter that is not Muon's.
    pub weight_decay: f64,
    /// Train the puzzle embeddings alone: how a trained network is fitted to puzzles it has not seen.
    pub freeze_weights: bool,
    /// Learning rate of the puzzle embeddings (sign-SGD).
    pub puzzle_emb_lr: f64,
    /// Weight decay of the puzzle embeddings.
    pub puzzle_emb_weight_decay: f64,
    /// Rate of the exponential moving average of the weights; 0: no average.
    pub ema_rate: f64,
}

impl Default for TrainConfig {
    /// The published Sudoku command (TRM_SPEC 1), at a batch of 768.
    fn default() -> Self {
        TrainConfig {
            batch: 768,
            micro_batch: 2,
            gradient_shards: 8,
            precision: Precision::F32,
            recompute: false,
            steps: 65_000,
            seed: 0,
            loss: LossName::Stablemax,
            label_smoothing: 0.0,
            cycle_loss: 0.0,
            curriculum: Vec::new(),
            winner_take_all: 1,
            halt_loss_weight: 0.5,
            halt_exploration: 0.1,
            optimizer: OptimizerName::AdamAtan2,
            lr: 1e-4,
            muon_lr: 0.02,
            muon_weight_decay: 0.005,
            muon_momentum: 0.95,
            lr_min_ratio: 1.0,
            warmup_steps: 2000,
            beta1: 0.9,
            beta2: 0.95,
            weight_decay: 1.0,
            freeze_weights: false,
            puzzle_emb_lr: 1e-4,
            puzzle_emb_weight_decay: 1.0,
            ema_rate: 0.999,
        }
    }
}

/// A precision by its name.
mod precision {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use trm_kernels::Precision;

    pub fn serialize<S: Serializer>(precision: &Precision, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(precision)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Precision, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// A stage of the depth curriculum (CGAR, arXiv 2511.08653): the cycles from some part of the run on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Part of the run's steps after which it begins, 0 to 1.
    pub from: f64,
    /// Cycles of a supervision step.
    #[serde(rename = "H_cycles")]
    pub h_cycles: usize,
    /// Updates of z_L in a cycle.
    #[serde(rename = "L_cycles")]
    pub l_cycles: usize,
}

/// Token losses, as the config names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossName {
    /// Stable-max cross-entropy.
    Stablemax,
    /// Softmax cross-entropy.
    Softmax,
}

impl From<LossName> for LossKind {
    fn from(name: LossName) -> LossKind {
        match name {
            LossName::Stablemax => LossKind::Stablemax,
            LossName::Softmax => LossKind::Softmax,
        }
    }
}

/// Optimisers, as the config names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerName {
    /// AdamW.
    Adamw,
    /// AdamATan2, the reference's.
    AdamAtan2,
    /// Muon for the matrices of the blocks, AdamW for everything else.
    Muon,
}

impl TrainConfig {
    /// Micro-batches of a step.
    pub(crate) fn micro_batches(&self) -> usize {
        self.batch.div_ceil(self.micro_batch)
    }

    /// Partial sums of the gradient, each computed by one thread; fewer than asked for where there are fewer
    /// micro-batches.
    pub fn shards(&self) -> usize {
        self.gradient_shards.min(self.micro_batches())
    }

    /// Shards that `threads` compute at the same time.
    pub(crate) fn workers(&self, threads: usize) -> usize {
        threads.clamp(1, self.shards())
    }

    /// Puzzles that a thread takes through the network together: of several states of a puzzle, one after the other.
    pub(crate) fn at_once(&self) -> usize {
        match self.winner_take_all {
            1 => self.micro_batch.min(self.batch),
            _ => 1,
        }
    }

    /// The depth of optimiser step `step` = 1, 2, …: that of the last stage that has begun.
    pub fn depth(&self, model: &ModelConfig, step: u64) -> Depth {
        let progress = (step - 1) as f64 / self.steps as f64;
        let begun = self.curriculum.iter().rfind(|stage| stage.from <= progress);
        begun.map_or(model.depth(), |stage| Depth {
            h_cycles: stage.h_cycles,
            l_cycles: stage.l_cycles,
        })
    }

    /// The kernels of the same instruction set in the precision of this run.
    ///
    /// # Errors
    /// When they are to be in halves, and this CPU has none.
    pub fn kernels(&self, kernels: &Kernels) -> Result<&'static Kernels, ConfigError> {
        kernels
            .in_precision(self.precision)
            .map_err(|error| ConfigError {
                key: "train.precision",
                value: format!("\"{}\"", self.precision),
                expected: error.to_string(),
            })
    }

    /// What the levels of the gradient cycle keep.
    pub fn mode(&self) -> Mode {
        if self.recompute {
            Mode::Recompute
        } else {
            Mode::Train
        }
    }

    /// Fails with the first value that cannot work, alone or with the model's.
    ///
    /// # Errors
    /// Names the key, its value and the accepted range.
    pub fn validate(&self, model: &ModelConfig) -> Result<(), ConfigError> {
        let count = |key, value: usize, max: usize, text: &str| {
            check((1..=max).contains(&value), key, value, text)
        };
        count("train.batch", self.batch, 1 << 20, "expected 1 to 1048576")?;
        count(
            "train.micro_batch",
            self.micro_batch,
            1024,
            "expected 1 to 1024",
        )?;
        count(
            "train.gradient_shards",
            self.gradient_shards,
            8,
            "expected 1 to 8",
        )?;
        count(
            "train.winner_take_all",
            self.winner_take_all,
            64,
            "expected 1 to 64",
        )?;
        check(
            self.steps >= 1,
            "train.steps",
            self.steps,
            "expected at least 1",
        )?;
        let fraction =
            |key, value: f64| check((0.0..=1.0).contains(&value), key, value, "expected 0 to 1");
        fraction("train.halt_exploration", self.halt_exploration)?;
        fraction("train.label_smoothing", self.label_smoothing)?;
        fraction("train.lr_min_ratio", self.lr_min_ratio)?;
        for (key, value) in [
            ("train.beta1", self.beta1),
            ("train.beta2", self.beta2),
            ("train.muon_momentum", self.muon_momentum),
            ("train.ema_rate", self.ema_rate),
        ] {
            check(
                (0.0..1.0).contains(&value),
                key,
                value,
                "expected 0 <= value < 1",
            )?;
        }
        for (key, value) in [
            ("train.lr", self.lr),
            ("train.muon_lr", self.muon_lr),
            ("train.muon_weight_decay", self.muon_weight_decay),
            ("train.puzzle_emb_lr", self.puzzle_emb_lr),
            ("train.weight_decay", self.weight_decay),
            (
                "train.puzzle_emb_weight_decay",
                self.puzzle_emb_weight_decay,
            ),
            ("train.halt_loss_weight", self.halt_loss_weight),
            ("train.cycle_loss", self.cycle_loss),
        ] {
            check(
                value.is_finite() && (0.0..=1e3).contains(&value),
                key,
                value,
                "expected 0 to 1000",
            )?;
        }
        self.validate_for(model)
    }

    /// Fails when a stage of the curriculum is deeper than the model, for which memory is made, or an option is
    /// none of the model's system.
    fn validate_for(&self, model: &ModelConfig) -> Result<(), ConfigError> {
        let single = self.winner_take_all == 1 || model.system == System::Trm;
        check(
            single,
            "train.winner_take_all",
            self.winner_take_all,
            "expected 1 with any system but \"trm\"",
        )?;
        check(
            self.winner_take_all == 1 || model.init_noise > 0.0,
            "train.winner_take_all",
            self.winner_take_all,
            "all states of a puzzle would be equal: expected 1 without noise on the first state (model.init_noise = 0)",
        )?;
        check(
            !self.freeze_weights || model.puzzle_emb_ndim > 0,
            "train.freeze_weights",
            self.freeze_weights,
            "nothing would be trained: expected false without puzzle embeddings (model.puzzle_emb_ndim = 0)",
        )?;
        let mut from = 0.0;
        for stage in &self.curriculum {
            let expected = format!("expected {from} to 1, ascending");
            let ok = (from..=1.0).contains(&stage.from);
            check(ok, "train.curriculum.from", stage.from, &expected)?;
            from = stage.from;
            for (key, value, most) in [
                ("train.curriculum.H_cycles", stage.h_cycles, model.h_cycles),
                ("train.curriculum.L_cycles", stage.l_cycles, model.l_cycles),
            ] {
                let expected = format!("expected 1 to the model's {most}");
                check((1..=most).contains(&value), key, value, &expected)?;
            }
        }
        Ok(())
    }
}
