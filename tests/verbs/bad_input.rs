//! Bad input gets an error that says what is wrong, where, and what was expected; nothing is lost.

use super::{generate, ignorant, run, text, trm};
use std::io::Write;
use std::process::Stdio;
use trm_tensor::Shape;
use trm_tensor::safetensors::{self, Data, SafeTensorsFile};

const HEADER: &str = "source,question,answer,rating\n";
const GOOD: &str = "a,1.2..231..12.1..,1324423134122143,0\n";

/// What `trm eval` and `trm train` say about a file of puzzles.
#[test]
fn faulty_puzzle_files_are_refused_with_the_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("puzzles.csv");
    let data = text(&path);
    let weights = ignorant(folder.path(), &[]);
    let weights = text(&weights);
    for (row, expected) in [
        (
            "a,1.2..231..12.1.,1324423134122143,0",
            &["line 3", "question", "15"][..],
        ),
        (
            "a,1.2..231..12.1...,1324423134122143,0",
            &["line 3", "question", "17"],
        ),
        (
            "a,1.2..231..12.1.x,1324423134122143,0",
            &["line 3", "question", "'x'"],
        ),
        (
            "a,1.5..231..12.1..,1324423134122143,0",
            &["line 3", "question", "digit 5"],
        ),
        (
            "a,11...231..12.1..,1324423134122143,0",
            &["line 3", "question", "contradict"],
        ),
        (
            "a,1.2..231..12.1..,132442313412214,0",
            &["line 3", "answer", "15"],
        ),
        (
            "a,1.2..231..12.1..,1324423134122134,0",
            &["line 3", "answer"],
        ),
        (
            "a,1.2..231..12.1..,3124423134122143,0",
            &["line 3", "answer"],
        ),
        (
            "a,1.2..231..12.1..,1324423134122143,many",
            &["line 3", "rating", "many"],
        ),
        ("a,1.2..231..12.1..", &["line 3"]),
    ] {
        std::fs::write(&path, format!("{HEADER}{GOOD}{row}\n")).expect("a file");
        let out = folder.path().join("run");
        let out_name = text(&out);
        for args in [
            &["eval", "--weights", weights, "--data", data][..],
            &["train", "sudoku4", "--data", data, "--out", out_name],
            &["solve", data, "--weights", weights],
        ] {
            let said = run(2, args);
            for part in expected.iter().chain(&["puzzles.csv"]) {
                assert!(
                    said.err.contains(part),
                    "{row} of {args:?}: {part:?} is not in {}",
                    said.err
                );
            }
            assert!(
                said.out.is_empty() && !out.exists(),
                "{row}: something was begun"
            );
        }
    }
    for (text, expected) in [
        ("", "no puzzle"),
        ("source,question\n", "no column \"answer\""),
        (HEADER, "no puzzle"),
    ] {
        std::fs::write(&path, text).expect("a file");
        let said = run(2, &["eval", "--weights", weights, "--data", data]);
        assert!(
            said.err.contains(expected) && said.err.contains("puzzles.csv"),
            "{text:?}: {}",
            said.err
        );
    }
    // Not even text.
    std::fs::write(&path, [0xff, 0xfe, 0x00, 0x80]).expect("a file");
    assert!(
        run(2, &["solve", data, "--weights", weights])
            .err
            .contains("puzzles.csv")
    );
}

#[test]
fn puzzles_of_another_size_or_without_answers_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("puzzles.csv");
    let data = text(&path);
    let weights = ignorant(folder.path(), &[]);
    let weights = text(&weights);
    generate(&path, "--side 6 --count 3");
    let said = run(2, &["eval", "--weights", weights, "--data", data]);
    let expected = "puzzle 1 is 6x6, but sudoku4 is 4x4";
    assert!(said.err.contains(expected), "{}", said.err);
    std::fs::write(&path, "1.2..231..12.1..\n").expect("a file");
    let said = run(2, &["eval", "--weights", weights, "--data", data]);
    assert!(said.err.contains("puzzle 1 has no answer"), "{}", said.err);
}

#[test]
fn a_puzzle_on_the_command_line_is_checked_like_one_in_a_file() {
    for (puzzle, expected) in [
        ("1.2..231..12.1.", "15"),
        ("11..............", "contradict"),
        ("what.csv", "neither a file nor a puzzle"),
        ("", "neither a file nor a puzzle"),
    ] {
        let said = run(2, &["solve", puzzle]);
        assert!(
            said.err.contains(expected) && said.out.is_empty(),
            "{puzzle}: {}",
            said.err
        );
    }
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
fn truncated_and_foreign_weights_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = std::fs::read(ignorant(folder.path(), &[])).expect("the file");
    let path = folder.path().join("bad.safetensors");
    let name = text(&path);
    let puzzle = "1.2..231..12.1..";
    for (what, bytes, expected) in [
        ("empty", &[][..], "not a whole safetensors file"),
        (
            "cut short",
            &whole[..whole.len() - 1],
            "not a whole safetensors file",
        ),
        (
            "text",
            b"these are not the weights that you are looking for",
            "not a whole safetensors file",
        ),
    ] {
        std::fs::write(&path, bytes).expect("a file");
        for args in [&["solve", puzzle, "--weights", name][..], &["info", name]] {
            let said = run(2, args);
            assert!(
                said.err.contains(expected) && said.err.contains(name),
                "{what}: {}",
                said.err
            );
        }
    }
    // A safetensors file of somebody else's.
    let tensors = [("lm_head.weight", Shape::from([2]), Data::F32(&[1.0, 2.0]))];
    safetensors::write(&path, tensors, Default::default()).expect("a file");
    let said = run(2, &["solve", puzzle, "--weights", name]);
    assert!(said.err.contains("trm-weights-1"), "{}", said.err);
    // A checkpoint is no weights file, and says so.
    let said = run(2, &["solve", puzzle, "--weights", "tests"]);
    assert!(said.err.contains("tests"), "{}", said.err);
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

#[test]
fn configs_that_cannot_work_are_refused_with_key_and_value() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.toml");
    let (name, out) = (text(&path), folder.path().join("run"));
    let out_name = text(&out);
    for (text, expected) in [
        ("[data]\nside = 4\nsyde = 3", &["syde"][..]),
        ("[data]\nside = 5", &["data.side = 5", "4, 6 or 9"]),
        ("[data]\nside = \"four\"", &["side"]),
        ("[model]\nwidth = 3", &["data"]),
        ("[data]\nside = 4\n[model]\nwidht = 3", &["widht"]),
        ("[data]\nside = 4\n[model]\nwidth = 0", &["model.width = 0"]),
        ("[data]\nside = 4\n[model]\nwidth = -1", &["width"]),
        ("[data]\nside = 4\n[model]\nwidth = 100000000", &["model."]),
        (
            "[data]\nside = 4\n[model]\nmixer = \"magic\"",
            &["magic", "mlp"],
        ),
        (
            "[data]\nside = 4\n[model]\ncells = 81",
            &["model.cells = 81", "16"],
        ),
        (
            "[data]\nside = 4\n[model]\nhalt_max_steps = 0",
            &["model.halt_max_steps = 0"],
        ),
        ("[data]\nside = 4\n[train]\nbatch = 0", &["train.batch = 0"]),
        ("[data]\nside = 4\n[train]\nlr = -1.0", &["train.lr = -1"]),
        ("[data]\nside = 4\n[train]\nlr = nan", &["train.lr = NaN"]),
        (
            "[data]\nside = 4\n[train]\nema_rate = 1.5",
            &["train.ema_rate = 1.5"],
        ),
        (
            "[data]\nside = 4\n[run]\nlog_every = 0",
            &["run.log_every = 0"],
        ),
        ("[data]\nside = 4\n[train]\nsteps", &["line 4"]),
        ("[data]\nside = 4", &["no puzzles", "--data"]),
        (
            "[data]\nside = 4\ngenerate_easy = 5\nvalidation_puzzles = 500",
            &["no puzzles left"],
        ),
    ] {
        std::fs::write(&path, text).expect("a file");
        let said = run(2, &["train", name, "--out", out_name]);
        for part in expected {
            assert!(
                said.err.contains(part),
                "{text:?}: {part:?} is not in {}",
                said.err
            );
        }
        assert!(!out.exists(), "{text:?}: something was begun");
    }
    let said = run(2, &["train", "sudoku5"]);
    assert!(
        said.err.contains("sudoku5") && said.err.contains("sudoku4, sudoku6"),
        "{}",
        said.err
    );
}
