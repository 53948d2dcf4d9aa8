//! The fused engine against the f64 reference and the host engine: odd sizes, every instruction set, many steps.

use std::{path::PathBuf, sync::Arc};

use super::reference::{forward, gram, pull_back, random_picture, relative_l2, style};
use ndarray::{Array1, Array2, Array3, Array4};
use stylize::{
    cost::{style::StyleTarget, tv::Variation},
    engine::{Choice, Engines, Objective, Units, Weights, fused::FusedEngine, host, host::HostEngine},
    frame::Size,
    net::{
        ops::Isa,
        prepared::Prepared,
        session::{Device, Precision, Runtime},
        vgg::{Conv, Head, Layer, Tap, Vgg},
        weights,
    },
    optim::{Optimizer, adam::Adam},
};

pub(super) fn runtime() -> Runtime {
    Runtime::load(Device::Cpu, 0).expect("ONNX Runtime: scripts/setup installs it")
}

/// Random weights. A width of 0 is a pool; taps are (index among layers, rank of the head or 0 for none).
pub(super) fn network(widths: &[usize], taps: &[(usize, usize)], content: usize) -> Vgg {
    let mut random = fastrand::Rng::with_seed(11);
    let mut normal = move || {
        let (u, v) = (random.f64().max(1e-12), random.f64());
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    };
    let mut channels = 3;
    let mut layers = Vec::new();
    for (index, &outputs) in widths.iter().enumerate() {
        if outputs == 0 {
            layers.push(Layer::Pool);
            continue;
        }
        let scale = (2.0 / (9 * channels) as f32).sqrt();
        let weight = Array4::from_shape_simple_fn((outputs, channels, 3, 3), || scale * normal());
        let bias = Array1::from_shape_simple_fn(outputs, || 0.1 * normal());
        layers.push(Layer::Conv(Conv { name: format!("conv{index}"), weight, bias }));
        channels = outputs;
    }
    let mut tap = |&(layer, rank): &(usize, usize)| Tap {
        layer,
        lambda: 1.0 / taps.len() as f32,
        head: (rank > 0).then(|| Head::new(Array2::from_shape_simple_fn((rank, widths[layer]), &mut normal))),
    };
    let taps = taps.iter().map(&mut tap).collect();
    let vgg = Vgg { name: "random".into(), mean: [0.48, 0.45, 0.4], layers, taps, content };
    vgg.validate().expect("a network");
    vgg
}

/// Shapes of networks: as VGG-19, as the compact ones, the content apart from style, taps in unusual places.
pub(super) fn networks() -> Vec<Vgg> {
    vec![
        network(&[16, 32, 0, 32, 16, 0, 48], &[(0, 0), (3, 0), (6, 0)], 4),
        network(&[32, 0, 16, 32, 0, 48, 32], &[(0, 7), (3, 32), (6, 20)], 6),
        network(&[16, 0, 32, 0, 16], &[(2, 16), (4, 0)], 4),
        network(&[16, 16], &[(1, 0)], 0),
    ]
}

pub(super) const WEIGHTS: Weights = Weights { content: 0.7, style: 3.0, tv: Variation { all: 0.4, colour: 0.9 } };

pub(super) fn targets(vgg: &Vgg, painting: &Array3<f32>, units: Units) -> Vec<StyleTarget> {
    let make = match units {
        Units::Relative => StyleTarget::relative,
        Units::Course => StyleTarget::course,
    };
    let grams = host::grams(&runtime(), vgg, painting.view()).expect("grams");
    grams.into_iter().zip(&vgg.taps).map(|(gram, tap)| make(gram, tap.head.as_ref())).collect()
}

pub(super) fn ready<O: Objective>(mut engine: O, targets: &[StyleTarget], content: &Array3<f32>) -> O {
    engine.set_weights(WEIGHTS);
    engine.set_style(targets.to_vec());
    engine.set_content(content.view()).expect("features");
    engine
}

fn fused(vgg: &Arc<Vgg>, isa: Isa, size: Size, units: Units) -> FusedEngine {
    let network = Arc::new(Prepared::new(vgg, isa, runtime().threads()));
    FusedEngine::new(&runtime(), Arc::clone(vgg), &network, size, units).expect("an engine")
}

/// The gradient in f64, without the total variation's.
fn expected_gradient(vgg: &Vgg, x: &Array3<f32>, c: &Array3<f32>, targets: &[StyleTarget]) -> Array3<f64> {
    let maps = forward(vgg, &x.mapv(f64::from));
    let mut cotangents: Vec<Option<Array3<f64>>> = maps.iter().map(|_| None).collect();
    for (tap, target) in vgg.taps.iter().zip(targets) {
        let head = tap.head.as_ref().map(|head| head.map().mapv(f64::from));
        let (_, slope) = style(&maps[tap.layer], &target.gram.mapv(f64::from), head.as_ref(), target.scale);
        cotangents[tap.layer] = Some(slope * (WEIGHTS.style * f64::from(tap.lambda)));
    }
    let (f, p) = (&maps[vgg.content], &forward(vgg, &c.mapv(f64::from))[vgg.content]);
    let slope = (f - p) * (2.0 / p.iter().map(|p| p * p).sum::<f64>() * WEIGHTS.content);
    let cotangent = &mut cotangents[vgg.content];
    *cotangent = Some(match cotangent.take() {
        Some(style) => style + slope,
        None => slope,
    });
    pull_back(vgg, &maps, &cotangents)
}

#[test]
fn fused_gradient_agrees_with_f64() {
    for vgg in networks().into_iter().map(Arc::new) {
        assert!(Prepared::supports(&vgg));
        for size in [Size::new(9, 7), Size::new(16, 13), Size::new(30, 29)] {
            let pictures = [1, 2, 3].map(|seed| random_picture(size.height, size.width, seed));
            let [x, c, s] = &pictures;
            let targets = targets(&vgg, s, Units::Relative);
            for (target, map) in targets.iter().zip(&vgg.taps) {
                let a = gram(&forward(&vgg, &s.mapv(f64::from))[map.layer]);
                assert!(relative_l2(&target.gram, &a) < 1e-5);
            }
            let expected = expected_gradient(&vgg, x, c, &targets);
            for isa in Isa::available() {
                let mut engine = ready(fused(&vgg, isa, size, Units::Relative), &targets, c);
                engine.set_weights(Weights { tv: Variation::ZERO, ..WEIGHTS });
                let mut gradient = Array3::zeros(x.dim());
                engine.evaluate(x.view(), gradient.view_mut()).expect("an evaluation");
                let error = relative_l2(&gradient, &expected);
                assert!(error < 1e-5, "relative L2 {error:.1e} at {size}, {isa}");
            }
        }
    }
}

/// Values and gradient of both engines at one picture; returns the relative distance of the gradients.
fn compare(vgg: &Arc<Vgg>, fused: FusedEngine, size: Size, units: Units, seed: u64) -> f64 {
    compare_to(1e-4, vgg, fused, size, units, seed)
}

/// The same where values may be further apart than by rounding in `f32`.
fn compare_to(tolerance: f64, vgg: &Arc<Vgg>, fused: FusedEngine, size: Size, units: Units, seed: u64) -> f64 {
    let [x, c, s] = [seed, seed + 1, seed + 2].map(|seed| random_picture(size.height, size.width, seed));
    let targets = targets(vgg, &s, units);
    let host = HostEngine::new(&runtime(), Arc::clone(vgg), size, units).expect("an engine");
    let (mut host, mut fused) = (ready(host, &targets, &c), ready(fused, &targets, &c));
    let (mut expected, mut found) = (Array3::zeros(x.dim()), Array3::zeros(x.dim()));
    let a = host.evaluate(x.view(), expected.view_mut()).expect("an evaluation").clone();
    let b = fused.evaluate(x.view(), found.view_mut()).expect("an evaluation").clone();
    let close = |a: f64, b: f64| (a - b).abs() <= tolerance * a.abs();
    assert!(close(a.total, b.total) && close(a.content, b.content) && close(a.style, b.style) && a.tv == b.tv);
    assert!(a.style_layers.iter().zip(&b.style_layers).all(|(a, b)| close(*a, *b)), "{a:?} {b:?}");
    relative_l2(&found, &expected.mapv(f64::from))
}

#[test]
fn engines_agree_in_both_units() {
    for vgg in networks().into_iter().map(Arc::new) {
        for units in [Units::Relative, Units::Course] {
            let size = Size::new(67, 45);
            let error = compare(&vgg, fused(&vgg, Isa::best(), size, units), size, units, 1);
            assert!(error < 1e-5, "operators: relative L2 {error:.1e}");
            let standard = FusedEngine::standard(&runtime(), Arc::clone(&vgg), size, units).expect("an engine");
            let error = compare(&vgg, standard, size, units, 1);
            assert!(error < 1e-5, "standard: relative L2 {error:.1e}");
        }
    }
}

/// The network file at this path, if it is there.
fn real_network(path: PathBuf) -> Option<Arc<Vgg>> {
    if !path.is_file() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(Arc::new(weights::load(&path).expect("a network")))
}

/// Networks by name, compact and the like out of the repository, VGG-19 where it is installed.
pub(super) fn real_networks(names: &[&str]) -> impl Iterator<Item = Arc<Vgg>> {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models");
    let data = stylize::net::session::data_folder().expect("a home");
    let path = |name: &&str| {
        let folder = if *name == "vgg19" { &data } else { &models };
        folder.join(format!("{name}.safetensors"))
    };
    names.iter().map(path).filter_map(real_network).collect::<Vec<_>>().into_iter()
}

#[test]
fn engines_agree_on_the_real_networks() {
    for vgg in real_networks(&["tiny", "compact", "plus", "vgg19"]) {
        for isa in Isa::available().into_iter().filter(|&isa| isa != Isa::PLAIN) {
            for size in [Size::new(75, 51), Size::new(128, 96)] {
                let fused = || fused(&vgg, isa, size, Units::Relative);
                agree(
                    |seed| compare(&vgg, fused(), size, Units::Relative, seed),
                    &format!("{} {size} {isa}", vgg.name),
                );
            }
        }
        let size = Size::new(75, 51);
        let standard =
            || FusedEngine::standard(&runtime(), Arc::clone(&vgg), size, Units::Relative).expect("an engine");
        agree(|seed| compare(&vgg, standard(), size, Units::Relative, seed), &format!("{} standard", vgg.name));
    }
}

/// Rounded products lose two digits, no more: the gradient of noise, in which ReLUs near zero are many, is the worst case.
#[test]
fn rounded_products_come_near_the_host_engine() {
    let Some(isa) = Isa::rounding() else { return eprintln!("skipped: this CPU does not multiply bfloat16") };
    for vgg in real_networks(&["tiny", "compact", "plus", "vgg19"]) {
        for size in [Size::new(75, 51), Size::new(128, 96)] {
            let fused = || fused(&vgg, isa, size, Units::Relative);
            let errors = [1, 10, 20].map(|seed| compare_to(0.25, &vgg, fused(), size, Units::Relative, seed));
            eprintln!("{} {size} {isa}: relative L2 {errors:?}", vgg.name);
            assert!(errors.iter().all(|&error| error < 0.15), "{} {size}: relative L2 {errors:?}", vgg.name);
        }
    }
}

#[test]
fn bfloat16_is_refused_where_the_cpu_does_not_multiply_it() {
    match (Isa::rounding(), runtime().with_precision(Precision::Bf16)) {
        (Some(_), Ok(runtime)) => assert_eq!(runtime.precision(), Precision::Bf16),
        (None, Err(error)) => assert!(error.to_string().contains("auto or fp32"), "{error}"),
        (_, answer) => panic!("{:?}", answer.map(|runtime| runtime.precision())),
    }
    let single = runtime().with_precision(Precision::Tf32).expect("any device has it");
    let plain = Engines::new(single, Arc::new(network(&[16, 0, 32], &[(0, 0), (2, 4)], 2)), Choice::Auto).name();
    assert!(!plain.contains("bf16"), "{plain}");
}

/// Gradients agree to 1e-5 but for ReLUs: of millions of activations a few are within rounding of zero, on in one engine
/// and off in the other, and one in a deep layer moves the whole gradient by up to 1e-3. Whether that happens is chance, so
/// some pictures must agree to rounding and none may be further off than such a flip.
fn agree(error: impl Fn(u64) -> f64, name: &str) {
    let mut errors = [1, 10, 20, 30, 40].map(error);
    errors.sort_by(f64::total_cmp);
    eprintln!("{name}: relative L2 {errors:?}");
    assert!(errors[1] < 1e-5 && errors[4] < 5e-3, "{name}: relative L2 {errors:?}");
}

#[test]
fn losses_stay_together_over_300_steps() {
    let vgg = Arc::new(network(&[32, 0, 16, 32, 0, 48, 32], &[(0, 7), (3, 32), (6, 20)], 6));
    let size = Size::new(45, 33);
    let [x, c, s] = [1, 2, 3].map(|seed| random_picture(size.height, size.width, seed));
    let targets = targets(&vgg, &s, Units::Relative);
    let run = |mut engine: Box<dyn Objective>| {
        let (mut x, mut adam, mut losses) = (x.clone(), Adam::new(x.len(), 0.02), Vec::new());
        for _ in 0..300 {
            let mut closure = |x: &[f32], gradient: &mut [f32]| {
                let shape = (3, size.height, size.width);
                let x = ndarray::ArrayView3::from_shape(shape, x).expect("the picture's length");
                let gradient = ndarray::ArrayViewMut3::from_shape(shape, gradient).expect("the picture's length");
                Ok(engine.evaluate(x, gradient)?.total as f32)
            };
            let values = x.as_slice_mut().expect("contiguous");
            losses.push(f64::from(adam.step(values, &mut closure).expect("a step")));
        }
        losses
    };
    let host = HostEngine::new(&runtime(), Arc::clone(&vgg), size, Units::Relative).expect("an engine");
    let host = run(Box::new(ready(host, &targets, &c)));
    assert!(host[299] < 0.5 * host[0], "the loss falls: {} to {}", host[0], host[299]);
    let standard = FusedEngine::standard(&runtime(), Arc::clone(&vgg), size, Units::Relative).expect("an engine");
    let mut others = vec![("standard", standard)];
    others.extend(Isa::available().into_iter().map(|isa| (isa.name(), fused(&vgg, isa, size, Units::Relative))));
    for (name, engine) in others {
        let other = run(Box::new(ready(engine, &targets, &c)));
        for (step, (a, b)) in host.iter().zip(&other).enumerate() {
            // Adam divides by the gradient's own size: rounding grows from step to step where the gradient is small.
            let tolerance = if step < 50 { 1e-3 } else { 5e-2 };
            assert!((a - b).abs() < tolerance * a, "{name}: step {step}: host {a}, {name} {b}");
        }
    }
}

#[test]
fn the_fused_engine_is_chosen_where_it_applies() {
    let fits = Arc::new(network(&[16, 0, 32], &[(0, 0), (2, 4)], 2));
    let odd = Arc::new(network(&[16, 0, 20], &[(0, 0), (2, 4)], 2));
    let name = |vgg: &Arc<Vgg>, choice| Engines::new(runtime(), Arc::clone(vgg), choice).name();
    for isa in Isa::available().into_iter().chain(Isa::rounding()) {
        assert_eq!(name(&fits, Choice::Operators(isa)), format!("operators ({isa})"));
        assert_eq!(name(&odd, Choice::Operators(isa)), "standard");
    }
    assert_eq!(name(&odd, Choice::Auto), "standard");
    assert_eq!(name(&fits, Choice::Host), "host");
    let best = Isa::best();
    let expected = |isa| if isa == Isa::PLAIN { "standard".to_owned() } else { format!("operators ({isa})") };
    assert_eq!(name(&fits, Choice::Auto), expected(Isa::rounding().unwrap_or(best)));
    let exact = runtime().with_precision(Precision::Fp32).expect("any device has it");
    assert_eq!(Engines::new(exact, Arc::clone(&fits), Choice::Auto).name(), expected(best));
    for vgg in [fits, odd] {
        let engines = Engines::new(runtime(), vgg, Choice::Auto);
        assert!(engines.objective(Size::new(1, 9), Units::Relative).is_err(), "too small for the pools");
        assert!(engines.objective(Size::new(9, 9), Units::Relative).is_ok());
    }
}

#[test]
fn the_shallow_objective_is_the_whole_one_without_its_deeper_taps() {
    let taps = [(0, 0), (2, 4), (4, 20), (6, 0)];
    let vgg = Arc::new(network(&[16, 0, 32, 0, 48, 0, 512], &taps, 6));
    // Lambdas of the deeper taps 0, and no content.
    let mut cut = (*vgg).clone();
    cut.taps[3].lambda = 0.0;
    let (cut, size) = (Arc::new(cut), Size::new(37, 26));
    let [x, painting] = [1, 2].map(|seed| random_picture(size.height, size.width, seed));
    let targets = targets(&vgg, &painting, Units::Relative);
    let weights = Weights { content: 0.0, ..WEIGHTS };
    let gradient = |mut objective: Box<dyn Objective + Send>, targets: &[StyleTarget]| {
        objective.set_weights(weights);
        objective.set_style(targets.to_vec());
        let mut gradient = Array3::zeros(x.dim());
        objective.evaluate(x.view(), gradient.view_mut()).expect("a gradient");
        gradient
    };
    for choice in [Choice::Auto, Choice::Host, Choice::Standard] {
        let engines = |vgg: &Arc<Vgg>| Engines::new(runtime(), Arc::clone(vgg), choice);
        let (count, shallow) = engines(&vgg).shallow(size, Units::Relative).expect("an engine").expect("deeper taps");
        assert_eq!(count, 3);
        let found = gradient(shallow, &targets[..count]);
        let whole = engines(&vgg).objective(size, Units::Relative).expect("an engine");
        let expected = gradient(engines(&cut).objective(size, Units::Relative).expect("an engine"), &targets);
        let expected = expected.mapv(f64::from);
        let apart = relative_l2(&found, &expected);
        assert!(apart < 1e-5, "{choice:?}: {apart}");
        assert!(relative_l2(&gradient(whole, &targets), &expected) > 1e-2, "the deeper tap matters");
    }
    let count = |vgg: Vgg| {
        let shallow = Engines::new(runtime(), Arc::new(vgg), Choice::Host).shallow(size, Units::Relative);
        shallow.expect("no failure").map(|(count, _)| count)
    };
    assert_eq!(count(network(&[16, 32], &[(1, 0)], 0)), None, "no deeper tap");
    assert_eq!(count(network(&[32, 32, 0, 16], &[(1, 0), (3, 0)], 0)), None, "nothing that would save much");
    for (name, shallow) in [("tiny", 2), ("compact", 3), ("plus", 2)] {
        let vgg = stylize::embedded::network(name).expect("a network inside the program").expect("it is valid");
        assert_eq!(count(vgg), Some(shallow), "{name}");
    }
}
