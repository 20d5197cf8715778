//! AVX2 with FMA: eight lanes, sixteen registers (x86-64 since 2013).

use super::Isa;
use crate::matmul::{
    PanelOfB, Write,
    tile::{BlockOfA, tiles},
};
use crate::view::{MatMut, MatRef};
use core::arch::x86_64::*;

/// Proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy)]
pub struct Avx2(());

/// A register whose first `len` lanes have all bits set, the others none. Panics beyond 8.
#[inline(always)]
fn first_lanes(isa: Avx2, len: usize) -> __m256 {
    static ONES_THEN_ZEROS: [f32; 16] = {
        let mut bits = [0.0; 16];
        let mut i = 0;
        while i < 8 {
            bits[i] = f32::from_bits(u32::MAX);
            i += 1;
        }
        bits
    };
    isa.load(&ONES_THEN_ZEROS[8 - len..])
}

impl Isa for Avx2 {
    type F = __m256;
    const NAME: &'static str = "avx2";
    const LANES: usize = 8;
    const MR: usize = 6;
    const NR: usize = 16;
    // Four cycles of latency on two ports; two of sixteen registers hold the factors.
    const CHAINS: usize = 12;

    fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Avx2(()))
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, src: &[f32]) -> __m256 {
        let src = &src[..Self::LANES];
        // SAFETY: `self` proves the instruction; the slice holds 8 floats; no alignment is asked for.
        unsafe { _mm256_loadu_ps(src.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, dst: &mut [f32], v: __m256) {
        let dst = &mut dst[..Self::LANES];
        // SAFETY: `self` proves the instruction; the slice holds 8 floats; no alignment is asked for.
        unsafe { _mm256_storeu_ps(dst.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn load_partial(self, src: &[f32], fill: f32) -> __m256 {
        let mask = first_lanes(self, src.len());
        // SAFETY: `self` proves the instructions; the mask has the slice's length, and lanes beyond it are not read.
        unsafe {
            let values = _mm256_maskload_ps(src.as_ptr(), _mm256_castps_si256(mask));
            _mm256_blendv_ps(_mm256_set1_ps(fill), values, mask)
        }
    }
    #[inline(always)]
    fn store_partial(self, dst: &mut [f32], v: __m256) {
        let mask = first_lanes(self, dst.len());
        // SAFETY: `self` proves the instruction; the mask has the slice's length, and lanes beyond it are not written.
        unsafe { _mm256_maskstore_ps(dst.as_mut_ptr(), _mm256_castps_si256(mask), v) }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn neg_mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm256_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn select_greater(self, a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
        // SAFETY: `self` proves that the CPU has the instructions.
        unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm256_sqrt_ps(a) }
    }
    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn scale_by_power_of_two(self, a: __m256, n: __m256) -> __m256 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe {
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased)))
        }
    }
    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    fn max_lane(self, a: __m256) -> f32 {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    fn transpose(self, dst: &mut [f32], dst_stride: usize, src: MatRef<'_>) {
        let dst = &mut dst[..(Self::LANES - 1) * dst_stride + Self::LANES];
        let mut rows = [self.splat(0.0); 8];
        let ((data, stride), last) = (src.parts(), src.rows() - 1);
        for (i, row) in rows.iter_mut().enumerate() {
            *row = self.load(&data[i.min(last) * stride..]);
        }
        // `quads[4 g + c]` holds columns c and 4 + c of rows 4 g .. 4 g + 4, a column in each half.
        let mut quads = rows;
        for g in [0, 4] {
            let [r0, r1, r2, r3] = [rows[g], rows[g + 1], rows[g + 2], rows[g + 3]];
            // SAFETY: `self` proves that the CPU has the instructions.
            unsafe {
                let even = (_mm256_unpacklo_ps(r0, r1), _mm256_unpacklo_ps(r2, r3));
                let odd = (_mm256_unpackhi_ps(r0, r1), _mm256_unpackhi_ps(r2, r3));
                for (c, (a, b)) in [(0, even), (2, odd)] {
                    let (a, b) = (_mm256_castps_pd(a), _mm256_castps_pd(b));
                    quads[g + c] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
                    quads[g + c + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
                }
            }
        }
        for c in 0..8 {
            let (a, b) = (quads[c % 4], quads[4 + c % 4]);
            // SAFETY: `self` proves that the CPU has the instructions.
            let column = unsafe {
                if c < 4 {
                    _mm256_permute2f128_ps::<0x20>(a, b)
                } else {
                    _mm256_permute2f128_ps::<0x31>(a, b)
                }
            };
            self.store(&mut dst[c * dst_stride..], column);
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
        #[target_feature(enable = "avx2,fma")]
        #[inline(never)]
        fn stamped(isa: Avx2, c: MatMut<'_>, a: BlockOfA<'_>, b: PanelOfB<'_, f32>, write: Write) {
            tiles::<Avx2, 6, 5, 2>(isa, c, a, b, write);
        }
        // SAFETY: `self` proves that the CPU has the features.
        unsafe { stamped(self, c, a, b, write) }
    }
}
