//! ARC: encoding, hashes, variants, cropping, voting and the builder, beside the reference's.

use serde_json::Value;
use std::collections::BTreeMap;
use trm_data::arc::build::{Task, build};
use trm_data::arc::variant::Variant;
use trm_data::arc::votes::Votes;
use trm_data::arc::{CANVAS, CELLS, Grid, Pair, puzzle_hash};

fn grid(value: &Value) -> Grid {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

fn list(value: &Value) -> &[Value] {
    let list = value.as_array().expect("a list");
    assert!(!list.is_empty(), "nothing to compare");
    list
}

fn numbers(value: &Value) -> Vec<i64> {
    list(value).iter().filter_map(Value::as_i64).collect()
}

fn pairs(value: &Value) -> Vec<Pair> {
    let list = value.as_array().expect("a list");
    let pair = |pair: &Value| Pair {
        input: grid(&pair["input"]),
        output: Some(grid(&pair["output"])),
    };
    list.iter().map(pair).collect()
}

/// Tokens of a canvas.
fn drawn(grid: &Grid, corner: (usize, usize)) -> Vec<u8> {
    let mut tokens = vec![0; CELLS];
    grid.draw(corner, &mut tokens);
    tokens
}

/// Cells that are no pads: row, column, token.
fn sparse(tokens: &[u8]) -> Vec<Vec<i64>> {
    let cells = tokens.iter().enumerate().filter(|(_, token)| **token != 0);
    cells
        .map(|(i, &t)| vec![(i / CANVAS) as i64, (i % CANVAS) as i64, i64::from(t)])
        .collect()
}

fn cells(value: &Value) -> Vec<Vec<i64>> {
    list(value).iter().map(numbers).collect()
}

pub fn check(case: &Value) {
    let tasks = &case["toy_tasks"];
    for expected in list(&case["encoded_no_augmentation"]) {
        let text = |key: &str| expected[key].as_str().expect("text");
        let index = expected["index"].as_u64().expect("a number") as usize;
        let pair = &pairs(&tasks[text("task")][text("split")])[index];
        let [input, output] = [&pair.input, pair.label()].map(|grid| drawn(grid, (0, 0)));
        let as_numbers = |tokens: &[u8]| tokens.iter().map(|&t| i64::from(t)).collect::<Vec<_>>();
        assert!(
            as_numbers(&input) == numbers(&expected["input_tokens"]),
            "{expected:.80}"
        );
        assert!(
            as_numbers(&output) == numbers(&expected["label_tokens"]),
            "{expected:.80}"
        );
        let fed = output
            .iter()
            .map(|&t| if t == 0 { -100 } else { i64::from(t) });
        assert!(
            fed.eq(numbers(&expected["labels_as_fed_to_model"])),
            "pads are not asked for"
        );
        assert_eq!(pair.input.hash(), text("input_hash"));
        assert_eq!(pair.label().hash(), text("output_hash"));
    }

    let moved = &case["translated_example"];
    let corner = ["pad_r", "pad_c"].map(|key| moved[key].as_u64().expect("a number") as usize);
    for (key, expected) in [
        ("input", "input_nonzero_row_col_token"),
        ("output", "label_nonzero_row_col_token"),
    ] {
        let tokens = drawn(&grid(&moved[key]), corner.into());
        assert_eq!(sparse(&tokens), cells(&moved[expected]), "{key}");
    }

    let original = grid(&case["augmentation"]["grid"]);
    for expected in list(&case["augmentation"]["examples"]) {
        let name = expected["name"].as_str().expect("a name");
        let (task, variant) = Variant::of_name(name).expect("a variant");
        assert_eq!(variant.name_of(task), name);
        let image = grid(&expected["grid_out"]);
        assert_eq!(variant.apply(&original), image, "{name}");
        assert_eq!(variant.undo(&image), original, "{name}");
    }
    let task = &tasks["toyaaaa1"];
    let all = [pairs(&task["train"]), pairs(&task["test"])].concat();
    assert_eq!(case["puzzle_hash_toyaaaa1"], puzzle_hash(&all));

    for expected in list(&case["crop"]) {
        let fill = expected["fill"].as_u64().expect("a token") as u8;
        let mut tokens = vec![fill; CELLS];
        for rectangle in expected["set_rects_r0_r1_c0_c1_value"]
            .as_array()
            .expect("a list")
        {
            let [top, bottom, left, right, token] = numbers(rectangle)[..] else {
                panic!("{rectangle}: five numbers")
            };
            for i in top..bottom {
                tokens[i as usize * CANVAS + left as usize..i as usize * CANVAS + right as usize]
                    .fill(token as u8);
            }
        }
        let found = Grid::crop(&tokens);
        let (rows, cols) = found.size();
        assert_eq!(
            [rows as i64, cols as i64][..],
            numbers(&expected["result_shape"])
        );
        if expected["result"] != "omitted" {
            let rows: Vec<Vec<u8>> = found.into();
            assert_eq!(serde_json::json!(rows), expected["result"]);
        }
    }
    check_votes(&case["voting"]);
    check_builder(case);
}

fn check_votes(case: &Value) {
    let tasks: BTreeMap<&str, Vec<Pair>> = case["test_puzzles"]
        .as_object()
        .expect("tasks")
        .iter()
        .map(|(name, task)| (name.as_str(), pairs(&task["test"])))
        .collect();
    let mut votes = Votes::default();
    for evaluation in [
        [
            "predictions_first_eval",
            "result_first_eval",
            "submission_first_eval",
        ],
        [
            "predictions_second_eval",
            "result_after_second_eval_aggregated",
            "submission_after_second_eval",
        ],
    ] {
        let [predictions, result, submission] = evaluation.map(|key| &case[key]);
        for prediction in list(predictions) {
            let identifier = prediction["puzzle_identifier"]
                .as_u64()
                .expect("an identifier") as usize;
            let name = case["identifiers"][identifier].as_str().expect("a name");
            let (task, variant) = Variant::of_name(name).expect("a variant");
            let index = prediction["test_index"].as_u64().expect("an index") as usize;
            // As the network sees and says it: in the variant's form, on a canvas.
            let [seen, said] = [
                tasks[task][index].input.clone(),
                grid(&prediction["predicted_grid_before_augmentation"]),
            ]
            .map(|grid| Grid::crop(&drawn(&variant.apply(&grid), (0, 0))));
            let q_halt = prediction["q_halt_logit"].as_f64().expect("a logit") as f32;
            votes.add(task, &variant.undo(&seen), variant.undo(&said), q_halt);
        }
        for k in [1, 2, 5] {
            let pairs = tasks.iter().map(|(task, pairs)| (*task, &pairs[..]));
            let solved = votes.pass_at(k, pairs).expect("outputs are known");
            assert_eq!(result[format!("ARC/pass@{k}")], solved);
        }
        for (task, pairs) in &tasks {
            let inputs = pairs.iter().map(|pair| &pair.input);
            assert_eq!(
                serde_json::json!(votes.submission(task, inputs)),
                submission[*task]
            );
        }
    }
}

/// The builder with the random numbers that the reference drew: they are in the case, in order.
fn check_builder(case: &Value) {
    let (tasks, expected) = (&case["toy_tasks"], &case["builder"]);
    // The training subset gives all its pairs to learn from, the evaluation subset its test pairs to test.
    let task = |name: &str| {
        let [learn, test] = ["train", "test"].map(|part| pairs(&tasks[name][part]));
        (name.to_owned(), learn, test)
    };
    let (name, learn, more) = task("toyaaaa1");
    let learn = [learn, more].concat();
    let training = Task {
        name,
        learn,
        test: Vec::new(),
    };
    let (name, learn, test) = task("toybbbb2");
    let tasks = [training, Task { name, learn, test }];

    // Draws of 8 are rotations; their colours are in the names of the variants that were kept, which all were.
    let names = |from: &Value| -> Vec<String> {
        list(from)
            .iter()
            .map(|name| name.as_str().expect("a name").to_owned())
            .collect()
    };
    let identifiers = names(&expected["identifiers"]);
    let mut variants = identifiers.iter().filter(|name| name.contains("|||"));
    let variant = || {
        Variant::of_name(variants.next().expect("a variant"))
            .expect("a variant")
            .1
    };
    let draws = list(&expected["randint_log_low_high_value"])
        .iter()
        .map(numbers);
    let mut draws = draws.filter(|draw| draw[1] != 8);
    let below = |n: usize| {
        let [0, high, value] = draws.next().expect("a draw")[..] else {
            panic!("a draw from 0")
        };
        assert_eq!(n as i64, high, "another draw than the reference's");
        value as usize
    };
    let built = build(&tasks, CANVAS, 2, variant, below);
    assert_eq!(draws.next(), None, "the reference drew more");
    assert_eq!(variants.next(), None, "the reference has more variants");

    let used = built.identifiers.len();
    assert_eq!(built.identifiers, identifiers[..used]);
    for (folder, expected) in [
        (&built.train, &expected["train"]),
        (&built.test, &expected["test"]),
    ] {
        assert_eq!(
            serde_json::to_value(&folder.metadata).expect("JSON"),
            expected["metadata"]
        );
        let set = &folder.sets[0];
        let (puzzles, groups) = set.levels.indices();
        let ids: Vec<usize> = set.identifiers.iter().map(|&id| id as usize).collect();
        for (found, key) in [
            (&ids[..], "puzzle_identifiers"),
            (puzzles, "puzzle_indices"),
            (groups, "group_indices"),
        ] {
            let found: Vec<i64> = found.iter().map(|&n| n as i64).collect();
            assert_eq!(found, numbers(&expected[key]), "{key}");
        }
        for (tokens, key) in [
            (&set.inputs, "inputs_sparse"),
            (&set.labels, "labels_sparse"),
        ] {
            let examples = list(&expected[key]);
            assert_eq!(tokens.len(), examples.len() * CELLS, "{key}");
            for (tokens, expected) in tokens.chunks(CELLS).zip(examples) {
                // A grid that fills the canvas is not written out.
                match expected.as_str() {
                    Some(dense) => {
                        assert_eq!(dense, "dense", "{key}");
                        assert!(
                            tokens.iter().all(|&token| token >= 2),
                            "{key}: colours alone"
                        );
                    }
                    None => assert_eq!(sparse(tokens), cells(expected), "{key}"),
                }
            }
        }
    }
}
