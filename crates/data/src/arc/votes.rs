//! Counting the answers to all variants of a task (TRM_SPEC 10).
//!
//! Each answer is brought back to the original and is a vote for a grid. For each input, grids are ranked by
//! their votes and, where votes are equal, by mean confidence; where that is equal too, the earlier comes first.

use super::{Grid, Pair};
use serde::Serialize;
use std::collections::HashMap;

/// Votes for the outputs of all inputs of all tasks; they stay when more come.
#[derive(Clone, Debug, Default)]
pub struct Votes {
    /// By task and input, the candidates in the order of their first vote.
    candidates: HashMap<(String, Grid), Vec<Candidate>>,
}

#[derive(Clone, Debug)]
struct Candidate {
    output: Grid,
    votes: usize,
    /// Sum of the confidences of the votes.
    confidence: f64,
}

/// Two attempts at one input, as the competition takes them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Attempts {
    /// The grid ranked first.
    pub attempt_1: Grid,
    /// The grid ranked second, or the first again.
    pub attempt_2: Grid,
}

impl Votes {
    /// A vote of the network for `output` as the answer to `input` in `task`, with the logit of its halting head.
    pub fn add(&mut self, task: &str, input: &Grid, output: Grid, q_halt: f32) {
        let confidence = 1.0 / (1.0 + f64::from(-q_halt).exp());
        let candidates = self
            .candidates
            .entry((task.to_owned(), input.clone()))
            .or_default();
        match candidates
            .iter_mut()
            .find(|candidate| candidate.output == output)
        {
            Some(candidate) => {
                candidate.votes += 1;
                candidate.confidence += confidence;
            }
            None => candidates.push(Candidate {
                output,
                votes: 1,
                confidence,
            }),
        }
    }

    /// The outputs that were voted for, the best first; empty without votes.
    pub fn ranked(&self, task: &str, input: &Grid) -> Vec<&Grid> {
        let key = (task.to_owned(), input.clone());
        let mut ranked: Vec<&Candidate> = self.candidates.get(&key).into_iter().flatten().collect();
        let mean = |candidate: &Candidate| candidate.confidence / candidate.votes as f64;
        ranked.sort_by(|a, b| b.votes.cmp(&a.votes).then(mean(b).total_cmp(&mean(a))));
        ranked
            .into_iter()
            .map(|candidate| &candidate.output)
            .collect()
    }

    /// The part of a task's pairs whose output is among the first `k`, of those whose output is known; none where
    /// that is of no pair.
    pub fn solved(&self, task: &str, pairs: &[Pair], k: usize) -> Option<f64> {
        let among = |pair: &Pair| {
            let output = pair.output.as_ref()?;
            let mut ranked = self.ranked(task, &pair.input).into_iter().take(k);
            Some(ranked.any(|candidate| candidate == output))
        };
        let known: Vec<bool> = pairs.iter().filter_map(among).collect();
        let solved = known.iter().filter(|among| **among).count();
        (!known.is_empty()).then(|| solved as f64 / known.len() as f64)
    }

    /// pass@k: the mean of [`Votes::solved`] over the tasks that can be judged; `None` without such tasks.
    pub fn pass_at<'a>(
        &self,
        k: usize,
        tasks: impl IntoIterator<Item = (&'a str, &'a [Pair])>,
    ) -> Option<f64> {
        let tasks = tasks.into_iter();
        let solved: Vec<f64> = tasks
            .filter_map(|(task, pairs)| self.solved(task, pairs, k))
            .collect();
        (!solved.is_empty()).then(|| solved.iter().sum::<f64>() / solved.len() as f64)
    }

    /// Two attempts at each input of a task; inputs that nobody voted on have no entry.
    pub fn submission<'a>(
        &self,
        task: &str,
        inputs: impl IntoIterator<Item = &'a Grid>,
    ) -> Vec<Attempts> {
        let attempts = inputs.into_iter().filter_map(|input| {
            let ranked = self.ranked(task, input);
            let first = *ranked.first()?;
            Some(Attempts {
                attempt_1: first.clone(),
                attempt_2: ranked.get(1).copied().unwrap_or(first).clone(),
            })
        });
        attempts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(colour: u8) -> Grid {
        Grid::try_from(vec![vec![colour]]).unwrap()
    }

    #[test]
    fn more_votes_come_first_then_confidence_then_the_earlier() {
        let mut votes = Votes::default();
        for (colour, q_halt) in [(1, 0.0), (2, 0.0), (3, 4.0), (4, -9.0), (4, -9.0)] {
            votes.add("task", &grid(0), grid(colour), q_halt);
        }
        assert_eq!(
            votes.ranked("task", &grid(0)),
            [&grid(4), &grid(3), &grid(1), &grid(2)]
        );
        assert_eq!(votes.ranked("other", &grid(0)), Vec::<&Grid>::new());
        let pair = |input, output| Pair {
            input: grid(input),
            output: Some(grid(output)),
        };
        let mut pairs = vec![pair(0, 3), pair(5, 3)];
        assert_eq!(votes.solved("task", &pairs, 1), Some(0.0));
        assert_eq!(votes.solved("task", &pairs, 2), Some(0.5));
        let other = ("other", &pairs[..]);
        assert_eq!(votes.pass_at(2, [("task", &pairs[..]), other]), Some(0.25));
        // What nobody knows is neither right nor wrong.
        pairs[1].output = None;
        assert_eq!(votes.solved("task", &pairs, 2), Some(1.0));
        assert_eq!(votes.solved("task", &pairs[1..], 2), None);
        let tasks = [("task", &pairs[..]), ("other", &pairs[1..])];
        assert_eq!(votes.pass_at(2, tasks), Some(1.0));
        assert_eq!(votes.pass_at(2, [("other", &pairs[1..])]), None);
        let attempts = votes.submission("task", [&grid(0), &grid(5)]);
        assert_eq!(attempts.len(), 1);
        assert_eq!(
            (&attempts[0].attempt_1, &attempts[0].attempt_2),
            (&grid(4), &grid(3))
        );
    }
}
