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
//! Saved: o and one log-sum-exp a row and head; p is rebuilt from them. Of the scores only `ROWS` rows exist at
//! a time, in the backward pass of `KEYS` keys, which stay in the second-level cache; so memory grows with S,
//! not with S². The products are [`crate::matmul`] on strided views of the heads. Keys and values meet every
//! block of rows, so they are packed once for each head.

use crate::dispatch::Kernels;
use crate::matmul::{KC, Lhs, Packed, Rhs, SCRATCH, Write};
use crate::view::{MatMut, MatRef};
use std::ops::Range;

/// Query rows whose scores exist at a time: whole tiles of 6, 12 or 14 rows.
const ROWS: usize = 84;
/// Keys whose scores exist at a time in the backward pass: one block of the summed axis of d_q = d_s k.
const KEYS: usize = KC;

/// Floats of scratch that [`forward`] and [`backward`] need for S positions and heads of E.
pub fn scratch_len(k: &Kernels, positions: usize, width: usize) -> usize {
    let keys = positions.min(KEYS);
    let forward = ROWS * positions + across(k, positions, width) + along(k, positions, width);
    let backward = 2 * ROWS * keys + positions + 2 * across(k, keys, width) + along(k, keys, width);
    SCRATCH + forward.max(backward)
}

/// Floats of keys or values that are packed to be multiplied with a row of E: for q kᵀ and d_o vᵀ.
fn across(k: &Kernels, keys: usize, width: usize) -> usize {
    k.packed_rhs_len(keys, width)
}

/// Floats of keys or values that are packed to be summed over: for p v and d_s k.
fn along(k: &Kernels, keys: usize, width: usize) -> usize {
    k.packed_rhs_len(width, keys)
}

/// The columns of head `h` of q (part 0), k (1) or v (2) in a row of qkv.
fn columns(part: usize, head: usize, heads: usize, width: usize) -> Range<usize> {
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
    let (scores, rest) = rest.split_at_mut(ROWS * positions);
    let (packed_keys, rest) = rest.split_at_mut(across(k, positions, width));
    let packed_v = &mut rest[..along(k, positions, width)];
    for (head, lse) in lse.chunks_exact_mut(positions.max(1)).enumerate() {
        let [q, keys, v] = [0, 1, 2].map(|part| qkv.columns(columns(part, head, heads, width)));
        k.pack_rhs(packed_keys, Rhs::Transposed(keys));
        k.pack_rhs(packed_v, Rhs::Plain(v));
        let keys = Packed::new(packed_keys, positions, width);
        let v = Packed::new(packed_v, width, positions);
        for start in (0..positions).step_by(ROWS) {
            let rows = start..positions.min(start + ROWS);
            let q = q.row_range(rows.clone());
            let mut p = MatMut::new(scores, rows.len(), positions);
            k.matmul(
                p.reborrow(),
                Lhs::Plain(q),
                Rhs::Packed(keys),
                Write::Overwrite,
                scratch,
            );
            k.softmax_forward(p.reborrow(), &mut lse[rows.clone()], scale);
            let o = o.block(rows, head * width..(head + 1) * width);
            k.matmul(
                o,
                Lhs::Plain(p.as_ref()),
                Rhs::Packed(v),
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
    let (scratch, rest) = scratch.split_at_mut(SCRATCH);
    let (delta, buffers) = rest.split_at_mut(positions);
    d_qkv.fill(0.0);
    for (head, lse) in saved.lse.chunks_exact(positions.max(1)).enumerate() {
        let of_head = head * width..(head + 1) * width;
        let (d_o, o) = (d_o.columns(of_head.clone()), saved.o.columns(of_head));
        k.row_dots(delta, d_o, o);
        for start in (0..positions).step_by(KEYS) {
            let keys = start..positions.min(start + KEYS);
            let parts = [0, 1, 2].map(|part| columns(part, head, heads, width));
            let d_qkv = d_qkv.reborrow();
            let given = Given {
                d_o,
                lse,
                delta,
                qkv: saved.qkv,
            };
            backward_of_keys(k, d_qkv, given, keys, parts, (scratch, buffers));
        }
    }
}

/// What the backward pass of some keys of one head reads.
#[derive(Clone, Copy)]
struct Given<'a> {
    /// (S, E)
    d_o: MatRef<'a>,
    /// (S)
    lse: &'a [f32],
    /// (S)
    delta: &'a [f32],
    /// (S, 3·H·E)
    qkv: MatRef<'a>,
}

/// Adds what `keys` contribute to `d_qkv`, of which `parts` are the columns of this head's q, k and v.
fn backward_of_keys(
    k: &Kernels,
    mut d_qkv: MatMut<'_>,
    given: Given<'_>,
    keys: Range<usize>,
    parts: [Range<usize>; 3],
    (scratch, buffers): (&mut [f32], &mut [f32]),
) {
    let (positions, count, width) = (given.qkv.rows(), keys.len(), parts[0].len());
    let scale = 1.0 / (width as f32).sqrt();
    let [q, k_, v] = parts.clone().map(|part| given.qkv.columns(part));
    let (k_, v) = (k_.row_range(keys.clone()), v.row_range(keys.clone()));
    let (p, rest) = buffers.split_at_mut(ROWS * count);
    let (d_p, rest) = rest.split_at_mut(ROWS * count);
    let (packed_k_t, rest) = rest.split_at_mut(across(k, count, width));
    let (packed_v_t, rest) = rest.split_at_mut(across(k, count, width));
    let packed_k = &mut rest[..along(k, count, width)];
    k.pack_rhs(packed_k_t, Rhs::Transposed(k_));
    k.pack_rhs(packed_v_t, Rhs::Transposed(v));
    k.pack_rhs(packed_k, Rhs::Plain(k_));
    let k_t = Rhs::Packed(Packed::new(packed_k_t, count, width));
    let v_t = Rhs::Packed(Packed::new(packed_v_t, count, width));
    let k_ = Rhs::Packed(Packed::new(packed_k, width, count));
    let [of_q, of_k, of_v] = parts;
    for start in (0..positions).step_by(ROWS) {
        let rows = start..positions.min(start + ROWS);
        let (q, d_o) = (q.row_range(rows.clone()), given.d_o.row_range(rows.clone()));
        let (lse, delta) = (&given.lse[rows.clone()], &given.delta[rows.clone()]);
        let mut p = MatMut::new(p, rows.len(), count);
        let mut d_p = MatMut::new(d_p, rows.len(), count);
        let mut product = |c: MatMut<'_>, a, b, write| k.matmul(c, a, b, write, scratch);
        // p, as the forward pass had it
        product(p.reborrow(), Lhs::Plain(q), k_t, Write::Overwrite);
        k.softmax_recompute(p.reborrow(), lse, scale);
        // o = p v
        let d_v = d_qkv.block(keys.clone(), of_v.clone());
        product(
            d_v,
            Lhs::Transposed(p.as_ref()),
            Rhs::Plain(d_o),
            Write::Add,
        );
        product(d_p.reborrow(), Lhs::Plain(d_o), v_t, Write::Overwrite);
        // p = softmax(s)
        k.softmax_backward(d_p.reborrow(), p.as_ref(), delta, scale);
        // s = q kᵀ
        let d_q = d_qkv.block(rows, of_q.clone());
        product(d_q, Lhs::Plain(d_p.as_ref()), k_, Write::Add);
        let d_k = d_qkv.block(keys.clone(), of_k.clone());
        product(
            d_k,
            Lhs::Transposed(d_p.as_ref()),
            Rhs::Plain(q),
            Write::Add,
        );
    }
}
