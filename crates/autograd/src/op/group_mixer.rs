//! Mixing among rows that belong together: every row hears the sums of its groups.
//!
//! A puzzle's rows are partitioned G times, such as by row, column and box of a board; each partition g
//! has a matrix W_g of its own, and n_g rows in a group, on average where they differ (a pair at the edge of a
//! grid is one cell):
//!
//! ```text
//! m_g[k,:] = n_g^(-1/2) sum_{j in k} x[j,:]                 k: the groups of partition g
//! y[i,:]   = sum_g m_g[group_g(i),:]·W_gᵀ                   x, y: (N, D)   m: (puzzles, R, D)
//! ```
//!
//! R counts the groups of all partitions; those of a partition lie one below the other. Which rows stand
//! together is all that the layer knows of a task, and the same W_g serves every group: whatever is
//! learned about one row of a board holds for all (a graph network, Palm et al. 2018, arXiv 1711.08028).
//!
//! Saved: m. Backward, with d_t the gradient of what a group says:
//!
//! ```text
//! d_t_g[k,:] = sum_{i in k} d_y[i,:]     d_W_g += d_t_gᵀ·m_g     d_x[j,:] = sum_g n_g^(-1/2) d_t_g[group_g(j),:]·W_g
//! ```

use super::{Scratch, linear};
use crate::arena::Carver;
use crate::params::{Linear, Weights};
use std::sync::Arc;
use trm_kernels::{Kernels, MatMut, MatRef, Write};

/// Which rows of a puzzle stand together.
#[derive(Debug, PartialEq, Eq)]
pub struct Groups {
    /// Groups of each partition, (G).
    pub counts: Vec<usize>,
    /// The group of every row in every partition, (rows, G), counted through all partitions: 0 to R - 1.
    pub index: Vec<u32>,
}

impl Groups {
    /// Groups of all partitions, R.
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Rows of a puzzle.
    pub fn rows(&self) -> usize {
        self.index.len() / self.counts.len()
    }

    /// For each partition, the places of its groups and n_g^(-1/2).
    fn partitions(&self) -> impl Iterator<Item = (std::ops::Range<usize>, f32)> {
        let rows = self.rows();
        let mut end = 0;
        self.counts.iter().map(move |&count| {
            let start = end;
            end += count;
            (start..end, (rows as f32 / count as f32).powf(-0.5))
        })
    }
}

/// The matrices of the layer, one for each partition.
#[derive(Clone, Debug)]
pub struct GroupMixer {
    /// W_g, (D, D) each.
    pub maps: Vec<Linear>,
    /// The partitions.
    pub groups: Arc<Groups>,
}

/// What the backward pass reads.
#[derive(Debug)]
pub struct Saved<'a> {
    /// Scaled sums of all groups, (puzzles, R, D).
    pub m: &'a mut [f32],
}

impl GroupMixer {
    /// Floats of [`Scratch::inner`] and [`Scratch::d_wide`]: d_t and d_m of one puzzle; none.
    pub fn scratch_len(&self, d: usize) -> (usize, usize) {
        (2 * self.groups.total() * d, 0)
    }

    /// Carves [`Saved`] for `puzzles` with rows of D.
    pub fn saved<'a>(&self, arena: &mut impl Carver<'a>, puzzles: usize, d: usize) -> Saved<'a> {
        Saved {
            m: arena.floats(puzzles * self.groups.total() * d),
        }
    }

    /// Multiplies the rows of every partition by its n_g^(-1/2).
    fn scale(&self, k: &Kernels, m: &mut [f32], d: usize) {
        for (groups, factor) in self.groups.partitions() {
            k.scale(&mut m[groups.start * d..groups.end * d], factor);
        }
    }
}

/// Panics unless N rows and the floats of m are those of equally many puzzles, which have `rows` and `sums` each.
fn check_rows(n: usize, m: usize, (rows, sums): (usize, usize)) {
    assert_eq!(n * sums, m * rows, "sums of the groups of {n} rows");
}

/// Writes the layer's output to `y` (N x D).
///
/// Panics when what is saved is of another number of puzzles.
pub fn forward(
    w: Weights<'_>,
    layer: &GroupMixer,
    mut y: MatMut<'_>,
    saved: &mut Saved<'_>,
    x: MatRef<'_>,
    scratch: &mut Scratch<'_>,
) {
    let (k, d, groups) = (w.kernels, x.cols(), &*layer.groups);
    let (rows, total) = (groups.rows(), groups.total());
    check_rows(y.rows(), saved.m.len(), (rows, total * d));
    for (b, m) in saved.m.chunks_exact_mut(total * d).enumerate() {
        let puzzle = b * rows..(b + 1) * rows;
        m.fill(0.0);
        let x = x.row_range(puzzle.clone());
        k.scatter_acc(MatMut::new(m, total, d), x, &groups.index);
        layer.scale(k, m, d);
        let mut t = MatMut::new(&mut scratch.inner[..total * d], total, d);
        let m = MatRef::new(m, total, d);
        for (map, (part, _)) in layer.maps.iter().zip(groups.partitions()) {
            let (t, m) = (t.row_range(part.clone()), m.row_range(part));
            linear::forward(w, map, t, m, Write::Overwrite, scratch.kernel);
        }
        let y = y.row_range(puzzle);
        k.gather(y, t.as_ref(), &groups.index, Write::Overwrite);
    }
}

/// Gradient of [`forward`]: **adds** d_x to d_y in `d`, which is what the residual around the layer asks
/// for, and adds the gradients of the matrices to `grads`.
pub fn backward(
    w: Weights<'_>,
    layer: &GroupMixer,
    mut d: MatMut<'_>,
    grads: &mut [f32],
    saved: &Saved<'_>,
    scratch: &mut Scratch<'_>,
) {
    let (k, width, groups) = (w.kernels, d.cols(), &*layer.groups);
    let (rows, total) = (groups.rows(), groups.total());
    check_rows(d.rows(), saved.m.len(), (rows, total * width));
    for (b, m) in saved.m.chunks_exact(total * width).enumerate() {
        let mut d = d.row_range(b * rows..(b + 1) * rows);
        let (d_t, rest) = scratch.inner.split_at_mut(total * width);
        let d_m = &mut rest[..total * width];
        // y = gather(t)
        d_t.fill(0.0);
        k.scatter_acc(MatMut::new(d_t, total, width), d.as_ref(), &groups.index);
        // t_g = m_g·W_gᵀ
        let (d_t, m) = (MatRef::new(d_t, total, width), MatRef::new(m, total, width));
        let mut d_m_view = MatMut::new(d_m, total, width);
        for (map, (part, _)) in layer.maps.iter().zip(groups.partitions()) {
            let (d_t, m) = (d_t.row_range(part.clone()), m.row_range(part.clone()));
            linear::backward_weight(w, map, grads, d_t, m, scratch.kernel);
            let d_m = d_m_view.row_range(part);
            linear::backward(w, map, d_m, d_t, Write::Overwrite, scratch.kernel);
        }
        // m = scale(scatter(x))
        layer.scale(k, d_m, width);
        let d_m = MatRef::new(d_m, total, width);
        k.gather(d.reborrow(), d_m, &groups.index, Write::Add);
    }
}
