//! Rotary position embedding.

use super::guarded::Guarded;
use super::{U, floats, random, wide};
use proptest::prelude::*;
use trm_kernels::reference::{self, assert_close, numeric_gradient};
use trm_kernels::{Kernels, MatRef, rope};

/// The tables as the engine makes them.
fn tables(positions: usize, width: usize, theta: f64) -> [Vec<f32>; 2] {
    let mut tables = [(); 2].map(|()| vec![f32::NAN; positions * width / 2]);
    let [cos, sin] = &mut tables;
    rope::tables(cos, sin, width, theta);
    tables
}

/// The largest error of x1 cos - x2 sin: both tables, both products and the sum are rounded.
fn bound(x: &[f64], at: usize, width: usize) -> f64 {
    let half = width / 2;
    let other = if at % width < half {
        at + half
    } else {
        at - half
    };
    3.0 * U * (x[at].abs() + x[other].abs())
}

fn check(k: &Kernels, (positions, heads, half): (usize, usize, usize), seed: u64) {
    let (width, theta) = (2 * half, 10_000.0);
    let shape = (positions, heads * width);
    let x = floats(&mut random(seed), shape.0 * shape.1);
    let [cos, sin] = tables(positions, width, theta);
    let [cos, sin] = [&cos, &sin].map(|table| MatRef::new(table, positions, half));
    let mut turned = Guarded::new(&x, shape, 1, 2);
    k.rope_forward(turned.view(), cos, sin);
    let wide_x = wide(&x);
    let expected = reference::rope(&wide_x, positions, heads, width, theta);
    assert_close("turned", &turned.values(), &expected, |at| {
        bound(&wide_x, at, width)
    });
}

pub fn turns(k: &Kernels) {
    for half in 1..=2 * k.lanes() + 3 {
        check(k, (5, 2, half), half as u64);
    }
    check(k, (97, 3, 21), 1); // 12 heads on 512 give heads of 42
    check(k, (0, 2, 4), 2);
}

pub fn gradients_of_turns(k: &Kernels) {
    proptest!(ProptestConfig::with_cases(16), |(positions in 1..6_usize, heads in 1..3_usize, half in 1..20_usize, seed: u64)| {
        let (width, theta) = (2 * half, 50.0);
        let shape = (positions, heads * width);
        let rng = &mut random(seed);
        let (x, g) = (floats(rng, shape.0 * shape.1), floats(rng, shape.0 * shape.1));
        let [cos, sin] = tables(positions, width, theta);
        let [cos, sin] = [&cos, &sin].map(|table| MatRef::new(table, positions, half));
        let mut d = Guarded::new(&g, shape, 3, 1);
        k.rope_backward(d.view(), cos, sin);
        let g = wide(&g);
        let loss = |x: &[f64]| -> f64 {
            let y = reference::rope(x, positions, heads, width, theta);
            y.iter().zip(&g).map(|(y, g)| y * g).sum()
        };
        let expected = numeric_gradient(loss, &wide(&x), 0.5);
        assert_close("d_x", &d.values(), &expected, |at| bound(&g, at, width) + 1e-13);
    });
}
