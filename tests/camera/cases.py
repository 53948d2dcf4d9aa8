"""What `stylize-live` does with real cameras, one case a call; scripts/test-camera runs them inside the rig.

    cases.py CASE FOLDER PROGRAM CLIP

Rates are not judged here: the rig has one CPU, shared with the camera, the X server and whatever else runs.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import window_case
from rig import CASE, CLIP, FOLDER, PROGRAM, STATS, Live, check, fail, from_nearest, pixels, probe, screenshot, sh, vivid


def is_running(line):
    return line["source"] == "running" and line["fps_out"] > 0


def refused(*arguments, **more):
    """What the program says when it does not start. In the rig, pages come slowly: loading it takes seconds."""
    return Live(*arguments, headless=True, **more).end(30, code=1)


# Silence counts after 1.5 s, and the statistics come once a second.
NOTICED = 4


def case_window_mjpg():
    window_case.run("--size", "1280x720", aspect="1280:720")


def case_window_yuyv():
    window_case.run("--size", "640x480", aspect="640:480")


def case_window_vivid():
    """The driver's own test picture, which moves."""
    window_case.run("--size", "640x360", aspect=None)


def case_unplug():
    live = Live("--camera", "/dev/video0", headless=True)
    live.running()
    driver = Path("/sys/bus/platform/drivers/vivid")
    for _ in range(2):
        (driver / "unbind").write_text("vivid.0")
        live.until("the loss is noticed", lambda line: line["source"] == "lost", NOTICED)
        time.sleep(2)
        (driver / "bind").write_text("vivid.0")
        live.until("it is back", is_running, 10)
    log = live.interrupt()
    check("it was unplugged" in log, f"the reason is told: {log}")


def case_stall():
    live = Live(headless=True)
    live.running()
    vivid(percentage_of_dropped_buffers=100)
    live.until("silence is noticed", lambda line: line["source"] == "silent", NOTICED)
    time.sleep(2)
    vivid(percentage_of_dropped_buffers=0)
    live.until("it is back", is_running, 10)
    vivid(percentage_of_dropped_buffers=100)
    live.until("silence is noticed again", lambda line: line["source"] == "silent", NOTICED)
    # It ends although the driver keeps the thread that reads.
    live.interrupt()


def case_stall_window():
    feed = int(Path("/run/vmcam/feed.pid").read_text())
    live = Live()
    live.running()
    time.sleep(5)
    os.kill(feed, signal.SIGSTOP)
    live.until("silence is noticed", lambda line: line["source"] == "silent", NOTICED)
    time.sleep(1)
    screenshot("silent")
    os.kill(feed, signal.SIGCONT)
    live.until("it is back", is_running, 10)
    time.sleep(1)
    screenshot("back")
    live.interrupt()


def case_silent_start():
    """A camera that sends nothing from the start: the window is there and says so."""
    vivid(percentage_of_dropped_buffers=100)
    live = Live()
    live.until("silence is noticed", lambda line: line["source"] == "silent", 30)
    time.sleep(2)
    screenshot("silent")
    vivid(percentage_of_dropped_buffers=0)
    live.until("frames come", is_running, 20)
    live.interrupt()


def case_stream_error():
    live = Live(headless=True)
    live.running()
    vivid(inject_fatal_streaming_error=1)
    time.sleep(1)
    live.until("it goes on", is_running, 10)
    live.interrupt()


def case_foreign_format():
    """A format that is not ours, as another program may leave it."""
    sh("v4l2-ctl", "-d0", "-v", "width=640,height=360,pixelformat=AR24")
    live = Live("--size", "640x360", headless=True)
    live.running()
    log = live.interrupt()
    check("640x360" in log, f"the size that was asked for: {log}")


def case_odd_interval():
    """Vivid's S-Video input: sizes in steps, and 1001/30000 s between frames, which nokhwa refuses."""
    sh("v4l2-ctl", "-d0", "-i", "2")
    sh("v4l2-ctl", "-d0", "-s", "ntsc")
    live = Live("--size", "720x480", headless=True)
    live.running()
    line = live.until("the rate is kept", lambda line: 25 < line["fps_in"] < 35, 20)
    # The same watchdog, although another reader is at work.
    vivid(percentage_of_dropped_buffers=100)
    live.until("silence is noticed", lambda line: line["source"] == "silent", NOTICED)
    time.sleep(3)
    vivid(percentage_of_dropped_buffers=0)
    live.until("it is back", is_running, 10)
    driver = Path("/sys/bus/platform/drivers/vivid")
    (driver / "unbind").write_text("vivid.0")
    live.until("the loss is noticed", lambda line: line["source"] == "lost", NOTICED)
    (driver / "bind").write_text("vivid.0")
    live.until("it is back", is_running, 10)
    log = live.interrupt()
    check("29.97 fps" in log, log)
    print(f"{CASE}: {line['fps_in']:.1f} fps")


def case_absent():
    for arguments in [(), ("--camera", "3"), ("--camera", "/dev/video7")]:
        message = refused(*arguments)
        check("no camera was found" in message or "no such device" in message, message)
        check("--input" in message or "--list-cameras" in message, f"a way out: {message}")


def case_taken():
    other = subprocess.Popen(["v4l2-ctl", "-d0", "--stream-mmap", "--stream-count=0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(2)
    message = refused()
    other.kill()
    check("another program is using it" in message, message)


def case_forbidden():
    """Another user, who is not in the camera's group, with copies of what root's home may hide."""
    os.chmod("/dev/video0", 0o600)
    place = Path("/run/forbidden")
    place.mkdir(mode=0o755)
    shutil.copy(PROGRAM, place / "stylize-live")
    shutil.copy(os.environ["ORT_DYLIB_PATH"], place / "libonnxruntime.so")
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    program = [*user, place / "stylize-live"]
    STATS.write_text("")
    STATS.chmod(0o666)
    env = {**os.environ, "ORT_DYLIB_PATH": str(place / "libonnxruntime.so"), "HOME": "/"}
    message = refused(program=program, env=env)
    check("you may not use it" in message and "usermod -aG video" in message, message)
    listing = sh(*program, "--list-cameras", env=env)
    check("you may not use it" in listing, listing)


def case_list():
    listing = sh(PROGRAM, "--list-cameras")
    check(listing.startswith("0: vivid (/dev/video0)\n"), listing)
    check("640x360 at" in listing and "fps" in listing, listing)
    for camera in ["0", "VIVID", "/dev/video0"]:
        live = Live("--camera", camera, headless=True)
        live.running()
        live.interrupt()


def case_virtual_camera():
    sh("modprobe", "v4l2loopback", "exclusive_caps=1", "video_nr=5", "card_label=painted")
    live = Live("--input", CLIP, "--loop", "--virtual-camera", "/dev/video5", headless=True)
    live.running()
    found = sh("v4l2-ctl", "-d5", "--get-fmt-video")
    check("'YUYV'" in found, found)
    copy = FOLDER / f"{CASE}.mkv"
    sh("ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "v4l2", "-i", "/dev/video5", "-frames:v", "48", "-c:v", "ffv1", copy)
    times, _ = probe(copy)
    check(len(times) >= 40, f"{len(times)} frames were read")
    sh("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", copy, "-frames:v", "1", FOLDER / f"{CASE}.png")
    far = from_nearest(pixels(copy)[-1], pixels(CLIP))
    check(6 < far < 80, f"painted, and still the clip: {far:.1f} from it")
    log = live.interrupt()
    check("panicked" not in log, log)
    print(f"{CASE}: {len(times)} frames read, {far:.1f} from the clip")


case = globals().get(f"case_{CASE}") or fail("there is no such case")
case()
print(f"{CASE}: ok", flush=True)
