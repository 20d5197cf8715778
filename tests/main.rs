//! The engine's tests in one binary: what concerns one function is tested beside it.

#![forbid(unsafe_code)]

mod golden;
mod hostile;
mod isa;
mod training;
mod verbs;
