//! The eight rotations and reflections of a grid (TRM_SPEC 7.4).
//!
//! For a grid a of R x C cells, `out[i][j]` is
//!
//! ```text
//! 0  a[i][j]                 identity           4  a[i][C-1-j]         left and right exchanged
//! 1  a[j][C-1-i]             quarter turn left  5  a[R-1-i][j]         top and bottom exchanged
//! 2  a[R-1-i][C-1-j]         half turn          6  a[j][i]             transpose
//! 3  a[R-1-j][i]             quarter turn right 7  a[R-1-j][C-1-i]     the other diagonal
//! ```

use rand::{Rng, RngExt};

/// One of the eight, by its number above.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dihedral(u8);

impl Dihedral {
    /// The one that changes nothing.
    pub const IDENTITY: Dihedral = Dihedral(0);

    /// All eight in the order of their numbers.
    pub const ALL: [Dihedral; 8] = [
        Dihedral(0),
        Dihedral(1),
        Dihedral(2),
        Dihedral(3),
        Dihedral(4),
        Dihedral(5),
        Dihedral(6),
        Dihedral(7),
    ];

    /// The identity, and left and right exchanged.
    pub const MIRROR: [Dihedral; 2] = [Dihedral(0), Dihedral(4)];

    /// Any of the eight, each equally likely.
    pub fn random(rng: &mut (impl Rng + ?Sized)) -> Dihedral {
        Self::ALL[rng.random_range(0..8)]
    }

    /// Its number, 0 to 7.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The one that undoes this one: quarter turns undo each other, all others undo themselves.
    pub fn inverse(self) -> Dihedral {
        match self.0 {
            1 => Dihedral(3),
            3 => Dihedral(1),
            other => Dihedral(other),
        }
    }

    /// Whether a grid of R x C cells becomes one of C x R.
    pub fn exchanges_sides(self) -> bool {
        matches!(self.0, 1 | 3 | 6 | 7)
    }

    /// The image of `cells` (rows x cols, row by row).
    ///
    /// # Panics
    /// If there are not rows x cols cells.
    pub fn apply<T: Copy>(self, cells: &[T], rows: usize, cols: usize) -> Vec<T> {
        assert_eq!(cells.len(), rows * cols, "a grid of {rows} x {cols}");
        self.places(rows, cols).map(|at| cells[at]).collect()
    }

    /// [`Dihedral::apply`], written over `image`.
    ///
    /// # Panics
    /// If both have not rows x cols cells.
    pub fn apply_into<T: Copy>(self, cells: &[T], (rows, cols): (usize, usize), image: &mut [T]) {
        let lengths = [cells.len(), image.len()];
        assert_eq!(lengths, [rows * cols; 2], "grids of {rows} x {cols}");
        for (image, at) in image.iter_mut().zip(self.places(rows, cols)) {
            *image = cells[at];
        }
    }

    /// For each cell of the image, in order, where it is in a grid of `rows` x `cols`.
    fn places(self, rows: usize, cols: usize) -> impl Iterator<Item = usize> {
        let (r, c) = if self.exchanges_sides() {
            (cols, rows)
        } else {
            (rows, cols)
        };
        let at = move |i: usize, j: usize| match self.0 {
            0 => (i, j),
            1 => (j, cols - 1 - i),
            2 => (rows - 1 - i, cols - 1 - j),
            3 => (rows - 1 - j, i),
            4 => (i, cols - 1 - j),
            5 => (rows - 1 - i, j),
            6 => (j, i),
            _ => (rows - 1 - j, cols - 1 - i),
        };
        let places = (0..r).flat_map(move |i| (0..c).map(move |j| at(i, j)));
        places.map(move |(i, j)| i * cols + j)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_undoes_and_all_images_differ() {
        let cells = [1, 2, 3, 4, 5, 6];
        let mut images = Vec::new();
        for symmetry in Dihedral::ALL {
            let image = symmetry.apply(&cells, 2, 3);
            let mut written = [0; 6];
            symmetry.apply_into(&cells, (2, 3), &mut written);
            assert_eq!(written[..], image);
            let (rows, cols) = if symmetry.exchanges_sides() {
                (3, 2)
            } else {
                (2, 3)
            };
            assert_eq!(symmetry.inverse().apply(&image, rows, cols), cells);
            images.push((image, rows));
        }
        for i in 0..8 {
            assert!(!images[..i].contains(&images[i]), "{i}");
        }
        // 1 2 3     3 6
        // 4 5 6  →  2 5
        //           1 4
        assert_eq!(Dihedral(1).apply(&cells, 2, 3), [3, 6, 2, 5, 1, 4]);
    }
}
