//! Files of named tensors in the safetensors format, read tensor by tensor and replaced whole.
//!
//! Such a file is the length of a JSON header (8 bytes, little-endian), the header, and the numbers. The
//! header gives each tensor's type, shape and place, and a map of text to text under `__metadata__`. The
//! `safetensors` crate parses it and checks that the tensors follow each other without gap or overlap; this module
//! checks that they end where the file does, and reads each into the place where it is wanted.
//!
//! Two types of numbers exist here: `F32` for values and `U8` for tokens and flags.
//!
//! Every tensor that is written here has a checksum among the text, `crc32:NAME`, over its shape and its numbers,
//! and so has the text itself, `crc32`: eight hexadecimal digits each. Whatever is read is compared with them. Files of
//! others have none; what they keep under these keys is text like any other, unless it
//! has the form of a checksum and the name of a tensor of theirs: such a file is taken for one of trm's that was
//! damaged.

mod error;
mod write;

pub use error::FileError;
pub use write::{Data, write};

use crate::Shape;
use safetensors::tensor::{Dtype, Metadata, SafeTensorError, TensorInfo};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

#[cfg(target_endian = "big")]
compile_error!("safetensors files are little-endian, and numbers are read from them as they are");

/// An open safetensors file: its header in memory, its numbers on the disk.
#[derive(Debug)]
pub struct SafeTensorsFile {
    path: PathBuf,
    /// Locked while a reader moves it to a tensor and reads that.
    file: Mutex<File>,
    /// Where the numbers start in the file.
    data_at: u64,
    header: Metadata,
    /// The text under `__metadata__`, without the checksums.
    metadata: BTreeMap<String, String>,
    /// The checksum that the file says for each tensor; none in a file of somebody else's.
    checksums: Option<BTreeMap<String, String>>,
}

/// The key of the text's checksum.
const CHECKSUM: &str = "crc32";

/// What the key of a tensor's checksum begins with.
const CHECKSUM_OF: &str = "crc32:";

/// Bytes of a tensor that are checked at a time.
const PART: usize = 1 << 20;

/// The checksum of a tensor: CRC-32 of its axes, eight bytes each, and its bytes.
fn checksum(shape: &[usize], bytes: &[u8]) -> String {
    let mut hasher = hasher_of(shape);
    hasher.update(bytes);
    digits(hasher)
}

/// A checksum that goes on with the bytes of a tensor of this shape.
fn hasher_of(shape: &[usize]) -> crc32fast::Hasher {
    let mut hasher = crc32fast::Hasher::new();
    for &axis in shape {
        hasher.update(&(axis as u64).to_le_bytes());
    }
    hasher
}

fn digits(hasher: crc32fast::Hasher) -> String {
    format!("{:08x}", hasher.finalize())
}

/// The checksum of all text, that of the tensors' checksums too.
fn checksum_of_text<'a>(text: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let mut hasher = crc32fast::Hasher::new();
    for part in text.flat_map(|(key, value)| [key, value]) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    digits(hasher)
}

impl SafeTensorsFile {
    /// Opens the file at `path` and checks its header; the numbers are read when they are asked for.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a whole safetensors file.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let failed = |error| match error {
            SafeTensorError::IoError(error) => FileError::Read {
                path: path.into(),
                error,
            },
            error => FileError::Malformed {
                path: path.into(),
                error,
            },
        };
        let mut file = File::open(path).map_err(|error| failed(error.into()))?;
        if let Some(first) = foreign(&mut file).map_err(|error| failed(error.into()))? {
            let path = path.into();
            return Err(FileError::Foreign { path, first });
        }
        let (data_at, header) = read_header(&mut file).map_err(failed)?;
        let text = header.metadata().clone().unwrap_or_default();
        let mut text: BTreeMap<String, String> = text.into_iter().collect();
        let checked = has_checksums(&header, &text);
        if checked {
            let stated = text.remove(CHECKSUM).unwrap_or_else(|| "none".into());
            let found = checksum_of_text(text.iter());
            check(path, "the text of its header", found, stated)?;
        }
        let checksums = checked.then(|| checksums(&mut text));
        Ok(SafeTensorsFile {
            path: path.into(),
            file: Mutex::new(file),
            data_at,
            header,
            metadata: text,
            checksums,
        })
    }

    /// Whether the file has checksums, and so was written by [`write()`].
    pub fn has_checksums(&self) -> bool {
        self.checksums.is_some()
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

    /// The numbers of the f32 tensor `name`.
    ///
    /// # Errors
    /// When there is no such tensor, or its numbers are not f32 or not those that were written.
    pub fn f32s(&self, name: &str) -> Result<Vec<f32>, FileError> {
        let bytes = self.place(name, Dtype::F32)?.len();
        let mut values = vec![0.0; bytes / size_of::<f32>()];
        self.read_f32s(name, &mut values)?;
        Ok(values)
    }

    /// Overwrites `out` with the numbers of the f32 tensor `name`. Panics unless there are as many.
    ///
    /// # Errors
    /// As [`SafeTensorsFile::f32s`].
    pub fn read_f32s(&self, name: &str, out: &mut [f32]) -> Result<(), FileError> {
        self.read(name, Dtype::F32, bytemuck::cast_slice_mut(out))
    }

    /// The bytes of the u8 tensor `name`.
    ///
    /// # Errors
    /// When there is no such tensor, or its numbers are not u8 or not those that were written.
    pub fn u8s(&self, name: &str) -> Result<Vec<u8>, FileError> {
        let mut bytes = vec![0; self.place(name, Dtype::U8)?.len()];
        self.read(name, Dtype::U8, &mut bytes)?;
        Ok(bytes)
    }

    /// The bytes of tensor `name`, floats of any precision, little-endian: how others may have written them.
    ///
    /// # Errors
    /// When there is no such tensor, or it holds no floats or not those that were written.
    pub fn floats(&self, name: &str) -> Result<(Floats, Vec<u8>), FileError> {
        let dtype = self.info(name)?.dtype;
        let (precision, want) = match dtype {
            Dtype::F16 => (Floats::F16, dtype),
            Dtype::BF16 => (Floats::BF16, dtype),
            Dtype::F64 => (Floats::F64, dtype),
            _ => (Floats::F32, Dtype::F32),
        };
        let mut bytes = vec![0; self.place(name, want)?.len()];
        self.read(name, want, &mut bytes)?;
        Ok((precision, bytes))
    }

    /// Reads every tensor, one after another, and compares it with its checksum where there is one.
    ///
    /// # Errors
    /// When one cannot be read, or is not what was written.
    pub fn check_tensors(&self) -> Result<(), FileError> {
        for name in self.names() {
            let info = self.info(&name)?;
            let mut hasher = hasher_of(&info.shape);
            let mut part = vec![0; PART];
            let place = self.place(&name, info.dtype)?;
            for start in place.clone().step_by(PART) {
                let part = &mut part[..PART.min(place.end - start)];
                self.read_at(start, part)?;
                hasher.update(part);
            }
            self.check_sum(&name, hasher)?;
        }
        Ok(())
    }

    /// Reads a tensor, and then compares what was read with the checksum.
    fn read(&self, name: &str, want: Dtype, out: &mut [u8]) -> Result<(), FileError> {
        let place = self.place(name, want)?;
        assert_eq!(out.len(), place.len(), "bytes of tensor {name}");
        self.read_at(place.start, out)?;
        let mut hasher = hasher_of(&self.info(name)?.shape);
        if self.checksums.is_some() {
            hasher.update(out);
        }
        self.check_sum(name, hasher)
    }

    /// Reads what lies `start` bytes behind the first number.
    fn read_at(&self, start: usize, out: &mut [u8]) -> Result<(), FileError> {
        let start = SeekFrom::Start(self.data_at + start as u64);
        let mut file = self.file.lock().expect("no reader panics");
        let found = file.seek(start).and_then(|_| file.read_exact(out));
        found.map_err(|error| FileError::Read {
            path: self.path.clone(),
            error,
        })
    }

    /// Compares the checksum of what was read of a tensor with that in the file, where there is one.
    fn check_sum(&self, name: &str, found: crc32fast::Hasher) -> Result<(), FileError> {
        let Some(checksums) = &self.checksums else {
            return Ok(());
        };
        let stated = checksums.get(name).map_or("none", String::as_str);
        let what = format!("tensor `{name}`");
        check(&self.path, &what, digits(found), stated.into())
    }

    fn info(&self, name: &str) -> Result<&TensorInfo, FileError> {
        self.header.info(name).ok_or_else(|| FileError::Missing {
            path: self.path.clone(),
            name: name.into(),
            present: self.names(),
        })
    }

    /// The bytes that a tensor takes among the numbers, which [`SafeTensorsFile::open`] has found in the file.
    fn place(&self, name: &str, want: Dtype) -> Result<Range<usize>, FileError> {
        let info = self.info(name)?;
        if info.dtype != want {
            return Err(FileError::WrongType {
                path: self.path.clone(),
                name: name.into(),
                got: info.dtype,
                want,
            });
        }
        let (start, end) = info.data_offsets;
        Ok(start..end)
    }
}

/// Precisions of floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floats {
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    BF16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

/// The longest header that the format allows.
const MOST_HEADER: u64 = 100_000_000;

/// The first bytes of a file that is something else: a zip archive, or one whose length of a header is none, and whose
/// header does not begin as one does either.
fn foreign(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    const LOOKED_AT: u64 = 32;
    let mut first = Vec::new();
    file.take(LOOKED_AT).read_to_end(&mut first)?;
    file.rewind()?;
    let is_length = |length: &[u8; 8]| u64::from_le_bytes(*length) <= MOST_HEADER;
    let is_ours = match first.split_first_chunk() {
        Some((length, header)) => is_length(length) || header.first() == Some(&b'{'),
        None => true, // too short to tell
    };
    Ok((!is_ours || first.starts_with(error::ZIP)).then_some(first))
}

/// Reads the header of a file, and where its numbers start, which end where the file does.
fn read_header(file: &mut File) -> Result<(u64, Metadata), SafeTensorError> {
    const LENGTH: u64 = size_of::<u64>() as u64;
    let in_file = file.metadata()?.len();
    let behind_length = in_file.checked_sub(LENGTH);
    let behind_length = behind_length.ok_or(SafeTensorError::HeaderTooSmall)?;
    let mut length = [0; LENGTH as usize];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MOST_HEADER {
        return Err(SafeTensorError::HeaderTooLarge);
    }
    let numbers = behind_length.checked_sub(length);
    let numbers = numbers.ok_or(SafeTensorError::InvalidHeaderLength)?;
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header)?;
    let header: Metadata =
        serde_json::from_slice(&header).map_err(SafeTensorError::InvalidHeaderDeserialization)?;
    match header.data_len() as u64 == numbers {
        true => Ok((LENGTH + length, header)),
        false => Err(SafeTensorError::MetadataIncompleteBuffer),
    }
}

/// Whether a file has checksums, by so many marks that one flipped bit leaves one: that of a tensor under its key; or that
/// of the text, if it is right, if there are no tensors, or if there is a trace of a tensor's beside it.
fn has_checksums(header: &Metadata, text: &BTreeMap<String, String>) -> bool {
    let is_sum = |sum: &&String| sum.len() == 8 && sum.bytes().all(|x| x.is_ascii_hexdigit());
    let sum_of = |key: &str| text.get(key).filter(is_sum);
    let names = header.offset_keys();
    if names
        .iter()
        .any(|name| sum_of(&format!("{CHECKSUM_OF}{name}")).is_some())
    {
        return true;
    }
    let Some(of_text) = sum_of(CHECKSUM) else {
        return false;
    };
    let others = || text.iter().filter(|(key, _)| *key != CHECKSUM);
    names.is_empty()
        || others().any(|(key, value)| key.starts_with(CHECKSUM_OF) || is_sum(&value))
        || *of_text == checksum_of_text(others())
}

/// Takes the checksums of the tensors out of a file's text.
fn checksums(text: &mut BTreeMap<String, String>) -> BTreeMap<String, String> {
    let (mut sums, mut rest) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in std::mem::take(text) {
        match key.strip_prefix(CHECKSUM_OF) {
            Some(name) => sums.insert(name.to_owned(), value),
            None => rest.insert(key, value),
        };
    }
    *text = rest;
    sums
}

/// Fails unless both checksums are the same.
fn check(path: &Path, what: &str, found: String, stated: String) -> Result<(), FileError> {
    match found == stated {
        true => Ok(()),
        false => Err(FileError::Damaged {
            path: path.into(),
            what: what.to_owned(),
            found,
            stated,
        }),
    }
}

#[cfg(test)]
mod tests;
