//! A set of examples as the reference keeps it on the disk (TRM_SPEC 7.1).
//!
//! ```text
//! train/dataset.json                    what the arrays mean
//! train/all__inputs.npy                 (examples, S)   tokens of the questions
//! train/all__labels.npy                 (examples, S)   tokens of the answers
//! train/all__puzzle_identifiers.npy     (puzzles)
//! train/all__puzzle_indices.npy         (puzzles + 1)   where the examples of each puzzle begin
//! train/all__group_indices.npy          (groups + 1)    where the puzzles of each group begin
//! ```
//!
//! `all` is the name of a set; there may be several.

use super::levels::Levels;
use super::npy::{self, Array};
use crate::fault::Invalid;
use crate::write::replace;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use trm_tensor::file::folder_of;

/// `dataset.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Metadata {
    /// The token of what is not there: 0.
    pad_id: i64,
    /// Labels of this token are not asked for: 0, though other builders may write any token, or null.
    ignore_label_id: Option<i64>,
    /// The identifier of no puzzle in particular: 0.
    blank_identifier_id: i64,
    /// Tokens that there are.
    pub vocab_size: usize,
    /// Cells of an example: S.
    pub seq_len: usize,
    /// Identifiers that there are.
    pub num_puzzle_identifiers: usize,
    /// Groups in all sets.
    pub total_groups: usize,
    /// Examples of a puzzle on average.
    pub mean_puzzle_examples: f64,
    /// Puzzles in all sets; the reference's builders write the number of groups.
    pub total_puzzles: usize,
    /// Names of the sets.
    pub sets: Vec<String>,
}

/// The arrays of one set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Set {
    /// Its name in [`Metadata::sets`].
    pub name: String,
    /// Tokens of the questions, (examples, S).
    pub inputs: Vec<u8>,
    /// Tokens of the answers, (examples, S).
    pub labels: Vec<u8>,
    /// Identifiers, (puzzles).
    pub identifiers: Vec<u32>,
    /// Which example belongs to which puzzle and group.
    pub levels: Levels,
}

/// A folder of sets.
#[derive(Clone, PartialEq, Debug)]
pub struct Folder {
    /// What the arrays mean.
    pub metadata: Metadata,
    /// In the order of [`Metadata::sets`].
    pub sets: Vec<Set>,
}

/// The most tokens: they are bytes, and 255 stands for a label that is not asked for.
const MAX_VOCAB: usize = 255;

impl Folder {
    /// A folder of one set, whose examples have `seq_len` cells of `vocab_size` tokens and one of `identifiers`.
    pub fn of(set: Set, seq_len: usize, vocab_size: usize, identifiers: usize) -> Folder {
        let levels = &set.levels;
        let puzzles = levels.puzzles().max(1); // a split may have none
        let metadata = Metadata {
            pad_id: 0,
            ignore_label_id: Some(0),
            blank_identifier_id: 0,
            vocab_size,
            seq_len,
            num_puzzle_identifiers: identifiers,
            total_groups: levels.groups(),
            mean_puzzle_examples: levels.examples() as f64 / puzzles as f64,
            total_puzzles: levels.puzzles(),
            sets: vec![set.name.clone()],
        };
        Folder {
            metadata,
            sets: vec![set],
        }
    }

    /// Reads a folder such as `train` or `test` of a data set.
    ///
    /// # Errors
    /// The first file that is not as it should be.
    pub fn read(folder: &Path) -> Result<Folder, Invalid> {
        let metadata = Metadata::read(folder)?;
        let sets = metadata
            .sets
            .iter()
            .map(|name| read_set(folder, name, &metadata));
        Ok(Folder {
            sets: sets.collect::<Result<_, _>>()?,
            metadata,
        })
    }

    /// Writes a folder that is not there yet, whole or not at all: it is filled under another name.
    ///
    /// # Errors
    /// When it is there, or the system refuses.
    pub fn write(&self, folder: &Path) -> Result<(), Invalid> {
        if folder.exists() {
            return Err(Invalid(format!(
                "{} is there already; choose another folder",
                folder.display()
            )));
        }
        let cannot = |error| Invalid(format!("cannot make {}: {error}", folder.display()));
        make_folder(folder, cannot, |new| {
            for set in &self.sets {
                write_set(new, set, self.metadata.seq_len)?;
            }
            let json = serde_json::to_vec(&self.metadata).expect("numbers and names become JSON");
            replace(&new.join("dataset.json"), |out| out.write_all(&json))
        })
    }
}

/// Makes a folder, whole or not at all: `fill` fills it under another name. `cannot` is the error where the system
/// refuses.
///
/// # Errors
/// That of `fill`, or of the system.
pub fn make_folder<E>(
    folder: &Path,
    cannot: impl Fn(std::io::Error) -> E,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let parent = folder_of(folder);
    std::fs::create_dir_all(parent).map_err(&cannot)?;
    let new = tempfile::Builder::new().prefix(".trm-").tempdir_in(parent);
    let new = new.map_err(&cannot)?;
    fill(new.path())?;
    trm_tensor::file::rename(new.path(), folder).map_err(cannot)?;
    // What it was called is gone; there is nothing left to remove.
    let _ = new.keep();
    Ok(())
}

impl Metadata {
    /// Reads the `dataset.json` of a folder.
    ///
    /// # Errors
    /// When there is none, or a value cannot be.
    pub fn read(folder: &Path) -> Result<Metadata, Invalid> {
        let path = folder.join("dataset.json");
        let text = std::fs::read(&path)
            .map_err(|e| Invalid::at(&path, format!("cannot read this file: {e}")))?;
        let metadata: Result<Metadata, _> = serde_json::from_slice(&text);
        let metadata = metadata.map_err(|e| {
            let why = format!("{e}; expected the dataset.json of a data set");
            Invalid::at(&path, why)
        })?;
        check(&metadata).map_err(|why| Invalid::at(&path, why))?;
        Ok(metadata)
    }
}

/// What is wrong with the values of `dataset.json`.
fn check(m: &Metadata) -> Result<(), String> {
    // All that trm understands, and all that the reference's builders write.
    let zeros = [
        ("pad_id", Some(m.pad_id)),
        ("ignore_label_id", m.ignore_label_id),
        ("blank_identifier_id", Some(m.blank_identifier_id)),
    ];
    if let Some((key, found)) = zeros.into_iter().find(|(_, id)| *id != Some(0)) {
        let found = found.map_or("null".to_owned(), |id| id.to_string());
        return Err(format!(
            "{key} is {found}; expected 0, as the reference's builders write it"
        ));
    }
    let ranges = [
        ("vocab_size", m.vocab_size, MAX_VOCAB),
        ("seq_len", m.seq_len, 1 << 20),
        (
            "num_puzzle_identifiers",
            m.num_puzzle_identifiers,
            u32::MAX as usize,
        ),
    ];
    for (key, value, most) in ranges {
        if !(1..=most).contains(&value) {
            return Err(format!("{key} is {value}; expected 1 to {most}"));
        }
    }
    for name in &m.sets {
        // A name becomes part of a file's name.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            return Err(format!(
                "sets names {name:?}; expected letters, digits, - and _"
            ));
        }
    }
    match m.sets.len() {
        0 => Err("sets is empty; expected at least one name".to_owned()),
        _ => Ok(()),
    }
}

/// The file of an array of a set.
fn file(folder: &Path, set: &str, array: &str) -> PathBuf {
    folder.join(format!("{set}__{array}.npy"))
}

fn read_set(folder: &Path, name: &str, m: &Metadata) -> Result<Set, Invalid> {
    let list = |array: &str, most: usize| {
        let path = file(folder, name, array);
        let array = Array::read(&path)?;
        let numbers = array.axes::<1>().and_then(|_| array.numbers(most));
        numbers.map_err(|why| Invalid::at(&path, why))
    };
    let tokens = |array: &str| {
        let path = file(folder, name, array);
        let array = Array::read(&path)?;
        let at = |why| Invalid::at(&path, why);
        let [_, cells] = array.axes().map_err(at)?;
        if cells != m.seq_len {
            return Err(at(Invalid(format!(
                "rows of {cells} tokens; dataset.json says seq_len = {}",
                m.seq_len
            ))));
        }
        array.tokens((m.vocab_size - 1) as u8).map_err(at)
    };
    let (inputs, labels) = (tokens("inputs")?, tokens("labels")?);
    let examples = inputs.len() / m.seq_len;
    let identifiers = list("puzzle_identifiers", m.num_puzzle_identifiers - 1)?;
    let levels = Levels::new(
        list("puzzle_indices", examples)?,
        list("group_indices", identifiers.len())?,
        examples,
    );
    let contradiction = |why| Invalid::at(folder, format!("set {name:?}: {why}"));
    let levels = levels.map_err(|why| contradiction(why.to_string()))?;
    if labels.len() != inputs.len() {
        let labels = labels.len() / m.seq_len;
        return Err(contradiction(format!(
            "{examples} inputs, but {labels} labels"
        )));
    }
    if levels.puzzles() != identifiers.len() {
        let (puzzles, found) = (levels.puzzles(), identifiers.len());
        return Err(contradiction(format!(
            "{puzzles} puzzles, but {found} identifiers"
        )));
    }
    Ok(Set {
        name: name.to_owned(),
        inputs,
        labels,
        identifiers: identifiers.into_iter().map(|id| id as u32).collect(),
        levels,
    })
}

fn write_set(folder: &Path, set: &Set, seq_len: usize) -> Result<(), Invalid> {
    let examples = set.levels.examples();
    for (array, tokens) in [("inputs", &set.inputs), ("labels", &set.labels)] {
        npy::write(
            &file(folder, &set.name, array),
            &[examples, seq_len],
            "|u1",
            tokens,
        )?;
    }
    let identifiers: Vec<usize> = set.identifiers.iter().map(|&id| id as usize).collect();
    let (puzzles, groups) = set.levels.indices();
    for (array, numbers) in [
        ("puzzle_identifiers", &identifiers[..]),
        ("puzzle_indices", puzzles),
        ("group_indices", groups),
    ] {
        let bytes: Vec<u8> = numbers
            .iter()
            .flat_map(|&n| (n as i32).to_le_bytes())
            .collect();
        npy::write(
            &file(folder, &set.name, array),
            &[numbers.len()],
            "<i4",
            &bytes,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> Folder {
        let set = Set {
            name: "all".into(),
            inputs: vec![1, 2, 3, 4, 1, 1],
            labels: vec![0, 2, 4, 4, 1, 0],
            identifiers: vec![1, 2],
            levels: Levels::new(vec![0, 2, 3], vec![0, 2], 3).unwrap(),
        };
        Folder::of(set, 2, 5, 3)
    }

    #[test]
    fn a_folder_comes_back_as_it_was_and_is_not_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data/train");
        folder().write(&path).unwrap();
        assert_eq!(Folder::read(&path).unwrap(), folder());
        let error = folder().write(&path).unwrap_err().to_string();
        assert!(error.contains("is there already"), "{error}");
        let names: Vec<_> = std::fs::read_dir(place.path().join("data"))
            .unwrap()
            .collect();
        assert_eq!(names.len(), 1, "nothing but the folder is left");
    }

    #[test]
    fn files_that_contradict_each_other_are_refused() {
        type Spoil = fn(&mut Folder);
        let cases: [(Spoil, &str); 10] = [
            (
                |f| f.metadata.pad_id = 1,
                "pad_id is 1; expected 0, as the reference's builders write it",
            ),
            (
                |f| f.metadata.ignore_label_id = Some(-100),
                "ignore_label_id is -100; expected 0",
            ),
            (
                |f| f.metadata.ignore_label_id = None,
                "ignore_label_id is null; expected 0",
            ),
            (
                |f| f.metadata.blank_identifier_id = 2,
                "blank_identifier_id is 2; expected 0",
            ),
            (
                |f| f.metadata.vocab_size = 4,
                "inputs.npy: value 3 is 4; expected 0 to 3",
            ),
            (
                |f| f.metadata.vocab_size = 300,
                "vocab_size is 300; expected 1 to 255",
            ),
            (
                |f| f.metadata.sets = vec!["../all".into()],
                "sets names \"../all\"",
            ),
            (
                |f| f.metadata.num_puzzle_identifiers = 2,
                "identifiers.npy: value 1 is 2; expected 0 to 1",
            ),
            (
                |f| f.metadata.seq_len = 3,
                "inputs.npy: rows of 2 tokens; dataset.json says seq_len = 3",
            ),
            (
                |f| f.sets[0].identifiers = vec![1, 2, 2],
                "2 puzzles, but 3 identifiers",
            ),
        ];
        for (spoil, expected) in cases {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("train");
            let mut spoilt = folder();
            folder().write(&path).unwrap();
            spoil(&mut spoilt);
            let json = serde_json::to_vec(&spoilt.metadata).unwrap();
            std::fs::write(path.join("dataset.json"), json).unwrap();
            if spoilt.sets != folder().sets {
                write_set(&path, &spoilt.sets[0], 2).unwrap();
            }
            let error = Folder::read(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?}, expected {expected:?}");
        }
        let error = Folder::read(Path::new("nowhere")).unwrap_err().to_string();
        assert!(error.contains("dataset.json"), "{error}");
    }
}
