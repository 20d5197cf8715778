//! Variants of a task: turned or mirrored, and with its colours exchanged.

use super::Grid;
use crate::dihedral::Dihedral;
use rand::Rng;
use rand::seq::SliceRandom;
use std::fmt;

/// Between the parts of a variant's name.
pub(super) const SEPARATOR: &str = "|||";

/// A rotation or reflection, and a new colour for each; colour 0 stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Variant {
    /// How the grid is turned, after its colours were exchanged.
    pub dihedral: Dihedral,
    /// Old colour k becomes `colours[k]`; a permutation that keeps 0.
    colours: [u8; 10],
}

impl Variant {
    /// The task as it is.
    pub const ORIGINAL: Variant = Variant {
        dihedral: Dihedral::IDENTITY,
        colours: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    };

    /// Any variant: the rotation is drawn first, then the colours.
    pub fn random(rng: &mut impl Rng) -> Variant {
        let dihedral = Dihedral::random(rng);
        let mut colours = Variant::ORIGINAL.colours;
        colours[1..].shuffle(rng);
        Variant { dihedral, colours }
    }

    /// The task's name and the variant that a full name says; a name without parts is the original's. None where
    /// the parts are no variant.
    pub fn of_name(name: &str) -> Option<(&str, Variant)> {
        let mut parts = name.split(SEPARATOR);
        let task = parts.next()?;
        let (Some(dihedral), Some(colours), None) = (parts.next(), parts.next(), parts.next())
        else {
            return (task == name).then_some((task, Variant::ORIGINAL));
        };
        let number: usize = dihedral.strip_prefix('t')?.parse().ok()?;
        let digits: Option<Vec<u8>> = colours
            .chars()
            .map(|c| Some(c.to_digit(10)? as u8))
            .collect();
        let colours: [u8; 10] = digits?.try_into().ok()?;
        let all = (0..10).all(|colour| colours.contains(&colour));
        let dihedral = *Dihedral::ALL.get(number)?;
        (all && colours[0] == 0).then_some((task, Variant { dihedral, colours }))
    }

    /// The full name of this variant of `task`.
    pub fn name_of(&self, task: &str) -> String {
        format!("{task}{self}")
    }

    /// The grid as this variant has it.
    pub fn apply(&self, grid: &Grid) -> Grid {
        let recoloured: Vec<u8> = grid
            .cells
            .iter()
            .map(|&c| self.colours[usize::from(c)])
            .collect();
        turned(grid, &recoloured, self.dihedral)
    }

    /// The grid that this variant has as `grid`: the inverse of [`Variant::apply`].
    pub fn undo(&self, grid: &Grid) -> Grid {
        let mut back = turned(grid, &grid.cells, self.dihedral.inverse());
        let mut old = [0; 10];
        (0..10).for_each(|k| old[usize::from(self.colours[k])] = k as u8);
        back.cells
            .iter_mut()
            .for_each(|colour| *colour = old[usize::from(*colour)]);
        back
    }
}

impl fmt::Display for Variant {
    /// What a name has behind the task's: `|||t3|||0123456789`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SEPARATOR}t{}{SEPARATOR}", self.dihedral.number())?;
        self.colours
            .iter()
            .try_for_each(|colour| write!(f, "{colour}"))
    }
}

/// A grid of the size of `grid` that has `cells`, turned.
fn turned(grid: &Grid, cells: &[u8], dihedral: Dihedral) -> Grid {
    let (rows, cols) = match dihedral.exchanges_sides() {
        true => (grid.cols, grid.rows),
        false => (grid.rows, grid.cols),
    };
    let cells = dihedral.apply(cells, grid.rows, grid.cols);
    Grid { rows, cols, cells }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::stream;

    #[test]
    fn variants_are_undone_and_named() {
        let grid = Grid::try_from(vec![vec![0, 1, 2], vec![7, 8, 9]]).unwrap();
        for i in 0..40 {
            let variant = Variant::random(&mut stream(0, i));
            assert_eq!(variant.undo(&variant.apply(&grid)), grid);
            let name = variant.name_of("task");
            assert_eq!(Variant::of_name(&name), Some(("task", variant)));
        }
        assert_eq!(Variant::of_name("task"), Some(("task", Variant::ORIGINAL)));
        for name in [
            "task|||t8|||0123456789",
            "task|||t1|||1023456789",
            "task|||t1|||0123456788",
            "task|||t1|||012345678",
            "task|||1|||0123456789",
            "task|||t1",
            "task|||t1|||0123456789|||",
        ] {
            assert_eq!(Variant::of_name(name), None, "{name}");
        }
    }
}
