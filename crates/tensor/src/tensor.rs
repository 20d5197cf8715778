//! A buffer with a shape.

use crate::{AlignedVec, Shape};

/// Numbers and their shape, row-major without gaps.
#[derive(Clone, Debug)]
pub struct Tensor {
    shape: Shape,
    data: AlignedVec,
}

impl Tensor {
    /// Zeros of the given shape.
    pub fn zeros(shape: Shape) -> Self {
        Tensor {
            shape,
            data: AlignedVec::zeros(shape.len()),
        }
    }

    /// Its shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Its numbers, the last axis fastest.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Its numbers, the last axis fastest, to be changed.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_holds_as_many_numbers_as_its_shape_says() {
        let mut t = Tensor::zeros(Shape::from([2, 3]));
        t.data_mut()[5] = 1.0;
        assert_eq!(t.data(), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(t.shape(), Shape::from([2, 3]));
    }
}
