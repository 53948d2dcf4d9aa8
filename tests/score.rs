//! `stylize-check score` through its command line, on small picture sequences.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use image::{Rgb, RgbImage};
use serde_json::Value;

/// Soft spots, moving to the right; painted ones are darker by the frame and have strokes.
fn picture(frame: u32, painted: bool) -> RgbImage {
    RgbImage::from_fn(96, 64, |x, y| {
        let (x, y) = (x as f32 - 2.0 * frame as f32, y as f32);
        let value = 0.5 + 0.2 * (0.23 * x).sin() * (0.19 * y).cos() + 0.2 * (0.07 * x + 0.31 * y).sin();
        let value = if painted { 0.7 * value + 0.1 * (0.9 * x).sin() - 0.02 * frame as f32 + 0.2 } else { value };
        let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0) as u8;
        Rgb([byte(value), byte(0.9 * value), byte(1.0 - value)])
    })
}

fn sequence(folder: &Path, name: &str, frames: u32, painted: bool) -> String {
    let place = folder.join(name);
    fs::create_dir(&place).unwrap();
    (0..frames).for_each(|frame| picture(frame, painted).save(place.join(format!("{frame:03}.png"))).unwrap());
    place.join("%03d.png").to_str().expect("temporary names are plain").to_owned()
}

fn score(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stylize-check"))
        .args(["score", "--model", "tiny", "--device", "cpu", "--threads", "1"])
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_json_holds_every_measure_and_its_curve_and_the_plot_draws_them() {
    let folder = tempfile::tempdir().unwrap();
    let content = sequence(folder.path(), "content & <co>", 13, false);
    let stylized = sequence(folder.path(), "stylized", 10, true);
    let (style, plot) = (folder.path().join("style.png"), folder.path().join("plot.svg"));
    picture(40, true).save(&style).unwrap();
    let (style, plot_name) = (style.to_str().unwrap(), plot.to_str().unwrap());
    let output = score(&[&content, &stylized, "--style", style, "--json", "--plot", plot_name]);
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();

    assert_eq!((&json["frames"], &json["width"], &json["height"]), (&10.into(), &96.into(), &64.into()));
    assert_eq!(json["model"], "tiny");
    let value = |name: &str| json[name].as_f64().unwrap_or_else(|| panic!("{name} in {json}"));
    for name in ["style", "content", "e_warp", "e_warp_in", "lag", "sharp", "sharp_in", "drift"] {
        assert!(value(name) >= 0.0);
        let curve = &json["series"][name];
        let [frames, values] = ["frame", "value"].map(|key| curve[key].as_array().unwrap().len());
        assert!(frames > 0 && frames == values, "{name}: {curve}");
    }
    // Red is 0.02 darker with each of nine frames, green 0.018, and blue 0.02 brighter: luma 0.0143.
    assert!((value("drift") - 32.7).abs() < 3.0, "{}", value("drift"));
    assert!(value("e_warp") < 2e-3 && value("content") > 0.01 && (0.0..1.5).contains(&value("style")), "{json}");
    assert!(json["paint"].is_null(), "everything moves: {}", json["paint"]);
    // The three frames that have no counterpart are spoken of.
    let note = json["notes"][0].as_str().unwrap();
    assert!(note.contains("content & <co>") && note.contains("10 frames"), "{note}");
    assert!(String::from_utf8_lossy(&output.stderr).contains(note));

    let page = fs::read_to_string(&plot).unwrap();
    check_xml(&page);
    assert!(page.contains("content &amp; &lt;co&gt;"));
    for name in ["e_warp", "lag", "sharp", "drift", "content", "style"] {
        assert!(page.contains(&format!("<g id=\"{name}\">")), "{name}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf"));
}

#[test]
fn the_text_has_a_line_for_each_measure() {
    let folder = tempfile::tempdir().unwrap();
    let content = sequence(folder.path(), "content", 9, false);
    let stylized = sequence(folder.path(), "stylized", 9, true);
    let text = stdout(&score(&[&content, &stylized, "--frames", "8", "--width", "64"]));
    assert!(text.contains("8 frames at 64x43, judged by tiny"), "{text}");
    for name in ["e_warp", "lag", "paint", "sharp", "drift", "content", "style"] {
        assert_eq!(text.lines().filter(|line| line.starts_with(&format!("{name} "))).count(), 1, "{name}\n{text}");
    }
    assert!(text.contains("--style") && text.contains("(content's own: "), "{text}");
}

#[test]
fn a_single_picture_can_be_scored() {
    let folder = tempfile::tempdir().unwrap();
    let [content, stylized] = ["content.png", "stylized.png"].map(|name| folder.path().join(name));
    picture(0, false).save(&content).unwrap();
    picture(0, true).save(&stylized).unwrap();
    let plot = folder.path().join("p.SVG");
    let [content, stylized, plot_name] = [&content, &stylized, &plot].map(|path| path.to_str().unwrap());
    let json: Value =
        serde_json::from_str(&stdout(&score(&[content, stylized, "--json", "--plot", plot_name]))).unwrap();
    assert!(json["e_warp"].is_null() && json["lag"].is_null() && json["drift"] == 0.0 && json["sharp"] == 1.0);
    assert!(json["content"].as_f64().unwrap() > 0.0);
    check_xml(&fs::read_to_string(&plot).unwrap());
}

#[test]
fn what_cannot_be_compared_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let content = sequence(folder.path(), "content", 2, false);
    let tall = folder.path().join("tall.png");
    RgbImage::new(40, 90).save(&tall).unwrap();
    let [tall, missing] = [tall.to_str().unwrap(), "no such.mp4"];
    let cases: [(&[&str], &str); 8] = [
        (&[&content, tall], "40x90"),
        (&[&content, missing], "no such.mp4"),
        (&[missing, &content], "no such.mp4"),
        (&[&content, &content, "--style", missing], "no such.mp4"),
        (&[&content, &content, "--frames", "0"], "--frames"),
        (&[&content, &content, "--width", "5"], "--width"),
        (&[&content, &content, "--plot", "plot.png"], ".svg"),
        (&[&content, &content, "--plot", "no/such/folder/plot.svg"], "folder"),
    ];
    for (arguments, reason) in cases {
        let output = score(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(error.starts_with("error: ") && error.contains(reason) && !error.contains("panicked"), "{error}");
        assert!(output.stdout.is_empty());
    }
}

/// Tags that open and close in order, attributes in quotes, entities that XML knows.
fn check_xml(page: &str) {
    let mut open = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        check_entities(&rest[..start]);
        let end = start + rest[start..].find('>').expect("tags end");
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<') && tag.matches('"').count().is_multiple_of(2), "{tag}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        let attributes = tag.split('"').collect::<Vec<_>>();
        attributes.chunks(2).filter(|pair| pair.len() == 2).for_each(|pair| {
            assert!(pair[0].ends_with('='), "{tag}");
            check_entities(pair[1]);
        });
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
}

fn check_entities(text: &str) {
    for (at, _) in text.match_indices('&') {
        assert!(["&amp;", "&lt;", "&gt;", "&quot;"].iter().any(|known| text[at..].starts_with(known)), "{text}");
    }
}
