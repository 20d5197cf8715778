//! Threads decide who computes, never what.

use super::{Puzzles, assert_same_bits, run_to, trainer, training};
use trm_kernels::Kernels;
use trm_model::config::{Mixer, ModelConfig};
use trm_model::network::Network;
use trm_model::solve::Rollout;

#[test]
fn one_two_and_four_threads_give_the_same_bits() {
    let puzzles = Puzzles::new(40);
    for kernels in Kernels::available() {
        for mixer in [
            Mixer::Mlp,
            Mixer::Attention,
            Mixer::Groups,
            Mixer::Neighbours,
        ] {
            let runs = [1, 2, 4].map(|threads| {
                let mut trainer = trainer(mixer, training(50), kernels, threads);
                run_to(&mut trainer, 50, &puzzles, threads);
                trainer
            });
            let what = format!("{mixer:?} on {}", kernels.name());
            assert_same_bits(&format!("{what}, 2 threads"), &runs[0], &runs[1]);
            assert_same_bits(&format!("{what}, 4 threads"), &runs[0], &runs[2]);
        }
    }
}

/// Threads that share a single puzzle, large enough for each to have rows of its own in products and in attention.
#[test]
fn one_puzzle_on_several_threads_gives_the_same_bits() {
    for kernels in Kernels::available() {
        for (mixer, cells, symbols) in [
            (Mixer::Mlp, 196, 0),
            (Mixer::Attention, 196, 0),
            (Mixer::Neighbours, 196, 0),
            (Mixer::Groups, 81, 9),
        ] {
            let config = ModelConfig {
                mixer,
                cells,
                symbols,
                width: 48,
                heads: 2,
                inner: 96,
                inner_positions: 64,
                prefix_len: 0,
                puzzle_emb_ndim: 0,
                ..ModelConfig::default()
            };
            let net = Network::new(config, kernels).expect("a network");
            let params = net.init(3);
            let inputs: Vec<u8> = (0..cells).map(|i| (i * i % 11) as u8).collect();
            let outputs = |threads: usize| {
                let mut rollout = Rollout::on_threads(&net, &params, 1, threads);
                rollout.start(&inputs, &[0]);
                rollout.step();
                let (z_h, z_l) = rollout.state();
                let state = [z_h, z_l].concat();
                let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                (bits(&state), bits(rollout.outputs().logits))
            };
            let alone = outputs(1);
            for threads in [2, 3] {
                let what = format!("{mixer:?} on {}, {threads} threads", kernels.name());
                assert!(outputs(threads) == alone, "{what}");
            }
        }
    }
}

/// What the backward pass rebuilds is what the forward pass had.
#[test]
fn recomputing_gives_the_same_bits() {
    let puzzles = Puzzles::new(40);
    for kernels in Kernels::available() {
        for mixer in [
            Mixer::Mlp,
            Mixer::Attention,
            Mixer::Groups,
            Mixer::Neighbours,
        ] {
            let [kept, rebuilt] = [false, true].map(|recompute| {
                let mut config = training(20);
                config.recompute = recompute;
                let mut trainer = trainer(mixer, config, kernels, 2);
                run_to(&mut trainer, 20, &puzzles, 2);
                trainer
            });
            assert_same_bits(&format!("{mixer:?} on {}", kernels.name()), &kept, &rebuilt);
        }
    }
}

/// What these comparisons rest on: they must be able to fail.
#[test]
fn another_order_of_summation_gives_other_bits() {
    let (puzzles, kernels) = (Puzzles::new(40), &Kernels::available()[0]);
    let values = |gradient_shards| {
        let mut config = training(50);
        config.gradient_shards = gradient_shards;
        let mut trainer = trainer(Mixer::Mlp, config, kernels, 1);
        run_to(&mut trainer, 20, &puzzles, 1);
        trainer.params.values.to_vec()
    };
    assert_ne!(values(8), values(3));
}
