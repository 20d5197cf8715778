//! Setting puzzles aside for testing without letting look-alikes leak into training.
//!
//! Two puzzles are the same for a network that trains on symmetries if one is the image of the other under
//! one of the task's: a [`Symmetry`](crate::augment::Symmetry) of Sudoku, one of the eight of a maze
//! ([`Dihedral`](crate::dihedral::Dihedral)). Telling this exactly needs a canonical form, which is slow to find on
//! 9 x 9. A [`fingerprint`] is cheap and errs on the safe side: images of one puzzle always share it.
//!
//! **Guaranteed**: no test question is the image of a train question under any symmetry; in particular
//! none is equal to one. **Not guaranteed**: that different puzzles have different fingerprints (those that
//! share one merely stay together), and that two questions with the same or an equivalent *answer* stay
//! together.

use std::collections::{HashMap, HashSet};

use rand::Rng;
use rand::seq::SliceRandom;

use crate::board::Board;
use crate::geometry::{MAX_CELLS, MAX_SIDE};
use crate::puzzle::{Cells, Puzzle};

/// Two lists of puzzles without look-alikes across them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Split<G> {
    /// Puzzles to learn from, in their former order.
    pub train: Vec<Puzzle<G>>,
    /// Puzzles to be judged by, in their former order.
    pub test: Vec<Puzzle<G>>,
}

/// Draws about `test_count` puzzles for testing and keeps all that share a fingerprint on one side.
///
/// The test side never gets more than `test_count`; it gets fewer only if the groups left over are too
/// large to fit.
pub fn split<G: Cells>(
    puzzles: Vec<Puzzle<G>>,
    test_count: usize,
    rng: &mut (impl Rng + ?Sized),
) -> Split<G> {
    let prints: Vec<u64> = puzzles.iter().map(|p| p.question.fingerprint()).collect();
    let mut sizes = HashMap::new();
    let mut groups = Vec::new(); // in order of appearance: the order of a hash map is not reproducible
    for &print in &prints {
        let size = sizes.entry(print).or_insert(0);
        *size += 1;
        if *size == 1 {
            groups.push(print);
        }
    }
    groups.shuffle(rng);
    let mut room = test_count;
    let mut chosen = HashSet::new();
    for group in groups {
        if sizes[&group] <= room {
            room -= sizes[&group];
            chosen.insert(group);
        }
    }
    let mut split = Split {
        train: Vec::new(),
        test: Vec::new(),
    };
    for (puzzle, print) in puzzles.into_iter().zip(prints) {
        let side = if chosen.contains(&print) {
            &mut split.test
        } else {
            &mut split.train
        };
        side.push(puzzle);
    }
    split
}

/// Takes the first `train_count` puzzles for training, exactly those, and for testing the first `test_count` of
/// the others that look like none of them.
pub fn split_in_order<G: Cells>(
    mut puzzles: Vec<Puzzle<G>>,
    train_count: usize,
    test_count: usize,
) -> Split<G> {
    let others = puzzles.split_off(train_count.min(puzzles.len()));
    let seen: HashSet<u64> = puzzles.iter().map(|p| p.question.fingerprint()).collect();
    let unseen = others
        .into_iter()
        .filter(|p| !seen.contains(&p.question.fingerprint()));
    Split {
        test: unseen.take(test_count).collect(),
        train: puzzles,
    }
}

/// How many of `test` share a fingerprint with one of `train`: none where [`split`] made the two.
pub fn look_alikes<G: Cells>(train: &[Puzzle<G>], test: &[Puzzle<G>]) -> usize {
    let seen: HashSet<u64> = train.iter().map(|p| p.question.fingerprint()).collect();
    let alike = test
        .iter()
        .filter(|p| seen.contains(&p.question.fingerprint()));
    alike.count()
}

/// Keeps the first puzzle of every question.
pub fn without_repeats<G: Cells>(mut puzzles: Vec<Puzzle<G>>) -> Vec<Puzzle<G>> {
    let mut seen = HashSet::new();
    puzzles.retain(|puzzle| seen.insert(puzzle.question.tokens()));
    puzzles
}

/// A number that all images of a question under all symmetries share, and few other questions do.
///
/// Every cell starts with a colour that says only whether it is blank. Then, a few times over, each cell's
/// colour is mixed with four bags of colours: those of the cells with its digit, in its row, in its column
/// and in its box. Symmetries move cells and rename digits, but no step looks at a position or at a digit's
/// name; the fingerprint is the bag of all colours at the end.
pub fn fingerprint(question: &Board) -> u64 {
    const ROUNDS: usize = 4;
    let g = question.geometry();
    let mut colours = [0; MAX_CELLS];
    for (colour, &digit) in colours.iter_mut().zip(question.digits()) {
        *colour = mix(1 + u64::from(digit != 0));
    }
    for _ in 0..ROUNDS {
        let bags = Bags::of(question, &colours);
        for (cell, &digit) in question.digits().iter().enumerate() {
            let row = mix(bags.rows[g.row_of(cell)]);
            let col = mix(bags.cols[g.col_of(cell)]);
            // A transpose swaps rows and columns, so where there is one they must enter alike.
            let row = if g.can_transpose() { row } else { mix(row) };
            let parts = [
                colours[cell],
                bags.digits[usize::from(digit)],
                row.wrapping_add(col),
                bags.boxes[g.box_of(cell)],
            ];
            colours[cell] = parts.into_iter().fold(0, |all, part| mix(all ^ part));
        }
    }
    let bag = colours[..g.cells()]
        .iter()
        .fold(0_u64, |bag, &colour| bag.wrapping_add(mix(colour)));
    mix(bag.wrapping_add(g.side() as u64))
}

/// For every digit, row, column and box the bag of its cells' colours: a sum of mixed numbers, which does
/// not depend on their order.
struct Bags {
    digits: [u64; MAX_SIDE + 1],
    rows: [u64; MAX_SIDE],
    cols: [u64; MAX_SIDE],
    boxes: [u64; MAX_SIDE],
}

impl Bags {
    fn of(question: &Board, colours: &[u64; MAX_CELLS]) -> Bags {
        let g = question.geometry();
        let none = [0_u64; MAX_SIDE];
        let mut bags = Bags {
            digits: [0; MAX_SIDE + 1],
            rows: none,
            cols: none,
            boxes: none,
        };
        for (cell, &digit) in question.digits().iter().enumerate() {
            let colour = mix(colours[cell]);
            for bag in [
                &mut bags.digits[usize::from(digit)],
                &mut bags.rows[g.row_of(cell)],
                &mut bags.cols[g.col_of(cell)],
                &mut bags.boxes[g.box_of(cell)],
            ] {
                *bag = bag.wrapping_add(colour);
            }
        }
        bags
    }
}

/// Scrambles 64 bits so that sums of results tell their terms apart (the finaliser of SplitMix64).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

/// FNV-1a: short and stable, against accidents only.
pub fn fnv<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u64 {
    bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::Symmetry;
    use crate::generate::{Difficulty, generate};
    use crate::geometry::Geometry;
    use crate::testing::{any_board, any_symmetry, stream};
    use proptest::prelude::*;

    fn minimal(geometry: Geometry, count: u64) -> Vec<Puzzle> {
        (0..count)
            .map(|i| generate(geometry, Difficulty::Minimal, &mut stream(6, i)).unwrap())
            .collect()
    }

    #[test]
    fn look_alikes_stay_on_one_side() {
        let mut puzzles = Vec::new();
        for (i, puzzle) in minimal(Geometry::Nine, 30).into_iter().enumerate() {
            for copy in 0..4 {
                let symmetry =
                    Symmetry::random(Geometry::Nine, &mut stream(7, 4 * i as u64 + copy));
                let source = i.to_string().into();
                puzzles.push(Puzzle {
                    source,
                    ..symmetry.apply_to_puzzle(&puzzle)
                });
            }
        }
        let Split { train, test } = split(puzzles.clone(), 22, &mut stream(8, 0));
        assert_eq!((train.len(), test.len()), (100, 20)); // groups of four: 22 cannot be met
        assert_eq!(look_alikes(&train, &test), 0);
        // Of each group one is learned from: the other three look like it.
        let firsts: Vec<Puzzle> = test.iter().step_by(4).cloned().collect();
        assert_eq!(look_alikes(&firsts, &puzzles), 20);
        assert!(
            test.iter()
                .all(|t| train.iter().all(|p| p.source != t.source))
        );
        assert_eq!(split(puzzles.clone(), 22, &mut stream(8, 0)).test, test);
        assert_ne!(split(puzzles, 22, &mut stream(8, 1)).test, test);
    }

    #[test]
    fn the_first_are_learned_from_and_none_of_the_tests_looks_like_them() {
        let puzzles = minimal(Geometry::Four, 60);
        let split = split_in_order(puzzles.clone(), 20, 5);
        assert_eq!(split.train, puzzles[..20]);
        assert_eq!(split.test.len(), 5);
        let print = |p: &Puzzle| fingerprint(&p.question);
        let seen: HashSet<u64> = split.train.iter().map(print).collect();
        let unseen = puzzles[20..].iter().filter(|p| !seen.contains(&print(p)));
        assert!(split.test.iter().eq(unseen.take(5)));
        // More than there are.
        assert_eq!(split_in_order(puzzles, 100, 5).test, []);
    }

    #[test]
    fn nothing_is_lost() {
        let puzzles = minimal(Geometry::Four, 50);
        for test_count in [0, 10, 50, 99] {
            let Split { train, test } = split(puzzles.clone(), test_count, &mut stream(8, 0));
            assert!(test.len() <= test_count);
            assert_eq!(train.len() + test.len(), 50);
        }
        assert_eq!(split(puzzles.clone(), 99, &mut stream(8, 0)).test, puzzles);
    }

    #[test]
    fn different_puzzles_mostly_have_different_fingerprints() {
        let prints: HashSet<_> = minimal(Geometry::Nine, 100)
            .iter()
            .map(|p| fingerprint(&p.question))
            .collect();
        assert_eq!(prints.len(), 100);
        // 13 classes of 4 x 4 puzzles with 4 clues exist
        let four: HashSet<_> = minimal(Geometry::Four, 3000)
            .iter()
            .filter(|p| p.question.givens() == 4)
            .map(|p| fingerprint(&p.question))
            .collect();
        assert!((8..=13).contains(&four.len()), "{}", four.len());
    }

    #[test]
    fn one_moved_clue_changes_the_fingerprint() {
        let puzzle = &minimal(Geometry::Nine, 1)[0];
        let mut other = puzzle.question;
        let from = (0..81).find(|&cell| other.get(cell) != 0).unwrap();
        let to = (0..81).find(|&cell| other.get(cell) == 0).unwrap();
        other.set(to, other.get(from));
        other.set(from, 0);
        assert_ne!(fingerprint(&other), fingerprint(&puzzle.question));
    }

    #[test]
    fn digits_matter_but_not_their_names() {
        let print = |line: &str| fingerprint(&line.parse().unwrap());
        assert_eq!(print("1.........1....."), print("3.........3....."));
        assert_ne!(print("1.........1....."), print("1.........2....."));
    }

    #[test]
    fn repeats_are_dropped_and_order_is_kept() {
        let [a, b] = &minimal(Geometry::Six, 2)[..] else {
            unreachable!()
        };
        let all = vec![b.clone(), a.clone(), b.clone(), a.clone()];
        assert_eq!(without_repeats(all), [b.clone(), a.clone()]);
    }

    proptest! {
        #[test]
        fn images_share_the_fingerprint(
            (board, symmetry) in any_board().prop_flat_map(|b| (Just(b), any_symmetry(b.geometry())))
        ) {
            prop_assert_eq!(fingerprint(&symmetry.apply(&board)), fingerprint(&board));
        }
    }
}
