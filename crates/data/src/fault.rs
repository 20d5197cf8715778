//! What can be wrong with a puzzle file, told so that a person can mend it.

use std::fmt;
use std::io;
use std::path::Path;

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

/// The kinds of fault, as far as anyone acts on them.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file cannot be opened.
    #[error("cannot open this file: {0}; check the path and the permissions")]
    Open(io::Error),
    /// The file stopped being readable.
    #[error("cannot read on: {0}")]
    Read(io::Error),
    /// There is nothing in the file.
    #[error(
        "no puzzles here; expected CSV with the header source,question,answer,rating, \
         or one puzzle a line"
    )]
    Empty,
    /// Something in the file is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// What is wrong with a text, a puzzle, a file or an option: the place, what was found, what was expected, what to do.
/// Nobody acts on the difference between two of them, so they are words, built where the fault is found.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    /// What is wrong, behind the file in which it is.
    pub(crate) fn at(path: &Path, what: impl fmt::Display) -> Invalid {
        Invalid(format!("{}: {what}", path.display()))
    }
}

/// The beginning of a line as a literal, for a message: a file of another kind may have a line of megabytes.
pub(crate) fn beginning(line: &str) -> String {
    const MOST: usize = 80;
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}…", &line[..end]),
        None => format!("{line:?}"),
    }
}
