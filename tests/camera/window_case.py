"""The window cases: a minute in front of a camera, every key, snapshots, recordings."""

import os
import time

from rig import CASE, CLIP, FOLDER, ROOT, Live, check, colours, difference, flipped, from_nearest, key, look, pixels
from rig import point_at_window, probe, screenshot, side_by_side, snapshot

LONG = float(os.environ.get("TEST_CAMERA_SECONDS", "60"))
# Mean differences of pictures, of 255: the same one, compressed and scaled; one with paint on it; none of the clip at all.
SAME, PAINTED, OTHER = 7, 9, 80


def run(*arguments, aspect):
    """`aspect` is that of the camera's picture if it shows the clip, in which case snapshots are compared with that."""
    recording = FOLDER / f"{CASE}.mp4"
    for old in [recording, *FOLDER.glob("stylize-*")]:
        old.unlink(missing_ok=True)
    styles = ["--style", ROOT / "samples/woodcut.jpg", "--style", ROOT / "samples/glass.jpg"]
    live = Live("--record", recording, *styles, *arguments)
    live.running()
    began = time.monotonic()
    point_at_window()
    live.until("it paints", lambda line: line["fps_painted"] > 0)
    time.sleep(4)
    screenshot("painted")
    frames = pixels(CLIP, f"scale={aspect}") if aspect else None
    styles_and_strength(live)
    pictures(live, frames)
    work(live)
    pause(live)
    time.sleep(max(1, LONG - (time.monotonic() - began)))
    took = time.monotonic() - began
    recordings(live, recording, took)
    numbers(live)


def press(live, *keys):
    """Keys, each with what it does to the statistics."""
    for name, what, condition in keys:
        key(name)
        live.until(f"{name}: {what}", condition, 10)


def strength(expected):
    return lambda line: abs(line["strength"] - expected) < 1e-6


def styles_and_strength(live):
    press(
        live,
        ("n", "the next style", lambda line: line["style"] == "glass"),
        ("p", "the one before", lambda line: line["style"] == "woodcut"),
        ("Right", "the next style", lambda line: line["style"] == "glass"),
        ("Left", "the one before", lambda line: line["style"] == "woodcut"),
        ("Up", "stronger", strength(0.55)),
        ("plus", "stronger", strength(0.6)),
        ("Down", "weaker", strength(0.55)),
        ("minus", "weaker", strength(0.5)),
    )
    key("n")
    # The blend never stops the painting.
    seen = len(live.stats())
    time.sleep(3)
    check(all(line["fps_painted"] > 0 for line in live.stats()[seen:]), "a change of style does not stall")
    screenshot("next-style")
    press(live, ("p", "the one before", lambda line: line["style"] == "woodcut"))
    time.sleep(2)


def pictures(live, frames):
    """What is seen, in snapshots that are compared with the clip."""
    view = lambda name: lambda line: line["view"] == name
    halves = lambda name: side_by_side(snapshot(name))
    painted = pixels(snapshot("painted"))[0]
    press(live, ("v", "side by side", view("side-by-side")))
    plain, paint = halves("side-by-side")
    apart = difference(plain, paint)
    check(PAINTED < apart < OTHER, f"painted is something else: {apart:.1f}")
    tinted = colours(plain, paint)
    screenshot("side-by-side")
    press(live, ("c", "colours kept", lambda line: line["keep_colours"]))
    kept = colours(*halves("colours-kept"))
    check(kept < 0.4 * tinted, f"the frame's colours: {kept:.1f} apart, without {tinted:.1f}")
    press(live, ("c", "the painting's colours", lambda line: not line["keep_colours"]))
    press(live, ("m", "mirrored", lambda line: line["mirror"]))
    mirrored = flipped(halves("mirrored")[1])
    press(live, ("m", "not mirrored", lambda line: not line["mirror"]))
    press(live, ("v", "split", view("split")))
    middle = pixels(snapshot("split"), "crop=1:ih:iw/2:0")[0]
    check(min(middle) > 250, "a white line between the halves")
    screenshot("split")
    press(live, ("v", "original", view("original")))
    original = pixels(snapshot("original"))[0]
    press(live, ("v", "painted", view("painted")))
    if frames:
        near = {"original": original, "side by side": plain, "mirrored": mirrored}
        for what, picture in near.items():
            far = from_nearest(picture, frames)
            check(far < SAME, f"{what}: the frame as it was, {far:.1f}")
        for picture in (painted, paint):
            far = from_nearest(picture, frames)
            check(PAINTED < far < OTHER, f"painted: {far:.1f} from the clip")


def work(live):
    """Size and steps."""
    longer = lambda line: max(map(int, (line["size"] or "0x0").split("x")))
    before = longer(live.stats()[-1])
    press(live, ("comma", "a size of its own", lambda line: 0 < longer(line) < before and line["automatic"]))
    first = longer(live.stats()[-1])
    press(
        live,
        ("comma", "smaller", lambda line: 0 < longer(line) < first),
        ("period", "larger", lambda line: longer(line) == first),
        ("Page_Down", "smaller", lambda line: 0 < longer(line) < first),
        ("Page_Up", "larger", lambda line: longer(line) == first),
        ("bracketright", "one more step", lambda line: line["steps"] >= 2 and not line["automatic"]),
    )
    while live.stats()[-1]["steps"] > 1:
        press(live, ("bracketleft", "a step less", lambda line: line["fps_painted"] > 0))
    # A first picture takes more steps than a frame.
    press(live, ("x", "anew", lambda line: line["steps"] > 1))
    press(live, ("a", "by itself", lambda line: line["automatic"]))


def pause(live):
    """The texts over a picture that stands still."""
    press(live, ("space", "paused", lambda line: line["paused"] and line["fps_out"] == 0))
    # The notice of the last key goes away.
    time.sleep(3)
    still = look()
    time.sleep(1)
    check(difference(still, look()) == 0, "nothing moves")
    seen = []
    for name in ("h", "h", "i", "i", "question"):
        key(name)
        time.sleep(1)
        seen.append(difference(still, look()))
        if len(seen) in (1, 3):
            screenshot("help" if name == "h" else "statistics")
    check(min(seen[0], seen[2], seen[4]) > 1 and seen[1] == seen[3] == 0, f"texts come and go: {seen}")
    # The same frame, seen otherwise.
    press(live, ("v", "side by side", lambda line: line["view"] == "side-by-side"))
    for _ in range(3):
        key("v")
    key("question")
    time.sleep(3)
    check(difference(still, look()) < 1, "and as before")
    press(live, ("space", "going on", lambda line: not line["paused"] and line["fps_out"] > 0))
    key("i")
    time.sleep(2)
    screenshot("statistics-live")
    key("i")


def recordings(live, first, took):
    press(live, ("r", "recording off", lambda line: not line["recording"]))
    # A second's worth of frames may wait for the encoder, which is slow in the rig.
    live.logs(f"recorded {first}")
    times, length = probe(first)
    check(abs(length - took) < 6, f"the recording lasts {length} s, the run {took} s")
    # Every frame is in it or was counted as lost. In the second in which it was switched off some frames came before and some after.
    lines = live.stats()
    end = next(i for i, line in enumerate(lines) if not line["recording"])
    least = sum(line["composed"] for line in lines[:end])
    most = least + lines[end]["composed"]
    kept = len(times) + sum(line["dropped"]["record"] for line in lines[:end + 1])
    check(least <= kept <= most, f"{len(times)} frames recorded, {kept} with the lost ones, of {least} to {most}")
    press(live, ("r", "recording on", lambda line: line["recording"]))
    time.sleep(4)
    key("q")
    live.end(15)
    [second] = FOLDER.glob("stylize-*.mp4")
    _, more = probe(second)
    check(2 < more < 12, f"the second recording lasts {more} s")
    print(f"{CASE}: recorded {length:.1f} s, {len(times)} frames, and {more:.1f} s")


def numbers(live):
    lines = [line for line in live.stats() if line["fps_in"] > 0][2:]
    middle = lambda values: sorted(values)[len(values) // 2]
    of = lambda name: middle([line[name] for line in lines])
    latency = middle([line["latency"]["p50"] for line in lines])
    print(f"{CASE}: in {of('fps_in'):.1f}, shown {of('fps_out'):.1f}, painted {of('fps_painted'):.1f} fps, latency {latency} ms")
