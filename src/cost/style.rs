//! The style cost: how far the Gram matrices are from the painting's (Gatys et al. 2016, equations 3 to 6).

use ndarray::{Array2, ArrayView2, ArrayViewMut2, linalg::general_mat_mul};

use crate::net::vgg::Head;

/// The Gram matrix of feature maps divided by the number of positions, `F F^T / (H W)`, (C, C).
///
/// The course's style matrix is `F F^T`, which grows with the picture; divided by the positions it can be compared between
/// a painting and a frame of different sizes. [`course_scale`] takes the difference into account.
pub fn gram(features: ArrayView2<f32>) -> Array2<f32> {
    let (channels, positions) = features.dim();
    let mut gram = Array2::zeros((channels, channels));
    gram_into(features, &mut gram.view_mut());
    debug_assert!(positions > 0);
    gram
}

/// [`gram`] without allocating.
pub fn gram_into(features: ArrayView2<f32>, gram: &mut ArrayViewMut2<f32>) {
    let positions = features.ncols() as f32;
    general_mat_mul(1.0 / positions, &features, &features.t(), 0.0, gram);
}

/// The scale of the course's style cost for Grams divided by the positions: `1/(4 C^2 (H W)^2) * sum (F F^T - A)^2` is
/// `1/(4 C^2) * sum (G - A)^2` in those terms.
pub fn course_scale(channels: usize) -> f64 {
    1.0 / (4.0 * (channels * channels) as f64)
}

/// What one layer's Gram is compared with, and how.
#[derive(Clone, Debug)]
pub struct StyleTarget {
    /// A, the painting's Gram divided by its positions, (C, C).
    pub gram: Array2<f32>,
    /// M, (C, C), where the tap has a head ([`Head::metric`]); None is the identity.
    pub metric: Option<Array2<f32>>,
    /// What the squared distance is multiplied with.
    pub scale: f64,
}

impl StyleTarget {
    /// The course's cost: `1/(4 C^2) * |G - A|^2`.
    pub fn course(gram: Array2<f32>, head: Option<&Head>) -> Self {
        let scale = course_scale(gram.nrows());
        StyleTarget { gram, metric: metric(head), scale }
    }

    /// The distance relative to the painting's own energy, `|L (G - A) L^T|^2 / |L A L^T|^2`: it means the same at any
    /// resolution and with any network.
    pub fn relative(gram: Array2<f32>, head: Option<&Head>) -> Self {
        let mut target = StyleTarget { gram, metric: metric(head), scale: 1.0 };
        target.scale = 1.0 / target.distance(&target.gram).0.max(1e-12);
        target
    }

    /// Value of this layer's style cost for a Gram, and `dJ/dF` as a matrix that is yet to be multiplied with F:
    /// `J = scale * |L (G - A) L^T|^2 = scale * <M (G - A) M, G - A>`, and `dJ/dF = 4 scale / (H W) * M (G - A) M F`.
    ///
    /// The matrix returned is `4 scale / (H W) * M (G - A) M`, symmetric, (C, C).
    pub fn value_and_slope(&self, gram: ArrayView2<f32>, positions: usize) -> (f64, Array2<f32>) {
        let difference = &gram - &self.gram;
        let factor = (4.0 * self.scale / positions as f64) as f32;
        let (distance, slope) = self.distance(&difference);
        (self.scale * distance, slope * factor)
    }

    /// `|L D L^T|^2` of a symmetric D, and half its gradient, `M D M`, of which it is the product with D.
    fn distance(&self, difference: &Array2<f32>) -> (f64, Array2<f32>) {
        let slope = match &self.metric {
            None => difference.clone(),
            Some(metric) => metric.dot(difference).dot(metric),
        };
        let products = slope.iter().zip(difference).map(|(&slope, &d)| f64::from(slope) * f64::from(d));
        (products.sum(), slope)
    }
}

fn metric(head: Option<&Head>) -> Option<Array2<f32>> {
    head.map(|head| head.metric().clone())
}

/// Value of the style cost at one layer; its gradient times `weight` is added to the cotangent. `gram` is scratch, (C, C).
pub fn value_and_add_gradient(
    features: ArrayView2<f32>,
    target: &StyleTarget,
    weight: f64,
    gram: &mut Array2<f32>,
    mut cotangent: ArrayViewMut2<f32>,
) -> f64 {
    gram_into(features, &mut gram.view_mut());
    let (value, slope) = target.value_and_slope(gram.view(), features.ncols());
    general_mat_mul(weight as f32, &slope, &features, 1.0, &mut cotangent);
    value
}

/// Several paintings as one target: the Grams averaged by weight.
///
/// # Panics
/// If there are none, or their shapes differ.
pub fn blend(grams: &[(Array2<f32>, f32)]) -> Array2<f32> {
    let total: f32 = grams.iter().map(|(_, weight)| weight).sum();
    let mut parts = grams.iter().map(|(gram, weight)| gram * (weight / total));
    let first = parts.next().expect("at least one painting");
    parts.fold(first, |sum, part| sum + part)
}
