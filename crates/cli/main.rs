//! The `trm` command.

fn main() {}
