"""Stained glass: Voronoi panes in lead, lit from behind; every part of the picture is cut in its own way."""

import numpy as np

from canvas import blur, fbm, grid, mix, noise, palette, rgb, smoothstep

SUN = (0.88, 0.34)


def regions(x, y):
    """A number for each part: 0 sky, 1 sun, 2 halo, 3.. hills, 6 water, 7 tree trunk, 8 leaves."""
    part = np.zeros(x.shape, int)
    r = np.hypot(x - SUN[0], y - SUN[1])
    part[r < 0.30] = 2
    part[r < 0.115] = 1
    part[y > 0.56 + 0.06 * np.sin(3.2 * x + 0.4)] = 3
    part[y > 0.65 + 0.05 * np.sin(2.7 * x + 2.3)] = 4
    river = np.abs(x - (0.95 - 0.55 * (y - 0.66) + 0.10 * np.sin(9 * (y - 0.6)))) < 0.03 + 0.42 * np.clip(y - 0.66, 0, 1)
    part[(y > 0.78 + 0.03 * np.sin(4.0 * x + 4.0))] = 5
    part[river & (y > 0.672)] = 6
    trunk = np.abs(x - (0.26 + 0.05 * np.sin(4.2 * y))) < 0.022 + 0.05 * np.clip(y - 0.72, 0, 1)
    part[trunk & (y > 0.36) & (y < 0.93)] = 7
    lobes = [(0.27, 0.20, 0.16), (0.13, 0.31, 0.12), (0.40, 0.31, 0.125), (0.25, 0.36, 0.11), (0.34, 0.14, 0.11), (0.14, 0.17, 0.10)]
    for cx, cy, radius in lobes:
        part[np.hypot(x - cx, y - cy) < radius] = 8
    return part


def seeds_for(rng, part):
    """Where the panes of each part lie, (n, 2), and the stretch of the metric across it."""
    if part in (1, 2):
        points = [(SUN[0], SUN[1])]
        for ring, (radius, count) in enumerate([(0.075, 8), (0.155, 16), (0.21, 20), (0.265, 26)]):
            turn = ring * 0.2
            points += [
                (SUN[0] + radius * np.cos(a + turn), SUN[1] + radius * np.sin(a + turn))
                for a in np.linspace(0, 2 * np.pi, count, endpoint=False)
            ]
        return np.array(points), (1.0, 1.0)
    counts = {0: 150, 3: 150, 4: 150, 5: 150, 6: 260, 7: 90, 8: 620}
    stretch = {0: (0.6, 1.0), 3: (0.55, 1.0), 4: (0.5, 1.0), 5: (0.45, 1.0), 6: (0.35, 1.0), 7: (1.0, 0.5), 8: (1.0, 0.9)}
    return spread(rng, counts[part], stretch[part]), stretch[part]


def spread(rng, count, stretch):
    """Evenly scattered points: a few rounds of Lloyd's relaxation, in the metric of the panes."""
    scale = np.array(stretch)
    points = rng.uniform((0, 0), (1.34, 1.0), (count, 2)) * scale
    samples = rng.uniform((0, 0), (1.34, 1.0), (count * 30, 2)) * scale
    for _ in range(2):
        owner = np.argmin(((samples[:, None] - points[None]) ** 2).sum(-1), axis=1)
        members = np.bincount(owner, minlength=count).clip(1)
        points = np.stack([np.bincount(owner, samples[:, a], count) / members for a in (0, 1)], 1)
    return points / scale


COLOURS = {
    0: ["#0f2f8f", "#1b57c4", "#2f86dd", "#58aee6", "#7a5fc0", "#2746a8"],
    1: ["#fff3a8", "#ffd84a", "#ffe98a"],
    2: ["#ff9d1e", "#ff7a1a", "#ffc23c", "#f2542d", "#ffb02e"],
    3: ["#5b2d8c", "#7b3fa8", "#3f3aa0", "#8f4f9f"],
    4: ["#0f7a5c", "#1f9a6a", "#0e5f6e", "#3fae5a"],
    5: ["#2f9a2f", "#6fbf2a", "#b5cf2e", "#1e7a34"],
    6: ["#1f9ad0", "#4fc6e6", "#1565b0", "#a6e3ee", "#ffb648"],
    7: ["#6a2f14", "#8a451c", "#4f2212"],
    8: ["#c4161c", "#e8421e", "#f08a1e", "#a80f2e", "#ffb52a", "#d92b4a"],
}


def panes(rng, x, y, part):
    """For each pixel its pane's number, and how far it is from the lead between two panes (in picture heights)."""
    pane = np.zeros(x.shape, int)
    gap = np.full(x.shape, 1.0, np.float32)
    colour = np.zeros((*x.shape, 3), np.float32)
    first = 0
    for number in np.unique(part):
        points, stretch = seeds_for(rng, 2 if number == 1 else int(number))
        inside = part == number
        p = np.stack([x[inside] * stretch[0], y[inside] * stretch[1]], 1).astype(np.float32)
        q = (points * np.array(stretch)).astype(np.float32)
        nearest = np.full(len(p), np.inf, np.float32)
        second = nearest.copy()
        owner = np.zeros(len(p), int)
        neighbour = np.zeros(len(p), int)
        for index, (qx, qy) in enumerate(q):
            d = (p[:, 0] - qx) ** 2 + (p[:, 1] - qy) ** 2
            closer, next_best = d < nearest, d < second
            neighbour = np.where(closer, owner, np.where(next_best, index, neighbour))
            second = np.where(closer, nearest, np.where(next_best, d, second))
            owner = np.where(closer, index, owner)
            nearest = np.where(closer, d, nearest)
        pane[inside] = first + owner
        # Distance to the bisector of the two nearest points.
        apart = np.hypot(*(q[owner] - q[neighbour]).T) + 1e-6
        gap[inside] = (second - nearest) / (2 * apart)
        choices = np.stack([rgb(c) for c in COLOURS[int(number)]])
        table = choices[rng.integers(0, len(choices), len(points))] * rng.uniform(0.78, 1.12, (len(points), 1))
        colour[inside] = table[owner]
        first += len(points)
    return pane, gap, np.clip(colour, 0, 1)


def render(width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(1250)
    x, y = grid(width, height)
    px = height / 768
    bend = 0.006
    xb = x + bend * fbm(rng, width, height, 60 * px, 3)
    yb = y + bend * fbm(rng, width, height, 60 * px, 3)
    part = regions(xb, yb)
    pane, gap, colour = panes(rng, xb, yb, part)

    # Lead: between panes thin, between parts broad.
    border = np.zeros(x.shape, np.float32)
    for axis in (0, 1):
        change = np.diff(part, axis=axis) != 0
        index = [slice(None), slice(None)]
        index[axis] = slice(0, -1)
        border[tuple(index)] = np.maximum(border[tuple(index)], change)
    broad = blur(border, 3.0 * px)
    lead = np.maximum(smoothstep(0.0048, 0.0030, gap), smoothstep(0.05, 0.08, broad * px))

    # Glass: streaks and bubbles of each pane, thinner glass and more light towards its middle.
    turn = rng.uniform(0, 2 * np.pi, pane.max() + 1)[pane]
    along = np.cos(turn) * x + np.sin(turn) * y
    streaks = np.sin(along * 150 + 9 * fbm(rng, width, height, 40 * px, 4)) * 0.06
    ripple = fbm(rng, width, height, 14 * px, 4) * 0.30
    fine = noise(rng, width, height, 2.2 * px) * 0.045
    middle = smoothstep(0.0, 0.022, gap)
    light = 0.70 + 0.42 * middle + streaks + ripple + fine
    r = np.hypot(x - SUN[0], y - SUN[1])
    light *= 0.86 + 0.42 * np.exp(-((r / 0.45) ** 2))
    glass = np.clip(colour * light[..., None], 0, 1.25)
    glass = mix(glass, np.ones(3), 0.34 * np.clip(light - 1.02, 0, 1))
    # Light scattered over the lead.
    glow = blur(np.clip(glass * (1 - lead[..., None]), 0, 1), 9 * px)
    relief = blur(lead, 1.2 * px)
    dy, dx = np.gradient(relief)
    shine = np.clip((-dx - dy) * 2.2, 0, 1)
    metal = 0.055 + 0.06 * noise(rng, width, height, 3 * px)[..., None] * 0.5 + 0.30 * shine[..., None] + 0.22 * glow
    return np.clip(glass * (1 - lead[..., None]) + metal * lead[..., None] + 0.10 * glow, 0, 1)
