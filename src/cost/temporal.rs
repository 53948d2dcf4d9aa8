//! The temporal cost (Ruder, Dosovitskiy, Brox 2016, equation 7): how far the picture is from the last one carried along
//! the motion, where the motion is reliable.

/// `J_temporal = 1/D * sum c (x - w)^2` over a picture of D values, and `weight` times its gradient `2 c (x - w) / D`
/// added to `gradient`.
///
/// `picture` and `carried` (w) have the shape (channels, h, w), `reliability` (c, in `[0, 1]`) has (h, w) and is the same for
/// all channels. Ruder's released code has sqrt(c) in place of c in the gradient; this is the gradient of the value.
///
/// # Panics
/// If the shapes do not fit.
pub fn value_and_add_gradient(
    picture: &[f32],
    carried: &[f32],
    reliability: &[f32],
    weight: f64,
    gradient: &mut [f32],
) -> f64 {
    assert!(picture.len() == carried.len() && picture.len() == gradient.len(), "x, w and the gradient are alike");
    let area = reliability.len().max(1);
    assert_eq!(picture.len() % area, 0, "whole channels");
    let scale = 1.0 / picture.len().max(1) as f64;
    let factor = (2.0 * scale * weight) as f32;
    let mut sum = 0.0f64;
    let planes = picture.chunks(area).zip(carried.chunks(area)).zip(gradient.chunks_mut(area));
    for ((x, w), gradient) in planes {
        // Sums of a stretch in f32, of the stretches in f64.
        let stretches = x.chunks(256).zip(w.chunks(256)).zip(reliability.chunks(256)).zip(gradient.chunks_mut(256));
        for (((x, w), c), gradient) in stretches {
            let mut part = 0.0f32;
            for (((x, w), c), g) in x.iter().zip(w).zip(c).zip(gradient) {
                let d = x - w;
                part += c * d * d;
                *g += factor * c * d;
            }
            sum += f64::from(part);
        }
    }
    scale * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_and_gradient_agree_with_finite_differences() {
        let number = |i: usize| ((i * 37 % 101) as f32) / 101.0;
        let picture: Vec<f32> = (0..60).map(number).collect();
        let carried: Vec<f32> = (0..60).map(|i| number(i + 7)).collect();
        let reliability: Vec<f32> = (0..20).map(|i| number(i + 3)).collect();
        let value = |x: &[f32]| {
            let terms = x.iter().zip(&carried).enumerate();
            terms.map(|(i, (x, w))| f64::from(reliability[i % 20]) * f64::from(x - w).powi(2)).sum::<f64>() / 60.0
        };
        let mut gradient = vec![0.0; 60];
        let found = value_and_add_gradient(&picture, &carried, &reliability, 3.0, &mut gradient);
        assert!((found - value(&picture)).abs() < 1e-7);
        for i in [0, 13, 20, 59] {
            let (mut up, mut down) = (picture.clone(), picture.clone());
            up[i] += 1e-2;
            down[i] -= 1e-2;
            let slope = 3.0 * (value(&up) - value(&down)) / f64::from(up[i] - down[i]);
            assert!((f64::from(gradient[i]) - slope).abs() < 1e-5, "{i}: {} {slope}", gradient[i]);
        }
    }

    #[test]
    fn nothing_counts_where_nothing_is_reliable() {
        let mut gradient = vec![0.0; 6];
        let value = value_and_add_gradient(&[1.0; 6], &[0.0; 6], &[0.0, 0.0], 1.0, &mut gradient);
        assert_eq!((value, gradient), (0.0, vec![0.0; 6]));
    }
}
