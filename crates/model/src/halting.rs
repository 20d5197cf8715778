//! When a puzzle leaves the batch in training (TRM_SPEC 4).
//!
//! ```text
//! last   = steps >= K
//! halted = last, or (q_halt > 0 and steps >= m)          HRM and the transformer: q_halt > q_continue
//! ```
//!
//! K is `halt_max_steps`. With the probability `halt_exploration` the floor m is drawn from {2..K}, at every step anew;
//! otherwise it is 0. It keeps the network from learning only the depths at which it already believes itself right.

use crate::config::{ModelConfig, System, TrainConfig};
use rand::RngExt;
use trm_autograd::random::{Purpose, stream};

/// A puzzle may halt when this is positive, from its two logits: q_halt alone, or what it is above q_continue.
pub fn margin(system: System, q_halt: f32, q_continue: f32) -> f32 {
    match system {
        System::Trm | System::SingleZ | System::MultiZ => q_halt,
        System::Hrm | System::Transformer => q_halt - q_continue,
    }
}

/// Whether a puzzle halts after `steps` steps that end with this [`margin()`].
///
/// `draw` numbers the decision over the whole run, so that threads and restarts do not change it.
pub fn halts(model: &ModelConfig, train: &TrainConfig, steps: u32, margin: f32, draw: u64) -> bool {
    let most = model.halt_max_steps as u32;
    if steps >= most {
        return true;
    }
    most > 1 && margin > 0.0 && steps >= floor(most, train, draw)
}

/// m: the fewest steps this puzzle must do, as drawn for this step.
fn floor(most: u32, train: &TrainConfig, draw: u64) -> u32 {
    if train.halt_exploration == 0.0 {
        return 0;
    }
    let mut rng = stream(train.seed, Purpose::Exploration, draw);
    if rng.random::<f64>() < train.halt_exploration {
        rng.random_range(2..=most)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [`super::halts`] with a maximum of 16 steps.
    fn halts(exploration: f64, steps: u32, margin: f32, draw: u64) -> bool {
        let train = TrainConfig {
            halt_exploration: exploration,
            seed: 7,
            ..TrainConfig::default()
        };
        super::halts(&ModelConfig::default(), &train, steps, margin, draw)
    }

    #[test]
    fn the_last_step_always_halts_and_zero_is_not_enough() {
        assert!(halts(0.0, 16, -100.0, 0));
        assert!(!halts(0.0, 15, 0.0, 0));
        assert!(halts(0.0, 1, 1e-6, 0));
        assert!(!halts(0.0, 1, f32::NAN, 0));
    }

    #[test]
    fn exploration_holds_back_the_expected_share() {
        // At step 1 every drawn floor (2..=16) holds back: a share p of the puzzles.
        let held = (0..20_000)
            .filter(|&draw| !halts(0.1, 1, 1.0, draw))
            .count();
        assert!((1_800..2_200).contains(&held), "{held} of 20000");
        // At step 8 the floors 9..=16 hold back: 8 of 15.
        let held = (0..20_000)
            .filter(|&draw| !halts(1.0, 8, 1.0, draw))
            .count();
        assert!((10_300..11_000).contains(&held), "{held} of 20000");
    }
}
