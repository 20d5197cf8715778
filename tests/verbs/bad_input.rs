//! Bad input gets an error that says what is wrong, where, and what was expected; nothing is begun, nothing is lost.
//!
//! One table has every case: what is wrong, with which files, which command, its exit code, and what it says.

mod cases;

use super::{ignorant, run, text, trm};
use std::io::Write;
use std::process::Stdio;
use trm_tensor::Shape;
use trm_tensor::safetensors::{self, Data, SafeTensorsFile};

/// A command in a folder with files, and how it ends.
struct Case {
    /// What is wrong.
    what: &'static str,
    /// Name and content; `@NAME` among the arguments is its path.
    files: Vec<(&'static str, Vec<u8>)>,
    args: Vec<&'static str>,
    code: i32,
    /// Parts of what is said on standard error, or on standard output where that is the answer.
    says: Vec<&'static str>,
}

#[test]
fn every_case_is_told_and_nothing_is_left_behind() {
    let cases = cases::all();
    assert!(cases.len() > 100, "{} cases", cases.len());
    for case in cases {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::rename(ignorant(folder.path(), &[]), folder.path().join("w")).expect("weights");
        for (name, content) in &case.files {
            std::fs::write(folder.path().join(name), content).expect("a file");
        }
        let names = || {
            let entries = std::fs::read_dir(folder.path()).expect("the folder");
            let mut names: Vec<_> = entries
                .map(|entry| entry.expect("an entry").file_name())
                .collect();
            names.sort();
            names
        };
        let before = names();
        let args = case.args.iter().map(|arg| match arg.strip_prefix('@') {
            Some(name) => text(&folder.path().join(name)).to_owned(),
            None => (*arg).to_owned(),
        });
        let args: Vec<String> = args.collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let said = run(case.code, &args);
        let words = if case.code == 2 { &said.err } else { &said.out };
        for part in &case.says {
            let what = case.what;
            assert!(words.contains(part), "{what}: {part:?} is not in {words}");
        }
        if case.code == 2 {
            assert_eq!(said.out, "", "{}: {}", case.what, said.err);
        }
        assert_eq!(names(), before, "{}: something was begun", case.what);
    }
}

/// What comes through a pipe is checked like a file.
#[test]
fn standard_input_that_is_no_text_is_refused() {
    let mut child = trm();
    let child = child
        .args(["solve", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("the program starts");
    child
        .stdin
        .take()
        .expect("its input")
        .write_all(b"\xff\xfe")
        .expect("to be read");
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn foreign_tensors_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = std::fs::read(ignorant(folder.path(), &[])).expect("the file");
    let path = folder.path().join("bad.safetensors");
    let (name, puzzle) = (text(&path), "1.2..231..12.1..");
    std::fs::write(&path, &whole[..whole.len() - 1]).expect("a file");
    let said = run(2, &["solve", puzzle, "--weights", name]);
    assert!(
        said.err.contains("not a whole safetensors file"),
        "{}",
        said.err
    );
    // One bit of a weight.
    let mut flipped = whole;
    let last = flipped.len() - 3;
    flipped[last] ^= 4;
    std::fs::write(&path, flipped).expect("a file");
    let said = run(2, &["solve", puzzle, "--weights", name]);
    assert!(
        said.err.contains("is damaged: its checksum is"),
        "{}",
        said.err
    );
    // A safetensors file of somebody else's.
    let tensors = [("lm_head.weight", Shape::from([2]), Data::F32(&[1.0, 2.0]))];
    safetensors::write(&path, tensors, Default::default()).expect("a file");
    let said = run(2, &["solve", puzzle, "--weights", name]);
    assert!(said.err.contains("trm-weights-1"), "{}", said.err);
}

#[test]
fn tensors_that_do_not_fit_the_config_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = SafeTensorsFile::open(&ignorant(folder.path(), &[])).expect("the file");
    let path = folder.path().join("bad.safetensors");
    let name = text(&path);
    let names = file.names();
    let tensors: Vec<_> = names
        .iter()
        .map(|name| {
            (
                name.as_str(),
                file.shape(name).expect("a shape"),
                file.f32s(name).expect("values"),
            )
        })
        .collect();
    type Change<'a> = &'a dyn Fn(usize, Shape, &[f32]) -> Option<(Shape, Vec<f32>)>;
    let written = |change: Change<'_>| {
        let changed: Vec<_> = tensors
            .iter()
            .enumerate()
            .filter_map(|(i, (name, shape, values))| {
                change(i, *shape, values).map(|(shape, values)| (*name, shape, values))
            })
            .collect();
        let entries = changed
            .iter()
            .map(|(name, shape, values)| (*name, *shape, Data::F32(values)));
        safetensors::write(&path, entries, file.metadata().clone()).expect("a file");
        run(2, &["solve", "1.2..231..12.1..", "--weights", name]).err
    };
    for (i, (tensor, shape, _)) in tensors.iter().enumerate() {
        let said = written(&|j, shape, values| (i != j).then(|| (shape, values.to_vec())));
        assert!(said.contains(&format!("no tensor `{tensor}`")), "{said}");
        let said = written(&|j, shape, values| {
            let longer = Shape::from([values.len() + 1]);
            Some(if i == j {
                (longer, vec![0.0; values.len() + 1])
            } else {
                (shape, values.to_vec())
            })
        });
        assert!(
            said.contains(tensor) && said.contains(&shape.to_string()),
            "{said}"
        );
        let said = written(&|j, shape, values| {
            let mut values = values.to_vec();
            if i == j {
                values[1] = f32::INFINITY;
            }
            Some((shape, values))
        });
        assert!(
            said.contains(tensor) && said.contains("not a finite number"),
            "{said}"
        );
    }
}
