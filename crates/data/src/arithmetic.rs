//! Sums, products and remainders, written as grids.
//!
//! As on paper: the operands stand above each other with their last digits in one column, the operator before
//! the second, and the result below. The question has `?` in the whole last row, the answer the result, flush
//! right behind spaces; with W columns,
//!
//! ```text
//! question    977    answer    977        a has at most W - 1 digits, and so has b;
//!            + 48             + 48        the result has room for W.
//!           ?????             1025
//! ```
//!
//! The length of each operand is drawn evenly, and then the operand evenly from the numbers of its length; a divisor
//! is any number below 100 of no more digits than are allowed. Of sums and products the longer operand is therefore
//! more often long than short: of 1 to 8 digits it has 8 in 15 of 64, and 1 in one of 64. Where all exercises must
//! differ, the short ones, of which there are few, are rarer still. The `source` of a puzzle says the operation, the
//! digits of the longer operand (of a remainder those of the first) and, for sums, the longest chain of carries:
//! `trm eval` then counts each by itself.

use crate::fault::Invalid;
use crate::grid::{Format, Grid, Symmetries};
use crate::puzzle::{Cells, Puzzle};
use rand::{Rng, RngExt};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Characters of all grids of numbers, in the order of their tokens.
pub const CHARACTERS: &str = " ?0123456789+*%";

/// The most digits that an operand may have: results fit into 128 bits.
pub const MAX_DIGITS: u32 = 18;

/// What is to be calculated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// a + b
    Add,
    /// a * b
    Multiply,
    /// a mod b, with b of one or two digits and not zero.
    Remainder,
}

impl Operation {
    /// The character between the operands.
    fn sign(self) -> char {
        match self {
            Operation::Add => '+',
            Operation::Multiply => '*',
            Operation::Remainder => '%',
        }
    }

    /// The word for it in sources.
    fn word(self) -> &'static str {
        match self {
            Operation::Add => "sum",
            Operation::Multiply => "product",
            Operation::Remainder => "remainder",
        }
    }

    fn result(self, a: u128, b: u128) -> u128 {
        match self {
            Operation::Add => a + b,
            Operation::Multiply => a * b,
            Operation::Remainder => a % b,
        }
    }

    /// Columns that any operands of so many digits fit into, with their result.
    pub fn columns(self, digits: u32) -> usize {
        let digits = digits as usize;
        match self {
            Operation::Add | Operation::Remainder => digits + 1,
            Operation::Multiply => (2 * digits).max(2),
        }
    }
}

/// The format of grids of `columns` columns.
///
/// # Errors
/// When `columns` is 0 or too large.
pub fn format(columns: usize) -> Result<Format, Invalid> {
    Format::new("arithmetic", 3, columns, CHARACTERS, Symmetries::None)
}

/// The longest chain of columns of which each hands a carry to the next, in the sum of a and b.
fn longest_carry(mut a: u128, mut b: u128) -> u32 {
    let (mut carry, mut chain, mut longest) = (0, 0, 0);
    while a > 0 || b > 0 || carry > 0 {
        let sum = a % 10 + b % 10 + carry;
        carry = sum / 10;
        chain = if carry > 0 { chain + 1 } else { 0 };
        longest = longest.max(chain);
        (a, b) = (a / 10, b / 10);
    }
    longest
}

/// A number drawn evenly from those of `digits` digits; of one digit, 0 is one.
fn number(digits: u32, rng: &mut impl Rng) -> u128 {
    let least = if digits == 1 {
        0
    } else {
        10_u128.pow(digits - 1)
    };
    rng.random_range(least..10_u128.pow(digits))
}

/// A new exercise of operands whose lengths are drawn evenly from `digits`.
///
/// # Panics
/// If `digits` is empty or goes beyond 1 to [`MAX_DIGITS`], or what it allows may not fit into `format`: see
/// [`Operation::columns`].
pub fn generate(
    operation: Operation,
    digits: RangeInclusive<u32>,
    format: &Arc<Format>,
    rng: &mut impl Rng,
) -> Puzzle<Grid> {
    let (rows, columns) = format.size();
    let fits = operation.columns(*digits.end()) <= columns && rows == 3;
    assert!(fits, "{digits:?} digits in {rows} rows of {columns}");
    assert!(
        *digits.start() >= 1 && *digits.end() <= MAX_DIGITS,
        "{digits:?} digits"
    );
    let mut length = || rng.random_range(digits.clone());
    let lengths = match operation {
        Operation::Remainder => (length(), 0),
        _ => (length(), length()),
    };
    let a = number(lengths.0, rng);
    let b = match operation {
        Operation::Remainder => rng.random_range(1..100_u128.min(10_u128.pow(*digits.end()))),
        _ => number(lengths.1, rng),
    };
    let longer = lengths.0.max(lengths.1);
    let (word, carry) = (operation.word(), longest_carry(a, b));
    let source = match operation {
        Operation::Add => format!("{word} of {longer:02} digits, carry {carry:02}"),
        _ => format!("{word} of {longer:02} digits"),
    };
    let (sign, width) = (operation.sign(), columns - 1);
    let [blank, result] = [
        "?".repeat(columns),
        format!("{:>columns$}", operation.result(a, b)),
    ];
    let grid = |last: &str| {
        let text = format!("{a:>columns$}{sign}{b:>width$}{last}");
        Grid::parse(&text, format).expect("operands that fit, in the format's characters")
    };
    Puzzle {
        source: source.into(),
        question: grid(&blank),
        answer: Some(grid(&result)),
        rating: Some(match operation {
            Operation::Add => carry.into(),
            _ => longer.into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::stream;
    use std::collections::BTreeMap;

    /// The numbers in the rows of a line of text.
    fn read(line: &str, columns: usize) -> Vec<String> {
        let cells: Vec<char> = line.chars().collect();
        let rows = cells.chunks(columns);
        rows.map(|row| row.iter().filter(|c| !" +*%".contains(**c)).collect())
            .collect()
    }

    #[test]
    fn results_are_right_and_lengths_even() {
        for (operation, digits) in [
            (Operation::Add, 1..=8),
            (Operation::Multiply, 1..=4),
            (Operation::Remainder, 2..=5),
        ] {
            let columns = operation.columns(*digits.end()) + 2;
            let format = Arc::new(format(columns).unwrap());
            let mut lengths = BTreeMap::<u32, usize>::new();
            for i in 0..800 {
                let puzzle = generate(operation, digits.clone(), &format, &mut stream(1, i));
                let [question, answer] = [&puzzle.question, puzzle.answer.as_ref().unwrap()]
                    .map(|grid| read(&grid.to_string(), columns));
                assert_eq!(question[..2], answer[..2]);
                assert_eq!(question[2], "?".repeat(columns));
                let [a, b, result] = [0, 1, 2].map(|i| answer[i].parse::<u128>().unwrap());
                let expected = match operation {
                    Operation::Add => a + b,
                    Operation::Multiply => a * b,
                    Operation::Remainder => a % b,
                };
                assert_eq!(result, expected);
                *lengths.entry(answer[0].len() as u32).or_insert(0) += 1;
            }
            assert!(lengths.keys().copied().eq(digits.clone()), "{lengths:?}");
            let expected = 800 / lengths.len();
            assert!(
                lengths
                    .values()
                    .all(|n| n.abs_diff(expected) < expected / 2),
                "{lengths:?}"
            );
        }
    }

    #[test]
    fn carries_are_counted_along_their_chain() {
        for (a, b, chain) in [
            (0, 0, 0),
            (5, 5, 1),
            (999, 1, 3),
            (95, 15, 2),
            (909, 101, 1),
            (123, 456, 0),
        ] {
            assert_eq!(longest_carry(a, b), chain, "{a} + {b}");
        }
    }

    #[test]
    fn the_largest_fit() {
        for operation in [Operation::Add, Operation::Multiply, Operation::Remainder] {
            for digits in 1..=MAX_DIGITS {
                let largest = 10_u128.pow(digits) - 1;
                let columns = operation.columns(digits);
                let result = operation.result(largest, largest.max(1)).to_string();
                assert!(
                    result.len() <= columns && (digits as usize) < columns,
                    "{operation:?} {digits}"
                );
            }
        }
    }
}
