//! The folder of a run: who may write to it, and what is never lost from it.

use super::train::{CONFIG, Place};
use super::{Running, run, trm};
use std::time::{Duration, Instant};
use trm_kernels::Kernels;
use trm_model::weights::{self, Loaded};

#[test]
fn two_trainings_cannot_share_a_folder() {
    let place = Place::new();
    let long = CONFIG.replace("steps = 9", "steps = 100000000");
    std::fs::write(place.path("long.toml"), long).expect("a file");
    let [config, out] = ["long.toml", "run"].map(|name| place.text(name));
    let mut command = trm();
    command.args(["train", &config, "--out", &out]);
    let mut first = Running::of(command.stderr(std::process::Stdio::null()));
    let (weights, start) = (place.path("run/best.safetensors"), Instant::now());
    while !weights.exists() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let config_before = std::fs::read(place.path("run/config.toml")).expect("a config");
    let refused = [&[][..], &["--resume"]].map(|more| place.train(2, "run", more).err);
    first.kill().expect("a process");
    first.wait().expect("a process");
    // Some systems let nobody read what is locked, and so whose it is.
    let of = if cfg!(unix) {
        format!(" (process {})", first.id())
    } else {
        String::new()
    };
    for said in refused {
        assert!(
            said.contains(&format!("another training{of} is writing to")),
            "{said}"
        );
    }
    let config = std::fs::read(place.path("run/config.toml")).expect("a config");
    assert!(config == config_before, "the second one changed the config");

    // What was killed claims nothing any more. It left weights, which no other run may overwrite.
    let said = place.train(2, "run", &[]).err;
    assert!(said.contains("holds weights, but no checkpoint"), "{said}");
    for name in ["weights.safetensors", "best.safetensors"] {
        std::fs::remove_file(place.path("run").join(name)).expect("weights");
    }
    let said = place.train(2, "run", &[]).err;
    assert!(said.contains("holds experiment.toml"), "{said}");
    std::fs::remove_file(place.path("run/experiment.toml")).expect("a record");
    place.train(0, "run", &[]);
}

#[test]
fn metrics_survive_what_is_not_text() {
    let place = Place::new();
    place.train(0, "run", &["--minutes", "0"]);
    let path = place.path("run/metrics.jsonl");
    let before = "{\"step\": 1, \"note\": \"kept\"}\n";
    let damaged = [before.as_bytes(), b"\xff half a li"].concat();
    std::fs::write(&path, &damaged).expect("a file");
    let said = place.train(0, "run", &["--resume"]);
    let expected = "lines that cannot be read (1) are left out";
    assert!(said.err.contains(expected), "{}", said.err);
    let after = std::fs::read_to_string(&path).expect("text");
    assert!(after.starts_with(before), "{after}");
    assert!(!after.contains("half"), "{after}");
    assert!(after.lines().count() > 3, "{after}");
    let aside = std::fs::read(place.path("run/metrics-damaged.jsonl")).expect("what it was");
    assert!(aside == damaged);
}

#[test]
fn an_export_spares_the_run() {
    let place = Place::new();
    place.train(0, "run", &["--minutes", "0"]);
    let before = std::fs::read(place.path("run/checkpoint.safetensors")).expect("a checkpoint");
    for name in [
        "checkpoint.safetensors",
        "checkpoint-previous.safetensors",
        "best.safetensors",
        "config.toml",
        "../run/checkpoint.safetensors",
    ] {
        let file = format!("{}/{name}", place.text("run"));
        let said = place.train(2, "run", &["--export", &file]).err;
        assert!(said.contains("a file of the run itself"), "{name}: {said}");
    }
    let after = std::fs::read(place.path("run/checkpoint.safetensors")).expect("a checkpoint");
    assert!(after == before);
    // An earlier export may be replaced, and nothing else.
    let (export, other) = (
        place.text("run/small.ckpt"),
        place.text("run/weights.safetensors"),
    );
    place.train(0, "run", &["--export", &export]);
    place.train(0, "run", &["--export", &export]);
    place.train(0, "second", &["--minutes", "0"]);
    for file in [other, place.text("small.toml")] {
        let before = std::fs::read(&file).expect("a file");
        let said = place.train(2, "second", &["--export", &file]).err;
        assert!(said.contains("it is no export"), "{said}");
        assert!(std::fs::read(&file).expect("a file") == before, "{file}");
    }
}

#[test]
fn an_export_goes_to_a_folder_that_is_there() {
    let place = Place::new();
    // Known before anything else is.
    let said = place
        .train(2, "nowhere", &["--export", &place.text("no/six.ckpt")])
        .err;
    assert!(
        said.contains("--export") && said.contains("a folder that exists"),
        "{said}"
    );
}

/// A kill may have come between a validation and the next checkpoint, which knows nothing of the weights that were
/// the best then.
#[test]
fn the_best_weights_are_not_replaced_by_worse_ones_after_a_kill() {
    let place = Place::new();
    place.train(0, "run", &[]);
    let kernels = Kernels::best().expect("an instruction set");
    let weights = place.path("run/best.safetensors");
    let Loaded {
        net,
        params,
        mut metadata,
    } = weights::load(&weights, kernels).expect("weights");
    metadata.insert("validation_exact_accuracy".into(), "1".into());
    for (out, data, stays) in [("killed", None, true), ("others", Some("0"), false)] {
        // A checkpoint of before the first validation.
        place.train(0, out, &["--minutes", "0"]);
        if let Some(data) = data {
            metadata.insert("data".into(), data.into());
        }
        let best = place.path(out).join("best.safetensors");
        weights::save(&best, &net, &params, &metadata).expect("weights");
        let before = std::fs::read(&best).expect("a file");
        place.train(0, out, &["--resume"]);
        let after = std::fs::read(&best).expect("a file");
        assert_eq!(before == after, stays, "{out}");
    }
}

/// What is learned does not depend on how it is called, how often it is looked at, and saved.
#[test]
fn a_run_goes_on_under_another_name_and_at_other_intervals() {
    let place = Place::new();
    place.train(0, "run", &["--minutes", "0"]);
    let config = |text: &str| place.config("small.toml", text);
    let other = CONFIG.replace("log_every = 2", "log_every = 1");
    config(&format!("name = \"other\"\n{other}"));
    place.train(0, "run", &["--resume", "--minutes", "0"]);
    let now = std::fs::read_to_string(place.path("run/config.toml")).expect("a config");
    assert!(
        now.contains("\"other\"") && now.contains("log_every = 1"),
        "{now}"
    );
    // The folder's own config goes on as well as the one that was given.
    let [own, out] = ["run/config.toml", "run"].map(|name| place.text(name));
    run(0, &["train", &own, "--out", &out, "--resume"]);
    let metrics = std::fs::read_to_string(place.path("run/metrics.jsonl")).expect("metrics");
    assert_eq!(metrics.matches("lm_loss").count(), 8, "{metrics}");
    // What is learned does depend on the rest.
    config(&other.replace("lr = 1e-3", "lr = 1e-4"));
    let said = place.train(2, "run", &["--resume"]).err;
    assert!(
        said.contains("train.lr") && !said.contains("log_every"),
        "{said}"
    );
}

#[test]
fn files_of_ones_own_are_not_overwritten() {
    let place = Place::new();
    for (name, own) in [
        ("config.toml", &*format!("# with a comment\n{CONFIG}")),
        ("metrics.jsonl", "{\"loss\": 1}\n"),
        ("lock", "of a bicycle"),
    ] {
        std::fs::create_dir_all(place.path("run")).expect("a folder");
        let path = place.path("run").join(name);
        std::fs::write(&path, own).expect("a file");
        let said = place.train(2, "run", &[]).err;
        assert!(
            said.contains(name) && said.contains("no run wrote")
                || said.contains("no training wrote"),
            "{said}"
        );
        let after = std::fs::read_to_string(&path).expect("the file");
        assert_eq!(after, own);
        std::fs::remove_dir_all(place.path("run")).expect("a folder");
    }
}

/// It may be the next experiment's, edited where the last one's lay.
#[test]
fn a_config_that_is_not_the_runs_survives_its_resumption() {
    let place = Place::new();
    place.train(0, "run", &["--minutes", "0"]);
    let path = place.path("run/config.toml");
    let own = format!("# wider\n{}", CONFIG.replace("width = 8", "width = 16"));
    std::fs::write(&path, &own).expect("a file");
    let said = place.train(0, "run", &["--resume"]).err;
    assert!(said.contains("is not the config of this run"), "{said}");
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), own);
}

/// Its checkpoints may have been removed for their size; its curves and what somebody wrote of it are still there.
#[test]
fn the_record_of_a_run_is_not_overwritten() {
    let place = Place::new();
    place.train(0, "run", &[]);
    for entry in std::fs::read_dir(place.path("run")).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "safetensors") {
            std::fs::remove_file(path).expect("a file less");
        }
    }
    let metrics = || std::fs::read(place.path("run/metrics.jsonl")).expect("metrics");
    let before = metrics();
    let said = place.train(2, "run", &[]).err;
    assert!(said.contains("holds experiment.toml"), "{said}");
    assert!(metrics() == before);
}

/// The verdict is a person's work: a run that goes on writes its record anew, and leaves it.
#[test]
fn the_verdict_on_a_run_stays_when_it_resumes() {
    let place = Place::new();
    place.train(0, "run", &["--minutes", "0"]);
    let path = place.path("run/experiment.toml");
    let record = || std::fs::read_to_string(&path).expect("a record");
    let said = |key: &str| record().parse::<toml::Table>().expect("TOML")[key].clone();
    assert_eq!((said("verdict"), said("samples")), ("".into(), 10.into()));
    let verdict = "Learns \"slowly\";\nnoch 2 β.";
    let written = format!("verdict = \"\"\"{}\"\"\"", verdict);
    std::fs::write(&path, record().replace("verdict = \"\"", &written)).expect("a file");
    for (more, samples) in [(&["--minutes", "0"][..], 20), (&[], 90)] {
        place.train(0, "run", &[&["--resume"], more].concat());
        assert_eq!(
            (said("verdict"), said("samples")),
            (verdict.into(), samples.into())
        );
    }
    // A slip of the pen costs the record its news, not the verdict.
    let slip = record().replace("verdict = ", "verdcit = ");
    std::fs::write(&path, &slip).expect("a file");
    let said = place.train(0, "run", &["--resume"]).err;
    assert!(
        said.contains("its verdict would be lost; repair it or move it away"),
        "{said}"
    );
    assert_eq!(record(), slip);
}

#[test]
fn a_name_is_that_of_a_folder() {
    let place = Place::new();
    for name in ["../elsewhere", "/tmp/x", ".."] {
        let config = format!("name = {name:?}\n{CONFIG}");
        std::fs::write(place.path("named.toml"), config).expect("a file");
        let said = run(2, &["train", &place.text("named.toml"), "--dry-run"]).err;
        assert!(said.contains("expected the name of a folder"), "{said}");
    }
    for name in [r"a\nb", r"\u001b[2J", " ", " a", "a\t"] {
        let config = format!("name = \"{name}\"\n{CONFIG}");
        std::fs::write(place.path("named.toml"), config).expect("a file");
        let said = run(2, &["train", &place.text("named.toml"), "--dry-run"]).err;
        assert!(said.contains("expected a name without"), "{name}: {said}");
    }
}
