//! The register tile: MR x NR sums held in registers while the panels of A and B stream by; and the loop over the
//! panels of A around it.

use super::cut::Cut;
use super::{LINE, PanelOfB, Write};
use crate::simd::Isa;
use crate::view::{MatMut, MatRef};
use std::array;

/// Room for a row of the widest tile of any backend.
const MAX_NR: usize = 32;
/// Steps of a packed panel for each turn of the innermost loop, whose own instructions so cost a quarter.
const GROUP: usize = 4;

/// A block of A, as its tiles find it.
#[derive(Clone, Copy)]
pub enum BlockOfA<'a> {
    /// Packed panels: step p of panel i at `(i * k + p) * I::MR`.
    Packed(&'a [f32]),
    /// Rows, as they are.
    Plain(MatRef<'a>),
}

/// Adds the products of a block of A and a panel of B into `c`, or replaces it: tile after tile, as the rows are [`Cut`].
///
/// ```text
/// C[i,j] (+)= sum_p A[i,p] * b[p * NR + j]        NR = NV * LANES
/// ```
///
/// `c` has at most NR columns; MR is `I::MR`, LESS one fewer. The tile always computes all its rows and columns, of which
/// a smaller `c` receives its part.
///
/// A backend calls this as a function of its own, once for each panel of B: inlined into the loops around it, it would
/// share their registers, and before each tile fetch its addresses from the stack.
#[inline(always)]
pub(crate) fn tiles<I: Isa, const MR: usize, const LESS: usize, const NV: usize>(
    isa: I,
    mut c: MatMut<'_>,
    a: BlockOfA<'_>,
    b: PanelOfB<'_, f32>,
    write: Write,
) {
    let cut = Cut::new(c.rows(), MR);
    let end = cut.first_row(cut.tall());
    let (tall, short) = c.split_rows(end);
    match a {
        BlockOfA::Packed(a) => {
            let depth = b.values.len() / (NV * I::LANES);
            let a = &a[..cut.panels() * MR * depth];
            let (a_tall, a_short) = a.split_at(cut.tall() * MR * depth);
            let mut shares = b.shares(cut.panels());
            packed::<I, MR, NV>(isa, tall, a_tall, b.values, write, &mut shares);
            packed::<I, LESS, NV>(isa, short, a_short, b.values, write, &mut shares);
        }
        BlockOfA::Plain(a) => {
            plain::<I, MR, NV>(isa, tall, a.row_range(0..end), b.values, write);
            plain::<I, LESS, NV>(isa, short, a.row_range(end..a.rows()), b.values, write);
        }
    }
}

/// The tiles of packed panels of ROWS rows; each asks for its share of the next panel of B.
#[inline(always)]
fn packed<'a, I: Isa, const ROWS: usize, const NV: usize>(
    isa: I,
    c: MatMut<'_>,
    a: &[f32],
    b: &[f32],
    write: Write,
    shares: &mut impl Iterator<Item = &'a [f32]>,
) {
    let depth = b.len() / (NV * I::LANES);
    let mut rows = c.into_rows();
    for a in a.chunks_exact(I::MR * depth) {
        let share = shares.next().unwrap_or_default();
        for line in share.chunks(LINE / size_of::<f32>()) {
            isa.prefetch_second(line);
        }
        // Rows beyond the last are empty, and receive nothing.
        let c: [_; ROWS] = array::from_fn(|_| rows.next().unwrap_or_default());
        ask_for(isa, &c);
        let mut sums = [[isa.splat(0.0); NV]; ROWS];
        let mut a = a.chunks_exact(GROUP * I::MR);
        let mut b = b.chunks_exact(GROUP * NV * I::LANES);
        for (a, b) in (&mut a).zip(&mut b) {
            add_products(isa, &mut sums, steps_of::<I, ROWS>(a), b);
        }
        let (a, b) = (a.remainder(), b.remainder());
        add_products(isa, &mut sums, steps_of::<I, ROWS>(a), b);
        write_tile(isa, c, sums, write);
    }
}

/// The tiles of rows of A as they are, ROWS in each.
#[inline(always)]
fn plain<I: Isa, const ROWS: usize, const NV: usize>(
    isa: I,
    c: MatMut<'_>,
    a: MatRef<'_>,
    b: &[f32],
    write: Write,
) {
    let mut rows = c.into_rows();
    for first in (0..a.rows()).step_by(ROWS) {
        let c: [_; ROWS] = array::from_fn(|_| rows.next().unwrap_or_default());
        ask_for(isa, &c);
        let mut sums = [[isa.splat(0.0); NV]; ROWS];
        // Rows beyond the last are computed and thrown away.
        let rows: [_; ROWS] = array::from_fn(|i| a.row((first + i).min(a.rows() - 1)));
        let steps = (0..a.cols()).map(|p| move |i: usize| rows[i][p]);
        add_products(isa, &mut sums, steps, b);
        write_tile(isa, c, sums, write);
    }
}

/// Asks for the lines of C before the products, which are done by when they have come.
#[inline(always)]
fn ask_for<I: Isa>(isa: I, c: &[&mut [f32]]) {
    for row in c {
        isa.prefetch(row);
    }
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

/// Adds a tile's sums to the rows of `c` or replaces them. What is missing of a row, or the whole of it, is thrown away.
#[inline(always)]
fn write_tile<I: Isa, const ROWS: usize, const NV: usize>(
    isa: I,
    c: [&mut [f32]; ROWS],
    sums: [[I::F; NV]; ROWS],
    write: Write,
) {
    for (c, sums) in c.into_iter().zip(sums) {
        if c.len() == NV * I::LANES {
            write_row(isa, c, &sums, write);
        } else {
            let mut row = [0.0; MAX_NR];
            write_row(isa, &mut row[..NV * I::LANES], &sums, Write::Overwrite);
            write_part(c, &row, write);
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

/// A part of a row. Not inlined, to leave the registers to the tile.
#[inline(never)]
pub(super) fn write_part(c: &mut [f32], sums: &[f32], write: Write) {
    for (c, &sum) in c.iter_mut().zip(sums) {
        *c = if write == Write::Add { *c + sum } else { sum };
    }
}
