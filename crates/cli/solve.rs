//! `trm solve`.

use crate::attempts::{Attempts, Outcome};
use crate::eval::HaltArg;
use crate::output::print;
use crate::progress::Progress;
use crate::task::{Kind, Task};
use crate::train::threads;
use crate::weights::find;
use anyhow::{Context, bail};
use serde_json::json;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use trm_data::read::{self, Row};
use trm_data::{Geometry, maze};
use trm_model::solve::{Answer, Rollout, SolveOptions};
use trm_model::weights::Loaded;

/// A puzzle of the project's own making: 9x9, singles solve it.
const EXAMPLE: &str = include_str!("example.txt");

/// Puzzles that a worker takes at a time.
const MICRO_BATCH: usize = 4;

/// Questions of one task.
struct Questions {
    task: Task,
    /// (puzzles, cells)
    tokens: Vec<u8>,
}

/// Arguments of `trm solve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm solve                                 the built-in example
  trm solve --trace                         watch the network think, step by step
  trm solve 1.2..231..12.1..                one puzzle: 16, 36 or 81 characters, '.' or '0' for a blank
  trm solve mazes.txt --weights W           mazes: # wall, space free, S start, G goal, one a line
  trm solve puzzles.csv --json              a file, one JSON line a puzzle
  trm solve hard.csv --attempts 100 --guess-every 8 --verify   again until the rules are kept
  echo 1.2..231..12.1.. | trm solve -       from standard input

Exit code: 0 when every answer is a valid solution, 1 when some are not, 2 for bad input.")]
pub struct Args {
    /// A Sudoku or a maze, a file of them (CSV or plain lines), or - for standard input
    pub puzzle: Option<String>,
    /// Weights file [default: the shipped one for the puzzle's kind and size]
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
    let questions = read_questions(args.puzzle.as_deref())?;
    let task = questions.task;
    args.attempts.check(task)?;
    let (path, loaded) = find(args.weights.as_deref(), task)?;
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
            all_valid = trace(out, &loaded, &questions, options)?;
            Ok(())
        })?;
    } else {
        let outcomes = solve(&loaded, &questions, options, &args.attempts);
        print(|out| {
            all_valid = show_all(out, &questions, &outcomes, args.json)?;
            Ok(())
        })?;
    }
    Ok(ExitCode::from(u8::from(!all_valid)))
}

/// The puzzles of the argument: none, `-`, a file, or a puzzle itself.
fn read_questions(argument: Option<&str>) -> anyhow::Result<Questions> {
    let (text, name) = match argument {
        None => (EXAMPLE.to_owned(), "example"),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("cannot read standard input as text")?;
            (text, "standard input")
        }
        Some(file) if Path::new(file).exists() => {
            // The reader says where a byte is no text; here only the kind of puzzle is looked for.
            let bytes = std::fs::read(file).with_context(|| format!("cannot read {file}"))?;
            match is_of_mazes(&String::from_utf8_lossy(&bytes)) {
                true => return questions(&maze::read_path(file)?, Kind::Maze),
                false => return questions(&read::read_path(file)?, Kind::Sudoku),
            }
        }
        Some(text) if looks_like_a_puzzle(text) => (text.to_owned(), "the puzzle"),
        Some(other) => bail!(
            "{other:?} is neither a file nor a puzzle: expected 16, 36 or 81 characters of digits and '.' for \
             blanks, or a maze"
        ),
    };
    match is_of_mazes(&text) {
        true => questions(&maze::read_str(&text, name)?, Kind::Maze),
        false => questions(&read::read_str(&text, name)?, Kind::Sudoku),
    }
}

fn questions<P: Row>(puzzles: &[P], kind: Kind) -> anyhow::Result<Questions> {
    let Some(first) = puzzles.first() else {
        bail!("no puzzle given: expected at least one line with one");
    };
    Ok(Questions {
        task: Task::new(kind, first.side())?,
        tokens: puzzles
            .iter()
            .flat_map(|puzzle| puzzle.tokens().0)
            .collect(),
    })
}

/// Whether a line, or a field of one, is written in the characters of a maze and has a start or a goal.
fn is_of_mazes(text: &str) -> bool {
    let fields = text.split(['\n', '\r', ',', '"']);
    fields.into_iter().any(|field| {
        field.len() >= 9
            && field.bytes().all(|byte| maze::CHARACTERS.contains(&byte))
            && field.contains(['S', 'G'])
    })
}

fn looks_like_a_puzzle(text: &str) -> bool {
    let board = |c: char| c.is_ascii_digit() || c == '.';
    !text.is_empty()
        && (text.chars().all(board)
            || is_of_mazes(text)
            || Geometry::from_cells(text.chars().count()).is_some())
}

fn solve(
    loaded: &Loaded,
    questions: &Questions,
    options: SolveOptions,
    attempts: &Attempts,
) -> Vec<Outcome> {
    let Questions { task, tokens } = questions;
    let progress = Progress::new((tokens.len() / task.cells()) as u64, "solving");
    let net = (&loaded.net, &loaded.params);
    let done = |n: usize| progress.add(n as u64);
    let outcomes = attempts.solve(net, (*task, tokens), MICRO_BATCH, options, done);
    progress.finish();
    outcomes
}

/// Shows every answer; true when all are valid.
fn show_all(
    out: &mut dyn Write,
    questions: &Questions,
    outcomes: &[Outcome],
    json: bool,
) -> std::io::Result<bool> {
    let Questions { task, tokens } = questions;
    let mut all_valid = true;
    for (question, outcome) in tokens.chunks_exact(task.cells()).zip(outcomes) {
        let (board, answer) = (&outcome.board, &outcome.answer);
        let valid = task.rules()(question, board);
        all_valid &= valid;
        if json {
            let line = json!({
                "question": task.line(question),
                "answer": task.line(board),
                "valid": valid,
                "steps": answer.steps,
                "attempts": outcome.attempts,
                "halt_probability": answer.halt_probability(),
            });
            writeln!(out, "{line}")?;
        } else if outcomes.len() == 1 {
            writeln!(out, "{}\n{}", task.render(question), task.render(board))?;
            writeln!(out, "{}", verdict(*task, question, board, answer))?;
        } else {
            let remark = if valid { "" } else { "  (not valid)" };
            writeln!(out, "{}{remark}", task.line(board))?;
        }
    }
    Ok(all_valid)
}

/// One line on what the network thinks and what the rules say.
fn verdict(task: Task, question: &[u8], board: &[u8], answer: &Answer) -> String {
    format!(
        "step {}: {}; halt probability {:.3}",
        answer.steps,
        task.verdict(question, board),
        answer.halt_probability()
    )
}

/// Shows every supervision step of every puzzle; true when the last boards are all valid.
fn trace(
    out: &mut dyn Write,
    loaded: &Loaded,
    questions: &Questions,
    options: SolveOptions,
) -> std::io::Result<bool> {
    let Questions { task, tokens } = questions;
    let threads = rayon::current_num_threads();
    let mut rollout = Rollout::on_threads(&loaded.net, &loaded.params, 1, threads);
    let mut all_valid = true;
    for question in tokens.chunks_exact(task.cells()) {
        writeln!(out, "question\n{}", task.render(question))?;
        let (mut before, mut failed) = (None, Ok(()));
        rollout.solve(question, &[0], options, |_, answer| {
            if failed.is_ok() {
                failed = show(out, (*task, question), before.as_deref(), answer);
            }
            before = Some(answer.tokens.clone());
        });
        failed?;
        all_valid &= before.is_some_and(|last| task.rules()(question, &last));
    }
    Ok(all_valid)
}

/// One step: the verdict and, when it changed, the board.
fn show(
    out: &mut dyn Write,
    (task, question): (Task, &[u8]),
    before: Option<&[u8]>,
    answer: &Answer,
) -> std::io::Result<()> {
    let board = &answer.tokens;
    let changed = before.map_or(board.len(), |before| {
        before.iter().zip(board).filter(|(a, b)| a != b).count()
    });
    let verdict = verdict(task, question, board, answer);
    writeln!(out, "{verdict}; {changed} cells changed")?;
    if changed > 0 {
        writeln!(out, "{}", task.render(board))?;
    }
    out.flush() // to be watched while it happens
}
