//! Inference: fresh state, up to K supervision steps, the answer after the last (TRM_SPEC 9).

use crate::block::Pass;
use crate::network::{Network, Parameters};
use crate::recursion::State;
use crate::train_step::{embed, start};
use crate::workspace::{Memory, Mode, Workspace};
use crate::{heads, recursion};
use rayon::prelude::*;
use trm_autograd::op::loss::argmax;
use trm_tensor::AlignedVec;

/// When a puzzle stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// After exactly the given number of steps: how accuracies are reported.
    Never,
    /// As soon as the halting logit is positive.
    WhenSure,
}

/// How to solve.
#[derive(Clone, Copy, Debug)]
pub struct SolveOptions {
    /// Most supervision steps.
    pub steps: usize,
    /// Early exit.
    pub halt: Halt,
}

/// What the network says about one puzzle after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The most likely token of each cell, (cells).
    pub tokens: Vec<u8>,
    /// Supervision steps done.
    pub steps: usize,
    /// Halting logit; its sigmoid is the network's belief to be right.
    pub q_halt: f32,
}

impl Answer {
    /// The network's belief to be right: sigmoid(q_halt).
    pub fn halt_probability(&self) -> f64 {
        1.0 / (1.0 + f64::from(-self.q_halt).exp())
    }
}

/// A micro-batch in the middle of being solved.
#[derive(Debug)]
pub struct Rollout<'a> {
    net: &'a Network,
    params: &'a Parameters,
    memory: Memory,
    /// (puzzles, S, D), room for the most
    z_h: AlignedVec,
    /// (puzzles, S, D), room for the most
    z_l: AlignedVec,
    puzzles: usize,
}

impl<'a> Rollout<'a> {
    /// Room for at most `puzzles` at a time.
    pub fn new(net: &'a Network, params: &'a Parameters, puzzles: usize) -> Self {
        let state = puzzles * net.config.positions() * net.config.width;
        Rollout {
            net,
            params,
            memory: Memory::new(net, puzzles, Mode::Evaluate),
            z_h: AlignedVec::zeros(state),
            z_l: AlignedVec::zeros(state),
            puzzles: 0,
        }
    }

    /// Starts new puzzles: `inputs` (puzzles, cells) and their identifiers.
    pub fn start(&mut self, inputs: &[u8], ids: &[u32]) {
        self.puzzles = ids.len();
        start(self.params, &mut self.z_h, &mut self.z_l);
        let pass = self.pass();
        let ws = self.memory.carve(self.net, self.puzzles);
        embed(pass, self.params, ws.x, inputs, ids);
    }

    fn pass(&self) -> Pass<'a> {
        Pass {
            net: self.net,
            weights: self.params.weights(self.net),
            puzzles: self.puzzles,
        }
    }

    /// One supervision step of all puzzles.
    pub fn step(&mut self) {
        let pass = self.pass();
        let len = pass.rows() * pass.width();
        let mut ws = self.memory.carve(self.net, self.puzzles);
        let mut state = State {
            z_h: &mut self.z_h[..len],
            z_l: &mut self.z_l[..len],
        };
        recursion::forward(pass, &mut ws, &mut state, Mode::Evaluate);
        heads::forward(pass, &mut ws, state.z_h);
    }

    /// Logits (puzzles, cells, V), halting logits (puzzles, 2) and states after the last step.
    pub fn outputs(&mut self) -> Workspace<'_> {
        self.memory.carve(self.net, self.puzzles)
    }

    /// z_H and z_L, both (puzzles, S, D).
    pub fn state(&self) -> (&[f32], &[f32]) {
        let len = self.puzzles * self.net.config.positions() * self.net.config.width;
        (&self.z_h[..len], &self.z_l[..len])
    }

    /// What the network says now about puzzle `b` after `steps` steps.
    pub fn answer(&mut self, b: usize, steps: usize) -> Answer {
        let (cells, v) = (self.net.config.cells, self.net.config.vocab_size);
        let ws = self.outputs();
        let logits = &ws.logits[b * cells * v..(b + 1) * cells * v];
        let tokens = logits
            .chunks_exact(v)
            .map(|row| argmax(row) as u8)
            .collect();
        Answer {
            tokens,
            steps,
            q_halt: ws.q[2 * b],
        }
    }

    /// Solves one micro-batch; `watch(puzzle, answer)` sees every step of every puzzle not yet stopped.
    pub fn solve(
        &mut self,
        inputs: &[u8],
        ids: &[u32],
        options: SolveOptions,
        mut watch: impl FnMut(usize, &Answer),
    ) -> Vec<Answer> {
        self.start(inputs, ids);
        let mut answers: Vec<Option<Answer>> = vec![None; ids.len()];
        for step in 1..=options.steps {
            self.step();
            for (b, slot) in answers
                .iter_mut()
                .enumerate()
                .filter(|(_, slot)| slot.is_none())
            {
                let answer = self.answer(b, step);
                watch(b, &answer);
                if step == options.steps || (options.halt == Halt::WhenSure && answer.q_halt > 0.0)
                {
                    *slot = Some(answer);
                }
            }
            if answers.iter().all(Option::is_some) {
                break;
            }
        }
        answers.into_iter().flatten().collect()
    }
}

/// Solves many puzzles on the current rayon pool, `micro_batch` at a time; answers in order.
///
/// `inputs` is (puzzles, cells). `done(n)` is told how many puzzles were finished.
///
/// Panics when `inputs` is not whole puzzles or an identifier is out of range.
pub fn solve_all(
    net: &Network,
    params: &Parameters,
    inputs: &[u8],
    micro_batch: usize,
    options: SolveOptions,
    done: impl Fn(usize) + Sync,
) -> Vec<Answer> {
    let cells = net.config.cells;
    assert!(
        inputs.len().is_multiple_of(cells),
        "whole puzzles of {cells} cells"
    );
    let ids = vec![0; micro_batch];
    let solved: Vec<Vec<Answer>> = inputs
        .par_chunks(micro_batch * cells)
        .map_init(
            || Rollout::new(net, params, micro_batch),
            |rollout, inputs| {
                let answers =
                    rollout.solve(inputs, &ids[..inputs.len() / cells], options, |_, _| ());
                done(answers.len());
                answers
            },
        )
        .collect();
    solved.into_iter().flatten().collect()
}
