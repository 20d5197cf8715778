//! Every kernel once, small enough for Miri to watch (tests/sanitize.sh).

use super::tests::run_of;
use crate::carry::Slot;
use crate::config::{
    FeedForward, Mixer, ModelConfig, OptimizerName, PositionEncoding, TrainConfig,
};
use crate::solve::{SolveOptions, solve_all};

#[test]
fn with_a_mixer_over_positions() {
    of(Mixer::Mlp, FeedForward::Swiglu);
}

#[test]
fn with_attention() {
    of(Mixer::Attention, FeedForward::GatedNorm);
}

#[test]
fn with_groups() {
    of(Mixer::Groups, FeedForward::Swiglu);
}

#[test]
fn with_neighbours() {
    of(Mixer::Neighbours, FeedForward::GatedNorm);
}

fn of(mixer: Mixer, feed_forward: FeedForward) {
    let by_symbol = mixer == Mixer::Groups;
    let prefix = usize::from(matches!(mixer, Mixer::Mlp | Mixer::Attention));
    let model = ModelConfig {
        cells: 4,
        vocab_size: 3,
        symbols: if by_symbol { 2 } else { 0 },
        mixer,
        feed_forward,
        position_encoding: match mixer {
            Mixer::Attention => PositionEncoding::Rope,
            _ => PositionEncoding::None,
        },
        width: 5,
        heads: 2,
        layers: 1,
        inner: 3,
        inner_positions: 3,
        prefix_len: prefix,
        puzzle_emb_ndim: 3 * prefix,
        h_cycles: 2,
        l_cycles: 1,
        halt_max_steps: 2,
        init_noise: 0.1,
        ..ModelConfig::default()
    };
    let config = TrainConfig {
        batch: 3,
        micro_batch: 2,
        gradient_shards: 2,
        optimizer: OptimizerName::Muon,
        warmup_steps: 0,
        // What moves is moved by a gradient.
        weight_decay: 0.0,
        muon_weight_decay: 0.0,
        ..TrainConfig::default()
    };
    let mut trainer = run_of(model, config);
    let before = trainer.params.values.clone();
    for _ in 0..2 {
        let fill = |row: usize, slot: Slot<'_>| {
            slot.inputs.fill(1);
            slot.labels.fill(1 + row as u8 % 2);
        };
        trainer.step(fill).expect("finite numbers");
    }
    assert!(before[..] != trainer.params.values[..], "{mixer:?} learns");
    let answers = trainer.with_average(|net, params| {
        solve_all(net, params, &[1, 2, 1, 1], 1, SolveOptions::new(2), |_| ())
    });
    assert_eq!(answers[0].tokens.len(), 4);
}
