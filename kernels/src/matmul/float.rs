//! The product in floats: how the blocks of both factors are packed.

use super::cut::Cut;
use super::pack::{blocks, pack_columns, pack_rows, panels};
use super::tile::BlockOfA;
use super::{Arithmetic, FAR, GAP, Lhs, PanelOfB, Panels, Rhs, Write, packed_len};
use crate::simd::Isa;
use crate::view::{MatMut, MatRef};

/// Panels of B for which packing A is not worth its while.
const FEW: usize = 4;

/// C = A·B or C += A·B: see [`super`].
#[inline(always)]
pub(crate) fn matmul<I: Isa>(
    isa: I,
    c: MatMut<'_>,
    a: Lhs<'_>,
    b: Rhs<'_>,
    write: Write,
    scratch: &mut [f32],
) {
    super::matmul(InFloats(isa), c, a, b, write, scratch);
}

/// Factors and sums in floats.
#[derive(Clone, Copy)]
struct InFloats<I>(I);

/// A block of A, in panels.
enum Block<'a> {
    /// Packed.
    Packed(&'a [f32]),
    /// As it is, for a few panels of B.
    Plain(MatRef<'a>),
    /// As it is, and where it is packed, panel by panel, when the first panel of B meets it.
    Fresh(MatRef<'a>, &'a mut [f32]),
}

impl<I: Isa> Arithmetic for InFloats<I> {
    const MR: usize = I::MR;
    const NR: usize = I::NR;
    type A<'a> = Block<'a>;
    type B = f32;

    fn packed_lhs_len(m: usize, k: usize) -> usize {
        packed_len(m, k, I::MR)
    }

    fn packed_rhs_len(n: usize, k: usize) -> usize {
        packed_len(n, k, I::NR)
    }

    #[inline(always)]
    fn block_of_a<'a>(
        self,
        a: Lhs<'a>,
        (p0, kc): (usize, usize),
        (i0, mc): (usize, usize),
        n: usize,
        scratch: &'a mut [f32],
        _aside: &'a mut [f32],
    ) -> Block<'a> {
        match a {
            Lhs::Packed(a) => Block::Packed(panels(a, I::MR, (p0, kc), (a.rows.0 + i0, mc))),
            Lhs::Plain(a) => {
                let a = a.row_range(i0..i0 + mc).columns(p0..p0 + kc);
                if n <= FEW * I::NR {
                    Block::Plain(a)
                } else {
                    Block::Fresh(a, scratch)
                }
            }
            Lhs::Transposed(a) => {
                let a = a.row_range(p0..p0 + kc).columns(i0..i0 + mc);
                pack_rows(self.0, scratch, a, I::MR, true);
                Block::Packed(scratch)
            }
        }
    }

    #[inline(always)]
    fn block_of_b<'a>(
        self,
        b: Rhs<'a>,
        (p0, kc): (usize, usize),
        (j0, nc): (usize, usize),
        scratch: &'a mut [f32],
    ) -> Panels<'a, f32> {
        let len = I::NR * kc;
        let (x, k_is_rows) = match b {
            Rhs::Packed(b) => {
                let data = panels(b, I::NR, (p0, kc), (j0, nc));
                return Panels {
                    data,
                    stride: len,
                    unscale: 1.0,
                    far: size_of_val(data) > FAR,
                };
            }
            Rhs::Plain(b) => (b.row_range(p0..p0 + kc).columns(j0..j0 + nc), true),
            Rhs::Transposed(b) => (b.row_range(j0..j0 + nc).columns(p0..p0 + kc), false),
        };
        let stride = len + GAP;
        pack_columns(self.0, scratch, x, I::NR, GAP, k_is_rows);
        Panels {
            data: &scratch[..nc.div_ceil(I::NR) * stride],
            stride,
            unscale: 1.0,
            far: false,
        }
    }

    #[inline(always)]
    fn tiles(self, mut c: MatMut<'_>, a: &mut Block<'_>, b: PanelOfB<'_, f32>, write: Write) {
        let isa = self.0;
        let depth = b.values.len() / I::NR;
        let cut = Cut::new(c.rows(), I::MR);
        let a = match a {
            Block::Packed(a) => BlockOfA::Packed(a),
            Block::Plain(a) => BlockOfA::Plain(*a),
            Block::Fresh(a, packed) if b.first => {
                let mut shares = b.shares(cut.panels());
                for i in 0..cut.panels() {
                    let rows = cut.rows(i);
                    let panel = &mut packed[i * I::MR * depth..];
                    pack_rows(isa, panel, a.row_range(rows.clone()), I::MR, false);
                    let next = shares.next().unwrap_or_default();
                    let b = PanelOfB { next, ..b };
                    isa.matmul_tiles(c.row_range(rows), BlockOfA::Packed(panel), b, write);
                }
                return;
            }
            Block::Fresh(_, packed) => BlockOfA::Packed(packed),
        };
        isa.matmul_tiles(c, a, b, write);
    }
}

/// Packs the whole left operand for later products: overwrites `dst`, `packed_len(m, k, MR)` floats.
#[inline(always)]
pub(crate) fn pack_lhs<I: Isa>(isa: I, dst: &mut [f32], a: Lhs<'_>) {
    let (a, k_is_rows) = match a {
        Lhs::Plain(a) => (a, false),
        Lhs::Transposed(a) => (a, true),
        Lhs::Packed(_) => panic!("the left operand is packed already"),
    };
    for (dst, a) in blocks(dst, a, I::MR, k_is_rows) {
        pack_rows(isa, dst, a, I::MR, k_is_rows);
    }
}

/// Packs the whole right operand for later products: overwrites `dst`, `packed_len(n, k, NR)` floats.
#[inline(always)]
pub(crate) fn pack_rhs<I: Isa>(isa: I, dst: &mut [f32], b: Rhs<'_>) {
    let (b, k_is_rows) = match b {
        Rhs::Plain(b) => (b, true),
        Rhs::Transposed(b) => (b, false),
        Rhs::Packed(_) => panic!("the right operand is packed already"),
    };
    for (dst, b) in blocks(dst, b, I::NR, k_is_rows) {
        pack_columns(isa, dst, b, I::NR, 0, k_is_rows);
    }
}
