//! Shapes.
/// Up to four dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    dims: [usize; 4],
    rank: usize,
}
impl Shape {
    /// Product.
    pub fn len(&self) -> usize {
        self.dims().iter().product()
    }
    /// Empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Dims.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }
}
impl<const N: usize> From<[usize; N]> for Shape {
    fn from(d: [usize; N]) -> Self {
        let mut dims = [0; 4];
        dims[..N].copy_from_slice(&d);
        Shape { dims, rank: N }
    }
}
impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.dims())
    }
}
