//! What a puzzle brings into the recursion: its first state, and x, the embedding of its cells (TRM_SPEC 3.2).

use crate::block::Pass;
use crate::carry::Rows;
use crate::network::Parameters;
use rand::Rng;
use trm_autograd::init::add_truncated_normal;
use trm_autograd::op::embedding;

/// Writes the initial state of one puzzle, z_H (S, D) and z_L (latents, S, D): the same vectors at every position, and
/// on z_L noise of standard deviation `sigma`, or on z_H where there is no latent (EqR, arXiv 2605.21488, trains
/// with a random start and gains from restarts).
pub fn start(
    params: &Parameters,
    z_h: &mut [f32],
    z_l: &mut [f32],
    sigma: f64,
    mut draws: impl Rng,
) {
    let (width, len) = (params.h_init.len(), z_h.len());
    let latents = z_l.chunks_exact_mut(len);
    let inits = params.l_init.chunks_exact(width);
    for (z, init) in latents.zip(inits).chain([(&mut *z_h, &*params.h_init)]) {
        for row in z.chunks_exact_mut(width) {
            row.copy_from_slice(init);
        }
    }
    if sigma > 0.0 {
        let noisy = if z_l.is_empty() { z_h } else { z_l };
        add_truncated_normal(noisy, sigma, &mut draws);
    }
}

/// Overwrites `x` (N x D) with the embedding of every puzzle.
pub fn forward(pass: Pass<'_>, params: &Parameters, x: &mut [f32], inputs: &[u8], puzzles: &[u32]) {
    let c = &pass.net.config;
    let boards = x
        .chunks_exact_mut(c.rows() * c.width)
        .zip(inputs.chunks_exact(c.cells));
    for ((x, inputs), &id) in boards.zip(puzzles) {
        embedding::forward(
            &pass.net.embedding,
            x,
            pass.weights.values,
            params.puzzle(pass.net, id),
            inputs,
        );
    }
}

/// Gradient of [`forward`]: adds to the tables in `grads`, overwrites the rows' `d_puzzle`.
pub fn backward(pass: Pass<'_>, d_x: &mut [f32], grads: &mut [f32], rows: &mut Rows<'_>) {
    let c = &pass.net.config;
    let p = c.puzzle_emb_ndim;
    let boards = d_x
        .chunks_exact_mut(c.rows() * c.width)
        .zip(rows.inputs.chunks_exact(c.cells));
    for (b, (d_x, inputs)) in boards.enumerate() {
        let d_puzzle = &mut rows.d_puzzle[b * p..(b + 1) * p];
        embedding::backward(&pass.net.embedding, d_x, grads, d_puzzle, inputs);
    }
}
