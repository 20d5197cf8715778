//! What a run draws from its puzzles, and that those that are generated stay what they were.

use super::*;
use std::collections::HashSet;
use trm_data::Board;

const DRAWS: u64 = 40;

/// A puzzle with seven blanks, the config of a run that draws it, and its first draws: questions and answers.
fn drawn(reveal: usize, augment: bool) -> (Puzzle, Vec<[Vec<u8>; 2]>) {
    let mut config = crate::config::load("sudoku4").expect("a preset").data;
    (config.reveal, config.augment) = (reveal, augment);
    let rng = &mut stream(5, Purpose::Generate, 0);
    let puzzle = generate(Geometry::Four, Difficulty::Easy, rng).expect("a puzzle");
    let task = Task::Sudoku(Geometry::Four);
    let data = Dataset::new(std::slice::from_ref(&puzzle), task, "here").expect("a puzzle");
    let draw = |number| {
        let [mut inputs, mut labels] = [vec![0; 16], vec![0; 16]];
        let mut identifier = 7;
        let slot = Slot {
            inputs: &mut inputs,
            labels: &mut labels,
            puzzle: &mut identifier,
        };
        data.draw(number, 3, &config, slot);
        assert_eq!(identifier, 0);
        [inputs, labels]
    };
    let draws = (0..DRAWS).map(draw).collect();
    (puzzle, draws)
}

/// The puzzle that was drawn.
fn puzzle_of([question, answer]: &[Vec<u8>; 2]) -> Puzzle {
    let board = |tokens| Board::from_tokens(Geometry::Four, tokens);
    Puzzle {
        answer: Some(board(answer)),
        ..Puzzle::of(board(question))
    }
}

#[test]
fn every_draw_shows_another_image_of_the_puzzle() {
    let (puzzle, draws) = drawn(0, true);
    let images: Vec<Puzzle> = draws.iter().map(puzzle_of).collect();
    assert_eq!(split::look_alikes(&[puzzle], &images), images.len());
    for image in &images {
        image.check().expect("the answer of the question");
    }
    // 12288 symmetries, a few of which may leave the puzzle what it is.
    let different: HashSet<_> = draws.iter().collect();
    assert!(different.len() > 30, "{} of {DRAWS}", different.len());
}

#[test]
fn without_augmentation_every_draw_shows_the_puzzle_itself() {
    let (puzzle, draws) = drawn(0, false);
    let answer = puzzle.answer.as_ref().expect("its answer");
    let itself = [puzzle.question.tokens(), answer.tokens()];
    assert!(draws.iter().all(|draw| *draw == itself));
}

#[test]
fn a_draw_reveals_no_cell_to_as_many_as_the_config_allows() {
    const MOST: usize = 3;
    for augment in [false, true] {
        let (_, plain) = drawn(0, augment);
        let (_, draws) = drawn(MOST, augment);
        let mut counts = HashSet::new();
        for ([before, label], [inputs, labels]) in plain.iter().zip(&draws) {
            assert_eq!(label, labels, "the same image");
            let revealed: Vec<_> = (0..16).filter(|&i| inputs[i] != before[i]).collect();
            for &i in &revealed {
                assert_eq!((before[i], inputs[i]), (BLANK_TOKEN, labels[i]));
            }
            counts.insert(revealed.len());
        }
        let all: HashSet<_> = (0..=MOST).collect();
        assert_eq!(counts, all, "each number has its turn, and no other");
    }
}

/// The shipped weights name the puzzles that they learned from: the same seed still makes the same ones.
#[test]
fn generated_puzzles_are_those_of_the_shipped_weights() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights");
    for name in ["sudoku4", "maze10"] {
        let path = folder.join(name).with_extension("safetensors");
        let kernels = trm_kernels::Kernels::best().expect("an instruction set");
        let metadata = trm_model::weights::load(&path, kernels)
            .expect("weights")
            .metadata;
        let config = crate::config::load(name).expect("a preset");
        let data = load(&config, None, None).expect("puzzles");
        assert_eq!(data.digest(), metadata["data"], "{name}");
    }
}
