//! Transcendental functions over [`Isa`], written once for every backend.

use super::Isa;
use std::f32::consts::LOG2_E;

/// ln 2 in two parts: the first has few enough bits that `n * LN2_HIGH` is exact for |n| <= 127.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// Beyond these the result leaves the normal range; the argument is clamped to them.
const EXP_MIN: f32 = -87.33;
const EXP_MAX: f32 = 88.37;

/// `e^x`, within 2 ULP on [-87.33, 88.37]; clamped outside (1.2e-38 below, 2.4e38 above); NaN stays NaN.
///
/// x = n ln 2 + r with |r| <= (ln 2)/2, and e^x = 2^n e^r. The series of e^r is cut after r^7/7!: the
/// first term left out is below 0.35^8/8! = 5e-9, a tenth of an ULP.
#[inline(always)]
pub fn exp<I: Isa>(isa: I, x: I::F) -> I::F {
    let x = isa.min(isa.splat(EXP_MAX), isa.max(isa.splat(EXP_MIN), x));
    let n = isa.round(isa.mul(x, isa.splat(LOG2_E)));
    let r = isa.neg_mul_add(n, isa.splat(LN2_HIGH), x);
    let r = isa.neg_mul_add(n, isa.splat(LN2_LOW), r);
    let mut series = isa.splat(1.0 / 5040.0);
    for coefficient in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        series = isa.mul_add(series, r, isa.splat(coefficient));
    }
    isa.scale_by_power_of_two(series, n)
}

/// `1 / (1 + e^-x)`, within 4 ULP.
#[inline(always)]
pub fn sigmoid<I: Isa>(isa: I, x: I::F) -> I::F {
    let one = isa.splat(1.0);
    let e = exp(isa, isa.sub(isa.splat(0.0), x));
    isa.div(one, isa.add(one, e))
}
