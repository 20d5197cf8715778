//! `trm data arithmetic`.

use super::{Making, deliver};
use anyhow::ensure;
use clap::{Subcommand, ValueEnum};
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::sync::Arc;
use trm_autograd::random::{Purpose, stream};
use trm_data::Puzzle;
use trm_data::arithmetic::{MAX_DIGITS, Operation, format, generate};
use trm_data::grid::Grid;

#[derive(Debug, Subcommand)]
pub(super) enum Arithmetic {
    /// Make new exercises with their results, all different
    Generate(GenerateArgs),
}

/// What is to be calculated.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum OperationArg {
    /// a + b
    Add,
    /// a * b
    Multiply,
    /// a mod b, with b of one or two digits
    Remainder,
}

impl From<OperationArg> for Operation {
    fn from(arg: OperationArg) -> Operation {
        match arg {
            OperationArg::Add => Operation::Add,
            OperationArg::Multiply => Operation::Multiply,
            OperationArg::Remainder => Operation::Remainder,
        }
    }
}

/// Arguments of `trm data arithmetic generate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm data arithmetic generate --operation add --digits 1..8 --columns 13 \\
    --count 50000 --out sums.csv
  trm data arithmetic generate --operation add --digits 12 --columns 13 \\
    --count 1000 --out longer.csv

An exercise is a grid of three rows: the operands below each other, their last digits in one column, and \
the result. Writes CSV (source,question,answer,rating); the source names the digits of the longer operand (of a \
remainder those of the first) and, for sums, the longest chain of carries, so that trm eval counts each by itself.")]
pub(super) struct GenerateArgs {
    /// What is to be calculated
    #[arg(long, value_enum)]
    operation: OperationArg,
    /// Digits of the operands: N, or FROM..TO with both ends
    #[arg(long, value_name = "DIGITS", value_parser = digits)]
    digits: RangeInclusive<u32>,
    /// Columns of the grid, which a network is made for [default: as many as the digits may need]
    #[arg(long, value_name = "N")]
    columns: Option<u16>,
    #[command(flatten)]
    making: Making,
}

/// `N` or `FROM..TO`.
fn digits(text: &str) -> Result<RangeInclusive<u32>, String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.parse().ok().filter(|n| (1..=MAX_DIGITS).contains(n));
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => Ok(from..=to),
        _ => Err(format!(
            "expected a number from 1 to {MAX_DIGITS}, or two such as 1..8"
        )),
    }
}

/// Runs the verb.
pub(super) fn run(verb: &Arithmetic) -> anyhow::Result<ExitCode> {
    let Arithmetic::Generate(args) = verb;
    let Making { seed, ref out, .. } = args.making;
    let operation = Operation::from(args.operation);
    let needed = operation.columns(*args.digits.end());
    let columns = args.columns.map_or(needed, usize::from);
    ensure!(
        columns >= needed,
        "--columns {columns}: operands of {} digits need {needed}",
        args.digits.end()
    );
    let format = Arc::new(format(columns)?);
    let make = |i| {
        let rng = &mut stream(seed, Purpose::Generate, i);
        anyhow::Ok(generate(operation, args.digits.clone(), &format, rng))
    };
    let exercises = args
        .making
        .run(make, |one: &Puzzle<Grid>| one.question.tokens.clone())?;
    deliver(
        &exercises,
        out.as_deref(),
        &format!("exercises of 3x{columns}"),
    )
}
