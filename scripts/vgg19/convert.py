"""VGG-19 as named tensors of any origin -> our network file (models/FORMAT.md)."""

import array
import json
import pathlib
import struct

from formats import FormatError, Tensor

# Convolutions to relu5_1: name, its number in torchvision's `features`, channels in and out.
LAYERS = [
    ("conv1_1", 0, 3, 64),
    ("conv1_2", 2, 64, 64),
    ("conv2_1", 5, 64, 128),
    ("conv2_2", 7, 128, 128),
    ("conv3_1", 10, 128, 256),
    ("conv3_2", 12, 256, 256),
    ("conv3_3", 14, 256, 256),
    ("conv3_4", 16, 256, 256),
    ("conv4_1", 19, 256, 512),
    ("conv4_2", 21, 512, 512),
    ("conv4_3", 23, 512, 512),
    ("conv4_4", 25, 512, 512),
    ("conv5_1", 28, 512, 512),
]
TAPS = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
CONTENT = "conv4_2"

TORCHVISION_MEAN = (0.485, 0.456, 0.406)
TORCHVISION_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


def convolutions(tensors: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """{layer: (weight (out, in, 3, 3), bias (out))}, whatever the tensors are called."""
    found = {}
    for name, number, inputs, outputs in LAYERS:
        block, index = name[4:].split("_")
        weight = _first(tensors, f"features.{number}.weight", f"{name}.weight", f"block{block}_conv{index}.kernel")
        bias = _first(tensors, f"features.{number}.bias", f"{name}.bias", f"block{block}_conv{index}.bias")
        if weight is None or bias is None:
            raise FormatError(
                f"no weights for {name} (looked for features.{number}.weight and {name}.weight); "
                f"this is no VGG-19. It holds: {', '.join(list(tensors)[:6]) or 'nothing'} ..."
            )
        if weight.shape == (3, 3, inputs, outputs):
            weight = _from_hwio(weight)
        for tensor, shape, kind in ((weight, (outputs, inputs, 3, 3), "weight"), (bias, (outputs,), "bias")):
            if tensor.shape != shape:
                raise FormatError(f"{name}.{kind} has shape {tensor.shape}, expected {shape}; this is no VGG-19")
        found[name] = (weight, bias)
    return found


def _first(tensors: dict[str, Tensor], *names: str) -> Tensor | None:
    return next((tensors[name] for name in names if name in tensors), None)


def _from_hwio(weight: Tensor) -> Tensor:
    """Keras keeps (3, 3, in, out)."""
    _, _, inputs, outputs = weight.shape
    values = weight.floats()
    stride = inputs * outputs
    turned = array.array("f")
    for o in range(outputs):
        for i in range(inputs):
            turned.extend(values[k * stride + i * outputs + o] for k in range(9))
    return Tensor("F32", (outputs, inputs, 3, 3), turned.tobytes())


def known_convention(metadata: dict[str, str]) -> str | None:
    """What the file itself says about its input. The numbers alone do not tell the two families apart for certain."""
    described = metadata.get("input", "").lower()
    if "bgr" in described or "caffe" in described or metadata.get("format") == "keras":
        return "caffe"
    if "rgb" in described or "torchvision" in described:
        return "torchvision"
    return None


def network(layers: dict[str, tuple[Tensor, Tensor]], convention: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Our tensors in half precision, and their metadata."""
    if convention == "torchvision":
        order, scale, mean = "rgb", 1.0, TORCHVISION_MEAN
        layers = {**layers, "conv1_1": (_fold_std(layers["conv1_1"][0]), layers["conv1_1"][1])}
    else:
        order, scale, mean = "bgr", 255.0, CAFFE_MEAN_BGR
    tensors = {}
    for name, (weight, bias) in layers.items():
        tensors[f"{name}.weight"] = _half(weight)
        tensors[f"{name}.bias"] = _single(bias)
    sequence = []
    for name, *_ in LAYERS:
        if name.endswith("_1") and sequence:
            sequence.append("pool")
        sequence.append(name)
    metadata = {
        "format": "stylize-vgg/1",
        "name": "vgg19",
        "input": json.dumps({"order": order, "scale": scale, "mean": list(mean)}),
        "layers": json.dumps(sequence),
        "taps": json.dumps([{"layer": tap, "lambda": 0.2} for tap in TAPS]),
        "content": json.dumps({"layer": CONTENT}),
        "licence": "CC BY 4.0, K. Simonyan and A. Zisserman, Visual Geometry Group, University of Oxford",
    }
    return tensors, metadata


def _fold_std(weight: Tensor) -> Tensor:
    """w / std for each input channel (RGB), so that channel = value - mean is all that is left to do."""
    values = weight.floats()
    for index in range(len(values)):
        values[index] /= TORCHVISION_STD[index // 9 % 3]
    return Tensor("F32", weight.shape, values.tobytes())


def _half(tensor: Tensor) -> Tensor:
    if tensor.dtype == "F16":
        return tensor
    values = tensor.floats()
    return Tensor("F16", tensor.shape, struct.pack(f"<{len(values)}e", *values))


def _single(tensor: Tensor) -> Tensor:
    return Tensor("F32", tensor.shape, tensor.floats().tobytes())


def write(path: pathlib.Path, network_: tuple[dict[str, Tensor], dict[str, str]], origin: str) -> None:
    """As safetensors, first under a temporary name."""
    tensors, metadata = network_
    header: dict[str, object] = {"__metadata__": {**metadata, "origin": origin}}
    offset = 0
    # Larger elements first keeps every tensor aligned.
    names = sorted(tensors, key=lambda n: (tensors[n].dtype != "F32", n))
    for name in names:
        tensor = tensors[name]
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(tensor.data)],
        }
        offset += len(tensor.data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for name in names:
            file.write(tensors[name].data)
    temporary.replace(path)
