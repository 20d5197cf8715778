//! The two heads on the final z_H (TRM_SPEC 3.5).
//!
//! ```text
//! logits[i,v] = sum_c z_H[prefix_len + i, c] W_lm[v,c]      each cell
//! q[a]        = sum_c z_H[0, c] W_q[a,c] + b[a]             halt, continue
//! ```

use crate::block::Pass;
use crate::workspace::Workspace;
use trm_autograd::op::linear;
use trm_kernels::{MatMut, MatRef, Write};

/// The rows of the cells of puzzle `b` in an (N, D) slice.
fn cells(pass: Pass<'_>, b: usize) -> std::ops::Range<usize> {
    let (c, d) = (&pass.net.config, pass.width());
    (b * c.positions() + c.prefix_len) * d..(b + 1) * c.positions() * d
}

/// The first rows of all puzzles: (puzzles, D), S rows apart.
fn first_rows<'a>(pass: Pass<'_>, x: &'a [f32]) -> MatRef<'a> {
    MatRef::with_stride(
        x,
        pass.puzzles,
        pass.width(),
        pass.net.config.positions() * pass.width(),
    )
}

/// Overwrites the logits and q of `ws`.
pub fn forward(pass: Pass<'_>, ws: &mut Workspace<'_>, z_h: &[f32]) {
    let (net, w, c) = (pass.net, pass.weights, &pass.net.config);
    let kernel = &mut *ws.scratch.kernel;
    for (b, logits) in ws
        .logits
        .chunks_exact_mut(c.cells * c.vocab_size)
        .enumerate()
    {
        let z = MatRef::new(&z_h[cells(pass, b)], c.cells, c.width);
        let logits = MatMut::new(logits, c.cells, c.vocab_size);
        linear::forward(w, &net.lm_head, logits, z, Write::Overwrite, kernel);
    }
    for q in ws.q.chunks_exact_mut(2) {
        q.copy_from_slice(&w.values[net.q_bias.clone()]);
    }
    let q = MatMut::new(ws.q, pass.puzzles, 2);
    linear::forward(w, &net.q_head, q, first_rows(pass, z_h), Write::Add, kernel);
}

/// Gradient of [`forward`]: overwrites `ws.d` with d_z_H, from `ws.d_logits` and `ws.d_q`; adds to `grads`.
pub fn backward(pass: Pass<'_>, ws: &mut Workspace<'_>, grads: &mut [f32], z_h: &[f32]) {
    let (net, w, c) = (pass.net, pass.weights, &pass.net.config);
    let kernel = &mut *ws.scratch.kernel;
    ws.d.fill(0.0);
    for (b, d_logits) in ws.d_logits.chunks_exact(c.cells * c.vocab_size).enumerate() {
        let d_logits = MatRef::new(d_logits, c.cells, c.vocab_size);
        let z = MatRef::new(&z_h[cells(pass, b)], c.cells, c.width);
        linear::backward_weight(w, &net.lm_head, grads, d_logits, z, kernel);
        let d_z = MatMut::new(&mut ws.d[cells(pass, b)], c.cells, c.width);
        linear::backward(w, &net.lm_head, d_z, d_logits, Write::Overwrite, kernel);
    }
    for d_q in ws.d_q.chunks_exact(2) {
        for (grad, d_q) in grads[net.q_bias.clone()].iter_mut().zip(d_q) {
            *grad += d_q;
        }
    }
    let d_q = MatRef::new(ws.d_q, pass.puzzles, 2);
    linear::backward_weight(w, &net.q_head, grads, d_q, first_rows(pass, z_h), kernel);
    let stride = c.positions() * c.width;
    let d_first = MatMut::with_stride(ws.d, pass.puzzles, c.width, stride);
    linear::backward(w, &net.q_head, d_first, d_q, Write::Add, kernel);
}
