//! `trm solve`.

use crate::attempts::{Attempts, Outcome};
use crate::eval::{self, HaltArg};
use crate::output::print;
use crate::progress::Progress;
use crate::task::{Kind, Task};
use crate::threads::threads;
use crate::weights::Player;
use anyhow::{Context, bail};
use serde_json::json;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use trm_data::grid::Grid;
use trm_data::maze::{self, Maze};
use trm_data::read::Reader;
use trm_data::{Board, Cells, Geometry, Puzzle};
use trm_kernels::Precision;
use trm_model::solve::{Answer, Rollout, SolveOptions};
use trm_model::weights::Loaded;

/// A puzzle of the project's own making: 9x9, singles solve it.
const EXAMPLE: &str = include_str!("example.txt");
const EXAMPLE_TASK: Task = Task::Sudoku(Geometry::Nine);

/// Puzzles that a worker takes at a time.
const MICRO_BATCH: usize = 4;

/// Questions of one task.
struct Questions {
    task: Task,
    /// (puzzles, cells)
    tokens: Vec<u8>,
}

impl Questions {
    /// Whether no answer breaks a rule, as far as there are rules.
    fn are_answered_by(&self, outcomes: &[Outcome]) -> bool {
        let Questions { task, tokens } = self;
        let questions = tokens.chunks_exact(task.cells()).zip(outcomes);
        let valid = |(question, outcome): (&[u8], &Outcome)| task.accepts(question, &outcome.board);
        questions.map(valid).all(|valid| valid != Some(false))
    }
}

/// Arguments of `trm solve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm solve                                 the built-in example
  trm solve --trace                         watch the network think, step by step
  trm solve 1.2..231..12.1..                one puzzle: 16, 36 or 81 characters, blanks '.' or '0'
  trm solve mazes.txt --weights W           mazes: # wall, space free, S start, G goal, one a line
  trm solve puzzles.csv --json              a file, one JSON line a puzzle
  trm solve hard.csv --weights weights/sudoku9-hard-20k.safetensors \\
      --attempts 100 --supervision-steps 24 --guess-every 8 --verify
                                            hard 9x9 ones: other weights, more tries
  echo 1.2..231..12.1.. | trm solve -       from standard input

Exit code: 0 when every answer is a valid solution, 1 when some are not, 2 for bad input. Tasks \
without rules always exit with 0. Without --weights, 9x9 is played by \
weights/sudoku9-easy.safetensors, which was trained on easy puzzles only.")]
pub struct Args {
    /// A puzzle, a file of them (CSV or plain lines), or - for standard input
    pub puzzle: Option<String>,
    /// Weights file [default: the shipped one for the puzzle's kind and size]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Most supervision steps [default: as in training, the network's halt_max_steps]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub supervision_steps: Option<u32>,
    /// When a puzzle stops
    #[arg(long, value_enum, default_value = "never")]
    pub halt: HaltArg,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = crate::threads::thread_count)]
    pub threads: Option<u16>,
    /// Of matrix products: f32, or f16 on a CPU with AVX512-FP16
    #[arg(long, value_name = "f32|f16", default_value = "f32")]
    pub precision: Precision,
    /// Print one JSON object a puzzle: question, answer, valid, steps (of the attempt that counts), attempts,
    /// halt_probability
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
    let read = |path| Player::read(path, args.precision);
    let named = args.weights.as_deref().map(read).transpose()?;
    let questions = read_questions(args.puzzle.as_deref(), named.as_ref().map(|p| p.task))?;
    let task = questions.task;
    args.attempts.check(task)?;
    let player = match named {
        Some(player) => player,
        None => Player::shipped(task, args.precision)?,
    };
    player.check(task)?;
    say!("weights: {}", player.path.display());
    let loaded = player.loaded;
    let options = eval::options(args.halt, args.supervision_steps, &loaded.net);
    let threads = threads(args.threads);
    // The trace shows one puzzle after the other, each on all threads.
    let puzzles = match args.trace {
        true => 1,
        false => questions.tokens.len() / task.cells(),
    };
    args.attempts
        .check_memory(&loaded.net, (puzzles, MICRO_BATCH), threads, "--threads")?;
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()?;
    let mut all_valid = true; // as far as anybody looked
    if args.trace {
        print(|out| trace(out, &loaded, &questions, options, &mut all_valid))?;
    } else {
        let outcomes = solve(&loaded, &questions, options, &args.attempts);
        all_valid = questions.are_answered_by(&outcomes);
        print(|out| show_all(out, &questions, &outcomes, args.json))?;
    }
    Ok(ExitCode::from(u8::from(!all_valid)))
}

/// The puzzles of the argument: none, `-`, a file, or a puzzle itself. Grids are those that the weights
/// `play`; whether it is a Sudoku or a maze the puzzles tell themselves.
fn read_questions(argument: Option<&str>, play: Option<Task>) -> anyhow::Result<Questions> {
    let format = match play {
        Some(Task::Grid(format)) => Some(format),
        Some(Task::Arc(_)) => bail!(
            "weights for ARC answer the tasks that they have an identifier for, by the votes of all variants: use \
             trm eval --weights FILE --data FOLDER"
        ),
        _ => None,
    };
    let (bytes, name) = match argument {
        None if play.is_none_or(|task| task == EXAMPLE_TASK) => {
            (EXAMPLE.as_bytes().to_vec(), "example")
        }
        None => bail!(
            "the built-in example is a 9x9 Sudoku: for these weights give a puzzle, a file, or -"
        ),
        Some("-") => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().read_to_end(&mut bytes);
            read.context("cannot read standard input")?;
            (bytes, "standard input")
        }
        Some(file) if Path::new(file).exists() => {
            let bytes = std::fs::read(file).with_context(|| format!("cannot read {file}"))?;
            (bytes, file)
        }
        // In a grid of one's own any character may stand.
        Some(text) if format.is_some() => {
            let name = "the puzzle (there is no file of this name)";
            (text.as_bytes().to_vec(), name)
        }
        Some(text) if looks_like_a_puzzle(text) => (text.as_bytes().to_vec(), "the puzzle"),
        Some(other) => bail!(
            "{other:?} is neither a file nor a puzzle: expected 16, 36 or 81 characters of digits and '.' for \
             blanks, or a maze"
        ),
    };
    if let Some(format) = format {
        let rows = rows::<Grid>(&bytes, name, Arc::new(format.clone()))?;
        return Ok(Questions {
            task: Task::Grid(format),
            tokens: tokens(&rows),
        });
    }
    match is_of_mazes(&String::from_utf8_lossy(&bytes)) {
        true => squares(&rows::<Maze>(&bytes, name, ())?, Kind::Maze),
        false => squares(&rows::<Board>(&bytes, name, ())?, Kind::Sudoku),
    }
}

/// All rows of a file, which is not empty.
fn rows<G: Cells>(bytes: &[u8], name: &str, format: G::Format) -> anyhow::Result<Vec<Puzzle<G>>> {
    Ok(Reader::new(bytes, name, format)?.collect::<Result<_, _>>()?)
}

fn tokens<G: Cells>(rows: &[Puzzle<G>]) -> Vec<u8> {
    rows.iter().flat_map(|row| row.question.tokens()).collect()
}

/// Puzzles of a kind whose size is their side.
fn squares<G: Cells>(rows: &[Puzzle<G>], kind: Kind) -> anyhow::Result<Questions> {
    let (side, _) = rows[0].question.size();
    Ok(Questions {
        task: Task::new(kind, side, None)?,
        tokens: tokens(rows),
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

/// Whether most of it is written as puzzles are: one with a wrong character is a faulty puzzle, not a missing file.
fn looks_like_a_puzzle(text: &str) -> bool {
    let of_boards = |c: &char| c.is_ascii_digit() || *c == '.';
    let (board, all) = (text.chars().filter(of_boards).count(), text.chars().count());
    2 * board > all || is_of_mazes(text)
}

fn solve(
    loaded: &Loaded,
    questions: &Questions,
    options: SolveOptions,
    attempts: &Attempts,
) -> Vec<Outcome> {
    let Questions { task, tokens } = questions;
    let ids = vec![0; tokens.len() / task.cells()];
    let progress = Progress::new(ids.len() as u64, "solving");
    let net = (&loaded.net, &loaded.params);
    let done = |n: usize| progress.add(n as u64);
    let outcomes = attempts.solve(net, (*task, tokens, &ids), MICRO_BATCH, options, done);
    progress.finish();
    outcomes
}

/// Shows every answer.
fn show_all(
    out: &mut dyn Write,
    questions: &Questions,
    outcomes: &[Outcome],
    json: bool,
) -> std::io::Result<()> {
    let Questions { task, tokens } = questions;
    for (question, outcome) in tokens.chunks_exact(task.cells()).zip(outcomes) {
        let (board, answer) = (&outcome.board, &outcome.answer);
        let valid = task.accepts(question, board);
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
            let wrong = valid == Some(false);
            let remark = if wrong { "  (not valid)" } else { "" };
            writeln!(out, "{}{remark}", task.line(board))?;
        }
    }
    Ok(())
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

/// Shows every supervision step of every puzzle; makes `all_valid` false when a last board is not.
fn trace(
    out: &mut dyn Write,
    loaded: &Loaded,
    questions: &Questions,
    options: SolveOptions,
    all_valid: &mut bool,
) -> std::io::Result<()> {
    let Questions { task, tokens } = questions;
    let threads = rayon::current_num_threads();
    let mut rollout = Rollout::on_threads(&loaded.net, &loaded.params, 1, threads);
    for question in tokens.chunks_exact(task.cells()) {
        writeln!(out, "question\n{}", task.render(question))?;
        let (mut before, mut failed) = (None, Ok(()));
        rollout.solve(question, &[0], options, |_, answer| {
            if failed.is_ok() {
                failed = show(out, (*task, question), before.as_deref(), answer);
            }
            before = Some(answer.tokens.clone());
        });
        *all_valid &= before.is_some_and(|last| task.accepts(question, &last) != Some(false));
        failed?;
    }
    Ok(())
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
