//! `trm data maze`.

use super::{Making, deliver};
use crate::output::print;
use anyhow::ensure;
use clap::Subcommand;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::process::ExitCode;
use trm_autograd::random::{Purpose, stream};
use trm_data::maze::Ways;
use trm_data::maze::generate::{MazeOptions, generate};
use trm_data::read::Reader;
use trm_data::{Fault, Puzzle};

#[derive(Debug, Subcommand)]
pub(super) enum Maze {
    /// Make new mazes with their answers, all different
    Generate(GenerateArgs),
    /// Report what is in a file, and whether it can be trusted
    Check(CheckArgs),
}

/// Runs the verb.
pub(super) fn run(verb: &Maze) -> anyhow::Result<ExitCode> {
    match verb {
        Maze::Generate(args) => run_generate(args),
        Maze::Check(args) => run_check(args),
    }
}

/// Arguments of `trm data maze generate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm data maze generate --side 10 --min-steps 12 --count 5000 --out train.csv
  trm data maze generate --side 30 --min-steps 111 --count 1000 --plain

Writes CSV (source,question,answer,rating); a maze is one field of side x side characters: # wall, space \
free, S start, G goal, o the path. The rating is the number of steps. Without --plain there is only one \
shortest path in each. The same options and seed always give the same mazes, for any number of threads.")]
pub(super) struct GenerateArgs {
    /// Cells along one side
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(3..=100))]
    side: u16,
    /// Fewest steps from start to goal [default: the side]
    #[arg(long, value_name = "N")]
    min_steps: Option<u32>,
    /// Walls at random and nothing else: there may be many shortest paths, of which one is the answer
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    making: Making,
}

fn run_generate(args: &GenerateArgs) -> anyhow::Result<ExitCode> {
    let Making { seed, ref out, .. } = args.making;
    let options = MazeOptions {
        side: args.side.into(),
        min_steps: args.min_steps.unwrap_or(args.side.into()),
        unique: !args.plain,
    };
    let cells = options.side * options.side;
    ensure!(
        (options.min_steps as usize) < cells,
        "--min-steps {}: a maze of side {} has {cells} cells",
        options.min_steps,
        args.side
    );
    let make = |i| generate(options, &mut stream(seed, Purpose::Generate, i));
    let mazes = args
        .making
        .run(make, |maze: &Puzzle<_>| maze.question.clone())?;
    let what = format!("mazes of {0}x{0}", args.side);
    deliver(&mazes, out.as_deref(), &what)
}

/// Arguments of `trm data maze check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  trm data maze check train.csv

Every row must be readable and hold a maze with a path from start to goal, a question of its own, and an \
answer, where it has one, that is a shortest path. Mazes with several shortest paths are reported, but are no fault. \
The first repeated and the first faulty rows are listed. Exit code: 0 when all is well, 1 when some rows are faulty or \
repeated, 2 when there is no such file or no row in it.")]
pub(super) struct CheckArgs {
    /// Mazes: CSV or plain lines
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Faults, and repeated rows, that are listed one by one.
const LISTED: usize = 10;

fn run_check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let mut sides = BTreeMap::new();
    let (mut unique, mut answered, mut repeats, mut faults) = (0, 0, 0, Vec::new());
    let mut seen = HashSet::new();
    let (mut rows, mut faulty) = (0, 0);
    let mut repeated_lines = Vec::new();
    let mut reader = Reader::<_, trm_data::maze::Maze>::open(&args.file, ())?;
    while let Some(row) = reader.next() {
        rows += 1;
        match row {
            Ok(maze) => {
                let side = maze.question.side();
                *sides.entry(side).or_insert(0) += 1;
                let ways = Ways::through(&maze.question);
                unique += usize::from(ways.is_some_and(|ways| ways.of_some().is_empty()));
                answered += usize::from(maze.answer.is_some());
                if !seen.insert(maze.question) {
                    repeats += 1;
                    if repeated_lines.len() < LISTED {
                        repeated_lines.push(reader.line());
                    }
                }
            }
            Err(error) if matches!(error.fault, Fault::Empty) => return Err(error.into()),
            Err(fault) => {
                faulty += 1;
                if faults.len() < LISTED {
                    faults.push(fault.to_string());
                }
            }
        }
    }
    let clean = faulty == 0 && repeats == 0;
    let file = args.file.display();
    print(|out| {
        if args.json {
            let sides: BTreeMap<_, usize> =
                sides.iter().map(|(s, &n)| (s.to_string(), n)).collect();
            let report = json!({
                "file": file.to_string(),
                "clean": clean,
                "rows": rows,
                "sides": sides,
                "unique": unique,
                "answers": answered,
                "duplicates": repeats,
                "duplicate_lines": repeated_lines,
                "faulty": faulty,
                "faults": faults,
            });
            return writeln!(out, "{report}");
        }
        writeln!(out, "rows               {rows}")?;
        for (side, count) in &sides {
            writeln!(out, "  {side}x{side} mazes  {count}")?;
        }
        writeln!(out, "one shortest path  {unique}")?;
        writeln!(out, "right answers      {answered}")?;
        writeln!(out, "repeated           {repeats}")?;
        for line in &repeated_lines {
            writeln!(
                out,
                "  line {line}: a question that stood in an earlier row"
            )?;
        }
        writeln!(out, "faulty             {faulty}")?;
        faults
            .iter()
            .try_for_each(|fault| writeln!(out, "  {fault}"))
    })?;
    Ok(ExitCode::from(u8::from(!clean)))
}
