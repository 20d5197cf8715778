//! Which table: the widest, a named one, one with products in halves; and what each says of itself.

use super::{Kernels, tables};
use crate::matmul::{half, packed_len};
use crate::precision::{NoHalves, Precision};
use std::ffi::OsStr;

/// Every instruction set that the engine knows, on any CPU.
pub const ISA_NAMES: [&str; 4] = ["avx512", "avx2", "neon", "portable"];

impl Kernels {
    /// The widest table of this CPU, or the one named by the environment variable `TRM_ISA`, which is read at each call.
    ///
    /// # Errors
    /// When `TRM_ISA` names an unknown instruction set, or one that this CPU lacks.
    pub fn best() -> Result<&'static Kernels, UnknownIsa> {
        Self::asked_for(std::env::var_os("TRM_ISA").as_deref())
    }

    /// The table that `TRM_ISA` names; unset or empty, the widest. A name that is no Unicode is nobody's.
    fn asked_for(name: Option<&OsStr>) -> Result<&'static Kernels, UnknownIsa> {
        match name.filter(|name| !name.is_empty()) {
            Some(name) => Self::named(&name.to_string_lossy()).map_err(|error| UnknownIsa {
                from_environment: true,
                ..error
            }),
            None => Ok(&tables().single[0]),
        }
    }

    /// Every table this CPU can run, widest first, in floats.
    pub fn available() -> &'static [Kernels] {
        &tables().single
    }

    /// Every table that multiplies in halves of this CPU's own.
    pub fn with_halves() -> &'static [Kernels] {
        &tables().halves
    }

    /// The table called `name`.
    ///
    /// # Errors
    /// When `name` is unknown, or an instruction set that this CPU lacks.
    pub fn named(name: &str) -> Result<&'static Kernels, UnknownIsa> {
        let found = tables().single.iter().find(|k| k.name == name);
        found.ok_or_else(|| UnknownIsa {
            name: name.to_owned(),
            from_environment: false,
        })
    }

    /// The table of the same instruction set with products in `precision`: see [`crate::matmul::half`].
    ///
    /// # Errors
    /// When halves are asked for and the instruction set has none, unless the environment variable
    /// `TRM_EMULATE_F16` is set, to anything but 0: then floats are rounded as a CPU with halves would.
    pub fn in_precision(&self, precision: Precision) -> Result<&'static Kernels, NoHalves> {
        let of_this_isa = |tables: &'static [Kernels]| tables.iter().find(|k| k.name == self.name);
        let emulate = switched_on(std::env::var_os("TRM_EMULATE_F16").as_deref());
        let tables = tables();
        let found = match precision {
            Precision::F32 => Some(self.in_floats()),
            Precision::F16 if emulate => of_this_isa(&tables.emulated),
            Precision::F16 => of_this_isa(&tables.halves),
        };
        found.ok_or(NoHalves { isa: self.name })
    }

    /// The table of the same instruction set with products in floats.
    pub fn in_floats(&self) -> &'static Kernels {
        let of_this_isa = |k: &&Kernels| k.name == self.name;
        let single = Self::available().iter().find(of_this_isa);
        single.expect("it is where this table comes from")
    }

    /// The table of the same instruction set whose products round floats as a CPU with halves would, several
    /// times slower than in floats: for tests on any CPU.
    pub fn emulating_halves(&self) -> &'static Kernels {
        let mut emulated = tables().emulated.iter();
        emulated
            .find(|k| k.name == self.name)
            .expect("there is one for each table")
    }

    /// What the products are computed in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The ISA's name: one of [`ISA_NAMES`].
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Chains of [`crate::peak`], which keep the multipliers busy.
    pub(crate) fn chains(&self) -> usize {
        self.chains
    }

    /// Floats in a register.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Rows and columns of the register tile of the matrix product.
    pub fn tile(&self) -> (usize, usize) {
        (self.mr, self.nr)
    }

    /// Floats of a packed left operand m x k.
    pub fn packed_lhs_len(&self, m: usize, k: usize) -> usize {
        match self.precision {
            Precision::F32 => packed_len(m, k, self.mr),
            Precision::F16 => half::packed_lhs_len(m, k, self.mr),
        }
    }

    /// Floats of a packed right operand k x n.
    pub fn packed_rhs_len(&self, n: usize, k: usize) -> usize {
        match self.precision {
            Precision::F32 => packed_len(n, k, self.nr),
            Precision::F16 => half::packed_rhs_len(n, k, self.nr, self.packed_bytes),
        }
    }
}

/// Whether an environment variable switches something on: neither unset, nor empty, nor 0.
fn switched_on(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| !value.is_empty() && value != "0")
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kernels({}, {})", self.name, self.precision)
    }
}

/// An instruction set that does not exist or that this CPU lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownIsa {
    name: String,
    /// Whether it was `TRM_ISA` that asked for it.
    from_environment: bool,
}

impl std::fmt::Display for UnknownIsa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let here: Vec<_> = Kernels::available().iter().map(Kernels::name).collect();
        let what = if ISA_NAMES.contains(&self.name.as_str()) {
            "this CPU lacks"
        } else {
            "there is no"
        };
        write!(
            f,
            "{what} instruction set \"{}\"; this CPU has: {}",
            self.name,
            here.join(", ")
        )?;
        match self.from_environment {
            true => f.write_str(". The environment variable TRM_ISA asks for it: name one of these there, or unset it"),
            false => Ok(()),
        }
    }
}

impl std::error::Error for UnknownIsa {}

#[cfg(test)]
mod tests {
    use super::{Kernels, OsStr, switched_on};

    #[test]
    fn a_table_that_nobody_has_is_refused_with_the_way_out() {
        for none in [None, Some(OsStr::new(""))] {
            let widest = Kernels::asked_for(none).expect("any CPU has one");
            assert_eq!(widest.name(), Kernels::available()[0].name());
        }
        let portable = Kernels::asked_for(Some(OsStr::new("portable"))).expect("any CPU has it");
        assert_eq!(portable.name(), "portable");
        let from_environment = Kernels::asked_for(Some(OsStr::new("mmx"))).expect_err("mmx");
        let said = from_environment.to_string();
        for expected in [
            "no instruction set \"mmx\"",
            "portable",
            "TRM_ISA asks",
            "unset it",
        ] {
            assert!(said.contains(expected), "{said}");
        }
        let said = Kernels::named("mmx").expect_err("mmx").to_string();
        assert!(!said.contains("TRM_ISA"), "{said}");
    }

    /// A name that cannot be read is not taken for none.
    #[cfg(unix)]
    #[test]
    fn a_name_that_is_no_unicode_is_refused() {
        use std::os::unix::ffi::OsStrExt;
        let error = Kernels::asked_for(Some(OsStr::from_bytes(b"avx\xff"))).expect_err("avx?");
        assert!(error.to_string().contains("\"avx\u{fffd}\""), "{error}");
    }

    #[test]
    fn nought_is_off() {
        assert!(switched_on(Some(OsStr::new("1"))));
        assert!(
            ![None, Some(""), Some("0")]
                .iter()
                .any(|x| switched_on(x.map(OsStr::new)))
        );
    }
}
