#!/usr/bin/env python3
"""What PyTorch reaches on this CPU: a supervision step of a TRM in training and in evaluation, and attention alone.

    python3 -m venv venv && venv/bin/pip install torch numpy
    venv/bin/python torch_step.py --preset small-mlp        two lines: eager and compiled
    venv/bin/python torch_step.py --attention --threads 1   scaled_dot_product_attention

Prints a JSON line for each measurement; times are medians, after two repetitions that do not count. A training
step is forward, backward and AdamW; an evaluation step is one supervision step without gradients. The networks
are those of `trm bench`, by the same names. Peak memory is that of the process, so it is exact for the first
line alone.
"""

import argparse
import json
import math
import resource
import sys
import time

import torch
import torch.nn.functional as F

HEAD_WIDTH = 64
WARM_UP = 2


def network(width, inner, inner_positions, cells=81, prefix=16, l_cycles=6):
    """Sizes; without an inner width over positions, positions are mixed by attention."""
    return argparse.Namespace(
        width=width, inner=inner, inner_positions=inner_positions,
        cells=cells, prefix=prefix, positions=cells + prefix, h_cycles=3, l_cycles=l_cycles,
    )


PRESETS = {
    "paper-mlp": network(512, 1536, 512),
    "paper-att": network(512, 1536, 0),
    "small-mlp": network(128, 512, 512),
    "small-att": network(128, 512, 0),
    "mid-mlp": network(192, 512, 256, prefix=0),
    "maze-att": network(128, 512, 0, cells=900, l_cycles=4),
}


def rms_norm(x):
    return x * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + 1e-5).to(x.dtype)


class SwiGlu(torch.nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.gate_up = torch.nn.Linear(width, 2 * inner, bias=False)
        self.down = torch.nn.Linear(inner, width, bias=False)

    def forward(self, x):
        gate, up = self.gate_up(x).chunk(2, -1)
        return self.down(F.silu(gate) * up)


class Attention(torch.nn.Module):
    def __init__(self, width, positions):
        super().__init__()
        self.qkv = torch.nn.Linear(width, 3 * width, bias=False)
        self.out = torch.nn.Linear(width, width, bias=False)
        frequency = 10000.0 ** (-torch.arange(0, HEAD_WIDTH, 2) / HEAD_WIDTH)
        angle = torch.outer(torch.arange(positions), frequency).repeat(1, 2)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def rope(self, x):
        a, b = x.chunk(2, -1)
        return (x * self.cos + torch.cat((-b, a), -1) * self.sin).to(x.dtype)

    def forward(self, x):
        b, s, d = x.shape
        q, k, v = self.qkv(x).view(b, s, 3, d // HEAD_WIDTH, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(self.rope(q), self.rope(k), v)
        return self.out(y.transpose(1, 2).reshape(b, s, d))


class Block(torch.nn.Module):
    def __init__(self, c):
        super().__init__()
        self.over_positions = c.inner_positions > 0
        self.mix = SwiGlu(c.positions, c.inner_positions) if self.over_positions else Attention(c.width, c.positions)
        self.ffn = SwiGlu(c.width, c.inner)

    def forward(self, x):
        if self.over_positions:
            x = x.transpose(1, 2)
            x = rms_norm(x + self.mix(x)).transpose(1, 2)
        else:
            x = rms_norm(x + self.mix(x))
        return rms_norm(x + self.ffn(x))


class Trm(torch.nn.Module):
    def __init__(self, c, vocab=11):
        super().__init__()
        self.c = c
        self.embed = torch.nn.Embedding(vocab, c.width)
        self.prefix = torch.nn.Parameter(torch.zeros(c.prefix, c.width))
        self.blocks = torch.nn.ModuleList([Block(c), Block(c)])
        self.head = torch.nn.Linear(c.width, vocab, bias=False)
        self.q = torch.nn.Linear(c.width, 2)

    def level(self, x):
        for block in self.blocks:
            x = block(x)
        return x

    def cycle(self, x, y, z):
        for _ in range(self.c.l_cycles):
            z = self.level(z + (y + x))
        return self.level(y + z), z

    def forward(self, tokens, y, z):
        x = self.embed(tokens)
        x = torch.cat((self.prefix.expand(len(x), -1, -1), x), 1) * math.sqrt(self.c.width)
        with torch.no_grad():
            for _ in range(self.c.h_cycles - 1):
                y, z = self.cycle(x.detach(), y, z)
        y, z = self.cycle(x, y, z)
        return y, z, self.head(y[:, self.c.prefix:]), self.q(y[:, 0])


def stablemax_loss(logits, labels):
    x = logits.double()
    s = torch.where(x < 0, 1 / (1 - x), x + 1)
    p = s / s.sum(-1, keepdim=True)
    return -p.gather(-1, labels.unsqueeze(-1)).log().mean(1).sum()


def flops(c):
    """Of a step of one puzzle in matrix products, heads aside: training, evaluation."""
    s, d = c.positions, c.width
    mix = 6 * s * c.inner_positions * d if c.inner_positions else 8 * d * d * s + 4 * s * s * d
    level = 2 * (mix + 6 * d * c.inner * s)
    forward = level * c.h_cycles * (c.l_cycles + 1)
    return forward + 2 * level * (c.l_cycles + 1), forward


def median_seconds(repeats, run):
    seconds = []
    for _ in range(WARM_UP + repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds[WARM_UP:])[repeats // 2]


def peak_rss_mb():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


def measure_step(preset, batch, threads, dtype, compiled, steps):
    torch.manual_seed(0)
    c = PRESETS[preset]
    model = Trm(c).to(dtype)
    call = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=1.0, betas=(0.9, 0.95))
    tokens = torch.randint(1, 11, (batch, c.cells))
    labels = torch.randint(2, 11, (batch, c.cells))
    carry = [torch.randn(batch, c.positions, c.width).to(dtype) for _ in range(2)]

    def train():
        y, z, logits, q = call(tokens, *carry)
        solved = (logits.argmax(-1) == labels).all(1).float()
        halting = F.binary_cross_entropy_with_logits(q[:, 0].float(), solved, reduction="sum")
        ((stablemax_loss(logits, labels) + 0.5 * halting) / batch).backward()
        optimizer.step()
        optimizer.zero_grad()
        carry[:] = y.detach(), z.detach()

    training = median_seconds(steps, train)
    with torch.inference_mode():
        evaluation = median_seconds(steps, lambda: call(tokens, *carry))
    train_flops, eval_flops = flops(c)
    return {
        "preset": preset, "batch": batch, "threads": threads, "dtype": name_of(dtype), "compiled": compiled,
        "parameters": sum(p.numel() for p in model.parameters()), "torch": torch.__version__,
        "train_samples_per_s": batch / training, "train_gflops": train_flops * batch / training / 1e9,
        "eval_samples_per_s": batch / evaluation, "eval_gflops": eval_flops * batch / evaluation / 1e9,
        "peak_rss_mb": peak_rss_mb(),
    }


# Puzzles, heads, positions: a maze with the small and the paper's number of heads, and 9x9 boards.
ATTENTION = [(1, 2, 916), (1, 8, 916), (8, 8, 97)]


def measure_attention(batch, heads, positions, threads, dtype, repeats=20):
    torch.manual_seed(0)
    size = (batch, heads, positions, HEAD_WIDTH)
    q, k, v = qkv = [torch.randn(size).to(dtype).requires_grad_() for _ in range(3)]
    d_o = torch.randn(size).to(dtype)
    with torch.inference_mode():
        forward = median_seconds(repeats, lambda: F.scaled_dot_product_attention(q, k, v))
    both = median_seconds(
        repeats, lambda: torch.autograd.grad(F.scaled_dot_product_attention(q, k, v), qkv, d_o))
    # Forwards two products of S x S x E a head, backwards five: the scores are made again.
    product = 2 * batch * heads * positions * positions * HEAD_WIDTH
    return {
        "attention": "x".join(map(str, size)), "threads": threads, "dtype": name_of(dtype),
        "torch": torch.__version__,
        "forward_ms": 1e3 * forward, "forward_gflops": 2 * product / forward / 1e9,
        "forward_backward_ms": 1e3 * both, "forward_backward_gflops": 7 * product / both / 1e9,
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="small-mlp")
    parser.add_argument("--attention", action="store_true", help="measure attention instead of a network")
    parser.add_argument("--batch", type=int, default=32, help="puzzles in the batch of a network [32]")
    parser.add_argument("--threads", type=int, default=2, help="[2]")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--compile", choices=["no", "yes", "both"], default="both", help="torch.compile [both]")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of a network [5]")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dtype = getattr(torch, args.dtype)
    if args.attention:
        lines = (measure_attention(*size, args.threads, dtype) for size in ATTENTION)
    else:
        variants = {"no": [False], "yes": [True], "both": [False, True]}[args.compile]
        lines = (
            measure_step(args.preset, args.batch, args.threads, dtype, compiled, args.steps)
            for compiled in variants)
    for line in lines:
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
