//! Arithmetic in halves (IEEE binary16), for the matrix product alone.
//!
//! A half has 11 bits of mantissa and reaches from 2^-24 to 65504; a vector unit that has them multiplies
//! twice as many at a time as floats. [`Halves`] is what the product needs of such a unit; everything else
//! stays in the floats of its [`Isa`]. Where a CPU has no halves, [`Emulated`] rounds floats as it would.

use super::Isa;
use crate::matmul::{PanelOfB, Write, half};
use crate::view::MatMut;

/// An instruction set with halves: registers of [`Halves::LANES`] of them.
pub trait Halves: Copy + Send + Sync + 'static {
    /// The same CPU's floats.
    type Single: Isa;
    /// A register of [`Halves::LANES`] halves.
    type H: Copy;
    /// A value of a packed right operand.
    type Packed: bytemuck::Pod;
    /// Halves in a register: as many as floats in two.
    const LANES: usize = 2 * Self::Single::LANES;
    /// Rows of the register tile of the matrix product.
    const MR: usize;
    /// Columns of the register tile: a whole number of registers of halves.
    const NR: usize;

    /// The proof, if this CPU has the instructions.
    fn detect() -> Option<Self>;

    /// The same CPU's floats.
    fn single(self) -> Self::Single;
    /// Each lane rounded to a half, in the form that [`Halves::splat`] spreads: 32 bits a value, since spreading
    /// 32 bits costs a load, and 16 bits a shuffle more.
    fn spreadable(self, v: <Self::Single as Isa>::F) -> <Self::Single as Isa>::F;
    /// A value that [`Halves::spreadable`] made, in every lane. Zero is 0.0.
    fn splat(self, x: f32) -> Self::H;
    /// Rounds each lane to a half and writes them to the front of `dst`.
    fn narrow(self, dst: &mut [Self::Packed], v: <Self::Single as Isa>::F);
    /// The first `LANES` values of `src`.
    fn load(self, src: &[Self::Packed]) -> Self::H;
    /// `a * b + c` with one rounding, to a half.
    fn mul_add(self, a: Self::H, b: Self::H, c: Self::H) -> Self::H;
    /// The halves as floats, which is exact.
    fn widen(self, h: Self::H) -> [<Self::Single as Isa>::F; 2];

    /// The register tiles of a block of A and a panel of B: `tiles` of [`half`] with this backend's shape.
    fn matmul_tiles(
        self,
        c: MatMut<'_>,
        a: half::BlockOfA<'_>,
        b: PanelOfB<'_, Self::Packed>,
        write: Write,
    );
}

/// Halves by rounding floats: what a CPU with halves would give, several times slower than floats.
///
/// For tests, and to study what halves do to learning on any CPU. Three differences: a result is rounded more than once,
/// to the 24 bits of a float and then to 11, and below 2^-14 once more, which may take it to the second-nearest half;
/// nothing overflows to infinity; and what is infinite already becomes NaN when it is rounded.
#[derive(Clone, Copy)]
pub struct Emulated<I>(pub I);

impl<I: Isa> Emulated<I> {
    /// `x`, |x| < 2^16, to the nearest half.
    ///
    /// Multiplying by 2^13 + 1 and taking the difference leaves the upper 11 of 24 bits (Veltkamp 1968).
    /// Below 2^-14 halves are 2^-24 apart, as floats are from 0.5 to 1, so adding 0.75 rounds there; it is
    /// exact for everything that has 11 bits.
    #[inline(always)]
    fn round(self, x: I::F) -> I::F {
        let isa = self.0;
        let scaled = isa.mul(x, isa.splat(8193.0));
        let eleven_bits = isa.sub(scaled, isa.sub(scaled, x));
        let bias = isa.splat(0.75);
        isa.sub(isa.add(eleven_bits, bias), bias)
    }
}

impl<I: Isa> Halves for Emulated<I> {
    type Single = I;
    type H = [I::F; 2];
    type Packed = f32;
    const MR: usize = 4;
    const NR: usize = 2 * I::LANES;

    fn detect() -> Option<Self> {
        I::detect().map(Emulated)
    }
    #[inline(always)]
    fn single(self) -> I {
        self.0
    }
    #[inline(always)]
    fn spreadable(self, v: I::F) -> I::F {
        self.round(v)
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::H {
        [self.0.splat(x); 2]
    }
    #[inline(always)]
    fn narrow(self, dst: &mut [f32], v: I::F) {
        self.0.store(dst, self.round(v));
    }
    #[inline(always)]
    fn load(self, src: &[f32]) -> Self::H {
        [self.0.load(src), self.0.load(&src[I::LANES..])]
    }
    #[inline(always)]
    fn mul_add(self, a: Self::H, b: Self::H, c: Self::H) -> Self::H {
        [
            self.round(self.0.mul_add(a[0], b[0], c[0])),
            self.round(self.0.mul_add(a[1], b[1], c[1])),
        ]
    }
    #[inline(always)]
    fn widen(self, h: Self::H) -> [I::F; 2] {
        h
    }
    #[inline(always)]
    fn matmul_tiles(
        self,
        c: MatMut<'_>,
        a: half::BlockOfA<'_>,
        b: PanelOfB<'_, f32>,
        write: Write,
    ) {
        half::tiles::<Self, 4, 1>(self, c, a, b, write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::portable::Portable;

    /// The nearest half, by dividing by the distance between halves there.
    fn nearest(x: f64) -> f64 {
        let exponent = x.abs().log2().floor().max(-14.0);
        let unit = 2f64.powf(exponent - 10.0);
        (x / unit).round_ties_even() * unit
    }

    #[test]
    fn the_emulation_rounds_to_the_nearest_half() {
        let isa = Emulated(Portable::detect().expect("on any CPU"));
        let mut x = 3e-8_f32;
        while x < 65_000.0 {
            for x in [x, -x] {
                let mut got = [0.0; 8];
                isa.0.store(&mut got, isa.round(isa.0.splat(x)));
                let (got, x) = (f64::from(got[0]), f64::from(x));
                if x.abs() >= 2f64.powi(-14) {
                    assert_eq!(got, nearest(x), "{x:e}");
                } else {
                    assert_eq!(got, nearest(got), "{x:e}");
                    let unit = 2f64.powi(-24);
                    assert!((got - x).abs() <= 0.75 * unit, "{x:e} became {got:e}");
                }
            }
            x *= 1.000_37;
        }
    }
}
