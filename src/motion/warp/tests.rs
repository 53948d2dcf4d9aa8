//! Known displacements, odd sizes, and all codes against each other.

use super::{
    bundle::{ABREAST, interleave},
    spline::{Around, b_spline},
    *,
};
use crate::{
    dispatch::in_each_code,
    threads::{Scoped, Serial},
};

fn shift(size: Size, u: f32, v: f32) -> FlowField {
    FlowField { size, u: vec![u; size.area()], v: vec![v; size.area()] }
}

/// White noise, blurred a little: as rough as paint.
fn paint(size: Size) -> Vec<f32> {
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    let white: Vec<f32> = (0..size.area()).map(|_| noise()).collect();
    let at = |x: usize, y: usize| white[(y % size.height) * size.width + x % size.width];
    let soft = |i: usize| {
        let (x, y) = (i % size.width, i / size.width);
        (0..9).map(|k| at(x + k % 3, y + k / 3)).sum::<f32>() / 9.0
    };
    (0..size.area()).map(soft).collect()
}

/// Mean absolute Laplacian away from the border.
fn sharpness(plane: &[f32], size: Size) -> f32 {
    let (w, margin) = (size.width, 20);
    let laplacian = |i: usize| plane[i - 1] + plane[i + 1] + plane[i - w] + plane[i + w] - 4.0 * plane[i];
    let rows = margin..size.height - margin;
    let sum: f32 = rows.flat_map(|y| (margin..w - margin).map(move |x| y * w + x)).map(|i| laplacian(i).abs()).sum();
    sum / ((w - 2 * margin) * (size.height - 2 * margin)) as f32
}

/// The detail left of a picture that is carried to and fro a hundred times by fractions of a pixel.
fn kept(mut warp: impl FnMut(&[f32], &FlowField, &mut [f32])) -> f32 {
    let size = Size::new(160, 120);
    let first = paint(size);
    let (mut picture, mut next) = (first.clone(), first.clone());
    for step in 0..100 {
        let (u, v) = ((step as f32 * 0.618).fract() * 1.6 - 0.8, (step as f32 * 0.414).fract() * 1.2 - 0.6);
        warp(&picture, &shift(size, u, v), &mut next);
        std::mem::swap(&mut picture, &mut next);
    }
    sharpness(&picture, size) / sharpness(&first, size)
}

#[test]
fn a_hundred_warps_keep_detail_that_bilinear_ones_lose() {
    let bilinear = kept(|source, flow, out| warp(source, flow, Kernel::Bilinear, out));
    let bicubic = kept(|source, flow, out| warp(source, flow, Kernel::Bicubic, out));
    let mut splines = SplineWarp::new(Size::new(160, 120));
    let spline = kept(|source, flow, out| splines.warp(&Serial, source, flow, out));
    eprintln!("kept after 100 warps: bilinear {bilinear:.3}, bicubic {bicubic:.3}, spline {spline:.3}");
    assert!(spline > 5.0 * bilinear && spline < 1.1, "{spline}");
    assert!(bilinear < 0.1, "{bilinear}");
    assert!(bicubic > 3.0 * bilinear && bicubic < 1.1, "{bicubic}");
}

#[test]
fn whole_pixels_are_copied_exactly_and_the_border_repeats() {
    let size = Size::new(7, 5);
    let source: Vec<f32> = (0..2 * size.area()).map(|i| (i * i % 17) as f32 / 3.0).collect();
    for kernel in [Kernel::Bilinear, Kernel::Bicubic] {
        let mut out = vec![0.0; source.len()];
        warp(&source, &shift(size, 0.0, 0.0), kernel, &mut out);
        assert_eq!(out, source);
        warp(&source, &shift(size, 2.004, -1.0), kernel, &mut out);
        for (x, y) in [(0, 0), (3, 2), (6, 4)] {
            let from = y.max(1) - 1;
            assert_eq!(out[size.area() + y * 7 + x], source[size.area() + from * 7 + (x + 2).min(6)]);
        }
    }
}

#[test]
fn a_ramp_is_reproduced_between_pixels() {
    let size = Size::new(12, 9);
    let source: Vec<f32> = (0..size.area()).map(|i| (i % 12) as f32 + 0.5 * (i / 12) as f32).collect();
    for kernel in [Kernel::Bilinear, Kernel::Bicubic] {
        let mut out = vec![0.0; source.len()];
        warp(&source, &shift(size, 0.3, -0.4), kernel, &mut out);
        let at = 4 * 12 + 5;
        assert!((out[at] - (source[at] + 0.3 - 0.2)).abs() < 0.05, "{kernel:?}: {} {}", out[at], source[at]);
    }
}

#[test]
fn the_spline_goes_through_its_pixels_and_copies_whole_ones() {
    let size = Size::new(23, 17);
    let source: Vec<f32> = (0..size.area()).map(|i| ((i * 7) as f32).sin()).collect();
    let mut splines = SplineWarp::new(size);
    let mut out = vec![0.0; source.len()];
    splines.warp(&Serial, &source, &shift(size, 0.0, 0.0), &mut out);
    assert_eq!(out, source);
    // Interpolation itself, past the snapping and the bounds. The border of the coefficients is mirrored, not repeated: only
    // inside is it exact.
    let there = Around::new(size, 7, 5).weigh(&splines.coefficients, b_spline(0.0), b_spline(0.0)).to_array();
    assert!((there[0] - source[5 * 23 + 7]).abs() < 1e-4);
}

#[test]
fn bicubic_never_leaves_the_range_of_its_neighbours() {
    let size = Size::new(16, 16);
    let step: Vec<f32> = (0..size.area()).map(|i| if i % 16 < 8 { 0.0 } else { 1.0 }).collect();
    let mut out = vec![0.0; step.len()];
    warp(&step, &shift(size, 0.45, 0.2), Kernel::Bicubic, &mut out);
    assert!(out.iter().all(|v| (0.0..=1.0).contains(v)));
}

#[test]
fn any_flow_on_any_size_stays_inside_and_all_codes_agree() {
    for (width, height) in [(1, 1), (2, 1), (3, 5), (17, 9)] {
        let size = Size::new(width, height);
        let source: Vec<f32> = (0..3 * size.area()).map(|i| (i as f32).sin()).collect();
        let mut flow = shift(size, 0.0, 0.0);
        for i in 0..size.area() {
            flow.u[i] = ((i * 37) as f32).sin() * 30.0;
            flow.v[i] = ((i * 91) as f32).cos() * 9.0;
        }
        for kernel in [Kernel::Bilinear, Kernel::Bicubic] {
            let warped = in_each_code(|| {
                let mut out = vec![0.0; source.len()];
                warp(&source, &flow, kernel, &mut out);
                out
            });
            assert!(warped.iter().all(|out| *out == warped[0]));
            assert!(warped[0].iter().all(|v| v.abs() <= 1.0));
        }
    }
}

#[test]
fn many_planes_move_as_each_would_alone() {
    for (width, height) in [(1, 1), (2, 1), (1, 3), (17, 9), (90, 31)] {
        let size = Size::new(width, height);
        let area = size.area();
        let mut flow = shift(size, 0.0, 0.0);
        for i in 0..area {
            flow.u[i] = ((i * 37) as f32).sin() * 3.0;
            flow.v[i] = ((i * 91) as f32).cos() * 2.0;
        }
        let source: Vec<f32> = (0..11 * area).map(|i| (i as f32 * 0.7).sin()).collect();
        let (mut together, mut alone) = (source.clone(), vec![0.0; source.len()]);
        let mut planes: Vec<&mut [f32]> = together.chunks_mut(area).collect();
        BundleWarp::new(size).warp(&Scoped(3), &mut planes, &flow);
        warp(&source, &flow, Kernel::Bilinear, &mut alone);
        assert_eq!(together, alone);
        let mut splines = SplineWarp::new(size);
        splines.warp(&Scoped(3), &source, &flow, &mut together);
        for (source, alone) in source.chunks(area).zip(alone.chunks_mut(area)) {
            splines.warp(&Serial, source, &flow, alone);
        }
        assert_eq!(together, alone);
        for warped in in_each_code(|| {
            splines.warp(&Serial, &source, &flow, &mut alone);
            alone.clone()
        }) {
            assert_eq!(together, warped);
        }
    }
}

#[test]
fn planes_lie_side_by_side() {
    let mut pixels = vec![[9.0; ABREAST]; 3];
    interleave(&[&[1.0, 2.0, 3.0][..], &[4.0, 5.0, 6.0]], 0, &mut pixels);
    assert!(pixels.iter().zip(1..).all(|(p, k)| p[..3] == [k as f32, (k + 3) as f32, 9.0]), "{pixels:?}");
}
