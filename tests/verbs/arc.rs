//! `trm data arc build`.

use super::{run, text};
use trm_data::reference::folder::Folder;

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
    // Three pairs of a1 and two of b1 are learned, one of b1 is asked; each task and its five variants.
    assert_eq!(said["tasks"], 2);
    assert_eq!(said["puzzles"], 12);
    assert_eq!(said["train_examples"], 6 * 3 + 6 * 2);
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

    // The same seed, the same data set; and what is there is never overwritten.
    build("again", 0);
    let train = |name: &str| Folder::read(&path(name).join("train")).expect("a data set");
    assert!(train("arc") == train("again"));
    assert!(build("arc", 2).err.contains("is there already"));
}

#[test]
fn faulty_tasks_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, out) = (
        folder.path().join("x_challenges.json"),
        folder.path().join("arc"),
    );
    for (tasks, expected) in [
        (
            CHALLENGES.replace("[[4, 5]]", "[[4, 10]]"),
            "task b1, train pair 1, output: colour 10",
        ),
        (
            CHALLENGES.replace("[[1, 2], [3, 4]]", &format!("[{}[1]]", "[1],".repeat(30))),
            "a grid of 31x1",
        ),
        (CHALLENGES.replace("test", "tests"), "it has no `test`"),
    ] {
        std::fs::write(&file, tasks).expect("a file");
        let said = run(
            2,
            &[
                "data",
                "arc",
                "build",
                "--test",
                text(&file),
                "--out",
                text(&out),
            ],
        )
        .err;
        assert!(
            said.contains(expected) && said.contains("x_challenges.json"),
            "{said}"
        );
        assert!(!out.exists());
    }
    let said = run(2, &["data", "arc", "build", "--out", text(&out)]).err;
    assert!(said.contains("no tasks"), "{said}");
}
