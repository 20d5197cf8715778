//! How many puzzles a network solves.

use crate::dataset::Dataset;
use trm_model::solve::{SolveOptions, solve_all};
use trm_model::{Network, Parameters};

/// Shares of right boards and right cells.
#[derive(Debug)]
pub struct Score {
    /// Boards with every cell right.
    pub exact: f64,
    /// Cells right, of all cells.
    pub cells: f64,
    /// Mean supervision steps.
    pub steps: f64,
}

/// Solves all puzzles on the current pool and compares with their answers; `done(n)` hears of every n
/// that are solved.
pub fn score(
    net: &Network,
    params: &Parameters,
    data: &Dataset,
    micro_batch: usize,
    options: SolveOptions,
    done: impl Fn(usize) + Sync,
) -> Score {
    let (questions, labels) = data.tokens();
    let answers = solve_all(net, params, &questions, micro_batch, options, done);
    let (mut exact, mut right, mut steps) = (0, 0, 0);
    for (answer, labels) in answers.iter().zip(labels.chunks_exact(net.config().cells)) {
        let agreeing = answer
            .tokens
            .iter()
            .zip(labels)
            .filter(|(a, b)| a == b)
            .count();
        exact += usize::from(agreeing == labels.len());
        right += agreeing;
        steps += answer.steps;
    }
    let n = answers.len() as f64;
    Score {
        exact: exact as f64 / n,
        cells: right as f64 / labels.len() as f64,
        steps: steps as f64 / n,
    }
}
