//! Whole runs of training: the same bits on any number of threads and after any stop, and learning.

mod average;
mod combined;
mod gradients;
mod halves;
mod learning;
mod recipe;
mod resume;
mod starts;
mod systems;
mod threads;

use rand::RngExt;
use trm_autograd::random::{Purpose, stream};
use trm_data::generate::{Difficulty, generate};
use trm_data::{Geometry, Symmetry};
use trm_kernels::Kernels;
use trm_model::carry::Slot;
use trm_model::config::{Mixer, OptimizerName, PositionEncoding};
use trm_model::{ModelConfig, Network, TrainConfig, Trainer};

/// Cells of the board that these tests play on, 4x4.
const CELLS: usize = 16;

/// A small network with everything in it: a prefix, two puzzle embeddings, odd widths; or the symbols of
/// the board.
fn model(mixer: Mixer) -> ModelConfig {
    let by_symbol = mixer == Mixer::Groups;
    let grouped = by_symbol || mixer == Mixer::Neighbours;
    ModelConfig {
        cells: CELLS,
        vocab_size: 6,
        puzzle_identifiers: 2,
        mixer,
        position_encoding: match mixer {
            Mixer::Mlp | Mixer::Groups | Mixer::Neighbours => PositionEncoding::None,
            Mixer::Attention => PositionEncoding::Rope,
        },
        symbols: if by_symbol { 4 } else { 0 },
        width: 24,
        heads: 3,
        inner: 40,
        inner_positions: 20,
        prefix_len: if grouped { 0 } else { 1 },
        puzzle_emb_ndim: if grouped { 0 } else { 20 },
        h_cycles: 2,
        l_cycles: 2,
        halt_max_steps: 3,
        ..ModelConfig::default()
    }
}

/// Short runs in which all kinds of things happen: halting, exploration, warm-up, decay.
fn training(steps: u64) -> TrainConfig {
    TrainConfig {
        batch: 50,
        micro_batch: 3,
        steps,
        seed: 11,
        halt_exploration: 0.3,
        optimizer: OptimizerName::Adamw,
        lr: 2e-3,
        lr_min_ratio: 0.2,
        warmup_steps: 5,
        weight_decay: 0.1,
        puzzle_emb_lr: 1e-2,
        ema_rate: 0.9,
        ..TrainConfig::default()
    }
}

fn trainer(
    mixer: Mixer,
    config: TrainConfig,
    kernels: &'static Kernels,
    threads: usize,
) -> Trainer {
    let net = Network::new(model(mixer), kernels).expect("a network that works");
    let params = net.init(config.seed);
    Trainer::new(net, params, config, threads).expect("a config that works")
}

/// Puzzles with their answers, under the symmetry of the draw.
struct Puzzles(Vec<(trm_data::Board, trm_data::Board)>);

impl Puzzles {
    fn new(count: u64) -> Self {
        let puzzles = (0..count).map(|i| {
            let rng = &mut stream(1, Purpose::Generate, i);
            let puzzle = generate(Geometry::Four, Difficulty::Easy, rng).expect("a puzzle");
            (puzzle.question, puzzle.answer.expect("its answer"))
        });
        Puzzles(puzzles.collect())
    }

    fn draw(&self, number: u64, slot: Slot<'_>) {
        let index = stream(2, Purpose::Shuffle, number).random_range(0..self.0.len());
        let symmetry = Symmetry::random(Geometry::Four, &mut stream(2, Purpose::Augment, number));
        let (question, answer) = &self.0[index];
        symmetry.apply(question).tokens_into(slot.inputs);
        symmetry.apply(answer).tokens_into(slot.labels);
        *slot.puzzle = (number % 2) as u32;
    }
}

/// Where the two biases of the halting head lie among the values.
fn halting_bias(net: &Network) -> std::ops::Range<usize> {
    let mut specs = net.layout().specs().iter();
    let bias = specs.find(|spec| spec.name == "q_head.bias");
    bias.expect("the bias of the halting head").at.clone()
}

/// Takes the run to `step`, on a pool of `threads`.
fn run_to(trainer: &mut Trainer, step: u64, puzzles: &Puzzles, threads: usize) {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a pool");
    let batch = trainer.config.batch as u64;
    pool.install(|| {
        while trainer.step < step {
            let first = trainer.step * batch;
            let draw = |row: usize, slot: Slot<'_>| puzzles.draw(first + row as u64, slot);
            trainer.step(draw).expect("finite numbers");
        }
    });
}

/// Every number that a run has made, as bits.
fn bits(trainer: &Trainer) -> Vec<(&'static str, Vec<u32>)> {
    let (params, carry) = (&trainer.params, &trainer.carry);
    let floats: [(&str, &[f32]); 7] = [
        ("values", &params.values),
        ("puzzle embeddings", &params.puzzle_emb),
        ("moving average", &trainer.ema),
        ("first moments", &trainer.m),
        ("second moments", &trainer.v),
        ("z_H", &carry.z_h),
        ("z_L", &carry.z_l),
    ];
    let mut all: Vec<_> = floats
        .map(|(name, x)| (name, x.iter().map(|x| x.to_bits()).collect()))
        .into();
    let bytes: [(&str, &[u8]); 2] = [("inputs", &carry.inputs), ("labels", &carry.labels)];
    all.extend(bytes.map(|(name, x)| (name, x.iter().copied().map(u32::from).collect())));
    all.push(("puzzles", carry.puzzles.clone()));
    all.push(("steps", carry.steps.clone()));
    all.push((
        "halted",
        carry.halted.iter().copied().map(u32::from).collect(),
    ));
    all
}

#[track_caller]
fn assert_same_bits(what: &str, a: &Trainer, b: &Trainer) {
    for ((name, a), (_, b)) in bits(a).into_iter().zip(bits(b)) {
        let different = a.iter().zip(&b).filter(|(a, b)| a != b).count();
        assert!(
            a.len() == b.len() && different == 0,
            "{what}: {different} of {} {name} differ",
            a.len()
        );
    }
}

/// Inputs and labels of `count` draws from `first` on.
fn drawn(puzzles: &Puzzles, first: u64, count: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut inputs, mut labels) = (vec![0; count * CELLS], vec![0; count * CELLS]);
    for (i, (inputs, labels)) in inputs
        .chunks_exact_mut(CELLS)
        .zip(labels.chunks_exact_mut(CELLS))
        .enumerate()
    {
        puzzles.draw(
            first + i as u64,
            Slot {
                inputs,
                labels,
                puzzle: &mut 0,
            },
        );
    }
    (inputs, labels)
}
