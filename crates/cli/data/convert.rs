//! `trm data convert`: between files of rows and the folders of the PyTorch reference.

use crate::paths::{check_out, is_within};
use crate::task::{Kind, Task};
use anyhow::{Context, ensure};
use clap::ValueEnum;
use std::path::PathBuf;
use std::process::ExitCode;
use trm_data::maze::Maze;
use trm_data::reference::folder::{Folder, Set};
use trm_data::reference::levels::Levels;
use trm_data::{Board, Cells, Geometry, Puzzle, read_path, write_path};

/// What the puzzles are.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum TaskArg {
    /// Sudoku of side 4, 6 or 9
    Sudoku,
    /// Mazes
    Maze,
}

/// Arguments of `trm data convert`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm data convert --task sudoku train.csv sudoku-1k/train     for the reference to train on
  trm data convert --task maze maze-30x30/test test.csv        from one of its folders

A folder is what the reference's builders write: dataset.json and five arrays. Every row becomes a puzzle of one \
example in a group of its own, with identifier 0; from a folder all examples come back as rows, in order. \
A folder has no place for sources and ratings: they are lost on the way.
What is there already is never overwritten by a folder; a CSV replaces the file that it is told to, but none of the \
folder that it is made of.")]
pub(super) struct Args {
    /// What the puzzles are
    #[arg(long, value_enum)]
    task: TaskArg,
    /// A file of rows (CSV with answers), or a folder with a dataset.json
    from: PathBuf,
    /// The folder, or the CSV, to write
    to: PathBuf,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let count = match (args.task, args.from.is_dir()) {
        (TaskArg::Sudoku, false) => to_folder::<Board>(args, Kind::Sudoku)?,
        (TaskArg::Maze, false) => to_folder::<Maze>(args, Kind::Maze)?,
        (TaskArg::Sudoku, true) => {
            let board = |tokens: &[u8]| {
                let geometry = Geometry::from_cells(tokens.len());
                Board::from_tokens(geometry.expect("the cells of a board"), tokens)
            };
            to_file(args, Kind::Sudoku, board)?
        }
        (TaskArg::Maze, true) => to_file(args, Kind::Maze, Maze::from_tokens)?,
    };
    say!("{count} puzzles in {}", args.to.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes the folder; the number of its puzzles.
fn to_folder<G: Cells<Format = ()>>(args: &Args, kind: Kind) -> anyhow::Result<usize> {
    let from = args.from.display();
    let rows: Vec<Puzzle<G>> = read_path(&args.from, ())?;
    let (side, _) = rows
        .first()
        .with_context(|| format!("{from}: no puzzles"))?
        .question
        .size();
    let task = Task::new(kind, side, None).with_context(|| from.to_string())?;
    let (mut inputs, mut labels) = (Vec::new(), Vec::new());
    for (i, row) in rows.iter().enumerate() {
        let answer = row.answer.as_ref();
        let answer = answer.with_context(|| format!("{from}: puzzle {} has no answer", i + 1))?;
        inputs.extend(row.question.tokens());
        labels.extend(answer.tokens());
    }
    let count = rows.len();
    let one_each: Vec<usize> = (0..=count).collect();
    let set = Set {
        name: "all".to_owned(),
        inputs,
        labels,
        identifiers: vec![0; count],
        levels: Levels::new(one_each.clone(), one_each, count)?,
    };
    let folder = Folder::of(set, task.cells(), task.vocab(), 1);
    folder.write(&args.to)?;
    Ok(count)
}

/// Writes the examples of a folder as CSV when every puzzle is sound and says all that its example says; their number.
fn to_file<G: Cells>(args: &Args, kind: Kind, grid: impl Fn(&[u8]) -> G) -> anyhow::Result<usize> {
    let from = args.from.display();
    check_out(&args.to)?;
    ensure!(
        !is_within(&args.to, &args.from),
        "{}: that is among the files of the folder to read; choose another folder",
        args.to.display()
    );
    let folder = Folder::read(&args.from)?;
    let (cells, vocab) = (folder.metadata.seq_len, folder.metadata.vocab_size);
    let task = Task::new(kind, cells.isqrt(), None).ok();
    ensure!(
        task.is_some_and(|task| (task.cells(), task.vocab()) == (cells, vocab)),
        "{from}: examples of {cells} cells and {vocab} tokens are no puzzles of --task"
    );
    let mut puzzles = Vec::new();
    for set in &folder.sets {
        let questions = set.inputs.chunks_exact(cells);
        for (question, answer) in questions.zip(set.labels.chunks_exact(cells)) {
            let n = puzzles.len() + 1;
            let [of_question, of_answer] = [question, answer].map(&grid);
            ensure!(
                of_question.tokens() == question && of_answer.tokens() == answer,
                "{from}: example {n}: a token that stands for no character"
            );
            let puzzle = Puzzle {
                answer: Some(of_answer),
                ..Puzzle::of(of_question)
            };
            let sound = puzzle.check().map_err(|(_, why)| why);
            sound.with_context(|| format!("{from}: example {n}"))?;
            puzzles.push(puzzle);
        }
    }
    ensure!(!puzzles.is_empty(), "{from}: no examples");
    write_path(&args.to, &puzzles)?;
    Ok(puzzles.len())
}
