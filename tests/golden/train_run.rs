//! Whole optimiser steps through [`Trainer`]: parameters after some of them, the average, the metrics.

use super::case::Case;
use trm_kernels::Kernels;
use trm_model::config::OptimizerName;
use trm_model::metrics::Metrics;
use trm_model::{Network, TrainConfig, Trainer};

pub fn check(case: &mut Case, kernels: &'static Kernels) {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .expect("a pool");
    pool.install(|| run(case, kernels));
}

fn run(case: &mut Case, kernels: &'static Kernels) {
    let (net, params) = case.network(kernels);
    let config = config(case);
    let mut trainer = Trainer::new(net, params, config, 2).expect("a config that works");
    let inputs = case.tokens("batches.inputs");
    let labels = case.tokens("batches.labels");
    let ids = case.numbers("batches.puzzle_identifiers");
    let (batch, cells) = (trainer.config.batch, trainer.net.config().cells);
    let snapshots: Vec<u64> = case.json["train"]["snapshots"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|n| n.as_u64())
        .collect();
    for step in 1..=case.usize("train", "n_steps") {
        let first = (step - 1) * batch;
        let metrics = trainer.step(|row, slot| {
            let at = first + row;
            slot.inputs.copy_from_slice(&inputs[at * cells..][..cells]);
            slot.labels.copy_from_slice(&labels[at * cells..][..cells]);
            *slot.puzzle = ids[at];
        });
        let metrics = metrics.expect("finite numbers");
        compare_step(case, step, &trainer, &metrics);
        if snapshots.contains(&(step as u64)) {
            compare_values(
                case,
                &format!("after{step}"),
                &trainer.net,
                &trainer.params.values,
            );
            case.compare(
                &format!("after{step}.model.inner.puzzle_emb.weights"),
                &trainer.params.puzzle_emb,
            );
        }
    }
    compare_values(case, "ema", &trainer.net, &trainer.ema);
    case.compare("final_carry.z_H", &trainer.carry.z_h);
    case.compare("final_carry.z_L", &trainer.carry.z_l);
}

/// Batches of 4 in micro-batches of 3 and 1, so that shards of unequal size are exercised too.
fn config(case: &Case) -> TrainConfig {
    let value = |key| case.f64("train", key);
    TrainConfig {
        batch: case.usize("config", "batch_size"),
        micro_batch: 3,
        steps: case.usize("train", "total_steps") as u64,
        halt_exploration: 0.0,
        optimizer: match case.json["train"]["optimizer"].as_str() {
            Some("adamw") => OptimizerName::Adamw,
            _ => OptimizerName::AdamAtan2,
        },
        lr: value("lr"),
        lr_min_ratio: value("lr_min_ratio"),
        warmup_steps: case.usize("train", "lr_warmup_steps") as u64,
        beta1: value("beta1"),
        beta2: value("beta2"),
        weight_decay: value("weight_decay"),
        puzzle_emb_lr: value("puzzle_emb_lr"),
        puzzle_emb_weight_decay: value("puzzle_emb_weight_decay"),
        ema_rate: value("ema_rate"),
        ..TrainConfig::default()
    }
}

fn compare_values(case: &mut Case, prefix: &str, net: &Network, values: &[f32]) {
    for spec in net.layout().specs() {
        case.compare(
            &format!("{prefix}.model.inner.{}", spec.name),
            &values[spec.at.clone()],
        );
    }
}

/// Metrics as the reference logs them: losses per puzzle of the batch, the rest per puzzle that halted.
fn compare_step(case: &Case, step: usize, trainer: &Trainer, m: &Metrics) {
    let want = &case.json["steps"][step - 1];
    let (count, batch) = (m.count.max(1.0), trainer.config.batch as f64);
    for (name, got) in [
        ("train/count", m.count / count),
        ("train/exact_accuracy", m.exact_accuracy / count),
        ("train/q_halt_accuracy", m.q_halt_accuracy / count),
        ("train/accuracy", m.accuracy / count),
        ("train/steps", m.steps / count),
    ] {
        case.compare_absolute(name, got, &want[name], 1e-6);
    }
    case.compare_scalar(
        "train/lm_loss",
        m.lm_loss / batch,
        &want["train/lm_loss"],
        1e-4,
    );
    case.compare_scalar(
        "train/q_halt_loss",
        m.q_halt_loss / batch,
        &want["train/q_halt_loss"],
        1e-4,
    );
    case.compare_scalar("loss", m.lm_loss + 0.5 * m.q_halt_loss, &want["loss"], 1e-4);
    case.compare_scalar(
        "train/lr",
        trainer.lr(trainer.config.lr),
        &want["train/lr"],
        1e-12,
    );
    case.compare_scalar(
        "puzzle_emb_lr",
        trainer.lr(trainer.config.puzzle_emb_lr),
        &want["puzzle_emb_lr"],
        1e-12,
    );
    let numbers = |key: &str| -> Vec<u64> {
        want[key]
            .as_array()
            .expect("a list")
            .iter()
            .map(|n| n.as_u64().expect("a count"))
            .collect()
    };
    let halted: Vec<u64> = trainer.carry.halted.iter().map(|&h| u64::from(h)).collect();
    let steps: Vec<u64> = trainer.carry.steps.iter().map(|&s| u64::from(s)).collect();
    assert_eq!(halted, numbers("halted"), "who halted in step {step}");
    assert_eq!(steps, numbers("carry_steps"), "depths after step {step}");
}
