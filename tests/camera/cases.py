"""What `stylize-live` does with real cameras, one case a call; scripts/test-camera runs them inside the rig.

    cases.py CASE FOLDER PROGRAM

Rates are not judged here: the rig has one CPU, shared with the camera, the X server and whatever else runs.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

CASE, FOLDER, PROGRAM = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
ROOT = Path(__file__).resolve().parents[2]
STATS = FOLDER / f"{CASE}.jsonl"
LONG = float(os.environ.get("TEST_CAMERA_SECONDS", "60"))
# Under an emulated processor everything takes this many times longer.
SLOW = float(os.environ.get("TEST_CAMERA_SLOW", "1"))


class Live:
    """The program, running."""

    def __init__(self, *arguments, headless=False):
        STATS.unlink(missing_ok=True)
        command = [PROGRAM, "--device", "cpu", "--model", "tiny", "--stats", str(STATS), "--log-level", "info"]
        command += ["--headless"] if headless else []
        command += ["--work-size", "64", "--steps", "1"] if SLOW > 1 else []
        self.errors = open(FOLDER / f"{CASE}.log", "w+")
        self.process = subprocess.Popen([*command, *map(str, arguments)], stderr=self.errors, cwd=FOLDER)

    def stats(self):
        lines = STATS.read_text().split("\n")[:-1] if STATS.exists() else []
        return [json.loads(line) for line in lines]

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
            time.sleep(0.2)
        fail(f"not within {seconds} s: {what}; last: {self.stats()[-1:]}; {self.log()}")

    def running(self):
        self.until("frames come", lambda line: line["source"] == "running" and line["fps_out"] > 0, 60)

    def log(self):
        self.errors.flush()
        return Path(self.errors.name).read_text()[-2000:]

    def end(self, seconds=5, code=0):
        try:
            found = self.process.wait(SLOW * seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            fail(f"still there after {seconds} s: {self.log()}")
        if found != code:
            fail(f"exit status {found}, not {code}: {self.log()}")
        return self.log()


def fail(text):
    print(f"{CASE}: FAILED: {text}", flush=True)
    sys.exit(1)


def check(condition, text):
    if not condition:
        fail(text)


def sh(*command, **more):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **more).stdout


def key(*keys):
    for name in keys:
        sh("xdotool", "key", name)


def screenshot(name):
    sh("import", "-window", "root", str(FOLDER / f"{CASE}-{name}.png"))


def probe(recording):
    """Time stamps and duration of a recording, in seconds, by FFmpeg's own tools."""
    show = ("ffprobe", "-v", "error", "-select_streams", "v", "-of", "json")
    frames = json.loads(sh(*show, "-show_entries", "frame=pts_time", str(recording)))["frames"]
    times = [float(frame["pts_time"]) for frame in frames]
    length = float(json.loads(sh(*show, "-show_entries", "format=duration", str(recording)))["format"]["duration"])
    return times, length


def window(*arguments):
    recording = FOLDER / f"{CASE}.mp4"
    recording.unlink(missing_ok=True)
    for old in FOLDER.glob("stylize-*.png"):
        old.unlink()
    styles = ["--style", ROOT / "samples/woodcut.jpg", "--style", ROOT / "samples/glass.jpg"]
    live = Live("--record", recording, *styles, *arguments)
    live.running()
    began = time.monotonic()
    place = sh("xdotool", "search", "--sync", "--name", "stylize-live").split()[0]
    sh("xdotool", "mousemove", "--window", place, "50", "50")
    live.until("it paints", lambda line: line["fps_painted"] > 0)
    time.sleep(5)
    screenshot("painted")
    pressed = [
        ("n", "the next style", lambda line: line["style"] == "glass"),
        ("Up", "stronger", lambda line: abs(line["strength"] - 0.55) < 1e-6),
        ("minus", "weaker", lambda line: abs(line["strength"] - 0.5) < 1e-6),
        ("m", "mirrored", lambda line: line["mirror"]),
        ("c", "colours kept", lambda line: line["keep_colours"]),
        ("v", "side by side", lambda line: line["view"] == "side-by-side"),
        ("space", "paused", lambda line: line["paused"] and line["fps_out"] == 0),
        ("space", "going on", lambda line: not line["paused"] and line["fps_out"] > 0),
        ("bracketright", "two steps", lambda line: line["steps"] >= 2),
        ("comma", "smaller", lambda line: 0 < max(map(int, (line["size"] or "0x0").split("x"))) < 256),
        ("a", "by itself", lambda line: line["automatic"]),
        ("x", "anew", lambda line: line["fps_painted"] > 0),
    ]
    for name, what, condition in pressed:
        key(name)
        live.until(f"{name}: {what}", condition)
        if name in ("v", "n"):
            time.sleep(2)
            screenshot(what.replace(" ", "-"))
    key("h", "i")
    time.sleep(2)
    screenshot("help")
    key("h")
    key("s")
    time.sleep(max(2, LONG - (time.monotonic() - began)))
    shown = sum(line["fps_out"] for line in live.stats())
    key("q")
    live.end()
    check(len(list(FOLDER.glob("stylize-*.png"))) == 1, "a snapshot")
    times, length = probe(recording)
    check(all(a < b for a, b in zip(times, times[1:])), "time stamps of the recording ascend")
    took = time.monotonic() - began
    check(abs(length - took) < 6, f"the recording lasts {length} s, the run {took} s")
    check(len(times) > 0.5 * shown, f"{len(times)} frames recorded of {shown}")
    print(f"{CASE}: {length:.1f} s recorded, {len(times)} frames; {last_numbers(live)}")


def last_numbers(live):
    lines = [line for line in live.stats() if line["fps_in"] > 0][2:]
    middle = lambda values: sorted(values)[len(values) // 2] if values else 0
    of = lambda key: middle([line[key] for line in lines])
    latency = middle([line["latency"]["p50"] for line in lines])
    return f"in {of('fps_in'):.1f}, shown {of('fps_out'):.1f}, painted {of('fps_painted'):.1f} fps, latency {latency} ms"


def vivid(**controls):
    for name, value in controls.items():
        sh("v4l2-ctl", "-d0", "-c", f"{name}={value}")


def case_window_mjpg():
    window("--size", "1280x720")


def case_window_yuyv():
    window("--size", "640x480")


def case_window_vivid():
    window("--size", "640x360")


def case_unplug():
    live = Live("--camera", "/dev/video0", headless=True)
    live.running()
    driver = Path("/sys/bus/platform/drivers/vivid")
    (driver / "unbind").write_text("vivid.0")
    live.until("the loss is noticed", lambda line: line["source"] == "lost", 4)
    time.sleep(2)
    (driver / "bind").write_text("vivid.0")
    live.until("it is back", lambda line: line["source"] == "running" and line["fps_out"] > 0, 10)
    live.process.send_signal(signal.SIGINT)
    check("it was unplugged" in live.end(), "the reason is told")


def case_stall():
    live = Live(headless=True)
    live.running()
    vivid(percentage_of_dropped_buffers=100)
    live.until("silence is noticed", lambda line: line["source"] == "silent", 4)
    time.sleep(2)
    vivid(percentage_of_dropped_buffers=0)
    live.until("it is back", lambda line: line["source"] == "running" and line["fps_out"] > 0, 10)
    vivid(percentage_of_dropped_buffers=100)
    live.until("silence is noticed again", lambda line: line["source"] == "silent", 4)
    live.process.send_signal(signal.SIGINT)
    live.end()


def case_stall_window():
    feed = int(Path("/run/vmcam/feed.pid").read_text())
    live = Live()
    live.running()
    time.sleep(5)
    os.kill(feed, signal.SIGSTOP)
    live.until("silence is noticed", lambda line: line["source"] == "silent", 4)
    time.sleep(1)
    screenshot("silent")
    os.kill(feed, signal.SIGCONT)
    live.until("it is back", lambda line: line["source"] == "running" and line["fps_out"] > 0, 10)
    live.process.send_signal(signal.SIGINT)
    live.end()


def case_stream_error():
    live = Live(headless=True)
    live.running()
    vivid(inject_fatal_streaming_error=1)
    time.sleep(1)
    live.until("it goes on", lambda line: line["source"] == "running" and line["fps_out"] > 0, 10)
    live.process.send_signal(signal.SIGINT)
    live.end()


def case_odd_interval():
    """30000/1001 and a format that is not ours, as another program may leave them."""
    sh("v4l2-ctl", "-d0", "-v", "width=640,height=360,pixelformat=AR24")
    live = Live("--size", "640x360", headless=True)
    live.running()
    live.process.send_signal(signal.SIGINT)
    check("640x360" in live.end(), "the size that was asked for")


def case_absent():
    for arguments in [(), ("--camera", "3"), ("--camera", "/dev/video7")]:
        message = Live(*arguments, headless=True).end(code=1)
        check("no camera was found" in message or "no such device" in message, message)


def case_taken():
    other = subprocess.Popen(["v4l2-ctl", "-d0", "--stream-mmap", "--stream-count=0"], stdout=subprocess.DEVNULL)
    time.sleep(2)
    message = Live(headless=True).end(code=1)
    other.kill()
    check("another program is using it" in message, message)


def case_list():
    listing = sh(PROGRAM, "--list-cameras")
    check("vivid" in listing and "640x360 at" in listing and "fps" in listing, listing)


def case_virtual_camera():
    sh("modprobe", "v4l2loopback", "exclusive_caps=1", "video_nr=5", "card_label=painted")
    live = Live("--input", ROOT / "samples/clip.mp4", "--loop", "--virtual-camera", "/dev/video5", headless=True)
    live.running()
    sh("ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "v4l2", "-i", "/dev/video5", "-frames:v", "48", str(FOLDER / f"{CASE}.mp4"))
    times, _ = probe(FOLDER / f"{CASE}.mp4")
    check(len(times) >= 40, f"{len(times)} frames were read")
    sh("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(FOLDER / f"{CASE}.mp4"), "-frames:v", "1", str(FOLDER / f"{CASE}.png"))
    live.process.send_signal(signal.SIGINT)
    live.end()


globals()[f"case_{CASE}"]()
print(f"{CASE}: ok", flush=True)
