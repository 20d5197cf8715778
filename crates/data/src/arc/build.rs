//! From tasks to the data set that a network is trained and tested on (TRM_SPEC 7.5).
//!
//! Every task becomes a group: the task itself and its variants, each with an identifier of its own. What is to be
//! learned from is moved about on the canvas, one example of every puzzle excepted; what is tested is not.

use super::variant::Variant;
use super::{Pair, VOCAB, puzzle_hash};
use crate::reference::folder::{Folder, Set};
use crate::reference::levels::Levels;
use std::collections::{HashMap, HashSet};

/// Trials for each variant asked for: some repeat the ones before.
const TRIALS: usize = 5;

/// A task by its name in the files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// Such as `007bbfb7`.
    pub name: String,
    /// Pairs to learn from, in the order of the file.
    pub learn: Vec<Pair>,
    /// Pairs to be tested by; empty where the task is only learned from.
    pub test: Vec<Pair>,
}

impl Task {
    /// The longest side of its grids.
    pub fn side(&self) -> usize {
        let pairs = self.learn.iter().chain(&self.test);
        let grids = pairs.flat_map(|pair| [&pair.input, pair.label()]);
        let sides = grids.map(|grid| grid.size().0.max(grid.size().1));
        sides.max().unwrap_or(0)
    }

    /// Bytes that [`build`] holds for this task and its `variants` on canvases of `side` x `side` cells, if no
    /// variant repeats another: of every pair two grids, and two canvases.
    pub fn bytes(&self, side: usize, variants: usize) -> usize {
        let pairs = self.learn.iter().chain(&self.test);
        let grids = pairs.flat_map(|pair| [&pair.input, pair.label()]);
        let bytes = grids.map(|grid| {
            let (rows, cols) = grid.size();
            size_of_val(grid) + rows * cols + side * side
        });
        (1 + variants) * bytes.sum::<usize>()
    }
}

/// A data set.
#[derive(Clone, PartialEq, Debug)]
pub struct Built {
    /// What is learned from.
    pub train: Folder,
    /// What is tested.
    pub test: Folder,
    /// Names by identifier; 0 is the blank.
    pub identifiers: Vec<String>,
}

/// A variant of a task, with its pairs.
struct Puzzle {
    name: String,
    learn: Vec<Pair>,
    test: Vec<Pair>,
}

/// Builds the data set of `tasks`, each with up to `variants` variants, on canvases of `side` x `side` cells.
///
/// `variant()` draws one, `below(n)` a number from 0 to n - 1: all variants are drawn first, then for every puzzle
/// the example that stays in the corner and for each of the others its row and column.
///
/// # Panics
/// If a grid is larger than the canvas ([`Task::side`]).
pub fn build(
    tasks: &[Task],
    side: usize,
    variants: usize,
    mut variant: impl FnMut() -> Variant,
    mut below: impl FnMut(usize) -> usize,
) -> Built {
    let groups = tasks.iter().map(|task| group(task, variants, &mut variant));
    let groups: Vec<Vec<Puzzle>> = groups.collect();
    let mut identifiers = Identifiers::new();
    let train = split(
        &groups,
        |puzzle| &puzzle.learn,
        (side, true),
        &mut identifiers,
        &mut below,
    );
    let test = split(
        &groups,
        |puzzle| &puzzle.test,
        (side, false),
        &mut identifiers,
        &mut below,
    );
    let count = identifiers.names.len();
    Built {
        train: Folder::of(train, side * side, VOCAB, count),
        test: Folder::of(test, side * side, VOCAB, count),
        identifiers: identifiers.names,
    }
}

/// A task and those of its variants that differ from each other.
fn group(task: &Task, variants: usize, mut variant: impl FnMut() -> Variant) -> Vec<Puzzle> {
    let original = Puzzle {
        name: task.name.clone(),
        learn: task.learn.clone(),
        test: task.test.clone(),
    };
    let hash = |puzzle: &Puzzle| puzzle_hash(puzzle.learn.iter().chain(&puzzle.test));
    let mut seen = HashSet::from([hash(&original)]);
    let mut group = vec![original];
    for _ in 0..TRIALS * variants {
        if group.len() > variants {
            break;
        }
        let variant = variant();
        let image = |pairs: &[Pair]| {
            let pairs = pairs.iter().map(|pair| Pair {
                input: variant.apply(&pair.input),
                output: pair.output.as_ref().map(|output| variant.apply(output)),
            });
            pairs.collect()
        };
        let puzzle = Puzzle {
            name: variant.name_of(&task.name),
            learn: image(&task.learn),
            test: image(&task.test),
        };
        if seen.insert(hash(&puzzle)) {
            group.push(puzzle);
        }
    }
    group
}

/// Names in the order in which they first appear.
struct Identifiers {
    names: Vec<String>,
    by_name: HashMap<String, u32>,
}

impl Identifiers {
    fn new() -> Identifiers {
        Identifiers {
            names: vec!["<blank>".to_owned()],
            by_name: HashMap::new(),
        }
    }

    fn of(&mut self, name: &str) -> u32 {
        *self.by_name.entry(name.to_owned()).or_insert_with(|| {
            self.names.push(name.to_owned());
            self.names.len() as u32 - 1
        })
    }
}

/// The arrays of one split: of every puzzle the pairs that `of` says; groups without any are left out.
fn split(
    groups: &[Vec<Puzzle>],
    of: impl Fn(&Puzzle) -> &[Pair],
    (side, moved): (usize, bool),
    identifiers: &mut Identifiers,
    below: &mut impl FnMut(usize) -> usize,
) -> Set {
    let (mut inputs, mut labels, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    let (mut puzzle_indices, mut group_indices, mut examples) = (vec![0], vec![0], 0);
    for group in groups.iter().filter(|group| !of(&group[0]).is_empty()) {
        for puzzle in group {
            let pairs = of(puzzle);
            let stays = below(pairs.len());
            for (i, pair) in pairs.iter().enumerate() {
                let corner = if moved && i != stays {
                    corner(pair, side, below)
                } else {
                    (0, 0)
                };
                for (grid, tokens) in [(&pair.input, &mut inputs), (pair.label(), &mut labels)] {
                    let start = tokens.len();
                    tokens.resize(start + side * side, 0);
                    grid.draw(corner, &mut tokens[start..]);
                }
            }
            examples += pairs.len();
            puzzle_indices.push(examples);
            ids.push(identifiers.of(&puzzle.name));
        }
        group_indices.push(ids.len());
    }
    let levels = Levels::new(puzzle_indices, group_indices, examples);
    Set {
        name: "all".to_owned(),
        inputs,
        labels,
        identifiers: ids,
        levels: levels.expect("indices that were counted"),
    }
}

/// Any row and column from which both grids of a pair fit on the canvas.
fn corner(pair: &Pair, side: usize, below: &mut impl FnMut(usize) -> usize) -> (usize, usize) {
    let ((a, b), (c, d)) = (pair.input.size(), pair.label().size());
    let row = below(side - a.max(c) + 1);
    (row, below(side - b.max(d) + 1))
}

#[cfg(test)]
mod tests {
    use super::super::Grid;
    use super::*;
    use crate::testing::stream;
    use rand::RngExt;

    #[test]
    fn a_task_that_looks_the_same_in_every_variant_has_few() {
        let grid = |colour| Grid::try_from(vec![vec![colour]]).unwrap();
        let task = |name: &str, colour| Task {
            name: name.to_owned(),
            learn: vec![Pair {
                input: grid(colour),
                output: Some(grid(0)),
            }],
            test: Vec::new(),
        };
        let build = |seed| {
            let (mut a, mut b) = (stream(seed, 0), stream(seed, 1));
            let tasks = [task("black", 0), task("red", 2)];
            build(
                &tasks,
                30,
                20,
                || Variant::random(&mut a),
                |n| b.random_range(0..n),
            )
        };
        let built = build(0);
        // Black stays black; red becomes each of nine colours.
        let levels = &built.train.sets[0].levels;
        assert_eq!([levels.of_group(0), levels.of_group(1)], [0..1, 1..10]);
        assert_eq!(built.identifiers.len(), 11);
        assert_eq!(built.test.sets[0].levels.groups(), 0);
        assert!(build(0) == built, "the same draws, the same set");
    }
}
