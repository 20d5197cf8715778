//! When a puzzle leaves the batch in training (TRM_SPEC 4).
//!
//! ```text
//! last   = steps >= K
//! halted = last, or (q_halt > 0 and steps >= m)          HRM and the transformer: q_halt > q_continue
//! ```
//!
//! With probability p the floor m is drawn from {2..K}, at every step anew; otherwise it is 0. It keeps
//! the network from learning only the depths at which it already believes itself right.

use rand::RngExt;
use trm_autograd::random::{Purpose, stream};

/// The part of the rule that does not change from row to row.
#[derive(Clone, Copy, Debug)]
pub struct Halting {
    /// K, the most supervision steps of a puzzle.
    pub max_steps: u32,
    /// p, the probability of a floor.
    pub exploration: f64,
    /// Seed of the run.
    pub seed: u64,
}

impl Halting {
    /// Whether a puzzle halts after `steps` steps that end with this [`margin`](crate::config::System::halting_margin).
    ///
    /// `draw` numbers the decision over the whole run, so that threads and restarts do not change it.
    pub fn halts(&self, steps: u32, margin: f32, draw: u64) -> bool {
        if steps >= self.max_steps {
            return true;
        }
        self.max_steps > 1 && margin > 0.0 && steps >= self.floor(draw)
    }

    /// m: the fewest steps this puzzle must do, as drawn for this step.
    fn floor(&self, draw: u64) -> u32 {
        if self.exploration == 0.0 {
            return 0;
        }
        let mut rng = stream(self.seed, Purpose::Exploration, draw);
        if rng.random::<f64>() < self.exploration {
            rng.random_range(2..=self.max_steps)
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(exploration: f64) -> Halting {
        Halting {
            max_steps: 16,
            exploration,
            seed: 7,
        }
    }

    #[test]
    fn the_last_step_always_halts_and_zero_is_not_enough() {
        assert!(rule(0.0).halts(16, -100.0, 0));
        assert!(!rule(0.0).halts(15, 0.0, 0));
        assert!(rule(0.0).halts(1, 1e-6, 0));
        assert!(!rule(0.0).halts(1, f32::NAN, 0));
    }

    #[test]
    fn exploration_holds_back_the_expected_share() {
        // At step 1 every drawn floor (2..=16) holds back: a share p of the puzzles.
        let held = (0..20_000)
            .filter(|&draw| !rule(0.1).halts(1, 1.0, draw))
            .count();
        assert!((1_800..2_200).contains(&held), "{held} of 20000");
        // At step 8 the floors 9..=16 hold back: 8 of 15.
        let held = (0..20_000)
            .filter(|&draw| !rule(1.0).halts(8, 1.0, draw))
            .count();
        assert!((10_300..11_000).contains(&held), "{held} of 20000");
    }
}
