//! Tasks of one's own, and arithmetic, from a file of grids to answers.

use super::{number, run, text};

/// Copy a row of letters in capitals: a task that nobody has rules for.
const CONFIG: &str = r#"
[data]
task = "grid"
validation_puzzles = 2

[data.grid]
name = "capitals"
rows = 2
cols = 2
characters = "abAB"
symmetries = "mirror"

[model]
width = 16
inner = 16
inner_positions = 16
prefix_len = 0
puzzle_emb_ndim = 0
H_cycles = 1
L_cycles = 1
halt_max_steps = 4

[train]
batch = 8
micro_batch = 2
steps = 150
halt_exploration = 0.6
weight_decay = 0.1
loss = "softmax"
optimizer = "adamw"
lr = 0.01
lr_min_ratio = 0.1
warmup_steps = 5
ema_rate = 0.9
"#;

/// All words of four letters a and b.
fn words() -> String {
    let letters = (0..16).map(|i| {
        let word: String = (0..4)
            .map(|k| if i >> k & 1 == 0 { 'a' } else { 'b' })
            .collect();
        format!("test,{word},{},\n", word.to_uppercase())
    });
    format!(
        "source,question,answer,rating\n{}",
        letters.collect::<String>()
    )
}

#[test]
fn a_task_of_ones_own_is_learned_without_a_line_of_rust() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("capitals.toml"), CONFIG).expect("to be written");
    std::fs::write(path("words.csv"), words()).expect("to be written");
    let (config, data, out) = (path("capitals.toml"), path("words.csv"), path("run"));
    run(
        0,
        &[
            "train",
            text(&config),
            "--data",
            text(&data),
            "--out",
            text(&out),
        ],
    );
    let weights = path("run/best.safetensors");
    let eval = ["eval", "--weights", text(&weights), "--data", text(&data)];
    let report = run(
        0,
        &[&eval[..], &["--supervision-steps", "4", "--json"]].concat(),
    )
    .json();
    assert!(number(&report, "exact_accuracy") >= 0.8, "{report}");
    assert!(report["valid_accuracy"].is_null(), "nobody knows rules");
    // The weights know the format: the question is read and the answer drawn by it.
    let solve = |code, more: &[&str]| {
        run(
            code,
            &[
                &[
                    "solve",
                    "--weights",
                    text(&weights),
                    "--supervision-steps",
                    "4",
                ],
                more,
            ]
            .concat(),
        )
    };
    let drawn = solve(0, &["abba"]).out;
    assert!(drawn.contains("+--+\n|AB|\n|BA|\n+--+"), "{drawn}");
    let line = solve(0, &["abba", "--json"]).json();
    assert_eq!(
        (&line["answer"], &line["valid"]),
        (&"ABBA".into(), &serde_json::Value::Null)
    );
    for (more, expected) in [
        (
            &["abca"][..],
            "'c' in row 2, column 1; expected one of \"abAB\"",
        ),
        (&["abc"], "3 characters; expected 4, 2 rows of 2"),
        (&["abba", "--verify"], "none are known for capitals"),
        (&[], "the built-in example is a 9x9 Sudoku"),
    ] {
        let said = solve(2, more);
        assert!(said.err.contains(expected), "{}", said.err);
    }
    let none = run(2, &["train", text(&config), "--out", text(&path("other"))]);
    assert!(
        none.err.contains("capitals needs --data FILE"),
        "{}",
        none.err
    );
}

#[test]
fn arithmetic_is_made_alike_by_any_threads() {
    let made = |options: &str| {
        let args: Vec<_> = options.split(' ').collect();
        run(
            0,
            &[&["data", "arithmetic", "generate"][..], &args].concat(),
        )
        .out
    };
    for options in [
        "--operation add --digits 1..8 --columns 13",
        "--operation multiply --digits 3",
        "--operation remainder --digits 2..6",
    ] {
        let one = made(&format!("{options} --count 40 --threads 1"));
        assert_eq!(one, made(&format!("{options} --count 40 --threads 2")));
        assert_eq!(one.lines().count(), 41);
    }
    let sums = made("--operation add --digits 2 --count 1");
    assert!(sums.contains("sum of 02 digits, carry 0"), "{sums}");
    for (options, expected) in [
        (
            "--operation add --digits 0",
            "expected a number from 1 to 18",
        ),
        (
            "--operation add --digits 5..2",
            "expected a number from 1 to 18",
        ),
        (
            "--operation multiply --digits 9 --columns 12",
            "operands of 9 digits need 18",
        ),
        (
            "--operation add --digits 1 --count 200",
            "only 100 different puzzles found",
        ),
    ] {
        let count = if options.contains("count") {
            ""
        } else {
            " --count 1"
        };
        let args = format!("data arithmetic generate {options}{count}");
        let said = run(2, &args.split(' ').collect::<Vec<_>>());
        assert!(said.err.contains(expected), "{options}: {}", said.err);
    }
}

/// The same grids as one CSV, as two texts, and as two arrays: the same draws, so the same weights.
#[test]
fn questions_and_answers_may_lie_apart() {
    use trm_data::reference::npy;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("capitals.toml"), CONFIG).expect("to be written");
    let csv = words();
    std::fs::write(path("words.csv"), &csv).expect("to be written");
    let column = |i: usize| -> Vec<&str> {
        let rows = csv.lines().skip(1);
        rows.map(|row| row.split(',').nth(i).expect("a field"))
            .collect()
    };
    for (i, name) in [(1, "questions"), (2, "answers")] {
        let lines = column(i);
        std::fs::write(path(&format!("{name}.txt")), lines.join("\n")).expect("to be written");
        let number = |c| "abAB".find(c).expect("a character") as u8;
        let numbers: Vec<u8> = lines.concat().chars().map(number).collect();
        let file = path(&format!("{name}.npy"));
        npy::write(&file, &[lines.len(), 2, 2], "|u1", &numbers).expect("to be written");
    }
    let train = |data: &str, answers: Option<&str>| {
        let (config, data) = (path("capitals.toml"), path(data));
        let out = path("run");
        let mut args = vec![
            "train",
            text(&config),
            "--data",
            text(&data),
            "--out",
            text(&out),
        ];
        let answers = answers.map(path);
        if let Some(answers) = &answers {
            args.extend(["--answers", text(answers)]);
        }
        args.extend(["--steps", "2", "--threads", "1"]);
        run(0, &args);
        let weights = std::fs::read(out.join("weights.safetensors")).expect("weights");
        let of_data = out.join("weights.safetensors");
        let mut args = vec![
            "eval",
            "--weights",
            text(&of_data),
            "--data",
            text(&data),
            "--json",
        ];
        if let Some(answers) = &answers {
            args.extend(["--answers", text(answers)]);
        }
        assert_eq!(run(0, &args).json()["puzzles"], 16);
        std::fs::remove_dir_all(&out).expect("the run");
        // All but the metadata, which has the time it took.
        weights[weights.len() - 4096..].to_vec()
    };
    let whole = train("words.csv", None);
    assert!(whole == train("questions.txt", Some("answers.txt")));
    assert!(whole == train("questions.npy", Some("answers.npy")));

    std::fs::write(path("none.txt"), "").expect("to be written");
    let (config, none) = (path("capitals.toml"), path("none.txt"));
    let empty = [
        "train",
        text(&config),
        "--data",
        text(&none),
        "--answers",
        text(&none),
    ];
    let said = run(2, &empty).err;
    assert!(said.contains("none.txt: no grids here"), "{said}");
    let (sums, answers) = (path("words.csv"), path("answers.txt"));
    let said = run(
        2,
        &[
            "train",
            "sudoku4",
            "--data",
            text(&sums),
            "--answers",
            text(&answers),
        ],
    )
    .err;
    assert!(
        said.contains("--answers is for tasks of your own"),
        "{said}"
    );
}
