//! What can be wrong with a puzzle file, told so that a person can mend it.

use std::fmt;
use std::io;

use crate::board::BoardError;
use crate::grid::GridError;
use crate::maze::MazeError;
use crate::puzzle::PuzzleError;

/// A fault in a puzzle file and its place.
#[derive(Debug)]
pub struct ReadError {
    /// The file, as it was named when it was opened.
    pub file: String,
    /// The line, counted from 1, if the fault is in one.
    pub line: Option<u64>,
    /// The line where the row of a CSV ends, if that is a later one.
    pub last_line: Option<u64>,
    /// The CSV column, if the fault is in one.
    pub column: Option<&'static str>,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for ReadError {
    /// Writes `file, line 3, column question: what is wrong`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}", self.fault)?;
        match self.last_line {
            Some(last) => write!(
                f,
                "; this row ends in line {last}: is a quote in it not closed?"
            ),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.fault)
    }
}

/// The kinds of fault; each message says what is wrong, what was expected, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file cannot be opened.
    #[error("cannot open this file: {0}; check the path and the permissions")]
    Open(io::Error),
    /// The file stopped being readable.
    #[error("cannot read on: {0}")]
    Read(io::Error),
    /// A folder where a file belongs.
    #[error("this is a folder; expected a file of puzzles")]
    Folder,
    /// Trained weights where puzzles belong.
    #[error("this looks like a weights file; expected puzzles, and weights go to --weights")]
    Weights,
    /// There is nothing in the file.
    #[error(
        "no puzzles here; expected CSV with the header source,question,answer,rating, \
         or one puzzle a line"
    )]
    Empty,
    /// The CSV header lacks the one column that must be there.
    #[error(
        "the header has no column \"question\", only {}; a puzzle CSV starts with the line \
         source,question,answer,rating",
        beginning(.found)
    )]
    NoQuestions {
        /// The header as it stands.
        found: String,
    },
    /// A column that is not there, and one that is almost called so.
    #[error(
        "the header has a column {}; if that is {meant:?}, call it so; if not, give it a name less like it",
        beginning(.found)
    )]
    MisspeltColumn {
        /// The name that is there.
        found: String,
        /// The name that is not.
        meant: &'static str,
    },
    /// A header whose fields something else than a comma separates.
    #[error(
        "the fields of this header are separated by {0:?}; separate the fields of every row by commas"
    )]
    Separator(char),
    /// A CSV row with another number of fields than the header.
    #[error("{found} fields, but the header has {expected}; quote fields that contain commas")]
    FieldCount {
        /// Fields in the row.
        found: usize,
        /// Fields in the header.
        expected: usize,
    },
    /// Bytes that are no text.
    #[error("byte {position} is not UTF-8 text; save the file as UTF-8")]
    NotUtf8 {
        /// Place in the line or field, counted from 1.
        position: usize,
    },
    /// Text that is no board.
    #[error("{0}")]
    Board(BoardError),
    /// A question and an answer that are no puzzle.
    #[error("{0}; correct or remove this row")]
    Puzzle(PuzzleError),
    /// Text that is no maze.
    #[error("{0}")]
    Maze(MazeError),
    /// A question and an answer that are no maze.
    #[error("{0}; correct or remove this row")]
    MazePuzzle(MazeError),
    /// Text that is no grid of the format at hand.
    #[error("{0}")]
    Grid(GridError),
    /// A rating that is no number.
    #[error("rating {}; expected a whole number from 0, or nothing", beginning(.found))]
    Rating {
        /// The field as it stands.
        found: String,
    },
    /// Questions of different sizes in one file.
    #[error(
        "a question of {}x{} cells, but the file began with {}x{} at line {line}; put each size into a file of its own",
        found.0, found.1, expected.0, expected.1
    )]
    MixedSizes {
        /// Rows and columns of this one.
        found: (usize, usize),
        /// Rows and columns of the first.
        expected: (usize, usize),
        /// Line of the first row.
        line: u64,
    },
}

/// The beginning of a line as a literal, for a message: a file of another kind may have a line of megabytes.
fn beginning(line: &str) -> String {
    const MOST: usize = 80;
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}…", &line[..end]),
        None => format!("{line:?}"),
    }
}
