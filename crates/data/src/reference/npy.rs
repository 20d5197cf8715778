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

use crate::fault::Invalid;
use crate::write::replace;
use std::path::Path;

const MAGIC: &[u8] = b"\x93NUMPY";

/// An array of whole numbers, in the order of its last index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Array {
    /// Its length along each axis.
    pub shape: Vec<usize>,
    /// As many as the shape says.
    pub values: Values,
}

/// Values, bytes as they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Values {
    /// `|u1` and `|b1`
    U8(Vec<u8>),
    /// Of any other type.
    I64(Vec<i64>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Values::U8(values) => values.len(),
            Values::I64(values) => values.len(),
        }
    }

    fn get(&self, index: usize) -> i64 {
        match self {
            Values::U8(values) => values[index].into(),
            Values::I64(values) => values[index],
        }
    }
}

/// Writes an array of type `descr`, such as `<i4`, whole or not at all; `values` are its bytes, row by row.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, shape: &[usize], descr: &str, values: &[u8]) -> Result<(), Invalid> {
    replace(path, |out| {
        out.write_all(&header(shape, descr))?;
        out.write_all(values)
    })
}

impl Array {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is no array of whole numbers, or its length is not what its shape says.
    pub fn read(path: &Path) -> Result<Array, Invalid> {
        let bytes = std::fs::read(path);
        let bytes = bytes.map_err(|e| Invalid::at(path, format!("cannot read this file: {e}")))?;
        parse(&bytes).map_err(|why| Invalid::at(path, why))
    }

    /// The length along each of `N` axes.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn axes<const N: usize>(&self) -> Result<[usize; N], Invalid> {
        let axes = self.shape.as_slice().try_into();
        axes.map_err(|_| Invalid(format!("has {} axes; expected {N}", self.shape.len())))
    }

    /// The values as tokens from 0 to `most`; bytes stay where they are.
    ///
    /// # Errors
    /// Names the first that is larger, or negative.
    pub fn tokens(self, most: u8) -> Result<Vec<u8>, Invalid> {
        let Values::U8(bytes) = self.values else {
            let numbers = self.numbers(most.into())?;
            return Ok(numbers.into_iter().map(|number| number as u8).collect());
        };
        match bytes.iter().position(|&token| token > most) {
            None => Ok(bytes),
            Some(index) => Err(beyond(index, bytes[index].into(), most.into())),
        }
    }

    /// The values as numbers from 0 to `most`.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn numbers(&self, most: usize) -> Result<Vec<usize>, Invalid> {
        let number = |index| {
            let value = self.values.get(index);
            let number = usize::try_from(value).ok().filter(|&n| n <= most);
            number.ok_or_else(|| beyond(index, value, most))
        };
        (0..self.values.len()).map(number).collect()
    }
}

/// What is wrong with a value that is not from 0 to `most`.
fn beyond(index: usize, value: i64, most: usize) -> Invalid {
    Invalid(format!("value {index} is {value}; expected 0 to {most}"))
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

fn parse(bytes: &[u8]) -> Result<Array, Invalid> {
    let other = "not a .npy file: it does not begin with \\x93NUMPY and a version from 1 to 3";
    let other = || Invalid(other.to_owned());
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(other)?;
    let (len, rest) = match rest {
        [1, 0, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, 0, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err(other()),
    };
    let header = rest.get(..len).unwrap_or(rest);
    let text = String::from_utf8_lossy(header);
    let fault = |why| {
        let header: String = text.trim().chars().take(100).collect();
        Invalid(format!("its header {header:?} is not understood: {why}"))
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
        _ => {
            return Err(Invalid(format!(
                "holds values of type {descr:?}; expected whole numbers such as '|u1'; save array.astype(np.int64)"
            )));
        }
    };
    let expected = shape
        .iter()
        .try_fold(width, |n: usize, &axis| n.checked_mul(axis));
    if expected != Some(values.len()) {
        let expected = expected.map_or("more than any".into(), |n| n.to_string());
        return Err(Invalid(format!(
            "holds {} bytes of values; its shape {shape:?} needs {expected}",
            values.len()
        )));
    }
    let values = match descr.as_str() {
        "|u1" | "|b1" => Values::U8(values.to_vec()),
        "<i4" => Values::I64(numbers(values, |b| i32::from_le_bytes(b).into())),
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
