//! The portable backend: `wide::f32x8`, whose instructions are those of the compile-time target.

use super::Isa;
use crate::matmul::{
    PanelOfB, Write,
    tile::{BlockOfA, tiles},
};
use crate::view::MatMut;
use wide::f32x8;

/// Eight lanes of plain Rust; available everywhere.
#[derive(Clone, Copy)]
pub struct Portable(());

impl Isa for Portable {
    type F = f32x8;
    const NAME: &'static str = "portable";
    const LANES: usize = 8;
    const MR: usize = 4;
    const NR: usize = 8;
    // Each is two registers of the sixteen that every x86-64 has.
    const CHAINS: usize = 6;

    fn detect() -> Option<Self> {
        Some(Portable(()))
    }

    #[inline(always)]
    fn splat(self, x: f32) -> f32x8 {
        f32x8::splat(x)
    }
    #[inline(always)]
    fn load(self, src: &[f32]) -> f32x8 {
        let lanes: &[f32; 8] = src.first_chunk().expect("a full register");
        f32x8::new(*lanes)
    }
    #[inline(always)]
    fn store(self, dst: &mut [f32], v: f32x8) {
        *dst.first_chunk_mut().expect("a full register") = v.to_array();
    }
    #[inline(always)]
    fn load_partial(self, src: &[f32], fill: f32) -> f32x8 {
        let mut lanes = [fill; 8];
        lanes[..src.len()].copy_from_slice(src);
        f32x8::new(lanes)
    }
    #[inline(always)]
    fn store_partial(self, dst: &mut [f32], v: f32x8) {
        let lanes = v.to_array();
        dst.copy_from_slice(&lanes[..dst.len()]);
    }
    #[inline(always)]
    fn add(self, a: f32x8, b: f32x8) -> f32x8 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32x8, b: f32x8) -> f32x8 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32x8, b: f32x8) -> f32x8 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f32x8, b: f32x8) -> f32x8 {
        a / b
    }
    #[inline(always)]
    fn mul_add(self, a: f32x8, b: f32x8, c: f32x8) -> f32x8 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn neg_mul_add(self, a: f32x8, b: f32x8, c: f32x8) -> f32x8 {
        c - a * b
    }
    #[inline(always)]
    fn max(self, a: f32x8, b: f32x8) -> f32x8 {
        a.simd_gt(b).select(a, b)
    }
    #[inline(always)]
    fn min(self, a: f32x8, b: f32x8) -> f32x8 {
        a.simd_lt(b).select(a, b)
    }
    #[inline(always)]
    fn select_greater(self, a: f32x8, b: f32x8, yes: f32x8, no: f32x8) -> f32x8 {
        a.simd_gt(b).select(yes, no)
    }
    #[inline(always)]
    fn sqrt(self, a: f32x8) -> f32x8 {
        a.sqrt()
    }
    #[inline(always)]
    fn round(self, a: f32x8) -> f32x8 {
        // Adding and taking away 1.5 * 2^23 leaves no room for a fraction: the addition rounds it.
        let magic = f32x8::splat(12_582_912.0);
        (a + magic) - magic
    }
    #[inline(always)]
    fn scale_by_power_of_two(self, a: f32x8, n: f32x8) -> f32x8 {
        let power = n
            .to_array()
            .map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23));
        a * f32x8::new(power)
    }
    #[inline(always)]
    fn sum(self, a: f32x8) -> f32 {
        a.reduce_add()
    }
    #[inline(always)]
    fn max_lane(self, a: f32x8) -> f32 {
        a.to_array().into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
    #[inline(never)]
    fn matmul_tiles(self, c: MatMut<'_>, a: BlockOfA<'_>, b: PanelOfB<'_, f32>, write: Write) {
        tiles::<Portable, 4, 3, 1>(self, c, a, b, write);
    }
}
