//! Rows whose numbers left the range in a forward pass in halves, and how the run goes on without them.
//!
//! Products in halves scale their factors, so that finite ones do not overflow a sum of halves
//! ([`trm_kernels::matmul::half`]); what still overflows would do so in floats, too. A run in floats ends there, since
//! it has diverged. A run in halves goes on. A row without a finite answer is reset: its state becomes zero, it counts
//! as a puzzle without labels, and a new puzzle takes its place. Its micro-batch leaves no gradient in this step,
//! except, with `cycle_loss`, that of the weights in the cycles in which all its rows were still finite. An update is
//! skipped if its gradient is not finite, or too large to be squared ([`crate::Trainer::step`]). Both are counted in
//! the metrics.

use crate::carry::Rows;
use crate::metrics::Metrics;
use crate::train_step::StepContext;
use crate::trainer::astray::astray;
use crate::workspace::Workspace;
use trm_autograd::op::loss::IGNORE;
use trm_kernels::Precision;

/// Whether rows are to be reset, rather than the run to end.
pub(crate) fn is_handled(ctx: StepContext<'_>) -> bool {
    ctx.net.kernels.precision() == Precision::F16
}

/// Whether state, logits and q of all rows are finite: a cycle before the last is judged only then.
pub(crate) fn are_finite(ws: &Workspace<'_>, rows: &Rows<'_>) -> bool {
    let parts: [&[f32]; 4] = [rows.z_h, rows.z_l, ws.logits, ws.q];
    parts.iter().all(|part| astray(part).is_none())
}

/// Resets every row of which state, logits or q are not finite, so that it halts in this step; true if there was one.
pub(crate) fn reset_rows(
    ctx: StepContext<'_>,
    ws: &mut Workspace<'_>,
    rows: &mut Rows<'_>,
    metrics: &mut Metrics,
) -> bool {
    let c = &ctx.net.config;
    let (len, mut any) = (c.cells * c.outputs(), false);
    for b in 0..rows.len() {
        let row = rows.row(b);
        let logits = &mut ws.logits[b * len..][..len];
        let q = &mut ws.q[2 * b..][..2];
        let parts = [row.z_h, row.z_l, logits, q];
        if parts.iter().all(|part| astray(part).is_none()) {
            continue;
        }
        for part in parts {
            part.fill(0.0);
        }
        row.labels.fill(IGNORE);
        // One step short of the last, so that this step's is the last and a new puzzle takes the place.
        row.steps[0] = c.halt_max_steps as u32 - 1;
        metrics.rows_reset += 1.0;
        any = true;
    }
    any
}

/// Whether one of several states of a puzzle, or the `loss` of its answer, is not finite. In halves it is reset; in
/// floats the step's loss becomes NaN, which ends the run: the loss that counts, another state's, would not end it.
pub(crate) fn lose_state(
    ctx: StepContext<'_>,
    z_h: &mut [f32],
    z_l: &mut [f32],
    loss: f64,
    metrics: &mut Metrics,
) -> bool {
    let lost = !loss.is_finite() || astray(z_h).is_some() || astray(z_l).is_some();
    if lost && is_handled(ctx) {
        z_h.fill(0.0);
        z_l.fill(0.0);
        metrics.rows_reset += 1.0;
    } else if lost {
        metrics.lm_loss = f64::NAN;
    }
    lost
}

#[cfg(test)]
mod tests {
    use crate::carry::Slot;
    use crate::config::TrainConfig;
    use crate::trainer::astray::astray;
    use crate::trainer::tests::small;
    use trm_kernels::Precision;

    fn config(winner_take_all: usize) -> TrainConfig {
        TrainConfig {
            batch: 4,
            micro_batch: 2,
            precision: Precision::F16,
            warmup_steps: 0,
            weight_decay: 0.0, // what moves is moved by a gradient
            winner_take_all,
            ..TrainConfig::default()
        }
    }

    fn fill(row: usize, slot: Slot<'_>) {
        slot.inputs.fill((row % 4) as u8);
        slot.labels.fill((row % 3) as u8);
        *slot.puzzle = u32::from(row == 2);
    }

    /// The embedding of one puzzle is finite, and what the network makes of it is not.
    #[test]
    fn a_row_that_overflows_is_reset_and_the_others_are_trained() {
        for (winner_take_all, cycle_loss) in [(1, 0.0), (3, 0.0), (1, 0.5)] {
            let mut trainer = small(TrainConfig {
                cycle_loss,
                ..config(winner_take_all)
            });
            let embeddings = &mut trainer.params.puzzle_emb;
            embeddings[8..16].fill(f32::MAX);
            let before = trainer.params.values.clone();
            for _ in 0..2 {
                let metrics = trainer.step(fill).expect("the run goes on");
                assert_eq!((metrics.rows_reset, metrics.updates_skipped), (1.0, 0.0));
                assert!(metrics.lm_loss.is_finite());
                assert_eq!(
                    metrics.count, 0.0,
                    "it halts, and nobody asks what it answered"
                );
            }
            assert!(
                trainer.params.values[..] != before[..],
                "others are trained"
            );
            let carry = &trainer.carry;
            assert_eq!(carry.halted, [false, false, true, false]);
            for part in [
                &carry.z_h,
                &carry.z_l,
                &carry.d_puzzle,
                &trainer.params.values,
            ] {
                assert_eq!(astray(part), None);
            }
        }
    }

    /// One of three states is no number: another wins, and in floats the run ends all the same.
    #[test]
    fn a_state_that_is_lost_does_not_win_and_is_not_overlooked() {
        for lost in 0..3 {
            for precision in [Precision::F16, Precision::F32] {
                let mut trainer = small(TrainConfig {
                    precision,
                    ..config(3)
                });
                trainer.step(fill).expect("finite numbers");
                let row = (0..4).position(|row| !trainer.carry.halted[row]);
                let row = row.expect("a puzzle that goes on");
                let at = (3 * row + lost) * trainer.net.config.state_len();
                trainer.carry.z_h[at] = f32::NAN;
                let step = trainer.step(fill);
                if precision == Precision::F32 {
                    let error = step.expect_err("a lost state").to_string();
                    assert!(error.contains("the token loss (NaN)"), "{error}");
                    continue;
                }
                let metrics = step.expect("the run goes on");
                assert_eq!((metrics.rows_reset, metrics.updates_skipped), (1.0, 0.0));
                assert!(trainer.grads().iter().any(|&g| g != 0.0));
                assert!(!trainer.carry.halted[row], "its other states go on");
                assert_eq!(astray(&trainer.carry.z_h), None);
            }
        }
    }

    #[test]
    fn an_update_with_a_gradient_that_overflows_is_skipped() {
        let mut trainer = small(config(1));
        // With zeros everywhere the state is zero, where a norm's derivative is largest, 1 / sqrt(eps).
        let params = &mut trainer.params;
        for part in [&mut params.values, &mut params.h_init, &mut params.l_init] {
            part.fill(0.0);
        }
        params.puzzle_emb.fill(0.0);
        let head = trainer.net.lm_head.at.clone();
        let head = trainer.params.values[head].iter_mut().enumerate();
        head.for_each(|(i, w)| *w = (i % 3) as f32 * 1e38);
        trainer.net.pack(&mut trainer.params);
        let before = trainer.params.values.clone();
        let metrics = trainer.step(fill).expect("the run goes on");
        assert_eq!((metrics.rows_reset, metrics.updates_skipped), (0.0, 1.0));
        // Adam's moments are no older for it.
        assert_eq!((trainer.step, trainer.updates), (1, 0));
        assert!(metrics.lm_loss.is_finite() && metrics.q_halt_loss.is_finite());
        assert!(trainer.params.values[..] == before[..]);
        assert_eq!(astray(&trainer.carry.z_h), None);
        // It does not go on so for ever.
        let last = (0..200).find_map(|_| trainer.step(fill).err());
        let error = last.expect("an end").to_string();
        assert!(error.contains("is not a finite number any more"), "{error}");
    }
}
