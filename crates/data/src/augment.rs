//! The symmetries of Sudoku: ways to rewrite a puzzle into another that is just as valid and just as hard.
//!
//! A symmetry renames the digits, perhaps mirrors the board at its main diagonal, reorders the bands of
//! rows and the rows inside each band, and likewise the stacks of columns:
//!
//! ```text
//! out[i][j] = digit_map[ board'[row_perm[i]][col_perm[j]] ]      board' = board, or its transpose
//! ```
//!
//! Boards of 9 x 9 have 9! * 2 * 6^8, about 1.2 * 10^12 of them. Question and answer must go through the
//! same one ([`Symmetry::apply_to_puzzle`]).

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use crate::board::Board;
use crate::geometry::{Geometry, MAX_SIDE};
use crate::puzzle::Puzzle;

/// One element of a shape's symmetry group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Symmetry {
    geometry: Geometry,
    transpose: bool,
    digit_map: [u8; MAX_SIDE + 1], // digit_map[0] = 0: a blank stays a blank
    row_perm: [u8; MAX_SIDE],      // entries from side on are unused and stay the identity
    col_perm: [u8; MAX_SIDE],
}

impl Symmetry {
    /// The symmetry that changes nothing.
    pub fn identity(geometry: Geometry) -> Symmetry {
        let in_order = std::array::from_fn(|i| i as u8);
        Symmetry {
            geometry,
            transpose: false,
            digit_map: std::array::from_fn(|digit| digit as u8),
            row_perm: in_order,
            col_perm: in_order,
        }
    }

    /// A symmetry drawn evenly from the whole group.
    ///
    /// It draws the digits, the coin for the transpose (only where [`Geometry::can_transpose`]), the rows,
    /// then the columns.
    pub fn random(geometry: Geometry, rng: &mut (impl Rng + ?Sized)) -> Symmetry {
        let side = geometry.side();
        let mut symmetry = Symmetry::identity(geometry);
        symmetry.digit_map[1..=side].shuffle(rng);
        symmetry.transpose = geometry.can_transpose() && rng.random_bool(0.5);
        shuffle_lines(&mut symmetry.row_perm[..side], geometry.box_rows(), rng);
        shuffle_lines(&mut symmetry.col_perm[..side], geometry.box_cols(), rng);
        symmetry
    }

    /// The symmetry with these parts, or `None` if they make none.
    ///
    /// `digit_map` has `side + 1` entries and fixes 0; `row_perm` and `col_perm` have `side` entries and
    /// keep bands and stacks together.
    pub fn from_parts(
        geometry: Geometry,
        digit_map: &[u8],
        transpose: bool,
        row_perm: &[u8],
        col_perm: &[u8],
    ) -> Option<Symmetry> {
        let side = geometry.side();
        let sound = digit_map.first() == Some(&0)
            && is_permutation(digit_map, side + 1)
            && keeps_groups(row_perm, side, geometry.box_rows())
            && keeps_groups(col_perm, side, geometry.box_cols())
            && (!transpose || geometry.can_transpose());
        sound.then(|| {
            let mut symmetry = Symmetry {
                transpose,
                ..Symmetry::identity(geometry)
            };
            symmetry.digit_map[..=side].copy_from_slice(digit_map);
            symmetry.row_perm[..side].copy_from_slice(row_perm);
            symmetry.col_perm[..side].copy_from_slice(col_perm);
            symmetry
        })
    }

    /// The shape of the boards that it moves.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The image of a board.
    ///
    /// # Panics
    /// If the board has another shape than the symmetry.
    pub fn apply(&self, board: &Board) -> Board {
        let (g, side) = (self.geometry, self.geometry.side());
        assert_eq!(
            board.geometry(),
            g,
            "a symmetry moves boards of its own shape"
        );
        let (row_stride, col_stride) = if self.transpose { (1, side) } else { (side, 1) };
        let mut out = Board::blank(g);
        for cell in 0..g.cells() {
            let row = usize::from(self.row_perm[g.row_of(cell)]);
            let col = usize::from(self.col_perm[g.col_of(cell)]);
            let digit = board.get(row * row_stride + col * col_stride);
            out.set(cell, self.digit_map[usize::from(digit)]);
        }
        out
    }

    /// The image of a puzzle: question and answer move together, source and rating stay as they are.
    ///
    /// The rating is kept although a search of the image in cell order may guess more or less often.
    ///
    /// # Panics
    /// If the puzzle has another shape than the symmetry.
    pub fn apply_to_puzzle(&self, puzzle: &Puzzle) -> Puzzle {
        Puzzle {
            source: puzzle.source.clone(),
            question: self.apply(&puzzle.question),
            answer: puzzle.answer.as_ref().map(|answer| self.apply(answer)),
            rating: puzzle.rating,
        }
    }

    /// The symmetry that undoes this one.
    ///
    /// Solving the formula for the board gives the inverse maps in the same places. Under a transpose rows
    /// and columns change roles, so their inverses do too.
    pub fn inverse(&self) -> Symmetry {
        let (rows, cols) = (inverted(&self.row_perm), inverted(&self.col_perm));
        let (row_perm, col_perm) = if self.transpose {
            (cols, rows)
        } else {
            (rows, cols)
        };
        Symmetry {
            digit_map: inverted(&self.digit_map),
            row_perm,
            col_perm,
            ..*self
        }
    }
}

/// Draws a random order of the groups of `group` lines, and a random order inside each.
fn shuffle_lines(perm: &mut [u8], group: usize, rng: &mut (impl Rng + ?Sized)) {
    let count = perm.len() / group;
    let mut groups: [usize; MAX_SIDE] = std::array::from_fn(|i| i);
    groups[..count].shuffle(rng);
    for (lines, from) in perm.chunks_mut(group).zip(groups) {
        for (i, line) in lines.iter_mut().enumerate() {
            *line = (from * group + i) as u8;
        }
        lines.shuffle(rng);
    }
}

/// The inverse of a permutation: `out[perm[i]] = i`.
fn inverted<const N: usize>(perm: &[u8; N]) -> [u8; N] {
    let mut out = [0; N];
    for (i, &to) in perm.iter().enumerate() {
        out[usize::from(to)] = i as u8;
    }
    out
}

fn is_permutation(perm: &[u8], len: usize) -> bool {
    perm.len() == len && (0..len).all(|i| perm.contains(&(i as u8)))
}

fn keeps_groups(perm: &[u8], side: usize, group: usize) -> bool {
    let same_group = |lines: &[u8]| {
        lines
            .iter()
            .all(|&line| usize::from(line) / group == usize::from(lines[0]) / group)
    };
    is_permutation(perm, side) && perm.chunks(group).all(same_group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{any_board, any_generated, any_symmetry, stream, unique_solution};
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn parts_that_break_bands_are_refused() {
        let make = |digits: &[u8], transpose, rows: &[u8], cols: &[u8]| {
            Symmetry::from_parts(Geometry::Six, digits, transpose, rows, cols).is_some()
        };
        let digits = [0, 2, 1, 3, 4, 5, 6];
        let (rows, cols) = ([2, 3, 1, 0, 4, 5], [5, 3, 4, 0, 1, 2]);
        assert!(make(&digits, false, &rows, &cols));
        assert!(!make(&digits, true, &rows, &cols));
        assert!(!make(&digits, false, &cols, &rows));
        assert!(!make(&digits, false, &[0, 0, 1, 1, 2, 2], &cols));
        assert!(!make(&[1, 0, 2, 3, 4, 5, 6], false, &rows, &cols));
        assert!(!make(&digits[..6], false, &rows, &cols));
    }

    #[test]
    fn all_board_moves_of_six_are_drawn() {
        // 3! bands * 2!^3 rows * 2! stacks * 3!^2 columns = 3456 moves, and no transpose
        let numbered: Vec<_> = (0..60_000)
            .map(|i| {
                let symmetry = Symmetry::random(Geometry::Six, &mut stream(3, i));
                assert!(!symmetry.transpose);
                (symmetry.row_perm, symmetry.col_perm)
            })
            .collect();
        assert_eq!(numbered.into_iter().collect::<HashSet<_>>().len(), 3456);
    }

    #[test]
    fn one_grid_of_four_reaches_its_class() {
        // 4 x 4 has two classes of grids, 288 in all; this one reaches 96 or 192 of them
        let grid: Board = "1324423134122143".parse().unwrap();
        let images: HashSet<_> = (0..5000)
            .map(|i| Symmetry::random(Geometry::Four, &mut stream(4, i)).apply(&grid))
            .collect();
        assert!([96, 192].contains(&images.len()), "{}", images.len());
    }

    proptest! {
        #[test]
        fn inverse_undoes((board, symmetry) in any_board().prop_flat_map(|b| (Just(b), any_symmetry(b.geometry())))) {
            let inverse = symmetry.inverse();
            prop_assert_eq!(inverse.apply(&symmetry.apply(&board)), board);
            prop_assert_eq!(symmetry.apply(&inverse.apply(&board)), board);
            prop_assert_eq!(inverse.inverse(), symmetry);
            prop_assert_eq!(Symmetry::identity(board.geometry()).apply(&board), board);
        }

        #[test]
        fn validity_and_uniqueness_are_kept(
            (puzzle, symmetry) in any_generated().prop_flat_map(|p| {
                let g = p.question.geometry();
                (Just(p), any_symmetry(g))
            })
        ) {
            let image = symmetry.apply_to_puzzle(&puzzle);
            prop_assert_eq!(image.check(), Ok(()));
            prop_assert_eq!(image.question.givens(), puzzle.question.givens());
            prop_assert_eq!(unique_solution(&image.question), image.answer);
        }

        #[test]
        fn random_symmetries_have_sound_parts(symmetry in any_symmetry(Geometry::Nine)) {
            let Symmetry { geometry, transpose, digit_map, row_perm, col_perm } = symmetry;
            let rebuilt = Symmetry::from_parts(geometry, &digit_map, transpose, &row_perm, &col_perm);
            prop_assert_eq!(rebuilt, Some(symmetry));
        }
    }
}
