//! Where a network starts: its first values, its first states, and the noise on them.

use super::{Puzzles, drawn, model, training};
use std::collections::HashSet;
use trm_autograd::random::{Purpose, stream};
use trm_kernels::Kernels;
use trm_model::config::{Mixer, PositionEncoding, System};
use trm_model::solve::{Answer, Rollout, SolveOptions};
use trm_model::{ModelConfig, Network, Parameters, Trainer};

/// A network that says something: its halting head starts at zero, and here does not.
fn talkative(config: ModelConfig) -> (Network, Parameters) {
    let kernels = Kernels::best().expect("an instruction set");
    let net = Network::new(config, kernels).expect("a network that works");
    let mut params = net.init(3);
    for (i, value) in params.values.iter_mut().enumerate() {
        *value += 0.05 * (i as f32).sin();
    }
    net.pack(&mut params);
    (net, params)
}

/// Mean and standard deviation.
fn moments(x: &[f32]) -> (f64, f64) {
    let mean =
        |f: &dyn Fn(f64) -> f64| x.iter().map(|&x| f(x.into())).sum::<f64>() / x.len() as f64;
    let first = mean(&|x| x);
    (first, mean(&|x| (x - first).powi(2)).sqrt())
}

/// Asserts that `x` was drawn with standard deviation `sigma`, and cut where TRM_SPEC 2 says.
#[track_caller]
fn assert_truncated_normal(name: &str, x: &[f32], sigma: f64) {
    let ((mean, deviation), n) = (moments(x), (x.len() as f64).sqrt());
    // Five standard errors each; that of a deviation is less than its share 1/sqrt(2n), since the tails are cut.
    assert!(mean.abs() < 5.0 * sigma / n, "{name}: mean {mean}");
    assert!(
        (deviation / sigma - 1.0).abs() < 5.0 / (2.0_f64.sqrt() * n),
        "{name}: deviation {deviation}, not {sigma}"
    );
    let largest = x.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    let edge = f64::from(largest) / sigma;
    assert!(edge < 2.273_695, "{name}: {edge} deviations off");
    // A thirtieth of all draws lie beyond two deviations: of 500 none do one time in ten million.
    assert!(edge > 2.0, "{name}: nothing beyond {edge} deviations");
}

/// The table of TRM_SPEC 3.1, at the width of the paper.
#[test]
fn first_values_are_spread_as_the_specification_says() {
    let (d, inner, positions, inner_positions) = (512.0, 1536.0, 97.0, 512.0);
    for mixer in [Mixer::Mlp, Mixer::Attention] {
        let config = ModelConfig {
            mixer,
            position_encoding: match mixer {
                Mixer::Attention => PositionEncoding::Learned,
                _ => PositionEncoding::None,
            },
            inner: 1536,
            inner_positions: 512,
            cells: 81,
            vocab_size: 11,
            prefix_len: 16,
            puzzle_emb_ndim: 512,
            puzzle_identifiers: 3,
            ..ModelConfig::default()
        };
        assert_eq!(config.width, 512);
        let kernels = Kernels::best().expect("an instruction set");
        let net = Network::new(config, kernels).expect("a network that works");
        let params = net.init(1);
        let mut firsts = Vec::new();
        for spec in net.layout().specs() {
            let x = &params.values[spec.at.clone()];
            let part = spec.name.trim_start_matches(|c| c != '.');
            let fan_in: f64 = match spec.name.as_str() {
                "q_head.weight" => {
                    assert!(x.iter().all(|&x| x == 0.0));
                    continue;
                }
                "q_head.bias" => {
                    assert_eq!(x, [-5.0; 2]);
                    continue;
                }
                "embed_tokens.embedding_weight" | "embed_pos.embedding_weight" => d,
                "lm_head.weight" => d,
                _ if part.ends_with("qkv_proj.weight") || part.ends_with("o_proj.weight") => d,
                _ if part.ends_with(".mlp.gate_up_proj.weight") => d,
                _ if part.ends_with(".mlp.down_proj.weight") => inner,
                _ if part.ends_with(".mlp_t.gate_up_proj.weight") => positions,
                _ if part.ends_with(".mlp_t.down_proj.weight") => inner_positions,
                name => panic!("{name} is not in the specification"),
            };
            assert_truncated_normal(&spec.name, x, fan_in.powf(-0.5));
            firsts.push((f64::from(x[0]) * fan_in.sqrt() * 1e6).round() as i64);
        }
        let all = firsts.len();
        assert_eq!(all, if mixer == Mixer::Mlp { 10 } else { 11 });
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), all, "each has draws of its own");
        assert_truncated_normal("H_init", &params.h_init, 1.0);
        assert_truncated_normal("L_init", &params.l_init, 1.0);
        assert!(params.h_init[..] != params.l_init[..]);
        assert!(params.puzzle_emb.len() == 3 * 512 && params.puzzle_emb.iter().all(|&x| x == 0.0));
    }
}

/// What attempt `attempt` says of a few boards, with the noise of the config or another.
fn answers(run: &(Network, Parameters), attempt: u64, noise: Option<f64>) -> Vec<Answer> {
    let (inputs, _) = drawn(&Puzzles::new(5), 0, 5);
    let options = SolveOptions {
        attempt,
        noise,
        ..SolveOptions::new(2)
    };
    Rollout::new(&run.0, &run.1, 3).solve(&inputs, &[0; 5], options, |_, _| ())
}

#[test]
fn every_attempt_starts_from_noise_of_its_own() {
    for (system, init_noise) in [
        (System::Trm, 0.5),
        (System::SingleZ, 0.5),
        (System::Trm, 0.0),
    ] {
        let mut config = model(Mixer::Mlp);
        (config.system, config.init_noise) = (system, init_noise);
        let run = talkative(config);
        let said = |attempt, noise| answers(&run, attempt, noise);
        let differ =
            |a: &[Answer], b: &[Answer]| a.iter().zip(b).all(|(a, b)| a.q_halt != b.q_halt);
        let (first, second) = (said(0, None), said(1, None));
        assert_eq!(differ(&first, &second), init_noise > 0.0, "{system:?}");
        assert_eq!(first, said(0, Some(init_noise)), "the config's own");
        assert_eq!(said(0, Some(0.0)), said(1, Some(0.0)), "no noise");
        assert!(differ(&said(0, Some(0.5)), &said(1, Some(0.5))));
        let [none, half, one] = [0.0, 0.5, 1.0].map(|noise| said(1, Some(noise)));
        assert!(differ(&none, &half) && differ(&half, &one) && differ(&none, &one));
    }
}

/// The same puzzle again and again, in every row of two steps, by a network that learns nothing: where there is noise,
/// no state is like another, be it one of several that a puzzle has.
#[test]
fn every_puzzle_of_training_starts_from_noise_of_its_own() {
    let puzzles = Puzzles::new(1);
    for (states, init_noise, different) in [(1, 0.5, 2 * 4), (3, 0.5, 2 * 4 * 3), (1, 0.0, 1)] {
        let mut config = model(Mixer::Mlp);
        // Every puzzle leaves after one step.
        (config.init_noise, config.halt_max_steps) = (init_noise, 1);
        let mut train = training(2);
        (train.batch, train.micro_batch, train.winner_take_all) = (4, 2, states);
        (train.lr, train.puzzle_emb_lr) = (0.0, 0.0);
        let kernels = Kernels::best().expect("an instruction set");
        let net = Network::new(config, kernels).expect("a network that works");
        let (params, len) = (net.init(1), net.config().latent_len());
        let threads = rayon::current_num_threads();
        let mut run = Trainer::new(net, params, train, threads).expect("a config that works");
        let mut seen = HashSet::new();
        for _ in 0..2 {
            run.step(|_, slot| puzzles.draw(0, slot))
                .expect("finite numbers");
            let latents = run.carry.z_l.chunks_exact(len);
            assert_eq!(latents.len(), 4 * states);
            seen.extend(latents.map(|z| z.iter().map(|z| z.to_bits()).collect::<Vec<_>>()));
        }
        assert_eq!(seen.len(), different, "{states} states, noise {init_noise}");
    }
}

/// Of six latents two are updated; the others stay as they began, and the sums have them (TRM_SPEC 12).
#[test]
fn latents_without_an_update_are_still_summed() {
    let config = ModelConfig {
        system: System::MultiZ,
        ..model(Mixer::Mlp)
    };
    let width = config.width;
    assert_eq!((config.system.latents(), config.l_cycles), (6, 2));
    let (net, mut params) = talkative(config);
    let (inputs, _) = drawn(&Puzzles::new(5), 0, 1);
    let logits = |params: &Parameters| {
        let mut rollout = Rollout::new(&net, params, 1);
        rollout.start(&inputs, &[0]);
        rollout.step();
        let (_, z_l) = rollout.state();
        let latents: Vec<Vec<f32>> = z_l.chunks(z_l.len() / 6).map(<[f32]>::to_vec).collect();
        (rollout.outputs().logits.to_vec(), latents)
    };
    let (before, latents) = logits(&params);
    for (latent, z) in latents.iter().enumerate().skip(2) {
        let start = params.l_init[latent * width..][..width].to_vec();
        for row in z.chunks_exact(width) {
            assert_eq!(row, start, "latent {latent} stays as it began");
        }
        let rng = &mut stream(latent as u64, Purpose::Init, 0);
        trm_autograd::init::truncated_normal(
            &mut params.l_init[latent * width..][..width],
            1.0,
            rng,
        );
        assert!(logits(&params).0 != before, "latent {latent} is left out");
        params.l_init[latent * width..][..width].copy_from_slice(&start);
    }
    assert!(logits(&params).0 == before);
}
