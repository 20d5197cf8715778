//! Tensors at rest.
pub mod aligned;
pub mod safetensors;
pub mod shape;
pub mod tensor;
pub use aligned::AlignedVec;
pub use shape::Shape;
pub use tensor::Tensor;
