//! Every kernel once more, in f64, by its definition: what the kernels are tested against.
//!
//! Nothing here is blocked, fused, saved or vectorised; a function is its formula with loops around it.
//! Matrices are row-major slices with their sizes beside them; a function panics where a slice is not of that size.
//! The gradients have no such functions: they are tested against finite differences of these forward passes, by
//! [`numeric_gradient`].

/// Aᵀ of the matrix A.   a: (rows, cols)   result: (cols, rows)
pub fn transpose(a: &[f64], rows: usize, cols: usize) -> Vec<f64> {
    assert_eq!(a.len(), rows * cols, "a is {rows} x {cols}");
    (0..rows * cols)
        .map(|at| a[at % rows * cols + at / rows])
        .collect()
}

/// `C[i,j] = sum_p A[i,p] B[p,j]`.   a: (m, k)   b: (k, n)   result: (m, n)
pub fn matmul(a: &[f64], b: &[f64], m: usize, n: usize, k: usize) -> Vec<f64> {
    assert!(
        a.len() == m * k && b.len() == k * n,
        "{m}x{n} = {m}x{k} · {k}x{n}"
    );
    let mut c = vec![0.0; m * n];
    for i in 0..m {
        for p in 0..k {
            for j in 0..n {
                c[i * n + j] += a[i * k + p] * b[p * n + j];
            }
        }
    }
    c
}

/// How far each element of an f32 product may be from [`matmul`]: the promise of [`crate::matmul`],
/// `2 k 2^-24 sum_p |A[i,p] B[p,j]|`.
pub fn matmul_bound(a: &[f64], b: &[f64], m: usize, n: usize, k: usize) -> Vec<f64> {
    let size = |x: &[f64]| x.iter().map(|x| x.abs()).collect::<Vec<_>>();
    let sizes = matmul(&size(a), &size(b), m, n, k);
    sizes
        .iter()
        .map(|size| 2.0 * k as f64 * size * 2f64.powi(-24))
        .collect()
}

/// How far each element of a product in halves may be from [`matmul`]: the promise of [`crate::matmul::half`], for
/// chains of at most `CHUNK` products with a rounding of 2^-11 each, after one of each factor.
pub fn matmul_bound_in_halves(a: &[f64], b: &[f64], m: usize, n: usize, k: usize) -> Vec<f64> {
    let size = |x: &[f64]| x.iter().map(|x| x.abs()).collect::<Vec<_>>();
    let largest = |x: &[f64]| x.iter().fold(0.0, |largest, x| f64::max(largest, x.abs()));
    let sizes = matmul(&size(a), &size(b), m, n, k);
    let roundings = 2 + k.min(crate::matmul::half::CHUNK);
    let of_b = largest(b);
    let of_rows: Vec<_> = (0..m).map(|i| largest(&a[i * k..(i + 1) * k])).collect();
    let lost = |i: usize| k as f64 * 2f64.powi(-26) * of_rows[i] * of_b;
    let bound = |(at, size): (usize, &f64)| {
        // A twentieth for products of roundings, and what floats add.
        1.05 * roundings as f64 * size * 2f64.powi(-11) + lost(at / n)
    };
    let in_halves = sizes.iter().enumerate().map(bound);
    let in_floats = matmul_bound(a, b, m, n, k);
    in_halves.zip(in_floats).map(|(h, f)| h + f).collect()
}

/// `y[i,j] = x[i,j] r[i]`, `r[i] = (mean_j x[i,j]² + eps)^(-1/2)`.   x, y: (rows, cols)   r: (rows)
pub fn rms_norm_rows(x: &[f64], rows: usize, cols: usize, eps: f64) -> (Vec<f64>, Vec<f64>) {
    assert_eq!(x.len(), rows * cols, "x is {rows} x {cols}");
    let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
    let r: Vec<_> = (0..rows)
        .map(|i| 1.0 / (square(&x[i * cols..][..cols]) / cols as f64 + eps).sqrt())
        .collect();
    let y = x
        .iter()
        .enumerate()
        .map(|(at, x)| x * r[at / cols])
        .collect();
    (y, r)
}

/// [`rms_norm_rows`] along the other axis: one r for each column.   x, y: (rows, cols)   r: (cols)
pub fn rms_norm_columns(x: &[f64], rows: usize, cols: usize, eps: f64) -> (Vec<f64>, Vec<f64>) {
    let (y, r) = rms_norm_rows(&transpose(x, rows, cols), cols, rows, eps);
    (transpose(&y, cols, rows), r)
}

/// 1 / (1 + e^-x).
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// a = silu(gate) ⊙ up, silu(g) = g sigmoid(g).
pub fn swiglu(gate: &[f64], up: &[f64]) -> Vec<f64> {
    assert_eq!(gate.len(), up.len(), "a gate for each value");
    gate.iter()
        .zip(up)
        .map(|(g, up)| g * sigmoid(*g) * up)
        .collect()
}

/// a = sigmoid(gate) ⊙ norm(gate ⊙ up), normalised over rows of `width`.
pub fn gated_norm(gate: &[f64], up: &[f64], width: usize, eps: f64) -> Vec<f64> {
    assert_eq!(gate.len(), up.len(), "a gate for each value");
    let p: Vec<f64> = gate.iter().zip(up).map(|(g, up)| g * up).collect();
    let (n, _) = rms_norm_rows(&p, p.len() / width, width, eps);
    n.iter().zip(gate).map(|(n, g)| sigmoid(*g) * n).collect()
}

/// `p[i,j] = exp(scale s[i,j] - lse[i])`, `lse[i] = log sum_j exp(scale s[i,j])`; returns p and lse.
pub fn softmax_rows(s: &[f64], rows: usize, cols: usize, scale: f64) -> (Vec<f64>, Vec<f64>) {
    assert_eq!(s.len(), rows * cols, "s is {rows} x {cols}");
    let lse: Vec<_> = (0..rows)
        .map(|i| {
            let row = s[i * cols..][..cols].iter().map(|s| scale * s);
            // Without the shift, exp of a score of 1000 is infinite, in f64 too.
            let largest = row.clone().fold(f64::NEG_INFINITY, f64::max);
            largest + row.map(|s| (s - largest).exp()).sum::<f64>().ln()
        })
        .collect();
    let p = s
        .iter()
        .enumerate()
        .map(|(at, s)| (scale * s - lse[at / cols]).exp())
        .collect();
    (p, lse)
}

/// cos and sin of the angles p theta^(-2e/E), each (S, E/2).
pub fn rope_tables(positions: usize, width: usize, theta: f64) -> (Vec<f64>, Vec<f64>) {
    let half = width / 2;
    let angles = (0..positions * half)
        .map(|at| (at / half) as f64 * theta.powf(-2.0 * (at % half) as f64 / width as f64));
    (
        angles.clone().map(f64::cos).collect(),
        angles.map(f64::sin).collect(),
    )
}

/// Every head (x1, x2) of width E turned by its position: (x1 cos - x2 sin, x2 cos + x1 sin).
/// x: (S, heads·E)
pub fn rope(x: &[f64], positions: usize, heads: usize, width: usize, theta: f64) -> Vec<f64> {
    assert_eq!(
        x.len(),
        positions * heads * width,
        "x is {positions} x {heads}·{width}"
    );
    let (cos, sin) = rope_tables(positions, width, theta);
    let half = width / 2;
    let mut y = x.to_vec();
    for (head, y) in y.chunks_exact_mut(width).enumerate() {
        let x = &x[head * width..][..width];
        for e in 0..half {
            let (cos, sin) = (cos[head / heads * half + e], sin[head / heads * half + e]);
            y[e] = x[e] * cos - x[half + e] * sin;
            y[half + e] = x[half + e] * cos + x[e] * sin;
        }
    }
    y
}

/// o = softmax(q kᵀ / sqrt(E)) v for each head.   qkv: (S, 3·H·E), q before k before v   o: (S, H·E)
pub fn attention(qkv: &[f64], positions: usize, heads: usize, width: usize) -> Vec<f64> {
    assert_eq!(
        qkv.len(),
        positions * 3 * heads * width,
        "qkv is {positions} x 3·{heads}·{width}"
    );
    let mut o = vec![0.0; positions * heads * width];
    for head in 0..heads {
        let [q, k, v] = [0, 1, 2].map(|part| {
            let column = (part * heads + head) * width;
            (0..positions)
                .flat_map(|i| {
                    qkv[i * 3 * heads * width + column..][..width]
                        .iter()
                        .copied()
                })
                .collect::<Vec<_>>()
        });
        let s = matmul(
            &q,
            &transpose(&k, positions, width),
            positions,
            positions,
            width,
        );
        let (p, _) = softmax_rows(&s, positions, positions, 1.0 / (width as f64).sqrt());
        let o_head = matmul(&p, &v, positions, width, positions);
        for (i, row) in o_head.chunks_exact(width).enumerate() {
            o[(i * heads + head) * width..][..width].copy_from_slice(row);
        }
    }
    o
}

/// The new (p, m, v) of one value after a step of AdamW, or of AdamATan2, with gradient g: the formulas of [`crate::adam`].
pub fn adam(
    (p, m, v): (f64, f64, f64),
    g: f64,
    step: &crate::adam::Step,
    atan2: bool,
) -> (f64, f64, f64) {
    let [take1, take2, keep] = [step.take1, step.take2, step.keep].map(f64::from);
    let [rate, root, eps] = [step.rate, step.root, step.eps].map(f64::from);
    let m = m + take1 * (g - m);
    let v = v + take2 * (g * g - v);
    let s = v.sqrt() / root;
    let direction = if atan2 { m.atan2(s) } else { m / (s + eps) };
    (p * keep - rate * direction, m, v)
}

/// `d f / d x[i]` for every i by central differences: (f(x + h e_i) - f(x - h e_i)) / 2h.
pub fn numeric_gradient(f: impl Fn(&[f64]) -> f64, x: &[f64], h: f64) -> Vec<f64> {
    let mut x = x.to_vec();
    (0..x.len())
        .map(|i| {
            let at = x[i];
            let [above, below] = [at + h, at - h].map(|value| {
                x[i] = value;
                f(&x)
            });
            x[i] = at;
            (above - below) / (2.0 * h)
        })
        .collect()
}

/// Panics, naming the worst element, unless `|got[i] - expected[i]| <= bound(i)` for every i.
/// A bound or a value that is not a number is a failure.
#[track_caller]
pub fn assert_close(what: &str, got: &[f32], expected: &[f64], bound: impl Fn(usize) -> f64) {
    assert_eq!(got.len(), expected.len(), "{what}: number of elements");
    let excess = |i: usize| {
        let error = (f64::from(got[i]) - expected[i]).abs();
        // Equal covers a bound of zero, which would make 0 / 0.
        if error == 0.0 { 0.0 } else { error / bound(i) }
    };
    let Some((i, excess)) = (0..got.len())
        .map(|i| (i, excess(i)))
        .find(|(_, excess)| excess.is_nan() || *excess > 1.0)
    else {
        return;
    };
    let (got, expected, bound) = (got[i], expected[i], bound(i));
    panic!(
        "{what}[{i}] = {got}, expected {expected} within {bound:e}: {excess:.2} times the bound"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        assert!(
            a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12),
            "{a:?} is not {b:?}"
        );
    }

    #[test]
    fn products_by_hand() {
        let (a, b) = (
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            [1.0, 0.0, 2.0, -1.0, 0.0, 3.0],
        );
        assert_eq!(matmul(&a, &b, 2, 2, 3), [5.0, 7.0, 14.0, 13.0]);
        assert_eq!(transpose(&a, 2, 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        near(
            &matmul_bound(&a, &b, 2, 2, 3),
            &[5.0, 11.0, 14.0, 23.0].map(|x| x * 6.0 / f64::from(1 << 24)),
        );
    }

    #[test]
    fn norms_have_mean_square_one() {
        let x = [3.0, -4.0, 0.5, 0.25, 1.0, 1.0];
        let (y, r) = rms_norm_rows(&x, 2, 3, 0.0);
        for y in y.chunks_exact(3) {
            near(&[y.iter().map(|y| y * y).sum::<f64>() / 3.0], &[1.0]);
        }
        near(&[y[0] / r[0]], &[3.0]);
        let (y, r) = rms_norm_columns(&[3.0, 1.0, -4.0, 1.0], 2, 2, 0.0);
        near(&r, &[1.0 / 12.5_f64.sqrt(), 1.0]);
        near(&y, &[3.0 * r[0], 1.0, -4.0 * r[0], 1.0]);
        assert_eq!(rms_norm_rows(&[0.0], 1, 1, 0.25).1, [2.0]);
    }

    #[test]
    fn gates_by_hand() {
        near(&[sigmoid(0.0), sigmoid(3f64.ln())], &[0.5, 0.75]);
        near(
            &swiglu(&[0.0, 3f64.ln()], &[7.0, 4.0]),
            &[0.0, 3.0 * 3f64.ln()],
        );
    }

    #[test]
    fn softmax_by_hand_and_without_overflow() {
        let (p, lse) = softmax_rows(&[0.0, 3f64.ln(), 1e4, 1e4], 2, 2, 1.0);
        near(&p, &[0.25, 0.75, 0.5, 0.5]);
        near(&lse, &[4f64.ln(), 1e4 + 2f64.ln()]);
        near(
            &softmax_rows(&[0.0, 2.0 * 3f64.ln()], 1, 2, 0.5).0,
            &[0.25, 0.75],
        );
    }

    #[test]
    fn rope_turns_and_keeps_the_length() {
        // theta = 1: every plane turns by one radian a position.
        let y = rope(&[1.0, 0.0, 1.0, 0.0, 5.0, 12.0], 3, 1, 2, 1.0);
        near(&y[..4], &[1.0, 0.0, 1f64.cos(), 1f64.sin()]);
        near(&[y[4].hypot(y[5])], &[13.0]);
        // The second plane of E = 4 turns theta^(-1/2) as fast as the first.
        let (cos, _) = rope_tables(2, 4, 100.0);
        near(&cos, &[1.0, 1.0, 1f64.cos(), 0.1f64.cos()]);
    }

    #[test]
    fn attention_averages_and_selects() {
        // Two positions, two heads of width 1. Head 0: q = 0, so o is the mean of v. Head 1: a large
        // score picks one position.
        let qkv = [
            0.0, 50.0, 1.0, 1.0, 4.0, 2.0, /**/ 0.0, -50.0, 9.0, -1.0, 8.0, 6.0,
        ];
        near(&attention(&qkv, 2, 2, 1), &[6.0, 2.0, 6.0, 6.0]);
    }

    #[test]
    fn gradients_of_a_quadratic_are_exact() {
        let f = |x: &[f64]| x[0] * x[0] + 3.0 * x[0] * x[1];
        near(&numeric_gradient(f, &[2.0, -1.0], 0.5), &[1.0, 6.0]);
    }

    #[test]
    fn what_is_not_close_is_reported() {
        assert_close("y", &[1.0, 2.5], &[1.0, 2.0], |i| {
            if i == 0 { 0.0 } else { 0.5 }
        });
        for (got, bound) in [
            (2.5, 0.49),
            (f32::NAN, 1.0),
            (2.5, f64::NAN),
            (f32::INFINITY, 1.0),
        ] {
            let result =
                std::panic::catch_unwind(|| assert_close("y", &[1.0, got], &[1.0, 2.0], |_| bound));
            let message = *result
                .expect_err("it is not close")
                .downcast::<String>()
                .expect("a message");
            assert!(message.starts_with("y[1] = "), "{message}");
        }
    }
}
