//! The cost of motion at the working size of a live picture: `cargo bench --bench motion`.

use divan::{Bencher, black_box};
use stylize::{
    frame::Size,
    motion::{DisFlow, DisSettings, Flow, Observer, Plane, ReliabilitySettings},
};

const SIZE: Size = Size::new(320, 180);

fn main() {
    divan::main();
}

/// A texture with detail at many scales, shifted by `(u, v)` pixels.
fn texture(size: Size, u: f32, v: f32) -> Plane {
    let value = |x: f32, y: f32| {
        let waves = (1..9).map(|k| {
            let (fx, fy) = (0.05 * (k * k) as f32 * 0.4, 0.07 * (9 - k) as f32);
            (x * fx + y * fy + k as f32).sin() / (k + 2) as f32
        });
        0.5 + 0.2 * waves.sum::<f32>()
    };
    let at = |i: usize| value((i % size.width) as f32 - u, (i / size.width) as f32 - v);
    Plane::from_vec(size, (0..size.area()).map(at).collect())
}

#[divan::bench(args = ["fast", "good"], consts = [1, 2])]
fn flow_both_ways<const THREADS: usize>(bencher: Bencher, preset: &str) {
    let settings = if preset == "fast" { DisSettings::FAST } else { DisSettings::GOOD };
    let settings = DisSettings { threads: THREADS, ..settings };
    let (first, second) = (texture(SIZE, 0.0, 0.0), texture(SIZE, 3.3, 1.2));
    let mut flow = DisFlow::new(SIZE, settings);
    bencher.bench_local(|| {
        let _ = black_box(flow.compute(&first, &second));
    });
}

/// Flow both ways, reliability, looking for paint elsewhere, holding what rests: all that is asked of two frames, of a picture that
/// moves as a whole. (`cargo bench --bench frame -- observe` has two that have nothing in common.)
#[divan::bench(consts = [1, 2])]
fn observe<const THREADS: usize>(bencher: Bencher) {
    let frames = [texture(SIZE, 0.0, 0.0), texture(SIZE, 3.3, 1.2)].map(|plane| plane.data().repeat(3));
    let settings = DisSettings { threads: THREADS, ..DisSettings::FAST };
    let mut observer = Observer::new(SIZE, settings, ReliabilitySettings::default());
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        black_box(observer.observe(&frames[number % 2]).expect("frames of its size").cut)
    });
}
