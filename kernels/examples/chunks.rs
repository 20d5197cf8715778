//! How the error of a product in halves depends on how many products are added before the sum goes on in floats.
//!
//! ```text
//! cargo run --release -p trm-kernels --example chunks
//! ```
//!
//! One scalar at a time, so it says what the numbers are and nothing about speed: activations as a norm leaves them
//! (mean square 1) times weights of variance 1/k. The last lines are the kernel itself, emulated, and bfloat16
//! factors with exact sums, for comparison.

use trm_kernels::matmul::half::CHUNK;
use trm_kernels::{Kernels, Lhs, MatMut, MatRef, Rhs, SCRATCH, Write, reference};

const SIZE: (usize, usize, usize) = (64, 128, 512); // m, n, k

/// Normal deviates from a small generator (xorshift64) by Box and Muller's method.
fn normal(len: usize, sigma: f64, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    let mut one = || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
    (0..len).map(|_| (sigma * one()) as f32).collect()
}

/// `x` to `bits` of mantissa, but no finer than 2^-24, where halves end.
fn round(x: f64, bits: i32, least: f64) -> f64 {
    let unit = 2f64
        .powi(x.abs().log2().floor() as i32 - (bits - 1))
        .max(least);
    if x == 0.0 {
        x
    } else {
        (x / unit).round_ties_even() * unit
    }
}

fn half(x: f64) -> f64 {
    round(x, 11, 2f64.powi(-24))
}

/// The product with chunks of `chunk` in halves. Factors of this size need no scales.
fn in_chunks(a: &[f32], b: &[f32], chunk: usize) -> Vec<f64> {
    let (m, n, k) = SIZE;
    let rounded = |x: &[f32]| x.iter().map(|&x| half(x.into())).collect::<Vec<_>>();
    let (a, b) = (rounded(a), rounded(b));
    let mut c = vec![0.0; m * n];
    for (at, c) in c.iter_mut().enumerate() {
        let (i, j) = (at / n, at % n);
        for p0 in (0..k).step_by(chunk) {
            let steps = p0..k.min(p0 + chunk);
            *c += steps.fold(0.0, |sum, p| half(sum + a[i * k + p] * b[p * n + j]));
        }
    }
    c
}

fn main() {
    let (m, n, k) = SIZE;
    let (a, b) = (
        normal(m * k, 1.0, 1),
        normal(k * n, (k as f64).powf(-0.5), 2),
    );
    let wide = |x: &[f32]| x.iter().copied().map(f64::from).collect::<Vec<_>>();
    let exact = reference::matmul(&wide(&a), &wide(&b), m, n, k);
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let error = |c: &[f64]| {
        let differences: Vec<_> = c.iter().zip(&exact).map(|(c, e)| c - e).collect();
        norm(&differences) / norm(&exact)
    };
    println!("{m} x {n} x {k}, root mean square error as a part of the result's");
    for chunk in [16, 32, 64, 128, 256] {
        println!(
            "chunks of {chunk:3}: {:.2e}",
            error(&in_chunks(&a, &b, chunk))
        );
    }
    let kernels = Kernels::available()[0].emulating_halves();
    let (mut c, mut scratch) = (vec![0.0; m * n], vec![0.0; SCRATCH]);
    kernels.matmul(
        MatMut::new(&mut c, m, n),
        Lhs::Plain(MatRef::new(&a, m, k)),
        Rhs::Plain(MatRef::new(&b, k, n)),
        Write::Overwrite,
        &mut scratch,
    );
    println!("the kernel ({CHUNK}): {:.2e}", error(&wide(&c)));
    let bf16 = |x: &[f32]| {
        x.iter()
            .map(|&x| round(x.into(), 8, 0.0))
            .collect::<Vec<_>>()
    };
    let c = reference::matmul(&bf16(&a), &bf16(&b), m, n, k);
    println!("bfloat16 factors: {:.2e}", error(&c));
}
