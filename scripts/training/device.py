"""Where the networks run, and in what precision products are taken there."""
import contextlib
import time

import torch


class Compute:
    """A device and the type of its convolutions: bfloat16 where that is faster, else float32. Sums are always float32."""

    def __init__(self, name="auto", half=None):
        """`name`: auto (a GPU if there is one), cpu or cuda. `half`: bfloat16 or not; None tries which is faster."""
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        if name == "cuda" and not torch.cuda.is_available():
            raise SystemExit("--device cuda: PyTorch finds no GPU; expected a CUDA build of it and a driver (try --device cpu)")
        self.device = torch.device(name)
        torch.backends.cudnn.benchmark = True  # sizes stay the same for long
        self.half = self.faster_in_half() if half is None else half

    @property
    def dtype(self):
        return torch.bfloat16 if self.half else torch.float32

    def autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16) if self.half else contextlib.nullcontext()

    def faster_in_half(self):
        """On a GPU, whether it has matrix units for it. On a CPU one convolution is timed both ways: without bfloat16 instructions
        it is several times slower in it."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_capability(self.device) >= (8, 0)
        x, w = torch.rand(1, 128, 32, 32), torch.rand(128, 128, 3, 3)
        best = {}
        for dtype in (torch.float32, torch.bfloat16):
            a, b = (v.to(dtype).contiguous(memory_format=torch.channels_last) for v in (x, w))
            times = []
            for _ in range(4):
                begin = time.perf_counter()
                torch.nn.functional.conv2d(a, b, padding=1)
                times.append(time.perf_counter() - begin)
            best[dtype] = min(times)
        return best[torch.bfloat16] < 0.8 * best[torch.float32]

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def __str__(self):
        return f"{self.device.type}, {str(self.dtype).removeprefix('torch.')}"


FP32 = Compute("cpu", half=False)
