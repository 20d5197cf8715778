//! The systems that the paper compares: what is updated in a cycle, by which network, and how deep the gradient goes.

use super::{ConfigError, ModelConfig, check};
use serde::{Deserialize, Serialize};

/// Which recursion runs (TRM_SPEC 12; paper, sections 2 and 4). Each of them is an update of one state after the other:
///
/// | system | L_cycles times | then | network | gradient |
/// | --- | --- | --- | --- | --- |
/// | `trm` | z_L ← L(z_L + z_H + x) | z_H ← L(z_H + z_L) | one | the whole last cycle |
/// | `single_z` | z ← L(z + x) | z ← L(z) | one | the whole last cycle |
/// | `multi_z` | z_i ← L(z_1 + … + z_6 + z_H + x), i = 1, 2, … | z_H ← L(z_H + z_1 + … + z_6) | one | the whole last cycle |
/// | `hrm` | z_L ← L(z_L + z_H + x) | z_H ← H(z_H + z_L) | two | the last update of each |
/// | `transformer` | | z_H ← H(z_H + x) | one | all |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    /// The Tiny Recursive Model.
    Trm,
    /// One state that is answer and latent in one.
    SingleZ,
    /// An answer and six latents, one for each update of a cycle.
    MultiZ,
    /// The Hierarchical Reasoning Model (arXiv 2506.21734): two networks, a gradient of one step, and a second
    /// halting output that learns by bootstrapping what going on is worth.
    Hrm,
    /// A plain transformer, applied once a supervision step.
    Transformer,
}

/// How deep a supervision step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// H_cycles.
    pub h_cycles: usize,
    /// L_cycles.
    pub l_cycles: usize,
}

impl Depth {
    /// Whether update `i` of a cycle is one of the L_cycles, which read x: of a latent, or of a state that is one. The
    /// transformer's only update is.
    pub fn is_low(self, i: usize) -> bool {
        i < self.l_cycles
    }
}

/// Latents of [`System::MultiZ`].
const MULTI_Z: usize = 6;

impl System {
    /// Latent states z_L beside z_H.
    pub fn latents(self) -> usize {
        match self {
            System::Trm | System::Hrm => 1,
            System::MultiZ => MULTI_Z,
            System::SingleZ | System::Transformer => 0,
        }
    }

    /// Updates in a cycle of `depth`, of any state.
    pub fn updates(self, depth: Depth) -> usize {
        match self {
            System::Transformer => 1,
            _ => depth.l_cycles + 1,
        }
    }

    /// Updates of a cycle that have gradients: its last ones.
    pub fn trained_updates(self, depth: Depth) -> usize {
        match self {
            System::Hrm => 2,
            _ => self.updates(depth),
        }
    }

    /// The reference's names of the first states: z_H's, and those of the latents.
    pub fn state_names(self) -> (&'static str, &'static [&'static str]) {
        match self {
            System::Trm | System::Hrm => ("H_init", &["L_init"]),
            System::SingleZ => ("L_init", &[]),
            System::MultiZ => (
                "H_init",
                &[
                    "L1_init", "L2_init", "L3_init", "L4_init", "L5_init", "L6_init",
                ],
            ),
            System::Transformer => ("H_init", &[]),
        }
    }
}

impl ModelConfig {
    pub(super) fn validate_system(&self) -> Result<(), ConfigError> {
        check(
            self.h_layers == 0 || (self.system == System::Hrm && self.h_layers <= 1024),
            "model.H_layers",
            self.h_layers,
            "expected 0, or 1 to 1024 with system = \"hrm\", which alone has a second network",
        )?;
        match self.system {
            System::MultiZ => check(
                self.l_cycles <= MULTI_Z,
                "model.L_cycles",
                self.l_cycles,
                "expected at most 6 with system = \"multi_z\": one for each latent",
            ),
            System::Transformer => {
                let once = "expected 1 with system = \"transformer\", which has no cycles";
                check(self.h_cycles == 1, "model.H_cycles", self.h_cycles, once)?;
                check(self.l_cycles == 1, "model.L_cycles", self.l_cycles, once)
            }
            System::Trm | System::SingleZ | System::Hrm => Ok(()),
        }
    }
}
