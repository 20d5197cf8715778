//! One supervision step of the recursion (TRM_SPEC 3.4; paper, section 4 and figure 3).
//!
//! ```text
//! H_cycles times:   L_cycles times:   z_L ← level(z_L + (z_H + x))
//!                   z_H ← level(z_H + z_L)
//! ```
//!
//! Only the last cycle has gradients, or each has its own with a loss of its own: the levels of such a cycle
//! keep their activations, the others overwrite theirs. The gradient enters at z_H, goes down through all
//! levels of that cycle, and leaves at x; the states that came from before the cycle are constants.
//!
//! With [`Mode::Recompute`] a level keeps its input alone; the backward pass runs it once more, which
//! gives the same bits, and all levels share the memory of one.

use crate::block::{Pass, level};
use crate::workspace::{Mode, Workspace};

/// The state of a micro-batch, both (N, D), updated in place.
#[derive(Debug)]
pub struct State<'a> {
    /// The answer in the making; the paper's y.
    pub z_h: &'a mut [f32],
    /// The latent; the paper's z.
    pub z_l: &'a mut [f32],
}

/// Part `i` of a buffer in parts of `len`.
fn part(buffer: &mut [f32], i: usize, len: usize) -> &mut [f32] {
    &mut buffer[i * len..(i + 1) * len]
}

/// Runs one cycle on `state`, reading x from `ws`; its levels keep what `keep` says, or nothing.
pub fn forward(pass: Pass<'_>, ws: &mut Workspace<'_>, state: &mut State<'_>, keep: Option<Mode>) {
    pass.net.kernels.add(ws.y_x, state.z_h, ws.x);
    for i in 0..=pass.depth.l_cycles {
        level_forward(pass, ws, state, i, keep);
    }
}

/// Level `i` of a cycle: z_L for `i < L_cycles`, then z_H. Keeps what `keep` says, or nothing.
fn level_forward(
    pass: Pass<'_>,
    ws: &mut Workspace<'_>,
    state: &mut State<'_>,
    i: usize,
    keep: Option<Mode>,
) {
    let (k, rows) = (pass.net.kernels, pass.rows() * pass.width());
    let h = part(ws.inputs, if keep.is_some() { i } else { 0 }, rows);
    let z = if i < pass.depth.l_cycles {
        k.add(h, state.z_l, ws.y_x);
        &mut *state.z_l
    } else {
        k.add(h, state.z_h, state.z_l);
        &mut *state.z_h
    };
    match keep {
        None => {
            let memory = part(ws.levels, 0, level::block_len(pass.net, pass.puzzles));
            level::forward(pass, z, h, memory, &mut ws.scratch);
        }
        Some(mode) => {
            let memory = level_memory(pass, ws.levels, i, mode);
            level::forward_saving(pass, z, h, memory, &mut ws.scratch);
        }
    }
}

/// Where level `i` keeps its activations: in a place of its own, or in the one that all share.
fn level_memory<'a>(pass: Pass<'_>, levels: &'a mut [f32], i: usize, mode: Mode) -> &'a mut [f32] {
    let i = if mode == Mode::Train { i } else { 0 };
    part(levels, i, level::saved_len(pass.net, pass.puzzles))
}

/// Gradient of [`forward`]: from d_z_H in `ws.d`; adds d_x to `ws.d_x` and the parameters' to `grads`.
pub fn backward(pass: Pass<'_>, ws: &mut Workspace<'_>, grads: &mut [f32], mode: Mode) {
    let (k, last) = (pass.net.kernels, pass.depth.l_cycles);
    for i in (0..=last).rev() {
        let h = part(ws.inputs, i, pass.rows() * pass.width());
        let memory = level_memory(pass, ws.levels, i, mode);
        // The last level is the one that ran last: its activations are still there.
        if mode == Mode::Recompute && i < last {
            level::forward_saving(pass, ws.y_x, h, memory, &mut ws.scratch);
        }
        level::backward(pass, ws.d, grads, h, memory, &mut ws.scratch);
        // z_H ← level(z_H + z_L): what leaves is the gradient of the last z_L.
        // z_L ← level(z_L + (z_H + x)): what leaves goes to the z_L before, and to x.
        if i < last {
            k.add_acc(ws.d_x, ws.d);
        }
    }
}
