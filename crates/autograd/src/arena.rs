//! One block of memory, carved into named slices by one layout function.
//!
//! A layout is a generic function over [`Carver`]: run with [`Count`] it adds up the floats that it will
//! need, run with [`Carve`] it hands out disjoint slices of one buffer. Sizes and pointers come from the
//! same lines and cannot disagree.
//!
//! ```
//! use trm_autograd::arena::{Carve, Carver, Count};
//!
//! struct Workspace<'a> {
//!     x: &'a mut [f32],   // (N, D)
//!     d_x: &'a mut [f32], // (N, D)
//! }
//! fn layout<'a>(arena: &mut impl Carver<'a>, n: usize, d: usize) -> Workspace<'a> {
//!     Workspace { x: arena.floats(n * d), d_x: arena.floats(n * d) }
//! }
//!
//! let mut count = Count::default();
//! layout(&mut count, 3, 5);
//! let mut buffer = vec![0.0; count.total()];
//! let workspace = layout(&mut Carve::new(&mut buffer), 3, 5);
//! assert_eq!((workspace.x.len(), workspace.d_x.len()), (15, 15));
//! ```

/// Floats in a cache line: every slice starts on one.
const LINE: usize = 16;

/// Hands out slices, or counts them.
pub trait Carver<'a> {
    /// The next `len` floats, with unspecified contents. While counting, an empty slice.
    fn floats(&mut self, len: usize) -> &'a mut [f32];
}

/// Adds up what a layout asks for.
#[derive(Debug, Default)]
pub struct Count {
    total: usize,
}

impl Count {
    /// Floats that the layout needs.
    pub fn total(&self) -> usize {
        self.total
    }
}

impl<'a> Carver<'a> for Count {
    fn floats(&mut self, len: usize) -> &'a mut [f32] {
        self.total += len.next_multiple_of(LINE);
        &mut []
    }
}

/// Hands out the slices of one buffer, front to back.
#[derive(Debug)]
pub struct Carve<'a> {
    rest: &'a mut [f32],
}

impl<'a> Carve<'a> {
    /// Carves `buffer`, at least as long as [`Count::total`] of the same layout.
    pub fn new(buffer: &'a mut [f32]) -> Self {
        Carve { rest: buffer }
    }
}

impl<'a> Carver<'a> for Carve<'a> {
    /// Panics when the buffer is used up: the layout was counted for other sizes.
    fn floats(&mut self, len: usize) -> &'a mut [f32] {
        let rest = std::mem::take(&mut self.rest);
        let (slice, rest) = rest.split_at_mut(len.next_multiple_of(LINE));
        self.rest = rest;
        &mut slice[..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_and_carving_agree_and_slices_are_disjoint() {
        let lengths = [0, 1, 15, 16, 17, 100];
        let mut count = Count::default();
        for len in lengths {
            count.floats(len);
        }
        let mut buffer = vec![0.0; count.total()];
        let mut carve = Carve::new(&mut buffer);
        let slices: Vec<_> = lengths.iter().map(|&len| carve.floats(len)).collect();
        assert!(carve.rest.is_empty());
        for (i, slice) in slices.into_iter().enumerate() {
            assert_eq!(slice.len(), lengths[i]);
            assert!(
                slice.iter().all(|&x| x == 0.0),
                "another slice reaches into this one"
            );
            slice.fill(1.0 + i as f32);
        }
    }

    #[test]
    #[should_panic]
    fn carving_more_than_was_counted_panics() {
        Carve::new(&mut [0.0; 16]).floats(17);
    }
}
