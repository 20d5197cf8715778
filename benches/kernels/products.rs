//! Matrix products, each checked against the f64 reference before it is timed, beside as many multiply-adds in registers.

use super::{floats, in_each_precision, name_of, wide};
use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use trm_kernels::reference::{self, assert_close};
use trm_kernels::{Lhs, MatMut, MatRef, Packed, Precision, Rhs, SCRATCH, Write, peak};
use trm_tensor::AlignedVec;

/// What a product is for, and so how its operands come.
#[derive(Clone, Copy)]
enum Form {
    /// x·W: the weight is packed.
    WeightRight,
    /// W·x: the weight is packed.
    WeightLeft,
    /// d_yᵀ·x, added to the gradient of a weight: nothing is packed.
    Gradient,
}

use Form::{Gradient, WeightLeft, WeightRight};

/// m x n x k, elements 2 m n k: two puzzles a micro-batch over channels, one puzzle over positions.
const PRODUCTS: [(usize, usize, usize, Form); 15] = [
    // D 512, S 97, F 1536 and 512: the paper's
    (194, 3072, 512, WeightRight),
    (194, 512, 1536, WeightRight),
    (1024, 512, 97, WeightLeft),
    (97, 512, 512, WeightLeft),
    (3072, 512, 194, Gradient),
    // D 128, S 97, F 512 and 512
    (194, 1024, 128, WeightRight),
    (194, 128, 512, WeightRight),
    (1024, 128, 97, WeightLeft),
    (97, 128, 512, WeightLeft),
    (1024, 128, 194, Gradient),
    // D 192, S 81, F 512 and 256
    (162, 1024, 192, WeightRight),
    (512, 192, 81, WeightLeft),
    (81, 192, 256, WeightLeft),
    // D 128, S 916, F 512
    (916, 384, 128, WeightRight),
    (916, 1024, 128, WeightRight),
];

pub fn matmul(c: &mut Criterion) {
    for (m, n, k, form) in PRODUCTS {
        let shape = format!("{m}x{n}x{k}");
        let (a, b, mut out) = (floats(m * k), floats(k * n), AlignedVec::zeros(m * n));
        let a_t: Vec<f32> = (0..k * m).map(|at| a[at % m * k + at / m]).collect();
        let a_t = AlignedVec::from_slice(&a_t);
        let mut scratch = AlignedVec::zeros(SCRATCH);
        let exact = reference::matmul(&wide(&a), &wide(&b), m, n, k);
        let bound = reference::matmul_bound(&wide(&a), &wide(&b), m, n, k);
        let bound_in_halves = reference::matmul_bound_in_halves(&wide(&a), &wide(&b), m, n, k);
        let mut group = c.benchmark_group("matmul");
        group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
        for kernels in in_each_precision() {
            let name = name_of(kernels);
            let (plain_a, plain_b) = (
                Lhs::Plain(MatRef::new(&a, m, k)),
                Rhs::Plain(MatRef::new(&b, k, n)),
            );
            let mut left = AlignedVec::zeros(kernels.packed_lhs_len(m, k));
            kernels.pack_lhs(&mut left, plain_a);
            let mut right = AlignedVec::zeros(kernels.packed_rhs_len(n, k));
            kernels.pack_rhs(&mut right, plain_b);
            let (lhs, rhs, write) = match form {
                WeightRight => (
                    plain_a,
                    Rhs::Packed(Packed::new(&right, n, k)),
                    Write::Overwrite,
                ),
                WeightLeft => (
                    Lhs::Packed(Packed::new(&left, m, k)),
                    plain_b,
                    Write::Overwrite,
                ),
                Gradient => (
                    Lhs::Transposed(MatRef::new(&a_t, k, m)),
                    plain_b,
                    Write::Add,
                ),
            };
            let mut product = |out: &mut [f32]| {
                kernels.matmul(MatMut::new(out, m, n), lhs, rhs, write, &mut scratch);
            };
            out.fill(0.0);
            product(&mut out);
            let bound = match kernels.precision() {
                Precision::F32 => &bound,
                Precision::F16 => &bound_in_halves,
            };
            assert_close(&shape, &out, &exact, |i| bound[i]);
            let id = BenchmarkId::new(&shape, &name);
            group.bench_function(id, |b| b.iter(|| product(black_box(&mut out))));

            let rounds = 2 * m * n * k / peak::flops(kernels, 1);
            let id = BenchmarkId::new(&shape, format!("{name}-peak"));
            group.bench_function(id, |b| {
                b.iter(|| kernels.multiply_add_chains(black_box(&mut out), black_box(rounds)));
            });
        }
        group.bench_function(BenchmarkId::new(&shape, "naive"), |bencher| {
            bencher.iter(|| naive_matmul(black_box(&mut out), &a, &b, n, k));
        });
        group.finish();
    }
}

/// The textbook: three loops, in the order in which memory lies.
fn naive_matmul(c: &mut [f32], a: &[f32], b: &[f32], n: usize, k: usize) {
    for (c, a) in c.chunks_exact_mut(n).zip(a.chunks_exact(k)) {
        c.fill(0.0);
        for (a, b) in a.iter().zip(b.chunks_exact(n)) {
            for (c, b) in c.iter_mut().zip(b) {
                *c += a * b;
            }
        }
    }
}
