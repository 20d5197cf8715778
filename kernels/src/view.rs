//! Matrices as kernels see them: a slice, rows, columns and a row stride.
//!
//! All bounds are checked once, in the constructors: row `i` is `data[i * stride .. i * stride + cols]`
//! and always exists for `i < rows`. A view of some columns of a wider matrix keeps its stride.

use std::ops::Range;

/// A read-only row-major matrix, `rows x cols`.
#[derive(Clone, Copy, Debug)]
pub struct MatRef<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    stride: usize,
}

/// A writable row-major matrix, `rows x cols`.
#[derive(Debug)]
pub struct MatMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    cols: usize,
    stride: usize,
}

/// Floats from the first element of a matrix to the last; none if no `usize` can hold their number.
#[inline(always)]
fn floats(rows: usize, cols: usize, stride: usize) -> Option<usize> {
    match rows {
        0 => Some(0),
        _ => (rows - 1).checked_mul(stride)?.checked_add(cols),
    }
}

/// Panics unless a matrix of this shape lies within `len` floats.
#[inline(always)]
fn check(len: usize, rows: usize, cols: usize, stride: usize) {
    if cols > stride || floats(rows, cols, stride).is_none_or(|end| end > len) {
        does_not_fit(len, rows, cols, stride);
    }
}

// Failures are functions of their own that take plain numbers: a message formatted in place would keep
// every view of a kernel's inner loops in memory.

#[cold]
#[inline(never)]
fn does_not_fit(len: usize, rows: usize, cols: usize, stride: usize) -> ! {
    assert!(
        cols <= stride,
        "{cols} columns do not fit a row stride of {stride}"
    );
    match floats(rows, cols, stride) {
        Some(end) => panic!("{rows} x {cols} (stride {stride}) needs {end} floats, got {len}"),
        None => panic!("{rows} x {cols} (stride {stride}) needs too many floats, got {len}"),
    }
}

#[cold]
#[inline(never)]
fn out_of_range(what: &str, start: usize, end: usize, of: usize) -> ! {
    panic!("{what} {start}..{end} of {of}");
}

/// Panics unless `range` lies within `0..of`.
#[inline(always)]
fn check_range(what: &str, range: &Range<usize>, of: usize) {
    if range.start > range.end || range.end > of {
        out_of_range(what, range.start, range.end, of);
    }
}

/// The first float of a window that starts at `start`; an empty window may start at the very end.
#[inline(always)]
fn clamp(start: usize, len: usize) -> usize {
    start.min(len)
}

impl<'a> MatRef<'a> {
    /// A contiguous matrix. Panics when `data` is shorter than `rows * cols`.
    #[inline(always)]
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::with_stride(data, rows, cols, cols)
    }

    /// Rows `stride` floats apart. Panics when a row would leave `data`.
    #[inline(always)]
    pub fn with_stride(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        check(data.len(), rows, cols, stride);
        MatRef {
            data,
            rows,
            cols,
            stride,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All floats from the first element on, and the distance between rows.
    pub fn parts(&self) -> (&'a [f32], usize) {
        (self.data, self.stride)
    }

    /// Row `i`. Panics when there is none.
    #[inline(always)]
    pub fn row(&self, i: usize) -> &'a [f32] {
        check_range("rows", &(i..i + 1), self.rows);
        &self.data[i * self.stride..][..self.cols]
    }

    /// The columns of `range`, in every row.
    #[inline(always)]
    pub fn columns(&self, range: Range<usize>) -> Self {
        check_range("columns", &range, self.cols);
        let data = &self.data[clamp(range.start, self.data.len())..];
        Self::with_stride(data, self.rows, range.len(), self.stride)
    }

    /// The rows of `range`.
    #[inline(always)]
    pub fn row_range(&self, range: Range<usize>) -> Self {
        check_range("rows", &range, self.rows);
        let data = &self.data[clamp(range.start * self.stride, self.data.len())..];
        Self::with_stride(data, range.len(), self.cols, self.stride)
    }
}

impl<'a> MatMut<'a> {
    /// A contiguous matrix. Panics when `data` is shorter than `rows * cols`.
    #[inline(always)]
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        Self::with_stride(data, rows, cols, cols)
    }

    /// Rows `stride` floats apart. Panics when a row would leave `data`.
    #[inline(always)]
    pub fn with_stride(data: &'a mut [f32], rows: usize, cols: usize, stride: usize) -> Self {
        check(data.len(), rows, cols, stride);
        MatMut {
            data,
            rows,
            cols,
            stride,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row `i`. Panics when there is none.
    #[inline(always)]
    pub fn row(&mut self, i: usize) -> &mut [f32] {
        check_range("rows", &(i..i + 1), self.rows);
        &mut self.data[i * self.stride..][..self.cols]
    }

    /// All rows, one after the other; none if they have no columns.
    #[inline(always)]
    pub fn into_rows(self) -> impl Iterator<Item = &'a mut [f32]> {
        let (cols, stride) = (self.cols, self.stride);
        let end = match self.rows.min(cols) {
            0 => 0,
            _ => (self.rows - 1) * stride + cols,
        };
        self.data[..end]
            .chunks_mut(stride.max(1))
            .map(move |row| &mut row[..cols])
    }

    /// The same matrix, borrowed for a shorter time.
    #[inline(always)]
    pub fn reborrow(&mut self) -> MatMut<'_> {
        MatMut {
            data: self.data,
            rows: self.rows,
            cols: self.cols,
            stride: self.stride,
        }
    }

    /// The same matrix, read-only.
    #[inline(always)]
    pub fn as_ref(&self) -> MatRef<'_> {
        MatRef {
            data: self.data,
            rows: self.rows,
            cols: self.cols,
            stride: self.stride,
        }
    }

    /// The columns of `range`, in every row.
    #[inline(always)]
    pub fn columns(&mut self, range: Range<usize>) -> MatMut<'_> {
        check_range("columns", &range, self.cols);
        let start = clamp(range.start, self.data.len());
        MatMut::with_stride(&mut self.data[start..], self.rows, range.len(), self.stride)
    }

    /// The rows of `range`.
    #[inline(always)]
    pub fn row_range(&mut self, range: Range<usize>) -> MatMut<'_> {
        check_range("rows", &range, self.rows);
        let start = clamp(range.start * self.stride, self.data.len());
        MatMut::with_stride(&mut self.data[start..], range.len(), self.cols, self.stride)
    }

    /// The rows before `row`, and the others.
    #[inline(always)]
    pub fn split_rows(&mut self, row: usize) -> (MatMut<'_>, MatMut<'_>) {
        check_range("rows", &(0..row), self.rows);
        let start = clamp(row * self.stride, self.data.len());
        let (upper, lower) = self.data.split_at_mut(start);
        (
            MatMut::with_stride(upper, row, self.cols, self.stride),
            MatMut::with_stride(lower, self.rows - row, self.cols, self.stride),
        )
    }

    /// A block of rows and columns.
    #[inline(always)]
    pub fn block(&mut self, rows: Range<usize>, cols: Range<usize>) -> MatMut<'_> {
        check_range("rows", &rows, self.rows);
        check_range("columns", &cols, self.cols);
        // A block without rows may start at the end of a matrix with any stride.
        let start = rows.start.saturating_mul(self.stride);
        let start = clamp(start.saturating_add(cols.start), self.data.len());
        MatMut::with_stride(&mut self.data[start..], rows.len(), cols.len(), self.stride)
    }

    /// Writes `value` everywhere.
    pub fn fill(&mut self, value: f32) {
        for i in 0..self.rows {
            self.row(i).fill(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MatMut, MatRef};

    /// 2^64 floats, which a product that wraps takes for none.
    #[test]
    #[cfg(target_pointer_width = "64")]
    #[should_panic(expected = "needs too many floats, got 0")]
    fn more_floats_than_can_be_counted_do_not_fit() {
        // One row more, since the last needs no whole stride.
        MatRef::with_stride(&[], (1 << 32) + 1, 0, 1 << 32);
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    #[should_panic(expected = "needs too many floats, got 0")]
    fn nor_does_a_square_of_them() {
        MatRef::new(&[], 1 << 32, 1 << 32);
    }

    #[test]
    fn an_empty_block_may_start_anywhere() {
        let mut data = [1.0, 2.0];
        let mut matrix = MatMut::with_stride(&mut data, 1, 2, usize::MAX);
        assert_eq!(matrix.block(1..1, 1..2).rows(), 0);
        assert_eq!(matrix.block(0..1, 1..2).row(0), [2.0]);
    }

    #[test]
    fn all_rows_of_a_view_and_nothing_else() {
        for (rows, cols, stride) in [
            (3, 4, 4),
            (3, 2, 4),
            (1, 4, 7),
            (0, 4, 4),
            (3, 0, 0),
            (3, 0, 2),
        ] {
            let mut data = [0.0; 12];
            let end = if rows == 0 {
                0
            } else {
                (rows - 1) * stride + cols
            };
            let matrix = MatMut::with_stride(&mut data[..end], rows, cols, stride);
            let mut count = 0;
            for (i, row) in matrix.into_rows().enumerate() {
                count += 1;
                assert_eq!(row.len(), cols);
                row.fill(1.0 + i as f32);
            }
            assert_eq!(count, if cols == 0 { 0 } else { rows });
            for (at, value) in data.into_iter().enumerate() {
                let (i, j) = (at / stride.max(1), at % stride.max(1));
                let expected = if i < rows && j < cols {
                    1.0 + i as f32
                } else {
                    0.0
                };
                assert_eq!(value, expected, "{rows} x {cols}, stride {stride}, at {at}");
            }
        }
    }
}
