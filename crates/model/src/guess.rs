//! Guessing: the network takes its own word for a cell (test-time compute).
//!
//! A recursive network that is stuck often lacks one cell. [`fill_one`] gives it one: a cell that is still
//! blank is filled with a digit drawn from the softmax of the network's logits, whichever loss trained them, and
//! the attempt goes on as if the cell had been given. Most guesses are wrong; whoever checks the board at the end
//! throws those attempts away and lets the network guess again. Only the network proposes: no rule of the task is
//! asked.

use rand::{Rng, RngExt};

/// When the network guesses, and what a blank is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guess {
    /// Supervision steps from one guess to the next, at least 1.
    pub every: usize,
    /// The token of a blank cell.
    pub blank: u8,
}

/// Fills one blank cell of `inputs` (cells) by `logits` (cells, outputs), whose first output is the token
/// `first`; nothing where no cell is blank or the network has no doubt.
///
/// With p_c = softmax(logits_c), cell c is drawn with a weight of 1 - max_t p_ct, its doubt, and its token
/// with weights p_ct.
pub(crate) fn fill_one(
    inputs: &mut [u8],
    logits: &[f32],
    (first, blank): (u8, u8),
    mut draws: impl Rng,
) {
    let outputs = logits.len() / inputs.len();
    let cells = inputs.iter().zip(logits.chunks_exact(outputs));
    let doubts = cells.map(|(&token, row)| match token == blank {
        true => doubt(row),
        false => 0.0,
    });
    let doubts: Vec<f32> = doubts.collect();
    let Some(cell) = pick(&doubts, &mut draws) else {
        return;
    };
    let likelihoods = likelihoods(&logits[cell * outputs..][..outputs]);
    if let Some(token) = pick(&likelihoods, &mut draws) {
        inputs[cell] = first + token as u8;
    }
}

/// exp(l_t - max l): probabilities up to a factor, the largest 1.
fn likelihoods(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().map(|l| (l - max).exp()).collect()
}

/// 1 - max_t p_t.
fn doubt(logits: &[f32]) -> f32 {
    1.0 - 1.0 / likelihoods(logits).iter().sum::<f32>()
}

/// An index drawn in proportion to `weights`; none when all are zero.
fn pick(weights: &[f32], draws: &mut impl Rng) -> Option<usize> {
    let mut at = draws.random::<f32>() * weights.iter().sum::<f32>();
    let mut last = None;
    for (i, &weight) in weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
        last = Some(i);
        if at < weight {
            break;
        }
        at -= weight;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use trm_autograd::random::{Purpose, stream};

    /// Token 1 is the blank, outputs are the tokens 2 to 4.
    fn filled(inputs: [u8; 3], logits: [[f32; 3]; 3], draw: u64) -> [u8; 3] {
        let mut filled = inputs;
        let draws = stream(0, Purpose::Guess, draw);
        fill_one(&mut filled, logits.as_flattened(), (2, 1), draws);
        filled
    }

    #[test]
    fn one_blank_is_filled_in_proportion() {
        // Probabilities: a half, a quarter, a quarter; certainty; a half, a half, nothing.
        let [half, quarter] = [0.5_f32, 0.25].map(f32::ln);
        let logits = [
            [half, quarter, quarter],
            [90.0, 0.0, 0.0],
            [0.0, 0.0, -200.0],
        ];
        let mut counts = [[0; 3]; 3];
        for draw in 0..4000 {
            let filled = filled([1, 1, 1], logits, draw);
            let changed: Vec<usize> = (0..3).filter(|&c| filled[c] != 1).collect();
            let [cell] = changed[..] else {
                panic!("{filled:?}: one cell was to be filled")
            };
            counts[cell][usize::from(filled[cell]) - 2] += 1;
        }
        // Cells 0 and 2 have a doubt of a half each, cell 1 has none.
        let expected = [[1000, 500, 500], [0, 0, 0], [1000, 1000, 0]];
        for (counts, expected) in counts.iter().zip(expected) {
            for (&count, expected) in counts.iter().zip(expected) {
                assert!(i32::abs(count - expected) <= expected / 7, "{counts:?}");
            }
        }
    }

    #[test]
    fn what_is_given_stays() {
        let logits = [[0.0; 3]; 3];
        assert_eq!(filled([3, 2, 4], logits, 0), [3, 2, 4]);
        for draw in 0..50 {
            let filled = filled([3, 1, 4], logits, draw);
            assert_eq!([filled[0], filled[2]], [3, 4]);
            assert_ne!(filled[1], 1);
        }
        // No doubt, no guess.
        assert_eq!(filled([3, 1, 4], [[500.0, 0.0, 0.0]; 3], 0), [3, 1, 4]);
    }
}
