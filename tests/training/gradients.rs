//! The gradient of a whole supervision step, network and losses, against differences of the loss.

use super::{Puzzles, model, run_to, training};
use trm_kernels::Kernels;
use trm_model::config::{FeedForward, LossName, Mixer};
use trm_model::{ModelConfig, Network, TrainConfig, Trainer};

/// One step from `change` times `direction` beside the first values, without an update: the loss and its
/// gradient.
fn step(
    model: &ModelConfig,
    config: &TrainConfig,
    puzzles: &Puzzles,
    (direction, change): (&[f32], f32),
) -> (f64, Vec<f32>) {
    let kernels = Kernels::best().expect("an instruction set");
    let net = Network::new(model.clone(), kernels).expect("a network that works");
    let mut params = net.init(3);
    // The halting head starts at zero, where little can be seen.
    for (i, value) in params.values.iter_mut().enumerate() {
        *value += 0.05 * (i as f32).sin();
    }
    for (value, d) in params.values.iter_mut().zip(direction) {
        *value += change * d;
    }
    net.pack(&mut params);
    let threads = rayon::current_num_threads();
    let mut trainer =
        Trainer::new(net, params, config.clone(), threads).expect("a config that works");
    let batch = config.batch as u64;
    let metrics = trainer.step(|row, slot| puzzles.draw(batch + row as u64, slot));
    let metrics = metrics.expect("finite numbers");
    let loss = metrics.lm_loss + config.halt_loss_weight * metrics.q_halt_loss;
    (loss / config.batch as f64, trainer.grads().to_vec())
}

#[test]
fn every_parameter_pulls_as_hard_as_the_loss_falls() {
    let puzzles = Puzzles::new(10);
    let networks = [
        (Mixer::Mlp, FeedForward::Swiglu, false),
        (Mixer::Mlp, FeedForward::GatedNorm, false),
        (Mixer::Mlp, FeedForward::Swiglu, true),
        (Mixer::Attention, FeedForward::Swiglu, false),
        (Mixer::Groups, FeedForward::Swiglu, false),
        (Mixer::Groups, FeedForward::GatedNorm, false),
        (Mixer::Neighbours, FeedForward::Swiglu, false),
    ];
    for (mixer, feed_forward, registers) in networks {
        let mut model = model(mixer);
        (model.feed_forward, model.registers) = (feed_forward, registers);
        if registers {
            // The puzzle's embedding does not fill the positions in front.
            model.prefix_len = 3;
        }
        // The gradient of the loss goes through one cycle: here that is all there is.
        model.h_cycles = 1;
        let mut config = training(1);
        (config.batch, config.micro_batch) = (4, 3);
        (config.loss, config.label_smoothing) = (LossName::Softmax, 0.1);
        let layout = Network::new(model.clone(), Kernels::best().expect("an instruction set"));
        let layout = layout.expect("a network that works").layout().clone();
        let (_, gradient) = step(&model, &config, &puzzles, (&[], 0.0));
        for spec in layout.specs() {
            let part = &gradient[spec.at.clone()];
            let length = part
                .iter()
                .map(|g| f64::from(*g).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(length > 5e-4, "{mixer:?}, {}: no gradient", spec.name);
            let mut direction = vec![0.0; layout.len()];
            for (d, g) in direction[spec.at.clone()].iter_mut().zip(part) {
                *d = (f64::from(*g) / length) as f32;
            }
            // Differences over two steps, of which the error in the square of the step cancels.
            let slope = |change: f32| {
                let loss = |change| step(&model, &config, &puzzles, (&direction, change)).0;
                (loss(change) - loss(-change)) / (2.0 * f64::from(change))
            };
            let slope = (4.0 * slope(4e-3) - slope(8e-3)) / 3.0;
            // What remains is the rounding of the loss, and the fourth power.
            let bound = (5e-4 * length + 5e-5).min(0.002 * length + 2e-6);
            assert!(
                (slope - length).abs() < bound,
                "{mixer:?}, {}: the loss falls by {slope}, the gradient says {length}",
                spec.name
            );
        }
    }
}

/// A network with symbols answers a relabelled board with the relabelled answer: its logits change places, up to the
/// order in which a sum over symbols is rounded.
#[test]
fn symbols_are_all_alike() {
    use trm_model::solve::Rollout;
    let kernels = Kernels::best().expect("an instruction set");
    let puzzles = Puzzles::new(40);
    let mut run = super::trainer(Mixer::Groups, training(30), kernels, 2);
    run_to(&mut run, 30, &puzzles, 2);
    let (inputs, _) = super::drawn(&puzzles, 0, 20);
    let next = |symbol: usize| (symbol + 1) % 4;
    let relabel = |token: &u8| match token.checked_sub(2) {
        Some(symbol) => 2 + next(symbol.into()) as u8,
        None => *token,
    };
    let relabelled: Vec<u8> = inputs.iter().map(relabel).collect();
    let logits = |inputs: &[u8]| {
        let mut rollout = Rollout::new(&run.net, &run.params, 20);
        rollout.start(inputs, &[0; 20]);
        (0..3).for_each(|_| rollout.step());
        rollout.outputs().logits.to_vec()
    };
    let (logits, others) = (logits(&inputs), logits(&relabelled));
    let largest = logits
        .iter()
        .fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let cells = logits.chunks_exact(4).zip(others.chunks_exact(4));
    for (cell, other) in cells {
        for (symbol, logit) in cell.iter().enumerate() {
            let off = (logit - other[next(symbol)]).abs();
            assert!(
                off < 1e-3 * largest,
                "{logit} became {}",
                other[next(symbol)]
            );
        }
    }
    let spread = logits.chunks_exact(4).map(|cell| (cell[0] - cell[1]).abs());
    assert!(spread.sum::<f32>() > largest, "the symbols are told apart");
}
