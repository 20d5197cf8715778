//! One grid of digits: the question, the answer, or anything in between.

use std::fmt;
use std::str::FromStr;

use crate::fault::Invalid;
use crate::geometry::{BLANK_TOKEN, Geometry, MAX_CELLS, MAX_SIDE, Unit};
use crate::puzzle::Cells;
use crate::split;

/// A Sudoku grid of 4 x 4, 6 x 6 or 9 x 9 cells, each blank (0) or a digit `1..=side`.
///
/// It lives on the stack and is copied like a number. Nothing says that its digits obey the rules;
/// [`Board::conflicts`] tells.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Board {
    geometry: Geometry,
    cells: [u8; MAX_CELLS], // those past geometry.cells() stay 0, so that == and Hash may look at all
}

impl Board {
    /// A board without digits.
    pub fn blank(geometry: Geometry) -> Board {
        Board {
            geometry,
            cells: [0; MAX_CELLS],
        }
    }

    /// A board of these digits, row by row, 0 for a blank.
    ///
    /// # Errors
    /// If there are not 16, 36 or 81 of them, or one is larger than the side.
    pub fn from_digits(digits: &[u8]) -> Result<Board, Invalid> {
        let geometry = Geometry::from_cells(digits.len());
        let geometry = geometry.ok_or_else(|| no_shape(digits.len()))?;
        let mut board = Board::blank(geometry);
        for (cell, &digit) in digits.iter().enumerate() {
            if usize::from(digit) > geometry.side() {
                return Err(Invalid(format!(
                    "digit {digit} at position {} ({}); a {geometry} board has digits 1 to {}",
                    cell + 1,
                    geometry.cell_name(cell),
                    geometry.side()
                )));
            }
            board.cells[cell] = digit;
        }
        Ok(board)
    }

    /// The board that a network's tokens spell: the inverse of [`Board::tokens_into`].
    ///
    /// A network may answer with any token; those that are no digit (pad, blank, or beyond the
    /// vocabulary) become blanks.
    ///
    /// # Panics
    /// If `tokens.len() != geometry.cells()`.
    pub fn from_tokens(geometry: Geometry, tokens: &[u8]) -> Board {
        assert_eq!(
            tokens.len(),
            geometry.cells(),
            "one token for each cell of a {geometry} board"
        );
        let mut board = Board::blank(geometry);
        for (cell, &token) in board.cells.iter_mut().zip(tokens) {
            let digit = token.saturating_sub(BLANK_TOKEN);
            *cell = if usize::from(digit) <= geometry.side() {
                digit
            } else {
                0
            };
        }
        board
    }

    /// Writes the network's tokens: `token = digit + 1`, so a blank is 1 and 0 is left for the pad.
    ///
    /// # Panics
    /// If `tokens.len() != geometry.cells()`.
    pub fn tokens_into(&self, tokens: &mut [u8]) {
        assert_eq!(tokens.len(), self.digits().len(), "one token for each cell");
        for (token, &digit) in tokens.iter_mut().zip(self.digits()) {
            *token = digit + BLANK_TOKEN;
        }
    }

    /// The shape of this board.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The digits row by row, 0 for a blank; `side * side` of them.
    pub fn digits(&self) -> &[u8] {
        &self.cells[..self.geometry.cells()]
    }

    /// The digit of a cell, 0 if it is blank.
    ///
    /// # Panics
    /// If the board has no such cell.
    pub fn get(&self, cell: usize) -> u8 {
        self.digits()[cell]
    }

    /// Writes a digit, or blanks the cell with 0.
    ///
    /// # Panics
    /// If the board has no such cell or `digit > side`.
    pub fn set(&mut self, cell: usize, digit: u8) {
        let geometry = self.geometry;
        assert!(
            usize::from(digit) <= geometry.side(),
            "digit {digit} on a {geometry} board"
        );
        self.cells[..geometry.cells()][cell] = digit;
    }

    /// Number of cells that are not blank.
    pub fn givens(&self) -> usize {
        self.digits().iter().filter(|&&digit| digit != 0).count()
    }

    /// The grid for people, several lines drawn with `+`, `-` and `|` so that any terminal shows them.
    pub fn render(&self) -> String {
        let g = self.geometry();
        let over_box = format!("{}+", "-".repeat(2 * g.box_cols() + 1));
        let rule = format!("+{}\n", over_box.repeat(g.side() / g.box_cols()));
        let mut out = String::new();
        for (row, digits) in self.digits().chunks(g.side()).enumerate() {
            if row % g.box_rows() == 0 {
                out += &rule;
            }
            for box_digits in digits.chunks(g.box_cols()) {
                out.push('|');
                box_digits
                    .iter()
                    .for_each(|&digit| out.extend([' ', character(digit)]));
                out.push(' ');
            }
            out += "|\n";
        }
        out + &rule
    }

    /// Every digit that stands twice in one row, column or box; empty when the rules are kept.
    ///
    /// A third copy in the same unit is reported against the first.
    pub fn conflicts(&self) -> impl Iterator<Item = Conflict> + '_ {
        self.geometry
            .units()
            .flat_map(|unit| self.conflicts_in(unit))
    }

    fn conflicts_in(&self, unit: Unit) -> impl Iterator<Item = Conflict> + '_ {
        let geometry = self.geometry;
        let mut first_with = [None; MAX_SIDE + 1];
        geometry.unit_cells(unit).iter().filter_map(move |&cell| {
            let (cell, digit) = (usize::from(cell), self.cells[usize::from(cell)]);
            match first_with[usize::from(digit)] {
                _ if digit == 0 => None,
                Some(first) => Some(Conflict {
                    geometry,
                    unit,
                    digit,
                    cells: [first, cell],
                }),
                None => {
                    first_with[usize::from(digit)] = Some(cell);
                    None
                }
            }
        })
    }

    /// Whether the board is full and keeps the rules.
    pub fn is_solved(&self) -> bool {
        self.givens() == self.digits().len() && self.conflicts().next().is_none()
    }

    /// Whether this is a solved board that keeps every given of `question`.
    pub fn is_valid_solution_of(&self, question: &Board) -> bool {
        self.is_solved()
            && question.geometry == self.geometry
            && self.first_change_from(question).is_none()
    }

    /// The first cell whose given in `question` this board does not keep.
    pub(crate) fn first_change_from(&self, question: &Board) -> Option<usize> {
        let mut pairs = question.digits().iter().zip(self.digits());
        pairs.position(|(&given, &digit)| given != 0 && given != digit)
    }
}

/// What is wrong with a number of cells that belongs to no shape.
fn no_shape(found: usize) -> Invalid {
    Invalid(format!(
        "{found} cells, but a board has 16 (4x4), 36 (6x6) or 81 (9x9)"
    ))
}

/// The character of a digit: `.` for a blank.
fn character(digit: u8) -> char {
    if digit == 0 {
        '.'
    } else {
        char::from(b'0' + digit)
    }
}

impl fmt::Display for Board {
    /// Writes the board as one line, row by row, with `.` for a blank; parsing it gives the board back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line: String = self
            .digits()
            .iter()
            .map(|&digit| character(digit))
            .collect();
        f.pad(&line)
    }
}

impl FromStr for Board {
    type Err = Invalid;

    /// Reads one line of 16, 36 or 81 characters: `.` or `0` for a blank, else a digit `1..=side`.
    fn from_str(line: &str) -> Result<Board, Invalid> {
        // Foreign characters come first: they explain a wrong length better than the count does.
        let mut digits = [0; MAX_CELLS];
        let mut found = 0;
        for character in line.chars() {
            let digit = match character {
                '.' => 0,
                '0'..='9' => character as u8 - b'0',
                _ => {
                    return Err(Invalid(format!(
                        "character {character:?} at position {}; expected a digit, or '.' or '0' for a blank",
                        found + 1
                    )));
                }
            };
            if let Some(slot) = digits.get_mut(found) {
                *slot = digit;
            }
            found += 1;
        }
        Board::from_digits(digits.get(..found).ok_or_else(|| no_shape(found))?)
    }
}

impl Cells for Board {
    const COMMENTS: bool = true;

    type Format = ();

    fn parse(line: &str, (): &()) -> Result<Board, Invalid> {
        line.parse()
    }

    fn check_question(&self) -> Result<(), Invalid> {
        match self.conflicts().next() {
            Some(conflict) => Err(Invalid(format!(
                "the givens contradict each other: {conflict}"
            ))),
            None => Ok(()),
        }
    }

    fn check_answer(&self, question: &Board) -> Result<(), Invalid> {
        let geometry = question.geometry();
        if self.geometry() != geometry {
            return Err(Invalid(format!(
                "the answer is {}, but its question is {geometry}",
                self.geometry()
            )));
        }
        if let Some(cell) = self.digits().iter().position(|&digit| digit == 0) {
            return Err(Invalid(format!(
                "the answer is blank at {}; it must be a full grid",
                geometry.cell_name(cell)
            )));
        }
        if let Some(cell) = self.first_change_from(question) {
            return Err(Invalid(format!(
                "the answer has {} at {}, but the question gives {} there",
                self.get(cell),
                geometry.cell_name(cell),
                question.get(cell)
            )));
        }
        match self.conflicts().next() {
            Some(conflict) => Err(Invalid(format!(
                "the answer is not a valid grid: {conflict}"
            ))),
            None => Ok(()),
        }
    }

    fn size(&self) -> (usize, usize) {
        (self.geometry.side(), self.geometry.side())
    }

    fn tokens(&self) -> Vec<u8> {
        let mut tokens = vec![0; self.digits().len()];
        self.tokens_into(&mut tokens);
        tokens
    }

    fn fingerprint(&self) -> u64 {
        split::fingerprint(self)
    }
}

/// One digit that stands twice in one unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// Shape of the board.
    pub geometry: Geometry,
    /// Where the two cells meet.
    pub unit: Unit,
    /// The digit in both cells.
    pub digit: u8,
    /// The two cells, in ascending order.
    pub cells: [usize; 2],
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.cells.map(|cell| self.geometry.cell_name(cell));
        write!(
            f,
            "digit {} stands twice in {}: at {first} and at {second}",
            self.digit, self.unit
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::any_board;
    use proptest::prelude::*;

    const QUESTION: &str = "1.2..231..12.1..";
    const ANSWER: &str = "1324423134122143";

    #[test]
    fn text_and_back() {
        let board: Board = QUESTION.parse().unwrap();
        assert_eq!(board.to_string(), QUESTION);
        assert_eq!(QUESTION.replace('.', "0").parse::<Board>().unwrap(), board);
        assert_eq!((board.givens(), board.get(2), board.get(1)), (8, 2, 0));
    }

    #[test]
    fn errors_name_the_place_and_what_was_expected() {
        let error = |line: &str| line.parse::<Board>().unwrap_err().to_string();
        assert_eq!(
            error(""),
            "0 cells, but a board has 16 (4x4), 36 (6x6) or 81 (9x9)"
        );
        assert!(error(&"1".repeat(10_000)).starts_with("10000 cells"));
        assert_eq!(
            error("1.2x"),
            "character 'x' at position 4; expected a digit, or '.' or '0' for a blank"
        );
        assert!(error("é").contains("'é' at position 1"));
        assert_eq!(
            error("1.2..251..12.1.."),
            "digit 5 at position 7 (r2c3); a 4x4 board has digits 1 to 4"
        );
    }

    #[test]
    fn solved_means_full_and_without_conflict() {
        let question: Board = QUESTION.parse().unwrap();
        let answer: Board = ANSWER.parse().unwrap();
        assert!(answer.is_solved() && answer.is_valid_solution_of(&question));
        assert!(!question.is_solved());
        let other: Board = "2134431212433421".parse().unwrap(); // a grid, but not of this question
        assert!(other.is_solved() && !other.is_valid_solution_of(&question));
        assert!(!answer.is_valid_solution_of(&Board::blank(Geometry::Six)));
    }

    #[test]
    fn conflicts_name_unit_and_cells() {
        let board: Board = "1...1.......1...".parse().unwrap();
        let told: Vec<_> = board.conflicts().map(|c| c.to_string()).collect();
        assert_eq!(
            told,
            [
                "digit 1 stands twice in column 1: at r1c1 and at r2c1",
                "digit 1 stands twice in column 1: at r1c1 and at r4c1",
                "digit 1 stands twice in box 1: at r1c1 and at r2c1",
            ]
        );
    }

    #[test]
    fn four_in_ascii() {
        let four: Board = "1.2..231..12.1..".parse().unwrap();
        let expected = "+-----+-----+\n| 1 . | 2 . |\n| . 2 | 3 1 |\n+-----+-----+\n\
                        | . . | 1 2 |\n| . 1 | . . |\n+-----+-----+\n";
        assert_eq!(four.render(), expected);
    }

    #[test]
    fn six_has_boxes_of_two_rows() {
        let row = "| . . . | . . . |\n".repeat(2);
        let rule = "+-------+-------+\n";
        let expected = format!("{rule}{row}{rule}{row}{rule}{row}{rule}");
        assert_eq!(Board::blank(Geometry::Six).render(), expected);
    }

    #[test]
    fn set_stays_inside_the_board() {
        let four = Board::blank(Geometry::Four);
        for (cell, digit) in [(16, 1), (0, 5)] {
            let mut board = four;
            assert!(std::panic::catch_unwind(move || board.set(cell, digit)).is_err());
        }
    }

    proptest! {
        #[test]
        fn parse_of_display_is_identity(board in any_board()) {
            prop_assert_eq!(board.to_string().parse::<Board>(), Ok(board));
        }

        #[test]
        fn tokens_round_trip(board in any_board()) {
            let mut tokens = vec![0; board.geometry().cells()];
            board.tokens_into(&mut tokens);
            prop_assert!(tokens.iter().all(|&t| t >= 1 && usize::from(t) < board.geometry().vocab()));
            prop_assert_eq!(Board::from_tokens(board.geometry(), &tokens), board);
        }

        #[test]
        fn any_tokens_make_a_board(tokens in prop::collection::vec(any::<u8>(), 36)) {
            let board = Board::from_tokens(Geometry::Six, &tokens);
            for (&token, &digit) in tokens.iter().zip(board.digits()) {
                prop_assert_eq!(digit, if (2..=7).contains(&token) { token - 1 } else { 0 });
            }
        }
    }
}
