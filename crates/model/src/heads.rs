//! The two heads on the final z_H (TRM_SPEC 3.5).
//!
//! ```text
//! logits[i,v] = sum_c z_H[prefix_len + i, c] W_lm[v,c]      each cell
//! q[a]        = sum_c z_H[0, c] W_q[a,c] + b[a]             halt, continue
//! ```
//!
//! With symbols the state has a row z_H\[i·K + k\] for symbol k of cell i. One vector gives every row its
//! logit, `logits[i,k] = sum_c z_H[i·K + k, c] W_lm[0,c]`. With groups, of candidates or of neighbours, the halting
//! head reads the mean of all rows: no row stands out.

use crate::block::Pass;
use crate::workspace::Workspace;
use trm_autograd::op::linear;
use trm_kernels::{MatMut, MatRef, Write};

/// The rows of the cells of puzzle `b` in an (N, D) slice.
fn cells(pass: Pass<'_>, b: usize) -> std::ops::Range<usize> {
    let (c, d) = (&pass.net.config, pass.width());
    (b * c.rows() + c.prefix_len) * d..(b + 1) * c.rows() * d
}

/// The first rows of all puzzles: (puzzles, D), S rows apart.
fn first_rows<'a>(pass: Pass<'_>, x: &'a [f32]) -> MatRef<'a> {
    MatRef::with_stride(
        x,
        pass.puzzles,
        pass.width(),
        pass.net.config.rows() * pass.width(),
    )
}

/// Overwrites `pooled` (puzzles, D) with the mean row of every puzzle.
fn pool(pass: Pass<'_>, pooled: &mut [f32], z_h: &[f32]) {
    let (k, rows, d) = (pass.net.kernels, pass.net.config.rows(), pass.width());
    pooled.fill(0.0);
    let puzzles = z_h.chunks_exact(rows * d);
    for (pooled, z) in pooled.chunks_exact_mut(d).zip(puzzles) {
        for row in z.chunks_exact(d) {
            k.add_acc(pooled, row);
        }
    }
    k.scale(pooled, 1.0 / rows as f32);
}

/// Gradient of [`pool`]: adds to `d`; scales `d_pooled`.
fn pool_backward(pass: Pass<'_>, d: &mut [f32], d_pooled: &mut [f32]) {
    let (k, rows, width) = (pass.net.kernels, pass.net.config.rows(), pass.width());
    k.scale(d_pooled, 1.0 / rows as f32);
    let puzzles = d.chunks_exact_mut(rows * width);
    for (d, d_pooled) in puzzles.zip(d_pooled.chunks_exact(width)) {
        for row in d.chunks_exact_mut(width) {
            k.add_acc(row, d_pooled);
        }
    }
}

/// Overwrites the logits and q of `ws`.
pub fn forward(pass: Pass<'_>, ws: &mut Workspace<'_>, z_h: &[f32]) {
    let (net, w, c) = (pass.net, pass.weights, &pass.net.config);
    let kernel = &mut *ws.scratch.kernel;
    let rows = c.rows() - c.prefix_len;
    for (b, logits) in ws
        .logits
        .chunks_exact_mut(c.cells * c.outputs())
        .enumerate()
    {
        let z = MatRef::new(&z_h[cells(pass, b)], rows, c.width);
        let logits = MatMut::new(logits, rows, net.lm_head.out);
        linear::forward(w, &net.lm_head, logits, z, Write::Overwrite, kernel);
    }
    for q in ws.q.chunks_exact_mut(2) {
        q.copy_from_slice(&w.values[net.q_bias.clone()]);
    }
    let q = MatMut::new(ws.q, pass.puzzles, 2);
    let read = if c.pools() {
        pool(pass, ws.pooled, z_h);
        MatRef::new(ws.pooled, pass.puzzles, c.width)
    } else {
        first_rows(pass, z_h)
    };
    linear::forward(w, &net.q_head, q, read, Write::Add, kernel);
}

/// Gradient of [`forward`]: overwrites `ws.d` with d_z_H, from `ws.d_logits` and `ws.d_q`; adds to `grads`.
pub fn backward(pass: Pass<'_>, ws: &mut Workspace<'_>, grads: &mut [f32], z_h: &[f32]) {
    let (net, w, c) = (pass.net, pass.weights, &pass.net.config);
    let kernel = &mut *ws.scratch.kernel;
    ws.d.fill(0.0);
    let rows = c.rows() - c.prefix_len;
    for (b, d_logits) in ws.d_logits.chunks_exact(c.cells * c.outputs()).enumerate() {
        let d_logits = MatRef::new(d_logits, rows, net.lm_head.out);
        let z = MatRef::new(&z_h[cells(pass, b)], rows, c.width);
        linear::backward_weight(w, &net.lm_head, grads, d_logits, z, kernel);
        let d_z = MatMut::new(&mut ws.d[cells(pass, b)], rows, c.width);
        linear::backward(w, &net.lm_head, d_z, d_logits, Write::Overwrite, kernel);
    }
    for d_q in ws.d_q.chunks_exact(2) {
        for (grad, d_q) in grads[net.q_bias.clone()].iter_mut().zip(d_q) {
            *grad += d_q;
        }
    }
    let d_q = MatRef::new(ws.d_q, pass.puzzles, 2);
    if c.pools() {
        let pooled = MatRef::new(ws.pooled, pass.puzzles, c.width);
        linear::backward_weight(w, &net.q_head, grads, d_q, pooled, kernel);
        let d_pooled = MatMut::new(ws.pooled, pass.puzzles, c.width);
        linear::backward(w, &net.q_head, d_pooled, d_q, Write::Overwrite, kernel);
        pool_backward(pass, ws.d, ws.pooled);
    } else {
        linear::backward_weight(w, &net.q_head, grads, d_q, first_rows(pass, z_h), kernel);
        let stride = c.rows() * c.width;
        let d_first = MatMut::with_stride(ws.d, pass.puzzles, c.width, stride);
        linear::backward(w, &net.q_head, d_first, d_q, Write::Add, kernel);
    }
}
