//! Writing: the same tensors and text always make the same bytes.

use super::{CHECKSUM, CHECKSUM_OF, FileError, MOST_HEADER, checksum, checksum_of_text};
use crate::{Shape, file};
use safetensors::tensor::{Dtype, TensorInfo};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

/// The key of the text, beside the names of the tensors.
const TEXT: &str = "__metadata__";

/// The numbers of a tensor to be written.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// Values.
    F32(&'a [f32]),
    /// Tokens, flags, or the bytes of something else.
    U8(&'a [u8]),
}

impl Data<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Data::F32(_) => Dtype::F32,
            Data::U8(_) => Dtype::U8,
        }
    }

    fn len(&self) -> usize {
        match self {
            Data::F32(values) => values.len(),
            Data::U8(bytes) => bytes.len(),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Data::F32(values) => bytemuck::cast_slice(values),
            Data::U8(bytes) => bytes,
        }
    }
}

/// Writes tensors and text to `path`, whole or not at all, with a checksum for each tensor and for the text.
///
/// See [`file::replace`]. Nothing but the header is held in memory. Names that are reserved: `__metadata__` for a
/// tensor, and for a key of the text `crc32` and whatever begins with `crc32:`, which are the checksums'.
///
/// Panics when a tensor's numbers are not as many as its shape says.
///
/// # Errors
/// When the file cannot be written; the unfinished file is then removed. Before anything is written, what could not be
/// read again: a reserved name, two tensors of one name, and a header longer than the format allows.
pub fn write<'a, N: AsRef<str>>(
    path: &Path,
    tensors: impl IntoIterator<Item = (N, Shape, Data<'a>)>,
    metadata: BTreeMap<String, String>,
) -> Result<(), FileError> {
    let mut tensors: Vec<(N, Shape, Data<'a>)> = tensors.into_iter().collect();
    // Floats first, where they begin on multiples of their size.
    tensors.sort_by(|(a, _, x), (b, _, y)| (y.dtype(), a.as_ref()).cmp(&(x.dtype(), b.as_ref())));
    let header = check_names(&tensors, &metadata).and_then(|()| header(&tensors, metadata));
    let written = header.and_then(|header| {
        file::replace(path, |out| {
            out.write_all(&(header.len() as u64).to_le_bytes())?;
            out.write_all(&header)?;
            tensors
                .iter()
                .try_for_each(|(_, _, data)| out.write_all(data.bytes()))
        })
    });
    written.map_err(|error| FileError::Write {
        path: path.into(),
        error,
    })
}

/// An error about what was to be written, which no disk is to blame for.
fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Refuses names that could not be read again.
fn check_names<N: AsRef<str>>(
    tensors: &[(N, Shape, Data<'_>)],
    text: &BTreeMap<String, String>,
) -> io::Result<()> {
    let of_checksum = |key: &&String| *key == CHECKSUM || key.starts_with(CHECKSUM_OF);
    if let Some(key) = text.keys().find(of_checksum) {
        return Err(refused(format!(
            "the key `{key}` of its text is reserved for checksums; give the text another key"
        )));
    }
    let mut names = BTreeSet::new();
    for (name, _, _) in tensors {
        let name = name.as_ref();
        if name == TEXT {
            let why = "is what the format calls the text; give the tensor another name";
            return Err(refused(format!("the tensor name `{name}` {why}")));
        }
        if !names.insert(name) {
            let why = "give each tensor a name of its own";
            return Err(refused(format!("two tensors are named `{name}`; {why}")));
        }
    }
    Ok(())
}

/// The header of a file that holds `tensors` in this order: JSON, filled up with blanks to a multiple of eight bytes.
fn header<N: AsRef<str>>(
    tensors: &[(N, Shape, Data<'_>)],
    mut text: BTreeMap<String, String>,
) -> io::Result<Vec<u8>> {
    let mut infos = Map::new();
    let mut start = 0;
    for (name, shape, data) in tensors {
        let name = name.as_ref();
        assert_eq!(data.len(), shape.len(), "tensor {name} of shape {shape}");
        let end = start + data.bytes().len();
        let info = TensorInfo {
            dtype: data.dtype(),
            shape: shape.dims().to_vec(),
            data_offsets: (start, end),
        };
        infos.insert(name.to_string(), serde_json::to_value(info)?);
        start = end;
        let sum = checksum(shape.dims(), data.bytes());
        text.insert(format!("{CHECKSUM_OF}{name}"), sum);
    }
    let sum = checksum_of_text(text.iter());
    text.insert(CHECKSUM.into(), sum);
    let text = text
        .into_iter()
        .map(|(key, value)| (key, Value::from(value)));
    // The text first, then the tensors as they lie in the file: not in the order of a hash, which differs in every run.
    let mut header = Map::from_iter([(TEXT.to_owned(), Value::Object(text.collect()))]);
    header.append(&mut infos);
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(size_of::<u64>()), b' ');
    if header.len() as u64 > MOST_HEADER {
        return Err(refused(format!(
            "its header of names, shapes and text would have {} bytes, and the format allows {MOST_HEADER}; shorten the \
             text or the names",
            header.len()
        )));
    }
    Ok(header)
}
