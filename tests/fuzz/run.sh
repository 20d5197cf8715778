#!/usr/bin/env bash
# Fuzzes every parser, or those that are named, each with RUNS executions (a million and a bit unless told), and says
# how many were done. Needs a nightly compiler and cargo-fuzz (cargo install cargo-fuzz). A finding stops it: the
# input lies under artifacts/; shrink it, put it into ../hostile/samples/PARSER with a telling name, and mend the parser.
set -euo pipefail
cd "$(dirname "$0")"
runs=${RUNS:-1200000}
targets=("$@")
[ $# -gt 0 ] || targets=(safetensors weights checkpoint torch npy puzzles tasks dataset config)
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target"
    # The samples of the ordinary tests are where the search begins. A file may need 512 MiB, no more.
    cargo +nightly fuzz run --fuzz-dir . "$target" "corpus/$target" "../hostile/samples/$target" -- \
        -runs="$runs" -rss_limit_mb=2048 -malloc_limit_mb=512 -max_len="$( [ "$target" = torch ] && echo 12000 || echo 4500)" -timeout=10 -print_final_stats=1 \
        >"/tmp/trm-fuzz-$target.log" 2>&1 || { tail -n 40 "/tmp/trm-fuzz-$target.log"; exit 1; }
    count=$(grep -o 'number_of_executed_units: *[0-9]*' "/tmp/trm-fuzz-$target.log" | grep -o '[0-9]*$')
    rate=$(grep -o 'average_exec_per_sec: *[0-9]*' "/tmp/trm-fuzz-$target.log" | grep -o '[0-9]*$')
    peak=$(grep -o 'peak_rss_mb: *[0-9]*' "/tmp/trm-fuzz-$target.log" | grep -o '[0-9]*$')
    echo "$target: $count executions, $rate a second, peak $peak MiB, no finding"
done
