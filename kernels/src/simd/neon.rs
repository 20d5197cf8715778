//! NEON: four lanes, thirty-two registers (every aarch64 CPU). A NaN in either operand survives `max` and `min`.

use super::Isa;
use crate::matmul::{
    PanelOfB, Write,
    tile::{BlockOfA, tiles},
};
use crate::view::{MatMut, MatRef};
use core::arch::aarch64::*;

/// Proof that the CPU has NEON.
#[derive(Clone, Copy)]
pub struct Neon(());

impl Isa for Neon {
    type F = float32x4_t;
    const NAME: &'static str = "neon";
    const LANES: usize = 4;
    const MR: usize = 12;
    const NR: usize = 8;
    // Up to four cycles of latency on four ports.
    const CHAINS: usize = 24;

    fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Neon(()))
    }
    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    fn load(self, src: &[f32]) -> float32x4_t {
        let src = &src[..Self::LANES];
        // SAFETY: `self` proves the instruction; the slice holds 4 floats; no alignment is asked for.
        unsafe { vld1q_f32(src.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, dst: &mut [f32], v: float32x4_t) {
        let dst = &mut dst[..Self::LANES];
        // SAFETY: `self` proves the instruction; the slice holds 4 floats; no alignment is asked for.
        unsafe { vst1q_f32(dst.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn load_partial(self, src: &[f32], fill: f32) -> float32x4_t {
        let mut lanes = [fill; 4];
        lanes[..src.len()].copy_from_slice(src);
        self.load(&lanes)
    }
    #[inline(always)]
    fn store_partial(self, dst: &mut [f32], v: float32x4_t) {
        let mut lanes = [0.0; 4];
        self.store(&mut lanes, v);
        dst.copy_from_slice(&lanes[..dst.len()]);
    }
    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { vdivq_f32(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    fn neg_mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { vfmsq_f32(c, a, b) }
    }
    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { vmaxq_f32(a, b) }
    }
    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { vminq_f32(a, b) }
    }
    #[inline(always)]
    fn select_greater(
        self,
        a: float32x4_t,
        b: float32x4_t,
        yes: float32x4_t,
        no: float32x4_t,
    ) -> float32x4_t {
        // SAFETY: `self` proves that the CPU has the instructions.
        unsafe { vbslq_f32(vcgtq_f32(a, b), yes, no) }
    }
    #[inline(always)]
    fn sqrt(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { vsqrtq_f32(a) }
    }
    #[inline(always)]
    fn round(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { vrndnq_f32(a) }
    }
    #[inline(always)]
    fn scale_by_power_of_two(self, a: float32x4_t, n: float32x4_t) -> float32x4_t {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe {
            let biased = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
            vmulq_f32(a, vreinterpretq_f32_s32(vshlq_n_s32::<23>(biased)))
        }
    }
    #[inline(always)]
    fn sum(self, a: float32x4_t) -> f32 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { vaddvq_f32(a) }
    }
    #[inline(always)]
    fn max_lane(self, a: float32x4_t) -> f32 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { vmaxvq_f32(a) }
    }
    #[inline(always)]
    fn transpose(self, dst: &mut [f32], dst_stride: usize, src: MatRef<'_>) {
        let [r0, r1, r2, r3] = [0, 1, 2, 3].map(|i: usize| src.row(i.min(src.rows() - 1)));
        let (r0, r1, r2, r3) = (self.load(r0), self.load(r1), self.load(r2), self.load(r3));
        // SAFETY: `self` proves that the CPU has the instructions.
        let columns = unsafe {
            // Columns 0 and 2, then 1 and 3, of two rows each.
            let upper = (vtrn1q_f32(r0, r1), vtrn2q_f32(r0, r1));
            let lower = (vtrn1q_f32(r2, r3), vtrn2q_f32(r2, r3));
            let (a, b) = (
                vreinterpretq_f64_f32(upper.0),
                vreinterpretq_f64_f32(lower.0),
            );
            let (c, d) = (
                vreinterpretq_f64_f32(upper.1),
                vreinterpretq_f64_f32(lower.1),
            );
            [
                vreinterpretq_f32_f64(vtrn1q_f64(a, b)),
                vreinterpretq_f32_f64(vtrn1q_f64(c, d)),
                vreinterpretq_f32_f64(vtrn2q_f64(a, b)),
                vreinterpretq_f32_f64(vtrn2q_f64(c, d)),
            ]
        };
        for (j, column) in columns.into_iter().enumerate() {
            self.store(&mut dst[j * dst_stride..], column);
        }
    }
    #[inline(never)]
    fn matmul_tiles(self, c: MatMut<'_>, a: BlockOfA<'_>, b: PanelOfB<'_, f32>, write: Write) {
        tiles::<Neon, 12, 11, 2>(self, c, a, b, write);
    }
}
