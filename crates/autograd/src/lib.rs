//! Manual backpropagation: every operation as a forward function and, below it, its gradient.
//!
//! There is no tape. The network is known, so its backward pass is written out, in mirror order, and
//! reads like the formulas in a paper. What an operation must remember is a small struct, `Saved`, whose
//! fields with their shapes are the memory map of training; all of them lie in one [`arena`] that is
//! sized before the first step and never grows.
//!
//! * [`op`]: linear, SwiGLU, attention, the mixer of groups, norms, embedding, losses.
//! * [`params`]: one flat buffer of values, named ranges in it, packed matrices.
//! * [`optim`]: AdamW, AdamATan2, Muon for matrices, sign-SGD for embeddings, the learning-rate schedule, the moving
//!   average.
//! * [`init`] and [`random`]: starting values; random streams that do not depend on threads.
//! * [`gradcheck`]: finite differences.

#![forbid(unsafe_code)]

pub mod arena;
pub mod gradcheck;
pub mod init;
pub mod op;
pub mod optim;
pub mod params;
pub mod random;
