//! An independent reference in f64: forward pass, costs and their gradient, written as loops over the definitions.

use ndarray::{Array1, Array2, Array3, Array4};
use stylize::net::vgg::{Conv, Head, Layer, Tap, Vgg};

/// A small network with random weights and odd widths: pools, two taps on the way, heads of less than full rank.
pub fn random_vgg(seed: u64, heads: bool) -> Vgg {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut normal = move || {
        let (u, v) = (random.f64().max(1e-12), random.f64());
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    };
    let mut layers = Vec::new();
    let mut channels = 3;
    for (name, outputs) in [("conv1_1", 4), ("conv1_2", 5), ("", 0), ("conv2_1", 7), ("", 0), ("conv3_1", 6)] {
        if outputs == 0 {
            layers.push(Layer::Pool);
            continue;
        }
        let scale = (2.0 / (9 * channels) as f32).sqrt();
        let weight = Array4::from_shape_simple_fn((outputs, channels, 3, 3), || scale * normal());
        let bias = Array1::from_shape_simple_fn(outputs, || 0.1 * normal());
        layers.push(Layer::Conv(Conv { name: name.into(), weight, bias }));
        channels = outputs;
    }
    let mut tap = |layer, lambda, rank, channels| Tap {
        layer,
        lambda,
        head: heads.then(|| Head::new(Array2::from_shape_simple_fn((rank, channels), &mut normal))),
    };
    let taps = vec![tap(0, 0.5, 3, 4), tap(3, 0.2, 7, 7), tap(5, 0.3, 2, 6)];
    Vgg { name: "random".into(), mean: [0.48, 0.45, 0.4], layers, taps, content: 3 }
}

/// A picture of noise, RGB, 0..1.
pub fn random_picture(height: usize, width: usize, seed: u64) -> Array3<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    Array3::from_shape_simple_fn((3, height, width), || random.f32())
}

/// The output of every layer up to the network's depth.
pub fn forward(vgg: &Vgg, picture: &Array3<f64>) -> Vec<Array3<f64>> {
    let mut current = picture.clone();
    for ((channel, _, _), value) in current.indexed_iter_mut() {
        *value -= f64::from(vgg.mean[channel]);
    }
    let mut maps = Vec::new();
    for layer in &vgg.layers[..vgg.depth()] {
        current = match layer {
            Layer::Conv(conv) => convolve(conv, &current).mapv(|value| value.max(0.0)),
            Layer::Pool => pool(&current),
        };
        maps.push(current.clone());
    }
    maps
}

fn convolve(conv: &Conv, input: &Array3<f64>) -> Array3<f64> {
    let (channels, height, width) = input.dim();
    Array3::from_shape_fn((conv.outputs(), height, width), |(o, y, x)| {
        let mut sum = f64::from(conv.bias[o]);
        for (i, ky, kx) in (0..channels).flat_map(|i| (0..9).map(move |k| (i, k / 3, k % 3))) {
            let (sy, sx) = ((y + ky).wrapping_sub(1), (x + kx).wrapping_sub(1));
            if sy < height && sx < width {
                sum += f64::from(conv.weight[[o, i, ky, kx]]) * input[[i, sy, sx]];
            }
        }
        sum
    })
}

fn pool(input: &Array3<f64>) -> Array3<f64> {
    let (channels, height, width) = input.dim();
    Array3::from_shape_fn((channels, height / 2, width / 2), |(c, y, x)| {
        (0..4).map(|k| input[[c, 2 * y + k / 2, 2 * x + k % 2]]).sum::<f64>() / 4.0
    })
}

/// Cotangents of every layer's output pulled back to the picture, scattered weight by weight.
pub fn pull_back(vgg: &Vgg, maps: &[Array3<f64>], cotangents: &[Option<Array3<f64>>]) -> Array3<f64> {
    let mut above = Array3::<f64>::zeros(maps.last().expect("a map").dim());
    for (index, layer) in vgg.layers[..vgg.depth()].iter().enumerate().rev() {
        if let Some(own) = &cotangents[index] {
            above += own;
        }
        let (height, width) = match index {
            0 => (maps[0].dim().1, maps[0].dim().2),
            _ => (maps[index - 1].dim().1, maps[index - 1].dim().2),
        };
        above = match layer {
            Layer::Pool => {
                let mut below = Array3::zeros((above.dim().0, height, width));
                for ((c, y, x), g) in above.indexed_iter() {
                    (0..4).for_each(|k| below[[c, 2 * y + k / 2, 2 * x + k % 2]] = g / 4.0);
                }
                below
            }
            Layer::Conv(conv) => {
                let mut below = Array3::zeros((conv.inputs(), height, width));
                for ((o, y, x), &g) in above.indexed_iter().filter(|&((o, y, x), _)| maps[index][[o, y, x]] > 0.0) {
                    for (i, ky, kx) in (0..conv.inputs()).flat_map(|i| (0..9).map(move |k| (i, k / 3, k % 3))) {
                        let (sy, sx) = ((y + ky).wrapping_sub(1), (x + kx).wrapping_sub(1));
                        if sy < height && sx < width {
                            below[[i, sy, sx]] += g * f64::from(conv.weight[[o, i, ky, kx]]);
                        }
                    }
                }
                below
            }
        };
    }
    above
}

/// `F F^T / (H W)`.
pub fn gram(map: &Array3<f64>) -> Array2<f64> {
    let (channels, height, width) = map.dim();
    Array2::from_shape_fn((channels, channels), |(i, j)| {
        let products = (0..height * width).map(|p| map[[i, p / width, p % width]] * map[[j, p / width, p % width]]);
        products.sum::<f64>() / (height * width) as f64
    })
}

/// `scale * |L (G - A) L^T|^2` and its gradient by F.
pub fn style(map: &Array3<f64>, target: &Array2<f64>, head: Option<&Array2<f64>>, scale: f64) -> (f64, Array3<f64>) {
    let (channels, height, width) = map.dim();
    let identity = Array2::eye(channels);
    let head = head.unwrap_or(&identity);
    let seen = head.dot(&(gram(map) - target)).dot(&head.t());
    let slope = head.t().dot(&seen).dot(head) * (4.0 * scale / (height * width) as f64);
    let features = map.to_shape((channels, height * width)).expect("contiguous").to_owned();
    let gradient = slope.dot(&features).into_shape_with_order((channels, height, width)).expect("the same count");
    (scale * seen.iter().map(|d| d * d).sum::<f64>(), gradient)
}

/// `|a - b| / |b|` over all elements.
pub fn relative_l2<'a>(a: impl IntoIterator<Item = &'a f32>, b: impl IntoIterator<Item = &'a f64>) -> f64 {
    let (mut difference, mut norm) = (0.0, 0.0);
    for (a, b) in a.into_iter().zip(b) {
        difference += (f64::from(*a) - b).powi(2);
        norm += b * b;
    }
    (difference / norm).sqrt()
}
