//! In which order the reference goes through a data set (TRM_SPEC 8).
//!
//! A data set has three levels: *groups* are original tasks, *puzzles* are variants of a task, and *examples* are
//! what a batch holds. Training takes every group once an epoch and one of its puzzles at random; testing takes
//! all examples in order.

use super::philox::Philox;
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

    /// The puzzle that an example belongs to.
    pub fn puzzle_of(&self, example: usize) -> usize {
        self.puzzles.partition_point(|&first| first <= example) - 1
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

/// How training goes through a data set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// Seed of the run.
    pub seed: u64,
    /// Examples of a batch, of all replicas together.
    pub batch: usize,
    /// Epochs of one pass of the loader.
    pub epochs: usize,
}

/// The batches of pass number `pass` of the loader, counted from 1: examples, all batches full.
///
/// `choose(n, k)` says which k of the n examples of a puzzle are taken, in order. The reference leaves that to a
/// generator that it seeds in no way worth repeating; where every puzzle has one example, nothing is left
/// to it.
pub fn training(
    levels: &Levels,
    order: Order,
    pass: u64,
    mut choose: impl FnMut(usize, usize) -> Vec<usize>,
) -> Vec<Vec<usize>> {
    let mut philox = Philox::new(order.seed + pass);
    let epochs = (0..order.epochs).map(|_| philox.permutation(levels.groups()));
    let groups: Vec<usize> = epochs.collect::<Vec<_>>().concat();
    let (mut batches, mut batch) = (Vec::new(), Vec::with_capacity(order.batch));
    for group in groups {
        let puzzles = levels.of_group(group);
        let puzzle = puzzles.start + philox.below(puzzles.len());
        let examples = levels.of_puzzle(puzzle);
        let taken = examples.len().min(order.batch - batch.len());
        let chosen = choose(examples.len(), taken);
        batch.extend(chosen.iter().map(|i| examples.start + i));
        if batch.len() == order.batch {
            batches.push(std::mem::take(&mut batch));
        }
    }
    batches
}

/// The batches of a test: all examples in order, the last batch perhaps short.
pub fn testing(levels: &Levels, batch: usize) -> impl Iterator<Item = Range<usize>> {
    let examples = levels.examples();
    (0..examples)
        .step_by(batch)
        .map(move |first| first..(first + batch).min(examples))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels() -> Levels {
        Levels::new(vec![0, 1, 4, 6], vec![0, 1, 3], 6).unwrap()
    }

    #[test]
    fn every_example_has_its_puzzle() {
        let levels = levels();
        assert_eq!(
            (levels.groups(), levels.puzzles(), levels.examples()),
            (2, 3, 6)
        );
        let puzzles: Vec<usize> = (0..6).map(|example| levels.puzzle_of(example)).collect();
        assert_eq!(puzzles, [0, 1, 1, 1, 2, 2]);
        assert!(testing(&levels, 4).eq([0..4, 4..6]));
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

    #[test]
    fn an_epoch_takes_every_group_once_and_batches_are_full() {
        let order = Order {
            seed: 3,
            batch: 2,
            epochs: 4,
        };
        let first = |_, k| (0..k).collect();
        let batches = training(&levels(), order, 1, first);
        assert!(batches.iter().all(|batch| batch.len() == 2), "{batches:?}");
        assert_eq!(batches, training(&levels(), order, 1, first));
        assert_ne!(batches, training(&levels(), order, 2, first));
    }
}
