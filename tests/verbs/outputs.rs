//! Files that a verb is told to write: what they must not replace, and when they are written.

use super::arc::{Place, tasks};
use super::{run, said, text, trm};
use std::path::PathBuf;

/// A folder with a run of `trm arc`.
fn judged() -> Place {
    let place = Place::new();
    let test = place.write("t.json", &tasks(&[("a", 3)]));
    place.arc(0, "tiny.toml", &test, "run", &["--steps", "1"]);
    place
}

#[test]
fn an_answer_replaces_no_weights_and_no_config() {
    let place = judged();
    let [weights, data] = ["run/weights.safetensors", "run/data"].map(|name| place.path(name));
    let eval = ["eval", "--weights", text(&weights), "--data", text(&data)];
    let [other, renamed] = ["run/checkpoint.safetensors", "six.ckpt"].map(|name| place.path(name));
    std::fs::copy(&other, &renamed).expect("a checkpoint");
    let refused = |args: &[&str], path: &PathBuf, expected: &str| {
        let before = std::fs::read(path).expect("a file");
        let said = run(2, &[args, &[text(path)]].concat()).err;
        assert!(said.contains(expected), "{said}");
        assert!(said.contains(text(path)), "{said}");
        assert!(std::fs::read(path).expect("a file") == before, "{said}");
    };
    let config = place.path("tiny.toml");
    let would_be_lost = "config that is there would be lost; give another name";
    for option in ["--submission", "--pictures"] {
        for path in [&weights, &other, &renamed, &config] {
            refused(&[&eval[..], &[option]].concat(), path, would_be_lost);
        }
    }
    let generate = "data sudoku generate --side 4 --count 2 --out";
    let generate: Vec<_> = generate.split(' ').collect();
    for path in [&weights, &renamed, &config] {
        refused(&generate, path, would_be_lost);
    }
    // Nor the examples that are asked, however deep they lie.
    let inputs = place.path("run/data/test/all__inputs.npy");
    let expected = "among the files of the data set";
    refused(&[&eval[..], &["--submission"]].concat(), &inputs, expected);
    // An earlier answer it does replace, whatever its name.
    let earlier = place.write("earlier.json", "{}");
    run(0, &[&eval[..], &["--submission", text(&earlier)]].concat());
    assert!(
        std::fs::read_to_string(&earlier)
            .expect("a file")
            .contains("attempt_1")
    );
    // Weights of no format that trm knows go by their name.
    let foreign = place.write("foreign.SafeTensors", "not ours");
    refused(&generate, &foreign, would_be_lost);
}

/// Hours of judging are not lost with the place to print to.
#[test]
#[cfg(target_os = "linux")]
fn what_was_judged_is_written_before_it_is_printed() {
    let place = judged();
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("a full disk")
    };
    let expected = "cannot write to standard output";
    for name in ["submission.json", "predictions.svg"] {
        std::fs::remove_file(place.path("run").join(name)).expect("a file");
    }
    let [config, test, out] = ["tiny.toml", "t.json", "run"].map(|name| place.path(name));
    let mut arc = trm();
    arc.args([
        "arc",
        text(&config),
        "--test",
        text(&test),
        "--out",
        text(&out),
    ]);
    arc.args(["--variants", "2", "--steps", "1", "--resume"])
        .stdout(full());
    let err = said(2, &mut arc).err;
    assert!(err.contains(expected), "{err}");
    let [weights, data] = ["run/weights.safetensors", "run/data"].map(|name| place.path(name));
    let [submission, pictures] = ["run/s.json", "run/p.svg"].map(|name| place.path(name));
    let mut eval = trm();
    eval.args(["eval", "--weights", text(&weights), "--data", text(&data)]);
    eval.args([
        "--submission",
        text(&submission),
        "--pictures",
        text(&pictures),
    ]);
    assert!(said(2, eval.stdout(full())).err.contains(expected));
    for name in ["submission.json", "predictions.svg", "s.json", "p.svg"] {
        assert!(place.path("run").join(name).exists(), "{name}");
    }
}
