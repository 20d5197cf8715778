//! Packing in halves: scales, roundings, and the panels in which the tile reads them.
//!
//! A packed left operand is the panels of all blocks of `KC`, then the factors that undo the scales of its rows, block by
//! block; a right operand the panels, then one such factor for each block.

use super::super::cut::Cut;
use super::super::pack::{pack_columns, pack_rows};
use super::super::{KC, Lhs, Packed, Rhs, packed_len};
use super::{MAX_LANES, MAX_MR, MAX_NR};
use crate::lanes::for_lanes;
use crate::simd::{Halves, Isa};
use crate::view::MatRef;

/// The largest value of a row of A is scaled to 2^4 .. 2^5.
const EXPONENT_OF_A: i32 = 4;
/// The largest value of a block of B is scaled to 2^3 .. 2^4.
const EXPONENT_OF_B: i32 = 3;

/// 2^e that brings `largest` to 2^exponent .. 2^(exponent+1), and 2^-e; 1 for zero and what is no number.
fn scale_for(largest: f32, exponent: i32) -> (f32, f32) {
    if largest == 0.0 || !largest.is_finite() {
        return (1.0, 1.0);
    }
    let of_largest = (largest.to_bits() >> 23) as i32 - 127;
    // Both powers have to be normal numbers.
    let e = (exponent - of_largest).clamp(-126, 126);
    let power = |e: i32| f32::from_bits(((e + 127) as u32) << 23);
    (power(e), power(-e))
}

/// Raises `largest[i]` to |x[i]|.
#[inline(always)]
fn raise<I: Isa>(isa: I, largest: &mut [f32], x: &[f32]) {
    let zero = isa.splat(0.0);
    for_lanes!(isa; largest <- largest, x; [isa.max(isa.max(isa.sub(zero, x), x), largest)]);
}

/// The largest |x[i]|.
#[inline(always)]
fn largest_of<I: Isa>(isa: I, x: &[f32]) -> f32 {
    let mut largest = isa.splat(0.0);
    let zero = largest;
    let mut pieces = x.chunks_exact(I::LANES);
    for piece in &mut pieces {
        let x = isa.load(piece);
        largest = isa.max(isa.max(isa.sub(zero, x), x), largest);
    }
    let x = isa.load_partial(pieces.remainder(), 0.0);
    isa.max_lane(isa.max(isa.max(isa.sub(zero, x), x), largest))
}

/// Floats of a packed left operand: the panels, and the rows' scales for each block of `KC`.
pub(crate) fn packed_lhs_len(m: usize, k: usize, mr: usize) -> usize {
    packed_len(m, k, mr) + m.next_multiple_of(mr) * k.div_ceil(KC)
}

/// Floats of a packed right operand of values of `bytes`: the panels, and a scale for each block of `KC`.
pub(crate) fn packed_rhs_len(n: usize, k: usize, nr: usize, bytes: usize) -> usize {
    packed_len(n, k, nr) * bytes / size_of::<f32>() + k.div_ceil(KC)
}

/// Packs A, or Aᵀ if `k_is_rows`: overwrites the panels in `packed` and the rows' scales in `unscale`.
#[inline(always)]
pub(super) fn pack_a<H: Halves>(
    isa: H,
    packed: &mut [f32],
    unscale: &mut [f32],
    x: MatRef<'_>,
    k_is_rows: bool,
    aside: &mut [f32],
) {
    if k_is_rows {
        pack_a_transposed(isa, packed, unscale, x);
    } else {
        pack_a_plain(isa, packed, unscale, x, aside);
    }
}

/// Row by row into `aside`, from where a panel is transposed.
#[inline(always)]
fn pack_a_plain<H: Halves>(
    isa: H,
    packed: &mut [f32],
    unscale: &mut [f32],
    x: MatRef<'_>,
    aside: &mut [f32],
) {
    let (single, k) = (isa.single(), x.cols());
    let cut = Cut::new(x.rows(), H::MR);
    unscale.fill(1.0);
    for (i, panel) in packed.chunks_exact_mut(H::MR * k).enumerate() {
        let unscale = &mut unscale[cut.rows(i)];
        let x = x.row_range(cut.rows(i));
        let rows = &mut aside[..x.rows() * k];
        for (i, (to, unscale)) in rows.chunks_exact_mut(k).zip(unscale).enumerate() {
            let from = x.row(i);
            let (scale, back) = scale_for(largest_of(single, from), EXPONENT_OF_A);
            *unscale = back;
            let scale = single.splat(scale);
            round_row::<H>(isa, to, from, scale);
        }
        let rows = MatRef::new(rows, x.rows(), k);
        pack_rows(single, panel, rows, H::MR, false);
    }
}

#[inline(always)]
fn round_row<H: Halves>(isa: H, to: &mut [f32], from: &[f32], scale: <H::Single as Isa>::F) {
    let single = isa.single();
    let lanes = H::Single::LANES;
    let (mut to, mut from) = (to.chunks_exact_mut(lanes), from.chunks_exact(lanes));
    for (to, from) in (&mut to).zip(&mut from) {
        let x = single.mul(single.load(from), scale);
        single.store(to, isa.spreadable(x));
    }
    let x = single.mul(single.load_partial(from.remainder(), 0.0), scale);
    single.store_partial(to.into_remainder(), isa.spreadable(x));
}

/// Step by step: each row of `x` holds one step of every panel.
#[inline(always)]
fn pack_a_transposed<H: Halves>(isa: H, packed: &mut [f32], unscale: &mut [f32], x: MatRef<'_>) {
    let (single, k, m) = (isa.single(), x.rows(), x.cols());
    unscale.fill(0.0);
    for p in 0..k {
        raise(single, &mut unscale[..m], x.row(p));
    }
    // For as long as the panels are written, `unscale` holds the scales themselves.
    for scale in &mut *unscale {
        *scale = scale_for(*scale, EXPONENT_OF_A).0;
    }
    let (lanes, cut) = (H::Single::LANES, Cut::new(m, H::MR));
    for p in 0..k {
        for panel in 0..cut.panels() {
            let (piece, scale) = (&x.row(p)[cut.rows(panel)], &unscale[cut.rows(panel)]);
            let step = &mut packed[(panel * k + p) * H::MR..][..H::MR];
            step[piece.len()..].fill(0.0);
            let step = step.chunks_mut(lanes).zip(piece.chunks(lanes));
            for ((to, from), scale) in step.zip(scale.chunks(lanes)) {
                let (x, scale) = (
                    single.load_partial(from, 0.0),
                    single.load_partial(scale, 1.0),
                );
                let rounded = isa.spreadable(single.mul(x, scale));
                single.store_partial(&mut to[..from.len()], rounded);
            }
        }
    }
    for scale in unscale {
        *scale = scale.recip();
    }
}

/// Packs B, or Bᵀ unless `k_is_rows`, into panels `stride` apart, and returns by what to multiply the sums.
#[inline(always)]
pub(super) fn pack_b<H: Halves>(
    isa: H,
    packed: &mut [H::Packed],
    stride: usize,
    x: MatRef<'_>,
    k_is_rows: bool,
) -> f32 {
    let (single, lanes) = (isa.single(), H::Single::LANES);
    let mut largest = 0.0;
    for i in 0..x.rows() {
        largest = f32::max(largest, largest_of(single, x.row(i)));
    }
    let (scale, unscale) = scale_for(largest, EXPONENT_OF_B);
    let scale = single.splat(scale);
    if k_is_rows {
        for p in 0..x.rows() {
            for (panel, piece) in x.row(p).chunks(H::NR).enumerate() {
                let step = &mut packed[panel * stride + p * H::NR..][..H::NR];
                for (at, to) in step.chunks_exact_mut(lanes).enumerate() {
                    let from = &piece[piece.len().min(at * lanes)..];
                    let x = if from.len() < lanes {
                        single.load_partial(from, 0.0)
                    } else {
                        single.load(from)
                    };
                    isa.narrow(to, single.mul(x, scale));
                }
            }
        }
    } else {
        let mut aside = [0.0; MAX_NR * MAX_LANES];
        let panels = packed.chunks_mut(stride);
        for (first, panel) in (0..x.rows()).step_by(H::NR).zip(panels) {
            let rows = x.row_range(first..x.rows().min(first + H::NR));
            for (p, panel) in (0..x.cols())
                .step_by(lanes)
                .zip(panel.chunks_mut(H::NR * lanes))
            {
                let columns = rows.columns(p..x.cols().min(p + lanes));
                let aside = &mut aside[..H::NR * columns.cols()];
                pack_columns(single, aside, columns, H::NR, 0, false);
                let steps = panel.chunks_exact_mut(lanes).zip(aside.chunks_exact(lanes));
                for (to, from) in steps {
                    isa.narrow(to, single.mul(single.load(from), scale));
                }
            }
        }
    }
    unscale
}

/// Packs the whole left operand for later products: overwrites `dst`, [`packed_lhs_len`] floats.
#[inline(always)]
pub(crate) fn pack_lhs<H: Halves>(isa: H, dst: &mut [f32], a: Lhs<'_>) {
    let (m, k) = a.shape();
    let (x, k_is_rows) = match a {
        Lhs::Plain(a) => (a, false),
        Lhs::Transposed(a) => (a, true),
        Lhs::Packed(_) => panic!("the left operand is packed already"),
    };
    assert_eq!(
        dst.len(),
        packed_lhs_len(m, k, H::MR),
        "length of the packed operand"
    );
    let padded = m.next_multiple_of(H::MR);
    let (panels, unscale) = dst.split_at_mut(padded * k);
    let mut aside = [0.0; MAX_MR * KC];
    for p0 in (0..k).step_by(KC) {
        let depth = p0..k.min(p0 + KC);
        let panels = &mut panels[padded * p0..padded * depth.end];
        let unscale = &mut unscale[p0 / KC * padded..][..padded];
        let x = if k_is_rows {
            x.row_range(depth)
        } else {
            x.columns(depth)
        };
        pack_a(isa, panels, unscale, x, k_is_rows, &mut aside);
    }
}

/// Packs the whole right operand for later products: overwrites `dst`, [`packed_rhs_len`] floats.
#[inline(always)]
pub(crate) fn pack_rhs<H: Halves>(isa: H, dst: &mut [f32], b: Rhs<'_>) {
    let (k, n) = b.shape();
    let (x, k_is_rows) = match b {
        Rhs::Plain(b) => (b, true),
        Rhs::Transposed(b) => (b, false),
        Rhs::Packed(_) => panic!("the right operand is packed already"),
    };
    let bytes = size_of::<H::Packed>();
    assert_eq!(
        dst.len(),
        packed_rhs_len(n, k, H::NR, bytes),
        "length of the packed operand"
    );
    let padded = n.next_multiple_of(H::NR);
    let (panels, unscale) = dst.split_at_mut(padded * k * bytes / size_of::<f32>());
    let panels: &mut [H::Packed] = bytemuck::cast_slice_mut(panels);
    for (p0, unscale) in (0..k).step_by(KC).zip(unscale) {
        let depth = p0..k.min(p0 + KC);
        let (stride, len) = (H::NR * depth.len(), padded * depth.len());
        let panels = &mut panels[padded * p0..][..len];
        let x = if k_is_rows {
            x.row_range(depth)
        } else {
            x.columns(depth)
        };
        *unscale = pack_b(isa, panels, stride, x, k_is_rows);
    }
}

/// The panels of a packed right operand, and the scale of each block of `KC`.
#[inline(always)]
pub(super) fn of_packed_b<'a, H: Halves>(b: Packed<'a>) -> (&'a [H::Packed], &'a [f32]) {
    let values = b.outer.next_multiple_of(H::NR) * b.k;
    let (panels, unscale) = b
        .data
        .split_at(values * size_of::<H::Packed>() / size_of::<f32>());
    (bytemuck::cast_slice(panels), unscale)
}
