//! The weights in the repository are what their manifest says.

use super::{number, run, text};
use std::path::{Path, PathBuf};
use trm_kernels::Kernels;
use trm_model::weights;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("weights")
}

fn manifest() -> Vec<toml::Table> {
    let path = folder().join("MANIFEST.toml");
    let text = std::fs::read_to_string(&path).expect("the manifest");
    let table: toml::Table = toml::from_str(&text).expect("TOML");
    let entries = table["weights"].as_array().expect("a list of weights");
    entries
        .iter()
        .map(|entry| entry.as_table().expect("a table").clone())
        .collect()
}

#[test]
fn every_file_is_listed_and_has_a_card() {
    let mut listed: Vec<_> = manifest()
        .iter()
        .map(|entry| entry["file"].as_str().expect("a name").to_owned())
        .collect();
    let mut present: Vec<_> = std::fs::read_dir(folder())
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .filter(|name| name.ends_with(".safetensors"))
        .collect();
    listed.sort();
    present.sort();
    assert_eq!(listed, present);
    for name in listed {
        let card = folder().join(&name).with_extension("md");
        let text = std::fs::read_to_string(&card)
            .unwrap_or_else(|error| panic!("{}: {error}", card.display()));
        for part in ["## Data", "## Training", "## Accuracy", "## Limits"] {
            assert!(text.contains(part), "{}: no {part}", card.display());
        }
    }
}

/// Twenty new puzzles are no measurement, but they tell the right file from a wrong one.
#[test]
fn the_weights_solve_new_puzzles() {
    let temporary = tempfile::tempdir().expect("a folder");
    let puzzles = temporary.path().join("puzzles.csv");
    for entry in manifest() {
        let file = entry["file"].as_str().expect("a name");
        let path = folder().join(file);
        let loaded = weights::load(&path, Kernels::best().expect("an instruction set"));
        let net = loaded.unwrap_or_else(|error| panic!("{error}")).net;
        assert_eq!(
            entry["parameters"].as_integer(),
            Some(net.layout().len() as i64),
            "{file}"
        );
        let command = entry["new_puzzles"].as_str().expect("a command");
        let mut words = command.split(' ');
        assert_eq!(words.next(), Some("trm"));
        let mut args: Vec<_> = words.collect();
        args.extend(["--count", "20", "--seed", "77", "--out", text(&puzzles)]);
        run(0, &args);
        let args = [
            "eval",
            "--weights",
            text(&path),
            "--data",
            text(&puzzles),
            "--json",
        ];
        let report = run(0, &args).json();
        let exact = number(&report, "exact_accuracy");
        let stated = entry["new_puzzles_exact"].as_float().expect("a fraction");
        // Three of twenty is four standard errors at 97 %.
        assert!(
            exact >= stated - 0.15,
            "{file}: {exact} of twenty, stated {stated}"
        );
    }
}

/// A file that took another's place would tell of another run.
#[test]
fn every_file_tells_of_the_run_that_made_it() {
    let runs = [
        ("sudoku4", "sudoku4", 1500, "1"),
        ("sudoku6", "sudoku6", 2000, "0.998"),
        ("sudoku9-easy", "sudoku9", 2500, "0.998"),
        ("sudoku9-hard", "sudoku9", 6000, "0.5733333333333334"),
        ("sudoku9-hard-20k", "sudoku9", 29_000, "0.7633333333333333"),
        ("maze10", "maze10", 3000, "1"),
        ("maze30", "maze30", 4250, "0.975"),
        ("addition", "arithmetic", 3500, "0.9966666666666667"),
    ];
    let entries = manifest();
    assert_eq!(entries.len(), runs.len());
    for (entry, (name, task, steps, exact)) in entries.iter().zip(runs) {
        let file = entry["file"].as_str().expect("a name");
        assert_eq!(file, format!("{name}.safetensors"));
        let loaded = weights::load(&folder().join(file), Kernels::best().expect("a set"));
        let metadata = loaded.unwrap_or_else(|error| panic!("{error}")).metadata;
        let said = ["task", "trained_steps", "validation_exact_accuracy", "best"];
        let said = said.map(|key| metadata[key].as_str());
        assert_eq!(said, [task, &steps.to_string(), exact, exact], "{file}");
        // What they reach on other puzzles of the kind is not far from it.
        let [held_out, stated] = [
            exact.parse(),
            Ok(entry["exact_accuracy"].as_float().expect("a share")),
        ]
        .map(|share: Result<f64, _>| share.expect("a number"));
        assert!(
            (held_out - stated).abs() < 0.05,
            "{file}: {held_out}, {stated}"
        );
    }
}

/// `trm report` draws every run that is recorded.
#[test]
fn every_recorded_run_is_drawn() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let temporary = tempfile::tempdir().expect("a folder");
    let (mut records, picture) = (0, temporary.path().join("report.svg"));
    for entry in std::fs::read_dir(root.join("experiments")).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let said = run(0, &["report", text(&path), "--out", text(&picture)]).out;
            let name = path.file_stem().and_then(|name| name.to_str());
            assert!(said.contains(name.expect("a name")), "{said}");
            records += 1;
        }
    }
    assert!(records >= 15, "{records} records");
}
