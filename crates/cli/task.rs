//! What a network plays: how its tokens look to people, what they may be turned into, and when they are right.

use crate::config::RunConfig;
use anyhow::{Context, bail, ensure};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use trm_data::arc::{self, Grid};
use trm_data::dihedral::Dihedral;
use trm_data::grid::{Format, Symmetries};
use trm_data::maze::{self, Maze};
use trm_data::{BLANK_TOKEN, Board, Cells, Geometry, Puzzle, Symmetry};
use trm_model::solve::Accept;
use trm_model::weights::Loaded;

/// The kind of task, as configs name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Complete a Sudoku.
    #[default]
    Sudoku,
    /// Draw the shortest path through a maze.
    Maze,
    /// Turn one grid of characters into another, as `data.grid` says.
    Grid,
    /// Answer the tasks of ARC-AGI or ConceptARC.
    Arc,
}

/// A task of your own, as a config describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridConfig {
    /// What the task is called; letters alone.
    pub name: String,
    /// Rows of a grid.
    pub rows: usize,
    /// Columns of a grid.
    pub cols: usize,
    /// All characters that may stand in a cell.
    pub characters: String,
    /// What may be done to a question and its answer alike: "none", "mirror" or "dihedral".
    #[serde(default)]
    pub symmetries: SymmetriesArg,
}

/// [`Symmetries`], as configs name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SymmetriesArg {
    /// Nothing.
    #[default]
    None,
    /// Left and right exchanged.
    Mirror,
    /// Any of the eight rotations and reflections.
    Dihedral,
}

/// A task of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Boards of one shape.
    Sudoku(Geometry),
    /// Squares of this side.
    Maze(usize),
    /// Grids of a format of one's own. A program plays one task: its format lives as long.
    Grid(&'static Format),
    /// ARC's grids of colours, on a square canvas of this side.
    Arc(usize),
}

/// A symmetry of a task.
#[derive(Clone, Copy, Debug)]
pub enum View {
    /// Digits renamed, rows and columns moved.
    Sudoku(Symmetry),
    /// Turned or mirrored, with the rows and columns of what it sees.
    Turned(Dihedral, (usize, usize)),
}

impl Task {
    /// The task of a kind and side, or of a format.
    ///
    /// # Errors
    /// When there is none of that side, or the format cannot be.
    pub fn new(kind: Kind, side: usize, grid: Option<&GridConfig>) -> anyhow::Result<Task> {
        ensure!(
            kind == Kind::Grid || grid.is_none(),
            "data.grid describes the grids of data.task = \"grid\", and of no other"
        );
        match kind {
            Kind::Grid => Task::of_grid(grid.context(
                "data.task = \"grid\" needs a table [data.grid] with name, rows, cols and characters",
            )?),
            Kind::Sudoku => {
                let geometry = Geometry::from_side(side);
                let geometry =
                    geometry.with_context(|| format!("data.side = {side}: expected 4, 6 or 9"))?;
                Ok(Task::Sudoku(geometry))
            }
            Kind::Arc if (1..=arc::CANVAS).contains(&side) => Ok(Task::Arc(side)),
            Kind::Arc => bail!(
                "data.side = {side}: expected 1 to {} for the canvas of ARC",
                arc::CANVAS
            ),
            Kind::Maze if (3..=maze::MAX_SIDE).contains(&side) => Ok(Task::Maze(side)),
            Kind::Maze => bail!(
                "data.side = {side}: expected 3 to {} for mazes",
                maze::MAX_SIDE
            ),
        }
    }

    fn of_grid(grid: &GridConfig) -> anyhow::Result<Task> {
        let named = grid.name.chars().all(char::is_alphabetic) && !grid.name.is_empty();
        let taken = ["sudoku", "maze", "arc"].contains(&grid.name.as_str());
        ensure!(
            named && !taken,
            "data.grid.name = {:?}: expected letters alone, and not \"sudoku\", \"maze\" or \"arc\"",
            grid.name
        );
        let symmetries = match grid.symmetries {
            SymmetriesArg::None => Symmetries::None,
            SymmetriesArg::Mirror => Symmetries::Mirror,
            SymmetriesArg::Dihedral => Symmetries::Dihedral,
        };
        let format = Format::new(
            &grid.name,
            grid.rows,
            grid.cols,
            &grid.characters,
            symmetries,
        );
        Ok(Task::Grid(Box::leak(Box::new(
            format.context("data.grid")?,
        ))))
    }

    /// The task of weights: what they say of themselves, or, where they say nothing, Sudoku of their size.
    ///
    /// # Errors
    /// When it is none that is known here.
    pub fn of(loaded: &Loaded) -> anyhow::Result<Task> {
        let (cells, vocab) = (loaded.net.config().cells, loaded.net.config().vocab_size);
        let named = loaded.metadata.get("task").map(String::as_str);
        let task = match named.map(|name| name.trim_end_matches(|c: char| c.is_ascii_digit())) {
            Some("sudoku") | None => Geometry::from_cells(cells).map(Task::Sudoku),
            Some("maze") => maze::side_of(cells).map(Task::Maze),
            Some("arc") => Some(Task::Arc(cells.isqrt())),
            // Any other name is a format, which the run's config in the file describes.
            Some(_) => {
                let run = loaded.metadata.get("run").map_or("", String::as_str);
                let config: Option<RunConfig> = serde_json::from_str(run).ok();
                config.and_then(|config| config.task().ok())
            }
        };
        let fits = |task: &Task| (task.cells(), task.vocab()) == (cells, vocab);
        task.filter(fits).with_context(|| match named {
            Some(name) => {
                format!(
                    "plays {name:?} of {cells} cells and {vocab} tokens, which is not known here"
                )
            }
            None => format!("plays boards of {cells} cells and {vocab} tokens, not Sudoku"),
        })
    }

    /// Its name with its side: `sudoku9`, `maze10`.
    pub fn name(self) -> String {
        match self {
            Task::Sudoku(geometry) => format!("sudoku{}", geometry.side()),
            Task::Maze(side) => format!("maze{side}"),
            Task::Grid(format) => format.name().to_owned(),
            Task::Arc(side) => format!("arc{side}"),
        }
    }

    /// Rows and columns of a question.
    pub fn size(self) -> (usize, usize) {
        match self {
            Task::Sudoku(geometry) => (geometry.side(), geometry.side()),
            Task::Maze(side) | Task::Arc(side) => (side, side),
            Task::Grid(format) => format.size(),
        }
    }

    /// Cells of a question.
    pub fn cells(self) -> usize {
        let (rows, cols) = self.size();
        rows * cols
    }

    /// Tokens that there are.
    pub fn vocab(self) -> usize {
        match self {
            Task::Sudoku(geometry) => geometry.vocab(),
            Task::Maze(_) => maze::VOCAB,
            Task::Grid(format) => format.vocab(),
            Task::Arc(_) => arc::VOCAB,
        }
    }

    /// The token of a cell that is to be filled, where there is such a thing.
    pub fn blank(self) -> Option<u8> {
        match self {
            Task::Sudoku(_) => Some(BLANK_TOKEN),
            Task::Maze(_) | Task::Grid(_) | Task::Arc(_) => None,
        }
    }

    /// The rules, where they are known: whether an answer solves a question, both as tokens.
    pub fn rules(self) -> Option<Accept> {
        match self {
            Task::Sudoku(_) => Some(|question, answer| {
                let Some(geometry) = Geometry::from_cells(question.len()) else {
                    return false;
                };
                let board = |tokens| Board::from_tokens(geometry, tokens);
                board(answer).is_valid_solution_of(&board(question))
            }),
            Task::Maze(_) => Some(|question, answer| {
                Maze::from_tokens(answer).is_shortest_way_through(&Maze::from_tokens(question))
            }),
            Task::Grid(_) | Task::Arc(_) => None,
        }
    }

    /// Whether the rules accept an answer; none where no rules are known.
    pub fn accepts(self, question: &[u8], answer: &[u8]) -> Option<bool> {
        self.rules().map(|rules| rules(question, answer))
    }

    /// Tokens as one line of text.
    pub fn line(self, tokens: &[u8]) -> String {
        match self {
            Task::Sudoku(geometry) => Board::from_tokens(geometry, tokens).to_string(),
            Task::Maze(_) => Maze::from_tokens(tokens).to_string(),
            Task::Grid(format) => format.line(tokens),
            Task::Arc(_) => Grid::crop(tokens).to_string(),
        }
    }

    /// Tokens as a drawing.
    pub fn render(self, tokens: &[u8]) -> String {
        match self {
            Task::Sudoku(geometry) => Board::from_tokens(geometry, tokens).render(),
            Task::Maze(_) => Maze::from_tokens(tokens).render(),
            Task::Grid(format) => format.render(tokens),
            Task::Arc(_) => Grid::crop(tokens).to_string().replace('/', "\n"),
        }
    }

    /// What the rules say of an answer, in words.
    pub fn verdict(self, question: &[u8], answer: &[u8]) -> String {
        match self {
            Task::Grid(_) | Task::Arc(_) => "an answer".to_owned(),
            _ if self.accepts(question, answer) == Some(true) => "a valid solution".to_owned(),
            Task::Sudoku(geometry) => {
                let [question, answer] =
                    [question, answer].map(|tokens| Board::from_tokens(geometry, tokens));
                match answer.conflicts().count() {
                    0 => {
                        let puzzle = Puzzle {
                            answer: Some(answer),
                            ..Puzzle::of(question)
                        };
                        let why = puzzle.check().err().map(|(_, why)| why.to_string());
                        format!("not valid: {}", why.unwrap_or_default())
                    }
                    conflicts => format!("not valid: {conflicts} conflicts"),
                }
            }
            Task::Maze(_) => {
                let answer = Maze::from_tokens(answer).check_answer(&Maze::from_tokens(question));
                answer.map_or_else(
                    |why| format!("not valid: {why}"),
                    |()| "a valid solution".to_owned(),
                )
            }
        }
    }

    /// The view that changes nothing.
    pub fn plain_view(self) -> View {
        match self {
            Task::Sudoku(geometry) => View::Sudoku(Symmetry::identity(geometry)),
            Task::Maze(_) | Task::Grid(_) | Task::Arc(_) => {
                View::Turned(Dihedral::IDENTITY, self.size())
            }
        }
    }

    /// Any view, all alike likely.
    pub fn random_view(self, rng: &mut impl Rng) -> View {
        let any = match self {
            Task::Sudoku(geometry) => return View::Sudoku(Symmetry::random(geometry, rng)),
            Task::Maze(_) => &Dihedral::ALL,
            Task::Grid(format) => format.images(),
            // Its variants are puzzles of their own, each with an identifier.
            Task::Arc(_) => &Dihedral::ALL[..1],
        };
        View::Turned(any[rng.random_range(0..any.len())], self.size())
    }
}

impl View {
    /// The view that undoes this one; only squares are turned, so rows and columns stay as many.
    pub fn inverse(&self) -> View {
        match self {
            View::Sudoku(symmetry) => View::Sudoku(symmetry.inverse()),
            View::Turned(symmetry, size) => View::Turned(symmetry.inverse(), *size),
        }
    }

    /// Writes the image of `tokens`; both are (cells).
    ///
    /// # Panics
    /// If there is not one for each cell.
    pub fn apply(&self, tokens: &[u8], image: &mut [u8]) {
        match self {
            View::Sudoku(symmetry) => {
                let board = Board::from_tokens(symmetry.geometry(), tokens);
                symmetry.apply(&board).tokens_into(image);
            }
            View::Turned(symmetry, (rows, cols)) => {
                symmetry.apply_into(tokens, (*rows, *cols), image);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trm_autograd::random::{Purpose, stream};
    use trm_kernels::Kernels;
    use trm_model::{ModelConfig, Network};

    const TASKS: [(Task, &str, &str); 2] = [
        (
            Task::Sudoku(Geometry::Four),
            "1.2..231..12.1..",
            "1324423134122143",
        ),
        (Task::Maze(3), "S  ## #G ", "Soo##o#Go"),
    ];

    fn tokens(task: Task, text: &str) -> Vec<u8> {
        let mut tokens = vec![0; task.cells()];
        match task {
            Task::Sudoku(_) => text.parse::<Board>().unwrap().tokens_into(&mut tokens),
            _ => text.parse::<Maze>().unwrap().tokens_into(&mut tokens),
        }
        tokens
    }

    #[test]
    fn the_rules_accept_the_answer_and_nothing_less() {
        for (task, question, answer) in TASKS {
            let [question, answer] = [question, answer].map(|text| tokens(task, text));
            assert_eq!(task.accepts(&question, &answer), Some(true));
            assert_eq!(task.accepts(&question, &question), Some(false));
            assert_eq!(task.verdict(&question, &answer), "a valid solution");
            let unfinished = task.verdict(&question, &question);
            assert!(unfinished.starts_with("not valid: "), "{unfinished}");
            assert!(unfinished.len() > "not valid: ".len() && !unfinished.contains("0 conflicts"));
            let mut other = answer.clone();
            other[task.cells() - 1] ^= 1;
            assert_eq!(task.accepts(&question, &other), Some(false));
        }
    }

    #[test]
    fn a_view_keeps_answers_right_and_its_inverse_undoes_it() {
        for (task, question, answer) in TASKS {
            let [question, answer] = [question, answer].map(|text| tokens(task, text));
            let mut changed = 0;
            for i in 0..20 {
                let view = task.random_view(&mut stream(0, Purpose::Augment, i));
                let seen = |tokens: &[u8]| {
                    let mut image = vec![0; task.cells()];
                    view.apply(tokens, &mut image);
                    image
                };
                let mut back = vec![0; task.cells()];
                view.inverse().apply(&seen(&question), &mut back);
                assert_eq!(back, question);
                assert_eq!(task.accepts(&seen(&question), &seen(&answer)), Some(true));
                changed += usize::from(seen(&question) != question);
            }
            assert!(
                changed > 10,
                "{task:?}: {changed} of 20 views change something"
            );
        }
    }

    /// A file may say anything of itself; its tokens must fit all the same.
    #[test]
    fn weights_that_lie_about_their_task_are_refused() {
        let kernels = Kernels::best().expect("an instruction set");
        let found = |cells, vocab_size, metadata: &[(&str, &str)]| {
            let config = ModelConfig {
                cells,
                vocab_size,
                width: 8,
                puzzle_emb_ndim: 8,
                ..ModelConfig::default()
            };
            let net = Network::new(config, kernels).expect("a network");
            let params = net.init(0);
            let metadata = metadata
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect();
            let loaded = Loaded {
                net,
                params,
                metadata,
            };
            Task::of(&loaded).map_err(|error| error.to_string())
        };
        assert_eq!(found(16, 6, &[]), Ok(Task::Sudoku(Geometry::Four)));
        assert_eq!(found(16, 6, &[("task", "maze4")]), Ok(Task::Maze(4)));
        let run = r#"{"data": {"task": "grid", "grid": {"name": "x", "rows": 1, "cols": 5, "characters": "ab"}}}"#;
        let grid = found(5, 3, &[("task", "x"), ("run", run)]).expect("a grid");
        assert_eq!((grid.size(), grid.vocab()), ((1, 5), 3));
        for (cells, vocab, metadata) in [
            (16, 7, &[("task", "maze4")][..]),
            (16, 11, &[]),
            (17, 6, &[("task", "sudoku4")]),
            (16, 6, &[("task", "chess")]),
            (6, 3, &[("task", "x"), ("run", run)]),
            (5, 4, &[("task", "x"), ("run", run)]),
        ] {
            let error = found(cells, vocab, metadata).expect_err("a lie");
            assert!(
                error.contains(&format!("{cells} cells and {vocab} tokens")),
                "{error}"
            );
        }
    }
}
