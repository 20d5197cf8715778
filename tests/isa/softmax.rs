//! Softmax, and through it the exponential that all kernels share.

use super::guarded::Guarded;
use super::{U, floats, lengths, message_of, random, wide};
use proptest::prelude::*;
use rand::RngExt;
use trm_kernels::Kernels;
use trm_kernels::reference::{self, assert_close, numeric_gradient};

/// What `exp` promises, in units of [`U`]: two ULP, each at most two of them.
const EXP: f64 = 4.0;

fn check(k: &Kernels, s: &[f32], (rows, cols): (usize, usize), scale: f32) {
    let (p, lse) = reference::softmax_rows(&wide(s), rows, cols, scale.into());
    let mut got = Guarded::new(s, (rows, cols), 1, 2);
    let mut got_lse = vec![f32::NAN; rows];
    let mut inverse = vec![f32::NAN; rows];
    k.softmax_forward(got.view(), &mut inverse, &mut got_lse, scale);
    for (i, inverse) in inverse.into_iter().enumerate() {
        got.view().row(i).iter_mut().for_each(|e| *e *= inverse);
    }
    // The scaled score, the scaled maximum and their difference are each rounded: an absolute error of
    // the exponent, so a relative one of p, twice, since the sum has it too. Then the sum's own roundings.
    let largest = s
        .iter()
        .fold(0.0, |m, s| f64::from((scale * s).abs()).max(m));
    let relative = 2.0 * (4.0 * U * largest + EXP * U) + (cols as f64 + 4.0) * U;
    assert_close("p", &got.values(), &p, |i| relative * p[i] + 2e-38);
    let lse_bound = relative + 4.0 * U * (largest + (cols as f64).ln());
    assert_close("lse", &got_lse, &lse, |_| lse_bound);

    let mut again = Guarded::new(s, (rows, cols), 0, 1);
    k.softmax_recompute(again.view(), &got_lse, scale);
    let relative = lse_bound + 4.0 * U * (2.0 * largest + 1.0) + EXP * U;
    assert_close("p again", &again.values(), &p, |i| relative * p[i] + 2e-38);
}

pub fn probabilities(k: &Kernels) {
    for cols in lengths(k).skip(1) {
        let s: Vec<f32> = floats(&mut random(cols as u64), 3 * cols)
            .iter()
            .map(|x| 9.0 * x)
            .collect();
        check(k, &s, (3, cols), 0.35);
    }
    check(k, &[], (0, 5), 1.0);
}

pub fn extreme_scores(k: &Kernels) {
    for cols in [1, 2, k.lanes() + 1, 3 * k.lanes()] {
        check(k, &vec![1e4; cols], (1, cols), 1.0);
        check(k, &vec![-1e4; cols], (1, cols), 1.0);
        let mut s = vec![-50.0; cols];
        s[cols - 1] = 60.0;
        check(k, &s, (1, cols), 1.0);
        s[cols / 2] = f32::NAN;
        let (mut inverse, mut lse) = ([0.0], [0.0]);
        let mut got = Guarded::new(&s, (1, cols), 0, 0);
        k.softmax_forward(got.view(), &mut inverse, &mut lse, 1.0);
        assert!(
            got.values()[cols / 2].is_nan() && lse[0].is_nan(),
            "a NaN among {cols} scores is lost"
        );
    }
}

pub fn scales_that_are_not_positive_panic(k: &Kernels) {
    for scale in [0.0, -0.5, f32::NAN] {
        let mut e = [1.0, 2.0];
        let said = message_of(&mut || {
            let e = trm_kernels::MatMut::new(&mut e, 1, 2);
            k.softmax_forward(e, &mut [0.0], &mut [0.0], scale);
        });
        assert!(said.contains(&format!("a scale of {scale}")), "{said}");
    }
}

/// With lse = 0 and scale = 1, recomputing is the exponential itself.
pub fn exponentials_are_within_two_ulp(k: &Kernels) {
    let rng = &mut random(4);
    let mut x: Vec<f32> = (0..200_000)
        .map(|_| rng.random_range(-87.33..88.37))
        .collect();
    x.extend((0..20_000).map(|_| rng.random_range(-1e-3..1e-3)));
    x.extend([0.0, -0.0, 1.0, -1.0, 1e-30, 88.37, -87.33]);
    let mut p = Guarded::new(&x, (1, x.len()), 0, 0);
    k.softmax_recompute(p.view(), &[0.0], 1.0);
    for (x, p) in x.iter().zip(p.values()) {
        let exact = f64::from(*x).exp();
        let ulp = f64::from(f32::from_bits((exact as f32).to_bits() + 1)) - f64::from(exact as f32);
        let error = (f64::from(p) - exact).abs() / ulp;
        assert!(error <= 2.0, "exp({x}) = {p}: {error} ULP");
    }
    for (x, expected) in [
        (-200.0, 0.0..2e-38),
        (f32::NEG_INFINITY, 0.0..2e-38),
        (200.0, 2e38..f32::INFINITY),
    ] {
        let mut p = [x];
        k.softmax_recompute(trm_kernels::MatMut::new(&mut p, 1, 1), &[0.0], 1.0);
        assert!(expected.contains(&p[0]), "exp({x}) = {}", p[0]);
    }
}

pub fn gradients_of_scores(k: &Kernels) {
    proptest!(ProptestConfig::with_cases(24), |(shape in (1..5_usize, 1..70_usize), seed: u64)| {
        let (rows, cols) = shape;
        let scale = 0.6_f32;
        let rng = &mut random(seed);
        let s: Vec<f32> = floats(rng, rows * cols).iter().map(|x| 4.0 * x).collect();
        let g = floats(rng, rows * cols);
        let (p, _) = reference::softmax_rows(&wide(&s), rows, cols, scale.into());
        let p32: Vec<f32> = p.iter().map(|&p| p as f32).collect();
        let dot = |i: usize| (i * cols..(i + 1) * cols).map(|at| f64::from(g[at]) * p[at]).sum::<f64>();
        let delta: Vec<f32> = (0..rows).map(|i| dot(i) as f32).collect();
        let p_view = Guarded::new(&p32, shape, 1, 1);
        let mut d = Guarded::new(&g, shape, 2, 3);
        k.softmax_backward(d.view(), p_view.read(), &delta, scale);

        let loss = |s: &[f64]| -> f64 {
            let (p, _) = reference::softmax_rows(s, rows, cols, scale.into());
            p.iter().zip(&g).map(|(p, &g)| p * f64::from(g)).sum()
        };
        let expected = numeric_gradient(loss, &wide(&s), 1e-5);
        // c p (g - delta): p, delta, the difference, and two products are rounded.
        assert_close("d_s", &d.values(), &expected, |at| {
            let size = g[at].abs() + delta[at / cols].abs();
            f64::from(scale * size) * p[at] * 6.0 * U + 1e-9
        });
    });
}
