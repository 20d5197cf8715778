//! Training in halves: gradients close to those of floats, the same bits on any number of threads, and learning.
//!
//! The CPU's own halves where it has them, emulated ones elsewhere.

use super::{Puzzles, assert_same_bits, drawn, run_to, trainer, training};
use std::collections::BTreeMap;
use trm_kernels::{Kernels, Precision};
use trm_model::config::Mixer;
use trm_model::solve::{SolveOptions, solve_all};
use trm_model::{TrainConfig, Trainer};

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

/// The same first step in floats and in halves.
fn in_both(mixer: Mixer, seed: u64, puzzles: &Puzzles) -> [Trainer; 2] {
    let floats = Kernels::best().expect("an instruction set");
    [(floats, training(1)), (halves(), in_halves(1))].map(|(k, mut config)| {
        config.seed = seed;
        let mut trainer = trainer(mixer, config, k, 2);
        run_to(&mut trainer, 1, puzzles, 2);
        trainer
    })
}

/// Every parameter's gradient points where the one in floats points.
#[test]
fn gradients_are_those_of_floats_but_for_rounding() {
    let puzzles = Puzzles::new(40);
    for mixer in MIXERS {
        let [exact, rounded] = in_both(mixer, training(1).seed, &puzzles);
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

/// The same from other starts. Each of some fifty products forward and as many backward rounds both of its factors by at
/// most 2^-11 of them: if all of that added up, a tenth of the gradient would be off. The median of five starts, since
/// one of them may lie where the gradient turns fast.
#[test]
fn gradients_are_near_from_any_start() {
    let puzzles = Puzzles::new(40);
    let length = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    for mixer in MIXERS {
        let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for seed in 1..=5 {
            let [exact, rounded] = in_both(mixer, seed, &puzzles);
            for spec in exact.net.layout().specs() {
                let [a, b] = [&exact, &rounded].map(|run| &run.grads()[spec.at.clone()]);
                let pairs = a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
                let off = length(&mut pairs.clone().map(|(a, b)| a - b));
                let share = off / length(&mut pairs.map(|(a, _)| a));
                found.entry(spec.name.clone()).or_default().push(share);
            }
        }
        for (name, mut shares) in found {
            shares.sort_by(f64::total_cmp);
            let median = shares[2];
            assert!(median < 0.1, "{mixer:?}, {name}: off by {shares:?}");
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
