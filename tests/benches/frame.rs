//! What a frame costs besides its optimizer steps: `cargo bench --bench frame`.

use divan::{Bencher, black_box};
use ndarray::Array3;
use stylize::{
    frame::{Frame, Size},
    motion::{BundleWarp, DisSettings, FlowField, Observer, ReliabilitySettings, Scale, SplineWarp},
    post::Compositor,
    tensor::{self, Filter, Resampler},
    threads::Serial,
};

fn main() {
    divan::main();
}

/// The frame as it is shown.
const FULL: Size = Size::new(1280, 720);
/// Sizes at which it is painted.
const SMALL: [Size; 4] = [Size::new(256, 144), Size::new(320, 180), Size::new(640, 360), Size::new(1280, 720)];

fn pixels(size: Size, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    // Smooth waves and a little noise, so that motion and edges are to be found.
    let wave =
        |x: usize, y: usize| 100.0 + 60.0 * (0.05 * (x + 3 * seed as usize) as f32).sin() * (0.07 * y as f32).cos();
    (0..3 * size.area())
        .map(|i| (wave(i / 3 % size.width, i / 3 / size.width) as u8).wrapping_add(random.u8(0..30)))
        .collect()
}

fn picture(size: Size, seed: u64) -> Array3<f32> {
    let mut picture = tensor::zeros(size);
    tensor::from_rgb8(&pixels(size, seed), &mut picture);
    picture
}

/// Bytes to planes and back.
#[divan::bench(args = SMALL)]
fn planes(bencher: Bencher, size: Size) {
    let (mut small, mut picture) = (pixels(size, 1), tensor::zeros(size));
    bencher.bench_local(|| {
        tensor::from_rgb8(&small, &mut picture);
        tensor::to_rgb8(&picture, &mut small);
    });
}

/// 720p to the working size, to planes, and the painted planes back to bytes.
#[divan::bench(args = SMALL)]
fn convert(bencher: Bencher, size: Size) {
    let (frame, mut resampler) = (pixels(FULL, 1), Resampler::new());
    let (mut small, mut picture) = (vec![0; 3 * size.area()], tensor::zeros(size));
    bencher.bench_local(|| {
        resampler.resample(&frame, FULL, &mut small, size, Filter::Area);
        tensor::from_rgb8(&small, &mut picture);
        tensor::to_rgb8(&picture, &mut small);
    });
}

/// Flow both ways, reliability, rematching: all that is asked of two frames.
#[divan::bench(args = SMALL)]
fn observe(bencher: Bencher, size: Size) {
    let frames = [picture(size, 1), picture(size, 2)];
    let mut observer = Observer::new(size, DisSettings::FAST, ReliabilitySettings::default());
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        let frame = frames[number % 2].as_slice().expect("contiguous");
        black_box(observer.observe(frame).expect("frames of its size").cut)
    });
}

fn field(size: Size) -> FlowField {
    let mut flow = FlowField::new(size);
    flow.u.fill(1.3);
    flow.v.fill(-0.6);
    flow
}

/// The painted difference along the flow.
#[divan::bench(args = SMALL)]
fn warp_picture(bencher: Bencher, size: Size) {
    let (source, flow, mut out) = (picture(size, 1), field(size), vec![0.0; 3 * size.area()]);
    let mut splines = SplineWarp::new(size);
    bencher.bench_local(|| splines.warp(&Serial, source.as_slice().expect("contiguous"), &flow, &mut out));
}

/// The optimizer's state along the flow: two moments of three channels, and what they have seen.
#[divan::bench(args = SMALL)]
fn warp_state(bencher: Bencher, size: Size) {
    let (mut state, flow, mut bundle) =
        (vec![picture(size, 1).into_raw_vec_and_offset().0; 3], field(size), BundleWarp::new(size));
    bencher.bench_local(|| {
        let planes = state.iter_mut().flat_map(|planes| planes.chunks_exact_mut(size.area()));
        bundle.warp(&Serial, &mut planes.take(8).collect::<Vec<_>>(), &flow);
    });
}

/// The flow of a half-size pair, brought to the size of the picture.
#[divan::bench(args = SMALL)]
fn enlarge_flow(bencher: Bencher, size: Size) {
    let scale = Scale::new(size, size.width / 2);
    let (small, mut flow) = (field(scale.small()), FlowField::new(size));
    bencher.bench_local(|| scale.enlarge_flow(&Serial, &small, &mut flow));
}

/// The painted picture to a full 720p frame.
#[divan::bench(args = SMALL)]
fn post(bencher: Bencher, size: Size) {
    let (mut frame, painted, content) = (Frame::new(FULL, pixels(FULL, 1), 0), pixels(size, 2), pixels(size, 3));
    let mut compositor = Compositor::new(0.5);
    bencher.bench_local(|| compositor.compose(&mut frame, &painted, &content, size));
}
