//! Starting values: a normal distribution without its tails (TRM_SPEC 2).

use rand::{Rng, RngExt};
use std::f64::consts::PI;

/// erf(sqrt 2): the part of a normal distribution within two standard deviations.
const ERF_SQRT_2: f64 = 0.954_499_736_103_641_6;

/// Overwrites `out` with draws of a normal distribution cut at two standard deviations and widened so
/// that what is left has standard deviation `std`:
///
/// ```text
/// x = c z, z normal given |z| <= 2, c = std / sqrt(1 - 4 phi(2) / erf(sqrt 2))
/// ```
///
/// phi is the normal density. `std` = 0 gives zeros.
pub fn truncated_normal(out: &mut [f32], std: f64, rng: &mut impl Rng) {
    out.fill(0.0);
    add_truncated_normal(out, std, rng);
}

/// Adds draws of that distribution to `out`.
pub fn add_truncated_normal(out: &mut [f32], std: f64, rng: &mut impl Rng) {
    let density_at_2 = (-2.0_f64).exp() / (2.0 * PI).sqrt();
    let c = std / (1.0 - 4.0 * density_at_2 / ERF_SQRT_2).sqrt();
    for x in out {
        *x += (c * normal_within_two(rng)) as f32;
    }
}

/// A normal draw (Box and Muller 1958), repeated until it lies within two standard deviations.
fn normal_within_two(rng: &mut impl Rng) -> f64 {
    loop {
        // 1 - u lies in (0, 1], where the logarithm is finite.
        let (u, v): (f64, f64) = (rng.random(), rng.random());
        let z = (-2.0 * (1.0 - u).ln()).sqrt() * (2.0 * PI * v).cos();
        if z.abs() <= 2.0 {
            return z;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn moments_and_bounds_are_those_of_the_cut_distribution() {
        const N: usize = 400_000;
        let mut x = vec![0.0; N];
        truncated_normal(&mut x, 0.5, &mut stream(1, Purpose::Init, 0));
        let mean = |f: &dyn Fn(f64) -> f64| x.iter().map(|&x| f(x.into())).sum::<f64>() / N as f64;
        // Five standard errors each.
        assert!(mean(&|x| x).abs() < 5.0 * 0.5 / (N as f64).sqrt());
        assert!((mean(&|x| x * x) - 0.25).abs() < 5.0 * 0.27 / (N as f64).sqrt());
        let largest = x.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        assert!(
            (1.13..=1.136_848).contains(&largest),
            "2.2736944 x 0.5 is the edge: {largest}"
        );
    }

    #[test]
    fn no_width_gives_zeros() {
        let mut x = [1.0; 8];
        truncated_normal(&mut x, 0.0, &mut stream(1, Purpose::Init, 0));
        assert!(x.iter().all(|&x| x == 0.0));
    }
}
