//! What lives from one optimiser step to the next: a batch of puzzles, each at its own depth.
//!
//! It is what grows with the batch, by [`Carry::row_bytes`] a puzzle. Workers receive disjoint ranges of rows and update
//! them in place.

use crate::config::ModelConfig;
use trm_tensor::AlignedVec;

/// The persistent batch (TRM_SPEC 4).
#[derive(Clone, Debug)]
pub struct Carry {
    /// Answer states, (B, S, D), or (B, K, S, D) with K states a puzzle.
    pub z_h: AlignedVec,
    /// Latent states, (B, latents, S, D), or (B, K, latents, S, D).
    pub z_l: AlignedVec,
    /// Gradients of the puzzle embeddings, (B, P).
    pub d_puzzle: AlignedVec,
    /// Tokens of the puzzles, (B, cells).
    pub inputs: Vec<u8>,
    /// Tokens of the answers, (B, cells); [`trm_autograd::op::loss::IGNORE`] where nothing is asked.
    pub labels: Vec<u8>,
    /// Puzzle identifiers, (B).
    pub puzzles: Vec<u32>,
    /// Supervision steps done, (B).
    pub steps: Vec<u32>,
    /// Whether the row halted and takes a new puzzle next step, (B).
    pub halted: Vec<bool>,
}

/// A range of rows of the carry.
#[derive(Debug)]
pub struct Rows<'a> {
    /// Index of the first row in the batch.
    pub first: usize,
    /// (rows, S, D); with `winner_take_all` (rows, K, S, D)
    pub z_h: &'a mut [f32],
    /// (rows, latents, S, D); with `winner_take_all` (rows, K, latents, S, D)
    pub z_l: &'a mut [f32],
    /// (rows, P)
    pub d_puzzle: &'a mut [f32],
    /// (rows, cells)
    pub inputs: &'a mut [u8],
    /// (rows, cells)
    pub labels: &'a mut [u8],
    /// (rows)
    pub puzzles: &'a mut [u32],
    /// (rows)
    pub steps: &'a mut [u32],
    /// (rows)
    pub halted: &'a mut [bool],
}

/// Where a new puzzle is written.
#[derive(Debug)]
pub struct Slot<'a> {
    /// Tokens of the puzzle, (cells).
    pub inputs: &'a mut [u8],
    /// Tokens of the answer, (cells).
    pub labels: &'a mut [u8],
    /// Puzzle identifier.
    pub puzzle: &'a mut u32,
}

impl Carry {
    /// All rows halted, so that the first step fills them; with K = `states` of each puzzle.
    pub fn new(c: &ModelConfig, batch: usize, states: usize) -> Self {
        Carry {
            z_h: AlignedVec::zeros(batch * states * c.state_len()),
            z_l: AlignedVec::zeros(batch * states * c.latent_len()),
            d_puzzle: AlignedVec::zeros(batch * c.puzzle_emb_ndim),
            inputs: vec![0; batch * c.cells],
            labels: vec![0; batch * c.cells],
            puzzles: vec![0; batch],
            steps: vec![0; batch],
            halted: vec![true; batch],
        }
    }

    /// Bytes that one more puzzle in the batch costs: its row, and its number in the trainer's order of puzzles.
    pub fn row_bytes(c: &ModelConfig, states: usize) -> usize {
        let floats = states * (c.state_len() + c.latent_len()) + c.puzzle_emb_ndim;
        4 * floats + 2 * c.cells + size_of::<u32>() * 3 + size_of::<bool>()
    }

    /// Asks `fill(row, slot)` for a new puzzle for every halted row.
    pub fn refill(&mut self, mut fill: impl FnMut(usize, Slot<'_>)) {
        let cells = self.inputs.len() / self.puzzles.len();
        let boards = self
            .inputs
            .chunks_exact_mut(cells)
            .zip(self.labels.chunks_exact_mut(cells));
        for (row, ((inputs, labels), puzzle)) in boards.zip(&mut self.puzzles).enumerate() {
            if self.halted[row] {
                fill(
                    row,
                    Slot {
                        inputs,
                        labels,
                        puzzle,
                    },
                );
            }
        }
    }

    /// All rows.
    pub fn rows(&mut self) -> Rows<'_> {
        Rows {
            first: 0,
            z_h: &mut self.z_h,
            z_l: &mut self.z_l,
            d_puzzle: &mut self.d_puzzle,
            inputs: &mut self.inputs,
            labels: &mut self.labels,
            puzzles: &mut self.puzzles,
            steps: &mut self.steps,
            halted: &mut self.halted,
        }
    }
}

impl<'a> Rows<'a> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Row `b` alone.
    pub(crate) fn row(&mut self, b: usize) -> Rows<'_> {
        fn one<T>(slice: &mut [T], b: usize, rows: usize) -> &mut [T] {
            let len = slice.len() / rows;
            &mut slice[b * len..(b + 1) * len]
        }
        let rows = self.len();
        Rows {
            first: self.first + b,
            z_h: one(self.z_h, b, rows),
            z_l: one(self.z_l, b, rows),
            d_puzzle: one(self.d_puzzle, b, rows),
            inputs: one(self.inputs, b, rows),
            labels: one(self.labels, b, rows),
            puzzles: one(self.puzzles, b, rows),
            steps: one(self.steps, b, rows),
            halted: one(self.halted, b, rows),
        }
    }

    /// The first `n` rows, and the others.
    ///
    /// Panics when there are fewer.
    pub fn split_at(self, n: usize) -> (Rows<'a>, Rows<'a>) {
        let rows = self.len();
        fn cut<T>(slice: &mut [T], n: usize, rows: usize) -> (&mut [T], &mut [T]) {
            slice.split_at_mut(n * (slice.len() / rows.max(1)))
        }
        let (z_h, z_h_rest) = cut(self.z_h, n, rows);
        let (z_l, z_l_rest) = cut(self.z_l, n, rows);
        let (d_puzzle, d_puzzle_rest) = cut(self.d_puzzle, n, rows);
        let (inputs, inputs_rest) = cut(self.inputs, n, rows);
        let (labels, labels_rest) = cut(self.labels, n, rows);
        let (puzzles, puzzles_rest) = cut(self.puzzles, n, rows);
        let (steps, steps_rest) = cut(self.steps, n, rows);
        let (halted, halted_rest) = cut(self.halted, n, rows);
        let head = Rows {
            first: self.first,
            z_h,
            z_l,
            d_puzzle,
            inputs,
            labels,
            puzzles,
            steps,
            halted,
        };
        let tail = Rows {
            first: self.first + n,
            z_h: z_h_rest,
            z_l: z_l_rest,
            d_puzzle: d_puzzle_rest,
            inputs: inputs_rest,
            labels: labels_rest,
            puzzles: puzzles_rest,
            steps: steps_rest,
            halted: halted_rest,
        };
        (head, tail)
    }
}
