//! `trm train`.

use crate::config::{self, RunConfig};
use crate::dataset::{self, Dataset, Split};
use crate::progress::Progress;
use anyhow::{Context, bail, ensure};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use trm_kernels::Kernels;
use trm_model::carry::Carry;
use trm_model::solve::{Halt, SolveOptions, solve_all};
use trm_model::train_step::Metrics;
use trm_model::workspace::{Memory, Mode};
use trm_model::{Network, Trainer, checkpoint, weights};

/// Arguments of `trm train`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm train sudoku4                                   minutes; generates its own puzzles
  trm train sudoku6 --data train.csv --out runs/six   learn from a file of your own
  trm train sudoku6 --out runs/six --resume           go on after a stop, to the same bits
  trm train paper-mlp --dry-run                       size, memory and time before you start

OUT receives config.toml, metrics.jsonl, checkpoint.safetensors, weights.safetensors (the newest)
and best.safetensors (the best on the puzzles held out).")]
pub struct Args {
    /// A TOML file or a preset: sudoku4, sudoku6, sudoku9, paper-mlp, paper-att
    pub config: String,
    /// Puzzles to learn from: CSV (source,question,answer,rating); generated when absent
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Puzzles to validate with; split off the training puzzles when absent
    #[arg(long, value_name = "FILE")]
    pub validate: Option<PathBuf>,
    /// Folder of the run [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Optimiser steps, instead of the config's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// Stop after this many minutes, with a checkpoint; --resume goes on
    #[arg(long, value_name = "N")]
    pub minutes: Option<f64>,
    /// Seed, instead of the config's
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Go on from the checkpoint in OUT
    #[arg(long)]
    pub resume: bool,
    /// Start from these weights instead of random ones
    #[arg(long, value_name = "WEIGHTS", conflicts_with = "resume")]
    pub init_from: Option<PathBuf>,
    /// Print parameters, memory and estimated time, and stop
    #[arg(long)]
    pub dry_run: bool,
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut config = config::load(&args.config)?;
    config.train.steps = args.steps.unwrap_or(config.train.steps);
    config.train.seed = args.seed.unwrap_or(config.train.seed);
    let threads = threads(args.threads);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?;
    pool.install(|| {
        if args.dry_run {
            dry_run(&config, threads)
        } else {
            train(args, config, threads)
        }
    })
}

/// The number of workers: as asked, or all cores.
pub fn threads(asked: Option<u16>) -> usize {
    asked.map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        usize::from,
    )
}

/// A prepared run.
struct Run {
    config: RunConfig,
    trainer: Trainer,
    data: Split,
    out: PathBuf,
    /// Seconds of training before this start.
    seconds_before: f64,
    start: Instant,
    /// Best exact accuracy so far.
    best: f64,
}

fn train(args: &Args, config: RunConfig, threads: usize) -> anyhow::Result<ExitCode> {
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(&config.name));
    let mut run = if args.resume {
        resume(args, &config, out, threads)?
    } else {
        begin(args, config, out, threads)?
    };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130); // asked twice: at once
        }
    })?;
    let deadline = args.minutes.map(|minutes| minutes * 60.0);
    run.describe(threads);
    let finished = run.go(&stop, deadline)?;
    if finished {
        println!("{}", run.out.join("best.safetensors").display());
    }
    Ok(ExitCode::SUCCESS)
}

/// A new run; refuses to overwrite an old one.
fn begin(args: &Args, config: RunConfig, out: PathBuf, threads: usize) -> anyhow::Result<Run> {
    let kernels = Kernels::best()?;
    let checkpoint = out.join("checkpoint.safetensors");
    ensure!(
        !checkpoint.exists(),
        "{} holds a run already: go on with --resume, or choose another folder with --out",
        out.display()
    );
    let net = Network::new(config.model.clone(), kernels)?;
    let mut params = net.init(config.train.seed);
    if let Some(path) = &args.init_from {
        let loaded = weights::load(path, kernels)?;
        let same = |a: &Network, b: &Network| {
            let shapes = |net: &Network| {
                net.layout()
                    .specs()
                    .iter()
                    .map(|s| (s.name.clone(), s.shape))
                    .collect::<Vec<_>>()
            };
            shapes(a) == shapes(b) && a.config().puzzle_emb_ndim == b.config().puzzle_emb_ndim
        };
        ensure!(
            same(&net, &loaded.net),
            "{}: its network has other sizes than the config's",
            path.display()
        );
        params = loaded.params;
    }
    let data = dataset::load(&config, args.data.as_deref(), args.validate.as_deref())?;
    let trainer = Trainer::new(net, params, config.train.clone(), threads)?;
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let text = toml::to_string(&config)?;
    std::fs::write(out.join("config.toml"), text)
        .with_context(|| format!("cannot write to {}", out.display()))?;
    std::fs::write(out.join("metrics.jsonl"), "")
        .with_context(|| format!("cannot write to {}", out.display()))?;
    Ok(Run {
        config,
        trainer,
        data,
        out,
        seconds_before: 0.0,
        start: Instant::now(),
        best: -1.0,
    })
}

/// The run in `out`, as its checkpoint left it.
fn resume(args: &Args, config: &RunConfig, out: PathBuf, threads: usize) -> anyhow::Result<Run> {
    let path = out.join("checkpoint.safetensors");
    let resumed = checkpoint::load(&path, Kernels::best()?, threads)?;
    let text = |key: &str| resumed.metadata.get(key).map_or("", String::as_str);
    let stored: RunConfig = serde_json::from_str(text("run"))
        .with_context(|| format!("{}: its run config does not parse", path.display()))?;
    if &stored != config {
        bail!(
            "{} was started with another config than {} gives now; to resume, use its own: --steps, --seed and {}",
            out.display(),
            args.config,
            out.join("config.toml").display()
        );
    }
    let data = dataset::load(&stored, args.data.as_deref(), args.validate.as_deref())?;
    let seconds_before = text("seconds").parse().unwrap_or(0.0);
    let best = text("best").parse().unwrap_or(-1.0);
    keep_metrics_until(&out.join("metrics.jsonl"), resumed.trainer.step)?;
    eprintln!(
        "resuming {} at step {}",
        out.display(),
        resumed.trainer.step
    );
    Ok(Run {
        config: stored,
        trainer: resumed.trainer,
        data,
        out,
        seconds_before,
        start: Instant::now(),
        best,
    })
}

/// Drops lines of steps that the checkpoint does not know, since they will be made again.
fn keep_metrics_until(path: &Path, step: u64) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let known = |line: &&str| {
        serde_json::from_str::<serde_json::Value>(line)
            .is_ok_and(|v| v["step"].as_u64().is_some_and(|s| s <= step))
    };
    let kept: String = text
        .lines()
        .filter(known)
        .flat_map(|line| [line, "\n"])
        .collect();
    std::fs::write(path, kept).with_context(|| format!("cannot write {}", path.display()))
}

impl Run {
    fn describe(&self, threads: usize) {
        let net = &self.trainer.net;
        eprintln!(
            "{}: {} parameters, {} training puzzles, {} held out, {} threads, {}",
            self.config.name,
            net.layout().len(),
            self.data.train.len(),
            self.data.validation.len(),
            threads,
            net.kernels().name()
        );
    }

    /// Trains to the last step; false when stopped before.
    fn go(&mut self, stop: &AtomicBool, deadline: Option<f64>) -> anyhow::Result<bool> {
        let (steps, batch) = (self.config.train.steps, self.config.train.batch as u64);
        let (log_every, validate_every) =
            (self.config.run.log_every, self.config.run.validate_every);
        let progress = Progress::new(steps, "training");
        let (mut sums, mut since, mut saved) = (Metrics::default(), Instant::now(), Instant::now());
        while self.trainer.step < steps {
            let first = self.trainer.step * batch;
            let (data, seed, augment) = (
                &self.data.train,
                self.config.train.seed,
                self.config.data.augment,
            );
            let metrics = self
                .trainer
                .step(|row, slot| data.draw(first + row as u64, seed, augment, slot));
            sums.add(&metrics);
            let step = self.trainer.step;
            progress.set(step);
            if step.is_multiple_of(log_every) || step == steps {
                let rate =
                    (((step - 1) % log_every + 1) * batch) as f64 / since.elapsed().as_secs_f64();
                self.log(&progress, &sums, rate)?;
                (sums, since) = (Metrics::default(), Instant::now());
            }
            if step.is_multiple_of(validate_every) || step == steps {
                self.validate(&progress)?;
                since = Instant::now();
            }
            let stopping = stop.load(Ordering::SeqCst)
                || deadline.is_some_and(|d| self.start.elapsed().as_secs_f64() > d);
            if stopping
                || step == steps
                || saved.elapsed().as_secs_f64() > 60.0 * self.config.run.checkpoint_minutes
            {
                self.save_checkpoint()?;
                saved = Instant::now();
            }
            if stopping && step < steps {
                progress.finish();
                eprintln!("stopped at step {step}; go on with --resume");
                return Ok(false);
            }
        }
        progress.finish();
        Ok(true)
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.start.elapsed().as_secs_f64()
    }

    /// One line of training metrics: means since the last, over `log_every` steps.
    fn log(&self, progress: &Progress, sums: &Metrics, samples_per_s: f64) -> anyhow::Result<()> {
        let (step, batch) = (self.trainer.step, self.config.train.batch as f64);
        let steps = ((step - 1) % self.config.run.log_every + 1) as f64;
        let (rows, halted) = (steps * batch, sums.count.max(1.0));
        let loss = sums.lm_loss / rows;
        ensure!(
            loss.is_finite(),
            "the loss at step {step} is {loss}: lower train.lr; the last checkpoint is intact"
        );
        progress.note(format!("loss {loss:.3}"));
        self.write_metrics(&json!({
            "step": step,
            "samples": step as f64 * batch,
            "seconds": round(self.seconds(), 1),
            "lr": self.trainer.lr(self.config.train.lr),
            "lm_loss": round(loss, 5),
            "q_halt_loss": round(sums.q_halt_loss / rows, 5),
            "cell_accuracy": round(sums.accuracy / halted, 5),
            "exact_accuracy": round(sums.exact_accuracy / halted, 5),
            "q_halt_accuracy": round(sums.q_halt_accuracy / halted, 5),
            "supervision_steps": round(sums.steps / halted, 3),
            "samples_per_s": round(samples_per_s, 1),
        }))
    }

    fn write_metrics(&self, line: &serde_json::Value) -> anyhow::Result<()> {
        let path = self.out.join("metrics.jsonl");
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)?;
        writeln!(file, "{line}").with_context(|| format!("cannot write {}", path.display()))
    }

    /// Exact accuracy on the puzzles held out, as evaluation measures it; keeps the best weights.
    fn validate(&mut self, progress: &Progress) -> anyhow::Result<()> {
        let params = self.trainer.averaged();
        let options = SolveOptions {
            steps: self.config.model.halt_max_steps,
            halt: Halt::Never,
        };
        let score = score(
            &self.trainer.net,
            &params,
            &self.data.validation,
            self.config.train.micro_batch,
            options,
        );
        let step = self.trainer.step;
        self.write_metrics(&json!({
            "step": step,
            "seconds": round(self.seconds(), 1),
            "validation": { "puzzles": self.data.validation.len(), "exact_accuracy": score.exact, "cell_accuracy": score.cells },
        }))?;
        progress.line(&format!(
            "step {step}: exact {:.4}, cells {:.4} on {} held-out puzzles ({:.0} s)",
            score.exact,
            score.cells,
            self.data.validation.len(),
            self.seconds()
        ));
        let mut metadata = self.metadata()?;
        metadata.insert("validation_exact_accuracy".into(), score.exact.to_string());
        weights::save(
            &self.out.join("weights.safetensors"),
            &self.trainer.net,
            &params,
            &metadata,
        )?;
        if score.exact > self.best {
            self.best = score.exact;
            weights::save(
                &self.out.join("best.safetensors"),
                &self.trainer.net,
                &params,
                &metadata,
            )?;
        }
        Ok(())
    }

    fn metadata(&self) -> anyhow::Result<BTreeMap<String, String>> {
        Ok(BTreeMap::from([
            ("run".into(), serde_json::to_string(&self.config)?),
            ("task".into(), format!("sudoku{}", self.config.data.side)),
            ("trained_steps".into(), self.trainer.step.to_string()),
            ("seconds".into(), format!("{:.1}", self.seconds())),
            ("best".into(), self.best.to_string()),
        ]))
    }

    fn save_checkpoint(&self) -> anyhow::Result<()> {
        Ok(checkpoint::save(
            &self.out.join("checkpoint.safetensors"),
            &self.trainer,
            &self.metadata()?,
        )?)
    }
}

fn round(x: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (x * scale).round() / scale
}

/// Shares of right boards and right cells.
#[derive(Debug)]
pub struct Score {
    /// Boards with every cell right.
    pub exact: f64,
    /// Cells right, of all cells.
    pub cells: f64,
    /// Mean supervision steps.
    pub steps: f64,
}

/// Solves all puzzles on the current pool and compares with their answers.
pub fn score(
    net: &Network,
    params: &trm_model::Parameters,
    data: &Dataset,
    micro_batch: usize,
    options: SolveOptions,
) -> Score {
    let (questions, labels) = data.tokens();
    let progress = Progress::new(data.len() as u64, "solving");
    let answers = solve_all(net, params, &questions, micro_batch, options, |n| {
        progress.add(n as u64)
    });
    progress.finish();
    let (mut exact, mut right, mut steps) = (0, 0, 0);
    for (answer, labels) in answers.iter().zip(labels.chunks_exact(net.config().cells)) {
        let agreeing = answer
            .tokens
            .iter()
            .zip(labels)
            .filter(|(a, b)| a == b)
            .count();
        exact += usize::from(agreeing == labels.len());
        right += agreeing;
        steps += answer.steps;
    }
    let n = answers.len() as f64;
    Score {
        exact: exact as f64 / n,
        cells: right as f64 / labels.len() as f64,
        steps: steps as f64 / n,
    }
}

/// Prints size, memory and estimated time.
fn dry_run(config: &RunConfig, threads: usize) -> anyhow::Result<ExitCode> {
    let net = Network::new(config.model.clone(), Kernels::best()?)?;
    let c = &config.train;
    let mib = |bytes: usize| bytes as f64 / (1 << 20) as f64;
    let values = 4 * net.layout().len();
    let copies = 4 + usize::from(c.ema_rate > 0.0) - 1
        + c.gradient_shards.min(c.batch.div_ceil(c.micro_batch));
    let worker = 4 * Memory::floats(&net, c.micro_batch.min(c.batch), Mode::Train);
    let carry = c.batch * Carry::row_bytes(net.config());
    let packed = 4 * net.layout().packed_len();
    println!("parameters          {}", net.layout().len());
    println!(
        "weights, moments, gradients  {:.1} MiB ({copies} copies of {:.1})",
        mib(copies * values),
        mib(values)
    );
    println!("packed weights      {:.1} MiB", mib(packed));
    println!(
        "carry               {:.1} MiB ({} puzzles of {:.1} KiB)",
        mib(carry),
        c.batch,
        1024.0 * mib(carry / c.batch)
    );
    println!(
        "workers             {:.1} MiB ({threads} of {:.1})",
        mib(threads * worker),
        mib(worker)
    );
    println!(
        "memory              {:.1} MiB",
        mib(copies * values + packed + carry + threads * worker)
    );
    let (_, flops) = net.flops();
    println!("one sample          {:.3} GFLOP", flops / 1e9);
    let per_step = time_of_a_step(config, threads)?;
    println!(
        "one optimiser step  {per_step:.3} s ({:.1} samples/s)",
        c.batch as f64 / per_step
    );
    println!(
        "{} steps        {:.2} hours",
        c.steps,
        per_step * c.steps as f64 / 3600.0
    );
    Ok(ExitCode::SUCCESS)
}

/// Seconds of an optimiser step at the config's batch, measured on a small part of it.
fn time_of_a_step(config: &RunConfig, threads: usize) -> anyhow::Result<f64> {
    let mut train = config.train.clone();
    train.batch = train.batch.min(threads * 4 * train.micro_batch);
    let net = Network::new(config.model.clone(), Kernels::best()?)?;
    let params = net.init(0);
    let share = config.train.batch as f64 / train.batch as f64;
    let mut trainer = Trainer::new(net, params, train, threads)?;
    let blank = |_row: usize, slot: trm_model::carry::Slot<'_>| {
        slot.inputs.fill(1);
        slot.labels.fill(2);
    };
    trainer.step(blank);
    let (start, mut steps) = (Instant::now(), 0);
    while steps < 2 || start.elapsed().as_secs_f64() < 2.0 {
        trainer.step(blank);
        steps += 1;
    }
    Ok(start.elapsed().as_secs_f64() / f64::from(steps) * share)
}
