//! What the presets train with, beyond the plain AdamW of the other tests: the same bits on any number of threads,
//! whether activations are kept or rebuilt, and after a stop.

use super::{Puzzles, assert_same_bits, model, run_to, training};
use trm_kernels::Kernels;
use trm_model::checkpoint::{self, Contents};
use trm_model::config::{FeedForward, Mixer, OptimizerName, Stage};
use trm_model::{ModelConfig, Network, TrainConfig, Trainer};

const STEPS: u64 = 8;

/// A name, the mixer, and what else is as it is not in the other tests.
type Recipe = (&'static str, Mixer, fn(&mut ModelConfig, &mut TrainConfig));

const RECIPES: [Recipe; 6] = [
    ("Muon", Mixer::Groups, |_, train| muon(train)),
    ("Muon and gates", Mixer::Mlp, |model, train| {
        model.feed_forward = FeedForward::GatedNorm;
        muon(train);
    }),
    ("Muon, the best of three", Mixer::Groups, |model, train| {
        (model.init_noise, train.winner_take_all) = (0.5, 3);
        muon(train);
    }),
    ("a loss of every cycle", Mixer::Neighbours, |_, train| {
        train.cycle_loss = 0.3;
    }),
    (
        "a loss of every cycle, the best of two",
        Mixer::Groups,
        |model, train| {
            (model.init_noise, train.winner_take_all) = (0.5, 2);
            train.cycle_loss = 0.3;
        },
    ),
    ("a curriculum", Mixer::Attention, |_, train| {
        let stage = |(from, cycles)| Stage {
            from,
            h_cycles: cycles,
            l_cycles: cycles,
        };
        train.curriculum = [(0.0, 1), (0.5, 2)].map(stage).into();
    }),
];

fn muon(train: &mut TrainConfig) {
    (train.optimizer, train.muon_lr) = (OptimizerName::Muon, 0.01);
}

#[test]
fn threads_memory_and_a_stop_change_no_bit_of_any_recipe() {
    let puzzles = Puzzles::new(30);
    let kernels = Kernels::best().expect("an instruction set");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint.safetensors");
    for (name, mixer, change) in RECIPES {
        let run = |recompute, threads| {
            let (mut model, mut train) = (model(mixer), training(STEPS));
            train.recompute = recompute;
            change(&mut model, &mut train);
            let net = Network::new(model, kernels).expect("a network that works");
            let params = net.init(train.seed);
            Trainer::new(net, params, train, threads).expect("a config that works")
        };
        let mut straight = run(false, 1);
        run_to(&mut straight, STEPS, &puzzles, 1);
        for recompute in [false, true] {
            let mut stopped = run(recompute, 3);
            run_to(&mut stopped, 5, &puzzles, 3);
            checkpoint::save(&path, &stopped, Contents::Everything, &Default::default())
                .expect("a checkpoint");
            let resumed = checkpoint::load(&path, kernels, 2);
            let mut resumed = resumed.expect("its own checkpoint").trainer;
            run_to(&mut resumed, STEPS, &puzzles, 2);
            let what = format!("{name}, recompute = {recompute}");
            assert_same_bits(&what, &straight, &resumed);
        }
    }
}
