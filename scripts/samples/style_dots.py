"""A river afternoon in dots of pure colour (pointillism): every dot leans to a pure hue or to its opposite."""

import numpy as np
from PIL import Image, ImageDraw

from canvas import fbm, grid, mix, palette, rgb, smoothstep

PURE = np.stack([rgb(c) for c in ["#1f4fd0", "#f28a1c", "#f6d52c", "#2f9e4a", "#7b3fb0", "#e0453a", "#35b0d8", "#fbf3d8"]])


def scene(rng, width, height):
    """The picture under the dots: evening sky, far bank with trees, sails on the water, a shaded lawn."""
    x, y = grid(width, height)
    px = height / 768
    broad = fbm(rng, width, height, 150 * px, 4, 2.0)
    picture = palette(["#5a9bd8", "#8fc0e0", "#f3dfb0", "#f8b878", "#f09a80"], y / 0.50 + 0.20 * broad)
    clouds = fbm(rng, width, height, 110 * px, 5, 2.6)
    picture = mix(picture, rgb("#fdeedd"), smoothstep(0.05, 0.30, clouds) * smoothstep(0.48, 0.15, y))
    picture = mix(picture, rgb("#c79bc0"), smoothstep(0.0, 0.12, clouds) * smoothstep(0.24, 0.1, clouds) * (y < 0.44) * 0.7)
    sun = np.hypot(x - 0.98, y - 0.30)
    picture = mix(picture, rgb("#fff3b0"), np.exp(-((sun / 0.16) ** 2)) * 0.9)

    bank = 0.50 + 0.008 * np.sin(9 * x)
    trees = bank - 0.045 - 0.05 * np.abs(fbm(rng, width, 1, 90 * px, 4)) - 0.09 * np.exp(-(((x - 0.25) / 0.22) ** 2))
    crowns = fbm(rng, width, height, 40 * px, 4)
    far = palette(["#2a4a7a", "#2f7a5a", "#7ab04a", "#e8c64a"], 0.45 + 0.9 * crowns)
    picture = np.where(((y > trees) & (y < bank))[..., None], far, picture)

    # Water mirrors what is above it, broken by ripples.
    water = y >= bank
    mirror = np.clip(2 * bank - y + 0.012 * np.sin(y * 260 + 6 * broad) * (y - 0.48) * 6, 0, 0.999)
    rows = np.clip((mirror * height).astype(int), 0, height - 1)
    columns = np.arange(width)[None, :] + (7 * px * np.sin(y * 180 + 4 * broad)).astype(int)
    reflected = picture[rows, np.clip(columns, 0, width - 1)]
    picture = np.where(water[..., None], mix(reflected, rgb("#2f6fb8"), 0.34), picture)
    glitter = np.exp(-(((x - 0.98) / (0.05 + 0.25 * (y - 0.5).clip(0))) ** 2)) * (np.sin(y * 300 + 9 * broad) > -0.2)
    picture = mix(picture, rgb("#ffe28a"), 0.8 * glitter * water)
    for cx, base, size in [(0.47, 0.56, 0.15), (0.63, 0.535, 0.09), (0.80, 0.62, 0.22), (1.16, 0.545, 0.08)]:
        u, v = (x - cx) / size, (base - y) / size
        sail = (v > 0.08) & (v < 1) & (u > -0.02) & (u < 0.42 * (1 - v) + 0.04 * np.sin(3 * v))
        jib = (v > 0.08) & (v < 0.8) & (u < -0.04) & (u > -0.26 * (0.8 - v) / 0.8)
        hull = (v <= 0.05) & (v > -0.05) & (np.abs(u) < 0.36 + v)
        glow = (v < -0.05) & (v > -0.7) & (np.abs(u - 0.1) < 0.2 * (1 + v)) & (np.sin(y * 330) > -0.3)
        picture = mix(picture, mix(np.ones(3) * rgb("#fff4dc"), rgb("#f2b26a"), smoothstep(0.0, 0.4, u)), sail)
        picture = mix(picture, rgb("#e9c8d8"), jib)
        picture = mix(picture, rgb("#6a2f3a"), hull)
        picture = mix(picture, rgb("#fbeac8"), glow * 0.6)

    # The lawn with long shadows, a poplar row at the left, a figure with a parasol.
    lawn = 0.775 + 0.075 * np.sin(2.9 * x) - 0.03 * np.exp(-(((x - 1.1) / 0.2) ** 2))
    grass = palette(["#1f5f4a", "#3f9a3f", "#9ccb3a", "#f0dc5a"], 0.55 + 0.55 * np.sin((x * 0.6 + y * 2.1) * 21 + 4 * broad) * 0.6 + 0.5 * crowns)
    picture = np.where((y > lawn)[..., None], grass, picture)
    for cx, foot, half, top in [(0.07, 0.80, 0.065, 0.10), (0.20, 0.82, 0.055, 0.20), (0.315, 0.84, 0.042, 0.31)]:
        v = (foot - y) / (foot - top)
        shape = (v > 0) & (v < 1) & (np.abs(x - cx) < half * np.sqrt(np.clip(v, 0, 1)) * (1.25 - v) * (1 + 0.35 * crowns))
        leaf = palette(["#16335a", "#1f6a4a", "#5aa43a", "#e2c03a"], 0.42 + 0.9 * crowns - 2.2 * (cx - x) / half * 0.16)
        picture = np.where(shape[..., None], leaf, picture)
        shadow = (y > foot) & (np.abs(x - cx - 0.9 * (y - foot)) < half * 0.7) & (y > lawn)
        picture = mix(picture, rgb("#24427a"), shadow * 0.65)
    cx, foot = 1.02, 0.93
    v = (foot - y) / 0.20
    skirt = (v > 0) & (v < 0.62) & (np.abs(x - cx - 0.012 * v) < 0.052 - 0.055 * v)
    body = (v >= 0.58) & (v < 0.84) & (np.abs(x - cx - 0.01) < 0.016)
    head = np.hypot(x - cx - 0.012, y - foot + 0.183) < 0.015
    r = np.hypot(x - cx - 0.045, (y - foot + 0.195) * 1.5)
    parasol = (r < 0.075) & (y < foot - 0.195)
    for mask, colour in [(skirt, "#7a2f8a"), (body, "#4a2a7a"), (head, "#f0b890"), (parasol, "#ef4a3a")]:
        picture = mix(picture, rgb(colour), mask)
    picture = mix(picture, rgb("#24427a"), (np.hypot((x - cx - 0.05) / 3, y - foot - 0.008) < 0.018) * 0.75)
    return picture


def render(width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(1884)
    under = scene(rng, width, height)
    px = height / 768
    scale = 2
    ground = mix(under, rgb("#e9dcc0"), 0.35)
    canvas = Image.fromarray((np.clip(ground, 0, 1) * 255).astype(np.uint8)).resize((width * scale, height * scale))
    pen = ImageDraw.Draw(canvas)
    for spacing, radius, leaning in [(6.5, 4.6, 0.22), (4.6, 3.2, 0.34), (4.3, 2.4, 0.44)]:
        step = spacing * px
        cx, cy = np.meshgrid(np.arange(0, width, step), np.arange(0, height, step))
        places = np.stack([cx.ravel(), cy.ravel()], 1)
        places = rng.permutation(places + rng.uniform(-0.62, 0.62, places.shape) * step)
        columns = places[:, 0].astype(int).clip(0, width - 1)
        rows = places[:, 1].astype(int).clip(0, height - 1)
        colours = under[rows, columns]
        # Pure hues close to the wanted colour, now and then the one opposite to it.
        far = ((colours[:, None] - PURE[None]) ** 2).sum(-1) + rng.uniform(0, 0.5, (len(colours), len(PURE)))
        lean = PURE[far.argmin(1)]
        opposite = rng.random(len(colours)) < 0.10
        lean[opposite] = (1.05 - colours[opposite])[:, ::1].clip(0, 1)
        amount = (leaning * rng.uniform(0.3, 1.3, (len(colours), 1))).clip(0, 0.8)
        mixed = colours * (1 - amount) + lean * amount + rng.normal(0, 0.035, (len(colours), 1))
        for (a, b), colour in zip(places, mixed.clip(0, 1)):
            r = radius * px * rng.uniform(0.72, 1.2) * scale
            box = (a * scale - r, b * scale - r * 0.92, a * scale + r, b * scale + r * 0.92)
            pen.ellipse(box, fill=tuple(int(c * 255) for c in colour))
    picture = np.asarray(canvas.resize((width, height), Image.Resampling.LANCZOS), np.float32) / 255
    weave = 0.5 * np.sin(np.arange(width) * 2.1)[None, :] + 0.5 * np.sin(np.arange(height) * 2.1)[:, None]
    return np.clip(picture * (1 + 0.014 * weave[..., None]), 0, 1)
