//! The cases of the attention layer.

use super::layers::{Matrices, by_rows, matrix};
use super::rounding::{Bounded, Matrix, dot};
use super::{Case, Parameter, Random, cases_of};
use crate::op::Scratch;
use crate::op::attention::{self, Attention, Rope};
use crate::params::{Axis, Layout};
use std::sync::Arc;
use trm_kernels::{Kernels, MatMut, MatRef, reference};

/// Sizes of an attention layer.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub(super) puzzles: usize,
    pub(super) positions: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) head_width: usize,
}

/// y = attention(rope(x·W_qkvᵀ))·W_oᵀ.
pub(super) fn attention_cases(
    kernels: &'static Kernels,
    mut random: Random,
    size: Heads,
    theta: Option<f64>,
) -> Vec<Case> {
    let Heads {
        puzzles,
        positions: s,
        width: d,
        heads,
        head_width: e,
    } = size;
    let (n, inner) = (puzzles * s, heads * e);
    let mut layout = Layout::new(kernels);
    let layer = Attention {
        qkv: matrix(&mut layout, 3 * inner, d, Axis::Channels),
        out: matrix(&mut layout, d, inner, Axis::Channels),
        heads,
        positions: s,
        rope: theta.map(|theta| Arc::new(Rope::new(s, e, theta))),
    };
    let mut w = Matrices::new(kernels, &layout, &mut random);
    let [x, d_y] = [(); 2].map(|()| random.floats(n * d));

    let [mut qkv, mut o, mut lse] =
        [n * 3 * inner, n * inner, n * heads].map(|len| vec![f32::NAN; len]);
    let [mut inner_floats, mut d_wide] = [n * inner, n * 3 * inner].map(|len| vec![f32::NAN; len]);
    let (mut y, mut d_x) = (vec![f32::NAN; n * d], d_y.clone());
    let mut kernel = vec![f32::NAN; trm_kernels::attention::scratch_len(kernels, s, e)];
    let mut scratch = Scratch {
        inner: &mut inner_floats,
        d_wide: &mut d_wide,
        kernel: &mut kernel,
    };
    let mut saved = attention::Saved {
        qkv: &mut qkv,
        o: &mut o,
        lse: &mut lse,
    };
    let (weights, grads) = w.parts();
    let x_view = MatRef::new(&x, n, d);
    attention::forward(
        weights,
        &layer,
        MatMut::new(&mut y, n, d),
        &mut saved,
        x_view,
        &mut scratch,
    );
    attention::backward(
        weights,
        &layer,
        MatMut::new(&mut d_x, n, d),
        grads,
        &saved,
        x_view,
        &mut scratch,
    );

    let (d_x_analysed, d_qkv, d_out) = attention_gradient(&w, &layer, size, theta, (&d_y, &x));
    let forward = |p: &[&[f64]]| {
        let qkv = by_rows(p[0], p[1], 3 * inner);
        let o = qkv.chunks_exact(s * 3 * inner).flat_map(|qkv| {
            let turned = theta.map(|theta| turned(qkv, size, theta));
            reference::attention(turned.as_deref().unwrap_or(qkv), s, heads, e)
        });
        by_rows(&o.collect::<Vec<_>>(), p[2], d)
    };
    let rope = if theta.is_some() {
        "attention layer with rope"
    } else {
        "attention layer"
    };
    cases_of(
        &format!("{rope}, S = {s}"),
        forward,
        &d_y,
        &[
            Parameter {
                name: "x",
                value: &x,
                start: d_y.clone(),
                gradient: &d_x,
                analysed: d_x_analysed,
            },
            w.parameter("W_qkv", &layer.qkv.at, d_qkv),
            w.parameter("W_o", &layer.out.at, d_out),
        ],
    )
}

/// One puzzle's qkv with q and k turned by position, in f64.
fn turned(qkv: &[f64], size: Heads, theta: f64) -> Vec<f64> {
    let inner = size.heads * size.head_width;
    let mut turned = qkv.to_vec();
    for part in 0..2 {
        let columns = |row: usize| (row * 3 + part) * inner..(row * 3 + part + 1) * inner;
        let x: Vec<_> = (0..size.positions)
            .flat_map(|row| &qkv[columns(row)])
            .copied()
            .collect();
        let x = reference::rope(&x, size.positions, size.heads, size.head_width, theta);
        for (row, x) in x.chunks_exact(inner).enumerate() {
            turned[columns(row)].copy_from_slice(x);
        }
    }
    turned
}

/// The analysis of the layer: d_y + d_x, and the gradients of both matrices.
fn attention_gradient(
    w: &Matrices,
    layer: &Attention,
    size: Heads,
    theta: Option<f64>,
    (d_y, x): (&[f32], &[f32]),
) -> (Matrix, Matrix, Matrix) {
    let Heads {
        positions: s,
        width: d,
        heads,
        head_width: e,
        ..
    } = size;
    let inner = heads * e;
    let [w_qkv, w_out] = [&layer.qkv, &layer.out].map(|m| Matrices::exact(&w.values, m));
    let [qkv_start, out_start] = [&layer.qkv, &layer.out].map(|m| Matrices::exact(&w.start, m));
    let (d_y, x) = (Matrix::exact(d_y, d), Matrix::exact(x, d));
    let qkv = x.times(&w_qkv.t());
    let d_o = d_y.times(&w_out);
    let (mut o, mut d_qkv) = (d_o.clone(), qkv.clone());
    for start in (0..x.rows).step_by(s) {
        for head in 0..heads {
            let column = |part: usize| part * inner + head * e;
            let rows = start..start + s;
            let [q, k, v] = [0, 1, 2].map(|part| {
                let x = qkv
                    .row_range(rows.clone())
                    .columns(column(part)..column(part) + e);
                match theta.filter(|_| part < 2) {
                    Some(theta) => turn(&x, theta, 1.0),
                    None => x,
                }
            });
            let d_o = d_o.row_range(rows).columns(head * e..(head + 1) * e);
            let (o_head, gradients) = head_gradient(&d_o, &q, &k, &v);
            o.set(start, head * e, &o_head);
            for (part, d_x) in gradients.into_iter().enumerate() {
                let d_x = match theta.filter(|_| part < 2) {
                    Some(theta) => turn(&d_x, theta, -1.0),
                    None => d_x,
                };
                d_qkv.set(start, column(part), &d_x);
            }
        }
    }
    let d_w_qkv = d_qkv.t().times_onto(&x, &qkv_start);
    (
        d_qkv.times_onto(&w_qkv, &d_y),
        d_w_qkv,
        d_y.t().times_onto(&o, &out_start),
    )
}

/// The analysis of one head: o, and the gradients of q, k and v.
fn head_gradient(d_o: &Matrix, q: &Matrix, k: &Matrix, v: &Matrix) -> (Matrix, [Matrix; 3]) {
    let scale = Bounded::constant((q.cols as f64).powf(-0.5), 2.0);
    let zero = Bounded::exact(0.0);
    let scores = q.times(&k.t());
    let scaled = scores.zip(&scores, |s, _| s * scale);
    // Any shift gives the same probabilities, so the largest score counts as exact.
    let row = |i: usize| (0..scaled.cols).map(move |j| (i, j));
    let shift: Vec<_> = (0..scaled.rows)
        .map(|i| {
            row(i)
                .map(|(i, j)| scaled.at(i, j).value)
                .fold(f64::NEG_INFINITY, f64::max)
        })
        .map(|value| Bounded { value, error: 0.0 })
        .collect();
    let e = Matrix::build(scaled.rows, scaled.cols, |i, j| {
        (scaled.at(i, j) - shift[i]).exp()
    });
    let one = Bounded::exact(1.0);
    let sum: Vec<_> = (0..e.rows)
        .map(|i| dot(zero, row(i).map(|(i, j)| (e.at(i, j), one))))
        .collect();
    let lse: Vec<_> = sum
        .iter()
        .zip(&shift)
        .map(|(sum, &shift)| shift + sum.ln())
        .collect();
    let o = Matrix::build(e.rows, e.cols, |i, j| e.at(i, j) * (one / sum[i])).times(v);

    let p = Matrix::build(e.rows, e.cols, |i, j| (scaled.at(i, j) - lse[i]).exp());
    let d_v = p.t().times(d_o);
    let d_p = d_o.times(&v.t());
    let delta: Vec<_> = (0..o.rows)
        .map(|i| dot(zero, (0..o.cols).map(|j| (d_o.at(i, j), o.at(i, j)))))
        .collect();
    let d_s = Matrix::build(p.rows, p.cols, |i, j| {
        (scale * p.at(i, j)) * (d_p.at(i, j) - delta[i])
    });
    (o, [d_s.times(k), d_s.t().times(q), d_v])
}

/// The analysis of rope on one head: turned by position, forwards (1) or back (-1).
fn turn(x: &Matrix, theta: f64, direction: f64) -> Matrix {
    let half = x.cols / 2;
    Matrix::build(x.rows, x.cols, |i, j| {
        let angle = i as f64 * theta.powf(-2.0 * (j % half) as f64 / x.cols as f64);
        // The other half's sine: minus in the first half.
        let sign = if j < half { -direction } else { direction };
        let (cos, sin) = (
            Bounded::constant(angle.cos(), 1.0),
            Bounded::constant(sign * angle.sin(), 1.0),
        );
        x.at(i, j) * cos + x.at(i, (j + half) % x.cols) * sin
    })
}
