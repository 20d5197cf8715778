//! The cases: puzzle files, configs, tasks of ARC, PyTorch files, and all [others].

mod others;

use super::Case;
use std::path::Path;

/// All of them.
pub(super) fn all() -> Vec<Case> {
    let groups = [
        puzzles(),
        configs(),
        tasks(),
        checkpoints(),
        others::cases(),
    ];
    groups.into_iter().flatten().collect()
}

fn case<const A: usize, const S: usize>(
    what: &'static str,
    files: &[(&'static str, &dyn AsRef<[u8]>)],
    args: [&'static str; A],
    says: [&'static str; S],
) -> Case {
    Case {
        what,
        files: files
            .iter()
            .map(|(name, content)| (*name, content.as_ref().to_vec()))
            .collect(),
        args: args.to_vec(),
        code: 2,
        says: says.to_vec(),
    }
}

const HEADER: &str = "source,question,answer,rating\n";
const GOOD: &str = "a,1.2..231..12.1..,1324423134122143,0\n";

/// Puzzle files of Sudoku, for each verb that reads them.
fn puzzles() -> Vec<Case> {
    let rows: [(&str, &[&str]); 10] = [
        (
            "a,1.2..231..12.1.,1324423134122143,0",
            &["line 3", "question", "15"],
        ),
        (
            "a,1.2..231..12.1...,1324423134122143,0",
            &["line 3", "question", "17"],
        ),
        (
            "a,1.2..231..12.1.x,1324423134122143,0",
            &["line 3", "question", "'x'"],
        ),
        (
            "a,1.5..231..12.1..,1324423134122143,0",
            &["line 3", "question", "digit 5"],
        ),
        (
            "a,11...231..12.1..,1324423134122143,0",
            &["line 3", "question", "contradict"],
        ),
        (
            "a,1.2..231..12.1..,132442313412214,0",
            &["line 3", "answer", "15"],
        ),
        (
            "a,1.2..231..12.1..,1324423134122134,0",
            &["line 3", "answer"],
        ),
        (
            "a,1.2..231..12.1..,3124423134122143,0",
            &["line 3", "answer"],
        ),
        (
            "a,1.2..231..12.1..,1324423134122143,many",
            &["line 3", "rating", "many"],
        ),
        ("a,1.2..231..12.1..", &["line 3"]),
    ];
    let mut texts: Vec<(Vec<u8>, Vec<&'static str>)> = rows
        .iter()
        .map(|(row, says)| (format!("{HEADER}{GOOD}{row}\n").into_bytes(), says.to_vec()))
        .collect();
    texts.extend([
        (Vec::new(), vec!["no puzzle"]),
        (b"source,answer\n".to_vec(), vec!["no column \"question\""]),
        (HEADER.into(), vec!["no puzzle"]),
        (vec![0xff, 0xfe, 0x00, 0x80], vec![]),
    ]);
    let verbs = [
        vec!["eval", "--weights", "@w", "--data", "@p.csv"],
        vec!["train", "sudoku4", "--data", "@p.csv", "--out", "@run"],
        vec!["solve", "@p.csv", "--weights", "@w"],
    ];
    let cases = texts.into_iter().flat_map(|(text, says)| {
        let text = std::rc::Rc::new(text);
        verbs.clone().map(|args| Case {
            what: "a faulty file of puzzles",
            files: vec![("p.csv", text.to_vec())],
            // An empty file of solve's is one without puzzles, whatever the words.
            says: [&says[..], &["p.csv"]].concat(),
            args,
            code: 2,
        })
    });
    let solves_nothing =
        |case: &Case| case.args[0] == "solve" && case.says == ["no puzzle", "p.csv"];
    cases.filter(|case| !solves_nothing(case)).collect()
}

/// Configs, each with the keys and values that must be named.
fn configs() -> Vec<Case> {
    let texts: [(&str, &[&str]); 29] = [
        (
            "[data]\nside = 4\nsyde = 3",
            &["syde", "did you mean `side`?"],
        ),
        (
            "[data]\nside = 4\n[train]\nseed = 9223372036854775808",
            &["seed"],
        ),
        ("[data]\nside = 5", &["data.side = 5", "4, 6 or 9"]),
        ("[data]\nside = \"four\"", &["side"]),
        ("[model]\nwidth = 3", &["data"]),
        ("[data]\nside = 4\n[model]\nwidht = 3", &["widht"]),
        (
            "[data]\nside = 4\n[model]\nh_cycles = 2",
            &["h_cycles", "did you mean `H_cycles`?"],
        ),
        ("[data]\nside = 4\n[model]\nwidth = 0", &["model.width = 0"]),
        ("[data]\nside = 4\n[model]\nwidth = -1", &["width"]),
        (
            "[data]\nside = 4\n[model]\nwidth = 100000000",
            &["model.width = 100000000"],
        ),
        (
            "[data]\nside = 9\n[model]\nwidth = 1000000\nprefix_len = 1\npuzzle_emb_ndim = 1",
            &["model.width = 1000000", "82 rows"],
        ),
        (
            "[data]\nside = 4\n[model]\nmixer = \"magic\"",
            &["magic", "mlp"],
        ),
        (
            "[data]\nside = 4\n[model]\ncells = 81",
            &["model.cells = 81", "16"],
        ),
        (
            "[data]\nside = 4\n[model]\nhalt_max_steps = 0",
            &["model.halt_max_steps = 0"],
        ),
        ("[data]\nside = 4\n[train]\nbatch = 0", &["train.batch = 0"]),
        ("[data]\nside = 4\n[train]\nlr = -1.0", &["train.lr = -1"]),
        ("[data]\nside = 4\n[train]\nlr = nan", &["train.lr = NaN"]),
        (
            "[data]\nside = 4\n[train]\nema_rate = 1.5",
            &["train.ema_rate = 1.5"],
        ),
        (
            "[data]\nside = 4\n[run]\nlog_every = 0",
            &["run.log_every = 0"],
        ),
        (
            "[data]\nside = 4\n[run]\ncheckpoint_minutes = 1e300",
            &["run.checkpoint_minutes = 1", "525600"],
        ),
        ("[data]\nside = 4\n[train]\nsteps", &["line 4"]),
        ("[data]\nside = 4", &["no puzzles", "--data"]),
        (
            "[data]\nside = 4\ngenerate_easy = 5\nvalidation_puzzles = 500",
            &["of 5 puzzles data.validation_puzzles = 500"],
        ),
        (
            "[data]\nside = 4\ngenerate_easy = 5\nvalidation_puzzles = 0",
            &["data.validation_puzzles = 0", "--validate"],
        ),
        ("[data]\ntask = \"maze\"\nside = 101", &["data.side = 101"]),
        (
            "[data]\ntask = \"maze\"\nside = 10",
            &["no mazes", "data.generate_mazes"],
        ),
        (
            "[data]\ntask = \"arc\"\nside = 31",
            &["data.side = 31", "1 to 30"],
        ),
        (
            "[data]\ntask = \"arc\"\nside = 30",
            &["no tasks", "trm data arc build"],
        ),
        ("[data]\ntask = \"grid\"", &["data.grid"]),
    ];
    let case = |(text, says): &(&str, &[&'static str])| Case {
        what: "a config that cannot work",
        files: vec![("bad.toml", text.as_bytes().to_vec())],
        args: vec!["train", "@bad.toml", "--out", "@run"],
        code: 2,
        says: says.to_vec(),
    };
    texts.iter().map(case).collect()
}

const TASKS: &str = r#"{"b1": {"train": [{"input": [[3]], "output": [[4, 5]]}, {"input": [[0, 1]], "output": [[2]]}],
    "test": [{"input": [[1, 2], [3, 4]]}]}}"#;

/// Files of tasks of ARC.
fn tasks() -> Vec<Case> {
    let wide = format!("[{}]", vec!["0"; 30].join(","));
    let build = ["data", "arc", "build", "--test", "@x.json", "--out", "@arc"];
    let tall = format!("[{}]", vec![wide.as_str(); 31].join(","));
    let texts: [(&str, String, &[&str]); 8] = [
        (
            "a colour 10",
            TASKS.replace("[[4, 5]]", "[[4, 10]]"),
            &["task b1, train pair 1, output: colour 10"],
        ),
        (
            "a grid of 31 x 1",
            TASKS.replace("[[1, 2], [3, 4]]", &format!("[{}[1]]", "[1],".repeat(30))),
            &["a grid of 31x1"],
        ),
        (
            "a grid of 31 x 30",
            TASKS.replace("[[1, 2], [3, 4]]", &tall),
            &["test pair 1, input", "31x30"],
        ),
        (
            "rows of different lengths",
            TASKS.replace("[3, 4]", "[3]"),
            &["row 2 has 1 cells"],
        ),
        (
            "no test",
            TASKS.replace("test", "tests"),
            &["it has no `test`"],
        ),
        (
            "a negative colour",
            TASKS.replace("[[2]]", "[[-2]]"),
            &["train pair 2, output", "colours 0 to 9"],
        ),
        (
            "no JSON",
            TASKS[..40].to_owned(),
            &["expected a JSON object"],
        ),
        ("a list", "[]".to_owned(), &["expected a JSON object"]),
    ];
    let case = |(what, text, says): (&'static str, String, &[&'static str])| Case {
        what,
        files: vec![("x.json", text.into_bytes())],
        args: build.to_vec(),
        code: 2,
        says: [says, &["x.json"]].concat(),
    };
    texts.into_iter().map(case).collect()
}

/// The network of `fixtures/torch/make.py`.
const TORCH: &str =
    "[data]\nside = 4\n[model]\nmixer = \"attention\"\nposition_encoding = \"rope\"\nwidth = 8
heads = 2\ninner = 12\nprefix_len = 1\npuzzle_emb_ndim = 8\n";

/// PyTorch files.
fn checkpoints() -> Vec<Case> {
    let fixture = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/torch");
        std::fs::read(Path::new(folder).join(name)).expect("a fixture")
    };
    let (whole, alien) = (fixture("step_2.pt"), fixture("unexpected_class.pt"));
    let (wider, fewer, more) = (
        TORCH.replace("width = 8", "width = 16"),
        format!("{TORCH}layers = 1\n"),
        format!("{TORCH}layers = 3\n"),
    );
    let convert = ["convert", "@a.pt", "@to", "--config", "@c.toml"];
    vec![
        case(
            "a pickle with an unexpected class",
            &[("a.pt", &alien), ("c.toml", &TORCH)],
            convert,
            ["model.inner.extra", "system", "expected a tensor"],
        ),
        case(
            "half a PyTorch file",
            &[("a.pt", &&whole[..whole.len() / 2]), ("c.toml", &TORCH)],
            convert,
            ["a.pt", "not a PyTorch checkpoint"],
        ),
        case(
            "text",
            &[("a.pt", &"import torch"), ("c.toml", &TORCH)],
            convert,
            ["a.pt", "safetensors"],
        ),
        case(
            "no file",
            &[("c.toml", &TORCH)],
            convert,
            ["a.pt", "cannot read"],
        ),
        case(
            "a wider network",
            &[("a.pt", &whole), ("c.toml", &wider)],
            convert,
            ["`embed_tokens.embedding_weight`", "[6, 8]", "[6, 16]"],
        ),
        case(
            "a layer too many",
            &[("a.pt", &whole), ("c.toml", &fewer)],
            convert,
            ["L_level.layers.1", "no place"],
        ),
        case(
            "a layer too few",
            &[("a.pt", &whole), ("c.toml", &more)],
            convert,
            ["L_level.layers.2", "no tensor"],
        ),
        case(
            "no config",
            &[("a.pt", &whole)],
            ["convert", "@a.pt", "@to"],
            ["--config"],
        ),
    ]
}
