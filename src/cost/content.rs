//! The content cost: how far the features are from the frame's own (Gatys et al. 2016, equations 1 and 2).

use ndarray::{ArrayView2, ArrayViewMut2, Zip};

/// `1/(4 H W C) * sum (F - P)^2`: the constant of Andrew Ng's course, by which the public weights are defined.
pub fn course_scale(channels: usize, positions: usize) -> f64 {
    1.0 / (4.0 * (channels * positions) as f64)
}

/// The scale that makes the cost the squared distance relative to the frame's own energy, `sum (F - P)^2 / sum P^2`: it
/// means the same at any resolution and with any network. A frame without features (black, say) counts as unit energy.
///
/// `energy` is `sum P^2`, over so many values.
pub fn relative_scale(energy: f64, values: usize) -> f64 {
    1.0 / energy.max(1e-6 * values as f64)
}

/// `sum P^2`.
pub fn energy(target: impl IntoIterator<Item = f32>) -> f64 {
    target.into_iter().map(|p| f64::from(p).powi(2)).sum()
}

/// Value `scale * sum (F - P)^2`.
pub fn value(features: ArrayView2<f32>, target: ArrayView2<f32>, scale: f64) -> f64 {
    let mut sum = 0.0;
    for (row, target) in features.rows().into_iter().zip(target.rows()) {
        let squares = |sum: f32, (&f, &p): (&f32, &f32)| (f - p).mul_add(f - p, sum);
        sum += f64::from(row.iter().zip(target).fold(0.0f32, squares));
    }
    scale * sum
}

/// Adds `weight * dJ/dF = weight * scale * 2 (F - P)` to the cotangent.
///
/// With the course's scale this is `(F - P)/(2 H W C)`.
pub fn add_gradient(
    features: ArrayView2<f32>,
    target: ArrayView2<f32>,
    scale: f64,
    weight: f64,
    mut cotangent: ArrayViewMut2<f32>,
) {
    let factor = (2.0 * scale * weight) as f32;
    Zip::from(&mut cotangent).and(features).and(target).for_each(|g, &f, &p| *g += factor * (f - p));
}
