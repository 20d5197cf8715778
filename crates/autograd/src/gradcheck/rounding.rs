//! Numbers that know how far f32 arithmetic may stray from them.
//!
//! A running error analysis (Higham, *Accuracy and Stability of Numerical Algorithms*, 3.3): each value
//! is computed in f64 and carries a bound on |what f32 kernels give - the value|. Every operation adds
//! the rounding of its own result, at most [`U`] of it, to what its operands' errors can do. Sums do not
//! depend on the order of their terms, so the bounds hold for every width of register.

use std::ops::{Add, Div, Mul, Range, Sub};

/// Unit roundoff of f32, 2^-24: a correctly rounded result is off by at most this part of itself.
pub const U: f64 = f32::EPSILON as f64 / 2.0;

/// What the kernels promise of `exp` and `sigmoid`, in units of [`U`] (one ULP is up to two of them).
const EXP: f64 = 4.0;
const SIGMOID: f64 = 8.0;
/// Of the standard library's logarithm: it promises nothing, and real ones stay below one ULP.
const LN: f64 = 4.0;

/// A value, and how far what f32 arithmetic gives in its place may be from it.
#[derive(Clone, Copy, Debug)]
pub struct Bounded {
    /// The value, in f64.
    pub value: f64,
    /// The bound.
    pub error: f64,
}

impl Bounded {
    /// A number that f32 holds as it is.
    pub fn exact(value: f32) -> Self {
        Bounded {
            value: value.into(),
            error: 0.0,
        }
    }

    /// A constant, off by at most `units` of [`U`].
    pub fn constant(value: f64, units: f64) -> Self {
        Bounded { value, error: 0.0 }.rounded(units)
    }

    /// With the rounding of the result, of at most `units` of [`U`].
    fn rounded(self, units: f64) -> Self {
        let size = self.value.abs() + self.error;
        Bounded {
            error: self.error + units * U * size,
            ..self
        }
    }

    /// The largest size that the f32 value can have.
    fn size(self) -> f64 {
        self.value.abs() + self.error
    }

    /// e^x: an error of x becomes a factor.
    pub fn exp(self) -> Self {
        let value = self.value.exp();
        Bounded {
            value,
            error: value * self.error.exp_m1(),
        }
        .rounded(EXP)
    }

    /// 1 / (1 + e^-x), whose relative slope is at most one.
    pub fn sigmoid(self) -> Self {
        let value = 1.0 / (1.0 + (-self.value).exp());
        Bounded {
            value,
            error: value * self.error.exp_m1(),
        }
        .rounded(SIGMOID)
    }

    /// ln x of a positive x.
    pub fn ln(self) -> Self {
        let error = -(-self.error / self.value).ln_1p();
        Bounded {
            value: self.value.ln(),
            error,
        }
        .rounded(LN)
    }

    /// 1 / sqrt(x) of a positive x: two roundings.
    pub fn reciprocal_sqrt(self) -> Self {
        let value = 1.0 / self.value.sqrt();
        let largest = 1.0 / (self.value - self.error).sqrt();
        Bounded {
            value,
            error: largest - value,
        }
        .rounded(2.0)
    }
}

impl Add for Bounded {
    type Output = Self;
    fn add(self, b: Self) -> Self {
        Bounded {
            value: self.value + b.value,
            error: self.error + b.error,
        }
        .rounded(1.0)
    }
}

impl Sub for Bounded {
    type Output = Self;
    fn sub(self, b: Self) -> Self {
        Bounded {
            value: self.value - b.value,
            error: self.error + b.error,
        }
        .rounded(1.0)
    }
}

impl Mul for Bounded {
    type Output = Self;
    fn mul(self, b: Self) -> Self {
        let error = self.value.abs() * b.error + self.error * b.size();
        Bounded {
            value: self.value * b.value,
            error,
        }
        .rounded(1.0)
    }
}

impl Div for Bounded {
    type Output = Self;
    fn div(self, b: Self) -> Self {
        let value = self.value / b.value;
        let error = (self.error + value.abs() * b.error) / (b.value.abs() - b.error);
        Bounded { value, error }.rounded(1.0)
    }
}

/// `start + sum_p a[p] b[p]`: error at most `2 k U (|start| + sum_p |a[p] b[p]|)`, k the number of terms,
/// which is what [`trm_kernels::matmul`] promises.
pub fn dot(start: Bounded, terms: impl Iterator<Item = (Bounded, Bounded)>) -> Bounded {
    let (mut sum, mut size, mut k) = (start, start.size(), 1.0);
    for (a, b) in terms {
        sum.value += a.value * b.value;
        sum.error += a.value.abs() * b.error + a.error * b.size();
        size += a.size() * b.size();
        k += 1.0;
    }
    Bounded {
        error: sum.error + 2.0 * k * U * size,
        ..sum
    }
}

/// A row-major matrix of them.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// The elements.
    pub data: Vec<Bounded>,
}

impl Matrix {
    /// Numbers that f32 holds as they are, rows by rows.
    pub fn exact(data: &[f32], cols: usize) -> Self {
        let data: Vec<_> = data.iter().copied().map(Bounded::exact).collect();
        Matrix {
            rows: data.len() / cols,
            cols,
            data,
        }
    }

    /// Element by element from its place.
    pub fn build(rows: usize, cols: usize, f: impl Fn(usize, usize) -> Bounded) -> Self {
        let data = (0..rows * cols).map(|at| f(at / cols, at % cols)).collect();
        Matrix { rows, cols, data }
    }

    /// The element in row `i` and column `j`.
    pub fn at(&self, i: usize, j: usize) -> Bounded {
        self.data[i * self.cols + j]
    }

    /// The transpose.
    pub fn t(&self) -> Self {
        Matrix::build(self.cols, self.rows, |i, j| self.at(j, i))
    }

    /// Each block of `rows` rows transposed, one below the other.
    pub fn blocks_transposed(&self, rows: usize) -> Self {
        let blocks = (0..self.rows)
            .step_by(rows)
            .map(|start| self.row_range(start..start + rows).t());
        Matrix {
            rows: self.data.len() / rows,
            cols: rows,
            data: blocks.flat_map(|block| block.data).collect(),
        }
    }

    /// The rows of `range`.
    pub fn row_range(&self, range: Range<usize>) -> Self {
        Matrix::build(range.len(), self.cols, |i, j| self.at(range.start + i, j))
    }

    /// The columns of `range`.
    pub fn columns(&self, range: Range<usize>) -> Self {
        Matrix::build(self.rows, range.len(), |i, j| self.at(i, range.start + j))
    }

    /// Overwrites the block that starts in row `i` and column `j`.
    pub fn set(&mut self, i: usize, j: usize, block: &Matrix) {
        for r in 0..block.rows {
            let at = (i + r) * self.cols + j;
            self.data[at..at + block.cols]
                .copy_from_slice(&block.data[r * block.cols..][..block.cols]);
        }
    }

    /// Its product with `b`.
    pub fn times(&self, b: &Matrix) -> Self {
        self.times_onto(
            b,
            &Matrix::build(self.rows, b.cols, |_, _| Bounded::exact(0.0)),
        )
    }

    /// Its product with `b`, added to `c`.
    pub fn times_onto(&self, b: &Matrix, c: &Matrix) -> Self {
        assert!(
            self.cols == b.rows && (c.rows, c.cols) == (self.rows, b.cols),
            "shapes of a product"
        );
        Matrix::build(self.rows, b.cols, |i, j| {
            dot(
                c.at(i, j),
                (0..self.cols).map(|p| (self.at(i, p), b.at(p, j))),
            )
        })
    }

    /// `f` of every two elements in the same place.
    pub fn zip(&self, b: &Matrix, f: impl Fn(Bounded, Bounded) -> Bounded) -> Self {
        assert!((self.rows, self.cols) == (b.rows, b.cols), "equal shapes");
        let data = self
            .data
            .iter()
            .zip(&b.data)
            .map(|(&a, &b)| f(a, b))
            .collect();
        Matrix { data, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(bounded: Bounded, got: f32) -> bool {
        (f64::from(got) - bounded.value).abs() <= bounded.error
    }

    proptest! {
        #[test]
        fn f32_stays_within_the_bounds(x in 0.1_f32..10.0, y in -10.0_f32..10.0, z in -4.0_f32..4.0) {
            let [a, b, c] = [x, y, z].map(Bounded::exact);
            prop_assert!(holds(a + b * c, x + y * z));
            prop_assert!(holds((a - b) / a, (x - y) / x));
            prop_assert!(holds((b * c).exp(), (y * z).exp()));
            prop_assert!(holds((b * c).sigmoid(), 1.0 / (1.0 + (-(y * z)).exp())));
            prop_assert!(holds((a * a).ln(), (x * x).ln()));
            prop_assert!(holds((a * a).reciprocal_sqrt(), 1.0 / (x * x).sqrt()));
            prop_assert!(holds(dot(a, [(b, c), (c, a)].into_iter()), x + (y * z + z * x)));
        }
    }

    #[test]
    fn bounds_are_a_few_roundings_and_not_more() {
        let [a, b] = [3.1, -7.3].map(Bounded::exact);
        for (bounded, units) in [
            (a + b, 1.0),
            (a * b, 1.0),
            (a / b, 1.0),
            (b.exp(), EXP),
            (a * b * a, 2.1),
        ] {
            assert!(
                bounded.error <= units * U * bounded.value.abs() * 1.000_001,
                "{bounded:?}"
            );
        }
    }

    #[test]
    fn products_and_transposes_are_the_usual_ones() {
        let values = |m: &Matrix| m.data.iter().map(|x| x.value).collect::<Vec<_>>();
        let a = Matrix::exact(&[1.0, 2.0, 3.0, 4.0], 2);
        assert_eq!(values(&a.times(&a.t())), [5.0, 11.0, 11.0, 25.0]);
        assert_eq!(values(&a.times_onto(&a, &a)), [8.0, 12.0, 18.0, 26.0]);
        let tall = Matrix::exact(&[1.0, 2.0, 3.0, 4.0], 1);
        assert_eq!(values(&tall.blocks_transposed(2)), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(
            values(
                &Matrix::exact(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 2).blocks_transposed(2)
            ),
            [1.0, 3.0, 2.0, 4.0, 5.0, 7.0, 6.0, 8.0]
        );
    }
}
