//! Round trips, and what hostile files are answered with.

use super::*;
use proptest::prelude::*;
use safetensors::SafeTensors;
use std::path::PathBuf;
use tempfile::{TempDir, tempdir};

/// A file of the given bytes.
fn file_of(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("file.safetensors");
    std::fs::write(&path, bytes).expect("a file");
    (folder, path)
}

/// A file with the given header, and `len` bytes of data.
fn raw(header: &str, len: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..len).map(|i| i as u8));
    bytes
}

/// A small whole file.
fn sample() -> Vec<u8> {
    let tensors = [
        (
            "a",
            Shape::from([2, 3]),
            Data::F32(&[1.0, -2.0, 3.5, 0.0, f32::MAX, 1e-40]),
        ),
        ("b.c", Shape::from([5]), Data::U8(&[9, 8, 7, 6, 5])),
        ("empty", Shape::from([0, 4]), Data::F32(&[])),
        ("one", Shape::from([]), Data::F32(&[4.25])),
    ];
    written(
        tensors,
        BTreeMap::from([("format".into(), "x \"y\"\n".into())]),
    )
}

/// The bytes of a file.
fn written<const N: usize>(
    tensors: [(&str, Shape, Data<'_>); N],
    text: BTreeMap<String, String>,
) -> Vec<u8> {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("sample.safetensors");
    write(&path, tensors, text).expect("a file");
    std::fs::read(&path).expect("the file")
}

#[test]
fn what_was_written_is_read() {
    let (_folder, path) = file_of(&sample());
    let file = SafeTensorsFile::open(&path).expect("a file");
    let a = file.f32s("a").expect("a tensor");
    assert_eq!(*a, [1.0, -2.0, 3.5, 0.0, f32::MAX, 1e-40]);
    assert!(file.has_checksums());
    assert_eq!(file.u8s("b.c").expect("a tensor"), [9, 8, 7, 6, 5]);
    assert_eq!(file.f32s("empty").expect("a tensor").len(), 0);
    assert_eq!(*file.f32s("one").expect("a tensor"), [4.25]);
    for (name, shape) in [
        ("a", "2 x 3"),
        ("b.c", "5"),
        ("empty", "0 x 4"),
        ("one", "scalar"),
    ] {
        assert_eq!(file.shape(name).expect("a shape").to_string(), shape);
    }
    let text = BTreeMap::from([("format".to_owned(), "x \"y\"\n".to_owned())]);
    assert_eq!(*file.metadata(), text, "the checksums are no part of it");
    let mut names = file.names();
    names.sort();
    assert_eq!(names, ["a", "b.c", "empty", "one"]);
}

/// Two runs that compute the same write the same file, whatever the order in which they gather its parts.
#[test]
fn the_same_content_makes_the_same_bytes() {
    let folder = tempdir().expect("a folder");
    let names: Vec<String> = (0..20).map(|i| format!("t{i}")).collect();
    let file = |name: &str, order: &mut dyn Iterator<Item = usize>| {
        let (mut tensors, mut text) = (Vec::new(), BTreeMap::new());
        for i in order {
            let data = match i % 2 {
                0 => Data::F32(&[1.5]),
                _ => Data::U8(&[7]),
            };
            tensors.push((names[i].as_str(), Shape::from([1]), data));
            text.insert(format!("key {i}"), "text".to_owned());
        }
        let path = folder.path().join(name);
        write(&path, tensors, text).expect("a file");
        std::fs::read(path).expect("the file")
    };
    let first = file("first", &mut (0..20));
    assert!(first == file("again", &mut (0..20)), "written twice");
    assert!(first == file("backwards", &mut (0..20).rev()));
    let (_, header) = SafeTensors::read_metadata(&first).expect("a header");
    assert!(header.offset_keys()[0] == "t0" && header.offset_keys()[10] == "t1");
    let tensors = SafeTensors::deserialize(&first).expect("a file that others read");
    assert_eq!(tensors.tensor("t3").expect("a tensor").data(), [7]);
    let length = u64::from_le_bytes(*first.first_chunk().expect("a length"));
    assert!(length.is_multiple_of(8), "{length}");
}

#[test]
fn an_old_file_is_replaced_whole_and_can_still_be_read_where_it_is_open() {
    let (folder, path) = file_of(&sample());
    let old = SafeTensorsFile::open(&path).expect("a file");
    write(
        &path,
        [("a", Shape::from([1]), Data::F32(&[7.0]))],
        BTreeMap::new(),
    )
    .expect("a file");
    assert_eq!(
        *SafeTensorsFile::open(&path)
            .expect("a file")
            .f32s("a")
            .expect("a tensor"),
        [7.0]
    );
    assert_eq!(old.f32s("a").expect("a tensor")[1], -2.0);
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        1,
        "nothing else is left"
    );
}

/// A file that only its writer may read is of no use to anybody else.
#[test]
#[cfg(unix)]
fn a_new_file_has_the_usual_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| {
        std::fs::metadata(path)
            .expect("a file")
            .permissions()
            .mode()
    };
    let (folder, usual) = file_of(b"any file");
    let path = folder.path().join("new");
    write(
        &path,
        [("a", Shape::from([1]), Data::U8(&[7]))],
        BTreeMap::new(),
    )
    .expect("a file");
    assert_eq!(mode(&path), mode(&usual));
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("taken");
    std::fs::create_dir_all(path.join("inside")).expect("a folder where the file should go");
    let error = write(
        &path,
        [("a", Shape::from([1]), Data::F32(&[7.0]))],
        BTreeMap::new(),
    )
    .expect_err("a folder is in the way");
    assert!(error.to_string().starts_with("cannot write ") && error.to_string().contains("taken"));
    assert!(path.join("inside").exists());
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        1
    );
    let absent = folder.path().join("no/such/folder/file");
    let error = write(
        &absent,
        [("a", Shape::from([0]), Data::U8(&[]))],
        BTreeMap::new(),
    );
    assert!(matches!(error, Err(FileError::Write { .. })), "{error:?}");
}

#[test]
#[should_panic(expected = "tensor a of shape 2")]
fn numbers_must_fit_their_shape() {
    let folder = tempdir().expect("a folder");
    let tensors = [("a", Shape::from([2]), Data::F32(&[7.0]))];
    let _ = write(&folder.path().join("x"), tensors, BTreeMap::new());
}

#[test]
fn floats_may_lie_anywhere() {
    // Behind one byte, none lies on a multiple of four; they are read into a place of their own.
    let header = r#"{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]} }"#;
    let mut bytes = raw(header, 1);
    bytes.extend(1.5_f32.to_le_bytes());
    let (_folder, path) = file_of(&bytes);
    let file = SafeTensorsFile::open(&path).expect("a file");
    assert_eq!(*file.f32s("f").expect("a tensor"), [1.5]);
}

#[test]
fn hostile_files_are_refused_with_their_name() {
    let tensor = |shape: &str, from: usize, to: usize| {
        format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}}}"#)
    };
    let twice = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#;
    let huge = u64::MAX.to_le_bytes();
    for (what, bytes) in [
        ("empty", vec![]),
        ("shorter than the length", vec![1, 2, 3]),
        ("a length and no header", 40_u64.to_le_bytes().to_vec()),
        ("a header longer than memory", [&huge[..], b"{}"].concat()),
        ("no JSON", raw("{\"a\": nonsense", 4)),
        (
            "no text",
            raw("", 0).into_iter().chain([0xff; 16]).collect(),
        ),
        ("a list", raw("[1, 2]", 0)),
        (
            "an unknown type",
            raw(&tensor("[1]", 0, 4).replace("F32", "F99"), 4),
        ),
        ("more bytes than the shape", raw(&tensor("[1]", 0, 8), 8)),
        ("data beyond the end", raw(&tensor("[2]", 0, 8), 4)),
        ("data that nobody owns", raw(&tensor("[1]", 0, 4), 5)),
        ("a gap", raw(&tensor("[1]", 4, 8), 8)),
        ("an overlap", raw(twice, 6)),
        ("backwards", raw(&tensor("[1]", 8, 4), 8)),
        (
            "a shape that overflows",
            raw(&tensor("[4294967296,4294967296,4]", 0, 4), 4),
        ),
    ] {
        let (_folder, path) = file_of(&bytes);
        let error = SafeTensorsFile::open(&path).expect_err(what).to_string();
        assert!(
            error.contains("file.safetensors") && error.contains("safetensors file:"),
            "{what}: {error}"
        );
    }
    // Tensors that end beyond any address, and so beyond any sum with the length of the header.
    let most = usize::MAX / 8;
    let tensors = (0..8).map(|i| {
        let (from, to) = (i * most, (i + 1) * most);
        format!(r#""t{i}":{{"dtype":"U8","shape":[{most}],"data_offsets":[{from},{to}]}}"#)
    });
    let header = format!("{{{}}}", tensors.collect::<Vec<_>>().join(","));
    let (_folder, path) = file_of(&raw(&header, 4));
    let error = SafeTensorsFile::open(&path).expect_err("larger than memory");
    assert!(matches!(error, FileError::Malformed { .. }), "{error}");

    let folder = tempdir().expect("a folder");
    for path in [folder.path().join("absent"), folder.path().into()] {
        assert!(
            matches!(SafeTensorsFile::open(&path), Err(FileError::Read { .. })),
            "{path:?}"
        );
    }
}

#[test]
fn what_is_no_safetensors_file_is_called_so() {
    let again = "download it again";
    for (bytes, expected) in [
        (
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n"[..],
            ["it begins with \"version https://git-lfs\"", again],
        ),
        (b"<!doctype html>\n<html>", ["\"<!doctype html>\"", again]),
        (b"not weights", ["\"not weights\"", again]),
        (
            b"PK\x03\x04\x00\x00\x08\x08\x00\x00",
            ["\"PK\"", "`trm convert --config`"],
        ),
        // Whose first eight bytes are the length of a header that might be.
        (b"PK\x03\x04\x00\x00\x00\x00", ["\"PK\"", "PyTorch"]),
        (
            b"\x80\x02\x8a\nl\xfc\x9cF\xf9",
            ["the bytes 80 02 8a 0a", again],
        ),
    ] {
        let (_folder, path) = file_of(bytes);
        let error = SafeTensorsFile::open(&path).expect_err(expected[0]);
        let said = error.to_string();
        for expected in [
            "file.safetensors: no safetensors file",
            expected[0],
            expected[1],
        ] {
            assert!(said.contains(expected), "{said}");
        }
    }
}

/// What another program does to an open file is an error, where a map of it would have ended the process.
#[test]
fn a_file_cut_short_while_it_is_open_is_an_error() {
    let (_folder, path) = file_of(&sample());
    let file = SafeTensorsFile::open(&path).expect("a file");
    std::fs::write(&path, b"short").expect("a file");
    let error = file.f32s("a").expect_err("nothing there").to_string();
    assert!(error.starts_with("cannot read "), "{error}");
}

#[test]
fn every_truncation_is_noticed() {
    let bytes = sample();
    for len in 0..bytes.len() {
        let (_folder, path) = file_of(&bytes[..len]);
        let error = SafeTensorsFile::open(&path).expect_err("a part of a file");
        assert!(
            matches!(error, FileError::Malformed { .. }),
            "{len} bytes: {error}"
        );
    }
}

/// All tensors and the text of a file, or what is wrong with it.
fn content(path: &Path) -> Result<impl PartialEq + use<>, FileError> {
    let file = SafeTensorsFile::open(path)?;
    let read = |name: &String| {
        let shape = file.shape(name)?;
        let bytes = match file.u8s(name) {
            Err(FileError::WrongType { .. }) => bytemuck::cast_slice(&file.f32s(name)?).to_vec(),
            bytes => bytes?,
        };
        Ok((name.clone(), (shape, bytes)))
    };
    let tensors: Result<BTreeMap<_, _>, FileError> = file.names().iter().map(read).collect();
    Ok((tensors?, file.metadata().clone()))
}

#[test]
fn every_flipped_bit_is_noticed() {
    // At least every bit of every number.
    let one = [("a", Shape::from([3]), Data::F32(&[1.0, 2.0, 5.0]))];
    for (bytes, numbers) in [
        (sample(), 7 * 4 + 5),
        (written(one, BTreeMap::new()), 3 * 4),
    ] {
        let damaged = flip_every_bit(&bytes);
        assert!(damaged >= 8 * numbers, "{damaged}");
    }
}

/// How many of them are told as damage: what is read with any other is what was written, or nothing.
fn flip_every_bit(bytes: &[u8]) -> usize {
    let (_folder, path) = file_of(bytes);
    let whole = content(&path).expect("a file");
    let mut damaged = 0;
    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &flipped).expect("a file");
        match content(&path) {
            Ok(other) => assert!(other == whole, "bit {bit} changes the content"),
            Err(FileError::Damaged { .. }) => damaged += 1,
            Err(error) => assert!(error.to_string().contains("file.safetensors"), "{error}"),
        }
    }
    damaged
}

#[test]
fn a_checksum_that_is_taken_away_is_missed() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("file");
    let tensors = ["a", "b"].map(|name| (name, Shape::from([1]), Data::U8(&[7])));
    write(&path, tensors, BTreeMap::new()).expect("a file");
    let bytes = std::fs::read(&path).expect("the file");
    // The key of a tensor's checksum, and that of the text's.
    for (key, other) in [("\"crc32:b\"", "\"crc32:c\""), ("\"crc32\"", "\"crc33\"")] {
        let mut found = bytes.windows(key.len());
        let at = found
            .position(|part| part == key.as_bytes())
            .expect("the key");
        let end = at + key.len();
        let renamed = [&bytes[..at], other.as_bytes(), &bytes[end..]].concat();
        std::fs::write(&path, renamed).expect("a file");
        let error = content(&path).err().expect("the text has changed");
        let expected = "the text of its header is damaged";
        assert!(error.to_string().contains(expected), "{key}: {error}");
    }
}

/// Keys that look like ours in files that are not.
#[test]
fn checksums_of_others_are_text() {
    let tensor = r#""a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    for text in [
        r#""crc32":"0badcafe""#,
        r#""crc32":"of the whole file: 5""#,
        r#""crc32:b":"00000000""#,
        r#""crc32:a":"see below""#,
    ] {
        let header = format!(r#"{{"__metadata__":{{{text}}},{tensor}}}"#);
        let (_folder, path) = file_of(&raw(&header, 1));
        let file = SafeTensorsFile::open(&path).expect(text);
        assert!(!file.has_checksums(), "{text}");
        assert_eq!(file.u8s("a").expect("a tensor"), [0]);
        assert!(!file.metadata().is_empty(), "{text}");
    }
}

/// Nothing is written that could not be read again.
#[test]
fn what_would_be_refused_is_not_written() {
    let (folder, path) = file_of(b"old");
    let refused = |names: &[&str], key: &str, text: String, expected: &[&str]| {
        let tensors = names
            .iter()
            .zip([Data::F32(&[7.0]), Data::U8(&[7])])
            .map(|(&name, data)| (name, Shape::from([1]), data));
        let text = BTreeMap::from([(key.to_owned(), text)]);
        let error = write(&path, tensors, text).expect_err(expected[0]);
        let said = error.to_string();
        for expected in [&["file.safetensors"], expected].concat() {
            assert!(said.contains(expected), "{said}");
        }
        assert!(!said.contains("space left"), "{said}");
        assert_eq!(std::fs::read(&path).expect("the old file"), b"old");
        let names = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(names, 1);
    };
    let short = || "text".to_owned();
    refused(&["a"], "crc32", short(), &["key `crc32`", "reserved"]);
    refused(&["a"], "crc32:b", short(), &["key `crc32:b`", "reserved"]);
    refused(&["__metadata__"], "key", short(), &["`__metadata__`"]);
    refused(&["a", "a"], "key", short(), &["two tensors", "`a`"]);
    let long = "x".repeat(MOST_HEADER as usize);
    refused(&["a"], "key", long, &["header", "100000000", "shorten"]);
}

#[test]
fn text_alone_is_a_file() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("file");
    let text = BTreeMap::from([("key".to_owned(), "crc32".to_owned())]);
    write::<&str>(&path, [], text.clone()).expect("a file");
    let file = SafeTensorsFile::open(&path).expect("the file");
    assert!(file.has_checksums() && *file.metadata() == text);
}

#[test]
fn wrong_questions_are_answered_with_what_is_there() {
    let header = r#"{"a":{"dtype":"U8","shape":[1,1,1,1,1],"data_offsets":[0,1]},"h":{"dtype":"F16","shape":[1],"data_offsets":[1,3]}}"#;
    let (_folder, path) = file_of(&raw(header, 3));
    let file = SafeTensorsFile::open(&path).expect("a file");
    let error = file
        .f32s("weights")
        .expect_err("no such tensor")
        .to_string();
    assert!(
        error.ends_with("no tensor `weights`; it holds a, h"),
        "{error}"
    );
    let error = file.f32s("h").expect_err("halves").to_string();
    assert!(
        error.ends_with("tensor `h` holds numbers of type F16, expected F32"),
        "{error}"
    );
    assert!(file.u8s("h").is_err());
    let error = file.shape("a").expect_err("five axes").to_string();
    assert!(
        error.ends_with("tensor `a` has 5 axes, expected at most 4"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn damaged_files_never_panic(at in 0..400_usize, byte: u8, cut in 0..400_usize) {
        let mut bytes = sample();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut.min(bytes.len()) * usize::from(byte % 2 == 0));
        let (_folder, path) = file_of(&bytes);
        if let Ok(file) = SafeTensorsFile::open(&path) {
            for name in file.names() {
                let _ = (file.shape(&name), file.f32s(&name).map(|x| x.len()), file.u8s(&name).map(|x| x.len()));
            }
        }
    }
}
