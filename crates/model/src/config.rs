//! What a network is and how it is trained: two structs that a TOML file fills and a check that names
//! the key, the value and the range of whatever cannot work.

use crate::workspace::Mode;
use serde::{Deserialize, Serialize};
use trm_autograd::op::loss::LossKind;
use trm_autograd::optim::OptimizerKind;

/// What mixes the positions of a puzzle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mixer {
    /// SwiGLU over positions: TRM-MLP.
    Mlp,
    /// Self-attention: TRM-Att.
    Attention,
    /// Sums over the groups of a Sudoku's candidates: by cell, row, column, and box. Needs `symbols`.
    Groups,
}

/// What stands between the two products of a feed-forward layer with gate g and value v.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedForward {
    /// silu(g) v: the paper's.
    Swiglu,
    /// sigmoid(g) norm(g v) (arXiv 2601.19085).
    GatedNorm,
}

/// How the network knows where a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionEncoding {
    /// Not at all (the token mixer needs none).
    None,
    /// A trained vector for each position, added to the input.
    Learned,
    /// Rotary embedding of queries and keys.
    Rope,
}

/// The network: sizes and recursion. Letters of ARCHITECTURE section 5 in brackets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Tokens of a puzzle.
    pub cells: usize,
    /// Different tokens \[V\].
    pub vocab_size: usize,
    /// Symbols of a symbol-equivariant network \[K\]: the last tokens of the vocabulary, with a row of the
    /// state for every cell and symbol, and no way to tell one symbol from another; 0: one row a cell.
    pub symbols: usize,
    /// Puzzle identifiers, each with an embedding of its own.
    pub puzzle_identifiers: usize,
    /// What mixes positions.
    pub mixer: Mixer,
    /// Position encoding.
    pub position_encoding: PositionEncoding,
    /// Channels \[D\].
    pub width: usize,
    /// Attention heads \[H\]; a head has floor(D/H) channels \[E\].
    pub heads: usize,
    /// Blocks of the network.
    pub layers: usize,
    /// The gate of the feed-forward layers, over channels and over positions.
    pub feed_forward: FeedForward,
    /// Inner width \[F\] of the channel SwiGLU; 0: the reference's rounding of `expansion`.
    pub inner: usize,
    /// Inner width of the token mixer; 0: the reference's rounding of `expansion`.
    pub inner_positions: usize,
    /// Expansion from which the reference derives inner widths.
    pub expansion: f64,
    /// Positions in front of the cells that hold the puzzle embedding.
    pub prefix_len: usize,
    /// Whether each of those positions has a trained vector of its own: a place to remember, and to be read by
    /// the halting head.
    pub registers: bool,
    /// Values of a puzzle embedding; 0: none.
    pub puzzle_emb_ndim: usize,
    /// Cycles of a supervision step; only the last has gradients (the paper's T).
    #[serde(rename = "H_cycles")]
    pub h_cycles: usize,
    /// Updates of z_L in a cycle (the paper's n).
    #[serde(rename = "L_cycles")]
    pub l_cycles: usize,
    /// Supervision steps after which a puzzle always halts.
    pub halt_max_steps: usize,
    /// Standard deviation of the noise on every value of the first z_L, drawn anew for every puzzle in
    /// training and for every attempt at one in use; 0: none.
    pub init_noise: f64,
    /// Added to the mean square before the root.
    pub norm_eps: f32,
    /// Base of the rotary angles.
    pub rope_theta: f64,
}

impl Default for ModelConfig {
    /// The paper's Sudoku network (TRM-MLP, 5 M parameters).
    fn default() -> Self {
        ModelConfig {
            cells: 81,
            vocab_size: 11,
            symbols: 0,
            puzzle_identifiers: 1,
            mixer: Mixer::Mlp,
            position_encoding: PositionEncoding::None,
            width: 512,
            heads: 8,
            layers: 2,
            feed_forward: FeedForward::Swiglu,
            inner: 0,
            inner_positions: 0,
            expansion: 4.0,
            prefix_len: 16,
            registers: false,
            puzzle_emb_ndim: 512,
            h_cycles: 3,
            l_cycles: 6,
            halt_max_steps: 16,
            init_noise: 0.0,
            norm_eps: 1e-5,
            rope_theta: 10_000.0,
        }
    }
}

/// The training run: batches, optimiser, schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Puzzles in the carry, one supervision step each per optimiser step \[B\].
    pub batch: usize,
    /// Puzzles that a worker takes through a step together.
    pub micro_batch: usize,
    /// Partial gradient sums; fixed, so that results do not depend on the number of threads.
    pub gradient_shards: usize,
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
    /// States of each puzzle, from different starts, of which each step trains the best; 1: one state.
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
    /// Decay of Muon's mean of the gradients.
    pub muon_momentum: f64,
    /// Fraction of `lr` at the end of the cosine; 1 keeps it constant.
    pub lr_min_ratio: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Decoupled weight decay, of every parameter.
    pub weight_decay: f64,
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
            puzzle_emb_lr: 1e-4,
            puzzle_emb_weight_decay: 1.0,
            ema_rate: 0.999,
        }
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

/// How deep a supervision step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// H_cycles.
    pub h_cycles: usize,
    /// L_cycles.
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

impl From<OptimizerName> for OptimizerKind {
    /// The one that updates element by element.
    fn from(name: OptimizerName) -> OptimizerKind {
        match name {
            OptimizerName::Adamw | OptimizerName::Muon => OptimizerKind::AdamW,
            OptimizerName::AdamAtan2 => OptimizerKind::AdamAtan2,
        }
    }
}

/// A config value that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}: {expected}")]
pub struct ConfigError {
    /// The key, with its section.
    pub key: &'static str,
    /// What it was set to.
    pub value: String,
    /// What would be accepted.
    pub expected: String,
}

/// Fails with the key, its value and the range unless `ok`.
fn check(
    ok: bool,
    key: &'static str,
    value: impl ToString,
    expected: &str,
) -> Result<(), ConfigError> {
    if ok {
        Ok(())
    } else {
        Err(ConfigError {
            key,
            value: value.to_string(),
            expected: expected.to_owned(),
        })
    }
}

/// Largest accepted size of any axis: products of two stay far below an address.
const MAX_SIZE: usize = 1 << 20;

/// The reference's inner width: 2/3 of the expansion, rounded up to a multiple of 256 (TRM_SPEC 2).
pub fn reference_inner(width: usize, expansion: f64) -> usize {
    ((expansion * width as f64 * 2.0 / 3.0).round() as usize).next_multiple_of(256)
}

impl ModelConfig {
    /// Positions, prefix and cells \[S\].
    pub fn positions(&self) -> usize {
        self.prefix_len + self.cells
    }

    /// The depth of evaluation, and of training without a curriculum.
    pub fn depth(&self) -> Depth {
        Depth {
            h_cycles: self.h_cycles,
            l_cycles: self.l_cycles,
        }
    }

    /// Rows of a puzzle's state: a row for every position, or for every candidate of every cell.
    pub fn rows(&self) -> usize {
        self.positions() * self.symbols.max(1)
    }

    /// Logits of a cell: one for each token, or for each symbol.
    pub fn outputs(&self) -> usize {
        if self.symbols > 0 {
            self.symbols
        } else {
            self.vocab_size
        }
    }

    /// The token of the first logit.
    pub fn first_output(&self) -> u8 {
        (self.vocab_size - self.outputs()) as u8
    }

    /// Inner width of the channel SwiGLU \[F\].
    pub fn channel_inner(&self) -> usize {
        if self.inner > 0 {
            self.inner
        } else {
            reference_inner(self.width, self.expansion)
        }
    }

    /// Inner width of the token mixer.
    pub fn position_inner(&self) -> usize {
        if self.inner_positions > 0 {
            self.inner_positions
        } else {
            reference_inner(self.positions(), self.expansion)
        }
    }

    /// Channels of a head \[E\].
    pub fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Fails with the first value that cannot work.
    ///
    /// # Errors
    /// Names the key, its value and the accepted range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let size = |key, value: usize| {
            check(
                (1..=MAX_SIZE).contains(&value),
                key,
                value,
                "expected 1 to 1048576",
            )
        };
        size("model.cells", self.cells)?;
        size("model.width", self.width)?;
        size("model.heads", self.heads)?;
        size("model.puzzle_identifiers", self.puzzle_identifiers)?;
        for (key, value) in [
            ("model.layers", self.layers),
            ("model.H_cycles", self.h_cycles),
            ("model.L_cycles", self.l_cycles),
            ("model.halt_max_steps", self.halt_max_steps),
        ] {
            check(
                (1..=1024).contains(&value),
                key,
                value,
                "expected 1 to 1024",
            )?;
        }
        check(
            (2..=254).contains(&self.vocab_size),
            "model.vocab_size",
            self.vocab_size,
            "expected 2 to 254",
        )?;
        for (key, value) in [
            ("model.inner", self.inner),
            ("model.inner_positions", self.inner_positions),
        ] {
            check(
                value <= MAX_SIZE,
                key,
                value,
                "expected 0 (the reference's rounding) to 1048576",
            )?;
        }
        let ok = self.expansion.is_finite() && self.expansion > 0.0 && self.expansion <= 64.0;
        check(
            ok,
            "model.expansion",
            self.expansion,
            "expected more than 0, at most 64",
        )?;
        check(
            (0.0..=10.0).contains(&self.init_noise),
            "model.init_noise",
            self.init_noise,
            "expected 0 to 10",
        )?;
        check(
            self.norm_eps > 0.0 && self.norm_eps < 1.0,
            "model.norm_eps",
            self.norm_eps,
            "expected 0 < norm_eps < 1",
        )?;
        check(
            self.rope_theta > 1.0 && self.rope_theta.is_finite(),
            "model.rope_theta",
            self.rope_theta,
            "expected more than 1",
        )?;
        self.validate_prefix()?;
        self.validate_symbols()?;
        self.validate_positions()
    }

    fn validate_symbols(&self) -> Result<(), ConfigError> {
        let (k, grouped) = (self.symbols, self.mixer == Mixer::Groups);
        let fits = k == 0 || (grouped && k < self.vocab_size && k * k == self.cells);
        let needs = format!(
            "expected 0, or the symbols of a square board of {} cells and mixer = \"groups\"",
            self.cells
        );
        check(fits, "model.symbols", k, &needs)?;
        if grouped {
            let needs = "mixer = \"groups\" needs the symbols of the board";
            check(k > 0, "model.symbols", k, needs)?;
            let needs = "expected 0 with mixer = \"groups\": a symbol's rows have no place for it";
            check(
                self.prefix_len == 0,
                "model.prefix_len",
                self.prefix_len,
                needs,
            )?;
            let none = self.position_encoding == PositionEncoding::None;
            let needs = "expected none with mixer = \"groups\": a row is known by its groups";
            check(none, "model.position_encoding", "learned or rope", needs)?;
        }
        Ok(())
    }

    fn validate_prefix(&self) -> Result<(), ConfigError> {
        let (p, room) = (
            self.puzzle_emb_ndim,
            self.prefix_len.saturating_mul(self.width),
        );
        check(
            self.prefix_len <= 4096,
            "model.prefix_len",
            self.prefix_len,
            "expected 0 to 4096",
        )?;
        let needs = format!("expected at most prefix_len · width = {room}");
        check(p <= room, "model.puzzle_emb_ndim", p, &needs)?;
        let idle = p == 0 && !self.registers && self.prefix_len > 0;
        check(
            !idle,
            "model.prefix_len",
            self.prefix_len,
            "expected 0 without puzzle embeddings (puzzle_emb_ndim = 0) or registers",
        )?;
        check(
            !self.registers || self.prefix_len > 0,
            "model.registers",
            self.registers,
            "needs positions in front: expected prefix_len of at least 1",
        )
    }

    fn validate_positions(&self) -> Result<(), ConfigError> {
        if self.mixer != Mixer::Attention {
            return check(
                self.position_encoding != PositionEncoding::Rope,
                "model.position_encoding",
                "rope",
                "the token mixer has no queries to turn: expected none or learned",
            );
        }
        check(
            self.heads <= self.width,
            "model.heads",
            self.heads,
            "expected at most width",
        )?;
        let even =
            self.position_encoding != PositionEncoding::Rope || self.head_width().is_multiple_of(2);
        let expected = format!(
            "rope needs an even head width, but width / heads = {}",
            self.head_width()
        );
        check(even, "model.heads", self.heads, &expected)
    }
}

impl TrainConfig {
    /// The depth of optimiser step `step` = 1, 2, …: that of the last stage that has begun.
    pub fn depth(&self, model: &ModelConfig, step: u64) -> Depth {
        let progress = (step - 1) as f64 / self.steps as f64;
        let begun = self.curriculum.iter().rfind(|stage| stage.from <= progress);
        begun.map_or(model.depth(), |stage| Depth {
            h_cycles: stage.h_cycles,
            l_cycles: stage.l_cycles,
        })
    }

    /// Fails when a stage of the curriculum is deeper than the model, for which memory is made.
    ///
    /// # Errors
    /// Names the key, its value and the accepted range.
    pub fn validate_for(&self, model: &ModelConfig) -> Result<(), ConfigError> {
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

    /// What the levels of the gradient cycle keep.
    pub fn mode(&self) -> Mode {
        if self.recompute {
            Mode::Recompute
        } else {
            Mode::Train
        }
    }

    /// Fails with the first value that cannot work.
    ///
    /// # Errors
    /// Names the key, its value and the accepted range.
    pub fn validate(&self) -> Result<(), ConfigError> {
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
        Ok(())
    }
}
