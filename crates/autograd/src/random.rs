//! Random streams that do not depend on threads or restarts.
//!
//! Every draw of a run belongs to a stream of its own: a generator made from the seed, a purpose and an
//! index, such as the number of the puzzle being drawn. Who draws first, and whether the run was stopped
//! in between, cannot change what comes out, and nothing about the generators needs to be saved.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream is for. The numbers are part of every seed: never change or reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Starting values of a parameter.
    Init = 1,
    /// Which puzzle comes next.
    Shuffle = 2,
    /// Which symmetry it is seen under.
    Augment = 3,
    /// The floor under the number of supervision steps.
    Exploration = 4,
    /// Making puzzles.
    Generate = 5,
    /// Splitting a list in two.
    Split = 6,
    /// Noise on the first state of a puzzle.
    Noise = 7,
    /// Which cells of the answer a draw shows.
    Reveal = 8,
    /// Which cell the network guesses, and which digit.
    Guess = 9,
}

/// The generator of one draw or group of draws.
///
/// Key of ChaCha8: seed, purpose and index as little-endian words of 64 bits, and one word of zeros.
pub fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    key[16..24].copy_from_slice(&index.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn streams_are_their_own_and_stay_the_same() {
        let draw = |seed, purpose, index| stream(seed, purpose, index).random::<u64>();
        let first = draw(7, Purpose::Shuffle, 3);
        assert_eq!(first, draw(7, Purpose::Shuffle, 3));
        for other in [
            draw(8, Purpose::Shuffle, 3),
            draw(7, Purpose::Augment, 3),
            draw(7, Purpose::Shuffle, 4),
        ] {
            assert_ne!(first, other);
        }
        // Checkpoints and shipped puzzles depend on these values: they must not change.
        assert_eq!(first, 10_221_714_901_930_296_589);
    }
}
