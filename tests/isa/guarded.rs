//! Matrices in the middle of a larger buffer, so that a step beyond the edge is seen.

use trm_kernels::{MatMut, MatRef};

/// A number that is none, with a pattern of bits that no kernel makes.
const CANARY: u32 = 0x7fc0_dead;

/// A matrix with room around its rows and between them, filled with canaries.
pub struct Guarded {
    buffer: Vec<f32>,
    offset: usize,
    rows: usize,
    cols: usize,
    stride: usize,
}

impl Guarded {
    /// A copy of `values`, `offset` floats into the buffer, rows `gap` floats apart.
    pub fn new(values: &[f32], (rows, cols): (usize, usize), offset: usize, gap: usize) -> Self {
        assert_eq!(values.len(), rows * cols);
        let mut guarded = Self::poisoned((rows, cols), offset, gap);
        for (i, row) in values.chunks_exact(cols.max(1)).enumerate() {
            guarded.view().row(i).copy_from_slice(row);
        }
        guarded
    }

    /// The same with every element NaN: an output that must be overwritten.
    pub fn poisoned((rows, cols): (usize, usize), offset: usize, gap: usize) -> Self {
        const BEYOND: usize = 70; // more than any register
        let stride = cols + gap;
        let buffer = vec![f32::from_bits(CANARY); offset + rows * stride + BEYOND];
        Guarded {
            buffer,
            offset,
            rows,
            cols,
            stride,
        }
    }

    /// The matrix.
    pub fn view(&mut self) -> MatMut<'_> {
        let (rows, cols, stride) = (self.rows, self.cols, self.stride);
        let end = self.offset + rows * stride;
        MatMut::with_stride(&mut self.buffer[self.offset..end], rows, cols, stride)
    }

    /// The matrix, read-only.
    pub fn read(&self) -> MatRef<'_> {
        let end = self.offset + self.rows * self.stride;
        MatRef::with_stride(
            &self.buffer[self.offset..end],
            self.rows,
            self.cols,
            self.stride,
        )
    }

    /// Its elements, after checking that everything around them is as it was.
    #[track_caller]
    pub fn values(&self) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.rows * self.cols);
        for (at, &x) in self.buffer.iter().enumerate() {
            let (row, col) = match at.checked_sub(self.offset) {
                Some(at) => (at / self.stride.max(1), at % self.stride.max(1)),
                None => (usize::MAX, 0),
            };
            if row < self.rows && col < self.cols {
                values.push(x);
            } else {
                assert_eq!(x.to_bits(), CANARY, "written outside, at {at}: {x}");
            }
        }
        values
    }
}

#[test]
#[should_panic(expected = "written outside, at 7")]
fn a_write_between_rows_is_seen() {
    let mut matrix = Guarded::new(&[1.0, 2.0, 3.0, 4.0], (2, 2), 5, 1);
    assert_eq!(matrix.values(), [1.0, 2.0, 3.0, 4.0]);
    matrix.buffer[7] = 0.0;
    matrix.values();
}

#[test]
#[should_panic(expected = "written outside, at 11")]
fn a_write_behind_the_last_row_is_seen() {
    let mut matrix = Guarded::poisoned((2, 2), 5, 1);
    matrix.buffer[11] = f32::NAN;
    matrix.values();
}
