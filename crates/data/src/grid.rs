//! Grids of any characters: your own task, without a line of Rust.
//!
//! A [`Format`] says how many rows and columns a grid has, and which characters may stand in it. A question
//! and its answer are two such grids, each written as one line, row by row. A network reads a token for each
//! cell, 1 for the first of the characters and so on, and answers with one; 0 is left for the pad.
//!
//! ```
//! use std::sync::Arc;
//! use trm_data::Puzzle;
//! use trm_data::grid::{Format, Grid, Symmetries};
//! use trm_data::read::Reader;
//!
//! let format = Arc::new(Format::new("parity", 1, 4, "01_", Symmetries::None)?);
//! let text = "source,question,answer,rating\n,011_,0110,\n,010_,0101,\n";
//! let rows = Reader::new(text.as_bytes(), "parity.csv", format)?;
//! let puzzles: Vec<Puzzle<Grid>> = rows.collect::<Result<_, _>>()?;
//! assert_eq!(puzzles[0].question.tokens, [1, 2, 2, 3]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::dihedral::Dihedral;
use crate::fault::Invalid;
use crate::puzzle::Cells;
use crate::split::fnv;
use std::fmt;
use std::sync::Arc;

/// The most cells that a grid may have.
pub const MAX_CELLS: usize = 10_000;

/// The most characters that a format may have: tokens are bytes, and some are taken.
pub const MAX_CHARACTERS: usize = 200;

/// What may be done to a grid, question and answer alike, so that the answer stays right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Symmetries {
    /// Nothing.
    #[default]
    None,
    /// Left and right exchanged.
    Mirror,
    /// Any of the eight rotations and reflections; square grids only.
    Dihedral,
}

/// Shape and characters of the grids of a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Format {
    name: String,
    rows: usize,
    cols: usize,
    /// Token i + 1 is character i.
    characters: Vec<char>,
    symmetries: Symmetries,
}

impl Format {
    /// A format of `rows` x `cols` cells.
    ///
    /// # Errors
    /// When the size or the characters are out of range, or the symmetries do not suit the size.
    pub fn new(
        name: &str,
        rows: usize,
        cols: usize,
        characters: &str,
        symmetries: Symmetries,
    ) -> Result<Format, Invalid> {
        if !(1..=MAX_CELLS).contains(&rows.saturating_mul(cols)) {
            return Err(Invalid(format!(
                "{rows} rows x {cols} cols: expected 1 to {MAX_CELLS} cells"
            )));
        }
        let characters: Vec<char> = characters.chars().collect();
        if !(2..=MAX_CHARACTERS).contains(&characters.len()) {
            return Err(Invalid(format!(
                "{} characters: expected 2 to {MAX_CHARACTERS}",
                characters.len()
            )));
        }
        for (i, &character) in characters.iter().enumerate() {
            if characters[..i].contains(&character) {
                return Err(Invalid(format!(
                    "the character {character:?} is there twice"
                )));
            }
            // By a comma a file of CSV is told from one of plain lines.
            if character.is_control() || character == ',' {
                return Err(Invalid(format!(
                    "the character {character:?} would end a line or a field of a file; choose another"
                )));
            }
        }
        if symmetries == Symmetries::Dihedral && rows != cols {
            return Err(Invalid(format!(
                "{rows} rows x {cols} cols: only a square can be turned; use mirror or none"
            )));
        }
        Ok(Format {
            name: name.to_owned(),
            rows,
            cols,
            characters,
            symmetries,
        })
    }

    /// What the task is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// Cells of a grid.
    pub fn cells(&self) -> usize {
        self.rows * self.cols
    }

    /// Tokens that there are, the pad among them.
    pub fn vocab(&self) -> usize {
        self.characters.len() + 1
    }

    /// What may be done to a grid.
    pub fn symmetries(&self) -> Symmetries {
        self.symmetries
    }

    /// The images that a grid has, the grid itself first.
    pub fn images(&self) -> &'static [Dihedral] {
        match self.symmetries {
            Symmetries::None => &Dihedral::ALL[..1],
            Symmetries::Mirror => &Dihedral::MIRROR,
            Symmetries::Dihedral => &Dihedral::ALL,
        }
    }

    /// The tokens of a line of text, row by row.
    ///
    /// # Errors
    /// When it has another length, or a character that the format does not have.
    pub fn tokens(&self, line: &str) -> Result<Vec<u8>, Invalid> {
        let (found, expected) = (line.chars().count(), self.cells());
        if found != expected {
            return Err(Invalid(format!(
                "{found} characters; expected {expected}, {} rows of {}, with every space kept",
                self.rows, self.cols
            )));
        }
        let token = |(cell, found): (usize, char)| {
            let i = self.characters.iter().position(|&c| c == found);
            i.map(|i| i as u8 + 1).ok_or_else(|| {
                let (row, col) = (cell / self.cols + 1, cell % self.cols + 1);
                let expected: String = self.characters.iter().collect();
                Invalid(format!(
                    "{found:?} in row {row}, column {col}; expected one of {expected:?}"
                ))
            })
        };
        line.chars().enumerate().map(token).collect()
    }

    /// The character of a token; those that mean nothing become `?`.
    fn character(&self, token: u8) -> char {
        let i = usize::from(token).checked_sub(1);
        i.and_then(|i| self.characters.get(i))
            .copied()
            .unwrap_or('?')
    }

    /// Tokens as one line of text: the inverse of [`Format::tokens`].
    pub fn line(&self, tokens: &[u8]) -> String {
        tokens.iter().map(|&token| self.character(token)).collect()
    }

    /// Tokens for people: a row a line, in a frame.
    pub fn render(&self, tokens: &[u8]) -> String {
        let line = format!("+{}+\n", "-".repeat(self.cols));
        let rows = tokens.chunks(self.cols);
        let rows: String = rows.map(|row| format!("|{}|\n", self.line(row))).collect();
        format!("{line}{rows}{line}")
    }
}

/// Tokens in a format.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grid {
    /// Shape and characters.
    pub format: Arc<Format>,
    /// (rows, cols)
    pub tokens: Vec<u8>,
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format.line(&self.tokens))
    }
}

impl Cells for Grid {
    const COMMENTS: bool = false;

    type Format = Arc<Format>;

    fn parse(line: &str, format: &Arc<Format>) -> Result<Grid, Invalid> {
        Ok(Grid {
            format: Arc::clone(format),
            tokens: format.tokens(line)?,
        })
    }

    /// The rules of your own task are not known, so every grid passes.
    fn check_question(&self) -> Result<(), Invalid> {
        Ok(())
    }

    fn check_answer(&self, _question: &Grid) -> Result<(), Invalid> {
        Ok(())
    }

    fn size(&self) -> (usize, usize) {
        self.format.size()
    }

    fn tokens(&self) -> Vec<u8> {
        self.tokens.clone()
    }

    fn fingerprint(&self) -> u64 {
        let (rows, cols) = self.format.size();
        let images = self.format.images().iter();
        let least = images
            .map(|symmetry| symmetry.apply(&self.tokens, rows, cols))
            .min();
        fnv(&least.expect("the identity at least"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::read_str;

    fn format(rows: usize, cols: usize, symmetries: Symmetries) -> Arc<Format> {
        Arc::new(Format::new("test", rows, cols, "ab. ", symmetries).unwrap())
    }

    #[test]
    fn text_and_tokens_round_trip() {
        let format = format(2, 3, Symmetries::None);
        let tokens = format.tokens("ab. .a").unwrap();
        assert_eq!(tokens, [1, 2, 3, 4, 3, 1]);
        assert_eq!(format.line(&tokens), "ab. .a");
        assert_eq!(
            format.render(&[1, 2, 0, 9, 4, 1]),
            "+---+\n|ab?|\n|? a|\n+---+\n"
        );
    }

    #[test]
    fn formats_that_cannot_be_are_refused() {
        let new = |rows, cols, characters, symmetries| {
            Format::new("test", rows, cols, characters, symmetries)
                .unwrap_err()
                .to_string()
        };
        let none = Symmetries::None;
        for (found, expected) in [
            (new(0, 3, "ab", none), "0 rows x 3 cols: expected 1 to"),
            (new(usize::MAX, 3, "ab", none), "cols: expected 1 to"),
            (new(1, 3, "a", none), "1 characters: expected 2 to"),
            (new(1, 3, "aba", none), "the character 'a' is there twice"),
            (new(1, 3, "a\n", none), "'\\n' would end a line or a field"),
            (new(1, 3, "a,", none), "',' would end a line or a field"),
            (
                new(2, 3, "ab", Symmetries::Dihedral),
                "only a square can be turned",
            ),
        ] {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn faults_have_their_place() {
        let format = format(2, 2, Symmetries::None);
        let header = "source,question,answer,rating\n";
        for (row, expected) in [
            (
                "x,abab,aba,",
                "f, line 2, column answer: 3 characters; expected 4, 2 rows of 2",
            ),
            (
                "x,abcb,,",
                "f, line 2, column question: 'c' in row 2, column 1; expected one of \"ab. \"",
            ),
            ("x,abab,abab,hard", "f, line 2, column rating: "),
        ] {
            let error = read_str::<Grid>(&format!("{header}{row}\n"), format.clone())
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let read = read_str::<Grid>(&format!("{header}x,ab  ,\"a.b \",7\n"), format).unwrap();
        assert_eq!(read[0].record(), ["x", "ab  ", "a.b ", "7"]);
    }

    #[test]
    fn images_share_the_fingerprint() {
        let print = |line: &str, symmetries| {
            let format = format(2, 2, symmetries);
            read_str::<Grid>(line, format).unwrap()[0]
                .question
                .fingerprint()
        };
        for (symmetries, mirrored, turned) in [
            (Symmetries::None, false, false),
            (Symmetries::Mirror, true, false),
            (Symmetries::Dihedral, true, true),
        ] {
            assert_eq!(
                print("abbb", symmetries) == print("babb", symmetries),
                mirrored
            );
            assert_eq!(
                print("abbb", symmetries) == print("bbba", symmetries),
                turned
            );
        }
    }
}
