//! The stylizer around the objective: what it makes of borders, and of a picture that it takes over.

use std::sync::Arc;

use super::engines::runtime;
use ndarray::{Array3, ArrayView3};
use stylize::{
    embedded,
    engine::{Choice, Engines},
    frame::Size,
    settings::Settings,
    stylizer::{Painting, Stylizer},
};

fn stylizer(settings: Settings) -> Stylizer {
    let vgg = Arc::new(embedded::network("compact").expect("a network inside the program").expect("it is valid"));
    let engines = Arc::new(Engines::new(runtime(), Arc::clone(&vgg), Choice::Host));
    let paintings = vec![Painting { picture: embedded::style().expect("the style inside the program"), weight: 1.0 }];
    Stylizer::with_engines(engines, runtime(), vgg, paintings, settings).expect("settings that are valid")
}

/// A soft ramp that moves to the right, RGB.
fn frame(size: Size, time: f32) -> Array3<f32> {
    let at = |(c, y, x): (usize, usize, usize)| {
        0.45 + 0.1 * c as f32 + 0.1 * (0.05 * (x as f32 - 2.0 * time)).sin() - 0.1 * (0.04 * y as f32).cos()
    };
    Array3::from_shape_fn((3, size.height, size.width), at)
}

/// Root mean square of the painted difference over pixels so far from the border.
fn strength(picture: ArrayView3<f32>, frame: &Array3<f32>, wanted: impl Fn(usize) -> bool) -> f32 {
    let (_, height, width) = picture.dim();
    let (mut sum, mut count) = (0.0, 0);
    for ((c, y, x), value) in picture.indexed_iter() {
        if wanted(y.min(x).min(height - 1 - y).min(width - 1 - x)) {
            sum += (value - frame[[c, y, x]]).powi(2);
            count += 1;
        }
    }
    (sum / count as f32).sqrt()
}

#[test]
fn the_border_is_painted_like_the_rest() {
    let size = Size::new(96, 80);
    let mut stylizer = stylizer(Settings { first_steps: 40, ..Settings::default() });
    let frame = frame(size, 0.0);
    let picture = stylizer.paint(frame.view()).expect("a frame").picture;
    let border = strength(picture.view(), &frame, |distance| distance == 0);
    let inside = strength(picture.view(), &frame, |distance| distance >= 10);
    // 1.26 times with half of the margin.
    assert!((0.75..1.25).contains(&(border / inside)), "{border} at the border, {inside} inside");
}

#[test]
fn a_picture_taken_over_is_compared_with_its_frame_at_once() {
    let settings = Settings { steps: 1, first_steps: 10, ..Settings::default() };
    let (small, large) = (Size::new(64, 48), Size::new(96, 72));
    let (mut from, mut to) = (stylizer(settings.clone()), stylizer(settings));
    from.paint(frame(small, 0.0).view()).expect("a frame");
    to.prepare(large).expect("canvases");
    to.take_over(&from).expect("two sizes of one picture");
    for time in 1..4 {
        let painted = to.paint(frame(large, time as f32).view()).expect("a frame");
        assert_eq!(painted.steps, 1, "no first frame");
        let content = painted.losses.content;
        assert!(content > 0.0 && content < 2.0, "frame {time}: a content cost of {content}");
    }
}

#[test]
fn a_picture_taken_over_is_painted_on_as_if_it_had_been_there() {
    let settings = Settings { steps: 1, step_every: 3, first_steps: 10, ..Settings::default() };
    let (small, large) = (Size::new(64, 48), Size::new(96, 72));
    let (mut from, mut to) = (stylizer(settings.clone()), stylizer(settings));
    from.paint(frame(small, 0.0).view()).expect("a frame");
    to.prepare(large).expect("canvases");
    to.take_over(&from).expect("two sizes of one picture");
    let steps: Vec<usize> =
        (1..6).map(|time| to.paint(frame(large, time as f32).view()).expect("a frame").steps).collect();
    assert_eq!(steps, [1, 0, 0, 1, 0], "a step at once, then every third frame");
}

#[test]
fn a_first_picture_that_is_cut_short_has_taken_the_steps_it_took() {
    let mut stylizer = stylizer(Settings { steps: 1, first_steps: 24, ..Settings::default() });
    stylizer.watch(Box::new(|step, _, _| step % 3 != 0));
    let size = Size::new(192, 160);
    let painted = stylizer.paint(frame(size, 0.0).view()).expect("a frame");
    // Two levels of twelve: the second begins with the thirteenth step.
    assert_eq!((painted.steps, painted.cut), (6, true));
    let painted = stylizer.paint(frame(size, 1.0).view()).expect("a frame");
    assert_eq!((painted.steps, painted.cut), (1, false));
}

#[test]
fn steps_in_full_and_shallow_ones_lead_to_a_painting_that_stays_one() {
    // A moving ramp: every second step is shallow. One that does not move: three of four are. A large one: the others are taken on
    // half of it.
    for (size, speed) in [(Size::new(96, 64), 1.0), (Size::new(96, 64), 0.0), (Size::new(521, 131), 1.0)] {
        let mut stylizer = stylizer(Settings { steps: 1, first_steps: 40, ..Settings::default() });
        let mut strengths = Vec::new();
        for time in 0..10 {
            let frame = frame(size, speed * time as f32);
            let picture = stylizer.paint(frame.view()).expect("a frame").picture;
            strengths.push(strength(picture.view(), &frame, |_| true));
        }
        let (first, last) = (strengths[0], strengths[9]);
        assert!((0.6..1.5).contains(&(last / first)), "{size}, speed {speed}: {strengths:?}");
    }
}
