//! Whole steps: training and solving, in puzzles a second, on all cores of this machine.
//!
//! ```text
//! cargo bench --bench model
//! ```
//!
//! Ids are train/NETWORK/isa and solve/NETWORK/isa; an element is one puzzle for one supervision step. Under
//! one-puzzle/NETWORK/THREADS all threads share a single puzzle.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use trm_kernels::Kernels;
use trm_model::carry::Slot;
use trm_model::config::{Mixer, PositionEncoding};
use trm_model::solve::{Rollout, SolveOptions, solve_all};
use trm_model::{ModelConfig, Network, TrainConfig, Trainer};

/// Three Sudoku networks of the presets, and the paper's (at a smaller batch, which changes nothing for one puzzle). All
/// are timed with AdamATan2, the paper's optimiser; those three presets train with AdamW.
fn networks() -> Vec<(&'static str, ModelConfig, TrainConfig)> {
    let small = |cells: usize, vocab_size, width: usize, inner_positions| ModelConfig {
        cells,
        vocab_size,
        width,
        inner: 3 * width,
        inner_positions,
        prefix_len: 1,
        puzzle_emb_ndim: width,
        h_cycles: 2,
        l_cycles: 3,
        ..ModelConfig::default()
    };
    let attention = ModelConfig {
        mixer: Mixer::Attention,
        position_encoding: PositionEncoding::Rope,
        ..ModelConfig::default()
    };
    let batch = |batch, micro_batch| TrainConfig {
        batch,
        micro_batch,
        ..TrainConfig::default()
    };
    vec![
        ("sudoku4", small(16, 6, 64, 64), batch(128, 8)),
        ("sudoku6", small(36, 8, 128, 128), batch(64, 4)),
        ("sudoku9", small(81, 11, 128, 256), batch(32, 2)),
        ("paper-mlp", ModelConfig::default(), batch(4, 2)),
        ("paper-att", attention, batch(4, 2)),
    ]
}

fn blank(_row: usize, slot: Slot<'_>) {
    slot.inputs.fill(1);
    slot.labels.fill(2);
}

fn steps(c: &mut Criterion) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a pool");
    let kernels = Kernels::best().expect("TRM_ISA names an instruction set of this CPU");
    for (name, model, train) in networks() {
        let batch = train.batch;
        let net = Network::new(model.clone(), kernels).expect("a network");
        let params = net.init(1);
        let mut trainer = Trainer::new(net, params, train, threads).expect("a run");
        let mut group = c.benchmark_group("train");
        group
            .sample_size(10)
            .throughput(Throughput::Elements(batch as u64));
        group.bench_function(BenchmarkId::new(name, kernels.name()), |b| {
            b.iter(|| {
                pool.install(|| trainer.step(blank))
                    .expect("finite numbers")
            });
        });
        group.finish();

        let inputs = vec![1; batch * model.cells];
        let options = SolveOptions::new(1);
        let (net, params, micro_batch) =
            (&trainer.net, &trainer.params, trainer.config.micro_batch);
        let mut group = c.benchmark_group("solve");
        group
            .sample_size(10)
            .throughput(Throughput::Elements(batch as u64));
        group.bench_function(BenchmarkId::new(name, kernels.name()), |b| {
            b.iter(|| {
                pool.install(|| solve_all(net, params, &inputs, micro_batch, options, |_| ()))
            });
        });
        group.finish();
    }
}

/// The paper's networks on Sudoku, and attention on grids of 30 x 30, whose supervision step is cut down to two
/// updates: what there is to share does not depend on their number.
fn one_puzzle(c: &mut Criterion) {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let kernels = Kernels::best().expect("TRM_ISA names an instruction set of this CPU");
    let attention = |cells, width, heads| ModelConfig {
        mixer: Mixer::Attention,
        position_encoding: PositionEncoding::Rope,
        cells,
        width,
        heads,
        puzzle_emb_ndim: width,
        ..ModelConfig::default()
    };
    let two_updates = |model| ModelConfig {
        h_cycles: 1,
        l_cycles: 1,
        ..model
    };
    let networks = [
        ("paper-mlp", ModelConfig::default()),
        ("paper-att", attention(81, 512, 8)),
        ("grid-att-512", two_updates(attention(900, 512, 8))),
        ("grid-att-128", two_updates(attention(900, 128, 2))),
    ];
    for (name, model) in networks {
        let cells = model.cells;
        let net = Network::new(model, kernels).expect("a network");
        let params = net.init(1);
        let mut group = c.benchmark_group("one-puzzle");
        group.sample_size(10).throughput(Throughput::Elements(1));
        for threads in [1, all].into_iter().take(all) {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("a pool");
            let mut rollout = Rollout::on_threads(&net, &params, 1, threads);
            rollout.start(&vec![1; cells], &[0]);
            group.bench_function(BenchmarkId::new(name, threads), |b| {
                b.iter(|| pool.install(|| rollout.step()));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, steps, one_puzzle);
criterion_main!(benches);
