//! Symmetries and tokens against values from the reference implementation's data preparation.

#![forbid(unsafe_code)]

use serde_json::Value;
use trm_data::{Board, Geometry, PAD_TOKEN, Symmetry};

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/sudoku_transforms.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<u8> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_u64().unwrap() as u8)
        .collect()
}

fn board(value: &Value) -> Board {
    Board::from_digits(&numbers(value)).unwrap()
}

#[test]
fn every_shuffle_gives_the_same_boards() {
    let fixture = fixture();
    let shuffles = fixture["shuffles"].as_array().unwrap();
    assert!(shuffles.iter().any(|s| s["transpose"] == true));
    assert!(shuffles.iter().any(|s| s["transpose"] == false));
    for shuffle in shuffles {
        let symmetry = Symmetry::from_parts(
            Geometry::Nine,
            &numbers(&shuffle["digit_map"]),
            shuffle["transpose"].as_bool().unwrap(),
            &numbers(&shuffle["row_perm"]),
            &numbers(&shuffle["col_perm"]),
        )
        .expect("a symmetry of the group");
        for (before, after) in [("puzzle", "puzzle_out"), ("solution", "solution_out")] {
            let (before, after) = (board(&fixture[before]), board(&shuffle[after]));
            assert_eq!(symmetry.apply(&before), after);
            assert_eq!(symmetry.inverse().apply(&after), before);
        }
    }
}

#[test]
fn tokens_and_vocabulary_agree() {
    let fixture = fixture();
    for (digits, tokens) in [("puzzle", "tokens_puzzle"), ("solution", "tokens_solution")] {
        let (board, expected) = (board(&fixture[digits]), numbers(&fixture[tokens]));
        let mut tokens = vec![PAD_TOKEN; 81];
        board.tokens_into(&mut tokens);
        assert_eq!(tokens, expected);
        assert_eq!(Board::from_tokens(Geometry::Nine, &expected), board);
    }
    assert_eq!(fixture["vocab_size"], Geometry::Nine.vocab());
    assert_eq!(fixture["seq_len"], Geometry::Nine.cells());
    assert_eq!(fixture["pad_id"], PAD_TOKEN);
}
