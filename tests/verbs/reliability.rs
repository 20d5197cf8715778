//! `trm train` where the machine, the disk or the user misbehaves.

use super::train::{CONFIG, Place, values};
use super::{Running, generate, run, said, trm};
use std::io::BufRead;
use std::path::Path;

/// Sends a signal.
#[cfg(unix)]
fn signal(name: &str, child: &std::process::Child) {
    let mut kill = std::process::Command::new("kill");
    let sent = kill
        .args([name.to_owned(), child.id().to_string()])
        .status();
    assert!(sent.expect("kill").success());
}

/// Whether a closed terminal would end this process, and so one that it starts: not under nohup.
#[cfg(unix)]
fn hears_hang_ups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 == 0)
}

/// Starts `trm train CONFIG --out OUT` and waits until `sign` is there.
#[cfg(unix)]
fn started(config: &str, out: &str, sign: &Path) -> Running {
    let mut command = trm();
    command.args(["train", config, "--out", out, "--steps", "1000000"]);
    let mut child = Running::of(command.stderr(std::process::Stdio::null()));
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
    let hang_up = hears_hang_ups().then_some("-HUP");
    for name in ["-INT", "-TERM"].into_iter().chain(hang_up) {
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

/// The terminal that it was started from may be closed.
#[test]
#[cfg(unix)]
fn a_run_under_nohup_goes_on() {
    let place = Place::new();
    let (config, out) = (place.text("small.toml"), place.text("run"));
    let mut command = std::process::Command::new("nohup");
    command.args([env!("CARGO_BIN_EXE_trm"), "train", &config, "--out", &out]);
    command.args(["--steps", "1000000"]);
    let [input, output, words] = [(); 3].map(|()| std::process::Stdio::null());
    command.stdin(input).stdout(output).stderr(words);
    let mut child = Running::of(&mut command);
    let metrics = place.path("run/metrics.jsonl");
    let length = || std::fs::metadata(&metrics).map_or(0, |file| file.len());
    let grows_beyond = |bytes: u64, child: &mut std::process::Child| {
        while length() <= bytes {
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "the run ended: {ended:?}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    grows_beyond(0, &mut child);
    signal("-HUP", &child);
    // Several lines: a run that was told to stop does so after a step.
    let many = length() + 2000;
    grows_beyond(many, &mut child);
    signal("-TERM", &child);
    assert_eq!(child.wait().expect("the program ends").code(), Some(130));
}

/// In the middle of a step of many minutes, the first signal waits for its end and the second does not.
#[test]
#[cfg(unix)]
fn a_run_that_is_told_twice_leaves_at_once() {
    let place = Place::new();
    let endless = CONFIG
        .replace("\nbatch = 10", "\nbatch = 1000")
        .replace("H_cycles = 2", "H_cycles = 1024")
        .replace("L_cycles = 2", "L_cycles = 64");
    let config = place.path("endless.toml");
    std::fs::write(&config, endless).expect("a file");
    let (config, out) = (config.display().to_string(), place.text("run"));
    let mut command = trm();
    command.args(["train", &config, "--out", &out]);
    let stderr = std::process::Stdio::piped();
    let mut child = Running::of(command.stderr(stderr));
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
    signal("-TERM", &child);
    // It is answered at once, and the step goes on.
    while !line.contains("stopping after this step; once more: at once") {
        line.clear();
        assert!(said.read_line(&mut line).expect("a line") > 0, "it ended");
    }
    let mut signals = 1;
    while child.try_wait().expect("a child").is_none() {
        signal("-TERM", &child);
        signals += 1;
        // Two at the same time would count as one.
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(child.wait().expect("the program ends").code(), Some(130));
    assert!(signals >= 2, "the step had many minutes to go");
    assert!(!place.path("run/checkpoint.safetensors").exists());
}

/// Whoever reads what a verb says may have seen enough: the exit code is the same, and standard error has no word more.
#[test]
#[cfg(unix)]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    place.train(0, "run", &[]);
    let (weights, data) = (place.text("run/best.safetensors"), place.text("data.csv"));
    generate(Path::new(&data), "--side 4 --count 60");
    let closed = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        writer
    };
    let train = format!(
        "train {} --out {}",
        place.text("small.toml"),
        place.text("RUN")
    );
    // Nine steps teach a network too little to solve a puzzle.
    for (code, verb) in [
        (0, &*format!("eval --weights {weights} --data {data}")),
        (1, &format!("solve {data} --weights {weights}")),
        (1, &format!("solve {data} --weights {weights} --trace")),
        (0, &format!("info {weights}")),
        (0, "data sudoku generate --side 4 --count 200"),
        (0, &train),
        (0, "--help"),
    ] {
        let command = |number: &str| {
            let mut command = trm();
            command.args(verb.replace("RUN", number).split(' '));
            command
        };
        let heard = said(code, &mut command("first"));
        let half = said(code, command("second").stdout(closed()));
        said(code, command("third").stdout(closed()).stderr(closed()));
        assert!(!heard.out.is_empty(), "{verb}: nothing to hear");
        // What it took differs.
        let words = |text: &str| -> Vec<String> {
            let lines = text.lines();
            lines
                .map(|line| line.split(" (").next().unwrap_or_default().to_owned())
                .collect()
        };
        assert_eq!(words(&half.err), words(&heard.err), "{verb}");
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
        let mut child = Running::of(command.stdout(quiet()).stderr(quiet()));
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
    // Where neither can be read, both are spoken of; where there is none, nothing is left.
    for name in ["checkpoint.safetensors", "checkpoint-previous.safetensors"] {
        std::fs::write(place.path("run").join(name), "half a").expect("a file");
    }
    let said = place.train(2, "run", &["--resume"]).err;
    for expected in [
        "run/checkpoint.safetensors: ",
        "nor can",
        "run/checkpoint-previous.safetensors: ",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    std::fs::create_dir(place.path("other")).expect("a folder");
    let said = place.train(2, "other", &["--resume"]).err;
    assert!(said.contains("there is no checkpoint in"), "{said}");
    assert!(
        std::fs::read_dir(place.path("other"))
            .expect("the folder")
            .next()
            .is_none()
    );
}

/// The newest is then whole, and has not its name yet.
#[test]
fn a_kill_between_the_renames_of_a_checkpoint_loses_nothing() {
    let place = Place::new();
    for more in [&[][..], &["--resume"]] {
        place.train(0, "run", &[&["--minutes", "0"], more].concat());
    }
    let [newest, next] = ["checkpoint.safetensors", "checkpoint-next.safetensors"]
        .map(|name| place.path("run").join(name));
    std::fs::rename(&newest, &next).expect("a checkpoint");
    let said = place.train(0, "run", &["--resume", "--minutes", "0"]).err;
    assert!(
        said.contains("at step 2") && !said.contains("going back"),
        "{said}"
    );
    assert!(newest.exists() && !next.exists());
    // It may be the first, with none before it.
    let previous = place.path("run/checkpoint-previous.safetensors");
    let kept = std::fs::read(&previous).expect("a checkpoint");
    std::fs::remove_file(&previous).expect("a checkpoint");
    std::fs::rename(&newest, &next).expect("a checkpoint");
    let said = place.train(2, "run", &[]).err;
    assert!(said.contains("holds a run already"), "{said}");
    let said = place.train(0, "run", &["--resume", "--minutes", "0"]).err;
    assert!(said.contains("at step 3"), "{said}");
    // What was cut short there is no checkpoint.
    std::fs::write(&previous, kept).expect("a checkpoint");
    std::fs::remove_file(&newest).expect("a checkpoint");
    std::fs::write(&next, "half a").expect("a file");
    let said = place.train(0, "run", &["--resume", "--minutes", "0"]).err;
    assert!(
        said.contains("going back to") && said.contains("at step 1"),
        "{said}"
    );
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
    // With the disk back, nothing is lost but time: first for the checkpoint, then for the weights.
    let [next, weights] = &in_the_way;
    std::fs::remove_dir_all(next).expect("a folder");
    let said = place.train(2, "run", &["--resume"]);
    assert!(said.err.contains("cannot write") && said.err.contains("weights.safetensors"));
    std::fs::remove_dir_all(weights).expect("a folder");
    let said = place.train(0, "run", &["--resume"]);
    assert!(said.err.contains("at step 9"), "{}", said.err);
    let [straight, run] =
        ["straight", "run"].map(|run| values(&place.path(run).join("weights.safetensors")));
    assert!(straight == run, "other bits");
}

/// Room for half a line of metrics, and for all else: the half is taken back, and the warning is said once.
#[test]
#[cfg(unix)]
fn a_disk_that_takes_half_a_line_of_metrics_leaves_whole_ones() {
    let place = Place::new();
    place.train(0, "run", &["--minutes", "0"]);
    let metrics = place.path("run/metrics.jsonl");
    let line = "{\"step\":1,\"of\":\"an earlier day\"}\n";
    let (blocks, block) = (4096, 1024);
    std::fs::write(&metrics, line.repeat((blocks * block - 60) / line.len())).expect("a file");
    let before = std::fs::metadata(&metrics).expect("a file").len();
    // No file may become larger than this; the signal that says so is ignored, and leaves an error.
    let script = format!(
        "trap '' XFSZ; ulimit -f {blocks}; exec {} train {} --out {} --resume",
        env!("CARGO_BIN_EXE_trm"),
        place.text("small.toml"),
        place.text("run")
    );
    let said = said(0, std::process::Command::new("bash").args(["-c", &script]));
    let warnings = said.err.matches("warning: cannot write").count();
    assert_eq!(warnings, 1, "{}", said.err);
    assert_eq!(std::fs::metadata(&metrics).expect("a file").len(), before);
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
            said.err.contains("TiB of memory") && said.err.contains("left: lower train.batch"),
            "{}",
            said.err
        );
        assert!(!place.path("run").exists());
    }
}

/// Room for the puzzles that there are: for 1024 mazes it would be 3.3 GiB.
#[test]
#[cfg(target_os = "linux")]
fn a_large_micro_batch_of_few_puzzles_takes_little_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let mazes = folder.path().join("mazes.csv").display().to_string();
    run(
        0,
        &[
            "data", "maze", "generate", "--side", "30", "--count", "4", "--out", &mazes,
        ],
    );
    let script = format!(
        "ulimit -v 1000000; exec {} eval --weights {}/weights/maze30.safetensors --data {mazes} --limit 4 \
         --micro-batch 1024 --threads 2 --supervision-steps 1 --json",
        env!("CARGO_BIN_EXE_trm"),
        env!("CARGO_MANIFEST_DIR")
    );
    let said = said(0, std::process::Command::new("bash").args(["-c", &script]));
    assert_eq!(said.json()["puzzles"], 4);
}
