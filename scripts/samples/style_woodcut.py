"""A woodcut: black lines whose width carries the tone, cut along the form of each part, over three flat inks."""

import numpy as np

from canvas import blur, fbm, grid, mix, noise, palette, rgb, smoothstep

SUN = (0.86, 0.40)


def peaks(rng, x, summits, steepness):
    """A mountain range: its line (1, width), and for each column the summit it belongs to, as x."""
    column = x[0]
    heights = []
    for cx, top in summits:
        rough = sum(
            0.020 / 1.7**octave * np.interp(column * 7 * 2**octave, np.arange(400), rng.uniform(-1, 1, 400))
            for octave in range(6)
        )
        heights.append(top + np.abs(column - cx) ** 0.92 * steepness + rough * np.minimum(1, np.abs(column - cx) * 14))
    heights = np.stack(heights)
    return heights.min(0)[None, :], np.array([s[0] for s in summits])[heights.argmin(0)][None, :]


def lines(phase, period, darkness, ragged, pixels=None):
    """Ink (0..1) of parallel lines: their share of the period is `darkness`; a period is `pixels` long, for soft edges."""
    share = np.clip(darkness + 0.16 * ragged, 0, 1)
    position = np.abs((phase / period) % 1.0 - 0.5) * 2
    soft = 1.6 / (period if pixels is None else pixels)
    return smoothstep(1 - share - soft, 1 - share + soft, position) * (share > 0.03)


def pine(rng, x, y, cx, bottom, size):
    """A conifer as a mask and the white cuts in it."""
    v = (bottom - y) / size
    teeth = (v * 9 + 0.35 * np.sin(37 * cx)) % 1.0
    half = 0.30 * size * np.clip(1 - v, 0, 1) * (0.55 + 0.55 * (1 - teeth)) + 0.006 * size
    lean = 0.012 * np.sin(9 * v + cx * 50) * size
    inside = (np.abs(x - cx - lean) < half) & (v > 0) & (v < 1)
    trunk = (np.abs(x - cx) < 0.022 * size) & (v > -0.06) & (v <= 0.05)
    cuts = (np.sin((v * 9 + np.abs(x - cx) / size * 11) * 6.2832) > 0.72) & (x > cx + 0.1 * half)
    return inside | trunk, cuts & inside


def render(width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(1511)
    x, y = grid(width, height)
    px = height / 768
    xs, ys = x * height / px, y * height / px
    broad = fbm(rng, width, height, 150 * px, 3)
    ragged = noise(rng, width, height, 5 * px, 6) * 0.7 + noise(rng, width, height, 17 * px, 3) * 0.6
    sx, sy = SUN
    r = np.hypot(x - sx, y - sy)
    angle = np.arctan2(y - sy, x - sx)

    paper = palette(["#f2e6c8", "#ecdcb4", "#f6eccf"], 0.5 + 0.5 * fbm(rng, width, height, 90 * px, 5))
    # Sky: rays that swell away from the sun, bent clouds left white.
    inks = mix(paper, rgb("#e2903a"), 0.85 * smoothstep(0.75, 0.12, r + 0.10 * broad))
    inks = mix(inks, rgb("#4f8f96"), 0.75 * smoothstep(0.35, 0.95, r + 0.12 * broad))
    rays = angle / (2 * np.pi) * 108
    share = np.clip(0.10 + 0.62 * (r - 0.16), 0, 0.62)
    cloud = fbm(rng, width, height, 60 * px, 4, 4.0)
    share = np.where(cloud > 0.13, 0.0, share)
    black = lines(rays, 1.0, share, ragged * 0.8, 2 * np.pi * r * height / 108) * (r > 0.13)
    black = np.maximum(black, lines(ys + 26 * broad, 9.0, 0.36, ragged) * (cloud > 0.16) * (cloud < 0.24))
    inks = mix(inks, rgb("#f6ecd2"), smoothstep(0.11, 0.16, cloud))
    inks = mix(inks, rgb("#c9371f"), smoothstep(0.118, 0.112, r))

    # Mountains: the side away from the sun nearly black, cut along the fall of the slope; snow above.
    ranges = [
        ([(0.30, 0.36), (0.56, 0.29), (0.74, 0.43), (1.12, 0.34), (0.05, 0.45)], 1.15, "#9db7ae", 7.0, 0.16),
        ([(0.16, 0.50), (0.44, 0.46), (0.95, 0.49), (1.25, 0.43)], 0.75, "#3f7f86", 8.0, 0.05),
        ([(0.02, 0.58), (0.33, 0.60), (0.66, 0.585), (1.10, 0.59), (1.34, 0.57)], 0.42, "#2b5f5c", 9.0, 0.0),
    ]
    for summits, steepness, ink, period, snowline in ranges:
        top, summit = peaks(rng, x, summits, steepness)
        inside = y > top
        depth = y - top
        # The edge between light and shade zigzags down from the summit.
        fold = 0.030 * np.sin(y * 46 + 20 * summit) + 0.05 * fbm(rng, width, height, 70 * px, 4, 0.6)
        side = (x - summit + fold) * np.where(summit < sx, 1, -1)
        spur = 0.5 + 0.5 * np.sin((x - summit) * 40 + depth * 16 + 6 * fold / 0.05)
        lit = smoothstep(-0.012, 0.012, side) * (0.55 + 0.45 * spur)
        dark = np.clip(0.93 - 0.82 * lit - 0.8 * depth * (1 - lit), 0.06, 0.95)
        lean = np.where(side > 0, 1.0, -1.0) * np.where(summit < sx, -0.85, 0.85)
        cut = lines(xs + lean * ys + 10 * broad, period, dark, ragged, period * 0.76)
        cut = np.maximum(cut, smoothstep(0.005, 0.0025, depth))
        inks = np.where(inside[..., None], mix(paper, rgb(ink), 0.35 + 0.6 * (1 - lit)), inks)
        snow = inside & (depth < snowline * (0.55 + 0.45 * np.sin(x * 75 + 3 * broad)) - 0.7 * np.maximum(0, y - 0.42))
        inks = np.where(snow[..., None], mix(rgb("#5f86a0"), rgb("#fbf4e2"), lit), inks)
        cut = np.where(snow & (lit > 0.3), cut * 0.12, cut)
        black = np.where(inside, cut, black)

    # The lake: long horizontal cuts, the sun's path left open.
    shore = 0.735 + 0.006 * np.sin(x * 23) + 0.004 * np.sin(x * 61)
    lake = y > shore
    path = np.exp(-(((x - sx) / (0.05 + 0.32 * (y - 0.72))) ** 2))
    ripple = ys + 3.2 * np.sin(xs / 21 + 5 * broad) + 10 * noise(rng, width, height, 22 * px, 6)
    dark = np.clip(0.70 - 0.62 * path - 0.35 * (y - 0.73), 0.06, 0.9)
    black = np.where(lake, lines(ripple, 8.5, dark, ragged * 1.4), black)
    water = mix(mix(paper, rgb("#2f7f8a"), 0.9), rgb("#e8893a"), path * (0.6 + 0.4 * np.sin(ripple * 0.75)))
    inks = np.where(lake[..., None], water, inks)
    black = np.where(lake & (y < shore + 0.006), 1.0, black)

    # Near bank with grass cuts, and conifers.
    bank = 0.90 - 0.10 * np.exp(-(((x - 0.05) / 0.36) ** 2)) - 0.07 * np.exp(-(((x - 1.36) / 0.2) ** 2)) + 0.01 * np.sin(40 * x)
    near = y > bank
    grass = lines(xs * 0.9 + 12 * np.sin(ys / 15) + 22 * broad, 8.0, 0.62, ragged * 2.2)
    black = np.where(near, np.maximum(grass, smoothstep(0.008, 0.004, y - bank)), black)
    inks = np.where(near[..., None], mix(paper, rgb("#6f8a3c"), 0.95), inks)
    places = [(0.05, 0.60), (0.17, 0.44), (0.27, 0.52), (0.36, 0.30), (0.43, 0.22), (1.30, 0.40), (1.22, 0.26), (1.15, 0.18)]
    for cx, size in places:
        bottom = 0.93 - 0.10 * np.exp(-(((cx - 0.05) / 0.36) ** 2)) - 0.06 * np.exp(-(((cx - 1.36) / 0.2) ** 2))
        body, cuts = pine(rng, x, y, cx, bottom, size)
        inks = np.where(body[..., None], mix(paper, rgb("#4d7a4a"), 0.9), inks)
        black = np.where(body, np.where(cuts, 0.0, 1.0), black)
    for cx, cy, s in [(0.55, 0.20, 0.028), (0.61, 0.235, 0.021), (0.50, 0.255, 0.017)]:
        wing = np.abs(x - cx)
        bird = np.abs(y - cy + 0.6 * wing * (1 - wing / s) - 0.1 * s) < 0.09 * s + 0.10 * (s - wing)
        black = np.where(bird & (wing < s), 1.0, black)

    # Printing: ink that did not take everywhere, the grain of the block, a border.
    grain = noise(rng, width, height, 3 * px, 28) * 0.5 + noise(rng, width, height, 2 * px, 2) * 0.5
    black = black * smoothstep(-0.98, -0.55, grain + 0.25 * broad)
    inks = np.clip(inks * (1 + 0.045 * grain[..., None]), 0, 1)
    picture = mix(inks, rgb("#16130f"), np.clip(black, 0, 1) * 0.96)
    edge = np.minimum.reduce([x, y, width / height - x, 1 - y]) + 0.004 * ragged * 0.5
    return mix(paper, picture, smoothstep(0.016, 0.019, edge))
