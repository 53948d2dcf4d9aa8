use super::*;
use crate::dispatch::in_each_code;

/// Smooth noise with detail at several scales, nowhere repeating, sampled at `(x, y)`.
fn texture(x: f32, y: f32) -> f32 {
    let lattice = |x: i64, y: i64| {
        let mut h = (x as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (y as u64).wrapping_mul(0x5851_F42D_4C95_7F2D);
        h = (h ^ (h >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (h >> 40) as f32 / (1u64 << 24) as f32
    };
    let noise = |x: f32, y: f32| {
        let (ix, iy) = (x.floor(), y.floor());
        let ease = |t: f32| t * t * (3.0 - 2.0 * t);
        let (fx, fy) = (ease(x - ix), ease(y - iy));
        let (ix, iy) = (ix as i64, iy as i64);
        let top = lattice(ix, iy) * (1.0 - fx) + lattice(ix + 1, iy) * fx;
        let bottom = lattice(ix, iy + 1) * (1.0 - fx) + lattice(ix + 1, iy + 1) * fx;
        top * (1.0 - fy) + bottom * fy
    };
    0.4 * noise(x / 23.0, y / 23.0) + 0.35 * noise(x / 9.0, y / 9.0) + 0.25 * noise(x / 4.0, y / 4.0)
}

fn plane(size: Size, at: impl Fn(f32, f32) -> f32) -> Plane {
    let values = (0..size.area()).map(|i| at((i % size.width) as f32, (i / size.width) as f32)).collect();
    Plane::from_vec(size, values)
}

fn error(flow: &FlowField, u: f32, v: f32, margin: usize) -> f32 {
    let Size { width, height } = flow.size;
    let mut sum = 0.0;
    let mut count = 0;
    for y in margin..height - margin {
        for x in margin..width - margin {
            let i = y * width + x;
            sum += (flow.u[i] - u).hypot(flow.v[i] - v);
            count += 1;
        }
    }
    sum / count as f32
}

#[test]
fn a_translation_is_found_both_ways_to_a_fraction_of_a_pixel() {
    let size = Size::new(133, 97);
    for (u, v) in [(0.0, 0.0), (0.4, -0.3), (3.7, 2.2), (-9.0, 4.5)] {
        let before = plane(size, texture);
        let after = plane(size, |x, y| texture(x - u, y - v));
        for settings in [DisSettings::FAST, DisSettings::GOOD] {
            let mut flow = DisFlow::new(size, settings);
            let pair = flow.compute(&before, &after).unwrap();
            let (there, back) = (error(&pair.forward, u, v, 12), error(&pair.backward, -u, -v, 12));
            assert!(there < 0.1 && back < 0.1, "({u}, {v}) at level {}: {there} {back}", settings.finest);
        }
    }
}

#[test]
fn a_change_of_brightness_is_no_motion() {
    let size = Size::new(96, 64);
    let before = plane(size, texture);
    let after = plane(size, |x, y| 0.9 * texture(x, y) + 0.08);
    let mut flow = DisFlow::new(size, DisSettings::FAST);
    let pair = flow.compute(&before, &after).unwrap();
    assert!(error(&pair.forward, 0.0, 0.0, 4) < 0.15);
}

#[test]
fn equal_frames_do_not_move() {
    let size = Size::new(64, 48);
    let frame = plane(size, texture);
    let mut flow = DisFlow::new(size, DisSettings::GOOD);
    let pair = flow.compute(&frame, &frame).unwrap();
    assert!(pair.forward.u.iter().chain(&pair.backward.v).all(|d| d.abs() < 1e-3));
}

#[test]
fn each_code_and_any_number_of_threads_give_the_same_bits() {
    // With many threads bands of several levels have two neighbours; the height is no multiple of theirs.
    let size = Size::new(75, 211);
    let before = plane(size, texture);
    let after = plane(size, |x, y| texture(1.02 * x - 2.3, y + 1.4));
    for settings in [DisSettings::FAST, DisSettings::GOOD] {
        let with = |threads| {
            let mut flow = DisFlow::new(size, DisSettings { threads, ..settings });
            // The second time with what the first has left in the buffers.
            flow.compute(&after, &before).unwrap();
            flow.compute(&before, &after).unwrap().clone()
        };
        let shared = [2, 3, 4, 16].map(with);
        for pair in in_each_code(|| with(1)) {
            for shared in &shared {
                assert_eq!(pair.forward, shared.forward);
                assert_eq!(pair.backward, shared.backward);
            }
        }
    }
}

#[test]
fn every_size_works_down_to_one_pixel() {
    for (width, height) in [(1, 1), (1, 9), (7, 3), (8, 8), (9, 17), (64, 5), (33, 31)] {
        let size = Size::new(width, height);
        let frame = plane(size, texture);
        for settings in [DisSettings::FAST, DisSettings::GOOD] {
            let pair = DisFlow::new(size, settings).compute(&frame, &frame).unwrap().clone();
            assert!(pair.forward.u.iter().chain(&pair.backward.v).all(|d| d.is_finite()), "{size}");
        }
    }
}

#[test]
fn planes_of_another_size_are_refused() {
    let mut flow = DisFlow::new(Size::new(32, 32), DisSettings::FAST);
    let (right, wrong) = (Plane::new(Size::new(32, 32)), Plane::new(Size::new(32, 31)));
    assert!(matches!(flow.compute(&right, &wrong), Err(crate::Error::SizeMismatch { .. })));
}
