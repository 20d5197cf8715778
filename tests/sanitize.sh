#!/usr/bin/env bash
# Runs the unsafe code under the tools that see what a test cannot: Miri on what is portable, AddressSanitizer on every
# instruction set of this CPU. Needs a nightly compiler with the component miri. Some minutes to half an hour.
#   tests/sanitize.sh [miri | address]
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
host=$(rustc -vV | sed -n 's/^host: //p')

if [ "$what" != address ]; then
    export CARGO_TARGET_DIR=${MIRI_TARGET_DIR:-target/miri}
    # Miri has no files to map, and no intrinsics of most instruction sets; a property takes it minutes at the sizes
    # that a processor does in milliseconds, so the larger ones are left to the sanitizer.
    TRM_ISA=portable MIRIFLAGS="-Zmiri-disable-isolation" cargo +nightly miri test -p trm-kernels --lib
    TRM_ISA=portable MIRIFLAGS="-Zmiri-disable-isolation" cargo +nightly miri test -p trm-tensor --lib -- aligned file:: shape tensor::
    TRM_ISA=portable MIRIFLAGS="-Zmiri-disable-isolation" PROPTEST_CASES=8 \
        cargo +nightly miri test --test engine -- isa::portable::elementwise isa::portable::gather \
        isa::portable::norms isa::portable::softmax isa::portable::rope isa::portable::swiglu \
        isa::portable::row_dots isa::portable::add_and_scale isa::portable::sums_and_their_gradient
    unset CARGO_TARGET_DIR
fi

if [ "$what" != miri ]; then
    export CARGO_TARGET_DIR=${ASAN_TARGET_DIR:-target/asan}
    # The kernel suites on every instruction set, the gradients through all of the engine, and files.
    RUSTFLAGS="-Zsanitizer=address" cargo +nightly test --target "$host" --test engine -- isa:: golden training::gradients
    RUSTFLAGS="-Zsanitizer=address" cargo +nightly test --target "$host" --lib -p trm-kernels -p trm-tensor -p trm-autograd -p trm-model
fi
