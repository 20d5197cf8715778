//! `trm arc`: from ARC's JSON files to a submission, and the judging of weights on tasks of ARC.

mod judge;
mod picture;

use crate::data::{self, arc::Sources};
use crate::eval::HaltArg;
use crate::memory;
use crate::output::print;
use crate::threads::threads;
use crate::train::{self, End};
use crate::weights::Player;
use crate::{config, task};
use anyhow::{bail, ensure};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use trm_model::checkpoint;
use trm_model::solve::SolveOptions;

pub use judge::judge;

/// Arguments of `trm arc`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm arc arc --test arc-agi_evaluation_challenges.json --tasks 40 --variants 16 \\
    --minutes 30 --out runs/arc
  trm arc arc --test new_challenges.json --variants 16 --init-from runs/arc/weights.safetensors \\
    --minutes 10 --out runs/new                          adapt what was learned to tasks never seen
  trm arc arc --out runs/arc --resume

One command does what three would: trm data arc build makes OUT/data, trm train learns from it in OUT, and trm eval \
asks every variant of every test input and counts the answers as votes. OUT receives what these leave, \
submission.json (two attempts at every input) and predictions.svg (predictions beside the truth).

The weights are the newest average, not the best on the tests. With --init-from the network is adapted: by its new \
puzzle embeddings alone where the config has train.freeze_weights = true, or as a whole.")]
pub struct Args {
    /// A TOML file or the preset arc, with data.task = "arc"; data.side is the side of the canvas
    config: String,
    #[command(flatten)]
    sources: Sources,
    /// Folder for the data set, the run and the submission
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Train for this many minutes at most
    #[arg(long, value_name = "N", value_parser = train::minutes)]
    minutes: Option<f64>,
    /// Optimiser steps, instead of the config's
    #[arg(long, value_name = "N", value_parser = train::steps())]
    steps: Option<u64>,
    /// Start from these weights instead of random ones
    #[arg(long, value_name = "WEIGHTS", conflicts_with = "resume")]
    init_from: Option<PathBuf>,
    /// Go on from the checkpoint in OUT, with the data set in OUT/data
    #[arg(long)]
    resume: bool,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = crate::threads::thread_count)]
    threads: Option<u16>,
    /// Seed of data set and training, instead of the config's
    #[arg(long, value_name = "N", value_parser = train::seed())]
    seed: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What the judging leaves in the folder of a run.
const SUBMISSION: &str = "submission.json";
const PICTURES: &str = "predictions.svg";

/// Fails where a new run would end by replacing what no run of this folder made.
fn refuse_old_answers(out: &Path) -> anyhow::Result<()> {
    for name in [SUBMISSION, PICTURES] {
        let path = out.join(name);
        ensure!(
            !path.exists(),
            "{} is there already, and a new run would replace it: choose another folder with --out, or move it away",
            path.display()
        );
    }
    Ok(())
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = config::load(&args.config)?;
    let task::Task::Arc(side) = config.task()? else {
        bail!(
            "{}: its task is {}; expected data.task = \"arc\"",
            args.config,
            config.task()?.name()
        );
    };
    let data = args.out.join("data");
    if let Some(path) = &args.init_from {
        // Before anything is written.
        train::check_weights(path, &config)?;
    }
    if data.exists() || args.resume {
        // A stop before the first checkpoint leaves the data set alone.
        let saved = checkpoint::exists(&args.out);
        let ours = data.join(data::arc::SOURCES).exists();
        ensure!(
            data.exists(),
            "there is no {} to go on with: begin without --resume, or name the folder of a run with --out",
            data.display()
        );
        ensure!(
            args.resume && saved,
            "{} is there already: {}, or choose another folder with --out",
            data.display(),
            match (saved, ours) {
                (true, _) => "go on with --resume",
                (false, true) =>
                    "no checkpoint was written yet, so remove it and begin without --resume",
                (false, false) => "it is no data set that trm arc made, so move it away",
            }
        );
        args.sources.check_those_of(&data)?;
    } else {
        ensure!(
            args.sources.has_tests(),
            "--test is missing: a run on ARC is validated and judged by the tasks of such a file"
        );
        refuse_old_answers(&args.out)?;
        train::check_new(&args.out, &config, threads(args.threads))?;
        let seed = args.seed.unwrap_or(config.train.seed);
        // How many embeddings there are is known once the variants are.
        let check = |identifiers| {
            let mut model = config.model.clone();
            model.puzzle_identifiers = identifiers;
            memory::check(&model, &config.train, threads(args.threads))
        };
        let made = args.sources.build(side, seed, &data, check)?;
        say!("{}: {made}", data.display());
    }
    let (end, asked) = train::run_to_end(&train::Args {
        config: args.config.clone(),
        data: Some(data.clone()),
        out: Some(args.out.clone()),
        threads: args.threads,
        steps: args.steps,
        minutes: args.minutes,
        seed: args.seed,
        resume: args.resume,
        init_from: args.init_from.clone(),
        ..train::Args::default()
    })?;
    if end == End::Interrupted || asked {
        if end != End::Interrupted {
            say!("stopped before the judging; go on with --resume");
        }
        return Ok(End::Interrupted.code());
    }
    let player = Player::read(
        &args.out.join("weights.safetensors"),
        config.train.precision,
    )?;
    let options = SolveOptions {
        halt: HaltArg::Never.into(),
        ..SolveOptions::new(config.model.halt_max_steps)
    };
    let judgement = judge(
        &player,
        &data,
        None,
        options,
        config.train.micro_batch,
        args.threads,
    )?;
    judgement.write_submission(&args.out.join(SUBMISSION))?;
    judgement.write_pictures(&args.out.join(PICTURES))?;
    print(|out| judgement.write(out, args.json))?;
    Ok(ExitCode::SUCCESS)
}
