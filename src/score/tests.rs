//! Synthetic clips whose scores are known.

use super::*;
use crate::{embedded, net::session::Device, score::report::Summary};

const SIZE: Size = Size::new(128, 96);

/// Soft spots of all sizes, 0..1.
fn texture(x: f32, y: f32) -> f32 {
    0.5 + 0.2 * (x * 0.23).sin() * (y * 0.19).cos()
        + 0.15 * (x * 0.07 + y * 0.31).sin()
        + 0.1 * (x * 0.6 - y * 0.5).cos()
}

fn frame(at: impl Fn(f32, f32) -> [f32; 3]) -> Frame {
    let position = |i: usize| ((i % SIZE.width) as f32, (i / SIZE.width) as f32);
    let pixel = |i: usize| {
        let (x, y) = position(i);
        at(x, y).map(|value| (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8)
    };
    Frame::new(SIZE, (0..SIZE.area()).flat_map(pixel).collect(), 0)
}

/// The content: a picture that is shifted by so many pixels.
fn content(shift: f32) -> Frame {
    frame(|x, y| [0.0, 40.0, 80.0].map(|other| texture(x - shift, y + other)))
}

/// The same, painted: paler, with strokes, which stick to the picture.
fn paint(shift: f32) -> Frame {
    let stroke = |x: f32, y: f32| 0.15 * (0.9 * x + 0.5 * y).sin();
    frame(|x, y| [0.0, 40.0, 80.0].map(|other| 0.7 * texture(x - shift, y + other) + 0.15 + stroke(x - shift, y)))
}

fn judge(style: Option<Frame>) -> Judge {
    let vgg = Arc::new(embedded::network("tiny").expect("a network of the list").expect("sound"));
    Judge { runtime: Runtime::load(Device::Cpu, 1).expect("ONNX Runtime"), vgg, style }
}

/// Scores 16 frames of a content video that moves by `speed` pixels a frame.
fn score(speed: f32, stylized: impl Fn(usize) -> Frame) -> Score {
    let mut scorer = Scorer::new(&judge(None), SIZE).unwrap();
    for i in 0..16 {
        scorer.add(&content(speed * i as f32), &stylized(i)).unwrap();
    }
    scorer.finish(Vec::new())
}

#[test]
fn paint_that_sticks_to_the_picture_is_steady_and_paint_that_does_not_flickers() {
    let steady = score(2.0, |i| paint(2.0 * i as f32)).summary;
    let Summary { e_warp: Some(e_warp), e_warp_in: Some(floor), lag: Some(lag), .. } = steady else {
        panic!("{steady:?}");
    };
    assert!(e_warp < 1e-4 && floor < 1e-4, "{steady:?}");
    assert!(lag < 0.9, "{steady:?}");
    // New strokes in every frame.
    let wild = score(2.0, |i| paint(2.0 * i as f32 + (i % 2) as f32 * 3.5)).summary;
    assert!(wild.e_warp.unwrap() > 20.0 * e_warp && wild.e_warp_in == steady.e_warp_in, "{wild:?}");
    let same = [steady.sharp, steady.sharp_in].map(Option::unwrap);
    assert!(same.iter().all(|sharp| (sharp - 1.0).abs() < 0.05), "{steady:?}");
    assert!(steady.drift.unwrap() < 3.0, "{steady:?}");
}

#[test]
fn a_frozen_picture_lags() {
    let frozen = score(2.0, |_| content(0.0)).summary;
    assert!(frozen.lag.unwrap() > 1.5, "{frozen:?}");
    let untouched = score(2.0, |i| content(2.0 * i as f32)).summary;
    assert!(untouched.lag.unwrap() < 0.1 && untouched.content.unwrap() < 1e-9, "{untouched:?}");
}

#[test]
fn darkening_is_drift_and_fading_detail_is_lost_sharpness() {
    let darker = |i: usize| frame(|x, y| [0.8 * texture(x, y) + 0.1 - i as f32 / 255.0; 3]);
    let dark = score(0.0, darker);
    // Half a level for the rounding of every frame.
    assert!((dark.summary.drift.unwrap() - 15.0).abs() < 1.0, "{:?}", dark.summary);
    assert!(dark.series.drift.value[10] < -9.0);
    let softer = |i: usize| frame(|x, y| [0.5 + (texture(x, y) - 0.5) * (1.0 - 0.04 * i as f32); 3]);
    let soft = score(0.0, softer).summary;
    assert!(soft.sharp.unwrap() < 0.65 && (soft.sharp_in.unwrap() - 1.0).abs() < 1e-9, "{soft:?}");
    assert_eq!(soft.lag, None, "nothing changed");
    assert_eq!(soft.paint, None, "nothing moved");
}

#[test]
fn what_runs_around_unpainted_is_seen() {
    // A square that moves over a ground at rest.
    let square = |i: usize, x: f32, y: f32| {
        let left = 10.0 + 4.0 * i as f32;
        ((left..left + 44.0).contains(&x) && (24.0..72.0).contains(&y)).then(|| texture(1.7 * (x - left), 1.9 * y))
    };
    let scene = |painted: fn(f32, f32, f32, bool) -> [f32; 3]| {
        move |i: usize| {
            frame(move |x, y| match square(i, x, y) {
                Some(value) => painted(x - 4.0 * i as f32, y, value, true),
                None => painted(x, y, texture(x, y), false),
            })
        }
    };
    let plain = scene(|_, _, value, _| [value; 3]);
    let all = scene(|x, y, value, _| [value + 0.3 * (0.9 * x + 0.5 * y).sin(); 3]);
    let ground = scene(|x, y, value, moving| match moving {
        true => [value; 3],
        false => [value + 0.3 * (0.9 * x + 0.5 * y).sin(); 3],
    });
    let paint = |stylized: &dyn Fn(usize) -> Frame| {
        let mut scorer = Scorer::new(&judge(None), SIZE).unwrap();
        (0..16).for_each(|i| scorer.add(&plain(i), &stylized(i)).unwrap());
        scorer.finish(Vec::new()).summary.paint.expect("parts move and parts do not")
    };
    let (painted, unpainted) = (paint(&all), paint(&ground));
    // The network sees a dozen pixels around each: the square's rim is never quite unpainted.
    assert!((0.6..1.4).contains(&painted) && unpainted < 0.7 * painted, "{painted} {unpainted}");
}

#[test]
fn the_style_picture_itself_has_no_distance_to_the_style() {
    let mut scorer = Scorer::new(&judge(Some(paint(0.0))), SIZE).unwrap();
    scorer.add(&content(0.0), &paint(0.0)).unwrap();
    let own = scorer.finish(Vec::new()).summary;
    assert!(own.style.unwrap() < 1e-6 && own.content.unwrap() > 0.01, "{own:?}");
    let mut scorer = Scorer::new(&judge(Some(paint(0.0))), SIZE).unwrap();
    scorer.add(&content(0.0), &content(0.0)).unwrap();
    assert!((scorer.finish(Vec::new()).summary.style.unwrap() - 1.0).abs() < 1e-9);
}

#[test]
fn a_cut_is_found_and_left_out_of_the_flicker() {
    let other = || frame(|x, y| [0.4 + 0.5 * texture(0.31 * y, 0.4 * x), 0.2 * texture(y, x), (x / 128.0)]);
    let mut scorer = Scorer::new(&judge(None), SIZE).unwrap();
    for i in 0..10 {
        let content = if i < 6 { content(i as f32) } else { other() };
        scorer.add(&content, &content).unwrap();
    }
    let score = scorer.finish(Vec::new());
    assert_eq!(score.cuts, [6]);
    assert!(!score.series.e_warp.frame.contains(&6) && score.series.e_warp.frame.contains(&7));
}

#[test]
fn sizes_and_shapes() {
    let size = Size::new;
    assert_eq!(compared_size(size(1280, 720), 320), size(320, 180));
    assert_eq!(compared_size(size(176, 144), 320), size(176, 144));
    let path = Path::new("painted.mp4");
    assert!(same_shape(size(1280, 720), size(320, 180), path).is_ok());
    assert!(same_shape(size(426, 240), size(1280, 720), path).is_ok());
    let error = same_shape(size(1280, 720), size(640, 480), path).unwrap_err().to_string();
    assert!(error.contains("painted.mp4") && error.contains("640x480") && error.contains("1280x720"), "{error}");
    for (options, name) in [
        (ScoreOptions { frames: Some(0), width: 320 }, "--frames"),
        (ScoreOptions { frames: None, width: 8 }, "--width"),
    ] {
        assert!(options.validate().unwrap_err().to_string().contains(name));
    }
}
