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
    # Miri has no files to map and no intrinsics of most instruction sets, and takes minutes for what a processor does in
    # milliseconds: it watches small sizes on the portable path, and the sanitizer has the rest.
    export TRM_ISA=portable MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks -Zmiri-tree-borrows" RAYON_NUM_THREADS=1
    cargo +nightly miri test -p trm-kernels --lib
    cargo +nightly miri test -p trm-tensor --lib -- aligned:: file:: shape:: tensor::tests
    # Optimiser steps and an answer of every network: every kernel. One thread, since idle ones keep Miri busy; tree
    # borrows, since the queue of the thread pool (crossbeam-epoch) does not keep to stacked ones.
    cargo +nightly miri test -p trm-model --lib -- a_small_step
    unset TRM_ISA MIRIFLAGS RAYON_NUM_THREADS
    unset CARGO_TARGET_DIR
fi

if [ "$what" != miri ]; then
    export CARGO_TARGET_DIR=${ASAN_TARGET_DIR:-target/asan}
    # The kernel suites on every instruction set, the gradients through all of the engine, and files.
    RUSTFLAGS="-Zsanitizer=address" cargo +nightly test --target "$host" --test engine -- isa:: golden training::gradients
    RUSTFLAGS="-Zsanitizer=address" cargo +nightly test --target "$host" --lib -p trm-kernels -p trm-tensor -p trm-autograd -p trm-model
fi
