//! What a network is and how it is trained: two structs that a TOML file fills and a check that names
//! the key, the value and the range of whatever cannot work.

mod system;
mod training;

use serde::{Deserialize, Serialize};

pub use system::{Depth, System};
pub use training::{LossName, OptimizerName, Stage, TrainConfig};

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
    /// Sums over pairs of neighbouring cells of a grid.
    Neighbours,
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

/// The network: sizes and recursion. Letters of the README's glossary in brackets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Which recursion runs.
    pub system: System,
    /// Tokens of a puzzle.
    pub cells: usize,
    /// Cells in a row of the grid, which `mixer = "neighbours"` must know; 0: the grid is a square.
    #[serde(skip_serializing_if = "is_zero")]
    pub columns: usize,
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
    /// Blocks of the network; of the one that updates z_L, where there are two.
    pub layers: usize,
    /// Blocks of HRM's second network, which updates z_H; 0: as many as `layers`.
    #[serde(rename = "H_layers")]
    pub h_layers: usize,
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
    /// Cycles of a supervision step (the paper's T); only the last has gradients, unless `cycle_loss`.
    #[serde(rename = "H_cycles")]
    pub h_cycles: usize,
    /// Updates of z_L in a cycle (the paper's n).
    #[serde(rename = "L_cycles")]
    pub l_cycles: usize,
    /// Supervision steps after which a puzzle always halts.
    pub halt_max_steps: usize,
    /// Standard deviation of the noise on every value of the first z_L (the first z_H of a system without
    /// latents), drawn anew for every puzzle in training and for every attempt at one in use; 0: none.
    pub init_noise: f64,
    /// Added to the mean square before the root.
    pub norm_eps: f32,
    /// Base of the rotary angles.
    pub rope_theta: f64,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Default for ModelConfig {
    /// The paper's Sudoku network (TRM-MLP, 5 M parameters).
    fn default() -> Self {
        ModelConfig {
            system: System::Trm,
            cells: 81,
            columns: 0,
            vocab_size: 11,
            symbols: 0,
            puzzle_identifiers: 1,
            mixer: Mixer::Mlp,
            position_encoding: PositionEncoding::None,
            width: 512,
            heads: 8,
            layers: 2,
            h_layers: 0,
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
pub(crate) fn check(
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

/// Most puzzles with an embedding of their own: ARC's tasks with a thousand variants each are 1.3 million.
const MOST_IDENTIFIERS: usize = 1 << 24;

/// Largest accepted number of values of one state, rows x width: 256 MiB. ARC's has 468,992.
const MAX_STATE: usize = 1 << 26;

/// The reference's inner width: 2/3 of the expansion, rounded half to even as Python does, then up to a multiple of 256
/// (TRM_SPEC 2).
pub fn reference_inner(width: usize, expansion: f64) -> usize {
    ((expansion * width as f64 * 2.0 / 3.0).round_ties_even() as usize).next_multiple_of(256)
}

impl ModelConfig {
    /// Positions: prefix and cells.
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

    /// Rows of a puzzle's state \[S\]: a row for every position, or for every candidate of every cell.
    pub fn rows(&self) -> usize {
        self.positions() * self.symbols.max(1)
    }

    /// Floats of z_H of one puzzle: (S, D).
    pub fn state_len(&self) -> usize {
        self.rows() * self.width
    }

    /// Floats of all latents of one puzzle: (latents, S, D).
    pub fn latent_len(&self) -> usize {
        self.system.latents() * self.state_len()
    }

    /// Blocks of the network that updates z_H.
    pub fn high_layers(&self) -> usize {
        if self.h_layers > 0 {
            self.h_layers
        } else {
            self.layers
        }
    }

    /// Cells in a row of the grid.
    pub fn grid_columns(&self) -> usize {
        if self.columns > 0 {
            self.columns
        } else {
            self.cells.isqrt()
        }
    }

    /// Whether the halting head reads the mean of all rows, where none stands out.
    pub fn pools(&self) -> bool {
        matches!(self.mixer, Mixer::Groups | Mixer::Neighbours)
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
        check(
            self.prefix_len <= 4096,
            "model.prefix_len",
            self.prefix_len,
            "expected 0 to 4096",
        )?;
        size("model.width", self.width)?;
        size("model.heads", self.heads)?;
        check(
            (1..=MOST_IDENTIFIERS).contains(&self.puzzle_identifiers),
            "model.puzzle_identifiers",
            self.puzzle_identifiers,
            "expected 1 to 16777216",
        )?;
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
        let by_mlp = self.mixer == Mixer::Mlp;
        let some = self.channel_inner() > 0 && !(by_mlp && self.position_inner() == 0);
        let least = "expected enough for an inner width, which is expansion · 2/3 of what the layer runs over";
        check(some, "model.expansion", self.expansion, least)?;
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
        self.validate_system()?;
        self.validate_prefix()?;
        self.validate_groups()?;
        self.validate_positions()?;
        let most = MAX_STATE / self.rows();
        let expected = format!(
            "expected at most {most} with {} rows of a state",
            self.rows()
        );
        check(self.width <= most, "model.width", self.width, &expected)
    }

    fn validate_groups(&self) -> Result<(), ConfigError> {
        let (k, by_symbol) = (self.symbols, self.mixer == Mixer::Groups);
        let fits = k == 0 || (by_symbol && k < self.vocab_size && k * k == self.cells);
        let needs = format!(
            "expected 0, or the symbols of a square board of {} cells and mixer = \"groups\"",
            self.cells
        );
        check(fits, "model.symbols", k, &needs)?;
        let needs = "mixer = \"groups\" needs the symbols of the board";
        check(k > 0 || !by_symbol, "model.symbols", k, needs)?;
        let columns = self.grid_columns();
        let whole = self.cells.is_multiple_of(columns);
        check(
            whole || self.mixer != Mixer::Neighbours,
            "model.columns",
            columns,
            &format!("expected a divisor of the {} cells", self.cells),
        )?;
        if self.pools() {
            let needs = "expected 0 with mixer = \"groups\" or \"neighbours\": a row is known by its groups, and a prefix has none";
            check(
                self.prefix_len == 0,
                "model.prefix_len",
                self.prefix_len,
                needs,
            )?;
            let none = self.position_encoding == PositionEncoding::None;
            let needs = "expected none with mixer = \"groups\" or \"neighbours\": a row is known by its groups";
            check(none, "model.position_encoding", "learned or rope", needs)?;
        }
        Ok(())
    }

    fn validate_prefix(&self) -> Result<(), ConfigError> {
        let (p, room) = (self.puzzle_emb_ndim, self.prefix_len * self.width);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes are checked before anything is computed from them.
    #[test]
    fn a_size_without_bounds_is_told_by_its_name() {
        let with = |change: fn(&mut ModelConfig)| {
            let mut config = ModelConfig::default();
            change(&mut config);
            config.validate().expect_err("too large").to_string()
        };
        for (said, key) in [
            (with(|c| c.prefix_len = usize::MAX), "model.prefix_len"),
            (with(|c| c.cells = usize::MAX), "model.cells"),
            (with(|c| c.width = usize::MAX), "model.width"),
            (with(|c| c.symbols = usize::MAX), "model.symbols"),
        ] {
            assert!(said.starts_with(key), "{said}");
        }
    }
}
