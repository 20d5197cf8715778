//! One table of functions per instruction set, chosen once per process.
//!
//! [`Kernels::best`] is the widest table this CPU can run, unless the environment variable `TRM_ISA`
//! names another; [`Kernels::available`] lists all of them, so that a test can run under each. The choice
//! is made per matrix, never per row.

use crate::matmul::{Lhs, Rhs, Write, float, half, packed_len};
use crate::precision::{NoHalves, Precision};
use crate::simd::{Emulated, Halves, Isa};
use crate::view::{MatMut, MatRef};
use crate::{elementwise, gated_norm, gather, peak, rms_norm, rope, softmax, swiglu};
use std::sync::OnceLock;

/// A function without generics: the body `$body` for one ISA, compiled with the target features it needs.
macro_rules! stamp {
    ($isa:ty, [$($features:literal)?]; $name:ident($($arg:ident: $type:ty),*) = $($body:ident)::+) => {
        fn $name($($arg: $type),*) {
            $(#[target_feature(enable = $features)])?
            fn stamped(isa: $isa, $($arg: $type),*) {
                $($body)::+(isa, $($arg),*)
            }
            let isa = <$isa>::detect().expect("a table is handed out only where its ISA is");
            // SAFETY: `isa` proves that the CPU has the features of `stamped`.
            #[allow(unused_unsafe, reason = "the portable backend needs no features")]
            unsafe { stamped(isa, $($arg),*) }
        }
    };
}

/// Declares the kernels once: the struct of function pointers, its methods, and the tables of any ISA.
macro_rules! kernels {
    // `$d` is a dollar sign: the inner macros need some of their own.
    ($d:tt;
        in either precision {$(
            $(#[$product_doc:meta])*
            fn $product:ident($($product_arg:ident: $product_type:ty),* $(,)?) = $($singles:ident)::+, $($halves:ident)::+;
        )*}
        in floats {$(
            $(#[$doc:meta])*
            fn $name:ident($($arg:ident: $type:ty),* $(,)?) = $($body:ident)::+;
        )*}
    ) => {
        /// The kernels of one instruction set, with products in floats or in halves.
        ///
        /// Shapes are checked and a mismatch panics. Nothing allocates; results overwrite their
        /// destination unless the name ends in `_acc` or the sentence says otherwise.
        #[derive(Clone, Copy)]
        pub struct Kernels {
            name: &'static str,
            precision: Precision,
            lanes: usize,
            mr: usize,
            nr: usize,
            /// Bytes of a value of a packed right operand.
            packed_bytes: usize,
            $($product: fn($($product_type),*),)*
            $($name: fn($($type),*),)*
        }

        impl Kernels {
            $(
                $(#[$product_doc])*
                pub fn $product(&self, $($product_arg: $product_type),*) {
                    (self.$product)($($product_arg),*)
                }
            )*
            $(
                $(#[$doc])*
                pub fn $name(&self, $($arg: $type),*) {
                    (self.$name)($($arg),*)
                }
            )*
        }

        /// The table of one ISA.
        macro_rules! table {
            ($d isa:ty, $d features:tt) => {{
                $(stamp!($d isa, $d features; $product($($product_arg: $product_type),*) = $($singles)::+);)*
                $(stamp!($d isa, $d features; $name($($arg: $type),*) = $($body)::+);)*
                Kernels {
                    name: <$d isa>::NAME,
                    precision: Precision::F32,
                    lanes: <$d isa>::LANES,
                    mr: <$d isa>::MR,
                    nr: <$d isa>::NR,
                    packed_bytes: size_of::<f32>(),
                    $($product,)*
                    $($name,)*
                }
            }};
        }

        /// The table `$d single` with its products in halves.
        macro_rules! table_in_halves {
            ($d isa:ty, $d features:tt, $d single:expr) => {{
                $(stamp!($d isa, $d features; $product($($product_arg: $product_type),*) = $($halves)::+);)*
                Kernels {
                    precision: Precision::F16,
                    mr: <$d isa>::MR,
                    nr: <$d isa>::NR,
                    packed_bytes: size_of::<<$d isa as Halves>::Packed>(),
                    $($product,)*
                    ..$d single
                }
            }};
        }
    };
}

kernels! { $;
in either precision {
    /// C = A·B or C += A·B: see [`crate::matmul`]. `scratch` holds at least [`crate::SCRATCH`] floats.
    fn matmul(c: MatMut<'_>, a: Lhs<'_>, b: Rhs<'_>, write: Write, scratch: &mut [f32]) = float::matmul, half::matmul;
    /// Packs A (m x k) for this ISA: overwrites `dst`, [`Kernels::packed_lhs_len`] floats.
    fn pack_lhs(dst: &mut [f32], a: Lhs<'_>) = float::pack_lhs, half::pack_lhs;
    /// Packs B (k x n) for this ISA: overwrites `dst`, [`Kernels::packed_rhs_len`] floats.
    fn pack_rhs(dst: &mut [f32], b: Rhs<'_>) = float::pack_rhs, half::pack_rhs;
    /// Keeps the multipliers busy for `rounds` rounds and writes a register to `out`: see [`crate::peak`].
    fn multiply_add_chains(out: &mut [f32], rounds: usize) = peak::multiply_add_chains, peak::multiply_add_chains_in_halves;
}
in floats {
    /// y ← norm(y + residual) over channels, r the factors: see [`crate::rms_norm`].
    fn rms_norm_forward(y: MatMut<'_>, r: &mut [f32], residual: Option<MatRef<'_>>, eps: f32) = rms_norm::forward;
    /// Replaces d_y in `d` by d_x, the gradient of [`Kernels::rms_norm_forward`].
    fn rms_norm_backward(d: MatMut<'_>, y: MatRef<'_>, r: &[f32]) = rms_norm::backward;
    /// y ← norm(y + residual) over the rows of each column, r the factors: see [`crate::rms_norm`].
    fn rms_norm_columns_forward(y: MatMut<'_>, r: &mut [f32], residual: Option<MatRef<'_>>, eps: f32) = rms_norm::forward_columns;
    /// Replaces d_y in `d` by d_x, the gradient of [`Kernels::rms_norm_columns_forward`]; overwrites `mean`.
    fn rms_norm_columns_backward(d: MatMut<'_>, mean: &mut [f32], y: MatRef<'_>, r: &[f32]) = rms_norm::backward_columns;

    /// a = silu(gate) ⊙ up, gate and up the halves of `u`: see [`crate::swiglu`].
    fn swiglu_forward(a: MatMut<'_>, u: MatRef<'_>) = swiglu::forward;
    /// Gradient of [`Kernels::swiglu_forward`]: overwrites `d_u` and replaces d_a in `d_a` by a.
    fn swiglu_backward(d_u: MatMut<'_>, d_a: MatMut<'_>, u: MatRef<'_>) = swiglu::backward;

    /// p = gate ⊙ up, the halves of `u`: see [`crate::gated_norm`].
    fn gated_product_forward(p: MatMut<'_>, u: MatRef<'_>) = gated_norm::product;
    /// Gradient of [`Kernels::gated_product_forward`]: adds to the gate's half of `d_u`, overwrites up's.
    fn gated_product_backward(d_u: MatMut<'_>, d_p: MatRef<'_>, u: MatRef<'_>) = gated_norm::product_backward;
    /// a = sigmoid(gate) ⊙ n, gate the first half of `u`: see [`crate::gated_norm`].
    fn gated_norm_forward(a: MatMut<'_>, u: MatRef<'_>, n: MatRef<'_>) = gated_norm::forward;
    /// Gradient of [`Kernels::gated_norm_forward`]: overwrites the gate's half of `d_u`, replaces d_a by d_n.
    fn gated_norm_backward(d_u: MatMut<'_>, d_a: MatMut<'_>, u: MatRef<'_>, n: MatRef<'_>) = gated_norm::backward;

    /// Replaces scores in `e` by their exponentials and overwrites `inverse` and `lse`; e · inverse is
    /// softmax(scale · scores) of each row: see [`crate::softmax`].
    fn softmax_forward(e: MatMut<'_>, inverse: &mut [f32], lse: &mut [f32], scale: f32) = softmax::forward;
    /// Replaces scores in `p` by the probabilities that the forward pass gave, from its `lse`.
    fn softmax_recompute(p: MatMut<'_>, lse: &[f32], scale: f32) = softmax::recompute;
    /// Replaces d_p in `d` by the gradient of the scores.
    fn softmax_backward(d: MatMut<'_>, p: MatRef<'_>, delta: &[f32], scale: f32) = softmax::backward;

    /// Turns every head of `x` by its position, in place: see [`crate::rope`].
    fn rope_forward(x: MatMut<'_>, cos: MatRef<'_>, sin: MatRef<'_>) = rope::forward;
    /// Gradient of [`Kernels::rope_forward`]: turns `d` back, in place.
    fn rope_backward(d: MatMut<'_>, cos: MatRef<'_>, sin: MatRef<'_>) = rope::backward;

    /// `y[i,:] = sum_g t[index[i,g],:]`, or adds that to y: see [`crate::gather`].
    fn gather(y: MatMut<'_>, t: MatRef<'_>, index: &[u32], write: Write) = gather::gather;
    /// `t[index[i,g],:] += y[i,:]` for every i and g, the gradient of [`Kernels::gather`].
    fn scatter_acc(t: MatMut<'_>, y: MatRef<'_>, index: &[u32]) = gather::scatter;

    /// y = a + b.
    fn add(y: &mut [f32], a: &[f32], b: &[f32]) = elementwise::add;
    /// y += a.
    fn add_acc(y: &mut [f32], a: &[f32]) = elementwise::add_acc;
    /// y *= factor.
    fn scale(y: &mut [f32], factor: f32) = elementwise::scale;
    /// `dots[i] = sum_j a[i,j] b[i,j]`.
    fn row_dots(dots: &mut [f32], a: MatRef<'_>, b: MatRef<'_>) = elementwise::row_dots;
}
}

/// Every table that this CPU can run.
struct Tables {
    /// Widest first; the portable one is always the last.
    single: Vec<Kernels>,
    /// Those of the CPU's own halves.
    halves: Vec<Kernels>,
    /// Those that round floats as a CPU with halves would, one for each of `single`.
    emulated: Vec<Kernels>,
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| {
        let mut tables = Tables {
            single: Vec::new(),
            halves: Vec::new(),
            emulated: Vec::new(),
        };
        macro_rules! add {
            ($isa:ty, $features:tt $(, $halves:ty, $halves_features:tt)?) => {
                if <$isa>::detect().is_some() {
                    let single = table!($isa, $features);
                    $(if <$halves>::detect().is_some() {
                        tables.halves.push(table_in_halves!($halves, $halves_features, single));
                    })?
                    tables.emulated.push(table_in_halves!(Emulated<$isa>, $features, single));
                    tables.single.push(single);
                }
            };
        }
        #[cfg(target_arch = "x86_64")]
        {
            use crate::simd::{avx2::Avx2, avx512::Avx512, avx512fp16::Avx512Fp16};
            add!(
                Avx512,
                ["avx512f"],
                Avx512Fp16,
                ["avx512f,avx512bw,avx512fp16"]
            );
            add!(Avx2, ["avx2,fma"]);
        }
        #[cfg(target_arch = "aarch64")]
        {
            use crate::simd::neon::Neon;
            add!(Neon, ["neon"]);
        }
        use crate::simd::portable::Portable;
        add!(Portable, []);
        tables
    })
}

/// Every instruction set that the engine knows, on any CPU.
pub const ISA_NAMES: [&str; 4] = ["avx512", "avx2", "neon", "portable"];

impl Kernels {
    /// The widest table of this CPU, or the one named by `TRM_ISA`.
    ///
    /// # Errors
    /// When `TRM_ISA` names an unknown instruction set, or one that this CPU lacks.
    pub fn best() -> Result<&'static Kernels, UnknownIsa> {
        match std::env::var("TRM_ISA") {
            Ok(name) if !name.is_empty() => Self::named(&name),
            _ => Ok(&tables().single[0]),
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
        })
    }

    /// The table of the same instruction set with products in `precision`: see [`crate::matmul::half`].
    ///
    /// # Errors
    /// When halves are asked for and the instruction set has none, unless the environment variable
    /// `TRM_EMULATE_F16` is set: then floats are rounded as a CPU with halves would.
    pub fn in_precision(&self, precision: Precision) -> Result<&'static Kernels, NoHalves> {
        let of_this_isa = |tables: &'static [Kernels]| tables.iter().find(|k| k.name == self.name);
        let emulate = std::env::var_os("TRM_EMULATE_F16").is_some_and(|value| !value.is_empty());
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

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kernels({}, {})", self.name, self.precision)
    }
}

/// An instruction set that does not exist or that this CPU lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownIsa {
    name: String,
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
        )
    }
}

impl std::error::Error for UnknownIsa {}
