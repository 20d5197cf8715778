//! ARC's JSON files: `…_challenges.json`, with the outputs that were kept back in `…_solutions.json`.
//!
//! A file of challenges is an object of tasks by name, each with lists `train` and `test` of pairs; a test pair has
//! its output there, or in the file of solutions, or nowhere.

use super::build::Task;
use super::variant::SEPARATOR;
use super::{Grid, Pair};
use crate::fault::Invalid;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;

/// What the tasks of a file are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All pairs are learned from, in the order of the file.
    Learned,
    /// The pairs of `train` are learned from, those of `test` are tested.
    Tested,
}

/// Reads the tasks of a file, in its order.
///
/// # Errors
/// The first fault, with the task and the pair.
pub fn read(challenges: &Path, solutions: Option<&Path>, role: Role) -> Result<Vec<Task>, Invalid> {
    let tasks = object(challenges)?;
    let known = solutions.map(object).transpose()?.unwrap_or_default();
    let mut read = Vec::with_capacity(tasks.len());
    for (name, task) in &tasks {
        let outputs = solutions.and_then(|file| Some((file, known.get(name)?)));
        read.push(one(challenges, outputs, (name, task), role)?);
    }
    Ok(read)
}

fn object(path: &Path) -> Result<Map<String, Value>, Invalid> {
    let bytes =
        std::fs::read(path).map_err(|e| Invalid(format!("cannot read {}: {e}", path.display())))?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    match serde_json::from_slice(text) {
        Ok(Entries(entries)) => Ok(entries),
        Err(e) => {
            let why = format!("{e}; expected a JSON object of tasks by name");
            Err(Invalid::at(path, why))
        }
    }
}

/// A JSON object's entries in their order, of which no two have the same name.
struct Entries(Map<String, Value>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if entries.insert(name.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("{name:?} is there twice")));
                    }
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A task of `path`, with what the file of solutions says of it.
fn one(
    path: &Path,
    outputs: Option<(&Path, &Value)>,
    (name, task): (&String, &Value),
    role: Role,
) -> Result<Task, Invalid> {
    let form = |place: &str, what: &str| Invalid::at(path, format!("{place}: {what}"));
    let parts = task.as_object();
    let parts = parts.ok_or_else(|| form(name, "expected an object with `train` and `test`"))?;
    for part in ["train", "test"] {
        if !parts.contains_key(part) {
            return Err(form(name, &format!("it has no `{part}`")));
        }
    }
    if name.contains(SEPARATOR) {
        let what = format!("{SEPARATOR:?} in a task's name parts it from a variant; rename it");
        return Err(form(name, &what));
    }
    let mut task = Task {
        name: name.clone(),
        learn: Vec::new(),
        test: Vec::new(),
    };
    for (part, pairs) in parts
        .iter()
        .filter(|(part, _)| *part == "train" || *part == "test")
    {
        let pairs = pairs.as_array();
        let pairs = pairs.ok_or_else(|| form(name, &format!("`{part}` is no list of pairs")))?;
        if let (Some((file, outputs)), "test") = (outputs, part.as_str()) {
            let (found, expected) = (outputs.as_array().map(Vec::len), pairs.len());
            if found != Some(expected) {
                let why = format!(
                    "task {name}: expected a list of {expected} outputs, one for each test pair"
                );
                return Err(Invalid::at(file, why));
            }
        }
        for (i, pair) in pairs.iter().enumerate() {
            let place = format!("task {name}, {part} pair {}", i + 1);
            let input = pair.get("input").ok_or_else(|| form(&place, "no input"))?;
            let input = grid(path, &format!("{place}, input"), input)?;
            let output = match (pair.get("output"), outputs) {
                (Some(output), _) => Some(grid(path, &format!("{place}, output"), output)?),
                (None, Some((file, outputs))) if part == "test" => {
                    Some(grid(file, &format!("{place}, solution"), &outputs[i])?)
                }
                (None, _) if part == "test" => None,
                (None, _) => return Err(form(&place, "no output")),
            };
            let list = match (role, part.as_str()) {
                (Role::Tested, "test") => &mut task.test,
                _ => &mut task.learn,
            };
            list.push(Pair { input, output });
        }
    }
    Ok(task)
}

fn grid(path: &Path, place: &str, value: &Value) -> Result<Grid, Invalid> {
    let at = |why: String| Invalid::at(path, format!("{place}: {why}"));
    let rows: Result<Vec<Vec<u8>>, _> = serde_json::from_value(value.clone());
    let rows = rows.map_err(|e| at(format!("expected rows of colours 0 to 9: {e}")))?;
    Grid::try_from(rows).map_err(|Invalid(why)| at(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGES: &str = r#"{"b1": {"test": [{"input": [[1]]}, {"input": [[2]]}],
        "train": [{"input": [[3]], "output": [[4, 5]]}]}, "a2": {"train": [], "test": []}}"#;

    #[test]
    fn tasks_come_in_the_order_of_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let [challenges, solutions] = ["c.json", "s.json"].map(|name| folder.path().join(name));
        std::fs::write(&challenges, CHALLENGES).expect("a file");
        std::fs::write(&solutions, r#"{"b1": [[[6]], [[7]]]}"#).expect("a file");
        let colours = |pairs: &[Pair]| -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
            let cells = |grid: &Grid| grid.cells().to_vec();
            let pair = |pair: &Pair| (cells(&pair.input), pair.output.as_ref().map(cells));
            pairs.iter().map(pair).collect()
        };
        let tasks = read(&challenges, Some(&solutions), Role::Tested).expect("two tasks");
        assert_eq!([&tasks[0].name, &tasks[1].name], ["b1", "a2"]);
        assert_eq!(colours(&tasks[0].learn), [(vec![3], Some(vec![4, 5]))]);
        assert_eq!(
            colours(&tasks[0].test),
            [(vec![1], Some(vec![6])), (vec![2], Some(vec![7]))]
        );
        // A mark at the beginning, as some editors write it, is no part of the text.
        std::fs::write(&challenges, format!("\u{feff}{CHALLENGES}")).expect("a file");
        let tasks = read(&challenges, None, Role::Learned).expect("two tasks");
        let all = [
            (vec![1], None),
            (vec![2], None),
            (vec![3], Some(vec![4, 5])),
        ];
        assert_eq!(colours(&tasks[0].learn), all);
        assert_eq!(tasks[0].test, []);
    }

    #[test]
    fn faults_are_told_with_task_and_pair() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.json");
        let row = vec!["0"; 30].join(",");
        let tall = vec![format!("[{row}]"); 31].join(",");
        for (task, expected) in [
            (r#"{"train": []}"#.to_owned(), &["no `test`"][..]),
            (
                r#"{"train": 3, "test": []}"#.into(),
                &["`train` is no list"],
            ),
            (
                r#"{"train": [{"output": [[1]]}], "test": []}"#.into(),
                &["train pair 1", "no input"],
            ),
            (
                r#"{"train": [{"input": [[1]]}], "test": []}"#.into(),
                &["train pair 1", "no output"],
            ),
            (
                r#"{"train": [{"input": [[1]], "output": [[1, 10]]}], "test": []}"#.into(),
                &["train pair 1, output", "colour 10 in row 1, column 2"],
            ),
            (
                format!(r#"{{"train": [], "test": [{{"input": [{tall}]}}]}}"#),
                &["test pair 1, input", "31x30"],
            ),
            (
                r#"{"train": [], "test": [{"input": [[1, 2], [3]]}]}"#.into(),
                &["test pair 1, input", "row 2 has 1"],
            ),
            (
                r#"{"train": [], "test": [{"input": [[-1]]}]}"#.into(),
                &["colours 0 to 9"],
            ),
            ("[]".into(), &["task x1", "expected an object"][1..]),
        ] {
            std::fs::write(&path, format!(r#"{{"x1": {task}}}"#)).expect("a file");
            let said = read(&path, None, Role::Tested)
                .expect_err(&task)
                .to_string();
            for part in expected.iter().chain(&["c.json", "x1"]) {
                assert!(said.contains(part), "{said:?} does not say {part:?}");
            }
        }
        std::fs::write(&path, CHALLENGES).expect("a file");
        let solutions = folder.path().join("s.json");
        for outputs in ["[[[6]]]", "[[[6]], [[7]], [[8]]]", "6"] {
            std::fs::write(&solutions, format!(r#"{{"b1": {outputs}}}"#)).expect("a file");
            let said = read(&path, Some(&solutions), Role::Tested).expect_err("two are expected");
            let said = said.to_string();
            let expected = "s.json: task b1: expected a list of 2 outputs";
            assert!(said.contains(expected), "{said}");
        }
        for (text, expected) in [
            (r#"{"a": {}, "a": {}}"#, "\"a\" is there twice"),
            (
                r#"{"a|||b": {"train": [], "test": []}}"#,
                "a|||b: \"|||\" in a task's name",
            ),
        ] {
            std::fs::write(&path, text).expect("a file");
            let said = read(&path, None, Role::Tested).expect_err(text).to_string();
            assert!(said.contains(expected), "{said}");
        }
        std::fs::write(&path, "{").expect("a file");
        let said = read(&path, None, Role::Tested)
            .expect_err("no JSON")
            .to_string();
        assert!(said.contains("c.json") && said.contains("JSON"), "{said}");
    }
}
