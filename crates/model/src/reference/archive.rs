//! What `torch.save` writes for a dictionary of tensors: an archive with a pickle that says what lies where, and the
//! numbers of each tensor in an entry of its own.
//!
//! The pickle is a program for a stack machine that rebuilds the dictionary. For each tensor it pushes the name and a
//! call:
//!
//! ```text
//! torch._utils._rebuild_tensor_v2(("storage", torch.FloatStorage, key, "cpu", count), 0, shape, strides, False, {})
//! ```
//!
//! where the tuple names the entry `data/KEY`. Only opcodes of protocol 2 are used, as PyTorch itself does.

use std::io::{self, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A tensor to be written.
pub(super) struct Entry<'a> {
    /// Its key in the dictionary.
    pub name: String,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub values: &'a [f32],
}

/// Writes the whole file, front to back.
pub(super) fn write(tensors: &[Entry<'_>], out: &mut dyn Write) -> zip::result::ZipResult<()> {
    let mut zip = ZipWriter::new_stream(out);
    // PyTorch maps entries into memory, so they are not compressed, and it aligns numbers to 64 bytes.
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut entry = |name: &str, len: usize, parts: &mut dyn Iterator<Item = Vec<u8>>| {
        let options = stored
            .with_alignment(64)
            .large_file(len > u32::MAX as usize);
        zip.start_file(format!("archive/{name}"), options)?;
        for part in parts {
            zip.write_all(&part)?;
        }
        zip::result::ZipResult::Ok(())
    };
    let mut small =
        |name: &str, content: Vec<u8>| entry(name, content.len(), &mut std::iter::once(content));
    small("data.pkl", pickle(tensors)?)?;
    small("byteorder", b"little".to_vec())?;
    small("version", b"3\n".to_vec())?;
    for (key, tensor) in tensors.iter().enumerate() {
        // A part at a time: a table of embeddings may be larger than memory.
        let parts = tensor.values.chunks(1 << 14);
        let mut parts = parts.map(|part| part.iter().flat_map(|x| x.to_le_bytes()).collect());
        entry(
            &format!("data/{key}"),
            size_of_val(tensor.values),
            &mut parts,
        )?;
    }
    zip.finish()?;
    Ok(())
}

const PROTO: u8 = 0x80;
const GLOBAL: u8 = b'c';
const EMPTY_TUPLE: u8 = b')';
const MARK: u8 = b'(';
const TUPLE: u8 = b't';
const REDUCE: u8 = b'R';
const SETITEMS: u8 = b'u';
const BINUNICODE: u8 = b'X';
const BININT: u8 = b'J';
const LONG1: u8 = 0x8a;
const BINPERSID: u8 = b'Q';
const NEWFALSE: u8 = 0x89;
const STOP: u8 = b'.';

/// The program that rebuilds the dictionary.
fn pickle(tensors: &[Entry<'_>]) -> io::Result<Vec<u8>> {
    let mut p = vec![PROTO, 2];
    empty_dict(&mut p);
    p.push(MARK);
    for (key, tensor) in tensors.iter().enumerate() {
        text(&mut p, &tensor.name)?;
        global(&mut p, "torch._utils", "_rebuild_tensor_v2");
        p.push(MARK);

        p.push(MARK);
        text(&mut p, "storage")?;
        global(&mut p, "torch", "FloatStorage");
        text(&mut p, &key.to_string())?;
        text(&mut p, "cpu")?;
        number(&mut p, tensor.values.len());
        p.extend([TUPLE, BINPERSID]);

        number(&mut p, 0);
        tuple(&mut p, &tensor.shape);
        let stride = |axis: usize| tensor.shape[axis + 1..].iter().product();
        let strides: Vec<usize> = (0..tensor.shape.len()).map(stride).collect();
        tuple(&mut p, &strides);
        p.push(NEWFALSE);
        empty_dict(&mut p);
        p.extend([TUPLE, REDUCE]);
    }
    p.extend([SETITEMS, STOP]);
    Ok(p)
}

fn empty_dict(p: &mut Vec<u8>) {
    global(p, "collections", "OrderedDict");
    p.extend([EMPTY_TUPLE, REDUCE]);
}

fn global(p: &mut Vec<u8>, module: &str, name: &str) {
    p.push(GLOBAL);
    p.extend(format!("{module}\n{name}\n").bytes());
}

fn text(p: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let len = u32::try_from(text.len()).map_err(io::Error::other)?;
    p.push(BINUNICODE);
    p.extend(len.to_le_bytes());
    p.extend(text.bytes());
    Ok(())
}

fn number(p: &mut Vec<u8>, n: usize) {
    match i32::try_from(n) {
        Ok(n) => {
            p.push(BININT);
            p.extend(n.to_le_bytes());
        }
        // Nine bytes, so that the sign bit is none of the number's.
        Err(_) => {
            p.extend([LONG1, 9]);
            p.extend((n as u64).to_le_bytes());
            p.push(0);
        }
    }
}

fn tuple(p: &mut Vec<u8>, numbers: &[usize]) {
    p.push(MARK);
    numbers.iter().for_each(|&n| number(p, n));
    p.push(TUPLE);
}
