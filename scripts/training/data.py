"""Images: which are kept aside, how they are cropped, and the judged pairs."""
import os

import cv2
import numpy as np
import torch

# Kept aside before any training. Judged: every photo x every painting (24 pairs), never trained nor tuned on.
KEPT_PHOTOS = ["0160", "0239", "0340", "0407", "0483", "0703", "0724", "0821"]
KEPT_STYLES = ["starry_night_google", "composition_vii", "wave"]
# For tuning (learning rate, weights of terms, lambda): photos not trained on, with styles that training may see.
TUNE_PHOTOS = ["0248", "0494", "0867", "0802"]
TUNE_STYLES = ["the_scream", "vg_wheat_field", "mondrian"]
# Pictures of this repository that training may see as styles. The others, and the demonstration of the README, are drawn in the
# manner of judged paintings.
SAMPLES = ["dots", "glass", "ink", "woodcut"]


def read(path):
    im = cv2.imread(path)
    if im is None:
        raise SystemExit(f"cannot read {path}")
    return cv2.cvtColor(im, cv2.COLOR_BGR2RGB)


def to_tensor(im):
    return torch.from_numpy(im.astype(np.float32).transpose(2, 0, 1)[None] / 255)


def square(im, side):
    """Centre crop, resized to side x side (uint8)."""
    h, w = im.shape[:2]
    s = min(h, w)
    im = im[(h - s) // 2:(h - s) // 2 + s, (w - s) // 2:(w - s) // 2 + s]
    return cv2.resize(im, (side, side), interpolation=cv2.INTER_AREA if s > side else cv2.INTER_CUBIC)


def fit_width(im, width):
    """Resized to a width, its aspect kept (uint8): what the judged styles are."""
    return cv2.resize(im, (width, max(16, round(im.shape[0] * width / im.shape[1]))), interpolation=cv2.INTER_AREA)


def pairs(assets, kept=True, side=256):
    """[(name, content uint8 HWC, style uint8 HWC)]: photos cropped to a square, paintings of the same width."""
    photos, styles = (KEPT_PHOTOS, KEPT_STYLES) if kept else (TUNE_PHOTOS, TUNE_STYLES)
    out = []
    for s in styles:
        style = fit_width(read(os.path.join(assets, "styles", s + ".jpg")), side)
        for p in photos:
            out.append((f"{p}-{s}", square(read(os.path.join(assets, "photos", p + ".jpg")), side), style))
    return out


class Images:
    """Random crops of the training photos and paintings."""

    def __init__(self, assets, side, rng, samples=None):
        """`samples`: folder of the pictures named in SAMPLES."""
        self.side, self.rng = side, rng
        skip = set(KEPT_PHOTOS + TUNE_PHOTOS + KEPT_STYLES)

        def folder(d):
            names = sorted(f for f in os.listdir(os.path.join(assets, d)) if f.endswith(".jpg"))
            return [read(os.path.join(assets, d, f)) for f in names if f[:-4] not in skip]
        self.photos, self.paintings = folder("photos"), folder("styles")
        if samples:
            self.paintings += [read(os.path.join(samples, n + ".jpg")) for n in SAMPLES]

    def crop(self, im, lo=0.6, hi=1.0):
        """A random square of lo..hi of the shorter side, mirrored at random, resized to the training size."""
        h, w = im.shape[:2]
        s = int(min(h, w) * self.rng.uniform(lo, hi))
        y, x = self.rng.integers(0, h - s + 1), self.rng.integers(0, w - s + 1)
        im = im[y:y + s, x:x + s]
        if self.rng.random() < 0.5:
            im = im[:, ::-1]
        return cv2.resize(im, (self.side, self.side), interpolation=cv2.INTER_AREA if s > self.side else cv2.INTER_LINEAR)

    def photo(self):
        return to_tensor(self.crop(self.photos[self.rng.integers(len(self.photos))], 0.7, 1.0))

    def style(self):
        """A painting (one in three) or a photo; often with other colours, turned, or sharpened into strokes."""
        r = self.rng
        if r.random() < 0.35:
            im = self.crop(self.paintings[r.integers(len(self.paintings))], 0.3, 1.0)
        else:
            im = self.crop(self.photos[r.integers(len(self.photos))], 0.5, 1.0)
            if r.random() < 0.4:
                im = self.painterly(im)
        if r.random() < 0.25:
            im = np.rot90(im)
        x = im.astype(np.float32) / 255
        if r.random() < 0.5:
            x = self.recolour(x)
        return to_tensor(x * 255)

    def painterly(self, im):
        """Flat strokes out of a photo: median filters, sharpening."""
        k = int(self.rng.choice([3, 5, 7]))
        im = cv2.medianBlur(np.ascontiguousarray(im), k)
        blur = cv2.GaussianBlur(im, (0, 0), float(self.rng.uniform(1, 3)))
        a = float(self.rng.uniform(0.5, 3))
        return cv2.addWeighted(im, 1 + a, blur, -a, 0)

    def recolour(self, x):
        r = self.rng
        if r.random() < 0.5:
            x = x[..., r.permutation(3)]
        m = np.eye(3) + r.normal(0, 0.25, (3, 3))
        mean = x.mean((0, 1))
        x = (x - mean) @ m.astype(np.float32) * float(r.uniform(0.7, 1.6)) + mean + r.normal(0, 0.12, 3)
        return np.clip(x, 0, 1)
