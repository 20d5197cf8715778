//! AVX-512F: sixteen lanes, thirty-two registers, masks for the tails.

use super::Isa;
use crate::matmul::{
    PanelOfB, Write,
    tile::{BlockOfA, tiles},
};
use crate::view::{MatMut, MatRef};
use core::arch::x86_64::*;

/// Proof that the CPU has AVX-512F.
#[derive(Clone, Copy)]
pub struct Avx512(());

impl Isa for Avx512 {
    type F = __m512;
    const NAME: &'static str = "avx512";
    const LANES: usize = 16;
    const MR: usize = 14;
    const NR: usize = 32;
    // Four cycles of latency on two ports.
    const CHAINS: usize = 12;

    fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Avx512(()))
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, src: &[f32]) -> __m512 {
        let src = &src[..Self::LANES];
        // SAFETY: `self` proves the instruction; the slice holds 16 floats; no alignment is asked for.
        unsafe { _mm512_loadu_ps(src.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, dst: &mut [f32], v: __m512) {
        let dst = &mut dst[..Self::LANES];
        // SAFETY: `self` proves the instruction; the slice holds 16 floats; no alignment is asked for.
        unsafe { _mm512_storeu_ps(dst.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn load_partial(self, src: &[f32], fill: f32) -> __m512 {
        let mask = first_lanes(src.len());
        // SAFETY: `self` proves the instruction; the mask keeps the load within the slice.
        unsafe { _mm512_mask_loadu_ps(_mm512_set1_ps(fill), mask, src.as_ptr()) }
    }
    #[inline(always)]
    fn store_partial(self, dst: &mut [f32], v: __m512) {
        let mask = first_lanes(dst.len());
        // SAFETY: `self` proves the instruction; the mask keeps the store within the slice.
        unsafe { _mm512_mask_storeu_ps(dst.as_mut_ptr(), mask, v) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn neg_mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn select_greater(self, a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instructions.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), no, yes) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_roundscale_ps::<0>(a) }
    }
    #[inline(always)]
    fn scale_by_power_of_two(self, a: __m512, n: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_scalef_ps(a, n) }
    }
    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_reduce_add_ps(a) }
    }
    #[inline(always)]
    fn max_lane(self, a: __m512) -> f32 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_reduce_max_ps(a) }
    }
    #[inline(always)]
    fn transpose(self, dst: &mut [f32], dst_stride: usize, src: MatRef<'_>) {
        let dst = &mut dst[..(Self::LANES - 1) * dst_stride + Self::LANES];
        let mut rows = [self.splat(0.0); 16];
        let ((data, stride), last) = (src.parts(), src.rows() - 1);
        for (i, row) in rows.iter_mut().enumerate() {
            *row = self.load(&data[i.min(last) * stride..]);
        }
        // Four rows and four columns at a time: `quads[4 g + c]` holds columns c, 4 + c, 8 + c, 12 + c of
        // rows 4 g .. 4 g + 4, a column in each quarter.
        let mut quads = rows;
        for g in (0..16).step_by(4) {
            let [r0, r1, r2, r3] = [rows[g], rows[g + 1], rows[g + 2], rows[g + 3]];
            // SAFETY: `self` proves that the CPU has the instructions.
            unsafe {
                let even = (_mm512_unpacklo_ps(r0, r1), _mm512_unpacklo_ps(r2, r3));
                let odd = (_mm512_unpackhi_ps(r0, r1), _mm512_unpackhi_ps(r2, r3));
                for (c, (a, b)) in [(0, even), (2, odd)] {
                    let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
                    quads[g + c] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                    quads[g + c + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
                }
            }
        }
        let mut columns = quads;
        for c in 0..4 {
            let [q0, q1, q2, q3] = [quads[c], quads[4 + c], quads[8 + c], quads[12 + c]];
            // SAFETY: `self` proves that the CPU has the instructions.
            unsafe {
                let even = (even_quarters(q0, q1), even_quarters(q2, q3));
                let odd = (odd_quarters(q0, q1), odd_quarters(q2, q3));
                columns[c] = even_quarters(even.0, even.1);
                columns[4 + c] = even_quarters(odd.0, odd.1);
                columns[8 + c] = odd_quarters(even.0, even.1);
                columns[12 + c] = odd_quarters(odd.0, odd.1);
            }
        }
        for (j, column) in columns.into_iter().enumerate() {
            self.store(&mut dst[j * dst_stride..], column);
        }
    }
    #[inline(always)]
    fn prefetch<T>(self, src: &[T]) {
        // SAFETY: `self` proves the instruction; it is a hint, which no address makes fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(src.as_ptr().cast()) }
    }
    #[inline(always)]
    fn prefetch_second<T>(self, src: &[T]) {
        // SAFETY: `self` proves the instruction; it is a hint, which no address makes fault.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(src.as_ptr().cast()) }
    }
    #[inline(always)]
    fn matmul_tiles(self, c: MatMut<'_>, a: BlockOfA<'_>, b: PanelOfB<'_, f32>, write: Write) {
        #[target_feature(enable = "avx512f")]
        #[inline(never)]
        fn stamped(
            isa: Avx512,
            c: MatMut<'_>,
            a: BlockOfA<'_>,
            b: PanelOfB<'_, f32>,
            write: Write,
        ) {
            tiles::<Avx512, 14, 13, 2>(isa, c, a, b, write);
        }
        // SAFETY: `self` proves that the CPU has the features.
        unsafe { stamped(self, c, a, b, write) }
    }
}

/// Quarters 0 and 2 of `a`, then of `b`.
#[inline(always)]
unsafe fn even_quarters(a: __m512, b: __m512) -> __m512 {
    // SAFETY: the caller proves that the CPU has the instruction.
    unsafe { _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b) }
}

/// Quarters 1 and 3 of `a`, then of `b`.
#[inline(always)]
unsafe fn odd_quarters(a: __m512, b: __m512) -> __m512 {
    // SAFETY: the caller proves that the CPU has the instruction.
    unsafe { _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b) }
}

/// The mask of the first `n` lanes; panics for more than a register.
#[inline(always)]
fn first_lanes(n: usize) -> __mmask16 {
    assert!(n <= 16, "at most one register, got {n} floats");
    ((1u32 << n) - 1) as __mmask16
}
