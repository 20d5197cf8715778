//! Transcendental functions over [`Isa`], written once for every backend.

use super::Isa;
use std::f32::consts::{FRAC_PI_2, LOG2_E};

/// ln 2 in two parts: the first has few enough bits that `n * LN2_HIGH` is exact for |n| <= 127.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// e^r = 1 + r + r^2 (c2 + c3 r + c4 r^2 + c5 r^3 + c6 r^4) within 2.5e-8 of e^r, 0.42 ULP at most, for |r| up to
/// (ln 2)/2: the coefficients whose largest relative error there is least (Remez' exchange).
const NEAR_EXP: [f32; 5] = [
    0.499_999_84,
    0.166_666,
    0.041_673_73,
    0.008_359_279,
    0.001_334_405_5,
];

/// atan q = q + q^3 (c0 + c1 q^2 + … + c7 q^14) within 2.5e-8 of atan q, for 0 <= q <= 1: the coefficients whose largest
/// relative error there is least (Remez' exchange), rounded.
const NEAR_ATAN: [f32; 8] = [
    -0.333_331_53,
    0.199_937_73,
    -0.142_110_56,
    0.106_660_075,
    -0.075_522_21,
    0.043_211_933,
    -0.016_367_972,
    0.002_920_703,
];

/// Beyond these the result leaves the normal range; the argument is clamped to them.
const EXP_MIN: f32 = -87.33;
const EXP_MAX: f32 = 88.37;

/// `e^x`, within 2 ULP on [-87.33, 88.37]; clamped outside (1.2e-38 below, 2.4e38 above); NaN stays NaN.
///
/// x = n ln 2 + r with |r| <= (ln 2)/2, and e^x = 2^n e^r, where e^r is `NEAR_EXP`. Of its sum each half is begun before
/// the other is done (Estrin), since otherwise every product would wait for the one before it.
#[inline(always)]
pub fn exp<I: Isa>(isa: I, x: I::F) -> I::F {
    let x = isa.min(isa.splat(EXP_MAX), isa.max(isa.splat(EXP_MIN), x));
    let n = isa.round(isa.mul(x, isa.splat(LOG2_E)));
    let r = isa.neg_mul_add(n, isa.splat(LN2_HIGH), x);
    let r = isa.neg_mul_add(n, isa.splat(LN2_LOW), r);
    let [c2, c3, c4, c5, c6] = NEAR_EXP.map(|c| isa.splat(c));
    let r2 = isa.mul(r, r);
    let (low, middle) = (isa.mul_add(c3, r, c2), isa.mul_add(c5, r, c4));
    let high = isa.mul_add(isa.mul_add(c6, r2, middle), r2, low);
    let e_r = isa.mul_add(high, r2, isa.add(r, isa.splat(1.0)));
    isa.scale_by_power_of_two(e_r, n)
}

/// `1 / (1 + e^-x)`, within 4 ULP for x >= -88; below -88.37, where [`exp`] is clamped, it stays at 4.2e-39.
#[inline(always)]
pub fn sigmoid<I: Isa>(isa: I, x: I::F) -> I::F {
    let one = isa.splat(1.0);
    let e = exp(isa, isa.sub(isa.splat(0.0), x));
    isa.div(one, isa.add(one, e))
}

/// The angle of the point (x, y), x >= 0: `atan(y / x)`, within 3 · 2^-24 of itself; 0 for (0, 0); NaN where either is, and
/// where both are infinite.
///
/// The angle t of the smaller of |y| and x over the larger is at most pi/4; beyond the diagonal it is pi/2 - t. The sign
/// is that of y.
#[inline(always)]
pub fn atan2<I: Isa>(isa: I, y: I::F, x: I::F) -> I::F {
    let zero = isa.splat(0.0);
    let size = isa.max(isa.sub(zero, y), y);
    // Not below the least positive number, so that (0, 0) has a quotient.
    let larger = isa.max(isa.splat(f32::from_bits(1)), isa.max(x, size));
    let q = isa.div(isa.min(size, x), larger);
    let [c0, c1, c2, c3, c4, c5, c6, c7] = NEAR_ATAN.map(|c| isa.splat(c));
    let q2 = isa.mul(q, q);
    let q4 = isa.mul(q2, q2);
    let low = isa.mul_add(isa.mul_add(c3, q2, c2), q4, isa.mul_add(c1, q2, c0));
    let high = isa.mul_add(isa.mul_add(c7, q2, c6), q4, isa.mul_add(c5, q2, c4));
    let tail = isa.mul_add(high, isa.mul(q4, q4), low);
    let t = isa.mul_add(isa.mul(q2, q), tail, q);
    let angle = isa.select_greater(size, x, isa.sub(isa.splat(FRAC_PI_2), t), t);
    isa.select_greater(zero, y, isa.sub(zero, angle), angle)
}

#[cfg(test)]
mod tests {
    use super::{NEAR_ATAN, NEAR_EXP};

    // In double precision, so that nothing but the coefficients is to blame.

    #[test]
    fn the_polynomial_is_as_near_to_atan_as_it_says() {
        for i in 1..=10_000 {
            let q = f64::from(i) / 10_000.0;
            let tail = NEAR_ATAN
                .iter()
                .rfold(0.0, |sum, &c| sum * q * q + f64::from(c));
            let error = (q + q * q * q * tail) / q.atan() - 1.0;
            assert!(error.abs() <= 2.5e-8, "atan {q}: off by {error:e}");
        }
    }

    #[test]
    fn the_polynomial_is_as_near_to_exp_as_it_says() {
        let edge = std::f64::consts::LN_2 / 2.0;
        for i in -10_000..=10_000 {
            let r = edge * f64::from(i) / 10_000.0;
            let tail = NEAR_EXP.iter().rfold(0.0, |sum, &c| sum * r + f64::from(c));
            let error = (1.0 + r + r * r * tail) / r.exp() - 1.0;
            assert!(error.abs() <= 2.5e-8, "e^{r}: off by {error:e}");
        }
    }
}
