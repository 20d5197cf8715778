//! The learning rate over a run: a straight line up, then half a cosine down.
//!
//! ```text
//! t < W:   base t / W                                              W steps of warm-up, t = 1, 2, …
//! after:   base (r + (1 - r) (1 + cos(pi q)) / 2)                  q = (t - W) / (total - W)
//! ```
//!
//! With r = 1 the rate stays at base after the warm-up, as in all published runs (TRM_SPEC 6).

use std::f64::consts::PI;

/// The rate of step `t` = 1, 2, … of `total`, of which `warmup` go up; `r` is the fraction left at the end.
pub fn learning_rate(base: f64, t: u64, warmup: u64, total: u64, r: f64) -> f64 {
    if t < warmup {
        return base * t as f64 / warmup as f64;
    }
    let q = (t - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
    base * (r + ((1.0 - r) * 0.5 * (1.0 + (PI * q).cos())).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::learning_rate;

    #[test]
    fn up_level_and_down() {
        let rate = |t| learning_rate(2.0, t, 10, 110, 0.1);
        for (t, expected) in [(1, 0.2), (5, 1.0), (10, 2.0), (60, 1.1), (110, 0.2)] {
            assert!((rate(t) - expected).abs() < 1e-12, "step {t}: {}", rate(t));
        }
        assert!((1..200).all(|t| learning_rate(3.0, t, 1, 100, 1.0) == 3.0));
    }

    #[test]
    fn no_warm_up_and_a_warm_up_longer_than_the_run() {
        assert_eq!(learning_rate(1.0, 1, 0, 1, 1.0), 1.0);
        assert_eq!(learning_rate(1.0, 5, 10, 5, 0.0), 0.5);
    }
}
