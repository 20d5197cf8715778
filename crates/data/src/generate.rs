//! New puzzles with exactly one solution.
//!
//! 1. Fill a grid at random: the solver's search, with the candidates of each cell in random order.
//! 2. Visit the cells in random order and blank each one, unless that would spoil the puzzle.
//!
//! What *spoils* a puzzle is the [`Difficulty`]. Digging from the full grid downwards favours puzzles with
//! more clues than an even draw from all minimal puzzles would; for training that does no harm.
//!
//! Every function draws from the generator it is given and from nothing else, so the same generator state
//! gives the same puzzle on every machine. To make many puzzles on many threads, give each one a generator of
//! its own.

use std::fmt;
use std::str::FromStr;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use crate::board::Board;
use crate::fault::Invalid;
use crate::geometry::{Geometry, MAX_CELLS, MAX_SIDE};
use crate::puzzle::Puzzle;
use crate::solver::{self, Candidates};

/// Grids tried for one puzzle before [`generate`] gives up on a number of givens.
const ATTEMPTS: usize = 1000;

/// When to stop removing clues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Difficulty {
    /// Singles alone solve it. The number of givens is drawn evenly: 5 to 8 on 4 x 4, 12 to 18 on 6 x 6, 30 to 40 on
    /// 9 x 9.
    Easy,
    /// No clue can be removed without a second solution appearing.
    Minimal,
    /// Exactly this many givens, with one solution. Few givens take many attempts, or are out of reach:
    /// on 9 x 9, 23 and more take a few milliseconds.
    Givens(usize),
}

impl fmt::Display for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difficulty::Easy => f.write_str("easy"),
            Difficulty::Minimal => f.write_str("minimal"),
            Difficulty::Givens(givens) => write!(f, "givens={givens}"),
        }
    }
}

impl FromStr for Difficulty {
    type Err = String;

    /// Reads `easy`, `minimal` or `givens=N`: the inverse of `Display`.
    fn from_str(text: &str) -> Result<Difficulty, String> {
        match (text, text.strip_prefix("givens=").map(str::parse)) {
            ("easy", _) => Ok(Difficulty::Easy),
            ("minimal", _) => Ok(Difficulty::Minimal),
            (_, Some(Ok(givens))) => Ok(Difficulty::Givens(givens)),
            _ => Err("expected easy, minimal, or givens=N with a number N, as in givens=30".into()),
        }
    }
}

/// The least and the most givens of an easy puzzle.
fn easy_givens(geometry: Geometry) -> (usize, usize) {
    match geometry {
        Geometry::Four => (5, 8),
        Geometry::Six => (12, 18),
        Geometry::Nine => (30, 40),
    }
}

/// Makes one puzzle, with its answer and its rating.
///
/// # Errors
/// If a number of givens was asked for that a thousand grids did not reach; never for
/// [`Difficulty::Minimal`].
pub fn generate(
    geometry: Geometry,
    difficulty: Difficulty,
    rng: &mut (impl Rng + ?Sized),
) -> Result<Puzzle, Invalid> {
    let (source, target) = match difficulty {
        Difficulty::Easy => {
            let (least, most) = easy_givens(geometry);
            ("generated_easy", rng.random_range(least..=most))
        }
        Difficulty::Minimal => ("generated_minimal", 0),
        Difficulty::Givens(givens) => ("generated_givens", givens),
    };
    let stays_sound = |question: &Board| match difficulty {
        Difficulty::Easy => solver::solve_by_singles(question).is_some(),
        _ => solver::count_solutions(question, 2) == 1,
    };
    for _ in 0..ATTEMPTS {
        let answer = full_grid(geometry, rng);
        let question = dig(answer, target, stays_sound, rng);
        if difficulty == Difficulty::Minimal || question.givens() == target {
            let rating = solver::rating(&question);
            return Ok(Puzzle {
                source: source.into(),
                question,
                answer: Some(answer),
                rating,
            });
        }
    }
    Err(Invalid(format!(
        "no {geometry} puzzle with {target} givens and one solution found in {ATTEMPTS} attempts; \
         ask for another number of givens (at most {}), or for minimal puzzles",
        geometry.cells()
    )))
}

/// A random solved board. Every solved board can come out, though not all equally often.
fn full_grid(geometry: Geometry, rng: &mut (impl Rng + ?Sized)) -> Board {
    let blank =
        Candidates::of(&Board::blank(geometry)).expect("a blank board has no contradiction");
    fill(&blank, rng).expect("a blank board has a solution")
}

/// Completes a state at random, or finds that it has no completion.
fn fill(state: &Candidates, rng: &mut (impl Rng + ?Sized)) -> Option<Board> {
    let Some(cell) = state.fewest() else {
        return Some(state.board());
    };
    let mut digits = [0; MAX_SIDE];
    let mut count = 0;
    for digit in state.digits_of(cell) {
        digits[count] = digit;
        count += 1;
    }
    digits[..count].shuffle(rng);
    digits[..count]
        .iter()
        .find_map(|&digit| fill(&state.with(cell, digit)?, rng))
}

/// Removes clues in random order while the puzzle stays sound and has more than `target` of them.
///
/// One pass is enough: a clue that could not be removed cannot be removed later either, with fewer clues.
fn dig(
    answer: Board,
    target: usize,
    stays_sound: impl Fn(&Board) -> bool,
    rng: &mut (impl Rng + ?Sized),
) -> Board {
    let mut order: [usize; MAX_CELLS] = std::array::from_fn(|cell| cell);
    let order = &mut order[..answer.geometry().cells()];
    order.shuffle(rng);
    let mut question = answer;
    let mut givens = question.givens();
    for &mut cell in order {
        if givens <= target {
            break;
        }
        question.set(cell, 0);
        if stays_sound(&question) {
            givens -= 1;
        } else {
            question.set(cell, answer.get(cell));
        }
    }
    question
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::any_geometry;
    use crate::testing::{stream, unique_solution};
    use proptest::prelude::*;

    fn made(geometry: Geometry, difficulty: Difficulty, seed: u64) -> Puzzle {
        generate(geometry, difficulty, &mut stream(seed, 0)).unwrap()
    }

    #[test]
    fn streams_are_reproducible_and_differ() {
        let question = |seed, number| {
            generate(
                Geometry::Nine,
                Difficulty::Minimal,
                &mut stream(seed, number),
            )
            .unwrap()
            .question
        };
        assert_eq!(question(1, 2), question(1, 2));
        assert_ne!(question(1, 2), question(1, 3));
        assert_ne!(question(1, 2), question(2, 2));
    }

    #[test]
    fn givens_are_exact_or_refused() {
        for (geometry, givens) in [
            (Geometry::Four, 6),
            (Geometry::Six, 12),
            (Geometry::Nine, 28),
        ] {
            let puzzle = made(geometry, Difficulty::Givens(givens), 5);
            assert_eq!(puzzle.question.givens(), givens);
            assert_eq!(unique_solution(&puzzle.question), puzzle.answer);
        }
        for impossible in [3, 17] {
            let error = generate(
                Geometry::Four,
                Difficulty::Givens(impossible),
                &mut stream(0, 0),
            );
            let error = error.unwrap_err().to_string();
            let expected = format!(
                "no 4x4 puzzle with {impossible} givens and one solution found in 1000 attempts; ask for another number \
                 of givens (at most 16), or for minimal puzzles"
            );
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn easy_puzzles_reach_both_ends_of_the_range() {
        let givens: Vec<_> = (0..60)
            .map(|seed| {
                made(Geometry::Four, Difficulty::Easy, seed)
                    .question
                    .givens()
            })
            .collect();
        assert_eq!(
            (givens.iter().min(), givens.iter().max()),
            (Some(&5), Some(&8))
        );
    }

    #[test]
    fn full_grids_vary() {
        let grids: std::collections::HashSet<_> = (0..2000)
            .map(|i| full_grid(Geometry::Four, &mut stream(9, i)))
            .collect();
        assert!(grids.len() > 270, "{} of 288 grids seen", grids.len());
    }

    #[test]
    fn difficulties_read_and_write() {
        for difficulty in [
            Difficulty::Easy,
            Difficulty::Minimal,
            Difficulty::Givens(25),
        ] {
            assert_eq!(difficulty.to_string().parse(), Ok(difficulty));
        }
        assert!(
            "hard"
                .parse::<Difficulty>()
                .unwrap_err()
                .contains("expected easy")
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn minimal_puzzles_are_unique_and_minimal(geometry in any_geometry(), seed: u64) {
            let puzzle = made(geometry, Difficulty::Minimal, seed);
            prop_assert_eq!(puzzle.check(), Ok(()));
            prop_assert_eq!(solver::count_solutions(&puzzle.question, 2), 1);
            prop_assert_eq!(puzzle.rating, solver::rating(&puzzle.question));
            for cell in (0..geometry.cells()).filter(|&cell| puzzle.question.get(cell) != 0) {
                let mut fewer = puzzle.question;
                fewer.set(cell, 0);
                prop_assert_eq!(solver::count_solutions(&fewer, 2), 2);
            }
        }

        #[test]
        fn easy_puzzles_yield_to_singles(geometry in any_geometry(), seed: u64) {
            let puzzle = made(geometry, Difficulty::Easy, seed);
            let (least, most) = easy_givens(geometry);
            prop_assert!((least..=most).contains(&puzzle.question.givens()));
            prop_assert_eq!(puzzle.rating, Some(0));
            prop_assert_eq!(solver::solve_by_singles(&puzzle.question), puzzle.answer);
        }

        #[test]
        fn same_seed_same_puzzle(geometry in any_geometry(), seed: u64) {
            prop_assert_eq!(
                made(geometry, Difficulty::Minimal, seed),
                made(geometry, Difficulty::Minimal, seed)
            );
        }
    }
}
