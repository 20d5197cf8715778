//! `trm train` and `trm eval`.

use super::{generate, run, said, trm};
use serde_json::Value;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use trm_kernels::Kernels;
use trm_model::weights;

/// A run of seconds: 9 steps on 60 generated puzzles.
const CONFIG: &str = "
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
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("small.toml"), CONFIG).expect("a file");
        Place(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name)
            .to_str()
            .expect("a name in UTF-8")
            .to_owned()
    }

    /// `trm train small.toml --out NAME` and more; expects `code`.
    #[track_caller]
    fn train(&self, code: i32, out: &str, more: &[&str]) -> super::Said {
        let (config, out) = (self.text("small.toml"), self.text(out));
        run(code, &[&["train", &config, "--out", &out], more].concat())
    }
}

/// The bits of all values in a weights file.
fn values(path: &Path) -> Vec<u32> {
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
        (&30.into(), &16.0.into())
    );
    assert!((0.0..=1.0).contains(&report["cell_accuracy"].as_f64().expect("a number")));
    let limited = eval(&["--limit", "7", "--supervision-steps", "2", "--halt", "q"]);
    assert_eq!(limited["puzzles"], 7);
    assert!(limited["mean_steps"].as_f64() <= Some(2.0));

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
}

/// Sends a signal.
#[cfg(unix)]
fn signal(name: &str, child: &std::process::Child) {
    let mut kill = std::process::Command::new("kill");
    let sent = kill
        .args([name.to_owned(), child.id().to_string()])
        .status();
    assert!(sent.expect("kill").success());
}

/// Starts `trm train CONFIG --out OUT` and waits until `sign` is there.
#[cfg(unix)]
fn started(config: &str, out: &str, sign: &Path) -> std::process::Child {
    let mut command = trm();
    command.args(["train", config, "--out", out, "--steps", "1000000"]);
    let mut child = command
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    while !sign.exists() {
        let ended = child.try_wait().expect("a child");
        assert!(ended.is_none(), "the run ended by itself: {ended:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child
}

#[test]
#[cfg(unix)]
fn a_run_that_is_told_to_stop_leaves_a_checkpoint() {
    let place = Place::new();
    for name in ["-INT", "-TERM"] {
        let (config, out) = (place.text("small.toml"), place.text(name));
        let sign = place.path(name).join("weights.safetensors");
        let mut child = started(&config, &out, &sign);
        signal(name, &child);
        assert_eq!(child.wait().expect("the program ends").code(), Some(130));
        let said = place.train(
            0,
            name,
            &["--steps", "1000000", "--resume", "--minutes", "0"],
        );
        assert!(said.err.contains("resuming"), "{}", said.err);
    }
}

/// In the middle of a step of hours, the first signal waits for its end and the second does not.
#[test]
#[cfg(unix)]
fn a_run_that_is_told_twice_leaves_at_once() {
    let place = Place::new();
    let endless = CONFIG
        .replace("\nbatch = 10", "\nbatch = 1000000")
        .replace("H_cycles = 2", "H_cycles = 1000");
    let config = place.path("endless.toml");
    std::fs::write(&config, endless).expect("a file");
    let (config, out) = (config.display().to_string(), place.text("run"));
    let mut command = trm();
    command.args(["train", &config, "--out", &out]);
    let stderr = std::process::Stdio::piped();
    let mut child = command.stderr(stderr).spawn().expect("the program starts");
    // It says what it trains once it listens to signals.
    let mut said = std::io::BufReader::new(child.stderr.take().expect("its words"));
    let mut line = String::new();
    while !line.contains("parameters") {
        line.clear();
        assert!(
            said.read_line(&mut line).expect("a line") > 0,
            "it ended by itself"
        );
    }
    let (mut signals, mut status) = (0, None);
    while status.is_none() {
        signal("-TERM", &child);
        signals += 1;
        // Two at the same time would count as one.
        std::thread::sleep(std::time::Duration::from_millis(200));
        status = child.try_wait().expect("a child");
    }
    assert_eq!(status.and_then(|status| status.code()), Some(130));
    assert!(signals >= 2, "the step had hours to go");
    assert!(!place.path("run/checkpoint.safetensors").exists());
}

/// Whoever reads what a verb says may have seen enough.
#[test]
#[cfg(unix)]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    place.train(0, "run", &[]);
    let (weights, data) = (place.text("run/best.safetensors"), place.text("data.csv"));
    generate(Path::new(&data), "--side 4 --count 60");
    let exe = env!("CARGO_BIN_EXE_trm");
    for verb in [
        format!("eval --weights {weights} --data {data}"),
        format!("solve {data} --weights {weights}"),
        format!("solve {data} --weights {weights} --trace"),
        format!("info {weights}"),
        "data sudoku generate --side 4 --count 200".to_owned(),
        format!(
            "train {} --out {}",
            place.text("small.toml"),
            place.text("other")
        ),
        "--help".to_owned(),
    ] {
        // Both streams go to a reader that is gone before the program says a word.
        let script = format!("(sleep 0.2; exec {exe} {verb}) 2>&1 | true; echo ${{PIPESTATUS[0]}}");
        let output = std::process::Command::new("bash")
            .args(["-c", &script])
            .output();
        let output = output.expect("bash");
        let status = String::from_utf8(output.stdout).expect("text");
        // 1 is an answer too: not all boards are right. A panic would be 101, a signal more than 128.
        assert!(["0", "1"].contains(&status.trim()), "{verb}: {status}");
    }
}

/// Killed at random moments, between the steps and in the middle of writing a checkpoint: ten times, or as often as
/// `TRM_KILLS` says.
#[test]
#[cfg(unix)]
fn killed_ten_times_and_resumed_it_is_the_same_run() {
    use rand::RngExt;
    use trm_autograd::random::{Purpose, stream};
    let place = Place::new();
    let wanted: usize =
        std::env::var("TRM_KILLS").map_or(10, |kills| kills.parse().expect("a number"));
    let patient = CONFIG
        .replace("steps = 9", &format!("steps = {}", 80 * wanted))
        .replace("every = ", "every = 40");
    let hasty = format!("{patient}checkpoint_minutes = 0.00001\n");
    std::fs::write(place.path("patient.toml"), patient).expect("a file");
    std::fs::write(place.path("hasty.toml"), hasty).expect("a file");
    let [straight, killed] = ["straight", "killed"].map(|run| place.text(run));
    run(
        0,
        &["train", &place.text("patient.toml"), "--out", &straight],
    );

    let written = || {
        std::fs::metadata(place.path("killed/checkpoint.safetensors")).and_then(|m| m.modified())
    };
    let mut rng = stream(5, Purpose::Generate, 0);
    let hasty = place.text("hasty.toml");
    let mut kills = 0;
    while kills < wanted {
        let mut command = trm();
        command.args(["train", &hasty, "--out", &killed]);
        if kills > 0 {
            command.arg("--resume");
        }
        let quiet = std::process::Stdio::null;
        let mut child = command
            .stdout(quiet())
            .stderr(quiet())
            .spawn()
            .expect("the program starts");
        // A kill before the first checkpoint would leave nothing to resume, and later ones are to come after
        // some progress: not before a checkpoint of this start.
        let before = written().ok();
        while written().ok().is_none_or(|now| Some(now) == before) {
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "start {kills} ended by itself: {ended:?}");
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        std::thread::sleep(std::time::Duration::from_micros(
            rng.random_range(0..10_000),
        ));
        child.kill().expect("a child to kill"); // SIGKILL
        child.wait().expect("the program ends");
        kills += 1;
    }
    let said = run(0, &["train", &hasty, "--out", &killed, "--resume"]);
    assert!(said.err.contains("resuming"), "{}", said.err);
    for name in ["weights.safetensors", "best.safetensors"] {
        let [straight, killed] = [&straight, &killed].map(|run| values(&Path::new(run).join(name)));
        assert!(straight == killed, "{name}: other bits");
    }
    let left = std::fs::read_dir(&killed).expect("the folder").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    let unfinished = left
        .iter()
        .any(|name| name.to_string_lossy().ends_with(".tmp"));
    assert!(!unfinished, "{left:?}");
}

#[test]
fn a_damaged_checkpoint_is_reported_and_the_one_before_it_is_used() {
    let place = Place::new();
    place.train(0, "straight", &[]);
    for more in [&[][..], &["--resume"], &["--resume"]] {
        place.train(0, "run", &[&["--minutes", "0"], more].concat());
    }
    let newest = place.path("run/checkpoint.safetensors");
    let bytes = std::fs::read(&newest).expect("a checkpoint");
    std::fs::write(&newest, &bytes[..bytes.len() / 2]).expect("a file");
    let said = place.train(0, "run", &["--resume"]);
    for expected in ["not a whole safetensors file", "going back to", "at step 2"] {
        assert!(said.err.contains(expected), "{expected}: {}", said.err);
    }
    let [straight, run] =
        ["straight", "run"].map(|run| values(&place.path(run).join("weights.safetensors")));
    assert!(straight == run, "other bits");
    assert!(place.path("run/checkpoint-damaged.safetensors").exists());
}

/// A folder stands where the files should go: as on a full disk, nothing can be written there.
#[test]
fn training_goes_on_when_the_disk_does_not() {
    let place = Place::new();
    place.train(0, "straight", &[]);
    place.train(0, "run", &["--minutes", "0"]);
    let in_the_way = ["checkpoint-next.safetensors", "weights.safetensors"]
        .map(|name| place.path("run").join(name));
    for path in &in_the_way {
        std::fs::remove_file(path).ok();
        std::fs::create_dir_all(path.join("x")).expect("a folder");
    }
    let before = std::fs::read(place.path("run/checkpoint.safetensors")).expect("a checkpoint");
    let said = place.train(2, "run", &["--resume"]);
    for expected in [
        "warning: cannot write",
        "training goes on",
        "trying again",
        "the end of the run, step 9, could not be saved",
        "checkpoint.safetensors, is as it was",
    ] {
        assert!(said.err.contains(expected), "{expected}: {}", said.err);
    }
    let after = std::fs::read(place.path("run/checkpoint.safetensors")).expect("a checkpoint");
    assert!(before == after);
    // With the disk back, nothing is lost but time.
    for path in &in_the_way {
        std::fs::remove_dir_all(path).expect("a folder");
    }
    place.train(0, "run", &["--resume"]);
    let [straight, run] =
        ["straight", "run"].map(|run| values(&place.path(run).join("weights.safetensors")));
    assert!(straight == run, "other bits");
}

#[test]
fn a_run_that_does_not_fit_is_refused_before_it_begins() {
    let place = Place::new();
    let huge = CONFIG.replace("\nbatch = 10", "\nbatch = 1000000");
    let huge = huge.replace("width = 16", "width = 100000");
    std::fs::write(place.path("huge.toml"), huge).expect("a file");
    let (config, out) = (place.text("huge.toml"), place.text("run"));
    for more in [&[][..], &["--dry-run"]] {
        let said = run(2, &[&["train", &config, "--out", &out], more].concat());
        assert!(
            said.err.contains("GiB of memory") && said.err.contains("left: lower train.batch"),
            "{}",
            said.err
        );
        assert!(!place.path("run").exists());
    }
}

#[test]
fn a_run_can_be_carried_to_another_folder() {
    let place = Place::new();
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
    assert!(!place.path("run").exists());
}

#[test]
fn other_weights_can_be_the_start() {
    let place = Place::new();
    place.train(0, "first", &[]);
    let first = place.text("first/best.safetensors");
    place.train(0, "second", &["--init-from", &first, "--steps", "1"]);
    assert_ne!(
        values(&place.path("second/weights.safetensors")),
        values(&place.path("first/best.safetensors"))
    );
    let wider = CONFIG.replace("width = 16", "width = 24");
    std::fs::write(place.path("wider.toml"), wider).expect("a file");
    let said = run(
        2,
        &[
            "train",
            &place.text("wider.toml"),
            "--out",
            &place.text("x"),
            "--init-from",
            &first,
        ],
    );
    assert!(
        said.err.contains("best.safetensors") && said.err.contains("other sizes"),
        "{}",
        said.err
    );
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
        (&["--resume", "--steps", "10"], "another config"),
        (&["--resume", "--seed", "1"], "another config"),
        (&["--resume", "--data", &data], "other puzzles"),
        (&["--resume", "--data", "absent.csv"], "absent.csv"),
    ] {
        let said = place.train(2, "run", more);
        assert!(said.err.contains(expected), "{more:?}: {}", said.err);
        assert!(files() == before, "{more:?} changed a file");
    }
    let said = place.train(2, "empty", &["--resume"]);
    assert!(said.err.contains("checkpoint.safetensors"), "{}", said.err);
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
    std::fs::write(place.path("small.toml"), wild).expect("a file");
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
