"""Reads weight files without the libraries that wrote them: safetensors, PyTorch's .pth, and Keras' .h5.

Every reader gives ({name: Tensor}, {metadata}). Tensors keep their bytes; `Tensor.floats` decodes them.
"""

import array
import io
import json
import pathlib
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from dataclasses import dataclass

assert sys.byteorder == "little", "written for little-endian machines"


class FormatError(Exception):
    """The file is none that can be read; says what was found and what is expected."""


@dataclass
class Tensor:
    """Numbers in C order: `dtype` F32 or F16, `shape`, and their bytes, little-endian."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def floats(self) -> array.array:
        if self.dtype == "F32":
            values = array.array("f")
            values.frombytes(self.data)
            return values
        return array.array("f", struct.unpack(f"<{len(self.data) // 2}e", self.data))


def read_weights(path: pathlib.Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with open(path, "rb") as file:
        head = file.read(16)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        from hdf5 import read_hdf5

        return read_hdf5(path), {"format": "keras"}
    if head.startswith(b"PK"):
        return _read_torch_zip(path), {"format": "pt"}
    if head[:2] == b"\x80\x02":
        return _read_torch_legacy(path), {"format": "pt"}
    if len(head) >= 9 and head[8:9] == b"{":
        return _read_safetensors(path)
    raise FormatError(f"{path} is no .safetensors, .pth or .h5 file (it begins with {head[:8]!r})")


def _read_safetensors(path: pathlib.Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    if length > len(data) - 8:
        raise FormatError(f"{path} is cut off: its header alone should take {length} bytes")
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError as error:
        raise FormatError(f"{path}: the header of this safetensors file is damaged ({error})") from error
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        if 8 + length + end > len(data):
            raise FormatError(f"{path} is cut off within the tensor {name}")
        if entry["dtype"] not in ("F32", "F16"):
            raise FormatError(f"{path}: {name} is {entry['dtype']}; F32 or F16 are expected")
        tensors[name] = Tensor(entry["dtype"], tuple(entry["shape"]), data[8 + length + begin : 8 + length + end])
    return tensors, metadata


class _Storage:
    """Stands for a torch storage while unpickling."""

    def __init__(self, dtype: str, key: str):
        self.dtype, self.key = dtype, key


class _TorchUnpickler(pickle.Unpickler):
    """Unpickles a state_dict of plain tensors, and refuses everything else: a .pth is a program otherwise."""

    def __init__(self, file):
        super().__init__(file)
        self.kinds: dict[str, str] = {}

    STORAGES = {"FloatStorage": "F32", "HalfStorage": "F16", "LongStorage": "I64"}

    def find_class(self, module: str, name: str):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in (("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")):
            return lambda storage, offset, size, stride, *rest: (storage, offset, tuple(size), tuple(stride))
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *rest: tensor
        if module == "torch" and name in self.STORAGES:
            return self.STORAGES[name]
        raise FormatError(f"the .pth file holds {module}.{name}; only plain tensors are accepted")

    def persistent_load(self, identifier):
        # ('storage', storage type, key, location, element count) and, in the old format, a view at the end.
        self.kinds[identifier[2]] = identifier[1]
        return _Storage(identifier[1], identifier[2])


def _tensor(name: str, entry, storages: dict[str, bytes]) -> Tensor | None:
    if not isinstance(entry, tuple):
        return None
    storage, offset, size, stride = entry
    if storage.dtype not in ("F32", "F16"):
        return None
    width = 4 if storage.dtype == "F32" else 2
    contiguous, expected = 1, []
    for extent in reversed(size):
        expected.append(contiguous)
        contiguous *= extent
    if tuple(reversed(expected)) != stride:
        raise FormatError(f"{name} is not stored contiguously")
    data = storages[storage.key][offset * width : (offset + contiguous) * width]
    if len(data) != contiguous * width:
        raise FormatError(f"the file is cut off within the tensor {name}")
    return Tensor(storage.dtype, size, data)


def _named(state, storages: dict[str, bytes]) -> dict[str, Tensor]:
    if not hasattr(state, "items"):
        raise FormatError("the .pth file holds no state_dict (named tensors)")
    if "state_dict" in state:
        state = state["state_dict"]
    tensors = {name: _tensor(name, entry, storages) for name, entry in state.items()}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def _read_torch_zip(path: pathlib.Path) -> dict[str, Tensor]:
    """PyTorch 1.6 and later: a zip with NAME/data.pkl and NAME/data/KEY."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise FormatError(f"{path} is damaged or cut off: {error}") from error
    with archive:
        index = next((n for n in archive.namelist() if n.endswith("data.pkl")), None)
        if index is None:
            raise FormatError(f"{path} is a zip archive, but not one of PyTorch's")
        state = _TorchUnpickler(io.BytesIO(archive.read(index))).load()
        folder = index[: -len("data.pkl")] + "data/"
        storages = _LazyStorages(archive, folder)
        return _named(state, storages)


class _LazyStorages(dict):
    def __init__(self, archive: zipfile.ZipFile, folder: str):
        super().__init__()
        self.archive, self.folder = archive, folder

    def __missing__(self, key: str) -> bytes:
        return self.archive.read(self.folder + key)


def _read_torch_legacy(path: pathlib.Path) -> dict[str, Tensor]:
    """Before PyTorch 1.6 (torchvision's own file is one): pickles in a row, then every storage with its length."""
    widths = {"F32": 4, "F16": 2, "I64": 8}
    with open(path, "rb") as file:
        try:
            magic = pickle.Unpickler(file).load()
            if magic != 0x1950A86A20F9469CFC6C:
                raise FormatError(f"{path} is a pickle, but none of PyTorch's")
            for _ in ("protocol", "system"):
                _TorchUnpickler(file).load()
            unpickler = _TorchUnpickler(file)
            state = unpickler.load()
            keys = _TorchUnpickler(file).load()
        except (pickle.UnpicklingError, EOFError, ValueError) as error:
            raise FormatError(f"{path} is damaged or cut off: {error}") from error
        storages = {}
        for key in keys:
            (count,) = struct.unpack("<q", file.read(8))
            storages[key] = file.read(count * widths[unpickler.kinds[key]])
        return _named(state, storages)
