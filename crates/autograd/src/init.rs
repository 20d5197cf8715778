//! Starting values.

use rand::{Rng, RngExt};

/// Standard deviation of a unit normal cut at two, inverted: 1 / sqrt(1 - 4 phi(2) / erf(sqrt 2)).
fn widening() -> f64 {
    let phi2 = (-2.0f64).exp() / (2.0 * std::f64::consts::PI).sqrt();
    1.0 / (1.0 - 4.0 * phi2 / ERF_SQRT_2).sqrt()
}

/// erf(sqrt 2): the mass of a normal within two standard deviations.
const ERF_SQRT_2: f64 = 0.954_499_736_103_641_6;

/// Overwrites `out` with draws from a normal cut at two of its standard deviations, widened so that the
/// result has standard deviation `std` (TRM_SPEC 2). 0 gives zeros.
pub fn truncated_normal(out: &mut [f32], std: f64, rng: &mut impl Rng) {
    let c = std * widening();
    for x in out {
        // Box-Muller with rejection beyond two: the same distribution as the inverse of erf.
        let z = loop {
            let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
            let z = (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos();
            if z.abs() <= 2.0 {
                break z;
            }
        };
        *x = (c * z) as f32;
    }
}
