//! `trm train`.

mod export;
mod keep;
mod lock;
mod start;
mod stop;

use crate::attempts::Attempts;
use crate::config::{self, RunConfig};
use crate::dataset::{self, Files, Split};
use crate::dry_run::dry_run;
use crate::output::print;
use crate::progress::Progress;
use crate::score::score;
use crate::task::Task;
use crate::threads::{pool, threads};
use anyhow::Context;
use serde_json::json;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use stop::Stop;
use trm_kernels::Precision;
use trm_model::Trainer;
use trm_model::config::System;
use trm_model::metrics::Metrics;
use trm_model::solve::SolveOptions;

pub use start::{check_new, check_weights};

/// Arguments of `trm train`.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Examples:
  trm train sudoku4                                   minutes; generates its own puzzles
  trm train sudoku6 --data train.csv --out runs/six   learn from a file of your own
  trm train sudoku6 --out runs/six --resume           go on after a stop, to the same bits
  trm train sudoku6 --out runs/six --export six.ckpt  a small file to go on with elsewhere
  trm train paper-mlp --dry-run                       size, memory and time before you start

The keys of a config, with defaults and ranges, are in docs/config.md.

OUT receives config.toml, metrics.jsonl, experiment.toml (for trm report), checkpoint.safetensors \
and the one before it, weights.safetensors (the newest), best.safetensors (the best on the puzzles \
held out) and lock, which keeps another run from writing there.

A run has the length that it began with. To train its weights further, begin another run with \
--init-from OUT/weights.safetensors and another --out.")]
pub struct Args {
    /// A TOML file or a preset: sudoku4, sudoku6, sudoku9, sudoku9-hard, maze10, maze30, addition, arc, paper-mlp, paper-att
    pub config: String,
    /// Puzzles to learn from: CSV (source,question,answer,rating); generated when absent
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// The answers, where --data has the questions of a task of your own: text or .npy both
    #[arg(long, value_name = "FILE", requires = "data")]
    pub answers: Option<PathBuf>,
    /// Puzzles to validate with, the first data.validation_puzzles; split off the training puzzles when absent
    #[arg(long, value_name = "FILE")]
    pub validate: Option<PathBuf>,
    /// Folder of the run [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Worker threads; at most train.gradient_shards of them, 8 or fewer, compute the gradient [default: all cores]
    #[arg(long, value_name = "N", value_parser = crate::threads::thread_count)]
    pub threads: Option<u16>,
    /// Optimiser steps, instead of the config's
    #[arg(long, value_name = "N", value_parser = steps())]
    pub steps: Option<u64>,
    /// Stop after this many minutes, with a checkpoint; --resume goes on
    #[arg(long, value_name = "N", value_parser = minutes)]
    pub minutes: Option<f64>,
    /// Seed, instead of the config's
    #[arg(long, value_name = "N", value_parser = seed())]
    pub seed: Option<u64>,
    /// Of matrix products, instead of the config's: f32, or f16 on a CPU with AVX512-FP16
    #[arg(long, value_name = "f32|f16")]
    pub precision: Option<Precision>,
    /// Go on from the checkpoint in OUT
    #[arg(long)]
    pub resume: bool,
    /// Start from these weights instead of random ones
    #[arg(long, value_name = "WEIGHTS", conflicts_with = "resume")]
    pub init_from: Option<PathBuf>,
    /// Write the checkpoint in OUT to FILE without its batch, small enough to be carried away, and stop
    #[arg(long, value_name = "FILE", conflicts_with_all = ["resume", "init_from", "minutes"])]
    pub export: Option<PathBuf>,
    /// Start OUT from a file that --export wrote: the run goes on at its step, with a batch of new puzzles
    #[arg(long, value_name = "FILE", conflicts_with_all = ["resume", "init_from", "export"])]
    pub import: Option<PathBuf>,
    /// Print parameters, memory and estimated time, and stop
    #[arg(long, conflicts_with_all = ["resume", "export", "import", "minutes"])]
    pub dry_run: bool,
}

/// `--seed`: what fits a number of TOML, since the config of a run is kept.
pub fn seed() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(..=i64::MAX as u64)
}

/// `--steps`: at least one, and a number of TOML too.
pub fn steps() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=i64::MAX as u64)
}

/// `--minutes`: a time that ends.
pub fn minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text.parse().map_err(|_| "expected a number")?;
    match (0.0..=525_600.0).contains(&minutes) {
        true => Ok(minutes),
        false => Err("expected 0 to 525600, a year".into()),
    }
}

impl Args {
    /// The config, with the command line's word over it, fitted to the data.
    fn config(&self) -> anyhow::Result<RunConfig> {
        let mut config = config::load(&self.config)?;
        config.train.steps = self.steps.unwrap_or(config.train.steps);
        config.train.seed = self.seed.unwrap_or(config.train.seed);
        config.train.precision = self.precision.unwrap_or(config.train.precision);
        if let (Task::Arc(_), Some(folder)) = (config.task()?, &self.data) {
            dataset::arc::fit(&mut config, folder)?;
        }
        Ok(config)
    }

    /// The files to learn from, if any are given.
    fn files(&self) -> Option<Files<'_>> {
        let answers = self.answers.as_deref();
        self.data
            .as_deref()
            .map(|puzzles| Files { puzzles, answers })
    }

    /// Fails unless the files that are named can be opened: what a dry run can know of them.
    fn check_files(&self) -> anyhow::Result<()> {
        let named = [&self.data, &self.answers, &self.validate, &self.init_from];
        for path in named.into_iter().flatten() {
            File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        }
        Ok(())
    }

    /// The folder of the run.
    fn out(&self, config: &RunConfig) -> PathBuf {
        let by_name = || Path::new("runs").join(&config.name);
        self.out.clone().unwrap_or_else(by_name)
    }
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.config()?;
    let threads = threads(args.threads);
    if args.dry_run {
        args.check_files()?;
        say_what_has_no_effect(&config)?;
        return pool(threads)?.install(|| dry_run(&config, threads));
    }
    let out = args.out(&config);
    if let Some(file) = &args.export {
        pool(threads)?.install(|| export::export(args, file, config, out, threads))?;
        print(|out| writeln!(out, "{}", file.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (end, _) = run_to_end(args)?;
    if end == End::Finished {
        // No validation may have been the best yet, or the disk had no room for it.
        let best = ["best.safetensors", "weights.safetensors"].map(|name| out.join(name));
        if let Some(best) = best.iter().find(|path| path.exists()) {
            print(|out| writeln!(out, "{}", best.display()))?;
        }
    }
    Ok(end.code())
}

/// Exit code of a run that was interrupted, as the shell gives it.
const INTERRUPTED: u8 = 130;

/// A prepared run.
struct Run {
    config: RunConfig,
    task: Task,
    trainer: Trainer,
    data: Split,
    out: PathBuf,
    /// While it lives, no other training writes to `out`; an export takes none.
    claim: Option<lock::Claim>,
    threads: usize,
    /// Seconds of training before this start.
    seconds_before: f64,
    start: Instant,
    /// Best exact accuracy so far; negative before the first validation.
    best: f64,
    /// Whether the weights of the last validation could not be written.
    weights_are_old: bool,
    /// Whether the last line of metrics could not be written.
    metrics_fail: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All steps were done.
    Finished,
    /// The minutes that it was given are over.
    TimeIsUp,
    /// Somebody stopped it.
    Interrupted,
}

impl End {
    /// The exit code of the program.
    pub fn code(self) -> ExitCode {
        match self {
            End::Interrupted => ExitCode::from(INTERRUPTED),
            End::Finished | End::TimeIsUp => ExitCode::SUCCESS,
        }
    }
}

/// Trains from the beginning, or from where the arguments say; how it ended, and whether somebody asked it to, be it
/// too late to cut it short.
///
/// # Errors
/// When the run cannot begin, or cannot go on; what it saved is then as it was.
pub fn run_to_end(args: &Args) -> anyhow::Result<(End, bool)> {
    let (config, threads) = (args.config()?, threads(args.threads));
    pool(threads)?.install(|| train(args, config, threads))
}

/// Trains on the current pool of `threads`.
fn train(args: &Args, config: RunConfig, threads: usize) -> anyhow::Result<(End, bool)> {
    let out = args.out(&config);
    let mut run = match (args.resume, &args.import) {
        (true, _) => start::resume(args, config, out, threads)?,
        (false, Some(file)) => start::import(args, file, config, out, threads)?,
        (false, None) => {
            say_what_has_no_effect(&config)?;
            start::begin(args, config, out, threads)?
        }
    };
    let stop = Stop::listen()?;
    run.describe(threads);
    let end = run.go(&stop, args.minutes.map(|minutes| minutes * 60.0))?;
    if end != End::Finished {
        say!("stopped at step {}; go on with --resume", run.trainer.step);
    }
    Ok((end, stop.is_asked()))
}

fn say_what_has_no_effect(config: &RunConfig) -> anyhow::Result<()> {
    for line in config::without_effect(config)? {
        say!("{line}");
    }
    Ok(())
}

/// What was measured since the last line of metrics.
struct Window {
    sums: Metrics,
    steps: u64,
    /// When they began, later by what validation and checkpoints took meanwhile.
    since: Instant,
}

impl Window {
    fn new() -> Self {
        Window {
            sums: Metrics::default(),
            steps: 0,
            since: Instant::now(),
        }
    }
}

impl Run {
    fn describe(&self, threads: usize) {
        let (net, data) = (&self.trainer.net, &self.data);
        say!(
            "{}: {} parameters, {} training puzzles, {} held out, {threads} threads, {} on {}",
            self.config.name,
            net.layout().len(),
            data.train.len(),
            data.validation.len(),
            net.kernels().precision(),
            net.kernels().name()
        );
    }

    /// Trains to the last step, or until it is told to stop or `seconds` are over; then leaves a checkpoint.
    fn go(&mut self, stop: &Stop, seconds: Option<f64>) -> anyhow::Result<End> {
        let (steps, batch) = (self.config.train.steps, self.config.train.batch as u64);
        let (seed, how) = (self.config.train.seed, self.config.data.clone());
        let intervals = self.config.run.clone();
        let progress = Arc::new(Progress::new(steps, "training"));
        progress.begin_at(self.trainer.step);
        stop.answer_beside(&progress);
        let interval = Duration::from_secs_f64(60.0 * intervals.checkpoint_minutes);
        let (mut window, mut save_at) = (Window::new(), Instant::now() + interval);
        let end = loop {
            if self.trainer.step == steps {
                break End::Finished;
            }
            let (first, data) = (self.trainer.step * batch, &self.data.train);
            let metrics = self
                .trainer
                .step(|row, slot| data.draw(first + row as u64, seed, &how, slot));
            let metrics = metrics.map_err(|astray| self.gone_astray(&astray))?;
            window.sums.add(&metrics);
            window.steps += 1;
            let step = self.trainer.step;
            progress.set(step);
            if step.is_multiple_of(intervals.log_every) || step == steps {
                self.log(&progress, &window);
                window = Window::new();
            }
            if step.is_multiple_of(intervals.validate_every) || step == steps {
                let begin = Instant::now();
                self.validate(&progress);
                self.warn(&progress, self.write_experiment());
                window.since += begin.elapsed();
            }
            // The last step is the end, whatever else is.
            if step < steps && stop.is_asked() {
                break End::Interrupted;
            }
            if step < steps && seconds.is_some_and(|s| self.start.elapsed().as_secs_f64() >= s) {
                break End::TimeIsUp;
            }
            if Instant::now() >= save_at {
                let begin = Instant::now();
                save_at = begin + self.try_to_save(&progress, interval);
                window.since += begin.elapsed();
            }
        };
        self.save_at_the_end(&progress, end)?;
        self.warn(&progress, self.write_experiment());
        progress.finish();
        Ok(end)
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.start.elapsed().as_secs_f64()
    }

    /// One line of training metrics: means over the window.
    fn log(&mut self, progress: &Progress, window: &Window) {
        let (step, batch) = (self.trainer.step, self.config.train.batch as f64);
        let (sums, rows) = (&window.sums, window.steps as f64 * batch);
        let halted = sums.count.max(1.0);
        let loss = sums.lm_loss / rows;
        progress.note(&format!("loss {loss:.3}"));
        let mut line = json!({
            "step": step,
            "samples": step * self.config.train.batch as u64,
            "seconds": round(self.seconds(), 1),
            "lr": self.trainer.lr(self.config.train.lr),
            "lm_loss": round(loss, 5),
            "q_halt_loss": round(sums.q_halt_loss / rows, 5),
            "cell_accuracy": round(sums.accuracy / halted, 5),
            "exact_accuracy": round(sums.exact_accuracy / halted, 5),
            "q_halt_accuracy": round(sums.q_halt_accuracy / halted, 5),
            "supervision_steps": round(sums.steps / halted, 3),
            "samples_per_s": round(rows / window.since.elapsed().as_secs_f64(), 1),
        });
        if self.config.model.system == System::Hrm {
            line["q_continue_loss"] = json!(round(sums.q_continue_loss / rows, 5));
        }
        if self.config.train.precision == Precision::F16 {
            line["rows_reset"] = json!(sums.rows_reset);
            line["updates_skipped"] = json!(sums.updates_skipped);
        }
        self.write_metrics(progress, &line);
    }

    /// Exact accuracy on the puzzles held out, as evaluation measures it; keeps the best weights.
    fn validate(&mut self, progress: &Progress) {
        if !self.data.judged {
            let saved = self.save_weights("weights.safetensors", None);
            self.weights_are_old = !self.warn(progress, saved);
            return;
        }
        let held_out = &self.data.validation;
        let options = SolveOptions::new(self.config.model.halt_max_steps);
        let (micro_batch, once) = (self.config.train.micro_batch, &Attempts::ONE);
        let (step, puzzles, asked) = (self.trainer.step, held_out.len(), AtomicUsize::new(0));
        let done = |n| {
            let asked = asked.fetch_add(n, Ordering::Relaxed) + n;
            progress.note(&format!("validating, {asked} of {puzzles}"));
            progress.set(step);
        };
        let score = self.trainer.with_average(|net, params| {
            score((net, params), held_out, micro_batch, options, once, done)
        });
        progress.note(&format!("exact {:.4}", score.exact));
        let seconds = self.seconds();
        let line = json!({
            "step": step,
            "seconds": round(seconds, 1),
            "validation": {
                "puzzles": puzzles,
                "exact_accuracy": score.exact,
                "cell_accuracy": score.cells,
            },
        });
        self.write_metrics(progress, &line);
        progress.line(&format!(
            "step {step}: exact {:.4}, cells {:.4} on {puzzles} held-out puzzles ({seconds:.0} s)",
            score.exact, score.cells,
        ));
        let (exact, best) = (score.exact, self.best);
        // What the files say of the best includes this one.
        self.best = best.max(exact);
        let saved = self.save_weights("weights.safetensors", Some(exact));
        self.weights_are_old = !self.warn(progress, saved);
        if exact > best {
            let saved = self.save_weights("best.safetensors", Some(exact));
            if !self.warn(progress, saved) {
                self.best = best;
            }
        }
    }
}

fn round(x: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (x * scale).round() / scale
}
