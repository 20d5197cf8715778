//! What several test modules share: random values, and a solver too simple to be wrong.

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::augment::Symmetry;
use crate::board::Board;
use crate::fault::ReadError;
use crate::generate::{Difficulty, generate};
use crate::geometry::Geometry;
use crate::puzzle::{Cells, Puzzle};
use crate::read::Reader;
use crate::solver;

/// Random numbers of their own for each `number` under `seed`.
pub(crate) fn stream(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}

/// The solution if there is exactly one.
pub(crate) fn unique_solution(question: &Board) -> Option<Board> {
    let solution = solver::solve(question)?;
    (solver::count_solutions(question, 2) == 1).then_some(solution.board)
}

/// All puzzles of a text that errors call `f`.
pub(crate) fn read_str<G: Cells>(
    text: &str,
    format: G::Format,
) -> Result<Vec<Puzzle<G>>, ReadError> {
    Reader::new(text.as_bytes(), "f", format)?.collect()
}

/// Any shape.
pub(crate) fn any_geometry() -> impl Strategy<Value = Geometry> {
    prop::sample::select(Geometry::ALL.to_vec())
}

/// Any board, mostly against the rules.
pub(crate) fn any_board() -> impl Strategy<Value = Board> {
    any_geometry().prop_flat_map(|g| {
        prop::collection::vec(0..=g.side() as u8, g.cells())
            .prop_map(|digits| Board::from_digits(&digits).unwrap())
    })
}

/// A minimal puzzle of any shape.
pub(crate) fn any_generated() -> impl Strategy<Value = Puzzle> {
    (any_geometry(), any::<u64>())
        .prop_map(|(g, seed)| generate(g, Difficulty::Minimal, &mut stream(seed, 1)).unwrap())
}

/// A random symmetry of one shape.
pub(crate) fn any_symmetry(geometry: Geometry) -> impl Strategy<Value = Symmetry> {
    any::<u64>().prop_map(move |seed| Symmetry::random(geometry, &mut stream(seed, 2)))
}

/// Counts solutions by trying every digit in every blank, at most `limit`.
pub(crate) fn brute_force_count(board: &Board, limit: usize) -> usize {
    if board.conflicts().next().is_some() {
        return 0;
    }
    let Some(cell) = board.digits().iter().position(|&digit| digit == 0) else {
        return 1;
    };
    let mut found = 0;
    for digit in 1..=board.geometry().side() as u8 {
        let mut next = *board;
        next.set(cell, digit);
        found += brute_force_count(&next, limit - found);
        if found >= limit {
            break;
        }
    }
    found
}
