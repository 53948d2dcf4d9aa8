"""A great wave as a colour woodblock print: striped body, clawed foam, a mountain far off, shaded sky, grain of the wood."""

import numpy as np
from PIL import Image, ImageDraw

from canvas import fbm, mix, noise, palette, rgb, smoothstep

INDIGO, BLUE, PALE, FOAM, LINE = "#1d3a6b", "#3a6ea5", "#9cc0cc", "#f4ecd8", "#152447"


def curve(points, count=160):
    """A Catmull-Rom spline through `points` (n, 2), sampled evenly in its parameter."""
    p = np.asarray(points, np.float64)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, len(p) - 3 - 1e-9, count)
    i = t.astype(int)
    f = (t - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    return 0.5 * (2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3)


class Block:
    """Draws in a 1024 x 768 design space, three times as large, with keyblock outlines."""

    def __init__(self, rng, width, height):
        self.rng, self.size = rng, (width, height)
        self.k = 3 * height / 768
        self.image = Image.new("RGB", (width * 3, height * 3), FOAM)
        self.pen = ImageDraw.Draw(self.image)

    def fill(self, points, colour, outline=2.0):
        path = [tuple(p) for p in np.asarray(points) * self.k]
        self.pen.polygon(path, fill=colour)
        if outline:
            self.line(np.concatenate([points, points[:1]]), outline)

    def line(self, points, thickness, colour=LINE):
        """A line that swells and thins like a cut one."""
        path = np.asarray(points) * self.k
        swell = 0.75 + 0.35 * np.sin(np.linspace(0, 9, len(path)) + self.rng.uniform(0, 6))
        for a, b, s in zip(path[:-1], path[1:], swell):
            wide = max(1, round(thickness * s * self.k))
            self.pen.line([tuple(a), tuple(b)], fill=colour, width=wide)
            r = wide / 2
            self.pen.ellipse((b[0] - r, b[1] - r, b[0] + r, b[1] + r), fill=colour)

    def disc(self, x, y, r, colour=FOAM, outline=1.6):
        k = self.k
        if outline:
            o = r + outline
            self.pen.ellipse(((x - o) * k, (y - o) * k, (x + o) * k, (y + o) * k), fill=LINE)
        self.pen.ellipse(((x - r) * k, (y - r) * k, (x + r) * k, (y + r) * k), fill=colour)


def body(block, back, face, stripes, colours):
    """A wave between its back and its face (curves of equal length), striped along its flow."""
    block.fill(np.concatenate([back, face[::-1]]), colours[0], 2.6)
    for s in range(stripes):
        t0, t1 = s / stripes, (s + 0.55) / stripes
        wobble = 0.16 / stripes * np.sin(np.linspace(0, 7, len(back)) + s)[:, None]
        # Stripes taper towards both ends.
        taper = np.sin(np.linspace(0.12, np.pi - 0.05, len(back)))[:, None] ** 0.4
        middle = (t0 + t1) / 2
        low = back + (face - back) * (middle + (t0 - middle) * taper + wobble)
        high = back + (face - back) * (middle + (t1 - middle) * taper + wobble)
        block.fill(np.concatenate([low, high[::-1]]), colours[1 + s % (len(colours) - 1)], 1.3)


def claw(block, x, y, angle, size, depth=1):
    """A finger of foam that hooks over, with smaller ones on it."""
    rng = block.rng
    t = np.linspace(0, 1, 22)
    bend = angle + t * rng.uniform(1.1, 1.7)
    path = np.stack([x + np.cumsum(np.cos(bend)) * size / 22, y + np.cumsum(np.sin(bend)) * size / 22], 1)
    normal = np.stack([-np.sin(bend), np.cos(bend)], 1)
    half = (size * 0.20 * (1 - t) ** 0.75 + 0.6)[:, None]
    block.fill(np.concatenate([path + normal * half, (path - normal * half)[::-1]]), FOAM, 1.7)
    block.line(path[3:15] + normal[3:15] * half[3:15] * 0.25, 0.9, BLUE)
    if depth:
        for at in (5, 10, 15):
            for side in (-1, 1):
                px_, py_ = path[at] + side * normal[at] * half[at]
                claw(block, px_, py_, bend[at] + side * rng.uniform(0.5, 1.1), size * 0.42, depth - 1)


def foam(block, edge, outward, size, spacing):
    """Foam along a curve: knobs behind, claws that reach `outward` (angle offset to the tangent)."""
    rng = block.rng
    tangent = np.arctan2(*np.gradient(edge, axis=0).T[::-1])
    steps = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(edge, axis=0).T))])
    for s in np.arange(0, steps[-1], spacing):
        i = min(int(np.searchsorted(steps, s)), len(edge) - 1)
        grow = size * (0.55 + 0.55 * np.sin(np.pi * s / steps[-1])) * rng.uniform(0.75, 1.2)
        x, y = edge[i] + rng.normal(0, 3, 2)
        claw(block, x, y, tangent[i] + outward + rng.uniform(-0.35, 0.35), grow)
    for s in np.arange(0, steps[-1], spacing * 0.45):
        i = min(int(np.searchsorted(steps, s)), len(edge) - 1)
        x, y = edge[i] + rng.normal(0, size * 0.10, 2)
        block.disc(x, y, size * rng.uniform(0.10, 0.24))
    for s in np.arange(0, steps[-1], spacing * 0.35):
        i = min(int(np.searchsorted(steps, s)), len(edge) - 1)
        x, y = edge[i] + rng.normal(0, size * 0.13, 2)
        block.disc(x, y, size * rng.uniform(0.09, 0.2), FOAM, 0)


def spray(block, x, y, spread, count):
    for _ in range(count):
        angle, far = block.rng.uniform(0, 2 * np.pi), abs(block.rng.normal(0, spread))
        block.disc(x + np.cos(angle) * far * 1.3, y + np.sin(angle) * far * 0.8, block.rng.uniform(1.2, 4.2), FOAM, 1.0)


def draw(block):
    rng = block.rng
    # The mountain, snow above.
    mountain = curve([(500, 622), (600, 570), (690, 505), (740, 462), (762, 449), (784, 460), (850, 512), (960, 570)], 90)
    block.fill(np.concatenate([mountain, [[960, 660], [500, 660]]]), "#4a6c94", 2.2)
    snow = curve([(712, 487), (728, 500), (738, 486), (752, 503), (766, 488), (780, 504), (792, 484), (812, 489)], 60)
    top = mountain[(mountain[:, 0] > 708) & (mountain[:, 0] < 816)]
    block.fill(np.concatenate([top, snow[::-1]]), FOAM, 1.6)
    # Swell behind.
    back = curve([(180, 640), (380, 655), (560, 612), (700, 598), (820, 560), (930, 500), (1040, 470)])
    face = curve([(180, 830), (380, 800), (560, 760), (700, 720), (820, 690), (930, 650), (1040, 640)])
    body(block, back, face, 5, [PALE, INDIGO, BLUE])
    foam(block, back[105:], -1.2, 26, 20)
    # The great wave.
    back = curve([(-60, 560), (40, 395), (150, 225), (290, 112), (420, 92), (530, 140), (596, 232), (600, 310)])
    face = curve([(-60, 860), (90, 800), (250, 740), (340, 600), (372, 440), (420, 320), (500, 275), (585, 322)])
    body(block, back, face, 8, [PALE, INDIGO, BLUE, INDIGO, PALE])
    hollow = curve([(250, 740), (340, 600), (372, 440), (420, 320), (500, 275), (585, 322)])
    foam(block, hollow[60:], 0.9, 52, 26)
    foam(block, back[62:], -0.55, 60, 24)
    foam(block, back[112:], 0.5, 66, 24)
    spray(block, 640, 330, 70, 90)
    spray(block, 520, 90, 70, 60)
    # A boat, half hidden.
    hull = np.concatenate([curve([(470, 640), (560, 684), (680, 690), (800, 640)], 40), curve([(800, 640), (690, 668), (565, 662), (470, 640)], 40)])
    block.fill(hull, "#d8b067", 2.2)
    for i in range(7):
        block.disc(560 + i * 22, 655 + 4 * np.sin(i), 7, "#e8c9a0", 1.6)
        block.fill(np.array([[550 + i * 22, 672], [556 + i * 22, 658], [568 + i * 22, 658], [574 + i * 22, 674]]), "#2c4f86", 1.4)
    # The near wave.
    back = curve([(300, 900), (420, 770), (540, 700), (660, 712), (780, 742), (900, 690), (1060, 610)])
    face = curve([(300, 960), (420, 900), (540, 850), (660, 850), (780, 880), (900, 860), (1060, 800)])
    body(block, back, face, 5, [BLUE, PALE, INDIGO])
    foam(block, back[30:100], -1.1, 40, 22)
    foam(block, back[115:], -1.3, 30, 20)
    block.fill(np.array([[-20, 800], [300, 772], [600, 800], [1050, 770], [1050, 820], [-20, 820]]), INDIGO, 2)
    back = curve([(-60, 640), (30, 610), (110, 640), (190, 720), (290, 752), (400, 790)])
    face = curve([(-60, 820), (30, 810), (110, 812), (190, 820), (290, 830), (400, 840)])
    body(block, back, face, 4, [INDIGO, PALE, BLUE])
    foam(block, back[20:130], -1.2, 44, 24)
    spray(block, 200, 690, 40, 26)


def render(width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(1831)
    block = Block(rng, width, height)
    # Sky first, so that the blocks lie over it: shaded by hand from the top and the horizon.
    y = np.linspace(0, 1, height * 3)[:, None] * np.ones((1, width * 3))
    sky = palette(["#54729a", "#c9c3a4", "#ecdcae", "#efd9a2", "#e9b48a", "#8a8f9c"], y / 0.78)
    block.image.paste(Image.fromarray((sky * 255).astype(np.uint8)))
    for cy, cx, w in [(150, 900, 210), (182, 820, 170), (215, 960, 190), (60, 700, 160), (330, 930, 120)]:
        band = curve([(cx - w, cy), (cx - w * 0.5, cy - 13), (cx, cy - 7), (cx + w * 0.5, cy - 15), (cx + w, cy)], 50)
        low = curve([(cx - w, cy), (cx - w * 0.5, cy + 6), (cx, cy + 11), (cx + w * 0.5, cy + 5), (cx + w, cy)], 50)
        block.fill(np.concatenate([band, low[::-1]]), "#f3e6c8", 0)
    draw(block)
    picture = np.asarray(block.image.resize((width, height), Image.Resampling.LANCZOS), np.float32) / 255
    px = height / 768
    grain = noise(rng, width, height, 2.6 * px, 40) * 0.6 + noise(rng, width, height, 1.8 * px, 3) * 0.4
    uneven = fbm(rng, width, height, 70 * px, 5)
    picture = mix(picture, rgb("#efe2c2"), np.clip(0.07 + 0.09 * grain + 0.10 * uneven, 0, 0.4))
    return np.clip(picture * (1 + 0.04 * grain[..., None]), 0, 1)
