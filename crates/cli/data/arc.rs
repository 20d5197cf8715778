//! `trm data arc`.

use crate::memory;
use crate::output::print;
use crate::progress::Progress;
use anyhow::{Context, anyhow, ensure};
use clap::Subcommand;
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use trm_autograd::random::{Purpose, stream};
use trm_data::arc::build::{Built, Task, build};
use trm_data::arc::read::{Role, read};
use trm_data::arc::variant::Variant;
use trm_data::arc::{CANVAS, Pair};
use trm_data::reference::folder::make_folder;

#[derive(Debug, Subcommand)]
pub(super) enum Arc {
    /// Make a data set of the PyTorch reference's form out of ARC's JSON files
    Build(BuildArgs),
}

/// Arguments of `trm data arc build`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm data arc build --learn arc-agi_training_challenges.json \\
    --learn arc-agi_concept_challenges.json --test arc-agi_evaluation_challenges.json \\
    --variants 100 --out arc1
  trm data arc build --test arc-agi_evaluation_challenges.json --side 12 --tasks 50 \\
    --variants 20 --out small

The outputs that a file of challenges keeps back are read from the ..._solutions.json beside it, where there is \
one; pairs whose output is not known are not learned, and asked without being judged.
All pairs of a --learn file are learned. Of a --test file the demonstration pairs are learned, and the test pairs \
are asked. A --learn task that shares its name or an answered pair with a tested task is left out. Of tasks with the \
same name the first counts.
Every task is also there in variants, turned and in other colours. OUT receives train and test (dataset.json and \
arrays), identifiers.json (names by number), test_puzzles.json (the tasks that are tested, with their outputs) and \
sources.json (what it was made of).
A variant takes 2 SIDE SIDE bytes an example on disk, 1,800 on the reference's canvas of 30 x 30, and about as much \
again in memory while it is made, beside the grids.")]
pub(super) struct BuildArgs {
    #[command(flatten)]
    sources: Sources,
    /// Side of the canvas; tasks with a larger grid are left out. 30 is the reference's
    #[arg(long, value_name = "N", default_value_t = CANVAS as u8, value_parser = clap::value_parser!(u8).range(1..=CANVAS as i64))]
    side: u8,
    /// Seed of the random streams
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
    /// Folder to make, whole or not at all
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Which tasks, and how many variants of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct Sources {
    /// Challenges to learn from
    #[arg(long, value_name = "FILE")]
    learn: Vec<PathBuf>,
    /// Challenges to be tested by
    #[arg(long, value_name = "FILE")]
    test: Vec<PathBuf>,
    /// Use at most N tasks of each file, chosen at random [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tasks: Option<u32>,
    /// Variants of each task [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    variants: Option<u32>,
}

/// `--variants`, where it is not given.
const VARIANTS: u32 = 1000;

/// What a data set holds.
pub struct Made {
    /// Tasks.
    pub tasks: usize,
    /// Tasks that do not fit on the canvas.
    pub too_large: usize,
    /// Tasks of the files to learn from that are not learned, since they are tested.
    pub left_out: usize,
    /// Tasks that are left out, since one before them has their name.
    pub repeated: usize,
    /// Test pairs whose output is not known.
    pub unknown: usize,
    /// Tasks and variants.
    pub puzzles: usize,
    /// Examples to learn from.
    pub train_examples: usize,
    /// Examples to be tested by.
    pub test_examples: usize,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Made {
            tasks,
            puzzles,
            train_examples,
            test_examples,
            too_large,
            left_out,
            repeated,
            unknown,
        } = self;
        write!(
            f,
            "{tasks} tasks, {puzzles} with their variants: {train_examples} examples to learn from and \
             {test_examples} to be tested by"
        )?;
        if *too_large > 0 {
            write!(f, "; {too_large} tasks do not fit on the canvas")?;
        }
        if *left_out > 0 {
            write!(
                f,
                "; {left_out} tasks to learn from are left out, since they are tested"
            )?;
        }
        if *repeated > 0 {
            write!(
                f,
                "; {repeated} tasks are left out, since one before them has their name"
            )?;
        }
        if *unknown > 0 {
            write!(f, "; the outputs of {unknown} test pairs are not known")?;
        }
        Ok(())
    }
}

/// Runs the verb.
pub(super) fn run(verb: &Arc) -> anyhow::Result<ExitCode> {
    let Arc::Build(args) = verb;
    let out = &args.out;
    let made = args
        .sources
        .build(usize::from(args.side), args.seed, out, |_| Ok(()))?;
    print(|to| match args.json {
        true => {
            let line = serde_json::json!({ "folder": out.display().to_string(), "tasks": made.tasks,
                "too_large": made.too_large, "left_out": made.left_out, "repeated": made.repeated,
                "unknown_outputs": made.unknown, "puzzles": made.puzzles,
                "train_examples": made.train_examples, "test_examples": made.test_examples });
            writeln!(to, "{line}")
        }
        false => writeln!(to, "{}: {made}", out.display()),
    })?;
    Ok(ExitCode::SUCCESS)
}

impl Sources {
    /// Whether there is a file of tasks to be tested by.
    pub fn has_tests(&self) -> bool {
        !self.test.is_empty()
    }

    /// Builds the data set on canvases of `side` x `side` cells in the folder `out`, whole or not at all. Before anything
    /// is written, `check` is told how many identifiers its puzzles have.
    ///
    /// # Errors
    /// When there are no tasks, a file is faulty, `out` is there already, or cannot be made; those of `check`.
    pub fn build(
        &self,
        side: usize,
        seed: u64,
        out: &Path,
        check: impl FnOnce(usize) -> anyhow::Result<()>,
    ) -> anyhow::Result<Made> {
        ensure!(
            !out.exists(),
            "{} is there already; choose another folder",
            out.display()
        );
        let sources = serde_json::to_string(&Sources {
            variants: self.variants.or(Some(VARIANTS)),
            ..self.clone()
        })
        .with_context(|| format!("the names of the files of tasks, which {SOURCES} keeps"))?;
        let (mut tasks, too_large) = self.read(side, seed)?;
        let before = tasks.len();
        leave_out_what_is_tested(&mut tasks);
        let left_out = before - tasks.len();
        let mut names = HashSet::new();
        tasks.retain(|task| names.insert(task.name.clone()));
        let unknown = leave_out_what_is_not_known(&mut tasks);
        let repeated = before - left_out - tasks.len();
        let variants = self.variants.unwrap_or(VARIANTS) as usize;
        let bytes = tasks.iter().map(|task| task.bytes(side, variants)).sum();
        memory::check_bytes("the data set", bytes, "--variants or --tasks")?;
        let rng = &mut stream(seed, Purpose::Augment, 0);
        let places = &mut stream(seed, Purpose::Generate, 0);
        let progress = Progress::without_end("drawing variants");
        let variant = || {
            progress.add(1);
            Variant::random(rng)
        };
        let built = build(&tasks, side, variants, variant, |n| {
            places.random_range(0..n)
        });
        progress.finish();
        check(built.identifiers.len())?;
        write(&built, &tasks, &sources, out)?;
        let [train_examples, test_examples] =
            [&built.train, &built.test].map(|folder| folder.sets[0].levels.examples());
        Ok(Made {
            tasks: tasks.len(),
            too_large,
            left_out,
            repeated,
            unknown,
            puzzles: built.identifiers.len() - 1,
            train_examples,
            test_examples,
        })
    }

    /// Fails where what is given is not what the data set in `folder` was made of.
    ///
    /// # Errors
    /// Says what it was made of.
    pub fn check_those_of(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join(SOURCES);
        if !path.exists() {
            return Ok(());
        }
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        let before: Sources = serde_json::from_str(&text)
            .with_context(|| format!("{} does not parse", path.display()))?;
        // What is not given is what it was.
        let named = !self.learn.is_empty() || !self.test.is_empty();
        let files_differ = named && (&self.learn, &self.test) != (&before.learn, &before.test);
        let [tasks_differ, variants_differ] =
            [(self.tasks, before.tasks), (self.variants, before.variants)]
                .map(|(now, before)| now.is_some() && now != before);
        ensure!(
            !files_differ && !tasks_differ && !variants_differ,
            "{} was made of other tasks: {}; go on without naming any, or choose another folder",
            folder.display(),
            text.trim_end()
        );
        Ok(())
    }

    /// The tasks of all files, each file's in random order, and how many are too large for the canvas.
    fn read(&self, side: usize, seed: u64) -> anyhow::Result<(Vec<Task>, usize)> {
        ensure!(
            !self.learn.is_empty() || !self.test.is_empty(),
            "no tasks: give --learn FILE, --test FILE, or both"
        );
        let files = self.learn.iter().map(|file| (file, Role::Learned));
        let files = files.chain(self.test.iter().map(|file| (file, Role::Tested)));
        let (mut tasks, mut too_large) = (Vec::new(), 0);
        for (i, (file, role)) in (0..).zip(files) {
            let mut these = read(file, solutions_of(file).as_deref(), role)?;
            these.shuffle(&mut stream(seed, Purpose::Shuffle, i));
            let all = these.len();
            these.retain(|task| task.side() <= side);
            too_large += all - these.len();
            these.truncate(self.tasks.map_or(all, |most| most as usize));
            tasks.extend(these);
        }
        ensure!(
            !tasks.is_empty(),
            "no tasks left: {too_large} do not fit on a canvas of side {side}"
        );
        Ok((tasks, too_large))
    }
}

/// Removes the pairs without an output from what is learned, and counts all that have none.
fn leave_out_what_is_not_known(tasks: &mut [Task]) -> usize {
    let unknown = |pairs: &[Pair]| pairs.iter().filter(|pair| pair.output.is_none()).count();
    let count = |task: &Task| unknown(&task.learn) + unknown(&task.test);
    let all = tasks.iter().map(count).sum();
    for task in tasks {
        task.learn.retain(|pair| pair.output.is_some());
    }
    all
}

/// Removes tasks that are there to be learned from alone where another of the same name, or with a pair that one of
/// them has, is tested: its answers would be learned.
fn leave_out_what_is_tested(tasks: &mut Vec<Task>) {
    let tested = tasks.iter().filter(|task| !task.test.is_empty()).cloned();
    let tested: Vec<Task> = tested.collect();
    let names: HashSet<&str> = tested.iter().map(|task| &*task.name).collect();
    let pairs = tested.iter().flat_map(|task| &task.test);
    let pairs: HashSet<&Pair> = pairs.filter(|pair| pair.output.is_some()).collect();
    tasks.retain(|task| {
        let known = names.contains(&*task.name) || task.learn.iter().any(|p| pairs.contains(p));
        !task.test.is_empty() || !known
    });
}

/// Writes a data set to the folder `out`, whole or not at all; `sources` is the text of [`SOURCES`].
fn write(built: &Built, tasks: &[Task], sources: &str, out: &Path) -> anyhow::Result<()> {
    let cannot = |error| anyhow!("cannot make {}: {error}", out.display());
    make_folder(out, cannot, |new| {
        for (name, folder) in [("train", &built.train), ("test", &built.test)] {
            if !folder.sets[0].inputs.is_empty() {
                folder.write(&new.join(name))?;
            }
        }
        let write = |name: &str, text: &str| {
            let path = new.join(name);
            trm_tensor::file::replace(&path, |out| out.write_all(text.as_bytes()))
                .with_context(|| format!("cannot write {}", path.display()))
        };
        let identifiers = serde_json::to_string(&built.identifiers)?;
        write("identifiers.json", &identifiers)?;
        write("test_puzzles.json", &tested(tasks))?;
        write(SOURCES, sources)
    })
}

/// The file of a data set that says what it was made of.
pub const SOURCES: &str = "sources.json";

/// The file of solutions beside a file of challenges, if there is one.
fn solutions_of(challenges: &Path) -> Option<PathBuf> {
    let name = challenges.file_name()?.to_str()?;
    let start = name.strip_suffix("_challenges.json")?;
    let path = challenges.with_file_name(format!("{start}_solutions.json"));
    path.exists().then_some(path)
}

/// The tasks that are tested, by name, as the reference keeps them, but for outputs that are not known.
fn tested(tasks: &[Task]) -> String {
    let tested = tasks.iter().filter(|task| !task.test.is_empty());
    let entry = |task: &Task| {
        let pairs = serde_json::json!({ "train": task.learn, "test": task.test });
        (task.name.clone(), pairs)
    };
    let map: serde_json::Map<_, _> = tested.map(entry).collect();
    serde_json::Value::Object(map).to_string()
}
