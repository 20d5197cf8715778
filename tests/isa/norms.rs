//! RMS norms, over rows and over columns.

use super::guarded::Guarded;
use super::{U, floats, lengths, random, wide};
use proptest::prelude::*;
use trm_kernels::reference::{self, assert_close, numeric_gradient};
use trm_kernels::{Kernels, MatRef};

const EPS: f32 = 1e-5;

/// The normed axis, or rather what stays: rows or columns.
#[derive(Clone, Copy, PartialEq)]
enum Over {
    Channels,
    Positions,
}

impl Over {
    /// y and r in f64.
    fn reference(self, x: &[f64], (rows, cols): (usize, usize)) -> (Vec<f64>, Vec<f64>) {
        match self {
            Over::Channels => reference::rms_norm_rows(x, rows, cols, EPS.into()),
            Over::Positions => reference::rms_norm_columns(x, rows, cols, EPS.into()),
        }
    }

    /// Number of norms, and of elements in each.
    fn lengths(self, (rows, cols): (usize, usize)) -> (usize, usize) {
        match self {
            Over::Channels => (rows, cols),
            Over::Positions => (cols, rows),
        }
    }

    /// The norm to which an element belongs.
    fn norm_of(self, at: usize, cols: usize) -> usize {
        match self {
            Over::Channels => at / cols,
            Over::Positions => at % cols,
        }
    }

    fn forward(self, k: &Kernels, y: &mut Guarded, r: &mut [f32], h: Option<MatRef<'_>>) {
        match self {
            Over::Channels => k.rms_norm_forward(y.view(), r, h, EPS),
            Over::Positions => k.rms_norm_columns_forward(y.view(), r, h, EPS),
        }
    }

    fn backward(self, k: &Kernels, d: &mut Guarded, y: MatRef<'_>, r: &[f32]) {
        match self {
            Over::Channels => k.rms_norm_backward(d.view(), y, r),
            Over::Positions => {
                k.rms_norm_columns_backward(d.view(), &mut vec![f32::NAN; r.len()], y, r);
            }
        }
    }
}

/// One rounding of x in the sum, which the squares feel twice; `count` products and sums; a division, a
/// sum, a root and a reciprocal, halved by the root where they are under it; and the last product.
fn relative_bound(count: usize) -> f64 {
    (count as f64 + 8.0) * U
}

fn forward(k: &Kernels, over: Over, shape: (usize, usize), residual: bool) {
    let (norms, count) = over.lengths(shape);
    let len = shape.0 * shape.1;
    let rng = &mut random((shape.0 * 100 + shape.1) as u64);
    let (f, h) = (floats(rng, len), floats(rng, len));
    let x: Vec<f64> = if residual {
        f.iter()
            .zip(&h)
            .map(|(&f, &h)| f64::from(f) + f64::from(h))
            .collect()
    } else {
        wide(&f)
    };
    let (y, r) = over.reference(&x, shape);
    let mut got = Guarded::new(&f, shape, 1, 2);
    let h = Guarded::new(&h, shape, 3, 1);
    let mut got_r = vec![f32::NAN; norms];
    over.forward(k, &mut got, &mut got_r, residual.then(|| h.read()));
    let bound = relative_bound(count);
    assert_close("r", &got_r, &r, |i| bound * r[i]);
    assert_close("y", &got.values(), &y, |i| bound * y[i].abs());
}

pub fn over_channels(k: &Kernels) {
    for len in lengths(k).skip(1) {
        forward(k, Over::Channels, (3, len), len % 2 == 0);
        forward(k, Over::Channels, (1, len), len % 2 == 1);
    }
    forward(k, Over::Channels, (0, 5), true);
}

pub fn over_positions(k: &Kernels) {
    for len in lengths(k) {
        forward(k, Over::Positions, (3, len), len % 2 == 0);
        forward(k, Over::Positions, (17, len), len % 2 == 1);
    }
}

/// The end of what a norm can do: squares beyond the floats give an r of 0, so zeros.
pub fn squares_that_overflow_give_zeros(k: &Kernels) {
    for over in [Over::Channels, Over::Positions] {
        let shape = match over {
            Over::Channels => (1, 5),
            Over::Positions => (5, 1),
        };
        let mut y = Guarded::new(&[1e19, 2e19, 1.0, 0.0, -3e19], shape, 0, 0);
        let mut r = [f32::NAN];
        over.forward(k, &mut y, &mut r, None);
        assert!(r == [0.0] && y.values() == [0.0; 5]);
    }
}

fn gradients(k: &Kernels, over: Over) {
    proptest!(ProptestConfig::with_cases(24), |(shape in (1..12_usize, 1..40_usize), seed: u64)| {
        let (norms, count) = over.lengths(shape);
        let len = shape.0 * shape.1;
        let rng = &mut random(seed);
        // Clear of zero, where the norm of a single element turns in an instant.
        let x: Vec<f32> = floats(rng, len).iter().map(|x| x + 0.5_f32.copysign(*x)).collect();
        let g = floats(rng, len);

        let (mut y, mut r) = (Guarded::new(&x, shape, 0, 1), vec![f32::NAN; norms]);
        over.forward(k, &mut y, &mut r, None);
        let mut d = Guarded::new(&g, shape, 2, 3);
        over.backward(k, &mut d, y.read(), &r);

        let (x, g) = (wide(&x), wide(&g));
        let loss = |x: &[f64]| -> f64 { over.reference(x, shape).0.iter().zip(&g).map(|(y, g)| y * g).sum() };
        let expected = numeric_gradient(loss, &x, 1e-5);
        let (y, r) = over.reference(&x, shape);
        let mut sizes = vec![0.0; norms]; // mean |g y| of each norm
        for at in 0..len {
            sizes[over.norm_of(at, shape.1)] += (g[at] * y[at]).abs() / count as f64;
        }
        // d_x = r (g - y mean(g y)): y and r come with the error of the forward pass, the mean with that
        // of its sum; the differences are good to their step squared.
        assert_close("d_x", &d.values(), &expected, |at| {
            let norm = over.norm_of(at, shape.1);
            let terms = g[at].abs() + 4.0 * y[at].abs() * sizes[norm];
            r[norm] * terms * (relative_bound(count) + 8.0 * U) + 1e-8
        });
    });
}

pub fn gradients_over_channels(k: &Kernels) {
    gradients(k, Over::Channels);
}

pub fn gradients_over_positions(k: &Kernels) {
    gradients(k, Over::Positions);
}
