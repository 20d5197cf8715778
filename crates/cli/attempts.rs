//! More than one attempt at a puzzle: what the same weights do with more time.
//!
//! Most of what a recursive network gets wrong is bad luck of one trajectory, not lack of knowledge: from
//! another start it often gets there. An attempt differs from the others in the noise on its first state,
//! in the symmetry under which it sees the board, and in what the network guesses. Which attempt counts is
//! decided by the halting head, by a vote, or by the task's rules, which accept or reject a full board and
//! never fill a cell.

use crate::memory;
use crate::task::{Task, View};
use anyhow::ensure;
use clap::ValueEnum;
use rayon::prelude::*;
use trm_autograd::random::{Purpose, stream};
use trm_model::guess::Guess;
use trm_model::solve::{self, Answer, Rollout, SolveOptions, solve_each};
use trm_model::{Network, Parameters};

/// Which attempt counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Choose {
    /// The one of which the halting head is surest
    Halt,
    /// The board that most attempts agree on
    Vote,
}

/// Options of verbs that solve.
#[derive(Clone, Debug, clap::Args)]
pub struct Attempts {
    /// Attempts at each puzzle, each with other noise on the first state and another symmetry of the board
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub attempts: u32,
    /// Which attempt counts
    #[arg(long, value_enum, default_value = "halt")]
    pub choose: Choose,
    /// Standard deviation of the noise on the first state [default: the network's own]
    #[arg(long, value_name = "SIGMA")]
    pub noise: Option<f64>,
    /// After every N steps fill a blank cell with a digit drawn from the softmax of the network's logits, and
    /// go on as if it had been given; the network guesses, no rule is asked [default: never]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub guess_every: Option<u32>,
    /// Check every step's board against the rules: stop at the first that is right, try again while none is
    #[arg(long)]
    pub verify: bool,
}

/// What came of a puzzle.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The attempt that counts.
    pub answer: Answer,
    /// Its tokens, as the puzzle was given; (cells).
    pub board: Vec<u8>,
    /// Attempts made.
    pub attempts: usize,
    /// Supervision steps of all of them.
    pub steps: usize,
}

impl Attempts {
    /// One plain attempt.
    pub const ONE: Attempts = Attempts {
        attempts: 1,
        choose: Choose::Halt,
        noise: None,
        guess_every: None,
        verify: false,
    };

    /// Whether this asks for more than one plain pass.
    pub fn any(&self) -> bool {
        self.attempts > 1 || self.verify || self.noise.is_some() || self.guess_every.is_some()
    }

    /// Fails unless the values can work for `task`.
    ///
    /// # Errors
    /// Names the option, its value and the range.
    pub fn check(&self, task: Task) -> anyhow::Result<()> {
        if let Some(noise) = self.noise {
            let ok = (0.0..=10.0).contains(&noise);
            ensure!(ok, "--noise {noise}: expected 0 to 10");
        }
        ensure!(
            self.guess_every.is_none() || task.blank().is_some(),
            "--guess-every fills blank cells, and {} has none",
            task.name()
        );
        ensure!(
            !self.verify || task.rules().is_some(),
            "--verify needs rules to check answers by, and none are known for {}",
            task.name()
        );
        ensure!(
            self.choose == Choose::Halt || self.attempts > 1,
            "--choose vote decides among several attempts: give --attempts, too"
        );
        Ok(())
    }

    /// Fails unless this machine has the memory for [`Attempts::solve`] on `threads`; `lower` is what would make it
    /// less.
    ///
    /// # Errors
    /// Names what is needed, what there is, and what could be lowered.
    pub fn check_memory(
        &self,
        net: &Network,
        (puzzles, micro_batch): (usize, usize),
        threads: usize,
        lower: &str,
    ) -> anyhow::Result<()> {
        let shared = solve::bytes(net, puzzles, micro_batch, threads);
        // Of several attempts at few puzzles, every thread makes one at all of them.
        let alone = match self.attempts as usize {
            1 => 0,
            attempts => threads.min(attempts) * Rollout::bytes(net, micro_batch.min(puzzles), 1),
        };
        let what = format!("solving {micro_batch} puzzles at a time on each of {threads} threads");
        memory::check_bytes(&what, shared.max(alone), lower)
    }

    /// The options of one attempt.
    fn attempt(&self, task: Task, number: usize, options: SolveOptions) -> SolveOptions {
        SolveOptions {
            attempt: number as u64,
            noise: self.noise,
            guess: self
                .guess_every
                .zip(task.blank())
                .map(|(every, blank)| Guess {
                    every: every as usize,
                    blank,
                }),
            accept: self.verify.then(|| task.rules()).flatten(),
            ..options
        }
    }

    /// How an attempt sees every board; the first sees them as they are.
    fn view(task: Task, number: usize) -> View {
        match number {
            0 => task.plain_view(),
            _ => task.random_view(&mut stream(0, Purpose::Augment, number as u64)),
        }
    }

    /// Solves questions, tokens (puzzles, cells) with their identifiers (puzzles), on the current rayon pool, at most
    /// `micro_batch` at a time on each thread; `done(n)` hears of every n that are finished, of several attempts when
    /// all are made. The outcomes do not depend on either.
    pub fn solve(
        &self,
        (net, params): (&Network, &Parameters),
        (task, tokens, ids): (Task, &[u8], &[u32]),
        micro_batch: usize,
        options: SolveOptions,
        done: impl Fn(usize) + Sync,
    ) -> Vec<Outcome> {
        let questions: Vec<(&[u8], u32)> = tokens
            .chunks_exact(task.cells())
            .zip(ids.iter().copied())
            .collect();
        let mut tallies = vec![Tally::default(); questions.len()];
        let mut open: Vec<usize> = (0..questions.len()).collect();
        let (all, threads) = (self.attempts as usize, rayon::current_num_threads());
        // Of a single attempt every answer is told at once; of several a puzzle, when no other will follow.
        let answered = |n| {
            if all == 1 {
                done(n)
            }
        };
        let decided = |n| {
            if all > 1 {
                done(n)
            }
        };
        let mut number = 0;
        while number < all && !open.is_empty() {
            let boards: Vec<(&[u8], u32)> = open.iter().map(|&i| questions[i]).collect();
            let boards = (task, &boards[..]);
            // Many puzzles share the threads; of few, every thread makes an attempt at all of them.
            let many = all == 1 || open.len() >= 2 * threads * micro_batch;
            let wave = if many { 1 } else { threads.min(all - number) };
            let once = |n| {
                self.once(
                    (net, params),
                    boards,
                    micro_batch,
                    (n, many),
                    options,
                    answered,
                )
            };
            let answers: Vec<Vec<(Answer, Vec<u8>)>> = if many {
                vec![once(number)]
            } else {
                (number..number + wave).into_par_iter().map(once).collect()
            };
            number += wave;
            let before = open.len();
            for answers in answers {
                for (&i, (answer, board)) in open.iter().zip(answers) {
                    let solved = self.verify && task.accepts(questions[i].0, &board) == Some(true);
                    tallies[i].note(answer, board, solved, self.choose);
                }
            }
            open.retain(|&i| !tallies[i].solved);
            decided(before - open.len());
        }
        decided(open.len());
        tallies.into_iter().map(|t| t.decide(self.choose)).collect()
    }

    /// One attempt at all boards: shared by the threads, or on this thread alone.
    fn once(
        &self,
        (net, params): (&Network, &Parameters),
        (task, boards): (Task, &[(&[u8], u32)]),
        micro_batch: usize,
        (number, shared): (usize, bool),
        options: SolveOptions,
        done: impl Fn(usize) + Sync,
    ) -> Vec<(Answer, Vec<u8>)> {
        let view = Self::view(task, number);
        let mut inputs = vec![0; boards.len() * task.cells()];
        for ((board, _), image) in boards.iter().zip(inputs.chunks_exact_mut(task.cells())) {
            view.apply(board, image);
        }
        let ids: Vec<u32> = boards.iter().map(|&(_, id)| id).collect();
        let options = self.attempt(task, number, options);
        let answers = if shared {
            solve_each(net, params, (&inputs, &ids), micro_batch, options, done)
        } else {
            let mut rollout = Rollout::new(net, params, micro_batch.min(boards.len()));
            rollout.solve(&inputs, &ids, options, |_, _| ())
        };
        let back = view.inverse();
        let boards = answers.into_iter().map(|answer| {
            let mut board = vec![0; task.cells()];
            back.apply(&answer.tokens, &mut board);
            (answer, board)
        });
        boards.collect()
    }
}

/// The attempts at one puzzle so far.
#[derive(Clone, Debug, Default)]
struct Tally {
    /// Different boards, each with the surest answer that gave it (without its tokens) and how many gave it; where the
    /// surest is chosen, that board alone.
    boards: Vec<(Vec<u8>, Answer, usize)>,
    attempts: usize,
    steps: usize,
    /// The rules accepted the last attempt, whose board is then the last of `boards`: an equal one before it
    /// would have been accepted too.
    solved: bool,
}

impl Tally {
    /// Takes the next attempt; those after one that the rules accepted were not asked for.
    fn note(&mut self, mut answer: Answer, board: Vec<u8>, solved: bool, choose: Choose) {
        if self.solved {
            return;
        }
        self.attempts += 1;
        self.steps += answer.steps;
        self.solved = solved;
        // The board says the same, turned back.
        answer.tokens = Vec::new();
        if choose == Choose::Halt
            && let Some((_, surest, _)) = self.boards.first()
        {
            match solved || answer.q_halt > surest.q_halt {
                true => self.boards.clear(),
                false => return,
            }
        }
        match self.boards.iter_mut().find(|(other, ..)| *other == board) {
            Some((_, surest, count)) => {
                *count += 1;
                if answer.q_halt > surest.q_halt {
                    *surest = answer;
                }
            }
            None => self.boards.push((board, answer, 1)),
        }
    }

    fn decide(mut self, choose: Choose) -> Outcome {
        let better = |a: &(Vec<u8>, Answer, usize), b: &(Vec<u8>, Answer, usize)| match choose {
            Choose::Halt => a.1.q_halt > b.1.q_halt,
            Choose::Vote => (a.2, a.1.q_halt) > (b.2, b.1.q_halt),
        };
        let mut best = 0;
        for i in 1..self.boards.len() {
            if better(&self.boards[i], &self.boards[best]) {
                best = i;
            }
        }
        if self.solved {
            best = self.boards.len() - 1;
        }
        let (board, answer, _) = self.boards.swap_remove(best);
        Outcome {
            answer,
            board,
            attempts: self.attempts,
            steps: self.steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(q_halt: f32) -> Answer {
        Answer {
            tokens: Vec::new(),
            steps: 16,
            q_halt,
            q_continue: 0.0,
        }
    }

    fn decided(attempts: &[(u8, f32, bool)], choose: Choose) -> (u8, usize, usize) {
        let mut tally = Tally::default();
        for &(digit, q_halt, solved) in attempts {
            tally.note(answer(q_halt), vec![digit], solved, choose);
        }
        let outcome = tally.decide(choose);
        (outcome.board[0], outcome.attempts, outcome.steps)
    }

    #[test]
    fn the_surest_the_commonest_or_the_right_one() {
        let attempts = [
            (1, 0.5, false),
            (2, 2.0, false),
            (1, 1.0, false),
            (3, -1.0, false),
        ];
        assert_eq!(decided(&attempts, Choose::Halt), (2, 4, 64));
        assert_eq!(decided(&attempts, Choose::Vote), (1, 4, 64));
        // What the rules accept counts, whatever the others say, and later attempts do not.
        let attempts = [
            (1, 5.0, false),
            (1, 6.0, false),
            (4, -3.0, true),
            (2, 9.0, false),
        ];
        for choose in [Choose::Halt, Choose::Vote] {
            assert_eq!(decided(&attempts, choose), (4, 3, 48));
        }
    }
    #[test]
    fn every_attempt_has_noise_of_its_own_and_as_much_as_was_asked_for() {
        let task = Task::Sudoku(trm_data::Geometry::Four);
        for noise in [None, Some(0.5)] {
            let attempts = Attempts {
                attempts: 3,
                noise,
                ..Attempts::ONE
            };
            let options = SolveOptions::new(4);
            let made = [0, 1, 2].map(|number| attempts.attempt(task, number, options));
            assert_eq!(made.map(|options| options.attempt), [0, 1, 2]);
            assert!(made.iter().all(|options| options.noise == noise));
        }
    }
}
