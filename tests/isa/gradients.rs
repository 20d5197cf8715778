//! Every op of the engine against finite differences.

use proptest::prelude::*;
use trm_autograd::gradcheck::check_all;
use trm_kernels::Kernels;

/// Random values, random upstream gradients: each seed draws all of them anew.
pub fn every_op_against_finite_differences(kernels: &'static Kernels) {
    proptest!(ProptestConfig::with_cases(6), |(seed: u64)| {
        for report in check_all(kernels, seed) {
            prop_assert!(report.ok, "seed {}: {:?}", seed, report);
        }
    });
}
