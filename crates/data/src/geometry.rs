//! The shapes of a Sudoku: which cells share a row, a column or a box.
//!
//! Cells are numbered row by row from 0: `cell = row * side + column`. A *unit* is a row, a column or a
//! box; every unit has `side` cells and must hold each digit once. A *peer* of a cell is any other cell
//! that shares a unit with it. All of this is fixed by the side, so it is worked out when the crate is
//! compiled and looked up from then on.

use std::fmt;

/// The most cells a board can have: 9 x 9.
pub const MAX_CELLS: usize = 81;

/// The longest side of a board.
pub const MAX_SIDE: usize = 9;

/// Network token that fills unused positions; no cell of a board has it.
pub const PAD_TOKEN: u8 = 0;

/// Network token of a blank cell; digit `d` has token `d + 1`.
pub const BLANK_TOKEN: u8 = 1;

/// One of the three board shapes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Geometry {
    /// 4 x 4 cells, boxes of 2 rows x 2 columns.
    Four,
    /// 6 x 6 cells, boxes of 2 rows x 3 columns.
    Six,
    /// 9 x 9 cells, boxes of 3 rows x 3 columns.
    Nine,
}

impl Geometry {
    /// All shapes, smallest first.
    pub const ALL: [Geometry; 3] = [Geometry::Four, Geometry::Six, Geometry::Nine];

    /// The shape with this side, if there is one: 4, 6 or 9.
    pub fn from_side(side: usize) -> Option<Geometry> {
        Self::ALL.into_iter().find(|g| g.side() == side)
    }

    /// The shape with this many cells, if there is one: 16, 36 or 81.
    pub fn from_cells(cells: usize) -> Option<Geometry> {
        Self::ALL.into_iter().find(|g| g.cells() == cells)
    }

    /// Cells along one edge, which is also the largest digit: 4, 6 or 9.
    pub const fn side(self) -> usize {
        match self {
            Geometry::Four => 4,
            Geometry::Six => 6,
            Geometry::Nine => 9,
        }
    }

    /// Rows of one box, which are also the rows of one band.
    pub const fn box_rows(self) -> usize {
        match self {
            Geometry::Four | Geometry::Six => 2,
            Geometry::Nine => 3,
        }
    }

    /// Columns of one box, which are also the columns of one stack.
    pub const fn box_cols(self) -> usize {
        self.side() / self.box_rows()
    }

    /// Cells of the whole board: `side * side`.
    pub const fn cells(self) -> usize {
        self.side() * self.side()
    }

    /// Size of the network's vocabulary: `side + 2` (pad, blank, and the digits).
    pub const fn vocab(self) -> usize {
        self.side() + 2
    }

    /// Whether mirroring at the main diagonal maps boxes onto boxes: not on 6 x 6, where a box of 2 x 3
    /// would become one of 3 x 2.
    pub const fn can_transpose(self) -> bool {
        self.box_rows() == self.box_cols()
    }

    /// Row of a cell, counted from 0.
    pub const fn row_of(self, cell: usize) -> usize {
        cell / self.side()
    }

    /// Column of a cell, counted from 0.
    pub const fn col_of(self, cell: usize) -> usize {
        cell % self.side()
    }

    /// Box of a cell, counted from 0, left to right and then down.
    pub const fn box_of(self, cell: usize) -> usize {
        let boxes_per_band = self.side() / self.box_cols();
        self.row_of(cell) / self.box_rows() * boxes_per_band + self.col_of(cell) / self.box_cols()
    }

    /// A cell's name for people, counted from 1: `r3c7` is row 3, column 7.
    pub fn cell_name(self, cell: usize) -> String {
        format!("r{}c{}", self.row_of(cell) + 1, self.col_of(cell) + 1)
    }

    /// All units, `3 * side` of them: rows, then columns, then boxes.
    pub fn units(self) -> impl Iterator<Item = Unit> {
        let side = 0..self.side() as u8;
        let rows = side.clone().map(Unit::Row);
        let cols = side.clone().map(Unit::Column);
        rows.chain(cols).chain(side.map(Unit::Box))
    }

    /// The cells of a unit in ascending order, `side` of them.
    ///
    /// # Panics
    /// If this shape has no such unit.
    pub fn unit_cells(self, unit: Unit) -> &'static [u8] {
        let side = self.side();
        let index = match unit {
            Unit::Row(i) => usize::from(i),
            Unit::Column(i) => side + usize::from(i),
            Unit::Box(i) => 2 * side + usize::from(i),
        };
        &self.table().units[..3 * side][index][..side]
    }

    /// The cells that must differ from `cell`, in ascending order: 7, 12 or 20 of them.
    ///
    /// # Panics
    /// If the board has no such cell.
    pub fn peers(self, cell: usize) -> &'static [u8] {
        let table = self.table();
        &table.peers[..self.cells()][cell][..table.peer_count]
    }

    fn table(self) -> &'static Table {
        match self {
            Geometry::Four => &FOUR,
            Geometry::Six => &SIX,
            Geometry::Nine => &NINE,
        }
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{0}x{0}", self.side())
    }
}

/// A row, a column or a box, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unit {
    /// A row, from the top.
    Row(u8),
    /// A column, from the left.
    Column(u8),
    /// A box, left to right and then down.
    Box(u8),
}

impl fmt::Display for Unit {
    /// Writes the name for people, counted from 1: `row 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unit::Row(i) => write!(f, "row {}", i + 1),
            Unit::Column(i) => write!(f, "column {}", i + 1),
            Unit::Box(i) => write!(f, "box {}", i + 1),
        }
    }
}

static FOUR: Table = Table::new(Geometry::Four);
static SIX: Table = Table::new(Geometry::Six);
static NINE: Table = Table::new(Geometry::Nine);

/// Units and peers of one shape; smaller shapes leave the ends of the arrays unused.
struct Table {
    units: [[u8; MAX_SIDE]; 3 * MAX_SIDE],
    peers: [[u8; 20]; MAX_CELLS],
    peer_count: usize,
}

impl Table {
    const fn new(g: Geometry) -> Table {
        let mut table = Table {
            units: [[0; MAX_SIDE]; 3 * MAX_SIDE],
            peers: [[0; 20]; MAX_CELLS],
            peer_count: 0,
        };
        let mut filled = [0; 3 * MAX_SIDE];
        let mut cell = 0;
        while cell < g.cells() {
            let units = [
                g.row_of(cell),
                g.side() + g.col_of(cell),
                2 * g.side() + g.box_of(cell),
            ];
            let mut i = 0;
            while i < 3 {
                table.units[units[i]][filled[units[i]]] = cell as u8;
                filled[units[i]] += 1;
                i += 1;
            }
            let mut count = 0;
            let mut other = 0;
            while other < g.cells() {
                let meets = g.row_of(cell) == g.row_of(other)
                    || g.col_of(cell) == g.col_of(other)
                    || g.box_of(cell) == g.box_of(other);
                if other != cell && meets {
                    table.peers[cell][count] = other as u8;
                    count += 1;
                }
                other += 1;
            }
            table.peer_count = count; // the same for every cell of a shape
            cell += 1;
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_agree_with_each_other() {
        for (g, side, peers) in [
            (Geometry::Four, 4, 7),
            (Geometry::Six, 6, 12),
            (Geometry::Nine, 9, 20),
        ] {
            assert_eq!(Geometry::from_side(side), Some(g));
            assert_eq!(Geometry::from_cells(side * side), Some(g));
            assert_eq!(g.box_rows() * g.box_cols(), side);
            assert_eq!(g.vocab(), side + 2);
            assert!((0..g.cells()).all(|cell| g.peers(cell).len() == peers));
        }
        assert_eq!(Geometry::from_side(5), None);
        assert_eq!(Geometry::from_cells(80), None);
    }

    #[test]
    fn every_cell_is_in_one_row_one_column_one_box() {
        for g in Geometry::ALL {
            let mut seen = vec![0; g.cells()];
            for unit in g.units() {
                g.unit_cells(unit)
                    .iter()
                    .for_each(|&cell| seen[usize::from(cell)] += 1);
            }
            assert!(seen.iter().all(|&n| n == 3), "{g}");
        }
    }

    #[test]
    fn boxes_of_six_are_two_rows_by_three_columns() {
        assert_eq!(
            Geometry::Six.unit_cells(Unit::Box(3)),
            [15, 16, 17, 21, 22, 23]
        );
        assert_eq!(
            Geometry::Six.peers(0),
            [1, 2, 3, 4, 5, 6, 7, 8, 12, 18, 24, 30]
        );
        assert!(!Geometry::Six.can_transpose());
    }

    #[test]
    fn names_count_from_one() {
        assert_eq!(Geometry::Nine.cell_name(24), "r3c7");
        assert_eq!(Unit::Box(8).to_string(), "box 9");
        assert_eq!(Geometry::Six.to_string(), "6x6");
    }
}
