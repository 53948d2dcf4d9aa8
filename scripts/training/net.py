"""A VGG as data: the network file of models/FORMAT.md, as a PyTorch module."""
import json

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import nn

# The teacher, cut after relu5_1. Number: the index of that convolution in torchvision's `features`.
VGG19 = [("conv1_1", 0), ("conv1_2", 2), "pool", ("conv2_1", 5), ("conv2_2", 7), "pool",
         ("conv3_1", 10), ("conv3_2", 12), ("conv3_3", 14), ("conv3_4", 16), "pool",
         ("conv4_1", 19), ("conv4_2", 21), ("conv4_3", 23), ("conv4_4", 25), "pool", ("conv5_1", 28)]
CAFFE_MEAN = [103.939, 116.779, 123.68]


class Net(nn.Module):
    """3x3 convolutions with ReLU, 2x2 average pooling, Gram taps with optional linear heads.

    `layers`: list of "pool" or (name, channels out). Activations of a layer are those after its ReLU.
    """

    def __init__(self, layers, taps, content, order="bgr", scale=255.0, mean=CAFFE_MEAN, name="net"):
        super().__init__()
        self.spec, self.taps, self.content, self.name = list(layers), dict(taps), content, name
        self.watch = None
        self.input = {"order": order, "scale": scale, "mean": list(mean)}
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.convs, self.heads = nn.ModuleDict(), nn.ParameterDict()
        c = 3
        for layer in self.spec:
            if layer != "pool":
                self.convs[layer[0]] = nn.Conv2d(c, layer[1], 3, padding=1)
                nn.init.kaiming_normal_(self.convs[layer[0]].weight)
                nn.init.zeros_(self.convs[layer[0]].bias)
                c = layer[1]

    def width(self, name):
        return self.convs[name].out_channels

    def forward(self, rgb, only=None):
        """Features (dict by layer name) at the taps and at the content layer; `rgb` is (B, 3, H, W) in 0..1."""
        return self.run(self.prepare(rgb), self.spec, set(only or [*self.taps, self.content]))[0]

    def prepare(self, rgb):
        x = rgb.flip(1) if self.input["order"] == "bgr" else rgb
        return (x * self.input["scale"] - self.mean).contiguous(memory_format=torch.channels_last)

    def begin(self, stage):
        """Where a stage (1, 2, ...: full, half, ... resolution) begins in `spec`, after its pooling."""
        pools = [i for i, layer in enumerate(self.spec) if layer == "pool"]
        return 0 if stage == 1 else pools[stage - 2] + 1

    def input_of(self, rgb, stage):
        """What the first convolution of a stage takes."""
        return self.run(self.prepare(rgb), self.spec[:self.begin(stage)], set())[1]

    def from_stage(self, stage, x):
        """Features at the taps and at the content layer from a stage on; `x`: that stage's input."""
        spec = self.spec[self.begin(stage):]
        return self.run(x, spec, {layer[0] for layer in spec if layer != "pool"} & {*self.taps, self.content})[0]

    def run(self, x, spec, want):
        """The wanted features, and the last activations. `watch`, where set, is called with each convolution's name and input."""
        out = {}
        for layer in spec:
            if layer == "pool":
                x = F.avg_pool2d(x, 2)
                continue
            if self.watch:
                self.watch(layer[0], x)
            x = F.relu(self.convs[layer[0]](x))
            if layer[0] in want:
                out[layer[0]] = x
                if len(out) == len(want):
                    break
        return out, x

    def cost(self, h, w):
        """GFLOP of one forward and backward pass (to the pixels) on an h x w image."""
        total, c = 0, 3
        for layer in self.spec:
            if layer == "pool":
                h, w = h // 2, w // 2
            else:
                total, c = total + 4 * 9 * c * layer[1] * h * w, layer[1]
        return total / 1e9

    def save(self, path, heads=None, dtype=np.float16, extra=None):
        """Write the file. `heads`: dict layer -> (rank, out) array; default: the module's own."""
        heads = heads if heads is not None else {k: v.detach().cpu().numpy() for k, v in self.heads.items()}
        t = {}
        for name, conv in self.convs.items():
            t[name + ".weight"] = conv.weight.detach().cpu().contiguous().numpy().astype(dtype)
            t[name + ".bias"] = conv.bias.detach().cpu().numpy().astype(dtype)
            if name in heads:
                t[name + ".head"] = np.ascontiguousarray(heads[name]).astype(dtype)
        for k, v in t.items():
            if not np.isfinite(v).all():
                raise ValueError(f"{k}: not finite in {dtype.__name__}")
        meta = {"format": "stylize-vgg/1", "name": self.name, "input": json.dumps(self.input),
                "layers": json.dumps([x if x == "pool" else x[0] for x in self.spec]),
                "taps": json.dumps([{"layer": k, "lambda": v} for k, v in self.taps.items()]),
                "content": json.dumps({"layer": self.content}), **(extra or {})}
        save_file(t, path, metadata=meta)


def load(path):
    """A network file -> Net of float32 weights, on the CPU."""
    with safe_open(path, "np") as f:
        m, t = f.metadata(), {k: f.get_tensor(k).astype(np.float32) for k in f.keys()}
    if m.get("format") != "stylize-vgg/1":
        raise ValueError(f"{path}: not a stylize-vgg/1 file")
    layers = [x if x == "pool" else (x, t[x + ".weight"].shape[0]) for x in json.loads(m["layers"])]
    i = json.loads(m["input"])
    net = Net(layers, {x["layer"]: x["lambda"] for x in json.loads(m["taps"])}, json.loads(m["content"])["layer"],
              i["order"], i["scale"], i["mean"], m["name"])
    for name, conv in net.convs.items():
        conv.weight.data = torch.from_numpy(t[name + ".weight"]).contiguous(memory_format=torch.channels_last)
        conv.bias.data = torch.from_numpy(t[name + ".bias"])
    for k in net.taps:
        if k + ".head" in t:
            net.heads[k] = nn.Parameter(torch.from_numpy(t[k + ".head"]))
    return net.requires_grad_(False)


def vgg19(weights):
    """The teacher and judge: VGG-19 with average pooling, taps relu1_1..relu5_1, content relu4_2."""
    with safe_open(weights, "np") as f:
        t = {k: f.get_tensor(k).astype(np.float32) for k in f.keys()}
    layers = [x if x == "pool" else (x[0], t[f"features.{x[1]}.weight"].shape[0]) for x in VGG19]
    net = Net(layers, {f"conv{i}_1": 0.2 for i in range(1, 6)}, "conv4_2", name="vgg19")
    for x in VGG19:
        if x != "pool":
            net.convs[x[0]].weight.data = torch.from_numpy(t[f"features.{x[1]}.weight"]).contiguous(memory_format=torch.channels_last)
            net.convs[x[0]].bias.data = torch.from_numpy(t[f"features.{x[1]}.bias"])
    return net.requires_grad_(False)
