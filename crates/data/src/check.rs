//! A report on a puzzle file: what is in it, and whether it can be trusted.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;

use crate::board::Board;
use crate::fault::{Fault, ReadError};
use crate::geometry::Geometry;
use crate::puzzle::Puzzle;
use crate::read::Reader;
use crate::solver;

/// Faults, and doubtful rows, that a report keeps word for word; more are only counted.
const FAULTS_KEPT: usize = 20;

/// Guesses after which a search for solutions is given up; hard puzzles take thousands.
const MOST_GUESSES: u64 = 1_000_000;

/// What makes a row doubtful that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// More than one solution.
    Ambiguous,
    /// No solution.
    Unsolvable,
    /// A million guesses did not show how many.
    Undecided,
    /// The question stood in an earlier row.
    Duplicate,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doubt::Undecided => return write!(f, "undecided after {MOST_GUESSES} guesses"),
            Doubt::Ambiguous => "more than one solution",
            Doubt::Unsolvable => "no solution",
            Doubt::Duplicate => "a question that stood in an earlier row",
        })
    }
}

/// What [`check_path`] found. All counts are rows.
#[derive(Debug, Default)]
pub struct Report {
    /// Shape of all good rows, if there are any.
    pub shape: Option<Geometry>,
    /// Good rows: all but the faulty ones.
    pub good: usize,
    /// Rows for each number of givens.
    pub givens: BTreeMap<usize, usize>,
    /// Questions with exactly one solution.
    pub unique: usize,
    /// Questions with several solutions.
    pub ambiguous: usize,
    /// Questions without a solution.
    pub unsolvable: usize,
    /// Questions that a million guesses did not decide.
    pub undecided: usize,
    /// Rows with an answer, be it at fault.
    pub answered: usize,
    /// Rows whose answer is a full grid that keeps the rules and the givens.
    pub valid_answers: usize,
    /// Rows whose question stood in an earlier row.
    pub duplicates: usize,
    /// Rows that are in doubt.
    pub doubtful: usize,
    /// The line and the reasons of the first 20 of them.
    pub doubts: Vec<(u64, Vec<Doubt>)>,
    /// Rows that could not be read.
    pub faulty: usize,
    /// The first 20 of their faults.
    pub faults: Vec<ReadError>,
    seen: HashSet<Board>,
}

/// Reads a file to its end and reports on every row, the faulty ones too; `row_done` hears of each.
///
/// Most of the time goes into the search for second solutions: 9 x 9 rows take from some 10 microseconds,
/// where singles do, to about a millisecond, where thousands of guesses are needed. A few boards of few clues
/// and no solution would take far longer; after a million guesses, about a second, they are left undecided.
///
/// # Errors
/// If the file cannot be opened, has no row, or has a CSV header without the column `question`.
pub fn check_path(path: impl AsRef<Path>, row_done: impl Fn()) -> Result<Report, ReadError> {
    let (mut report, mut rows) = (Report::default(), Reader::open(path, ())?);
    while let Some(row) = rows.next() {
        match row {
            Ok(puzzle) => report.add(&puzzle, rows.line()),
            Err(error) if matches!(error.fault, Fault::Empty) => return Err(error),
            Err(fault) => report.add_fault(fault),
        }
        row_done();
    }
    Ok(report)
}

impl Report {
    /// Takes the row of a line into the report.
    fn add(&mut self, puzzle: &Puzzle, line: u64) {
        let (question, mut doubts) = (&puzzle.question, Vec::new());
        self.shape = Some(question.geometry());
        self.good += 1;
        *self.givens.entry(question.givens()).or_default() += 1;
        match solver::count_solutions_within(question, 2, MOST_GUESSES) {
            None => doubts.push(Doubt::Undecided),
            Some(0) => doubts.push(Doubt::Unsolvable),
            Some(1) => self.unique += 1,
            _ => doubts.push(Doubt::Ambiguous),
        }
        // A wrong answer is a fault, which the reader has told.
        let answered = usize::from(puzzle.answer.is_some());
        self.answered += answered;
        self.valid_answers += answered;
        if !self.seen.insert(*question) {
            doubts.push(Doubt::Duplicate);
        }
        let has = |doubt| usize::from(doubts.contains(&doubt));
        self.unsolvable += has(Doubt::Unsolvable);
        self.ambiguous += has(Doubt::Ambiguous);
        self.undecided += has(Doubt::Undecided);
        self.duplicates += has(Doubt::Duplicate);
        if !doubts.is_empty() {
            self.doubtful += 1;
            if self.doubts.len() < FAULTS_KEPT {
                self.doubts.push((line, doubts));
            }
        }
    }

    /// Takes one row that could not be read into the report.
    fn add_fault(&mut self, fault: ReadError) {
        self.faulty += 1;
        self.answered += usize::from(fault.column == Some("answer"));
        if self.faults.len() < FAULTS_KEPT {
            self.faults.push(fault);
        }
    }

    /// All rows, the faulty ones too.
    pub fn rows(&self) -> usize {
        self.good + self.faulty
    }

    /// The doubtful rows that are kept, in words.
    pub fn doubts_in_words(&self) -> impl Iterator<Item = String> {
        self.doubts.iter().map(|(line, doubts)| {
            let doubts: Vec<_> = doubts.iter().map(Doubt::to_string).collect();
            format!("line {line}: {}", doubts.join(", "))
        })
    }

    /// Whether every row could be read, has one solution and a question of its own, and no answer is wrong.
    pub fn is_clean(&self) -> bool {
        self.faulty == 0 && self.doubtful == 0
    }
}

impl fmt::Display for Report {
    /// Writes the report for people, several lines without a line break at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let good = self.shape.map(|shape| format!("{} of {shape}", self.good));
        let faulty = (self.faulty > 0).then(|| format!("{} faulty", self.faulty));
        let parts: Vec<_> = good.into_iter().chain(faulty).collect();
        writeln!(f, "rows        {} ({})", self.rows(), parts.join(", "))?;
        writeln!(
            f,
            "solutions   {} unique, {} ambiguous, {} unsolvable, {} undecided",
            self.unique, self.ambiguous, self.unsolvable, self.undecided
        )?;
        writeln!(
            f,
            "answers     {} given, {} valid",
            self.answered, self.valid_answers
        )?;
        writeln!(f, "duplicates  {}", self.duplicates)?;
        write!(f, "doubtful    {}", self.doubtful)?;
        list(f, self.doubts_in_words(), self.doubtful)?;
        write!(f, "\nfaulty      {}", self.faulty)?;
        list(f, self.faults.iter(), self.faulty)?;
        let most = self.givens.values().copied().max().unwrap_or(1);
        for (givens, &count) in &self.givens {
            let bar = "#".repeat((40 * count).div_ceil(most));
            write!(f, "\n{givens:>3} givens {count:>9}  {bar}")?;
        }
        Ok(())
    }
}

/// What was kept of `count`, a line each, and how many more there are.
fn list(
    f: &mut fmt::Formatter<'_>,
    kept: impl Iterator<Item = impl fmt::Display>,
    count: usize,
) -> fmt::Result {
    for one in kept {
        write!(f, "\n  {one}")?;
    }
    match count.saturating_sub(FAULTS_KEPT) {
        0 => Ok(()),
        more => write!(f, "\n  ... and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_row_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mixed.csv");
        let rows = [
            "source,question,answer,rating",
            "a,1.2..231..12.1..,1324423134122143,0",
            "a,1.2..231..12.1..,,",
            "b,................,1324423134122143,",
            "c,123....4........,,",
            "d,1.2..231..12.1.,,",
            "e,11..............,,",
            "f,1.2..231..12.1..,2134431212433421,",
        ];
        std::fs::write(&path, rows.join("\n")).unwrap();
        let report = check_path(&path, || ()).unwrap();
        assert_eq!((report.rows(), report.faulty, report.duplicates), (7, 3, 1));
        assert_eq!(
            (report.unique, report.ambiguous, report.unsolvable),
            (2, 1, 1)
        );
        assert_eq!((report.answered, report.valid_answers), (3, 2));
        assert_eq!(report.givens, BTreeMap::from([(0, 1), (4, 1), (8, 2)]));
        assert!(!report.is_clean());
        let doubts = [
            "line 3: a question that stood in an earlier row",
            "line 4: more than one solution",
            "line 5: no solution",
        ];
        assert_eq!(report.doubts_in_words().collect::<Vec<_>>(), doubts);
        let text = report.to_string();
        assert!(
            text.starts_with("rows        7 (4 of 4x4, 3 faulty)\nsolutions   2 unique, 1 amb"),
            "{text}"
        );
        assert!(text.contains("answers     3 given, 2 valid\n"), "{text}");
        assert!(text.contains("line 6, column question: 15 cells"), "{text}");
        assert!(
            text.ends_with(&format!("\n  8 givens         2  {}", "#".repeat(40))),
            "{text}"
        );
    }

    #[test]
    fn a_wrong_answer_or_a_second_solution_is_not_clean() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.csv");
        for (row, clean) in [
            ("a,1.2..231..12.1..,1324423134122143,", true),
            ("a,1.2..231..12.1..,2134431212433421,", false),
            ("a,1...............,1324423134122143,", false),
        ] {
            std::fs::write(&path, format!("source,question,answer,rating\n{row}\n")).unwrap();
            let report = check_path(&path, || ()).unwrap();
            assert_eq!(report.is_clean(), clean, "{row}");
        }
    }

    /// A board whose search does not end in minutes.
    #[test]
    fn a_hostile_row_is_left_undecided() {
        let line =
            ".....5.8....6.1.............1.5........1.6...3.......553.....61........4.........";
        let mut report = Report::default();
        report.add(&Puzzle::of(line.parse().unwrap()), 7);
        let doubts: Vec<_> = report.doubts_in_words().collect();
        assert_eq!(doubts, ["line 7: undecided after 1000000 guesses"]);
        assert_eq!((report.undecided, report.is_clean()), (1, false));
    }

    #[test]
    fn only_the_first_faults_are_kept() {
        let mut report = Report::default();
        for row in Reader::<_, Board>::new("12\n".repeat(50).as_bytes(), "short.txt", ()).unwrap() {
            report.add_fault(row.unwrap_err());
        }
        assert_eq!((report.faulty, report.faults.len()), (50, FAULTS_KEPT));
        assert!(report.to_string().ends_with("... and 30 more"));
    }
}
