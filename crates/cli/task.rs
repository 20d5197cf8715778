//! What a network plays: how its tokens look to people, what they may be turned into, and when they are right.

use anyhow::{Context, bail};
use rand::Rng;
use serde::{Deserialize, Serialize};
use trm_data::dihedral::Dihedral;
use trm_data::maze::{self, Maze};
use trm_data::{BLANK_TOKEN, Board, Geometry, Symmetry};
use trm_model::solve::Accept;
use trm_model::weights::Loaded;

/// The kind of task, as configs name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Complete a Sudoku.
    #[default]
    Sudoku,
    /// Draw the shortest way through a maze.
    Maze,
}

/// A task of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Boards of one shape.
    Sudoku(Geometry),
    /// Squares of this side.
    Maze(usize),
}

/// A symmetry of a task.
#[derive(Clone, Copy, Debug)]
pub enum View {
    /// Digits renamed, rows and columns moved.
    Sudoku(Symmetry),
    /// Turned or mirrored.
    Maze(Dihedral, usize),
}

impl Task {
    /// The task of a kind and side.
    ///
    /// # Errors
    /// When there is none of that side.
    pub fn new(kind: Kind, side: usize) -> anyhow::Result<Task> {
        match kind {
            Kind::Sudoku => {
                let geometry = Geometry::from_side(side);
                let geometry =
                    geometry.with_context(|| format!("data.side = {side}: expected 4, 6 or 9"))?;
                Ok(Task::Sudoku(geometry))
            }
            Kind::Maze if (3..=maze::MAX_SIDE).contains(&side) => Ok(Task::Maze(side)),
            Kind::Maze => bail!(
                "data.side = {side}: expected 3 to {} for mazes",
                maze::MAX_SIDE
            ),
        }
    }

    /// The task of weights: what they say of themselves, or, where they say nothing, Sudoku of their size.
    ///
    /// # Errors
    /// When it is none that is known here.
    pub fn of(loaded: &Loaded) -> anyhow::Result<Task> {
        let cells = loaded.net.config().cells;
        let named = loaded.metadata.get("task").map(String::as_str);
        let task = match named.map(|name| name.trim_end_matches(|c: char| c.is_ascii_digit())) {
            Some("sudoku") | None => Geometry::from_cells(cells).map(Task::Sudoku),
            Some("maze") => maze::side_of(cells).map(Task::Maze),
            Some(_) => None,
        };
        task.with_context(|| match named {
            Some(name) => format!("plays {name:?} of {cells} cells, which is not known here"),
            None => format!("plays boards of {cells} cells, not Sudoku"),
        })
    }

    /// Its name with its side: `sudoku9`, `maze10`.
    pub fn name(self) -> String {
        match self {
            Task::Sudoku(geometry) => format!("sudoku{}", geometry.side()),
            Task::Maze(side) => format!("maze{side}"),
        }
    }

    /// Cells along one side.
    pub fn side(self) -> usize {
        match self {
            Task::Sudoku(geometry) => geometry.side(),
            Task::Maze(side) => side,
        }
    }

    /// Cells of a question.
    pub fn cells(self) -> usize {
        self.side() * self.side()
    }

    /// Tokens that there are.
    pub fn vocab(self) -> usize {
        match self {
            Task::Sudoku(geometry) => geometry.vocab(),
            Task::Maze(_) => maze::VOCAB,
        }
    }

    /// The token of a cell that is to be filled, where there is such a thing.
    pub fn blank(self) -> Option<u8> {
        match self {
            Task::Sudoku(_) => Some(BLANK_TOKEN),
            Task::Maze(_) => None,
        }
    }

    /// The rules: whether an answer solves a question, both as tokens.
    pub fn rules(self) -> Accept {
        match self {
            Task::Sudoku(_) => |question, answer| {
                let Some(geometry) = Geometry::from_cells(question.len()) else {
                    return false;
                };
                let board = |tokens| Board::from_tokens(geometry, tokens);
                board(answer).is_valid_solution_of(&board(question))
            },
            Task::Maze(_) => |question, answer| {
                Maze::from_tokens(answer).is_shortest_way_through(&Maze::from_tokens(question))
            },
        }
    }

    /// Tokens as one line of text.
    pub fn line(self, tokens: &[u8]) -> String {
        match self {
            Task::Sudoku(geometry) => Board::from_tokens(geometry, tokens).to_string(),
            Task::Maze(_) => Maze::from_tokens(tokens).to_string(),
        }
    }

    /// Tokens as a drawing.
    pub fn render(self, tokens: &[u8]) -> String {
        match self {
            Task::Sudoku(geometry) => Board::from_tokens(geometry, tokens).render(),
            Task::Maze(_) => Maze::from_tokens(tokens).render(),
        }
    }

    /// What the rules say of an answer, in words.
    pub fn verdict(self, question: &[u8], answer: &[u8]) -> String {
        match self {
            _ if self.rules()(question, answer) => "a valid solution".to_owned(),
            Task::Sudoku(geometry) => {
                let conflicts = Board::from_tokens(geometry, answer).conflicts().count();
                format!("not valid: {conflicts} conflicts")
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
            Task::Maze(side) => View::Maze(Dihedral::IDENTITY, side),
        }
    }

    /// Any view, all alike likely.
    pub fn random_view(self, rng: &mut impl Rng) -> View {
        match self {
            Task::Sudoku(geometry) => View::Sudoku(Symmetry::random(geometry, rng)),
            Task::Maze(side) => View::Maze(Dihedral::random(rng), side),
        }
    }
}

impl View {
    /// The view that undoes this one.
    pub fn inverse(&self) -> View {
        match self {
            View::Sudoku(symmetry) => View::Sudoku(symmetry.inverse()),
            View::Maze(symmetry, side) => View::Maze(symmetry.inverse(), *side),
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
            View::Maze(symmetry, side) => {
                image.copy_from_slice(&symmetry.apply(tokens, *side, *side));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trm_autograd::random::{Purpose, stream};

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
            Task::Maze(_) => text.parse::<Maze>().unwrap().tokens_into(&mut tokens),
        }
        tokens
    }

    #[test]
    fn the_rules_accept_the_answer_and_nothing_less() {
        for (task, question, answer) in TASKS {
            let [question, answer] = [question, answer].map(|text| tokens(task, text));
            assert!(task.rules()(&question, &answer));
            assert!(!task.rules()(&question, &question));
            assert_eq!(task.verdict(&question, &answer), "a valid solution");
            assert!(task.verdict(&question, &question).starts_with("not valid"));
            let mut other = answer.clone();
            other[task.cells() - 1] ^= 1;
            assert!(!task.rules()(&question, &other));
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
                assert!(task.rules()(&seen(&question), &seen(&answer)));
                changed += usize::from(seen(&question) != question);
            }
            assert!(
                changed > 10,
                "{task:?}: {changed} of 20 views change something"
            );
        }
    }
}
