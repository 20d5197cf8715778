//! `--precision`, on a CPU with halves and on one without.

use super::train::{Place, values};
use super::{Said, generate, run, said, text, trm};
use serde_json::Value;
use trm_kernels::Kernels;

/// Whether this CPU has halves, which a test that needs the other kind says.
fn has_halves() -> bool {
    let has = !Kernels::with_halves().is_empty();
    if has {
        eprintln!("skipped: this CPU has halves of its own");
    }
    has
}

#[test]
fn a_cpu_without_halves_says_what_is_missing() {
    if has_halves() {
        return;
    }
    let place = Place::new();
    let (config, out) = (place.text("small.toml"), place.text("run"));
    for args in [
        &["train", &config, "--out", &out, "--precision", "f16"][..],
        &["train", &config, "--dry-run", "--precision", "f16"],
        &["solve", "--precision", "f16"],
        &["bench", "--precision", "f16"],
    ] {
        let said = said(2, trm().args(args).env_remove("TRM_EMULATE_F16"));
        assert!(
            said.err.contains("needs a CPU with AVX512-FP16"),
            "{args:?}: {}",
            said.err
        );
        assert!(said.out.is_empty(), "{args:?}: {}", said.out);
    }
    assert!(!place.path("run").exists());
}

#[test]
fn an_unknown_precision_is_refused() {
    let said = run(2, &["solve", "--precision", "bf16"]);
    assert!(
        said.err.contains("\"bf16\" is no precision: f32 or f16"),
        "{}",
        said.err
    );
    let place = Place::new();
    let config = std::fs::read_to_string(place.path("small.toml")).expect("the config");
    let config = config.replace("[train]", "[train]\nprecision = \"half\"");
    std::fs::write(place.path("small.toml"), config).expect("a file");
    let said = place.train(2, "run", &[]);
    assert!(
        said.err.contains("\"half\" is no precision"),
        "{}",
        said.err
    );
}

/// A whole run in halves, which emulation makes possible on any CPU.
#[test]
fn a_run_in_halves_is_trained_evaluated_and_resumed() {
    let place = Place::new();
    let (config, out) = (place.text("small.toml"), place.text("run"));
    let train = ["train", &config, "--out", &out, "--precision"];
    let in_halves = |code, args: &[&str], more: &[&str]| {
        let mut command = trm();
        let command = command.args(args).args(more);
        said(code, command.env("TRM_EMULATE_F16", "1"))
    };
    in_halves(0, &train, &["f16", "--steps", "9"]);
    let metrics = std::fs::read_to_string(place.path("run/metrics.jsonl")).expect("metrics");
    let line: Value = serde_json::from_str(metrics.lines().next().expect("a line")).expect("JSON");
    assert_eq!(line["rows_reset"], 0.0);
    assert_eq!(line["updates_skipped"], 0.0);
    in_halves(0, &train, &["f16", "--steps", "9", "--resume"]);
    let refused = in_halves(2, &train, &["f32", "--steps", "9", "--resume"]);
    assert!(refused.err.contains("another config"), "{}", refused.err);
    if !has_halves() {
        let args = [&train[..], &["f16", "--steps", "9", "--resume"]].concat();
        let refused = said(2, trm().args(args).env_remove("TRM_EMULATE_F16"));
        let expected = "train.precision = \"f16\"";
        assert!(refused.err.contains(expected), "{}", refused.err);
    }
    let weights = place.text("run/weights.safetensors");
    let puzzles = place.path("puzzles.csv");
    generate(&puzzles, "--side 4 --count 20");
    let eval = [
        "eval",
        "--weights",
        &weights,
        "--data",
        text(&puzzles),
        "--json",
    ];
    let floats = run(0, &eval).json();
    let halves = in_halves(0, &eval, &["--precision", "f16"]).json();
    assert_eq!(halves["puzzles"], 20);
    let cells = |report: &Value| report["cell_accuracy"].as_f64().expect("a number");
    assert!((cells(&floats) - cells(&halves)).abs() < 0.05);
    // Beliefs tell the two apart, and training leaves other weights.
    let solve = ["solve", text(&puzzles), "--weights", &weights, "--json"];
    let beliefs = |said: Said| -> Vec<f64> {
        let lines = said.out.lines();
        let belief = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            line["halt_probability"].as_f64().expect("a number")
        };
        lines.map(belief).collect()
    };
    let floats = beliefs(run(1, &solve));
    let halves = beliefs(in_halves(1, &solve, &["--precision", "f16"]));
    assert_eq!((floats.len(), halves.len()), (20, 20));
    let pairs = floats.iter().zip(&halves);
    assert!(pairs.clone().any(|(a, b)| a != b), "solved in floats?");
    for (a, b) in pairs {
        assert!((a / b).ln().abs() < 0.05, "{a} in floats, {b} in halves");
    }
    let other = place.text("floats");
    run(0, &["train", &config, "--out", &other]);
    let of = |run: &str| values(&place.path(run).join("weights.safetensors"));
    assert!(of("run") != of("floats"), "trained in floats?");
}

/// Boards enough that roundings turn a cell or two of an answer that hangs in the balance.
#[test]
fn evaluation_in_halves_is_one_in_halves() {
    let place = Place::new();
    place.train(0, "run", &[]);
    let (weights, puzzles) = (
        place.text("run/weights.safetensors"),
        place.path("many.csv"),
    );
    generate(&puzzles, "--side 4 --count 1000");
    let eval = [
        "eval",
        "--weights",
        &weights,
        "--data",
        text(&puzzles),
        "--json",
    ];
    let cells = |args: &[&str]| {
        let mut command = trm();
        let command = command.args(eval).args(["--supervision-steps", "4"]);
        let report = said(0, command.args(args).env("TRM_EMULATE_F16", "1")).json();
        report["cell_accuracy"].as_f64().expect("a number")
    };
    let (floats, halves) = (cells(&[]), cells(&["--precision", "f16"]));
    assert!(floats != halves, "evaluated in floats?");
    assert!(
        (floats - halves).abs() < 0.01,
        "{floats} in floats, {halves} in halves"
    );
}
