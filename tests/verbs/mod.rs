//! Every verb, run as a user runs it: what it prints, and what it says about bad input.

mod bad_input;
mod data;
mod gradcheck;
mod info;
mod solve;
mod train;

use std::process::{Command, Output, Stdio};

/// The program, with nothing in its surroundings that could change what it says.
fn trm() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trm"));
    command.env_remove("TRM_ISA").stdin(Stdio::null());
    command
}

/// Runs the program and expects `code`; gives what it wrote.
#[track_caller]
fn run(code: i32, args: &[&str]) -> Said {
    said(code, trm().args(args))
}

/// Runs `command` and expects `code`; gives what it wrote.
#[track_caller]
fn said(code: i32, command: &mut Command) -> Said {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program starts");
    let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("text"));
    assert_eq!(status.code(), Some(code), "{command:?}\n{out}\n{err}");
    Said { out, err }
}

/// What the program wrote.
struct Said {
    out: String,
    err: String,
}

impl Said {
    #[track_caller]
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}
