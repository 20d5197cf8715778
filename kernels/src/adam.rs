//! One step of Adam: AdamW (Loshchilov and Hutter 2019) and AdamATan2 (Everett et al. 2024, arXiv 2407.05872).
//!
//! For each value p with its gradient g, the moving mean m of the gradient and v of its square:
//!
//! ```text
//! m ← m + (1 - beta1) (g - m)        v ← v + (1 - beta2) (g² - v)        s = sqrt(v) / root
//! AdamW:       p ← p keep - rate · m / (s + eps)
//! AdamATan2:   p ← p keep - rate · atan2(m, s)
//! ```
//!
//! The numbers of [`Step`] are those of a whole step; what they are made of is the optimiser's business. p, m, v and g are
//! read once, and p, m and v written once.
//!
//! Run by [`crate::Kernels::adamw`] and [`crate::Kernels::adam_atan2`]. Every value depends on its own numbers alone, so
//! it makes no difference how the parameters are divided among calls.

use crate::lanes::for_lanes;
use crate::shapes::same_length;
use crate::simd::{Isa, math::atan2};

/// The numbers of a step that all values share.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// 1 - beta1: the part of the gradient in its new mean.
    pub take1: f32,
    /// 1 - beta2: the part of its square in that mean.
    pub take2: f32,
    /// What is left of a value after decay.
    pub keep: f32,
    /// The learning rate, with the correction of m.
    pub rate: f32,
    /// The correction of sqrt(v), above 0.
    pub root: f32,
    /// Added to s by AdamW.
    pub eps: f32,
}

/// AdamW: changes `p`, `m` and `v`. Panics unless all have the same length.
#[inline(always)]
pub(crate) fn adamw<I: Isa>(
    isa: I,
    p: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
    g: &[f32],
    step: &Step,
) {
    update::<I, false>(isa, (p, m, v), g, step);
}

/// AdamATan2: changes `p`, `m` and `v`. Panics unless all have the same length.
#[inline(always)]
pub(crate) fn adam_atan2<I: Isa>(
    isa: I,
    p: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
    g: &[f32],
    step: &Step,
) {
    update::<I, true>(isa, (p, m, v), g, step);
}

/// Both; they differ in the direction that they make of m and s.
#[inline(always)]
fn update<I: Isa, const ATAN2: bool>(
    isa: I,
    (p, m, v): (&mut [f32], &mut [f32], &mut [f32]),
    g: &[f32],
    step: &Step,
) {
    for len in [m.len(), v.len(), g.len()] {
        same_length(len, p.len());
    }
    let [take1, take2, keep, rate, root, eps] = [
        step.take1, step.take2, step.keep, step.rate, step.root, step.eps,
    ]
    .map(|x| isa.splat(x));
    for_lanes!(isa; p, m, v <- p, m, v, g; {
        let m = isa.mul_add(take1, isa.sub(g, m), m);
        let v = isa.mul_add(take2, isa.sub(isa.mul(g, g), v), v);
        let s = isa.div(isa.sqrt(v), root);
        let direction = if ATAN2 { atan2(isa, m, s) } else { isa.div(m, isa.add(s, eps)) };
        [isa.neg_mul_add(rate, direction, isa.mul(p, keep)), m, v]
    });
}
