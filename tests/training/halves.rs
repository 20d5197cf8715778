//! Training in halves: gradients close to those of floats, the same bits on any number of threads, and learning.
//!
//! The CPU's own halves where it has them, emulated ones elsewhere.

use super::{Puzzles, assert_same_bits, drawn, run_to, trainer, training};
use trm_kernels::{Kernels, Precision};
use trm_model::TrainConfig;
use trm_model::config::Mixer;
use trm_model::solve::{SolveOptions, solve_all};

const MIXERS: [Mixer; 4] = [
    Mixer::Mlp,
    Mixer::Attention,
    Mixer::Groups,
    Mixer::Neighbours,
];

fn halves() -> &'static Kernels {
    let floats = Kernels::best().expect("an instruction set");
    match Kernels::with_halves()
        .iter()
        .find(|k| k.name() == floats.name())
    {
        Some(own) => own,
        None => floats.emulating_halves(),
    }
}

fn in_halves(steps: u64) -> TrainConfig {
    TrainConfig {
        precision: Precision::F16,
        ..training(steps)
    }
}

/// Every parameter's gradient points where the one in floats points.
#[test]
fn gradients_are_those_of_floats_but_for_rounding() {
    let puzzles = Puzzles::new(40);
    for mixer in MIXERS {
        let floats = Kernels::best().expect("an instruction set");
        let [exact, rounded] =
            [(floats, training(1)), (halves(), in_halves(1))].map(|(k, config)| {
                let mut trainer = trainer(mixer, config, k, 2);
                run_to(&mut trainer, 1, &puzzles, 2);
                trainer
            });
        assert!(
            exact.grads() != rounded.grads(),
            "{mixer:?}: computed in floats?"
        );
        for spec in exact.net.layout().specs() {
            let (a, b) = (
                &exact.grads()[spec.at.clone()],
                &rounded.grads()[spec.at.clone()],
            );
            let dot = |a: &[f32], b: &[f32]| {
                let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
                products.sum::<f64>()
            };
            let (aa, ab, bb) = (dot(a, a), dot(a, b), dot(b, b));
            let (cosine, ratio) = (ab / (aa * bb).sqrt(), (bb / aa).sqrt());
            assert!(
                cosine > 0.999 && (ratio - 1.0).abs() < 0.02,
                "{mixer:?}, {}: cosine {cosine}, lengths as {ratio} to 1",
                spec.name
            );
        }
    }
}

#[test]
fn threads_and_recomputing_change_no_bit_in_halves() {
    let puzzles = Puzzles::new(40);
    for mixer in MIXERS {
        let run = |threads, recompute| {
            let config = TrainConfig {
                recompute,
                ..in_halves(10)
            };
            let mut trainer = trainer(mixer, config, halves(), threads);
            run_to(&mut trainer, 10, &puzzles, threads);
            trainer
        };
        let one = run(1, false);
        assert_same_bits(&format!("{mixer:?}, 3 threads"), &one, &run(3, false));
        assert_same_bits(&format!("{mixer:?}, recompute"), &one, &run(2, true));
    }
}

/// With the same puzzles and steps, halves learn what floats learn.
#[test]
fn halves_learn_as_floats_do() {
    let puzzles = Puzzles::new(200);
    let (inputs, labels) = drawn(&puzzles, 1 << 40, 100);
    let floats = Kernels::best().expect("an instruction set");
    let [exact, rounded] =
        [(floats, training(200)), (halves(), in_halves(200))].map(|(k, mut config)| {
            (config.lr, config.warmup_steps) = (8e-3, 20);
            let mut trainer = trainer(Mixer::Mlp, config, k, 2);
            run_to(&mut trainer, 200, &puzzles, 2);
            let options = SolveOptions::new(3);
            let answers = trainer
                .with_average(|net, average| solve_all(net, average, &inputs, 7, options, |_| ()));
            let tokens = answers.iter().flat_map(|answer| &answer.tokens);
            tokens.zip(&labels).filter(|(a, b)| a == b).count() as f64 / labels.len() as f64
        });
    assert!(exact > 0.7, "floats learn: {exact} of all cells");
    assert!(
        (exact - rounded).abs() < 0.05,
        "{exact} of all cells in floats, {rounded} in halves"
    );
}
