//! Puzzles as a run sees them: which lists it learns from and is validated by, and the endless stream
//! of draws, each under a symmetry of its own.

pub mod arc;
#[cfg(test)]
mod divided;
#[cfg(test)]
mod draws;

use crate::config::{DataConfig, RunConfig};
use crate::progress::Progress;
use crate::task::Task;
use anyhow::{bail, ensure};
use rand::{Rng, RngExt};
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;
use trm_autograd::random::{Purpose, stream};
use trm_data::generate::{Difficulty, generate};
use trm_data::geometry::BLANK_TOKEN;
use trm_data::grid::{Format, Grid};
use trm_data::maze::Maze;
use trm_data::maze::generate::MazeOptions;
use trm_data::reference::levels::Levels;
use trm_data::{Board, Cells, Geometry, Puzzle, pair, read_path, split};
use trm_model::carry::Slot;

/// Questions with their answers, as tokens.
#[derive(Debug)]
pub struct Dataset {
    task: Task,
    /// (puzzles, cells)
    questions: Vec<u8>,
    /// (puzzles, cells)
    answers: Vec<u8>,
    /// Where each puzzle comes from.
    sources: Vec<Arc<str>>,
    /// Which embedding each puzzle has.
    identifiers: Vec<u32>,
    /// Which puzzles are variants of one; none where every puzzle stands alone.
    levels: Option<Levels>,
}

impl Dataset {
    /// Takes puzzles that all have answers and the side of the task.
    fn new<G: Cells>(puzzles: &[Puzzle<G>], task: Task, from: &str) -> anyhow::Result<Self> {
        check_all(puzzles, task, from)?;
        let (mut questions, mut answers) = (Vec::new(), Vec::new());
        for puzzle in puzzles {
            questions.extend(puzzle.question.tokens());
            answers.extend(puzzle.answer.iter().flat_map(Cells::tokens));
        }
        Ok(Dataset {
            task,
            questions,
            answers,
            sources: puzzles.iter().map(|p| Arc::clone(&p.source)).collect(),
            identifiers: vec![0; puzzles.len()],
            levels: None,
        })
    }

    /// Takes puzzles as tokens, with one source each; an answer may leave cells open.
    #[cfg(test)]
    pub fn of_tokens(task: Task, questions: Vec<u8>, answers: Vec<u8>, sources: &[&str]) -> Self {
        Dataset {
            task,
            questions,
            answers,
            sources: sources.iter().map(|&source| Arc::from(source)).collect(),
            identifiers: vec![0; sources.len()],
            levels: None,
        }
    }

    /// What is played.
    pub fn task(&self) -> Task {
        self.task
    }

    /// Number of puzzles.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// All questions, (puzzles, cells).
    pub fn questions(&self) -> &[u8] {
        &self.questions
    }

    /// Their answers, (puzzles, cells).
    pub fn answers(&self) -> &[u8] {
        &self.answers
    }

    /// Where each puzzle comes from.
    pub fn sources(&self) -> &[Arc<str>] {
        &self.sources
    }

    /// Which embedding each puzzle has.
    pub fn identifiers(&self) -> &[u32] {
        &self.identifiers
    }

    /// Writes draw number `draw` of the run: any puzzle, under any symmetry, with as many more givens as the
    /// config allows; where there are variants, all tasks are alike likely. The same number and seed always give the
    /// same draw, so neither threads nor restarts matter.
    pub fn draw(&self, draw: u64, seed: u64, config: &DataConfig, slot: Slot<'_>) {
        let rng = &mut stream(seed, Purpose::Shuffle, draw);
        let index = match &self.levels {
            Some(levels) => levels.draw(rng),
            None => rng.random_range(0..self.len()),
        };
        let cells = self.task.cells();
        let at = index * cells..(index + 1) * cells;
        let view = if config.augment {
            self.task
                .random_view(&mut stream(seed, Purpose::Augment, draw))
        } else {
            self.task.plain_view()
        };
        view.apply(&self.questions[at.clone()], slot.inputs);
        view.apply(&self.answers[at], slot.labels);
        *slot.puzzle = self.identifiers[index];
        if config.reveal > 0 {
            let rng = &mut stream(seed, Purpose::Reveal, draw);
            reveal(
                rng.random_range(0..=config.reveal),
                rng,
                slot.inputs,
                slot.labels,
            );
        }
    }
}

/// Fails unless all puzzles have answers and the size of the task.
fn check_all<G: Cells>(puzzles: &[Puzzle<G>], task: Task, from: &str) -> anyhow::Result<()> {
    for (i, puzzle) in puzzles.iter().enumerate() {
        let ((rows, cols), (height, width)) = (puzzle.question.size(), task.size());
        ensure!(
            (rows, cols) == (height, width),
            "{from}: puzzle {} is {rows}x{cols}, but {} is {height}x{width}",
            i + 1,
            task.name()
        );
        ensure!(
            puzzle.answer.is_some(),
            "{from}: puzzle {} has no answer; to learn from it or be judged by it takes a CSV with the column answer",
            i + 1
        );
    }
    Ok(())
}

/// Shows `count` more cells of the answer, any of those that are blank, or all that are left.
fn reveal(count: usize, rng: &mut impl Rng, inputs: &mut [u8], labels: &[u8]) {
    let blank = |inputs: &[u8]| inputs.iter().filter(|&&token| token == BLANK_TOKEN).count();
    for left in (1..=blank(inputs)).rev().take(count) {
        let chosen = rng.random_range(0..left);
        let mut blanks = (0..inputs.len()).filter(|&i| inputs[i] == BLANK_TOKEN);
        let cell = blanks.nth(chosen).expect("as many as were counted");
        inputs[cell] = labels[cell];
    }
}

/// Where puzzles are: a file that has their answers too, or the questions beside a file of answers.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// CSV, or the questions.
    pub puzzles: &'a Path,
    /// The answers, if they lie apart.
    pub answers: Option<&'a Path>,
}

/// Reads puzzles that all have answers, at most `limit` of them (0: all).
///
/// # Errors
/// When a file is faulty, or its puzzles are of another size.
pub fn read_labelled(files: Files<'_>, task: Task, limit: usize) -> anyhow::Result<Dataset> {
    match task {
        Task::Sudoku(_) => labelled(read::<Board>(files, task, ())?, files, task, limit),
        Task::Maze(_) => labelled(read::<Maze>(files, task, ())?, files, task, limit),
        Task::Grid(format) => {
            let puzzles = read_grids(files, task, &Arc::new(format.clone()))?;
            labelled(puzzles, files, task, limit)
        }
        Task::Arc(_) => bail!("the tasks of ARC are judged by their own rules"),
    }
}

fn labelled<G: Cells>(
    mut puzzles: Vec<Puzzle<G>>,
    files: Files<'_>,
    task: Task,
    limit: usize,
) -> anyhow::Result<Dataset> {
    if limit > 0 {
        puzzles.truncate(limit);
    }
    Dataset::new(&puzzles, task, &files.puzzles.display().to_string())
}

fn read<G: Cells>(
    files: Files<'_>,
    task: Task,
    format: G::Format,
) -> anyhow::Result<Vec<Puzzle<G>>> {
    ensure!(
        files.answers.is_none(),
        "--answers is for tasks of your own (data.task = \"grid\"); {} has its answers in the CSV of --data",
        task.name()
    );
    Ok(read_path(files.puzzles, format)?)
}

fn read_grids(
    files: Files<'_>,
    task: Task,
    format: &Arc<Format>,
) -> anyhow::Result<Vec<Puzzle<Grid>>> {
    match files.answers {
        Some(answers) => Ok(pair::read(files.puzzles, answers, format)?),
        None => read(files, task, Arc::clone(format)),
    }
}

/// What a run learns from, and what it is validated by.
#[derive(Debug)]
pub struct Split {
    /// To learn from.
    pub train: Dataset,
    /// Held out.
    pub validation: Dataset,
    /// Whether the answers of those are known.
    pub judged: bool,
    /// A fingerprint of the names that the identifiers stand for; none where all puzzles share one.
    pub identifiers: Option<String>,
}

impl Split {
    /// A fingerprint of all puzzles in their order: two runs with the same config and fingerprint see the
    /// same draws.
    pub fn digest(&self) -> String {
        let mut bytes: Vec<&[u8]> = Vec::new();
        let lens = [&self.train, &self.validation].map(|data| (data.len() as u64).to_le_bytes());
        for (data, len) in [&self.train, &self.validation].into_iter().zip(&lens) {
            bytes.extend([&len[..], &data.questions, &data.answers]);
        }
        bytes.extend(self.identifiers.as_deref().map(str::as_bytes));
        fingerprint(bytes)
    }
}

/// A fingerprint of all parts, one after the other ([`split::fnv`]).
fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    format!("{:016x}", split::fnv(parts.into_iter().flatten()))
}

/// Puzzles from `file`, or generated as the config says; `validation` holds those to validate with, or
/// they are split off, none looking like one that is learned from: from behind the first
/// `data.train_puzzles`, which are then exactly those learned from, or at random.
///
/// # Errors
/// When a file is faulty or holds too few puzzles.
pub fn load(
    config: &RunConfig,
    files: Option<Files<'_>>,
    validation: Option<&Path>,
) -> anyhow::Result<Split> {
    let data = &config.data;
    let task = config.task()?;
    match task {
        Task::Sudoku(geometry) => {
            let puzzles = match files {
                Some(files) => read::<Board>(files, task, ())?,
                None => generated_sudokus(data, geometry, config.train.seed)?,
            };
            divided(config, task, puzzles, (), files, validation)
        }
        Task::Maze(_) => {
            let puzzles = match files {
                Some(files) => read::<Maze>(files, task, ())?,
                None => generated_mazes(data, config.train.seed)?,
            };
            divided(config, task, puzzles, (), files, validation)
        }
        Task::Grid(format) => {
            let Some(given) = files else {
                bail!("no puzzles: {} needs --data FILE", task.name())
            };
            let format = Arc::new(format.clone());
            let puzzles = read_grids(given, task, &format)?;
            divided(config, task, puzzles, format, files, validation)
        }
        Task::Arc(_) => {
            let Some(files) = files else {
                bail!("no tasks: ARC needs --data FOLDER, which trm data arc build makes")
            };
            arc::split(files, validation, task, data.validation_puzzles)
        }
    }
}

/// What to learn from and what to validate with, of all `puzzles` there are.
fn divided<G: Cells>(
    config: &RunConfig,
    task: Task,
    mut puzzles: Vec<Puzzle<G>>,
    format: G::Format,
    files: Option<Files<'_>>,
    validation: Option<&Path>,
) -> anyhow::Result<Split> {
    let data = &config.data;
    let from = match files {
        Some(files) => files.puzzles.display().to_string(),
        None => "generated puzzles".to_owned(),
    };
    // As they lie in the file, before they are divided.
    check_all(&puzzles, task, &from)?;
    let all_count = puzzles.len();
    ensure!(
        data.train_puzzles <= all_count,
        "{from}: data.train_puzzles = {}, but there are {all_count} puzzles; lower it, or give more",
        data.train_puzzles
    );
    if let Some(path) = validation {
        if data.train_puzzles > 0 {
            puzzles.truncate(data.train_puzzles);
        }
        let given = Files {
            puzzles: path,
            answers: None,
        };
        let mut held_out: Vec<Puzzle<G>> = read(given, task, format)?;
        if data.validation_puzzles > 0 {
            held_out.truncate(data.validation_puzzles);
        }
        let same = |file: Files<'_>| path.canonicalize().ok() == file.puzzles.canonicalize().ok();
        if files.is_some_and(same) {
            say!(
                "warning: --validate is the file of --data: the accuracy will be that on puzzles that were learned"
            );
        } else if let alike @ 1.. = split::look_alikes(&puzzles, &held_out) {
            say!(
                "note: {alike} of {} puzzles of --validate look like one that is learned from, under a symmetry of the \
                 task: the accuracy will not be that on new ones alone",
                held_out.len()
            );
        }
        return Ok(Split {
            train: Dataset::new(&puzzles, task, &from)?,
            validation: Dataset::new(&held_out, task, &path.display().to_string())?,
            judged: true,
            identifiers: None,
        });
    }
    let held_out = data.validation_puzzles;
    ensure!(
        held_out > 0,
        "data.validation_puzzles = 0: expected at least 1, or --validate FILE, of which 0 takes all"
    );
    let parts = if data.train_puzzles > 0 {
        split::split_in_order(puzzles, data.train_puzzles, held_out)
    } else {
        let mut rng = stream(config.train.seed, Purpose::Split, 0);
        split::split(puzzles, held_out, &mut rng)
    };
    ensure!(
        data.train_puzzles == 0 || parts.test.len() == held_out,
        "{from}: of {all_count} puzzles the first {} are learned from (data.train_puzzles), and {} others are like none \
         of them, fewer than data.validation_puzzles = {held_out}; lower one of them, give more puzzles, or --validate \
         FILE",
        parts.train.len(),
        parts.test.len()
    );
    ensure!(
        !parts.train.is_empty() && !parts.test.is_empty(),
        "{from}: of {all_count} puzzles data.validation_puzzles = {held_out} are to be held out, none like one that is \
         learned from: that leaves none to learn from or to hold out; give more puzzles, or lower it"
    );
    Ok(Split {
        train: Dataset::new(&parts.train, task, &from)?,
        validation: Dataset::new(&parts.test, task, &from)?,
        judged: true,
        identifiers: None,
    })
}

fn generated_sudokus(
    data: &DataConfig,
    geometry: Geometry,
    seed: u64,
) -> anyhow::Result<Vec<Puzzle>> {
    let count = data.generate_easy + data.generate_minimal;
    ensure!(
        count > 0,
        "no puzzles: give --data FILE, or data.generate_easy or data.generate_minimal in the config"
    );
    generated(count, |i| {
        let difficulty = if i < data.generate_easy {
            Difficulty::Easy
        } else {
            Difficulty::Minimal
        };
        let rng = &mut stream(seed, Purpose::Generate, i as u64);
        Ok(generate(geometry, difficulty, rng)?)
    })
}

fn generated_mazes(data: &DataConfig, seed: u64) -> anyhow::Result<Vec<Puzzle<Maze>>> {
    ensure!(
        data.generate_mazes > 0,
        "no mazes: give --data FILE, or data.generate_mazes in the config"
    );
    let options = MazeOptions {
        side: data.side,
        min_steps: data.min_steps,
        unique: true,
    };
    generated(data.generate_mazes, |i| {
        let rng = &mut stream(seed, Purpose::Generate, i as u64);
        Ok(trm_data::maze::generate::generate(options, rng)?)
    })
}

/// Fresh puzzles, each from a random stream of its own; repeats are left out.
fn generated<G: Cells + Send>(
    count: usize,
    make: impl Fn(usize) -> anyhow::Result<Puzzle<G>> + Sync,
) -> anyhow::Result<Vec<Puzzle<G>>> {
    let progress = Progress::new(count as u64, "generating puzzles");
    let one = |i| {
        let puzzle = make(i);
        progress.add(1);
        puzzle
    };
    let puzzles: anyhow::Result<Vec<Puzzle<G>>> = (0..count).into_par_iter().map(one).collect();
    progress.finish();
    let puzzles = split::without_repeats(puzzles?);
    if puzzles.len() < count {
        let repeats = count - puzzles.len();
        say!("note: {repeats} of {count} generated puzzles are repeats of others, and left out");
    }
    Ok(puzzles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_revealed_is_right_and_not_more_than_was_asked_for() {
        let (question, answer) = ([1, 1, 3, 1, 5, 1], [2, 4, 3, 5, 5, 2]);
        for (count, expected) in [(0, 0), (1, 1), (3, 3), (9, 4)] {
            for seed in 0..20 {
                let mut inputs = question;
                let rng = &mut stream(seed, Purpose::Reveal, 0);
                reveal(count, rng, &mut inputs, &answer);
                let changed = (0..6).filter(|&i| inputs[i] != question[i]);
                assert!(
                    changed
                        .clone()
                        .all(|i| question[i] == 1 && inputs[i] == answer[i])
                );
                assert_eq!(changed.count(), expected, "{count} asked for");
            }
        }
        // Every blank has its turn.
        let first = |seed| {
            let mut inputs = question;
            reveal(
                1,
                &mut stream(seed, Purpose::Reveal, 0),
                &mut inputs,
                &answer,
            );
            (0..6).find(|&i| inputs[i] != question[i])
        };
        for cell in [0, 1, 3, 5] {
            assert!((0..60).any(|seed| first(seed) == Some(cell)), "{cell}");
        }
    }
}
