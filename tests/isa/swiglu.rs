//! The gate of SwiGLU.

use super::guarded::Guarded;
use super::{U, floats, lengths, random, wide};
use proptest::prelude::*;
use trm_kernels::Kernels;
use trm_kernels::reference::{self, assert_close, numeric_gradient, sigmoid};

/// What `sigmoid` promises, in units of [`U`]: four ULP, each at most two of them.
const SIGMOID: f64 = 8.0;

/// Gate and up of all rows, one behind the other.
fn halves(u: &[f32], width: usize) -> (Vec<f64>, Vec<f64>) {
    let half = |part| {
        let halves = u.chunks_exact(width.max(1)).skip(part).step_by(2);
        wide(&halves.flatten().copied().collect::<Vec<_>>())
    };
    (half(0), half(1))
}

fn check(k: &Kernels, u: &[f32], (rows, width): (usize, usize)) {
    let u_view = Guarded::new(u, (rows, 2 * width), 1, 3);
    let mut a = Guarded::poisoned((rows, width), 2, 1);
    k.swiglu_forward(a.view(), u_view.read());
    let (gate, up) = halves(u, width);
    let expected = reference::swiglu(&gate, &up);
    // The sigmoid and two products; far below zero the sigmoid ends at 1 / 2.4e38.
    assert_close("a", &a.values(), &expected, |i| {
        (SIGMOID + 2.0) * U * expected[i].abs() + 5e-39 * (gate[i] * up[i]).abs() + 1e-44
    });
}

pub fn gates(k: &Kernels) {
    for width in lengths(k) {
        let u: Vec<f32> = floats(&mut random(width as u64), 6 * width)
            .iter()
            .map(|x| 6.0 * x)
            .collect();
        check(k, &u, (3, width));
    }
}

pub fn gates_far_from_zero(k: &Kernels) {
    let gate = [
        -1e4, -100.0, -88.0, -87.0, -20.0, -0.0, 0.0, 20.0, 87.0, 100.0, 1e4,
    ];
    let u: Vec<f32> = gate.into_iter().chain([-1.5; 11]).collect();
    check(k, &u, (1, 11));
    for (gate, up) in [(f32::NAN, 1.0), (1.0, f32::NAN)] {
        let mut a = Guarded::poisoned((1, 1), 0, 0);
        k.swiglu_forward(a.view(), trm_kernels::MatRef::new(&[gate, up], 1, 2));
        assert!(a.values()[0].is_nan());
    }
}

pub fn gradients_of_gates(k: &Kernels) {
    proptest!(ProptestConfig::with_cases(24), |(shape in (1..5_usize, 1..50_usize), seed: u64)| {
        let (rows, width) = shape;
        let rng = &mut random(seed);
        let u: Vec<f32> = floats(rng, 2 * rows * width).iter().map(|x| 3.0 * x).collect();
        let g = floats(rng, rows * width);
        let u_view = Guarded::new(&u, (rows, 2 * width), 1, 1);
        let mut d_u = Guarded::poisoned((rows, 2 * width), 3, 2);
        let mut d_a = Guarded::new(&g, shape, 2, 3);
        k.swiglu_backward(d_u.view(), d_a.view(), u_view.read());

        let a = |u: &[f32]| {
            let (gate, up) = halves(u, width);
            reference::swiglu(&gate, &up)
        };
        let expected = a(&u);
        assert_close("a again", &d_a.values(), &expected, |i| (SIGMOID + 2.0) * U * expected[i].abs());

        let loss = |u: &[f64]| -> f64 {
            let rows = u.chunks_exact(2 * width).zip(g.chunks_exact(width));
            rows.flat_map(|(u, g)| {
                let a = reference::swiglu(&u[..width], &u[width..]);
                a.into_iter().zip(g).map(|(a, &g)| a * f64::from(g)).collect::<Vec<_>>()
            })
            .sum()
        };
        let expected = numeric_gradient(loss, &wide(&u), 1e-5);
        // d_up = g silu; d_gate = g up (silu (1 - s) + s): the sigmoid twice and seven roundings more.
        assert_close("d_u", &d_u.values(), &expected, |at| {
            let (i, j) = (at / (2 * width), at % (2 * width));
            let (g_a, gate) = (f64::from(g[i * width + j % width]), f64::from(u[i * 2 * width + j % width]));
            let other = if j < width { f64::from(u[i * 2 * width + j + width]) } else { gate };
            let s = sigmoid(gate);
            let slope = if j < width { gate.abs() * s + s } else { s };
            (g_a * other).abs() * slope * (2.0 * SIGMOID + 7.0) * U + 1e-8
        });
    });
}
