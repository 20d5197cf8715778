//! `trm data arc`.

use crate::output::print;
use anyhow::{Context, ensure};
use clap::Subcommand;
use rand::RngExt;
use rand::seq::SliceRandom;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use trm_autograd::random::{Purpose, stream};
use trm_data::arc::build::{Task, build};
use trm_data::arc::read::{Role, read};
use trm_data::arc::variant::Variant;

#[derive(Debug, Subcommand)]
pub(super) enum Arc {
    /// Make a data set of the PyTorch reference's form out of ARC's JSON files
    Build(BuildArgs),
}

/// Arguments of `trm data arc build`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  trm data arc build --learn arc-agi_training_challenges.json --learn arc-agi_concept_challenges.json \\
    --test arc-agi_evaluation_challenges.json --variants 100 --out arc1

The outputs that a file of challenges keeps back are read from the ..._solutions.json beside it, where there is
one. Of a file to learn from all pairs are learned; of one to test, the pairs that it shows, and the others are tested.
Every task is also there in variants, turned and in other colours. OUT receives train and test (dataset.json and
arrays), identifiers.json (names by number) and test_puzzles.json (the tasks that are tested, with their outputs).
A variant takes 1,800 bytes an example, in memory and on disk.")]
pub(super) struct BuildArgs {
    /// Challenges to learn from
    #[arg(long, value_name = "FILE")]
    learn: Vec<PathBuf>,
    /// Challenges to be tested by
    #[arg(long, value_name = "FILE")]
    test: Vec<PathBuf>,
    /// Variants of each task
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    variants: u32,
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

/// Runs the verb.
pub(super) fn run(verb: &Arc) -> anyhow::Result<ExitCode> {
    let Arc::Build(args) = verb;
    ensure!(
        !args.learn.is_empty() || !args.test.is_empty(),
        "no tasks: give --learn FILE, --test FILE, or both"
    );
    let out = &args.out;
    ensure!(
        !out.exists(),
        "{} is there already; choose another folder",
        out.display()
    );
    let files = args.learn.iter().map(|file| (file, Role::Learned));
    let files = files.chain(args.test.iter().map(|file| (file, Role::Tested)));
    let mut tasks = Vec::new();
    for (i, (file, role)) in (0..).zip(files) {
        let mut these = read(file, solutions_of(file).as_deref(), role)?;
        these.shuffle(&mut stream(args.seed, Purpose::Shuffle, i));
        tasks.extend(these);
    }
    let rng = &mut stream(args.seed, Purpose::Augment, 0);
    let places = &mut stream(args.seed, Purpose::Generate, 0);
    let built = build(
        &tasks,
        args.variants as usize,
        || Variant::random(rng),
        |n| places.random_range(0..n),
    );

    let parent = match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let make = || format!("cannot make {}", out.display());
    std::fs::create_dir_all(parent).with_context(make)?;
    let new = tempfile::Builder::new().prefix(".trm-").tempdir_in(parent);
    let new = new.with_context(make)?;
    if !built.train.sets[0].inputs.is_empty() {
        built.train.write(&new.path().join("train"))?;
    }
    if !built.test.sets[0].inputs.is_empty() {
        built.test.write(&new.path().join("test"))?;
    }
    let write = |name: &str, text: String| {
        let path = new.path().join(name);
        trm_tensor::file::replace(&path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))
    };
    write(
        "identifiers.json",
        serde_json::to_string(&built.identifiers)?,
    )?;
    write("test_puzzles.json", tested(&tasks))?;
    std::fs::rename(new.path(), out).with_context(make)?;
    // What it was called is gone; there is nothing left to remove.
    let _ = new.keep();

    let cells = built.train.metadata.seq_len;
    let [learned, asked] =
        [&built.train, &built.test].map(|folder| folder.sets[0].inputs.len() / cells);
    let (count, names) = (tasks.len(), built.identifiers.len() - 1);
    print(|to| match args.json {
        true => {
            let line = serde_json::json!({ "folder": out.display().to_string(), "tasks": count,
                "puzzles": names, "train_examples": learned, "test_examples": asked });
            writeln!(to, "{line}")
        }
        false => writeln!(
            to,
            "{count} tasks, {names} with their variants: {learned} examples to learn from and {asked} to be tested by in {}",
            out.display()
        ),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The file of solutions beside a file of challenges, if there is one.
fn solutions_of(challenges: &Path) -> Option<PathBuf> {
    let name = challenges.file_name()?.to_str()?;
    let start = name.strip_suffix("_challenges.json")?;
    let path = challenges.with_file_name(format!("{start}_solutions.json"));
    path.exists().then_some(path)
}

/// The tasks that are tested, by name, as the reference keeps them.
fn tested(tasks: &[Task]) -> String {
    let tested = tasks.iter().filter(|task| !task.test.is_empty());
    let entry = |task: &Task| {
        let pairs = serde_json::json!({ "train": task.learn, "test": task.test });
        (task.name.clone(), pairs)
    };
    let map: serde_json::Map<_, _> = tested.map(entry).collect();
    serde_json::Value::Object(map).to_string()
}
