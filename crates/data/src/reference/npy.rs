//! Arrays of whole numbers in NumPy's file format.
//!
//! A file is `\\x93NUMPY`, two bytes of version, the length of the header, the header, and the values. The header
//! is a dictionary in Python's spelling with three keys:
//!
//! ```text
//! {'descr': '<i4', 'fortran_order': False, 'shape': (1000, 81), }
//! ```
//!
//! Written here because the libraries for it parse all of Python's literals, and need a C compiler for that.
//! Nothing is allocated by what a header says: the file's own size decides.

use crate::write::{WriteError, replace};
use std::path::{Path, PathBuf};

const MAGIC: &[u8] = b"\x93NUMPY";

/// An array of whole numbers, in the order of its last index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Array {
    /// Its length along each axis.
    pub shape: Vec<usize>,
    /// As many as the shape says.
    pub values: Values,
}

/// Values of one of the types that data sets use; those of other types are read as `I64`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Values {
    /// `|u1`
    U8(Vec<u8>),
    /// `<i4`
    I32(Vec<i32>),
    /// `<i8`
    I64(Vec<i64>),
}

/// A file that is no array of whole numbers.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct NpyError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: NpyFault,
}

/// What can be wrong with such a file.
#[derive(Debug, thiserror::Error)]
pub enum NpyFault {
    /// It cannot be read.
    #[error("cannot read this file: {0}")]
    Read(std::io::Error),
    /// It is something else.
    #[error("not a .npy file: it does not begin with \\x93NUMPY and a version from 1 to 3")]
    Magic,
    /// The header is none.
    #[error("its header {header:?} is not understood: {why}")]
    Header {
        /// The header, or its beginning.
        header: String,
        /// What is wrong in it.
        why: &'static str,
    },
    /// Not of whole numbers.
    #[error(
        "holds values of type {0:?}; expected whole numbers such as '|u1'; save array.astype(np.int64)"
    )]
    Type(String),
    /// Too short or too long.
    #[error("holds {found} bytes of values; its shape {shape:?} needs {expected}")]
    Length {
        /// Bytes behind the header.
        found: usize,
        /// Bytes that the shape needs.
        expected: String,
        /// The shape.
        shape: Vec<usize>,
    },
    /// A value that cannot be.
    #[error("value {index} is {value}; expected 0 to {most}")]
    Value {
        /// Its place.
        index: usize,
        /// What it is.
        value: i64,
        /// The largest that may be.
        most: usize,
    },
    /// Another number of axes.
    #[error("has {found} axes; expected {expected}")]
    Axes {
        /// Axes that it has.
        found: usize,
        /// Axes that are needed.
        expected: usize,
    },
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Values::U8(values) => values.len(),
            Values::I32(values) => values.len(),
            Values::I64(values) => values.len(),
        }
    }

    fn get(&self, index: usize) -> i64 {
        match self {
            Values::U8(values) => values[index].into(),
            Values::I32(values) => values[index].into(),
            Values::I64(values) => values[index],
        }
    }

    fn descr(&self) -> &'static str {
        match self {
            Values::U8(_) => "|u1",
            Values::I32(_) => "<i4",
            Values::I64(_) => "<i8",
        }
    }
}

/// Writes an array of bytes, whole or not at all, as [`Array::write`] does without owning them.
///
/// # Errors
/// When the file cannot be written.
pub fn write_bytes<const N: usize>(
    path: &Path,
    shape: [usize; N],
    values: &[u8],
) -> Result<(), WriteError> {
    replace(path, |out| {
        out.write_all(&header(&shape, Values::U8(Vec::new()).descr()))?;
        out.write_all(values)
    })
}

impl Array {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is no array of whole numbers, or its length is not what its shape says.
    pub fn read(path: &Path) -> Result<Array, NpyError> {
        let bytes = std::fs::read(path).map_err(NpyFault::Read);
        bytes
            .and_then(|bytes| parse(&bytes))
            .map_err(|fault| fault.of(path))
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&self, path: &Path) -> Result<(), WriteError> {
        replace(path, |out| {
            out.write_all(&header(&self.shape, self.values.descr()))?;
            match &self.values {
                Values::U8(values) => out.write_all(values),
                Values::I32(values) => values
                    .iter()
                    .try_for_each(|value| out.write_all(&value.to_le_bytes())),
                Values::I64(values) => values
                    .iter()
                    .try_for_each(|value| out.write_all(&value.to_le_bytes())),
            }
        })
    }

    /// The length along each of `N` axes.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn axes<const N: usize>(&self) -> Result<[usize; N], NpyFault> {
        let axes = self.shape.as_slice().try_into();
        axes.map_err(|_| NpyFault::Axes {
            found: self.shape.len(),
            expected: N,
        })
    }

    /// The values as tokens from 0 to `most`; bytes stay where they are.
    ///
    /// # Errors
    /// Names the first that is larger, or negative.
    pub fn tokens(self, most: u8) -> Result<Vec<u8>, NpyFault> {
        let Values::U8(bytes) = self.values else {
            let numbers = self.numbers(most.into())?;
            return Ok(numbers.into_iter().map(|number| number as u8).collect());
        };
        match bytes.iter().position(|&token| token > most) {
            None => Ok(bytes),
            Some(index) => Err(NpyFault::Value {
                index,
                value: bytes[index].into(),
                most: most.into(),
            }),
        }
    }

    /// The values as numbers from 0 to `most`.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn numbers(&self, most: usize) -> Result<Vec<usize>, NpyFault> {
        let number = |index| {
            let value = self.values.get(index);
            let number = usize::try_from(value).ok().filter(|&n| n <= most);
            number.ok_or(NpyFault::Value { index, value, most })
        };
        (0..self.values.len()).map(number).collect()
    }
}

impl NpyFault {
    /// The fault with the file that has it.
    pub fn of(self, path: &Path) -> NpyError {
        NpyError {
            path: path.to_owned(),
            fault: self,
        }
    }
}

/// Magic, version 1 and a header that ends at a multiple of 64 bytes, as NumPy writes it.
fn header(shape: &[usize], descr: &str) -> Vec<u8> {
    let axes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let text = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        axes.join(", ")
    );
    let len = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut out = MAGIC.to_vec();
    out.extend([1, 0]);
    out.extend((len as u16).to_le_bytes());
    out.extend(format!("{text:<0$}\n", len - 1).bytes());
    out
}

fn parse(bytes: &[u8]) -> Result<Array, NpyFault> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(NpyFault::Magic)?;
    let (len, rest) = match rest {
        [1, 0, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, 0, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err(NpyFault::Magic),
    };
    let header = rest.get(..len).unwrap_or(rest);
    let text = String::from_utf8_lossy(header);
    let fault = |why| NpyFault::Header {
        header: text.trim().chars().take(100).collect(),
        why,
    };
    let values = rest
        .get(len..)
        .ok_or_else(|| fault("it is longer than the file"))?;
    let Header { descr, shape } = Header::parse(&text).map_err(fault)?;
    let width = match descr.as_str() {
        "|u1" | "|i1" | "|b1" => 1,
        "<i2" | "<u2" => 2,
        "<i4" | "<u4" => 4,
        "<i8" | "<u8" => 8,
        _ => return Err(NpyFault::Type(descr)),
    };
    let expected = shape
        .iter()
        .try_fold(width, |n: usize, &axis| n.checked_mul(axis));
    if expected != Some(values.len()) {
        let (found, expected) = (
            values.len(),
            expected.map_or("more than any".into(), |n| n.to_string()),
        );
        return Err(NpyFault::Length {
            found,
            expected,
            shape,
        });
    }
    let values = match descr.as_str() {
        "|u1" | "|b1" => Values::U8(values.to_vec()),
        "<i4" => Values::I32(numbers(values, i32::from_le_bytes)),
        "<i8" => Values::I64(numbers(values, i64::from_le_bytes)),
        "|i1" => Values::I64(numbers(values, |b| i8::from_le_bytes(b).into())),
        "<i2" => Values::I64(numbers(values, |b| i16::from_le_bytes(b).into())),
        "<u2" => Values::I64(numbers(values, |b| u16::from_le_bytes(b).into())),
        "<u4" => Values::I64(numbers(values, |b| u32::from_le_bytes(b).into())),
        // Beyond i64 no value is one that anything takes.
        _ => Values::I64(numbers(values, |b| {
            u64::from_le_bytes(b).try_into().unwrap_or(i64::MAX)
        })),
    };
    Ok(Array { shape, values })
}

/// The numbers of `N` bytes each.
fn numbers<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|b| number(*b)).collect()
}

/// What a header says.
struct Header {
    descr: String,
    shape: Vec<usize>,
}

impl Header {
    /// Reads the dictionary: each of its three keys once, in any order.
    fn parse(text: &str) -> Result<Header, &'static str> {
        let inner = text
            .trim()
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        let mut rest = inner.ok_or("expected a dictionary in braces")?.trim();
        let (mut descr, mut order, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, value) = quoted(rest).ok_or("expected a key in quotes")?;
            let value = value
                .trim_start()
                .strip_prefix(':')
                .ok_or("expected a colon after a key")?;
            let value = value.trim_start();
            let after = match key {
                "descr" => {
                    let (name, after) = quoted(value).ok_or("expected one type in quotes")?;
                    set(&mut descr, name.to_owned())?;
                    after
                }
                "fortran_order" => {
                    let after = value.strip_prefix("False");
                    set(&mut order, ())?;
                    after.ok_or(
                        "fortran_order must be False, values row by row; save np.ascontiguousarray(array)",
                    )?
                }
                "shape" => {
                    let inner = value
                        .strip_prefix('(')
                        .and_then(|value| value.split_once(')'));
                    let (inner, after) = inner.ok_or("expected a shape in parentheses")?;
                    set(
                        &mut shape,
                        axes(inner).ok_or("expected whole numbers in the shape")?,
                    )?;
                    after
                }
                _ => return Err("expected the keys descr, fortran_order and shape alone"),
            };
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(after) => after.trim_start(),
                None if after.is_empty() => after,
                None => return Err("expected a comma between keys"),
            };
        }
        match (descr, order, shape) {
            (Some(descr), Some(()), Some(shape)) => Ok(Header { descr, shape }),
            _ => Err("expected the keys descr, fortran_order and shape"),
        }
    }
}

/// Text in quotes, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| "'\"".contains(*c))?;
    text[1..].split_once(quote)
}

/// Takes a value that must not be there yet.
fn set<T>(place: &mut Option<T>, value: T) -> Result<(), &'static str> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("a key is there twice"),
    }
}

/// `3, 4` or `3,` or nothing.
fn axes(text: &str) -> Option<Vec<usize>> {
    let text = text.trim();
    let text = text.strip_suffix(',').unwrap_or(text);
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(',')
        .map(|axis| axis.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests;
