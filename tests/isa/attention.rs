//! Attention as a whole: its blocks, heads and strides.

use super::guarded::Guarded;
use super::{U, floats, message_of, panics, random, wide};
use proptest::prelude::*;
use trm_kernels::reference::{self, assert_close, numeric_gradient};
use trm_kernels::{Kernels, MatMut, MatRef, attention};

/// What one rounding does to the outputs: every product of E or S terms, the exponent, the sum, with
/// scores of at most `largest` and values of at most one.
fn relative_bound(positions: usize, width: usize, largest: f64) -> f64 {
    let score = 2.0 * width as f64 * U * (width as f64).sqrt(); // sum |q k| / sqrt(E) <= sqrt(E)
    2.0 * (score + 4.0 * U * largest + 4.0 * U) + (3.0 * positions as f64 + 8.0) * U
}

fn check(k: &Kernels, (positions, heads, width): (usize, usize, usize), seed: u64) {
    let (inner, shape) = (heads * width, (positions, 3 * heads * width));
    let qkv = floats(&mut random(seed), positions * 3 * inner);
    let qkv_view = Guarded::new(&qkv, shape, 1, 3);
    let mut o = Guarded::poisoned((positions, inner), 2, 1);
    let mut lse = vec![f32::NAN; heads * positions];
    let mut scratch = vec![f32::NAN; attention::scratch_len(k, positions, width)];
    attention::forward(k, o.view(), &mut lse, qkv_view.read(), heads, &mut scratch);
    let expected = reference::attention(&wide(&qkv), positions, heads, width);
    let bound = relative_bound(positions, width, (width as f64).sqrt());
    assert_close("o", &o.values(), &expected, |_| bound);
    assert!(lse.iter().all(|lse| lse.is_finite()));
}

pub fn outputs(k: &Kernels) {
    for positions in [0, 1, 2, 17, 63, 64, 65, 97, 129] {
        for (heads, width) in [(1, 1), (2, 5), (3, 16)] {
            check(k, (positions, heads, width), positions as u64);
        }
    }
    // The paper's: its 9x9 boards, and its heads.
    check(k, (97, 2, 64), 5);
}

/// Each thread has rows of its own, more of them than a block or fewer.
pub fn threads_give_the_same_bits(k: &Kernels) {
    for (positions, heads, width) in [(5, 2, 3), (85, 1, 3), (300, 2, 5), (916, 1, 8)] {
        let (inner, shape) = (heads * width, (positions, 3 * heads * width));
        let qkv = floats(&mut random(positions as u64), positions * 3 * inner);
        let qkv = Guarded::new(&qkv, shape, 1, 3);
        let forward = |threads: usize| {
            let mut o = Guarded::poisoned((positions, inner), 2, 1);
            let mut lse = vec![f32::NAN; heads * positions];
            let mut scratch = vec![f32::NAN; threads * attention::scratch_len(k, positions, width)];
            let (o_view, qkv) = (o.view(), qkv.read());
            attention::forward_on_threads(k, o_view, &mut lse, qkv, heads, &mut scratch, threads);
            [o.values(), lse].map(|all| all.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        };
        let alone = forward(1);
        for threads in [2, 3, 8] {
            assert!(
                forward(threads) == alone,
                "{positions} positions, {threads} threads"
            );
        }
    }
}

pub fn gradients_of_qkv(k: &Kernels) {
    let sizes = (
        prop_oneof![1..9_usize, 64..67_usize],
        1..3_usize,
        1..5_usize,
    );
    proptest!(ProptestConfig::with_cases(10), |((positions, heads, width) in sizes, seed: u64)| {
        let (inner, shape) = (heads * width, (positions, 3 * heads * width));
        let rng = &mut random(seed);
        let (qkv, g) = (floats(rng, positions * 3 * inner), floats(rng, positions * inner));
        let qkv_view = Guarded::new(&qkv, shape, 0, 2);
        let g_view = Guarded::new(&g, (positions, inner), 3, 1);
        let mut o = Guarded::poisoned((positions, inner), 0, 0);
        let mut lse = vec![f32::NAN; heads * positions];
        let mut scratch = vec![f32::NAN; attention::scratch_len(k, positions, width)];
        attention::forward(k, o.view(), &mut lse, qkv_view.read(), heads, &mut scratch);
        let mut d_qkv = Guarded::poisoned(shape, 1, 3);
        let saved = attention::Saved { qkv: qkv_view.read(), o: o.read(), lse: &lse };
        scratch.fill(f32::NAN);
        attention::backward(k, d_qkv.view(), g_view.read(), saved, heads, &mut scratch);

        let loss = |qkv: &[f64]| -> f64 {
            let o = reference::attention(qkv, positions, heads, width);
            o.iter().zip(&g).map(|(o, &g)| o * f64::from(g)).sum()
        };
        let expected = numeric_gradient(loss, &wide(&qkv), 1e-4);
        // Sums of p d_o over rows (v) or of d_s times q or k (at most 2 E / sqrt(E) p each): no element is
        // larger than 2 sqrt(E) S, and each goes through the forward pass's errors and one more product.
        let relative = 2.0 * relative_bound(positions, width, (width as f64).sqrt());
        let size = 2.0 * (width as f64).sqrt() * (positions as f64).sqrt();
        assert_close("d_qkv", &d_qkv.values(), &expected, |_| relative * size + 1e-7);
    });
}

/// d_qkv in f64, by the formulas of [`attention`], and for each element the sum of the sizes of its terms.
fn backward(
    qkv: &[f64],
    g: &[f64],
    (positions, heads, width): (usize, usize, usize),
) -> (Vec<f64>, Vec<f64>) {
    let (s, scale) = (positions, 1.0 / (width as f64).sqrt());
    let at = |part: usize, head: usize, i: usize| (i * 3 + part) * heads * width + head * width;
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let dot_of_sizes = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a * b).abs()).sum();
    let (mut d, mut sizes) = (vec![0.0; qkv.len()], vec![0.0; qkv.len()]);
    for head in 0..heads {
        let row = |part: usize, i: usize| &qkv[at(part, head, i)..][..width];
        let of_scores: Vec<_> = (0..s * s)
            .map(|ij| dot(row(0, ij / s), row(1, ij % s)))
            .collect();
        let (p, _) = reference::softmax_rows(&of_scores, s, s, scale);
        for i in 0..s {
            let (p, g) = (&p[i * s..][..s], &g[(i * heads + head) * width..][..width]);
            let d_p: Vec<_> = (0..s).map(|j| dot(g, row(2, j))).collect();
            let d_p_sizes: Vec<f64> = (0..s).map(|j| dot_of_sizes(g, row(2, j))).collect();
            let (delta, delta_size) = (dot(p, &d_p), dot(p, &d_p_sizes));
            for j in 0..s {
                let d_s = scale * p[j] * (d_p[j] - delta);
                let d_s_size = scale * p[j] * (d_p_sizes[j] + delta_size);
                for e in 0..width {
                    for (part, of, factor, size, x) in [
                        (0, i, d_s, d_s_size, row(1, j)[e]),
                        (1, j, d_s, d_s_size, row(0, i)[e]),
                        (2, j, p[j], p[j], g[e]),
                    ] {
                        d[at(part, head, of) + e] += factor * x;
                        sizes[at(part, head, of) + e] += size * x.abs();
                    }
                }
            }
        }
    }
    (d, sizes)
}

/// As many rows as a block of queries has at most (125), more, and more keys than one of theirs (256); and the heads of
/// the paper.
pub fn gradients_across_blocks(k: &Kernels) {
    for (positions, heads, width) in [
        (3, 2, 2),
        (125, 1, 3),
        (126, 2, 3),
        (211, 1, 4),
        (257, 2, 3),
        (300, 1, 5),
        (97, 2, 64),
    ] {
        let size = (positions, heads, width);
        let (inner, shape) = (heads * width, (positions, 3 * heads * width));
        let rng = &mut random(positions as u64);
        let (qkv, g) = (
            floats(rng, positions * 3 * inner),
            floats(rng, positions * inner),
        );
        let qkv_view = Guarded::new(&qkv, shape, 0, 2);
        let g_view = Guarded::new(&g, (positions, inner), 3, 1);
        let mut o = Guarded::poisoned((positions, inner), 0, 0);
        let mut lse = vec![f32::NAN; heads * positions];
        let mut scratch = vec![f32::NAN; attention::scratch_len(k, positions, width)];
        attention::forward(k, o.view(), &mut lse, qkv_view.read(), heads, &mut scratch);
        let mut d_qkv = Guarded::poisoned(shape, 1, 3);
        let (qkv_view, o) = (qkv_view.read(), o.read());
        let saved = attention::Saved {
            qkv: qkv_view,
            o,
            lse: &lse,
        };
        scratch.fill(f32::NAN);
        attention::backward(k, d_qkv.view(), g_view.read(), saved, heads, &mut scratch);

        let (qkv, g) = (wide(&qkv), wide(&g));
        let (expected, sizes) = backward(&qkv, &g, size);
        if positions < 9 {
            let loss = |qkv: &[f64]| -> f64 {
                let o = reference::attention(qkv, positions, heads, width);
                o.iter().zip(&g).map(|(o, g)| o * g).sum()
            };
            for (d, numeric) in expected.iter().zip(numeric_gradient(loss, &qkv, 1e-4)) {
                assert!((d - numeric).abs() < 1e-7, "{d} is not {numeric}");
            }
        }
        // p has the errors of the forward pass, and so has o in delta; then come the sums of E and of S terms.
        let relative = 3.0 * relative_bound(positions, width, (width as f64).sqrt());
        assert_close(
            &format!("d_qkv of {size:?}"),
            &d_qkv.values(),
            &expected,
            |i| relative * sizes[i],
        );
    }
}

/// Every operand in turn a row or a column off, also where it is larger than need be.
pub fn sizes_that_disagree_panic(k: &Kernels) {
    let (positions, heads, width) = (5, 2, 3);
    let inner = heads * width;
    let zeros = vec![0.0; 200];
    let mut scratch = vec![0.0; attention::scratch_len(k, 8, 8)];
    // qkv, o, lse, d_qkv and d_o
    let right = [
        (positions, 3 * inner),
        (positions, inner),
        (1, heads * positions),
        (positions, 3 * inner),
        (positions, inner),
    ];
    let mut fails = |shapes: [(usize, usize); 5], heads: usize| {
        let [qkv, o, d_qkv, d_o] =
            [0, 1, 3, 4].map(|i| (shapes[i], MatRef::new(&zeros, shapes[i].0, shapes[i].1)));
        let lse = shapes[2].0 * shapes[2].1;
        let forward = panics(&mut || {
            let (mut to, mut lse) = (vec![0.0; 200], vec![0.0; lse]);
            let o = MatMut::new(&mut to, o.0.0, o.0.1);
            attention::forward(k, o, &mut lse, qkv.1, heads, &mut scratch);
        });
        let backward = panics(&mut || {
            let mut to = vec![0.0; 200];
            let d_qkv = MatMut::new(&mut to, d_qkv.0.0, d_qkv.0.1);
            let saved = attention::Saved {
                qkv: qkv.1,
                o: o.1,
                lse: &zeros[..lse],
            };
            attention::backward(k, d_qkv, d_o.1, saved, heads, &mut scratch);
        });
        (forward, backward)
    };
    assert_eq!(fails(right, heads), (false, false));
    let each = attention::scratch_len(k, positions, width);
    let says_both = |said: String, threads: usize| {
        let sizes = [threads * each - 1, threads * each].map(|size| size.to_string());
        assert!(sizes.iter().all(|size| said.contains(size)), "{said}");
    };
    let qkv = MatRef::new(&zeros, positions, 3 * inner);
    for threads in [1, 2] {
        let (mut o, mut lse) = (vec![0.0; positions * inner], vec![0.0; positions * heads]);
        let mut short = vec![0.0; threads * each - 1];
        let said = message_of(&mut || {
            let o = MatMut::new(&mut o, positions, inner);
            attention::forward_on_threads(k, o, &mut lse, qkv, heads, &mut short, threads);
        });
        says_both(said, threads);
    }
    let (mut to, mut short) = (vec![0.0; 3 * positions * inner], vec![0.0; each - 1]);
    let d_o = MatRef::new(&zeros, positions, inner);
    let saved = attention::Saved {
        qkv,
        o: d_o,
        lse: &zeros[..heads * positions],
    };
    let said = message_of(&mut || {
        let d_qkv = MatMut::new(&mut to, positions, 3 * inner);
        attention::backward(k, d_qkv, d_o, saved, heads, &mut short);
    });
    says_both(said, 1);
    assert_eq!(fails(right, 4), (true, true), "columns of four heads");
    assert_eq!(fails(right, 0), (true, true), "no heads");
    for i in 0..right.len() {
        for (row, column) in [(1, 0), (0, 1)] {
            let [mut larger, mut smaller] = [right; 2];
            larger[i] = (right[i].0 + row, right[i].1 + column);
            smaller[i] = (right[i].0 - row, right[i].1 - column);
            for shapes in [larger, smaller] {
                // The forward pass has no gradients.
                assert_eq!(fails(shapes, heads), (i < 3, true), "{shapes:?}");
            }
        }
    }
}
