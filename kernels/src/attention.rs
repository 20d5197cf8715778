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
//! Saved: o and one log-sum-exp a row and head (S, H); p is rebuilt from them. Of the scores only about `ROWS` rows
//! exist at a time, in the backward pass of `KEYS` keys, which stay in the second-level cache; so memory grows with S,
//! not with S². Keys and values meet every block of rows, so they are packed once for each head. What is read
//! and added to again and again is gathered from the rows of all heads and scattered at the end: rows that are a
//! multiple of 4 KiB apart would meet in the same few sets of the cache.
//!
//! ```
//! use trm_kernels::{Kernels, MatMut, MatRef, attention};
//!
//! let kernels = Kernels::best()?;
//! let (s, heads, e) = (2, 1, 2); // positions, heads, width of a head
//! let inner = heads * e;
//! // For each position q, k and v.
//! let qkv = [1.0, 0.0, 1.0, 0.0, 4.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 2.0];
//! let qkv = MatRef::new(&qkv, s, 3 * inner);
//! let (mut o, mut lse) = ([0.0; 4], [0.0; 2]);
//! let mut scratch = vec![0.0; attention::scratch_len(kernels, s, e)];
//! attention::forward(kernels, MatMut::new(&mut o, s, inner), &mut lse, qkv, heads, &mut scratch);
//! // The first position asks for k[0] = 1 and finds it in both: it sees the mean of their values.
//! assert!((o[0] - 2.0).abs() < 1e-6 && (o[1] - 1.0).abs() < 1e-6);
//!
//! // How a loss changes with qkv, when it grows by 1 with o[0,0].
//! let d_o = [1.0, 0.0, 0.0, 0.0];
//! let saved = attention::Saved { qkv, o: MatRef::new(&o, s, inner), lse: &lse };
//! let mut d_qkv = [0.0; 12];
//! attention::backward(
//!     kernels,
//!     MatMut::new(&mut d_qkv, s, 3 * inner),
//!     MatRef::new(&d_o, s, inner),
//!     saved,
//!     heads,
//!     &mut scratch,
//! );
//! // d_v = pᵀ d_o: half of each value went into o[0,0].
//! assert!((d_qkv[4] - 0.5).abs() < 1e-6 && (d_qkv[10] - 0.5).abs() < 1e-6);
//! # Ok::<(), trm_kernels::UnknownIsa>(())
//! ```

use crate::dispatch::Kernels;
use crate::matmul::{KC, Lhs, Packed, Rhs, SCRATCH, Write};
use crate::shapes::{enough_scratch, same_shape};
use crate::view::{MatMut, MatRef};
use std::ops::Range;

/// Query rows whose scores exist at a time, about: see [`rows_of_block`].
const ROWS: usize = 84;
/// No block has more: see [`rows_of_block`].
const MOST_ROWS: usize = ROWS * 3 / 2;
/// Keys whose scores exist at a time in the backward pass: one block of the summed axis of d_q = d_s k.
const KEYS: usize = KC;

/// Floats of scratch that [`forward`] and [`backward`] need for S positions and heads of E.
pub fn scratch_len(k: &Kernels, positions: usize, width: usize) -> usize {
    let (rows, keys) = (positions.clamp(1, MOST_ROWS), positions.min(KEYS));
    let forward =
        rows * (positions + width + 2) + across(k, positions, width) + along(k, positions, width);
    let packed = 2 * across(k, keys, width) + along(k, keys, width);
    let backward = positions * (2 + 3 * width) + 2 * keys * (rows + width) + packed;
    SCRATCH + forward.max(backward)
}

/// Query rows whose scores exist at a time: equal blocks of about `ROWS`. Of 97 rows 84 would leave 13, which fill tiles
/// badly and make sums of 13 products.
fn rows_of_block(rows: usize) -> usize {
    let blocks = (rows + ROWS / 2) / ROWS;
    rows.div_ceil(blocks.max(1)).max(1)
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

/// Of the products that make up one result, the first overwrites what is there and the others add to it.
fn first_overwrites(start: usize) -> Write {
    if start == 0 {
        Write::Overwrite
    } else {
        Write::Add
    }
}

/// Overwrites `to` with `from`, of the same shape.
fn copy(mut to: MatMut<'_>, from: MatRef<'_>) {
    for i in 0..from.rows() {
        to.row(i).copy_from_slice(from.row(i));
    }
}

/// The width E of each head. Panics unless `o` (S x H·E) and `lse` (S x H) belong to `qkv` (S x 3·H·E).
fn width_of_heads(
    qkv: MatRef<'_>,
    heads: usize,
    (o_rows, o_cols): (usize, usize),
    lse: &[f32],
) -> usize {
    let (positions, inner) = (qkv.rows(), qkv.cols() / 3);
    assert!(
        heads > 0 && qkv.cols().is_multiple_of(3 * heads),
        "q, k and v of {heads} heads in {} columns",
        qkv.cols()
    );
    assert!(
        o_rows == positions && o_cols == inner,
        "o is {o_rows} x {o_cols}, not {positions} x {inner}"
    );
    assert_eq!(
        lse.len(),
        heads * positions,
        "one lse for each head and row"
    );
    inner / heads
}

/// Overwrites `o` (S x H·E) and `lse` (S x H, for each row and head `log sum_j exp(s[i,j])`), which the backward pass needs.
///
/// Panics when the shapes disagree or `scratch` is shorter than [`scratch_len`].
pub fn forward(
    k: &Kernels,
    o: MatMut<'_>,
    lse: &mut [f32],
    qkv: MatRef<'_>,
    heads: usize,
    scratch: &mut [f32],
) {
    forward_on_threads(k, o, lse, qkv, heads, scratch, 1);
}

/// [`forward`] on `threads` of the current pool, for the latency of a single puzzle: each has rows of its own, so
/// the bits are those of one thread. 84 rows or fewer are not divided, so that 97 positions occupy two threads.
///
/// Panics when the shapes disagree or `scratch` is shorter than [`scratch_len`] for each thread.
pub fn forward_on_threads(
    k: &Kernels,
    o: MatMut<'_>,
    lse: &mut [f32],
    qkv: MatRef<'_>,
    heads: usize,
    scratch: &mut [f32],
    threads: usize,
) {
    let width = width_of_heads(qkv, heads, (o.rows(), o.cols()), lse);
    let each = scratch_len(k, qkv.rows(), width);
    enough_scratch(scratch.len(), each, threads.max(1));
    let queries = qkv.columns(0..heads * width);
    forward_of_rows(k, o, lse, queries, (qkv, heads), scratch, threads);
}

/// The rows of o and lse that belong to `queries` (rows x H·E), which are some of the rows of q in `qkv`.
fn forward_of_rows(
    k: &Kernels,
    mut o: MatMut<'_>,
    lse: &mut [f32],
    queries: MatRef<'_>,
    (qkv, heads): (MatRef<'_>, usize),
    scratch: &mut [f32],
    threads: usize,
) {
    let (positions, width) = (qkv.rows(), queries.cols() / heads);
    let rows = queries.rows();
    if threads > 1 && rows > ROWS {
        let half = threads / 2;
        let cut = (rows * half).div_ceil(threads);
        let (o_upper, o_lower) = o.split_rows(cut);
        let (lse_upper, lse_lower) = lse.split_at_mut(cut * heads);
        let (upper, lower) = scratch.split_at_mut(half * scratch_len(k, positions, width));
        let (q_upper, q_lower) = (queries.row_range(0..cut), queries.row_range(cut..rows));
        let all = (qkv, heads);
        rayon::join(
            || forward_of_rows(k, o_upper, lse_upper, q_upper, all, upper, half),
            || forward_of_rows(k, o_lower, lse_lower, q_lower, all, lower, threads - half),
        );
        return;
    }
    let scale = 1.0 / (width as f32).sqrt();
    let (scratch, rest) = scratch.split_at_mut(SCRATCH);
    let block = rows_of_block(rows);
    let (scores, rest) = rest.split_at_mut(block * positions);
    let (o_block, rest) = rest.split_at_mut(block * width);
    let (inverse, rest) = rest.split_at_mut(block);
    let (lse_block, rest) = rest.split_at_mut(block);
    let (packed_keys, rest) = rest.split_at_mut(across(k, positions, width));
    let packed_v = &mut rest[..along(k, positions, width)];
    for head in 0..heads {
        let of_head = head * width..(head + 1) * width;
        let [keys, v] = [1, 2].map(|part| qkv.columns(columns(part, head, heads, width)));
        k.pack_rhs(packed_keys, Rhs::Transposed(keys));
        k.pack_rhs(packed_v, Rhs::Plain(v));
        let keys = Packed::new(packed_keys, positions, width);
        let v = Packed::new(packed_v, width, positions);
        for start in (0..rows).step_by(block) {
            let rows = start..rows.min(start + block);
            let q = queries.columns(of_head.clone()).row_range(rows.clone());
            let mut p = MatMut::new(scores, rows.len(), positions);
            k.matmul(
                p.reborrow(),
                Lhs::Plain(q),
                Rhs::Packed(keys),
                Write::Overwrite,
                scratch,
            );
            let inverse = &mut inverse[..rows.len()];
            let lse_block = &mut lse_block[..rows.len()];
            k.softmax_forward(p.reborrow(), inverse, lse_block, scale);
            let mut o_block = MatMut::new(o_block, rows.len(), width);
            k.matmul(
                o_block.reborrow(),
                Lhs::Plain(p.as_ref()),
                Rhs::Packed(v),
                Write::Overwrite,
                scratch,
            );
            let mut o = o.block(rows.clone(), of_head.clone());
            for (i, inverse) in inverse.iter().enumerate() {
                let sums = o_block.row(i).iter();
                o.row(i)
                    .iter_mut()
                    .zip(sums)
                    .for_each(|(o, sum)| *o = sum * inverse);
            }
            let of_rows = lse[rows.start * heads..rows.end * heads].chunks_exact_mut(heads);
            for (row, block) in of_rows.zip(lse_block) {
                row[head] = *block;
            }
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
    /// (S, H)
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
    let (qkv, o) = (saved.qkv, saved.o);
    let width = width_of_heads(qkv, heads, (o.rows(), o.cols()), saved.lse);
    let positions = qkv.rows();
    let shape = (o.rows(), o.cols());
    same_shape("d_o has the shape of o", (d_o.rows(), d_o.cols()), shape);
    let shape = (qkv.rows(), qkv.cols());
    same_shape(
        "d_qkv has the shape of qkv",
        (d_qkv.rows(), d_qkv.cols()),
        shape,
    );
    enough_scratch(scratch.len(), scratch_len(k, positions, width), 1);
    let (scratch, rest) = scratch.split_at_mut(SCRATCH);
    let (delta, rest) = rest.split_at_mut(positions);
    let (lse, rest) = rest.split_at_mut(positions);
    let (q, rest) = rest.split_at_mut(positions * width);
    let (d_o_head, rest) = rest.split_at_mut(positions * width);
    let (d_q, buffers) = rest.split_at_mut(positions * width);
    for head in 0..heads {
        let of_head = head * width..(head + 1) * width;
        let [of_q, of_k, of_v] = [0, 1, 2].map(|part| columns(part, head, heads, width));
        let (o, d_o) = (saved.o.columns(of_head.clone()), d_o.columns(of_head));
        k.row_dots(delta, d_o, o);
        for (lse, row) in lse.iter_mut().zip(saved.lse.chunks_exact(heads)) {
            *lse = row[head];
        }
        copy(MatMut::new(d_o_head, positions, width), d_o);
        copy(
            MatMut::new(q, positions, width),
            saved.qkv.columns(of_q.clone()),
        );
        let mut d_q = MatMut::new(d_q, positions, width);
        for start in (0..positions).step_by(KEYS) {
            let keys = start..positions.min(start + KEYS);
            let given = Head {
                q: MatRef::new(q, positions, width),
                keys: saved.qkv.columns(of_k.clone()).row_range(keys.clone()),
                values: saved.qkv.columns(of_v.clone()).row_range(keys.clone()),
                d_o: MatRef::new(d_o_head, positions, width),
                lse,
                delta,
            };
            let d_q = (d_q.reborrow(), first_overwrites(start));
            let (d_k, d_v) = backward_of_keys(k, d_q, given, scratch, buffers);
            copy(d_qkv.block(keys.clone(), of_k.clone()), d_k);
            copy(d_qkv.block(keys, of_v.clone()), d_v);
        }
        copy(d_qkv.columns(of_q), d_q.as_ref());
    }
}

/// One head, and some of its keys.
#[derive(Clone, Copy)]
struct Head<'a> {
    /// (S, E)
    q: MatRef<'a>,
    /// (keys, E)
    keys: MatRef<'a>,
    /// (keys, E)
    values: MatRef<'a>,
    /// (S, E)
    d_o: MatRef<'a>,
    /// (S)
    lse: &'a [f32],
    /// (S)
    delta: &'a [f32],
}

/// Writes what the keys contribute to d_q, or adds it, and gives the gradients of keys and values.
fn backward_of_keys<'a>(
    k: &Kernels,
    (mut d_q, write): (MatMut<'_>, Write),
    head: Head<'_>,
    scratch: &mut [f32],
    buffers: &'a mut [f32],
) -> (MatRef<'a>, MatRef<'a>) {
    let (positions, count, width) = (head.q.rows(), head.keys.rows(), head.keys.cols());
    let scale = 1.0 / (width as f32).sqrt();
    let block = rows_of_block(positions);
    let (p, rest) = buffers.split_at_mut(block * count);
    let (d_p, rest) = rest.split_at_mut(block * count);
    let (d_keys, rest) = rest.split_at_mut(count * width);
    let (d_v, rest) = rest.split_at_mut(count * width);
    let (keys_t, rest) = rest.split_at_mut(across(k, count, width));
    let (v_t, rest) = rest.split_at_mut(across(k, count, width));
    let keys = &mut rest[..along(k, count, width)];
    k.pack_rhs(keys_t, Rhs::Transposed(head.keys));
    k.pack_rhs(v_t, Rhs::Transposed(head.values));
    k.pack_rhs(keys, Rhs::Plain(head.keys));
    let keys_t = Rhs::Packed(Packed::new(keys_t, count, width));
    let v_t = Rhs::Packed(Packed::new(v_t, count, width));
    let keys = Rhs::Packed(Packed::new(keys, width, count));
    let mut product =
        |c: MatMut<'_>, a: Lhs<'_>, b: Rhs<'_>, write| k.matmul(c, a, b, write, scratch);
    for start in (0..positions).step_by(block) {
        let rows = start..positions.min(start + block);
        let (q, d_o) = (
            head.q.row_range(rows.clone()),
            head.d_o.row_range(rows.clone()),
        );
        let (lse, delta) = (&head.lse[rows.clone()], &head.delta[rows.clone()]);
        let mut p = MatMut::new(p, rows.len(), count);
        let mut d_p = MatMut::new(d_p, rows.len(), count);
        let d_keys = MatMut::new(d_keys, count, width);
        let d_v = MatMut::new(d_v, count, width);
        let add = first_overwrites(start);
        // p, as the forward pass had it
        product(p.reborrow(), Lhs::Plain(q), keys_t, Write::Overwrite);
        k.softmax_recompute(p.reborrow(), lse, scale);
        // o = p v
        product(d_v, Lhs::Transposed(p.as_ref()), Rhs::Plain(d_o), add);
        product(d_p.reborrow(), Lhs::Plain(d_o), v_t, Write::Overwrite);
        // p = softmax(s)
        k.softmax_backward(d_p.reborrow(), p.as_ref(), delta, scale);
        // s = q kᵀ
        product(d_q.row_range(rows), Lhs::Plain(d_p.as_ref()), keys, write);
        product(d_keys, Lhs::Transposed(d_p.as_ref()), Rhs::Plain(q), add);
    }
    (
        MatRef::new(d_keys, count, width),
        MatRef::new(d_v, count, width),
    )
}
