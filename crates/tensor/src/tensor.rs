//! Tensors.
use crate::{AlignedVec, Shape};
/// Shape and data.
#[derive(Clone, Debug)]
pub struct Tensor {
    shape: Shape,
    data: AlignedVec,
}
impl Tensor {
    /// Zeros.
    pub fn zeros(shape: Shape) -> Self {
        Tensor { shape, data: AlignedVec::zeros(shape.len()) }
    }
    /// Shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }
    /// Data.
    pub fn data(&self) -> &[f32] {
        &self.data
    }
    /// Data.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }
}
