//! Values of a config that nothing reads.

use super::{RunConfig, values};
use trm_model::config::{Mixer, OptimizerName, PositionEncoding};
use trm_model::{ModelConfig, TrainConfig};

/// What a config says otherwise than the defaults though nothing reads it, each with the reason, in words:
/// `train.muon_lr = 0.01 has no effect: train.optimizer is not "muon"`.
///
/// # Errors
/// When a value does not fit TOML.
pub fn without_effect(config: &RunConfig) -> anyhow::Result<Vec<String>> {
    let (model, train) = (&config.model, &config.train);
    let inner_widths_are_given =
        model.inner > 0 && (model.inner_positions > 0 || model.mixer != Mixer::Mlp);
    let (is_muon, freezes) = (train.optimizer == OptimizerName::Muon, train.freeze_weights);
    let muon: &[&str] = &[
        "train.muon_lr",
        "train.muon_weight_decay",
        "train.muon_momentum",
    ];
    let frozen = "the puzzle embeddings alone are trained (train.freeze_weights = true)";
    let reasons: [(bool, &[&str], &str); 11] = [
        (!is_muon, muon, "train.optimizer is not \"muon\""),
        (is_muon && freezes, muon, frozen),
        (
            model.puzzle_emb_ndim == 0,
            &["train.puzzle_emb_lr", "train.puzzle_emb_weight_decay"],
            "there are no puzzle embeddings (model.puzzle_emb_ndim = 0)",
        ),
        (
            model.mixer != Mixer::Attention,
            &["model.heads"],
            "model.mixer is not \"attention\"",
        ),
        (
            model.mixer != Mixer::Mlp,
            &["model.inner_positions"],
            "model.mixer is not \"mlp\"",
        ),
        (
            model.mixer != Mixer::Neighbours,
            &["model.columns"],
            "model.mixer is not \"neighbours\"",
        ),
        (
            model.position_encoding != PositionEncoding::Rope,
            &["model.rope_theta"],
            "model.position_encoding is not \"rope\"",
        ),
        (
            inner_widths_are_given,
            &["model.expansion"],
            "the inner widths that would follow from it are given",
        ),
        (
            freezes,
            &[
                "train.optimizer",
                "train.lr",
                "train.weight_decay",
                "train.beta1",
                "train.beta2",
                "train.ema_rate",
            ],
            frozen,
        ),
        (
            model.h_cycles == 1,
            &["train.cycle_loss"],
            "there is no cycle before the last (model.H_cycles = 1)",
        ),
        (
            model.halt_max_steps == 1,
            &["train.halt_exploration"],
            "every puzzle halts after one step (model.halt_max_steps = 1)",
        ),
    ];
    let defaults = RunConfig {
        model: ModelConfig::default(),
        train: TrainConfig::default(),
        ..config.clone()
    };
    let (values, defaults) = (values(config)?, values(&defaults)?);
    let idle = reasons.iter().filter(|(idle, ..)| *idle);
    let keys = idle.flat_map(|(_, keys, why)| keys.iter().map(move |&key| (key, why)));
    let given = keys.filter(|&(key, _)| values.get(key) != defaults.get(key));
    Ok(given
        .map(|(key, why)| format!("{key} = {} has no effect: {why}", values[key]))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::super::{PRESETS, parse};
    use super::without_effect;

    #[test]
    fn no_preset_says_what_has_no_effect() {
        for (name, text) in PRESETS {
            let config = parse(text, name).expect(name);
            assert_eq!(
                without_effect(&config).expect(name),
                [""; 0],
                "preset {name}"
            );
        }
    }

    #[test]
    fn each_value_that_nothing_reads_is_named() {
        let groups = "[data]\nside = 4\n[model]\nmixer = \"groups\"\nsymbols = 4\nprefix_len = 0\npuzzle_emb_ndim = 0\n";
        let idle = "H_cycles = 1\nhalt_max_steps = 1\ninner = 8\ninner_positions = 9\nheads = 4\ncolumns = 4\n\
            rope_theta = 5.0\nexpansion = 2.0\n\
            [train]\nmuon_lr = 0.5\nmuon_momentum = 0.5\nmuon_weight_decay = 0.5\npuzzle_emb_lr = 0.5\n\
            puzzle_emb_weight_decay = 0.5\ncycle_loss = 0.5\nhalt_exploration = 0.5\n";
        let config = parse(&format!("{groups}{idle}"), "test").expect("a config");
        let said = without_effect(&config).expect("values that fit TOML");
        assert_eq!(said.len(), 12, "{said:#?}");
        assert!(said.contains(
            &"train.muon_lr = 0.5 has no effect: train.optimizer is not \"muon\"".to_owned()
        ));
        // The same values where each is read.
        let read = idle
            .replace("[train]", "[train]\noptimizer = \"muon\"")
            .replace("H_cycles = 1\nhalt_max_steps = 1\n", "");
        let mlp = "[data]\nside = 4\n[model]\nwidth = 16\nprefix_len = 1\npuzzle_emb_ndim = 16\n";
        let config = parse(&format!("{mlp}{read}"), "test").expect("a config");
        let said = without_effect(&config).expect("values that fit TOML");
        let keys = said
            .iter()
            .map(|line| line.split_once(' ').expect("a key").0);
        assert_eq!(
            keys.collect::<Vec<_>>(),
            [
                "model.heads",
                "model.columns",
                "model.rope_theta",
                "model.expansion"
            ]
        );
    }

    #[test]
    fn what_is_frozen_has_no_optimiser() {
        let text = "[data]\nside = 4\n[train]\nfreeze_weights = true\nlr = 0.5\nbeta1 = 0.5\n\
            optimizer = \"muon\"\nmuon_lr = 0.5\n";
        let config = parse(text, "test").expect("a config");
        let said = without_effect(&config).expect("values that fit TOML");
        let keys = [
            "train.muon_lr = 0.5",
            "train.optimizer = \"muon\"",
            "train.lr = 0.5",
            "train.beta1 = 0.5",
        ];
        assert_eq!(said.len(), keys.len(), "{said:#?}");
        assert!(
            said.iter()
                .zip(keys)
                .all(|(line, key)| line.starts_with(key))
        );
    }
}
