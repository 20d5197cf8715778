//! Kernels at the model's own shapes, on every instruction set of this CPU, one thread.
//!
//! ```text
//! cargo bench --bench kernels                     everything
//! cargo bench --bench kernels -- matmul/97        one shape
//! ```
//!
//! Ids are op/shape/isa. `matmul` also has the two rows that frame it: the naive triple loop, and the peak,
//! which is the same number of multiply-adds without touching memory. Each result is checked against the
//! f64 reference before it is timed.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;
use trm_kernels::reference::{self, assert_close};
use trm_kernels::{Kernels, Lhs, MatMut, MatRef, Packed, Rhs, SCRATCH, Write, attention, peak};

fn floats(len: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(len as u64);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().copied().map(f64::from).collect()
}

/// m x n x k of the products in a block: the paper's network (D 512, S 97) and a small one (D 128, S 82),
/// each its channel and its token mixer.
const PRODUCTS: [(usize, usize, usize); 6] = [
    (97, 3072, 512),
    (97, 512, 1536),
    (1024, 512, 97),
    (164, 768, 128),
    (164, 128, 384),
    (512, 128, 82),
];

/// C = A·B with B packed beforehand, as the weights are.
fn matmul(c: &mut Criterion) {
    for (m, n, k) in PRODUCTS {
        let mut group = c.benchmark_group("matmul");
        group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
        let shape = format!("{m}x{n}x{k}");
        let (a, b, mut out) = (floats(m * k), floats(k * n), vec![0.0; m * n]);
        let mut scratch = vec![0.0; SCRATCH];
        let exact = reference::matmul(&wide(&a), &wide(&b), m, n, k);
        let bound = reference::matmul_bound(&wide(&a), &wide(&b), m, n, k);
        for kernels in Kernels::available() {
            let mut packed = vec![0.0; kernels.packed_rhs_len(n, k)];
            kernels.pack_rhs(&mut packed, Rhs::Plain(MatRef::new(&b, k, n)));
            let rhs = Rhs::Packed(Packed {
                data: &packed,
                outer: n,
                k,
            });
            let lhs = Lhs::Plain(MatRef::new(&a, m, k));
            let mut product = |out: &mut [f32]| {
                kernels.matmul(
                    MatMut::new(out, m, n),
                    lhs,
                    rhs,
                    Write::Overwrite,
                    &mut scratch,
                );
            };
            product(&mut out);
            assert_close(&shape, &out, &exact, |i| bound[i]);
            let id = BenchmarkId::new(&shape, kernels.name());
            group.bench_function(id, |b| b.iter(|| product(black_box(&mut out))));

            let rounds = m * n * k / (peak::CHAINS * kernels.lanes());
            let id = BenchmarkId::new(&shape, format!("{}-peak", kernels.name()));
            group.bench_function(id, |b| {
                b.iter(|| kernels.multiply_add_chains(black_box(&mut out), black_box(rounds)));
            });
        }
        group.bench_function(BenchmarkId::new(&shape, "naive"), |bencher| {
            bencher.iter(|| naive(black_box(&mut out), &a, &b, n, k));
        });
        group.finish();
    }
}

/// The textbook: three loops, in the order in which memory lies.
fn naive(c: &mut [f32], a: &[f32], b: &[f32], n: usize, k: usize) {
    for (c, a) in c.chunks_exact_mut(n).zip(a.chunks_exact(k)) {
        c.fill(0.0);
        for (a, b) in a.iter().zip(b.chunks_exact(n)) {
            for (c, b) in c.iter_mut().zip(b) {
                *c += a * b;
            }
        }
    }
}

/// What is bound by memory: elements a second.
fn rows(c: &mut Criterion) {
    for (rows, cols) in [(97, 512), (164, 128)] {
        let shape = format!("{rows}x{cols}");
        let (x, h, u) = (
            floats(rows * cols),
            floats(rows * cols),
            floats(2 * rows * cols),
        );
        let (mut y, mut r, mut d) = (x.clone(), vec![0.0; rows.max(cols)], h.clone());
        let mut d_u = u.clone();
        for k in Kernels::available() {
            let mut bench = |op: &str, run: &mut dyn FnMut()| {
                let mut group = c.benchmark_group(op);
                group.throughput(Throughput::Elements((rows * cols) as u64));
                group.bench_function(BenchmarkId::new(&shape, k.name()), |b| b.iter(&mut *run));
                group.finish();
            };
            let residual = MatRef::new(&h, rows, cols);
            bench("rms_norm/forward", &mut || {
                k.rms_norm_forward(
                    MatMut::new(&mut y, rows, cols),
                    &mut r[..rows],
                    Some(residual),
                    1e-5,
                );
            });
            bench("rms_norm/backward", &mut || {
                k.rms_norm_backward(MatMut::new(&mut d, rows, cols), residual, &r[..rows]);
                d.copy_from_slice(&x); // or it would shrink to subnormal numbers
            });
            bench("rms_norm_columns/forward", &mut || {
                k.rms_norm_columns_forward(
                    MatMut::new(&mut y, rows, cols),
                    &mut r[..cols],
                    Some(residual),
                    1e-5,
                );
            });
            let u_view = MatRef::new(&u, rows, 2 * cols);
            bench("swiglu/forward", &mut || {
                k.swiglu_forward(MatMut::new(&mut y, rows, cols), u_view)
            });
            bench("swiglu/backward", &mut || {
                let d_u = MatMut::new(&mut d_u, rows, 2 * cols);
                k.swiglu_backward(d_u, MatMut::new(&mut d, rows, cols), u_view);
                d.copy_from_slice(&x);
            });
        }
    }
}

/// One puzzle's attention, all heads; 4 S² E multiply-adds a head forwards.
fn attend(c: &mut Criterion) {
    for (positions, heads, width) in [(97, 8, 64), (82, 4, 32)] {
        let inner = heads * width;
        let shape = format!("{positions}x{heads}x{width}");
        let (qkv, d_o) = (floats(positions * 3 * inner), floats(positions * inner));
        let (mut o, mut d_qkv) = (vec![0.0; d_o.len()], vec![0.0; qkv.len()]);
        let mut lse = vec![0.0; heads * positions];
        let mut scratch = vec![0.0; attention::scratch_len(positions)];
        let qkv = MatRef::new(&qkv, positions, 3 * inner);
        for k in Kernels::available() {
            let flops = 4 * positions * positions * inner;
            let mut group = c.benchmark_group("attention/forward");
            group.throughput(Throughput::Elements(flops as u64));
            group.bench_function(BenchmarkId::new(&shape, k.name()), |b| {
                b.iter(|| {
                    attention::forward(
                        k,
                        MatMut::new(&mut o, positions, inner),
                        &mut lse,
                        qkv,
                        heads,
                        &mut scratch,
                    );
                });
            });
            group.finish();
            let mut group = c.benchmark_group("attention/backward");
            group.throughput(Throughput::Elements(5 * flops as u64 / 2));
            group.bench_function(BenchmarkId::new(&shape, k.name()), |b| {
                let saved = attention::Saved {
                    qkv,
                    o: MatRef::new(&o, positions, inner),
                    lse: &lse,
                };
                let d_o = MatRef::new(&d_o, positions, inner);
                b.iter(|| {
                    let d_qkv = MatMut::new(&mut d_qkv, positions, 3 * inner);
                    attention::backward(k, d_qkv, d_o, saved, heads, &mut scratch);
                });
            });
            group.finish();
        }
    }
}

criterion_group!(benches, matmul, rows, attend);
criterion_main!(benches);
