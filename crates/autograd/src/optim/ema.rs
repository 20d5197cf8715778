//! Exponential moving average of the weights: what is evaluated and shipped (TRM_SPEC 6).
//!
//! ```text
//! shadow ← (1 - mu) p + mu shadow
//! ```
//!
//! It starts as a copy of the first weights and is not corrected for that; at mu = 0.999 it remembers the
//! last few thousand steps. The paper loses 7.5 points without it.

/// Moves `shadow` towards `p` by the part 1 - `mu` of the way. Panics when their lengths differ.
pub fn update(shadow: &mut [f32], p: &[f32], mu: f64) {
    assert_eq!(shadow.len(), p.len(), "an average of as many values");
    let (keep, take) = (mu as f32, (1.0 - mu) as f32);
    for (shadow, p) in shadow.iter_mut().zip(p) {
        *shadow = take * p + keep * *shadow;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_average_forgets_by_mu_a_step() {
        let mut shadow = [1.0, -1.0];
        for _ in 0..10 {
            super::update(&mut shadow, &[3.0, -1.0], 0.9);
        }
        assert!((f64::from(shadow[0]) - (3.0 - 2.0 * 0.9_f64.powi(10))).abs() < 1e-6);
        assert!((shadow[1] + 1.0).abs() < 1e-6);
    }
}
