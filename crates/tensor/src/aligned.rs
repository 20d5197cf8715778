//! Buffers on cache-line boundaries.

use memmap2::MmapMut;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io::{self, Read};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::ptr::NonNull;

/// Bytes of a cache line, and of the widest register: a register load from a multiple of this many bytes
/// never touches two lines.
pub const ALIGNMENT: usize = 64;
/// Floats that may lie before the first boundary, and one.
const SPARE: usize = ALIGNMENT / size_of::<f32>();

/// A buffer of `f32` of fixed length that starts on a boundary of [`ALIGNMENT`] bytes.
///
/// Otherwise it is a `Box<[f32]>`: it dereferences to a slice, owns its memory and frees it. That memory may be
/// [on a disk](AlignedVec::zeros_on_disk).
pub struct AlignedVec {
    /// `len` initialised floats, or dangling when `len` is 0.
    ptr: NonNull<f32>,
    len: usize,
    memory: Memory,
}

/// What the floats lie in, to be given back with them.
enum Memory {
    /// Nothing, where there are none.
    None,
    /// What the allocator gave, from its first float on.
    Allocated(NonNull<f32>),
    /// A map of a file.
    Mapped(#[expect(dead_code, reason = "kept to be dropped")] MmapMut),
}

// SAFETY: the buffer is the only owner of its floats, as a Box<[f32]> is, and f32 is Send.
unsafe impl Send for AlignedVec {}
// SAFETY: through a shared reference the floats can only be read, and f32 is Sync.
unsafe impl Sync for AlignedVec {}

impl AlignedVec {
    /// `len` zeros. Where they are many, the system gives memory page by page, when it is written to for the first time.
    ///
    /// Panics when `len` floats are more than the address space holds; aborts when there is no memory left.
    pub fn zeros(len: usize) -> Self {
        if len == 0 {
            return AlignedVec {
                ptr: NonNull::dangling(),
                len,
                memory: Memory::None,
            };
        }
        let layout = Self::layout(len);
        // SAFETY: the layout's size is not zero, since len is not.
        let base = unsafe { alloc_zeroed(layout) }.cast::<f32>();
        let base = NonNull::new(base).unwrap_or_else(|| handle_alloc_error(layout));
        let beyond = base.addr().get() % ALIGNMENT;
        let skipped = (ALIGNMENT - beyond) % ALIGNMENT / size_of::<f32>();
        // SAFETY: `skipped` is less than SPARE, and `layout` has room for `len + SPARE` floats.
        let ptr = unsafe { base.add(skipped) };
        let memory = Memory::Allocated(base);
        AlignedVec { ptr, len, memory }
    }

    /// `len` zeros in a file without a name in `folder`: for a table larger than memory of which a few rows at a
    /// time are looked at.
    ///
    /// The system keeps in memory what is in use and writes the rest to the disk. The zeros are written at once, since
    /// on a disk that is full the first store to a page without room would end the process (SIGBUS). On a file system
    /// that copies on write (Btrfs, ZFS) or compresses zeros away a later store may need new room all the same: keep
    /// some free there. The file is gone with the buffer, or with the process.
    ///
    /// # Errors
    /// When the system cannot make, fill or map such a file.
    ///
    /// # Panics
    /// When `len` floats are more than the address space holds.
    pub fn zeros_on_disk(len: usize, folder: &Path) -> io::Result<Self> {
        if len == 0 {
            return Ok(Self::zeros(0));
        }
        let bytes = Self::layout(len).size();
        let mut file = tempfile::tempfile_in(folder)?;
        io::copy(&mut io::repeat(0).take(bytes as u64), &mut file)?;
        // SAFETY: nobody else writes into the file or cuts it short: it has no name by now, and this function, which has
        // the only handle, gives it to nobody. A program could only get at it by searching the system for open files.
        let mut map = unsafe { MmapMut::map_mut(&file) }?;
        // Pages begin on multiples of far more than ALIGNMENT, and the map stays where it is when it is moved.
        let ptr = NonNull::new(map.as_mut_ptr().cast()).expect("a map has an address");
        let memory = Memory::Mapped(map);
        Ok(AlignedVec { ptr, len, memory })
    }

    /// Whether the floats lie in a file.
    pub fn is_on_disk(&self) -> bool {
        matches!(self.memory, Memory::Mapped(_))
    }

    /// A copy of `values`.
    pub fn from_slice(values: &[f32]) -> Self {
        let mut copy = Self::zeros(values.len());
        copy.copy_from_slice(values);
        copy
    }

    /// Memory in which `len` floats can begin on the boundary.
    ///
    /// It does not ask for that boundary itself: allocators fill aligned memory with zeros of their own, so that all of it
    /// comes into memory, but get other zeroed memory from the system as it is.
    fn layout(len: usize) -> Layout {
        len.checked_add(SPARE)
            .and_then(|floats| Layout::array::<f32>(floats).ok())
            .unwrap_or_else(|| panic!("{len} floats do not fit in the address space"))
    }
}

impl Drop for AlignedVec {
    fn drop(&mut self) {
        if let Memory::Allocated(base) = self.memory {
            // SAFETY: `zeros` allocated base with the layout of this length, and nothing else frees it.
            unsafe { dealloc(base.as_ptr().cast(), Self::layout(self.len)) }
        }
    }
}

impl Deref for AlignedVec {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: ptr points to `len` floats (or len is 0), initialised by `zeros` or read from a file that
        // `zeros_on_disk` filled (all-zero bytes are 0.0); they, or the map that they lie in, live as
        // long as self.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedVec {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`; self is borrowed exclusively, and so are its floats.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl Clone for AlignedVec {
    fn clone(&self) -> Self {
        Self::from_slice(self)
    }
}

impl Default for AlignedVec {
    fn default() -> Self {
        Self::zeros(0)
    }
}

impl std::fmt::Debug for AlignedVec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedVec({} floats)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_zeroed_and_their_own() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let mut a = AlignedVec::zeros(len);
            assert!(a.len() == len && a.iter().all(|&x| x == 0.0));
            assert!(len == 0 || a.as_ptr().addr().is_multiple_of(ALIGNMENT));
            a.fill(2.0);
            let b = a.clone();
            a.fill(3.0);
            assert!(b.iter().all(|&x| x == 2.0) && a.iter().all(|&x| x == 3.0));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no files to map")]
    fn a_buffer_on_disk_is_a_buffer() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut a = AlignedVec::zeros_on_disk(100_000, folder.path()).expect("a file");
        assert!(a.is_on_disk() && a.as_ptr().addr().is_multiple_of(ALIGNMENT));
        assert!(a.len() == 100_000 && a.iter().all(|&x| x == 0.0));
        a[99_999] = 2.0;
        let moved = Box::new(a);
        let copy = moved.clone();
        assert!(moved[99_999] == 2.0 && copy[99_999] == 2.0 && !copy.is_on_disk());
        let names = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(names, 0, "the file has no name");
        assert!(
            !AlignedVec::zeros_on_disk(0, folder.path())
                .expect("nothing")
                .is_on_disk()
        );
        let nowhere = folder.path().join("nowhere");
        assert!(AlignedVec::zeros_on_disk(1, &nowhere).is_err());
    }

    #[test]
    #[should_panic(expected = "do not fit in the address space")]
    fn impossible_lengths_panic_and_do_not_wrap() {
        AlignedVec::zeros(usize::MAX / 2);
    }
}
