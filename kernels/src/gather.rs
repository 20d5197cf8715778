//! Sums of rows that a table names, and their transpose.
//!
//! ```text
//! gather:    y[i,:] (+)= sum_g t[index[i,g],:]       t: (R, W)   y: (N, W)   index: (N, G)
//! scatter:   t[index[i,g],:] += y[i,:]               for every i and g
//! ```
//!
//! One is the gradient of the other. With the groups of a puzzle (its rows, columns, …) as the rows of t,
//! scattering sums the members of every group, and gathering tells every member what its groups say.
//!
//! Run by [`crate::Kernels::gather`], which overwrites y or adds to it, and [`crate::Kernels::scatter_acc`]. Where there
//! are no rows (N = 0) there is nothing to do.

use crate::lanes::for_lanes;
use crate::matmul::Write;
use crate::simd::Isa;
use crate::view::{MatMut, MatRef};

/// Groups of a row: the length of a row of `index`; none if there are no rows. Panics unless all rows have as many, one
/// at least.
fn groups_of(rows: usize, index: &[u32]) -> Option<usize> {
    let entries = index.len();
    match rows {
        0 => assert!(entries == 0, "{entries} entries of a table for no rows"),
        _ => assert!(
            entries > 0 && entries.is_multiple_of(rows),
            "as many groups for every row: {entries} entries of a table for {rows} rows"
        ),
    }
    entries.checked_div(rows)
}

/// Overwrites `y` with the sums (or adds them, as `write` says).
#[inline(always)]
pub(crate) fn gather<I: Isa>(
    isa: I,
    mut y: MatMut<'_>,
    t: MatRef<'_>,
    index: &[u32],
    write: Write,
) {
    assert_eq!(y.cols(), t.cols(), "rows of equal length");
    let Some(groups) = groups_of(y.rows(), index) else {
        return;
    };
    for (i, of) in index.chunks_exact(groups).enumerate() {
        let y = y.row(i);
        let (first, others) = (t.row(of[0] as usize), &of[1..]);
        match write {
            Write::Overwrite => y.copy_from_slice(first),
            Write::Add => for_lanes!(isa; y <- y, first; [isa.add(y, first)]),
        }
        for &k in others {
            let t = t.row(k as usize);
            for_lanes!(isa; y <- y, t; [isa.add(y, t)]);
        }
    }
}

/// Adds every row of `y` to the rows of `t` that the table names.
#[inline(always)]
pub(crate) fn scatter<I: Isa>(isa: I, mut t: MatMut<'_>, y: MatRef<'_>, index: &[u32]) {
    assert_eq!(y.cols(), t.cols(), "rows of equal length");
    let Some(groups) = groups_of(y.rows(), index) else {
        return;
    };
    for (i, of) in index.chunks_exact(groups).enumerate() {
        let y = y.row(i);
        for &k in of {
            let t = t.row(k as usize);
            for_lanes!(isa; t <- t, y; [isa.add(t, y)]);
        }
    }
}
