//! AVX512-FP16: thirty-two halves in a register (Intel's server CPUs since Sapphire Rapids).

use super::{Halves, Isa, avx512::Avx512};
use crate::matmul::{PanelOfB, Write, half};
use crate::view::MatMut;
use core::arch::x86_64::*;

/// Proof that the CPU has AVX512-FP16, and AVX-512BW for its data.
#[derive(Clone, Copy)]
pub struct Avx512Fp16(Avx512);

impl Halves for Avx512Fp16 {
    type Single = Avx512;
    type H = __m512h;
    type Packed = u16;
    const MR: usize = 14;
    const NR: usize = 64;

    fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512fp16") && is_x86_feature_detected!("avx512bw");
        Avx512::detect().filter(|_| has).map(Avx512Fp16)
    }
    #[inline(always)]
    fn single(self) -> Avx512 {
        self.0
    }
    #[inline(always)]
    fn spreadable(self, v: __m512) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instructions.
        unsafe {
            let halves = _mm512_cvtepu16_epi32(_mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v));
            let twice = _mm512_or_si512(halves, _mm512_slli_epi32::<16>(halves));
            _mm512_castsi512_ps(twice)
        }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m512h {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_castps_ph(_mm512_set1_ps(x)) }
    }
    #[inline(always)]
    fn narrow(self, dst: &mut [u16], v: __m512) {
        let dst = &mut dst[..Avx512::LANES];
        // SAFETY: `self` proves the instructions; the slice holds 16 halves; no alignment is asked for.
        unsafe {
            let halves = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v);
            _mm256_storeu_si256(dst.as_mut_ptr().cast(), halves);
        }
    }
    #[inline(always)]
    fn load(self, src: &[u16]) -> __m512h {
        let src = &src[..Self::LANES];
        // SAFETY: `self` proves the instruction; the slice holds 32 halves; no alignment is asked for.
        unsafe { _mm512_castsi512_ph(_mm512_loadu_si512(src.as_ptr().cast())) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m512h, b: __m512h, c: __m512h) -> __m512h {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm512_fmadd_ph(a, b, c) }
    }
    #[inline(always)]
    fn widen(self, h: __m512h) -> [__m512; 2] {
        // SAFETY: `self` proves that the CPU has the instructions.
        unsafe {
            let bits = _mm512_castph_si512(h);
            let upper = _mm512_extracti64x4_epi64::<1>(bits);
            [
                _mm512_cvtph_ps(_mm512_castsi512_si256(bits)),
                _mm512_cvtph_ps(upper),
            ]
        }
    }
    #[inline(always)]
    fn matmul_tiles(
        self,
        c: MatMut<'_>,
        a: half::BlockOfA<'_>,
        b: PanelOfB<'_, u16>,
        write: Write,
    ) {
        #[target_feature(enable = "avx512f,avx512bw,avx512fp16")]
        #[inline(never)]
        fn stamped(
            isa: Avx512Fp16,
            c: MatMut<'_>,
            a: half::BlockOfA<'_>,
            b: PanelOfB<'_, u16>,
            write: Write,
        ) {
            half::tiles::<Avx512Fp16, 14, 2>(isa, c, a, b, write);
        }
        // SAFETY: `self` proves that the CPU has the features.
        unsafe { stamped(self, c, a, b, write) }
    }
}
