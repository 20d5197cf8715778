//! Which rows of a network stand together: those of a Sudoku's candidates, and neighbours on any grid.
//!
//! With symbols, a row is a candidate: symbol k in cell i, row number i·K + k. A candidate belongs to four
//! groups of K: the candidates of its cell, and its symbol along the cell's row, column and box. Exactly
//! one candidate of every group is in the solution; that is the whole of Sudoku (an exact cover), but the
//! network is only told who stands together, not what that means.
//!
//! On a grid without symbols a row is a cell, and cells meet in pairs: each with the one beside it, and with the one
//! below. Since every cell has a neighbour on either side, that takes four partitions, as bricks are laid:
//!
//! ```text
//! side by side, from column 0:  [0 1] [2 3] [4]        and from column 1:  [0] [1 2] [3 4]
//! ```
//!
//! and the same along the columns. What a cell learns of its pairs goes one cell further with every block.

use crate::config::{Mixer, ModelConfig};
use trm_autograd::op::group_mixer::Groups;

/// The partitions that the config's mixer sums over, if any.
pub fn of(c: &ModelConfig) -> Option<Groups> {
    match c.mixer {
        Mixer::Mlp | Mixer::Attention => None,
        Mixer::Groups => Some(sudoku(c.symbols)),
        Mixer::Neighbours => Some(neighbours(c.cells / c.grid_columns(), c.grid_columns())),
    }
}

/// Rows of a box on a board of `side`: the largest divisor up to its square root (2 of 4 and 6, 3 of 9).
pub fn box_rows(side: usize) -> usize {
    (1..=side)
        .take_while(|rows| rows * rows <= side)
        .filter(|rows| side.is_multiple_of(*rows))
        .last()
        .unwrap_or(1)
}

/// The partitions of the candidates of a board: by cell, row, column, and box.
pub fn sudoku(side: usize) -> Groups {
    let count = side * side;
    let (box_rows, symbols) = (box_rows(side), side);
    let box_cols = side / box_rows;
    let mut index = Vec::with_capacity(4 * count * symbols);
    for cell in 0..count {
        let (row, col) = (cell / side, cell % side);
        let square = row / box_rows * box_rows + col / box_cols;
        for k in 0..symbols {
            let groups = [cell, row * side + k, col * side + k, square * side + k];
            let numbered = groups.iter().enumerate();
            index.extend(numbered.map(|(g, group)| (g * count + group) as u32));
        }
    }
    Groups {
        counts: vec![count; 4],
        index,
    }
}

/// The partitions of the cells of a grid into neighbours: side by side twice, one below the other twice.
pub fn neighbours(rows: usize, cols: usize) -> Groups {
    let pairs = |cells: usize, first: usize| (cells + first).div_ceil(2);
    let counts = vec![
        rows * pairs(cols, 0),
        rows * pairs(cols, 1),
        cols * pairs(rows, 0),
        cols * pairs(rows, 1),
    ];
    let mut index = Vec::with_capacity(4 * rows * cols);
    for cell in 0..rows * cols {
        let (row, col) = (cell / cols, cell % cols);
        let groups = [
            row * pairs(cols, 0) + col / 2,
            row * pairs(cols, 1) + col.div_ceil(2),
            col * pairs(rows, 0) + row / 2,
            col * pairs(rows, 1) + row.div_ceil(2),
        ];
        let mut before = 0;
        for (group, count) in groups.iter().zip(&counts) {
            index.push((before + group) as u32);
            before += count;
        }
    }
    Groups { counts, index }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cells_share_a_group_when_they_are_neighbours() {
        for (rows, cols) in [(1, 1), (1, 4), (3, 5), (4, 4)] {
            let groups = neighbours(rows, cols);
            assert_eq!(groups.rows(), rows * cols);
            let mut seen = vec![false; groups.total()];
            for a in 0..rows * cols {
                let of = |cell: usize| &groups.index[4 * cell..4 * cell + 4];
                of(a).iter().for_each(|&group| seen[group as usize] = true);
                for b in (0..rows * cols).filter(|&b| b != a) {
                    let meet = of(a).iter().filter(|group| of(b).contains(group)).count();
                    let [(ra, ca), (rb, cb)] = [a, b].map(|cell| (cell / cols, cell % cols));
                    let near = ra.abs_diff(rb) + ca.abs_diff(cb) == 1;
                    assert_eq!(meet, usize::from(near), "{rows}x{cols}: cells {a} and {b}");
                }
            }
            assert!(
                seen.iter().all(|&seen| seen),
                "{rows}x{cols}: an empty group"
            );
        }
    }

    #[test]
    fn every_group_has_as_many_candidates_as_there_are_symbols() {
        for side in [4, 6, 9] {
            let groups = sudoku(side);
            assert_eq!(
                (groups.rows(), groups.total()),
                (side.pow(3), 4 * side * side)
            );
            let mut members = vec![0; groups.total()];
            for &k in &groups.index {
                members[k as usize] += 1;
            }
            assert!(members.iter().all(|&n| n == side), "side {side}");
        }
    }

    #[test]
    fn two_candidates_share_a_group_when_both_cannot_be_right() {
        let groups = sudoku(6);
        let of = |row: usize, col: usize, k: usize| {
            let i = (row * 6 + col) * 6 + k;
            &groups.index[4 * i..4 * i + 4]
        };
        let meet = |a: &[u32], b: &[u32]| a.iter().filter(|k| b.contains(k)).count();
        assert_eq!(meet(of(0, 0, 1), of(0, 0, 4)), 1); // one cell
        assert_eq!(meet(of(2, 0, 3), of(2, 5, 3)), 1); // one row
        assert_eq!(meet(of(0, 4, 2), of(5, 4, 2)), 1); // one column
        assert_eq!(meet(of(2, 3, 0), of(3, 5, 0)), 1); // one box of 2 x 3
        assert_eq!(meet(of(2, 3, 0), of(2, 5, 0)), 2); // one row and one box
        assert_eq!(meet(of(2, 3, 0), of(3, 5, 1)), 0); // other symbols
        assert_eq!(meet(of(1, 0, 0), of(2, 1, 0)), 0); // across boxes
    }
}
