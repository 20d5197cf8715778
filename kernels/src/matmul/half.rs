//! The product in mixed precision: factors in halves, sums in floats.
//!
//! ```text
//! C[i,j] (+)= sum over chunks of  2^-(e_i + f) · sum_p half(2^e_i A[i,p]) · half(2^f B[p,j])
//! ```
//!
//! A, B and C are floats, as in [`crate::matmul`]; halves exist in the packed operands and in the registers of
//! the tile, nowhere else. The loops are those of the product in floats, but for A, which is always packed before the tile:
//! it has to be rounded anyway.
//!
//! **Scales.** A half reaches from 2^-24 to 65504, gradients from 1e-12 to 1. So every row of a block of A is
//! multiplied by a power of two that brings its largest value to 2^4 .. 2^5, and every block of B by one that
//! brings it to 2^3 .. 2^4; both are undone when the sums leave the tile. Powers of two change no digit, so
//! only values 2^18 below the largest of their row of A, or 2^17 below that of their block of B, lose any. A row's scale is
//! its own: what a puzzle computes does not depend on its neighbours in a micro-batch. A block of B is [`KC`] rows and, in
//! a B that was packed beforehand, all columns; in any other [`NC`](super::NC) columns. So beyond that many columns a
//! packed B may have a coarser scale than a plain one, and the results differ in their last bits, within the bound below.
//!
//! **Sums.** `CHUNK` products are added in halves; then the chunk is widened and added to C in floats. With
//! those scales a chunk stays below `CHUNK` · 2^5 · 2^4 = 2^15, so finite factors never overflow in halves. Both scales
//! are undone by one factor, which is finite as long as the largest value of a row times that of a block is below 2^135.
//! Beyond, where that product is no float any more, the row's sums become infinite, and those that are 0 NaN. An infinity
//! takes the scale away, which is then 1: of a row of A, or in B of its whole block, whose other values from 65520 on
//! become infinite in halves and below 2^-14 lose digits, down to 2^-25, where they are gone; and where values beside
//! an infinity are beyond 2^4, a chunk may overflow.
//!
//! Numerics, with u = 2^-11: `|error| <= 1.05 (2 + min(k, CHUNK)) u sum_p |A[i,p] B[p,j]|`, in practice some hundreds of
//! times less, since roundings go both ways (`cargo run --release -p trm-kernels --example chunks`); plus
//! `2^-26 max|A[i,:]| max|B|` for each p, where values are lost below; plus the bound of a product in floats, for the sums
//! of chunks.

mod pack;

pub(crate) use pack::{pack_lhs, pack_rhs, packed_lhs_len, packed_rhs_len};

use super::cut::Cut;
use super::{Arithmetic, FAR, GAP, KC, LINE, Lhs, MC, PanelOfB, Panels, Rhs, Write};
use crate::simd::{Halves, Isa};
use crate::view::MatMut;
use pack::{of_packed_b, pack_a, pack_b};
use std::array;

/// Products that are added in halves before the sum goes on in floats.
pub const CHUNK: usize = 64;
/// Rows and columns of the largest tile of any backend.
const MAX_MR: usize = 14;
const MAX_NR: usize = 64;
/// Floats in the widest register.
const MAX_LANES: usize = 16;
/// Floats of scratch beside those of the two blocks: the rows' scales, and a panel of A on its way.
pub(super) const ASIDE: usize = MC + MAX_MR * KC;

/// A block of A, packed: step p of panel i at `(i * k + p) * MR`, as [`Halves::spreadable`] made it.
#[derive(Clone, Copy)]
pub struct BlockOfA<'a> {
    values: &'a [f32],
    /// By which the sums of each row are multiplied; filled up to whole panels.
    unscale: &'a [f32],
}

/// C = A·B or C += A·B: see [`super`].
#[inline(always)]
pub(crate) fn matmul<H: Halves>(
    isa: H,
    c: MatMut<'_>,
    a: Lhs<'_>,
    b: Rhs<'_>,
    write: Write,
    scratch: &mut [f32],
) {
    super::matmul(InHalves(isa), c, a, b, write, scratch);
}

/// Factors in halves, sums in floats.
#[derive(Clone, Copy)]
struct InHalves<H>(H);

impl<H: Halves> Arithmetic for InHalves<H> {
    const MR: usize = H::MR;
    const NR: usize = H::NR;
    type A<'a> = BlockOfA<'a>;
    type B = H::Packed;

    fn packed_lhs_len(m: usize, k: usize) -> usize {
        packed_lhs_len(m, k, H::MR)
    }

    fn packed_rhs_len(n: usize, k: usize) -> usize {
        packed_rhs_len(n, k, H::NR, size_of::<H::Packed>())
    }

    #[inline(always)]
    fn block_of_a<'a>(
        self,
        a: Lhs<'a>,
        (p0, kc): (usize, usize),
        (i0, mc): (usize, usize),
        _n: usize,
        scratch: &'a mut [f32],
        aside: &'a mut [f32],
    ) -> BlockOfA<'a> {
        let rows = mc.next_multiple_of(H::MR);
        let (x, k_is_rows) = match a {
            Lhs::Packed(a) => {
                let (padded, first) = (a.outer.next_multiple_of(H::MR), a.rows.0 + i0);
                let values = padded * p0 + Cut::panel_at(first, H::MR) * H::MR * kc;
                let (panels, unscale) = a.data.split_at(padded * a.k);
                return BlockOfA {
                    values: &panels[values..][..rows * kc],
                    unscale: &unscale[p0 / KC * padded + first..][..rows],
                };
            }
            Lhs::Plain(a) => (a.row_range(i0..i0 + mc).columns(p0..p0 + kc), false),
            Lhs::Transposed(a) => (a.row_range(p0..p0 + kc).columns(i0..i0 + mc), true),
        };
        let (unscale, aside) = aside.split_at_mut(MC);
        let (values, unscale) = (&mut scratch[..rows * kc], &mut unscale[..rows]);
        pack_a(self.0, values, unscale, x, k_is_rows, aside);
        BlockOfA { values, unscale }
    }

    #[inline(always)]
    fn block_of_b<'a>(
        self,
        b: Rhs<'a>,
        (p0, kc): (usize, usize),
        (j0, nc): (usize, usize),
        scratch: &'a mut [f32],
    ) -> Panels<'a, H::Packed> {
        let len = H::NR * kc;
        let (x, k_is_rows) = match b {
            Rhs::Packed(b) => {
                let (panels, unscale) = of_packed_b::<H>(b);
                let padded = b.outer.next_multiple_of(H::NR);
                let data = &panels[padded * p0 + j0 * kc..][..nc.next_multiple_of(H::NR) * kc];
                return Panels {
                    data,
                    stride: len,
                    unscale: unscale[p0 / KC],
                    far: size_of_val(data) > FAR,
                };
            }
            Rhs::Plain(b) => (b.row_range(p0..p0 + kc).columns(j0..j0 + nc), true),
            Rhs::Transposed(b) => (b.row_range(j0..j0 + nc).columns(p0..p0 + kc), false),
        };
        let stride = len + GAP * size_of::<f32>() / size_of::<H::Packed>();
        let data: &mut [H::Packed] = bytemuck::cast_slice_mut(scratch);
        let data = &mut data[..nc.div_ceil(H::NR) * stride];
        let unscale = pack_b(self.0, data, stride, x, k_is_rows);
        Panels {
            data,
            stride,
            unscale,
            far: false,
        }
    }

    #[inline(always)]
    fn tiles(self, c: MatMut<'_>, a: &mut BlockOfA<'_>, b: PanelOfB<'_, H::Packed>, write: Write) {
        self.0.matmul_tiles(c, *a, b, write);
    }
}

/// Adds the products of a block of A and a panel of B into `c`, or replaces it: tile after tile, as the rows are [`Cut`];
/// each asks for its share of the next panel of B.
///
/// `c` has at most NR = NV · LANES columns; MR is `H::MR`. As [`super::tile::tiles`], a function of its own in each backend.
#[inline(always)]
pub(crate) fn tiles<H: Halves, const MR: usize, const NV: usize>(
    isa: H,
    mut c: MatMut<'_>,
    a: BlockOfA<'_>,
    b: PanelOfB<'_, H::Packed>,
    write: Write,
) {
    let cut = Cut::new(c.rows(), MR);
    let mut shares = b.shares(cut.panels());
    let panels = a.values.chunks_exact(b.values.len() / H::NR * MR);
    for (i, a_panel) in panels.take(cut.panels()).enumerate() {
        let share = shares.next().unwrap_or_default();
        for line in share.chunks(LINE / size_of::<H::Packed>()) {
            isa.single().prefetch_second(line);
        }
        let rows = cut.rows(i);
        let unscale = &a.unscale[rows.start..][..MR];
        let c = c.row_range(rows);
        tile::<H, MR, NV>(isa, c, (a_panel, unscale), b, write);
    }
}

/// Adds the products of a panel of A and one of B into `c`, or replaces it; `c` has at most MR rows and
/// NR = NV · LANES columns.
#[inline(always)]
fn tile<H: Halves, const MR: usize, const NV: usize>(
    isa: H,
    mut c: MatMut<'_>,
    (a, unscale): (&[f32], &[f32]),
    b: PanelOfB<'_, H::Packed>,
    write: Write,
) {
    let nr = NV * H::LANES;
    for i in 0..c.rows() {
        for line in c.row(i).chunks(16) {
            isa.single().prefetch(line);
        }
    }
    let chunks = a.chunks(MR * CHUNK).zip(b.values.chunks(nr * CHUNK));
    for (chunk, (values_a, values_b)) in chunks.enumerate() {
        let write = if chunk == 0 { write } else { Write::Add };
        let sums: [[H::H; NV]; MR] = products(isa, values_a, values_b);
        let whole = c.cols() == nr;
        let mut line = [0.0; MAX_NR];
        for (i, sums) in sums.into_iter().enumerate() {
            let factor = unscale[i] * b.unscale;
            if whole && i < c.rows() {
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
