//! Tensors at rest: memory for numbers, their shapes, and files. Nothing here computes.
//!
//! A number in this engine is an `f32`, and it lives in one of three places:
//!
//! * [`AlignedVec`]: a buffer of fixed length on a cache-line boundary. All large memory of a run (weights,
//!   moments, gradients, the carry, the workers' arenas) is a handful of these, allocated at the start.
//! * [`Tensor`]: such a buffer with a [`Shape`]. There are no strides and no views: the kernels have
//!   `MatRef` and `MatMut` for that, and cut them out of plain slices.
//! * a [`safetensors`] file: named tensors and text. Each tensor is read when it is asked for; writing replaces a
//!   file whole or not at all.
//!
//! ```
//! use std::collections::BTreeMap;
//! use trm_tensor::Shape;
//! use trm_tensor::safetensors::{self, Data, SafeTensorsFile};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("three.safetensors");
//! let tensors = [("weights", Shape::from([3]), Data::F32(&[0.5, 1.0, 2.0]))];
//! safetensors::write(&path, tensors, BTreeMap::new())?;
//!
//! let file = SafeTensorsFile::open(&path)?;
//! assert_eq!(*file.f32s("weights")?, [0.5, 1.0, 2.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "it owns raw memory")]
pub mod aligned;
pub mod file;
pub mod safetensors;
pub mod shape;
pub mod tensor;

pub use aligned::AlignedVec;
pub use shape::Shape;
pub use tensor::Tensor;
