//! Packing: a block of a matrix, rearranged into the order in which the register tile reads it.
//!
//! A panel of width w (MR rows of A, or NR columns of B) holds, for each step p of the summed axis, its
//! w values side by side: `panel[p * w + i]`. Panels follow each other, those of B in scratch with a gap
//! between them. In the last one the places without a row of A or a column of B hold anything: zeros, or copies.

use super::{KC, Packed, packed_len};
use crate::simd::Isa;
use crate::view::MatRef;

/// The panels that cover `outer0..outer0+count` at depth `p0..p0+kc` of a packed operand.
pub(super) fn panel<'a>(
    packed: Packed<'a>,
    width: usize,
    (p0, kc): (usize, usize),
    (outer0, count): (usize, usize),
) -> &'a [f32] {
    let start = p0 * packed.outer.next_multiple_of(width) + outer0 * kc;
    &packed.data[start..start + count.next_multiple_of(width) * kc]
}

/// The operand's own axis and the summed one.
#[inline(always)]
fn sizes(x: MatRef<'_>, k_is_rows: bool) -> (usize, usize) {
    if k_is_rows {
        (x.cols(), x.rows())
    } else {
        (x.rows(), x.cols())
    }
}

/// Packs a whole operand: overwrites `dst`, block after block of `KC` along the summed axis.
#[inline(always)]
pub(super) fn pack_all<I: Isa>(
    isa: I,
    dst: &mut [f32],
    x: MatRef<'_>,
    width: usize,
    k_is_rows: bool,
) {
    let (outer, k) = sizes(x, k_is_rows);
    assert_eq!(
        dst.len(),
        packed_len(outer, k, width),
        "length of the packed operand"
    );
    let mut rest = dst;
    for p0 in (0..k).step_by(KC) {
        let depth = p0..k.min(p0 + KC);
        let len = depth.len();
        let (block, tail) = rest.split_at_mut(packed_len(outer, len, width));
        let x = if k_is_rows {
            x.row_range(depth)
        } else {
            x.columns(depth)
        };
        pack_panels(isa, block, x, width, width * len, k_is_rows);
        rest = tail;
    }
}

/// Packs `x` into panels of `width`, `stride` floats apart: overwrites them in `packed`.
///
/// `k_is_rows`: the summed axis runs down the rows of `x` (so each row holds one step of every panel);
/// otherwise it runs along the columns (each row of `x` becomes one line of a panel).
#[inline(always)]
pub(super) fn pack_panels<I: Isa>(
    isa: I,
    packed: &mut [f32],
    x: MatRef<'_>,
    width: usize,
    stride: usize,
    k_is_rows: bool,
) {
    let (outer, k) = sizes(x, k_is_rows);
    if !outer.is_multiple_of(width) {
        let last = outer / width * stride;
        packed[last..last + width * k].fill(0.0);
    }
    if k_is_rows {
        copy_steps(packed, x, width, stride);
    } else {
        for (panel, first) in (0..outer).step_by(width).enumerate() {
            let rows = first..outer.min(first + width);
            transpose(isa, &mut packed[panel * stride..], x.row_range(rows), width);
        }
    }
}

/// Row p of `x`, piece by piece, becomes step p of every panel: rows are read from end to end, since
/// walking down a column of a wide matrix would meet the same few sets of the cache again and again.
#[inline(always)]
fn copy_steps(packed: &mut [f32], x: MatRef<'_>, width: usize, stride: usize) {
    for p in 0..x.rows() {
        let mut pieces = x.row(p).chunks_exact(width);
        let mut at = p * width;
        for piece in &mut pieces {
            packed[at..at + width].copy_from_slice(piece);
            at += stride;
        }
        let rest = pieces.remainder();
        if !rest.is_empty() {
            packed[at..at + rest.len()].copy_from_slice(rest);
        }
    }
}

/// Line i of the panel at the front of `panels` is row i of `x`, its values `width` apart; in square blocks where
/// they fit. A block writes LANES values at every step: in a narrower panel the surplus falls on the next step, or at
/// the end on the next panel, which are written later.
#[inline(always)]
fn transpose<I: Isa>(isa: I, panels: &mut [f32], x: MatRef<'_>, width: usize) {
    let (rows, k) = (x.rows(), x.cols());
    for i in (0..rows).step_by(I::LANES) {
        let lines = x.row_range(i..rows.min(i + I::LANES));
        let mut done = 0;
        if lines.rows() == I::LANES || width < I::LANES {
            let end = |p: usize| (p + I::LANES - 1) * width + i + I::LANES;
            while done + I::LANES <= k && end(done) <= panels.len() {
                let block = lines.columns(done..done + I::LANES);
                isa.transpose(&mut panels[done * width + i..], width, block);
                done += I::LANES;
            }
        }
        for line in 0..lines.rows() {
            let to = panels[i + line..].iter_mut().step_by(width).skip(done);
            for (to, &from) in to.zip(&lines.row(line)[done..]) {
                *to = from;
            }
        }
    }
}
