//! Total variation: the mean squared difference of neighbouring pixels, which calms single-pixel noise.
//!
//! The squared (H^1) form, as in Mahendran & Vedaldi 2015 with beta = 2: smooth, so that Adam does not rattle at zero.

use ndarray::{ArrayView3, ArrayViewMut3};

/// `1/(C H W) * sum ((x[i,j+1] - x[i,j])^2 + (x[i+1,j] - x[i,j])^2)` over a picture (C, H, W), and `weight` times its
/// gradient added to `gradient`.
pub fn value_and_add_gradient(picture: ArrayView3<f32>, weight: f64, mut gradient: ArrayViewMut3<f32>) -> f64 {
    let (channels, height, width) = picture.dim();
    let scale = 1.0 / (channels * height * width) as f64;
    let factor = (2.0 * scale * weight) as f32;
    let mut sum = 0.0f64;
    for channel in 0..channels {
        for y in 0..height {
            let mut row_sum = 0.0f32;
            for x in 0..width {
                let here = picture[[channel, y, x]];
                if x + 1 < width {
                    let step = picture[[channel, y, x + 1]] - here;
                    row_sum += step * step;
                    gradient[[channel, y, x]] -= factor * step;
                    gradient[[channel, y, x + 1]] += factor * step;
                }
                if y + 1 < height {
                    let step = picture[[channel, y + 1, x]] - here;
                    row_sum += step * step;
                    gradient[[channel, y, x]] -= factor * step;
                    gradient[[channel, y + 1, x]] += factor * step;
                }
            }
            sum += f64::from(row_sum);
        }
    }
    scale * sum
}
