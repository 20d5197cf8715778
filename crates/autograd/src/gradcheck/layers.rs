//! The cases of what a block is made of: products, norms, SwiGLU.

use super::rounding::{Bounded, Matrix, dot};
use super::{Case, D, PUZZLES, Parameter, Random, S, cases_of};
use crate::op::swiglu::{self, SwiGlu};
use crate::op::{Scratch, linear, rms_norm};
use crate::params::{Axis, Init, Layout, Linear, Weights};
use rand::RngExt;
use std::ops::Range;
use trm_kernels::{Kernels, MatMut, MatRef, Write, reference};

/// Inner width of SwiGLU \[F\].
const F: usize = 7;
/// Added to the mean square of the norm: large enough here for the differences to see it.
pub(super) const EPS: f32 = 1e-2;

/// A matrix that starts as those of the model do (TRM_SPEC 2).
pub(super) fn matrix(layout: &mut Layout, out: usize, input: usize, axis: Axis) -> Linear {
    let init = Init::TruncatedNormal((input as f64).powf(-0.5));
    layout.linear("matrix", out, input, axis, init)
}

/// Random matrices, their packed copies, and a gradient buffer that already holds something.
pub(super) struct Matrices {
    kernels: &'static Kernels,
    pub(super) values: Vec<f32>,
    packed: Vec<f32>,
    pub(super) start: Vec<f32>,
    grads: Vec<f32>,
}

impl Matrices {
    pub(super) fn new(kernels: &'static Kernels, layout: &Layout, random: &mut Random) -> Self {
        let (mut values, mut packed) = (vec![0.0; layout.len()], vec![0.0; layout.packed_len()]);
        layout.initialise(&mut values, random.0.random());
        let start = random.floats(layout.len());
        layout.pack(&mut packed, &values);
        Matrices {
            kernels,
            values,
            packed,
            grads: start.clone(),
            start,
        }
    }

    /// The weights, and beside them the gradients to be added to.
    pub(super) fn parts(&mut self) -> (Weights<'_>, &mut [f32]) {
        let weights = Weights {
            threads: 1,
            frozen: false,
            kernels: self.kernels,
            values: &self.values,
            packed: &self.packed,
        };
        (weights, &mut self.grads)
    }

    /// The values or what the gradients started as, for the analysis.
    pub(super) fn exact(flat: &[f32], matrix: &Linear) -> Matrix {
        Matrix::exact(&flat[matrix.at.clone()], matrix.input)
    }

    pub(super) fn parameter(
        &self,
        name: &'static str,
        at: &Range<usize>,
        analysed: Matrix,
    ) -> Parameter<'_> {
        Parameter {
            name,
            value: &self.values[at.clone()],
            start: self.start[at.clone()].to_vec(),
            gradient: &self.grads[at.clone()],
            analysed,
        }
    }
}

/// Scratch of a matrix product.
pub(super) fn kernel_scratch() -> Vec<f32> {
    vec![f32::NAN; trm_kernels::SCRATCH]
}

fn name_of(op: &str, axis: Axis) -> String {
    match axis {
        Axis::Channels => format!("{op} over channels"),
        Axis::Positions => format!("{op} over positions"),
    }
}

/// y = x·Wᵀ or y = W·x, in sizes that leave partial tiles behind full ones.
pub(super) fn linear_cases(kernels: &'static Kernels, mut random: Random, axis: Axis) -> Vec<Case> {
    const OUT: usize = 37;
    const IN: usize = 19;
    const OTHER: usize = 17;
    let mut layout = Layout::new(kernels);
    let layer = matrix(&mut layout, OUT, IN, axis);
    let mut w = Matrices::new(kernels, &layout, &mut random);
    let ((x_rows, x_cols), (y_rows, y_cols)) = match axis {
        Axis::Channels => ((OTHER, IN), (OTHER, OUT)),
        Axis::Positions => ((IN, OTHER), (OUT, OTHER)),
    };
    let (x, d_y) = (
        random.floats(x_rows * x_cols),
        random.floats(y_rows * y_cols),
    );

    let (mut d_x, mut scratch) = (vec![f32::NAN; x.len()], kernel_scratch());
    let d_y_view = MatRef::new(&d_y, y_rows, y_cols);
    let d_x_view = MatMut::new(&mut d_x, x_rows, x_cols);
    let (weights, grads) = w.parts();
    linear::backward(
        weights,
        &layer,
        d_x_view,
        d_y_view,
        Write::Overwrite,
        &mut scratch,
    );
    linear::backward_weight(
        weights,
        &layer,
        grads,
        d_y_view,
        MatRef::new(&x, x_rows, x_cols),
        &mut scratch,
    );

    let (weight, start) = (
        Matrices::exact(&w.values, &layer),
        Matrices::exact(&w.start, &layer),
    );
    let (x_exact, d_y_exact) = (Matrix::exact(&x, x_cols), Matrix::exact(&d_y, y_cols));
    let (d_x_analysed, d_w_analysed) = match axis {
        Axis::Channels => (
            d_y_exact.times(&weight),
            d_y_exact.t().times_onto(&x_exact, &start),
        ),
        Axis::Positions => (
            weight.t().times(&d_y_exact),
            d_y_exact.times_onto(&x_exact.t(), &start),
        ),
    };
    let forward = |p: &[&[f64]]| match axis {
        Axis::Channels => by_rows(p[0], p[1], OUT),
        Axis::Positions => reference::matmul(p[1], p[0], OUT, OTHER, IN),
    };
    cases_of(
        &name_of("linear", axis),
        forward,
        &d_y,
        &[
            Parameter {
                name: "x",
                value: &x,
                start: vec![0.0; x.len()],
                gradient: &d_x,
                analysed: d_x_analysed,
            },
            w.parameter("W", &layer.at, d_w_analysed),
        ],
    )
}

/// x·Wᵀ in f64, W of `out` rows.
pub(super) fn by_rows(x: &[f64], w: &[f64], out: usize) -> Vec<f64> {
    let input = w.len() / out;
    let rows = x.len() / input;
    reference::matmul(x, &reference::transpose(w, out, input), rows, out, input)
}

/// Each block of `rows` x `cols` transposed, one below the other, in f64.
fn blocks_transposed(x: &[f64], rows: usize, cols: usize) -> Vec<f64> {
    x.chunks_exact(rows * cols)
        .flat_map(|block| reference::transpose(block, rows, cols))
        .collect()
}

/// y = norm(f + h).
pub(super) fn rms_norm_cases(
    kernels: &'static Kernels,
    mut random: Random,
    axis: Axis,
) -> Vec<Case> {
    const N: usize = PUZZLES * S;
    let [f, h, d_y] = [(); 3].map(|()| random.floats(N * D));

    let (mut y, mut d, mut mean) = (f.clone(), d_y.clone(), vec![f32::NAN; D]);
    let mut r = vec![f32::NAN; rms_norm::saved_len(axis, PUZZLES, S, D)];
    let mut saved = rms_norm::Saved { r: &mut r };
    rms_norm::forward(
        kernels,
        axis,
        MatMut::new(&mut y, N, D),
        &mut saved,
        MatRef::new(&h, N, D),
        S,
        EPS,
    );
    rms_norm::backward(
        kernels,
        axis,
        MatMut::new(&mut d, N, D),
        MatRef::new(&y, N, D),
        &saved,
        S,
        &mut mean,
    );

    // Over positions: the same on the transpose of each puzzle.
    let rows = |x: &[f32]| match axis {
        Axis::Channels => Matrix::exact(x, D),
        Axis::Positions => Matrix::exact(x, D).blocks_transposed(S),
    };
    let d_x = rms_norm_gradient(&rows(&d_y), &rows(&f), &rows(&h));
    let d_x = match axis {
        Axis::Channels => d_x,
        Axis::Positions => d_x.blocks_transposed(D),
    };
    let forward = |p: &[&[f64]]| {
        let sum: Vec<_> = p[0].iter().zip(p[1]).map(|(f, h)| f + h).collect();
        let puzzles = sum.chunks_exact(S * D);
        match axis {
            Axis::Channels => reference::rms_norm_rows(&sum, N, D, EPS.into()).0,
            Axis::Positions => puzzles
                .flat_map(|x| reference::rms_norm_columns(x, S, D, EPS.into()).0)
                .collect(),
        }
    };
    let parameter = |name, value| Parameter {
        name,
        value,
        start: vec![0.0; N * D],
        gradient: &d,
        analysed: d_x.clone(),
    };
    cases_of(
        &name_of("residual + rms_norm", axis),
        forward,
        &d_y,
        &[parameter("f", &f), parameter("h", &h)],
    )
}

/// The analysis of the norm over rows: d_x = r (g - y mean(g y)), y = x r.
fn rms_norm_gradient(g: &Matrix, f: &Matrix, h: &Matrix) -> Matrix {
    norm_gradient(g, &f.zip(h, |f, h| f + h)).1
}

/// y and d_x of the norm of x.
fn norm_gradient(g: &Matrix, x: &Matrix) -> (Matrix, Matrix) {
    let width = Bounded::exact(x.cols as f32);
    let row_dot = |a: &Matrix, b: &Matrix, i: usize| {
        dot(
            Bounded::exact(0.0),
            (0..a.cols).map(|j| (a.at(i, j), b.at(i, j))),
        )
    };
    let r: Vec<_> = (0..x.rows)
        .map(|i| (row_dot(x, x, i) / width + Bounded::exact(EPS)).reciprocal_sqrt())
        .collect();
    let y = Matrix::build(x.rows, x.cols, |i, j| x.at(i, j) * r[i]);
    let mean: Vec<_> = (0..x.rows).map(|i| row_dot(g, &y, i) / width).collect();
    let d_x = Matrix::build(x.rows, x.cols, |i, j| {
        r[i] * (g.at(i, j) - y.at(i, j) * mean[i])
    });
    (y, d_x)
}

/// [`swiglu_gradient`] with a norm between gate and output.
fn gated_norm_gradient(
    (d_y, x): (&Matrix, &Matrix),
    (gate, up): (&Matrix, &Matrix),
    (gate_up, down): (&Matrix, &Matrix),
    (gate_up_start, down_start): (&Matrix, &Matrix),
    eps: f32,
) -> (Matrix, Matrix, Matrix) {
    assert_eq!(eps, EPS, "the norm's analysis adds this");
    let one = Bounded::exact(1.0);
    let s = gate.zip(gate, |g, _| g.sigmoid());
    let p = gate.zip(up, |g, up| g * up);
    let d_a = d_y.times(down);
    let d_n = d_a.zip(&s, |d, s| d * s);
    let (n, d_p) = norm_gradient(&d_n, &p);
    let d_down = d_y.t().times_onto(&s.zip(&n, |s, n| s * n), down_start);
    let through_gate = d_n.zip(&n, |d, n| d * n).zip(&s, |d, s| d * (one - s));
    let through_product = d_p.zip(up, |d, up| d * up);
    let d_gate = through_gate.zip(&through_product, |a, b| a + b);
    let d_up = d_p.zip(gate, |d, g| d * g);
    let d_u = Matrix::build(gate.rows, 2 * F, |i, j| match j.checked_sub(F) {
        None => d_gate.at(i, j),
        Some(j) => d_up.at(i, j),
    });
    let d_gate_up = d_u.t().times_onto(x, gate_up_start);
    (d_u.times_onto(gate_up, d_y), d_gate_up, d_down)
}

/// y = W_down (silu(gate) ⊙ up), gate and up = W_gu x; with `norm`, y = W_down (sigmoid(gate) ⊙ norm(gate ⊙ up)).
pub(super) fn swiglu_cases(
    kernels: &'static Kernels,
    mut random: Random,
    axis: Axis,
    norm: Option<f32>,
) -> Vec<Case> {
    const N: usize = PUZZLES * S;
    let width = if axis == Axis::Channels { D } else { S };
    let mut layout = Layout::new(kernels);
    let gate_up = matrix(&mut layout, 2 * F, width, axis);
    let down = matrix(&mut layout, width, F, axis);
    let layer = SwiGlu {
        gate_up,
        down,
        norm,
    };
    let mut w = Matrices::new(kernels, &layout, &mut random);
    let [x, d_y] = [(); 2].map(|()| random.floats(N * D));

    let (inner_len, wide_len) = layer.scratch_len(PUZZLES, S, D);
    let mut u = vec![f32::NAN; wide_len * if axis == Axis::Channels { 1 } else { PUZZLES }];
    let norms = match (norm, axis) {
        (None, _) => 0,
        (Some(_), Axis::Channels) => N,
        (Some(_), Axis::Positions) => PUZZLES * D,
    };
    let (mut n, mut r) = (vec![f32::NAN; norms * F], vec![f32::NAN; norms]);
    let (mut y, mut d) = (vec![f32::NAN; N * D], d_y.clone());
    let [mut inner, mut d_wide] = [inner_len, wide_len].map(|len| vec![f32::NAN; len]);
    let mut kernel = kernel_scratch();
    let mut scratch = Scratch {
        inner: &mut inner,
        d_wide: &mut d_wide,
        kernel: &mut kernel,
    };
    let mut saved = swiglu::Saved {
        u: &mut u,
        n: &mut n,
        r: &mut r,
    };
    let (weights, grads) = w.parts();
    let x_view = MatRef::new(&x, N, D);
    swiglu::forward(
        weights,
        &layer,
        MatMut::new(&mut y, N, D),
        &mut saved,
        x_view,
        &mut scratch,
    );
    swiglu::backward(
        weights,
        &layer,
        MatMut::new(&mut d, N, D),
        grads,
        &saved,
        x_view,
        &mut scratch,
    );

    // Over positions: the same on the transpose of each puzzle.
    let rows = |x: &[f32]| match axis {
        Axis::Channels => Matrix::exact(x, D),
        Axis::Positions => Matrix::exact(x, D).blocks_transposed(S),
    };
    let (d_x, d_gate_up, d_down) = swiglu_gradient(&w, &layer, &rows(&d_y), &rows(&x));
    let d_x = match axis {
        Axis::Channels => d_x,
        Axis::Positions => d_x.blocks_transposed(D),
    };
    let forward = |p: &[&[f64]]| match axis {
        Axis::Channels => swiglu_rows(p[0], p[1], p[2], norm),
        Axis::Positions => {
            let y = swiglu_rows(&blocks_transposed(p[0], S, D), p[1], p[2], norm);
            blocks_transposed(&y, D, S)
        }
    };
    cases_of(
        &name_of(
            if norm.is_some() {
                "gated norm layer"
            } else {
                "swiglu layer"
            },
            axis,
        ),
        forward,
        &d_y,
        &[
            Parameter {
                name: "x",
                value: &x,
                start: d_y.clone(),
                gradient: &d,
                analysed: d_x,
            },
            w.parameter("W_gu", &layer.gate_up.at, d_gate_up),
            w.parameter("W_down", &layer.down.at, d_down),
        ],
    )
}

/// The SwiGLU layer over rows, in f64.
fn swiglu_rows(x: &[f64], w_gate_up: &[f64], w_down: &[f64], norm: Option<f32>) -> Vec<f64> {
    let u = by_rows(x, w_gate_up, 2 * F);
    let half = |part| {
        u.chunks_exact(F)
            .skip(part)
            .step_by(2)
            .flatten()
            .copied()
            .collect::<Vec<_>>()
    };
    let (gate, up) = (half(0), half(1));
    let a = match norm {
        None => reference::swiglu(&gate, &up),
        Some(eps) => reference::gated_norm(&gate, &up, F, eps.into()),
    };
    by_rows(&a, w_down, w_down.len() / F)
}

/// The analysis of the layer over rows: d_y + d_x, and the gradients of both matrices.
fn swiglu_gradient(
    w: &Matrices,
    layer: &SwiGlu,
    d_y: &Matrix,
    x: &Matrix,
) -> (Matrix, Matrix, Matrix) {
    let [gate_up, down] = [&layer.gate_up, &layer.down].map(|m| Matrices::exact(&w.values, m));
    let [gate_up_start, down_start] =
        [&layer.gate_up, &layer.down].map(|m| Matrices::exact(&w.start, m));
    let one = Bounded::exact(1.0);
    let u = x.times(&gate_up.t());
    let (gate, up) = (u.columns(0..F), u.columns(F..2 * F));
    if let Some(eps) = layer.norm {
        return gated_norm_gradient(
            (d_y, x),
            (&gate, &up),
            (&gate_up, &down),
            (&gate_up_start, &down_start),
            eps,
        );
    }
    let silu = gate.zip(&gate, |g, _| g * g.sigmoid());
    let silu_prime = gate.zip(&silu, |g, silu| silu * (one - g.sigmoid()) + g.sigmoid());
    let d_a = d_y.times(&down);
    let d_down = d_y
        .t()
        .times_onto(&silu.zip(&up, |silu, up| silu * up), &down_start);
    let mut d_u = u.clone();
    d_u.set(
        0,
        0,
        &d_a.zip(&up, |d_a, up| d_a * up)
            .zip(&silu_prime, |d, s| d * s),
    );
    d_u.set(0, F, &d_a.zip(&silu, |d_a, silu| d_a * silu));
    let d_gate_up = d_u.t().times_onto(x, &gate_up_start);
    (d_u.times_onto(&gate_up, d_y), d_gate_up, d_down)
}
