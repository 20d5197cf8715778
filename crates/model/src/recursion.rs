//! One cycle of the recursion (TRM_SPEC 3.4; paper, section 4 and figure 3).
//!
//! ```text
//! L_cycles times:   z_L ← level(z_L + (z_H + x))
//! then once:        z_H ← level(z_H + z_L)
//! ```
//!
//! A supervision step is H_cycles of them, in `train_step` and in `solve`. Only the last cycle has gradients; with
//! `cycle_loss` every cycle has, each from its own loss. The levels of such a cycle keep their activations, the others
//! overwrite theirs.
//! The gradient enters at z_H, goes down through all levels of that cycle, and leaves at x; the states that came from
//! before the cycle are constants.
//!
//! The other systems of the paper differ in what a level reads and writes, and in how many levels have
//! gradients: [`System`] has the table. In all of them the gradient goes down one chain of levels.
//!
//! With [`Mode::Recompute`] a level keeps its input alone; the backward pass runs it once more, which
//! gives the same bits, and all levels share the memory of one.

use crate::block::{Pass, level};
use crate::config::System;
use crate::workspace::{Mode, Workspace};

/// The state of a micro-batch, updated in place.
#[derive(Debug)]
pub struct State<'a> {
    /// The answer in the making, (N, D); the paper's y.
    pub z_h: &'a mut [f32],
    /// The latents, (puzzles, latents, S, D); with one of them (N, D), the paper's z.
    pub z_l: &'a mut [f32],
}

/// Part `i` of a buffer in parts of `len`.
fn part(buffer: &mut [f32], i: usize, len: usize) -> &mut [f32] {
    &mut buffer[i * len..(i + 1) * len]
}

/// Runs one cycle on `state`, reading x from `ws`; its levels keep what `mode` says.
pub fn forward(pass: Pass<'_>, ws: &mut Workspace<'_>, state: &mut State<'_>, mode: Mode) {
    let system = pass.net.config.system;
    pass.net.kernels.add(ws.y_x, state.z_h, ws.x);
    let updates = system.updates(pass.depth);
    let first = updates - system.trained_updates(pass.depth);
    for i in 0..updates {
        let kept = i.checked_sub(first).filter(|_| mode != Mode::Evaluate);
        level_forward(pass, ws, state, i, kept, mode);
    }
}

/// Update `i` of a cycle, the `kept`-th of those that keep something.
fn level_forward(
    pass: Pass<'_>,
    ws: &mut Workspace<'_>,
    state: &mut State<'_>,
    i: usize,
    kept: Option<usize>,
    mode: Mode,
) {
    let (k, system, len) = (pass.net.kernels, pass.net.config.system, pass.state_len());
    let h = part(ws.inputs, kept.unwrap_or(0), pass.puzzles * len);
    let low = pass.depth.is_low(i);
    match (system, low) {
        (System::Trm | System::Hrm | System::MultiZ, true) => {
            add_latents(pass, h, state.z_l, ws.y_x);
        }
        (System::Trm | System::Hrm | System::MultiZ, false) => {
            add_latents(pass, h, state.z_l, state.z_h);
        }
        (System::SingleZ | System::Transformer, false) => h.copy_from_slice(state.z_h),
        (System::SingleZ | System::Transformer, true) => k.add(h, state.z_h, ws.x),
    }
    let blocks = pass.net.blocks_of(low);
    let z = match kept {
        None => {
            let memory = part(ws.levels, 0, level::block_len(pass.net, pass.puzzles));
            level::forward(pass, blocks, h, memory, &mut ws.scratch)
        }
        Some(place) => {
            let memory = level_memory(pass, ws.levels, place, mode);
            level::forward_saving(pass, blocks, h, memory, &mut ws.scratch)
        }
    };
    match (system, low) {
        (System::Trm | System::Hrm, true) => state.z_l.copy_from_slice(z),
        (System::MultiZ, true) => {
            let latents = state.z_l.chunks_exact_mut(system.latents() * len);
            for (latents, z) in latents.zip(z.chunks_exact(len)) {
                part(latents, i, len).copy_from_slice(z);
            }
        }
        _ => state.z_h.copy_from_slice(z),
    }
}

/// Overwrites `h` (N x D) with `rest` (N x D) and all latents of each puzzle.
fn add_latents(pass: Pass<'_>, h: &mut [f32], z_l: &[f32], rest: &[f32]) {
    let (k, len) = (pass.net.kernels, pass.state_len());
    let puzzles = h.chunks_exact_mut(len).zip(rest.chunks_exact(len));
    for ((h, rest), z_l) in puzzles.zip(z_l.chunks_exact(pass.net.config.latent_len())) {
        let mut latents = z_l.chunks_exact(len);
        k.add(h, latents.next().expect("at least one latent"), rest);
        latents.for_each(|z| k.add_acc(h, z));
    }
}

/// Where the `place`-th level keeps its activations: in a place of its own, or in the one that all share.
fn level_memory<'a>(
    pass: Pass<'_>,
    levels: &'a mut [f32],
    place: usize,
    mode: Mode,
) -> &'a mut [f32] {
    let place = if mode == Mode::Train { place } else { 0 };
    part(levels, place, level::saved_len(pass.net, pass.puzzles))
}

/// Gradient of [`forward`]: from d_z_H in `ws.d`; adds d_x to `ws.d_x` and the parameters' to `grads`.
pub fn backward(pass: Pass<'_>, ws: &mut Workspace<'_>, grads: &mut [f32], mode: Mode) {
    let (k, system, depth) = (pass.net.kernels, pass.net.config.system, pass.depth);
    let updates = system.updates(depth);
    let first = updates - system.trained_updates(depth);
    for i in (first..updates).rev() {
        let h = part(ws.inputs, i - first, pass.puzzles * pass.state_len());
        let memory = level_memory(pass, ws.levels, i - first, mode);
        let low = depth.is_low(i);
        let blocks = pass.net.blocks_of(low);
        // The last level is the one that ran last: its activations are still there.
        if mode == Mode::Recompute && i + 1 < updates {
            level::forward_saving(pass, blocks, h, memory, &mut ws.scratch);
        }
        level::backward(pass, blocks, ws.d, grads, h, memory, &mut ws.scratch);
        // What leaves a level goes to the states that it read. Of those, only what a level of this cycle wrote
        // is no constant: the last z_L for z_H ← level(z_H + z_L), the z_L before for the levels below.
        if low {
            k.add_acc(ws.d_x, ws.d);
        }
        // Of several latents, each is read by all levels that come after it and is written once.
        if system == System::MultiZ {
            if i + 1 == updates {
                ws.d_latents.fill(0.0);
            }
            k.add_acc(ws.d_latents, ws.d);
            ws.d.copy_from_slice(ws.d_latents);
        }
    }
}
