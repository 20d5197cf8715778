//! `trm eval`.

use crate::arc::judge;
use crate::attempts::Attempts;
use crate::dataset::{self, Files};
use crate::output::{print, table};
use crate::paths::{check_out, is_within, same_file};
use crate::progress::Progress;
use crate::score::{Score, score};
use crate::task::Task;
use crate::threads::{pool, threads};
use crate::weights::Player;
use anyhow::ensure;
use clap::ValueEnum;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use trm_kernels::Precision;
use trm_model::Network;
use trm_model::solve::{Halt, SolveOptions};

/// When a puzzle stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HaltArg {
    /// After exactly the given number of supervision steps
    Never,
    /// As soon as the network's halting logit is positive
    Q,
    /// As soon as two more steps have not changed the answer
    Stable,
}

/// Steps that must leave an answer alone for it to count as stable.
const STABLE_STEPS: usize = 2;

impl From<HaltArg> for Halt {
    fn from(arg: HaltArg) -> Halt {
        match arg {
            HaltArg::Never => Halt::Never,
            HaltArg::Q => Halt::WhenSure,
            HaltArg::Stable => Halt::WhenStable(STABLE_STEPS),
        }
    }
}

/// Arguments of `trm eval`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  trm eval --weights weights/sudoku6.safetensors --data test.csv --json
  trm eval --weights weights/sudoku9-hard-20k.safetensors --data test.csv --attempts 100 \\
    --supervision-steps 24 --guess-every 8 --verify

The weights are the moving average of training; every puzzle gets exactly the given number of \
supervision steps unless --halt says otherwise. A board counts as exact when every cell is right, and as \
valid when it keeps the rules: in a maze any shortest path does.
Results with --attempts, --noise, --guess-every and --verify are reported separately, after the single plain pass; \
their mean steps count all attempts at a puzzle.")]
pub struct Args {
    /// Weights file
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// Puzzles with answers: CSV (source,question,answer,rating); for ARC, the folder of a data set
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// The answers, where --data has the questions of a task of your own: text or .npy both
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// Only the first N puzzles
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Supervision steps [default: as in training, the network's halt_max_steps]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub supervision_steps: Option<u32>,
    /// When a puzzle stops
    #[arg(long, value_enum, default_value = "never")]
    pub halt: HaltArg,
    #[command(flatten)]
    pub attempts: Attempts,
    /// Puzzles that a worker takes at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub micro_batch: u16,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = crate::threads::thread_count)]
    pub threads: Option<u16>,
    /// Of matrix products: f32, or f16 on a CPU with AVX512-FP16
    #[arg(long, value_name = "f32|f16", default_value = "f32")]
    pub precision: Precision,
    /// ARC: write two attempts at every test input to this JSON file
    #[arg(long, value_name = "FILE")]
    pub submission: Option<PathBuf>,
    /// ARC: draw predictions beside the truth in this SVG file
    #[arg(long, value_name = "FILE")]
    pub pictures: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Args {
    fn options(&self, net: &Network) -> SolveOptions {
        options(self.halt, self.supervision_steps, net)
    }
}

/// As many supervision steps as asked, or as the network was trained with.
pub fn options(halt: HaltArg, steps: Option<u32>, net: &Network) -> SolveOptions {
    let steps = steps.map_or(net.config().halt_max_steps, |steps| steps as usize);
    SolveOptions {
        halt: halt.into(),
        ..SolveOptions::new(steps)
    }
}

/// The tasks of ARC are judged by the votes of all their variants.
fn run_arc(args: &Args, player: &Player) -> anyhow::Result<ExitCode> {
    ensure!(
        !args.attempts.any() && args.answers.is_none(),
        "--attempts, --noise, --guess-every, --verify and --answers are not for ARC: the variants of a task are the \
         attempts at it"
    );
    // Known now, not after hours of judging.
    for path in args.submission.iter().chain(&args.pictures) {
        check_out(path)?;
        ensure!(
            !is_within(path, &args.data),
            "{}: that is among the files of the data set; choose another folder",
            path.display()
        );
        ensure!(
            !same_file(path, &args.weights),
            "{}: the weights themselves would be replaced; give another name",
            path.display()
        );
    }
    if let (Some(submission), Some(pictures)) = (&args.submission, &args.pictures) {
        ensure!(
            !same_file(submission, pictures),
            "--submission and --pictures are both {}: one would replace the other",
            submission.display()
        );
    }
    let (limit, micro_batch) = (args.limit.map(|n| n as usize), args.micro_batch.into());
    let options = args.options(&player.loaded.net);
    let judgement = judge(
        player,
        &args.data,
        limit,
        options,
        micro_batch,
        args.threads,
    )?;
    // Nobody may be left to print for after hours of judging: the files come first.
    if let Some(path) = &args.submission {
        judgement.write_submission(path)?;
    }
    if let Some(path) = &args.pictures {
        judgement.write_pictures(path)?;
    }
    print(|out| judgement.write(out, args.json))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let player = Player::read(&args.weights, args.precision)?;
    let task = player.task;
    args.attempts.check(task)?;
    if let Task::Arc(_) = task {
        return run_arc(args, &player);
    }
    ensure!(
        args.submission.is_none() && args.pictures.is_none(),
        "--submission and --pictures are for ARC; {} plays {}",
        args.weights.display(),
        task.name()
    );
    let loaded = &player.loaded;
    let files = Files {
        puzzles: &args.data,
        answers: args.answers.as_deref(),
    };
    let data = dataset::read_labelled(files, task, args.limit.unwrap_or(0) as usize)?;
    let (net, micro_batch) = ((&loaded.net, &loaded.params), usize::from(args.micro_batch));
    let (options, threads) = (args.options(net.0), threads(args.threads));
    let lower = "--micro-batch or --threads";
    args.attempts
        .check_memory(net.0, (data.len(), micro_batch), threads, lower)?;
    let pool = pool(threads)?;
    let measure = |what: &'static str, attempts: &Attempts| {
        let progress = Progress::new(data.len() as u64, what);
        let start = Instant::now();
        let done = |n: usize| progress.add(n as u64);
        let score = pool.install(|| score(net, &data, micro_batch, options, attempts, done));
        progress.finish();
        (score, start.elapsed().as_secs_f64())
    };
    let (single, seconds) = measure("solving", &Attempts::ONE);
    let more = args
        .attempts
        .any()
        .then(|| measure("attempts", &args.attempts));
    let mut report = report(&single, seconds, data.len());
    let mut rows = vec![["puzzles".to_owned(), data.len().to_string()]];
    rows.extend(lines(&single, seconds, data.len()));
    if let Some((score, seconds)) = &more {
        let choice = &args.attempts;
        let mut more = self::report(score, *seconds, data.len());
        more["attempts"] = json!(choice.attempts);
        more["choose"] = json!(format!("{:?}", choice.choose).to_lowercase());
        more["noise"] = json!(choice.noise);
        more["guess_every"] = json!(choice.guess_every);
        more["verify"] = json!(choice.verify);
        more["mean_attempts"] = json!(score.attempts);
        report["with_attempts"] = more;
        let rules = if choice.verify {
            ", checked by the rules"
        } else {
            ""
        };
        let title = format!("with up to {} attempts{rules}", choice.attempts);
        rows.push([title, String::new()]);
        rows.extend(lines(score, *seconds, data.len()));
        rows.push(["mean attempts".into(), format!("{:.2}", score.attempts)]);
    }
    print(|out| match args.json {
        true => writeln!(out, "{report}"),
        false => write!(out, "{}", table(&rows)),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The figures of one way to solve, for programs.
fn report(score: &Score, seconds: f64, puzzles: usize) -> serde_json::Value {
    json!({
        "puzzles": puzzles,
        "exact_accuracy": score.exact,
        "valid_accuracy": score.valid,
        "cell_accuracy": score.cells,
        "mean_steps": score.steps,
        "seconds": seconds,
        "puzzles_per_second": puzzles as f64 / seconds,
        "by_source": score.by_source(),
    })
}

/// The figures of one way to solve, for people.
fn lines(score: &Score, seconds: f64, puzzles: usize) -> Vec<[String; 2]> {
    let percent = |part: f64| format!("{:.2} %", 100.0 * part);
    let mut rows = vec![["exact accuracy".to_owned(), percent(score.exact)]];
    if score.sources.len() > 1 {
        rows.extend(score.sources.iter().map(|(source, (puzzles, exact))| {
            let share = percent(*exact as f64 / *puzzles as f64);
            [format!("  {source}"), format!("{share} of {puzzles}")]
        }));
    }
    if let Some(valid) = score.valid.filter(|&valid| valid != score.exact) {
        rows.push(["valid accuracy".into(), percent(valid)]);
    }
    rows.push(["cell accuracy".into(), percent(score.cells)]);
    rows.push(["mean steps".into(), format!("{:.2}", score.steps)]);
    let rate = puzzles as f64 / seconds;
    rows.push([
        "seconds".into(),
        format!("{seconds:.1} ({rate:.1} puzzles/s)"),
    ]);
    rows
}
