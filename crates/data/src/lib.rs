//! Puzzles, from text files to the tokens of a network: Sudoku, mazes, sums, ARC, and grids of your own.
//!
//! A Sudoku is a grid of cells in which every row, every column and every box must hold each digit once.
//! A puzzle gives some of the digits, the *givens*, such that one full grid fits. Three sizes exist here:
//! 4 x 4, 6 x 6 (boxes of 2 rows x 3 columns) and 9 x 9.
//!
//! ```
//! use rand::SeedableRng;
//! use rand_chacha::ChaCha8Rng;
//! use trm_data::generate::{Difficulty, generate};
//! use trm_data::{Board, Geometry, Symmetry, solver};
//!
//! // Text is one line, row by row, with a point for a blank.
//! let question: Board = "1.2..231..12.1..".parse()?;
//! println!("{}", question.render());
//! let solution = solver::solve(&question).expect("a solution");
//! assert_eq!(solution.board.to_string(), "1324423134122143");
//! assert_eq!(solution.guesses, 0); // no guess needed: an easy one
//!
//! // A network sees a token for each cell: 1 for a blank, digit + 1 for a digit.
//! let mut tokens = [0; 16];
//! question.tokens_into(&mut tokens);
//! assert_eq!(tokens[..4], [2, 1, 3, 1]);
//! assert_eq!(Board::from_tokens(Geometry::Four, &tokens), question);
//!
//! // New puzzles, and new looks for old ones; the same seed always gives the same.
//! let mut rng = ChaCha8Rng::seed_from_u64(7);
//! let puzzle = generate(Geometry::Nine, Difficulty::Minimal, &mut rng)?;
//! let image = Symmetry::random(Geometry::Nine, &mut rng).apply_to_puzzle(&puzzle);
//! assert!(image.answer.unwrap().is_valid_solution_of(&image.question));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Read on in this order. [`geometry`]: which cells share a row, a column or a box. [`board`]: one grid,
//! its text, its tokens, its conflicts. [`solver`]: how a computer solves Sudoku without learning
//! anything, and how hard a puzzle is for it. [`generate`]: from a full grid down to a puzzle.
//! [`augment`]: the symmetries that make many puzzles of one. [`read`], [`write`](mod@write) and
//! [`check`]: puzzle files and their faults. [`split`](mod@split): what to learn from and what to be
//! judged by.
//!
//! Beside Sudoku there are [mazes](maze), [ARC](arc) and [grids of any characters](grid), among them
//! [sums](arithmetic); their files have the same columns, or are [two](pair): questions and answers.
//!
//! Everything random takes a generator from the caller and draws from nothing else, so results never
//! depend on the number of threads.

#![forbid(unsafe_code)]

pub mod arc;
pub mod arithmetic;
pub mod augment;
pub mod board;
pub mod check;
pub mod dihedral;
pub mod fault;
pub mod generate;
pub mod geometry;
pub mod grid;
mod lines;
pub mod maze;
pub mod pair;
pub mod puzzle;
pub mod read;
pub mod reference;
pub mod solver;
pub mod split;
#[cfg(test)]
mod testing;
pub mod write;

pub use augment::Symmetry;
pub use board::{Board, Conflict};
pub use check::Report;
pub use fault::{Fault, Invalid, ReadError};
pub use generate::Difficulty;
pub use geometry::{BLANK_TOKEN, Geometry, PAD_TOKEN, Unit};
pub use puzzle::{Cells, Puzzle};
pub use read::read_path;
pub use write::write_path;
