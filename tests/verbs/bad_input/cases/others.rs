//! Cases of no kind in particular: what is asked for on the command line, and files that are not what they should be.

use super::{Case, HEADER, case};

/// An array of numbers in NumPy's format.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let len = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), data].concat()
}

/// Everything else.
pub(super) fn cases() -> Vec<Case> {
    let grid = "[data]\ntask = \"grid\"\nvalidation_puzzles = 1\n[data.grid]\nname = \"ab\"\nrows = 1\ncols = 2
characters = \"ab\"\n[model]\nwidth = 8\nprefix_len = 0\npuzzle_emb_ndim = 0\n";
    let floats = npy("<f4", "(1, 2)", &[0; 8]);
    let beyond = npy("|u1", "(1, 2)", &[0, 2]);
    let answered = format!("{HEADER}x,1.2..231..12.1..,1324423134122143,0\n");
    let other_sizes = format!("{HEADER},1...............................1...,,\n");
    let not_weights = b"these are not the weights that you are looking for";
    let apart = [
        "train",
        "@g.toml",
        "--data",
        "@q.npy",
        "--answers",
        "@q.npy",
        "--out",
        "@run",
    ];
    vec![
        case(
            "a maze without S",
            &[],
            ["solve", "    ## #G   ## #"],
            ["0 of 'S'; a maze has exactly one"],
        ),
        case(
            "no square",
            &[],
            ["solve", "S   ## #G   ## "],
            ["15 characters; expected a square"],
        ),
        case(
            "no way",
            &[],
            ["solve", "S   #####   #G #"],
            ["no way leads from S to G"],
        ),
        case(
            "a way in a question",
            &[],
            ["solve", "S  o## #G   ## #"],
            ["'o' at r1c4; a question has no way"],
        ),
        case(
            "a size that nobody learned",
            &[],
            ["solve", "S   ## #G   ## #"],
            ["no weights for maze4 are shipped"],
        ),
        case(
            "a maze for weights of Sudoku",
            &[],
            ["solve", "S   ## #G   ## #", "--weights", "@w"],
            ["plays sudoku4, but the puzzle is maze4"],
        ),
        case(
            "a board too short",
            &[],
            ["solve", "1.2..231..12.1."],
            ["15 cells, but a board has"],
        ),
        case(
            "givens that contradict each other",
            &[],
            ["solve", "11.............."],
            ["contradict"],
        ),
        case(
            "neither file nor puzzle",
            &[],
            ["solve", "what.csv"],
            ["neither a file nor a puzzle"],
        ),
        case(
            "a file that is not there, of as many characters as a board has cells",
            &[],
            ["solve", "data/puzzles.csv"],
            ["neither a file nor a puzzle"],
        ),
        case(
            "a board with a wrong character",
            &[],
            ["solve", "1.2..23x..12.1.."],
            ["the puzzle, line 1", "'x'"],
        ),
        case(
            "no time to export in",
            &[],
            ["train", "sudoku4", "--export", "@x.ckpt", "--minutes", "1"],
            ["cannot be used with"],
        ),
        case(
            "mazes of a side that no network plays",
            &[("m.csv", &format!("{HEADER}x,S  G,So G,2\n"))],
            ["data", "convert", "--task", "maze", "@m.csv", "@folder"],
            ["m.csv", "data.side = 2"],
        ),
        case(
            "nothing",
            &[],
            ["solve", ""],
            ["neither a file nor a puzzle"],
        ),
        case(
            "puzzles of another size",
            &[("p.csv", &other_sizes)],
            ["eval", "--weights", "@w", "--data", "@p.csv"],
            ["p.csv", "6x6, but sudoku4 is 4x4"],
        ),
        case(
            "puzzles without answers",
            &[("p.csv", &"1.2..231..12.1..\n")],
            ["eval", "--weights", "@w", "--data", "@p.csv"],
            ["puzzle 1 has no answer"],
        ),
        case(
            "no puzzles",
            &[],
            ["eval", "--weights", "@w", "--data", "@p.csv"],
            ["p.csv", "cannot open"],
        ),
        case(
            "no row",
            &[("p.csv", &HEADER)],
            ["eval", "--weights", "@w", "--data", "@p.csv"],
            ["p.csv: no puzzles here"],
        ),
        case(
            "no row to solve",
            &[("p.csv", &HEADER)],
            ["solve", "@p.csv"],
            ["p.csv: no puzzles here"],
        ),
        case(
            "no row to check",
            &[("p.csv", &HEADER)],
            ["data", "sudoku", "check", "@p.csv"],
            ["p.csv: no puzzles here"],
        ),
        case(
            "no maze to check",
            &[("p.csv", &HEADER)],
            ["data", "maze", "check", "@p.csv"],
            ["p.csv: no puzzles here"],
        ),
        case(
            "no puzzle for weights of another size than the example's",
            &[],
            ["solve", "--weights", "@w"],
            ["the built-in example is a 9x9 Sudoku"],
        ),
        case(
            "a folder that is not there for half of a split",
            &[("p.csv", &"1.2..231..12.1..\n.12..231..12.1..\n")],
            [
                "data",
                "sudoku",
                "split",
                "@p.csv",
                "--test",
                "1",
                "--out-train",
                "@train.csv",
                "--out-test",
                "@nowhere/test.csv",
            ],
            ["test.csv: expected the name of a file in a folder that exists"],
        ),
        case(
            "a folder that is not there for what is generated",
            &[],
            [
                "data",
                "sudoku",
                "generate",
                "--side",
                "4",
                "--count",
                "1",
                "--out",
                "@nowhere/p.csv",
            ],
            ["p.csv: expected the name of a file in a folder that exists"],
        ),
        case(
            "a vote of one",
            &[],
            ["solve", "1.2..231..12.1..", "--choose", "vote"],
            ["--choose vote decides among several attempts"],
        ),
        case(
            "puzzles of another size to learn from",
            &[("p.csv", &other_sizes)],
            ["train", "sudoku4", "--data", "@p.csv", "--out", "@run"],
            ["p.csv: puzzle 1 is 6x6, but sudoku4 is 4x4"],
        ),
        case(
            "fewer puzzles than are to be held out",
            &[("p.csv", &answered)],
            ["train", "sudoku4", "--data", "@p.csv", "--out", "@run"],
            ["of 1 puzzles data.validation_puzzles = "],
        ),
        case(
            "a dry run of puzzles that are not there",
            &[],
            ["train", "sudoku4", "--data", "@p.csv", "--dry-run"],
            ["cannot read", "p.csv"],
        ),
        case(
            "an export that would not be made",
            &[],
            ["train", "sudoku4", "--export", "@x", "--dry-run"],
            ["cannot be used with"],
        ),
        case(
            "no weights",
            &[],
            ["eval", "--weights", "@v", "--data", "@p.csv"],
            ["cannot read", "v: No such file"],
        ),
        case(
            "empty weights",
            &[("v", b"")],
            ["info", "@v"],
            ["v: not a whole safetensors file"],
        ),
        case(
            "other weights",
            &[("v", not_weights)],
            ["info", "@v"],
            ["v: no safetensors file", "\"these are not the weigh\""],
        ),
        case("a folder for weights", &[], ["info", "@"], ["cannot read"]),
        case(
            "an array of floats",
            &[("q.npy", &floats), ("g.toml", &grid)],
            apart,
            ["q.npy", "type \"<f4\"; expected whole numbers"],
        ),
        case(
            "a number that is no character",
            &[("q.npy", &beyond), ("g.toml", &grid)],
            apart,
            ["q.npy", "value 1 is 2; expected 0 to 1"],
        ),
        case(
            "no array",
            &[("q.npy", &"ab"), ("g.toml", &grid)],
            apart,
            ["q.npy", "not a .npy file"],
        ),
        case(
            "an unknown preset",
            &[],
            ["train", "sudoku5"],
            ["sudoku5", "sudoku4, sudoku6"],
        ),
        case("an unknown verb", &[], ["tarin"], ["tarin"]),
        case(
            "an unknown option",
            &[],
            ["train", "sudoku4", "--thread", "2"],
            ["--thread"],
        ),
        case(
            "no threads",
            &[],
            ["train", "sudoku4", "--threads", "0"],
            ["--threads", "expected 1 to"],
        ),
        case(
            "no steps",
            &[],
            ["train", "sudoku4", "--steps", "0"],
            ["--steps"],
        ),
        case(
            "minutes that are none",
            &[],
            ["train", "sudoku4", "--minutes", "nan", "--out", "@run"],
            ["--minutes"],
        ),
        case(
            "minutes before now",
            &[],
            ["train", "sudoku4", "--minutes", "-1", "--out", "@run"],
            ["-1", "expected 0 to 525600"],
        ),
        case(
            "more threads than cores can serve",
            &[],
            ["train", "sudoku4", "--threads", "65535", "--out", "@run"],
            ["--threads", "for each core of this machine"],
        ),
        case(
            "a negative number of threads",
            &[],
            ["train", "sudoku4", "--threads", "-1", "--out", "@run"],
            ["--threads", "'-1'", "expected 1 to"],
        ),
        case(
            "negative noise",
            &[],
            [
                "solve",
                "1.2..231..12.1..",
                "--weights",
                "@w",
                "--noise",
                "-0.5",
            ],
            ["--noise -0.5: expected 0 to 10"],
        ),
        case(
            "weights for puzzles",
            &[],
            ["train", "sudoku4", "--data", "@w", "--out", "@run"],
            ["w: this looks like a weights file"],
        ),
        case(
            "a folder for puzzles",
            &[],
            ["train", "sudoku4", "--data", "@", "--out", "@run"],
            ["this is a folder; expected a file of puzzles"],
        ),
        case(
            "a file for tasks of ARC",
            &[("p.json", &"{}")],
            ["train", "arc", "--data", "@p.json", "--out", "@run"],
            ["p.json: this is a file; expected the folder of a data set"],
        ),
        case(
            "a seed that TOML cannot hold",
            &[],
            [
                "train",
                "sudoku4",
                "--seed",
                "9223372036854775808",
                "--out",
                "@run",
            ],
            ["--seed", "9223372036854775807"],
        ),
        case(
            "nothing to go on with",
            &[],
            ["train", "sudoku4", "--resume", "--out", "@run"],
            ["there is no checkpoint in", "run"],
        ),
        case(
            "no tasks",
            &[],
            ["data", "arc", "build", "--out", "@arc"],
            ["no tasks"],
        ),
        case(
            "a side that no board has",
            &[],
            ["data", "sudoku", "generate", "--side", "5", "--count", "1"],
            ["--side"],
        ),
        case(
            "more givens than cells",
            &[],
            [
                "data",
                "sudoku",
                "generate",
                "--side",
                "4",
                "--difficulty",
                "givens=17",
                "--count",
                "1",
            ],
            ["givens=17"],
        ),
        case(
            "mazes that cannot be",
            &[],
            [
                "data",
                "maze",
                "generate",
                "--side",
                "3",
                "--count",
                "1",
                "--min-steps",
                "8",
            ],
            ["no maze of side 3 with 8 steps or more"],
        ),
        case(
            "a preset that is not there",
            &[],
            ["bench", "--preset", "f64"],
            ["f64"],
        ),
        Case {
            code: 1,
            ..case(
                "a wrong answer is no bad input",
                &[],
                ["solve", "1.2..231..12.1..", "--weights", "@w"],
                ["not valid"],
            )
        },
        Case {
            code: 1,
            ..case(
                "nor is a file that fails its check",
                &[("p.csv", &"11..............\n")],
                ["data", "sudoku", "check", "@p.csv"],
                ["contradict"],
            )
        },
        Case {
            code: 0,
            ..case(
                "and a right answer is success",
                &[],
                ["solve", "1.2..231..12.1..", "--json"],
                ["\"valid\":true"],
            )
        },
    ]
}
