"""What the camera cases are made of: the program as a child, keys, screenshots, pictures as numbers."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

CASE, FOLDER, PROGRAM, CLIP = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
ROOT = Path(__file__).resolve().parents[2]
STATS = FOLDER / f"{CASE}.jsonl"
# Under an emulated processor, or on a machine that is busy, everything takes this many times longer.
SLOW = float(os.environ.get("TEST_CAMERA_SLOW", "1"))
# Pictures are compared at this size.
WIDTH, HEIGHT = 48, 28


def fail(text):
    print(f"{CASE}: FAILED: {text}", flush=True)
    sys.exit(1)


def check(condition, text):
    if not condition:
        fail(text)


def sh(*command, **more):
    return subprocess.run(list(map(str, command)), check=True, text=True, stdout=subprocess.PIPE, **more).stdout


class Live:
    """The program, running."""

    def __init__(self, *arguments, headless=False, program=(PROGRAM,), env=None):
        STATS.write_text("")
        command = [*program, "--device", "cpu", "--model", "tiny", "--stats", STATS, "--log-level", "info"]
        command += ["--headless"] if headless else []
        self.errors = open(FOLDER / f"{CASE}.log", "w+")
        self.process = subprocess.Popen(list(map(str, [*command, *arguments])), stderr=self.errors, cwd=FOLDER, env=env)

    def stats(self):
        return [json.loads(line) for line in STATS.read_text().split("\n")[:-1]]

    def until(self, what, condition, seconds=30):
        """Waits for a line of statistics that fulfils the condition, from now on."""
        seen = len(self.stats())
        end = time.monotonic() + SLOW * seconds
        while time.monotonic() < end:
            for line in self.stats()[seen:]:
                if condition(line):
                    return line
            if self.process.poll() is not None:
                fail(f"ended while waiting until {what}: {self.log()}")
            time.sleep(0.1)
        fail(f"not within {seconds} s: {what}; last: {self.stats()[-1:]}; {self.log()}")

    def running(self):
        return self.until("frames come", lambda line: line["source"] == "running" and line["fps_out"] > 0, 60)

    def interrupt(self):
        self.process.send_signal(2)
        return self.end()

    def log(self):
        self.errors.flush()
        return Path(self.errors.name).read_text()[-2000:]

    def logs(self, text, seconds=30):
        """Waits until the log says so."""
        end = time.monotonic() + SLOW * seconds
        while text not in self.log():
            check(time.monotonic() < end, f"not within {seconds} s: {text}; {self.log()}")
            time.sleep(0.1)

    def end(self, seconds=5, code=0):
        try:
            found = self.process.wait(SLOW * seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            fail(f"still there after {seconds} s: {self.log()}")
        if found != code:
            fail(f"exit status {found}, not {code}: {self.log()}")
        return self.log()


def vivid(**controls):
    for name, value in controls.items():
        sh("v4l2-ctl", "-d0", "-c", f"{name}={value}")


def point_at_window():
    """Without a window manager, keys go to the window under the pointer."""
    end = time.monotonic() + SLOW * 20
    while time.monotonic() < end:
        found = subprocess.run(["xdotool", "search", "--name", "stylize-live"], text=True, capture_output=True).stdout
        if found:
            sh("xdotool", "mousemove", "--window", found.split()[0], "50", "50")
            return
        time.sleep(0.2)
    fail("there is no window")


def key(name):
    sh("xdotool", "key", name)


def screenshot(name):
    path = FOLDER / f"{CASE}-screen-{name}.png"
    sh("import", "-window", "root", path)
    return path


def look():
    """The screen as RGB8 of a size of its own; quicker than a screenshot: starting a program takes seconds in the rig."""
    command = ["import", "-silent", "-window", "root", "-resize", "160x128!", "-depth", "8", "rgb:-"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def snapshot(name):
    """Presses the key for one and waits for the file, which gets this name."""
    before = set(FOLDER.glob("stylize-*.png"))
    # It is of what is seen: what an earlier key has changed must have got there.
    time.sleep(1)
    key("s")
    end = time.monotonic() + SLOW * 10
    while time.monotonic() < end:
        new = set(FOLDER.glob("stylize-*.png")) - before
        # It is written under another name until it is whole.
        if new:
            return new.pop().rename(FOLDER / f"{CASE}-snapshot-{name}.png")
        time.sleep(0.1)
    fail(f"no snapshot for {name}")


def pixels(path, *filters, times=1):
    """Frames as RGB8 of WIDTH x HEIGHT, or so many times that."""
    width, height = times * WIDTH, times * HEIGHT
    chain = ",".join([*filters, f"scale={width}:{height}:flags=area"])
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-vf", chain, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    data = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    step = 3 * width * height
    return [data[i : i + step] for i in range(0, len(data), step)]


def side_by_side(path):
    """The two pictures of that view, each of WIDTH x HEIGHT."""
    whole, row = pixels(path, times=2)[0], 6 * WIDTH
    check(max(whole[: row * HEIGHT // 3]) < 16, f"black above the two pictures of {path}")
    rows = [whole[i : i + row] for i in range(row * HEIGHT // 2, row * HEIGHT * 3 // 2, row)]
    return b"".join(line[: row // 2] for line in rows), b"".join(line[row // 2 :] for line in rows)


def flipped(picture):
    """As in a mirror."""
    rows = [picture[i : i + 3 * WIDTH] for i in range(0, len(picture), 3 * WIDTH)]
    return b"".join(row[x : x + 3] for row in rows for x in range(3 * (WIDTH - 1), -1, -3))


def difference(a, b):
    """Mean absolute difference, of 255."""
    return sum(abs(x - y) for x, y in zip(a, b)) / len(a)


def from_nearest(picture, frames):
    """How far a picture is from the frame that is most like it."""
    return min(difference(picture, frame) for frame in frames)


def colours(a, b):
    """How far two pictures are apart in colour, whatever their brightness: mean absolute difference of red-green and blue-green."""
    tints = lambda p: [p[i + c] - p[i + 1] for i in range(0, len(p), 3) for c in (0, 2)]
    return sum(abs(x - y) for x, y in zip(tints(a), tints(b))) / len(a)


def probe(recording):
    """Time stamps and duration of a recording, in seconds, by FFmpeg's own tools."""
    show = ("ffprobe", "-v", "error", "-select_streams", "v", "-of", "json")
    frames = json.loads(sh(*show, "-show_entries", "frame=pts_time", recording))["frames"]
    times = [float(frame["pts_time"]) for frame in frames]
    length = float(json.loads(sh(*show, "-show_entries", "format=duration", recording))["format"]["duration"])
    check(all(a < b for a, b in zip(times, times[1:])), f"time stamps of {recording} ascend")
    return times, length
