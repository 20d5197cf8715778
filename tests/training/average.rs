//! What is evaluated and shipped is the moving average.

use super::{CELLS, Puzzles, drawn, run_to, trainer, training};
use trm_kernels::Kernels;
use trm_model::config::Mixer;
use trm_model::solve::Rollout;
use trm_model::{Network, Parameters};

/// What a network says of a few boards after two steps.
fn logits(net: &Network, params: &Parameters, inputs: &[u8]) -> Vec<f32> {
    let puzzles = inputs.len() / CELLS;
    let mut rollout = Rollout::new(net, params, puzzles);
    rollout.start(inputs, &vec![0; puzzles]);
    (0..2).for_each(|_| rollout.step());
    rollout.outputs().logits.to_vec()
}

#[test]
fn the_average_is_shown_and_then_the_values_are_back() {
    let puzzles = Puzzles::new(10);
    let (inputs, _) = drawn(&puzzles, 0, 5);
    for ema_rate in [0.9, 0.0] {
        let mut config = training(5);
        config.ema_rate = ema_rate;
        let kernels = Kernels::best().expect("an instruction set");
        let mut run = trainer(Mixer::Mlp, config, kernels, 2);
        run_to(&mut run, 5, &puzzles, 2);
        let (values, ema) = (run.params.values.clone(), run.ema.clone());
        let average = if ema_rate > 0.0 { &ema } else { &values };
        // A network of the same sizes that was given the average.
        let mut fresh = run.net.init(99);
        fresh.values.copy_from_slice(average);
        for (to, from) in [
            (&mut fresh.h_init, &run.params.h_init),
            (&mut fresh.l_init, &run.params.l_init),
            (&mut fresh.puzzle_emb, &run.params.puzzle_emb),
        ] {
            to.copy_from_slice(from);
        }
        run.net.pack(&mut fresh);
        let expected = logits(&run.net, &fresh, &inputs);
        let of_values = logits(&run.net, &run.params, &inputs);
        assert_eq!(ema_rate > 0.0, expected != of_values, "training moves it");
        let (seen, said) =
            run.with_average(|net, params| (params.values.clone(), logits(net, params, &inputs)));
        assert!(seen[..] == average[..], "rate {ema_rate}: other values");
        assert!(said == expected, "rate {ema_rate}: packed of other values");
        assert!(run.params.values[..] == values[..] && run.ema[..] == ema[..]);
        assert!(logits(&run.net, &run.params, &inputs) == of_values);
    }
}
