//! The register tile: MR x NR sums held in registers while the panels of A and B stream by.

use super::Write;
use crate::simd::Isa;
use crate::view::{MatMut, MatRef};
use std::array;

/// Room for a row of the widest tile of any backend.
const MAX_NR: usize = 32;
/// Steps of a packed panel for each turn of the innermost loop, whose own instructions so cost a quarter.
const GROUP: usize = 4;

/// Rows of A, as the tile finds them.
pub enum Panel<'a> {
    /// Packed: step p of the summed axis at `p * I::MR`.
    Packed(&'a [f32]),
    /// As they are.
    Plain(MatRef<'a>),
}

/// Adds the products of a panel of A and one of B (k x NR) into `c`, or replaces it.
///
/// ```text
/// C[i,j] (+)= sum_p A[i,p] * b[p * NR + j]        NR = NV * LANES
/// ```
///
/// `c` has at most ROWS rows and NR columns; the tile always computes all of them, and a smaller `c`
/// receives its part row by row through a buffer on the stack. ROWS is `I::MR` or one less.
#[inline(always)]
pub(crate) fn tile<I: Isa, const ROWS: usize, const NV: usize>(
    isa: I,
    mut c: MatMut<'_>,
    a: Panel<'_>,
    b: &[f32],
    write: Write,
) {
    // C is touched only after all products, by when its lines have come.
    for i in 0..c.rows() {
        isa.prefetch(c.row(i));
    }
    let mut sums = [[isa.splat(0.0); NV]; ROWS];
    match a {
        Panel::Packed(a) => {
            let mut a = a.chunks_exact(GROUP * I::MR);
            let mut b = b.chunks_exact(GROUP * NV * I::LANES);
            for (a, b) in (&mut a).zip(&mut b) {
                add_products(isa, &mut sums, steps_of::<I, ROWS>(a), b);
            }
            let (a, b) = (a.remainder(), b.remainder());
            add_products(isa, &mut sums, steps_of::<I, ROWS>(a), b);
        }
        Panel::Plain(a) => {
            // Rows beyond the last are computed and thrown away.
            let rows: [_; ROWS] = array::from_fn(|i| a.row(i.min(a.rows() - 1)));
            let steps = (0..a.cols()).map(|p| move |i: usize| rows[i][p]);
            add_products(isa, &mut sums, steps, b);
        }
    }
    write_tile(isa, &mut c, sums, write);
}

/// The steps of a packed panel: the values of A by row.
#[inline(always)]
fn steps_of<I: Isa, const ROWS: usize>(
    a: &[f32],
) -> impl Iterator<Item = impl FnMut(usize) -> f32> {
    a.chunks_exact(I::MR).map(|a| move |i: usize| a[..ROWS][i])
}

/// Adds to the sums of one tile; `steps` gives, for each step of the summed axis, the values of A by row.
#[inline(always)]
fn add_products<I: Isa, A: FnMut(usize) -> f32, const MR: usize, const NV: usize>(
    isa: I,
    sums: &mut [[I::F; NV]; MR],
    steps: impl Iterator<Item = A>,
    b: &[f32],
) {
    for (mut a, b) in steps.zip(b.chunks_exact(NV * I::LANES)) {
        let b: [_; NV] = array::from_fn(|j| isa.load(&b[j * I::LANES..]));
        for (i, sums) in sums.iter_mut().enumerate() {
            let a = isa.splat(a(i));
            for (sum, &b) in sums.iter_mut().zip(&b) {
                *sum = isa.mul_add(a, b, *sum);
            }
        }
    }
}

#[inline(always)]
fn write_tile<I: Isa, const MR: usize, const NV: usize>(
    isa: I,
    c: &mut MatMut<'_>,
    sums: [[I::F; NV]; MR],
    write: Write,
) {
    if c.rows() == MR && c.cols() == NV * I::LANES {
        for (i, sums) in sums.into_iter().enumerate() {
            write_row(isa, c.row(i), &sums, write);
        }
    } else {
        let mut line = [0.0; MAX_NR];
        for (i, sums) in sums.into_iter().enumerate() {
            if i < c.rows() {
                write_row(isa, &mut line[..NV * I::LANES], &sums, Write::Overwrite);
                write_part(c.row(i), &line, write);
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
pub(super) fn write_part(c: &mut [f32], sums: &[f32], write: Write) {
    for (c, &sum) in c.iter_mut().zip(sums) {
        *c = if write == Write::Add { *c + sum } else { sum };
    }
}
