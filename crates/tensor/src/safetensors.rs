//! Files of named tensors in the safetensors format, read in place and replaced whole.
//!
//! Such a file is the length of a JSON header (8 bytes, little-endian), the header, and the numbers. The
//! header gives each tensor's type, shape and place, and a map of text to text under `__metadata__`. The
//! `safetensors` crate parses it and checks that the tensors cover the rest of the file without gap or
//! overlap; this module adds the memory map, the casts, and errors for people.
//!
//! Two types of numbers exist here: `F32` for values and `U8` for tokens and flags.

use crate::{Shape, file};
use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, SafeTensorError, SafeTensors, TensorInfo, View};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

#[cfg(target_endian = "big")]
compile_error!("safetensors files are little-endian, and numbers are read from them in place");

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be opened or mapped.
    #[error("cannot read {path}: {error}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file cannot be written; one that was there before is as it was.
    #[error(
        "cannot write {path}: {error}; check that its folder exists, is writable and has space left",
        path = path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The bytes are not a safetensors file, or not all of one.
    #[error("{path}: not a whole safetensors file: {error}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: SafeTensorError,
    },
    /// There is no tensor of this name.
    #[error("{path}: no tensor `{name}`; it holds {}", listed(present), path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor that was asked for.
        name: String,
        /// The tensors that are there.
        present: Vec<String>,
    },
    /// The tensor's numbers are of another type than was asked for.
    #[error("{path}: tensor `{name}` holds numbers of type {got}, expected {want}", path = path.display())]
    WrongType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        got: Dtype,
        /// The type asked for.
        want: Dtype,
    },
    /// The tensor has more axes than any of ours.
    #[error(
        "{path}: tensor `{name}` has {rank} axes, expected at most {max}",
        path = path.display(), max = crate::shape::MAX_RANK
    )]
    TooManyAxes {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The number of its axes.
        rank: usize,
    },
}

/// The first few names, for a message.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len() {
        0 => "none".into(),
        n if n > SHOWN => format!("{shown}, and {} more", n - SHOWN),
        _ => shown,
    }
}

/// A safetensors file mapped into memory; tensors are looked at where they lie.
#[derive(Debug)]
pub struct SafeTensorsFile {
    path: PathBuf,
    map: Mmap,
    /// Where the numbers start in the map.
    data_at: usize,
    header: Metadata,
    /// The text under `__metadata__`.
    metadata: BTreeMap<String, String>,
}

impl SafeTensorsFile {
    /// Maps the file at `path` and checks its header; the numbers are read when they are asked for.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a whole safetensors file.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let read = |error| FileError::Read {
            path: path.into(),
            error,
        };
        let file = File::open(path).map_err(read)?;
        // SAFETY: the map is read-only, and its bytes stay as they are as long as nobody writes into the
        // file or cuts it short while it is open. `write` below never does: it makes a new file and
        // renames it over the old one, whose map stays valid. That no other program edits a weights file
        // in place while it is being loaded is left to whoever runs that program.
        let map = unsafe { Mmap::map(&file) }.map_err(read)?;
        let (header_len, header) =
            SafeTensors::read_metadata(&map).map_err(|error| FileError::Malformed {
                path: path.into(),
                error,
            })?;
        let metadata = header
            .metadata()
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect();
        Ok(SafeTensorsFile {
            path: path.into(),
            map,
            data_at: size_of::<u64>() + header_len,
            header,
            metadata,
        })
    }

    /// The text stored with the tensors.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The names of all tensors, in the order in which they lie in the file.
    pub fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// The shape of tensor `name`.
    ///
    /// # Errors
    /// When there is no such tensor, or it has too many axes.
    pub fn shape(&self, name: &str) -> Result<Shape, FileError> {
        let info = self.info(name)?;
        Shape::from_dims(&info.shape).ok_or_else(|| FileError::TooManyAxes {
            path: self.path.clone(),
            name: name.into(),
            rank: info.shape.len(),
        })
    }

    /// The numbers of the f32 tensor `name`: borrowed from the map, or a copy where a foreign writer put
    /// them at an address that no `f32` can have.
    ///
    /// # Errors
    /// When there is no such tensor, or its numbers are not f32.
    pub fn f32s(&self, name: &str) -> Result<Cow<'_, [f32]>, FileError> {
        let bytes = self.bytes(name, Dtype::F32)?;
        Ok(match bytemuck::try_cast_slice(bytes) {
            Ok(floats) => Cow::Borrowed(floats),
            Err(_) => Cow::Owned(
                bytes
                    .chunks_exact(4)
                    .map(bytemuck::pod_read_unaligned)
                    .collect(),
            ),
        })
    }

    /// The bytes of the u8 tensor `name`.
    ///
    /// # Errors
    /// When there is no such tensor, or its numbers are not u8.
    pub fn u8s(&self, name: &str) -> Result<&[u8], FileError> {
        self.bytes(name, Dtype::U8)
    }

    fn info(&self, name: &str) -> Result<&TensorInfo, FileError> {
        self.header.info(name).ok_or_else(|| FileError::Missing {
            path: self.path.clone(),
            name: name.into(),
            present: self.names(),
        })
    }

    fn bytes(&self, name: &str, want: Dtype) -> Result<&[u8], FileError> {
        let info = self.info(name)?;
        if info.dtype != want {
            return Err(FileError::WrongType {
                path: self.path.clone(),
                name: name.into(),
                got: info.dtype,
                want,
            });
        }
        // `read_metadata` has checked that the offsets lie within the map.
        let (start, end) = info.data_offsets;
        Ok(&self.map[self.data_at + start..self.data_at + end])
    }
}

/// The numbers of a tensor to be written.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// Values.
    F32(&'a [f32]),
    /// Tokens, flags, or the bytes of something else.
    U8(&'a [u8]),
}

/// A tensor as the `safetensors` crate wants to see it.
struct Entry<'a> {
    shape: Shape,
    data: Data<'a>,
}

impl View for Entry<'_> {
    fn dtype(&self) -> Dtype {
        match self.data {
            Data::F32(_) => Dtype::F32,
            Data::U8(_) => Dtype::U8,
        }
    }
    fn shape(&self) -> &[usize] {
        self.shape.dims()
    }
    fn data(&self) -> Cow<'_, [u8]> {
        match self.data {
            Data::F32(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
            Data::U8(bytes) => Cow::Borrowed(bytes),
        }
    }
    fn data_len(&self) -> usize {
        View::data(self).len()
    }
}

/// Writes tensors and text to `path`, whole or not at all.
///
/// See [`file::replace`].
///
/// Panics when a tensor's numbers are not as many as its shape says.
///
/// # Errors
/// When the file cannot be written; the unfinished file is then removed.
pub fn write<'a, N: AsRef<str> + Ord + std::fmt::Display>(
    path: &Path,
    tensors: impl IntoIterator<Item = (N, Shape, Data<'a>)>,
    metadata: BTreeMap<String, String>,
) -> Result<(), FileError> {
    let entries: Vec<(N, Entry<'_>)> = tensors
        .into_iter()
        .map(|(name, shape, data)| {
            let len = match data {
                Data::F32(values) => values.len(),
                Data::U8(bytes) => bytes.len(),
            };
            assert_eq!(len, shape.len(), "tensor {name} of shape {shape}");
            (name, Entry { shape, data })
        })
        .collect();
    let metadata: HashMap<_, _> = metadata.into_iter().collect();
    // Not `serialize_to_file`: it renames without waiting for the disk, and hides the file from others.
    let written = safetensors::serialize(entries, Some(metadata))
        .map_err(io::Error::other)
        .and_then(|bytes| file::replace(path, &bytes));
    written.map_err(|error| FileError::Write {
        path: path.into(),
        error,
    })
}

#[cfg(test)]
mod tests;
