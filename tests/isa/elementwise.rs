//! Sums, scalings and dot products.

use super::guarded::Guarded;
use super::{U, floats, lengths, message_of, panics, random, wide};
use trm_kernels::reference::assert_close;
use trm_kernels::{Kernels, MatMut, MatRef};

pub fn add_and_scale(k: &Kernels) {
    for len in lengths(k) {
        for offset in 0..k.lanes() {
            let rng = &mut random((len * 64 + offset) as u64);
            let (a, b) = (floats(rng, len), floats(rng, len));
            let sum: Vec<f64> = a
                .iter()
                .zip(&b)
                .map(|(&a, &b)| f64::from(a) + f64::from(b))
                .collect();
            let bound = |i: usize| U * sum[i].abs();

            let mut y = Guarded::poisoned((1, len), offset, 0);
            k.add(y.view().row(0), &a, &b);
            assert_close("a + b", &y.values(), &sum, bound);

            let mut y = Guarded::new(&a, (1, len), offset, 0);
            k.add_acc(y.view().row(0), &b);
            assert_close("a += b", &y.values(), &sum, bound);

            let mut y = Guarded::new(&a, (1, len), offset, 0);
            k.scale(y.view().row(0), -1.75);
            let scaled: Vec<f64> = a.iter().map(|&a| -1.75 * f64::from(a)).collect();
            assert_close("a *= -1.75", &y.values(), &scaled, |i| U * scaled[i].abs());
        }
    }
}

pub fn row_dots(k: &Kernels) {
    for len in lengths(k) {
        let rng = &mut random(len as u64);
        let (a, b) = (floats(rng, 3 * len), floats(rng, 3 * len));
        let [a_view, b_view] =
            [(&a, 1), (&b, 2)].map(|(x, gap)| Guarded::new(x, (3, len), gap, gap));
        let mut dots = Guarded::poisoned((1, 3), 1, 0);
        k.row_dots(dots.view().row(0), a_view.read(), b_view.read());
        let products: Vec<f64> = wide(&a).iter().zip(&wide(&b)).map(|(a, b)| a * b).collect();
        let row = |i: usize| products[i * len..(i + 1) * len].iter();
        let expected: Vec<f64> = (0..3).map(|i| row(i).sum()).collect();
        assert_close("dots", &dots.values(), &expected, |i| {
            2.0 * len as f64 * U * row(i).map(|x| x.abs()).sum::<f64>()
        });
    }
}

pub fn shapes_that_disagree_panic(k: &Kernels) {
    let (long, short) = (vec![1.0; 40], vec![1.0; 39]);
    let mut y = vec![0.0; 40];
    assert!(panics(&mut || k.add(&mut y, &long, &short)));
    assert!(panics(&mut || k.add(&mut y, &short, &long)));
    assert!(panics(&mut || k.add_acc(&mut y, &short)));
    // Nor is anything left out.
    let mut y_short = vec![0.0; 39];
    assert!(panics(&mut || k.add(&mut y_short, &short, &long)));
    assert!(panics(&mut || k.add(&mut y_short, &long, &short)));
    assert!(panics(&mut || k.add_acc(&mut y_short, &long)));
    assert!(!panics(&mut || k.add_acc(&mut y_short, &short)));
    assert!(!panics(&mut || k.add(&mut y, &long, &long)));
    let said = message_of(&mut || k.add(&mut y, &long, &short));
    assert!(said.contains("39 floats, expected 40"), "{said}");
}

/// Each with `d`, 3 x 5, and another operand that should have its shape.
type OfTwo = fn(&Kernels, MatMut<'_>, MatRef<'_>);

const OF_TWO: [(&str, OfTwo); 5] = [
    ("norm", |k, d, x| {
        k.rms_norm_forward(d, &mut [0.0; 3], Some(x), 1.0);
    }),
    ("norm, backward", |k, d, x| {
        k.rms_norm_backward(d, x, &[1.0; 3]);
    }),
    ("norm of columns", |k, d, x| {
        k.rms_norm_columns_forward(d, &mut [0.0; 5], Some(x), 1.0);
    }),
    ("norm of columns, backward", |k, d, x| {
        k.rms_norm_columns_backward(d, &mut [0.0; 5], x, &[1.0; 5]);
    }),
    ("softmax, backward", |k, d, x| {
        k.softmax_backward(d, x, &[0.0; 3], 1.0);
    }),
];

pub fn matrices_that_disagree_panic(k: &Kernels) {
    let x = [1.0; 24];
    for (what, kernel) in OF_TWO {
        for (rows, cols) in [(3, 5), (2, 5), (4, 5), (3, 4), (3, 6)] {
            let mut d = [1.0; 15];
            let fails = panics(&mut || {
                kernel(k, MatMut::new(&mut d, 3, 5), MatRef::new(&x, rows, cols));
            });
            assert_eq!(fails, (rows, cols) != (3, 5), "{what}, {rows} x {cols}");
        }
        let said = message_of(&mut || {
            kernel(k, MatMut::new(&mut [1.0; 15], 3, 5), MatRef::new(&x, 3, 6));
        });
        let sizes = ["3 x 5", "3 x 6"];
        assert!(
            sizes.iter().all(|size| said.contains(size)),
            "{what}: {said}"
        );
    }
}

/// The chains of the measured peak are real: each tends to 1 from 1.5.
pub fn chains_of_multiply_adds(k: &Kernels) {
    let chains = trm_kernels::peak::flops(k, 1) / (2 * k.lanes());
    assert!((6..=24).contains(&chains), "{chains} chains");
    for (rounds, chain) in [(0, 1.5), (1, 1.0 + 0.5 * 0.999), (20_000, 1.0)] {
        let mut out = vec![f32::NAN; k.lanes()];
        k.multiply_add_chains(&mut out, rounds);
        let expected = vec![chains as f64 * chain; k.lanes()];
        // Three roundings a round (a, the product, the sum), and 0.999 of all earlier errors lives on.
        let bound = expected[0] * 3.0 * 0.5_f64.powi(24) / (1.0 - 0.999);
        assert_close("sum of the chains", &out, &expected, |_| bound);
    }
}
