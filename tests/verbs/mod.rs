//! Every verb, run as a user runs it: what it prints, and what it says about bad input.

mod arc;
mod bad_input;
mod bench;
mod convert;
mod data;
mod gradcheck;
mod grid;
mod info;
mod kept;
mod maze;
mod outputs;
mod precision;
mod progress;
mod reliability;
mod report;
mod run_folder;
mod shipped;
mod solve;
mod stop;
mod train;

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use trm_kernels::Kernels;
use trm_model::network::Network;
use trm_model::{ModelConfig, weights};

/// The program; with `TRM_ISA` the whole suite runs on that instruction set.
fn trm() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trm"));
    command.stdin(Stdio::null());
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

/// A program at work, which does not outlive its test.
struct Running(Child);

impl Running {
    fn of(command: &mut Command) -> Running {
        Running(command.spawn().expect("the program starts"))
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes puzzles with `trm data sudoku generate` and the given options, separated by spaces.
#[track_caller]
fn generate(path: &Path, options: &str) {
    let mut args = vec!["data", "sudoku", "generate", "--out", text(path)];
    args.extend(options.split(' '));
    run(0, &args);
}

/// A small network of 4x4 boards that has learned nothing, in a file with this metadata.
fn ignorant(folder: &Path, metadata: &[(&str, &str)]) -> PathBuf {
    let path = folder.join("ignorant.safetensors");
    let config = ModelConfig {
        cells: 16,
        vocab_size: 6,
        width: 8,
        inner: 4,
        inner_positions: 4,
        prefix_len: 1,
        puzzle_emb_ndim: 8,
        ..ModelConfig::default()
    };
    let kernels = Kernels::best().expect("an instruction set");
    let net = Network::new(config, kernels).expect("a config that works");
    let metadata = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    weights::save(&path, &net, &net.init(3), &metadata.collect()).expect("a file");
    path
}

/// The number in a report called `key`.
#[track_caller]
fn number(report: &serde_json::Value, key: &str) -> f64 {
    let found = report[key].as_f64();
    found.unwrap_or_else(|| panic!("no number {key:?}: {report}"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name in UTF-8")
}
