//! A run that was stopped and resumed is the run that was not stopped.

use super::{Puzzles, assert_same_bits, run_to, trainer, training};
use std::collections::BTreeMap;
use trm_kernels::Kernels;
use trm_model::checkpoint::{self, Contents};
use trm_model::config::Mixer;

const STEPS: u64 = 12;

#[test]
fn a_stop_at_any_step_changes_no_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint.safetensors");
    let (puzzles, kernels) = (Puzzles::new(40), &Kernels::available()[0]);
    let mut straight = trainer(Mixer::Mlp, training(STEPS), kernels, 2);
    run_to(&mut straight, STEPS, &puzzles, 2);
    for stop in 0..=STEPS {
        let mut first = trainer(Mixer::Mlp, training(STEPS), kernels, 2);
        run_to(&mut first, stop, &puzzles, 2);
        checkpoint::save(&path, &first, Contents::Everything, &BTreeMap::new())
            .expect("a checkpoint");
        // Going on with another number of threads changes nothing either.
        let mut second = checkpoint::load(&path, kernels, 1)
            .expect("the checkpoint")
            .trainer;
        assert_eq!(second.step, stop);
        assert_same_bits(&format!("loaded at step {stop}"), &first, &second);
        run_to(&mut second, STEPS, &puzzles, 1);
        assert_same_bits(&format!("stopped at step {stop}"), &straight, &second);
    }
}

#[test]
fn damaged_checkpoints_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint.safetensors");
    let kernels = &Kernels::available()[0];
    let run = trainer(Mixer::Mlp, training(STEPS), kernels, 1);
    checkpoint::save(&path, &run, Contents::Everything, &BTreeMap::new()).expect("a checkpoint");
    let bytes = std::fs::read(&path).expect("the file");
    for len in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..len]).expect("a file");
        let error = checkpoint::load(&path, kernels, 1).expect_err("a part of a checkpoint");
        assert!(
            error.to_string().contains("not a whole safetensors file"),
            "{len} bytes: {error}"
        );
    }
    // A token outside the vocabulary would index beyond the embedding.
    let mut run = run;
    run.carry.inputs[5] = 6;
    checkpoint::save(&path, &run, Contents::Everything, &BTreeMap::new()).expect("a checkpoint");
    let error = checkpoint::load(&path, kernels, 1)
        .expect_err("a foreign token")
        .to_string();
    assert!(error.contains("token 6 of a vocabulary of 6"), "{error}");
    run.carry.inputs[5] = 5;
    run.m[3] = f32::NAN;
    checkpoint::save(&path, &run, Contents::Everything, &BTreeMap::new()).expect("a checkpoint");
    let error = checkpoint::load(&path, kernels, 1)
        .expect_err("a moment that is no number")
        .to_string();
    assert!(
        error.contains("`adam.m`") && error.contains("at index 3"),
        "{error}"
    );
}
