//! One product on several threads, by rows of C: for the latency of a single puzzle.
//!
//! Sums are never divided, so the bits are those of one thread.

use super::cut::Cut;
use super::{Lhs, Packed, Rhs, SCRATCH, Write};
use crate::dispatch::Kernels;
use crate::shapes::enough_scratch;
use crate::view::MatMut;

/// Multiply-adds below which a second thread costs more than it brings.
const WORTHWHILE: usize = 1 << 18;

impl Kernels {
    /// [`Kernels::matmul`] on `threads` of the current pool, with [`SCRATCH`] floats for each in `scratch`.
    ///
    /// The bits are those of one thread; a product too small to be worth a second is left to one.
    ///
    /// ```
    /// use trm_kernels::{Kernels, Lhs, MatMut, MatRef, Packed, Rhs, SCRATCH, Write};
    ///
    /// let kernels = Kernels::best()?;
    /// let (m, n, k, threads) = (97, 128, 64, 2);
    /// let (a, b) = (vec![0.5; m * k], vec![0.25; k * n]);
    /// // Once for all products with this B, of this table.
    /// let mut panels = vec![0.0; kernels.packed_rhs_len(n, k)];
    /// kernels.pack_rhs(&mut panels, Rhs::Plain(MatRef::new(&b, k, n)));
    /// let b = Rhs::Packed(Packed::new(&panels, n, k));
    ///
    /// let (mut c, mut scratch) = (vec![0.0; m * n], vec![0.0; threads * SCRATCH]);
    /// let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    /// pool.install(|| {
    ///     let (a, c) = (MatRef::new(&a, m, k), MatMut::new(&mut c, m, n));
    ///     kernels.matmul_on_threads(c, Lhs::Plain(a), b, Write::Overwrite, &mut scratch, threads);
    /// });
    /// assert!(c.iter().all(|&x| x == 8.0)); // 64 · 0.5 · 0.25
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Panics when the shapes disagree or `scratch` is too short.
    pub fn matmul_on_threads(
        &self,
        mut c: MatMut<'_>,
        a: Lhs<'_>,
        b: Rhs<'_>,
        write: Write,
        scratch: &mut [f32],
        threads: usize,
    ) {
        let (rows, tile_rows) = (c.rows(), self.tile().0);
        // Each thread cuts its rows out of A, so that a taller A would be taken for one of the right height.
        assert_eq!(a.shape().0, rows, "rows of A and of C");
        let work = rows * c.cols() * a.shape().1;
        if threads < 2 || rows <= tile_rows || work < WORTHWHILE {
            return self.matmul(c, a, b, write, scratch);
        }
        enough_scratch(scratch.len(), SCRATCH, threads);
        let half = threads / 2;
        let cut = Cut::new(rows, tile_rows);
        let cut = cut.first_row((cut.panels() * half).div_ceil(threads));
        let (upper, lower) = scratch.split_at_mut(half * SCRATCH);
        let (c_upper, c_lower) = c.split_rows(cut);
        rayon::join(
            || self.matmul_on_threads(c_upper, a.rows(0, cut), b, write, upper, half),
            || self.matmul_on_threads(c_lower, a.rows(cut, rows), b, write, lower, threads - half),
        );
    }
}

impl<'a> Lhs<'a> {
    /// Rows `from..to` of A; both lie between panels.
    fn rows(self, from: usize, to: usize) -> Lhs<'a> {
        match self {
            Lhs::Plain(a) => Lhs::Plain(a.row_range(from..to)),
            Lhs::Transposed(a) => Lhs::Transposed(a.columns(from..to)),
            Lhs::Packed(a) => Lhs::Packed(Packed {
                rows: (a.rows.0 + from, a.rows.0 + to),
                ..a
            }),
        }
    }
}
