//! A task of your own as two files: the questions, and their answers in the same order.
//!
//! Each of the two is text, one grid a line as in a CSV field, or an array of whole numbers as NumPy saves it
//! (`.npy`), of shape (grids, cells) or (grids, rows, cols), where k stands for the k-th character of the format,
//! counted from 0. Every line counts: none is a comment, and none is skipped.

use crate::fault::Invalid;
use crate::grid::{Format, Grid};
use crate::puzzle::Puzzle;
use crate::reference::npy::{Array, NpyError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why two files are no questions with answers.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// A file that cannot be read, or is no text.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A line that is no grid of the format.
    #[error("{}, line {line}: {error}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        error: Invalid,
    },
    /// An array that cannot be read, or holds a number that stands for no character.
    #[error(transparent)]
    Array(#[from] NpyError),
    /// An array of other grids.
    #[error(
        "{}: an array of shape {shape:?}; expected (grids, {cells}) or (grids, {rows}, {cols})",
        path.display()
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// Its shape.
        shape: Vec<usize>,
        /// Cells of a grid.
        cells: usize,
        /// Rows of a grid.
        rows: usize,
        /// Columns of a grid.
        cols: usize,
    },
    /// No grid at all.
    #[error("{}: no grids here; expected one a line, or an array of them", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Not an answer for every question.
    #[error(
        "{questions} questions in {} and {answers} answers in {}; expected as many, in the same order",
        from.display(),
        to.display()
    )]
    Counts {
        /// Questions.
        questions: usize,
        /// Answers.
        answers: usize,
        /// The file of the questions.
        from: PathBuf,
        /// The file of the answers.
        to: PathBuf,
    },
}

/// Reads questions and answers.
///
/// # Errors
/// The first fault, with its file and place.
pub fn read(
    questions: &Path,
    answers: &Path,
    format: &Arc<Format>,
) -> Result<Vec<Puzzle<Grid>>, PairError> {
    let (from, to) = (grids(questions, format)?, grids(answers, format)?);
    if from.len() != to.len() {
        return Err(PairError::Counts {
            questions: from.len(),
            answers: to.len(),
            from: questions.into(),
            to: answers.into(),
        });
    }
    if from.is_empty() {
        let path = questions.into();
        return Err(PairError::Empty { path });
    }
    let source: Arc<str> = "".into();
    let grid = |tokens| Grid {
        format: Arc::clone(format),
        tokens,
    };
    let puzzle = |(question, answer)| Puzzle {
        source: Arc::clone(&source),
        question: grid(question),
        answer: Some(grid(answer)),
        rating: None,
    };
    Ok(from.into_iter().zip(to).map(puzzle).collect())
}

/// The tokens of every grid of a file.
fn grids(path: &Path, format: &Format) -> Result<Vec<Vec<u8>>, PairError> {
    let is_array = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("npy"));
    if is_array {
        return array(path, format);
    }
    let text = std::fs::read_to_string(path).map_err(|error| PairError::Read {
        path: path.into(),
        error,
    })?;
    let tokens = |(i, line)| {
        format.tokens(line).map_err(|error| PairError::Line {
            path: path.into(),
            line: i + 1,
            error,
        })
    };
    // Some editors begin every text with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    text.lines().enumerate().map(tokens).collect()
}

fn array(path: &Path, format: &Format) -> Result<Vec<Vec<u8>>, PairError> {
    let array = Array::read(path)?;
    let ((rows, cols), cells) = (format.size(), format.cells());
    let grid = array.shape.get(1..).unwrap_or_default();
    if grid != [cells] && grid != [rows, cols] {
        return Err(PairError::Shape {
            path: path.into(),
            shape: array.shape,
            cells,
            rows,
            cols,
        });
    }
    // Token 0 is the pad, which no character is.
    let numbers = array.numbers(format.vocab() - 2).map_err(|f| f.of(path))?;
    let grids = numbers.chunks_exact(cells);
    Ok(grids
        .map(|grid| grid.iter().map(|&n| n as u8 + 1).collect())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Symmetries;
    use crate::reference::npy::Values;

    fn format() -> Arc<Format> {
        Arc::new(Format::new("own", 2, 3, " #x", Symmetries::None).expect("a format"))
    }

    #[test]
    fn text_and_arrays_say_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let (lines, flat, deep) = (
            folder.path().join("a.txt"),
            folder.path().join("a.npy"),
            folder.path().join("b.npy"),
        );
        // A grid of blanks is a grid, and one that begins with # no comment.
        std::fs::write(&lines, "      \n# x# x\r\n").expect("a file");
        let values = vec![0, 0, 0, 0, 0, 0, 1, 0, 2, 1, 0, 2];
        let array = |shape, values| Array { shape, values };
        let small = values.iter().map(|&n| n as u8).collect();
        array(vec![2, 6], Values::U8(small))
            .write(&flat)
            .expect("a file");
        array(vec![2, 2, 3], Values::I64(values))
            .write(&deep)
            .expect("a file");
        let of_text = read(&lines, &lines, &format()).expect("two grids");
        assert_eq!(of_text[1].question.tokens, [2, 1, 3, 2, 1, 3]);
        assert_eq!(of_text[0].answer.as_ref().unwrap().tokens, [1; 6]);
        assert_eq!(read(&flat, &lines, &format()).expect("two grids"), of_text);
        assert_eq!(read(&deep, &flat, &format()).expect("two grids"), of_text);
    }

    #[test]
    fn faults_are_told_with_their_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let good = at("good.txt");
        std::fs::write(&good, "      \n").expect("a file");
        std::fs::write(at("long.txt"), "      \n       \n").expect("a file");
        std::fs::write(at("two.txt"), "      \n######\n").expect("a file");
        std::fs::write(at("bytes.txt"), b"\xff").expect("a file");
        let array = |shape, values, name| {
            let values = Values::I32(values);
            Array { shape, values }.write(&at(name)).expect("a file");
        };
        array(vec![1, 6], vec![0, 0, 0, 3, 0, 0], "large.npy");
        array(vec![1, 3, 2], vec![0; 6], "tall.npy");
        array(vec![], vec![0], "scalar.npy");
        for (questions, expected) in [
            ("long.txt", &["long.txt, line 2", "7"][..]),
            ("two.txt", &["2 questions", "1 answers"]),
            ("bytes.txt", &["bytes.txt", "UTF-8"]),
            ("large.npy", &["large.npy", "value 3 is 3", "0 to 2"]),
            ("tall.npy", &["[1, 3, 2]", "(grids, 6) or (grids, 2, 3)"]),
            ("scalar.npy", &["[]", "(grids, 6)"]),
            ("none.txt", &["cannot read", "none.txt"]),
        ] {
            let said = read(&at(questions), &good, &format())
                .expect_err(questions)
                .to_string();
            for part in expected {
                assert!(said.contains(part), "{said:?} does not say {part:?}");
            }
        }
    }
}
