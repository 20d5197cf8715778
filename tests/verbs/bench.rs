//! `trm bench`: the figures are there and what they say is consistent; how large they are is no test.

use super::{run, text};
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn every_figure_is_there_and_is_compared_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let quick =
        "bench --preset small-att --threads 2 --batch 2 --steps 1 --shape 8,16,24 --scaling --json";
    let quick: Vec<_> = quick.split(' ').collect();
    let report = run(0, &quick).json();
    for (key, expected) in [("batch", 2), ("threads", 2), ("parameters", 527_362)] {
        assert_eq!(report[key], expected, "{key}");
    }
    for (key, expected) in [("preset", "small-att"), ("precision", "f32")] {
        assert_eq!(report[key], expected, "{key}");
    }
    for key in [
        "fma_peak_gflops",
        "train_samples_per_s",
        "train_gflops",
        "eval_samples_per_s",
        "eval_gflops",
        "solve_latency_ms",
        "train_speedup",
        "eval_speedup",
    ] {
        assert!(report[key].as_f64() > Some(0.0), "{key}: {}", report[key]);
    }
    for key in ["isa", "cpu", "rustc"] {
        assert!(report[key].is_string(), "{key}: {}", report[key]);
    }
    assert_eq!(report["recompute"], false);
    let products = report["matmul"].as_array().expect("a list");
    assert_eq!(products.len(), 1);
    assert_eq!(products[0]["shape"], serde_json::json!([8, 16, 24]));

    // Measured in another way, and written before the program said whether it recomputes.
    let old = folder.path().join("old.json");
    let mut other = report.clone();
    other["rustc"] = "rustc 1.0.0".into();
    other["micro_batch"] = 1.into();
    let keys = other.as_object_mut().expect("an object");
    keys.remove("recompute").expect("a key");
    std::fs::write(&old, other.to_string()).expect("a file");
    let name = text(&old);
    let small = ["bench", "--steps", "0", "--shape", "8,16,24"];
    let said = run(0, &[&small[..], &["--compare", name]].concat());
    assert!(
        said.out.contains("ratio") && said.out.contains("8 x 16 x 24"),
        "{}",
        said.out
    );
    assert!(!said.out.contains("training"), "{}", said.out);
    for note in [
        "note: batch is 32 here",
        "note: micro_batch is 2 here",
        "note: rustc is \"",
        "note: recompute is false here, and ",
    ] {
        assert!(said.err.contains(note), "{note}: {}", said.err);
    }
    other["recompute"] = true.into();
    std::fs::write(&old, other.to_string()).expect("a file");
    let said = run(0, &[&small[..], &["--compare", name]].concat());
    let note = format!("note: recompute is false here, in {name} true");
    assert!(said.err.contains(&note), "{}", said.err);
    let said = run(0, &[&small[..], &["--md"]].concat());
    assert!(said.out.contains("| --- |"), "{}", said.out);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let foreign = folder.path().join("foreign.json");
    std::fs::write(&foreign, "{}").expect("a file");
    let large = folder.path().join("large.json");
    std::fs::write(&large, "{\"preset\":\"paper-mlp\"}").expect("a file");
    let cases: [(&[&str], &str); 9] = [
        (&["--preset", "large"], "paper-mlp"),
        (&["--shape", "8,16"], "three numbers"),
        (&["--threads", "0"], "expected 1 to"),
        (
            &["--steps", "0", "--scaling"],
            "--steps 0 leaves out the steps that --scaling is about",
        ),
        (
            &["--steps", "0", "--recompute"],
            "--steps 0 leaves out the steps that --recompute is about",
        ),
        (&["--threads", "1", "--scaling"], "give --threads 2 or more"),
        (&["--compare", text(&foreign)], "preset"),
        (
            &["--compare", text(&large)],
            "that is of preset \"paper-mlp\", this of \"small-mlp\"",
        ),
        (&["--compare", "/nowhere/old.json"], "cannot read"),
    ];
    for (args, expected) in cases {
        let said = run(2, &[&["bench"][..], args].concat());
        assert!(
            said.err.contains(expected) && said.out.is_empty(),
            "{args:?}: {}",
            said.err
        );
    }
}

/// The largest sizes that there are; a machine with room for them would measure for hours.
#[test]
#[cfg(target_os = "linux")]
fn what_does_not_fit_into_memory_is_refused() {
    let memory = std::fs::read_to_string("/proc/meminfo").expect("the system's word");
    let line = memory.lines().find(|line| line.starts_with("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    let kib: u64 = kib.expect("a size").parse().expect("a number");
    let batch = ["--preset", "maze-att", "--batch", "1048576"];
    let cases: [(&[&str], u64, &str); 3] = [
        (
            &["--steps", "0", "--shape", "65536,65536,65536"],
            64,
            "GiB left: lower the sizes",
        ),
        (&batch, 900, "--batch 1048576: the run needs"),
        (
            &[&batch[..], &["--scaling"]].concat(),
            1800,
            "a run on one thread beside that on all: the run needs",
        ),
    ];
    for (args, gib, expected) in cases {
        if kib >> 20 >= gib {
            eprintln!(
                "skipped: this machine has {} GiB, room for {args:?}",
                kib >> 20
            );
            continue;
        }
        let said = run(2, &[&["bench"][..], args].concat());
        assert!(
            said.err.contains(expected) && said.out.is_empty(),
            "{args:?}: {}",
            said.err
        );
    }
}

/// docs/performance-history.md shows what its raw lines say, all of them and nothing else, to two digits.
#[test]
fn the_documented_speedups_are_those_of_the_raw_lines() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let read = |path: &Path| std::fs::read_to_string(path).expect("a file");
    let history = read(&docs.join("performance-history.md"));
    let (_, section) = history
        .split_once("\n## Two threads against one\n")
        .expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    // The pairs of a file and a network, in order.
    let (mut shown, mut raw) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
    let mut file = String::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [network, training, evaluation, link] = cells[..] else {
            panic!("{row}: four cells")
        };
        if let Some((_, path)) = link.split_once("](") {
            file = path.trim_end_matches(')').to_owned();
        } else {
            assert_eq!(link, "the same", "{row}");
        }
        let preset = network.split(',').next().unwrap_or_default().to_owned();
        let pairs = shown.entry(file.clone()).or_default();
        pairs.push([preset, training.to_owned(), evaluation.to_owned()]);
    }
    for file in shown.keys() {
        for line in read(&docs.join(file)).lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let speedup = |key: &str| line[key].as_f64().map(|times| format!("{times:.2}"));
            if let [Some(training), Some(evaluation)] =
                ["train_speedup", "eval_speedup"].map(speedup)
            {
                let preset = line["preset"].as_str().expect("a preset").to_owned();
                let pairs = raw.entry(file.clone()).or_default();
                pairs.push([preset, training, evaluation]);
            }
        }
    }
    assert_eq!(shown, raw);
}
