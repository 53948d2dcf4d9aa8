//! Values and gradients: the cost functions against f64 and finite differences, the engine against an f64 reference, on odd
//! shapes, for small random networks and for the real ones.

use std::{path::PathBuf, sync::Arc};

use super::reference::{forward, gram, pull_back, random_picture, random_vgg, relative_l2, style};
use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut3, Axis};
use stylize::{
    cost::{self, style::StyleTarget, tv::Variation},
    engine::{
        Objective, Units, Weights,
        host::{self, HostEngine},
    },
    frame::Size,
    net::{
        session::{Device, Runtime},
        vgg::{Head, Vgg},
        weights,
    },
};

fn runtime() -> Runtime {
    Runtime::load(Device::Cpu, 0).expect("ONNX Runtime: scripts/setup installs it")
}

fn f64s(tensor: &Array3<f32>) -> Array3<f64> {
    tensor.mapv(f64::from)
}

/// (C, H, W) as (C, H W).
fn matrix(map: &Array3<f32>) -> ArrayView2<'_, f32> {
    let (channels, height, width) = map.dim();
    map.view().into_shape_with_order((channels, height * width)).expect("contiguous")
}

#[test]
fn content_cost_agrees_with_f64_and_finite_differences() {
    let (f, p) = (random_picture(5, 7, 1), random_picture(5, 7, 2));
    let scale = cost::content::course_scale(3, 35);
    let value = |f: &Array3<f64>| scale * (f - &f64s(&p)).iter().map(|d| d * d).sum::<f64>();
    let mut gradient = Array2::zeros((3, 35));
    cost::content::add_gradient(matrix(&f), matrix(&p), scale, 1.0, gradient.view_mut());
    let expected = value(&f64s(&f));
    assert!((cost::content::value(matrix(&f), matrix(&p), scale) / expected - 1.0).abs() < 1e-5);
    // The course's closed form: (F - P) / (2 H W C).
    let closed = (f64s(&f) - f64s(&p)) / (2.0 * 105.0);
    assert!(relative_l2(&gradient, &closed) < 1e-5);
    check_by_differences(&f64s(&f), gradient.iter().copied(), value);
    assert_eq!(cost::content::value(matrix(&f), matrix(&f), scale), 0.0);
}

#[test]
fn style_cost_agrees_with_f64_and_finite_differences() {
    let vgg = random_vgg(5, true);
    let f = random_picture(5, 7, 1);
    let a = cost::style::gram(matrix(&random_picture(4, 3, 9)));
    for head in
        [None, Some(Head::new(vgg.taps[0].head.as_ref().expect("heads").map().slice(ndarray::s![.., ..3]).to_owned()))]
    {
        for target in [StyleTarget::course(a.clone(), head.as_ref()), StyleTarget::relative(a.clone(), head.as_ref())] {
            let (a, head) = (a.mapv(f64::from), head.as_ref().map(|head| head.map().mapv(f64::from)));
            let value = |f: &Array3<f64>| style(f, &a, head.as_ref(), target.scale).0;
            let mut gradient = Array2::zeros((3, 35));
            let mut scratch = Array2::zeros((3, 3));
            let found =
                cost::style::value_and_add_gradient(matrix(&f), &target, 1.0, &mut scratch, gradient.view_mut());
            let (expected, slope) = style(&f64s(&f), &a, head.as_ref(), target.scale);
            assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
            assert!(relative_l2(&gradient, &slope) < 1e-5);
            check_by_differences(&f64s(&f), gradient.iter().copied(), value);
        }
    }
}

#[test]
fn the_course_constants_are_exact() {
    // Unnormalized Grams as in the course: J = 1/(4 C^2 (H W)^2) sum (F F^T - A)^2, gradient (F F^T - A) F / (C^2 (H W)^2).
    let (f, s) = (random_picture(5, 7, 1), random_picture(5, 7, 2));
    let course = |f: &Array3<f32>| {
        let f = matrix(f).mapv(f64::from);
        f.dot(&f.t())
    };
    let difference = course(&f) - course(&s);
    let expected = difference.iter().map(|d| d * d).sum::<f64>() / (4.0 * 9.0 * 35.0f64.powi(2));
    let slope = difference.dot(&matrix(&f).mapv(f64::from)) / (9.0 * 35.0f64.powi(2));
    let target = StyleTarget::course(cost::style::gram(matrix(&s)), None);
    let (mut gradient, mut scratch) = (Array2::zeros((3, 35)), Array2::zeros((3, 3)));
    let value = cost::style::value_and_add_gradient(matrix(&f), &target, 1.0, &mut scratch, gradient.view_mut());
    assert!((value / expected - 1.0).abs() < 1e-5, "{value} {expected}");
    assert!(relative_l2(&gradient, &slope) < 1e-5);
}

#[test]
fn gram_identities() {
    let f = random_picture(5, 7, 1);
    let g = cost::style::gram(matrix(&f));
    let scaled = cost::style::gram(matrix(&(&f * 3.0)));
    let mut shuffled = matrix(&f).to_owned();
    (0..17).for_each(|p| (0..3).for_each(|c| shuffled.swap([c, p], [c, 34 - p])));
    for ((i, j), &value) in g.indexed_iter() {
        assert!((value - g[[j, i]]).abs() < 1e-6, "symmetric");
        assert!((9.0 * value / scaled[[i, j]] - 1.0).abs() < 1e-5, "scales with the square");
        assert!((cost::style::gram(shuffled.view())[[i, j]] - value).abs() < 1e-6, "order of pixels does not matter");
    }
    let v = ndarray::arr1(&[0.3, -0.9, 0.5]);
    assert!(v.dot(&g.dot(&v)) >= 0.0, "positive semi-definite");
    let target = StyleTarget::relative(g.clone(), None);
    assert_eq!(target.value_and_slope(g.view(), 35).0, 0.0);
}

#[test]
fn total_variation_agrees_with_finite_differences() {
    let x = random_picture(5, 7, 3);
    let value = |x: &Array3<f64>| {
        let mut sum = 0.0;
        for ((c, i, j), v) in x.indexed_iter() {
            sum += x.get([c, i + 1, j]).map_or(0.0, |n| (n - v).powi(2));
            sum += x.get([c, i, j + 1]).map_or(0.0, |n| (n - v).powi(2));
        }
        sum / 105.0
    };
    let mut gradient = Array3::zeros((3, 5, 7));
    let found = cost::tv::value_and_add_gradient(x.view(), Variation { all: 1.0, colour: 0.0 }, gradient.view_mut());
    assert!((found.all / value(&f64s(&x)) - 1.0).abs() < 1e-5);
    check_by_differences(&f64s(&x), gradient.iter().copied(), value);
    let coloured = |x: &Array3<f64>| value(&(x - &x.mean_axis(Axis(0)).expect("channels").insert_axis(Axis(0))));
    gradient.fill(0.0);
    let tau = Variation { all: 0.5, colour: 2.0 };
    let found = cost::tv::value_and_add_gradient(x.view(), tau, gradient.view_mut());
    assert!((found.colour / coloured(&f64s(&x)) - 1.0).abs() < 1e-5);
    let both = |x: &Array3<f64>| 0.5 * value(x) + 2.0 * coloured(x);
    assert!((found.weighted(tau) / both(&f64s(&x)) - 1.0).abs() < 1e-5);
    check_by_differences(&f64s(&x), gradient.iter().copied(), both);
}

/// Central differences in f64 along random directions against the gradient.
fn check_by_differences(
    at: &Array3<f64>,
    gradient: impl Iterator<Item = f32> + Clone,
    value: impl Fn(&Array3<f64>) -> f64,
) {
    for seed in 0..4 {
        let direction = random_picture(at.dim().1, at.dim().2, 100 + seed).mapv(|v| f64::from(v) - 0.5);
        let step = 1e-6;
        let difference = (value(&(at + &direction * step)) - value(&(at - &direction * step))) / (2.0 * step);
        let along: f64 = gradient.clone().zip(&direction).map(|(g, d)| f64::from(g) * d).sum();
        assert!((difference / along - 1.0).abs() < 1e-4, "{difference} by differences, {along} by the gradient");
    }
}

/// The engine's losses and gradient at a random picture against f64; returns the relative error of the gradient.
fn engine_against_reference(vgg: Vgg, size: Size, units: Units) -> f64 {
    let (x, c, s) = (
        random_picture(size.height, size.width, 1),
        random_picture(size.height, size.width, 2),
        random_picture(size.height + 3, size.width + 2, 3),
    );
    let vgg = Arc::new(vgg);
    let weights = Weights { content: 0.7, style: 3.0, tv: Variation { all: 0.4, colour: 0.9 } };
    let make = match units {
        Units::Relative => StyleTarget::relative,
        Units::Course => StyleTarget::course,
    };
    let targets: Vec<StyleTarget> = host::grams(&runtime(), &vgg, s.view())
        .expect("grams")
        .into_iter()
        .zip(&vgg.taps)
        .map(|(gram, tap)| make(gram, tap.head.as_ref()))
        .collect();
    let mut engine = HostEngine::new(&runtime(), Arc::clone(&vgg), size, units).expect("an engine");
    engine.set_weights(weights);
    engine.set_style(targets.clone());
    engine.set_content(c.view()).expect("features");
    let mut gradient = Array3::zeros(x.dim());
    let losses = engine.evaluate(x.view(), gradient.view_mut()).expect("an evaluation").clone();

    let maps = forward(&vgg, &f64s(&x));
    let content_maps = forward(&vgg, &f64s(&c));
    let mut cotangents: Vec<Option<Array3<f64>>> = maps.iter().map(|_| None).collect();
    let mut total = 0.0;
    for (index, (tap, target)) in vgg.taps.iter().zip(&targets).enumerate() {
        let a = gram(&forward(&vgg, &f64s(&s))[tap.layer]);
        assert!(relative_l2(&target.gram, &a) < 1e-5, "Gram of tap {index}");
        let head = tap.head.as_ref().map(|head| head.map().mapv(f64::from));
        let (value, slope) = style(&maps[tap.layer], &a, head.as_ref(), target.scale);
        assert!((losses.style_layers[index] / value - 1.0).abs() < 1e-4, "style at tap {index}");
        total += weights.style * f64::from(tap.lambda) * value;
        cotangents[tap.layer] = Some(slope * (weights.style * f64::from(tap.lambda)));
    }
    let (f, p) = (&maps[vgg.content], &content_maps[vgg.content]);
    let scale = match units {
        Units::Relative => 1.0 / p.iter().map(|p| p * p).sum::<f64>(),
        Units::Course => 1.0 / (4.0 * p.len() as f64),
    };
    let content = scale * (f - p).iter().map(|d| d * d).sum::<f64>();
    assert!((losses.content / content - 1.0).abs() < 1e-4, "content");
    let slope = (f - p) * (2.0 * scale * weights.content);
    let cotangent = &mut cotangents[vgg.content];
    *cotangent = Some(match cotangent.take() {
        Some(style) => style + slope,
        None => slope,
    });
    let mut expected = pull_back(&vgg, &maps, &cotangents);
    let mut tv = Array3::zeros(x.dim());
    let tv_value = cost::tv::value_and_add_gradient(x.view(), weights.tv, ArrayViewMut3::from(&mut tv));
    expected += &f64s(&tv);
    total += weights.content * content + tv_value.weighted(weights.tv);
    assert!((losses.total / total - 1.0).abs() < 1e-4, "J is {}, expected {total}", losses.total);
    relative_l2(&gradient, &expected)
}

#[test]
fn the_engine_agrees_with_f64_on_odd_shapes() {
    for (size, heads) in [(Size::new(7, 5), false), (Size::new(5, 7), true), (Size::new(13, 11), true)] {
        for units in [Units::Relative, Units::Course] {
            let error = engine_against_reference(random_vgg(7, heads), size, units);
            assert!(error < 1e-4, "relative L2 {error:.1e} at {size}");
        }
    }
}

/// A real network: whole where it is small, its first layers where the f64 loops would take minutes.
fn real_network(path: PathBuf) -> Option<Vgg> {
    if !path.is_file() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(weights::load(&path).expect("a network"))
}

#[test]
fn the_engine_agrees_with_f64_on_the_compact_network() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/compact.safetensors");
    if let Some(vgg) = real_network(path) {
        let error = engine_against_reference(vgg, Size::new(37, 33), Units::Relative);
        assert!(error < 1e-4, "relative L2 {error:.1e}");
    }
}

#[test]
fn the_engine_agrees_with_f64_on_vgg19() {
    let folder = stylize::net::session::data_folder().expect("a home");
    if let Some(vgg) = real_network(folder.join("vgg19.safetensors")) {
        let error = engine_against_reference(vgg, Size::new(19, 17), Units::Course);
        assert!(error < 1e-4, "relative L2 {error:.1e}");
    }
}
