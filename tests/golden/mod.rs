//! Golden parity with the PyTorch reference: every case in the fixture folder, on every instruction set.
//!
//! A case is a JSON file (config, tolerances, scalars) beside a safetensors file (inputs and outputs).
//! Every output tensor must be compared exactly once; a case counts when it passed on every ISA. Cases of
//! data have no tensors, and no ISA. The folder is `tests/fixtures`, or the one that `TRM_FIXTURES` names.

mod arc;
mod batching;
mod blocks;
mod case;
mod eval_rollout;
mod train_run;
mod train_step;
mod transforms;

use case::Case;
use serde_json::Value;
use std::path::PathBuf;
use trm_kernels::Kernels;

/// The check for a kind of case.
enum Check {
    /// Of the network, on one instruction set.
    Network(fn(&mut Case, &'static Kernels)),
    /// Of data: no kernel takes part.
    Data(fn(&Value)),
}

/// Cases in `tests/fixtures`; another folder must have as many.
const SHIPPED: usize = 16;

fn folder() -> PathBuf {
    match std::env::var_os("TRM_FIXTURES") {
        Some(folder) => folder.into(),
        None => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures").into(),
    }
}

/// The check for a kind of case.
fn check_of(kind: &str) -> Check {
    match kind {
        "blocks" => Check::Network(blocks::check),
        "train_step" => Check::Network(train_step::check),
        "train_run" => Check::Network(train_run::check),
        "eval_rollout" => Check::Network(eval_rollout::check),
        "arc" => Check::Data(arc::check),
        "batching" => Check::Data(batching::check),
        "transforms" => Check::Data(transforms::check),
        kind => panic!("cases of kind {kind:?} have no check"),
    }
}

#[test]
fn golden_parity_with_the_pytorch_reference() {
    let folder = folder();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    paths.sort();
    let mut checked = 0;
    for path in paths {
        let (name, kind) = case::identify(&path);
        match check_of(&kind) {
            Check::Data(check) => {
                check(&case::parse(&path));
                println!("passed: {name}");
                checked += 1;
            }
            Check::Network(check) => {
                for kernels in Kernels::available() {
                    let mut case = Case::load(&path, kernels.name());
                    check(&mut case, kernels);
                    case.finish();
                }
                let isas: Vec<_> = Kernels::available().iter().map(Kernels::name).collect();
                println!("passed: {name} on {}", isas.join(", "));
                checked += 1;
            }
        }
    }
    println!("checked {checked} cases");
    assert!(
        checked >= SHIPPED,
        "{checked} cases in {}, expected at least {SHIPPED}",
        folder.display()
    );
}
