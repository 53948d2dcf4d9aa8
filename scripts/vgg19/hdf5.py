"""Reads the part of HDF5 that Keras' weight files use: groups with symbol tables, contiguous datasets of 32-bit floats.

After the "HDF5 File Format Specification", version 2.0: superblock 0, object headers 1, layout 3.
"""

import pathlib
import re
import struct

from formats import FormatError, Tensor

SYMBOL_TABLE, DATASPACE, DATATYPE, LAYOUT, CONTINUATION = 0x0011, 0x0001, 0x0003, 0x0008, 0x0010
FLOAT32 = 1  # class of floating point; 4 bytes


def read_hdf5(path: pathlib.Path) -> dict[str, Tensor]:
    """Tensors named 'LAYER.kernel' and 'LAYER.bias' (Keras' names differ between versions)."""
    data = path.read_bytes()
    try:
        if data[8] != 0 or data[13] != 8 or data[14] != 8:
            raise FormatError(f"{path}: this version of HDF5 is not understood; the files of keras-applications are")
        # The root's symbol table entry follows the superblock: link name offset, then the object header's address.
        (root,) = struct.unpack_from("<Q", data, 24 + 4 * 8 + 8)
        tensors: dict[str, Tensor] = {}
        _walk(data, root, "", tensors)
    except (struct.error, IndexError) as error:
        raise FormatError(f"{path} is damaged or cut off") from error
    return tensors


def _walk(data: bytes, header: int, path: str, tensors: dict[str, Tensor]) -> None:
    messages = dict(_messages(data, header))
    if SYMBOL_TABLE in messages:
        tree, heap = struct.unpack("<QQ", messages[SYMBOL_TABLE][:16])
        (names,) = struct.unpack_from("<Q", data, heap + 24)
        for offset, child in _entries(data, tree):
            end = data.index(b"\0", names + offset)
            _walk(data, child, f"{path}/{data[names + offset : end].decode()}", tensors)
    elif LAYOUT in messages:
        layer = re.search(r"block\d_conv\d", path)
        tensor = _dataset(data, path, messages)
        if layer and tensor:
            tensors[f"{layer[0]}.{'kernel' if len(tensor.shape) == 4 else 'bias'}"] = tensor


def _messages(data: bytes, header: int):
    """(type, body) of every message of an object header, version 1."""
    version, _, count, _, size = struct.unpack_from("<BBHII", data, header)
    if version != 1:
        raise FormatError("this version of HDF5 is not understood; the files of keras-applications are")
    blocks = [(header + 16, size)]
    while blocks and count:
        at, left = blocks.pop(0)
        while left >= 8 and count:
            kind, length, _ = struct.unpack_from("<HHB", data, at)
            body = data[at + 8 : at + 8 + length]
            if kind == CONTINUATION:
                blocks.append(struct.unpack("<QQ", body[:16]))
            else:
                yield kind, body
            at, left, count = at + 8 + length, left - 8 - length, count - 1


def _entries(data: bytes, tree: int):
    """(name offset, object header) of every member of a group: a version 1 B-tree over symbol nodes."""
    if data[tree : tree + 4] != b"TREE":
        raise FormatError("damaged: a group's index is missing")
    level, used = struct.unpack_from("<xBH", data, tree + 4)
    for index in range(used):
        (child,) = struct.unpack_from("<Q", data, tree + 24 + 8 + 16 * index)
        if level:
            yield from _entries(data, child)
            continue
        (members,) = struct.unpack_from("<H", data, child + 6)
        for member in range(members):
            yield struct.unpack_from("<QQ", data, child + 8 + 40 * member)


def _dataset(data: bytes, path: str, messages: dict[int, bytes]) -> Tensor | None:
    space, kind, layout = messages[DATASPACE], messages[DATATYPE], messages[LAYOUT]
    if kind[0] & 0x0F != FLOAT32 or struct.unpack_from("<I", kind, 4)[0] != 4:
        return None
    shape = struct.unpack_from(f"<{space[1]}Q", space, 8)
    if layout[0] != 3 or layout[1] != 1:
        raise FormatError(f"{path} is stored in chunks, which is not understood")
    address, size = struct.unpack_from("<QQ", layout, 2)
    body = data[address : address + size]
    if len(body) != size:
        raise FormatError(f"the file is cut off within {path}")
    return Tensor("F32", shape, body)
