//! `trm solve`.

use crate::attempts::{Attempts, Outcome};
use crate::eval::HaltArg;
use crate::output::print;
use crate::progress::Progress;
use crate::train::threads;
use crate::weights::find;
use anyhow::{Context, bail};
use serde_json::json;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use trm_data::{Board, Geometry, Puzzle, read};
use trm_model::solve::{Answer, Rollout, SolveOptions};
use trm_model::weights::Loaded;

/// A puzzle of the project's own making: 9x9, singles solve it.
const EXAMPLE: &str = include_str!("example.txt");

/// Puzzles that a worker takes at a time.
const MICRO_BATCH: usize = 4;

/// Arguments of `trm solve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm solve                                 the built-in example
  trm solve --trace                         watch the network think, step by step
  trm solve 1.2..231..12.1..                one puzzle: 16, 36 or 81 characters, '.' or '0' for a blank
  trm solve puzzles.csv --json              a file, one JSON line a puzzle
  trm solve hard.csv --attempts 100 --guess-every 8 --verify   again until the rules are kept
  echo 1.2..231..12.1.. | trm solve -       from standard input

Exit code: 0 when every answer is a valid solution, 1 when some are not, 2 for bad input.")]
pub struct Args {
    /// A puzzle, a file of puzzles (CSV or plain lines), or - for standard input
    pub puzzle: Option<String>,
    /// Weights file [default: the shipped one for the board's size]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Most supervision steps
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub supervision_steps: u32,
    /// When a puzzle stops
    #[arg(long, value_enum, default_value = "never")]
    pub halt: HaltArg,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Print one JSON object a puzzle: question, answer, valid, steps, attempts, halt_probability
    #[arg(long, conflicts_with = "trace")]
    pub json: bool,
    /// Show the board after every supervision step
    #[arg(long, conflicts_with_all = ["attempts", "choose", "noise", "guess_every", "verify"])]
    pub trace: bool,
    #[command(flatten)]
    pub attempts: Attempts,
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.attempts.check()?;
    let puzzles = read_puzzles(args.puzzle.as_deref())?;
    let geometry = puzzles[0].question.geometry();
    let (path, loaded) = find(args.weights.as_deref(), geometry)?;
    eprintln!("weights: {}", path.display());
    let options = SolveOptions {
        halt: args.halt.into(),
        ..SolveOptions::new(args.supervision_steps as usize)
    };
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads(args.threads))
        .build_global()?;
    let mut all_valid = true; // as far as anybody looked
    if args.trace {
        print(|out| {
            all_valid = trace(out, &loaded, &puzzles, options)?;
            Ok(())
        })?;
    } else {
        let outcomes = solve(&loaded, &puzzles, options, &args.attempts);
        print(|out| {
            all_valid = show_all(out, &puzzles, &outcomes, args.json)?;
            Ok(())
        })?;
    }
    Ok(ExitCode::from(u8::from(!all_valid)))
}

/// The puzzles of the argument: none, `-`, a file, or a puzzle itself.
fn read_puzzles(argument: Option<&str>) -> anyhow::Result<Vec<Puzzle>> {
    let puzzles = match argument {
        None => read::read_str(EXAMPLE, "example")?,
        Some("-") => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("cannot read standard input as text")?;
            read::read_str(&text, "standard input")?
        }
        Some(file) if Path::new(file).exists() => read::read_path(file)?,
        Some(text) if looks_like_a_puzzle(text) => read::read_str(text, "the puzzle")?,
        Some(other) => bail!(
            "{other:?} is neither a file nor a puzzle: expected 16, 36 or 81 characters of digits and '.' for blanks"
        ),
    };
    if puzzles.is_empty() {
        bail!("no puzzle given: expected at least one line of 16, 36 or 81 characters");
    }
    Ok(puzzles)
}

fn looks_like_a_puzzle(text: &str) -> bool {
    let board = |c: char| c.is_ascii_digit() || c == '.';
    !text.is_empty()
        && (text.chars().all(board) || Geometry::from_cells(text.chars().count()).is_some())
}

fn tokens(puzzles: &[Puzzle], cells: usize) -> Vec<u8> {
    let mut tokens = vec![0; puzzles.len() * cells];
    for (puzzle, tokens) in puzzles.iter().zip(tokens.chunks_exact_mut(cells)) {
        puzzle.question.tokens_into(tokens);
    }
    tokens
}

fn solve(
    loaded: &Loaded,
    puzzles: &[Puzzle],
    options: SolveOptions,
    attempts: &Attempts,
) -> Vec<Outcome> {
    let progress = Progress::new(puzzles.len() as u64, "solving");
    let questions: Vec<Board> = puzzles.iter().map(|puzzle| puzzle.question).collect();
    let net = (&loaded.net, &loaded.params);
    let done = |n: usize| progress.add(n as u64);
    let outcomes = attempts.solve(net, &questions, MICRO_BATCH, options, done);
    progress.finish();
    outcomes
}

/// Shows every answer; true when all are valid.
fn show_all(
    out: &mut dyn Write,
    puzzles: &[Puzzle],
    outcomes: &[Outcome],
    json: bool,
) -> std::io::Result<bool> {
    let mut all_valid = true;
    for (puzzle, outcome) in puzzles.iter().zip(outcomes) {
        let (question, board, answer) = (&puzzle.question, &outcome.board, &outcome.answer);
        let valid = board.is_valid_solution_of(question);
        all_valid &= valid;
        if json {
            let line = json!({
                "question": question.to_string(),
                "answer": board.to_string(),
                "valid": valid,
                "steps": answer.steps,
                "attempts": outcome.attempts,
                "halt_probability": answer.halt_probability(),
            });
            writeln!(out, "{line}")?;
        } else if puzzles.len() == 1 {
            writeln!(out, "{}\n{}", question.render(), board.render())?;
            writeln!(out, "{}", verdict(board, question, answer))?;
        } else {
            writeln!(out, "{board}{}", if valid { "" } else { "  (not valid)" })?;
        }
    }
    Ok(all_valid)
}

/// One line on what the network thinks and what the rules say.
fn verdict(board: &Board, question: &Board, answer: &Answer) -> String {
    let rules = if board.is_valid_solution_of(question) {
        "a valid solution".to_owned()
    } else {
        format!("not valid: {} conflicts", board.conflicts().count())
    };
    format!(
        "step {}: {rules}; halt probability {:.3}",
        answer.steps,
        answer.halt_probability()
    )
}

/// Shows every supervision step of every puzzle; true when the last boards are all valid.
fn trace(
    out: &mut dyn Write,
    loaded: &Loaded,
    puzzles: &[Puzzle],
    options: SolveOptions,
) -> std::io::Result<bool> {
    let threads = rayon::current_num_threads();
    let mut rollout = Rollout::on_threads(&loaded.net, &loaded.params, 1, threads);
    let mut all_valid = true;
    for puzzle in puzzles {
        let question = &puzzle.question;
        writeln!(out, "question\n{}", question.render())?;
        let inputs = tokens(std::slice::from_ref(puzzle), loaded.net.config().cells);
        let (mut boards, mut failed) = (Vec::new(), Ok(()));
        rollout.solve(&inputs, &[0], options, |_, answer| {
            let board = Board::from_tokens(question.geometry(), &answer.tokens);
            if failed.is_ok() {
                failed = show(out, question, boards.last(), &board, answer);
            }
            boards.push(board);
        });
        failed?;
        all_valid &= boards
            .last()
            .is_some_and(|board| board.is_valid_solution_of(question));
    }
    Ok(all_valid)
}

/// One step: the verdict and, when it changed, the board.
fn show(
    out: &mut dyn Write,
    question: &Board,
    before: Option<&Board>,
    board: &Board,
    answer: &Answer,
) -> std::io::Result<()> {
    let changed = before.map_or(board.digits().len(), |before| {
        before
            .digits()
            .iter()
            .zip(board.digits())
            .filter(|(a, b)| a != b)
            .count()
    });
    writeln!(
        out,
        "{}; {changed} cells changed",
        verdict(board, question, answer)
    )?;
    if changed > 0 {
        writeln!(out, "{}", board.render())?;
    }
    out.flush() // to be watched while it happens
}
