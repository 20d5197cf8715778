//! The input embedding x of one puzzle (TRM_SPEC 3.2).
//!
//! ```text
//! x[p,:]              = sqrt(D) c (prefix[p,:]       + pos[p,:])              p < prefix_len
//! x[prefix_len + i,:] = sqrt(D) c (token[input_i,:]  + pos[prefix_len + i,:])  i < cells
//! ```
//!
//! With K symbols, the tokens from `vocabulary - K` on, a cell has K rows, and row k shows only how the cell
//! stands to symbol k, so that no symbol is told from another:
//!
//! ```text
//! x[i·K + k,:] = sqrt(D) token[role,:]     role: 0 nothing known, 1 the cell holds symbol k, 2 it holds another
//! ```
//!
//! `prefix` is the puzzle's embedding (P values, zeros behind them up to prefix_len·D), plus a trained vector
//! for each of its rows where there are registers (Darcet et al. 2024, arXiv 2309.16588). With learned
//! positions c = 1/sqrt(2); without, pos is absent and c = 1. Nothing is saved but the tokens.

use std::ops::Range;

/// Where the tables lie in the flat buffers, and the sizes.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// (V, D), or (3, D) with symbols.
    pub tokens: Range<usize>,
    /// (prefix_len, D), if the rows in front are registers.
    pub registers: Option<Range<usize>>,
    /// (prefix and cells, D), if positions are learned.
    pub positions: Option<Range<usize>>,
    /// Rows in front of the cells.
    pub prefix_len: usize,
    /// D.
    pub width: usize,
    /// Symbols K, or 0 for one row a cell.
    pub symbols: usize,
    /// The token of the first symbol.
    pub first_symbol: u8,
}

/// Rows of the table with symbols.
pub const ROLES: usize = 3;

impl Embedding {
    /// sqrt(D), times 1/sqrt(2) with learned positions.
    fn factor(&self) -> f32 {
        let c = if self.positions.is_some() {
            std::f64::consts::FRAC_1_SQRT_2
        } else {
            1.0
        };
        (c * (self.width as f64).sqrt()) as f32
    }

    /// The row of the table for every row of x that belongs to a cell, in order.
    fn table_rows(&self, inputs: &[u8]) -> impl Iterator<Item = usize> {
        let (symbols, first) = (self.symbols, self.first_symbol);
        inputs.iter().flat_map(move |&token| {
            (0..symbols.max(1)).map(move |k| match token.checked_sub(first) {
                _ if symbols == 0 => token.into(),
                None => 0,
                Some(held) if usize::from(held) == k => 1,
                Some(held) if usize::from(held) < symbols => 2,
                Some(_) => panic!("token {token} of {symbols} symbols from {first} on"),
            })
        })
    }
}

/// Overwrites `x` (S x D) for one puzzle with the embedding `puzzle` (P) and the tokens `inputs` (cells).
///
/// Panics when a token is outside the vocabulary, or x has not a row for each prefix, cell and symbol.
pub fn forward(e: &Embedding, x: &mut [f32], values: &[f32], puzzle: &[f32], inputs: &[u8]) {
    let d = e.width;
    let (prefix, cells) = x.split_at_mut(e.prefix_len * d);
    let rows = inputs.len() * e.symbols.max(1);
    assert_eq!(cells.len(), rows * d, "x of {} tokens", inputs.len());
    prefix[..puzzle.len()].copy_from_slice(puzzle);
    prefix[puzzle.len()..].fill(0.0);
    if let Some(registers) = &e.registers {
        for (x, register) in prefix.iter_mut().zip(&values[registers.clone()]) {
            *x += register;
        }
    }
    let table = &values[e.tokens.clone()];
    for (row, entry) in cells.chunks_exact_mut(d).zip(e.table_rows(inputs)) {
        row.copy_from_slice(&table[entry * d..][..d]);
    }
    if let Some(positions) = &e.positions {
        for (x, position) in x.iter_mut().zip(&values[positions.clone()]) {
            *x += position;
        }
    }
    let factor = e.factor();
    x.iter_mut().for_each(|x| *x *= factor);
}

/// Gradient of [`forward`]: adds to the tables in `grads`, overwrites `d_puzzle` (P). Scales `d_x` in place.
pub fn backward(
    e: &Embedding,
    d_x: &mut [f32],
    grads: &mut [f32],
    d_puzzle: &mut [f32],
    inputs: &[u8],
) {
    let d = e.width;
    let factor = e.factor();
    d_x.iter_mut().for_each(|d_x| *d_x *= factor);
    if let Some(positions) = &e.positions {
        for (grad, d_x) in grads[positions.clone()].iter_mut().zip(&*d_x) {
            *grad += d_x;
        }
    }
    let (d_prefix, d_cells) = d_x.split_at(e.prefix_len * d);
    if let Some(registers) = &e.registers {
        for (grad, d_x) in grads[registers.clone()].iter_mut().zip(d_prefix) {
            *grad += d_x;
        }
    }
    let table = &mut grads[e.tokens.clone()];
    for (d_row, entry) in d_cells.chunks_exact(d).zip(e.table_rows(inputs)) {
        for (grad, d_x) in table[entry * d..][..d].iter_mut().zip(d_row) {
            *grad += d_x;
        }
    }
    d_puzzle.copy_from_slice(&d_prefix[..d_puzzle.len()]);
}
