//! What products are computed in: floats, or halves with sums in floats.

use std::fmt;
use std::str::FromStr;

/// The arithmetic of the matrix products; everything else is in floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Floats (IEEE binary32), on every CPU.
    #[default]
    F32,
    /// Halves (IEEE binary16) with sums in floats: see [`crate::matmul::half`].
    F16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
        })
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "f32" => Ok(Precision::F32),
            "f16" => Ok(Precision::F16),
            _ => Err(format!("\"{name}\" is no precision: f32 or f16")),
        }
    }
}

/// Halves were asked of an instruction set that has none here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoHalves {
    pub(crate) isa: &'static str,
}

impl fmt::Display for NoHalves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "precision f16 needs a CPU with AVX512-FP16 (Intel's for servers since Sapphire Rapids), and \
             instruction set \"{}\" has no halves here; use f32. (TRM_EMULATE_F16=1 rounds floats as such a CPU \
             would, several times slower than f32, to study what that does.)",
            self.isa
        )
    }
}

impl std::error::Error for NoHalves {}
