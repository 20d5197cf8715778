//! What a run learns from and what it is validated by, where both come from files.

use super::*;
use std::path::PathBuf;
use trm_data::write_path;

/// A file of puzzles of 4x4, and their questions as tokens.
fn file(folder: &Path, name: &str, numbers: std::ops::Range<u64>) -> (PathBuf, Vec<u8>) {
    let puzzle = |i| {
        generate(
            Geometry::Four,
            Difficulty::Easy,
            &mut stream(8, Purpose::Generate, i),
        )
    };
    let puzzles: Vec<Puzzle> = numbers.map(|i| puzzle(i).expect("a puzzle")).collect();
    let path = folder.join(name);
    write_path(&path, &puzzles).expect("a file");
    let questions = puzzles.iter().flat_map(|puzzle| puzzle.question.tokens());
    (path, questions.collect())
}

#[test]
fn the_first_puzzles_are_learned_from_and_others_validate() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, learned) = file(folder.path(), "data.csv", 0..12);
    let (others, held_out) = file(folder.path(), "others.csv", 12..17);
    let divided = |train_puzzles, validate| {
        let mut config = crate::config::load("sudoku4").expect("a preset");
        (config.data.train_puzzles, config.data.validation_puzzles) = (train_puzzles, 3);
        let files = Files {
            puzzles: &data,
            answers: None,
        };
        load(&config, Some(files), validate).map_err(|error| error.to_string())
    };
    // 0: all there are.
    for (train_puzzles, expected) in [(7, 7), (12, 12), (0, 12)] {
        let parts = divided(train_puzzles, Some(&others)).expect("two parts");
        assert_eq!(parts.train.questions(), &learned[..16 * expected]);
        assert_eq!(parts.validation.questions(), &held_out[..16 * 3]);
    }
    // More than there are is a mistake, wherever those to validate with come from.
    for validate in [Some(&*others), None] {
        let said = divided(13, validate).expect_err("too few puzzles");
        let expected =
            "data.csv: data.train_puzzles = 13, but there are 12 puzzles; lower it, or give more";
        assert!(said.ends_with(expected), "{said}");
    }
}
