//! The matrix product in all its forms.

use super::guarded::Guarded;
use super::{floats, message_of, panics, random, wide};
use proptest::prelude::*;
use rand::RngExt;
use trm_kernels::matmul::half::CHUNK;
use trm_kernels::matmul::{KC, MC, NC};
use trm_kernels::reference::{self, assert_close, matmul_bound, matmul_bound_in_halves};
use trm_kernels::{Kernels, Lhs, MatMut, MatRef, Packed, Precision, Rhs, SCRATCH, Write};

/// How an operand is handed over.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Plain,
    Transposed,
    /// Packed from the matrix itself.
    Packed,
    /// Packed from its transpose.
    PackedTransposed,
}

const FORMS: [Form; 4] = [
    Form::Plain,
    Form::Transposed,
    Form::Packed,
    Form::PackedTransposed,
];

/// The two factors, as they are and transposed.
struct Factors {
    a: Vec<f32>,
    b: Vec<f32>,
    a_t: Vec<f32>,
    b_t: Vec<f32>,
    /// m, n, k
    size: (usize, usize, usize),
}

fn transpose(x: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..rows * cols)
        .map(|at| x[at % rows * cols + at / rows])
        .collect()
}

impl Factors {
    fn random((m, n, k): (usize, usize, usize), seed: u64) -> Self {
        let rng = &mut random(seed);
        let (a, b) = (floats(rng, m * k), floats(rng, k * n));
        Self::new((m, n, k), a, b)
    }

    fn new((m, n, k): (usize, usize, usize), a: Vec<f32>, b: Vec<f32>) -> Self {
        let (a_t, b_t) = (transpose(&a, m, k), transpose(&b, k, n));
        Factors {
            a,
            b,
            a_t,
            b_t,
            size: (m, n, k),
        }
    }

    /// The product as `kernels` computes it, onto `c` where there is one.
    fn product(&self, kernels: &Kernels, forms: (Form, Form), c: Option<&[f32]>) -> Vec<f32> {
        self.product_on_threads(kernels, forms, c, 1)
    }

    fn product_on_threads(
        &self,
        kernels: &Kernels,
        forms: (Form, Form),
        c: Option<&[f32]>,
        threads: usize,
    ) -> Vec<f32> {
        let (m, n, k) = self.size;
        let (mut scratch, gap) = (vec![f32::NAN; threads * SCRATCH], 3);
        let mut packed_a = vec![f32::NAN; kernels.packed_lhs_len(m, k)];
        let mut packed_b = vec![f32::NAN; kernels.packed_rhs_len(n, k)];
        let (a, a_t) = (
            Guarded::new(&self.a, (m, k), 1, gap),
            Guarded::new(&self.a_t, (k, m), 2, gap),
        );
        let (b, b_t) = (
            Guarded::new(&self.b, (k, n), 3, gap),
            Guarded::new(&self.b_t, (n, k), 0, gap),
        );
        let lhs = match forms.0 {
            Form::Plain => Lhs::Plain(a.read()),
            Form::Transposed => Lhs::Transposed(a_t.read()),
            Form::Packed => {
                kernels.pack_lhs(&mut packed_a, Lhs::Plain(a.read()));
                Lhs::Packed(Packed::new(&packed_a, m, k))
            }
            Form::PackedTransposed => {
                kernels.pack_lhs(&mut packed_a, Lhs::Transposed(a_t.read()));
                Lhs::Packed(Packed::new(&packed_a, m, k))
            }
        };
        let rhs = match forms.1 {
            Form::Plain => Rhs::Plain(b.read()),
            Form::Transposed => Rhs::Transposed(b_t.read()),
            Form::Packed => {
                kernels.pack_rhs(&mut packed_b, Rhs::Plain(b.read()));
                Rhs::Packed(Packed::new(&packed_b, n, k))
            }
            Form::PackedTransposed => {
                kernels.pack_rhs(&mut packed_b, Rhs::Transposed(b_t.read()));
                Rhs::Packed(Packed::new(&packed_b, n, k))
            }
        };
        let (write, mut c) = match c {
            Some(c) => (Write::Add, Guarded::new(c, (m, n), 5, gap)),
            None => (Write::Overwrite, Guarded::poisoned((m, n), 5, gap)),
        };
        kernels.matmul_on_threads(c.view(), lhs, rhs, write, &mut scratch, threads);
        c.values()
    }

    /// Compares every form, overwriting and adding, with the reference.
    fn check(&self, kernels: &Kernels, forms: &[Form]) {
        let (m, n, k) = self.size;
        let (a, b) = (wide(&self.a), wide(&self.b));
        let exact = reference::matmul(&a, &b, m, n, k);
        let (bound, chain) = match kernels.precision() {
            Precision::F32 => (matmul_bound(&a, &b, m, n, k), KC),
            Precision::F16 => (matmul_bound_in_halves(&a, &b, m, n, k), CHUNK),
        };
        let start = floats(&mut random(1), m * n);
        let added: Vec<f64> = exact
            .iter()
            .zip(&start)
            .map(|(x, &c)| x + f64::from(c))
            .collect();
        for &lhs in forms {
            for &rhs in forms {
                let what = format!("{m} x {n} x {k}, {lhs:?} · {rhs:?}");
                let c = self.product(kernels, (lhs, rhs), None);
                assert_close(&what, &c, &exact, |i| bound[i]);
                let c = self.product(kernels, (lhs, rhs), Some(&start));
                // Each chain adds to c once more.
                let onto = |i: usize| {
                    let chains = k.div_ceil(chain) as f64;
                    bound[i]
                        + chains
                            * super::U
                            * (f64::from(start[i]).abs() + bound[i] + exact[i].abs())
                };
                assert_close(&format!("{what}, added"), &c, &added, onto);
            }
        }
    }
}

pub fn every_form_at_the_edges_of_tiles(kernels: &Kernels) {
    let (mr, nr) = kernels.tile();
    for m in [0, 1, mr - 1, mr, mr + 1, 2 * mr + 1] {
        for n in [0, 1, nr - 1, nr, nr + 1, 2 * nr + 1] {
            for k in [0, 1, 2, 7] {
                Factors::random((m, n, k), (m * 1000 + n) as u64).check(kernels, &FORMS);
            }
        }
    }
}

pub fn every_form_across_blocks(kernels: &Kernels) {
    for size in [
        (5, 7, KC - 1),
        (5, 7, KC),
        (5, 7, KC + 1),
        (3, 5, 2 * KC + 1),
        (MC + 1, 3, 5),
        (2 * MC, 2, KC + 2),
        (3, NC + 1, 5),
        (2, 2 * NC, KC + 2),
        (MC + 3, NC + 3, KC + 3),
    ] {
        Factors::random(size, 5).check(kernels, &FORMS);
    }
}

pub fn any_size(kernels: &Kernels) {
    let size = (0..70_usize, 0..70_usize, 0..70_usize);
    proptest!(ProptestConfig::with_cases(48), |(size in size, seed: u64)| {
        Factors::random(size, seed).check(kernels, &FORMS);
    });
}

/// The promise behind bit-identical training: neither other rows nor other columns change an element.
pub fn an_element_depends_on_its_row_and_column_alone(kernels: &Kernels) {
    let (m, n, k) = (2 * MC + 5, NC + 9, KC + 30);
    let whole = Factors::random((m, n, k), 3);
    let c = whole.product(kernels, (Form::Plain, Form::Plain), None);
    for (i, j) in [(0, 0), (MC, NC), (m - 1, n - 1), (17, 33)] {
        let a = whole.a[i * k..(i + 1) * k].to_vec();
        let b: Vec<f32> = (0..k).map(|p| whole.b[p * n + j]).collect();
        let alone = Factors {
            a_t: a.clone(),
            b_t: b.clone(),
            a,
            b,
            size: (1, 1, k),
        };
        for forms in FORMS.map(|form| (form, form)) {
            let x = alone.product(kernels, forms, None);
            assert_eq!(
                x[0].to_bits(),
                c[i * n + j].to_bits(),
                "row {i}, column {j}, {forms:?}"
            );
        }
    }
}

/// Large enough to be shared, with rows that do not divide evenly.
pub fn threads_that_share_a_product_change_no_bit(kernels: &Kernels) {
    let bits = |c: Vec<f32>| c.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    for (m, n, k) in [(97, 70, 65), (kernels.tile().0 + 1, 300, KC + 9)] {
        let factors = Factors::random((m, n, k), 6);
        let start = floats(&mut random(2), m * n);
        for lhs in FORMS {
            for rhs in FORMS {
                let forms = (lhs, rhs);
                let alone = bits(factors.product(kernels, forms, Some(&start)));
                for threads in [2, 3, 5] {
                    let c = factors.product_on_threads(kernels, forms, Some(&start), threads);
                    assert!(
                        bits(c) == alone,
                        "{m} x {n} x {k}, {forms:?}, {threads} threads"
                    );
                }
            }
        }
    }
}

/// Rows of A and the whole of B far beyond what a half can hold, above and below.
pub fn factors_of_any_scale(kernels: &Kernels) {
    let (m, n, k) = (40, 70, KC + 5);
    let mut factors = Factors::random((m, n, k), 9);
    for (i, row) in factors.a.chunks_exact_mut(k).enumerate() {
        row.iter_mut()
            .for_each(|x| *x *= 2f32.powi(4 * i as i32 - 80));
    }
    factors.b.iter_mut().for_each(|x| *x *= 2f32.powi(33));
    factors.a[3 * k..4 * k].fill(0.0);
    factors.a_t = transpose(&factors.a, m, k);
    factors.b_t = transpose(&factors.b, k, n);
    factors.check(kernels, &FORMS);
}

pub fn what_is_not_a_number_stays_so(kernels: &Kernels) {
    let mut factors = Factors::random((9, 11, 13), 8);
    factors.a[4 * 13 + 2] = f32::NAN;
    let c = factors.product(kernels, (Form::Plain, Form::Plain), None);
    for (at, x) in c.iter().enumerate() {
        assert_eq!(x.is_nan(), at / 11 == 4, "element {at}");
    }
    factors.a[4 * 13 + 2] = f32::INFINITY;
    let c = factors.product(kernels, (Form::Plain, Form::Plain), None);
    for (at, x) in c.iter().enumerate() {
        assert_eq!(x.is_finite(), at / 11 != 4, "element {at}");
    }
}

/// Small integers: every sum is exact, in halves too, where the bound is wide enough to hide a product that is missing.
pub fn products_of_integers_are_exact(kernels: &Kernels) {
    let (mr, nr) = kernels.tile();
    for k in [1, CHUNK, CHUNK + 1, KC - 1, KC + 1, 2 * KC + 1] {
        for (m, n) in [(1, 1), (mr, nr), (2 * mr + 1, nr + 1)] {
            let rng = &mut random((k * 100 + m) as u64);
            let mut integers = |len: usize| -> Vec<f32> {
                (0..len).map(|_| rng.random_range(-3..=3) as f32).collect()
            };
            let (a, b, start) = (integers(m * k), integers(k * n), integers(m * n));
            let factors = Factors::new((m, n, k), a, b);
            let exact = reference::matmul(&wide(&factors.a), &wide(&factors.b), m, n, k);
            let added: Vec<f64> = exact.iter().zip(wide(&start)).map(|(x, c)| x + c).collect();
            for lhs in FORMS {
                for rhs in FORMS {
                    let what = format!("{m} x {n} x {k}, {lhs:?} · {rhs:?}");
                    let c = factors.product(kernels, (lhs, rhs), None);
                    assert_close(&what, &c, &exact, |_| 0.0);
                    let c = factors.product(kernels, (lhs, rhs), Some(&start));
                    assert_close(&format!("{what}, added"), &c, &added, |_| 0.0);
                }
            }
        }
    }
}

/// A packed operand one float off, or packed in the other precision; and with threads that share the product, a A taller
/// than C, which has room for all that they cut out of it.
pub fn operands_that_do_not_fit_panic(kernels: &Kernels) {
    let (m, n, k) = (97, 70, 65);
    let (a, b) = (vec![1.0; 110 * k], vec![1.0; k * n]);
    let b_view = MatRef::new(&b, k, n);
    let packed_a = |kernels: &Kernels, rows: usize| {
        let mut packed = vec![0.0; kernels.packed_lhs_len(rows, k)];
        kernels.pack_lhs(&mut packed, Lhs::Plain(MatRef::new(&a, rows, k)));
        packed
    };
    let packed_b = |kernels: &Kernels| {
        let mut packed = vec![0.0; kernels.packed_rhs_len(n, k)];
        kernels.pack_rhs(&mut packed, Rhs::Plain(b_view));
        packed
    };
    let (mut c, mut scratch) = (vec![0.0; m * n], vec![0.0; 2 * SCRATCH]);
    let mut shared = vec![0.0; m * n];
    let mut fails = |a: Lhs<'_>, b: Rhs<'_>, threads: usize| {
        panics(&mut || {
            let c = MatMut::new(&mut c, m, n);
            kernels.matmul_on_threads(c, a, b, Write::Overwrite, &mut scratch, threads);
        })
    };
    let mut short = vec![0.0; 2 * SCRATCH - 1];
    let said = message_of(&mut || {
        let a = Lhs::Plain(MatRef::new(&a, m, k));
        let (c, b) = (MatMut::new(&mut shared, m, n), Rhs::Plain(b_view));
        kernels.matmul_on_threads(c, a, b, Write::Overwrite, &mut short, 2);
    });
    let sizes = [2 * SCRATCH - 1, 2 * SCRATCH].map(|size| size.to_string());
    assert!(sizes.iter().all(|size| said.contains(size)), "{said}");
    let (left, right, taller) = (
        packed_a(kernels, m),
        packed_b(kernels),
        packed_a(kernels, 110),
    );
    let other = match kernels.precision() {
        Precision::F32 => kernels.emulating_halves(),
        Precision::F16 => kernels.in_floats(),
    };
    let (other_left, other_right) = (packed_a(other, m), packed_b(other));
    let plain = Lhs::Plain(MatRef::new(&a, m, k));
    let lhs = |data| Lhs::Packed(Packed::new(data, m, k));
    let rhs = |data| Rhs::Packed(Packed::new(data, n, k));
    for threads in [1, 2] {
        assert!(!fails(lhs(&left), rhs(&right), threads));
        assert!(fails(lhs(&left[1..]), rhs(&right), threads), "a short A");
        assert!(fails(plain, rhs(&right[1..]), threads), "a short B");
        assert!(fails(lhs(&taller), rhs(&right), threads), "a long A");
        assert!(fails(lhs(&other_left), rhs(&right), threads), "another's A");
        assert!(fails(plain, rhs(&other_right), threads), "another's B");
        let packed_taller = Lhs::Packed(Packed::new(&taller, 110, k));
        let plain_taller = Lhs::Plain(MatRef::new(&a, 110, k));
        for taller in [packed_taller, plain_taller] {
            assert!(fails(taller, rhs(&right), threads), "A taller than C");
        }
    }
}
