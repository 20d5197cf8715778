#![no_main]
#[path = "../common.rs"]
mod common;
common::target!("npy");
