//! Colour bars whose YCbCr values are computed here from the standards, and not by any code under test.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use stylize::{
    colour::Colour,
    frame::{Frame, Size},
    sink::{self, SinkOptions},
    source::{self, SourceOptions},
};

use crate::{text, tools};

/// Red, green, blue of eight bars, not only the corners of the cube.
const BARS: [[u8; 3]; 8] = [
    [235, 235, 235],
    [191, 191, 20],
    [20, 191, 191],
    [0, 255, 0],
    [191, 40, 191],
    [255, 0, 0],
    [10, 30, 220],
    [16, 16, 16],
];

/// Wide enough that chroma interpolation does not reach the middle of a bar.
const BAR: usize = 16;

/// YCbCr by the definition: Kr and Kb of BT.601, BT.709 and BT.2020, eight bits.
fn ycbcr(rgb: [u8; 3], matrix: u8, full: bool) -> [f64; 3] {
    let (kr, kb) = match matrix {
        1 => (0.2126, 0.0722),
        9 => (0.2627, 0.0593),
        _ => (0.299, 0.114),
    };
    let [r, g, b] = rgb.map(|value| f64::from(value) / 255.0);
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    let (cb, cr) = ((b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr)));
    if full {
        [255.0 * y, 128.0 + 255.0 * cb, 128.0 + 255.0 * cr]
    } else {
        [16.0 + 219.0 * y, 128.0 + 224.0 * cb, 128.0 + 224.0 * cr]
    }
}

/// The bars as a raw yuv420p picture.
fn raw_bars(size: Size, matrix: u8, full: bool) -> Vec<u8> {
    let bar = |x: usize| BARS[(x / BAR) % BARS.len()];
    let plane = |channel: usize, step: usize| {
        let row: Vec<u8> =
            (0..size.width / step).map(|x| ycbcr(bar(x * step), matrix, full)[channel].round() as u8).collect();
        row.repeat(size.height / step)
    };
    [plane(0, 1), plane(1, 2), plane(2, 2)].concat()
}

/// A lossless file of one picture, tagged by the `ffmpeg` tool (by nothing if `tags` is empty).
fn bars_file(path: &Path, size: Size, matrix: u8, full: bool, tags: &[&str]) {
    let size_text = size.to_string();
    let mut tool = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", &size_text, "-i", "-"])
        .args(["-c:v", "libx264", "-qp", "0"])
        .args(tags)
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin.take().unwrap().write_all(&raw_bars(size, matrix, full)).unwrap();
    assert!(tool.wait().unwrap().success());
}

/// The largest difference between the middle of a decoded bar and its colour.
fn decoded_error(path: &Path) -> u8 {
    let mut source = source::open(path, &SourceOptions::default()).unwrap();
    let frame = source.next().unwrap().unwrap();
    let Size { width, height } = frame.size();
    let mut worst = 0;
    for x in (BAR / 2..width).step_by(BAR) {
        let pixel = &frame.pixels()[3 * (height / 2 * width + x)..][..3];
        let wanted = BARS[(x / BAR) % BARS.len()];
        worst = pixel.iter().zip(wanted).map(|(&a, b)| a.abs_diff(b)).fold(worst, u8::max);
    }
    worst
}

#[test]
fn tagged_bars_come_out_in_their_colours() {
    if !tools() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let size = Size::new(128, 64);
    for (matrix, name) in [(6, "smpte170m"), (5, "bt470bg"), (1, "bt709"), (9, "bt2020nc")] {
        for (full, range) in [(false, "tv"), (true, "pc")] {
            let path = folder.path().join(format!("{name}-{range}.mp4"));
            // The size says BT.601: the tags must win.
            bars_file(&path, size, matrix, full, &["-colorspace", name, "-color_range", range]);
            let error = decoded_error(&path);
            assert!(error <= 2, "{name} {range}: off by {error}");
        }
    }
}

#[test]
fn untagged_bars_are_taken_by_their_size() {
    if !tools() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (size, matrix) in [(Size::new(720, 480), 6), (Size::new(1280, 720), 1)] {
        let path = folder.path().join(format!("{size}.mp4"));
        bars_file(&path, size, matrix, false, &[]);
        let error = decoded_error(&path);
        assert!(error <= 2, "{size}: off by {error}");
    }
}

#[test]
fn written_bars_have_the_values_of_the_standard() {
    if !tools() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let size = Size::new(128, 64);
    let pixels: Vec<u8> = (0..size.area()).flat_map(|at| BARS[(at % size.width / BAR) % BARS.len()]).collect();
    for matrix in [6, 1, 9] {
        for full in [false, true] {
            let output = folder.path().join(format!("{matrix}-{full}.mp4"));
            let colour = Colour { matrix, primaries: 2, transfer: 2, full_range: full };
            write_one(&output, &Frame::new(size, pixels.clone(), 0), colour);
            let format = if full { "yuvj420p" } else { "yuv420p" };
            let raw = crate::ffmpeg(&["-i", text(&output), "-pix_fmt", format, "-f", "rawvideo", "-"]);
            let wanted = raw_bars(size, matrix, full);
            let middle = |x: usize| size.height / 2 * size.width + x;
            let chroma = |x: usize| size.area() + size.height / 4 * size.width / 2 + x / 2;
            for x in (BAR / 2..size.width).step_by(BAR) {
                for at in [middle(x), chroma(x), chroma(x) + size.area() / 4] {
                    // The coding loses a little.
                    assert!(
                        raw[at].abs_diff(wanted[at]) <= 3,
                        "matrix {matrix}, full {full}, x {x}: {} {}",
                        raw[at],
                        wanted[at]
                    );
                }
            }
        }
    }
}

fn write_one(output: &Path, frame: &Frame, colour: Colour) {
    let base = stylize::frame::TimeBase { numerator: 1, denominator: 25 };
    let options = SinkOptions {
        frame_rate: Some(25.0),
        frames: Some(1),
        colour,
        crf: Some(1),
        ..SinkOptions::srgb(frame.size(), base)
    };
    let mut sink = sink::create(output, &options).unwrap();
    sink.write(frame).unwrap();
    sink.finish().unwrap();
}
