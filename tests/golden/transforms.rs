//! Symmetries and encodings of grids, beside the reference's data builders.

use serde_json::Value;
use trm_data::dihedral::Dihedral;
use trm_data::maze::{self, Maze};
use trm_data::{Board, Geometry, PAD_TOKEN, Symmetry};

/// A list of numbers, or rows of them one after another.
fn numbers(value: &Value) -> Vec<u8> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => vec![
            other
                .as_u64()
                .and_then(|n| n.try_into().ok())
                .expect("a small number"),
        ],
    }
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    let list = value.as_array().expect("a list");
    assert!(!list.is_empty(), "nothing to compare");
    list.iter()
}

pub fn check(case: &Value) {
    let inputs = &case["dihedral_inputs"];
    for (symmetry, expected) in Dihedral::ALL.into_iter().zip(each(&case["dihedral"])) {
        assert_eq!(expected["tid"], symmetry.number());
        assert_eq!(expected["inverse_tid"], symmetry.inverse().number());
        for (name, rows, cols) in [("rect", 2, 3), ("square", 3, 3)] {
            let image = symmetry.apply(&numbers(&inputs[name]), rows, cols);
            assert_eq!(image, numbers(&expected[name]), "{name}, {symmetry:?}");
            let rows = if symmetry.exchanges_sides() {
                cols
            } else {
                rows
            };
            let row_count = each(&expected[name]).count();
            assert_eq!(row_count, rows, "{name}, {symmetry:?}");
        }
    }
    assert_eq!(each(&case["dihedral"]).count(), 8);

    let sudoku = &case["sudoku"];
    for name in ["puzzle", "solution"] {
        let board = Board::from_digits(&numbers(&sudoku[name])).expect("a board");
        let mut tokens = [PAD_TOKEN; 81];
        board.tokens_into(&mut tokens);
        assert_eq!(tokens[..], numbers(&sudoku[format!("tokens_{name}")]));
        assert_eq!(Board::from_tokens(Geometry::Nine, &tokens), board);
        for shuffle in each(&sudoku["shuffles"]) {
            let symmetry = Symmetry::from_parts(
                Geometry::Nine,
                &numbers(&shuffle["digit_map"]),
                shuffle["transpose"].as_bool().expect("a coin"),
                &numbers(&shuffle["row_perm"]),
                &numbers(&shuffle["col_perm"]),
            );
            let symmetry = symmetry.expect("a symmetry");
            let image = symmetry.apply(&board);
            assert_eq!(image.digits(), numbers(&shuffle[format!("{name}_out")]));
            assert_eq!(symmetry.inverse().apply(&image), board);
        }
    }
    for transposes in [true, false] {
        let mut shuffles = each(&sudoku["shuffles"]);
        assert!(shuffles.any(|shuffle| shuffle["transpose"] == transposes));
    }
    assert_eq!(sudoku["vocab_size"], Geometry::Nine.vocab());
    assert_eq!(sudoku["seq_len"], Geometry::Nine.cells());
    assert_eq!(sudoku["pad_id"], PAD_TOKEN);

    let expected = &case["maze"];
    assert_eq!(expected["vocab_size"], maze::VOCAB);
    assert_eq!(
        expected["charset"],
        str::from_utf8(&maze::CHARACTERS).expect("text")
    );
    let example = expected["example"].as_str().expect("a maze");
    let mut tokens = [0; 9];
    example
        .parse::<Maze>()
        .expect("a maze")
        .tokens_into(&mut tokens);
    assert_eq!(tokens[..], numbers(&expected["example_tokens"]));
}
