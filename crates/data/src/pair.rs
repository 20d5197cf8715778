//! A task of your own as two files: the questions, and their answers in the same order.
//!
//! Each of the two is text, one grid a line as in a CSV field, or an array of whole numbers as NumPy saves it
//! (`.npy`), of shape (grids, cells) or (grids, rows, cols), where k stands for the k-th character of the format,
//! counted from 0. Every line counts: none is a comment, and none is skipped.

use crate::fault::Invalid;
use crate::grid::{Format, Grid};
use crate::puzzle::Puzzle;
use crate::reference::npy::Array;
use std::path::Path;
use std::sync::Arc;

/// Reads questions and answers.
///
/// # Errors
/// The first fault, with its file and place.
pub fn read(
    questions: &Path,
    answers: &Path,
    format: &Arc<Format>,
) -> Result<Vec<Puzzle<Grid>>, Invalid> {
    let (from, to) = (grids(questions, format)?, grids(answers, format)?);
    if from.len() != to.len() {
        return Err(Invalid(format!(
            "{} questions in {} and {} answers in {}; expected as many, in the same order",
            from.len(),
            questions.display(),
            to.len(),
            answers.display()
        )));
    }
    if from.is_empty() {
        let why = "no grids here; expected one a line, or an array of them";
        return Err(Invalid::at(questions, why));
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
fn grids(path: &Path, format: &Format) -> Result<Vec<Vec<u8>>, Invalid> {
    let is_array = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("npy"));
    if is_array {
        return array(path, format);
    }
    let text = std::fs::read_to_string(path)
        .map_err(|e| Invalid(format!("cannot read {}: {e}", path.display())))?;
    let tokens = |(i, line)| {
        let place = |why| Invalid(format!("{}, line {}: {why}", path.display(), i + 1));
        format.tokens(line).map_err(place)
    };
    // Some editors begin every text with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    text.lines().enumerate().map(tokens).collect()
}

fn array(path: &Path, format: &Format) -> Result<Vec<Vec<u8>>, Invalid> {
    let array = Array::read(path)?;
    let ((rows, cols), cells) = (format.size(), format.cells());
    let grid = array.shape.get(1..).unwrap_or_default();
    if grid != [cells] && grid != [rows, cols] {
        let why = format!(
            "an array of shape {:?}; expected (grids, {cells}) or (grids, {rows}, {cols})",
            array.shape
        );
        return Err(Invalid::at(path, why));
    }
    // Token 0 is the pad, which no character is.
    let numbers = array.numbers(format.vocab() - 2);
    let numbers = numbers.map_err(|why| Invalid::at(path, why))?;
    let grids = numbers.chunks_exact(cells);
    Ok(grids
        .map(|grid| grid.iter().map(|&n| n as u8 + 1).collect())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Symmetries;
    use crate::reference::npy;

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
        let values = [0, 0, 0, 0, 0, 0, 1, 0, 2, 1, 0, 2];
        let wide: Vec<u8> = values
            .iter()
            .flat_map(|&n| i64::from(n).to_le_bytes())
            .collect();
        npy::write(&flat, &[2, 6], "|u1", &values).expect("a file");
        npy::write(&deep, &[2, 2, 3], "<i8", &wide).expect("a file");
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
        let array = |name, shape: &[usize], values: &[u8]| {
            npy::write(&at(name), shape, "|u1", values).expect("a file");
        };
        array("large.npy", &[1, 6], &[0, 0, 0, 3, 0, 0]);
        array("tall.npy", &[1, 3, 2], &[0; 6]);
        array("scalar.npy", &[], &[0]);
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
