//! Writing puzzle files that are never half there.

use std::io::{self, Write};
use std::path::Path;

use crate::fault::Invalid;
use crate::puzzle::{Cells, Puzzle};
use crate::read::COLUMNS;

/// What is said where a file could not be written; whatever stood there before is unchanged.
fn failed(path: &Path, error: io::Error) -> Invalid {
    Invalid(format!(
        "cannot write {}: {error}; check that its folder exists, is writable and has space left",
        path.display()
    ))
}

/// Writes puzzles as CSV with the columns [`COLUMNS`], as one step.
///
/// The rows go to a temporary file in the same folder, which takes the name `path` only when it is
/// complete and on the disk. A reader of `path` therefore sees the old file or the new one.
///
/// # Errors
/// If the file cannot be written; the temporary file is then removed.
pub fn write_path<'a, G: Cells + 'a>(
    path: impl AsRef<Path>,
    puzzles: impl IntoIterator<Item = &'a Puzzle<G>>,
) -> Result<(), Invalid> {
    replace(path.as_ref(), |out| write(out, puzzles))
}

/// [`write_path`] for files that belong together: none takes its name before all are complete and on the disk.
///
/// # Errors
/// If one cannot be written. All files are then as they were, unless it was the last step that failed, the renaming.
pub fn write_together<G: Cells>(files: &[(&Path, &[Puzzle<G>])]) -> Result<(), Invalid> {
    let prepare = |&(path, puzzles): &(&Path, _)| {
        let new = trm_tensor::file::prepare(path, |out| write(out, puzzles));
        new.map_err(|error| failed(path, error))
    };
    let prepared: Vec<_> = files.iter().map(prepare).collect::<Result<_, _>>()?;
    files
        .iter()
        .zip(prepared)
        .try_for_each(|((path, _), new)| new.take_place().map_err(|error| failed(path, error)))
}

/// Writes the file `path` in one step: `write` fills a temporary file beside it, which takes its name when it is
/// complete and on the disk.
///
/// # Errors
/// If `write` fails, or the system; the temporary file is then removed and `path` is as it was.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Invalid> {
    trm_tensor::file::replace(path, write).map_err(|error| failed(path, error))
}

/// Writes puzzles as CSV with the columns [`COLUMNS`]; unknown answers and ratings become empty fields.
///
/// # Errors
/// Those of `out`.
pub fn write<'a, G: Cells + 'a>(
    out: impl Write,
    puzzles: impl IntoIterator<Item = &'a Puzzle<G>>,
) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    for puzzle in puzzles {
        csv.write_record(puzzle.record())?;
    }
    csv.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Board;
    use crate::read::read_path;
    use crate::testing::any_generated;
    use proptest::prelude::*;
    use std::fs;

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("puzzles.csv");
        fs::write(&path, "old").unwrap();
        write_path::<Board>(&path, &[Puzzle::of("1.2..231..12.1..".parse().unwrap())]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "source,question,answer,rating\n,1.2..231..12.1..,,\n");
        assert_eq!(names_in(folder.path()), ["puzzles.csv"]);
    }

    #[test]
    fn failures_leave_no_trace_and_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken"); // a folder cannot be replaced by a file
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("inside"), "").unwrap();
        for path in [taken, folder.path().join("absent/puzzles.csv")] {
            let error = write_path::<Board>(&path, &[]).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("cannot write {}", path.display())),
                "{error}"
            );
        }
        assert_eq!(names_in(folder.path()), ["taken"]);
    }

    /// Whichever step fails before the names are given, both files are the old ones.
    #[test]
    fn files_that_belong_together_are_replaced_together() {
        use trm_tensor::file::{Step, with_faults};
        let folder = tempfile::tempdir().unwrap();
        let paths = ["train.csv", "test.csv"].map(|name| folder.path().join(name));
        let puzzles: [Puzzle; 1] = [Puzzle::of("1.2..231..12.1..".parse().unwrap())];
        let files = [(&*paths[0], &puzzles[..]), (&*paths[1], &[])];
        let read = || {
            paths
                .each_ref()
                .map(|path| fs::read_to_string(path).unwrap())
        };
        for n in 0.. {
            paths
                .iter()
                .for_each(|path| fs::write(path, "old").unwrap());
            let (mut steps, named) = (0, std::rc::Rc::new(std::cell::Cell::new(false)));
            let naming = std::rc::Rc::clone(&named);
            let fault = move |step| {
                naming.set(naming.get() || step == Step::Rename);
                steps += 1;
                match steps > n {
                    true => Err(io::ErrorKind::StorageFull.into()),
                    false => Ok(()),
                }
            };
            let written = with_faults(fault, || write_together(&files));
            if named.get() {
                assert!(n > 4, "two files take more steps than {n}");
                break;
            }
            assert!(written.is_err());
            assert_eq!(read(), ["old", "old"], "after {n} steps");
            assert_eq!(names_in(folder.path()).len(), 2);
        }
        write_together(&files).unwrap();
        let header = "source,question,answer,rating\n";
        assert_eq!(
            read(),
            [format!("{header},1.2..231..12.1..,,\n"), header.to_owned()]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn reading_gives_back_what_was_written(
            puzzle in any_generated(), source: String, keep_answer: bool, keep_rating: bool
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("puzzles.csv");
            let answer = puzzle.answer.filter(|_| keep_answer);
            let rating = puzzle.rating.filter(|_| keep_rating);
            let puzzles = [Puzzle { source: source.into(), answer, rating, ..puzzle.clone() }, puzzle];
            write_path(&path, &puzzles).unwrap();
            prop_assert_eq!(read_path(&path, ()).unwrap(), puzzles);
        }
    }
}
