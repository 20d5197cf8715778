//! `trm report`.

use super::{run, said, text, trm};
use std::path::{Path, PathBuf};

/// Lines of the tables `[curve]` and `[validation]`.
type Table<'a> = &'a [&'a str];

const CURVE: Table = &[
    "samples = [1600, 3200, 64000]",
    "hours = [0.004, 0.009, 0.2]",
    "loss = [2.19, 1.72, 0.4]",
    "cell_accuracy = [0.11, 0.35, 0.8]",
    "exact_accuracy = [0, 0.0, 0.2]",
];
const VALIDATION: Table = &[
    "samples = [32000, 64000]",
    "hours = [0.1, 0.2]",
    "cell_accuracy = [0.61, 0.75]",
    "exact_accuracy = [0.05, 0.25]",
];

/// Writes an experiment file.
fn experiment(folder: &Path, name: &str, curve: Table, validation: Table) -> PathBuf {
    let head = format!(
        "name = {name:?}\nverdict = \"of {name}\"\nseed = 0\nthreads = 2\nmachine = \"a CPU\"\n\
         parameters = 46370\ntraining_puzzles = 1000\nsamples = 64000\nhours = 0.2\n\
         best_exact_accuracy = 0.41\n"
    );
    let tables = [("curve", curve), ("validation", validation)]
        .map(|(table, lines)| format!("[{table}]\n{}\n", lines.join("\n")));
    let path = folder.join(format!("{name}.toml"));
    let config = "[config.data]\nside = 9\n";
    std::fs::write(&path, head + &tables.concat() + config).expect("a file");
    path
}

/// The names of the files in a folder, in order.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<_> = entries
        .map(|entry| name(entry).into_string().expect("a name in UTF-8"))
        .collect();
    names.sort();
    names
}

#[test]
fn two_runs_are_drawn_into_one_picture() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = experiment(folder.path(), "hard1", CURVE, VALIDATION);
    let second = experiment(folder.path(), "soft <2>", CURVE, VALIDATION);
    let out = folder.path().join("both.svg");
    let args = ["report", text(&first), text(&second), "--out", text(&out)];
    let shown = run(0, &args).out;
    for part in [
        "hard1",
        "46370",
        "0.20",
        "41.00 %",
        "25.00 %",
        "75.00 %",
        "of soft <2>",
        text(&out),
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let picture = std::fs::read_to_string(&out).expect("the picture");
    for part in [
        "hard1",
        "soft &lt;2&gt;",
        "<polyline",
        "loss (nats a cell)",
        "cell accuracy (share of cells)",
        "exact accuracy (share of boards)",
        "training samples",
        "training time (hours)",
        "Training of 2 runs",
    ] {
        assert!(picture.contains(part), "{part}: {picture}");
    }
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    run(0, &args);
    let again = std::fs::read_to_string(&out).expect("the picture");
    assert_eq!(picture, again, "the same bytes");
    let names = ["both.svg", "hard1.toml", "soft <2>.toml"];
    assert_eq!(names_in(folder.path()), names, "nothing else is left");
}

#[test]
fn programs_get_a_row_a_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = experiment(folder.path(), "hard1", CURVE, VALIDATION);
    let none = [
        "samples = []",
        "hours = []",
        "cell_accuracy = []",
        "exact_accuracy = []",
    ];
    let second = experiment(folder.path(), "hard2", CURVE, &none);
    // Without --out the picture lies where the program was started.
    let mut command = trm();
    command
        .current_dir(&folder)
        .args(["report", text(&first), text(&second), "--json"]);
    let report = said(0, &mut command).json();
    let row = |name: &str, exact: Option<f64>, cell: Option<f64>| {
        serde_json::json!({
            "file": folder.path().join(format!("{name}.toml")).display().to_string(),
            "name": name,
            "parameters": 46370,
            "samples": 64000,
            "hours": 0.2,
            "best_exact_accuracy": 0.41,
            "validation_exact_accuracy": exact,
            "validation_cell_accuracy": cell,
            "verdict": format!("of {name}"),
        })
    };
    let expected = serde_json::json!({
        "picture": "report.svg",
        "runs": [row("hard1", Some(0.25), Some(0.75)), row("hard2", None, None)],
    });
    assert_eq!(report, expected);
    assert!(folder.path().join("report.svg").exists());
    // The folder of a run stands for its file.
    std::fs::rename(&first, folder.path().join("experiment.toml")).expect("a file");
    let out = folder.path().join("one.svg");
    let args = ["report", text(folder.path()), "--out", text(&out), "--json"];
    let file = run(0, &args).json()["runs"][0]["file"].take();
    assert_eq!(file, text(&folder.path().join("experiment.toml")));
}

#[test]
fn eight_runs_are_drawn_and_nine_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<_> = (1..=9)
        .map(|i| experiment(folder.path(), &format!("run{i}"), CURVE, VALIDATION))
        .collect();
    let files: Vec<_> = files.iter().map(|path| text(path)).collect();
    let out = folder.path().join("all.svg");
    let said = run(2, &[&["report", "--out", text(&out)], &files[..]].concat());
    assert!(
        said.err.contains("9 experiment files") && said.err.contains("8 at most"),
        "{}",
        said.err
    );
    assert!(!out.exists());
    run(0, &[&["report", "--out", text(&out)], &files[..8]].concat());
    let picture = std::fs::read_to_string(&out).expect("the picture");
    assert!((1..=8).all(|i| picture.contains(&format!("run{i}"))));
}

#[test]
fn bad_files_are_refused_with_file_and_key_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = experiment(folder.path(), "good", CURVE, VALIDATION);
    let bad = folder.path().join("bad.toml");
    let out = folder.path().join("report.svg");
    let args = |bad| ["report", text(&good), text(bad), "--out", text(&out)];
    let whole = std::fs::read_to_string(&good).expect("the file");
    for (from, to, expected) in [
        (
            "loss = [2.19, ",
            "loss = [",
            &["curve.loss has length 2", "curve.samples has length 3"][..],
        ),
        (
            "hours = [0.1, 0.2]",
            "hours = [0.1]",
            &["validation.hours has length 1"],
        ),
        ("loss = [2.19", "loss = [nan", &["curve.loss[0] = NaN"]),
        ("samples = [1600", "samples = [nan", &["samples"]),
        ("[0.61", "[6.1", &["validation.cell_accuracy[0] = 6.1"]),
        ("32000, 64000", "32000, 100", &["validation.samples[1]"]),
        ("[config.data]", "[config", &["line"]),
    ] {
        std::fs::write(&bad, whole.replacen(from, to, 1)).expect("a file");
        let said = run(2, &args(&bad));
        for part in expected.iter().chain(&["bad.toml"]) {
            assert!(
                said.err.contains(part),
                "{to}: {part} is not in {}",
                said.err
            );
        }
        assert!(said.out.is_empty(), "{to}: {}", said.out);
    }
    std::fs::remove_file(&bad).expect("the file");
    let said = run(2, &args(&bad));
    assert!(
        said.err.contains("bad.toml") && said.out.is_empty(),
        "{}",
        said.err
    );
    assert_eq!(names_in(folder.path()), ["good.toml"]);
}

#[test]
fn a_picture_that_cannot_be_written_leaves_no_trace() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = experiment(folder.path(), "one", CURVE, VALIDATION);
    let taken = folder.path().join("taken.svg"); // a folder cannot be replaced by a file
    std::fs::create_dir(&taken).expect("a folder");
    let absent = folder.path().join("absent/report.svg");
    for out in [&taken, &absent, &file] {
        let said = run(2, &["report", text(&file), "--out", text(out)]);
        assert!(said.err.contains(text(out)), "{}", said.err);
    }
    assert_eq!(names_in(folder.path()), ["one.toml", "taken.svg"]);
    let before = experiment(folder.path(), "one", CURVE, VALIDATION);
    assert_eq!(before, file);
    run(2, &["report"]);
}

#[test]
fn runs_are_compared_at_equal_samples() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = experiment(folder.path(), "hard1", CURVE, VALIDATION);
    let out = folder.path().join("cut.svg");
    let args = |samples| {
        let first = ["report", text(&whole), "--out", text(&out), "--json"];
        [&first[..], &["--samples", samples]].concat()
    };
    let shown: serde_json::Value =
        serde_json::from_str(&run(0, &args("32000")).out).expect("one JSON object");
    let cut = &shown["runs"][0];
    assert_eq!(cut["samples"], 32000);
    assert_eq!(cut["hours"], 0.009, "of the last point kept");
    assert_eq!(cut["best_exact_accuracy"], 0.05, "not what came later");
    assert_eq!(cut["validation_cell_accuracy"], 0.61);

    let said = run(2, &args("64001")).err;
    assert!(said.contains("the run has 64000"), "{said}");
    let said = run(2, &args("10")).err;
    assert!(
        said.contains("the first point of the run comes later"),
        "{said}"
    );
}
