//! Hand-written SIMD kernels: the only arithmetic that the trm engine spends time in.
//!
//! Every kernel is one generic function over [`simd::Isa`], compiled once for each instruction set and
//! reached through a table of function pointers:
//!
//! ```
//! use trm_kernels::{Kernels, Lhs, MatMut, MatRef, Rhs, SCRATCH, Write};
//!
//! let kernels = Kernels::best()?; // the widest of this CPU, or the one that TRM_ISA names
//! let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
//! let (mut c, mut scratch) = ([0.0; 4], vec![0.0; SCRATCH]);
//! kernels.matmul(
//!     MatMut::new(&mut c, 2, 2),
//!     Lhs::Plain(MatRef::new(&a, 2, 2)),
//!     Rhs::Plain(MatRef::new(&b, 2, 2)),
//!     Write::Overwrite,
//!     &mut scratch,
//! );
//! assert_eq!(c, [19.0, 22.0, 43.0, 50.0]);
//! # Ok::<(), trm_kernels::UnknownIsa>(())
//! ```
//!
//! The contract of all of them: matrices are row-major views ([`MatRef`], [`MatMut`]) whose bounds are
//! checked when they are made; a kernel checks that shapes agree and panics if not; it allocates nothing;
//! it overwrites its outputs unless its name or first sentence says that it adds or works in place.
//!
//! Where a CPU has halves, [`Kernels::in_precision`] returns kernels that multiply in half precision and are called
//! in the same way.
//!
//! Where to read on: [`simd`] (the registers), [`matmul`] (where nine tenths of the time goes) and [`matmul::half`],
//! [`attention`], [`rms_norm`], [`swiglu`], [`gated_norm`], [`softmax`], [`rope`], [`gather`], [`elementwise`]: in each
//! file the forward kernel comes first and its gradient directly below. [`adam`] turns gradients into new weights.
//! [`mod@reference`] says the same in plain f64.

#![deny(unsafe_code)]

pub mod adam;
pub mod attention;
#[allow(
    unsafe_code,
    reason = "it calls functions that need instructions of the CPU, and knows it has them"
)]
pub mod dispatch;
pub mod elementwise;
pub mod gated_norm;
pub mod gather;
mod lanes;
pub mod matmul;
pub mod peak;
pub mod precision;
pub mod reference;
pub mod rms_norm;
pub mod rope;
mod shapes;
pub mod simd;
pub mod softmax;
pub mod swiglu;
pub mod view;

pub use dispatch::{ISA_NAMES, Kernels, UnknownIsa};
pub use matmul::{Lhs, Packed, Rhs, SCRATCH, Write};
pub use precision::{NoHalves, Precision};
pub use view::{MatMut, MatRef};
