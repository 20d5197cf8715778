//! How many puzzles a network solves, in all and by source.

use crate::attempts::{Attempts, Outcome};
use crate::dataset::Dataset;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use trm_autograd::op::loss::IGNORE;
use trm_model::solve::SolveOptions;
use trm_model::{Network, Parameters};

/// Shares of right boards and right cells.
#[derive(Debug)]
pub struct Score {
    /// Boards with every cell right.
    pub exact: f64,
    /// Boards that keep the task's rules: where several answers are right, any of them. None where no rules are known.
    pub valid: Option<f64>,
    /// Cells right, of all that are asked for.
    pub cells: f64,
    /// Mean supervision steps.
    pub steps: f64,
    /// Mean attempts.
    pub attempts: f64,
    /// Puzzles of each source, and boards with every cell right among them.
    pub sources: BTreeMap<Arc<str>, (usize, usize)>,
}

/// Solves all puzzles on the current pool and compares with their answers; `done(n)` hears of every n
/// that are solved.
pub fn score(
    net: (&Network, &Parameters),
    data: &Dataset,
    micro_batch: usize,
    options: SolveOptions,
    attempts: &Attempts,
    done: impl Fn(usize) + Sync,
) -> Score {
    let questions = (data.task(), data.questions(), data.identifiers());
    let outcomes = attempts.solve(net, questions, micro_batch, options, done);
    Score::of(data, &outcomes)
}

impl Score {
    fn of(data: &Dataset, outcomes: &[Outcome]) -> Self {
        let (mut exact, mut valid, mut right) = (0, Some(0), 0.0);
        let (task, cells) = (data.task(), data.task().cells());
        let mut sources = BTreeMap::new();
        let questions = data.questions().chunks_exact(cells);
        let boards = questions.zip(data.answers().chunks_exact(cells));
        for ((outcome, (question, answer)), source) in
            outcomes.iter().zip(boards).zip(data.sources())
        {
            let (agreeing, cells) = agreeing(&outcome.board, answer);
            let all = usize::from(agreeing == cells);
            let accepted = task.accepts(question, &outcome.board);
            valid = valid
                .zip(accepted)
                .map(|(valid, it)| valid + usize::from(it));
            let of_source = sources.entry(Arc::clone(source)).or_insert((0, 0));
            *of_source = (of_source.0 + 1, of_source.1 + all);
            exact += all;
            right += agreeing as f64 / cells.max(1) as f64;
        }
        let n = outcomes.len() as f64;
        let mean = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).sum::<usize>() as f64 / n;
        Score {
            exact: exact as f64 / n,
            valid: valid.map(|valid| valid as f64 / n),
            cells: right / n,
            steps: mean(|outcome| outcome.steps),
            attempts: mean(|outcome| outcome.attempts),
            sources,
        }
    }

    /// For each source, its puzzles and exact accuracy.
    pub fn by_source(&self) -> Value {
        let entry = |(source, (puzzles, exact)): (&Arc<str>, &(usize, usize))| {
            let accuracy = *exact as f64 / *puzzles as f64;
            let value = json!({ "puzzles": puzzles, "exact_accuracy": accuracy });
            (source.to_string(), value)
        };
        Value::Object(self.sources.iter().map(entry).collect::<Map<_, _>>())
    }
}

/// Cells of the answer that `board` has right, and those that it is asked for.
fn agreeing(board: &[u8], answer: &[u8]) -> (usize, usize) {
    let asked = board.iter().zip(answer).filter(|(_, a)| **a != IGNORE);
    let right = asked.clone().filter(|(b, a)| b == a).count();
    (right, asked.count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Task;
    use trm_data::Cells;
    use trm_data::maze::Maze;
    use trm_model::solve::Answer;

    /// Five times the open maze, in which six ways are shortest; the file knows one of them.
    #[test]
    fn the_shares_are_those_that_were_worked_out_by_hand() {
        let tokens = |text: &str| text.parse::<Maze>().expect("a maze").tokens();
        let (question, answer) = (tokens("S       G"), tokens("Soo  o  G"));
        // The third asks for no cell in the middle.
        let mut answers = answer.repeat(5);
        answers[2 * 9 + 4] = IGNORE;
        let outcomes = [
            // The file's answer: 9 of 9 cells.
            ("Soo  o  G", 3, 1),
            // Another shortest way, which shares S, the middle and G: 3 of 9.
            ("S  o  ooG", 16, 4),
            // A way with a cell too much, where nobody asks: 8 of 8, and against the rules.
            ("Soo oo  G", 1, 1),
            // No way at all: 6 of 9.
            ("S       G", 16, 2),
            // A third shortest way, which shares S, a corner and G: 3 of 9.
            ("S  oo  oG", 4, 2),
        ];
        let outcomes = outcomes.map(|(board, steps, attempts)| Outcome {
            answer: Answer {
                tokens: tokens(board),
                steps: 99,
                q_halt: 0.0,
                q_continue: 0.0,
            },
            board: tokens(board),
            attempts,
            steps,
        });
        let score = |task| {
            let sources = ["a", "a", "b", "b", "b"];
            let data = Dataset::of_tokens(task, question.repeat(5), answers.clone(), &sources);
            Score::of(&data, &outcomes)
        };
        let found = score(Task::Maze(3));
        assert_eq!(found.exact, 2.0 / 5.0);
        assert_eq!(found.valid, Some(3.0 / 5.0));
        let shares = [9.0 / 9.0, 3.0 / 9.0, 8.0 / 8.0, 6.0 / 9.0, 3.0 / 9.0];
        assert_eq!(found.cells, shares.iter().sum::<f64>() / 5.0);
        assert_eq!((found.steps, found.attempts), (40.0 / 5.0, 10.0 / 5.0));
        let by_source = json!({
            "a": { "puzzles": 2, "exact_accuracy": 1.0 / 2.0 },
            "b": { "puzzles": 3, "exact_accuracy": 1.0 / 3.0 },
        });
        assert_eq!(found.by_source(), by_source);
        // Where no rules are known, the file's answer is the only one.
        let found = score(Task::Arc(3));
        assert_eq!((found.exact, found.valid), (2.0 / 5.0, None));
    }
}
