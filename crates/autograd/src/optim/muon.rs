//! Muon (Jordan et al. 2024): a matrix moves by the same length in every direction.
//!
//! The gradient of a weight matrix is dominated by a few directions; dividing element by element, as Adam
//! does, keeps it so. Muon replaces the averaged gradient by the nearest matrix whose singular values are
//! all about 1. For gradient G of W (out x in), momentum mu and rate lr:
//!
//! ```text
//! M ← mu M + G                                 U = orthogonal(G + mu M)
//! W ← W (1 - lr wd) - lr sqrt(max(1, out / in)) U
//! ```
//!
//! `orthogonal` is five rounds of an odd polynomial on the singular values, by matrix products alone:
//!
//! ```text
//! X ← G / |G|      X ← (a I + b A + c A²) X      A = X Xᵀ      a, b, c = 3.4445, -4.7750, 2.0315
//! ```
//!
//! which sends singular values from 0.0015 to 1 to about 0.7 to 1.2, and grows smaller ones up to 485-fold; for tall
//! matrices the same from the other side, with A = Xᵀ X. Vectors, embeddings and heads are AdamW's.

use trm_kernels::{Kernels, Lhs, MatMut, MatRef, Rhs, SCRATCH, Write};

/// Coefficients of the polynomial (a, b, c).
const POLYNOMIAL: [f32; 3] = [3.4445, -4.7750, 2.0315];

/// Rounds of it.
const ROUNDS: usize = 5;

/// The constants of a run.
#[derive(Clone, Copy, Debug)]
pub struct Hyper {
    /// Decay of M a step (mu).
    pub momentum: f64,
    /// Decoupled weight decay, relative to the learning rate.
    pub weight_decay: f64,
}

/// A matrix with its momentum, both (out, in).
#[derive(Debug)]
pub struct State<'a> {
    /// W.
    pub w: &'a mut [f32],
    /// M.
    pub m: &'a mut [f32],
}

/// Floats of scratch for a matrix of `out` x `input` on `threads`.
pub fn scratch_len(out: usize, input: usize, threads: usize) -> usize {
    let small = out.min(input);
    2 * out * input + 2 * small * small + threads * SCRATCH
}

/// Takes one step with gradient `g` (out x in) on `threads` of the current pool: changes all of `state`; uses up
/// `scratch`. The bits are those of one thread.
///
/// Panics when the lengths are not those of the shape, or `scratch` is shorter than [`scratch_len`].
pub fn update(
    (k, threads): (&Kernels, usize),
    state: State<'_>,
    g: &[f32],
    (out, input): (usize, usize),
    lr: f64,
    hyper: &Hyper,
    scratch: &mut [f32],
) {
    for len in [state.w.len(), state.m.len(), g.len()] {
        assert_eq!(len, out * input, "values of a matrix of {out} x {input}");
    }
    let (x, rest) = scratch.split_at_mut(out * input);
    let mu = hyper.momentum as f32;
    for (x, (m, g)) in x.iter_mut().zip(state.m.iter_mut().zip(g)) {
        *m = mu * *m + g;
        *x = g + mu * *m;
    }
    let u = orthogonalise((k, threads), x, (out, input), rest);
    let keep = (1.0 - lr * hyper.weight_decay) as f32;
    let rate = (lr * (out as f64 / input as f64).max(1.0).sqrt()) as f32;
    for (w, u) in state.w.iter_mut().zip(u) {
        *w = *w * keep - rate * *u;
    }
}

/// Returns `x` (out x in) with its singular values pushed near 1 (zero stays zero), in one of the two buffers.
fn orthogonalise<'a>(
    (k, threads): (&Kernels, usize),
    x: &'a mut [f32],
    (out, input): (usize, usize),
    scratch: &'a mut [f32],
) -> &'a [f32] {
    let small = out.min(input);
    let (next, rest) = scratch.split_at_mut(out * input);
    let (a, rest) = rest.split_at_mut(small * small);
    let (square, kernel) = rest.split_at_mut(small * small);
    let norm = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    k.scale(x, (1.0 / (norm + 1e-7)) as f32);
    let [first, third, fifth] = POLYNOMIAL;
    let mut product = |c: MatMut<'_>, a: Lhs<'_>, b: Rhs<'_>| {
        k.matmul_on_threads(c, a, b, Write::Overwrite, kernel, threads);
    };
    let (mut x, mut next) = (x, next);
    for _ in 0..ROUNDS {
        let view = MatRef::new(x, out, input);
        let (lhs, rhs) = if out <= input {
            (Lhs::Plain(view), Rhs::Transposed(view))
        } else {
            (Lhs::Transposed(view), Rhs::Plain(view))
        };
        product(MatMut::new(a, small, small), lhs, rhs);
        let a_view = MatRef::new(a, small, small);
        let c = MatMut::new(square, small, small);
        product(c, Lhs::Plain(a_view), Rhs::Plain(a_view));
        // a I + b A + c A²
        for (square, a) in square.iter_mut().zip(&*a) {
            *square = third * a + fifth * *square;
        }
        for diagonal in square.iter_mut().step_by(small + 1) {
            *diagonal += first;
        }
        let polynomial = MatRef::new(square, small, small);
        let (lhs, rhs) = if out <= input {
            (Lhs::Plain(polynomial), Rhs::Plain(view))
        } else {
            (Lhs::Plain(view), Rhs::Plain(polynomial))
        };
        product(MatMut::new(next, out, input), lhs, rhs);
        std::mem::swap(&mut x, &mut next);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};
    use rand::RngExt;
    use trm_kernels::reference;

    const HYPER: Hyper = Hyper {
        momentum: 0.9,
        weight_decay: 0.0,
    };

    fn gradient(len: usize) -> Vec<f32> {
        let mut rng = stream(3, Purpose::Init, len as u64);
        (0..len).map(|_| rng.random::<f32>() - 0.5).collect()
    }

    /// The change of W from zero after one step of rate 1.
    fn step(g: &[f32], shape: (usize, usize), hyper: &Hyper) -> Vec<f32> {
        let (mut w, mut m) = (vec![0.0; g.len()], vec![0.0; g.len()]);
        let mut scratch = vec![f32::NAN; scratch_len(shape.0, shape.1, 1)];
        let state = State {
            w: &mut w,
            m: &mut m,
        };
        let k = &Kernels::available()[0];
        update((k, 1), state, g, shape, 1.0, hyper, &mut scratch);
        w
    }

    /// Large enough that the products are divided.
    #[test]
    fn threads_change_no_bit() {
        let (shape, g) = ((160, 96), gradient(160 * 96));
        let k = &Kernels::available()[0];
        let step = |threads: usize| {
            let (mut w, mut m) = (vec![0.0; g.len()], vec![0.0; g.len()]);
            let mut scratch = vec![f32::NAN; scratch_len(160, 96, threads)];
            let state = State {
                w: &mut w,
                m: &mut m,
            };
            update((k, threads), state, &g, shape, 1.0, &HYPER, &mut scratch);
            w
        };
        let alone = step(1);
        assert!(alone.iter().any(|&w| w != 0.0));
        assert_eq!(step(2), alone);
        assert_eq!(step(3), alone);
    }

    /// The polynomial in f64 on each singular value, which for u vᵀ + s u' v'ᵀ can be read off.
    #[test]
    fn singular_vectors_stay_and_singular_values_follow_the_polynomial() {
        // W = diag(3, 4) in a corner of 3 x 5, and of 5 x 3: the singular values are 3/5 and 4/5.
        for (out, input) in [(3, 5), (5, 3)] {
            let mut g = vec![0.0; out * input];
            (g[0], g[input + 1]) = (3.0, 4.0);
            let w = step(&g, (out, input), &HYPER);
            let scale = (out as f64 / input as f64).max(1.0).sqrt();
            for (i, start) in [(0, 0.6_f64), (input + 1, 0.8)] {
                let mut s = start;
                for _ in 0..ROUNDS {
                    let [a, b, c] = POLYNOMIAL.map(f64::from);
                    s = a * s + b * s.powi(3) + c * s.powi(5);
                }
                assert!((f64::from(w[i]) + scale * s).abs() < 1e-5, "{} {s}", w[i]);
            }
            let others = (0..w.len()).filter(|&i| i != 0 && i != input + 1);
            assert!(others.map(|i| w[i].abs()).all(|x| x < 1e-6));
        }
    }

    #[test]
    fn rows_or_columns_come_out_nearly_orthogonal() {
        for (out, input) in [(7, 40), (40, 7), (16, 16)] {
            let w = step(&gradient(out * input), (out, input), &HYPER);
            let scale = (out as f64 / input as f64).max(1.0).sqrt();
            let u: Vec<f64> = w.iter().map(|&w| f64::from(w) / scale).collect();
            let t = reference::transpose(&u, out, input);
            let (n, gram) = if out <= input {
                (out, reference::matmul(&u, &t, out, out, input))
            } else {
                (input, reference::matmul(&t, &u, input, input, out))
            };
            let trace: f64 = (0..n).map(|i| gram[i * n + i]).sum();
            assert!(
                (0.5..1.5).contains(&(trace / n as f64)),
                "{out} x {input}: {trace}"
            );
            if out != input {
                let off = |i: usize| i / n != i % n;
                assert!((0..n * n).filter(|&i| off(i)).all(|i| gram[i].abs() < 0.5));
            }
        }
    }

    #[test]
    fn momentum_looks_ahead_and_decay_shrinks() {
        let (g, shape) = (gradient(12), (3, 4));
        let (mut w, mut m) = (vec![1.0; 12], vec![0.0; 12]);
        let mut scratch = vec![f32::NAN; scratch_len(3, 4, 1)];
        let hyper = Hyper {
            momentum: 0.5,
            weight_decay: 0.25,
        };
        let k = &Kernels::available()[0];
        let zero = [0.0; 12];
        for (g, kept) in [(&zero[..], 0.5), (&zero[..], 0.25)] {
            let state = State {
                w: &mut w,
                m: &mut m,
            };
            update((k, 1), state, g, shape, 2.0, &hyper, &mut scratch);
            assert_eq!(w, vec![kept; 12], "a zero gradient only decays");
        }
        let state = State {
            w: &mut w,
            m: &mut m,
        };
        update((k, 1), state, &g, shape, 2.0, &hyper, &mut scratch);
        assert_eq!(m, g);
        // The direction is that of G alone, whatever its size.
        let direction = step(&g, shape, &HYPER);
        for (w, u) in w.iter().zip(&direction) {
            assert!((w - (0.125 + 2.0 * u)).abs() < 1e-4);
        }
        // With another gradient behind it, H: that of H + mu M, and not of M = mu G + H alone.
        let (h, before) = (&gradient(13)[1..], w.clone());
        let state = State {
            w: &mut w,
            m: &mut m,
        };
        update((k, 1), state, h, shape, 2.0, &hyper, &mut scratch);
        let ahead: Vec<f32> = h.iter().zip(&m).map(|(h, m)| h + 0.5 * m).collect();
        let [of_ahead, of_mean] = [&ahead, &m].map(|x| step(x, shape, &HYPER));
        let moved = |i: usize| (w[i] - 0.5 * before[i]) / 2.0;
        assert!((0..12).all(|i| (moved(i) - of_ahead[i]).abs() < 1e-4));
        assert!((0..12).any(|i| (of_mean[i] - of_ahead[i]).abs() > 1e-2));
    }
}
