#!/usr/bin/env python3
"""A start for a network out of trained ones, for `scripts/train-compact --start`.

    scripts/training/grow.py --assets DIR --name compact [--front tiny.safetensors] compact.safetensors OUT.safetensors

The new network (NAME, of training.student.WIDTHS) takes every convolution of the same name from the given one. Where that

- has none of this name, the new one is the identity: behind a ReLU that changes nothing, and training makes a layer of it;
- has more channels, those stay whose activations the next layer makes most of;
- is not the one of the first stages (--front): these are FRONT's, and the last convolution of stage 3 is the joint: it is
  solved (ridge regression on 3x3 patches of photos and paintings) to give what the other's own gives before its ReLU.
"""
import argparse
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from training import data, net as nets  # noqa: E402
from training.student import build  # noqa: E402

SAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "samples")
JOINT = "conv3_2"


class Pictures:
    """Batches of photos and paintings."""

    def __init__(self, assets):
        self.images = data.Images(assets, 192, np.random.default_rng(1), SAMPLES)

    def batch(self):
        return torch.cat([self.images.photo() if i % 2 else self.images.style() for i in range(8)])


def inputs(net, x):
    """What each convolution of a network takes."""
    found = {}
    net.watch = lambda name, value: found.setdefault(name, value)
    net.run(net.prepare(x), net.spec, set())
    net.watch = None
    return found


def joint(front, back, pictures, batches=40, ridge=1e-4):
    """Weight and bias of the convolution from FRONT's activations to BACK's."""
    a = b = 0
    target = back.convs[JOINT]
    for _ in range(batches):
        x = pictures.batch()
        with torch.no_grad():
            patches = F.unfold(inputs(front, x)[JOINT], 3, padding=1).transpose(1, 2).flatten(0, 1)
            wanted = F.conv2d(inputs(back, x)[JOINT], target.weight, target.bias, padding=1)
        wanted = wanted.permute(0, 2, 3, 1).flatten(0, 2)
        patches = torch.cat([patches, torch.ones(len(patches), 1)], 1)
        a, b = a + patches.T @ patches / len(patches), b + patches.T @ wanted / len(patches)
    solved = torch.linalg.solve(a + ridge * a.trace() / len(a) * torch.eye(len(a)), b)
    error = (patches @ solved - wanted).pow(2).mean() / wanted.pow(2).mean()
    print(f"{JOINT}: of what it is to give, {error:.3f} is missing")
    return solved[:-1].T.reshape(len(target.weight), -1, 3, 3), solved[-1]


def important(net, name, count, pictures):
    """The `count` channels of a layer that the next one, or the head on it, makes most of."""
    names = list(net.convs)
    after = names[names.index(name) + 1:]
    with torch.no_grad():
        spread = net(pictures.batch(), [name])[name].permute(0, 2, 3, 1).flatten(0, 2).std(0)
    read = net.convs[after[0]].weight.pow(2).sum((0, 2, 3)).sqrt() if after else net.heads[name].norm(dim=0)
    return (read * spread).argsort(descending=True)[:count].sort()[0]


def identity(conv):
    if conv.in_channels != conv.out_channels:
        raise SystemExit(f"a new convolution from {conv.in_channels} to {conv.out_channels} channels cannot be the identity")
    conv.weight.data.zero_(), conv.bias.data.zero_()
    conv.weight.data[range(conv.in_channels), range(conv.in_channels), 1, 1] = 1


def grow(student, front, back, pictures):
    """Fills in the weights and heads of the student."""
    kept, heads, source = slice(None), {}, front or back
    for name, conv in student.convs.items():
        if name == JOINT and front:
            conv.weight.data, conv.bias.data = joint(front, back, pictures)
            kept, source = slice(None), back
        elif name not in source.convs:
            identity(conv)
        else:
            weight, bias = source.convs[name].weight[:, kept], source.convs[name].bias
            narrower = conv.out_channels < len(weight)
            kept = important(source, name, conv.out_channels, pictures) if narrower else slice(None)
            conv.weight.data, conv.bias.data = weight[kept].clone(), bias[kept].clone()
        stage = name[:len("conv0")]
        if name in student.taps:
            tap = next(k for k in source.taps if k.startswith(stage))
            heads[name] = source.heads[tap].detach()[:, kept].numpy() if tap in source.heads else None
    return {k: v for k, v in heads.items() if v is not None}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--assets", required=True)
    p.add_argument("--name", required=True, help="of the new network, one of training.student.WIDTHS")
    p.add_argument("--front", help="the network that gives the first stages")
    p.add_argument("back")
    p.add_argument("out")
    a = p.parse_args()
    torch.manual_seed(1)
    student = build(a.name).requires_grad_(False)
    heads = grow(student, nets.load(a.front) if a.front else None, nets.load(a.back), Pictures(a.assets))
    student.save(a.out, heads)


if __name__ == "__main__":
    main()
