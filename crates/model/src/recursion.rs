//! One supervision step of the recursion (TRM_SPEC 3.4; paper, section 4 and figure 3).
//!
//! ```text
//! H_cycles times:   L_cycles times:   z_L ← level(z_L + (z_H + x))
//!                   z_H ← level(z_H + z_L)
//! ```
//!
//! Only the last cycle has gradients: its levels keep their activations, the others overwrite theirs.
//! The gradient enters at z_H, goes down through all levels of that cycle, and leaves at x; the states
//! that came from before the cycle are constants.

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

/// The memory of level `i` of a cycle that keeps its activations, or the one that all others share.
fn memory(levels: &mut [f32], len: usize, i: usize, keep: bool) -> &mut [f32] {
    let start = if keep { i * len } else { 0 };
    &mut levels[start..start + len]
}

/// Runs all cycles on `state`, reading x from `ws`.
pub fn forward(pass: Pass<'_>, ws: &mut Workspace<'_>, state: &mut State<'_>, mode: Mode) {
    let (k, c) = (pass.net.kernels, &pass.net.config);
    let len = level::saved_len(pass.net, pass.puzzles);
    for cycle in 1..=c.h_cycles {
        let keep = mode == Mode::Train && cycle == c.h_cycles;
        k.add(ws.y_x, state.z_h, ws.x);
        for i in 0..c.l_cycles {
            let memory = memory(ws.levels, len, i, keep);
            k.add(level::input(pass, memory), state.z_l, ws.y_x);
            state
                .z_l
                .copy_from_slice(level::forward(pass, memory, &mut ws.scratch));
        }
        let memory = memory(ws.levels, len, c.l_cycles, keep);
        k.add(level::input(pass, memory), state.z_h, state.z_l);
        state
            .z_h
            .copy_from_slice(level::forward(pass, memory, &mut ws.scratch));
    }
}

/// Gradient of the last cycle of [`forward`]: from d_z_H in `ws.d` to `ws.d_x`; adds to `grads`.
pub fn backward(pass: Pass<'_>, ws: &mut Workspace<'_>, grads: &mut [f32]) {
    let (k, c) = (pass.net.kernels, &pass.net.config);
    let len = level::saved_len(pass.net, pass.puzzles);
    ws.d_x.fill(0.0);
    // z_H ← level(z_H + z_L): what leaves is the gradient of the last z_L
    let last = memory(ws.levels, len, c.l_cycles, true);
    level::backward(pass, ws.d, grads, last, &mut ws.scratch);
    // z_L ← level(z_L + (z_H + x)): to the z_L before, and to x
    for i in (0..c.l_cycles).rev() {
        let memory = memory(ws.levels, len, i, true);
        level::backward(pass, ws.d, grads, memory, &mut ws.scratch);
        k.add_acc(ws.d_x, ws.d);
    }
}
