//! Puzzles: parsing, generation, augmentation.
