"""The sample clip: dusk over a bay. A balloon and birds over layered hills, a sailing boat on moving water, a steam train behind trees.

Pictures come from `frame(n)`, the sound (wind, waves, the train, a bell-like melody) from `sound()`.
"""

import numpy as np
from PIL import Image

from canvas import blur, fbm, grid, mix, noise, palette, rgb, smoothstep

WIDTH, HEIGHT, RATE, FRAMES = 640, 360, 24, 84
AUDIO_RATE = 44100


class Scene:
    """Everything that stays the same from frame to frame, in strips wider than the picture (the camera pans)."""

    def __init__(self):
        rng = np.random.default_rng(7)
        self.wide = WIDTH * 2
        self.clouds = fbm(rng, self.wide, HEIGHT, 90, 6, 2.2)
        self.grain = fbm(rng, self.wide, HEIGHT, 22, 5)
        self.fine = fbm(rng, self.wide, HEIGHT, 9, 3)
        self.ripple = fbm(rng, self.wide, HEIGHT * 2, 14, 4, 4.5)
        self.lines = [self.ridge(rng, *shape) for shape in [(0.47, 0.13, 1.3), (0.55, 0.08, 2.2), (0.63, 0.05, 3.1)]]
        self.trees = self.treeline(rng)

    def ridge(self, rng, base, amplitude, frequency):
        u = np.arange(self.wide) / HEIGHT
        line = np.full(self.wide, base)
        for octave in range(7):
            f = frequency * 2**octave
            knots = rng.uniform(-1, 1, int(f * u[-1]) + 4)
            line -= amplitude * 0.48**octave * np.interp(u * f, np.arange(len(knots)), knots) * 0.7
        return line

    def treeline(self, rng):
        """Crowns along the near bank: (x, foot, height, width, tint)."""
        return [
            (x + rng.uniform(-0.03, 0.03), 0.80 + rng.uniform(-0.01, 0.02), rng.uniform(0.12, 0.26), rng.uniform(0.05, 0.085), rng.random())
            for x in np.arange(-0.1, 3.6, 0.16)
            if not 1.05 < x < 1.55
        ]

    def strip(self, texture, shift, rows=None):
        """A window of a wide texture, `shift` pixels from its left edge, between pixels too."""
        shift = float(shift) % (self.wide - WIDTH - 2)
        left = int(shift)
        f = shift - left
        part = texture[: HEIGHT if rows is None else rows]
        return part[:, left : left + WIDTH] * (1 - f) + part[:, left + 1 : left + 1 + WIDTH] * f

    def line(self, index, shift):
        positions = np.arange(WIDTH) + shift
        return np.interp(positions, np.arange(self.wide), self.lines[index])[None, :]


def shade(colours, texture, light):
    return palette(colours, 0.45 + 0.55 * texture + 0.35 * light)


def frame(scene: Scene, number: int) -> np.ndarray:
    t = number / RATE
    x, y = grid(WIDTH, HEIGHT)
    pan = 46.0 * t + 6 * np.sin(t * 1.3)
    sun_x, sun_y = 1.28 - 0.05 * t, 0.20 + 0.022 * t

    # Sky and clouds, lit from the sun's side.
    picture = palette(["#2b4a8c", "#5a86bd", "#a8b9c9", "#f2c48a", "#ef8f5a"], y / 0.58)
    r = np.hypot(x - sun_x, y - sun_y)
    picture = mix(picture, rgb("#ffdf9a"), 0.75 * np.exp(-((r / 0.26) ** 2)))
    cloud = scene.strip(scene.clouds, 40 + 0.18 * pan + 9 * t)
    lit = cloud - scene.strip(scene.clouds, 40 + 0.18 * pan + 9 * t + 7)
    body = smoothstep(-0.05, 0.20, cloud + 0.12 * (0.25 - y))
    picture = mix(picture, palette(["#6a6a94", "#c58f93", "#ffe3bf", "#fff6e4"], 0.52 + 3.4 * lit + 0.25 * cloud), body * 0.92)
    picture = mix(picture, rgb("#fff7dc"), smoothstep(0.056, 0.050, r) * (1 - 0.6 * body))

    # Three ranges of hills with parallax; folds lit from the sun.
    tones = [
        (["#3f4f80", "#6a76a0", "#a99cae", "#e2b59a"], 0.25),
        (["#2c4a5e", "#4c7468", "#8a9a68", "#d9b872"], 0.45),
        (["#1f3f34", "#3f6f3a", "#7f9a3f", "#d8c25a"], 0.80),
    ]
    for index, (colours, depth) in enumerate(tones):
        shift = pan * depth + 60 * index
        top = scene.line(index, shift)
        texture = scene.strip(scene.grain, shift)
        slope = scene.strip(scene.grain, shift + 3) - scene.strip(scene.grain, shift - 3 + 8)
        ridge_light = np.gradient(top[0])[None, :] * 38
        hill = shade(colours, texture + 0.35 * scene.strip(scene.fine, shift), 2.4 * slope - ridge_light)
        haze = np.exp(-np.clip(y - top, 0, 1) / 0.05)[..., None] * (0.30 - 0.09 * index)
        hill = hill * (1 - haze) + rgb("#f4c9a0") * haze
        picture = mix(picture, hill, smoothstep(-0.002, 0.003, y - top))

    picture = train(scene, picture, x, y, t, pan)
    picture = water(scene, picture, x, y, t, pan, sun_x)
    picture = boat(picture, x, y, t, pan)
    picture = balloon(picture, x, y, t)
    picture = birds(picture, x, y, t)
    return picture


def train(scene, picture, x, y, t, pan):
    """A train with steam on the embankment, in front of the hills and behind the near trees."""
    bank = 0.685 + 0.006 * np.sin(x * 5 + pan / 60)
    stones = scene.strip(scene.fine, pan)
    picture = mix(picture, palette(["#3a2f2a", "#6a5640", "#a88a5a"], 0.5 + stones), smoothstep(0, 0.003, y - bank) * (y < 0.75))
    head = -0.15 + 0.42 * t
    for puff in range(9):
        age = puff * 0.16 + (t * 3 % 1) * 0.16
        px_, py_ = head - 0.055 - 0.24 * age, 0.60 - 0.10 * age - 0.012 * np.sin(puff * 2.1)
        soft = smoothstep(0.030 + 0.035 * age, 0.004, np.hypot(x - px_, (y - py_) * 1.2) + 0.02 * scene.strip(scene.grain, pan * 0.7 + puff * 37))
        picture = mix(picture, palette(["#b9a7a4", "#f7ead6"], 0.5 - 9 * (y - py_)), soft * (0.85 - 0.4 * age))
    for wagon in range(5):
        left = head - 0.135 * (wagon + 1)
        u, v = (x - left) / 0.125, (0.683 - y) / 0.055
        inside = (u > 0) & (u < 1) & (v > 0.12) & (v < (1.0 if wagon else 0.78))
        colour = "#2a2d33" if wagon == 0 else ["#8c2f2a", "#2f5f6a", "#8a6a2a", "#8c2f2a"][wagon - 1]
        picture = mix(picture, rgb(colour) * 1.0, inside)
        picture = mix(picture, rgb(colour) * 1.7 + 0.06, inside & (v > 0.86 if wagon else v > 0.66))
        if wagon:
            window = inside & (np.abs(v - 0.62) < 0.14) & (np.abs((u * 5) % 1 - 0.5) < 0.3)
            picture = mix(picture, rgb("#ffe08a"), window)
        else:
            cab = (u > 0) & (u < 0.3) & (v > 0.12) & (v < 1.15)
            chimney = (np.abs(u - 0.84) < 0.045) & (v > 0.7) & (v < 1.35)
            picture = mix(picture, rgb("#1b1d22"), cab | chimney)
            picture = mix(picture, rgb("#c9a23a"), inside & (np.abs(u - 0.55) < 0.02))
        for wheel in (0.16, 0.38, 0.62, 0.84):
            d = np.hypot(u - wheel, (v - 0.08) * 0.44) * 0.125
            spoke = np.cos(3 * np.arctan2(v - 0.08, (u - wheel) * 2.27) + t * 18) > 0.55
            picture = mix(picture, rgb("#17181a"), (d < 0.0115))
            picture = mix(picture, rgb("#8a7a60"), (d < 0.0085) & spoke)
    # Near trees cover the train here and there.
    for cx, foot, tall, half, tint in scene.trees:
        sx = cx - pan / HEIGHT * 1.15
        if not -0.2 < sx < 2.0:
            continue
        sway = 0.004 * np.sin(t * 2.2 + cx * 9) * (foot - y) / tall
        u, v = (x - sx - sway) / half, (foot - y) / tall
        texture = scene.strip(scene.grain, pan * 1.15 + int(cx * 131) % 300)
        crown = (np.hypot(u, (v - 0.62) / 0.42) + 0.55 * texture) < 1
        trunk = (np.abs(u) < 0.10) & (v > -0.05) & (v < 0.4)
        picture = mix(picture, rgb("#3a2a22"), trunk)
        leaf = palette(["#15302a", "#2c5a2e", "#6f8f34", "#e0b84a"] if tint < 0.6 else ["#3a1f1c", "#8a3a20", "#d0742a", "#f3c25a"], 0.42 + 0.9 * texture + 0.32 * u + 0.28 * (v - 0.6))
        picture = mix(picture, leaf, crown)
    return picture


def water(scene, picture, x, y, t, pan, sun_x):
    """The bay: the picture above it upside down, bent by waves, with the sun's glitter; its edge is the near bank."""
    shore = 0.755 + 0.006 * np.sin(x * 7 + pan / 50)
    below = np.clip((y - shore) / (1 - shore), 0, 1)
    # Perspective: ripples are flat and close together far away.
    rows = (np.clip(below, 0, 1) ** 0.6 * HEIGHT * 1.4).astype(int) + int(t * 14)
    columns = (np.arange(WIDTH)[None, :] + (pan * 1.2)).astype(int)
    wave = scene.ripple[rows % (HEIGHT * 2 - 1), columns % (scene.wide - 1)]
    wave = wave + 0.25 * np.sin(y * 190 - t * 5 + 3 * wave)
    mirror = np.clip((2 * shore - y * 0.92 - 0.06) * HEIGHT + wave * 26 * below, 0, HEIGHT - 1).astype(int)
    side = np.clip(np.arange(WIDTH)[None, :] + (wave * 14 * below).astype(int), 0, WIDTH - 1)
    sea = picture[mirror, side] * 0.72 + rgb("#1d4a6a") * 0.28
    crest = smoothstep(0.12, 0.5, wave)
    sea = mix(sea, rgb("#9fd0d8"), 0.55 * crest * (0.3 + 0.7 * below))
    sea = mix(sea, rgb("#12324e"), 0.5 * smoothstep(-0.1, -0.5, wave))
    glitter = np.exp(-(((x - sun_x) / (0.05 + 0.25 * below)) ** 2)) * smoothstep(0.02, 0.22, wave)
    sea = mix(sea, rgb("#fff0b8"), 0.9 * glitter)
    foam = smoothstep(0.012, 0.0, np.abs(y - shore - 0.004 * np.sin(t * 3 + x * 20)) + 0.01 * wave)
    sea = mix(sea, rgb("#f2e8d2"), 0.6 * foam)
    return mix(picture, sea, smoothstep(-0.001, 0.002, y - shore))


def boat(picture, x, y, t, pan):
    """A sailing boat that rocks and crosses from the right to the left, near the camera."""
    cx = 1.52 - 0.20 * t
    cy = 0.885 + 0.006 * np.sin(t * 2.6)
    tilt = 0.07 * np.sin(t * 1.9)
    u = ((x - cx) * np.cos(tilt) + (y - cy) * np.sin(tilt)) / 0.16
    v = ((cy - y) * np.cos(tilt) + (x - cx) * np.sin(tilt)) / 0.16
    image = picture
    shadow = (np.abs(u) < 0.75 * (1 + v)) & (v < -0.16) & (v > -0.75) & (np.sin(y * 260 - t * 6 + x * 30) > -0.1)
    image = mix(image, rgb("#4a2a2a"), shadow * 0.5)
    hull = (v < 0.10 + 0.06 * u * u) & (v > -0.17) & (np.abs(u) < 0.86 + 0.9 * v)
    image = mix(image, palette(["#4a1f1a", "#9a3f26", "#d88a4a"], 0.55 + 2.2 * v + 0.25 * np.sin(v * 70)), hull)
    mast = (np.abs(u) < 0.018) & (v > 0) & (v < 2.05)
    image = mix(image, rgb("#5a3a22"), mast)
    belly = 0.10 * np.sin(np.clip(v, 0.2, 1.95) * 1.7) * (1 + 0.15 * np.sin(t * 3))
    main = (u > 0.03) & (u < (1.98 - v) * 0.52 + belly) & (v > 0.22) & (v < 1.95)
    image = mix(image, palette(["#c98a5a", "#f6e2be", "#fffaf0"], 0.85 - 0.9 * u / 0.9 + 0.16 * np.sin(v * 11)), main)
    image = mix(image, rgb("#b8402e"), main & (np.abs(v - 1.15) < 0.07))
    jib = (u < -0.03) & (u > -(1.70 - v) * 0.46 - belly * 0.6) & (v > 0.25) & (v < 1.68)
    image = mix(image, palette(["#8f4a3a", "#d9744a", "#f2b27a"], 0.6 + 0.8 * u + 0.15 * np.sin(v * 10)), jib)
    sailor = (np.hypot((u - 0.42), (v - 0.30) * 0.9) < 0.085) | ((np.abs(u - 0.42) < 0.075) & (v > 0.02) & (v < 0.22))
    image = mix(image, rgb("#24385e"), sailor)
    return mix(image, rgb("#e8b48a"), np.hypot(u - 0.42, v - 0.33) < 0.055)


def balloon(picture, x, y, t):
    """A striped hot-air balloon, drifting up and to the right, turning slowly."""
    cx, cy = 0.34 + 0.055 * t, 0.30 - 0.022 * t + 0.006 * np.sin(t * 2)
    u, v = (x - cx) / 0.105, (y - cy) / 0.105
    r = np.hypot(u, v * np.where(v > 0, 0.80, 1.0))
    taper = np.where(v > 0.55, 1 - 0.55 * (v - 0.55), 1)
    envelope = (np.abs(u) < np.sqrt(np.clip(1 - (v * np.where(v > 0, 0.80, 1)) ** 2, 0, 1)) * taper) & (r < 1.0) & (v < 1.16)
    across = np.arcsin(np.clip(u / np.sqrt(np.clip(1 - (v * 0.8) ** 2, 0.03, 1)), -1, 1))
    gore = np.floor((across + t * 0.5) / (np.pi / 9)).astype(int) % 4
    colours = np.stack([rgb(c) for c in ["#d8342c", "#f7ead0", "#2f6fb0", "#f2b632"]])[gore]
    light = 0.62 + 0.42 * (0.6 * u - 0.5 * v + 0.55) - 0.25 * np.abs(across) ** 3 * 0.4
    seams = np.abs(((across + t * 0.5) / (np.pi / 9)) % 1 - 0.5) > 0.46
    image = mix(picture, np.clip(colours * light[..., None] * (1 - 0.25 * seams[..., None]), 0, 1), envelope)
    ropes = (v > 1.05) & (v < 1.55) & (np.abs(np.abs(u) - (0.42 - 0.55 * (v - 1.05))) < 0.018)
    image = mix(image, rgb("#3a2a22"), ropes)
    basket = (np.abs(u) < 0.17) & (v > 1.5) & (v < 1.78)
    return mix(image, palette(["#6a4526", "#b98a4a"], 0.5 + 0.5 * np.sin(u * 60) * np.sin(v * 60)), basket)


def birds(picture, x, y, t):
    for index, (bx, by, size) in enumerate([(0.95, 0.16, 0.030), (1.03, 0.19, 0.026), (0.89, 0.205, 0.024), (1.11, 0.225, 0.022), (0.83, 0.25, 0.020)]):
        cx, cy = bx - 0.085 * t + 0.01 * np.sin(t + index), by + 0.010 * np.sin(1.4 * t + index)
        flap = np.sin(t * 9 + index * 1.7)
        u = np.abs(x - cx) / size
        arc = -flap * 0.55 * u + 0.35 * u * u * (0.6 + flap)
        wing = (u < 1) & (np.abs((y - cy) / size - arc) < 0.17 * (1.05 - u))
        body = np.hypot((x - cx) / 0.34, (y - cy) / 0.16) < size
        picture = mix(picture, rgb("#1f2030"), (wing | body) * 0.95)
    return picture


def render_frame(scene: Scene, number: int) -> Image.Image:
    """Edges are softened by a light blur: the masks above are hard."""
    picture = frame(scene, number)
    soft = 0.6 * picture + 0.4 * blur(picture, 0.7)
    return Image.fromarray((np.clip(soft, 0, 1) * 255 + 0.5).astype(np.uint8))


def sound() -> np.ndarray:
    """Stereo, float32 (samples, 2), as long as the pictures: surf, the train's rhythm, a slow pentatonic melody."""
    rng = np.random.default_rng(11)
    count = int(AUDIO_RATE * FRAMES / RATE)
    t = np.arange(count) / AUDIO_RATE
    white = rng.normal(0, 1, count)
    kernel = np.hanning(90)
    surf = np.convolve(white, kernel / kernel.sum(), "same") * (0.45 + 0.35 * np.sin(2 * np.pi * 0.33 * t))
    puff = np.convolve(rng.normal(0, 1, count), np.ones(12) / 12, "same") * np.clip(np.sin(2 * np.pi * 3.0 * t), 0, 1) ** 3
    melody = np.zeros(count)
    for start, pitch in [(0.1, 392.0), (0.6, 440.0), (1.1, 587.33), (1.7, 523.25), (2.2, 440.0), (2.7, 392.0), (3.0, 293.66)]:
        u = np.clip(t - start, 0, None)
        tone = sum(a * np.sin(2 * np.pi * pitch * h * u) * np.exp(-u * (2.2 + h)) for h, a in [(1, 1), (2, 0.35), (3, 0.15), (4.2, 0.06)])
        melody += tone * (t >= start)
    fade = np.clip(np.minimum(t, t[-1] - t) / 0.05, 0, 1)
    left = 0.9 * surf + 0.12 * puff + 0.16 * melody
    right = 0.9 * np.roll(surf, 900) + 0.12 * np.roll(puff, 40) + 0.16 * np.roll(melody, 500)
    return (np.stack([left, right], 1) * fade[:, None]).clip(-1, 1).astype(np.float32)
