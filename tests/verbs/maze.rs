//! Mazes from training to a drawn way.

use super::{number, run, text, trm};
use std::io::Write;
use std::process::Stdio;

const CONFIG: &str = r#"
[data]
task = "maze"
side = 4
generate_mazes = 60
min_steps = 3
validation_puzzles = 10

[model]
mixer = "attention"
position_encoding = "learned"
width = 16
heads = 2
inner = 16
prefix_len = 0
puzzle_emb_ndim = 0
H_cycles = 1
L_cycles = 1
halt_max_steps = 4

[train]
batch = 8
micro_batch = 2
steps = 4
"#;

#[test]
fn mazes_are_trained_on_evaluated_and_solved() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("maze4.toml"), CONFIG).expect("to be written");
    let (config, out) = (path("maze4.toml"), path("run"));
    run(0, &["train", text(&config), "--out", text(&out)]);
    let weights = path("run/best.safetensors");
    let info = run(0, &["info", text(&weights), "--json"]).json();
    assert_eq!(info["metadata"]["task"], "maze4");

    // From a file of mazes that were not learned from, again with another form of them.
    let data = path("mazes.csv");
    let generate = "data maze generate --side 4 --min-steps 3 --count 20 --seed 9 --plain --out";
    run(
        0,
        &[&generate.split(' ').collect::<Vec<_>>()[..], &[text(&data)]].concat(),
    );
    let eval = [
        "eval",
        "--weights",
        text(&weights),
        "--data",
        text(&data),
        "--json",
    ];
    let report = run(0, &eval).json();
    assert_eq!(report["puzzles"], 20);
    let [exact, valid] = ["exact_accuracy", "valid_accuracy"].map(|key| number(&report, key));
    assert!(
        exact <= valid,
        "{report}: the given way is one of those that are valid"
    );

    // One maze a line with every space kept: a line may begin or end with one.
    let lines = ["S   ## #G   ## #", "   S ## G   ## #"].join("\n");
    let mut child = trm();
    child
        .args(["solve", "-", "--json", "--weights", text(&weights)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = child.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(lines.as_bytes()).expect("to be read");
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    let said = String::from_utf8(output.stdout).expect("text");
    let solved: Vec<serde_json::Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(solved.len(), 2);
    assert_eq!(solved[1]["question"], "   S ## G   ## #");
    assert_eq!(solved[1]["answer"].as_str().map(str::len), Some(16));

    // Four steps of training draw no way: the exit code says so, the maze is drawn all the same.
    let solve = |code, more: &[&str]| {
        let solve = ["solve", "S   ## #G   ## #", "--weights", text(&weights)];
        run(code, &[&solve[..], more].concat())
    };
    let shown = solve(1, &[]).out;
    assert!(shown.contains("|S       |\n|####  ##|"), "{shown}");
    assert!(shown.contains("not valid: "), "{shown}");
    let traced = solve(1, &["--trace", "--supervision-steps", "3"]).out;
    assert!(traced.contains("step 3: not valid: "), "{traced}");
    let refused = solve(2, &["--guess-every", "2"]).err;
    assert!(refused.contains("maze4 has none"), "{refused}");
}
