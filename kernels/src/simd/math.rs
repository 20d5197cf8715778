//! Transcendental functions over [`Isa`], written once for every backend.

use super::Isa;
use std::f32::consts::LOG2_E;

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

#[cfg(test)]
mod tests {
    use super::NEAR_EXP;

    /// In double precision, so that nothing but the coefficients is to blame.
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
