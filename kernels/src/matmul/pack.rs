//! Packing: a block of a matrix, rearranged into the order in which the register tile reads it.
//!
//! A panel of width w (MR of A, or NR of B) holds, for each step p of the summed axis, its rows or columns side by
//! side: `panel[p * w + i]`. Panels follow each other, those of B in scratch with a gap between them. Places for
//! which there is no row of A (see [`Cut`]) or no column of B hold anything: zeros, copies, or what lay there before.

use super::cut::Cut;
use super::{KC, Packed, packed_len};
use crate::simd::Isa;
use crate::view::MatRef;

/// The panels that cover `outer0..outer0+count` at depth `p0..p0+kc` of a packed operand.
pub(super) fn panels<'a>(
    packed: Packed<'a>,
    width: usize,
    (p0, kc): (usize, usize),
    (outer0, count): (usize, usize),
) -> &'a [f32] {
    let start =
        p0 * packed.outer.next_multiple_of(width) + Cut::panel_at(outer0, width) * width * kc;
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

/// An operand block after block of `KC` along the summed axis, and where in `dst` each is to be packed.
#[inline(always)]
pub(super) fn blocks<'a>(
    dst: &'a mut [f32],
    x: MatRef<'a>,
    width: usize,
    k_is_rows: bool,
) -> impl Iterator<Item = (&'a mut [f32], MatRef<'a>)> {
    let (outer, k) = sizes(x, k_is_rows);
    let len = packed_len(outer, k, width);
    assert_eq!(dst.len(), len, "length of the packed operand");
    let of_block = packed_len(outer, KC, width).max(1);
    let depths = (0..k).step_by(KC).map(move |p0| p0..k.min(p0 + KC));
    let blocks = depths.map(move |depth| match k_is_rows {
        true => x.row_range(depth),
        false => x.columns(depth),
    });
    dst.chunks_mut(of_block).zip(blocks)
}

/// Packs a block of A, as its rows are [`Cut`]: overwrites the panels at the front of `packed`.
///
/// `k_is_rows`: `x` is Aᵀ.
#[inline(always)]
pub(super) fn pack_rows<I: Isa>(
    isa: I,
    packed: &mut [f32],
    x: MatRef<'_>,
    mr: usize,
    k_is_rows: bool,
) {
    let (m, k) = sizes(x, k_is_rows);
    let cut = Cut::new(m, mr);
    let (tall, stride) = (cut.tall(), mr * k);
    let end = cut.first_row(tall);
    let (first, rest) = if k_is_rows {
        (x.columns(0..end), x.columns(end..m))
    } else {
        (x.row_range(0..end), x.row_range(end..m))
    };
    pack_panels(isa, packed, first, (mr, mr), stride, k_is_rows);
    let packed = &mut packed[tall * stride..];
    pack_panels(isa, packed, rest, (mr - 1, mr), stride, k_is_rows);
}

/// Packs a block of B into panels with `gap` floats between them: overwrites `packed`.
///
/// `k_is_rows`: `x` is B; else it is Bᵀ.
#[inline(always)]
pub(super) fn pack_columns<I: Isa>(
    isa: I,
    packed: &mut [f32],
    x: MatRef<'_>,
    nr: usize,
    gap: usize,
    k_is_rows: bool,
) {
    let k = sizes(x, k_is_rows).1;
    pack_panels(isa, packed, x, (nr, nr), nr * k + gap, k_is_rows);
}

/// Packs `x` into panels with `lines` rows or columns each, and room for `width`, `stride` floats apart.
///
/// `k_is_rows`: the summed axis runs down the rows of `x` (so each row holds one step of every panel);
/// otherwise it runs along the columns (each row of `x` becomes one line of a panel).
#[inline(always)]
fn pack_panels<I: Isa>(
    isa: I,
    packed: &mut [f32],
    x: MatRef<'_>,
    (lines, width): (usize, usize),
    stride: usize,
    k_is_rows: bool,
) {
    let (outer, k) = sizes(x, k_is_rows);
    if !outer.is_multiple_of(lines) {
        let last = outer / lines * stride;
        packed[last..last + width * k].fill(0.0);
    }
    if k_is_rows {
        copy_steps(packed, x, (lines, width), stride);
    } else {
        for (panel, first) in (0..outer).step_by(lines).enumerate() {
            let rows = first..outer.min(first + lines);
            transpose(isa, &mut packed[panel * stride..], x.row_range(rows), width);
        }
    }
}

/// Row p of `x`, piece by piece, becomes step p of every panel: rows are read from end to end, since
/// walking down a column of a wide matrix would meet the same few sets of the cache again and again.
#[inline(always)]
fn copy_steps(packed: &mut [f32], x: MatRef<'_>, (lines, width): (usize, usize), stride: usize) {
    for p in 0..x.rows() {
        let mut pieces = x.row(p).chunks_exact(lines);
        let mut at = p * width;
        for piece in &mut pieces {
            packed[at..at + lines].copy_from_slice(piece);
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
