//! Sixteen supervision steps without gradients, and the metrics of the last as evaluation reports them.

use super::case::Case;
use serde_json::{Value, json};
use trm_autograd::op::loss::{self, LossKind};
use trm_kernels::Kernels;
use trm_model::metrics::Metrics;
use trm_model::solve::Rollout;

pub fn check(case: &mut Case, kernels: &'static Kernels) {
    let (net, params) = case.network(kernels);
    let (inputs, labels) = (case.tokens("batch.inputs"), case.tokens("batch.labels"));
    let ids = case.numbers("batch.puzzle_identifiers");
    let steps = case.json["n_supervision_steps"]
        .as_u64()
        .expect("a number of steps") as usize;
    let (cells, v) = (net.config().cells, net.config().vocab_size);
    let mut rollout = Rollout::new(&net, &params, ids.len());
    rollout.start(&inputs, &ids);
    let (mut preds, mut logits) = (Vec::new(), Vec::new());
    let (mut q_halt, mut q_continue, mut halted) = (Vec::new(), Vec::new(), Vec::new());
    for step in 1..=steps {
        rollout.step();
        let ws = rollout.outputs();
        let last = step == net.config().halt_max_steps;
        let mut metrics = Metrics::default();
        for (b, labels) in labels.chunks_exact(cells).enumerate() {
            let logits = &ws.logits[b * cells * v..][..cells * v];
            let row = loss::token_cross_entropy(
                LossKind::Stablemax,
                &mut vec![0.0; cells * v],
                logits,
                labels,
                1.0,
            );
            let q = ws.q[2 * b];
            let (q_loss, _) =
                loss::bce_with_logits(f64::from(q), f64::from(u8::from(row.all_right())));
            metrics.count_puzzle(&row, q, q_loss, step as u32, last);
            halted.push(u8::from(last));
            q_halt.push(q);
            q_continue.push(ws.q[2 * b + 1]);
        }
        preds.extend(ws.logits.chunks_exact(v).map(|row| loss::argmax(row) as u8));
        logits.extend_from_slice(ws.logits);
        case.compare_metrics(step, &metrics, 2e-5);
        if metrics.count > 0.0 {
            compare_report(case, &metrics, &case.json["pretrain_evaluate"]["all"]);
        }
    }
    case.compare_exact("steps.preds", &preds);
    case.compare("steps.logits", &logits);
    case.compare("steps.q_halt_logits", &q_halt);
    case.compare("steps.q_continue_logits", &q_continue);
    case.compare_exact("steps.halted", &halted);
    let (z_h, z_l) = rollout.state();
    case.compare("final_carry.z_H", z_h);
    case.compare("final_carry.z_L", z_l);
}

/// What the reference's evaluation prints: sums of the last step over the puzzles with labels.
fn compare_report(case: &Case, m: &Metrics, want: &Value) {
    for (name, got, relative) in [
        ("accuracy", m.accuracy, 1e-6),
        ("exact_accuracy", m.exact_accuracy, 1e-6),
        ("q_halt_accuracy", m.q_halt_accuracy, 1e-6),
        ("steps", m.steps, 1e-6),
        ("lm_loss", m.lm_loss, 2e-5),
        ("q_halt_loss", m.q_halt_loss, 2e-5),
    ] {
        case.compare_scalar(name, got / m.count, &json!({ "f64": want[name] }), relative);
    }
}
