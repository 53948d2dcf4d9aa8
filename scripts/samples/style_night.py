"""A night sky in swirling brush strokes over a village: the flow of the paint is a stream function of vortices and stars."""

import numpy as np

from brush import Painting
from canvas import fbm, grid, mix, palette, rgb, smoothstep

SKY = ["#0b1438", "#16307a", "#1f58a8", "#3f86c4", "#86b9d6", "#cfe0c8"]
STAR = ["#fff6c4", "#fbdc5a", "#e9a92a", "#8fb07e", "#2f6aa8"]
STARS = [  # x, y, radius
    (0.16, 0.17, 0.075),
    (0.40, 0.10, 0.055),
    (0.66, 0.24, 0.060),
    (0.50, 0.34, 0.040),
    (0.93, 0.10, 0.060),
    (0.30, 0.33, 0.045),
    (1.00, 0.36, 0.045),
]
MOON = (1.20, 0.18, 0.115)
VORTICES = [  # x, y, radius, turn
    (0.56, 0.20, 0.17, 1.0),
    (0.80, 0.30, 0.12, -1.0),
    (0.18, 0.40, 0.13, -0.8),
]


def stream(x: np.ndarray, y: np.ndarray, wobble: np.ndarray) -> np.ndarray:
    """The sky's stream function: wind from the left, wrapped around vortices and stars."""
    psi = y + 0.06 * np.sin(3.3 * x + 1) + 0.05 * wobble
    for cx, cy, radius, turn in VORTICES:
        r = np.hypot(x - cx, y - cy)
        psi = psi + turn * 0.55 * radius * np.exp(-((r / radius) ** 2)) * (1 + r / radius)
    for cx, cy, radius in [*STARS, MOON]:
        r = np.hypot(x - cx, y - cy)
        near = np.exp(-((r / (1.5 * radius)) ** 4))
        psi = psi * (1 - near) + near * 1.6 * r
    return psi


def sky(x, y, psi, wobble):
    bands = 0.5 + 0.5 * np.sin(psi * 46)
    glow = np.zeros_like(x)
    for cx, cy, radius, _ in VORTICES:
        glow += 0.5 * np.exp(-((np.hypot(x - cx, y - cy) / radius) ** 2))
    picture = palette(SKY, 0.16 + 0.34 * bands + 0.26 * glow + 0.22 * wobble + 0.3 * smoothstep(0.3, 0.62, y))
    for cx, cy, radius in [*STARS, MOON]:
        r = np.hypot(x - cx, y - cy) / radius
        rings = palette(STAR, r * 0.62 + 0.06 * np.sin(r * 16))
        picture = mix(picture, rings, np.exp(-((r / 1.25) ** 4)) * (0.55 + 0.45 * np.cos(r * 9) ** 2))
        picture = mix(picture, rgb("#fff8d8"), smoothstep(0.42, 0.3, r))
    r = np.hypot(x - MOON[0], y - MOON[1])
    bite = np.hypot(x - MOON[0] - 0.028, y - MOON[1] + 0.012)
    crescent = smoothstep(0.062, 0.056, r) * smoothstep(0.046, 0.052, bite)
    return mix(picture, rgb("#f6a821"), crescent)


def ridge(x: np.ndarray, base: float, parts: list[tuple[float, float, float]]) -> np.ndarray:
    return base + sum(a * np.sin(f * x + p) for a, f, p in parts)


def houses(rng, x, y, picture, mask):
    """Small houses with lit windows and a church, along the foot of the hills."""
    for index in range(17):
        cx = 0.34 + index * 0.061 + rng.uniform(-0.012, 0.012)
        bottom = 0.87 + 0.03 * np.sin(cx * 4) + rng.uniform(-0.02, 0.03)
        w, h = rng.uniform(0.028, 0.045), rng.uniform(0.03, 0.05)
        u, v = (x - cx) / w, (bottom - y) / h
        wall = (np.abs(u) < 0.5) & (v > 0) & (v < 1)
        roof = (v >= 1) & (v < 1.75) & (np.abs(u) < 0.62 * (1.75 - v) / 0.75)
        picture = mix(picture, rgb(rng.choice(["#35507e", "#4a6a90", "#27406e", "#5b7a8c"])), wall)
        picture = mix(picture, rgb(rng.choice(["#7a3b2a", "#8a5230", "#2b3a5c", "#5f3140"])), roof)
        window = (np.abs(u - 0.1) < 0.17) & (np.abs(v - 0.5) < 0.2)
        picture = mix(picture, rgb("#ffd34a"), window)
        mask |= wall | roof
    tower = (np.abs(x - 0.82) < 0.014) & (y > 0.70) & (y < 0.86)
    spire = (y > 0.52) & (y <= 0.70) & (np.abs(x - 0.82) < 0.016 * (y - 0.52) / 0.18)
    picture = mix(picture, rgb("#41608c"), tower)
    picture = mix(picture, rgb("#22345e"), spire)
    mask |= tower | spire
    return picture


def render(width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(1889)
    x, y = grid(width, height)
    wobble = fbm(rng, width, height, 180, 4)
    psi = stream(x, y, wobble)
    dy, dx = np.gradient(psi)
    field = np.stack([dy, -dx], -1)
    picture = sky(x, y, psi, wobble)

    layers = [
        (ridge(x, 0.60, [(0.05, 3.1, 0.4), (0.02, 8.0, 2.0)]), ["#1c3f86", "#2f62a6", "#5f93bc"]),
        (ridge(x, 0.69, [(0.045, 2.6, 2.6), (0.015, 7.0, 0.3)]), ["#12306a", "#27598c", "#4f8a96"]),
        (ridge(x, 0.78, [(0.03, 3.7, 4.4), (0.012, 9.0, 1.0)]), ["#123a4e", "#2c6a55", "#87a04e"]),
        (ridge(x, 0.90, [(0.02, 5.0, 1.0), (0.010, 11.0, 0.0)]), ["#0d2a38", "#2f5a34", "#a09a40"]),
    ]
    for top, colours in layers:
        inside = smoothstep(top - 0.002, top + 0.002, y)
        depth = y - top
        tone = 0.5 + 0.5 * np.sin(depth * 95 + 5 * wobble) * 0.8 + 0.25 * wobble
        picture = mix(picture, palette(colours, tone), inside)
        slope = np.gradient(top, axis=1) * height
        along = np.stack([np.ones_like(slope), slope / height * 1.0 + 0.5 * np.cos(depth * 40)], -1)
        field = np.where((inside > 0.5)[..., None], along, field)

    small = np.zeros((height, width), bool)
    picture = houses(rng, x, y, picture, small)
    field = np.where(small[..., None], np.array([1.0, 0.12]), field)
    tower = (np.abs(x - 0.82) < 0.018) & small
    field = np.where(tower[..., None], np.array([0.06, 1.0]), field)

    # A cypress: a dark flame in front of everything, twisting upwards.
    centre = 0.165 + 0.018 * np.sin(y * 14) + 0.02 * (1 - y)
    half = 0.10 * np.clip((y - 0.20) / 0.8, 0, 1) ** 0.75 * (1 + 0.16 * np.sin(y * 34) + 0.1 * np.sin(y * 61 + 1))
    cypress = (np.abs(x - centre) < half) & (y > 0.2)
    across = (x - centre) / (half + 1e-6)
    flame = palette(["#0a1a1c", "#173a2a", "#3c5a2a", "#7a5a2c"], 0.45 + 0.45 * np.sin(across * 7 + y * 26) + 0.2 * wobble)
    picture = mix(picture, flame, cypress)
    lean = np.stack([across * 0.5 + 0.55 * np.cos(y * 30 + across * 3), -np.ones_like(x)], -1)
    field = np.where(cypress[..., None], lean, field)

    painting = Painting(rng, picture * 0.75)
    unit = height / 768
    # Broad strokes: a painting is brought to the working size of a few hundred pixels, and they must survive that.
    painting.cover(picture, field, 20 * unit, 27 * unit, 130 * unit, 0.03, 8, None, 0.045)
    painting.cover(picture, field, 14 * unit, 16 * unit, 95 * unit, 0.045, 6, None, 0.05)
    painting.cover(picture, field, 19 * unit, 11 * unit, 60 * unit, 0.07, 5, None, 0.05)
    painting.cover(picture, field, 7 * unit, 6.5 * unit, 18 * unit, 0.03, 3, small)
    return painting.finish(0.014)
