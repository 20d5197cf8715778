//! Inference: fresh state, up to K supervision steps, the answer after the last (TRM_SPEC 9).
//!
//! Accuracies are reported after exactly K steps. In use, most puzzles are done after one or two: with
//! [`Halt::WhenSure`] or [`Halt::WhenStable`] a puzzle that stops leaves its place in the micro-batch to the
//! next one in the queue, so that no step is spent on an answer that is already there. Nothing a puzzle
//! computes depends on its neighbours, so neither the micro-batch nor the threads change an answer.

use crate::block::Pass;
use crate::config::System;
use crate::guess::{Guess, fill_one};
use crate::network::{Network, Parameters};
use crate::recursion::State;
use crate::workspace::{Memory, Mode, Workspace};
use crate::{embed, halting, heads, recursion};
use rand::Rng;
use rayon::prelude::*;
use trm_autograd::op::loss::argmax;
use trm_autograd::params::Weights;
use trm_autograd::random::{Purpose, stream};
use trm_tensor::AlignedVec;

/// When a puzzle stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// After exactly the given number of steps: how accuracies are reported.
    Never,
    /// As soon as the halting logit is positive (above the other one, with HRM and the transformer).
    WhenSure,
    /// As soon as the answer has been the same for this many steps after the one that gave it.
    WhenStable(usize),
}

/// How to solve.
#[derive(Clone, Copy, Debug)]
pub struct SolveOptions {
    /// Most supervision steps.
    pub steps: usize,
    /// Early exit.
    pub halt: Halt,
    /// Seed of the noise on the first state, for networks that start from noise: another attempt, another
    /// seed.
    pub attempt: u64,
    /// Standard deviation of that noise, instead of the config's `init_noise`.
    pub noise: Option<f64>,
    /// Let the network guess.
    pub guess: Option<Guess>,
    /// Stop at once with an answer that this accepts: with the rules of the task at hand, a right answer need
    /// not be overwritten by a later step.
    pub accept: Option<Accept>,
}

/// Whether the second, an answer as tokens, is right for the first, its question.
pub type Accept = fn(&[u8], &[u8]) -> bool;

impl SolveOptions {
    /// Exactly `steps` steps from the first attempt's state: how accuracies are reported.
    pub fn new(steps: usize) -> Self {
        SolveOptions {
            steps,
            halt: Halt::Never,
            attempt: 0,
            noise: None,
            guess: None,
            accept: None,
        }
    }
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
    /// The other logit; HRM and the transformer weigh it against q_halt.
    pub q_continue: f32,
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
    /// Most puzzles at a time.
    room: usize,
    /// Threads that share every product.
    threads: usize,
    /// Puzzles at the moment.
    puzzles: usize,
    /// Seed of the noise on the first states, and its standard deviation.
    noise: (u64, f64),
    /// (room, S, D)
    z_h: AlignedVec,
    /// (room, latents, S, D)
    z_l: AlignedVec,
    /// (room, cells)
    inputs: Vec<u8>,
    /// (room)
    ids: Vec<u32>,
}

/// A place in the micro-batch: whose it is and how far it has come.
struct Place {
    puzzle: usize,
    answer: Option<Answer>,
    /// Steps since the answer last changed.
    unchanged: usize,
    /// Whether the last answer was accepted.
    accepted: bool,
}

impl<'a> Rollout<'a> {
    /// Room for at most `room` puzzles at a time, on one thread.
    ///
    /// Panics when that is none.
    pub fn new(net: &'a Network, params: &'a Parameters, room: usize) -> Self {
        Self::on_threads(net, params, room, 1)
    }

    /// The same with `threads` of the current pool in every product: for the latency of few puzzles.
    pub fn on_threads(
        net: &'a Network,
        params: &'a Parameters,
        room: usize,
        threads: usize,
    ) -> Self {
        assert!(room > 0, "room for at least one puzzle");
        Rollout {
            net,
            params,
            memory: Memory::new(net, room, Mode::Evaluate, threads),
            room,
            threads,
            puzzles: 0,
            noise: (0, net.config.init_noise),
            z_h: AlignedVec::zeros(room * net.config.state_len()),
            z_l: AlignedVec::zeros(room * net.config.latent_len()),
            inputs: vec![0; room * net.config.cells],
            ids: vec![0; room],
        }
    }

    /// Bytes of [`Rollout::on_threads`].
    pub fn bytes(net: &Network, room: usize, threads: usize) -> usize {
        let c = &net.config;
        let floats = Memory::floats(net, room, Mode::Evaluate, threads)
            + room * (c.state_len() + c.latent_len());
        4 * floats + room * (c.cells + size_of::<u32>())
    }

    /// Starts new puzzles: `inputs` (puzzles, cells) and their identifiers.
    ///
    /// Panics when there are more than there is room for, or an identifier or token is out of range.
    pub fn start(&mut self, inputs: &[u8], ids: &[u32]) {
        self.puzzles = 0;
        self.noise = (0, self.net.config.init_noise);
        for (inputs, &id) in inputs.chunks_exact(self.net.config.cells).zip(ids) {
            self.add(inputs, id);
        }
        self.embed();
    }

    /// Starts one more puzzle, behind the others; it takes part after the next [`Rollout::embed`].
    fn add(&mut self, inputs: &[u8], id: u32) {
        let (b, c) = (self.puzzles, &self.net.config);
        let (cells, len, latent_len) = (c.cells, c.state_len(), c.latent_len());
        assert!(b < self.room, "room for {} puzzles", self.room);
        self.puzzles += 1;
        self.inputs[b * cells..][..cells].copy_from_slice(inputs);
        self.ids[b] = id;
        let z_h = &mut self.z_h[b * len..][..len];
        let z_l = &mut self.z_l[b * latent_len..][..latent_len];
        let (attempt, sigma) = self.noise;
        let draws = stream(attempt, Purpose::Noise, 0);
        embed::start(self.params, z_h, z_l, sigma, draws);
    }

    /// Takes puzzle `b` out; the last one moves into its place.
    fn swap_remove(&mut self, b: usize) {
        let (last, c) = (self.puzzles - 1, &self.net.config);
        let cells = c.cells;
        self.inputs
            .copy_within(last * cells..(last + 1) * cells, b * cells);
        self.ids[b] = self.ids[last];
        let states = [
            (&mut self.z_h, c.state_len()),
            (&mut self.z_l, c.latent_len()),
        ];
        for (z, len) in states {
            z.copy_within(last * len..(last + 1) * len, b * len);
        }
        self.puzzles = last;
    }

    /// Writes the input embeddings of all puzzles that take part now.
    fn embed(&mut self) {
        let pass = self.pass();
        let (cells, n) = (self.net.config.cells, self.puzzles);
        let ws = self.memory.carve(self.net, n);
        embed::forward(
            pass,
            self.params,
            ws.x,
            &self.inputs[..n * cells],
            &self.ids[..n],
        );
    }

    /// Floats of z_H, and of z_L, of all puzzles that take part now.
    fn state_lens(&self) -> (usize, usize) {
        let (c, n) = (&self.net.config, self.puzzles);
        (n * c.state_len(), n * c.latent_len())
    }

    fn pass(&self) -> Pass<'a> {
        Pass {
            net: self.net,
            weights: Weights {
                threads: self.threads,
                ..self.params.weights(self.net)
            },
            puzzles: self.puzzles,
            depth: self.net.config.depth(),
        }
    }

    /// One supervision step of all puzzles.
    pub fn step(&mut self) {
        let pass = self.pass();
        let (len, latent_len) = self.state_lens();
        let mut ws = self.memory.carve(self.net, self.puzzles);
        let mut state = State {
            z_h: &mut self.z_h[..len],
            z_l: &mut self.z_l[..latent_len],
        };
        for _ in 0..pass.depth.h_cycles {
            recursion::forward(pass, &mut ws, &mut state, Mode::Evaluate);
        }
        heads::forward(pass, &mut ws, state.z_h);
    }

    /// Logits (puzzles, cells, V) and q (puzzles, 2) after the last step, until puzzles are added or taken out.
    pub fn outputs(&mut self) -> Workspace<'_> {
        self.memory.carve(self.net, self.puzzles)
    }

    /// z_H (puzzles, S, D), and z_L (puzzles, latents, S, D).
    pub fn state(&self) -> (&[f32], &[f32]) {
        let (len, latent_len) = self.state_lens();
        (&self.z_h[..len], &self.z_l[..latent_len])
    }

    /// What the network says now about puzzle `b` after `steps` steps.
    ///
    /// Panics when there are not more than `b` puzzles.
    pub fn answer(&mut self, b: usize, steps: usize) -> Answer {
        let (cells, v) = (self.net.config.cells, self.net.config.outputs());
        let first = self.net.config.first_output();
        let ws = self.outputs();
        let logits = &ws.logits[b * cells * v..(b + 1) * cells * v];
        let tokens = logits
            .chunks_exact(v)
            .map(|row| first + argmax(row) as u8)
            .collect();
        Answer {
            tokens,
            steps,
            q_halt: ws.q[2 * b],
            q_continue: ws.q[2 * b + 1],
        }
    }

    /// Fills one blank cell of puzzle `b` by what the network says now.
    fn guess(&mut self, b: usize, blank: u8, draws: impl Rng) {
        let (cells, v) = (self.net.config.cells, self.net.config.outputs());
        let first = self.net.config.first_output();
        let ws = self.memory.carve(self.net, self.puzzles);
        let logits = &ws.logits[b * cells * v..(b + 1) * cells * v];
        let inputs = &mut self.inputs[b * cells..(b + 1) * cells];
        fill_one(inputs, logits, (first, blank), draws);
    }

    /// Solves any number of puzzles, as many at a time as there is room for; answers in order.
    ///
    /// `inputs` is (puzzles, cells), `ids` their identifiers; `watch(puzzle, answer)` sees every step of
    /// every puzzle until it stops.
    ///
    /// Panics when `options` ask for no step, or an identifier or token is out of range.
    pub fn solve(
        &mut self,
        inputs: &[u8],
        ids: &[u32],
        options: SolveOptions,
        mut watch: impl FnMut(usize, &Answer),
    ) -> Vec<Answer> {
        let cells = self.net.config.cells;
        assert!(options.steps > 0, "at least one step");
        let mut queue = 0..ids.len();
        let mut places: Vec<Place> = Vec::with_capacity(self.room);
        let mut answers = vec![None; ids.len()];
        self.puzzles = 0;
        let sigma = options.noise.unwrap_or(self.net.config.init_noise);
        self.noise = (options.attempt, sigma);
        loop {
            for puzzle in queue.by_ref().take(self.room - places.len()) {
                self.add(&inputs[puzzle * cells..][..cells], ids[puzzle]);
                places.push(Place {
                    puzzle,
                    answer: None,
                    unchanged: 0,
                    accepted: false,
                });
            }
            if places.is_empty() {
                return answers.into_iter().flatten().collect();
            }
            self.embed();
            self.step();
            for (b, place) in places.iter_mut().enumerate() {
                let steps = place.answer.as_ref().map_or(0, |answer| answer.steps) + 1;
                let answer = self.answer(b, steps);
                watch(place.puzzle, &answer);
                let question = &inputs[place.puzzle * cells..][..cells];
                place.accepted = options
                    .accept
                    .is_some_and(|accept| accept(question, &answer.tokens));
                place.note(answer);
                if let Some(guess) = options.guess.filter(|g| steps.is_multiple_of(g.every)) {
                    let draws = stream(options.attempt, Purpose::Guess, steps as u64);
                    self.guess(b, guess.blank, draws);
                }
            }
            // From the back: whoever moves into a free place has been asked already.
            for b in (0..places.len()).rev() {
                if places[b].stops(options, self.net.config.system) {
                    let place = places.swap_remove(b);
                    answers[place.puzzle] = place.answer;
                    self.swap_remove(b);
                }
            }
        }
    }
}

impl Place {
    /// Takes the answer of the next step.
    fn note(&mut self, answer: Answer) {
        let before = self.answer.as_ref();
        let same = before.is_some_and(|before| before.tokens == answer.tokens);
        self.unchanged = if same { self.unchanged + 1 } else { 0 };
        self.answer = Some(answer);
    }

    fn stops(&self, options: SolveOptions, system: System) -> bool {
        let Some(answer) = &self.answer else {
            return false;
        };
        self.accepted
            || answer.steps >= options.steps
            || match options.halt {
                Halt::Never => false,
                Halt::WhenSure => halting::margin(system, answer.q_halt, answer.q_continue) > 0.0,
                Halt::WhenStable(steps) => self.unchanged >= steps,
            }
    }
}

/// Solves many puzzles of no identifier in particular: [`solve_each`] with identifier 0 for all.
pub fn solve_all(
    net: &Network,
    params: &Parameters,
    inputs: &[u8],
    micro_batch: usize,
    options: SolveOptions,
    done: impl Fn(usize) + Sync,
) -> Vec<Answer> {
    let ids = vec![0; inputs.len() / net.config.cells];
    solve_each(net, params, (inputs, &ids), micro_batch, options, done)
}

/// Solves many puzzles on the current rayon pool, `micro_batch` at a time on each thread; answers in order.
/// Where there are fewer puzzles than threads, all threads work on each puzzle together.
///
/// `inputs` is (puzzles, cells), `ids` their identifiers (puzzles). `done(n)` is told how many puzzles were
/// finished.
///
/// Panics when `inputs` is not whole puzzles, one for each identifier, a token or identifier is out of range, or
/// `micro_batch` or the steps of `options` are 0.
pub fn solve_each(
    net: &Network,
    params: &Parameters,
    (inputs, ids): (&[u8], &[u32]),
    micro_batch: usize,
    options: SolveOptions,
    done: impl Fn(usize) + Sync,
) -> Vec<Answer> {
    let cells = net.config.cells;
    assert_eq!(
        inputs.len(),
        ids.len() * cells,
        "whole puzzles of {cells} cells"
    );
    assert!(micro_batch > 0, "at least one puzzle at a time");
    let (puzzles, threads) = (ids.len(), rayon::current_num_threads());
    if puzzles < threads {
        let mut rollout = Rollout::on_threads(net, params, 1, threads);
        let answers = rollout.solve(inputs, ids, options, |_, _| ());
        done(puzzles);
        return answers;
    }
    let Shares { room, queue } = Shares::new(puzzles, micro_batch, threads);
    let solved: Vec<Vec<Answer>> = inputs
        .par_chunks(queue * cells)
        .zip(ids.par_chunks(queue))
        .map_init(
            || Rollout::new(net, params, room),
            |rollout, (inputs, ids)| {
                let answers = rollout.solve(inputs, ids, options, |_, _| ());
                done(answers.len());
                answers
            },
        )
        .collect();
    solved.into_iter().flatten().collect()
}

/// Bytes that [`solve_each`] works with on `threads`, beside the network, the puzzles and their answers.
pub fn bytes(net: &Network, puzzles: usize, micro_batch: usize, threads: usize) -> usize {
    if puzzles < threads {
        return Rollout::bytes(net, 1, threads);
    }
    let Shares { room, queue } = Shares::new(puzzles, micro_batch, threads);
    puzzles.div_ceil(queue).min(threads) * Rollout::bytes(net, room, 1)
}

/// How puzzles, at least as many as threads, are dealt out to them.
struct Shares {
    /// Puzzles that a thread takes at a time.
    room: usize,
    /// Puzzles that it is given to take them from.
    queue: usize,
}

impl Shares {
    fn new(puzzles: usize, micro_batch: usize, threads: usize) -> Self {
        // More room than a thread's even share would stay empty, and leave other threads without work.
        let room = micro_batch.min(puzzles.div_ceil(threads));
        // A long queue keeps all places busy to its end; a short one leaves work for the other threads.
        let micro_batches = puzzles / room;
        let queue = (micro_batches / (2 * threads)).clamp(1, 8) * room;
        Shares { room, queue }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;
    use trm_kernels::Kernels;

    #[test]
    fn no_more_room_is_made_than_the_puzzles_fill() {
        let net = Network::new(ModelConfig::default(), &Kernels::available()[0]);
        let net = net.expect("the paper's network");
        let of = |room| Rollout::bytes(&net, room, 1);
        for (puzzles, micro_batch, threads, expected) in [
            (4, 1024, 1, of(4)),
            (4, 1024, 2, 2 * of(2)),
            (7, 1024, 3, 3 * of(3)),
            (5, 1024, 4, 3 * of(2)),
            (1000, 4, 2, 2 * of(4)),
            (1, 4, 2, Rollout::bytes(&net, 1, 2)),
        ] {
            let bytes = bytes(&net, puzzles, micro_batch, threads);
            assert_eq!(bytes, expected, "{puzzles} puzzles on {threads}");
        }
    }
}
