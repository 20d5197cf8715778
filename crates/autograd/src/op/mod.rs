//! The operations of the network, each a file: what is saved, `forward`, and `backward` directly below.
//!
//! Parameter gradients always add, since every weight is used many times in one step. Activation gradients overwrite, in
//! the buffer that held the gradient from above where the shapes allow; but [`swiglu`], [`attention`] and [`group_mixer`]
//! add theirs. They are the layers f of a residual y = norm(h + f(h)), which is split: forward, the norm adds h; backward,
//! the norm hands d to f and h alike, and the layer adds its own d_x to it.

pub mod attention;
pub mod embedding;
pub mod group_mixer;
pub mod linear;
pub mod loss;
pub mod rms_norm;
pub mod swiglu;

/// Buffers of one worker that the ops use up within a call.
#[derive(Debug)]
pub struct Scratch<'a> {
    /// Results of one layer's width: a and d_a of SwiGLU, d_o of attention, the sums that groups send to their members,
    /// and the means of the norm over positions.
    pub inner: &'a mut [f32],
    /// Gradients of the wide product before it: d_u, d_qkv. Empty where nothing is trained.
    pub d_wide: &'a mut [f32],
    /// For the kernels: [`trm_kernels::SCRATCH`] floats, with attention [`trm_kernels::attention::scratch_len`], for
    /// each thread that shares the work; and D at least, for the means of the gated norm over positions.
    pub kernel: &'a mut [f32],
}
