"""The students: their architecture, their start (from the teacher's own first filters), heads, averaging, export."""
import copy

import torch
from torch import nn

from . import net as nets
from .objective import Moments, gram, rows

# name: channels per convolution in each of the five stages; the last convolution of a stage is its tap.
WIDTHS = {
    "tiny": [[16], [32], [64, 64], [96, 96], [96]],
    "compact": [[16], [32], [64, 96], [128, 128, 128], [128, 128, 128]],
    "plus": [[32], [64, 64], [96, 96], [128, 128, 128], [112, 112, 112]],
}
# Weights of the style costs by tap: their sum, and the share of each. The deep taps, where a student errs most, weigh less: they hold
# what is painted to errors. The sum sets the balance with the content cost.
LAMBDA = {
    "tiny": (1.0, [2.0, 1.5, 1.2, 1.0, 0.4]),
    "compact": (0.95, [2.0, 1.5, 1.2, 1.0, 0.4]),
    "plus": (1.4, [2.0, 1.5, 1.2, 1.0, 0.5]),
}
SCALE = 100.0  # the teacher's input divided by this, so that activations are near 1: same zero padding, same filters


def build(name, widths=None):
    layers, taps = [], []
    for i, stage in enumerate(widths or WIDTHS[name], 1):
        layers += (["pool"] if i > 1 else []) + [(f"conv{i}_{j}", c) for j, c in enumerate(stage, 1)]
        taps.append(f"conv{i}_{len(stage)}")
    balance, shares = LAMBDA[name]
    weights = [round(balance * share / sum(shares), 4) for share in shares]
    return nets.Net(layers, dict(zip(taps, weights)), "conv4_1", "bgr", 255.0 / SCALE,
                    [m / SCALE for m in nets.CAFFE_MEAN], name)


def pick_filters(f, count):
    """Greedy column subset: the channels of f (N, C) that explain the rest best in least squares."""
    g, chosen = (f.T @ f).double() / len(f), []
    for _ in range(count):
        gain = (g ** 2).sum(0) / g.diag().clamp_min(1e-9 * g.trace())
        gain[chosen] = -1
        k = int(gain.argmax())
        chosen.append(k)
        g = g - g[:, k:k + 1] @ g[k:k + 1] / g[k, k]
    return sorted(chosen)


class Student(nn.Module):
    """A net and its heads W: teacher features (scaled) ~ W student features, at each tap.

    The stages up to `frozen` (at least the first, which is the teacher's own filters) and their heads stay as they are:
    training the rest is cheaper by them, and takes their output from a cache.
    """

    def __init__(self, name, teacher, images, compute, frozen=1):
        super().__init__()
        self.name, self.net, self.compute, self.frozen = name, build(name), compute, frozen
        with torch.no_grad(), compute.autocast():
            f = teacher(images, ["conv1_1"])["conv1_1"].float()
        f = f.permute(0, 2, 3, 1).flatten(0, 2)[::7].cpu()
        first, width = self.net.convs["conv1_1"], self.net.width("conv1_1")
        k = pick_filters(f, width) if width < f.shape[1] else list(range(f.shape[1]))
        first.weight.data = teacher.convs["conv1_1"].weight.data[k].clone()
        first.bias.data = teacher.convs["conv1_1"].bias.data[k] / SCALE
        for layer in self.net.spec[:self.net.begin(frozen + 1)]:
            if layer != "pool":
                self.net.convs[layer[0]].requires_grad_(False)
        self.net.to(compute.device, memory_format=torch.channels_last)
        self.w = nn.ParameterDict()

    def trained(self):
        """Names of the convolutions that train."""
        return [x[0] for x in self.net.spec[self.net.begin(self.frozen + 1):] if x != "pool"]

    def taps(self):
        """(number, name) of the taps that train."""
        return list(enumerate(self.net.taps))[self.frozen:]

    def take(self, other):
        """The weights and heads of a loaded network, whatever of them fits."""
        for k, conv in self.net.convs.items():
            if k in other.convs and other.convs[k].weight.shape == conv.weight.shape:
                conv.weight.data.copy_(other.convs[k].weight)
                conv.bias.data.copy_(other.convs[k].bias)
        for k, head in other.heads.items():
            if k in self.net.taps and head.shape[1] == self.net.width(k):
                self.w[k] = nn.Parameter(head.to(self.compute.device).clone())  # L for W: only W^T W matters below `frozen`

    def stem(self, images):
        """What the stages that train take, from images (B, 3, H, W) in 0..1."""
        with torch.no_grad(), self.compute.autocast():
            return self.net.input_of(images, self.frozen + 1)

    def solve_heads(self, examples, ridge=1e-3):
        """Ridge regression of the teacher's features on the student's, at the taps that train or have no head yet.

        `examples`: [(images, {number of the tap: teacher features})]"""
        for i, k in enumerate(self.net.taps):
            if i < self.frozen and k in self.w:
                continue
            a = b = 0
            for images, t in examples:
                with torch.no_grad(), self.compute.autocast():
                    s = self.net(images, [k])[k].float().permute(0, 2, 3, 1).flatten(0, 2)
                a = a + s.T @ s / len(s)
                b = b + s.T @ t[i].float().permute(0, 2, 3, 1).flatten(0, 2) / len(s)
            a = a + ridge * a.trace() / len(a) * torch.eye(len(a), device=a.device)
            w = torch.linalg.solve(a, b).T.contiguous()  # (teacher directions, student channels)
            self.w[k] = nn.Parameter(w, requires_grad=i >= self.frozen)

    def exported(self):
        """Heads of the file: L with L^T L = W^T W, largest entry 1 (the objective does not see the scale)."""
        out = {}
        for k, w in self.w.items():
            m = (w.T @ w).detach().double().cpu()
            e, v = torch.linalg.eigh(m)
            keep = e > 1e-4 * e[-1]
            h = (v[:, keep] * e[keep].sqrt()).T.flip(0)
            out[k] = (h / h.abs().max()).float().to(w.device)
        return out

    def runnable(self):
        """A frozen copy with the heads inside: what the program would load."""
        n = copy.deepcopy(self.net).requires_grad_(False)
        n.heads = nn.ParameterDict({k: nn.Parameter(v, requires_grad=False) for k, v in self.exported().items()})
        return n

    def save(self, path, **kw):
        self.net.save(path, {k: v.cpu().numpy() for k, v in self.exported().items()}, **kw)


class Teacher:
    """VGG-19, and its features in the leading directions of each tap (which hold nearly all of a Gram's energy)."""

    RANK = [64, 96, 128, 128, 128]

    def __init__(self, path, batches, compute):
        self.compute = compute
        self.net = nets.vgg19(path).to(compute.device, memory_format=torch.channels_last)
        self.cast = copy.deepcopy(self.net).to(compute.dtype)
        m = [0] * 5
        for x in batches:
            for i, f in self.features(x).items():
                f = rows(f).flatten(0, 1).float()
                m[i] = m[i] + f.T @ f / len(f) / len(batches)
        self.basis = []
        for g, k in zip(m, self.RANK):
            v = torch.linalg.eigh(g)[1][:, -k:] if k < len(g) else torch.eye(len(g), device=g.device)
            b = (v / g.diagonal().mean().sqrt()).T.to(compute.dtype)
            self.basis.append(b[..., None, None].contiguous(memory_format=torch.channels_last))

    def features(self, x, first=0):
        """{number: features} at the taps from the number `first` on."""
        taps = list(self.net.taps)
        with torch.no_grad():
            f = self.cast(x.to(self.compute.dtype), taps[first:])
        return {i: f[k] for i, k in enumerate(taps) if k in f}

    def __call__(self, x, first=0):
        """The same, projected."""
        with torch.no_grad():
            return {i: torch.nn.functional.conv2d(f, self.basis[i]) for i, f in self.features(x, first).items()}


def losses(student, stem, tf, each):
    """Per tap that trains: the error of the features (n,), that of their change since the content frame (n,), and those of
    Gram differences (n, images but styles). All relative. `stem`: what the student's trained stages take; `tf`: the teacher's
    features by tap number. The batch is made of groups of `each` images: style, content, then what optimizers made of them.
    """
    with student.compute.autocast():
        f = student.net.from_stage(student.frozen + 1, stem)
    feat, diff, style = [], [], []
    for i, k in student.taps():
        w, tg = student.w[k], gram(tf[i])
        g, cross = Moments.apply(f[k], tf[i])
        p = w @ g @ w.T
        energy = tg.diagonal(dim1=1, dim2=2).sum(1)
        err = p.diagonal(dim1=1, dim2=2).sum(1) - 2 * (w.T * cross).sum((1, 2)) + energy
        feat.append((err / energy).mean())
        ds, dt = (v.view(-1, each, *v.shape[1:]) for v in (f[k], tf[i]))
        ds, dt = ((v[:, 2:] - v[:, 1:2]).flatten(0, 1).contiguous(memory_format=torch.channels_last) for v in (ds, dt))
        gd, xd = Moments.apply(ds, dt)
        energy = dt.float().pow(2).sum((1, 2, 3)) / dt[0, 0].numel()
        err = ((w.T @ w) * gd).sum((1, 2)) - 2 * (w.T * xd).sum((1, 2)) + energy
        diff.append((err / (energy + 1e-3)).mean())
        d, t = ((v.view(-1, each, *v.shape[1:])) for v in (p - tg, tg))
        scale = (t[:, 1] - t[:, 0]).pow(2).sum((1, 2)) + 0.03 * t[:, 0].pow(2).sum((1, 2))
        style.append(((d[:, 1:] - d[:, :1]).pow(2).sum((2, 3)) / scale[:, None]).flatten())
    return torch.stack(feat), torch.stack(diff), torch.stack(style)
