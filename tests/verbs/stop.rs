//! Ctrl-C late in a run, on one thread, so that what is stopped takes seconds however many cores there are.
#![cfg(unix)]

use super::train::{CONFIG, Place};
use super::{Running, arc, text, trm};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Starts the program, waits for `sign` and so much more; then presses Ctrl-C once. The exit code.
fn stopped_once(command: &mut Command, sign: impl Fn() -> bool, more: Duration) -> Option<i32> {
    let mut child = Running::of(command.stderr(Stdio::null()).stdout(Stdio::null()));
    let ended = |child: &mut Child| child.try_wait().expect("a child");
    while !sign() {
        assert!(ended(&mut child).is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(more);
    assert!(
        ended(&mut child).is_none(),
        "it was over too soon to be stopped"
    );
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.expect("kill").success());
    child.wait().expect("the program ends").code()
}

fn has_a_line(metrics: &Path) -> bool {
    std::fs::read_to_string(metrics).is_ok_and(|text| text.contains("lm_loss"))
}

/// All steps are done, and it is heard only after the validation: nothing is left to be cut short.
#[test]
fn in_the_last_validation_it_leaves_a_complete_run() {
    let place = Place::new();
    let long = CONFIG
        .replace("H_cycles = 2", "H_cycles = 200")
        .replace("generate_easy = 60", "generate_easy = 500")
        .replace("validation_puzzles = 12", "validation_puzzles = 300");
    let (config, out) = (place.config("long.toml", &long), place.text("run"));
    let mut command = trm();
    command.args([
        "train",
        &config,
        "--out",
        &out,
        "--steps",
        "1",
        "--threads",
        "1",
    ]);
    let metrics = place.path("run/metrics.jsonl");
    let code = stopped_once(&mut command, || has_a_line(&metrics), Duration::ZERO);
    assert_eq!(code, Some(0));
    assert!(place.path("run/best.safetensors").exists());
}

/// What judges for hours stops at once; training has left its checkpoint.
#[test]
fn in_the_judging_of_arc_it_stops_at_once() {
    let place = arc::Place::new();
    let long = arc::CONFIG.replace("H_cycles = 1", "H_cycles = 1000");
    let long = long.replace("L_cycles = 1", "L_cycles = 8");
    let config = place.write("long.toml", &long);
    let (test, out) = (
        place.write("t.json", &arc::tasks(&[("a", 3)])),
        place.path("run"),
    );
    let mut command = trm();
    command.args([
        "arc",
        text(&config),
        "--test",
        text(&test),
        "--out",
        text(&out),
    ]);
    command.args(["--steps", "1", "--variants", "50", "--threads", "1"]);
    let checkpoint = out.join("checkpoint.safetensors");
    let begun = Duration::from_millis(100);
    let code = stopped_once(&mut command, || checkpoint.exists(), begun);
    assert_eq!(code, Some(130));
    assert!(!out.join("submission.json").exists());
}
