#!/usr/bin/env python3
"""Attention of trm beside PyTorch's scaled_dot_product_attention, in turns, on one thread; prints a Markdown table.

    benches/peers/venv/bin/python benches/peers/attention.py        in the root of the repository
    benches/peers/venv/bin/python benches/peers/attention.py --rounds 5 --out raw.jsonl

One maze of 916 positions with 2 and with 8 heads of 64 channels (D = 128 and 512), forward and backward. trm's times
are the medians of `cargo bench --bench kernels -- attention`, which this script runs. It needs the standard library
alone; the Python that --python names needs torch and numpy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from compare import check_torch, fail, positive

TORCH_STEP = Path(__file__).with_name("torch_step.py")
BENCH = ["cargo", "bench", "--quiet", "--bench", "kernels", "--"]
MEASURE = ["--warm-up-time", "0.3", "--measurement-time", "1"]
HEADS = [2, 8]
POSITIONS, WIDTH = 916, 64


def trm(isa, heads):
    """Milliseconds of forward, and of forward and backward."""
    shape = f"{POSITIONS}x{heads}x{WIDTH}"
    times = []
    # A folder of its own: no figure of another run can lie there.
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run([*BENCH, *MEASURE, f"attention/.*{shape}/{isa}$"], capture_output=True, text=True,
                              env={**os.environ, "CRITERION_HOME": home})
        if done.returncode != 0:
            fail(f"exit code {done.returncode} from cargo bench\n{done.stderr}")
        for way in ["forward", "backward"]:
            path = Path(home) / f"attention_{way}" / shape / isa / "new" / "estimates.json"
            if not path.exists():
                fail(f"cargo bench timed no attention of {shape} on {isa!r}; `trm info` names the instruction sets")
            times.append(json.loads(path.read_text())["median"]["point_estimate"] / 1e6)
    return times[0], times[0] + times[1]


def torch(python):
    """The same of PyTorch, by number of heads."""
    command = [python, str(TORCH_STEP), "--attention", "--threads", "1"]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    reports = [json.loads(line) for line in lines]
    return {heads: (report["forward_ms"], report["forward_backward_ms"])
            for heads in HEADS for report in reports
            if report["attention"] == f"1x{heads}x{POSITIONS}x{WIDTH}"}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", metavar="PATH", default=sys.executable, help="one that has torch [this one]")
    parser.add_argument("--isa", metavar="NAME", help="instruction set of trm [the one that trm info chooses]")
    parser.add_argument("--rounds", metavar="R", type=positive, default=3, help="[3]")
    parser.add_argument("--out", metavar="FILE", help="every round, a JSON line each")
    args = parser.parse_args()
    check_torch(args.python)
    if args.isa is None:
        info = subprocess.run(["cargo", "run", "--quiet", "--release", "--", "info", "--json"],
                              stdout=subprocess.PIPE, text=True, check=True)
        args.isa = json.loads(info.stdout)["isa"]["chosen"]
    rounds = []
    raw = open(args.out, "w", encoding="utf-8") if args.out else None
    for number in range(1, args.rounds + 1):
        print(f"round {number} of {args.rounds}", file=sys.stderr, flush=True)
        ours, theirs = {heads: trm(args.isa, heads) for heads in HEADS}, torch(args.python)
        rounds.append((ours, theirs))
        if raw:
            line = {"round": number, "isa": args.isa, "trm_ms": ours, "torch_ms": theirs}
            print(json.dumps(line), file=raw, flush=True)
    print(f"| S = {POSITIONS}, heads of {WIDTH} | trm ({args.isa}), ms | PyTorch, ms | PyTorch / trm | in single rounds |")
    print("| --- | --- | --- | --- | --- |")
    for heads in HEADS:
        for way, name in [(0, "forward"), (1, "forward + backward")]:
            ours = [ours[heads][way] for ours, _ in rounds]
            theirs = [theirs[heads][way] for _, theirs in rounds]
            ratios = [b / a for a, b in zip(ours, theirs)]
            our, their = statistics.median(ours), statistics.median(theirs)
            print(f"| {heads} heads, {name} | {our:.1f} | {their:.1f} | {their / our:.2f} "
                  f"| {min(ratios):.2f} to {max(ratios):.2f} |")


if __name__ == "__main__":
    main()
