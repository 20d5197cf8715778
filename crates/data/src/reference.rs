//! The data-set folders of the PyTorch reference.
//!
//! [`folder`]: a set of examples as the reference keeps it. [`npy`]: the files in it. [`levels`]: which examples are
//! variants of one.

pub mod folder;
pub mod levels;
pub mod npy;
