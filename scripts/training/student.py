"""The students: their architecture, their start (from the teacher's own first filters), heads, averaging, export."""
import copy

import torch
from torch import nn

from . import net as nets
from .objective import Moments, fast, rows

# name: channels per convolution in each of the five stages; the last convolution of a stage is its tap.
WIDTHS = {
    "tiny": [[16], [32], [64, 64], [96, 96], [96]],
    "compact": [[32], [64, 64], [96, 96], [128, 128], [128, 128]],
    "plus": [[64], [64, 96], [128, 128], [128, 128], [128, 112]],
}
SCALE = 100.0  # the teacher's input divided by this, so that activations are near 1: same zero padding, same filters


def build(name, widths=None):
    layers, taps = [], []
    for i, stage in enumerate(widths or WIDTHS[name], 1):
        layers += (["pool"] if i > 1 else []) + [(f"conv{i}_{j}", c) for j, c in enumerate(stage, 1)]
        taps.append(f"conv{i}_{len(stage)}")
    return nets.Net(layers, {t: 0.2 for t in taps}, "conv4_1", "bgr", 255.0 / SCALE,
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
    """A net and its heads W: teacher features (scaled) ~ W student features, at each tap."""

    def __init__(self, name, teacher, images, generator):
        super().__init__()
        self.name, self.net = name, build(name)
        for conv in self.net.convs.values():
            nn.init.kaiming_normal_(conv.weight, generator=generator)
        with torch.no_grad(), fast():
            f = teacher(images, ["conv1_1"])["conv1_1"].float()
        f = f.permute(0, 2, 3, 1).flatten(0, 2)[::7]
        first, width = self.net.convs["conv1_1"], self.net.width("conv1_1")
        k = pick_filters(f, width) if width < f.shape[1] else list(range(f.shape[1]))
        first.weight.data = teacher.convs["conv1_1"].weight.data[k].clone()
        first.bias.data = teacher.convs["conv1_1"].bias.data[k] / SCALE
        first.requires_grad_(False)  # exact already; and what follows trains at half resolution
        self.register_buffer("picked", torch.tensor(k))
        self.net.to(memory_format=torch.channels_last)
        self.w = nn.ParameterDict()

    def take(self, other, teacher):
        """The weights of a loaded network, whatever of them fits."""
        for k, conv in self.net.convs.items():
            if k in other.convs and other.convs[k].weight.shape == conv.weight.shape:
                conv.weight.data, conv.bias.data = other.convs[k].weight.data.clone(), other.convs[k].bias.data.clone()
        w = self.net.convs["conv1_1"].weight.flatten(1)
        self.picked = torch.cdist(w, teacher.convs["conv1_1"].weight.flatten(1)).argmin(1)

    def solve_heads(self, batches, ridge=1e-3):
        """Ridge regression of the teacher's features on the student's. `batches`: [(images, teacher features)]"""
        for i, k in enumerate(self.net.taps):
            a = b = 0
            for images, t in batches:
                with torch.no_grad(), fast():
                    s = self.net(images, [k])[k].float().permute(0, 2, 3, 1).flatten(0, 2)
                a = a + s.T @ s / len(s)
                b = b + s.T @ t[i].float().permute(0, 2, 3, 1).flatten(0, 2) / len(s)
            a = a + ridge * a.trace() / len(a) * torch.eye(len(a))
            self.w[k] = nn.Parameter(  # (teacher directions, student channels)
                torch.linalg.solve(a, b).T.contiguous())

    def exported(self):
        """Heads of the file: L with L^T L = W^T W, largest entry 1 (the objective does not see the scale)."""
        out = {}
        for k, w in self.w.items():
            m = (w.T @ w).detach().double()
            e, v = torch.linalg.eigh(m)
            keep = e > 1e-7 * e[-1]
            h = (v[:, keep] * e[keep].sqrt()).T.flip(0)
            out[k] = (h / h.abs().max()).float()
        return out

    def runnable(self):
        """A frozen copy with the heads inside: what the program would load."""
        n = copy.deepcopy(self.net).requires_grad_(False)
        n.heads = nn.ParameterDict({k: nn.Parameter(v, requires_grad=False) for k, v in self.exported().items()})
        return n

    def save(self, path, **kw):
        self.net.save(path, {k: v.numpy() for k, v in self.exported().items()}, **kw)


class Teacher:
    """VGG-19 in bf16; its features in the leading directions of each tap (which hold nearly all of a Gram's energy)."""

    RANK = [64, 96, 128, 128, 128]

    def __init__(self, path, batches):
        self.net = nets.vgg19(path)
        self.bf16 = nets.vgg19(path).bfloat16().to(memory_format=torch.channels_last)
        m = [0] * 5
        for x in batches:
            for i, f in enumerate(self.features(x)):
                f = rows(f).flatten(0, 1).float()
                m[i] = m[i] + f.T @ f / len(f) / len(batches)
        self.scale = [(g.diagonal().mean()).sqrt() for g in m]
        self.basis = []
        for g, s, k in zip(m, self.scale, self.RANK):
            v = torch.linalg.eigh(g)[1][:, -k:] if k < len(g) else torch.eye(len(g))
            self.basis.append((v / s).T.bfloat16()[..., None, None].contiguous(memory_format=torch.channels_last))

    def features(self, x):
        with torch.no_grad():
            return list(self.bf16(x.bfloat16(), list(self.bf16.taps)).values())

    def __call__(self, x):
        """Projected features by tap, and the pooled first layer in the students' scale."""
        f = self.features(x)
        with torch.no_grad():
            return [torch.nn.functional.conv2d(v, b) for v, b in zip(f, self.basis)], torch.nn.functional.avg_pool2d(f[0], 2) / SCALE


def losses(student, pooled, tf, tg, each):
    """Per tap from the second: the error of the features (4,), that of their change since the content frame (4,), and those of
    Gram differences (4, images but styles). All relative. `pooled`: the teacher's first layer; `tf`, `tg`: its features and Grams by tap. The batch is made of
    groups of `each` images: style, content, then what optimizers made of them.
    """
    with fast():
        f = student.net.after_first(pooled[:, student.picked])
    feat, diff, style = [], [], []
    for i, k in enumerate(student.net.taps):
        if i == 0:
            continue
        w = student.w[k]
        g, cross = Moments.apply(f[k], tf[i])
        p = w @ g @ w.T
        energy = tg[i].diagonal(dim1=1, dim2=2).sum(1)
        err = p.diagonal(dim1=1, dim2=2).sum(1) - 2 * (w.T * cross).sum((1, 2)) + energy
        feat.append((err / energy).mean())
        ds, dt = (v.view(-1, each, *v.shape[1:]) for v in (f[k], tf[i]))
        ds, dt = ((v[:, 2:] - v[:, 1:2]).flatten(0, 1).contiguous(memory_format=torch.channels_last) for v in (ds, dt))
        gd, xd = Moments.apply(ds, dt)
        energy = dt.float().pow(2).sum((1, 2, 3)) / dt[0, 0].numel()
        err = ((w.T @ w) * gd).sum((1, 2)) - 2 * (w.T * xd).sum((1, 2)) + energy
        diff.append((err / (energy + 1e-3)).mean())
        d, t = ((v.view(-1, each, *v.shape[1:])) for v in (p - tg[i], tg[i]))
        scale = (t[:, 1] - t[:, 0]).pow(2).sum((1, 2)) + 0.03 * t[:, 0].pow(2).sum((1, 2))
        style.append(((d[:, 1:] - d[:, :1]).pow(2).sum((2, 3)) / scale[:, None]).flatten())
    return torch.stack(feat), torch.stack(diff), torch.stack(style)
