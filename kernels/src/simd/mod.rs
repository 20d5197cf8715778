//! One algorithm, many instruction sets: the register operations that every kernel is written in.
//!
//! A kernel body is a generic function over [`Isa`], always inlined into a wrapper that switches the
//! instruction set on (see [`crate::dispatch`]). A value of an `Isa` type is the proof that the CPU has
//! the instructions: only `detect` makes one, so the operations themselves are safe to call. [`half`] has the few
//! operations in halves that the matrix product asks for.

pub mod half;
pub mod math;
pub mod portable;

pub use half::{Emulated, Halves};

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the CPU's intrinsics")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the CPU's intrinsics")]
pub mod avx512;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the CPU's intrinsics")]
pub mod avx512fp16;
#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code, reason = "the CPU's intrinsics")]
pub mod neon;

use crate::matmul::{PanelOfB, Write, tile::BlockOfA};
use crate::view::{MatMut, MatRef};

/// An instruction set: registers of [`Isa::LANES`] floats and what can be done with them.
///
/// Every operation works lane by lane unless it says otherwise. `load` and `store` panic when the slice
/// is shorter than a register; the `_partial` forms take slices of at most one register.
pub trait Isa: Copy + Send + Sync + 'static {
    /// A register of [`Isa::LANES`] floats.
    type F: Copy;
    /// Name in `TRM_ISA`, tests, benches and `trm info`.
    const NAME: &'static str;
    /// Floats in a register.
    const LANES: usize;
    /// Rows of the register tile of the matrix product.
    const MR: usize;
    /// Columns of the register tile: a whole number of registers.
    const NR: usize;

    /// Independent multiply-adds that keep its multipliers busy, in registers: see [`crate::peak`].
    const CHAINS: usize;

    /// The proof, if this CPU has the instructions.
    fn detect() -> Option<Self>;

    /// `x` in every lane.
    fn splat(self, x: f32) -> Self::F;
    /// The first `LANES` values of `src`.
    fn load(self, src: &[f32]) -> Self::F;
    /// Writes all lanes to the front of `dst`.
    fn store(self, dst: &mut [f32], v: Self::F);
    /// `src` (at most `LANES` long), then `fill` in the lanes beyond it.
    fn load_partial(self, src: &[f32], fill: f32) -> Self::F;
    /// Writes the first `dst.len()` lanes (at most `LANES`).
    fn store_partial(self, dst: &mut [f32], v: Self::F);

    /// `a + b`.
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a - b`.
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b`.
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`.
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`; one rounding, except on the portable backend.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `c - a * b`; one rounding, except on the portable backend.
    fn neg_mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `a > b ? a : b`: a NaN in `b` survives, so bounds go first.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a < b ? a : b`: a NaN in `b` survives, so bounds go first.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a > b ? yes : no`; `no` where either is NaN.
    fn select_greater(self, a: Self::F, b: Self::F, yes: Self::F, no: Self::F) -> Self::F;
    /// `sqrt(a)`, correctly rounded.
    fn sqrt(self, a: Self::F) -> Self::F;
    /// The nearest integer, ties to even; `|a| < 2^22`.
    fn round(self, a: Self::F) -> Self::F;
    /// `a * 2^n` for an integral `n` in -126..=127.
    fn scale_by_power_of_two(self, a: Self::F, n: Self::F) -> Self::F;
    /// The sum of all lanes.
    fn sum(self, a: Self::F) -> f32;
    /// The largest lane.
    fn max_lane(self, a: Self::F) -> f32;

    /// Transposes at most `LANES` rows of `LANES` columns, the last row standing for those that are missing:
    /// `dst[j * dst_stride + i] = src[i, j]`, a register for each j in its order, so that of registers that overlap
    /// the later ones stay whole.
    #[inline(always)]
    fn transpose(self, dst: &mut [f32], dst_stride: usize, src: MatRef<'_>) {
        for j in 0..Self::LANES {
            let column = &mut dst[j * dst_stride..][..Self::LANES];
            for (i, to) in column.iter_mut().enumerate() {
                *to = src.row(i.min(src.rows() - 1))[j];
            }
        }
    }
    /// Asks for the line of `src`'s first value to be brought into the first-level cache. A hint.
    #[inline(always)]
    fn prefetch<T>(self, _src: &[T]) {}
    /// The same for the second-level cache.
    #[inline(always)]
    fn prefetch_second<T>(self, _src: &[T]) {}

    /// The register tiles of a block of A and a panel of B: `tiles` of [`crate::matmul::tile`] with this backend's shape.
    fn matmul_tiles(self, c: MatMut<'_>, a: BlockOfA<'_>, b: PanelOfB<'_, f32>, write: Write);
}
