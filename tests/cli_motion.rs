//! `--multi-pass` and `--debug-view` of `stylize-video`, on numbered pictures so that nothing is lost to an encoder.

mod program;

use std::fs;

use image::{Rgb, RgbImage};
use program::Folder;

const FRAMES: u32 = 6;

/// Soft spots that move four pixels a frame to the right.
fn frame(index: u32) -> RgbImage {
    RgbImage::from_fn(96, 64, |x, y| {
        let (x, y) = (x as f32 - 4.0 * index as f32, y as f32);
        let value = 0.5 + 0.2 * (0.23 * x).sin() * (0.19 * y).cos() + 0.2 * (0.07 * x + 0.31 * y).sin();
        Rgb([1.0, 0.8, 0.6].map(|gain| (gain * value * 255.0) as u8))
    })
}

fn folder() -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.path("in")).expect("a folder");
    (0..FRAMES).for_each(|i| frame(i).save(folder.path(&format!("in/{i}.png"))).expect("a frame"));
    folder
}

/// Paints the frames into a folder of this name.
fn paint(folder: &Folder, name: &str, more: &[&str]) -> Vec<RgbImage> {
    fs::create_dir(folder.path(name)).expect("a folder");
    let output = format!("{name}/%d.png");
    folder.paint(&[&["in/%d.png", &output], more].concat());
    let files = fs::read_dir(folder.path(name)).expect("the output").count();
    assert_eq!(files, FRAMES as usize, "nothing else is left in the output's folder");
    (1..=FRAMES).map(|i| image::open(folder.path(&format!("{name}/{i}.png"))).expect("a frame").to_rgb8()).collect()
}

/// Mean difference of two pictures, of 255.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    let pairs = a.as_raw().iter().zip(b.as_raw());
    pairs.map(|(&a, &b)| f64::from(a.abs_diff(b))).sum::<f64>() / a.as_raw().len() as f64
}

#[test]
fn passes_change_what_a_single_one_painted_and_repeat_themselves() {
    let folder = folder();
    let once = paint(&folder, "once", &["--multi-pass", "1"]);
    let plain = paint(&folder, "plain", &[]);
    assert_eq!(once, plain, "one pass is the default");
    for passes in ["2", "3"] {
        let painted = paint(&folder, passes, &["--multi-pass", passes]);
        let again = paint(&folder, &format!("{passes} again"), &["--multi-pass", passes]);
        assert_eq!(painted, again, "{passes} passes");
        for (i, (painted, once)) in painted.iter().zip(&once).enumerate() {
            let (change, paint) = (difference(painted, once), difference(painted, &frame(i as u32)));
            assert!(change > 0.3, "frame {i} of {passes} passes is what one pass painted: {change}");
            assert!(paint > 4.0, "frame {i} of {passes} passes is unpainted: {paint}");
        }
    }
}

#[test]
fn a_picture_has_no_passes() {
    let folder = Folder::new();
    frame(0).save(folder.path("a.png")).expect("a picture");
    folder.refuses(&["a.png", "out.png", "--multi-pass", "3"], &["--multi-pass is 3", "a picture"]);
    folder.refuses(&["in.mp4", "out.mp4", "--multi-pass", "0"], &["--multi-pass is 0", "between 1 and 100"]);
    folder.paint(&["a.png", "out.png", "--multi-pass", "1"]);
    // The preset's passes are for videos; a picture is painted as ever.
    folder.paint(&["a.png", "best.png", "--preset", "best"]);
}

#[test]
fn views_show_the_motion_the_trust_and_the_paint() {
    let folder = folder();
    let pixel = |picture: &RgbImage| picture.get_pixel(48, 32).0;

    let flow = paint(&folder, "flow", &["--debug-view", "flow"]);
    assert!(flow[0].pixels().all(|p| p.0 == [255; 3]), "a first frame has no motion");
    // From a pixel back to where it was: to the left, cyan.
    let [red, green, blue] = pixel(&flow[3]);
    assert!(red < 60 && green > 200 && blue > 200, "{:?}", pixel(&flow[3]));

    let reliability = paint(&folder, "reliability", &["--debug-view", "reliability"]);
    assert!(reliability[0].pixels().all(|p| p.0 == [0; 3]), "there is nothing to believe at a first frame");
    assert!(pixel(&reliability[3])[0] > 200, "{:?}", pixel(&reliability[3]));
    let border: u32 = (0..64).map(|y| u32::from(reliability[3].get_pixel(1, y).0[0])).sum::<u32>() / 64;
    assert!(border < 80, "what came in over the border is believed: {border}");

    let (view, painted) =
        (paint(&folder, "difference", &["--debug-view", "difference"]), paint(&folder, "painted", &[]));
    for (i, (view, painted)) in view.iter().zip(&painted).enumerate() {
        // The still noise aside, frames are taken as they are: 128 + (x - c) / 2.
        let expected = RgbImage::from_fn(96, 64, |x, y| {
            let (painted, frame) = (painted.get_pixel(x, y), frame(i as u32));
            Rgb([0, 1, 2].map(|c| (127.5 + 0.5 * (f32::from(painted[c]) - f32::from(frame.get_pixel(x, y)[c]))) as u8))
        });
        assert!(difference(view, &expected) < 2.5, "frame {i}: {}", difference(view, &expected));
    }
}
