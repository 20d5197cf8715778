//! The roof: how many multiply-adds this CPU does when nothing else is in the way.
//!
//! Independent chains of `acc ← acc · a + b` in registers, without a load or a store. Benches print its
//! rate beside the matrix product's, so that a reader sees what part of the machine is in use.

use crate::dispatch::Kernels;
use crate::precision::Precision;
use crate::simd::{Halves, Isa};

/// More chains than any instruction set has.
const MOST_CHAINS: usize = 24;

/// Floating-point operations of one call of [`Kernels::multiply_add_chains`].
pub fn flops(kernels: &Kernels, rounds: usize) -> usize {
    let lanes = match kernels.precision() {
        Precision::F32 => kernels.lanes(),
        Precision::F16 => 2 * kernels.lanes(),
    };
    2 * kernels.chains() * lanes * rounds
}

/// Overwrites `out` (one register or more) with the sum of all chains after `rounds` rounds.
#[inline(always)]
pub(crate) fn multiply_add_chains<I: Isa>(isa: I, out: &mut [f32], rounds: usize) {
    // The chains tend to b / (1 - a), so nothing overflows or becomes subnormal.
    let (a, b) = (isa.splat(0.999), isa.splat(0.001));
    let mut chains = [isa.splat(1.5); MOST_CHAINS];
    let chains = &mut chains[..I::CHAINS];
    for _ in 0..rounds {
        for chain in &mut *chains {
            *chain = isa.mul_add(*chain, a, b);
        }
    }
    let mut sum = isa.splat(0.0);
    for chain in chains {
        sum = isa.add(sum, *chain);
    }
    isa.store(out, sum);
}

/// [`multiply_add_chains`] in halves, twice as many in a register: overwrites `out` (one register of floats).
#[inline(always)]
pub(crate) fn multiply_add_chains_in_halves<H: Halves>(isa: H, out: &mut [f32], rounds: usize) {
    let single = isa.single();
    let spread = |x: f32| {
        let mut lanes = [0.0; 64];
        single.store(&mut lanes, isa.spreadable(single.splat(x)));
        isa.splat(lanes[0])
    };
    let (a, b) = (spread(0.999), spread(0.001));
    let mut chains = [spread(1.5); MOST_CHAINS];
    let chains = &mut chains[..H::Single::CHAINS];
    for _ in 0..rounds {
        for chain in &mut *chains {
            *chain = isa.mul_add(*chain, a, b);
        }
    }
    let mut sum = single.splat(0.0);
    for chain in chains {
        let [low, high] = isa.widen(*chain);
        sum = single.add(sum, single.add(low, high));
    }
    single.store(out, sum);
}
