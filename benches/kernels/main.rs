//! Kernels at the shapes of the presets (D 48 of symbols, 128, 192, 512; S 81, 97, 916), on every instruction set of
//! this CPU, one thread.
//!
//! ```text
//! cargo bench --bench kernels                     everything
//! cargo bench --bench kernels -- matmul/194x3072  one product
//! cargo bench --bench kernels -- /avx2            one instruction set
//! ```
//!
//! Ids are op/shape/isa. Two rows frame each table: `naive`, the definition in plain loops (of gradients, that of the
//! norm alone), and, for products, `isa-peak`, as many multiply-adds without touching memory. Each product is checked
//! against the f64 reference before it is timed; the properties of the other kernels are the tests' business.

mod products;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;
use trm_kernels::{Kernels, MatMut, MatRef, Precision, Write, attention, reference, rope};
use trm_tensor::AlignedVec;

/// Random, and aligned as the engine's own matrices are: a register that lies across two lines costs twice.
fn floats(len: usize) -> AlignedVec {
    let mut rng = ChaCha8Rng::seed_from_u64(len as u64);
    let mut values = AlignedVec::zeros(len);
    values.fill_with(|| rng.random_range(-1.0..1.0));
    values
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().copied().map(f64::from).collect()
}

/// Every instruction set, and those with halves once more.
fn in_each_precision() -> impl Iterator<Item = &'static Kernels> {
    Kernels::available().iter().chain(Kernels::with_halves())
}

/// An instruction set's name, and where it multiplies in halves, that.
fn name_of(kernels: &Kernels) -> String {
    match kernels.precision() {
        Precision::F32 => kernels.name().to_owned(),
        Precision::F16 => format!("{}-f16", kernels.name()),
    }
}

/// No naive row: where there is no definition to time but that of another op.
const NONE: Option<fn()> = None;

/// Takes the result of a naive row, which must not be optimised away.
fn discard<T>(result: T) {
    drop(black_box(result));
}

/// Times `run` on every instruction set and `naive` once, in a group of their own. A row is an op, a shape, and elements.
fn every_isa(
    c: &mut Criterion,
    row: (&str, &str, usize),
    run: impl FnMut(&Kernels),
    naive: Option<impl FnMut()>,
) {
    each_of(Kernels::available().iter(), c, row, run, naive);
}

/// The same for some `tables`.
fn each_of(
    tables: impl Iterator<Item = &'static Kernels>,
    c: &mut Criterion,
    (op, shape, elements): (&str, &str, usize),
    mut run: impl FnMut(&Kernels),
    naive: Option<impl FnMut()>,
) {
    let mut group = c.benchmark_group(op);
    group.throughput(Throughput::Elements(elements as u64));
    for kernels in tables {
        let id = BenchmarkId::new(shape, name_of(kernels));
        group.bench_function(id, |b| b.iter(|| run(kernels)));
    }
    if let Some(mut naive) = naive {
        group.bench_function(BenchmarkId::new(shape, "naive"), |b| b.iter(&mut naive));
    }
    group.finish();
}

/// Rows and columns of the activations: S x D.
const ACTIVATIONS: [(usize, usize); 4] = [(97, 512), (97, 128), (81, 192), (916, 128)];

fn rms_norm(c: &mut Criterion) {
    for (rows, cols) in ACTIVATIONS {
        let (shape, len) = (format!("{rows}x{cols}"), rows * cols);
        let (x, h) = (floats(len), floats(2 * len)[len..].to_vec());
        let (mut y, mut d, mut r, mut mean) = (
            x.clone(),
            x.clone(),
            vec![1.0; rows.max(cols)],
            AlignedVec::zeros(cols),
        );
        let residual = MatRef::new(&h, rows, cols);
        let exact = wide(&x);
        every_isa(
            c,
            ("rms_norm/forward", &shape, len),
            |k| {
                let y = MatMut::new(&mut y, rows, cols);
                k.rms_norm_forward(y, &mut r[..rows], Some(residual), 1e-5);
            },
            Some(|| discard(reference::rms_norm_rows(&exact, rows, cols, 1e-5))),
        );
        every_isa(
            c,
            ("rms_norm_columns/forward", &shape, len),
            |k| {
                let y = MatMut::new(&mut y, rows, cols);
                k.rms_norm_columns_forward(y, &mut r[..cols], Some(residual), 1e-5);
            },
            Some(|| discard(reference::rms_norm_columns(&exact, rows, cols, 1e-5))),
        );
        r.fill(1.0); // a factor that lets repeated gradients neither grow nor shrink to subnormal numbers
        let mut naive = x.clone();
        every_isa(
            c,
            ("rms_norm/backward", &shape, len),
            |k| k.rms_norm_backward(MatMut::new(&mut d, rows, cols), residual, &r[..rows]),
            Some(|| naive_norm_gradient(black_box(&mut naive), &h, cols)),
        );
        every_isa(
            c,
            ("rms_norm_columns/backward", &shape, len),
            |k| {
                let d = MatMut::new(&mut d, rows, cols);
                k.rms_norm_columns_backward(d, &mut mean, residual, &r[..cols]);
            },
            NONE,
        );
    }
}

fn naive_norm_gradient(d: &mut [f32], y: &[f32], cols: usize) {
    for (d, y) in d.chunks_exact_mut(cols).zip(y.chunks_exact(cols)) {
        let mean = d.iter().zip(y).map(|(d, y)| d * y).sum::<f32>() / cols as f32;
        for (d, y) in d.iter_mut().zip(y) {
            *d -= y * mean;
        }
    }
}

/// Rows of a micro-batch and inner width: N x F.
const GATES: [(usize, usize); 4] = [(194, 1536), (194, 512), (162, 512), (916, 512)];

fn swiglu(c: &mut Criterion) {
    for (rows, cols) in GATES {
        let (shape, len) = (format!("{rows}x{cols}"), rows * cols);
        let (u, d_a) = (floats(2 * len), floats(len));
        let (mut a, mut d_u) = (d_a.clone(), u.clone());
        let view = MatRef::new(&u, rows, 2 * cols);
        let (gate, up) = (wide(&u[..len]), wide(&u[len..]));
        every_isa(
            c,
            ("swiglu/forward", &shape, len),
            |k| k.swiglu_forward(MatMut::new(&mut a, rows, cols), view),
            Some(|| discard(reference::swiglu(&gate, &up))),
        );
        every_isa(
            c,
            ("swiglu/backward", &shape, len),
            |k| {
                let d_u = MatMut::new(&mut d_u, rows, 2 * cols);
                k.swiglu_backward(d_u, MatMut::new(&mut a, rows, cols), view);
            },
            NONE,
        );
    }
}

/// Blocks of scores as attention makes them: query rows and positions.
const SCORES: [(usize, usize); 3] = [(81, 81), (97, 97), (84, 916)];

/// Positions of a block in its backward pass, at most.
const KEYS: usize = 256;

fn softmax(c: &mut Criterion) {
    for (rows, cols) in SCORES {
        let (shape, len) = (format!("{rows}x{cols}"), rows * cols);
        let (mut e, delta) = (floats(len), floats(rows));
        let (mut inverse, mut lse) = (AlignedVec::zeros(rows), AlignedVec::zeros(rows));
        let exact = wide(&e);
        every_isa(
            c,
            ("softmax/forward", &shape, len),
            |k| {
                let e = MatMut::new(&mut e, rows, cols);
                k.softmax_forward(e, &mut inverse, &mut lse, 0.125);
            },
            Some(|| discard(reference::softmax_rows(&exact, rows, cols, 0.125))),
        );
        let keys = cols.min(KEYS);
        let (shape, len) = (format!("{rows}x{keys}"), rows * keys);
        let p = floats(len);
        let (mut d, p) = (p.clone(), MatRef::new(&p, rows, keys));
        every_isa(
            c,
            ("softmax/backward", &shape, len),
            |k| k.softmax_backward(MatMut::new(&mut d, rows, keys), p, &delta, 1.0),
            NONE,
        );
    }
}

/// Positions, heads and channels of a head.
const HEADS: [(usize, usize, usize); 5] = [
    (97, 8, 64),
    (97, 2, 64),
    (81, 3, 64),
    (916, 2, 64),
    (916, 8, 64),
];

fn turn(c: &mut Criterion) {
    for (positions, heads, width) in HEADS {
        let cols = 2 * heads * width; // q and k
        let shape = format!("{positions}x{cols}");
        let mut x = floats(positions * cols);
        let mut naive = x.clone();
        let (mut cos, mut sin) = (
            AlignedVec::zeros(positions * width / 2),
            AlignedVec::zeros(positions * width / 2),
        );
        rope::tables(&mut cos, &mut sin, width, 1e4);
        let tables = [&cos, &sin].map(|table| MatRef::new(table, positions, width / 2));
        for (op, forward) in [("rope/forward", true), ("rope/backward", false)] {
            every_isa(
                c,
                (op, &shape, x.len()),
                |k| {
                    let x = MatMut::new(&mut x, positions, cols);
                    let [cos, sin] = tables;
                    match forward {
                        true => k.rope_forward(x, cos, sin),
                        false => k.rope_backward(x, cos, sin),
                    }
                },
                forward.then_some(|| {
                    naive_rope(black_box(&mut naive), &cos, &sin, (2 * heads, width))
                }),
            );
        }
    }
}

/// Every head (x1, x2) turned by its position.
fn naive_rope(x: &mut [f32], cos: &[f32], sin: &[f32], (heads, width): (usize, usize)) {
    let half = width / 2;
    for (head, x) in x.chunks_exact_mut(width).enumerate() {
        let (x1, x2) = x.split_at_mut(half);
        let angles = head / heads * half..;
        let angles = cos[angles.clone()].iter().zip(&sin[angles]);
        for ((x1, x2), (cos, sin)) in x1.iter_mut().zip(x2).zip(angles) {
            (*x1, *x2) = (*x1 * cos - *x2 * sin, *x2 * cos + *x1 * sin);
        }
    }
}

/// A 9x9 Sudoku's candidates and the groups they belong to: 4 partitions of 81.
fn gather(c: &mut Criterion) {
    let (rows, cols, total) = (729, 48, 4 * 81);
    let index = trm_model::groups::sudoku(9).index;
    let (y, t) = (floats(rows * cols), floats(total * cols));
    let (mut sums, mut naive, mut sums_of_groups) = (y.clone(), y.clone(), t.clone());
    let (shape, len) = (format!("{rows}x{cols}"), index.len() * cols);
    every_isa(
        c,
        ("gather", &shape, len),
        |k| {
            let (y, t) = (
                MatMut::new(&mut sums, rows, cols),
                MatRef::new(&t, total, cols),
            );
            k.gather(y, t, &index, Write::Overwrite);
        },
        Some(|| naive_gather(black_box(&mut naive), &t, &index, cols)),
    );
    every_isa(
        c,
        ("scatter_acc", &shape, len),
        |k| {
            let t = MatMut::new(&mut sums_of_groups, total, cols);
            k.scatter_acc(t, MatRef::new(&y, rows, cols), &index);
        },
        NONE,
    );
}

fn naive_gather(y: &mut [f32], t: &[f32], index: &[u32], cols: usize) {
    for (y, groups) in y.chunks_exact_mut(cols).zip(index.chunks_exact(4)) {
        y.fill(0.0);
        for &group in groups {
            for (y, t) in y.iter_mut().zip(&t[group as usize * cols..]) {
                *y += t;
            }
        }
    }
}

fn elementwise(c: &mut Criterion) {
    for (rows, cols) in ACTIVATIONS {
        let (shape, len) = (format!("{rows}x{cols}"), rows * cols);
        let (a, b, mut y) = (floats(len), floats(len), AlignedVec::zeros(len));
        let mut naive = y.clone();
        every_isa(
            c,
            ("add", &shape, len),
            |k| k.add(black_box(&mut y), &a, &b),
            Some(|| {
                for ((y, a), b) in naive.iter_mut().zip(&a[..]).zip(&b[..]) {
                    *y = a + b;
                }
                black_box(&mut naive);
            }),
        );
    }
}

/// A step of AdamATan2 for the weights of two networks, small-mlp and paper-mlp.
fn adam(c: &mut Criterion) {
    let step = trm_kernels::adam::Step {
        take1: 0.1,
        take2: 0.05,
        keep: 0.9999,
        rate: 1e-4,
        root: 0.5,
        eps: 1e-8,
    };
    for len in [690_000, 5_030_000] {
        let (g, mut p, mut m) = (floats(len), floats(len), floats(len));
        let mut v = AlignedVec::zeros(len);
        for (v, m) in v.iter_mut().zip(&m[..]) {
            *v = m * m;
        }
        let (mut naive_p, mut naive_m, mut naive_v) = (p.clone(), m.clone(), v.clone());
        every_isa(
            c,
            ("adam_atan2", &len.to_string(), len),
            |k| k.adam_atan2(black_box(&mut p), &mut m, &mut v, &g, &step),
            Some(|| {
                let moments = naive_m.iter_mut().zip(naive_v.iter_mut());
                for ((p, (m, v)), g) in naive_p.iter_mut().zip(moments).zip(&g[..]) {
                    *m += step.take1 * (g - *m);
                    *v += step.take2 * (g * g - *v);
                    *p = *p * step.keep - step.rate * m.atan2(v.sqrt() / step.root);
                }
                black_box(&mut naive_p);
            }),
        );
    }
}

/// One puzzle's attention, all heads: 4 S² E operations a head forwards, 10 S² E backwards.
fn attend(c: &mut Criterion) {
    for (positions, heads, width) in HEADS {
        let inner = heads * width;
        let shape = format!("{positions}x{heads}x{width}");
        let (qkv, d_o) = (floats(positions * 3 * inner), floats(positions * inner));
        let (mut o, mut d_qkv) = (AlignedVec::zeros(d_o.len()), AlignedVec::zeros(qkv.len()));
        let mut lse = AlignedVec::zeros(heads * positions);
        let of_isa = |k| attention::scratch_len(k, positions, width);
        let most = in_each_precision().map(of_isa).max();
        let mut scratch = AlignedVec::zeros(most.expect("an instruction set"));
        let exact = wide(&qkv);
        let qkv = MatRef::new(&qkv, positions, 3 * inner);
        let d_o = MatRef::new(&d_o, positions, inner);
        let flops = 4 * positions * positions * inner;
        let naive = || discard(reference::attention(&exact, positions, heads, width));
        each_of(
            in_each_precision(),
            c,
            ("attention/forward", &shape, flops),
            |k| {
                let o = MatMut::new(&mut o, positions, inner);
                attention::forward(k, o, &mut lse, qkv, heads, &mut scratch);
            },
            Some(naive),
        );
        let saved = attention::Saved {
            qkv,
            o: MatRef::new(&o, positions, inner),
            lse: &lse,
        };
        each_of(
            in_each_precision(),
            c,
            ("attention/backward", &shape, 5 * flops / 2),
            |k| {
                let d_qkv = MatMut::new(&mut d_qkv, positions, 3 * inner);
                attention::backward(k, d_qkv, d_o, saved, heads, &mut scratch);
            },
            NONE,
        );
    }
}

criterion_group!(
    benches,
    products::matmul,
    attend,
    rms_norm,
    swiglu,
    softmax,
    turn,
    gather,
    elementwise,
    adam
);
criterion_main!(benches);
