//! Packing: a block of a matrix, rearranged into the order in which the register tile reads it.
//!
//! A panel of width w (MR rows of A, or NR columns of B) holds, for each step p of the summed axis, its
//! w values side by side: `panel[p * w + i]`. Panels follow each other; the last one is filled with zeros.

use super::Packed;
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

/// Packs `x` into panels of `width` and returns them.
///
/// `k_is_rows`: the summed axis runs down the rows of `x` (so each row holds one step of every panel);
/// otherwise it runs along the columns (each row of `x` becomes one line of a panel).
#[inline(always)]
pub(super) fn pack_panels<'a, I: Isa>(
    isa: I,
    scratch: &'a mut [f32],
    x: MatRef<'_>,
    width: usize,
    k_is_rows: bool,
) -> &'a [f32] {
    let (outer, k) = if k_is_rows {
        (x.cols(), x.rows())
    } else {
        (x.rows(), x.cols())
    };
    let packed = &mut scratch[..outer.next_multiple_of(width) * k];
    if k == 0 {
        return packed;
    }
    for (i, panel) in packed.chunks_exact_mut(width * k).enumerate() {
        let first = i * width;
        let here = width.min(outer - first);
        if k_is_rows {
            copy_rows(isa, panel, x, width, first, here);
        } else {
            interleave_rows(panel, x, width, first, here);
        }
    }
    packed
}

/// Step p of the panel is a piece of row p of `x`.
#[inline(always)]
fn copy_rows<I: Isa>(
    isa: I,
    panel: &mut [f32],
    x: MatRef<'_>,
    width: usize,
    first: usize,
    here: usize,
) {
    for (p, line) in panel.chunks_exact_mut(width).enumerate() {
        let row = &x.row(p)[first..first + here];
        if here == width && width.is_multiple_of(I::LANES) {
            for (line, row) in line
                .chunks_exact_mut(I::LANES)
                .zip(row.chunks_exact(I::LANES))
            {
                isa.store(line, isa.load(row));
            }
        } else {
            line[..here].copy_from_slice(row);
            line[here..].fill(0.0);
        }
    }
}

/// Line i of the panel is row `first + i` of `x`, its values `width` apart.
#[inline(always)]
fn interleave_rows(panel: &mut [f32], x: MatRef<'_>, width: usize, first: usize, here: usize) {
    if here < width {
        panel.fill(0.0);
    }
    for i in 0..here {
        for (slot, &value) in panel[i..].iter_mut().step_by(width).zip(x.row(first + i)) {
            *slot = value;
        }
    }
}
