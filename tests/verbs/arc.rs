//! `trm data arc build`, `trm arc`, and `trm eval` on tasks of ARC.

mod judged;
mod refused;

use super::{run, text};
use std::path::{Path, PathBuf};
use trm_data::reference::folder::Folder;
use trm_kernels::Kernels;
use trm_model::weights::{self, Loaded};

const CHALLENGES: &str = r#"{"b1": {"train": [{"input": [[3]], "output": [[4, 5]]}, {"input": [[0, 1]], "output": [[2]]}],
    "test": [{"input": [[1, 2], [3, 4]]}]}}"#;

#[test]
fn a_data_set_is_built_from_the_json_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (learn, test) = (path("old_challenges.json"), path("new_challenges.json"));
    std::fs::write(&learn, CHALLENGES.replace("b1", "a1")).expect("a file");
    std::fs::write(&test, CHALLENGES).expect("a file");
    std::fs::write(path("new_solutions.json"), r#"{"b1": [[[7, 8, 9]]]}"#).expect("a file");
    let build = |name: &str, code| {
        let out = path(name);
        let sources = ["--learn", text(&learn), "--test", text(&test)];
        let rest = ["--variants", "5", "--out", text(&out), "--json"];
        run(
            code,
            &[&["data", "arc", "build"], &sources[..], &rest[..]].concat(),
        )
    };
    let said = build("arc", 0).json();
    // Two pairs of a1 are learned, whose third nobody knows, and two of b1, and one of b1 is asked; each task and its
    // five variants.
    assert_eq!(said["tasks"], 2);
    assert_eq!(said["puzzles"], 12);
    assert_eq!(said["unknown_outputs"], 1);
    assert_eq!(said["train_examples"], 6 * 2 + 6 * 2);
    assert_eq!(said["test_examples"], 6);
    let read = |name: &str| std::fs::read_to_string(path("arc").join(name)).expect("a file");
    let names: Vec<String> = serde_json::from_str(&read("identifiers.json")).expect("names");
    assert_eq!(
        (names.len(), &*names[0], &*names[1], &*names[7]),
        (13, "<blank>", "a1", "b1")
    );
    let tested: serde_json::Value =
        serde_json::from_str(&read("test_puzzles.json")).expect("tasks");
    assert_eq!(
        tested["b1"]["test"][0]["output"],
        serde_json::json!([[7, 8, 9]])
    );
    assert!(tested.get("a1").is_none());
    let test_set = Folder::read(&path("arc").join("test")).expect("a data set");
    assert_eq!(test_set.metadata.num_puzzle_identifiers, 13);
    // The test pair of the original lies in the corner: a grid of 2 x 2 and its end markers.
    let inputs = &test_set.sets[0].inputs;
    assert_eq!(
        [&inputs[..4], &inputs[30..34], &inputs[60..64]],
        [[3, 4, 1, 0], [5, 6, 1, 0], [1, 1, 0, 0]]
    );

    // A task that is tested is not learned with its answers, be it under its own name or another.
    let learned = |tasks: &str, solutions: &str| {
        std::fs::write(&learn, tasks).expect("a file");
        std::fs::write(path("old_solutions.json"), solutions).expect("a file");
        let name = format!("without-{}", solutions.len());
        let said = build(&name, 0).json();
        let numbers = ["tasks", "left_out", "train_examples"].map(|key| said[key].as_u64());
        numbers.map(|number| number.expect("a number"))
    };
    let same_name = CHALLENGES.replace("[3, 4]", "[3, 5]");
    assert_eq!(learned(&same_name, "{}"), [1, 1, 12]);
    let same_pair = CHALLENGES.replace("b1", "a1");
    assert_eq!(learned(&same_pair, r#"{"a1": [[[7, 8, 9]]]}"#), [1, 1, 12]);
    assert_eq!(learned(&same_pair, r#"{"a1": [[[7]]]}"#), [2, 0, 30]);
    // Tasks are counted by name: a file that is given twice brings nothing new.
    let (twice, out) = (["--test", text(&test)].repeat(2), path("twice"));
    let rest = ["--variants", "5", "--out", text(&out), "--json"];
    let said = run(
        0,
        &[&["data", "arc", "build"], &twice[..], &rest[..]].concat(),
    )
    .json();
    let numbers = ["tasks", "repeated", "test_examples"].map(|key| said[key].as_u64());
    assert_eq!(numbers, [Some(1), Some(1), Some(6)]);
    std::fs::write(&learn, same_pair).expect("a file");
    std::fs::remove_file(path("old_solutions.json")).expect("a file");

    // The same seed, the same data set; and what is there is never overwritten.
    build("again", 0);
    let train = |name: &str| Folder::read(&path(name).join("train")).expect("a data set");
    assert!(train("arc") == train("again"));
    assert!(build("arc", 2).err.contains("is there already"));
}

/// A canvas of 4 x 4, and a network that sees to it in a second.
pub(super) const CONFIG: &str = r#"
[data]
task = "arc"
side = 4
validation_puzzles = 2
[model]
mixer = "attention"
position_encoding = "rope"
width = 16
heads = 2
inner = 16
prefix_len = 1
puzzle_emb_ndim = 16
H_cycles = 1
L_cycles = 1
halt_max_steps = 2
[train]
batch = 16
micro_batch = 4
steps = 300
loss = "softmax"
lr = 0.01
warmup_steps = 10
puzzle_emb_lr = 0.05
puzzle_emb_weight_decay = 0.0
ema_rate = 0.9
"#;

/// Tasks that ask one question and differ in nothing but the answer: each fills the grid with a colour.
pub(super) fn tasks(names_and_colours: &[(&str, u8)]) -> String {
    let tasks = names_and_colours.iter().map(|(name, colour)| {
        let c = colour;
        format!(
            r#""{name}": {{"train": [{{"input": [[0, 0]], "output": [[{c}, {c}]]}},
                {{"input": [[0], [0]], "output": [[{c}], [{c}]]}}],
                "test": [{{"input": [[0, 0], [0, 0]], "output": [[{c}, {c}], [{c}, {c}]]}}]}}"#
        )
    });
    format!("{{{}}}", tasks.collect::<Vec<_>>().join(", "))
}

/// The arguments of `trm arc` in a folder that has the config and these tasks.
pub(super) struct Place(tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("tiny.toml"), CONFIG).expect("a file");
        Place(folder)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    pub(super) fn arc(
        &self,
        code: i32,
        config: &str,
        test: &Path,
        out: &str,
        more: &[&str],
    ) -> super::Said {
        let (config, out) = (self.path(config), self.path(out));
        let fixed = [
            "arc",
            text(&config),
            "--test",
            text(test),
            "--out",
            text(&out),
        ];
        let chosen = ["--variants", "2", "--json"];
        run(code, &[&fixed, &chosen[..], more].concat())
    }

    fn load(&self, name: &str) -> Loaded {
        let kernels = Kernels::best().expect("an instruction set");
        weights::load(&self.path(name), kernels).expect("weights")
    }
}

#[test]
fn from_json_files_to_a_submission() {
    let place = Place::new();
    let test = place.write("t_challenges.json", &tasks(&[("a", 3), ("b", 7)]));
    let said = place.arc(0, "tiny.toml", &test, "run", &[]).json();
    // Only the embedding of a task can tell the network which of the two is asked.
    assert_eq!(said["tasks"], 2);
    assert_eq!(
        (&said["pass_at"]["1"], &said["examples"]),
        (&1.0.into(), &6.into()),
        "{said}"
    );
    let read = |name: &str| std::fs::read_to_string(place.path(name)).expect("a file");
    let submission: serde_json::Value =
        serde_json::from_str(&read("run/submission.json")).expect("JSON");
    for (task, colour) in [("a", 3), ("b", 7)] {
        let expected = serde_json::json!([[colour, colour], [colour, colour]]);
        assert_eq!(submission[task].as_array().map(Vec::len), Some(1));
        assert_eq!(submission[task][0]["attempt_1"], expected);
        let title = format!("{task}, test 1: right at the first attempt");
        assert!(read("run/predictions.svg").contains(&title));
    }

    // The same in steps.
    let (weights, data) = (
        place.path("run/weights.safetensors"),
        place.path("run/data"),
    );
    let again = place.path("again.json");
    let options = [
        "--submission",
        text(&again),
        "--supervision-steps",
        "2",
        "--json",
    ];
    let sources = ["eval", "--weights", text(&weights), "--data", text(&data)];
    let judged = run(0, &[&sources[..], &options].concat()).json();
    assert_eq!(judged["pass_at"], said["pass_at"]);
    assert_eq!(read("again.json"), read("run/submission.json"));

    // Of some examples, the tasks that they are of.
    let limited = run(
        0,
        &[
            &sources[..],
            &["--limit", "3", "--supervision-steps", "2", "--json"],
        ]
        .concat(),
    )
    .json();
    let counts = ["tasks", "examples"].map(|key| limited[key].as_u64());
    assert_eq!(counts, [Some(1), Some(3)], "{limited}");
    assert_eq!(limited["pass_at"]["1"], 1.0);

    // A folder that contradicts itself, or the weights.
    let metadata = place.path("run/data/test/dataset.json");
    let whole = std::fs::read_to_string(&metadata).expect("metadata");
    for (from, to, expected) in [
        ("\"vocab_size\":12", "\"vocab_size\":255", "255 tokens, but"),
        (
            "\"num_puzzle_identifiers\":7",
            "\"num_puzzle_identifiers\":50",
            "50 identifiers, but identifiers.json has 7 names",
        ),
    ] {
        assert!(whole.contains(from), "{whole}");
        std::fs::write(&metadata, whole.replace(from, to)).expect("a file");
        let said = run(2, &sources).err;
        assert!(said.contains(expected), "{said}");
    }
    std::fs::write(&metadata, whole).expect("a file");

    let part = place.path("run/data/test");
    let err = run(
        2,
        &["eval", "--weights", text(&weights), "--data", text(&part)],
    )
    .err;
    let expected =
        "run/data/test: this is a part of a data set; expected the folder with identifiers.json";
    assert!(err.contains(expected), "{err}");

    // Where nothing can be written is known before anything is judged.
    for nowhere in ["nowhere/a.json", "run"] {
        let nowhere = place.path(nowhere);
        let said = run(
            2,
            &[&sources[..], &["--submission", text(&nowhere)]].concat(),
        );
        assert!(
            said.err.contains("expected the name of a file"),
            "{}",
            said.err
        );
        assert_eq!(said.out, "");
    }
    // Nor does one answer replace another, or the questions.
    let (names, one) = (place.path("run/data/identifiers.json"), place.path("one"));
    let before = std::fs::read(&names).expect("names");
    for (more, expected) in [
        (
            &["--submission", text(&names)][..],
            "among the files of the data set",
        ),
        (
            &["--submission", text(&one), "--pictures", text(&one)],
            "one would replace the other",
        ),
    ] {
        let err = run(2, &[&sources[..], more].concat()).err;
        assert!(err.contains(expected), "{err}");
    }
    assert!(std::fs::read(&names).expect("names") == before);

    // What is there is gone on with, and never overwritten.
    let err = place.arc(2, "tiny.toml", &test, "run", &[]).err;
    assert!(
        err.contains("run/data is there already: go on with --resume"),
        "{err}"
    );
    let err = place.arc(2, "tiny.toml", &test, "other", &["--resume"]).err;
    assert!(
        err.contains("to go on with: begin without --resume"),
        "{err}"
    );
    std::fs::create_dir_all(place.path("other/data")).expect("a folder");
    for (sources, expected) in [
        (false, "it is no data set that trm arc made, so move"),
        (true, "no checkpoint was written yet, so remove it"),
    ] {
        if sources {
            place.write("other/data/sources.json", "{}");
        }
        for more in [&[][..], &["--resume"]] {
            let err = place.arc(2, "tiny.toml", &test, "other", more).err;
            assert!(err.contains(expected), "{err}");
        }
    }
    let (config, learn_only) = (place.path("tiny.toml"), place.path("learn-only"));
    let args = [
        "arc",
        text(&config),
        "--learn",
        text(&test),
        "--out",
        text(&learn_only),
    ];
    let err = run(2, &args).err;
    assert!(err.contains("--test is missing"), "{err}");
    assert!(!learn_only.exists());
    let resumed = place
        .arc(0, "tiny.toml", &test, "run", &["--resume"])
        .json();
    assert_eq!(resumed["pass_at"], said["pass_at"]);
    // It was made of these tasks, and is not taken for others'.
    let others = place.write("others.json", &tasks(&[("z", 1)]));
    let err = place.arc(2, "tiny.toml", &others, "run", &["--resume"]).err;
    assert!(
        err.contains("was made of other tasks") && err.contains(text(&test)),
        "{err}"
    );
    // Nor others of them, or more variants.
    let (config, out) = (place.path("tiny.toml"), place.path("run"));
    let resume = ["arc", text(&config), "--out", text(&out), "--resume"];
    for more in [["--variants", "3"], ["--tasks", "1"]] {
        let err = run(2, &[&resume[..], &more].concat()).err;
        assert!(err.contains("was made of other tasks"), "{err}");
    }
    run(0, &resume);
}

#[test]
fn weights_are_adapted_to_tasks_that_they_have_never_seen() {
    let place = Place::new();
    let old = place.write("old.json", &tasks(&[("a", 3), ("b", 7)]));
    place.arc(0, "tiny.toml", &old, "old", &[]);
    let frozen = CONFIG.replace("[train]", "[train]\nfreeze_weights = true");
    place.write("frozen.toml", &frozen);
    let new = place.write("new.json", &tasks(&[("c", 7), ("d", 3), ("e", 3)]));
    let (from, other) = (
        place.path("old/weights.safetensors"),
        place.path("old/data"),
    );
    let adapt = ["--init-from", text(&from)];
    let said = place.arc(0, "frozen.toml", &new, "new", &adapt).json();
    // The network can fill with 3 and with 7: which is asked, the new embeddings learn alone.
    assert_eq!(said["pass_at"]["1"], 1.0, "{said}");
    let [before, after] =
        ["old", "new"].map(|run| place.load(&format!("{run}/weights.safetensors")));
    assert!(
        before.params.values[..] == after.params.values[..],
        "the network is as it was"
    );
    assert_eq!(after.net.config().puzzle_identifiers, 10);

    // Without a step, every new task has the mean of the old.
    let zero = frozen.replace("puzzle_emb_lr = 0.05", "puzzle_emb_lr = 0.0");
    place.write("zero.toml", &zero);
    place.arc(
        0,
        "zero.toml",
        &new,
        "zero",
        &[&adapt[..], &["--steps", "1"]].concat(),
    );
    let ndim = 16;
    let rows = |loaded: &Loaded| {
        loaded
            .params
            .puzzle_emb
            .chunks(ndim)
            .map(<[f32]>::to_vec)
            .collect::<Vec<_>>()
    };
    let (old, new_rows) = (rows(&before), rows(&place.load("zero/weights.safetensors")));
    for column in 0..ndim {
        let mean = old.iter().map(|row| row[column]).sum::<f32>() / old.len() as f32;
        assert!(new_rows.iter().all(|row| (row[column] - mean).abs() < 1e-5));
    }

    // Embeddings of other puzzles answer nothing.
    let sources = ["eval", "--data", text(&other), "--weights"];
    let weights = place.path("new/weights.safetensors");
    let err = run(2, &[&sources[..], &[text(&weights)]].concat()).err;
    assert!(
        err.contains("other puzzles") && err.contains("--init-from"),
        "{err}"
    );
}
