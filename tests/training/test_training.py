"""scripts/train-compact and scripts/judge-model on the CPU: a made-up small teacher, random pictures, a few steps.

    python3 -m unittest discover --start-directory tests/training

Needs scripts/requirements-train.txt; without PyTorch every test is skipped.
"""
import contextlib
import importlib.machinery
import importlib.util
import io
import os
import pathlib
import sys
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))
try:
    import cv2
    import numpy as np
    import torch
    from safetensors.numpy import save_file
except ImportError as error:
    raise unittest.SkipTest(f"{error}: pip install -r scripts/requirements-train.txt") from error

from training import data, net as nets  # noqa: E402
from training.examples import Examples  # noqa: E402
from training.objective import Judge, Target, paint, style_grams  # noqa: E402


def script(name):
    """A script of no suffix as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(SCRIPTS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


sys.dont_write_bytecode = True
TRAIN = script("train-compact")
# VGG-19's layers, but narrow.
WIDTHS = [32, 24, 24, 24, 32, 32, 32, 32, 40, 40, 40, 40, 40]


def assets(folder):
    """weights/, photos/ and styles/ as train-compact wants them."""
    rng = np.random.default_rng(0)
    tensors, inputs = {}, 3
    for layer, width in zip((x for x in nets.VGG19 if x != "pool"), WIDTHS):
        scale = (2 / (9 * inputs)) ** 0.5 / (60 if inputs == 3 else 1)
        tensors[f"features.{layer[1]}.weight"] = (scale * rng.standard_normal((width, inputs, 3, 3))).astype(np.float32)
        tensors[f"features.{layer[1]}.bias"] = np.zeros(width, np.float32)
        inputs = width
    for d in ("weights", "photos", "styles"):
        os.makedirs(os.path.join(folder, d))
    save_file(tensors, os.path.join(folder, "weights/vgg19_features.safetensors"))
    for d, names in (("photos", ["0001", "0002", data.KEPT_PHOTOS[0]]), ("styles", ["the_scream", data.KEPT_STYLES[0]])):
        for name in names:
            noise = cv2.resize(rng.integers(0, 255, (12, 15, 3), dtype=np.uint8), (75, 60), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(os.path.join(folder, d, name + ".jpg"), noise)


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.assets = os.path.join(cls.folder.name, "assets")
        assets(cls.assets)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def train(self, out, *more):
        TRAIN.main(["--assets", self.assets, "--out", out, "--side", "32", "--slots", "2", "--copies", "2", "--every", "2", "--apart", "1",
                    "--device", "cpu", "--threads", "1", *more])

    def test_trains_resumes_and_goes_on_with_frozen_stages(self):
        first, second = (os.path.join(self.folder.name, d) for d in ("first", "second"))
        self.train(first, "--students", "tiny,compact", "--steps", "3")
        begun = nets.load(os.path.join(first, "tiny.safetensors"))
        self.assertEqual([begun.width(k) for k in begun.taps], [16, 32, 64, 96, 96])
        self.assertEqual(set(begun.heads), set(begun.taps))
        self.train(first, "--students", "tiny,compact", "--steps", "5", "--resume")
        self.assertEqual(torch.load(os.path.join(first, "train.pt"))["step"], 5)
        resumed = nets.load(os.path.join(first, "tiny.safetensors"))
        self.assertFalse(torch.equal(begun.convs["conv2_1"].weight, resumed.convs["conv2_1"].weight))

        self.train(second, "--students", "tiny", "--steps", "3", "--start", first, "--frozen", "2")
        frozen = nets.load(os.path.join(second, "tiny.safetensors"))
        for k in ("conv1_1", "conv2_1"):
            self.assertTrue(torch.equal(resumed.convs[k].weight, frozen.convs[k].weight), k)
            # A head is known up to a rotation: L^T L is what counts.
            one, other = (h.T @ h for h in (resumed.heads[k], frozen.heads[k]))
            torch.testing.assert_close(other / other.norm(), one / one.norm(), atol=2e-3, rtol=0)
        self.assertFalse(torch.equal(resumed.convs["conv3_1"].weight, frozen.convs["conv3_1"].weight))

    def test_bad_options_are_refused(self):
        for wrong, message in ((["--side", "40"], "multiple of 16"), (["--frozen", "2"], "--start")):
            said = io.StringIO()
            with self.assertRaises(SystemExit), contextlib.redirect_stderr(said):
                TRAIN.main(["--assets", self.assets, "--out", self.assets, *wrong])
            self.assertIn(message, said.getvalue())

    def test_a_network_in_two_parts_is_the_network(self):
        net = nets.vgg19(os.path.join(self.assets, "weights/vgg19_features.safetensors"))
        x = torch.rand(1, 3, 48, 32)
        whole = net(x)
        for stage in (2, 4):
            part = net.from_stage(stage, net.input_of(x, stage))
            self.assertTrue(part)
            for k, v in part.items():
                torch.testing.assert_close(v, whole[k])

    def test_painting_comes_nearer_to_the_style_and_the_judge_sees_it(self):
        net = nets.vgg19(os.path.join(self.assets, "weights/vgg19_features.safetensors"))
        content, style = torch.rand(2, 1, 3, 32, 32).sqrt()
        style = style ** 4
        grams = style_grams(net, style)
        judge = Judge(net, grams, content)
        before, _ = judge(content)
        torch.testing.assert_close(before, torch.ones(1, 5))
        painted = paint(Target(net, grams, content), content, 1.0, 10.0, 10)[10]
        after, distance = judge(painted)
        self.assertLess(after.mean().item(), 0.5)
        self.assertGreater(distance.item(), 0)

    def test_a_memory_forgets_but_keeps_its_size(self):
        class Teller:
            def __call__(self, x, first):
                return {first: x}

        class Slots:
            pair, s, c = [1], torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4)

            def painted(self, i):
                return torch.rand(2, 3, 4, 4)
        memory = Examples(Teller(), [], 3, np.random.default_rng(0), first=1)
        for _ in range(7):
            memory.add(Slots(), 0)
        self.assertEqual(len(memory.groups), 3)
        _, features, each = memory.draw(2)
        self.assertEqual((each, features[1].shape), (4, (8, 3, 4, 4)))


if __name__ == "__main__":
    unittest.main()
