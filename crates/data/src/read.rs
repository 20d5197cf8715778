//! Reading puzzle files, with errors that say where the fault is and what to do about it.
//!
//! Two formats are told apart by the first line that is neither blank nor starts with `#`:
//!
//! * with a comma: **CSV** with the header `source,question,answer,rating`, as Sudoku-Extreme has it. The
//!   columns may stand in any order and among others; all but `question` may be empty or missing. Fields are
//!   taken as they are, never trimmed.
//! * without: **plain lines**, one question each; empty lines are skipped, and for Sudoku also blank ones and
//!   those that start with `#`, which may be content of mazes and grids.
//!
//! All questions of a file have one size. What its fields hold are [`Cells`]: Sudokus ([`Board`]; 16, 36 or
//! 81 characters, `.` or `0` for a blank), mazes ([`Maze`](crate::maze::Maze)), or grids of a format of your own
//! ([`Grid`](crate::grid::Grid)).

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use crate::board::Board;
use crate::fault::{Fault, Invalid, ReadError, beginning};
use crate::lines::Lines;
use crate::puzzle::{Cells, Puzzle};

/// The columns of a puzzle file, in the order in which they are written.
pub const COLUMNS: [&str; 4] = ["source", "question", "answer", "rating"];

/// A row as it stands in the file, never trimmed; no answer where its field is empty or there is no such column.
type Fields<'a> = Puzzle<&'a [u8]>;

/// Reads all puzzles of a file, CSV or plain lines.
///
/// # Errors
/// The first fault, with its place; [`Fault`] lists the kinds.
pub fn read_path<G: Cells>(
    path: impl AsRef<Path>,
    format: G::Format,
) -> Result<Vec<Puzzle<G>>, ReadError> {
    Reader::open(path, format)?.collect()
}

/// Reads the puzzles of a file one after another.
///
/// A faulty row is one `Err` item and the rows after it still come, so that a check can list all faults.
/// When reading itself fails, that is the last item; where there is no row, that is the only one.
pub struct Reader<R, G: Cells = Board> {
    name: String,
    rows: Rows<R>,
    first: Option<((usize, usize), u64)>, // size and line of the first good row
    began: bool,                          // whether there was a row, good or faulty
    ended: bool,
    format: G::Format,
}

/// A fault that is in no line.
fn error_of_file(file: &str, fault: Fault) -> ReadError {
    ReadError {
        file: file.into(),
        line: None,
        last_line: None,
        column: None,
        fault,
    }
}

impl<G: Cells> Reader<BufReader<File>, G> {
    /// Opens a file and reads as far as its first line of content.
    ///
    /// # Errors
    /// If it cannot be opened or read, is empty, or has a CSV header without the column `question`.
    pub fn open(path: impl AsRef<Path>, format: G::Format) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let file = path.display().to_string();
        let source = match File::open(path) {
            _ if path.is_dir() => {
                Err(Invalid("this is a folder; expected a file of puzzles".to_owned()).into())
            }
            Ok(source) => Ok(BufReader::with_capacity(1 << 16, source)),
            Err(e) => Err(Fault::Open(e)),
        };
        match source {
            Ok(source) => Reader::new(source, &file, format),
            Err(fault) => Err(error_of_file(&file, fault)),
        }
    }
}

impl<R: BufRead, G: Cells> Reader<R, G> {
    /// Reads as far as the first line of content; `name` stands for the file in errors.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn new(mut source: R, name: &str, format: G::Format) -> Result<Self, ReadError> {
        let error = |line, fault| ReadError {
            file: name.into(),
            line,
            last_line: None,
            column: None,
            fault,
        };
        let start = source.fill_buf().map_err(|e| error(None, Fault::Read(e)))?;
        if is_safetensors(start) {
            let why =
                "this looks like a weights file; expected puzzles, and weights go to --weights";
            return Err(error(None, Invalid(why.to_owned()).into()));
        }
        let mut lines = Lines::new(source);
        if !lines
            .advance_to_content(G::COMMENTS)
            .map_err(|e| error(None, Fault::Read(e)))?
        {
            return Err(error(None, Fault::Empty));
        }
        let header_line = lines.number();
        let rows = if lines.line().contains(&b',') || lines.line() == COLUMNS[1].as_bytes() {
            let rows = CsvRows::new(lines).map_err(|fault| error(Some(header_line), fault))?;
            Rows::Csv(Box::new(rows))
        } else if let Some(separator) = other_separator(lines.line()) {
            let why = format!(
                "the fields of this header are separated by {separator:?}; separate the fields of every row by commas"
            );
            return Err(error(Some(header_line), Invalid(why).into()));
        } else {
            Rows::Plain(PlainRows {
                lines,
                current_is_new: true,
            })
        };
        Ok(Reader {
            name: name.into(),
            rows,
            first: None,
            began: false,
            ended: false,
            format,
        })
    }

    /// The next puzzle, fully checked; `None` at the end.
    fn next_puzzle(&mut self) -> Result<Option<Puzzle<G>>, RowFault> {
        let fields = match &mut self.rows {
            Rows::Plain(rows) => rows.next(G::COMMENTS)?,
            Rows::Csv(rows) => rows.next()?,
        };
        let Some(fields) = fields else {
            return Ok(None);
        };
        let puzzle = puzzle::<G>(fields, &self.format)?;
        let line = self.line();
        let found = puzzle.question.size();
        let (expected, line) = *self.first.get_or_insert((found, line));
        if found != expected {
            let why = format!(
                "a question of {}x{} cells, but the file began with {}x{} at line {line}; put each size into a file \
                 of its own",
                found.0, found.1, expected.0, expected.1
            );
            return Err(Fault::from(Invalid(why)).into());
        }
        Ok(Some(puzzle))
    }

    /// The line where the row that came last begins, counted from 1.
    pub fn line(&self) -> u64 {
        match &self.rows {
            Rows::Plain(rows) => rows.lines.number(),
            Rows::Csv(rows) => rows.reader.get_ref().began(),
        }
    }

    /// The line where that row ends, if it is a later one: quoted fields may have line breaks.
    fn last_line(&self) -> Option<u64> {
        let Rows::Csv(rows) = &self.rows else {
            return None;
        };
        let last = rows.reader.get_ref().number();
        (last > self.line()).then_some(last)
    }

    /// Adds the place to a row's fault.
    fn located(&self, RowFault { column, fault }: RowFault) -> ReadError {
        ReadError {
            file: self.name.clone(),
            line: Some(self.line()),
            last_line: self.last_line(),
            column: column.filter(|_| matches!(self.rows, Rows::Csv(_))),
            fault,
        }
    }
}

impl<R: BufRead, G: Cells> Iterator for Reader<R, G> {
    type Item = Result<Puzzle<G>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = match self.next_puzzle() {
            Ok(None) if !self.began => {
                self.ended = true;
                return Some(Err(error_of_file(&self.name, Fault::Empty)));
            }
            next => next,
        };
        self.began = true;
        self.ended = matches!(
            next,
            Ok(None)
                | Err(RowFault {
                    fault: Fault::Read(_),
                    ..
                })
        );
        next.map_err(|fault| self.located(fault)).transpose()
    }
}

/// Reads the fields of a row, and checks them against each other.
fn puzzle<G: Cells>(fields: Fields<'_>, format: &G::Format) -> Result<Puzzle<G>, RowFault> {
    let grid = |column, field| {
        let grid = text(field).and_then(|line| G::parse(line, format));
        grid.map_err(|why| RowFault::new(column, why))
    };
    let answer = fields.answer.map(|field| grid("answer", field));
    let puzzle = Puzzle {
        source: fields.source,
        question: grid("question", fields.question)?,
        answer: answer.transpose()?,
        rating: fields.rating,
    };
    match puzzle.check() {
        Ok(()) => Ok(puzzle),
        Err((column, Invalid(why))) => {
            let why = format!("{why}; correct or remove this row");
            Err(RowFault::new(column, Invalid(why)))
        }
    }
}

/// A fault whose place is known only as far as the column.
struct RowFault {
    /// One of [`COLUMNS`], if the fault is in one.
    column: Option<&'static str>,
    fault: Fault,
}

impl RowFault {
    /// What is wrong with a field.
    fn new(column: &'static str, why: Invalid) -> RowFault {
        RowFault {
            column: Some(column),
            fault: why.into(),
        }
    }
}

impl From<Fault> for RowFault {
    fn from(fault: Fault) -> RowFault {
        RowFault {
            column: None,
            fault,
        }
    }
}

enum Rows<R> {
    Plain(PlainRows<R>),
    Csv(Box<CsvRows<R>>),
}

/// One question a line.
struct PlainRows<R> {
    lines: Lines<R>,
    current_is_new: bool, // telling the formats apart has read the first line already
}

impl<R: BufRead> PlainRows<R> {
    fn next(&mut self, comments: bool) -> Result<Option<Fields<'_>>, RowFault> {
        let found = std::mem::take(&mut self.current_is_new)
            || self
                .lines
                .advance_to_content(comments)
                .map_err(Fault::Read)?;
        Ok(found.then(|| Puzzle {
            source: "".into(),
            question: self.lines.line(),
            answer: None,
            rating: None,
        }))
    }
}

/// The rows of a CSV file.
struct CsvRows<R> {
    reader: csv::Reader<Lines<R>>,
    record: csv::ByteRecord,
    field_count: usize,
    columns: [Option<usize>; COLUMNS.len()], // where each of COLUMNS stands in a record
    source: Arc<str>,                        // of the row before: most rows repeat it
}

/// From which likeness on a name in a header is one of [`COLUMNS`] that was misspelt: `anwser`, `Answer`, `answers`.
const ALIKE: f64 = 0.85;

fn is_column(name: &[u8]) -> bool {
    COLUMNS.iter().any(|column| column.as_bytes() == name)
}

impl<R: BufRead> CsvRows<R> {
    /// Takes over with the header as the current line.
    fn new(lines: Lines<R>) -> Result<CsvRows<R>, Fault> {
        // flexible: rows of a wrong length are ours to report
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(lines);
        let header = reader
            .byte_headers()
            .map_err(|e| Fault::Read(e.into()))?
            .clone();
        let columns = COLUMNS.map(|name| header.iter().position(|it| it == name.as_bytes()));
        let [_, Some(_), ..] = columns else {
            let found = beginning(text(reader.get_ref().line())?);
            let why = format!(
                "the header has no column \"question\", only {found}; a puzzle CSV starts with the line \
                 source,question,answer,rating"
            );
            return Err(Invalid(why).into());
        };
        let strangers = header.iter().filter(|name| !is_column(name));
        for name in strangers.filter_map(|name| std::str::from_utf8(name).ok()) {
            let missing = COLUMNS.iter().zip(columns).filter(|(_, at)| at.is_none());
            let mut alike = missing.filter(|(meant, _)| strsim::jaro(meant, name) > ALIKE);
            if let Some((meant, _)) = alike.next() {
                let why = format!(
                    "the header has a column {}; if that is {meant:?}, call it so; if not, give it a name less like it",
                    beginning(name)
                );
                return Err(Invalid(why).into());
            }
        }
        let (record, source) = (csv::ByteRecord::new(), "".into());
        Ok(CsvRows {
            reader,
            record,
            field_count: header.len(),
            columns,
            source,
        })
    }

    fn next(&mut self) -> Result<Option<Fields<'_>>, RowFault> {
        self.reader.get_mut().begin();
        if !self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(|e| Fault::Read(e.into()))?
        {
            return Ok(None);
        }
        let (found, expected) = (self.record.len(), self.field_count);
        if found != expected {
            let why = format!(
                "{found} fields, but the header has {expected}; quote fields that contain commas"
            );
            return Err(Fault::from(Invalid(why)).into());
        }
        let source = self.field(0, text)?;
        if *source != *self.source {
            self.source = source.into();
        }
        Ok(Some(Puzzle {
            source: self.source.clone(),
            question: self.field(1, Ok)?,
            answer: self.field(2, |field| Ok(Some(field).filter(|f| !f.is_empty())))?,
            rating: self.field(3, |field| unless_empty(field, rating))?,
        }))
    }

    /// One of [`COLUMNS`] of the current record, as `parse` reads it.
    fn field<'a, T>(
        &'a self,
        column: usize,
        parse: impl Fn(&'a [u8]) -> Result<T, Invalid>,
    ) -> Result<T, RowFault> {
        let field = self.columns[column].map_or(&[][..], |place| &self.record[place]);
        parse(field).map_err(|why| RowFault::new(COLUMNS[column], why))
    }
}

/// Whether a file that starts so is safetensors: the length of a header in eight bytes, below 4 GiB, and the
/// brace that opens it. No text has zeros there.
fn is_safetensors(start: &[u8]) -> bool {
    start.get(4..9) == Some(b"\0\0\0\0{")
}

/// The separator of a header whose fields are not separated by commas.
fn other_separator(line: &[u8]) -> Option<char> {
    let separates = |&b: &u8| line.split(|&c| c == b).any(|name| name == b"question");
    let found = b";\t"
        .iter()
        .copied()
        .find(|b| line.contains(b) && separates(b));
    found.map(char::from)
}

/// A field as text.
///
/// # Errors
/// When its bytes are not UTF-8.
fn text(bytes: &[u8]) -> Result<&str, Invalid> {
    str::from_utf8(bytes).map_err(|e| {
        Invalid(format!(
            "byte {} is not UTF-8 text; save the file as UTF-8",
            e.valid_up_to() + 1
        ))
    })
}

fn rating(bytes: &[u8]) -> Result<u64, Invalid> {
    let found = text(bytes)?;
    found.parse().map_err(|_| {
        Invalid(format!(
            "rating {}; expected a whole number from 0, or nothing",
            beginning(found)
        ))
    })
}

fn unless_empty<T>(
    field: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, Invalid>,
) -> Result<Option<T>, Invalid> {
    if field.is_empty() {
        Ok(None)
    } else {
        parse(field).map(Some)
    }
}

#[cfg(test)]
mod tests;
