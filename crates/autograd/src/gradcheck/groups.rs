//! The cases of rows that hear their groups.

use super::layers::{Matrices, by_rows, kernel_scratch, matrix};
use super::rounding::{Bounded, Matrix, dot};
use super::{Case, D, PUZZLES, Parameter, Random, S, cases_of};
use crate::op::Scratch;
use crate::op::group_mixer::{self, GroupMixer, Groups};
use crate::params::{Axis, Layout};
use trm_kernels::{Kernels, MatMut, MatRef};

/// y = sum_g (n_g^(-1/2) sum over the group of x)·W_gᵀ, for two partitions of a puzzle's rows.
pub(super) fn group_mixer_cases(kernels: &'static Kernels, mut random: Random) -> Vec<Case> {
    const N: usize = PUZZLES * S;
    let sizes = [3, 1]; // of the groups of each partition
    let groups = Groups {
        counts: vec![S / 3, S],
        index: (0..S)
            .flat_map(|i| [(i % 3) as u32, (3 + S - 1 - i) as u32])
            .collect(),
    };
    // The rows that row i hears through partition g, itself among them.
    let heard = |g: usize, i: usize| match g {
        0 => (0..S).filter(|j| j % 3 == i % 3).collect::<Vec<_>>(),
        _ => vec![i],
    };
    let mut layout = Layout::new(kernels);
    let maps = vec![
        matrix(&mut layout, D, D, Axis::Channels),
        matrix(&mut layout, D, D, Axis::Channels),
    ];
    let layer = GroupMixer {
        maps,
        groups: groups.into(),
    };
    let mut w = Matrices::new(kernels, &layout, &mut random);
    let [x, d_y] = [(); 2].map(|()| random.floats(N * D));

    let mut m = vec![f32::NAN; PUZZLES * layer.groups.total() * D];
    let (mut y, mut d) = (vec![f32::NAN; N * D], d_y.clone());
    let (mut inner, mut kernel) = (vec![f32::NAN; layer.scratch_len(D).0], kernel_scratch());
    let mut scratch = Scratch {
        inner: &mut inner,
        d_wide: &mut [],
        kernel: &mut kernel,
    };
    let mut saved = group_mixer::Saved { m: &mut m };
    let (weights, grads) = w.parts();
    let y_view = MatMut::new(&mut y, N, D);
    let x_view = MatRef::new(&x, N, D);
    group_mixer::forward(weights, &layer, y_view, &mut saved, x_view, &mut scratch);
    let d_view = MatMut::new(&mut d, N, D);
    group_mixer::backward(weights, &layer, d_view, grads, &saved, &mut scratch);

    // d_x = d_y + sum_g H_g d_y W_g and d_W_g = (H_g d_y)ᵀ x, H_g the sums over groups, scaled.
    let (exact_x, exact_d) = (Matrix::exact(&x, D), Matrix::exact(&d_y, D));
    let summed = |x: &Matrix, g: usize| {
        let scale = (Bounded::exact(sizes[g] as f32)).reciprocal_sqrt();
        Matrix::build(N, D, |i, c| {
            let rows = heard(g, i % S).into_iter().map(|j| i / S * S + j);
            let ones = rows.map(|j| (x.at(j, c), Bounded::exact(1.0)));
            scale * dot(Bounded::exact(0.0), ones)
        })
    };
    let mut d_x = exact_d.clone();
    let mut d_w = Vec::new();
    for (g, map) in layer.maps.iter().enumerate() {
        let heard = summed(&exact_d, g);
        d_x = heard.times_onto(&Matrices::exact(&w.values, map), &d_x);
        d_w.push(
            heard
                .t()
                .times_onto(&exact_x, &Matrices::exact(&w.start, map)),
        );
    }
    let forward = |p: &[&[f64]]| {
        let mut y = vec![0.0; N * D];
        for (g, w) in p[1..].iter().enumerate() {
            let mixed: Vec<f64> = (0..N * D)
                .map(|e| {
                    let (i, c) = (e / D, e % D);
                    let sum: f64 = heard(g, i % S)
                        .iter()
                        .map(|j| p[0][(i / S * S + j) * D + c])
                        .sum();
                    sum / (sizes[g] as f64).sqrt()
                })
                .collect();
            for (y, said) in y.iter_mut().zip(by_rows(&mixed, w, D)) {
                *y += said;
            }
        }
        y
    };
    let [first, second] = [&layer.maps[0].at, &layer.maps[1].at];
    let second_analysed = d_w.pop().expect("two partitions");
    let first_analysed = d_w.pop().expect("two partitions");
    cases_of(
        "group mixer",
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
            w.parameter("W_0", first, first_analysed),
            w.parameter("W_1", second, second_analysed),
        ],
    )
}
