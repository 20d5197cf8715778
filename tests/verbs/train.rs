//! `trm train` and `trm eval`.

use super::{generate, run, said, trm};
use serde_json::Value;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use trm_autograd::random::{Purpose, stream};
use trm_data::{Difficulty, Geometry, Symmetry, read_path, write_path};
use trm_kernels::Kernels;
use trm_model::weights;

/// A run of seconds: 9 steps on 60 generated puzzles.
pub(super) const CONFIG: &str = "
[data]
side = 4
generate_easy = 60
validation_puzzles = 12

[model]
width = 16
inner = 24
inner_positions = 12
prefix_len = 1
puzzle_emb_ndim = 16
H_cycles = 2
L_cycles = 2
halt_max_steps = 3

[train]
batch = 10
micro_batch = 3
steps = 9
warmup_steps = 3
lr = 1e-3

[run]
log_every = 2
validate_every = 4
";

/// A folder with the config in it, and where the runs go.
pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place(folder);
        place.config("small.toml", CONFIG);
        place
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.path(name)
            .to_str()
            .expect("a name in UTF-8")
            .to_owned()
    }

    /// Writes a config, and gives its path.
    pub(super) fn config(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).expect("a file");
        self.text(name)
    }

    /// `trm train small.toml --out NAME` and more; expects `code`.
    #[track_caller]
    pub(super) fn train(&self, code: i32, out: &str, more: &[&str]) -> super::Said {
        let (config, out) = (self.text("small.toml"), self.text(out));
        run(code, &[&["train", &config, "--out", &out], more].concat())
    }
}

/// The bits of all values in a weights file.
pub(super) fn values(path: &Path) -> Vec<u32> {
    let loaded = weights::load(path, Kernels::best().expect("an instruction set"));
    let params = loaded.unwrap_or_else(|error| panic!("{error}")).params;
    params
        .values
        .iter()
        .chain(params.puzzle_emb.iter())
        .map(|x| x.to_bits())
        .collect()
}

/// The lines of metrics without the times in them.
fn metrics(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("metrics");
    let line = |line: &str| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        for key in ["seconds", "samples_per_s"] {
            line.as_object_mut().expect("an object").remove(key);
        }
        line
    };
    text.lines().map(line).collect()
}

#[test]
fn a_run_leaves_everything_that_the_other_verbs_need() {
    let place = Place::new();
    let said = place.train(0, "run", &["--threads", "2"]);
    assert_eq!(
        said.out.trim(),
        place.text("run/best.safetensors"),
        "standard output is the answer"
    );
    for name in [
        "config.toml",
        "metrics.jsonl",
        "checkpoint.safetensors",
        "weights.safetensors",
    ] {
        assert!(place.path("run").join(name).exists(), "{name}");
    }
    let lines = metrics(&place.path("run/metrics.jsonl"));
    let of_training: Vec<_> = lines
        .iter()
        .filter(|line| line.get("lm_loss").is_some())
        .collect();
    let steps: Vec<_> = of_training
        .iter()
        .map(|line| line["step"].as_u64())
        .collect();
    assert_eq!(steps, [2, 4, 6, 8, 9].map(Some));
    assert!(
        of_training
            .iter()
            .all(|line| line["lm_loss"].as_f64() > Some(0.1))
    );
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.get("validation").is_some())
            .count(),
        3
    );

    // The weights file alone is enough for everything else.
    let data = place.text("puzzles.csv");
    generate(Path::new(&data), "--side 4 --count 30");
    let weights = place.text("run/weights.safetensors");
    let eval = |more: &[&str]| {
        let args = ["eval", "--weights", &weights, "--data", &data, "--json"];
        run(0, &[&args, more].concat()).json()
    };
    let report = eval(&[]);
    let keys: Vec<_> = report.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        [
            "puzzles",
            "exact_accuracy",
            "valid_accuracy",
            "cell_accuracy",
            "mean_steps",
            "seconds",
            "puzzles_per_second",
            "by_source"
        ]
    );
    assert_eq!(
        (&report["puzzles"], &report["mean_steps"]),
        (&30.into(), &3.0.into()),
        "as many steps as in training"
    );
    assert!((0.0..=1.0).contains(&report["cell_accuracy"].as_f64().expect("a number")));
    let limited = eval(&["--limit", "7", "--supervision-steps", "2", "--halt", "q"]);
    assert_eq!(limited["puzzles"], 7);
    assert!(limited["mean_steps"].as_f64().expect("a number") <= 2.0);

    // Their metadata holds the whole config, so they describe themselves.
    let info = run(0, &["info", &weights, "--json"]).json();
    assert_eq!(info["metadata"]["run"]["train"]["batch"], 10);
    assert_eq!(info["metadata"]["trained_steps"], "9");
}

#[test]
fn stopped_after_every_step_and_resumed_it_is_the_same_run() {
    let place = Place::new();
    place.train(0, "straight", &["--threads", "2"]);
    let mut starts = 0;
    loop {
        // A time limit of nothing still does one step.
        let resume: &[&str] = if starts == 0 { &[] } else { &["--resume"] };
        let threads = if starts % 2 == 0 { "1" } else { "2" };
        let said = place.train(
            0,
            "stopped",
            &[&["--minutes", "0", "--threads", threads], resume].concat(),
        );
        starts += 1;
        if !said.out.is_empty() {
            break;
        }
        assert!(
            said.err.contains(&format!("stopped at step {starts}")),
            "{}",
            said.err
        );
    }
    assert_eq!(starts, 9);
    for name in ["weights.safetensors", "best.safetensors"] {
        let [straight, stopped] =
            ["straight", "stopped"].map(|run| values(&place.path(run).join(name)));
        assert!(straight == stopped, "{name}: other bits");
    }
    let validations = |run: &str| {
        let lines = metrics(&place.path(run).join("metrics.jsonl"));
        lines
            .into_iter()
            .filter(|line| line.get("validation").is_some())
            .collect::<Vec<_>>()
    };
    assert_eq!(validations("straight"), validations("stopped"));
    // A finished run has nothing left to do, and says where its answer is.
    let said = place.train(0, "straight", &["--resume"]);
    assert_eq!(said.out.trim(), place.text("straight/best.safetensors"));
    assert!(said.err.contains("the run is complete"), "{}", said.err);
    // Nor can it be made longer.
    let said = place.train(2, "straight", &["--resume", "--steps", "99"]);
    assert!(
        said.err.contains("begin another run with --init-from"),
        "{}",
        said.err
    );
}

#[test]
fn a_run_can_be_carried_to_another_folder() {
    let place = Place::new();
    // Its best is found at once, and stays in the folder.
    place.config(
        "small.toml",
        &CONFIG.replace("validate_every = 4", "validate_every = 1"),
    );
    place.train(0, "here", &["--minutes", "0"]);
    let file = place.text("small.ckpt");
    // A run may be at work in the folder: nothing there changes, not even what looks unfinished or unknown.
    std::fs::write(place.path("here/.trm-x.tmp"), "a checkpoint being written").expect("a file");
    let mut lines = place.text("here/metrics.jsonl");
    lines = std::fs::read_to_string(lines).expect("metrics") + "{\"step\":5}\n";
    std::fs::write(place.path("here/metrics.jsonl"), lines).expect("a file");
    let files = || {
        let entries = std::fs::read_dir(place.path("here")).expect("the folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths
            .map(|path| (path.clone(), std::fs::read(path).expect("a file")))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = files();
    let said = place.train(0, "here", &["--export", &file]);
    assert_eq!(said.out.trim(), file);
    assert!(files() == before, "exporting only reads");
    let size = |path: &str| std::fs::metadata(place.path(path)).expect("a file").len();
    assert!(size("small.ckpt") < size("here/checkpoint.safetensors"));
    let said = place.train(0, "there", &["--import", &file]);
    assert!(said.err.contains("at step 1"), "{}", said.err);
    let steps = metrics(&place.path("there/metrics.jsonl"));
    assert_eq!(steps.last().expect("a line")["step"], 9);
    assert!(Path::new(said.out.trim()).exists(), "{}", said.out);
    // When it is over, there is nothing to go on with.
    let over = place.text("over.ckpt");
    place.train(0, "there", &["--export", &over]);
    let said = place.train(2, "elsewhere", &["--import", &over]);
    assert!(
        said.err.contains("its run is over, all 9 steps"),
        "{}",
        said.err
    );
    // Into a folder that holds a run, with other puzzles, or from what is no checkpoint: no.
    let said = place.train(2, "here", &["--import", &file]);
    assert!(said.err.contains("holds a run already"), "{}", said.err);
    let data = place.text("other.csv");
    generate(Path::new(&data), "--side 4 --count 60 --seed 9");
    let said = place.train(2, "elsewhere", &["--import", &file, "--data", &data]);
    assert!(said.err.contains("other puzzles"), "{}", said.err);
    let weights = place.text("there/best.safetensors");
    place.train(2, "elsewhere", &["--import", &weights]);
    assert!(!place.path("elsewhere").exists());
}

#[test]
fn a_dry_run_shows_the_price_and_leaves_nothing() {
    let place = Place::new();
    let said = place.train(0, "run", &["--dry-run"]);
    for expected in [
        "parameters",
        "memory",
        "carry",
        "GFLOP",
        "samples/s",
        "9 steps",
    ] {
        assert!(said.out.contains(expected), "{expected}: {}", said.out);
    }
    assert!(!said.err.contains("has no effect"), "{}", said.err);
    let said = place.train(2, "run", &["--dry-run", "--minutes", "1"]).err;
    assert!(said.contains("--minutes"), "{said}");
    // Ten puzzles in micro-batches of three are four shards: a fifth thread has nothing to do.
    let many = place.train(0, "run", &["--dry-run", "--threads", "5"]).out;
    let workers = many.lines().find(|line| line.contains("workers"));
    assert!(
        workers.is_some_and(|line| line.contains("  4 of ")),
        "{many}"
    );
    let idle = CONFIG.replace("lr = 1e-3", "lr = 1e-3\nmuon_lr = 0.5");
    let idle = place.config("idle.toml", &idle);
    let said = run(0, &["train", &idle, "--dry-run"]).err;
    assert!(
        said.contains("train.muon_lr = 0.5 has no effect: train.optimizer is not \"muon\""),
        "{said}"
    );
    assert!(!place.path("run").exists());
}

#[test]
fn other_weights_can_be_the_start() {
    let place = Place::new();
    place.train(0, "first", &[]);
    let first = place.text("first/best.safetensors");
    // A step of no length shows where the run began.
    let still = CONFIG
        .replace("lr = 1e-3", "lr = 0.0\npuzzle_emb_lr = 0.0\nema_rate = 0.0")
        .replace("steps = 9", "steps = 1");
    let second = place.config("still.toml", &still);
    let out = place.text("second");
    run(0, &["train", &second, "--out", &out, "--init-from", &first]);
    assert_eq!(
        values(&place.path("second/weights.safetensors")),
        values(&place.path("first/best.safetensors"))
    );
    let one_state = still.replace("[model]", "[model]\nsystem = \"single_z\"");
    let other = place.config("single_z.toml", &one_state);
    let refused = |config: &str| {
        let out = place.text("x");
        run(2, &["train", config, "--out", &out, "--init-from", &first]).err
    };
    let said = refused(&other);
    let expected = "its model.system is \"trm\", the config's is \"single_z\"";
    assert!(said.contains(expected), "{said}");
    let wider = CONFIG.replace("width = 16", "width = 24");
    let said = refused(&place.config("wider.toml", &wider));
    for expected in ["best.safetensors", "other sizes"] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(!place.path("x").exists());
}

#[test]
fn nothing_of_an_older_run_is_lost() {
    let place = Place::new();
    place.train(0, "run", &[]);
    let files = || {
        let names = [
            "config.toml",
            "metrics.jsonl",
            "checkpoint.safetensors",
            "weights.safetensors",
            "best.safetensors",
        ];
        names.map(|name| std::fs::read(place.path("run").join(name)).expect(name))
    };
    let before = files();
    let data = place.text("puzzles.csv");
    generate(Path::new(&data), "--side 4 --count 60 --seed 5");
    for (more, expected) in [
        (&[][..], "holds a run already"),
        (&["--resume", "--steps", "10"], "train.steps = 10 (was 9)"),
        (&["--resume", "--seed", "1"], "train.seed = 1 (was 0)"),
        (&["--resume", "--data", &data], "other puzzles"),
        (&["--resume", "--data", "absent.csv"], "absent.csv"),
    ] {
        let said = place.train(2, "run", more);
        assert!(said.err.contains(expected), "{more:?}: {}", said.err);
        assert!(files() == before, "{more:?} changed a file");
    }
    let said = place.train(2, "empty", &["--resume"]);
    assert!(said.err.contains("there is no checkpoint"), "{}", said.err);
    // A checkpoint that was cut short is refused, and stays for whoever can mend it.
    let checkpoint = place.path("run/checkpoint.safetensors");
    std::fs::write(&checkpoint, &before[2][..before[2].len() / 2]).expect("a file");
    let said = place.train(2, "run", &["--resume"]);
    assert!(
        said.err.contains("not a whole safetensors file"),
        "{}",
        said.err
    );
}

#[test]
fn a_run_that_goes_astray_stops_and_spoils_nothing() {
    let place = Place::new();
    let wild = CONFIG.replace(
        "lr = 1e-3",
        "lr = 1000.0\nlr_min_ratio = 1.0\nweight_decay = 100.0",
    );
    place.config("small.toml", &wild);
    let said = place.train(2, "run", &[]);
    assert!(said.err.contains("train.lr = 1000"), "{}", said.err);
    assert!(
        said.err.contains("no checkpoint was written yet"),
        "{}",
        said.err
    );
    assert!(!place.path("run/checkpoint.safetensors").exists());
}

#[test]
fn the_instruction_set_can_be_forced() {
    let place = Place::new();
    let (config, out) = (place.text("small.toml"), place.text("run"));
    let args = ["train", &config, "--out", &out, "--steps", "1"];
    let portable = said(0, trm().env("TRM_ISA", "portable").args(args));
    assert!(portable.err.contains("portable"), "{}", portable.err);
}

/// Trains for a step on `more`, validating with the file `six.csv` of 6x6 puzzles made with `options`; what it says.
fn said_of_validation(place: &Place, options: &str, more: &[&str]) -> String {
    let config = place.config("six.toml", &CONFIG.replace("side = 4", "side = 6"));
    let (file, out) = (place.text("six.csv"), place.text("run"));
    generate(Path::new(&file), &format!("--side 6 --count 40{options}"));
    let args = ["train", &config, "--validate", &file, "--out", &out];
    let said = run(0, &[&args, more, &["--steps", "1"]].concat());
    std::fs::remove_dir_all(&out).expect("the run");
    said.err
}

#[test]
fn validation_puzzles_that_look_like_learned_ones_are_counted() {
    let place = Place::new();
    let expected = "note: 12 of 12 puzzles of --validate look like one that is learned from";
    let said = said_of_validation(&place, " --seed 0", &[]);
    assert!(said.contains(expected), "{said}");
    // Of a file to learn from, be its rows other images of the same puzzles.
    let puzzles = read_path(place.path("six.csv"), ()).expect("a puzzle file");
    let turned: Vec<_> = puzzles
        .iter()
        .map(|puzzle| {
            Symmetry::random(Geometry::Six, &mut stream(3, Purpose::Augment, 0))
                .apply_to_puzzle(puzzle)
        })
        .collect();
    write_path(place.path("turned.csv"), &turned).expect("a file");
    let data = place.text("turned.csv");
    let said = said_of_validation(&place, " --seed 0", &["--data", &data]);
    assert!(said.contains(expected), "{said}");
    let said = said_of_validation(&place, " --seed 5", &["--data", &data]);
    assert!(!said.contains("look like"), "{said}");
}

#[test]
fn a_file_of_the_default_seed_is_not_what_a_run_of_the_default_seed_learns_from() {
    let said = said_of_validation(&Place::new(), "", &[]);
    assert!(!said.contains("look like"), "{said}");
}

#[test]
fn repeats_among_generated_puzzles_are_counted() {
    let place = Place::new();
    let many = CONFIG.replace("generate_easy = 60", "generate_minimal = 800");
    let (config, out) = (place.config("many.toml", &many), place.text("run"));
    let said = run(0, &["train", &config, "--out", &out, "--steps", "1"]).err;
    let questions = (0..800).map(|i| {
        let rng = &mut stream(0, Purpose::Generate, i);
        let puzzle = trm_data::generate::generate(Geometry::Four, Difficulty::Minimal, rng);
        puzzle.expect("a minimal one").question
    });
    let repeats = 800 - questions.collect::<HashSet<_>>().len();
    let expected = format!("note: {repeats} of 800 generated puzzles are repeats of others");
    assert!(repeats > 0 && said.contains(&expected), "{said}");
}
