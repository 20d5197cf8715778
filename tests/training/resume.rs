//! A run that was stopped and resumed is the run that was not stopped.

use super::{CELLS, Puzzles, assert_same_bits, run_to, trainer, training};
use std::collections::BTreeMap;
use trm_kernels::Kernels;
use trm_model::checkpoint::{self, Contents};
use trm_model::config::Mixer;
use trm_tensor::Shape;
use trm_tensor::safetensors::{self, Data};

const STEPS: u64 = 12;

/// Adam's bias correction goes by it.
#[test]
fn updates_that_were_skipped_stay_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint.safetensors");
    let kernels = &Kernels::available()[0];
    let mut run = trainer(Mixer::Mlp, training(STEPS), kernels, 2);
    run_to(&mut run, 3, &Puzzles::new(40), 2);
    assert_eq!(run.updates, 3);
    let mut save = |updates| {
        run.updates = updates;
        checkpoint::save(&path, &run, Contents::Everything, &BTreeMap::new())
            .expect("a checkpoint");
        checkpoint::load(&path, kernels, 1)
    };
    assert_eq!(save(1).expect("a run").trainer.updates, 1);
    let error = save(4).expect_err("more updates than steps").to_string();
    assert!(error.contains("4 in 3 steps"), "{error}");
}

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
    // A row that goes on has labels and steps, which a run could not have made; a row that has halted gets new ones.
    let load = |run: &trm_model::Trainer| {
        checkpoint::save(&path, run, Contents::Everything, &BTreeMap::new()).expect("a checkpoint");
        checkpoint::load(&path, kernels, 1).map_err(|error| error.to_string())
    };
    for label in [6, 254] {
        (run.carry.halted[2], run.carry.labels[2 * CELLS + 1]) = (true, label);
        load(&run).expect("a label that nobody reads");
        run.carry.halted[2] = false;
        let error = load(&run).expect_err("a foreign label");
        let said = format!("label {label} in row 2: expected 0 to 5, or 255 for none");
        assert!(
            error.contains("carry.labels") && error.contains(&said),
            "{error}"
        );
    }
    (run.carry.labels[2 * CELLS + 1], run.carry.steps[2]) = (255, 3);
    let error = load(&run).expect_err("a row that should have halted");
    let said = "3 in row 2: expected at most 2 of a row that goes on";
    assert!(
        error.contains("carry.steps") && error.contains(said),
        "{error}"
    );
    run.carry.steps[2] = 2;
    load(&run).expect("the last step but one, and a cell of which nothing is asked");
    let (step, steps) = (run.step, run.config.steps);
    run.step = steps + 1;
    let error = load(&run).expect_err("a step beyond the last");
    let said = format!("step {} of {steps}", steps + 1);
    assert!(error.contains("`step`") && error.contains(&said), "{error}");
    run.step = step;
    run.m[3] = f32::NAN;
    checkpoint::save(&path, &run, Contents::Everything, &BTreeMap::new()).expect("a checkpoint");
    let error = checkpoint::load(&path, kernels, 1)
        .expect_err("a moment that is no number")
        .to_string();
    assert!(
        error.contains("`adam.m`") && error.contains("at index 3"),
        "{error}"
    );
    let about = BTreeMap::from([("format".into(), checkpoint::FORMAT.into())]);
    let tensor = ("values", Shape::from([1]), Data::F32(&[0.0]));
    safetensors::write(&path, [tensor], about).expect("a file");
    let error = checkpoint::load(&path, kernels, 1)
        .expect_err("no config")
        .to_string();
    let said = "metadata `model` cannot be read: there is none";
    assert!(error.ends_with(said), "{error}");
}

/// At whichever write, sync or rename the disk fails, for a moment or for good, the folder holds the run as it was
/// at the checkpoint before or as it is now.
#[test]
fn a_disk_that_fails_at_any_step_leaves_one_state_or_the_other() {
    use std::cell::Cell;
    use std::io::ErrorKind;
    use std::rc::Rc;
    use trm_tensor::file::{Step, with_faults};
    let (puzzles, kernels) = (Puzzles::new(40), &Kernels::available()[0]);
    let mut run = trainer(Mixer::Mlp, training(STEPS), kernels, 2);
    let mut states = Vec::new();
    for step in 1..=3 {
        run_to(&mut run, step, &puzzles, 2);
        let folder = tempfile::tempdir().expect("a folder");
        checkpoint::keep(folder.path(), &run, &BTreeMap::new()).expect("a checkpoint");
        states.push(
            checkpoint::newest(folder.path(), kernels, 2)
                .expect("it")
                .resumed
                .trainer,
        );
    }
    for for_good in [false, true] {
        let mut faults = 0;
        loop {
            let folder = tempfile::tempdir().expect("a folder");
            let keep = |run| checkpoint::keep(folder.path(), run, &BTreeMap::new());
            keep(&states[0]).expect("a disk that works");
            keep(&states[1]).expect("a disk that works");
            let steps = Rc::new(Cell::new(0));
            let (count, at) = (Rc::clone(&steps), faults);
            let fault = move |_: Step| {
                count.set(count.get() + 1);
                let fails = if for_good {
                    count.get() > at
                } else {
                    count.get() == at + 1
                };
                if fails {
                    Err(ErrorKind::StorageFull.into())
                } else {
                    Ok(())
                }
            };
            let kept = with_faults(fault, || keep(&states[2]));
            let found = checkpoint::newest(folder.path(), kernels, 2).expect("a checkpoint");
            let found = found.resumed.trainer;
            let expected = &states[if found.step == 3 { 2 } else { 1 }];
            assert_same_bits(
                &format!("a fault at step {faults} of saving"),
                expected,
                &found,
            );
            if steps.get() <= at {
                kept.expect("no step failed");
                assert_eq!(found.step, 3);
                break;
            }
            assert!(kept.is_err());
            // When the disk works again, so does saving.
            keep(&states[2]).expect("a disk that works");
            let found = checkpoint::newest(folder.path(), kernels, 2).expect("a checkpoint");
            assert_eq!(found.resumed.trainer.step, 3);
            faults += 1;
        }
        // Make, write parts, sync, rename, sync the folder; then two renames.
        assert!(faults >= 9, "{faults} steps");
    }
}
