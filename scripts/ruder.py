#!/usr/bin/env python3
"""Paints a video as Ruder, Dosovitskiy and Brox (2016) do, in PyTorch: the offline method that this program is compared with.

    scripts/ruder.py in.mp4 painting.jpg out.mkv --network models/compact.safetensors

Every frame is solved with --steps steps, starting from the last painted frame carried along the optical flow, with a temporal
cost where the flow is reliable (their equations 4 to 7, hard masks, sections 4.1 and 4.2; not long-term consistency or several passes).
Network, content, style and total variation are those of this program at its default strength, so that both solve the same
problem. Departures from the paper: Adam instead of L-BFGS, OpenCV's DIS flow instead of DeepFlow, the first frame starts from
the content. The output is lossless (FFV1). Needs scripts/requirements-train.txt.
"""
import argparse
import os
import sys
import time

import cv2
import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench_torch import Objective  # noqa: E402

STYLE, TV, TV_COLOUR, RATE = 10 ** 0.7, 5.0, 45.0, 0.02


def frames(path, width, count):
    """Frames of a video, BGR, brought to this width."""
    video = cv2.VideoCapture(path)
    found = []
    while len(found) < count:
        more, frame = video.read()
        if not more:
            break
        height = round(frame.shape[0] * width / frame.shape[1])
        found.append(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA))
    if not found:
        sys.exit(f"{path}: no video that OpenCV reads")
    return found, video.get(cv2.CAP_PROP_FPS)


def tensor(bgr):
    return torch.from_numpy(bgr[:, :, ::-1].copy()).permute(2, 0, 1)[None].float() / 255


def flow(a, b):
    """Where pixels of `a` are in `b`."""
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return dis.calc(*(cv2.cvtColor(f, cv2.COLOR_BGR2GRAY) for f in (a, b)), None)


def sample(values, motion):
    """`values` at each pixel's place after the motion, bilinear."""
    y, x = np.mgrid[: motion.shape[0], : motion.shape[1]].astype(np.float32)
    return cv2.remap(values, x + motion[..., 0], y + motion[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def reliable(back, forth):
    """c of equation 6: 0 where a pixel was hidden (equation 4), or at a motion's boundary (equation 5)."""
    there = sample(forth, back)
    length = lambda v: (v ** 2).sum(-1)
    hidden = length(there + back) > 0.01 * (length(there) + length(back)) + 0.5
    slope = sum((d ** 2) for c in (0, 1) for d in np.gradient(back[..., c]))
    return (~hidden & ~(slope > 0.01 * length(back) + 0.002)).astype(np.float32)


def solve(objective, start, steps, carried, mask, weight):
    x = start.clone().requires_grad_(True)
    adam = torch.optim.Adam([x], lr=RATE, foreach=True)
    for _ in range(steps):
        adam.zero_grad()
        loss = objective(x)
        for tau, of in (TV, x), (TV_COLOUR, x - x.mean(1, keepdim=True)):
            loss = loss + tau * ((of[..., 1:] - of[..., :-1]) ** 2).sum() / x.numel()
            loss = loss + tau * ((of[..., 1:, :] - of[..., :-1, :]) ** 2).sum() / x.numel()
        if carried is not None:
            loss = loss + weight * (mask * (x - carried) ** 2).sum() / x.numel()
        loss.backward()
        adam.step()
        with torch.no_grad():
            x.clamp_(0, 1)
    return x.detach()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("style")
    parser.add_argument("output", help="a .mkv or .avi")
    parser.add_argument("--network", required=True, help="a .safetensors of models/FORMAT.md")
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--temporal-weight", type=float, default=1000.0)
    a = parser.parse_args()
    video, rate = frames(a.video, a.width, a.frames)
    size = (video[0].shape[1], video[0].shape[0])
    painting = cv2.imread(a.style)
    if painting is None:
        sys.exit(f"{a.style}: no picture that OpenCV reads")
    factor = a.width / max(painting.shape[:2])
    painting = cv2.resize(painting, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    out = cv2.VideoWriter(a.output, cv2.VideoWriter_fourcc(*"FFV1"), rate, size)
    objective = Objective(a.network, False, "cpu", style_weight=STYLE)
    begin, last = time.perf_counter(), None
    for index, frame in enumerate(video):
        content = tensor(frame)
        objective.target(tensor(painting), content)
        start, carried, mask = content, None, None
        if last is not None:
            back, forth = flow(frame, video[index - 1]), flow(video[index - 1], frame)
            start = carried = torch.from_numpy(sample(last, back)).permute(2, 0, 1)[None]
            mask = torch.from_numpy(reliable(back, forth))
        x = solve(objective, start, a.steps, carried, mask, a.temporal_weight)
        last = np.ascontiguousarray(x[0].permute(1, 2, 0).numpy())
        out.write((last[:, :, ::-1] * 255 + 0.5).astype(np.uint8))
        print(f"\rframe {index + 1} of {len(video)}, {time.perf_counter() - begin:.0f} s", end="", flush=True)
    out.release()
    print(f"\n{len(video)} frames in {time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
