//! What is counted in a step: losses, and how right the puzzles that halted were (TRM_SPEC 5).

use trm_autograd::op::loss::RowLoss;

/// Sums over the puzzles of a step.
///
/// The three losses and what overflowed are over all puzzles; everything else over those that halted with labels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Puzzles that halted and had labels.
    pub count: f64,
    /// Share of right cells of each, added up.
    pub accuracy: f64,
    /// Puzzles with every cell right.
    pub exact_accuracy: f64,
    /// Puzzles whose halting logit agreed with that.
    pub q_halt_accuracy: f64,
    /// Supervision steps that they took.
    pub steps: f64,
    /// Token loss.
    pub lm_loss: f64,
    /// Halting loss.
    pub q_halt_loss: f64,
    /// HRM's loss of what going on is worth.
    pub q_continue_loss: f64,
    /// Rows that were reset since their numbers overflowed (in halves: see [`crate::overflow`]).
    pub rows_reset: f64,
    /// Updates that were skipped since the gradient overflowed (in halves).
    pub updates_skipped: f64,
}

impl Metrics {
    /// Adds the sums of `other`.
    pub fn add(&mut self, other: &Metrics) {
        self.count += other.count;
        self.accuracy += other.accuracy;
        self.exact_accuracy += other.exact_accuracy;
        self.q_halt_accuracy += other.q_halt_accuracy;
        self.steps += other.steps;
        self.lm_loss += other.lm_loss;
        self.q_halt_loss += other.q_halt_loss;
        self.q_continue_loss += other.q_continue_loss;
        self.rows_reset += other.rows_reset;
        self.updates_skipped += other.updates_skipped;
    }

    /// Makes losses that are not finite zero: those of a step that counts for nothing, in halves.
    pub(crate) fn forget_what_overflowed(&mut self) {
        for loss in [
            &mut self.lm_loss,
            &mut self.q_halt_loss,
            &mut self.q_continue_loss,
        ] {
            if !loss.is_finite() {
                *loss = 0.0;
            }
        }
    }

    /// Counts one puzzle: its losses always, the rest if it `halted` and has labels.
    pub fn count_puzzle(
        &mut self,
        row: &RowLoss,
        q_halt: f32,
        q_halt_loss: f64,
        steps: u32,
        halted: bool,
    ) {
        self.lm_loss += row.loss;
        self.q_halt_loss += q_halt_loss;
        if halted && row.count > 0 {
            self.count += 1.0;
            self.accuracy += row.correct as f64 / row.count as f64;
            self.exact_accuracy += f64::from(row.all_right());
            self.q_halt_accuracy += f64::from((q_halt >= 0.0) == row.all_right());
            self.steps += f64::from(steps);
        }
    }
}
