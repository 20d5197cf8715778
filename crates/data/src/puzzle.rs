//! A question together with what is known about it.

use std::fmt::Display;
use std::sync::Arc;

use crate::board::Board;
use crate::fault::Invalid;
use crate::read::COLUMNS;

/// A kind of grid that puzzles are made of: a [`Board`] of Sudoku, a [`Maze`](crate::maze::Maze), or a
/// [`Grid`](crate::grid::Grid) of a format of your own. As text it is one line, row by row.
pub trait Cells: Sized + Display {
    /// Whether a line of a file may be a comment or blank; not where `#` is a wall and a space a way.
    const COMMENTS: bool;

    /// What must be known beforehand to read one.
    type Format: Clone;

    /// Reads a line of text.
    ///
    /// # Errors
    /// When the text is not such a grid.
    fn parse(line: &str, format: &Self::Format) -> Result<Self, Invalid>;

    /// Fails unless this can be asked; whether it has just one answer is another matter.
    ///
    /// # Errors
    /// The first fault.
    fn check_question(&self) -> Result<(), Invalid>;

    /// Fails unless this is an answer to `question`.
    ///
    /// # Errors
    /// The first fault.
    fn check_answer(&self, question: &Self) -> Result<(), Invalid>;

    /// Rows and columns.
    fn size(&self) -> (usize, usize);

    /// The network's tokens, (rows, cols).
    fn tokens(&self) -> Vec<u8>;

    /// A number that all images of this question under the task's symmetries share.
    fn fingerprint(&self) -> u64;
}

/// One row of a puzzle file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Puzzle<G = Board> {
    /// Where the puzzle comes from; shared, because millions of rows carry the same few names.
    pub source: Arc<str>,
    /// The grid to be completed.
    pub question: G,
    /// The completed grid, if the file gives it.
    pub answer: Option<G>,
    /// How hard the puzzle is, on the scale of its file; generated Sudokus use
    /// [`Solution::guesses`](crate::solver::Solution::guesses), generated mazes the steps from start to goal.
    pub rating: Option<u64>,
}

impl<G> Puzzle<G> {
    /// A bare question, with an empty source and nothing else known.
    pub fn of(question: G) -> Puzzle<G> {
        Puzzle {
            source: "".into(),
            question,
            answer: None,
            rating: None,
        }
    }
}

impl<G: Cells> Puzzle<G> {
    /// Checks that the question and the answer obey the rules and agree with each other.
    ///
    /// It does not search: whether the answer is the only one is for
    /// [`solver::count_solutions`](crate::solver::count_solutions).
    ///
    /// # Errors
    /// The column, `question` or `answer`, and its first fault.
    pub fn check(&self) -> Result<(), (&'static str, Invalid)> {
        let question = &self.question;
        question.check_question().map_err(|why| ("question", why))?;
        match &self.answer {
            Some(answer) => answer.check_answer(question).map_err(|why| ("answer", why)),
            None => Ok(()),
        }
    }

    /// The fields to be written, in the order of [`COLUMNS`].
    pub fn record(&self) -> [String; COLUMNS.len()] {
        let answer = self.answer.as_ref().map(G::to_string);
        let rating = self.rating.map(|rating| rating.to_string());
        [
            self.source.to_string(),
            self.question.to_string(),
            answer.unwrap_or_default(),
            rating.unwrap_or_default(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(question: &str, answer: &str) -> String {
        let question: Board = question.parse().unwrap();
        let answer = (!answer.is_empty()).then(|| answer.parse().unwrap());
        let puzzle = Puzzle {
            answer,
            ..Puzzle::of(question)
        };
        puzzle
            .check()
            .err()
            .map_or(String::new(), |(column, why)| format!("{column}: {why}"))
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
