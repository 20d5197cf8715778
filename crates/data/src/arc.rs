//! ARC: grids of colours, how a network sees them, and how its answers are counted (TRM_SPEC 7.5 and 10).
//!
//! A task shows a few pairs of grids and asks for the output of one input more. A network sees a canvas of 30 x 30
//! cells, or a smaller one where all grids are small, with the grid somewhere on it and end markers along its lower
//! and right edges. Every task is also seen in [variants](variant), turned and with other colours ([build]); the
//! answers to all are brought back and [vote](votes).

pub mod build;
pub mod read;
pub mod variant;
pub mod votes;

use crate::fault::Invalid;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::LazyLock;

/// Cells along one side of the reference's canvas, and the largest side of a grid.
pub const CANVAS: usize = 30;

/// Cells of the reference's canvas.
pub const CELLS: usize = CANVAS * CANVAS;

/// Tokens: the pad 0, the end marker 1, and ten colours from 2.
pub const VOCAB: usize = 12;

/// The token of the end markers.
const END: u8 = 1;

/// The token of colour 0.
const FIRST_COLOUR: u8 = 2;

/// A grid of colours 0 to 9, at most 30 x 30; a prediction may have no cells at all.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<u8>>", into = "Vec<Vec<u8>>")]
pub struct Grid {
    rows: usize,
    cols: usize,
    /// (rows, cols)
    cells: Vec<u8>,
}

/// An input with its output.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Pair {
    /// What is shown.
    pub input: Grid,
    /// What is asked for, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Grid>,
}

impl Pair {
    /// What stands for the output in a data set: a single cell of colour 0 where it is not known, as the reference has
    /// it.
    pub fn label(&self) -> &Grid {
        static NOT_KNOWN: LazyLock<Grid> = LazyLock::new(|| Grid {
            rows: 1,
            cols: 1,
            cells: vec![0],
        });
        self.output.as_ref().unwrap_or(&NOT_KNOWN)
    }
}

impl TryFrom<Vec<Vec<u8>>> for Grid {
    type Error = Invalid;

    fn try_from(rows: Vec<Vec<u8>>) -> Result<Grid, Invalid> {
        let cols = rows.first().map_or(0, Vec::len);
        let sides = 1..=CANVAS;
        if !sides.contains(&rows.len()) || !sides.contains(&cols) {
            return Err(Invalid(format!(
                "a grid of {}x{cols}; expected 1 to {CANVAS} rows and as many columns",
                rows.len()
            )));
        }
        for (i, row) in rows.iter().enumerate() {
            let (found, expected) = (row.len(), cols);
            if found != expected {
                return Err(Invalid(format!(
                    "row {} has {found} cells, but the first has {expected}",
                    i + 1
                )));
            }
            if let Some(j) = row.iter().position(|&colour| colour > 9) {
                return Err(Invalid(format!(
                    "colour {} in row {}, column {}; expected 0 to 9",
                    row[j],
                    i + 1,
                    j + 1
                )));
            }
        }
        Ok(Grid {
            rows: rows.len(),
            cols,
            cells: rows.concat(),
        })
    }
}

impl From<Grid> for Vec<Vec<u8>> {
    fn from(grid: Grid) -> Vec<Vec<u8>> {
        match grid.cols {
            0 => Vec::new(),
            cols => grid.cells.chunks(cols).map(<[u8]>::to_vec).collect(),
        }
    }
}

impl fmt::Display for Grid {
    /// The rows in digits, with strokes between them: `012/345`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, row) in self.cells.chunks(self.cols.max(1)).enumerate() {
            f.write_str(if i > 0 { "/" } else { "" })?;
            row.iter().try_for_each(|colour| write!(f, "{colour}"))?;
        }
        Ok(())
    }
}

impl Grid {
    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// The colours row by row.
    pub fn cells(&self) -> &[u8] {
        &self.cells
    }

    /// SHA-256 of rows, columns and colours, a byte each.
    pub fn hash(&self) -> String {
        let sides = [self.rows as u8, self.cols as u8];
        hex(&[&sides[..], &self.cells].concat())
    }

    /// Overwrites `tokens`, a square canvas, with this grid, its first cell at `corner`: row, column.
    ///
    /// The row below the grid and the column to its right are end markers as far as they are on the canvas;
    /// the cell where they would meet stays a pad.
    ///
    /// # Panics
    /// If the canvas is no square or the grid does not fit there.
    pub fn draw(&self, (top, left): (usize, usize), tokens: &mut [u8]) {
        let side = side_of(tokens);
        let (bottom, right) = (top + self.rows, left + self.cols);
        assert!(bottom <= side && right <= side, "a grid on the canvas");
        tokens.fill(0);
        for (i, row) in self.cells.chunks(self.cols.max(1)).enumerate() {
            for (j, colour) in row.iter().enumerate() {
                tokens[(top + i) * side + left + j] = colour + FIRST_COLOUR;
            }
        }
        if bottom < side {
            tokens[bottom * side + left..bottom * side + right].fill(END);
        }
        if right < side {
            (top..bottom).for_each(|i| tokens[i * side + right] = END);
        }
    }

    /// The grid that begins in the first cell of a canvas.
    ///
    /// For every height h the width is the least that the first h rows have in colours from the left; the
    /// grid is the one with most cells, the lowest of several. It may be empty.
    ///
    /// # Panics
    /// If the canvas is no square.
    pub fn crop(tokens: &[u8]) -> Grid {
        let side = side_of(tokens);
        let is_colour = |token: &&u8| (FIRST_COLOUR..FIRST_COLOUR + 10).contains(*token);
        let (mut width, mut best) = (side, (0, 0));
        for (i, row) in tokens.chunks(side).enumerate() {
            width = width.min(row.iter().take_while(is_colour).count());
            if (i + 1) * width > best.0 * best.1 {
                best = (i + 1, width);
            }
        }
        let (rows, cols) = best;
        let part = |row: &[u8]| {
            row[..cols]
                .iter()
                .map(|t| t - FIRST_COLOUR)
                .collect::<Vec<_>>()
        };
        Grid {
            rows,
            cols,
            cells: tokens.chunks(side).take(rows).flat_map(part).collect(),
        }
    }
}

/// The side of a square canvas.
fn side_of(tokens: &[u8]) -> usize {
    let side = tokens.len().isqrt();
    assert_eq!(tokens.len(), side * side, "a square canvas");
    side
}

/// What two variants of a task share exactly when all their pairs are the same, in any order.
pub fn puzzle_hash<'a>(pairs: impl IntoIterator<Item = &'a Pair>) -> String {
    let of_pair = |pair: &Pair| format!("{}|{}", pair.input.hash(), pair.label().hash());
    let mut hashes: Vec<String> = pairs.into_iter().map(of_pair).collect();
    hashes.sort_unstable();
    hex(hashes.join("|").as_bytes())
}

/// SHA-256 in hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(json: &str) -> Result<Grid, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_no_grid_is_refused_with_its_place() {
        let rows = |n: usize| format!("[{}]", vec!["[1]"; n].join(","));
        for (json, expected) in [
            ("[[1, 2], [3]]", "row 2 has 1 cells, but the first has 2"),
            ("[[1, 10]]", "colour 10 in row 1, column 2; expected 0 to 9"),
            ("[]", "a grid of 0x0"),
            ("[[]]", "a grid of 1x0"),
            (&rows(31), "a grid of 31x1; expected 1 to 30 rows"),
            ("[[1, -2]]", "invalid value"),
        ] {
            let error = grid(json).unwrap_err();
            assert!(error.contains(expected), "{error:?}, expected {expected:?}");
        }
        let json = "[[1,2],[3,4]]";
        assert_eq!(serde_json::to_string(&grid(json).unwrap()).unwrap(), json);
        assert_eq!(grid(json).unwrap().to_string(), "12/34");
    }

    #[test]
    fn a_grid_in_the_first_corner_is_found_again() {
        let mut tokens = vec![9; CELLS];
        for json in ["[[0]]", "[[1,2,3],[4,5,6]]"] {
            let grid = grid(json).unwrap();
            grid.draw((0, 0), &mut tokens);
            assert_eq!(Grid::crop(&tokens), grid);
            grid.draw((3, 27), &mut tokens);
            assert_eq!(Grid::crop(&tokens).size(), (0, 0));
        }
        let full = Grid::crop(&vec![7; CELLS]);
        assert_eq!((full.size(), full.cells()[899]), ((30, 30), 5));
    }
}
