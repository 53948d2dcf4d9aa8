//! The cost of an optimization step, whole and in parts: `scripts/bench` makes the table.
//!
//! `cargo bench --bench step -- NAME` runs a part. Networks: models/*.safetensors, and VGG-19 where scripts/fetch-vgg19
//! put it.

use std::{path::PathBuf, sync::Arc};

use divan::{Bencher, counter::ItemsCount};
use ndarray::Array3;
use stylize::{
    cost::{style::StyleTarget, tv::Variation},
    engine::{Choice, Engines, Objective, Units, Weights, host},
    frame::Size,
    net::{
        inspect::Inspection,
        ops::{
            Activations, Aligned, Conv3x3, Factors, FeatureShape, FirstConv, Gradient, Isa, LastConv, Machine, Scratch,
            StyleTarget as KernelTarget, Tap, Terms, Upstream, View, floats_of,
        },
        session::{Device, Runtime, data_folder},
        vgg::{Layer, Vgg},
        weights,
    },
    optim::{Optimizer, adam::Adam},
    threads::Serial,
};

fn main() {
    divan::main();
}

const SIZES: [Size; 3] = [Size::new(256, 256), Size::new(320, 180), Size::new(640, 360)];
const NETWORKS: [&str; 4] = ["tiny", "compact", "plus", "vgg19"];

/// Engine, network and size of a whole step.
fn cases() -> Vec<String> {
    let mut cases = Vec::new();
    for network in NETWORKS {
        for size in SIZES.iter().filter(|size| network != "vgg19" || size.width < 640) {
            cases.extend(
                ["operators", "rounding", "standard", "host"].map(|engine| format!("{engine} {network} {size}")),
            );
        }
    }
    cases
}

fn network(name: &str) -> Option<Arc<Vgg>> {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models");
    let file = format!("{name}.safetensors");
    let path = [models.join(&file), data_folder()?.join(&file)].into_iter().find(|path| path.is_file())?;
    Some(Arc::new(weights::load(&path).expect("a network file")))
}

fn picture(size: Size, seed: u64) -> Array3<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    Array3::from_shape_simple_fn((3, size.height, size.width), || random.f32())
}

/// Multiplications and additions of forward and backward pass, counted as direct convolutions: twice 2 x 9 x in x out a
/// pixel of each layer.
fn operations(vgg: &Vgg, size: Size) -> u64 {
    let shapes = vgg.shapes(size);
    let count = |(layer, shape): (&Layer, &stylize::net::vgg::MapShape)| match layer {
        Layer::Conv(conv) => 36 * (conv.inputs() * conv.outputs() * shape.size.area()) as u64,
        Layer::Pool => 0,
    };
    vgg.layers.iter().zip(&shapes).map(count).sum()
}

/// A step as stylize takes it: costs and gradient of all terms, Adam, clamp.
#[divan::bench(args = cases(), sample_count = 40, sample_size = 1)]
fn whole_step(bencher: Bencher, case: &str) {
    let mut words = case.split(' ');
    let (engine, name, size) = (words.next().expect("engine"), words.next().expect("network"), words.next());
    let size = SIZES.into_iter().find(|s| Some(s.to_string().as_str()) == size).expect("a size");
    let Some(vgg) = network(name) else {
        eprintln!("skipped: {name} is not there");
        return;
    };
    let runtime = Runtime::load(Device::Cpu, 0).expect("ONNX Runtime: scripts/setup installs it");
    // scripts/bench asks for ONNX Runtime's profile, which slows the step by a few per cent.
    let runtime = match std::env::var_os("STYLIZE_BENCH_PROFILE") {
        Some(file) => runtime.inspected(Inspection { profile: Some(file.into()), ..Inspection::default() }),
        None => runtime,
    };
    let choice = match engine {
        "operators" => Choice::Operators(Isa::best()),
        "rounding" => match Isa::rounding() {
            Some(isa) => Choice::Operators(isa),
            None => return eprintln!("skipped: this CPU does not multiply bfloat16"),
        },
        "standard" => Choice::Standard,
        _ => Choice::Host,
    };
    let mut objective =
        Engines::new(runtime.clone(), Arc::clone(&vgg), choice).objective(size, Units::Relative).expect("an engine");
    let grams = host::grams(&runtime, &vgg, picture(size, 1).view()).expect("grams");
    let target = |(gram, tap): (_, &stylize::net::vgg::Tap)| StyleTarget::relative(gram, tap.head.as_ref());
    objective.set_style(grams.into_iter().zip(&vgg.taps).map(target).collect());
    objective.set_weights(Weights { content: 1.0, style: 30.0, tv: Variation::ZERO });
    objective.set_content(picture(size, 2).view()).expect("features");
    let (mut x, mut adam) = (picture(size, 3), Adam::new(3 * size.area(), 0.01));
    bencher
        .counter(ItemsCount::new(operations(&vgg, size)))
        .bench_local(|| step(objective.as_mut(), &mut adam, &mut x));
}

fn step(objective: &mut dyn Objective, adam: &mut Adam, x: &mut Array3<f32>) {
    let shape = x.dim();
    let mut closure = |x: &[f32], gradient: &mut [f32]| {
        let x = ndarray::ArrayView3::from_shape(shape, x).expect("the picture's length");
        let gradient = ndarray::ArrayViewMut3::from_shape(shape, gradient).expect("the picture's length");
        Ok(objective.evaluate(x, gradient)?.total as f32)
    };
    adam.step(x.as_slice_mut().expect("contiguous"), &mut closure).expect("a step");
    x.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
}

/// The machine's measured peak: a matrix product, one thread. Items are floating-point operations.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn peak_of_one_thread(bencher: Bencher) {
    const SIDE: usize = 768;
    let (a, b) = (vec![0.5f32; SIDE * SIDE], vec![0.25f32; SIDE * SIDE]);
    let mut c = vec![0.0f32; SIDE * SIDE];
    let count = 2 * (SIDE * SIDE * SIDE) as u64;
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let (m, s) = (SIDE, SIDE as isize);
        // SAFETY: three square matrices of that side.
        unsafe { matrixmultiply::sgemm(m, m, m, 1.0, a.as_ptr(), s, 1, b.as_ptr(), s, 1, 0.0, c.as_mut_ptr(), s, 1) }
    });
}

/// A layer of the compact network at 320x180 (channels in, out, height, width), and one of VGG-19.
const LAYERS: [(usize, usize, usize, usize); 5] =
    [(32, 64, 90, 160), (64, 64, 90, 160), (96, 96, 45, 80), (128, 128, 22, 40), (256, 256, 64, 64)];

/// The set that the program uses by itself.
fn isa() -> Isa {
    Isa::rounding().unwrap_or_else(Isa::best)
}

fn machine(scratch: &Scratch) -> Machine<'_> {
    Machine { isa: isa(), threads: &Serial, scratch }
}

fn values(count: usize) -> Aligned {
    let mut random = fastrand::Rng::with_seed(7);
    Aligned::from(&(0..count).map(|_| random.f32() - 0.5).collect::<Vec<_>>()[..])
}

/// A map of so many values as the kernels store it.
fn map(count: usize) -> Aligned {
    let floats = floats_of(isa());
    let values = values(count * floats / 16);
    // Two bfloat16 in the bits of each: the upper half of it twice.
    let two = |value: &f32| f32::from_bits(value.to_bits() & 0xFFFF_0000 | value.to_bits() >> 16);
    if floats < 16 { Aligned::from(&values.iter().map(two).collect::<Vec<_>>()[..]) } else { values }
}

/// Winograd convolution forward, one thread; items are operations of the direct sum.
#[divan::bench(args = LAYERS)]
fn convolution(bencher: Bencher, (inputs, outputs, height, width): (usize, usize, usize, usize)) {
    let conv = Conv3x3::forward(isa(), &values(inputs * outputs * 9), &values(outputs), outputs, inputs);
    let (x, mut y) = (map(inputs * height * width), map(outputs * height * width));
    let scratch = Scratch::new(1);
    let count = (18 * inputs * outputs * height * width) as u64;
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let to = Activations { values: Some(&mut y), ..Activations::default() };
        conv.run_forward(machine(&scratch), &x, (height, width), to);
    });
}

/// The same backward.
#[divan::bench(args = LAYERS)]
fn convolution_gradient(bencher: Bencher, (inputs, outputs, height, width): (usize, usize, usize, usize)) {
    let conv = Conv3x3::backward(isa(), &values(inputs * outputs * 9), outputs, inputs);
    let (gradient, mut to) = (map(outputs * height * width), map(inputs * height * width));
    let signs = vec![0x5a3c; inputs / 16 * height * width];
    let scratch = Scratch::new(1);
    let count = (18 * inputs * outputs * height * width) as u64;
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let to = Gradient { values: &mut to, signs: Some(&signs), before_pool: None };
        conv.run_backward(machine(&scratch), &gradient, (height, width), to);
    });
}

/// First and last convolution at 320x180, one thread.
#[divan::bench(args = [16, 32, 64])]
fn first_convolution(bencher: Bencher, channels: usize) {
    let conv = FirstConv::new(&values(channels * 27)[..channels * 27], &values(channels)[..channels], [0.5; 3]);
    let (x, mut y) = (values(3 * 320 * 180), map(channels * 320 * 180));
    let scratch = Scratch::new(1);
    bencher.bench_local(|| {
        let to = Activations { values: Some(&mut y), ..Activations::default() };
        conv.run(machine(&scratch), &x[..3 * 320 * 180], (180, 320), to);
    });
}

#[divan::bench(args = [16, 32, 64])]
fn last_convolution(bencher: Bencher, channels: usize) {
    let conv = LastConv::new(isa(), &values(channels * 27)[..channels * 27]);
    let (gradient, mut to) = (map(channels * 320 * 180), values(3 * 320 * 180));
    let scratch = Scratch::new(1);
    bencher.bench_local(|| conv.run(machine(&scratch), &gradient, (180, 320), &mut to));
}

/// Gram, cost and cotangent of a layer with a head, one thread (channels, height, width).
#[divan::bench(args = [(16, 180, 320), (32, 90, 160), (96, 45, 80), (128, 22, 40), (128, 11, 20)])]
fn gram_cost_and_gradient(bencher: Bencher, (channels, height, width): (usize, usize, usize)) {
    let shape = FeatureShape::new(channels, height, width);
    let (features, upstream, mut to) = (map(shape.len()), map(shape.len()), map(shape.len()));
    let (gram, metric) = (values(channels * channels), values(channels * channels));
    let (gram, metric) = (View::new(channels, channels, &gram), View::new(channels, channels, &metric));
    let (mut tap, scratch) = (Tap::new(shape), Scratch::new(1));
    let style = KernelTarget { gram, metric: Some(metric) };
    let terms = Terms { style: Some((style, Factors { scale: 1.0, weight: 1.0 })), content: None };
    bencher.bench_local(|| tap.run(machine(&scratch), &features, Upstream::Full(&upstream), terms, &mut to));
}

/// Adam at 640x360.
#[divan::bench]
fn optimizer(bencher: Bencher) {
    let size = SIZES[2];
    let (mut x, mut adam) = (picture(size, 1), Adam::new(3 * size.area(), 0.01));
    let gradient = picture(size, 2);
    bencher.bench_local(|| {
        let values = x.as_slice_mut().expect("contiguous");
        adam.step(values, &mut |_, to| {
            to.copy_from_slice(gradient.as_slice().expect("contiguous"));
            Ok(0.0)
        })
        .expect("a step");
    });
}
