"""An ink painting on paper: mountains washed into mist, a pine on a rock, a boat, a red sun and a seal."""

import numpy as np
from PIL import Image, ImageDraw

from canvas import blur, fbm, grid, mix, noise, rgb, smoothstep

INK = rgb("#15161c")


def wash(rng, tone, edge_mask, px):
    """Makes a flat tone into a wash: pigment gathers at the wet edge and in the paper's grain."""
    height, width = tone.shape
    rim = np.clip(edge_mask - blur(edge_mask, 2.5 * px), 0, 1)
    grain = fbm(rng, width, height, 26 * px, 5)
    fine = noise(rng, width, height, 2.0 * px)
    return np.clip(tone * (1 + 0.55 * grain + 0.16 * fine) + 0.55 * rim * tone.clip(0.1, 1), 0, 1)


def mountain_line(rng, column, peaks):
    line = np.full(column.shape, 1.2)
    for cx, top, spread in peaks:
        body = top + 0.30 * np.abs((column - cx) / spread) ** 0.9
        line = np.minimum(line, body)
    rough = sum(
        0.034 / 1.7**o * np.interp(column * 7 * 2**o, np.arange(900), rng.uniform(-1, 1, 900)) for o in range(6)
    )
    return line + rough


class Brush:
    """Tapered, dry strokes into a mask of ink at three times the size."""

    def __init__(self, rng, width, height, scale=3):
        self.rng, self.width, self.height, self.scale = rng, width, height, scale
        self.mask = Image.new("L", (width * scale, height * scale), 0)
        self.pen = ImageDraw.Draw(self.mask)

    def line(self, points, start, end, ink=0.9, bristles=9, dry=0.25):
        """From width `start` to `end` (pixels), as bristles that run dry towards the end."""
        points = np.asarray(points, np.float64)
        t = np.linspace(0, 1, 24)
        knots = np.linspace(0, 1, len(points))
        path = np.stack([np.interp(t, knots, points[:, a]) for a in (0, 1)], 1)
        for _ in range(2):
            path[1:-1] = (path[:-2] + 2 * path[1:-1] + path[2:]) / 4
        tangent = np.gradient(path, axis=0)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        thickness = start + (end - start) * t
        bristles = max(2, min(bristles, int(max(start, end)) + 1))
        for offset in np.linspace(-0.5, 0.5, bristles):
            stop = len(t) if self.rng.random() > dry else self.rng.integers(8, len(t))
            line = (path + normal * (offset * thickness)[:, None])[:stop] * self.scale
            value = int(np.clip(ink + self.rng.normal(0, 0.10), 0.1, 1) * 255)
            wide = max(1, int(np.mean(thickness) / bristles * self.scale * 1.5))
            self.pen.line([tuple(p) for p in line], fill=value, width=wide, joint="curve")

    def result(self):
        reduced = self.mask.resize((self.width, self.height), Image.Resampling.LANCZOS)
        return np.asarray(reduced, np.float32) / 255


def branch(brush, rng, x, y, angle, length, width, depth, tips):
    """A pine's crooked bough; needles come at `tips`."""
    points = [(x, y)]
    for _ in range(5):
        angle += rng.normal(0, 0.28)
        x += np.cos(angle) * length / 5
        y += np.sin(angle) * length / 5
        points.append((x, y))
    brush.line(points, width, width * 0.55, 0.95, 10, 0.35)
    if depth == 0:
        tips.extend(points[2:])
        return
    tips.append(points[-1])
    for side in (-1, 1, rng.choice([-1, 1])):
        px_, py_ = points[rng.integers(3, 6)]
        branch(brush, rng, px_, py_, angle * 0.45 + side * rng.uniform(0.35, 0.9), length * rng.uniform(0.5, 0.72), width * 0.5, depth - 1, tips)


def pine(brush, rng, px):
    tips: list[tuple[float, float]] = []
    trunk = [(1060, 800), (1010, 640), (1040, 540), (975, 450), (990, 350), (920, 280), (870, 250)]
    trunk = [(a * px, b * px) for a, b in trunk]
    brush.line(trunk, 46 * px, 10 * px, 0.85, 26, 0.5)
    for index, angle, length in [(2, -2.9, 250), (3, 0.15, 190), (3, -2.75, 330), (4, -0.35, 200), (5, -2.7, 240), (5, -0.6, 170), (6, -2.4, 150)]:
        branch(brush, rng, *trunk[index], angle, length * px, 15 * px, 2, tips)
    for tx, ty in tips:
        for _ in range(3):
            cx, cy = tx + rng.normal(0, 9 * px), ty + rng.normal(0, 5 * px)
            size = rng.uniform(13, 24) * px
            shade = rng.uniform(0.45, 0.98)
            for a in np.linspace(np.pi * 1.02, np.pi * 1.98, 13):
                a += rng.normal(0, 0.07)
                brush.line([(cx, cy), (cx + np.cos(a) * size, cy + np.sin(a) * size * 0.8)], 1.5 * px, 0.8 * px, shade, 2, 0)


def render(width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(1420)
    x, y = grid(width, height)
    px = height / 768
    fibres = noise(rng, width, height, 2 * px, 22) * 0.35 + noise(rng, width, height, 16 * px, 0.13) * 0.3
    paper = mix(rgb("#efe4c9"), rgb("#ddcaa2"), 0.45 + 0.4 * fbm(rng, width, height, 160 * px, 5) + 0.25 * fibres)
    picture = paper * (1 - 0.10 * smoothstep(0.45, 0.95, np.hypot((x - 0.67) / 0.9, y - 0.5)))[..., None]

    # The sun, soft at its rim, behind everything.
    r = np.hypot(x - 0.36, y - 0.25)
    sun = smoothstep(0.098, 0.088, r + 0.006 * fbm(rng, width, height, 20 * px)) * (0.82 + 0.3 * fbm(rng, width, height, 30 * px))
    picture = mix(picture, picture * rgb("#d9402a"), np.clip(sun, 0, 1))

    ranges = [
        ([(0.72, 0.18, 0.42), (1.02, 0.30, 0.30), (0.30, 0.38, 0.26)], 0.50, 0.20, "#56627a"),
        ([(0.55, 0.32, 0.20), (0.86, 0.40, 0.22), (0.12, 0.44, 0.24)], 0.80, 0.16, "#3a4458"),
        ([(0.20, 0.55, 0.20), (0.42, 0.62, 0.20), (0.70, 0.60, 0.16)], 1.05, 0.13, "#20252f"),
    ]
    for peaks, strength, fall, tint in ranges:
        line = mountain_line(rng, x[0], peaks)[None, :]
        depth = y - line
        inside = smoothstep(-0.002, 0.003, depth)
        mist = np.exp(-np.clip(depth, 0, 2) / fall * (1.4 + 0.5 * fbm(rng, width, height, 130 * px, 3)))
        # Texture strokes that fall from the ridge.
        lean = x * 150 + depth * 60 * np.sign(np.gradient(line[0]))[None, :] + 8 * fbm(rng, width, height, 40 * px, 4)
        cracks = smoothstep(0.25, 0.9, np.sin(lean) * 0.6 + fbm(rng, width, height, 24 * px, 4, 0.45) * 1.3)
        tone = strength * mist * (0.38 + 0.95 * cracks) * inside
        picture = mix(picture, rgb(tint), wash(rng, tone, inside, px))
        fog = blur(inside, 10 * px) * smoothstep(fall * 0.9, fall * 2.4, depth + 0.03 * fbm(rng, width, height, 90 * px, 3, 3.0))
        picture = mix(picture, paper, 0.75 * fog)

    # Water: a few broken strokes; reeds; a boat with its man.
    brush = Brush(rng, width, height)
    for _ in range(46):
        wy = rng.uniform(0.80, 0.97) * 768
        wx = rng.uniform(-40, 760)
        length = rng.uniform(40, 190) * (wy / 768)
        bow = rng.uniform(-3, 4)
        brush.line(np.array([(wx, wy), (wx + length / 2, wy + bow), (wx + length, wy)]) * px, 3.2 * px, 0.8 * px, rng.uniform(0.12, 0.4), 4, 0.7)
    boat = np.array([(300, 838 - 100), (335, 756), (390, 758), (436, 734)]) * px
    brush.line(boat, 7 * px, 5 * px, 0.95, 8, 0.1)
    brush.line(np.array([(352, 752), (356, 722), (362, 700)]) * px, 9 * px, 5 * px, 0.9, 6, 0.1)
    brush.line(np.array([(346, 702), (360, 690), (376, 702)]) * px, 5 * px, 3 * px, 0.95, 4, 0.1)
    brush.line(np.array([(366, 690), (372, 730), (380, 790)]) * px, 1.8 * px, 1.2 * px, 0.9, 2, 0)
    for bx, by, s in [(500, 190, 17), (545, 168, 13), (470, 152, 10), (590, 205, 11)]:
        brush.line(np.array([(bx - s, by - s * 0.45), (bx - s * 0.4, by - s * 0.5), (bx, by)]) * px, 1.2 * px, 3 * px, 0.85, 3, 0)
        brush.line(np.array([(bx, by), (bx + s * 0.45, by - s * 0.55), (bx + s, by - s * 0.3)]) * px, 3 * px, 1.2 * px, 0.85, 3, 0)
    pine(brush, rng, px)
    # The rock under the pine: broad dry strokes.
    for _ in range(70):
        sx, sy = rng.uniform(800, 1060), rng.uniform(660, 800)
        if sy < 860 - 0.42 * (sx - 560):
            continue
        brush.line(np.array([(sx, sy), (sx + 25, sy + rng.uniform(8, 30)), (sx + 62, sy + rng.uniform(30, 80))]) * px, 18 * px, 7 * px, rng.uniform(0.35, 0.95), 12, 0.75)
    strokes = brush.result()
    bleed = blur(strokes, 3.5 * px)
    dry = smoothstep(-0.75, 0.1, noise(rng, width, height, 2.2 * px, 2.5) + 1.2 * strokes)
    ink = np.clip(wash(rng, strokes, strokes, px) * (0.55 + 0.45 * dry) + 0.22 * bleed, 0, 0.97)
    picture = mix(picture, INK, ink)

    # Splashes, and the seal.
    drops = noise(rng, width, height, 4 * px) * noise(rng, width, height, 9 * px)
    picture = mix(picture, INK, 0.40 * smoothstep(0.72, 0.80, drops))
    u, v = (x - 0.075) / 0.055, (y - 0.86) / 0.075
    seal = (np.maximum(np.abs(u), np.abs(v)) < 0.5) & (noise(rng, width, height, 3 * px) > -0.85)
    glyph = (np.sin(u * 19) * np.sin(v * 23 + 2 * np.sin(u * 9)) > 0.32) & (np.maximum(np.abs(u), np.abs(v)) < 0.42)
    picture = mix(picture, rgb("#b3231c"), (seal & ~glyph) * 0.88)
    return np.clip(picture * (1 + 0.05 * fibres[..., None]), 0, 1)
