//! Every gradient against finite differences of the same formula in f64.
//!
//! For y = op(x) and a random upstream gradient g, the loss is L(x) = `sum_o g[o] y[o]`. Its gradient as the
//! f32 `backward` gives it is compared, element by element, with central differences of the f64 forward
//! pass in [`trm_kernels::reference`], for every differentiable input and parameter of every op.
//!
//! How far apart may they be? Two sources, both worked out for each element, neither guessed:
//!
//! * f32 rounding: the formulas of the backward pass are evaluated once more by a running error analysis
//!   (the module `rounding`), which adds up what each rounding can do to the result.
//! * the differences: extrapolated over two steps (Richardson), so their error falls with h^4; what is
//!   left is estimated by doing it again with steps twice as long.
//!
//! Buffers that `backward` overwrites start as NaN, those that it adds to start with random values.

mod attention;
mod ends;
mod groups;
mod layers;
mod rounding;

use crate::op::loss::LossKind;
use crate::params::Axis;
use crate::random::{Purpose, stream};
use attention::{Heads, attention_cases};
use ends::{bce_cases, cross_entropy_cases, embedding_cases};
use groups::group_mixer_cases;
use layers::{linear_cases, rms_norm_cases, swiglu_cases};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rounding::{Bounded, Matrix};
use trm_kernels::{Kernels, reference};

/// Puzzles in a micro-batch.
const PUZZLES: usize = 2;
/// Positions of a puzzle \[S\].
const S: usize = 9;
/// Channels \[D\].
const D: usize = 11;
/// Base of the rotary angles.
const THETA: f64 = 10_000.0;

/// What was found for one gradient of one op.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The op and its variant.
    pub op: String,
    /// The input or parameter whose gradient it is.
    pub parameter: String,
    /// Elements compared.
    pub elements: usize,
    /// |f32 gradient - finite difference| of the element that comes closest to its bound or exceeds it
    /// by most, as a part of the largest |finite difference|. Infinite when a gradient is no number.
    pub max_error: f64,
    /// The bound of the same element, as a part of the same.
    pub bound: f64,
    /// Whether every element keeps within its bound, and there was something to compare.
    pub ok: bool,
}

/// Checks every op on one instruction set.
pub fn check_all(kernels: &'static Kernels, seed: u64) -> Vec<Report> {
    cases(kernels, seed).iter().map(Case::report).collect()
}

/// Every gradient of every op, computed and measured.
fn cases(kernels: &'static Kernels, seed: u64) -> Vec<Case> {
    let random = &mut |case| Random(stream(seed, Purpose::Init, case));
    let long = Heads {
        puzzles: 1,
        positions: 67,
        width: 5,
        heads: 1,
        head_width: 4,
    };
    let short = Heads {
        puzzles: PUZZLES,
        positions: S,
        width: D,
        heads: 2,
        head_width: 6,
    };
    [
        linear_cases(kernels, random(0), Axis::Channels),
        linear_cases(kernels, random(1), Axis::Positions),
        rms_norm_cases(kernels, random(2), Axis::Channels),
        rms_norm_cases(kernels, random(3), Axis::Positions),
        swiglu_cases(kernels, random(4), Axis::Channels, None),
        swiglu_cases(kernels, random(5), Axis::Positions, None),
        swiglu_cases(kernels, random(16), Axis::Channels, Some(layers::EPS)),
        swiglu_cases(kernels, random(17), Axis::Positions, Some(layers::EPS)),
        attention_cases(kernels, random(6), short, None),
        attention_cases(kernels, random(7), short, Some(THETA)),
        attention_cases(kernels, random(8), long, Some(THETA)),
        embedding_cases(random(9), true, 0),
        embedding_cases(random(10), false, 0),
        embedding_cases(random(14), false, 3),
        group_mixer_cases(kernels, random(15)),
        cross_entropy_cases(random(11), LossKind::Stablemax, 0.0),
        cross_entropy_cases(random(12), LossKind::Softmax, 0.0),
        cross_entropy_cases(random(11), LossKind::Stablemax, 0.2),
        cross_entropy_cases(random(12), LossKind::Softmax, 0.2),
        bce_cases(random(13)),
    ]
    .concat()
}

/// One gradient, and all that is needed to judge it.
#[derive(Clone, Debug)]
struct Case {
    op: String,
    parameter: &'static str,
    /// What `backward` left in the buffer.
    gradient: Vec<f64>,
    /// What was there before, where it adds.
    start: Vec<f32>,
    /// start + the gradient by the running error analysis.
    analysed: Vec<Bounded>,
    /// The gradient by finite differences.
    measured: Vec<Bounded>,
}

impl Case {
    /// The largest |finite difference|.
    fn scale(&self) -> f64 {
        let sizes = self.measured.iter().map(|m| m.value.abs());
        sizes.fold(0.0, f64::max)
    }

    fn report(&self) -> Report {
        let elements = self.gradient.len();
        let scale = self.scale();
        let complete =
            [self.start.len(), self.analysed.len(), self.measured.len()] == [elements; 3];
        let mut report = Report {
            op: self.op.clone(),
            parameter: self.parameter.to_owned(),
            elements,
            max_error: 0.0,
            bound: 0.0,
            ok: complete && scale > 0.0,
        };
        let mut worst = -1.0;
        for (i, &gradient) in
            self.gradient
                .iter()
                .enumerate()
                .take(if complete { elements } else { 0 })
        {
            let (measured, analysed) = (self.measured[i], self.analysed[i]);
            let error = (gradient - (f64::from(self.start[i]) + measured.value)).abs();
            let error = if error.is_nan() { f64::INFINITY } else { error };
            let bound = analysed.error + measured.error;
            // A bound of zero is kept only by an error of zero.
            let part = if error == 0.0 { 0.0 } else { error / bound };
            if part > worst {
                (worst, report.max_error, report.bound) = (part, error / scale, bound / scale);
            }
            report.ok &= error <= bound;
        }
        report
    }
}

/// An input or parameter of an op: its value, and what was found for its gradient.
struct Parameter<'a> {
    name: &'static str,
    value: &'a [f32],
    start: Vec<f32>,
    gradient: &'a [f32],
    analysed: Matrix,
}

/// The cases of an op: `forward` computes y in f64 from the values of all `parameters`, in their order.
fn cases_of(
    op: &str,
    forward: impl Fn(&[&[f64]]) -> Vec<f64>,
    upstream: &[f32],
    parameters: &[Parameter<'_>],
) -> Vec<Case> {
    let wide = |x: &[f32]| x.iter().copied().map(f64::from).collect::<Vec<_>>();
    let values: Vec<_> = parameters.iter().map(|p| wide(p.value)).collect();
    let upstream = wide(upstream);
    let case = |(i, p): (usize, &Parameter<'_>)| {
        let y = |x: &[f64]| {
            let mut values: Vec<_> = values.iter().map(Vec::as_slice).collect();
            values[i] = x;
            forward(&values)
        };
        Case {
            op: op.to_owned(),
            parameter: p.name,
            gradient: wide(p.gradient),
            start: p.start.clone(),
            analysed: p.analysed.data.clone(),
            measured: differences(y, &values[i], &upstream),
        }
    };
    parameters.iter().enumerate().map(case).collect()
}

/// `d/dx[i] sum_o g[o] y[o]` for every i, by central differences D over h, 2h and 4h:
///
/// ```text
/// (4 D(h) - D(2h)) / 3 = gradient + O(h^4)
/// ```
///
/// The error is estimated by what doubling h changes, which is about 15 times the error that is left, and
/// the rounding of f64, which dividing by h magnifies.
fn differences(y: impl Fn(&[f64]) -> Vec<f64>, x: &[f64], g: &[f64]) -> Vec<Bounded> {
    /// The step: a power of two, so that x + h is exact.
    const H: f64 = 1.0 / 1024.0;
    /// More roundings than any element goes through in f64.
    const ROUNDINGS: f64 = 256.0;
    let y0 = y(x);
    // Differences to y0, so that outputs that x[i] does not touch add nothing, not even rounding.
    let loss = |x: &[f64]| -> f64 {
        y(x).iter()
            .zip(&y0)
            .zip(g)
            .map(|((y, y0), g)| g * (y - y0))
            .sum()
    };
    let [d1, d2, d4] = [1.0, 2.0, 4.0].map(|steps| reference::numeric_gradient(loss, x, steps * H));
    let size: f64 = y0.iter().zip(g).map(|(y, g)| (y * g).abs()).sum();
    let rounding = ROUNDINGS * (f64::EPSILON / 2.0) * size / H;
    let element = |i: usize| {
        let [fine, coarse] = [(d1[i], d2[i]), (d2[i], d4[i])].map(|(a, b)| (4.0 * a - b) / 3.0);
        Bounded {
            value: fine,
            error: (fine - coarse).abs() + rounding,
        }
    };
    (0..x.len()).map(element).collect()
}

/// Random numbers of one case.
struct Random(ChaCha8Rng);

impl Random {
    /// Evenly from -1 to 1.
    fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.0.random_range(-1.0..1.0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gradient_is_within_its_bound_on_every_instruction_set() {
        for (seed, kernels) in Kernels::available().iter().enumerate() {
            for report in check_all(kernels, seed as u64) {
                assert!(report.ok, "{}: {report:?}", kernels.name());
                assert!(
                    report.bound < 1e-3,
                    "a bound that bounds nothing: {report:?}"
                );
            }
        }
    }

    /// Adds `factor` times the gradient to the gradient.
    fn stretch(case: &mut Case, factor: f64) {
        for (gradient, start) in case.gradient.iter_mut().zip(&case.start) {
            *gradient += factor * (*gradient - f64::from(*start));
        }
    }

    #[test]
    fn wrong_gradients_are_rejected() {
        type Spoil = fn(&mut Case);
        let wrong: [(&str, Spoil); 7] = [
            ("one element off by a thousandth", |case| {
                let scale = case.scale();
                *case.gradient.last_mut().expect("an element") += 1e-3 * scale;
            }),
            ("a thousandth too large", |case| stretch(case, 1e-3)),
            ("counted twice", |case| stretch(case, 1.0)),
            ("of the wrong sign", |case| stretch(case, -2.0)),
            ("all zero", |case| case.gradient.fill(0.0)),
            ("not a number", |case| case.gradient[0] = f64::NAN),
            ("one element short", |case| {
                case.gradient.truncate(case.gradient.len() - 1)
            }),
        ];
        let cases = cases(&Kernels::available()[0], 7);
        for (what, spoil) in wrong {
            for case in &cases {
                let mut case = case.clone();
                spoil(&mut case);
                let report = case.report();
                assert!(!report.ok, "{what}: {report:?}");
            }
        }
    }

    #[test]
    fn nothing_to_compare_is_no_success() {
        let zero = Bounded {
            value: 0.0,
            error: 1.0,
        };
        for len in [0, 3] {
            let case = Case {
                op: "nothing".to_owned(),
                parameter: "x",
                gradient: vec![0.0; len],
                start: vec![0.0; len],
                analysed: vec![zero; len],
                measured: vec![zero; len],
            };
            assert!(!case.report().ok, "{len} elements");
        }
    }

    #[test]
    fn the_analysis_agrees_with_the_differences() {
        for case in cases(Kernels::best().expect("an instruction set"), 1) {
            for ((analysed, start), measured) in
                case.analysed.iter().zip(&case.start).zip(&case.measured)
            {
                let difference = (analysed.value - f64::from(*start) - measured.value).abs();
                // The losses are analysed around their f32 result.
                let allowed = measured.error
                    + if case.parameter == "logits" {
                        analysed.error
                    } else {
                        0.0
                    };
                assert!(
                    difference <= allowed,
                    "{} {}: {difference} > {allowed}",
                    case.op,
                    case.parameter
                );
            }
        }
    }

    #[test]
    fn differences_of_a_cubic_are_exact_up_to_rounding() {
        let y = |x: &[f64]| vec![x[0] * x[0] * x[0] + x[1], 3.0 * x[1]];
        let d = differences(y, &[0.5, 2.0], &[2.0, 1.0]);
        for (d, expected) in d.iter().zip([1.5, 5.0]) {
            assert!(
                (d.value - expected).abs() <= d.error && d.error < 1e-9,
                "{d:?}"
            );
        }
    }
}
