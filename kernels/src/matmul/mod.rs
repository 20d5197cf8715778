//! The matrix product: C = A·B or C += A·B, each operand plain, transposed, or packed beforehand.
//!
//! ```text
//! C[i,j] (+)= sum_p A[i,p] * B[p,j]        C: m x n   A: m x k   B: k x n
//! ```
//!
//! Five loops around a register tile (Goto and van de Geijn 2008; BLIS):
//!
//! 1. columns of C in blocks of `NC`,
//! 2. k in blocks of `KC`: the block of B is packed into panels of `NR` columns,
//! 3. rows of C in blocks of `MC`: the block of A is packed into panels of `MR` rows,
//! 4. panels of B, and
//! 5. panels of A: one MR x NR tile of C in registers, `KC` products deep.
//!
//! Packing puts every operand in the order in which the tile reads it and fills the last panel with
//! zeros, so the tile has no edges. A weight is packed once per optimiser step and then serves dozens of
//! products ([`Lhs::Packed`], [`Rhs::Packed`]); an activation is packed block by block into `scratch`.
//!
//! Numerics: each element is a chain of `KC` products in f32, chains are added in order of k. The order
//! depends on k alone, never on m, n or threads. `|error| <= 2 k 2^-24 sum_p |A[i,p] B[p,j]|`.

pub mod pack;
pub mod tile;

use crate::simd::Isa;
use crate::view::{MatMut, MatRef};
use pack::{pack_panels, panel};

/// Depth of a block of A and B: an `NR`-wide panel of B this deep stays in the first-level cache.
pub const KC: usize = 256;
/// Rows of a packed block of A, for the second-level cache; a multiple of every backend's `MR`.
pub const MC: usize = 168;
/// Columns of a packed block of B; a multiple of every backend's `NR`.
pub const NC: usize = 480;
/// Floats of scratch that one matrix product needs.
pub const SCRATCH: usize = MC * KC + KC * NC;

/// Whether a product replaces its destination or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// C = A·B.
    Overwrite,
    /// C += A·B.
    Add,
}

/// A matrix packed for one side of a product by [`crate::Kernels::pack_lhs`] or
/// [`crate::Kernels::pack_rhs`]: blocks of `KC` along k, in each block panels of `MR` rows or `NR` columns.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    /// The panels, [`packed_len`] floats.
    pub data: &'a [f32],
    /// Rows of A, or columns of B.
    pub outer: usize,
    /// Length of the summed axis.
    pub k: usize,
}

/// The left operand A, m x k.
#[derive(Clone, Copy, Debug)]
pub enum Lhs<'a> {
    /// A itself.
    Plain(MatRef<'a>),
    /// Aᵀ, k x m.
    Transposed(MatRef<'a>),
    /// A, packed for the same instruction set.
    Packed(Packed<'a>),
}

/// The right operand B, k x n.
#[derive(Clone, Copy, Debug)]
pub enum Rhs<'a> {
    /// B itself.
    Plain(MatRef<'a>),
    /// Bᵀ, n x k.
    Transposed(MatRef<'a>),
    /// B, packed for the same instruction set.
    Packed(Packed<'a>),
}

impl Lhs<'_> {
    fn shape(&self) -> (usize, usize) {
        match self {
            Lhs::Plain(a) => (a.rows(), a.cols()),
            Lhs::Transposed(a) => (a.cols(), a.rows()),
            Lhs::Packed(a) => (a.outer, a.k),
        }
    }
}

impl Rhs<'_> {
    fn shape(&self) -> (usize, usize) {
        match self {
            Rhs::Plain(b) => (b.rows(), b.cols()),
            Rhs::Transposed(b) => (b.cols(), b.rows()),
            Rhs::Packed(b) => (b.k, b.outer),
        }
    }
}

/// Floats of a packed operand: `outer` rounded up to whole panels, times k.
pub fn packed_len(outer: usize, k: usize, panel_width: usize) -> usize {
    outer.next_multiple_of(panel_width) * k
}

/// C = A·B or C += A·B. Panics when the shapes disagree or `scratch` is shorter than [`SCRATCH`].
#[inline(always)]
pub(crate) fn matmul<I: Isa>(
    isa: I,
    mut c: MatMut<'_>,
    a: Lhs<'_>,
    b: Rhs<'_>,
    write: Write,
    scratch: &mut [f32],
) {
    let ((m, k), (n, k_b)) = (a.shape(), (b.shape().1, b.shape().0));
    assert!(
        k == k_b && c.rows() == m && c.cols() == n,
        "{}x{} = {m}x{k} · {k_b}x{n}",
        c.rows(),
        c.cols()
    );
    assert!(
        scratch.len() >= SCRATCH,
        "scratch of {} floats, {SCRATCH} needed",
        scratch.len()
    );
    let (a_scratch, b_scratch) = scratch.split_at_mut(MC * KC);
    if k == 0 && write == Write::Overwrite {
        c.fill(0.0);
    }
    for j0 in (0..n).step_by(NC) {
        let nc = NC.min(n - j0);
        for p0 in (0..k).step_by(KC) {
            let kc = KC.min(k - p0);
            let b_block = block_of_b(isa, b, (p0, kc), (j0, nc), b_scratch);
            let write = if p0 == 0 { write } else { Write::Add };
            for i0 in (0..m).step_by(MC) {
                let mc = MC.min(m - i0);
                let a_block = block_of_a(isa, a, (p0, kc), (i0, mc), a_scratch);
                let c_block = c.block(i0..i0 + mc, j0..j0 + nc);
                tiles(isa, c_block, a_block, b_block, kc, write);
            }
        }
    }
}

/// Loops 4 and 5: every register tile of one block of C.
#[inline(always)]
fn tiles<I: Isa>(isa: I, mut c: MatMut<'_>, a: &[f32], b: &[f32], kc: usize, write: Write) {
    let (m, n) = (c.rows(), c.cols());
    for (j, b_panel) in (0..n).step_by(I::NR).zip(b.chunks_exact(I::NR * kc)) {
        for (i, a_panel) in (0..m).step_by(I::MR).zip(a.chunks_exact(I::MR * kc)) {
            let tile = c.block(i..m.min(i + I::MR), j..n.min(j + I::NR));
            isa.matmul_tile(tile, a_panel, b_panel, write);
        }
    }
}

/// Rows `i0..i0+mc`, depth `p0..p0+kc` of A as panels of `MR` rows.
#[inline(always)]
fn block_of_a<'a, I: Isa>(
    isa: I,
    a: Lhs<'a>,
    (p0, kc): (usize, usize),
    (i0, mc): (usize, usize),
    scratch: &'a mut [f32],
) -> &'a [f32] {
    match a {
        Lhs::Packed(a) => panel(a, I::MR, (p0, kc), (i0, mc)),
        Lhs::Plain(a) => pack_panels(
            isa,
            scratch,
            a.row_range(i0..i0 + mc).columns(p0..p0 + kc),
            I::MR,
            false,
        ),
        Lhs::Transposed(a) => pack_panels(
            isa,
            scratch,
            a.row_range(p0..p0 + kc).columns(i0..i0 + mc),
            I::MR,
            true,
        ),
    }
}

/// Depth `p0..p0+kc`, columns `j0..j0+nc` of B as panels of `NR` columns.
#[inline(always)]
fn block_of_b<'a, I: Isa>(
    isa: I,
    b: Rhs<'a>,
    (p0, kc): (usize, usize),
    (j0, nc): (usize, usize),
    scratch: &'a mut [f32],
) -> &'a [f32] {
    match b {
        Rhs::Packed(b) => panel(b, I::NR, (p0, kc), (j0, nc)),
        Rhs::Plain(b) => pack_panels(
            isa,
            scratch,
            b.row_range(p0..p0 + kc).columns(j0..j0 + nc),
            I::NR,
            true,
        ),
        Rhs::Transposed(b) => pack_panels(
            isa,
            scratch,
            b.row_range(j0..j0 + nc).columns(p0..p0 + kc),
            I::NR,
            false,
        ),
    }
}

/// Packs the whole left operand for later products: overwrites `dst`, `packed_len(m, k, MR)` floats.
#[inline(always)]
pub(crate) fn pack_lhs<I: Isa>(isa: I, dst: &mut [f32], a: Lhs<'_>) {
    let (m, k) = a.shape();
    assert_eq!(
        dst.len(),
        packed_len(m, k, I::MR),
        "length of the packed left operand"
    );
    let mut rest = dst;
    for p0 in (0..k).step_by(KC) {
        let kc = KC.min(k - p0);
        let (block, tail) = rest.split_at_mut(packed_len(m, kc, I::MR));
        block_of_a(isa, a, (p0, kc), (0, m), block);
        rest = tail;
    }
}

/// Packs the whole right operand for later products: overwrites `dst`, `packed_len(n, k, NR)` floats.
#[inline(always)]
pub(crate) fn pack_rhs<I: Isa>(isa: I, dst: &mut [f32], b: Rhs<'_>) {
    let (k, n) = b.shape();
    assert_eq!(
        dst.len(),
        packed_len(n, k, I::NR),
        "length of the packed right operand"
    );
    let mut rest = dst;
    for p0 in (0..k).step_by(KC) {
        let kc = KC.min(k - p0);
        let (block, tail) = rest.split_at_mut(packed_len(n, kc, I::NR));
        block_of_b(isa, b, (p0, kc), (0, n), block);
        rest = tail;
    }
}
