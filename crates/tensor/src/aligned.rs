//! Aligned buffers.
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
/// Fixed-length f32 buffer on 64-byte boundaries.
pub struct AlignedVec {
    ptr: NonNull<f32>,
    len: usize,
}
// SAFETY: it owns its floats, like a Box<[f32]>.
unsafe impl Send for AlignedVec {}
// SAFETY: shared access only reads.
unsafe impl Sync for AlignedVec {}
impl AlignedVec {
    fn layout(len: usize) -> Layout {
        Layout::array::<f32>(len).and_then(|l| l.align_to(64)).expect("fits")
    }
    /// Zeros.
    pub fn zeros(len: usize) -> Self {
        if len == 0 {
            return AlignedVec { ptr: NonNull::dangling(), len };
        }
        let layout = Self::layout(len);
        // SAFETY: size is not zero.
        let ptr = unsafe { alloc_zeroed(layout) }.cast::<f32>();
        AlignedVec { ptr: NonNull::new(ptr).unwrap_or_else(|| handle_alloc_error(layout)), len }
    }
    /// Copy.
    pub fn from_slice(x: &[f32]) -> Self {
        let mut v = Self::zeros(x.len());
        v.copy_from_slice(x);
        v
    }
}
impl Drop for AlignedVec {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: allocated with the same layout.
            unsafe { dealloc(self.ptr.as_ptr().cast(), Self::layout(self.len)) }
        }
    }
}
impl Deref for AlignedVec {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: ptr holds len floats.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}
impl DerefMut for AlignedVec {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: ptr holds len floats, borrowed uniquely.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}
impl Clone for AlignedVec {
    fn clone(&self) -> Self {
        Self::from_slice(self)
    }
}
impl std::fmt::Debug for AlignedVec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedVec({})", self.len)
    }
}
impl Default for AlignedVec {
    fn default() -> Self {
        Self::zeros(0)
    }
}
