//! One table of functions per instruction set, made once per process.
//!
//! [`Kernels::best`] is the widest table this CPU can run, unless the environment variable `TRM_ISA`
//! names another; [`Kernels::available`] lists all of them, so that a test can run under each. A caller chooses
//! one and keeps it. The way through the table is taken per matrix, never per row.

mod choose;

pub use choose::{ISA_NAMES, UnknownIsa};

use crate::matmul::{Lhs, Rhs, Write, float, half};
use crate::precision::Precision;
use crate::simd::{Emulated, Halves, Isa};
use crate::view::{MatMut, MatRef};
use crate::{adam, elementwise, gated_norm, gather, peak, rms_norm, rope, softmax, swiglu};
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
        ///
        /// Shapes are (rows, columns). In the bounds of errors u = 2^-24 is the largest error of one rounding, as a part
        /// of the result; they hold as long as no number overflows or is below the normal ones.
        #[derive(Clone, Copy)]
        pub struct Kernels {
            name: &'static str,
            precision: Precision,
            lanes: usize,
            mr: usize,
            nr: usize,
            /// Bytes of a value of a packed right operand.
            packed_bytes: usize,
            /// Chains of [`crate::peak`].
            chains: usize,
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
                    chains: <$d isa>::CHAINS,
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
    /// C = A·B or C += A·B: see [`crate::matmul`], and for halves [`crate::matmul::half`].
    ///
    /// `C[i,j] (+)= sum_p A[i,p] B[p,j]`, C: (m, n), A: (m, k), B: (k, n). In floats
    /// `|error| <= 2 k u sum_p |A[i,p] B[p,j]|`, and C += A·B rounds C once more for every 256
    /// products. `scratch` holds at least [`crate::SCRATCH`] floats.
    fn matmul(c: MatMut<'_>, a: Lhs<'_>, b: Rhs<'_>, write: Write, scratch: &mut [f32]) = float::matmul, half::matmul;
    /// Packs A, (m, k), for this ISA and precision: overwrites `dst`, [`Kernels::packed_lhs_len`] floats.
    ///
    /// What it holds is for [`crate::Packed::new`] with m and k, in products of this table alone.
    fn pack_lhs(dst: &mut [f32], a: Lhs<'_>) = float::pack_lhs, half::pack_lhs;
    /// Packs B, (k, n), for this ISA and precision: overwrites `dst`, [`Kernels::packed_rhs_len`] floats.
    ///
    /// What it holds is for [`crate::Packed::new`] with n and k, in products of this table alone.
    fn pack_rhs(dst: &mut [f32], b: Rhs<'_>) = float::pack_rhs, half::pack_rhs;
    /// Keeps the multipliers busy for `rounds` rounds and writes a register to `out`: see [`crate::peak`].
    fn multiply_add_chains(out: &mut [f32], rounds: usize) = peak::multiply_add_chains, peak::multiply_add_chains_in_halves;
}
in floats {
    /// y ← norm(y + residual) over channels, r the factors: see [`crate::rms_norm`].
    ///
    /// With x = y + residual, `r[i] = (mean_j x[i,j]^2 + eps)^(-1/2)` and `y[i,j] = x[i,j] r[i]`; y, residual: (N, D),
    /// r: (N). `|error| <= (D + 8) u` of r and of y, as parts of themselves. `eps` is above 0.
    fn rms_norm_forward(y: MatMut<'_>, r: &mut [f32], residual: Option<MatRef<'_>>, eps: f32) = rms_norm::forward;
    /// Replaces d_y in `d` by d_x, the gradient of [`Kernels::rms_norm_forward`].
    ///
    /// `d_x[i,j] = r[i] (d_y[i,j] - y[i,j] mean_k(d_y[i,k] y[i,k]))`; d, y: (N, D), r: (N).
    /// `|error| <= (D + 16) u r[i] (|d_y[i,j]| + 4 |y[i,j]| mean_k |d_y[i,k] y[i,k]|)`.
    fn rms_norm_backward(d: MatMut<'_>, y: MatRef<'_>, r: &[f32]) = rms_norm::backward;
    /// y ← norm(y + residual) over the rows of each column, r the factors: see [`crate::rms_norm`].
    ///
    /// With x = y + residual, `r[j] = (mean_i x[i,j]^2 + eps)^(-1/2)` and `y[i,j] = x[i,j] r[j]`; y, residual: (N, D),
    /// r: (D). `|error| <= (N + 8) u` of r and of y, as parts of themselves. `eps` is above 0.
    fn rms_norm_columns_forward(y: MatMut<'_>, r: &mut [f32], residual: Option<MatRef<'_>>, eps: f32) = rms_norm::forward_columns;
    /// Replaces d_y in `d` by d_x, the gradient of [`Kernels::rms_norm_columns_forward`]; overwrites `mean`.
    ///
    /// `d_x[i,j] = r[j] (d_y[i,j] - y[i,j] mean[j])`, `mean[j] = mean_k(d_y[k,j] y[k,j])`; d, y: (N, D), r, mean: (D).
    /// The bound is that of [`Kernels::rms_norm_backward`] with N for D.
    fn rms_norm_columns_backward(d: MatMut<'_>, mean: &mut [f32], y: MatRef<'_>, r: &[f32]) = rms_norm::backward_columns;

    /// a = silu(gate) ⊙ up, gate and up the halves of `u`: see [`crate::swiglu`].
    ///
    /// `a[i,f] = g sigmoid(g) up` with `g = u[i,f]` and `up = u[i,F+f]`; u: (N, 2F), a: (N, F).
    /// `|error| <= 10 u |a| + 4.2e-39 |g up|`.
    fn swiglu_forward(a: MatMut<'_>, u: MatRef<'_>) = swiglu::forward;
    /// Gradient of [`Kernels::swiglu_forward`]: overwrites `d_u` and replaces d_a in `d_a` by a.
    ///
    /// With s = sigmoid(g), `d_u[i,f] = d_a up s (1 + g (1 - s))` and `d_u[i,F+f] = d_a g s`; u, d_u: (N, 2F), d_a: (N, F).
    /// `|error| <= 23 u |d_a up| (1 + |g|) s` and `23 u |d_a g| s`, for gates above -88.
    fn swiglu_backward(d_u: MatMut<'_>, d_a: MatMut<'_>, u: MatRef<'_>) = swiglu::backward;

    /// p = gate ⊙ up, the halves of `u`: see [`crate::gated_norm`].
    ///
    /// `p[i,f] = u[i,f] u[i,F+f]`; u: (N, 2F), p: (N, F). `|error| <= u |p|`.
    fn gated_product_forward(p: MatMut<'_>, u: MatRef<'_>) = gated_norm::product;
    /// Gradient of [`Kernels::gated_product_forward`]: adds to the gate's half of `d_u`, overwrites up's.
    ///
    /// `d_u[i,f] += d_p[i,f] u[i,F+f]` and `d_u[i,F+f] = d_p[i,f] u[i,f]`; u, d_u: (N, 2F), d_p: (N, F).
    /// The sum is rounded twice at most, the product once.
    fn gated_product_backward(d_u: MatMut<'_>, d_p: MatRef<'_>, u: MatRef<'_>) = gated_norm::product_backward;
    /// a = sigmoid(gate) ⊙ n, gate the first half of `u`: see [`crate::gated_norm`].
    ///
    /// `a[i,f] = sigmoid(u[i,f]) n[i,f]`; u: (N, 2F), n, a: (N, F). `|error| <= 9 u |a| + 4.2e-39 |n|`.
    fn gated_norm_forward(a: MatMut<'_>, u: MatRef<'_>, n: MatRef<'_>) = gated_norm::forward;
    /// Gradient of [`Kernels::gated_norm_forward`]: overwrites the gate's half of `d_u`, replaces d_a by d_n.
    ///
    /// With s = sigmoid(u\[i,f\]), `d_n[i,f] = d_a s` and `d_u[i,f] = d_a n s (1 - s)`; u, d_u: (N, 2F), d_a, n: (N, F).
    /// `|error| <= 9 u |d_n|` and `20 u |d_a n| s`, for gates above -88.
    fn gated_norm_backward(d_u: MatMut<'_>, d_a: MatMut<'_>, u: MatRef<'_>, n: MatRef<'_>) = gated_norm::backward;

    /// Replaces scores in `e` by their exponentials and overwrites `inverse` and `lse`; e · inverse is
    /// softmax(scale · scores) of each row: see [`crate::softmax`].
    ///
    /// `p[i,j] = e[i,j] inverse[i] = exp(c s[i,j] - lse[i])`, `lse[i] = log sum_j exp(c s[i,j])`; e: (N, M), inverse, lse:
    /// (N), c = `scale`, above 0 or it panics. With L the largest |c s|, `|error of p| <= (8 L + M + 12) u p + 2e-38`, that of
    /// lse `(12 L + 4 ln M + M + 12) u`.
    fn softmax_forward(e: MatMut<'_>, inverse: &mut [f32], lse: &mut [f32], scale: f32) = softmax::forward;
    /// Replaces scores in `p` by the probabilities that the forward pass gave, from its `lse`.
    ///
    /// `p[i,j] = exp(c s[i,j] - lse[i])`; p: (N, M), lse: (N). With an exact lse,
    /// `|error| <= (8 L + 2 ln M + 8) u p + 2e-38`; an error of lse comes on top as that part of p. With `scale` 1 and
    /// lse 0 it is the exponential, within 2 ULP.
    fn softmax_recompute(p: MatMut<'_>, lse: &[f32], scale: f32) = softmax::recompute;
    /// Replaces d_p in `d` by the gradient of the scores.
    ///
    /// `d_s[i,j] = c p[i,j] (d_p[i,j] - delta[i])`, `delta[i] = sum_j d_p[i,j] p[i,j]`; d, p: (N, M), delta: (N), c = `scale`.
    /// `|error| <= 6 u c p (|d_p| + |delta|)`, with the roundings of p and delta to floats.
    fn softmax_backward(d: MatMut<'_>, p: MatRef<'_>, delta: &[f32], scale: f32) = softmax::backward;

    /// Turns every head of `x` by its position, in place: see [`crate::rope`].
    ///
    /// For each head (x1, x2): `x1' = x1 cos - x2 sin`, `x2' = x2 cos + x1 sin`; x: (S, H·E), cos, sin: (S, E/2), of
    /// [`rope::tables`]. `|error| <= 3 u (|x1| + |x2|)`.
    fn rope_forward(x: MatMut<'_>, cos: MatRef<'_>, sin: MatRef<'_>) = rope::forward;
    /// Gradient of [`Kernels::rope_forward`]: turns `d` back, in place; the same shapes, and the same bound.
    fn rope_backward(d: MatMut<'_>, cos: MatRef<'_>, sin: MatRef<'_>) = rope::backward;

    /// `y[i,:] (+)= sum_g t[index[i,g],:]`, as `write` says: see [`crate::gather`].
    ///
    /// t: (R, W), y: (N, W), index: (N, G), G at least 1 unless N is 0. `|error| <= (G + 1) u` of the sum of the sizes of
    /// all terms. Panics at an index of R or above.
    fn gather(y: MatMut<'_>, t: MatRef<'_>, index: &[u32], write: Write) = gather::gather;
    /// `t[index[i,g],:] += y[i,:]` for every i and g, in this order: the gradient of [`Kernels::gather`].
    ///
    /// The shapes of [`Kernels::gather`]. Each addition rounds once.
    fn scatter_acc(t: MatMut<'_>, y: MatRef<'_>, index: &[u32]) = gather::scatter;

    /// One step of AdamW: changes `p`, `m` and `v`, all of the length of `g`; see [`crate::adam`].
    ///
    /// `p[i] = p[i] keep - rate m[i] / (s[i] + eps)` with the new m, v and `s[i] = sqrt(v[i]) / root`.
    /// `|error of m| <= 3 u (|m| + |g|)` and `|error of v| <= 4 u (v + g²)`, of the old ones; that of p is `2 u |p|` and what
    /// those of m, v and the quotient make of the step, some `10 u` of it where m is not much smaller than the gradients.
    fn adamw(p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], step: &adam::Step) = adam::adamw;
    /// One step of AdamATan2: changes `p`, `m` and `v`, all of the length of `g`; see [`crate::adam`].
    ///
    /// `p[i] = p[i] keep - rate atan2(m[i], s[i])` with the new m, v and `s[i] = sqrt(v[i]) / root`; where both are 0 so is
    /// the angle. The bounds of m and v are those of [`Kernels::adamw`].
    fn adam_atan2(p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], step: &adam::Step) = adam::adam_atan2;

    /// `y[i] = a[i] + b[i]`, rounded once; all of one length.
    fn add(y: &mut [f32], a: &[f32], b: &[f32]) = elementwise::add;
    /// `y[i] += a[i]`, rounded once; both of one length.
    fn add_acc(y: &mut [f32], a: &[f32]) = elementwise::add_acc;
    /// `y[i] *= factor`, rounded once.
    fn scale(y: &mut [f32], factor: f32) = elementwise::scale;
    /// `dots[i] = sum_j a[i,j] b[i,j]`; a, b: (N, M), dots: (N). `|error| <= 2 M u sum_j |a[i,j] b[i,j]|`.
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
