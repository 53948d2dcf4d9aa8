"""scripts/fetch-vgg19: formats, conventions, downloads. The standard library only; VGG-19 with its real shapes, made up."""

import array
import hashlib
import http.server
import io
import json
import os
import pathlib
import pickle
import random
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import zipfile

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS / "vgg19"))

import convert
import formats
from formats import Tensor

STD, MEAN = convert.TORCHVISION_STD, convert.TORCHVISION_MEAN


def made_up() -> dict[str, tuple[Tensor, Tensor]]:
    """Weights by layer, deterministic; only the first layer is random, the rest is made fast."""
    rng = random.Random(5)
    layers = {}
    for name, _, inputs, outputs in convert.LAYERS:
        count = outputs * inputs * 9
        if name == "conv1_1":
            values = array.array("f", (rng.gauss(0, 0.2) for _ in range(count)))
        else:
            values = array.array("f", [0.01, -0.02, 0.03]) * (count // 3)
        bias = array.array("f", (rng.gauss(0, 0.1) for _ in range(outputs)))
        layers[name] = (
            Tensor("F32", (outputs, inputs, 3, 3), values.tobytes()),
            Tensor("F32", (outputs,), bias.tobytes()),
        )
    return layers


LAYERS = made_up()


def torchvision_names(layers) -> dict[str, Tensor]:
    tensors = {}
    for name, number, *_ in convert.LAYERS:
        tensors[f"features.{number}.weight"], tensors[f"features.{number}.bias"] = layers[name]
    return tensors


def write_safetensors(path, tensors, metadata=None):
    header, offset = {"__metadata__": metadata or {}}, 0
    for name, tensor in tensors.items():
        end = offset + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(t.data for t in tensors.values()))


class Global:
    """A class by name, which need not exist."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class TorchPickler(pickle._Pickler):
    """Writes what PyTorch would write for a state_dict, without PyTorch. `view` ends a storage's id in the old format."""

    def __init__(self, buffer, view):
        super().__init__(buffer, 2)
        self.view, self.keys = view, {}

    def save(self, thing, save_persistent_id=True):
        if isinstance(thing, Global):
            self.write(pickle.GLOBAL + f"{thing.module}\n{thing.name}\n".encode())
        elif isinstance(thing, Tensor):
            self.rebuild(thing)
        else:
            super().save(thing, save_persistent_id)

    def rebuild(self, tensor):
        key = str(len(self.keys))
        self.keys[key] = tensor
        stride, strides = 1, []
        for extent in reversed(tensor.shape):
            strides.insert(0, stride)
            stride *= extent
        self.save(Global("torch._utils", "_rebuild_tensor_v2"))
        self.write(pickle.MARK)
        self.save(("storage", Global("torch", "FloatStorage"), key, "cpu", stride) + self.view)
        self.write(pickle.BINPERSID)
        for part in (0, tensor.shape, tuple(strides), False):
            self.save(part)
        self.write(pickle.TUPLE + pickle.REDUCE)


def torch_pickle(state, view):
    buffer = io.BytesIO()
    pickler = TorchPickler(buffer, view)
    pickler.dump(state)
    return buffer.getvalue(), pickler.keys


def write_torch_zip(path, state):
    body, keys = torch_pickle(state, ())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", body)
        for key, tensor in keys.items():
            archive.writestr(f"archive/data/{key}", tensor.data)


def write_torch_legacy(path, state):
    body, keys = torch_pickle(state, (None,))
    with open(path, "wb") as file:
        for head in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(head, file, 2)
        file.write(body)
        pickle.dump(list(keys), file, 2)
        for tensor in keys.values():
            file.write(struct.pack("<q", len(tensor.data) // 4) + tensor.data)


def first_layer(network, pixel):
    """Responses of conv1_1's filters to a flat picture of `pixel` (RGB, 0..1), computed as the program does."""
    tensors, metadata = network
    given = json.loads(metadata["input"])
    channels = pixel if given["order"] == "rgb" else pixel[::-1]
    channels = [c * given["scale"] - m for c, m in zip(channels, given["mean"])]
    weight, bias = tensors["conv1_1.weight"].floats(), tensors["conv1_1.bias"].floats()
    filters = [[sum(weight[(o * 3 + i) * 9 : (o * 3 + i) * 9 + 9]) for i in range(3)] for o in range(64)]
    return [b + sum(c * w for c, w in zip(channels, row)) for b, row in zip(bias, filters)]


def run(*arguments):
    command = [sys.executable, SCRIPTS / "fetch-vgg19", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "no_proxy": "*"})


class Server(http.server.BaseHTTPRequestHandler):
    """Serves one file; knows ranges if told so; hangs up after `cut` bytes, once."""

    def do_GET(self):
        body = self.server.body
        wanted = self.headers.get("Range")
        self.server.requests.append(wanted)
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if begin >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        end = len(body)
        if self.server.cut:
            end, self.server.cut = begin + self.server.cut, 0
        self.wfile.write(body[begin:end])
        self.close_connection = True

    def log_message(self, *_):
        pass


class Base(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.output = self.folder / "out" / "vgg19.safetensors"


class Formats(Base):
    def test_every_format_gives_the_same_numbers(self):
        path = self.folder / "weights"
        for write in (write_safetensors, write_torch_zip, write_torch_legacy):
            with self.subTest(write.__name__):
                write(path, torchvision_names(LAYERS))
                found = convert.convolutions(formats.read_weights(path)[0])
                for name, (weight, bias) in LAYERS.items():
                    self.assertEqual(found[name][0].data, weight.data, name)
                    self.assertEqual(found[name][1].data, bias.data, name)

    def test_keras_kernels_are_turned(self):
        weight = Tensor("F32", (3, 3, 2, 4), array.array("f", range(72)).tobytes())
        turned = convert._from_hwio(weight)
        self.assertEqual(turned.shape, (4, 2, 3, 3))
        values, source = turned.floats(), weight.floats()
        for o in range(4):
            for i in range(2):
                for k in range(9):
                    self.assertEqual(values[(o * 2 + i) * 9 + k], source[k * 8 + i * 4 + o])

    def test_hdf5_as_keras_writes_it(self):
        # Written by h5py 3 with the names that the file of keras-applications has.
        tensors, _ = formats.read_weights(pathlib.Path(__file__).with_name("tiny_keras.h5"))
        self.assertEqual(tensors["block1_conv1.kernel"].shape, (3, 3, 2, 4))
        self.assertEqual(list(tensors["block1_conv1.kernel"].floats()), list(range(72)))
        self.assertEqual(list(tensors["block1_conv1.bias"].floats()), [0.5, -1.0, 2.0, 0.25])
        self.assertEqual(tensors["block1_conv2.kernel"].shape, (3, 3, 4, 4))

    def test_a_pth_that_runs_code_is_refused(self):
        path, trace = self.folder / "evil.pth", self.folder / "ran"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", f"cos\nsystem\n(S'touch {trace}'\ntR.".encode())
        result = run(path, "--output", self.output)
        self.assertEqual(result.returncode, 1)
        self.assertIn("only plain tensors are accepted", result.stderr)
        self.assertFalse(trace.exists())

    def test_other_files_are_refused_with_a_reason(self):
        wrong = self.folder / "wrong"
        for body, reason in [
            (b"", "is no .safetensors"),
            (b"GIF89a" + bytes(99), "is no .safetensors"),
            (b"PK\3\4" + bytes(50), "damaged"),
            (b"\x80\x02}q\x00.", "none of PyTorch's"),
        ]:
            wrong.write_bytes(body)
            result = run(wrong, "--output", self.output)
            self.assertEqual(result.returncode, 1)
            self.assertIn(reason, result.stderr)
            self.assertNotIn("Traceback", result.stderr)
        write_safetensors(wrong, {"features.0.weight": Tensor("F32", (1,), bytes(4))})
        self.assertIn("this is no VGG-19", run(wrong, "--output", self.output).stderr)
        write_safetensors(wrong, torchvision_names(LAYERS))
        whole = wrong.read_bytes()
        wrong.write_bytes(whole[: len(whole) // 2])
        self.assertIn("cut off", run(wrong, "--output", self.output).stderr)
        self.assertIn("is no file", run(self.folder / "absent.pth", "--output", self.output).stderr)
        self.assertFalse(self.output.exists())


class Conventions(Base):
    def test_one_network_in_both_conventions_gives_the_same_features(self):
        # The same filters as torchvision would hold them: (v - mean) / std, not 255 v - mean'; RGB, not BGR.
        weight, bias = LAYERS["conv1_1"]
        caffe, shift = weight.floats(), bias.floats()
        torch = array.array("f", caffe)
        for o in range(64):
            for i in range(3):
                for k in range(9):
                    value = caffe[(o * 3 + 2 - i) * 9 + k]
                    torch[(o * 3 + i) * 9 + k] = value * 255 * STD[i]
                    # 255 v - m' = 255 std (v - mean) / std + (255 mean - m')
                    shift[o] += value * (255 * MEAN[i] - convert.CAFFE_MEAN_BGR[2 - i])
        twin = Tensor("F32", weight.shape, torch.tobytes()), Tensor("F32", bias.shape, shift.tobytes())
        original = convert.network(LAYERS, "caffe")
        converted = convert.network({**LAYERS, "conv1_1": twin}, "torchvision")
        for pixel in [(0.0, 0.5, 1.0), (0.2, 0.9, 0.4), (1.0, 1.0, 1.0)]:
            left, right = first_layer(original, pixel), first_layer(converted, pixel)
            scale = max(map(abs, left))
            # Weights are rounded to half precision.
            self.assertLess(max(abs(a - b) for a, b in zip(left, right)) / scale, 2e-3)

    def test_the_file_is_as_the_format_says(self):
        source = self.folder / "source.safetensors"
        write_safetensors(source, torchvision_names(LAYERS), {"input": "BGR, 0..255 (Caffe)"})
        result = run(source, "--output", self.output)
        self.assertEqual(result.returncode, 0, result.stderr)
        tensors, metadata = formats.read_weights(self.output)
        self.assertEqual(metadata["format"], "stylize-vgg/1")
        self.assertEqual(json.loads(metadata["input"])["order"], "bgr")
        self.assertEqual(json.loads(metadata["layers"]).count("pool"), 4)
        self.assertEqual([tap["layer"] for tap in json.loads(metadata["taps"])], convert.TAPS)
        self.assertAlmostEqual(sum(tap["lambda"] for tap in json.loads(metadata["taps"])), 1.0)
        self.assertEqual(json.loads(metadata["content"]), {"layer": "conv4_2"})
        self.assertEqual(len(tensors), 2 * len(convert.LAYERS))
        for name, _, inputs, outputs in convert.LAYERS:
            self.assertEqual(tensors[f"{name}.weight"].shape, (outputs, inputs, 3, 3))

    def test_an_unknown_file_needs_its_convention_named(self):
        source = self.folder / "mystery.safetensors"
        write_safetensors(source, torchvision_names(LAYERS))
        result = run(source, "--output", self.output)
        self.assertEqual(result.returncode, 1)
        self.assertIn("--convention", result.stderr)
        self.assertEqual(run(source, "--output", self.output, "--convention", "torchvision").returncode, 0)
        self.assertEqual(json.loads(formats.read_weights(self.output)[1]["input"])["order"], "rgb")


class Downloads(Base):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "weights"
            write_safetensors(path, torchvision_names(LAYERS), {"input": "RGB (torchvision)"})
            cls.body = path.read_bytes()
        cls.sha256 = hashlib.sha256(cls.body).hexdigest()

    def serve(self, ranges=True, cut=0):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        server.body, server.ranges, server.cut, server.requests = self.body, ranges, cut, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server, f"http://127.0.0.1:{server.server_address[1]}/weights.safetensors"

    def fetch(self, url, *more):
        return run("--url", url, "--output", self.output, *more)

    def test_a_broken_download_goes_on_where_it_stopped(self):
        server, url = self.serve(cut=3_000_000)
        result = self.fetch(url, "--sha256", self.sha256)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(server.requests), 2)
        self.assertRegex(server.requests[1], r"^bytes=[1-9]\d+-$")
        self.assertTrue(self.output.exists())

    def test_the_next_run_goes_on_too(self):
        server, url = self.serve()
        self.output.parent.mkdir()
        (self.output.parent / "weights.safetensors.part").write_bytes(self.body[:5_000_000])
        result = self.fetch(url, "--sha256", self.sha256)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(server.requests, ["bytes=5000000-"])

    def test_a_server_without_ranges_starts_over(self):
        server, url = self.serve(ranges=False, cut=2_000_000)
        result = self.fetch(url, "--sha256", self.sha256)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(server.requests), 2)

    def test_a_wrong_checksum_is_refused_and_not_kept(self):
        _, url = self.serve()
        result = self.fetch(url, "--sha256", "ab" * 32)
        self.assertEqual(result.returncode, 1)
        self.assertIn("damaged or another file", result.stderr)
        self.assertEqual(list(self.output.parent.iterdir()), [])

    def test_offline_says_what_to_do(self):
        result = self.fetch("http://127.0.0.1:9/weights.safetensors")
        self.assertEqual(result.returncode, 1)
        self.assertIn("Offline? Download one of these elsewhere and give its path", result.stderr)
        self.assertNotIn("Traceback", result.stderr)


if __name__ == "__main__":
    unittest.main()
