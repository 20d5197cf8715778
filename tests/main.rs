//! The engine's tests in one binary: what concerns one function is tested beside it.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod golden;
