"""Takes the shared libraries out of the wheels in one folder and lays them side by side in another.

    python3 unpack.py WHEELS TARGET

TARGET then holds libonnxruntime.so and whatever it opens at run time (providers, CUDA, OpenVINO).
"""

import pathlib
import re
import shutil
import sys
import zipfile

# Python's own binding of ONNX Runtime, as large as the library itself and of no use here.
LEFT_OUT = re.compile(r"pybind11_state|\.cpython-")
LIBRARY = re.compile(r"^lib.*\.so(\.\d+)*$")


def unpack(wheel: pathlib.Path, target: pathlib.Path) -> int:
    """Returns the number of libraries found. One library under several names is stored once (wheels know no links)."""
    count = 0
    seen: dict[tuple[int, int], str] = {}
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            name = pathlib.PurePosixPath(entry.filename).name
            if not LIBRARY.match(name) or LEFT_OUT.search(name):
                continue
            count += 1
            first = seen.setdefault((entry.CRC, entry.file_size), name)
            if first != name:
                (target / name).symlink_to(first)
                continue
            with archive.open(entry) as source, open(target / name, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
    return count


def link_names(target: pathlib.Path) -> None:
    """libonnxruntime.so and libonnxruntime.so.1 beside libonnxruntime.so.1.32.0."""
    full = sorted(target.glob("libonnxruntime.so.*.*"))
    if not full:
        if (target / "libonnxruntime.so").exists():
            return
        sys.exit("unpack: no libonnxruntime.so in the wheels; the package is not laid out as expected")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        link = target / name
        if not link.exists():
            link.symlink_to(full[-1].name)


def main() -> None:
    wheels, target = map(pathlib.Path, sys.argv[1:3])
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for wheel in sorted(wheels.glob("*.whl")):
        if unpack(wheel, target) == 0:
            print(f"unpack: no library in {wheel.name}", file=sys.stderr)
    link_names(target)


if __name__ == "__main__":
    main()
