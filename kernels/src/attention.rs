//! Bidirectional softmax attention of one puzzle, head by head, in blocks of query rows.
//!
//! ```text
//! s = q kᵀ / sqrt(E)     p = softmax(s)     o = p v        q, k, v, o: (S, E)   for each head
//! ```
//!
//! `qkv` is (S, 3·H·E): all q heads, then all k heads, then all v heads; `o` is (S, H·E). Nothing is
//! masked (TRM_SPEC 2). Backward, with `delta[i] = sum_e d_o[i,e] o[i,e]` (Dao et al. 2022):
//!
//! ```text
//! d_v = pᵀ d_o     d_p = d_o vᵀ     d_s = p (d_p - delta) / sqrt(E)     d_q = d_s k     d_k = d_sᵀ q
//! ```
//!
//! Saved: o and one log-sum-exp a row and head; p is rebuilt from them. Only `BLOCK` rows of scores
//! exist at a time, so memory grows with S, not with S². The products are [`crate::matmul`] on strided
//! views of the heads: nothing is copied or transposed.

use crate::dispatch::Kernels;
use crate::matmul::{Lhs, Rhs, SCRATCH, Write};
use crate::view::{MatMut, MatRef};

/// Query rows whose scores exist at a time.
const BLOCK: usize = 64;

/// Floats of scratch that [`forward`] and [`backward`] need for S positions.
pub fn scratch_len(positions: usize) -> usize {
    SCRATCH + 2 * BLOCK * positions + BLOCK
}

/// The columns of head `h` of q (part 0), k (1) or v (2) in a row of qkv.
fn columns(part: usize, head: usize, heads: usize, width: usize) -> std::ops::Range<usize> {
    let start = (part * heads + head) * width;
    start..start + width
}

/// Overwrites `o` (S x H·E) and `lse` (H x S).
///
/// Panics when the shapes disagree or `scratch` is shorter than [`scratch_len`].
pub fn forward(
    k: &Kernels,
    mut o: MatMut<'_>,
    lse: &mut [f32],
    qkv: MatRef<'_>,
    heads: usize,
    scratch: &mut [f32],
) {
    let (positions, width) = (qkv.rows(), qkv.cols() / (3 * heads));
    assert!(o.rows() == positions && o.cols() == heads * width && lse.len() == heads * positions);
    let scale = 1.0 / (width as f32).sqrt();
    let (scratch, rest) = scratch.split_at_mut(SCRATCH);
    let scores = &mut rest[..BLOCK * positions];
    for (head, lse) in lse.chunks_exact_mut(positions.max(1)).enumerate() {
        let [q, keys, v] = [0, 1, 2].map(|part| qkv.columns(columns(part, head, heads, width)));
        for start in (0..positions).step_by(BLOCK) {
            let rows = start..positions.min(start + BLOCK);
            let q = q.row_range(rows.clone());
            let mut p = MatMut::new(scores, rows.len(), positions);
            k.matmul(
                p.reborrow(),
                Lhs::Plain(q),
                Rhs::Transposed(keys),
                Write::Overwrite,
                scratch,
            );
            k.softmax_forward(p.reborrow(), &mut lse[rows.clone()], scale);
            let o = o.block(rows, head * width..(head + 1) * width);
            k.matmul(
                o,
                Lhs::Plain(p.as_ref()),
                Rhs::Plain(v),
                Write::Overwrite,
                scratch,
            );
        }
    }
}

/// What the backward pass of attention reads: the inputs and results of [`forward`].
#[derive(Clone, Copy)]
pub struct Saved<'a> {
    /// (S, 3·H·E)
    pub qkv: MatRef<'a>,
    /// (S, H·E)
    pub o: MatRef<'a>,
    /// (H, S)
    pub lse: &'a [f32],
}

/// Gradient of [`forward`]: overwrites `d_qkv` (S x 3·H·E) from `d_o` (S x H·E).
///
/// Panics when the shapes disagree or `scratch` is shorter than [`scratch_len`].
pub fn backward(
    k: &Kernels,
    mut d_qkv: MatMut<'_>,
    d_o: MatRef<'_>,
    saved: Saved<'_>,
    heads: usize,
    scratch: &mut [f32],
) {
    let (positions, width) = (saved.qkv.rows(), saved.qkv.cols() / (3 * heads));
    assert!(d_o.rows() == positions && d_o.cols() == heads * width && d_qkv.rows() == positions);
    let scale = 1.0 / (width as f32).sqrt();
    let (scratch, rest) = scratch.split_at_mut(SCRATCH);
    let (p, rest) = rest.split_at_mut(BLOCK * positions);
    let (d_p, delta) = rest.split_at_mut(BLOCK * positions);
    d_qkv.fill(0.0);
    for (head, lse) in saved.lse.chunks_exact(positions.max(1)).enumerate() {
        let [q, keys, v] =
            [0, 1, 2].map(|part| saved.qkv.columns(columns(part, head, heads, width)));
        let [d_q, d_keys, d_v] = [0, 1, 2].map(|part| columns(part, head, heads, width));
        let of_head = head * width..(head + 1) * width;
        for start in (0..positions).step_by(BLOCK) {
            let rows = start..positions.min(start + BLOCK);
            let q = q.row_range(rows.clone());
            let d_o = d_o.columns(of_head.clone()).row_range(rows.clone());
            let o = saved.o.columns(of_head.clone()).row_range(rows.clone());
            let mut p = MatMut::new(p, rows.len(), positions);
            let mut d_p = MatMut::new(d_p, rows.len(), positions);
            let delta = &mut delta[..rows.len()];
            // p, as the forward pass had it
            k.matmul(
                p.reborrow(),
                Lhs::Plain(q),
                Rhs::Transposed(keys),
                Write::Overwrite,
                scratch,
            );
            k.softmax_recompute(p.reborrow(), &lse[rows.clone()], scale);
            // o = p v
            let d_v = d_qkv.columns(d_v.clone());
            k.matmul(
                d_v,
                Lhs::Transposed(p.as_ref()),
                Rhs::Plain(d_o),
                Write::Add,
                scratch,
            );
            k.matmul(
                d_p.reborrow(),
                Lhs::Plain(d_o),
                Rhs::Transposed(v),
                Write::Overwrite,
                scratch,
            );
            // p = softmax(s)
            k.row_dots(delta, d_o, o);
            k.softmax_backward(d_p.reborrow(), p.as_ref(), delta, scale);
            // s = q kᵀ
            let d_q = d_qkv.block(rows, d_q.clone());
            k.matmul(
                d_q,
                Lhs::Plain(d_p.as_ref()),
                Rhs::Plain(keys),
                Write::Overwrite,
                scratch,
            );
            let d_keys = d_qkv.columns(d_keys.clone());
            k.matmul(
                d_keys,
                Lhs::Transposed(d_p.as_ref()),
                Rhs::Plain(q),
                Write::Add,
                scratch,
            );
        }
    }
}
