//! The data-set folders of the PyTorch reference, and the exact order in which it goes through them.
//!
//! [`folder`]: a set of examples as the reference keeps it. [`npy`]: the files in it. [`philox`]: the random
//! numbers that decide the order. [`batches`]: the order itself.

pub mod batches;
pub mod folder;
pub mod npy;
pub mod philox;
