//! Supervision steps with gradients and without updates: logits, losses, metrics, every gradient, carry.

use super::case::Case;
use trm_kernels::Kernels;
use trm_model::carry::Carry;
use trm_model::config::{LossName, System};
use trm_model::metrics::Metrics;
use trm_model::train_step::{StepContext, micro_batch};
use trm_model::workspace::{Memory, Mode, Workspace};
use trm_model::{Network, TrainConfig};

pub fn check(case: &mut Case, kernels: &'static Kernels) {
    let (net, params) = case.network(kernels);
    let batch = case.usize("config", "batch_size");
    let loss = match case.json["loss_type"].as_str() {
        Some("softmax_cross_entropy") => LossName::Softmax,
        _ => LossName::Stablemax,
    };
    let config = TrainConfig {
        batch,
        loss,
        halt_exploration: 0.0,
        ..TrainConfig::default()
    };
    let mut carry = poisoned_carry(&net, batch);
    let mut memory = Memory::new(&net, batch, Mode::Train, 1);
    for step in 1..=case.json["n_supervision_steps"]
        .as_u64()
        .expect("a number of steps")
    {
        let inputs = case.tokens(&format!("step{step}.batch.inputs"));
        let labels = case.tokens(&format!("step{step}.batch.labels"));
        let ids = case.numbers(&format!("step{step}.batch.puzzle_identifiers"));
        let cells = net.config().cells;
        carry.refill(|row, slot| {
            slot.inputs.copy_from_slice(&inputs[row * cells..][..cells]);
            slot.labels.copy_from_slice(&labels[row * cells..][..cells]);
            *slot.puzzle = ids[row];
        });
        let mut grads = vec![0.0; net.layout().len()];
        let mut metrics = Metrics::default();
        let ctx = StepContext {
            net: &net,
            params: &params,
            config: &config,
            step,
        };
        let mut ws = memory.carve(&net, batch);
        micro_batch(ctx, &mut ws, &mut carry.rows(), &mut grads, &mut metrics);
        compare_outputs(case, step, &net, &ws);
        compare_gradients(case, step, &net, &grads, &carry);
        compare_carry(case, step, &net, &carry);
        if net.config().system == System::Hrm {
            compare_targets(case, step, &ws, &config);
        }
        case.compare_metrics(step as usize, &metrics, 1e-5);
        compare_halting(case, step, &carry);
    }
}

/// Nothing in a carry whose rows have all halted may have influence.
fn poisoned_carry(net: &Network, batch: usize) -> Carry {
    let mut carry = Carry::new(net.config(), batch, 1);
    carry.z_h.fill(f32::NAN);
    carry.z_l.fill(f32::NAN);
    carry
}

fn compare_outputs(case: &mut Case, step: u64, net: &Network, ws: &Workspace<'_>) {
    let v = net.config().vocab_size;
    case.compare(&format!("step{step}.logits"), ws.logits);
    let preds: Vec<u8> = ws
        .logits
        .chunks_exact(v)
        .map(|row| trm_autograd::op::loss::argmax(row) as u8)
        .collect();
    case.compare_exact(&format!("step{step}.preds"), &preds);
    let q: [Vec<f32>; 2] = [0, 1].map(|i| ws.q.iter().skip(i).step_by(2).copied().collect());
    case.compare(&format!("step{step}.q_halt_logits"), &q[0]);
    case.compare(&format!("step{step}.q_continue_logits"), &q[1]);
}

fn compare_gradients(case: &mut Case, step: u64, net: &Network, grads: &[f32], carry: &Carry) {
    for spec in net.layout().specs() {
        case.compare(
            &format!("step{step}.grad.model.inner.{}", spec.name),
            &grads[spec.at.clone()],
        );
    }
    if net.config().puzzle_emb_ndim > 0 {
        case.compare(
            &format!("step{step}.grad.model.inner.puzzle_emb.local_weights"),
            &carry.d_puzzle,
        );
        case.compare_exact(&format!("step{step}.puzzle_emb.local_ids"), &carry.puzzles);
    }
}

fn compare_carry(case: &mut Case, step: u64, net: &Network, carry: &Carry) {
    // The reference calls the one state of trm_singlez z_L, and numbers the latents of trm_hier6.
    let c = net.config();
    let high = match c.system {
        System::SingleZ => "z_L",
        _ => "z_H",
    };
    case.compare(&format!("step{step}.carry.{high}"), &carry.z_h);
    let (latents, len) = (c.system.latents(), c.state_len());
    for i in 0..latents {
        let name = match latents {
            1 => "z_L".to_owned(),
            _ => format!("z_L{}", i + 1),
        };
        let all = carry.z_l.chunks_exact(len).skip(i).step_by(latents);
        let z: Vec<f32> = all.flatten().copied().collect();
        case.compare(&format!("step{step}.carry.{name}"), &z);
    }
    case.compare_exact(&format!("step{step}.carry.steps"), &carry.steps);
    let halted: Vec<u8> = carry.halted.iter().map(|&h| u8::from(h)).collect();
    case.compare_exact(&format!("step{step}.carry.halted"), &halted);
    case.compare_exact(&format!("step{step}.carry.current.inputs"), &carry.inputs);
    case.compare_exact(&format!("step{step}.carry.current.labels"), &carry.labels);
    case.compare_exact(
        &format!("step{step}.carry.current.puzzle_identifiers"),
        &carry.puzzles,
    );
}

/// HRM's targets of q_continue, as its gradient has them: d_q = w (sigmoid(q) - target) / B.
fn compare_targets(case: &mut Case, step: u64, ws: &Workspace<'_>, config: &TrainConfig) {
    let share = config.halt_loss_weight / config.batch as f64;
    let rows = ws.q.chunks_exact(2).zip(ws.d_q.chunks_exact(2));
    let target = |(q, d_q): (&[f32], &[f32])| {
        let belief = 1.0 / (1.0 + f64::from(-q[1]).exp());
        (belief - f64::from(d_q[1]) / share) as f32
    };
    let targets: Vec<f32> = rows.map(target).collect();
    case.compare(&format!("step{step}.target_q_continue"), &targets);
}

fn compare_halting(case: &Case, step: u64, carry: &Carry) {
    let expected = &case.json["steps"][step as usize - 1];
    assert_eq!(
        expected["all_halted"],
        carry.halted.iter().all(|&h| h),
        "all_halted of step {step}"
    );
}
