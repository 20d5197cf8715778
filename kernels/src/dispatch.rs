//! One table of functions per instruction set, chosen once per process.
//!
//! [`Kernels::best`] is the widest table this CPU can run, unless the environment variable `TRM_ISA`
//! names another; [`Kernels::available`] lists all of them, so that a test can run under each. The choice
//! is made per matrix, never per row.

use crate::matmul::{self, Lhs, Rhs, Write, packed_len};
use crate::simd::Isa;
use crate::view::{MatMut, MatRef};
use crate::{elementwise, gated_norm, gather, peak, rms_norm, rope, softmax, swiglu};
use std::sync::OnceLock;

/// Declares the kernels once: the struct of function pointers, its methods, and the table of any ISA.
macro_rules! kernels {
    // `$d` is a dollar sign: the inner macro needs some of its own.
    ($d:tt; $(
        $(#[$doc:meta])*
        fn $name:ident($($arg:ident: $type:ty),* $(,)?) = $($body:ident)::+;
    )*) => {
        /// The kernels of one instruction set.
        ///
        /// Shapes are checked and a mismatch panics. Nothing allocates; results overwrite their
        /// destination unless the name ends in `_acc` or the sentence says otherwise.
        pub struct Kernels {
            name: &'static str,
            lanes: usize,
            mr: usize,
            nr: usize,
            $($name: fn($($type),*),)*
        }

        impl Kernels {
            $(
                $(#[$doc])*
                pub fn $name(&self, $($arg: $type),*) {
                    (self.$name)($($arg),*)
                }
            )*
        }

        /// The table of one ISA: each generic body, stamped with the target features it needs.
        macro_rules! table {
            ($d isa:ty $d(, $d features:literal)?) => {{
                $(
                    fn $name($($arg: $type),*) {
                        $d(#[target_feature(enable = $d features)])?
                        fn stamped(isa: $d isa, $($arg: $type),*) {
                            $($body)::+(isa, $($arg),*)
                        }
                        let isa = <$d isa>::detect().expect("a table is handed out only where its ISA is");
                        // SAFETY: `isa` proves that the CPU has the features of `stamped`.
                        #[allow(unused_unsafe, reason = "the portable backend needs no features")]
                        unsafe { stamped(isa, $($arg),*) }
                    }
                )*
                Kernels {
                    name: <$d isa>::NAME,
                    lanes: <$d isa>::LANES,
                    mr: <$d isa>::MR,
                    nr: <$d isa>::NR,
                    $($name,)*
                }
            }};
        }
    };
}

kernels! { $;
    /// C = A·B or C += A·B: see [`crate::matmul`]. `scratch` holds at least [`matmul::SCRATCH`] floats.
    fn matmul(c: MatMut<'_>, a: Lhs<'_>, b: Rhs<'_>, write: Write, scratch: &mut [f32]) = matmul::matmul;
    /// Packs A (m x k) for this ISA: overwrites `dst`, [`Kernels::packed_lhs_len`] floats.
    fn pack_lhs(dst: &mut [f32], a: Lhs<'_>) = matmul::pack_lhs;
    /// Packs B (k x n) for this ISA: overwrites `dst`, [`Kernels::packed_rhs_len`] floats.
    fn pack_rhs(dst: &mut [f32], b: Rhs<'_>) = matmul::pack_rhs;

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

    /// Replaces scores in `p` by softmax(scale · scores) of each row and overwrites `lse`: see [`crate::softmax`].
    fn softmax_forward(p: MatMut<'_>, lse: &mut [f32], scale: f32) = softmax::forward;
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

    /// Keeps the multipliers busy for `rounds` rounds and writes a register to `out`: see [`crate::peak`].
    fn multiply_add_chains(out: &mut [f32], rounds: usize) = peak::multiply_add_chains;
}

/// The tables that this CPU can run, widest first; the portable one is always the last.
fn tables() -> &'static [Kernels] {
    static TABLES: OnceLock<Vec<Kernels>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let mut tables = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            use crate::simd::{avx2::Avx2, avx512::Avx512};
            if Avx512::detect().is_some() {
                tables.push(table!(Avx512, "avx512f"));
            }
            if Avx2::detect().is_some() {
                tables.push(table!(Avx2, "avx2,fma"));
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            use crate::simd::neon::Neon;
            if Neon::detect().is_some() {
                tables.push(table!(Neon, "neon"));
            }
        }
        use crate::simd::portable::Portable;
        tables.push(table!(Portable));
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
            _ => Ok(&tables()[0]),
        }
    }

    /// Every table this CPU can run, widest first.
    pub fn available() -> &'static [Kernels] {
        tables()
    }

    /// The table called `name`.
    ///
    /// # Errors
    /// When `name` is unknown, or an instruction set that this CPU lacks.
    pub fn named(name: &str) -> Result<&'static Kernels, UnknownIsa> {
        let found = tables().iter().find(|k| k.name == name);
        found.ok_or_else(|| UnknownIsa {
            name: name.to_owned(),
        })
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
        packed_len(m, k, self.mr)
    }

    /// Floats of a packed right operand k x n.
    pub fn packed_rhs_len(&self, n: usize, k: usize) -> usize {
        packed_len(n, k, self.nr)
    }
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kernels({})", self.name)
    }
}

/// An instruction set that does not exist or that this CPU lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownIsa {
    name: String,
}

impl std::fmt::Display for UnknownIsa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let here: Vec<_> = tables().iter().map(Kernels::name).collect();
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
