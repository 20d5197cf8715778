//! One product on several threads, by rows of C: for the latency of a single puzzle.
//!
//! Sums are never divided, so the bits are those of one thread.

use super::cut::Cut;
use super::{Lhs, Packed, Rhs, SCRATCH, Write};
use crate::dispatch::Kernels;
use crate::view::MatMut;

/// Multiply-adds below which a second thread costs more than it brings.
const WORTHWHILE: usize = 1 << 18;

impl Kernels {
    /// [`Kernels::matmul`] on `threads` of the current pool, with [`SCRATCH`] floats for each in `scratch`.
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
