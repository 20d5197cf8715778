//! The matrix product: C = A·B or C += A·B, each operand plain, transposed, or packed beforehand.
//!
//! ```text
//! C[i,j] (+)= sum_p A[i,p] * B[p,j]        C: m x n   A: m x k   B: k x n
//! ```
//!
//! Five loops around a register tile (Goto and van de Geijn 2008; BLIS):
//!
//! 1. k in blocks of `KC`,
//! 2. columns of C in blocks of `NC`: the block of B is `KC` x `NC`, in panels of `NR` columns,
//! 3. rows of C in blocks of `MC`: the block of A is `MC` x `KC`, in panels of `MR` rows,
//! 4. panels of B, and
//! 5. panels of A: one MR x NR tile of C in registers, `KC` products deep.
//!
//! The same loops around a tile of halves are in [`half`].
//!
//! A packed panel holds its values in the order in which the tile reads them, and zeros where the matrix
//! ends, so the tile has no edges. A weight is packed once per optimiser step and then serves dozens of
//! products ([`Lhs::Packed`], [`Rhs::Packed`]). Activations are packed into `scratch` block by block; rows
//! of A by the tiles themselves: the first that meets a panel reads it where it lies and leaves it packed
//! for those that follow, unless only a few follow: `FEW` panels of B read A where it lies, all of them.
//!
//! Numerics: each element is a chain of `KC` products in f32, chains are added in order of k. The order
//! depends on k alone, never on m, n or threads. `|error| <= 2 k 2^-24 sum_p |A[i,p] B[p,j]|`.

pub mod half;
pub mod pack;
mod threads;
pub mod tile;

use crate::simd::Isa;
use crate::view::{MatMut, MatRef};
use pack::{pack_all, pack_panels, panel};
use tile::Panel;

/// Depth of a block of A and B: an `NR`-wide panel of B this deep stays in the first-level cache.
pub const KC: usize = 256;
/// Rows of a block of A, for the second-level cache; a multiple of every backend's `MR`.
pub const MC: usize = 252;
/// Columns of a block of B that is not packed beforehand; a multiple of every backend's `NR`.
pub const NC: usize = 448;
/// Floats between two panels of such a block: a line of the cache, or all panels would meet in one set.
const GAP: usize = 16;
/// Floats of scratch that one matrix product needs, in either precision; no backend's `NR` is below 8.
pub const SCRATCH: usize = MC * KC + KC * NC + NC / 8 * GAP + half::ASIDE;

/// Panels of B for which packing A is not worth its while.
const FEW: usize = 4;

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
    data: &'a [f32],
    /// Rows of A, or columns of B, in `data`.
    outer: usize,
    /// Length of the summed axis.
    k: usize,
    /// The rows of A that take part: all, but in a product that threads share.
    rows: (usize, usize),
}

impl<'a> Packed<'a> {
    /// What was packed into `data`: A of `outer` rows, or B of `outer` columns, and sums of length `k`.
    pub fn new(data: &'a [f32], outer: usize, k: usize) -> Self {
        Packed {
            data,
            outer,
            k,
            rows: (0, outer),
        }
    }
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
            Lhs::Packed(a) => (a.rows.1 - a.rows.0, a.k),
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

/// m, n and k. Panics when the shapes disagree or `scratch` is shorter than [`SCRATCH`].
fn sizes_of_product(
    c: &MatMut<'_>,
    a: &Lhs<'_>,
    b: &Rhs<'_>,
    scratch: &[f32],
) -> (usize, usize, usize) {
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
    (m, n, k)
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
    let (m, n, k) = sizes_of_product(&c, &a, &b, scratch);
    let (a_scratch, b_scratch) = scratch.split_at_mut(MC * KC);
    if k == 0 && write == Write::Overwrite {
        c.fill(0.0);
    }
    // A packed B needs no room, so all its columns are one block.
    let nc_most = match b {
        Rhs::Packed(_) => n.max(1),
        _ => NC,
    };
    for p0 in (0..k).step_by(KC) {
        let kc = KC.min(k - p0);
        let write = if p0 == 0 { write } else { Write::Add };
        for j0 in (0..n).step_by(nc_most) {
            let nc = nc_most.min(n - j0);
            let b = block_of_b(isa, b, (p0, kc), (j0, nc), b_scratch);
            for i0 in (0..m).step_by(MC) {
                let mc = MC.min(m - i0);
                let a = block_of_a(isa, a, (p0, kc), (i0, mc), a_scratch);
                tiles(isa, c.block(i0..i0 + mc, j0..j0 + nc), a, b, kc, write);
            }
        }
    }
}

/// A block of A, in panels of MR rows.
enum Block<'a> {
    /// Packed.
    Packed(&'a [f32]),
    /// As it is, and where the tiles of the first panel of B pack it.
    Fresh(MatRef<'a>, &'a mut [f32]),
}

/// A block of B: packed panels of NR columns, `stride` floats apart.
#[derive(Clone, Copy)]
struct Panels<'a> {
    data: &'a [f32],
    stride: usize,
}

/// Loops 4 and 5: every register tile of one block of C.
#[inline(always)]
fn tiles<I: Isa>(
    isa: I,
    mut c: MatMut<'_>,
    mut a: Block<'_>,
    b: Panels<'_>,
    kc: usize,
    write: Write,
) {
    let (m, n) = (c.rows(), c.cols());
    let few = n <= FEW * I::NR;
    for (j, b) in (0..n).step_by(I::NR).zip(b.data.chunks(b.stride)) {
        let b = &b[..I::NR * kc];
        for i in (0..m).step_by(I::MR) {
            let rows = i..m.min(i + I::MR);
            let panel = i * kc..(i + I::MR) * kc;
            let a = match &mut a {
                Block::Packed(a) => Panel::Packed(&a[panel]),
                Block::Fresh(a, _) if few => Panel::Plain(a.row_range(rows.clone())),
                Block::Fresh(a, to) => Panel::Fresh(a.row_range(rows.clone()), &mut to[panel]),
            };
            isa.matmul_tile(c.block(rows, j..n.min(j + I::NR)), a, b, write);
        }
        if !few && let Block::Fresh(_, packed) = a {
            a = Block::Packed(packed);
        }
    }
}

/// Rows `i0..i0+mc`, depth `p0..p0+kc` of A.
#[inline(always)]
fn block_of_a<'a, I: Isa>(
    isa: I,
    a: Lhs<'a>,
    (p0, kc): (usize, usize),
    (i0, mc): (usize, usize),
    scratch: &'a mut [f32],
) -> Block<'a> {
    match a {
        Lhs::Packed(a) => Block::Packed(panel(a, I::MR, (p0, kc), (a.rows.0 + i0, mc))),
        Lhs::Plain(a) => Block::Fresh(a.row_range(i0..i0 + mc).columns(p0..p0 + kc), scratch),
        Lhs::Transposed(a) => {
            let a = a.row_range(p0..p0 + kc).columns(i0..i0 + mc);
            pack_panels(isa, scratch, a, I::MR, I::MR * kc, true);
            Block::Packed(scratch)
        }
    }
}

/// Depth `p0..p0+kc`, columns `j0..j0+nc` of B.
#[inline(always)]
fn block_of_b<'a, I: Isa>(
    isa: I,
    b: Rhs<'a>,
    (p0, kc): (usize, usize),
    (j0, nc): (usize, usize),
    scratch: &'a mut [f32],
) -> Panels<'a> {
    let len = I::NR * kc;
    let (x, k_is_rows) = match b {
        Rhs::Packed(b) => {
            let data = panel(b, I::NR, (p0, kc), (j0, nc));
            return Panels { data, stride: len };
        }
        Rhs::Plain(b) => (b.row_range(p0..p0 + kc).columns(j0..j0 + nc), true),
        Rhs::Transposed(b) => (b.row_range(j0..j0 + nc).columns(p0..p0 + kc), false),
    };
    let stride = len + GAP;
    pack_panels(isa, scratch, x, I::NR, stride, k_is_rows);
    let data = &scratch[..nc.div_ceil(I::NR) * stride];
    Panels { data, stride }
}

/// Packs the whole left operand for later products: overwrites `dst`, `packed_len(m, k, MR)` floats.
#[inline(always)]
pub(crate) fn pack_lhs<I: Isa>(isa: I, dst: &mut [f32], a: Lhs<'_>) {
    match a {
        Lhs::Plain(a) => pack_all(isa, dst, a, I::MR, false),
        Lhs::Transposed(a) => pack_all(isa, dst, a, I::MR, true),
        Lhs::Packed(_) => panic!("the left operand is packed already"),
    }
}

/// Packs the whole right operand for later products: overwrites `dst`, `packed_len(n, k, NR)` floats.
#[inline(always)]
pub(crate) fn pack_rhs<I: Isa>(isa: I, dst: &mut [f32], b: Rhs<'_>) {
    match b {
        Rhs::Plain(b) => pack_all(isa, dst, b, I::NR, true),
        Rhs::Transposed(b) => pack_all(isa, dst, b, I::NR, false),
        Rhs::Packed(_) => panic!("the right operand is packed already"),
    }
}
