//! The data-set folders of the PyTorch reference, and the exact order in which it goes through them.
//!
//! [`philox`]: the random numbers that decide the order. [`batches`]: the order itself.

pub mod batches;
pub mod philox;
