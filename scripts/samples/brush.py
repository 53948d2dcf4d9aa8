"""Brush strokes along a flow field: each stroke is a bundle of bristles with their own shade, laid over a relief."""

import numpy as np
from PIL import Image, ImageDraw

from canvas import emboss


class Painting:
    """Wet paint on a canvas of width x height pixels, drawn twice as large and reduced in the end."""

    SCALE = 2

    def __init__(self, rng: np.random.Generator, ground: np.ndarray):
        self.rng = rng
        self.height, self.width = ground.shape[:2]
        size = (self.width * self.SCALE, self.height * self.SCALE)
        base = Image.fromarray((np.clip(ground, 0, 1) * 255).astype(np.uint8))
        self.colour = base.resize(size, Image.Resampling.BICUBIC)
        self.relief = Image.new("L", size, 90)
        self.colour_pen = ImageDraw.Draw(self.colour)
        self.relief_pen = ImageDraw.Draw(self.relief)

    def trace(self, x: float, y: float, field: np.ndarray, length: float, step: float = 4.0) -> np.ndarray:
        """Points (n, 2) of a line through (x, y) along `field` (height, width, 2), `length` pixels long."""
        points = [(x, y)]
        direction = None
        for _ in range(max(2, int(length / step))):
            column = min(max(int(x), 0), self.width - 1)
            row = min(max(int(y), 0), self.height - 1)
            dx, dy = field[row, column]
            norm = np.hypot(dx, dy) + 1e-6
            dx, dy = dx / norm, dy / norm
            if direction is not None and dx * direction[0] + dy * direction[1] < 0:
                dx, dy = -dx, -dy
            direction = (dx, dy)
            x, y = x + step * dx, y + step * dy
            points.append((x, y))
        return np.array(points, np.float32)

    def stroke(self, points: np.ndarray, width: float, colour: np.ndarray, bristles: int = 7, shade: float = 0.07):
        """One stroke of `width` pixels along `points`, in an RGB colour."""
        rng, scale = self.rng, self.SCALE
        tangent = np.gradient(points, axis=0)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-6
        base = rng.uniform(100, 170)
        along = np.linspace(0, 1, len(points))[:, None]
        # Pressed down in the middle, lifted at both ends.
        press = np.sqrt(np.clip(np.sin(np.pi * (0.08 + 0.86 * along)), 0, 1))
        for offset in rng.permutation(np.linspace(-0.5, 0.5, bristles)):
            line = (points + normal * (offset * width) * press) * scale
            first = rng.integers(0, max(1, len(line) // 5) + 1)
            last = len(line) - rng.integers(0, max(1, len(line) // 4) + 1)
            if last - first < 2:
                continue
            line = [tuple(p) for p in line[first:last]]
            tint = np.clip(colour + rng.normal(0, shade) + rng.normal(0, shade * 0.35, 3), 0, 1)
            thickness = max(1, round(width / bristles * 1.7 * scale))
            self.colour_pen.line(line, fill=tuple(int(v * 255) for v in tint), width=thickness, joint="curve")
            edge = 1 - 1.2 * abs(offset)
            value = int(np.clip(base * edge + rng.uniform(-25, 45), 0, 255))
            self.relief_pen.line(line, fill=value, width=max(1, thickness - 1), joint="curve")

    def cover(self, picture, field, spacing, width, length, jitter=0.05, bristles=7, mask=None, shade=0.07):
        """Covers the canvas with strokes about `spacing` pixels apart, coloured like `picture` underneath."""
        rng = self.rng
        rows = np.arange(-spacing / 2, self.height + spacing, spacing)
        columns = np.arange(-spacing / 2, self.width + spacing, spacing)
        seeds = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2)
        seeds = seeds + rng.uniform(-spacing * 0.7, spacing * 0.7, seeds.shape)
        for x, y in rng.permutation(seeds):
            column = int(np.clip(x, 0, self.width - 1))
            row = int(np.clip(y, 0, self.height - 1))
            if mask is not None and mask[row, column] < 0.5:
                continue
            extent = length * rng.uniform(0.6, 1.3)
            half = self.trace(x, y, field, extent / 2)
            other = self.trace(x, y, -field, extent / 2)
            points = np.concatenate([other[::-1], half[1:]])
            colour = picture[row, column] + rng.normal(0, jitter) + rng.normal(0, jitter * 0.6, 3)
            self.stroke(points, width * rng.uniform(0.75, 1.3), colour, bristles, shade)

    def finish(self, relief: float = 0.018) -> np.ndarray:
        """The picture (height, width, 3), with light on the relief of the paint."""
        size = (self.width, self.height)
        colour = np.asarray(self.colour.resize(size, Image.Resampling.LANCZOS), np.float32) / 255
        height = np.asarray(self.relief.resize(size, Image.Resampling.LANCZOS), np.float32)
        return np.clip(colour * emboss(height, relief)[..., None], 0, 1)
