//! In which order the reference goes through a data set (TRM_SPEC 8): in training every group once an epoch and one of
//! its puzzles at random, in testing all examples in order. `trm train` draws by itself (`Levels::draw`); this is
//! here to show that the specification's order is the reference's.

use super::philox::Philox;
use std::ops::Range;
use trm_data::reference::levels::Levels;

/// How training goes through a data set.
#[derive(Clone, Copy)]
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

/// The puzzle that an example belongs to.
pub fn puzzle_of(levels: &Levels, example: usize) -> usize {
    let (puzzles, _) = levels.indices();
    puzzles.partition_point(|&first| first <= example) - 1
}

#[test]
fn an_epoch_takes_every_group_once_and_batches_are_full() {
    // Groups of one, two and three puzzles of one example each, so that a batch of three is an epoch.
    let first = [0, 1, 3, 6];
    let levels = Levels::new((0..=6).collect(), first.to_vec(), 6).expect("three levels");
    let order = Order {
        seed: 3,
        batch: 3,
        epochs: 4,
    };
    let pass = |number| training(&levels, order, number, |_, k| (0..k).collect());
    let batches = pass(1);
    assert_eq!(batches.len(), 4);
    for batch in &batches {
        let group = |example: &usize| first.partition_point(|first| first <= example) - 1;
        let mut groups: Vec<_> = batch.iter().map(group).collect();
        groups.sort_unstable();
        assert_eq!(groups, [0, 1, 2], "{batches:?}");
    }
    assert_eq!(batches, pass(1));
    assert_ne!(batches, pass(2));
}
