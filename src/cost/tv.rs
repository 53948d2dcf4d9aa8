//! Total variation: the mean squared difference of neighbouring pixels, which calms single-pixel noise; and that of their colours
//! alone, which calms coloured specks and fringes and leaves the strokes their sharpness.
//!
//! The squared (H^1) form, as in Mahendran & Vedaldi 2015 with beta = 2: smooth, so that Adam does not rattle at zero. A pixel's colour is what
//! its channels have beside their mean.

use ndarray::{ArrayView3, ArrayViewMut3};

use crate::{dispatch::wide, tensor};

/// Of a picture, or what weighs it: tau.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Variation {
    /// Of all channels: `1/(C H W) * sum ((x[i,j+1] - x[i,j])^2 + (x[i+1,j] - x[i,j])^2)`.
    pub all: f64,
    /// Of the colours: the same of `x - mean of the channels of x`.
    pub colour: f64,
}

impl Variation {
    pub const ZERO: Variation = Variation { all: 0.0, colour: 0.0 };

    /// `tau_all TV + tau_colour TV_colour`
    pub fn weighted(self, tau: Variation) -> f64 {
        tau.all * self.all + tau.colour * self.colour
    }
}

/// The variation of a picture, RGB, (3, H, W), and `tau` times its gradient added to `gradient`; zero, and not looked at, where nothing
/// weighs it.
///
/// # Panics
/// If the sizes differ, there are not three channels, or the values do not lie side by side.
pub fn value_and_add_gradient(picture: ArrayView3<f32>, tau: Variation, mut gradient: ArrayViewMut3<f32>) -> Variation {
    assert_eq!(picture.dim(), gradient.dim());
    if tau == Variation::ZERO {
        return Variation::ZERO;
    }
    let (_, height, width) = picture.dim();
    let scale = 1.0 / (3 * height * width).max(1) as f64;
    let factor = |tau: f64| (2.0 * scale * tau) as f32;
    let factors = [factor(tau.all + tau.colour), factor(tau.colour)];
    let picture = tensor::channels_of(picture.to_slice().expect("pictures are contiguous"));
    let [red, green, blue] = tensor::channels(gradient.as_slice_mut().expect("gradients are contiguous"));
    let rows = |y: usize| picture.map(|plane| &plane[y * width..(y + 1) * width]);
    let mut sums = Variation::ZERO;
    for y in 0..height {
        let near = [rows(y.saturating_sub(1)), rows(y), rows((y + 1).min(height - 1))];
        let row = y * width..(y + 1) * width;
        add_row(near, factors, &mut red[row.clone()], &mut green[row.clone()], &mut blue[row], &mut sums);
    }
    Variation { all: scale * sums.all, colour: scale * sums.colour }
}

/// Pixels at a time.
const LANES: usize = 8;

wide! {
    /// Of one row, given it between the ones above and below. With L x half of the gradient of the sum of squares, that sum is `<x, L x>`.
    fn add_row(
        near: [[&[f32]; 3]; 3],
        factors: [f32; 2],
        red: &mut [f32],
        green: &mut [f32],
        blue: &mut [f32],
        sums: &mut Variation,
    ) {
        let [above, here, below] = near;
        let out = [red, green, blue];
        let width = here[0].len();
        let (mut all, mut grey) = ([0.0f32; LANES], [0.0f32; LANES]);
        let mut x = 0;
        while x < width {
            let whole = x > 0 && x + LANES < width;
            let count = if whole { LANES } else { 1 };
            let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
            let (mut slopes, mut mean, mut level) = ([[0.0f32; LANES]; 3], [0.0f32; LANES], [0.0f32; LANES]);
            for channel in 0..3 {
                let (above, here, below) = (above[channel], here[channel], below[channel]);
                let (l, h, r) = (take(here, left, whole), take(here, x, whole), take(here, right, whole));
                let (a, b) = (take(above, x, whole), take(below, x, whole));
                for k in 0..LANES {
                    let slope = ((h[k] - l[k]) + (h[k] - r[k])) + ((h[k] - a[k]) + (h[k] - b[k]));
                    slopes[channel][k] = slope;
                    mean[k] += slope * (1.0 / 3.0);
                    level[k] += h[k];
                    all[k] += h[k] * slope;
                }
            }
            for k in 0..LANES {
                grey[k] += level[k] * mean[k];
            }
            for channel in 0..3 {
                let to = &mut out[channel][x..x + count];
                for k in 0..count {
                    to[k] += factors[0] * slopes[channel][k] - factors[1] * mean[k];
                }
            }
            x += count;
        }
        let (all, grey) = (f64::from(all.iter().sum::<f32>()), f64::from(grey.iter().sum::<f32>()));
        sums.all += all;
        sums.colour += all - grey;
    }
}

/// Values of a row from there on: as many as there are lanes, or one.
#[inline(always)]
fn take(row: &[f32], from: usize, whole: bool) -> [f32; LANES] {
    let mut taken = [0.0; LANES];
    if whole {
        taken.copy_from_slice(&row[from..from + LANES]);
    } else {
        taken[0] = row[from];
    }
    taken
}
