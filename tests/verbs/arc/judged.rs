//! What of a task counts: outputs that are known, of inputs that were asked.

use super::super::{run, text};
use super::{Place, tasks};

#[test]
fn what_nobody_knows_is_neither_learned_nor_judged() {
    let place = Place::new();
    // The same with the outputs of the test pairs kept back, and a second input of task b.
    let mut challenges: serde_json::Value =
        serde_json::from_str(&tasks(&[("a", 3), ("b", 7)])).expect("JSON");
    for name in ["a", "b"] {
        let pair = challenges[name]["test"][0].as_object_mut();
        pair.expect("a pair").remove("output");
    }
    let more = serde_json::json!({ "input": [[0, 0, 0]] });
    let list = challenges["b"]["test"].as_array_mut();
    list.expect("a list").push(more);
    let kept_back = place.write("u_challenges.json", &challenges.to_string());

    let learned = place.path("learned");
    let args = ["data", "arc", "build", "--learn", text(&kept_back)];
    let rest = ["--variants", "0", "--out", text(&learned), "--json"];
    let built = run(0, &[&args[..], &rest[..]].concat()).json();
    let numbers = ["train_examples", "unknown_outputs"].map(|key| built[key].as_u64());
    assert_eq!(numbers, [Some(4), Some(3)], "{built}");

    // Of tasks that are tested and left out where they would be learned, once.
    let both = place.path("both");
    let args = [
        &args[..],
        &["--test", text(&kept_back), "--variants", "0"],
        &["--out", text(&both), "--json"],
    ]
    .concat();
    let built = run(0, &args).json();
    let numbers = ["left_out", "unknown_outputs"].map(|key| built[key].as_u64());
    assert_eq!(numbers, [Some(2), Some(3)], "{built}");

    let said = place.arc(0, "tiny.toml", &kept_back, "run", &["--steps", "20"]);
    assert!(
        said.err
            .contains("the outputs of 3 test pairs are not known"),
        "{}",
        said.err
    );
    assert!(
        said.err
            .contains("nothing is validated, and no weights are the best"),
        "{}",
        said.err
    );
    assert!(!place.path("run/best.safetensors").exists());
    let said = said.json();
    let numbers = ["tasks", "examples", "judged"].map(|key| said[key].as_u64());
    assert_eq!(numbers, [Some(2), Some(9), Some(0)], "{said}");
    for part in [
        &said["pass_at"]["1"],
        &said["exact_accuracy"],
        &said["cell_accuracy"],
    ] {
        assert!(part.is_null(), "{said}");
    }
    let read = |name: &str| std::fs::read_to_string(place.path(name)).expect("a file");
    let submission: serde_json::Value =
        serde_json::from_str(&read("run/submission.json")).expect("JSON");
    assert_eq!(submission["b"].as_array().map(Vec::len), Some(2));
    assert!(read("run/predictions.svg").contains("b, test 2: the output is not known"));

    // Some are known: they alone are judged and validated by, and of two inputs those that were asked.
    challenges["a"] =
        serde_json::from_str::<serde_json::Value>(&tasks(&[("a", 3)])).expect("JSON")["a"].take();
    challenges["b"]["test"][0]["output"] = serde_json::json!([[7, 7], [7, 7]]);
    let some = place.write("s_challenges.json", &challenges.to_string());
    let said = place.arc(0, "tiny.toml", &some, "some", &[]);
    assert!(!said.err.contains("nothing is validated"), "{}", said.err);
    let said = said.json();
    assert_eq!(said["judged"], 6, "{said}");
    assert_eq!(said["pass_at"]["1"], 1.0, "{said}");
}

#[test]
fn of_a_task_with_two_inputs_the_one_that_was_asked_is_judged() {
    let place = Place::new();
    let mut challenges: serde_json::Value =
        serde_json::from_str(&tasks(&[("a", 3), ("b", 7)])).expect("JSON");
    for (name, c) in [("a", 3), ("b", 7)] {
        let more = serde_json::json!({ "input": [[0, 0, 0]], "output": [[c, c, c]] });
        let list = challenges[name]["test"].as_array_mut();
        list.expect("a list").push(more);
    }
    let test = place.write("two.json", &challenges.to_string());
    place.arc(0, "tiny.toml", &test, "run", &["--steps", "5"]);
    let [weights, data, submission] =
        ["run/weights.safetensors", "run/data", "s.json"].map(|name| place.path(name));
    let said = run(
        0,
        &[
            &["eval", "--weights", text(&weights), "--data", text(&data)][..],
            &["--limit", "1", "--submission", text(&submission), "--json"],
        ]
        .concat(),
    )
    .json();
    let numbers = ["tasks", "examples", "judged"].map(|key| said[key].as_u64());
    assert_eq!(numbers, [Some(1), Some(1), Some(1)], "{said}");
    // One input, one vote: the task is solved as far as its only example is.
    assert_eq!(said["pass_at"]["1"], said["exact_accuracy"], "{said}");
    let attempts = std::fs::read_to_string(&submission).expect("a file");
    assert_eq!(attempts.matches("attempt_1").count(), 1, "{attempts}");
}
