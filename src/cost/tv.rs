//! Total variation: the mean squared difference of neighbouring pixels, which calms single-pixel noise.
//!
//! The squared (H^1) form, as in Mahendran & Vedaldi 2015 with beta = 2: smooth, so that Adam does not rattle at zero.

use ndarray::{ArrayView3, ArrayViewMut3};

use crate::dispatch::wide;

/// `1/(C H W) * sum ((x[i,j+1] - x[i,j])^2 + (x[i+1,j] - x[i,j])^2)` over a picture (C, H, W), and `weight` times its
/// gradient added to `gradient`.
///
/// # Panics
/// If the sizes differ, or the values do not lie side by side.
pub fn value_and_add_gradient(picture: ArrayView3<f32>, weight: f64, mut gradient: ArrayViewMut3<f32>) -> f64 {
    assert_eq!(picture.dim(), gradient.dim());
    let (channels, height, width) = picture.dim();
    let scale = 1.0 / (channels * height * width) as f64;
    let factor = (2.0 * scale * weight) as f32;
    let mut sum = 0.0f64;
    let picture = picture.to_slice().expect("pictures are contiguous");
    let gradient = gradient.as_slice_mut().expect("gradients are contiguous");
    let area = height * width;
    for (plane, gradient) in picture.chunks_exact(area.max(1)).zip(gradient.chunks_exact_mut(area.max(1))) {
        for y in 0..height {
            let (here, below) = plane[y * width..].split_at(width);
            let (to, to_below) = gradient[y * width..].split_at_mut(width);
            across(here, factor, to, &mut sum);
            if y + 1 < height {
                down(here, &below[..width], factor, to, &mut to_below[..width], &mut sum);
            }
        }
    }
    scale * sum
}

/// Sums side by side.
const LANES: usize = 8;

wide! {
    /// Of neighbours in a row.
    fn across(row: &[f32], factor: f32, to: &mut [f32], sum: &mut f64) {
        let last = row.len() - 1;
        let steps = || row[1..].iter().zip(&row[..last]);
        let mut sums = [0.0f32; LANES];
        for (left, right) in row[..last].chunks(LANES).zip(row[1..].chunks(LANES)) {
            for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
                *sum += (right - left) * (right - left);
            }
        }
        for (to, (right, left)) in to[1..].iter_mut().zip(steps()) {
            *to += factor * (right - left);
        }
        for (to, (right, left)) in to[..last].iter_mut().zip(steps()) {
            *to -= factor * (right - left);
        }
        *sum += f64::from(sums.iter().sum::<f32>());
    }
}

wide! {
    /// Of each pixel and the one below it.
    fn down(row: &[f32], below: &[f32], factor: f32, to: &mut [f32], to_below: &mut [f32], sum: &mut f64) {
        let mut sums = [0.0f32; LANES];
        for (here, below) in row.chunks(LANES).zip(below.chunks(LANES)) {
            for ((sum, here), below) in sums.iter_mut().zip(here).zip(below) {
                *sum += (below - here) * (below - here);
            }
        }
        for ((here, below), (to, to_below)) in row.iter().zip(below).zip(to.iter_mut().zip(to_below)) {
            let step = factor * (below - here);
            *to -= step;
            *to_below += step;
        }
        *sum += f64::from(sums.iter().sum::<f32>());
    }
}
