//! ARC's data sets: folders such as `trm data arc build` and the PyTorch reference make.

use super::{Dataset, Files, Split, fingerprint};
use crate::config::RunConfig;
use crate::task::Task;
use anyhow::{Context, ensure};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use trm_autograd::op::loss::IGNORE;
use trm_data::arc::build::Task as ArcTask;
use trm_data::arc::read::Role;
use trm_data::arc::variant::Variant;
use trm_data::reference::folder::{Folder, Metadata, Set};
use trm_tensor::file::folder_of;

/// Gives the network of a run as many identifiers as the data set in `folder` has.
///
/// # Errors
/// When there is none, or the config says another number.
pub fn fit(config: &mut RunConfig, folder: &Path) -> anyhow::Result<()> {
    refuse_a_file(folder)?;
    let metadata = Metadata::read(&folder.join("train"))?;
    let (found, given) = (
        metadata.num_puzzle_identifiers,
        config.model.puzzle_identifiers,
    );
    ensure!(
        given == 1 || given == found,
        "model.puzzle_identifiers = {given}: {} has {found}; leave it out, and it follows the data",
        folder.display()
    );
    config.model.puzzle_identifiers = found;
    Ok(config.model.validate()?)
}

/// Fails where a file stands in the place of a data set.
fn refuse_a_file(folder: &Path) -> anyhow::Result<()> {
    ensure!(
        !folder.is_file(),
        "{}: this is a file; expected the folder of a data set, which trm data arc build makes",
        folder.display()
    );
    Ok(())
}

/// What a run learns from, and the first `limit` inputs of the tasks themselves to be validated by.
///
/// # Errors
/// When the folder is no data set, or of canvases of another size.
pub(super) fn split(
    files: Files<'_>,
    validation: Option<&Path>,
    task: Task,
    limit: usize,
) -> anyhow::Result<Split> {
    ensure!(
        files.answers.is_none() && validation.is_none(),
        "--answers and --validate are not for ARC: the folder of --data has both"
    );
    let folder = files.puzzles;
    let names = names(folder)?;
    let there = |name: &str| folder.join(name).exists();
    ensure!(
        there("train") && there("test"),
        "{}: nothing to learn from, or to validate with: build it with --test, whose tasks have pairs of both kinds",
        folder.display()
    );
    let train = read(&folder.join("train"), task, names.len())?;
    let asked = tested(folder, task, names.len())?;
    let originals = asked.of_tasks(&names, |_| true);
    let unknown = unanswered(folder)?;
    let mut validation = asked.of_tasks(&names, |task| !unknown.contains(task));
    let judged = validation.len() > 0 || originals.len() == 0;
    if !judged {
        say!(
            "note: no outputs of the tasks that are tested are known: nothing is validated, and no weights are the best"
        );
        validation = originals;
    }
    let validation = validation.first(limit);
    ensure!(
        train.levels.examples() > 0 && validation.len() > 0,
        "{}: no example to learn from, or none of a task itself to validate with",
        folder.display()
    );
    Ok(Split {
        train: Dataset::of_set(train, task),
        validation,
        identifiers: Some(digest(&names)),
        judged,
    })
}

/// What the tasks of a folder with so many `names` are tested by: every variant of every input, in order.
///
/// # Errors
/// When there is no such data set, or its canvases, tokens or identifiers are of another size.
pub fn tested(folder: &Path, task: Task, names: usize) -> anyhow::Result<Dataset> {
    let set = read(&folder.join("test"), task, names)?;
    Ok(Dataset::of_set(set, task))
}

/// The only set of a folder of examples, whose identifiers stand for so many `names`.
fn read(folder: &Path, task: Task, names: usize) -> anyhow::Result<Set> {
    let whole = Folder::read(folder)?;
    let (found, expected) = (whole.metadata.seq_len, task.cells());
    ensure!(
        found == expected,
        "{}: canvases of {found} cells, but {} has {expected}; data.side must be the side that it was built with",
        folder.display(),
        task.name()
    );
    let (found, expected) = (whole.metadata.vocab_size, task.vocab());
    ensure!(
        found == expected,
        "{}: {found} tokens, but {} has {expected}",
        folder.display(),
        task.name()
    );
    let found = whole.metadata.num_puzzle_identifiers;
    ensure!(
        found == names,
        "{}: {found} identifiers, but identifiers.json has {names} names",
        folder.display()
    );
    let mut sets = whole.sets;
    ensure!(
        sets.len() == 1,
        "{}: {} sets; expected one",
        folder.display(),
        sets.len()
    );
    Ok(sets.remove(0))
}

/// The names of a folder by identifier: of each variant of each task.
///
/// # Errors
/// When its `identifiers.json` is none, or the folder is a part of a data set.
pub fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    refuse_a_file(folder)?;
    let path = folder.join(NAMES);
    let above = folder_of(folder);
    ensure!(
        path.exists() || !above.join(NAMES).exists(),
        "{}: this is a part of a data set; expected the folder with {NAMES}, {}",
        folder.display(),
        above.display()
    );
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{}: expected a list of names", path.display()))
}

/// A fingerprint of names, by which weights know again whose embeddings they have.
pub fn digest(names: &[String]) -> String {
    fingerprint(names.iter().flat_map(|name| [name.as_bytes(), b"\n"]))
}

/// The tasks of a folder that are tested.
///
/// # Errors
/// When its `test_puzzles.json` is none.
pub fn tasks(folder: &Path) -> anyhow::Result<Vec<ArcTask>> {
    let path = folder.join(TESTED);
    Ok(trm_data::arc::read::read(&path, None, Role::Tested)?)
}

/// The tested tasks of a folder some of whose outputs are not known, where it says so.
fn unanswered(folder: &Path) -> anyhow::Result<HashSet<String>> {
    if !folder.join(TESTED).exists() {
        return Ok(HashSet::new());
    }
    let unknown = |task: &ArcTask| task.test.iter().any(|pair| pair.output.is_none());
    let tasks = tasks(folder)?.into_iter();
    Ok(tasks.filter(unknown).map(|task| task.name).collect())
}

/// The file of a folder with the names by identifier.
const NAMES: &str = "identifiers.json";

/// The file of a folder with the tasks that are tested.
const TESTED: &str = "test_puzzles.json";

impl Dataset {
    /// All examples of a set; a pad in an answer is not asked for.
    fn of_set(set: Set, task: Task) -> Dataset {
        let examples = set.levels.examples();
        let mut answers = set.labels;
        let pads = answers.iter_mut().filter(|token| **token == 0);
        pads.for_each(|pad| *pad = IGNORE);
        let of_puzzle = |(puzzle, &id): (usize, &u32)| {
            let count = set.levels.of_puzzle(puzzle).len();
            std::iter::repeat_n(id, count)
        };
        Dataset {
            task,
            questions: set.inputs,
            answers,
            sources: vec![Arc::from("arc"); examples],
            identifiers: set
                .identifiers
                .iter()
                .enumerate()
                .flat_map(of_puzzle)
                .collect(),
            levels: Some(set.levels),
        }
    }

    /// The examples whose identifier is the name of a task itself, not of a variant, and of a task that is `wanted`.
    fn of_tasks(&self, names: &[String], wanted: impl Fn(&str) -> bool) -> Dataset {
        let is_wanted = |id: u32| {
            let name = names.get(id as usize);
            let variant = name.and_then(|name| Variant::of_name(name));
            variant.is_some_and(|(task, variant)| variant == Variant::ORIGINAL && wanted(task))
        };
        let kept = (0..self.len()).filter(|&i| is_wanted(self.identifiers[i]));
        self.chosen(kept)
    }

    /// The first `limit` examples; 0: all.
    pub fn first(self, limit: usize) -> Dataset {
        match limit {
            0 => self,
            _ => self.chosen(0..limit.min(self.len())),
        }
    }

    fn chosen(&self, examples: impl Iterator<Item = usize>) -> Dataset {
        let (cells, mut data) = (
            self.task.cells(),
            Dataset {
                task: self.task,
                questions: Vec::new(),
                answers: Vec::new(),
                sources: Vec::new(),
                identifiers: Vec::new(),
                levels: None,
            },
        );
        for i in examples {
            data.questions
                .extend_from_slice(&self.questions[i * cells..][..cells]);
            data.answers
                .extend_from_slice(&self.answers[i * cells..][..cells]);
            data.sources.push(Arc::clone(&self.sources[i]));
            data.identifiers.push(self.identifiers[i]);
        }
        data
    }
}
