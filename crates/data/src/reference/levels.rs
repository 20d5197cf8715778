//! Which examples of a data set belong together (TRM_SPEC 7.1).
//!
//! A data set has three levels: *groups* are original tasks, *puzzles* are variants of a task, and *examples* are
//! what a batch holds.

use crate::fault::Invalid;
use rand::{Rng, RngExt};
use std::ops::Range;

/// Which examples belong to which puzzle, and which puzzles to which group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Levels {
    /// Puzzle p has the examples `puzzles[p]..puzzles[p + 1]`; (puzzles + 1).
    puzzles: Vec<usize>,
    /// Group g has the puzzles `groups[g]..groups[g + 1]`; (groups + 1).
    groups: Vec<usize>,
}

impl Levels {
    /// Takes the index arrays of a set of `examples` examples.
    ///
    /// # Errors
    /// When a list does not rise from 0 to the number of what it divides.
    pub fn new(
        puzzles: Vec<usize>,
        groups: Vec<usize>,
        examples: usize,
    ) -> Result<Levels, Invalid> {
        check("puzzle_indices", &puzzles, examples)?;
        check("group_indices", &groups, puzzles.len() - 1)?;
        Ok(Levels { puzzles, groups })
    }

    /// Groups that there are.
    pub fn groups(&self) -> usize {
        self.groups.len() - 1
    }

    /// Puzzles that there are.
    pub fn puzzles(&self) -> usize {
        self.puzzles.len() - 1
    }

    /// Examples that there are.
    pub fn examples(&self) -> usize {
        self.puzzles[self.puzzles()]
    }

    /// The index arrays: of puzzles, and of groups.
    pub fn indices(&self) -> (&[usize], &[usize]) {
        (&self.puzzles, &self.groups)
    }

    /// The examples of a puzzle.
    pub fn of_puzzle(&self, puzzle: usize) -> Range<usize> {
        self.puzzles[puzzle]..self.puzzles[puzzle + 1]
    }

    /// The puzzles of a group.
    pub fn of_group(&self, group: usize) -> Range<usize> {
        self.groups[group]..self.groups[group + 1]
    }

    /// Any example: of any group, any puzzle, and of that any example.
    pub fn draw(&self, rng: &mut impl Rng) -> usize {
        let puzzles = self.of_group(rng.random_range(0..self.groups()));
        let puzzle = rng.random_range(puzzles);
        rng.random_range(self.of_puzzle(puzzle))
    }
}

fn check(which: &str, indices: &[usize], end: usize) -> Result<(), Invalid> {
    let fails = |why: String| {
        Err(Invalid(format!(
            "{which}: {why}; expected a list that begins with 0 and rises to {end}"
        )))
    };
    if indices.first() != Some(&0) {
        return fails(format!("begins with {:?}", indices.first()));
    }
    if let Some(at) = indices.windows(2).position(|pair| pair[0] >= pair[1]) {
        return fails(format!(
            "{} is followed by {}",
            indices[at],
            indices[at + 1]
        ));
    }
    match indices.last() {
        Some(last) if *last == end => Ok(()),
        last => fails(format!("ends with {last:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::stream;

    #[test]
    fn every_level_is_counted_and_any_example_is_drawn() {
        let levels = Levels::new(vec![0, 1, 4, 6], vec![0, 1, 3], 6).unwrap();
        assert_eq!(
            (levels.groups(), levels.puzzles(), levels.examples()),
            (2, 3, 6)
        );
        assert_eq!((levels.of_group(1), levels.of_puzzle(1)), (1..3, 1..4));
        let mut counts = [0; 6];
        let rng = &mut stream(0, 0);
        (0..1200).for_each(|_| counts[levels.draw(rng)] += 1);
        // Equally likely are the groups, the puzzles of a group, and the examples of a puzzle.
        for (count, expected) in counts.into_iter().zip([600, 100, 100, 100, 150, 150]) {
            assert!(i32::abs(count - expected) < 60, "{counts:?}");
        }
    }

    #[test]
    fn indices_that_lie_are_refused() {
        let new = |puzzles: &[usize], groups: &[usize]| {
            Levels::new(puzzles.to_vec(), groups.to_vec(), 6)
                .unwrap_err()
                .to_string()
        };
        for (found, expected) in [
            (new(&[], &[0, 1]), "puzzle_indices: begins with None"),
            (new(&[1, 6], &[0, 1]), "puzzle_indices: begins with Some(1)"),
            (
                new(&[0, 4, 4, 6], &[0, 3]),
                "puzzle_indices: 4 is followed by 4",
            ),
            (
                new(&[0, 4, 9], &[0, 2]),
                "puzzle_indices: ends with Some(9); expected a list that begins with 0 and rises to 6",
            ),
            (new(&[0, 4, 6], &[0, 3]), "group_indices: ends with Some(3)"),
        ] {
            assert!(found.starts_with(expected), "{found}");
        }
    }
}
