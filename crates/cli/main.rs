//! The `trm` command: train, evaluate and watch Tiny Recursive Models on the cores of this machine.
//!
//! Standard output carries the answer alone; progress and logs go to standard error. Exit codes: 0 done,
//! 1 done but not all is well (an unsolved puzzle, a failed check), 2 an error (bad input or usage, a full disk),
//! 130 interrupted.

#![forbid(unsafe_code)]

#[macro_use]
mod output;

mod arc;
mod attempts;
mod bench;
mod config;
mod convert;
mod data;
mod dataset;
mod dry_run;
mod eval;
mod experiment;
mod gradcheck;
mod info;
mod memory;
mod paths;
mod progress;
mod record;
mod report;
mod score;
mod solve;
mod task;
mod threads;
mod train;
mod weights;

use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;

/// Train and run Tiny Recursive Models on multicore CPUs.
#[derive(Debug, Parser)]
#[command(name = "trm", version, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Train a network from a preset or a TOML file
    Train(train::Args),
    /// Measure the accuracy of weights on a file of puzzles
    Eval(eval::Args),
    /// From ARC's JSON files to a submission: build, train, vote
    Arc(arc::Args),
    /// Solve puzzles, or watch the built-in example being solved
    Solve(solve::Args),
    /// Generate, split and check puzzle files
    Data(data::Args),
    /// Read and write the PyTorch reference's checkpoints
    Convert(convert::Args),
    /// Measure how fast this machine trains and solves, and how near that is to its limit
    Bench(bench::Args),
    /// Draw the experiments of training runs as one picture
    Report(report::Args),
    /// Describe this CPU, weights or a checkpoint
    Info(info::Args),
    /// Compare every gradient with finite differences, on every instruction set of this CPU
    Gradcheck(gradcheck::Args),
}

/// The command, whose options all take a negative number for their value: `--threads -1` is then told what is wrong
/// with its value, not that there is no option -1.
fn with_negative_numbers(command: Command) -> Command {
    let numbers = |arg: Arg| match arg.is_positional() || !arg.get_action().takes_values() {
        true => arg,
        false => arg.allow_negative_numbers(true),
    };
    command
        .mut_args(numbers)
        .mut_subcommands(with_negative_numbers)
}

fn main() -> ExitCode {
    let matches = with_negative_numbers(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match cli.verb {
        Verb::Train(args) => train::run(&args),
        Verb::Eval(args) => eval::run(&args),
        Verb::Arc(args) => arc::run(&args),
        Verb::Solve(args) => solve::run(&args),
        Verb::Data(args) => data::run(&args),
        Verb::Convert(args) => convert::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::Info(args) => info::run(&args),
        Verb::Gradcheck(args) => gradcheck::run(&args),
    };
    result.unwrap_or_else(|error| {
        say!("error: {error:#}");
        ExitCode::from(2)
    })
}
