//! What `trm bench` measures, and how: medians of repetitions; a product and the peak beside which it is
//! read take turns, so that a machine that slows down slows both.

use crate::memory::number_after;
use crate::threads::pool;
use rand::{Rng, RngExt};
use std::hint::black_box;
use std::time::{Duration, Instant};
use trm_autograd::random::{Purpose, stream};
use trm_kernels::{Kernels, Lhs, MatMut, MatRef, Packed, Rhs, SCRATCH, Write, peak};
use trm_model::carry::Slot;
use trm_model::config::{ConfigError, Mixer};
use trm_model::solve::{SolveOptions, solve_all};
use trm_model::{ModelConfig, Network, Parameters, TrainConfig, Trainer};
use trm_tensor::AlignedVec;

/// How long one thing may take, and how often it must be repeated at least.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Repetitions stop after this time,
    pub time: Duration,
    /// but not before these many.
    pub least: usize,
    /// Exactly so many, whatever the time.
    pub exactly: Option<usize>,
}

impl Budget {
    fn is_spent(&self, done: usize, since: Instant) -> bool {
        match self.exactly {
            Some(n) => done >= n,
            None => done >= self.least && since.elapsed() >= self.time,
        }
    }

    /// What each repetition of `run` gives, after one that does not count.
    fn repeat<T>(&self, mut run: impl FnMut() -> T) -> Vec<T> {
        run();
        let (start, mut all) = (Instant::now(), Vec::new());
        while !self.is_spent(all.len(), start) {
            all.push(run());
        }
        all
    }

    /// Seconds of each repetition of `run`, after one that does not count.
    fn seconds(&self, mut run: impl FnMut()) -> Vec<f64> {
        self.repeat(|| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
    }

    /// How many times as long as `many` does `one` take, in turns: a ratio for each pair, after one that does not count.
    fn ratios(&self, mut one: impl FnMut(), mut many: impl FnMut()) -> Vec<f64> {
        let seconds = |run: &mut dyn FnMut()| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        };
        seconds(&mut one);
        seconds(&mut many);
        let (start, mut all) = (Instant::now(), Vec::new());
        while !self.is_spent(all.len(), start) {
            // The first of a pair is sometimes the one and sometimes the other, since machines warm up and tire.
            let many_first = (all.len() % 2 == 1).then(|| seconds(&mut many));
            let of_one = seconds(&mut one);
            all.push(of_one / many_first.unwrap_or_else(|| seconds(&mut many)));
        }
        all
    }
}

/// The middle value.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Where the weight stands in a product, and what it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// x·W: the weight is packed as the right operand.
    WeightRight,
    /// W·x: the weight is packed as the left operand.
    WeightLeft,
    /// The gradient of a weight: nothing is packed beforehand, the result is added.
    Gradient,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 3] = [Role::WeightRight, Role::WeightLeft, Role::Gradient];

    /// Its name for programs, by which an earlier report's products are found.
    pub fn name(self) -> &'static str {
        match self {
            Role::WeightRight => "weight right",
            Role::WeightLeft => "weight left",
            Role::Gradient => "gradient",
        }
    }

    /// Its name for people.
    pub fn sign(self) -> &'static str {
        match self {
            Role::WeightRight => "x·W",
            Role::WeightLeft => "W·x",
            Role::Gradient => "gradient of W",
        }
    }
}

/// A product of m x n x k.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// Its place in the network.
    pub role: Role,
}

/// Every product of a block, forwards and backwards, for `puzzles` at a time.
pub fn products(c: &ModelConfig, puzzles: usize) -> Vec<Product> {
    let (s, d, f) = (c.rows(), c.width, c.channel_inner());
    // y = x·Wᵀ with W (out, in), its two gradients, and the same for y = W·x
    let layer = |role, rows, out, input| match role {
        Role::WeightLeft => [
            (out, rows, input, role),
            (input, rows, out, role),
            (out, input, rows, Role::Gradient),
        ],
        _ => [
            (rows, out, input, role),
            (rows, input, out, role),
            (out, input, rows, Role::Gradient),
        ],
    };
    let mixer = match c.mixer {
        Mixer::Mlp => {
            let p = c.position_inner();
            let of = |out, input| layer(Role::WeightLeft, d, out, input);
            vec![of(2 * p, s), of(s, p)]
        }
        Mixer::Attention => {
            let inner = c.heads * c.head_width();
            let of = |out, input| layer(Role::WeightRight, puzzles * s, out, input);
            vec![of(3 * inner, d), of(d, inner)]
        }
        // A product for every partition: of the candidates, with as many groups as there are cells; of the cells
        // into pairs, with half as many.
        Mixer::Neighbours => vec![layer(Role::WeightRight, c.cells.div_ceil(2), d, d)],
        Mixer::Groups => vec![layer(Role::WeightRight, c.cells, d, d)],
    };
    let of = |out, input| layer(Role::WeightRight, puzzles * s, out, input);
    let all = [of(2 * f, d), of(d, f)].into_iter().chain(mixer).flatten();
    let mut products = Vec::new();
    for (m, n, k, role) in all {
        let product = Product { m, n, k, role };
        if !products.contains(&product) {
            products.push(product);
        }
    }
    products
}

/// A product's rate beside the peak, one thread.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// What was multiplied.
    pub product: Product,
    /// 1e9 floating-point operations a second.
    pub gflops: f64,
    /// Of the peak that was measured in turns with it.
    pub fraction: f64,
}

/// Random, and aligned as the engine's own matrices are: a register that lies across two lines costs twice.
fn floats(len: usize, rng: &mut impl Rng) -> AlignedVec {
    let mut values = AlignedVec::zeros(len);
    values.fill_with(|| rng.random_range(-1.0..1.0));
    values
}

/// Measures one product.
pub fn product(k: &Kernels, p: Product, budget: Budget) -> Rate {
    let Product { m, n, k: depth, .. } = p;
    let rng = &mut stream(0, Purpose::Init, 0);
    let (a, b, mut c) = (
        floats(m * depth, rng),
        floats(depth * n, rng),
        floats(m * n, rng),
    );
    let mut scratch = AlignedVec::zeros(SCRATCH);
    let packed_len = k.packed_lhs_len(m, depth).max(k.packed_rhs_len(n, depth));
    let mut packed = AlignedVec::zeros(packed_len);
    let packed = match p.role {
        Role::WeightRight => {
            let packed = &mut packed[..k.packed_rhs_len(n, depth)];
            k.pack_rhs(packed, Rhs::Plain(MatRef::new(&b, depth, n)));
            packed
        }
        Role::WeightLeft => {
            let packed = &mut packed[..k.packed_lhs_len(m, depth)];
            k.pack_lhs(packed, Lhs::Plain(MatRef::new(&a, m, depth)));
            packed
        }
        Role::Gradient => &mut [],
    };
    let packed = |outer| Packed::new(packed, outer, depth);
    let (lhs, rhs, write) = match p.role {
        Role::WeightRight => (
            Lhs::Plain(MatRef::new(&a, m, depth)),
            Rhs::Packed(packed(n)),
            Write::Overwrite,
        ),
        Role::WeightLeft => (
            Lhs::Packed(packed(m)),
            Rhs::Plain(MatRef::new(&b, depth, n)),
            Write::Overwrite,
        ),
        Role::Gradient => (
            Lhs::Transposed(MatRef::new(&a, depth, m)),
            Rhs::Plain(MatRef::new(&b, depth, n)),
            Write::Add,
        ),
    };
    let flops = 2.0 * (m * n * depth) as f64;
    // Some milliseconds at a time, far above the clock's grain; tiny products are mostly calls.
    let repeats = (2e8 / flops).ceil().min(1e4) as usize;
    let rounds = (flops * repeats as f64 / peak::flops(k, 1) as f64).ceil() as usize;
    let mut sink = vec![0.0; k.lanes()];
    let rates = budget.repeat(|| {
        let start = Instant::now();
        for _ in 0..repeats {
            k.matmul(
                MatMut::new(black_box(&mut c), m, n),
                lhs,
                rhs,
                write,
                &mut scratch,
            );
        }
        let of_product = flops * repeats as f64 / start.elapsed().as_secs_f64();
        let start = Instant::now();
        k.multiply_add_chains(black_box(&mut sink), black_box(rounds));
        let of_peak = peak::flops(k, rounds) as f64 / start.elapsed().as_secs_f64();
        (of_product, of_peak)
    });
    let (of_product, of_peak) = rates.into_iter().unzip();
    let (gflops, peak) = (median(of_product) / 1e9, median(of_peak) / 1e9);
    Rate {
        product: p,
        gflops,
        fraction: gflops / peak,
    }
}

/// Multiply-adds in registers alone, in the precision of `k`, 1e9 operations a second, one thread.
pub fn peak(k: &Kernels, budget: Budget) -> f64 {
    let rounds = 2_000_000;
    let mut sink = vec![0.0; k.lanes()];
    let seconds = budget.seconds(|| {
        k.multiply_add_chains(black_box(&mut sink), black_box(rounds));
    });
    peak::flops(k, rounds) as f64 / median(seconds) / 1e9
}

/// A made-up puzzle: every token of the vocabulary occurs.
fn fill(vocab_size: usize, row: usize, slot: Slot<'_>) {
    let tokens = slot.inputs.iter_mut().zip(slot.labels.iter_mut());
    for (i, (input, label)) in tokens.enumerate() {
        *input = ((row + 3 * i) % vocab_size) as u8;
        *label = ((row + 5 * i) % vocab_size) as u8;
    }
}

/// A training step of the whole batch with `threads` workers, on the pool in which it is called: refill, forward,
/// backward, reduction, optimiser, average, packing.
fn training_step(
    model: &ModelConfig,
    train: TrainConfig,
    k: &'static Kernels,
    threads: usize,
) -> Result<impl FnMut() + Send, ConfigError> {
    let net = Network::new(model.clone(), k)?;
    let params = net.init(0);
    let mut trainer = Trainer::new(net, params, train, threads)?;
    let vocab_size = model.vocab_size;
    Ok(move || {
        let metrics = trainer.step(|row, slot| fill(vocab_size, row, slot));
        metrics.expect("one label everywhere leads nobody astray");
    })
}

/// Seconds of a training step of the whole batch, on the current pool.
///
/// # Errors
/// When the config cannot work.
pub fn training(
    model: &ModelConfig,
    train: TrainConfig,
    k: &'static Kernels,
    budget: Budget,
) -> Result<f64, ConfigError> {
    let step = training_step(model, train, k, rayon::current_num_threads())?;
    Ok(median(budget.seconds(step)))
}

/// A batch that is solved on the pool in which it is called.
struct Batch<'a> {
    net: Network,
    params: Parameters,
    train: &'a TrainConfig,
    inputs: Vec<u8>,
}

impl<'a> Batch<'a> {
    /// As many puzzles as the training batch has, at most 64: the rate does not depend on it.
    fn new(
        model: &ModelConfig,
        train: &'a TrainConfig,
        k: &'static Kernels,
    ) -> Result<Self, ConfigError> {
        let net = Network::new(model.clone(), k)?;
        let tokens = train.batch.min(64) * model.cells;
        Ok(Batch {
            params: net.init(0),
            net,
            train,
            inputs: (0..tokens).map(|i| (i % model.vocab_size) as u8).collect(),
        })
    }

    fn puzzles(&self) -> usize {
        self.inputs.len() / self.net.config().cells
    }

    /// Solves the first `puzzles` in `steps` supervision steps.
    fn solve(&self, puzzles: usize, steps: usize) {
        let inputs = &self.inputs[..puzzles * self.net.config().cells];
        let options = SolveOptions::new(steps);
        let micro_batch = self.train.micro_batch.min(puzzles);
        black_box(solve_all(
            &self.net,
            &self.params,
            inputs,
            micro_batch,
            options,
            |_| (),
        ));
    }
}

/// Seconds of one supervision step of one puzzle when a batch is solved on the current pool, and of
/// solving a single one in 16 steps with all threads of the pool inside its matrices.
///
/// # Errors
/// When the config cannot work.
pub fn solving(
    model: &ModelConfig,
    train: &TrainConfig,
    k: &'static Kernels,
    budget: Budget,
) -> Result<(f64, f64), ConfigError> {
    const STEPS: usize = 4;
    let batch = Batch::new(model, train, k)?;
    let many = budget.seconds(|| batch.solve(batch.puzzles(), STEPS));
    let one = budget.seconds(|| batch.solve(1, 16));
    Ok((median(many) / (batch.puzzles() * STEPS) as f64, median(one)))
}

/// How many times as fast as on one thread a training step is on the current pool: the median over pairs that take
/// turns, so that what slows the machine down slows both.
///
/// # Errors
/// When the config cannot work, or the system gives no thread.
pub fn training_speedup(
    model: &ModelConfig,
    train: &TrainConfig,
    k: &'static Kernels,
    budget: Budget,
) -> anyhow::Result<f64> {
    let alone = pool(1)?;
    let mut one = training_step(model, train.clone(), k, 1)?;
    let many = training_step(model, train.clone(), k, rayon::current_num_threads())?;
    Ok(median(budget.ratios(|| alone.install(&mut one), many)))
}

/// The same of a supervision step without training.
///
/// # Errors
/// As [`training_speedup`].
pub fn solving_speedup(
    model: &ModelConfig,
    train: &TrainConfig,
    k: &'static Kernels,
    budget: Budget,
) -> anyhow::Result<f64> {
    let alone = pool(1)?;
    let batch = Batch::new(model, train, k)?;
    let step = || batch.solve(batch.puzzles(), 1);
    Ok(median(budget.ratios(|| alone.install(step), step)))
}

/// Most memory that this process has had at a time, in MiB, where the system tells.
pub fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = number_after(&status, "VmHWM:")?;
    Some(kib as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![1.0]), 1.0);
    }

    /// All products of a step together are the work that the network states, heads aside.
    #[test]
    fn products_add_up_to_the_work_of_a_step() {
        for mixer in [Mixer::Mlp, Mixer::Attention] {
            let model = ModelConfig {
                mixer,
                heads: 12, // of 42 channels: 504 in all, so that no two products are alike
                layers: 1,
                h_cycles: 1,
                ..ModelConfig::default()
            };
            let (s, inner) = (model.positions() as f64, (12 * model.head_width()) as f64);
            let net = Network::new(model.clone(), &Kernels::available()[0]).expect("a network");
            let levels = (model.l_cycles + 1) as f64;
            let scores = match mixer {
                Mixer::Mlp => 0.0,
                _ => 12.0 * s * s * inner,
            };
            let all = products(&model, 1);
            let flops: f64 = all.iter().map(|p| 2.0 * (p.m * p.n * p.k) as f64).sum();
            assert_eq!(levels * (flops + scores), net.flops().1, "{mixer:?}");
        }
    }
}
