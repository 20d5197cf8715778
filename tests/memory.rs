//! Memory is flat: what a run holds is fixed before its first step, and no step asks for more.
//!
//! A counting allocator stands in for the system's, so this is a test binary of its own, with one test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use trm_kernels::{Kernels, Precision};
use trm_model::carry::{Carry, Slot};
use trm_model::config::{Mixer, OptimizerName, PositionEncoding};
use trm_model::solve::Rollout;
use trm_model::{ModelConfig, Network, TrainConfig, Trainer};

/// The system's allocator, counting on the threads that compute.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread computes; that of the test harness does not, and allocates to say that a test takes long.
    static COMPUTES: Cell<bool> = const { Cell::new(false) };
}

impl Counting {
    fn count(size: usize) {
        if COMPUTES.get() {
            ALLOCATIONS.fetch_add(1, SeqCst);
            LIVE.fetch_add(size, SeqCst);
        }
    }

    fn count_back(size: usize) {
        if COMPUTES.get() {
            LIVE.fetch_sub(size, SeqCst);
        }
    }
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches atomics alone.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::count(layout.size());
        // SAFETY: the caller's promises about the layout are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counting::count(layout.size());
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        Counting::count(new_size);
        Counting::count_back(layout.size());
        // SAFETY: as for `alloc`; ptr came from this allocator, which is the system's.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        Counting::count_back(layout.size());
        // SAFETY: as for `realloc`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const THREADS: usize = 2;
const MICRO_BATCH: usize = 2;
const CELLS: usize = 16;
/// States of each puzzle where the best is trained.
const STATES: usize = 3;

fn model(mixer: Mixer, h_cycles: usize, halt_max_steps: usize) -> ModelConfig {
    let by_symbol = mixer == Mixer::Groups;
    let grouped = by_symbol || mixer == Mixer::Neighbours;
    ModelConfig {
        cells: CELLS,
        vocab_size: 6,
        mixer,
        position_encoding: match mixer {
            Mixer::Mlp => PositionEncoding::Learned,
            Mixer::Groups | Mixer::Neighbours => PositionEncoding::None,
            Mixer::Attention => PositionEncoding::Rope,
        },
        symbols: if by_symbol { 4 } else { 0 },
        width: 16,
        heads: 2,
        inner: 24,
        inner_positions: 12,
        prefix_len: if grouped { 0 } else { 1 },
        puzzle_emb_ndim: if grouped { 0 } else { 16 },
        h_cycles,
        l_cycles: 2,
        halt_max_steps,
        // Several states of a puzzle must differ.
        init_noise: if by_symbol { 0.5 } else { 0.0 },
        ..ModelConfig::default()
    }
}

fn puzzle(row: usize, slot: Slot<'_>) {
    for (i, (input, label)) in slot.inputs.iter_mut().zip(slot.labels).enumerate() {
        *label = ((row + i) % 4) as u8 + 2;
        *input = if i % 3 == 0 { *label } else { 1 };
    }
}

/// What a run held while it trained.
struct Measured {
    /// Bytes between steps, beyond those before it was made.
    live: usize,
    /// Allocations within the measured steps.
    allocations: usize,
}

/// Makes a run and trains it for some steps to warm up, then `steps` more, measured.
///
/// Must run inside a thread pool: entering one allocates.
fn measure(model: &ModelConfig, batch: usize, steps: usize) -> Measured {
    measure_run(model, training(model.mixer, batch), steps)
}

fn training(mixer: Mixer, batch: usize) -> TrainConfig {
    let by_symbol = mixer == Mixer::Groups;
    TrainConfig {
        batch,
        micro_batch: MICRO_BATCH,
        optimizer: match mixer {
            Mixer::Groups | Mixer::Neighbours => OptimizerName::Muon,
            Mixer::Mlp | Mixer::Attention => OptimizerName::AdamAtan2,
        },
        winner_take_all: if by_symbol { STATES } else { 1 },
        ..TrainConfig::default()
    }
}

fn measure_run(model: &ModelConfig, config: TrainConfig, steps: usize) -> Measured {
    const WARM_UP: usize = 10;
    let kernels = Kernels::best().expect("an instruction set");
    let kernels = match config.precision {
        Precision::F32 => kernels,
        Precision::F16 => kernels.emulating_halves(),
    };
    let before = LIVE.load(SeqCst);
    let net = Network::new(model.clone(), kernels);
    let net = net.expect("a network that works");
    let params = net.init(1);
    let mut trainer = Trainer::new(net, params, config, THREADS).expect("a run");
    for _ in 0..WARM_UP {
        trainer.step(puzzle).expect("finite numbers");
    }
    let allocations = ALLOCATIONS.load(SeqCst);
    for _ in 0..steps {
        trainer.step(puzzle).expect("finite numbers");
    }
    let live = LIVE.load(SeqCst) - before;
    let allocations = ALLOCATIONS.load(SeqCst) - allocations;
    Measured { live, allocations }
}

#[test]
fn memory_is_flat() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .start_handler(|_| COMPUTES.set(true))
        .build()
        .expect("a pool");
    pool.install(|| {
        // What the process makes once: the tables of kernels, the threads' own memory.
        measure(&model(Mixer::Attention, 1, 1), 32, 1);
        for mixer in [
            Mixer::Mlp,
            Mixer::Attention,
            Mixer::Groups,
            Mixer::Neighbours,
        ] {
            only_the_carry_grows_with_the_batch(mixer);
            cycles_and_supervision_steps_cost_nothing(mixer);
            solving_longer_needs_no_more(mixer);
            recomputing_keeps_inputs_alone(mixer);
        }
        halves_are_no_different(Mixer::Groups);
        other_systems_and_options_are_no_different();
    });
    // The counter itself must count, on every thread that computes.
    pool.broadcast(|_| {
        let before = ALLOCATIONS.load(SeqCst);
        let buffer = std::hint::black_box(vec![0_u8; 1000]);
        assert!(LIVE.load(SeqCst) >= 1000 && ALLOCATIONS.load(SeqCst) > before);
        drop(buffer);
    });
}

fn only_the_carry_grows_with_the_batch(mixer: Mixer) {
    let model = model(mixer, 2, 4);
    let states = if mixer == Mixer::Groups { STATES } else { 1 };
    let b = Carry::row_bytes(&model, states);
    let [small, double, quadruple] = [32, 64, 128].map(|batch| measure(&model, batch, 20));
    println!(
        "{mixer:?}: {} + {b} bytes a puzzle, 32 to 128 puzzles",
        small.live - 32 * b
    );
    assert_eq!(
        double.live - small.live,
        32 * b,
        "{mixer:?}: from 32 to 64 puzzles"
    );
    assert_eq!(
        quadruple.live - double.live,
        64 * b,
        "{mixer:?}: from 64 to 128 puzzles"
    );
    for (batch, measured) in [(32, small), (64, double), (128, quadruple)] {
        assert_eq!(
            measured.allocations, 0,
            "{mixer:?}, {batch} puzzles: allocations in 20 steps"
        );
    }
}

fn cycles_and_supervision_steps_cost_nothing(mixer: Mixer) {
    let expected = measure(&model(mixer, 1, 1), 32, 5).live;
    for h_cycles in 2..=8 {
        let live = measure(&model(mixer, h_cycles, 1), 32, 5).live;
        assert_eq!(live, expected, "{mixer:?}, H_cycles = {h_cycles}");
    }
    for halt_max_steps in [2, 64] {
        // Long enough for every puzzle to go through all its steps.
        let measured = measure(&model(mixer, 1, halt_max_steps), 32, halt_max_steps + 5);
        assert_eq!(
            measured.live, expected,
            "{mixer:?}, {halt_max_steps} supervision steps"
        );
        assert_eq!(
            measured.allocations, 0,
            "{mixer:?}, {halt_max_steps} supervision steps"
        );
    }
}

/// A further L-cycle costs one level input, S x D floats, for each puzzle in flight.
fn recomputing_keeps_inputs_alone(mixer: Mixer) {
    let live = |recompute, l_cycles| {
        let model = ModelConfig {
            l_cycles,
            ..model(mixer, 2, 4)
        };
        let config = TrainConfig {
            batch: 32,
            micro_batch: MICRO_BATCH,
            recompute,
            ..TrainConfig::default()
        };
        let measured = measure_run(&model, config, 5);
        assert_eq!(measured.allocations, 0, "{mixer:?}, {l_cycles} L-cycles");
        measured.live
    };
    let model = model(mixer, 2, 4);
    let input = 4 * model.rows() * model.width;
    let costs = [2, 3, 7].map(|l_cycles| live(true, l_cycles));
    for (more, cost) in [(1, costs[1]), (5, costs[2])] {
        assert_eq!(
            cost - costs[0],
            more * THREADS * MICRO_BATCH * input,
            "{mixer:?}, {more} L-cycles more"
        );
    }
    println!("{mixer:?}: recomputing, {input} bytes an L-cycle and puzzle in flight");
    assert!(costs[1] < live(false, 3), "{mixer:?}: nothing is saved");
}

/// A run in halves, emulated ones, asks for nothing either, and its puzzles cost what those in floats do.
fn halves_are_no_different(mixer: Mixer) {
    let model = model(mixer, 1, 2);
    let states = if mixer == Mixer::Groups { STATES } else { 1 };
    let [small, double] = [32, 64].map(|batch| {
        let config = TrainConfig {
            precision: Precision::F16,
            ..training(mixer, batch)
        };
        measure_run(&model, config, 5)
    });
    assert_eq!(
        double.live - small.live,
        32 * Carry::row_bytes(&model, states),
        "{mixer:?} in halves: from 32 to 64 puzzles"
    );
    for measured in [small, double] {
        assert_eq!(measured.allocations, 0, "{mixer:?} in halves");
    }
}

/// What else a config may ask for.
fn other_systems_and_options_are_no_different() {
    use trm_model::config::{FeedForward, System as Recursion};
    type Change = fn(&mut ModelConfig, &mut TrainConfig);
    let options: [(&str, Change); 9] = [
        ("single_z", |m, _| m.system = Recursion::SingleZ),
        ("multi_z", |m, _| m.system = Recursion::MultiZ),
        ("hrm", |m, _| m.system = Recursion::Hrm),
        ("transformer", |m, _| {
            m.system = Recursion::Transformer;
            (m.h_cycles, m.l_cycles) = (1, 1);
        }),
        ("cycle_loss", |_, t| t.cycle_loss = 0.5),
        ("gated_norm", |m, _| m.feed_forward = FeedForward::GatedNorm),
        ("registers", |m, _| (m.registers, m.prefix_len) = (true, 3)),
        ("init_noise", |m, _| m.init_noise = 0.5),
        ("freeze_weights", |_, t| t.freeze_weights = true),
    ];
    for mixer in [Mixer::Mlp, Mixer::Attention] {
        for (name, change) in options {
            for recompute in [false, true] {
                let (mut model, mut config) = (model(mixer, 2, 4), training(mixer, 16));
                change(&mut model, &mut config);
                config.recompute = recompute;
                let row = Carry::row_bytes(&model, 1);
                let small = measure_run(&model, config.clone(), 10);
                config.batch = 32;
                let double = measure_run(&model, config, 10);
                let what = format!("{name}, {mixer:?}, recompute = {recompute}");
                assert_eq!(double.live - small.live, 16 * row, "{what}");
                assert_eq!((small.allocations, double.allocations), (0, 0), "{what}");
            }
        }
    }
}

fn solving_longer_needs_no_more(mixer: Mixer) {
    let kernels = Kernels::best().expect("an instruction set");
    let net = Network::new(model(mixer, 2, 16), kernels).expect("a network that works");
    let params = net.init(1);
    let mut rollout = Rollout::new(&net, &params, 3);
    rollout.start(&[1; 3 * CELLS], &[0; 3]);
    let before = (LIVE.load(SeqCst), ALLOCATIONS.load(SeqCst));
    for _ in 0..64 {
        rollout.step();
    }
    assert_eq!(
        (LIVE.load(SeqCst), ALLOCATIONS.load(SeqCst)),
        before,
        "{mixer:?}: 64 steps"
    );
}
