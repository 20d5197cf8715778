//! A question together with what is known about it.

use std::sync::Arc;

use crate::board::Board;
use crate::fault::Invalid;
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
    /// The column, `question` or `answer`, and its first fault.
    pub fn check(&self) -> Result<(), (&'static str, Invalid)> {
        check_question(&self.question).map_err(|why| ("question", why))?;
        let answer = self.answer.as_ref();
        answer.map_or(Ok(()), |answer| {
            check_answer(answer, &self.question).map_err(|why| ("answer", why))
        })
    }
}

fn check_question(question: &Board) -> Result<(), Invalid> {
    match question.conflicts().next() {
        Some(conflict) => Err(Invalid(format!(
            "the givens contradict each other: {conflict}"
        ))),
        None => Ok(()),
    }
}

fn check_answer(answer: &Board, question: &Board) -> Result<(), Invalid> {
    let geometry = question.geometry();
    if answer.geometry() != geometry {
        return Err(Invalid(format!(
            "the answer is {}, but its question is {geometry}",
            answer.geometry()
        )));
    }
    if let Some(cell) = answer.digits().iter().position(|&digit| digit == 0) {
        return Err(Invalid(format!(
            "the answer is blank at {}; it must be a full grid",
            geometry.cell_name(cell)
        )));
    }
    if let Some(cell) = answer.first_change_from(question) {
        return Err(Invalid(format!(
            "the answer has {} at {}, but the question gives {} there",
            answer.get(cell),
            geometry.cell_name(cell),
            question.get(cell)
        )));
    }
    match answer.conflicts().next() {
        Some(conflict) => Err(Invalid(format!(
            "the answer is not a valid grid: {conflict}"
        ))),
        None => Ok(()),
    }
}

impl Row for Puzzle {
    const COMMENTS: bool = true;

    type Format = ();

    fn from_fields(fields: Fields<'_>, (): &()) -> Result<Puzzle, RowFault> {
        let board = |column, field| {
            let board = text(field).and_then(str::parse);
            board.map_err(|why| RowFault::new(column, why))
        };
        let puzzle = Puzzle {
            source: fields.source,
            question: board("question", fields.question)?,
            answer: fields
                .answer
                .map(|field| board("answer", field))
                .transpose()?,
            rating: fields.rating,
        };
        match puzzle.check() {
            Ok(()) => Ok(puzzle),
            Err((column, why)) => Err(RowFault::unsound(column, why)),
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
