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
//! 3. rows of C in blocks of `MC`: the block of A is `MC` x `KC`, in panels of `MR` rows or one fewer (so that no
//!    tile is left with a few rows: 97 = 12 · 6 + 5 · 5),
//! 4. panels of B, and
//! 5. panels of A: one tile of C, MR x NR, in registers, `KC` products deep. This loop is a function of its own
//!    (`tiles` in [`tile`]), so that it has all registers for itself.
//!
//! The loops are the same for floats (`float.rs`) and halves ([`half`]): what differs is the trait `Arithmetic`.
//!
//! Run by [`crate::Kernels::matmul`], [`crate::Kernels::matmul_on_threads`], [`crate::Kernels::pack_lhs`] and
//! [`crate::Kernels::pack_rhs`].
//!
//! A packed panel holds its values in the order in which the tile reads them, and is filled up where the matrix
//! ends, so the tile has no edges. A weight is packed once per optimiser step and then serves dozens of
//! products ([`Lhs::Packed`], [`Rhs::Packed`]). Activations are packed into `scratch` block by block; rows
//! of A panel by panel, when a tile first needs them, unless so few tiles do that they read A where it lies. Large
//! blocks of B that were packed beforehand come from far: while one panel is in use, every tile asks for a part of the
//! next.
//!
//! Numerics: each element is a chain of `KC` products in f32, chains are added in order of k. The order
//! depends on k alone, never on m, n or threads. `|error| <= 2 k 2^-24 sum_p |A[i,p] B[p,j]|`; where the product is added to
//! C, each chain is rounded once more, by 2^-24 of what C is by then.

mod cut;
pub(crate) mod float;
pub mod half;
mod pack;
mod threads;
pub mod tile;

use crate::view::{MatMut, MatRef};
use cut::Cut;

/// Depth of a block of A and B: an `NR`-wide panel of B this deep stays in the first-level cache.
pub const KC: usize = 256;
/// Rows of a block of A, for the second-level cache; a multiple of every backend's `MR`.
pub const MC: usize = 252;
/// Columns of a block of B that is not packed beforehand; a multiple of every backend's `NR`.
pub const NC: usize = 512;
/// Floats between two panels of such a block: a line of the cache, or all panels would meet in one set.
const GAP: usize = 16;
/// Floats of scratch for a block of A.
const SCRATCH_OF_A: usize = MC * KC;
/// Floats of scratch for a block of B; no backend's `NR` is below 8.
const SCRATCH_OF_B: usize = KC * NC + NC / 8 * GAP;
/// Floats of scratch that one matrix product needs, in either precision.
pub const SCRATCH: usize = SCRATCH_OF_A + SCRATCH_OF_B + half::ASIDE;
/// Bytes of a line of the cache.
const LINE: usize = 64;
/// Bytes of a block of B packed beforehand that do not stay in the second-level cache beside A and C.
const FAR: usize = 256 * 1024;

/// Whether a product replaces its destination or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// C = A·B.
    Overwrite,
    /// C += A·B.
    Add,
}

/// A matrix packed for one side of a product by [`crate::Kernels::pack_lhs`] or
/// [`crate::Kernels::pack_rhs`]: blocks of `KC` along k, in each block panels of rows or of `NR` columns.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    /// The panels, `packed_len` floats; in halves as many as [`half`] packs.
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
    ///
    /// The product panics unless `data` has just the length of such an operand in its own precision and for its own
    /// instruction set. It cannot see that a packing of the same length is another one's: of other sizes, of the
    /// other side, or for a tile of the same width and as many scales.
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

/// Floats of a packed operand: room for whole panels that cover `outer`, times k.
pub(crate) fn packed_len(outer: usize, k: usize, panel_width: usize) -> usize {
    outer.next_multiple_of(panel_width) * k
}

/// What the loops leave open: how blocks of the factors are packed, and the register tile.
///
/// A block is given by its depth, rows or columns, each as the first of them and how many. `scratch` holds
/// `SCRATCH_OF_A` or `SCRATCH_OF_B` floats, `aside` those of [`half::ASIDE`].
pub(crate) trait Arithmetic: Copy {
    /// Rows of the register tile.
    const MR: usize;
    /// Columns of the register tile.
    const NR: usize;
    /// A block of A, in panels.
    type A<'a>;
    /// A packed value of B.
    type B: Copy;

    /// Floats of a packed left operand m x k.
    fn packed_lhs_len(m: usize, k: usize) -> usize;

    /// Floats of a packed right operand k x n.
    fn packed_rhs_len(n: usize, k: usize) -> usize;

    /// A block of A, for a product with `n` columns of B.
    fn block_of_a<'a>(
        self,
        a: Lhs<'a>,
        depth: (usize, usize),
        rows: (usize, usize),
        n: usize,
        scratch: &'a mut [f32],
        aside: &'a mut [f32],
    ) -> Self::A<'a>;

    /// A block of B.
    fn block_of_b<'a>(
        self,
        b: Rhs<'a>,
        depth: (usize, usize),
        columns: (usize, usize),
        scratch: &'a mut [f32],
    ) -> Panels<'a, Self::B>;

    /// Loop 5: adds to `c`, or replaces it by, the products of a block of A and a panel of B.
    fn tiles(self, c: MatMut<'_>, a: &mut Self::A<'_>, b: PanelOfB<'_, Self::B>, write: Write);
}

/// A block of B: packed panels of NR columns.
#[derive(Clone, Copy)]
pub struct Panels<'a, T> {
    /// The panels, `stride` values apart.
    data: &'a [T],
    stride: usize,
    /// By which all sums are multiplied; 1 but in halves.
    unscale: f32,
    /// Whether the panels come from beyond the second-level cache.
    far: bool,
}

/// A panel of B (NR columns), packed: step p at `p * NR`.
#[derive(Clone, Copy)]
pub struct PanelOfB<'a, T> {
    values: &'a [T],
    /// By which all sums are multiplied; 1 but in halves.
    unscale: f32,
    /// Whether it is the first panel that a block of A meets.
    first: bool,
    /// The next panel, if it comes from beyond the second-level cache; else nothing.
    next: &'a [T],
}

impl<'a, T> PanelOfB<'a, T> {
    /// The next panel in as many parts as there are tiles, of whole lines of the cache: what each tile asks for, so that
    /// the last has asked for all of it.
    #[inline(always)]
    fn shares(self, tiles: usize) -> impl Iterator<Item = &'a [T]> {
        let line = LINE / size_of::<T>();
        let share = self.next.len().div_ceil(line).div_ceil(tiles.max(1)) * line;
        self.next.chunks(share.max(1))
    }
}

/// C = A·B or C += A·B: loops 1 to 3.
///
/// Panics when the shapes disagree, a packed operand has another length or `scratch` is shorter than [`SCRATCH`].
#[inline(always)]
fn matmul<X: Arithmetic>(
    x: X,
    mut c: MatMut<'_>,
    a: Lhs<'_>,
    b: Rhs<'_>,
    write: Write,
    scratch: &mut [f32],
) {
    let ((m, k), (k_b, n)) = (a.shape(), b.shape());
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
    if let Lhs::Packed(a) = a {
        check_packed(a, X::packed_lhs_len(a.outer, k));
    }
    if let Rhs::Packed(b) = b {
        check_packed(b, X::packed_rhs_len(n, k));
    }
    if k == 0 && write == Write::Overwrite {
        c.fill(0.0);
    }
    let (a_scratch, rest) = scratch.split_at_mut(SCRATCH_OF_A);
    let (b_scratch, aside) = rest.split_at_mut(SCRATCH_OF_B);
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
            let b = x.block_of_b(b, (p0, kc), (j0, nc), b_scratch);
            for rows in Cut::new(m, X::MR).blocks(MC / X::MR) {
                let of_a = (rows.start, rows.len());
                let a = x.block_of_a(a, (p0, kc), of_a, nc, a_scratch, aside);
                panels_of_b(x, c.block(rows, j0..j0 + nc), a, b, kc, write);
            }
        }
    }
}

/// Panics unless a packed operand has the length that the product packs it to.
fn check_packed(packed: Packed<'_>, len: usize) {
    let got = packed.data.len();
    assert_eq!(got, len, "length of the packed operand");
}

/// Loop 4: the panels of B, each past all of a block of A.
#[inline(always)]
fn panels_of_b<X: Arithmetic>(
    x: X,
    mut c: MatMut<'_>,
    mut a: X::A<'_>,
    b: Panels<'_, X::B>,
    kc: usize,
    write: Write,
) {
    let (n, len) = (c.cols(), X::NR * kc);
    let mut panels = b.data.chunks(b.stride);
    for j in (0..n).step_by(X::NR) {
        let panel = panels.next().expect("a panel for every NR columns");
        let next = panels.clone().next().filter(|_| b.far);
        let b = PanelOfB {
            values: &panel[..len],
            unscale: b.unscale,
            first: j == 0,
            next: next.unwrap_or_default(),
        };
        x.tiles(c.columns(j..n.min(j + X::NR)), &mut a, b, write);
    }
}
