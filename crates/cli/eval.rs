//! `trm eval`.

use crate::dataset;
use crate::output::{print, table};
use crate::progress::Progress;
use crate::score::score;
use crate::train::threads;
use anyhow::Context;
use clap::ValueEnum;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use trm_data::Geometry;
use trm_kernels::Kernels;
use trm_model::solve::{Halt, SolveOptions};
use trm_model::weights;

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

The weights are the moving average of training; every puzzle gets exactly the given number of
supervision steps unless --halt says otherwise. A board counts as exact when every cell is right.")]
pub struct Args {
    /// Weights file
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// Puzzles with answers: CSV (source,question,answer,rating)
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Only the first N puzzles
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Supervision steps
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub supervision_steps: u32,
    /// When a puzzle stops
    #[arg(long, value_enum, default_value = "never")]
    pub halt: HaltArg,
    /// Puzzles that a worker takes at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub micro_batch: u16,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = weights::load(&args.weights, Kernels::best()?)?;
    let cells = loaded.net.config().cells;
    let geometry = Geometry::from_cells(cells).with_context(|| {
        format!(
            "{}: plays boards of {cells} cells, not Sudoku",
            args.weights.display()
        )
    })?;
    let data = dataset::read_labelled(&args.data, geometry, args.limit.unwrap_or(0) as usize)?;
    let options = SolveOptions {
        steps: args.supervision_steps as usize,
        halt: args.halt.into(),
        attempt: 0,
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads(args.threads))
        .build()?;
    let progress = Progress::new(data.len() as u64, "solving");
    let (net, params, micro_batch) = (&loaded.net, &loaded.params, usize::from(args.micro_batch));
    let start = Instant::now();
    let score = pool.install(|| {
        score(net, params, &data, micro_batch, options, |n| {
            progress.add(n as u64)
        })
    });
    progress.finish();
    let seconds = start.elapsed().as_secs_f64();
    let report = json!({
        "puzzles": data.len(),
        "exact_accuracy": score.exact,
        "cell_accuracy": score.cells,
        "mean_steps": score.steps,
        "seconds": seconds,
        "puzzles_per_second": data.len() as f64 / seconds,
    });
    let percent = |part: f64| format!("{:.2} %", 100.0 * part);
    let rows = [
        ["puzzles", &data.len().to_string()],
        ["exact accuracy", &percent(score.exact)],
        ["cell accuracy", &percent(score.cells)],
        ["mean steps", &format!("{:.2}", score.steps)],
        [
            "seconds",
            &format!(
                "{seconds:.1} ({:.1} puzzles/s)",
                data.len() as f64 / seconds
            ),
        ],
    ];
    print(|out| match args.json {
        true => writeln!(out, "{report}"),
        false => write!(out, "{}", table(&rows.map(|row| row.map(String::from)))),
    })?;
    Ok(ExitCode::SUCCESS)
}
