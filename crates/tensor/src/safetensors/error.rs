//! What can be wrong with a file, in words.

use safetensors::tensor::{Dtype, SafeTensorError};
use std::io;
use std::path::PathBuf;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {error}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file cannot be written; one that was there before is as it was, unless only the last step failed, which
    /// makes the new name last ([`crate::file::replace`]).
    #[error(
        "cannot write {path}: {error}{advice}",
        path = path.display(), advice = advice(error)
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
    /// The file is something else: a page, a pointer to a file, an archive.
    #[error(
        "{path}: no safetensors file: it begins with {}; {}",
        beginning(first), other_than_safetensors(first), path = path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        first: Vec<u8>,
    },
    /// The bytes are not those that were written.
    #[error(
        "{path}: {what} is damaged: its checksum is {found}, and {stated} was written; the file was changed, or its \
         disk is failing",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// A tensor, or the text of the header.
        what: String,
        /// The checksum of what is there.
        found: String,
        /// The checksum that the file says.
        stated: String,
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

/// What to do when a file cannot be written; what the caller gave wrong says it itself.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::InvalidInput => "",
        io::ErrorKind::PermissionDenied => "; check that it and its folder are writable",
        _ => "; check that its folder exists, is writable and has space left",
    }
}

/// What a zip archive begins with, as which PyTorch saves.
pub(super) const ZIP: &[u8] = b"PK\x03\x04";

/// The first printable characters of a file, or bytes where there are none.
fn beginning(first: &[u8]) -> String {
    // `version https://git-lfs`
    const SHOWN: usize = 23;
    let printable = |&&x: &&u8| x == b' ' || x.is_ascii_graphic();
    let text: Vec<u8> = first.iter().take_while(printable).copied().collect();
    match String::from_utf8_lossy(&text[..text.len().min(SHOWN)]) {
        none if none.is_empty() => {
            let bytes: Vec<_> = first.iter().take(4).map(|x| format!("{x:02x}")).collect();
            format!("the bytes {}", bytes.join(" "))
        }
        text => format!("\"{text}\""),
    }
}

/// What to do with a file that is something else.
fn other_than_safetensors(first: &[u8]) -> &'static str {
    match first.starts_with(ZIP) {
        true => "it may be a PyTorch checkpoint, which `trm convert --config` reads",
        false => {
            "download it again, and see that what arrives is the file and not a page or a pointer to it"
        }
    }
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
