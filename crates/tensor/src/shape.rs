//! Sizes of a tensor along its axes.

use std::fmt;

/// Most axes of a tensor.
pub const MAX_RANK: usize = 4;

/// The sizes of up to [`MAX_RANK`] axes, outermost first; the last axis is contiguous in memory.
///
/// Shows as `512 x 97`; without axes, as `scalar`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The first `rank` are in use, the others are 0.
    dims: [usize; MAX_RANK],
    rank: usize,
}

impl Shape {
    /// The shape with these axes, or none when there are more than [`MAX_RANK`] or their product
    /// overflows.
    pub fn from_dims(dims: &[usize]) -> Option<Self> {
        let mut shape = Shape {
            dims: [0; MAX_RANK],
            rank: dims.len(),
        };
        shape.dims.get_mut(..dims.len())?.copy_from_slice(dims);
        dims.iter()
            .try_fold(1_usize, |len, &dim| len.checked_mul(dim))?;
        Some(shape)
    }

    /// Number of elements: the product of all axes, 1 without axes.
    pub fn len(&self) -> usize {
        self.dims().iter().product()
    }

    /// True when an axis is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The axes.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    /// Panics when N is more than [`MAX_RANK`] or the product overflows.
    fn from(dims: [usize; N]) -> Self {
        Shape::from_dims(&dims).unwrap_or_else(|| panic!("{dims:?} is not the shape of a tensor"))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<_> = self.dims().iter().map(usize::to_string).collect();
        f.write_str(if dims.is_empty() { "scalar" } else { "" })?;
        f.write_str(&dims.join(" x "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_count_and_show_their_elements() {
        for (dims, len, shown) in [
            (&[][..], 1, "scalar"),
            (&[7], 7, "7"),
            (&[3, 0], 0, "3 x 0"),
            (&[2, 3, 4, 5], 120, "2 x 3 x 4 x 5"),
        ] {
            let shape = Shape::from_dims(dims).expect("a shape");
            assert_eq!(
                (shape.len(), shape.to_string(), shape.dims()),
                (len, shown.into(), dims)
            );
            assert_eq!(shape.is_empty(), len == 0);
        }
        assert_ne!(Shape::from([2]), Shape::from([2, 1]));
    }

    #[test]
    fn impossible_shapes_are_refused() {
        assert_eq!(Shape::from_dims(&[1; 5]), None);
        assert_eq!(Shape::from_dims(&[usize::MAX, 2]), None);
    }
}
