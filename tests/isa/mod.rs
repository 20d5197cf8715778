//! One suite for every instruction set: a property is a function of a table of kernels, stamped once for
//! each name. What a kernel must give is [`trm_kernels::reference`], within a bound that follows from the
//! roundings it makes; never what another instruction set gives.
//!
//! An instruction set that this CPU lacks is skipped, with a line that says so; to make that a failure,
//! list the names that must be tested in `TRM_REQUIRE_ISA`, separated by commas; `avx512fp16` stands for products in
//! halves of the CPU's own.

mod adam;
mod attention;
mod elementwise;
mod gated_norm;
mod gather;
mod gradients;
mod guarded;
mod matmul;
mod norms;
mod rope;
mod softmax;
mod swiglu;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use trm_kernels::{ISA_NAMES, Kernels, Precision};

/// What `TRM_REQUIRE_ISA` may name besides instruction sets.
const OWN_HALVES: &str = "avx512fp16";

macro_rules! suite {
    ($($isa:ident)*) => {
        $(mod $isa {
            use super::*;
            suite! { @tests $isa:
                adam::steps
                adam::angles_are_within_three_roundings
                adam::angles_at_the_ends
                adam::lengths_that_disagree_panic
                elementwise::add_and_scale
                elementwise::row_dots
                elementwise::chains_of_multiply_adds
                elementwise::shapes_that_disagree_panic
                elementwise::matrices_that_disagree_panic
                gather::sums_and_their_gradient
                gather::tables_that_do_not_fit_panic
                gather::no_rows_are_no_work
                matmul::every_form_at_the_edges_of_tiles
                matmul::every_form_across_blocks
                matmul::any_size
                matmul::an_element_depends_on_its_row_and_column_alone
                matmul::threads_that_share_a_product_change_no_bit
                matmul::factors_of_any_scale
                matmul::what_is_not_a_number_stays_so
                matmul::products_of_integers_are_exact
                matmul::operands_that_do_not_fit_panic
                norms::over_channels
                norms::over_positions
                norms::squares_that_overflow_give_zeros
                norms::gradients_over_channels
                norms::gradients_over_positions
                softmax::probabilities
                softmax::extreme_scores
                softmax::scales_that_are_not_positive_panic
                softmax::exponentials_are_within_two_ulp
                softmax::gradients_of_scores
                swiglu::gates
                swiglu::gates_far_from_zero
                swiglu::gradients_of_gates
                gated_norm::products_and_gates
                gated_norm::gradients_of_products_and_gates
                rope::turns
                rope::gradients_of_turns
                attention::outputs
                attention::threads_give_the_same_bits
                attention::gradients_of_qkv
                attention::gradients_across_blocks
                attention::sizes_that_disagree_panic
                gradients::every_op_against_finite_differences
            }
        })*
    };
    (@tests $isa:ident: $($file:ident::$property:ident)*) => {
        $(#[test]
        fn $property() {
            if let Some(kernels) = kernels_of(stringify!($isa)) {
                $file::$property(kernels);
            }
        })*
    };
}

suite!(avx512 avx2 neon portable);

/// Products in halves: the CPU's own, and those that every instruction set emulates.
macro_rules! halves {
    ($($name:ident: $kernels:expr;)*) => {
        $(mod $name {
            use super::*;
            halves! { @tests $kernels;
                every_form_at_the_edges_of_tiles
                every_form_across_blocks
                any_size
                threads_that_share_a_product_change_no_bit
                factors_of_any_scale
                what_is_not_a_number_stays_so
                products_of_integers_are_exact
                operands_that_do_not_fit_panic
            }
        })*
    };
    (@tests $kernels:expr; $($property:ident)*) => {
        $(#[test]
        fn $property() {
            if let Some(kernels) = $kernels {
                matmul::$property(kernels);
            }
        })*
    };
}

halves! {
    avx512fp16: own_halves("avx512");
    avx512_halves: kernels_of("avx512").map(Kernels::emulating_halves);
    avx2_halves: kernels_of("avx2").map(Kernels::emulating_halves);
    neon_halves: kernels_of("neon").map(Kernels::emulating_halves);
    portable_halves: kernels_of("portable").map(Kernels::emulating_halves);
}

/// The table of an instruction set, unless this CPU lacks it.
fn kernels_of(isa: &str) -> Option<&'static Kernels> {
    or_skipped(isa, Kernels::named(isa))
}

/// The table with products in the CPU's own halves, unless it has none.
fn own_halves(isa: &str) -> Option<&'static Kernels> {
    let kernels = kernels_of(isa)?.in_precision(Precision::F16);
    or_skipped(OWN_HALVES, kernels)
}

/// What is there, or a line that says why not; a panic where `TRM_REQUIRE_ISA` asks for `name`, or for one that there
/// is not.
fn or_skipped<E: std::fmt::Display>(
    name: &str,
    kernels: Result<&'static Kernels, E>,
) -> Option<&'static Kernels> {
    let required = std::env::var("TRM_REQUIRE_ISA").unwrap_or_default();
    let required = required.split(',').map(str::trim);
    let required: Vec<_> = required.filter(|name| !name.is_empty()).collect();
    for name in &required {
        assert!(
            ISA_NAMES.contains(name) || *name == OWN_HALVES,
            "TRM_REQUIRE_ISA asks for {name:?}; there are {ISA_NAMES:?} and {OWN_HALVES:?}"
        );
    }
    match kernels {
        Ok(kernels) => Some(kernels),
        Err(error) if required.contains(&name) => {
            panic!("TRM_REQUIRE_ISA asks for {name}: {error}")
        }
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// Unit roundoff of f32: a correctly rounded result is off by at most this part of itself.
const U: f64 = f32::EPSILON as f64 / 2.0;

/// Lengths around every place where a loop over registers changes its way.
fn lengths(kernels: &Kernels) -> std::ops::RangeInclusive<usize> {
    0..=4 * kernels.lanes() + 3
}

fn panics(f: &mut dyn FnMut()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

/// What it says when it panics, which it must.
#[track_caller]
fn message_of(f: &mut dyn FnMut()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(f)).expect_err("no panic");
    let text = panic.downcast::<String>().map(|text| *text);
    text.unwrap_or_else(|other| other.downcast_ref::<&str>().expect("a text").to_string())
}

fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Evenly from -1 to 1.
fn floats(rng: &mut ChaCha8Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().copied().map(f64::from).collect()
}
