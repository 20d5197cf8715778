//! The Tiny Recursive Model (Jolicoeur-Martineau 2025, arXiv 2510.04871): one small network that loops
//! on its own answer.
//!
//! A puzzle becomes a matrix x, one row a cell. Two more matrices of that shape are the network's state:
//! z_H, its current answer (the paper's y), and z_L, its scratch pad (the paper's z). One *supervision
//! step* updates z_L several times from x, z_H and z_L, then z_H from z_L, and repeats this H_cycles times; see
//! [`recursion`].
//! After each step the answer is read out and judged, and a small head says whether it is worth going
//! on. Training does one such step for every puzzle in a persistent batch, the [`carry`], and then one
//! optimiser step.
//!
//! The README's tour begins with [`recursion`]. In the order of dependence:
//!
//! * [`config`]; the network: [`groups`], [`network`], [`block`], [`embed`], [`recursion`], [`heads`]
//! * a step: [`workspace`], [`carry`], [`halting`], [`metrics`], [`winner`], [`overflow`], [`train_step`], [`trainer`]
//! * its use: [`solve`], [`guess`]; files: [`tensors`], [`weights`], [`checkpoint`], [`mod@reference`]

#![forbid(unsafe_code)]

pub mod block;
pub mod carry;
pub mod checkpoint;
pub mod config;
pub mod embed;
mod flops;
pub mod groups;
pub mod guess;
pub mod halting;
pub mod heads;
pub mod metrics;
pub mod network;
pub mod overflow;
pub mod recursion;
pub mod reference;
pub mod solve;
pub mod tensors;
pub mod train_step;
pub mod trainer;
pub mod weights;
pub mod winner;
pub mod workspace;

pub use config::{ModelConfig, TrainConfig};
pub use network::{Network, Parameters};
pub use trainer::{Astray, Trainer};
