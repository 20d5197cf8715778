//! A question together with what is known about it.

use std::sync::Arc;

use crate::board::{Board, Conflict};
use crate::fault::Fault;
use crate::geometry::Geometry;
use crate::read::{Fields, Row, RowFault, text};
use crate::split;

/// One row of a puzzle file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Puzzle {
    /// Where the puzzle comes from; shared, because millions of rows carry the same few names.
    pub source: Arc<str>,
    /// The board to be completed.
    pub question: Board,
    /// The completed board, if the file gives it.
    pub answer: Option<Board>,
    /// How hard the puzzle is, on the scale of its file; generated puzzles use
    /// [`Solution::guesses`](crate::solver::Solution::guesses).
    pub rating: Option<u64>,
}

impl Puzzle {
    /// A bare question, with an empty source and nothing else known.
    pub fn of(question: Board) -> Puzzle {
        Puzzle {
            source: "".into(),
            question,
            answer: None,
            rating: None,
        }
    }

    /// Checks that the question's givens and the answer obey the rules and agree with each other.
    ///
    /// It does not search: whether the answer is the only one is for
    /// [`solver::count_solutions`](crate::solver::count_solutions).
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(&self) -> Result<(), PuzzleError> {
        let geometry = self.question.geometry();
        if let Some(conflict) = self.question.conflicts().next() {
            return Err(PuzzleError::Question(conflict));
        }
        let Some(answer) = &self.answer else {
            return Ok(());
        };
        if answer.geometry() != geometry {
            return Err(PuzzleError::Sizes {
                question: geometry,
                answer: answer.geometry(),
            });
        }
        if let Some(cell) = answer.digits().iter().position(|&digit| digit == 0) {
            return Err(PuzzleError::Blank { geometry, cell });
        }
        if let Some(cell) = answer.first_change_from(&self.question) {
            let (given, found) = (self.question.get(cell), answer.get(cell));
            return Err(PuzzleError::GivenChanged {
                geometry,
                cell,
                given,
                found,
            });
        }
        answer
            .conflicts()
            .next()
            .map_or(Ok(()), |conflict| Err(PuzzleError::Answer(conflict)))
    }
}

impl Row for Puzzle {
    const COMMENTS: bool = true;

    type Format = ();

    fn from_fields(fields: Fields<'_>, (): &()) -> Result<Puzzle, RowFault> {
        let board = |column, field| {
            let board = text(field).and_then(|text| text.parse().map_err(Fault::Board));
            board.map_err(|fault| RowFault { column, fault })
        };
        let puzzle = Puzzle {
            source: fields.source,
            question: board(Some("question"), fields.question)?,
            answer: fields
                .answer
                .map(|field| board(Some("answer"), field))
                .transpose()?,
            rating: fields.rating,
        };
        match puzzle.check() {
            Ok(()) => Ok(puzzle),
            Err(error) => Err(RowFault {
                column: Some(error.column()),
                fault: Fault::Puzzle(error),
            }),
        }
    }

    fn size(&self) -> (usize, usize) {
        let side = self.question.geometry().side();
        (side, side)
    }

    fn source(&self) -> &Arc<str> {
        &self.source
    }

    fn tokens(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let tokens = |board: &Board| {
            let mut tokens = vec![0; board.digits().len()];
            board.tokens_into(&mut tokens);
            tokens
        };
        (tokens(&self.question), self.answer.as_ref().map(tokens))
    }

    fn fingerprint(&self) -> u64 {
        split::fingerprint(&self.question)
    }

    fn record(&self) -> [String; 4] {
        let or_empty = |text: Option<String>| text.unwrap_or_default();
        [
            self.source.to_string(),
            self.question.to_string(),
            or_empty(self.answer.map(|answer| answer.to_string())),
            or_empty(self.rating.map(|rating| rating.to_string())),
        ]
    }
}

/// Why a question and its answer are no puzzle.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PuzzleError {
    /// Two givens break the rules, so there is no solution.
    #[error("the givens contradict each other: {0}")]
    Question(Conflict),
    /// Question and answer have different shapes.
    #[error("the answer is {answer}, but its question is {question}")]
    Sizes {
        /// Shape of the question.
        question: Geometry,
        /// Shape of the answer.
        answer: Geometry,
    },
    /// The answer is not complete.
    #[error("the answer is blank at {}; it must be a full grid", geometry.cell_name(*cell))]
    Blank {
        /// Shape of the board.
        geometry: Geometry,
        /// The first blank cell.
        cell: usize,
    },
    /// The answer does not keep a given.
    #[error(
        "the answer has {found} at {}, but the question gives {given} there",
        geometry.cell_name(*cell)
    )]
    GivenChanged {
        /// Shape of the board.
        geometry: Geometry,
        /// The first such cell.
        cell: usize,
        /// Digit in the question.
        given: u8,
        /// Digit in the answer.
        found: u8,
    },
    /// The answer is full but breaks the rules.
    #[error("the answer is not a valid grid: {0}")]
    Answer(Conflict),
}

impl PuzzleError {
    /// The column of a puzzle file that holds the fault: `question` or `answer`.
    pub fn column(&self) -> &'static str {
        match self {
            PuzzleError::Question(_) => "question",
            _ => "answer",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(question: &str, answer: &str) -> String {
        let question = question.parse().unwrap();
        let answer = (!answer.is_empty()).then(|| answer.parse().unwrap());
        let puzzle = Puzzle {
            answer,
            ..Puzzle::of(question)
        };
        puzzle
            .check()
            .err()
            .map_or(String::new(), |e| format!("{}: {e}", e.column()))
    }

    #[test]
    fn sound_puzzles_pass() {
        assert_eq!(fault("1.2..231..12.1..", "1324423134122143"), "");
        assert_eq!(fault("1.2..231..12.1..", ""), "");
    }

    #[test]
    fn each_fault_is_told_with_its_cell() {
        let question = "1.2..231..12.1..";
        assert_eq!(
            fault("1.21............", ""),
            "question: the givens contradict each other: digit 1 stands twice in row 1: at r1c1 and at r1c4"
        );
        assert_eq!(
            fault(question, &".".repeat(36)),
            "answer: the answer is 6x6, but its question is 4x4"
        );
        assert_eq!(
            fault(question, "132442313412214."),
            "answer: the answer is blank at r4c4; it must be a full grid"
        );
        assert_eq!(
            fault(question, "2134431212433421"),
            "answer: the answer has 2 at r1c1, but the question gives 1 there"
        );
        assert_eq!(
            fault(question, "1324423134122144"),
            "answer: the answer is not a valid grid: digit 4 stands twice in row 4: at r4c3 and at r4c4"
        );
    }
}
