//! The product in mixed precision: factors in halves, sums in floats.
//!
//! ```text
//! C[i,j] (+)= sum over chunks of  2^-(e_i + f) · sum_p half(2^e_i A[i,p]) · half(2^f B[p,j])
//! ```
//!
//! A, B and C are floats, as in [`crate::matmul`]; halves exist in the packed operands and in the registers of
//! the tile, nowhere else. The loops are those of the product in floats.
//!
//! **Scales.** A half reaches from 2^-24 to 65504, gradients from 1e-12 to 1. So every row of a block of A is
//! multiplied by a power of two that brings its largest value to 2^4 .. 2^5, and every block of B by one that
//! brings it to 2^3 .. 2^4; both are undone when the sums leave the tile. Powers of two change no digit, so
//! only values 2^18 below the largest of their row or block lose any. A row's scale is its own: what a puzzle
//! computes does not depend on its neighbours in a micro-batch.
//!
//! **Sums.** `CHUNK` products are added in halves; then the chunk is widened and added to C in floats. With
//! those scales a chunk stays below `CHUNK` · 2^5 · 2^4 = 2^15, so finite factors never overflow.
//!
//! Numerics, with u = 2^-11: `|error| <= (2 + CHUNK) u sum_p |A[i,p] B[p,j]|`, and in practice a tenth of that, since
//! roundings go both ways; plus 2^-26 max|A[i,:]| max|B| for each p where values are lost below.

use super::pack::pack_panels;
use super::{GAP, KC, Lhs, MC, NC, Packed, Rhs, SCRATCH, Write, packed_len};
use crate::lanes::for_lanes;
use crate::simd::{Halves, Isa};
use crate::view::{MatMut, MatRef};
use std::array;

/// Products that are added in halves before the sum goes on in floats.
pub const CHUNK: usize = 64;
/// The largest value of a row of A is scaled to 2^4 .. 2^5.
const EXPONENT_OF_A: i32 = 4;
/// The largest value of a block of B is scaled to 2^3 .. 2^4.
const EXPONENT_OF_B: i32 = 3;
/// Rows and columns of the largest tile of any backend.
const MAX_MR: usize = 14;
const MAX_NR: usize = 64;
/// Floats of scratch beside those of the two blocks: the rows' scales and a panel on its way.
pub(super) const ASIDE: usize = MC + MAX_NR * KC;

/// A panel of A (MR rows), packed: step p at `p * MR`, as [`Halves::spreadable`] made it.
#[derive(Clone, Copy)]
pub struct PanelOfA<'a> {
    values: &'a [f32],
    /// By which the sums of each row are multiplied, (MR).
    unscale: &'a [f32],
}

/// A panel of B (NR columns), packed: step p at `p * NR`.
#[derive(Clone, Copy)]
pub struct PanelOfB<'a, T> {
    values: &'a [T],
    /// By which all sums are multiplied.
    unscale: f32,
}

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
fn pack_a<H: Halves>(
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
    let panels = packed
        .chunks_exact_mut(H::MR * k)
        .zip(unscale.chunks_exact_mut(H::MR));
    for (first, (panel, unscale)) in (0..x.rows()).step_by(H::MR).zip(panels) {
        let x = x.row_range(first..x.rows().min(first + H::MR));
        let rows = &mut aside[..x.rows() * k];
        unscale.fill(1.0);
        for (i, (to, unscale)) in rows.chunks_exact_mut(k).zip(unscale).enumerate() {
            let from = x.row(i);
            let (scale, back) = scale_for(largest_of(single, from), EXPONENT_OF_A);
            *unscale = back;
            let scale = single.splat(scale);
            round_row::<H>(isa, to, from, scale);
        }
        let rows = MatRef::new(rows, x.rows(), k);
        pack_panels(single, panel, rows, H::MR, H::MR * k, false);
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
    let lanes = H::Single::LANES;
    for p in 0..k {
        let pieces = x.row(p).chunks(H::MR).zip(unscale.chunks(H::MR));
        for (panel, (piece, scale)) in pieces.enumerate() {
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
fn pack_b<H: Halves>(
    isa: H,
    packed: &mut [H::Packed],
    stride: usize,
    x: MatRef<'_>,
    k_is_rows: bool,
    aside: &mut [f32],
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
        let panels = packed.chunks_mut(stride);
        for (first, panel) in (0..x.rows()).step_by(H::NR).zip(panels) {
            let rows = x.row_range(first..x.rows().min(first + H::NR));
            let aside = &mut aside[..H::NR * x.cols()];
            pack_panels(single, aside, rows, H::NR, H::NR * x.cols(), false);
            let steps = panel.chunks_exact_mut(lanes).zip(aside.chunks_exact(lanes));
            for (to, from) in steps {
                isa.narrow(to, single.mul(single.load(from), scale));
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
    let mut aside = [0.0; MAX_NR * KC];
    for (p0, unscale) in (0..k).step_by(KC).zip(unscale) {
        let depth = p0..k.min(p0 + KC);
        let (stride, len) = (H::NR * depth.len(), padded * depth.len());
        let panels = &mut panels[padded * p0..][..len];
        let x = if k_is_rows {
            x.row_range(depth)
        } else {
            x.columns(depth)
        };
        *unscale = pack_b(isa, panels, stride, x, k_is_rows, &mut aside);
    }
}

/// C = A·B or C += A·B. Panics when the shapes disagree or `scratch` is shorter than [`SCRATCH`].
#[inline(always)]
pub(crate) fn matmul<H: Halves>(
    isa: H,
    mut c: MatMut<'_>,
    a: Lhs<'_>,
    b: Rhs<'_>,
    write: Write,
    scratch: &mut [f32],
) {
    let (m, n, k) = super::sizes_of_product(&c, &a, &b, scratch);
    if k == 0 && write == Write::Overwrite {
        c.fill(0.0);
    }
    let (a_scratch, rest) = scratch.split_at_mut(MC * KC);
    let (b_scratch, rest) = rest.split_at_mut(SCRATCH - MC * KC - ASIDE);
    let (unscale, aside) = rest.split_at_mut(MC);
    let nc_most = match b {
        Rhs::Packed(_) => n.max(1),
        _ => NC,
    };
    for p0 in (0..k).step_by(KC) {
        let kc = KC.min(k - p0);
        let write = if p0 == 0 { write } else { Write::Add };
        for j0 in (0..n).step_by(nc_most) {
            let nc = nc_most.min(n - j0);
            let b = block_of_b(isa, b, (p0, kc), (j0, nc), b_scratch, aside);
            for i0 in (0..m).step_by(MC) {
                let mc = MC.min(m - i0);
                let a = block_of_a(isa, a, (p0, kc), (i0, mc), (a_scratch, unscale), aside);
                tiles(isa, c.block(i0..i0 + mc, j0..j0 + nc), a, b, kc, write);
            }
        }
    }
}

/// A block of B: packed panels of NR columns, `stride` values apart.
#[derive(Clone, Copy)]
struct Panels<'a, T> {
    data: &'a [T],
    stride: usize,
    unscale: f32,
}

/// Every register tile of one block of C.
#[inline(always)]
fn tiles<H: Halves>(
    isa: H,
    mut c: MatMut<'_>,
    a: PanelOfA<'_>,
    b: Panels<'_, H::Packed>,
    kc: usize,
    write: Write,
) {
    let (m, n) = (c.rows(), c.cols());
    for (j, values) in (0..n).step_by(H::NR).zip(b.data.chunks(b.stride)) {
        let b = PanelOfB {
            values: &values[..H::NR * kc],
            unscale: b.unscale,
        };
        for i in (0..m).step_by(H::MR) {
            let a = PanelOfA {
                values: &a.values[i * kc..(i + H::MR) * kc],
                unscale: &a.unscale[i..i + H::MR],
            };
            let c = c.block(i..m.min(i + H::MR), j..n.min(j + H::NR));
            isa.matmul_tile(c, a, b, write);
        }
    }
}

/// Rows `i0..i0+mc`, depth `p0..p0+kc` of A: all its panels.
#[inline(always)]
fn block_of_a<'a, H: Halves>(
    isa: H,
    a: Lhs<'a>,
    (p0, kc): (usize, usize),
    (i0, mc): (usize, usize),
    (values, unscale): (&'a mut [f32], &'a mut [f32]),
    aside: &mut [f32],
) -> PanelOfA<'a> {
    let rows = mc.next_multiple_of(H::MR);
    let (x, k_is_rows) = match a {
        Lhs::Packed(a) => {
            let (padded, first) = (a.outer.next_multiple_of(H::MR), a.rows.0 + i0);
            let (panels, unscale) = a.data.split_at(padded * a.k);
            return PanelOfA {
                values: &panels[padded * p0 + first * kc..][..rows * kc],
                unscale: &unscale[p0 / KC * padded + first..][..rows],
            };
        }
        Lhs::Plain(a) => (a.row_range(i0..i0 + mc).columns(p0..p0 + kc), false),
        Lhs::Transposed(a) => (a.row_range(p0..p0 + kc).columns(i0..i0 + mc), true),
    };
    let (values, unscale) = (&mut values[..rows * kc], &mut unscale[..rows]);
    pack_a(isa, values, unscale, x, k_is_rows, aside);
    PanelOfA { values, unscale }
}

/// Depth `p0..p0+kc`, columns `j0..j0+nc` of B.
#[inline(always)]
fn block_of_b<'a, H: Halves>(
    isa: H,
    b: Rhs<'a>,
    (p0, kc): (usize, usize),
    (j0, nc): (usize, usize),
    scratch: &'a mut [f32],
    aside: &mut [f32],
) -> Panels<'a, H::Packed> {
    let len = H::NR * kc;
    let (x, k_is_rows) = match b {
        Rhs::Packed(b) => {
            let (panels, unscale) = of_packed_b::<H>(b);
            let padded = b.outer.next_multiple_of(H::NR);
            return Panels {
                data: &panels[padded * p0 + j0 * kc..][..nc.next_multiple_of(H::NR) * kc],
                stride: len,
                unscale: unscale[p0 / KC],
            };
        }
        Rhs::Plain(b) => (b.row_range(p0..p0 + kc).columns(j0..j0 + nc), true),
        Rhs::Transposed(b) => (b.row_range(j0..j0 + nc).columns(p0..p0 + kc), false),
    };
    let stride = len + GAP * size_of::<f32>() / size_of::<H::Packed>();
    let data: &mut [H::Packed] = bytemuck::cast_slice_mut(scratch);
    let data = &mut data[..nc.div_ceil(H::NR) * stride];
    let unscale = pack_b(isa, data, stride, x, k_is_rows, aside);
    Panels {
        data,
        stride,
        unscale,
    }
}

/// The panels of a packed right operand, and the scale of each block of `KC`.
#[inline(always)]
fn of_packed_b<'a, H: Halves>(b: Packed<'a>) -> (&'a [H::Packed], &'a [f32]) {
    let values = b.outer.next_multiple_of(H::NR) * b.k;
    let (panels, unscale) = b
        .data
        .split_at(values * size_of::<H::Packed>() / size_of::<f32>());
    (bytemuck::cast_slice(panels), unscale)
}

/// Adds the products of a panel of A and one of B into `c`, or replaces it; `c` has at most MR rows and
/// NR = NV · LANES columns.
#[inline(always)]
pub(crate) fn tile<H: Halves, const MR: usize, const NV: usize>(
    isa: H,
    mut c: MatMut<'_>,
    a: PanelOfA<'_>,
    b: PanelOfB<'_, H::Packed>,
    write: Write,
) {
    let nr = NV * H::LANES;
    for i in 0..c.rows() {
        for line in c.row(i).chunks(16) {
            isa.single().prefetch(line);
        }
    }
    let chunks = a.values.chunks(MR * CHUNK).zip(b.values.chunks(nr * CHUNK));
    for (chunk, (values_a, values_b)) in chunks.enumerate() {
        let write = if chunk == 0 { write } else { Write::Add };
        let sums: [[H::H; NV]; MR] = products(isa, values_a, values_b);
        let whole = c.rows() == MR && c.cols() == nr;
        let mut line = [0.0; MAX_NR];
        for (i, sums) in sums.into_iter().enumerate() {
            let factor = a.unscale[i] * b.unscale;
            if whole {
                write_row(isa, c.row(i), sums, factor, write);
            } else if i < c.rows() {
                write_row(isa, &mut line[..nr], sums, factor, Write::Overwrite);
                super::tile::write_part(c.row(i), &line, write);
            }
        }
    }
}

/// The sums of at most `CHUNK` steps.
#[inline(always)]
fn products<H: Halves, const MR: usize, const NV: usize>(
    isa: H,
    a: &[f32],
    b: &[H::Packed],
) -> [[H::H; NV]; MR] {
    let mut sums = [[isa.splat(0.0); NV]; MR];
    for (a, b) in a.chunks_exact(MR).zip(b.chunks_exact(NV * H::LANES)) {
        let b: [_; NV] = array::from_fn(|j| isa.load(&b[j * H::LANES..]));
        for (sums, &a) in sums.iter_mut().zip(a) {
            let a = isa.splat(a);
            for (sum, &b) in sums.iter_mut().zip(&b) {
                *sum = isa.mul_add(a, b, *sum);
            }
        }
    }
    sums
}

/// One full row of the tile, widened and multiplied by `factor`.
#[inline(always)]
fn write_row<H: Halves, const NV: usize>(
    isa: H,
    c: &mut [f32],
    sums: [H::H; NV],
    factor: f32,
    write: Write,
) {
    let single = isa.single();
    let factor = single.splat(factor);
    for (c, sum) in c.chunks_exact_mut(H::LANES).zip(sums) {
        let (low, high) = c.split_at_mut(H::Single::LANES);
        let [sum_low, sum_high] = isa.widen(sum);
        for (c, sum) in [(low, sum_low), (high, sum_high)] {
            let value = match write {
                Write::Overwrite => single.mul(sum, factor),
                Write::Add => single.mul_add(sum, factor, single.load(c)),
            };
            single.store(c, value);
        }
    }
}
