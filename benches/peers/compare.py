#!/usr/bin/env python3
"""Training and evaluation of trm beside PyTorch, in turns on one machine; prints a Markdown table for each network.

    cargo build --release                       these are run in the root of the repository
    python3 -m venv benches/peers/venv && benches/peers/venv/bin/pip install torch numpy
    benches/peers/venv/bin/python benches/peers/compare.py
    benches/peers/venv/bin/python benches/peers/compare.py --presets small-mlp --rounds 1 --out raw.jsonl

A round runs trm and then every variant of PyTorch, each in a process of its own; of the variants, the fastest
is shown. Figures are medians of the rounds; the last column has the smallest and the largest ratio of a single
round. This script needs the standard library alone; the Python that --python names needs torch and numpy.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

TORCH_STEP = Path(__file__).with_name("torch_step.py")
VARIANTS = {
    "eager": ["--compile", "no"],
    "compiled": ["--compile", "yes"],
    "eager-bf16": ["--compile", "no", "--dtype", "bfloat16"],
    "compiled-bf16": ["--compile", "yes", "--dtype", "bfloat16"],
}
PRESETS = ["paper-mlp", "paper-att", "small-mlp", "small-att"]
TRAINING, EVALUATION, MEMORY = "train_samples_per_s", "eval_samples_per_s", "peak_rss_mb"


def fail(message):
    sys.exit(f"{Path(sys.argv[0]).name}: {message}")


def check(args):
    """Fails before the first minute is spent, not after an hour."""
    try:
        subprocess.run([args.trm, "--version"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        fail(f"{args.trm} does not run: `cargo build --release`, or name the program with --trm")
    check_torch(args.python)


def check_torch(python):
    try:
        torch = subprocess.run([python, "-c", "import torch, numpy"], capture_output=True, text=True)
    except OSError as error:
        fail(f"{python} does not run: {error.strerror}; name a Python with --python")
    if torch.returncode != 0:
        reason = (torch.stderr.strip().splitlines() or ["it gives no reason"])[-1]
        fail(f"{python} has no PyTorch ({reason}); "
             "see benches/peers/README.md, or name a Python that has it with --python")


def measure(command):
    """The one JSON line that a command prints."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        fail(f"exit code {done.returncode} from {' '.join(command)}")
    return json.loads(done.stdout)


def commands(args, preset):
    """What a round runs: the name in the tables, and the command."""
    size = ["--preset", preset, "--batch", str(args.batch)]
    size += ["--steps", str(args.steps)] if args.steps else []
    threads = ["--threads", str(args.threads)]
    yield "trm", [args.trm, "bench", "--json", *size, *threads]
    if args.threads_scaling:
        yield "trm, 1 thread", [args.trm, "bench", "--json", *size, "--threads", "1"]
    for variant in args.torch_variants:
        yield f"PyTorch {variant}", [args.python, str(TORCH_STEP), *size, *threads, *VARIANTS[variant]]


def run_rounds(args, preset, raw):
    """Every command's reports, one a round."""
    reports = {}
    for number in range(1, args.rounds + 1):
        for name, command in commands(args, preset):
            print(f"{preset}, round {number} of {args.rounds}: {name}", file=sys.stderr, flush=True)
            report = measure(command)
            reports.setdefault(name, []).append(report)
            if raw:
                print(json.dumps({"who": name, "round": number, **report}), file=raw, flush=True)
    return reports


def values(reports, figure):
    """Of every round; where a system does not tell its memory, nothing."""
    return [report[figure] for report in reports if report[figure] is not None]


def row(label, figure, peer, reports):
    ours, theirs = values(reports["trm"], figure), values(reports[peer], figure)
    if not ours or not theirs:
        return f"| {label} | - | - | - | - |"
    our, their = statistics.median(ours), statistics.median(theirs)
    ratios = [a / b for a, b in zip(ours, theirs)]
    return (f"| {label} | {our:.1f} | {their:.1f} ({peer}) | {our / their:.2f} "
            f"| {min(ratios):.2f} to {max(ratios):.2f} |")


def table(args, preset, reports):
    def best(figure):
        peers = [name for name in reports if name.startswith("PyTorch")]
        return max(peers, key=lambda name: statistics.median(values(reports[name], figure)))

    trm = reports["trm"][0]
    lines = [
        f"### {preset}: {trm['parameters']} parameters, batch {args.batch}, threads {args.threads}",
        "",
        f"{trm['cpu']}, trm on {trm['isa']}; rounds: {args.rounds}",
        "",
        "| figure | trm | peer | trm / peer | in single rounds |",
        "| --- | --- | --- | --- | --- |",
        row("training, samples/s", TRAINING, best(TRAINING), reports),
        row("evaluation, steps of a puzzle/s", EVALUATION, best(EVALUATION), reports),
        row("peak memory, MiB", MEMORY, best(TRAINING), reports),
    ]
    if args.threads_scaling:
        lines += [
            row(f"training on {args.threads} threads, samples/s", TRAINING, "trm, 1 thread", reports),
            row(f"evaluation on {args.threads} threads, samples/s", EVALUATION, "trm, 1 thread", reports),
        ]
    return "\n".join(lines)


def one_of(names):
    def parse(text):
        chosen = text.split(",")
        for name in chosen:
            if name not in names:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(names)}")
        return chosen
    return parse


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, not {number}")
    return number


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trm", metavar="PATH", default="target/release/trm", help="[target/release/trm]")
    parser.add_argument("--python", metavar="PATH", default=sys.executable, help="one that has torch [this one]")
    parser.add_argument("--presets", metavar="A,B", type=one_of([*PRESETS, "mid-mlp", "maze-att"]),
                        default=PRESETS, help=f"[{','.join(PRESETS)}], mid-mlp, maze-att")
    parser.add_argument("--rounds", metavar="R", type=positive, default=3, help="[3]")
    parser.add_argument("--threads", metavar="N", type=positive, default=2, help="[2]")
    parser.add_argument("--batch", metavar="N", type=positive, default=32, help="puzzles in the batch [32]")
    parser.add_argument("--steps", metavar="N", type=positive, help="timed steps of both [as each sees fit]")
    parser.add_argument("--torch-variants", metavar="A,B", type=one_of(VARIANTS), default=["eager", "compiled"],
                        help="[eager,compiled], eager-bf16, compiled-bf16")
    parser.add_argument("--threads-scaling", action="store_true", help="trm on one thread, too")
    parser.add_argument("--out", metavar="FILE", help="every report, a JSON line each")
    args = parser.parse_args()
    if args.threads_scaling and args.threads == 1:
        parser.error("--threads-scaling compares --threads of 2 or more with one")
    check(args)
    raw = open(args.out, "w", encoding="utf-8") if args.out else None
    for preset in args.presets:
        print(table(args, preset, run_rounds(args, preset, raw)), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
