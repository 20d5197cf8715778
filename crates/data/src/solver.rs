//! A classical solver, used to make puzzles and to check them; the network never sees it.
//!
//! For every cell it keeps the set of digits that are still possible there, as a bit mask, and repeats two
//! deductions until neither finds anything:
//!
//! * *naked single*: a cell with one candidate left has that digit, so its peers cannot;
//! * *hidden single*: a digit that fits only one cell of a unit stands there.
//!
//! Where these *singles* do not finish, it guesses: it takes the cell with the fewest candidates (the
//! first such cell), tries them in ascending order, and deduces again after each try. The number of tries
//! until the solution is reached is the puzzle's rating; 0 means, and only means, that singles solve it.
//! The rating depends on this one order of search, so it is noisy for a single puzzle.

use crate::board::Board;
use crate::geometry::{Geometry, MAX_CELLS};

/// A solved board and what it cost to find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Solution {
    /// The full grid.
    pub board: Board,
    /// Guesses tried until it was reached: the rating.
    pub guesses: u64,
}

/// The first solution in search order, or `None` if the board has none.
pub fn solve(question: &Board) -> Option<Solution> {
    search(question, 1, u64::MAX).first
}

/// The number of solutions, but at most `limit`: 2 is enough to know whether there is exactly one.
pub fn count_solutions(question: &Board, limit: usize) -> usize {
    search(question, limit, u64::MAX).solutions
}

/// [`count_solutions`] by at most so many `guesses`, or `None` if that is not enough to know: there are boards of few
/// clues and no solution whose search nobody would wait for.
pub fn count_solutions_within(question: &Board, limit: usize, guesses: u64) -> Option<usize> {
    let search = search(question, limit, guesses);
    (!search.gave_up).then_some(search.solutions)
}

/// The rating: guesses tried until the first solution is reached, or `None` if there is no solution.
pub fn rating(question: &Board) -> Option<u64> {
    solve(question).map(|solution| solution.guesses)
}

/// The solution if naked and hidden singles alone find it; it is then the only one.
pub fn solve_by_singles(question: &Board) -> Option<Board> {
    Candidates::of(question)
        .filter(|c| c.fewest().is_none())
        .map(|c| c.board())
}

/// A depth-first search and what it has found so far.
struct Search {
    limit: usize,
    most_guesses: u64,
    guesses: u64,
    gave_up: bool,
    solutions: usize,
    first: Option<Solution>,
}

/// Searches until `limit` solutions are found, `most_guesses` tried, or all is seen.
fn search(question: &Board, limit: usize, most_guesses: u64) -> Search {
    let mut search = Search {
        limit,
        most_guesses,
        guesses: 0,
        gave_up: false,
        solutions: 0,
        first: None,
    };
    if let Some(candidates) = Candidates::of(question).filter(|_| limit > 0) {
        search.explore(&candidates);
    }
    search
}

impl Search {
    /// Walks all completions of a deduced state until `limit` solutions are found, or no guess is left.
    fn explore(&mut self, state: &Candidates) {
        let Some(cell) = state.fewest() else {
            self.solutions += 1;
            self.first.get_or_insert_with(|| Solution {
                board: state.board(),
                guesses: self.guesses,
            });
            return;
        };
        for digit in state.digits_of(cell) {
            if self.guesses == self.most_guesses {
                self.gave_up = true;
                return;
            }
            self.guesses += 1;
            if let Some(next) = state.with(cell, digit) {
                self.explore(&next);
            }
            if self.solutions >= self.limit {
                return;
            }
        }
    }
}

/// The digits that are still possible in every cell, with all singles deduced.
#[derive(Clone)]
pub(crate) struct Candidates {
    geometry: Geometry,
    masks: [u16; MAX_CELLS], // bit d-1 is set while digit d is possible
    settled: u128,           // bit c is set once cell c has one candidate and its peers were told
}

impl Candidates {
    /// Deduces from the givens; `None` if they contradict each other.
    pub(crate) fn of(question: &Board) -> Option<Candidates> {
        let geometry = question.geometry();
        let full = (1 << geometry.side()) - 1;
        let mut state = Candidates {
            geometry,
            masks: [full; MAX_CELLS],
            settled: 0,
        };
        for (cell, &digit) in question.digits().iter().enumerate() {
            if digit != 0 {
                state.restrict(cell, 1 << (digit - 1))?;
            }
        }
        state.hidden_singles()?;
        Some(state)
    }

    /// The state after writing a digit and deducing; `None` if it leads to a contradiction.
    pub(crate) fn with(&self, cell: usize, digit: u8) -> Option<Candidates> {
        let mut next = self.clone();
        next.restrict(cell, 1 << (digit - 1))?;
        next.hidden_singles()?;
        Some(next)
    }

    /// The unsettled cell with the fewest candidates, the first of them; `None` when all are settled.
    pub(crate) fn fewest(&self) -> Option<usize> {
        let open = (0..self.geometry.cells()).filter(|cell| self.settled >> cell & 1 == 0);
        open.min_by_key(|&cell| self.masks[cell].count_ones())
    }

    /// The digits possible in a cell, ascending.
    pub(crate) fn digits_of(&self, cell: usize) -> impl Iterator<Item = u8> + use<> {
        let mask = self.masks[cell];
        (1..=9).filter(move |digit| mask >> (digit - 1) & 1 == 1)
    }

    /// The board of a state in which every cell is settled.
    pub(crate) fn board(&self) -> Board {
        let mut board = Board::blank(self.geometry);
        for (cell, mask) in self.masks[..self.geometry.cells()].iter().enumerate() {
            board.set(cell, mask.trailing_zeros() as u8 + 1);
        }
        board
    }

    /// Keeps only the candidates in `mask`, and follows the naked singles that this makes.
    fn restrict(&mut self, cell: usize, mask: u16) -> Option<()> {
        self.masks[cell] &= mask;
        let left = self.masks[cell];
        if left == 0 {
            return None;
        }
        if left.is_power_of_two() && self.settled >> cell & 1 == 0 {
            self.settled |= 1 << cell;
            for &peer in self.geometry.peers(cell) {
                if self.masks[usize::from(peer)] & left != 0 {
                    self.restrict(usize::from(peer), !left)?;
                }
            }
        }
        Some(())
    }

    /// Settles digits that fit only one cell of a unit, until there are none; fails if a digit fits nowhere.
    fn hidden_singles(&mut self) -> Option<()> {
        let full = (1 << self.geometry.side()) - 1;
        loop {
            let before = self.settled;
            for unit in self.geometry.units() {
                let cells = self.geometry.unit_cells(unit);
                let (mut once, mut twice) = (0, 0);
                for &cell in cells {
                    let mask = self.masks[usize::from(cell)];
                    twice |= once & mask;
                    once |= mask;
                }
                if once != full {
                    return None;
                }
                let hidden = once & !twice;
                for cell in cells.iter().map(|&cell| usize::from(cell)) {
                    let here = self.masks[cell] & hidden;
                    if !here.is_power_of_two() && here != 0 {
                        return None; // two digits have only this cell
                    }
                    if self.settled >> cell & 1 == 0 && here != 0 {
                        self.restrict(cell, here)?;
                    }
                }
            }
            if self.settled == before {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{any_generated, brute_force_count, unique_solution};
    use proptest::prelude::*;

    /// Rows of generated puzzle files whose ratings come from an independent program: question, answer, rating.
    const RATED: [(&str, &str, u64); 9] = [
        (
            "....7..45...2.......7..9...6.9..........1...8..24.83.....5..1..5.4..3..9.6.1...7.",
            "236871945891245637457639812689327451345916728172458396728594163514763289963182574",
            2,
        ),
        (
            ".2...67..9...8.4.5.......2629..4..1.....21....5.9.....8.....2..........34..7...98",
            "523416789961287435748359126296845317387621954154973862839564271672198543415732698",
            48,
        ),
        (
            "8.....5...5...2.43....7...6375..6.1...4....6.....4...7..6.91...29.....8......49..",
            "862413579759682143143579826375926418914738265628145397436891752291357684587264931",
            4,
        ),
        (
            ".62...5.....3......8.7.9.2.....1.8..95...6....1897.......4..3..2.....9.......8.51",
            "362184579197325486584769123726513894953846217418972635875491362231657948649238751",
            2,
        ),
        (
            "..7..8.1.1.54..6.39..21......9.5....3.......8.8..73............65......4.9..2.15.",
            "467538912125497683938216475249851367371642598586973241714365829652189734893724156",
            5,
        ),
        (
            ".3.76..91.9.2........59.736.78.5.42...3...6.5.1.3..9788294.5.6...4.8.15..57..384.",
            "435768291796231584281594736678159423943872615512346978829415367364987152157623849",
            0,
        ),
        (
            "32.156.65...21..4..5...16..523...61.",
            "324156165432216345453261641523532614",
            0,
        ),
        (
            "..2.......16......5....3.3.....2..65",
            "162534354216243651516423635142421365",
            0,
        ),
        ("1.2..231..12.1..", "1324423134122143", 0),
    ];

    #[test]
    fn ratings_agree_with_another_program() {
        for (question, answer, guesses) in RATED {
            let (question, board) = (question.parse().unwrap(), answer.parse().unwrap());
            assert_eq!(solve(&question), Some(Solution { board, guesses }));
            assert_eq!(unique_solution(&question), Some(board));
            assert_eq!(solve_by_singles(&question), (guesses == 0).then_some(board));
        }
    }

    #[test]
    fn all_grids_of_four_are_288() {
        let blank = Board::blank(Geometry::Four);
        assert_eq!(count_solutions(&blank, usize::MAX), 288);
        assert_eq!(count_solutions(&blank, 17), 17);
        assert_eq!(count_solutions(&blank, 0), 0);
        assert_eq!(unique_solution(&blank), None);
    }

    #[test]
    fn impossible_boards_have_no_solution() {
        for line in [
            "11..............",
            "12....3...4.....",
            "1234....5.......4......3............",
        ] {
            let board: Board = line.parse().unwrap();
            assert_eq!(
                count_solutions(&board, 2),
                brute_force_count(&board, 2),
                "{line}"
            );
        }
        assert_eq!(rating(&"11..............".parse().unwrap()), None);
    }

    #[test]
    fn a_search_ends_after_its_guesses() {
        let hard: Board = RATED[1].0.parse().unwrap();
        let all = search(&hard, 2, u64::MAX).guesses;
        assert_eq!(count_solutions_within(&hard, 2, all), Some(1));
        assert_eq!(count_solutions_within(&hard, 2, all - 1), None);
        // Two solutions are two, however many more there may be.
        let blank = Board::blank(Geometry::Nine);
        assert_eq!(count_solutions_within(&blank, 2, 200), Some(2));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn counts_agree_with_brute_force(cells in prop::collection::vec((0usize..16, 1u8..=4), 0..7)) {
            let mut board = Board::blank(Geometry::Four);
            cells.into_iter().for_each(|(cell, digit)| board.set(cell, digit));
            let expected = brute_force_count(&board, 300);
            prop_assert_eq!(count_solutions(&board, 300), expected);
            prop_assert_eq!(solve(&board).is_some(), expected > 0);
        }

        #[test]
        fn solutions_keep_the_question(puzzle in any_generated()) {
            let solution = solve(&puzzle.question).unwrap();
            prop_assert!(solution.board.is_valid_solution_of(&puzzle.question));
            prop_assert_eq!(Some(solution.board), puzzle.answer);
        }
    }
}
