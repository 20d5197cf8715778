//! The register tile: MR x NR sums held in registers while the panels of A and B stream by.

use super::Write;
use crate::simd::Isa;
use crate::view::MatMut;

/// Room for the largest tile of any backend (14 x 32 floats).
const MAX_TILE: usize = 512;

/// Adds the products of one panel of A (k x MR) and one of B (k x NR) into `c`, or replaces it.
///
/// ```text
/// C[i,j] (+)= sum_p a[p * MR + i] * b[p * NR + j]        NR = NV * LANES
/// ```
///
/// `c` has at most MR rows and NR columns; the tile always computes all of them, and a smaller `c`
/// receives its part through a buffer on the stack.
#[inline(always)]
pub(crate) fn tile<I: Isa, const MR: usize, const NV: usize>(
    isa: I,
    mut c: MatMut<'_>,
    a: &[f32],
    b: &[f32],
    write: Write,
) {
    let mut sums = [[isa.splat(0.0); NV]; MR];
    for (a, b) in a.chunks_exact(MR).zip(b.chunks_exact(NV * I::LANES)) {
        let mut b_registers = [isa.splat(0.0); NV];
        for (register, b) in b_registers.iter_mut().zip(b.chunks_exact(I::LANES)) {
            *register = isa.load(b);
        }
        for i in 0..MR {
            let a = isa.splat(a[i]);
            for j in 0..NV {
                sums[i][j] = isa.mul_add(a, b_registers[j], sums[i][j]);
            }
        }
    }
    if c.rows() == MR && c.cols() == NV * I::LANES {
        for (i, sums) in sums.into_iter().enumerate() {
            write_row(isa, c.row(i), &sums, write);
        }
    } else {
        let mut buffer = [0.0; MAX_TILE];
        let lines = buffer.chunks_exact_mut(NV * I::LANES);
        for ((i, sums), line) in sums.into_iter().enumerate().zip(lines) {
            write_row(isa, line, &sums, Write::Overwrite);
            if i < c.rows() {
                write_part(c.row(i), line, write);
            }
        }
    }
}

/// One full row of the tile.
#[inline(always)]
fn write_row<I: Isa>(isa: I, c: &mut [f32], sums: &[I::F], write: Write) {
    for (c, &sum) in c.chunks_exact_mut(I::LANES).zip(sums) {
        let value = match write {
            Write::Overwrite => sum,
            Write::Add => isa.add(isa.load(c), sum),
        };
        isa.store(c, value);
    }
}

/// One row of a smaller `c`.
#[inline(always)]
fn write_part(c: &mut [f32], sums: &[f32], write: Write) {
    for (c, &sum) in c.iter_mut().zip(sums) {
        *c = if write == Write::Add { *c + sum } else { sum };
    }
}
