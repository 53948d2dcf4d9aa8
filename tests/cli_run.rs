//! The binary at work, judged by ffprobe: videos, pictures, sequences, damaged input, Ctrl-C.

mod program;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use program::{Folder, asset, ffmpeg, repository, text, tool};

/// Presentation times of the video's frames, as ffprobe decodes them.
fn times(file: &str) -> Vec<f64> {
    let probe = ["-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of", "csv=p=0", file];
    let lines = tool("ffprobe", &probe);
    lines.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect()
}

/// A value of the first stream of a kind (`v` or `a`).
fn entry(file: &str, kind: &str, name: &str) -> String {
    let entry = format!("stream={name}");
    let probe = ["-v", "error", "-select_streams", kind, "-show_entries", &entry, "-of", "csv=p=0", file];
    tool("ffprobe", &probe).trim().trim_end_matches(',').to_owned()
}

/// A checksum of the packets of the sound.
fn sound(file: &str) -> String {
    ffmpeg(&["-i", file, "-map", "0:a", "-c", "copy", "-f", "md5", "-"])
}

/// Pixels of the first frame, RGB8.
fn pixels(file: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i", file, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .expect("running ffmpeg");
    output.stdout
}

/// Mean difference of two pictures, of 255.
fn difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum::<f64>() / a.len() as f64
}

fn same_times(input: &str, output: &str, tick: f64) {
    let (wanted, found) = (times(input), times(output));
    assert_eq!(found.len(), wanted.len(), "frames of {output}");
    for (wanted, found) in wanted.iter().zip(&found) {
        assert!((wanted - found).abs() <= tick, "{output}: a frame at {found}, expected at {wanted}");
    }
}

#[test]
fn two_arguments_are_enough() {
    let folder = Folder::new();
    let (input, output) = (folder.path("tiny.mp4"), folder.path("out.mp4"));
    ffmpeg(&["-i", text(&folder.path("in.mp4")), "-frames:v", "2", "-vf", "scale=160:90", "-an", text(&input)]);
    let ended = folder.run(&["tiny.mp4", "out.mp4"]);
    assert!(ended.status.success(), "{}", ended.stderr);
    let (first, last) = (ended.stderr.lines().next(), ended.stderr.lines().last());
    for word in ["tiny.mp4", "160x90", "compact", "on "] {
        assert!(first.is_some_and(|line| line.contains(word)), "no {word} in the first line of: {}", ended.stderr);
    }
    for word in ["out.mp4", "2 frames", "fps", "decode", "paint", "encode"] {
        assert!(last.is_some_and(|line| line.contains(word)), "no {word} in the last line of: {}", ended.stderr);
    }
    assert_eq!(times(text(&output)).len(), 2);
    assert!(difference(&pixels(text(&input)), &pixels(text(&output))) > 8.0, "nothing was painted");
}

#[test]
fn a_video_keeps_frames_times_size_and_sound() {
    let folder = Folder::new();
    folder.paint(&["in.mp4", "out.mp4"]);
    assert_eq!(folder.names(), ["in.mp4", "out.mp4"], "nothing else is left");
    let (input, output) = (folder.path("in.mp4"), folder.path("out.mp4"));
    let (input, output) = (text(&input), text(&output));
    same_times(input, output, 1e-4);
    assert_eq!(entry(output, "v", "codec_name,width,height,pix_fmt"), "h264,640,360,yuv420p");
    assert_eq!(sound(output), sound(input), "the sound is copied");
    assert!(difference(&pixels(input), &pixels(output)) > 1.0, "nothing was painted");
}

#[test]
fn real_clips_keep_frames_times_and_display_size() {
    for name in [
        "torchcodec_nasa_13013_vfr.mp4",
        "torchcodec_nasa_13013_rotated.mp4",
        "torchcodec_nasa_13013_hdr.mp4",
        "torchcodec_test_non_zero_start.mp4",
        "torchcodec_testsrc2_odd_height_and_width_444.mp4",
        "torchcodec_testsrc2_odd_height_and_width_vp9.mp4",
    ] {
        let Some(clip) = asset(&format!("clips/{name}")) else { continue };
        let folder = Folder::new();
        folder.paint(&[text(&clip), "out.mp4"]);
        let output = folder.path("out.mp4");
        same_times(text(&clip), text(&output), 1e-3);
        // Decoded by ffmpeg, which turns pictures upright.
        assert_eq!(pixels(text(&clip)).len(), pixels(text(&output)).len(), "{name}: display size");
        if !entry(text(&clip), "a", "codec_name").is_empty() {
            assert_eq!(sound(text(&output)), sound(text(&clip)), "{name}: sound");
        }
    }
}

#[test]
fn a_part_of_a_video() {
    let folder = Folder::new();
    let clip = repository("samples/clip.mp4");
    folder.paint(&[text(&clip), "out.mp4", "--start", "0:01", "--duration", "0.25"]);
    let found = times(text(&folder.path("out.mp4")));
    assert_eq!(found.len(), 6);
    assert!(found[0].abs() < 0.05, "{found:?}");
}

#[test]
fn the_frame_s_colours_can_be_kept() {
    let folder = Folder::new();
    let photo = repository("samples/wave.jpg");
    folder.paint(&[text(&photo), "painted.png"]);
    folder.paint(&[text(&photo), "kept.png", "--keep-colors"]);
    let before = image::open(&photo).unwrap().to_rgb8();
    // Share of the pixels whose colour, what sets their channels apart, is the photo's; brightness is not.
    let kept = |name: &str| {
        let after = image::open(folder.path(name)).unwrap().to_rgb8();
        let apart =
            |rgb: &image::Rgb<u8>| (i32::from(rgb[0]) - i32::from(rgb[1]), i32::from(rgb[1]) - i32::from(rgb[2]));
        let same = |(a, b): (&image::Rgb<u8>, &image::Rgb<u8>)| apart(a) == apart(b) && a != b;
        before.pixels().zip(after.pixels()).filter(|&pair| same(pair)).count() as f64 / before.pixels().len() as f64
    };
    assert!(kept("kept.png") > 0.7 && kept("painted.png") < 0.1, "{} {}", kept("kept.png"), kept("painted.png"));
}

#[test]
fn a_picture_becomes_a_picture() {
    let folder = Folder::new();
    let photo = repository("samples/wave.jpg");
    for output in ["out.png", "out.jpg"] {
        folder.paint(&[text(&photo), output, "--style", text(&repository("samples/woodcut.jpg"))]);
        let painted = folder.path(output);
        assert_eq!(entry(text(&painted), "v", "width,height"), "1024,768");
        assert!(difference(&pixels(text(&photo)), &pixels(text(&painted))) > 1.0, "nothing was painted");
    }
}

#[test]
fn numbered_sequences_on_either_side() {
    let folder = Folder::new();
    fs::create_dir(folder.path("painted")).unwrap();
    folder.paint(&["in.mp4", "painted/%03d.png", "--duration", "0.2"]);
    let mut names: Vec<_> = fs::read_dir(folder.path("painted"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["001.png", "002.png", "003.png", "004.png", "005.png"]);
    folder.paint(&["painted/%03d.png", "out.mp4", "--fps", "10"]);
    let output = folder.path("out.mp4");
    let found = times(text(&output));
    assert_eq!(found.len(), 5);
    assert!((found[4] - found[0] - 0.4).abs() < 1e-3, "{found:?}");
}

#[test]
fn styles_are_blended() {
    let folder = Folder::new();
    let (ink, glass) = (repository("samples/ink.jpg"), repository("samples/glass.jpg"));
    let (more_ink, more_glass) = (format!("{}:9", text(&ink)), format!("{}:9", text(&glass)));
    let common =
        ["in.mp4", "--first-steps", "20", "--steps", "1", "--size", "64", "--duration", "0.04", "--strength", "0.9"];
    for (output, styles) in [
        ("a.png", [&more_ink, text(&glass)]),
        ("b.png", [text(&ink), &more_glass]),
        ("c.png", [&more_ink, text(&glass)]),
    ] {
        let (head, tail) = common.split_at(1);
        let ended = folder.run(&[head, &[output], tail, &["--style", styles[0], "--style", styles[1]]].concat());
        assert!(ended.status.success(), "{}", ended.stderr);
    }
    let picture = |name: &str| pixels(text(&folder.path(name)));
    assert!(difference(&picture("a.png"), &picture("b.png")) > 1.0, "the weights have no effect");
    assert_eq!(picture("a.png"), picture("c.png"), "the same run twice");
}

#[test]
fn overwrite_replaces_and_quiet_is_quiet() {
    let folder = Folder::new();
    folder.write("out.mp4", b"old");
    let stderr = folder.paint(&["in.mp4", "out.mp4", "--overwrite", "--quiet", "--duration", "0.1"]);
    assert_eq!(stderr, "");
    assert_eq!(times(text(&folder.path("out.mp4"))).len(), 3);
}

#[test]
fn names_of_any_kind() {
    let folder = Folder::new();
    let clip = fs::read(folder.path("in.mp4")).unwrap();
    for name in ["with space.mp4", "ünïcödé 世界.mp4", "http:colon.mp4", "100%.mp4", "-dash.mp4"] {
        folder.write(name, &clip);
        let (input, output) = (format!("./{name}"), format!("./out {name}"));
        folder.paint(&[&input, &output, "--duration", "0.04"]);
        assert_eq!(times(&format!("file:{}", text(&folder.path(&format!("out {name}"))))).len(), 1, "{name}");
    }
}

#[test]
fn a_file_cut_off_in_the_middle_gives_what_is_there() {
    let folder = Folder::new();
    let clip = fs::read(folder.path("in.mp4")).unwrap();
    folder.write("cut.mp4", &clip[..clip.len() * 6 / 10]);
    let stderr = folder.paint(&["cut.mp4", "out.mp4"]);
    let warning = stderr.lines().find(|line| line.starts_with("warning: ")).expect("a warning");
    assert!(warning.contains(" of 12 frames could not be decoded"), "{stderr}");
    let found = times(text(&folder.path("out.mp4"))).len();
    assert!((2..12).contains(&found), "{found} frames");
}

#[test]
fn damaged_packets_are_counted() {
    let folder = Folder::new();
    let mut clip = fs::read(folder.path("in.mp4")).unwrap();
    let media = clip.windows(4).position(|name| name == b"mdat").expect("the media data");
    let (begin, end) = (media + (clip.len() - media) * 4 / 10, media + (clip.len() - media) * 6 / 10);
    clip[begin..end].fill(0xff);
    folder.write("damaged.mp4", &clip);
    let stderr = folder.paint(&["damaged.mp4", "out.mp4"]);
    let warning = stderr.lines().find(|line| line.starts_with("warning: ")).expect("a warning");
    assert!(warning.chars().any(|c| c.is_ascii_digit()), "{stderr}");
    assert!(times(text(&folder.path("out.mp4"))).len() >= 4, "{stderr}");
}

#[test]
fn steps_can_be_looked_into() {
    let folder = Folder::new();
    let look = ["--profile", "trace.json", "--dump-graph", "step.onnx", "--device", "cpu"];
    // The files are named after the canvas: the frame, 64x36, and its margin.
    folder.paint(&[&["in.mp4", "out.mp4", "--duration", "0.1"], &look[..]].concat());
    assert_eq!(folder.names(), ["in.mp4", "out.mp4", "step-80x52.onnx", "trace-80x52.json"]);
    let trace = fs::read_to_string(folder.path("trace-80x52.json")).unwrap();
    let events: serde_json::Value = serde_json::from_str(&trace).expect("JSON");
    let named = |name: &str| events.as_array().expect("events").iter().filter(|event| event["name"] == name).count();
    // Steps in full: two for the first frame, none and one for the two others.
    assert_eq!(named("model_run"), 3);
    let graph = fs::read(folder.path("step-80x52.onnx")).unwrap();
    for name in ["gradient", "style_value4", "content_value"] {
        assert!(graph.windows(name.len()).any(|bytes| bytes == name.as_bytes()), "no {name} in the graph");
    }
    folder.refuses(&["in.mp4", "b.mp4", "--dump-graph", "nowhere/step.onnx"], &["cannot write nowhere/step-"]);
}

fn interrupt(id: u32) {
    // The shell's own kill: a small system has no program of that name.
    tool("sh", &["-c", &format!("kill -INT {id}")]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_playable_file() {
    let folder = Folder::new();
    let clip = repository("samples/clip.mp4");
    let slow = ["out.mp4", "--model", "tiny", "--size", "320", "--steps", "60", "--first-steps", "4"];
    let mut child = folder.command(&[&[text(&clip)], &slow[..]].concat()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // The first line of progress comes with the first frame.
    assert!(lines.any(|line| line.unwrap().starts_with("frame ")), "no progress");
    interrupt(child.id());
    let rest: Vec<String> = lines.map(|line| line.unwrap()).collect();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{status}: {rest:?}");
    assert!(rest.iter().any(|line| line.contains("what was painted so far is kept")), "{rest:?}");
    let output = folder.path("out.mp4");
    let found = times(text(&output)).len();
    assert!((1..84).contains(&found), "{found} frames of 84: {rest:?}");
    assert_eq!(folder.names(), ["in.mp4", "out.mp4"]);
    let length: f64 = entry(text(&output), "a", "duration").parse().expect("sound");
    assert!(length < found as f64 / 24.0 + 0.5, "the sound goes on for {length} s after {found} frames");
}

#[cfg(unix)]
#[test]
fn ctrl_c_before_the_last_pass_leaves_what_there_was() {
    let folder = Folder::new();
    folder.write("out.mp4", b"of before");
    let clip = repository("samples/clip.mp4");
    let slow = ["out.mp4", "-y", "--model", "tiny", "--size", "160", "--steps", "20", "--first-steps", "4"];
    let mut child = folder.command(&[&[text(&clip), "--multi-pass", "3"], &slow[..]].concat()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("reading, ")), "no progress");
    interrupt(child.id());
    let rest: Vec<String> = lines.map(|line| line.unwrap()).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("nothing is written")), "{rest:?}");
    assert_eq!(fs::read(folder.path("out.mp4")).unwrap(), b"of before");
}

#[cfg(unix)]
#[test]
fn a_second_ctrl_c_stops_at_once() {
    let folder = Folder::new();
    let slow = ["in.mp4", "out.mp4", "--size", "640", "--steps", "100000", "--first-steps", "100000"];
    let mut child = folder.command(&slow).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("painted at")), "no first line");
    interrupt(child.id());
    interrupt(child.id());
    let begin = Instant::now();
    let rest: Vec<String> = lines.map(|line| line.unwrap()).collect();
    let status = child.wait().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert!(!rest.iter().any(|line| line.contains("panicked")), "{rest:?}");
    // The first may have been enough on a fast machine; nothing half-written has the output's name either way.
    match status.code() {
        Some(130) if folder.path("out.mp4").exists() => assert!(!times(text(&folder.path("out.mp4"))).is_empty()),
        code => assert_eq!(code, Some(130), "{status}: {rest:?}"),
    }
}

#[cfg(all(feature = "window", target_os = "linux"))]
#[test]
fn the_preview_shows_the_work_and_ends_with_it() {
    let server = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut server) = server else {
        eprintln!("skipped: no Xvfb (scripts/setup --tests installs it)");
        return;
    };
    // It tells the number of its display when it is ready.
    let mut display = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut display).unwrap();
    let folder = Folder::new();
    let mut command =
        folder.command(&["in.mp4", "out.mp4", "--preview", "--model", "tiny", "--size", "64", "--steps", "1"]);
    let ended = program::finish(command.env("DISPLAY", format!(":{}", display.trim())).spawn().unwrap());
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(times(text(&folder.path("out.mp4"))).len(), 12);
}

#[test]
fn the_doctor_says_what_was_found() {
    let output = Command::new(env!("CARGO_BIN_EXE_stylize-check")).arg("doctor").output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}");
    for words in ["ONNX Runtime", "ok       --device cpu", "FFmpeg", "libx264", "--model compact", "Cameras", "Display"]
    {
        assert!(report.contains(words), "no {words:?} in:\n{report}");
    }
    assert!(report.lines().any(|line| line.contains("ok       version 1.")), "{report}");
}

#[test]
fn the_doctor_says_what_is_missing() {
    let doctor = |library: &str, data: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stylize-check"));
        command.arg("doctor").env("ORT_DYLIB_PATH", library).env("XDG_DATA_HOME", data);
        command.output().unwrap()
    };
    let output = doctor("/absent/libonnxruntime.so", "/absent");
    let report = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{report}");
    for words in ["MISSING", "/absent/libonnxruntime.so", "scripts/setup", "scripts/fetch-vgg19"] {
        assert!(report.contains(words), "no {words:?} in:\n{report}");
    }
}
