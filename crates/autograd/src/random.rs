//! Random streams that do not depend on threads: one generator for each (seed, purpose, index).

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
}

/// The generator of one draw or group of draws.
pub fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    key[16..24].copy_from_slice(&index.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}
