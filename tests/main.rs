//! The engine's tests in one binary: what concerns one function is tested beside it.

mod golden;
mod isa;
mod training;
mod verbs;
