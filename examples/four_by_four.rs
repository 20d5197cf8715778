//! The crates as a library: make puzzles, train a network for a minute, and watch it solve a new one.
//!
//! ```text
//! cargo run --release --example four_by_four
//! ```
//!
//! As a project of its own it depends on trm-autograd, trm-data, trm-kernels, trm-model, rand 0.10 and rayon 1; the
//! README has the lines for its Cargo.toml.

use rand::RngExt;
use trm_autograd::random::{Purpose, stream};
use trm_data::generate::{Difficulty, generate};
use trm_data::{Board, Geometry, Puzzle, Symmetry};
use trm_kernels::Kernels;
use trm_model::carry::Slot;
use trm_model::config::OptimizerName;
use trm_model::solve::{Halt, Rollout, SolveOptions};
use trm_model::{ModelConfig, Network, TrainConfig, Trainer};

const SEED: u64 = 0;
const STEPS: u64 = 700;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // 1. Puzzles: each from a random stream of its own, with one solution. The last is kept aside.
    let made: Result<Vec<Puzzle>, _> = (0..2001)
        .map(|i| {
            generate(
                Geometry::Four,
                Difficulty::Easy,
                &mut stream(SEED, Purpose::Generate, i),
            )
        })
        .collect();
    let mut puzzles = made?;
    let unseen = puzzles.pop().ok_or("there are puzzles")?;

    // 2. A network: 16 cells of 6 tokens (pad, blank, four digits), 64 channels, the MLP mixer.
    let model = ModelConfig {
        cells: 16,
        vocab_size: 6,
        width: 64,
        inner: 192,
        inner_positions: 64,
        prefix_len: 1,
        puzzle_emb_ndim: 64,
        h_cycles: 2,
        l_cycles: 3,
        ..ModelConfig::default()
    };
    let training = TrainConfig {
        batch: 128,
        micro_batch: 8,
        steps: STEPS,
        seed: SEED,
        halt_exploration: 0.8,
        optimizer: OptimizerName::Adamw,
        lr: 1e-3,
        lr_min_ratio: 0.1,
        warmup_steps: 100,
        weight_decay: 0.1,
        ema_rate: 0.99,
        ..TrainConfig::default()
    };
    let net = Network::new(model, Kernels::best()?)?;
    let params = net.init(SEED);
    println!(
        "{} parameters on {}",
        net.layout().len(),
        net.kernels().name()
    );

    // 3. Training: the engine asks for a puzzle whenever one has halted.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?;
    let mut trainer = Trainer::new(net, params, training, threads)?;
    while trainer.step < STEPS {
        let first_draw = trainer.step * 128;
        let metrics = pool
            .install(|| trainer.step(|row, slot| draw(&puzzles, first_draw + row as u64, slot)))?;
        if trainer.step.is_multiple_of(100) {
            println!("step {}: loss {:.3}", trainer.step, metrics.lm_loss / 128.0);
        }
    }

    // 4. Solving: one supervision step after another, until the network believes itself right.
    let mut tokens = [0; 16];
    unseen.question.tokens_into(&mut tokens);
    println!("{}", unseen.question.render());
    let options = SolveOptions {
        halt: Halt::WhenSure,
        ..SolveOptions::new(16)
    };
    trainer.with_average(|net, params| {
        let mut rollout = Rollout::new(net, params, 1);
        rollout.solve(&tokens, &[0], options, |_, answer| {
            let board = Board::from_tokens(Geometry::Four, &answer.tokens);
            println!(
                "step {}, sure to {:.0} %",
                answer.steps,
                100.0 * answer.halt_probability()
            );
            println!("{}", board.render());
        });
    });
    Ok(())
}

/// Writes draw number `number`: any puzzle, under any symmetry of Sudoku.
fn draw(puzzles: &[Puzzle], number: u64, slot: Slot<'_>) {
    let puzzle = &puzzles[stream(SEED, Purpose::Shuffle, number).random_range(0..puzzles.len())];
    let symmetry = Symmetry::random(Geometry::Four, &mut stream(SEED, Purpose::Augment, number));
    let answer = puzzle.answer.expect("generated puzzles have answers");
    symmetry.apply(&puzzle.question).tokens_into(slot.inputs);
    symmetry.apply(&answer).tokens_into(slot.labels);
}
