"""What the pictures share: coordinates, noise, palettes, masks. Arrays are (height, width) or (height, width, 3), 0..1."""

import numpy as np
from PIL import Image, ImageFilter


def grid(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres as x in 0..width/height and y in 0..1, so that a circle is one."""
    x = (np.arange(width) + 0.5) / height
    y = (np.arange(height) + 0.5) / height
    return np.meshgrid(x, y)


def noise(rng: np.random.Generator, width: int, height: int, cell: float, aspect: float = 1.0) -> np.ndarray:
    """Smooth noise in -1..1 whose features are `cell` pixels high and `cell * aspect` wide."""
    columns = max(2, int(width / (cell * aspect)) + 4)
    rows = max(2, int(height / cell) + 4)
    coarse = Image.fromarray(rng.uniform(-1, 1, (rows, columns)).astype(np.float32))
    fine = coarse.resize((int(columns * cell * aspect), int(rows * cell)), Image.Resampling.BICUBIC)
    return np.asarray(fine)[int(cell) :, int(cell * aspect) :][:height, :width]


def fbm(
    rng: np.random.Generator, width: int, height: int, cell: float, octaves: int = 5, aspect: float = 1.0
) -> np.ndarray:
    """Fractal noise, about -1..1: octaves of `noise`, each half as large and half as strong."""
    total = np.zeros((height, width), np.float32)
    strength = 0.5
    for octave in range(octaves):
        total += strength * noise(rng, width, height, max(2.0, cell / 2**octave), aspect)
        strength *= 0.5
    return total


def smoothstep(low, high, value):
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a, b, t):
    """From a (t = 0) to b (t = 1); t may be a mask of one channel less."""
    t = np.asarray(t, np.float32)
    if t.ndim == 2:
        t = t[..., None]
    return np.asarray(a, np.float32) * (1 - t) + np.asarray(b, np.float32) * t


def rgb(text: str) -> np.ndarray:
    """'#1a2b3c' as an array of three values in 0..1."""
    return np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255


def palette(colours: list[str], t: np.ndarray) -> np.ndarray:
    """The colour at t in 0..1 along evenly spaced `colours`."""
    table = np.stack([rgb(c) for c in colours])
    position = np.clip(t, 0, 1) * (len(colours) - 1)
    index = np.minimum(position.astype(int), len(colours) - 2)
    fraction = (position - index)[..., None]
    return (table[index] * (1 - fraction) + table[index + 1] * fraction).astype(np.float32)


def blur(image: np.ndarray, radius: float) -> np.ndarray:
    """Gaussian blur of one channel or three."""
    if image.ndim == 3:
        return np.stack([blur(image[..., c], radius) for c in range(image.shape[2])], axis=-1)
    # Pillow blurs 8 bits only: 16 bits are kept by splitting the range.
    low, high = float(image.min()), float(image.max())
    if high - low < 1e-9:
        return image.copy()
    wide = (image - low) / (high - low) * 65535
    upper = np.floor(wide / 256)
    parts = [
        np.asarray(Image.fromarray(part.astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius)), np.float32)
        for part in (upper, wide - 256 * upper)
    ]
    return ((parts[0] * 256 + parts[1]) / 65535 * (high - low) + low).astype(np.float32)


def emboss(height: np.ndarray, strength: float, angle: float = 2.4) -> np.ndarray:
    """Light from `angle` (radians, y down) on a relief, as a factor around 1."""
    dy, dx = np.gradient(height)
    return np.clip(1 + strength * (dx * np.cos(angle) - dy * np.sin(angle)), 0.5, 1.6)


def to_image(picture: np.ndarray) -> Image.Image:
    return Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
