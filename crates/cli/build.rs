//! Tells the program which compiler made it, for `trm bench`.

use std::process::Command;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).arg("--version").output();
    let version = output.ok().and_then(|o| String::from_utf8(o.stdout).ok());
    let version = version.as_deref().map_or("unknown", str::trim);
    println!("cargo::rustc-env=TRM_RUSTC={version}");
    println!("cargo::rerun-if-changed=crates/cli/build.rs");
}
