//! Training makes the loss fall, and what was learned survives a trip through a file.

use super::{Puzzles, drawn, halting_bias, run_to, trainer, training};
use std::collections::BTreeMap;
use trm_kernels::Kernels;
use trm_model::config::Mixer;
use trm_model::guess::Guess;
use trm_model::solve::{Halt, SolveOptions, solve_all};
use trm_model::weights;

#[test]
fn both_networks_learn_more_than_to_copy() {
    let (puzzles, kernels) = (
        Puzzles::new(200),
        Kernels::best().expect("an instruction set"),
    );
    let (inputs, labels) = drawn(&puzzles, 1 << 40, 100);
    let given = inputs
        .iter()
        .zip(&labels)
        .filter(|(input, label)| input == label)
        .count();
    // Attention must find out first what a row, a column and a box are.
    for (mixer, share) in [(Mixer::Mlp, 2), (Mixer::Attention, 8)] {
        let mut config = training(300);
        (config.lr, config.warmup_steps) = (8e-3, 20);
        let mut trainer = trainer(mixer, config, kernels, 2);
        run_to(&mut trainer, 300, &puzzles, 2);
        let options = SolveOptions::new(3);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("weights.safetensors");
        let before = trainer.params.values.clone();
        let answers = trainer.with_average(|net, averaged| {
            weights::save(&path, net, averaged, &BTreeMap::new()).expect("a file");
            solve_all(net, averaged, &inputs, 7, options, |_| ())
        });
        assert!(
            before[..] == trainer.params.values[..],
            "training goes on where it was"
        );
        let tokens = answers.iter().flat_map(|answer| &answer.tokens);
        let right = tokens.zip(&labels).filter(|(a, b)| a == b).count();
        // A network that copied the givens and guessed among four digits would have this many.
        let copied = given + (labels.len() - given) / 4;
        let needed = copied + (labels.len() - copied) / share;
        assert!(
            right > needed,
            "{mixer:?}: {right} of {} cells right, {needed} expected",
            labels.len()
        );

        let loaded = weights::load(&path, kernels).expect("the file");
        let again = solve_all(&loaded.net, &loaded.params, &inputs, 3, options, |_| ());
        assert_eq!(
            answers, again,
            "neither the file nor the micro-batch changes an answer"
        );
    }
}

#[test]
fn halting_early_saves_steps_and_never_halting_takes_all() {
    let (puzzles, kernels) = (
        Puzzles::new(20),
        Kernels::best().expect("an instruction set"),
    );
    let (inputs, _) = drawn(&puzzles, 0, 10);
    let mut run = trainer(Mixer::Mlp, training(1), kernels, 1);
    let at = halting_bias(&run.net).start;
    for (q, halt, expected) in [
        (3.0, Halt::WhenSure, 1),
        (-3.0, Halt::WhenSure, 5),
        (3.0, Halt::Never, 5),
    ] {
        run.params.values[at] = q;
        let answers = solve_all(
            &run.net,
            &run.params,
            &inputs,
            4,
            SolveOptions {
                halt,
                ..SolveOptions::new(5)
            },
            |_| (),
        );
        assert!(
            answers
                .iter()
                .all(|a| a.steps == expected && (a.q_halt > 0.0) == (q > 0.0)),
            "{q}, {halt:?}"
        );
    }
}

/// A puzzle that stops gives its place to the next: that must change no answer, whatever the room.
#[test]
fn answers_do_not_depend_on_the_room() {
    let (puzzles, kernels) = (
        Puzzles::new(60),
        Kernels::best().expect("an instruction set"),
    );
    let (inputs, _) = drawn(&puzzles, 0, 37);
    let mut config = training(60);
    (config.lr, config.warmup_steps) = (5e-3, 10);
    let mut run = trainer(Mixer::Mlp, config, kernels, 2);
    run_to(&mut run, 60, &puzzles, 2);
    // Half sure, so that the puzzles stop after different numbers of steps.
    let at = halting_bias(&run.net).start;
    let guessing = |run: &trm_model::Trainer, room, halt, guess| {
        let options = SolveOptions {
            halt,
            guess,
            ..SolveOptions::new(6)
        };
        solve_all(&run.net, &run.params, &inputs, room, options, |_| ())
    };
    let answers = |run: &trm_model::Trainer, room, halt| guessing(run, room, halt, None);
    let mut logits: Vec<_> = answers(&run, 5, Halt::Never)
        .iter()
        .map(|a| a.q_halt)
        .collect();
    logits.sort_by(f32::total_cmp);
    run.params.values[at] -= logits[logits.len() / 2];
    for halt in [
        Halt::Never,
        Halt::WhenSure,
        Halt::WhenStable(0),
        Halt::WhenStable(1),
    ] {
        let one = answers(&run, 1, halt);
        assert_eq!(one.len(), 37);
        for room in [2, 5, 64] {
            assert!(
                answers(&run, room, halt) == one,
                "{halt:?}, room for {room}"
            );
        }
        let steps = |test: fn(&usize) -> bool| one.iter().map(|a| a.steps).filter(test).count();
        match halt {
            Halt::Never => assert_eq!(steps(|&steps| steps == 6), 37),
            Halt::WhenStable(0) => assert_eq!(steps(|&steps| steps == 1), 37),
            _ => assert!(
                steps(|&steps| steps < 6) > 0,
                "{halt:?}: nobody stopped early"
            ),
        }
        // What a puzzle guesses depends on its own answer and step alone, and it changes some answers.
        let guess = Some(Guess { every: 2, blank: 1 });
        let guessed = guessing(&run, 1, halt, guess);
        for room in [2, 5, 64] {
            assert!(
                guessing(&run, room, halt, guess) == guessed,
                "{halt:?}, guesses, room for {room}"
            );
        }
        let stops_before_a_guess = halt == Halt::WhenStable(0);
        assert_eq!(guessed == one, stops_before_a_guess, "{halt:?}");
    }
}
