//! `trm data`: making, dividing and judging puzzle files.

pub mod arc;
mod arithmetic;
mod convert;
mod maze;

use crate::output::print;
use crate::paths::{check_out, same_file};
use crate::progress::Progress;
use crate::threads::{pool, threads};
use anyhow::{bail, ensure};
use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use trm_autograd::random::{Purpose, stream};
use trm_data::check::{Report, check_path};
use trm_data::generate::{Difficulty, generate};
use trm_data::{Cells, Geometry, Puzzle, read_path, split, write, write_path};

/// Arguments of `trm data`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Sudoku of side 4, 6 or 9
    #[command(subcommand, arg_required_else_help = true)]
    Sudoku(Sudoku),
    /// Mazes, from start to goal by the shortest path
    #[command(subcommand, arg_required_else_help = true)]
    Maze(maze::Maze),
    /// Sums, products and remainders
    #[command(subcommand, arg_required_else_help = true)]
    Arithmetic(arithmetic::Arithmetic),
    /// ARC-AGI and ConceptARC
    #[command(subcommand, arg_required_else_help = true)]
    Arc(arc::Arc),
    /// From a CSV to a folder of the PyTorch reference, or back
    Convert(convert::Args),
}

#[derive(Debug, Subcommand)]
enum Sudoku {
    /// Make new puzzles, each with one solution, all different
    Generate(GenerateArgs),
    /// Divide a file into train and test, without look-alikes across them
    Split(SplitArgs),
    /// Report what is in a file, and whether it can be trusted
    Check(CheckArgs),
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.kind {
        Kind::Sudoku(Sudoku::Generate(args)) => run_generate(args),
        Kind::Sudoku(Sudoku::Split(args)) => run_split(args),
        Kind::Sudoku(Sudoku::Check(args)) => run_check(args),
        Kind::Maze(verb) => maze::run(verb),
        Kind::Arithmetic(verb) => arithmetic::run(verb),
        Kind::Arc(verb) => arc::run(verb),
        Kind::Convert(args) => convert::run(args),
    }
}

/// Arguments of `trm data sudoku generate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm data sudoku generate --side 4 --count 3                            look at three of them
  trm data sudoku generate --side 9 --count 20000 --out train.csv        easy: singles solve them
  trm data sudoku generate --side 9 --count 1000 --difficulty minimal    no clue to spare
  trm data sudoku generate --side 6 --count 500 --difficulty givens=14   exactly 14 givens

Writes CSV (source,question,answer,rating); the rating is the number of guesses that a solver needs. \
The same side, difficulty and seed always give the same puzzles, for any number of threads, and a \
larger count continues a smaller one.")]
struct GenerateArgs {
    /// Side of the board
    #[arg(long, value_parser = sides())]
    side: Geometry,
    /// easy (solvable by singles), minimal (no clue to spare), or givens=N
    #[arg(long, value_name = "WHICH", default_value = "easy")]
    difficulty: Difficulty,
    #[command(flatten)]
    making: Making,
}

/// How many to make, from what, and where to.
#[derive(Debug, clap::Args)]
struct Making {
    /// How many puzzles
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Seed of the random streams. A training run without --data makes its puzzles from its own seed, 0 by default: use
    /// a different one for test data
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// File to write, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = crate::threads::thread_count)]
    threads: Option<u16>,
}

/// `--side`: one of the sides that boards can have.
fn sides() -> impl TypedValueParser<Value = Geometry> {
    PossibleValuesParser::new(["4", "6", "9"]).try_map(|side| {
        let geometry = side.parse().ok().and_then(Geometry::from_side);
        geometry.ok_or_else(|| format!("no board has side {side}"))
    })
}

/// Puzzles made one after another that were all made before, until no more different ones are expected.
const BARREN: u64 = 10_000;

fn run_generate(args: &GenerateArgs) -> anyhow::Result<ExitCode> {
    let geometry = args.side;
    if let Difficulty::Givens(givens) = args.difficulty {
        let cells = geometry.cells();
        ensure!(
            givens <= cells,
            "--difficulty givens={givens}: a {geometry} board has {cells} cells"
        );
    }
    let Making { seed, ref out, .. } = args.making;
    let make = |i| {
        let rng = &mut stream(seed, Purpose::Generate, i);
        generate(geometry, args.difficulty, rng)
    };
    let puzzles = args.making.run(make, |puzzle: &Puzzle| puzzle.question)?;
    deliver(&puzzles, out.as_deref(), &format!("puzzles of {geometry}"))
}

impl Making {
    /// The first `count` different ones of the endless list of what `make` makes from random stream 0, 1,
    /// and so on; two are the same when their `question` is.
    fn run<P: Send, Q: Eq + Hash, E: Into<anyhow::Error> + Send>(
        &self,
        make: impl Fn(u64) -> Result<P, E> + Sync + Send,
        question: impl Fn(&P) -> Q + Send,
    ) -> anyhow::Result<Vec<P>> {
        // Known now, not after hours of generating.
        self.out.as_deref().map_or(Ok(()), check_out)?;
        let pool = pool(threads(self.threads))?;
        let progress = Progress::new(self.count.into(), "generating puzzles");
        let made = pool.install(|| distinct(self.count as usize, &progress, make, question));
        progress.finish();
        made
    }
}

/// [`Making::run`] on the current pool: neither threads nor the size of a round change what comes out.
fn distinct<P: Send, Q: Eq + Hash, E: Into<anyhow::Error> + Send>(
    count: usize,
    progress: &Progress,
    make: impl Fn(u64) -> Result<P, E> + Sync,
    question: impl Fn(&P) -> Q,
) -> anyhow::Result<Vec<P>> {
    /// Puzzles made at a time: bounds what is made in vain.
    const ROUND: u64 = 1 << 16;
    let one = |i| {
        let puzzle = make(i);
        progress.add(1);
        puzzle
    };
    let (mut puzzles, mut seen) = (Vec::new(), HashSet::new());
    let (mut next, mut last_new) = (0, 0);
    while puzzles.len() < count {
        let missing = (count - puzzles.len()) as u64;
        let round = next..next + missing.min(ROUND);
        next = round.end;
        let made: Result<Vec<P>, E> = round.clone().into_par_iter().map(one).collect();
        for (i, puzzle) in round.zip(made.map_err(Into::into)?) {
            if puzzles.len() < count && seen.insert(question(&puzzle)) {
                puzzles.push(puzzle);
                last_new = i;
            }
        }
        progress.set(puzzles.len() as u64);
        if next - last_new > BARREN && puzzles.len() < count {
            bail!(
                "only {} different puzzles found, {count} asked for: the last {} made were all \
                 repeats; ask for fewer with --count, or for others",
                puzzles.len(),
                next - last_new - 1
            );
        }
    }
    Ok(puzzles)
}

/// Writes the file, or prints where none was named.
fn deliver<G: Cells>(
    puzzles: &[Puzzle<G>],
    out: Option<&Path>,
    what: &str,
) -> anyhow::Result<ExitCode> {
    match out {
        Some(path) => {
            write_path(path, puzzles)?;
            say!("{} {what} in {}", puzzles.len(), path.display());
        }
        None => {
            // Through memory: the CSV writer's errors would hide a closed pipe.
            let mut text = Vec::new();
            write::write(&mut text, puzzles)?;
            print(|out| out.write_all(&text))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Arguments of `trm data sudoku split`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  trm data sudoku split all.csv --test 1000 --out-train train.csv --out-test test.csv

Guaranteed: no test question is a train question under any symmetry of Sudoku (digits renamed, rows, \
columns, bands and stacks exchanged, the board mirrored). Not guaranteed: that answers differ, too.

Exit code: 0, or 1 when fewer than --test puzzles could be set aside without breaking that.")]
struct SplitArgs {
    /// Puzzles: CSV or plain lines
    file: PathBuf,
    /// Puzzles to set aside for testing
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    test: u32,
    /// Seed of the choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// File for the puzzles to learn from
    #[arg(long, value_name = "FILE")]
    out_train: PathBuf,
    /// File for the puzzles to be judged by
    #[arg(long, value_name = "FILE")]
    out_test: PathBuf,
}

fn run_split(args: &SplitArgs) -> anyhow::Result<ExitCode> {
    let (file, wanted) = (args.file.display(), args.test as usize);
    for (option, path, other) in [
        ("--out-test", &args.out_test, &args.out_train),
        ("--out-train", &args.out_train, &args.file),
        ("--out-test", &args.out_test, &args.file),
    ] {
        ensure!(
            !same_file(path, other),
            "{option} {}: this would replace {}; give a file of its own",
            path.display(),
            other.display()
        );
    }
    check_out(&args.out_train)?;
    check_out(&args.out_test)?;
    let puzzles: Vec<Puzzle> = read_path(&args.file, ())?;
    let count = puzzles.len();
    ensure!(
        wanted < count,
        "--test {wanted}: {file} holds {count} puzzles; leave at least one to learn from"
    );
    let parts = split::split(puzzles, wanted, &mut stream(args.seed, Purpose::Split, 0));
    ensure!(
        !parts.test.is_empty(),
        "{file}: every group of look-alikes is larger than --test {wanted}; ask for more"
    );
    // An old file of one beside a new one of the other would share puzzles with it.
    write::write_together(&[
        (&args.out_train, &parts.train),
        (&args.out_test, &parts.test),
    ])?;
    print(|out| {
        writeln!(
            out,
            "train  {:>8} puzzles  {}",
            parts.train.len(),
            args.out_train.display()
        )?;
        writeln!(
            out,
            "test   {:>8} puzzles  {}",
            parts.test.len(),
            args.out_test.display()
        )?;
        writeln!(
            out,
            "guaranteed: no test question is a train question under any symmetry"
        )
    })?;
    if parts.test.len() < wanted {
        let found = parts.test.len();
        say!(
            "note: {found} of {wanted} test puzzles: the groups of look-alikes left over are too large"
        );
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

/// Arguments of `trm data sudoku check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  trm data sudoku check train.csv

Every row must be readable, have exactly one solution and a question of its own, and an answer, where \
it has one, that solves it; the first lines that do not are listed. A question that a million guesses do not \
decide counts among them. Exit code: 0 when all do, 1 when some do not, 2 when there is no such file or no \
row in it.")]
struct CheckArgs {
    /// Puzzles: CSV or plain lines
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn run_check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let progress = Progress::without_end("checking puzzles");
    let report = check_path(&args.file, || progress.add(1));
    progress.finish();
    let report = report?;
    print(|out| match args.json {
        true => writeln!(out, "{}", check_json(&args.file, &report)),
        false => writeln!(out, "{report}"),
    })?;
    Ok(ExitCode::from(u8::from(!report.is_clean())))
}

fn check_json(file: &Path, report: &Report) -> Value {
    let shapes = report.shape.into_iter();
    let shapes = shapes.map(|shape| (shape.to_string(), json!(report.good)));
    let givens = report
        .givens
        .iter()
        .map(|(givens, &n)| (givens.to_string(), json!(n)));
    let faults = report.faults.iter().map(ToString::to_string);
    let doubts = report.doubts_in_words();
    json!({
        "file": file.display().to_string(),
        "clean": report.is_clean(),
        "rows": report.rows(),
        "shapes": shapes.collect::<Map<_, _>>(),
        "unique": report.unique,
        "ambiguous": report.ambiguous,
        "unsolvable": report.unsolvable,
        "undecided": report.undecided,
        "answers": report.answered,
        "valid_answers": report.valid_answers,
        "duplicates": report.duplicates,
        "doubtful": report.doubtful,
        "doubts": doubts.collect::<Vec<_>>(),
        "faulty": report.faulty,
        "faults": faults.collect::<Vec<_>>(),
        "givens": givens.collect::<Map<_, _>>(),
    })
}
