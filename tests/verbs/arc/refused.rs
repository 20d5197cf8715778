//! Data sets and runs that are refused, and leave nothing.

use super::super::{ignorant, run, text};
use super::{CONFIG, Place, tasks};
use std::path::Path;
use trm_data::reference::folder::Folder;

#[test]
fn data_sets_that_do_not_fit_are_refused() {
    let place = Place::new();
    let test = place.write("t.json", &tasks(&[("a", 3)]));
    let data = place.path("data");
    let build = [
        "data",
        "arc",
        "build",
        "--test",
        text(&test),
        "--variants",
        "1",
    ];
    run(
        0,
        &[&build[..], &["--side", "4", "--out", text(&data)]].concat(),
    );
    let train = |data: &Path, config: &Path| {
        let out = place.path("out");
        let said = run(
            2,
            &[
                "train",
                text(config),
                "--data",
                text(data),
                "--out",
                text(&out),
            ],
        )
        .err;
        assert!(!out.exists(), "nothing is left: {said}");
        said
    };
    let config = place.path("tiny.toml");

    let larger = place.write("larger.toml", &CONFIG.replace("side = 4", "side = 5"));
    let said = train(&data, &larger);
    assert!(
        said.contains("canvases of 16 cells, but arc5 has 25"),
        "{said}"
    );

    // Three identifiers, of which a puzzle has the fourth.
    let beyond = place.path("beyond");
    let mut folder = Folder::read(&data.join("train")).expect("a data set");
    folder.sets[0].identifiers[1] = 3;
    folder.write(&beyond.join("train")).expect("a folder");
    let tested = Folder::read(&data.join("test")).expect("a data set");
    tested.write(&beyond.join("test")).expect("a folder");
    std::fs::copy(
        data.join("identifiers.json"),
        beyond.join("identifiers.json"),
    )
    .expect("a file");
    let said = train(&beyond, &config);
    assert!(
        said.contains("puzzle_identifiers.npy: value 1 is 3; expected 0 to 2"),
        "{said}"
    );

    // No grid of the tasks has a side of one cell.
    let small = place.path("small");
    let err = run(
        2,
        &[&build[..], &["--side", "1", "--out", text(&small)]].concat(),
    )
    .err;
    assert!(err.contains("1 do not fit on a canvas of side 1"), "{err}");
    assert!(!small.exists());

    // Fifty thousand pairs of one cell are a small file, but a terabyte of canvases with 10,000 variants.
    let pairs = [r#"{"input": [[1]], "output": [[2]]}"#; 50_000].join(",");
    let many = place.write(
        "many.json",
        &format!(r#"{{"a": {{"train": [{pairs}], "test": [{{"input": [[1]]}}]}}}}"#),
    );
    let sources = ["data", "arc", "build", "--test", text(&many)];
    let rest = ["--variants", "10000", "--out", text(&small)];
    let err = run(2, &[&sources[..], &rest[..]].concat()).err;
    assert!(
        err.contains("the data set needs") && err.contains("left: lower --variants"),
        "{err}"
    );
    assert!(!small.exists());

    let err = place
        .arc(2, "tiny.toml", &test, "run", &["--init-from", "nowhere"])
        .err;
    assert!(err.contains("nowhere"), "{err}");
    let weights = ignorant(place.0.path(), &[]);
    let from = ["--init-from", text(&weights)];
    let err = place.arc(2, "tiny.toml", &test, "run", &from).err;
    assert!(err.contains("other sizes"), "{err}");
    assert!(!place.path("run").exists(), "nothing is left");
    let sudoku = place.write("sudoku.toml", "[data]\nside = 4\n");
    let err = place.arc(2, text(&sudoku), &test, "other", &[]).err;
    assert!(err.contains("expected data.task = \"arc\""), "{err}");
}

/// What refuses a run must not leave a data set in the way of the next.
#[test]
fn a_run_that_must_not_begin_builds_nothing() {
    let place = Place::new();
    let test = place.write("t.json", &tasks(&[("a", 3)]));
    let refused = |config: &str, out: &str, expected: &str| {
        let err = place.arc(2, config, &test, out, &[]).err;
        assert!(err.contains(expected), "{err}");
        assert!(!place.path(out).join("data").exists(), "{err}");
    };
    for (i, (name, expected)) in [
        ("weights.safetensors", "holds weights, but no checkpoint"),
        ("submission.json", "a new run would replace it"),
        ("predictions.svg", "a new run would replace it"),
    ]
    .into_iter()
    .enumerate()
    {
        let out = format!("run{i}");
        std::fs::create_dir(place.path(&out)).expect("a folder");
        let own = place.write(&format!("{out}/{name}"), "somebody's own");
        refused("tiny.toml", &out, expected);
        let after = std::fs::read_to_string(own).expect("a file");
        assert_eq!(after, "somebody's own");
    }
    let small = std::fs::read_to_string(place.path("tiny.toml")).expect("a config");
    let huge = small.replace("\nbatch = 16", "\nbatch = 1000000");
    let huge = huge.replace("width = 16", "width = 100000");
    place.write("huge.toml", &huge);
    refused("huge.toml", "huge", "of memory");
    // --steps of more than TOML can write is refused in the words of the option.
    let most = u64::MAX.to_string();
    let err = place
        .arc(2, "tiny.toml", &test, "x", &["--steps", &most])
        .err;
    assert!(err.contains("--steps") && !err.contains("TOML"), "{err}");
}
