//! `stylize-live` as a user starts it, from a file in place of a camera and without a window.

#![cfg(all(feature = "video", feature = "camera", feature = "window"))]

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use stylize::source::{self, SourceOptions};

/// 640x360, 24 frames a second, 3.5 s.
fn clip() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/clip.mp4")
}

/// The program with settings that any machine keeps up with.
fn live(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stylize-live"));
    command.args(["--headless", "--device", "cpu", "--model", "tiny", "--work-size", "96", "--steps", "1"]);
    command.args(arguments).stdin(Stdio::null());
    command
}

fn from_clip(arguments: &[&str]) -> Command {
    let clip = clip();
    let mut all = vec!["--input", clip.to_str().expect("a path in UTF-8")];
    all.extend(arguments);
    live(&all)
}

fn fine(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn message(command: &mut Command) -> String {
    let output = command.output().expect("starts");
    assert!(!output.status.success(), "it must fail");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.starts_with("error: ") && !message.contains("panicked"), "{message}");
    message
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Time stamps and total length in seconds of a recording that plays; a `whole` one has no damage.
fn times(recording: &Path, whole: bool) -> (Vec<f64>, f64) {
    let mut source = source::open(recording, &SourceOptions::default()).expect("a video");
    let base = source.info().time_base;
    let (mut times, mut end) = (Vec::new(), 0.0);
    while let Some(frame) = source.next().expect("no damage") {
        times.push(base.seconds(frame.pts));
        end = base.seconds(frame.pts + frame.duration);
    }
    if whole {
        assert_eq!(source.damage(), None);
    }
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "time stamps ascend: {times:?}");
    (times, end)
}

#[test]
fn statistics_tell_what_happens_every_second() {
    let folder = tempfile::tempdir().expect("a folder");
    let stats = folder.path().join("stats.jsonl");
    let output = from_clip(&["--loop", "--duration", "5.5", "--mirror", "--stats", text(&stats)]).output();
    fine(&output.expect("starts"));
    let lines = std::fs::read_to_string(&stats).expect("it was written");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!((4..=6).contains(&lines.len()), "{} lines", lines.len());
    let last = lines.last().expect("there are lines");
    let number = |key: &str| last[key].as_f64().unwrap_or_else(|| panic!("{key} in {last}"));
    assert!((15.0..=30.0).contains(&number("fps_in")), "the file's own pace: {last}");
    assert!(number("fps_out") > 5.0 && number("fps_painted") > 1.0, "{last}");
    assert_eq!(last["size"], "96x54");
    assert_eq!(number("strength"), 0.5);
    // More in a second with a first picture: the start, and the cut where the clip begins again.
    assert!(lines.iter().any(|line| line["steps"] == 1.0), "one step a frame: {lines:?}");
    assert_eq!(
        (&last["source"], &last["mirror"], &last["automatic"]),
        (&"running".into(), &true.into(), &false.into())
    );
    assert!(number("memory") > 10.0);
    assert!(last["latency"]["p50"].as_f64().is_some_and(|latency| latency > 0.0 && latency < 1000.0), "{last}");
}

#[test]
fn a_picture_stays_until_it_is_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let stats = folder.path().join("stats.jsonl");
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/ink.jpg");
    let output = live(&["--input", text(&picture), "--duration", "2.5", "--stats", text(&stats)]).output();
    fine(&output.expect("starts"));
    assert!(std::fs::read_to_string(&stats).expect("it was written").lines().count() >= 1);
}

#[test]
fn the_end_of_the_input_finishes_the_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("out.mp4");
    let began = Instant::now();
    fine(&from_clip(&["--record", text(&recording)]).output().expect("starts"));
    assert!(began.elapsed() > Duration::from_secs_f64(3.4), "at its own pace");
    let (times, end) = times(&recording, true);
    assert!(times[0] < 0.01, "it begins at zero");
    assert!(times.len() > 20, "{} frames", times.len());
    assert!((2.5..=4.5).contains(&end), "{end} s of 3.5");
    let existing = message(&mut from_clip(&["--record", text(&recording)]));
    assert!(existing.contains("it exists; use --overwrite"), "{existing}");
}

/// A server of one file on this machine, for as many requests as FFmpeg makes (it asks for parts).
fn serve(file: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let bytes = std::fs::read(file).expect("it is there");
        for stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let read = (&stream).read(&mut request).unwrap_or(0);
            let found = request[..read].starts_with(b"GET /my%20dog.mp4 ");
            let status = if found { "200 OK" } else { "404 Not Found" };
            let body: &[u8] = if found { &bytes } else { b"" };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // FFmpeg hangs up once it has what it wants.
            let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(body));
        }
    });
    format!("http://{address}")
}

#[test]
fn the_input_may_be_a_url() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("out.mp4");
    let server = serve(clip());
    fine(
        &live(&["--input", &format!("{server}/my%20dog.mp4"), "--record", text(&recording)]).output().expect("starts"),
    );
    let (times, end) = times(&recording, true);
    assert!(times.len() > 20 && (2.5..=4.5).contains(&end), "{} frames, {end} s of 3.5", times.len());
    let missing = message(&mut live(&["--input", &format!("{server}/cat.mp4")]));
    assert!(missing.contains("cat.mp4") && missing.contains("404"), "{missing}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_finishes_the_recording_and_a_kill_leaves_what_there_was() {
    for (signal, least) in [("INT", 2.0), ("KILL", 1.0)] {
        let folder = tempfile::tempdir().expect("a folder");
        let recording = folder.path().join("out.mp4");
        let mut child = from_clip(&["--loop", "--record", text(&recording)]).spawn().expect("starts");
        // Until something is on disk: a piece of two seconds with its end.
        let began = Instant::now();
        while std::fs::metadata(&recording).map_or(0, |file| file.len()) < 50_000 {
            assert!(began.elapsed() < Duration::from_secs(60), "nothing is recorded");
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(Duration::from_millis(500));
        // The shell's own kill: a small system has no program of that name.
        let kill = Command::new("sh").args(["-c", &format!("kill -s {signal} {}", child.id())]).status();
        assert!(kill.expect("a shell is there").success());
        let told = Instant::now();
        let status = child.wait().expect("it ends");
        assert_eq!(status.success(), signal == "INT");
        assert!(told.elapsed() < Duration::from_secs(5), "it ends soon");
        // A kill may hit in the middle of a write.
        let (_, end) = times(&recording, signal == "INT");
        assert!(end > least, "{signal}: {end} s");
    }
}

#[test]
fn mistakes_are_explained() {
    let missing = message(&mut live(&["--input", "/nowhere/clip.mp4"]));
    assert!(missing.contains("/nowhere/clip.mp4"), "{missing}");
    let camera = message(&mut live(&["--camera", "no such camera"]));
    assert!(camera.contains("no camera was found") || camera.contains("there is no such camera"), "{camera}");
    let strength = message(&mut from_clip(&["--strength", "2"]));
    assert!(strength.contains("--strength is 2; it must be between 0 and 1"), "{strength}");
    let duration = message(&mut from_clip(&["--duration", "-1"]));
    assert!(duration.contains("--duration is -1"), "{duration}");
    let stats = message(&mut from_clip(&["--stats", "/nowhere/stats"]));
    assert!(stats.contains("cannot write /nowhere/stats"), "{stats}");
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("own.mp4");
    std::fs::copy(clip(), &own).expect("copies");
    let kept = message(&mut from_clip(&["--stats", text(&own)]));
    assert!(kept.contains("it exists"), "{kept}");
    for option in ["--stats", "--record"] {
        let refused = message(&mut live(&["--input", text(&own), option, text(&own), "-y"]));
        assert!(refused.contains("it is the input"), "{option}: {refused}");
    }
    let missing = message(&mut live(&["--input", "/nowhere/clip.mp4", "--stats", text(&own), "-y"]));
    assert!(missing.contains("/nowhere/clip.mp4"), "{missing}");
    assert_eq!(std::fs::read(&own).expect("still there"), std::fs::read(clip()).expect("a clip"));
    if cfg!(target_os = "linux") {
        let path = message(&mut live(&["--camera", "/dev/video99"]));
        assert!(path.contains("there is no such device"), "{path}");
        let output = message(&mut from_clip(&["--virtual-camera", "/dev/video99"]));
        assert!(output.contains("modprobe v4l2loopback"), "{output}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_display_the_way_out_is_named() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stylize-live"));
    command.args(["--input", text(&clip()), "--device", "cpu", "--model", "tiny", "--work-size", "96", "--steps", "1"]);
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").stdin(Stdio::null());
    let message = message(&mut command);
    assert!(message.contains("no window can be opened") && message.contains("--headless"), "{message}");
}
