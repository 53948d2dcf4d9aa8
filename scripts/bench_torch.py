#!/usr/bin/env python3
"""The optimization step in PyTorch: same network file, size, terms and Adam as the program's, for scripts/bench.

    python3 scripts/bench_torch.py models/compact.safetensors 320x180 [--steps 30] [--modes eager,channels_last,compiled]

Prints one line a mode: name, network, size, fastest and median step in ms, and the loss of the last step.
"""
import argparse
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from safetensors import safe_open


def load(path):
    with safe_open(path, "pt") as file:
        meta = {k: json.loads(v) if v[:1] in "[{" else v for k, v in file.metadata().items()}
        return meta, {k: file.get_tensor(k).float() for k in file.keys()}


class Objective(torch.nn.Module):
    """alpha J_content + beta J_style of models/FORMAT.md, relative units."""

    def __init__(self, path, channels_last, device, style_weight=30.0):
        super().__init__()
        self.style_weight = style_weight
        meta, tensors = load(path)
        form = torch.channels_last if channels_last else torch.contiguous_format
        self.layers, self.taps, self.content = meta["layers"], meta["taps"], meta["content"]["layer"]
        self.bgr, self.scale = meta["input"]["order"] == "bgr", meta["input"]["scale"]
        self.mean = torch.tensor(meta["input"]["mean"], device=device).view(1, 3, 1, 1)
        self.tensors = {k: (t.contiguous(memory_format=form) if t.dim() == 4 else t).to(device) for k, t in tensors.items()}
        wanted = {tap["layer"] for tap in self.taps} | {self.content}
        self.depth = 1 + max(i for i, layer in enumerate(self.layers) if layer in wanted)

    def features(self, x):
        x = (x.flip(1) if self.bgr else x) * self.scale - self.mean
        maps = {}
        for layer in self.layers[: self.depth]:
            if layer == "pool":
                x = F.avg_pool2d(x, 2)
            else:
                x = F.relu(F.conv2d(x, self.tensors[f"{layer}.weight"], self.tensors[f"{layer}.bias"], padding=1))
                maps[layer] = x
        return maps

    def gram(self, layer, x):
        f = x.flatten(2)[0]
        g = f @ f.t() / f.shape[1]
        head = self.tensors.get(f"{layer}.head")
        return g if head is None else head @ g @ head.t()

    @torch.no_grad()
    def target(self, style, content):
        maps = self.features(style)
        self.grams = {tap["layer"]: self.gram(tap["layer"], maps[tap["layer"]]) for tap in self.taps}
        self.energy = {k: (g * g).sum() for k, g in self.grams.items()}
        self.p = self.features(content)[self.content]
        self.p_energy = (self.p * self.p).sum()

    def forward(self, x):
        maps = self.features(x)
        style = 0.0
        for tap in self.taps:
            d = self.gram(tap["layer"], maps[tap["layer"]]) - self.grams[tap["layer"]]
            style = style + tap["lambda"] * (d * d).sum() / self.energy[tap["layer"]]
        d = maps[self.content] - self.p
        return (d * d).sum() / self.p_energy + self.style_weight * style


def measure(path, width, height, mode, steps, device):
    torch.manual_seed(1)
    objective = Objective(path, mode == "channels_last", device)
    style, content, x = (torch.rand(1, 3, height, width).to(device) for _ in range(3))
    objective.target(style, content)
    value = torch.compile(objective) if mode == "compiled" else objective
    x.requires_grad_(True)
    adam = torch.optim.Adam([x], lr=0.01, eps=1e-15, foreach=True)
    times = []
    for step in range(steps + 3):
        begin = time.perf_counter()
        adam.zero_grad()
        loss = value(x)
        loss.backward()
        adam.step()
        with torch.no_grad():
            x.clamp_(0, 1)
        if device == "cuda":
            torch.cuda.synchronize()
        if step >= 3:
            times.append(1e3 * (time.perf_counter() - begin))
    return min(times), statistics.median(times), loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("size", help="WIDTHxHEIGHT")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tf32", action="store_true", help="products with ten bits of mantissa on a GPU (convolutions and others)")
    parser.add_argument("--modes", default="eager,channels_last,compiled")
    a = parser.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = a.tf32
    width, height = map(int, a.size.split("x"))
    for mode in a.modes.split(","):
        try:
            best, median, loss = measure(a.network, width, height, mode, a.steps, a.device)
            print(f"torch-{mode} {a.network} {a.size} {best:.2f} {median:.2f} {loss:.6g}", flush=True)
        except Exception as error:  # torch.compile needs a C++ compiler, and more
            print(f"torch-{mode} {a.network} {a.size}: does not work here: {error}".splitlines()[0], file=sys.stderr)


if __name__ == "__main__":
    main()
