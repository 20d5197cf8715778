//! `trm data`.

use super::{generate, run, text, trm};
use std::collections::HashSet;
use std::process::Stdio;
use trm_data::read::{Reader, read_path};
use trm_data::split::fingerprint;
use trm_data::{Board, Puzzle};

const SUDOKU: [&str; 2] = ["data", "sudoku"];

fn sudoku<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&SUDOKU[..], args].concat()
}

#[test]
fn generated_puzzles_do_not_depend_on_threads() {
    let made = |args: &str| {
        let args: Vec<_> = args.split(' ').collect();
        run(0, &sudoku(&args)).out
    };
    for which in [
        "--side 6 --difficulty minimal",
        "--side 4",
        "--side 9 --difficulty givens=30",
    ] {
        let generate = format!("generate {which} --count 150");
        let one = made(&format!("{generate} --seed 5 --threads 1"));
        assert_eq!(
            one,
            made(&format!("{generate} --seed 5 --threads 2")),
            "{which}"
        );
        assert_ne!(
            one,
            made(&format!("{generate} --seed 6 --threads 2")),
            "{which}"
        );
        let rows = Reader::<_, Board>::new(one.as_bytes(), which, ()).expect("a puzzle file");
        let puzzles: Vec<Puzzle> = rows.collect::<Result<_, _>>().expect("puzzles");
        let questions: HashSet<_> = puzzles.iter().map(|puzzle| puzzle.question).collect();
        assert_eq!((puzzles.len(), questions.len()), (150, 150), "{which}");
    }
}

#[test]
fn a_larger_count_continues_a_smaller_one() {
    let made = |count| run(0, &sudoku(&["generate", "--side", "4", "--count", count])).out;
    assert!(made("400").starts_with(&made("90")));
}

#[test]
fn generated_files_pass_the_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("puzzles.csv");
    for options in [
        "--side 4 --difficulty minimal",
        "--side 6 --difficulty givens=14",
        "--side 9 --difficulty easy",
    ] {
        generate(&path, &format!("{options} --count 60"));
        let report = run(0, &sudoku(&["check", text(&path), "--json"])).json();
        assert_eq!(report["clean"], true);
        assert_eq!(report["rows"], 60);
        assert_eq!(report["unique"], 60);
        assert_eq!(report["valid_answers"], 60);
        assert!(
            run(0, &sudoku(&["check", text(&path)]))
                .out
                .contains("60 unique")
        );
    }
}

#[test]
fn more_puzzles_than_exist_are_refused() {
    for (options, expected) in [
        (
            "--side 4 --difficulty givens=16 --count 289",
            "only 288 different puzzles",
        ),
        ("--side 4 --difficulty givens=17 --count 1", "givens=17"),
        (
            "--side 4 --difficulty hard --count 1",
            "expected easy, minimal, or givens=N",
        ),
        (
            "--side 4 --difficulty givens= --count 1",
            "expected easy, minimal, or givens=N",
        ),
        (
            "--side 4 --difficulty givens=-1 --count 1",
            "expected easy, minimal, or givens=N",
        ),
        (
            "--side 4 --difficulty givens=x --count 1",
            "expected easy, minimal, or givens=N",
        ),
        ("--side 5 --count 1", "--side"),
        ("--side 4 --count 0", "--count"),
    ] {
        let args: Vec<_> = ["generate"].into_iter().chain(options.split(' ')).collect();
        let said = run(2, &sudoku(&args));
        assert!(said.err.contains(expected), "{options}: {}", said.err);
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let args = sudoku(&["generate", "--side", "4", "--count", "4000"]);
    let mut child = trm()
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_contradiction_fails_the_check_and_a_missing_file_is_bad_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.csv");
    let rows = "source,question,answer,rating\na,1.2..231..12.1..,,\na,11..............,,\n";
    std::fs::write(&path, rows).expect("a file");
    let report = run(1, &sudoku(&["check", text(&path), "--json"])).json();
    assert_eq!(
        (&report["clean"], &report["rows"], &report["faulty"]),
        (&false.into(), &2.into(), &1.into())
    );
    let said = run(1, &sudoku(&["check", text(&path)]));
    assert!(
        said.out
            .contains("line 3, column question: the givens contradict"),
        "{}",
        said.out
    );
    let absent = folder.path().join("absent.csv");
    let said = run(2, &sudoku(&["check", text(&absent)]));
    assert!(
        said.err.contains("absent.csv") && said.out.is_empty(),
        "{}",
        said.err
    );
}

#[test]
fn a_split_shares_no_question_and_loses_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let [all, train, test] =
        ["all.csv", "train.csv", "test.csv"].map(|name| folder.path().join(name));
    generate(&all, "--side 4 --count 300");
    let split = |seed| {
        let files = ["--out-train", text(&train), "--out-test", text(&test)];
        let said = run(
            0,
            &sudoku(
                &[
                    &["split", text(&all), "--test", "40", "--seed", seed],
                    &files[..],
                ]
                .concat(),
            ),
        );
        assert!(said.out.contains("guaranteed"), "{}", said.out);
        [&train, &test].map(|path| read_path(path, ()).expect("a puzzle file"))
    };
    let [train_puzzles, test_puzzles] = split("1");
    assert_eq!((train_puzzles.len(), test_puzzles.len()), (260, 40));
    let prints = |puzzles: &[Puzzle]| {
        puzzles
            .iter()
            .map(|p| fingerprint(&p.question))
            .collect::<HashSet<_>>()
    };
    assert!(prints(&train_puzzles).is_disjoint(&prints(&test_puzzles)));
    assert_eq!(split("1"), [train_puzzles, test_puzzles.clone()]);
    assert_ne!(split("2")[1], test_puzzles);
}

#[test]
fn a_split_that_cannot_be_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let [all, train, test] =
        ["all.csv", "train.csv", "test.csv"].map(|name| folder.path().join(name));
    generate(&all, "--side 4 --count 10");
    let before = std::fs::read(&all).expect("the file");
    let respelled = folder.path().join(".").join("train.csv");
    for (count, out_train, out_test, expected) in [
        ("2", &train, &respelled, "this would replace"),
        ("10", &train, &test, "holds 10 puzzles"),
        ("2", &train, &train, "--out-test"),
        ("2", &all, &test, "--out-train"),
        ("2", &train, &all, "--out-test"),
    ] {
        let outs = ["--out-train", text(out_train), "--out-test", text(out_test)];
        let said = run(
            2,
            &sudoku(&[&["split", text(&all), "--test", count], &outs[..]].concat()),
        );
        assert!(said.err.contains(expected), "{}", said.err);
    }
    assert_eq!(std::fs::read(&all).expect("the file"), before);
    assert!(!train.exists() && !test.exists());
    std::fs::write(&test, "old").expect("a file");
    let mut permissions = test.metadata().expect("the file").permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&test, permissions).expect("its owner");
    let outs = ["--out-train", text(&train), "--out-test", text(&test)];
    let said = run(
        2,
        &sudoku(&[&["split", text(&all), "--test", "2"], &outs[..]].concat()),
    );
    assert!(said.err.contains("allow writing to it"), "{}", said.err);
    assert!(!train.exists());
}

#[test]
fn mazes_are_made_alike_by_any_threads_and_pass_the_check() {
    let made = |options: &str| {
        let args: Vec<_> = options.split(' ').collect();
        run(0, &[&["data", "maze", "generate"][..], &args].concat()).out
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mazes.csv");
    for (options, unique) in [
        ("--side 10 --min-steps 12", true),
        ("--side 8 --plain", false),
    ] {
        let one = made(&format!("{options} --count 70 --threads 1"));
        assert_eq!(one, made(&format!("{options} --count 70 --threads 2")));
        assert_ne!(one, made(&format!("{options} --count 70 --seed 2")));
        std::fs::write(&path, one).expect("to be written");
        let report = run(0, &["data", "maze", "check", text(&path), "--json"]).json();
        assert_eq!(
            (&report["rows"], &report["answers"]),
            (&70.into(), &70.into())
        );
        assert_eq!(report["unique"] == 70, unique, "{report}");
    }
}

#[test]
fn faulty_mazes_are_reported_and_impossible_ones_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mazes.csv");
    let rows = "source,question,answer,rating\n,S  ## #G ,Soo##o#Go,\n,S  ## #G ,,\n,   ## #G ,,\n";
    std::fs::write(&path, rows).expect("to be written");
    let report = run(1, &["data", "maze", "check", text(&path), "--json"]).json();
    assert_eq!(
        (&report["rows"], &report["duplicates"], &report["faulty"]),
        (&3.into(), &1.into(), &1.into())
    );
    assert_eq!(report["duplicate_lines"], serde_json::json!([3]));
    let shown = run(1, &["data", "maze", "check", text(&path)]).out;
    assert!(
        shown.contains("\n  line 3: a question that stood in an earlier row\n"),
        "{shown}"
    );
    assert!(
        shown.contains("line 4, column question: 0 of 'S'"),
        "{shown}"
    );
    run(
        2,
        &["data", "maze", "check", text(&folder.path().join("absent"))],
    );
    for options in [
        &["--side", "2", "--count", "1"][..],
        &["--side", "10", "--count", "1", "--min-steps", "100"],
        &["--side", "3", "--count", "1", "--min-steps", "8"],
    ] {
        run(2, &[&["data", "maze", "generate"][..], options].concat());
    }
}

#[test]
fn a_file_becomes_a_folder_of_the_reference_and_comes_back() {
    let place = tempfile::tempdir().expect("a folder");
    let path = |name: &str| place.path().join(name);
    for (task, options) in [
        ("sudoku", "data sudoku generate --side 6 --count 30"),
        ("maze", "data maze generate --side 7 --count 30"),
    ] {
        let rows = run(0, &options.split(' ').collect::<Vec<_>>()).out;
        let (file, folder, back) = (
            path(&format!("{task}.csv")),
            path(&format!("{task}/train")),
            path(&format!("{task}-back.csv")),
        );
        std::fs::write(&file, &rows).expect("to be written");
        let convert = |code, from, to| {
            run(
                code,
                &["data", "convert", "--task", task, text(from), text(to)],
            )
        };
        convert(0, &file, &folder);
        convert(0, &folder, &back);
        let again = std::fs::read_to_string(&back).expect("to be read");
        let boards = |rows: &str| {
            let fields = rows
                .lines()
                .map(|line| line.split(',').skip(1).take(2).map(String::from));
            fields.map(Iterator::collect::<Vec<_>>).collect::<Vec<_>>()
        };
        assert_eq!(boards(&again), boards(&rows));
        let said = convert(2, &file, &folder);
        assert!(said.err.contains("is there already"), "{}", said.err);
        let own = folder.join("dataset.json");
        let said = convert(2, &folder, &own);
        assert!(said.err.contains("among the files"), "{}", said.err);
        let link = path(&format!("{task}-link.csv"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&own, &link).expect("a link");
            let said = convert(2, &folder, &link);
            assert!(said.err.contains("among the files"), "{}", said.err);
        }
        let nowhere = path("nowhere/x.csv");
        let said = convert(2, &folder, &nowhere);
        assert!(said.err.contains("a folder that exists"), "{}", said.err);
        convert(0, &folder, &back);
        // An answer that is none: nothing is written.
        let labels = folder.join("all__labels.npy");
        let mut bytes = std::fs::read(&labels).expect("to be read");
        let last = bytes.len() - 1;
        bytes[last] = 0;
        std::fs::write(&labels, bytes).expect("to be written");
        let never = path(&format!("{task}-never.csv"));
        let said = convert(2, &folder, &never);
        assert!(said.err.contains("example 30: "), "{}", said.err);
        assert!(!never.exists());
    }
    let said = run(
        2,
        &[
            "data",
            "convert",
            "--task",
            "maze",
            text(&path("sudoku/train")),
            text(&path("x.csv")),
        ],
    );
    assert!(
        said.err.contains("36 cells and 8 tokens are no puzzles"),
        "{}",
        said.err
    );
}
