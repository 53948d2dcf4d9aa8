//! Which engine solves the objective, decided once for a network.

use std::sync::Arc;

use ndarray::{Array1, Array2, Array3, Array4, ArrayView3};

use super::{
    Objective, Units, Weights,
    fused::FusedEngine,
    host::HostEngine,
    reduced::{self, Reduced},
    resident::Resident,
    trial::distance,
};
use crate::{
    cost::{style::StyleTarget, tv::Variation},
    error::Result,
    frame::Size,
    net::{
        inspect::Inspection,
        ops::Isa,
        prepared::Prepared,
        session::{Device, Precision, Runtime},
        vgg::{Conv, Head, Layer, Tap, Vgg},
    },
};

/// What may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Choice {
    /// The fastest that applies.
    #[default]
    Auto,
    /// Forward and backward graphs with the costs in between, on any device.
    Host,
    /// One graph of ONNX's own operators, on any device.
    Standard,
    /// Whole steps that stay on the device, on any device.
    Resident,
    /// One graph of Rust operators with an instruction set of choice, where they apply.
    Operators(Isa),
}

/// Makes engines of any size for one network.
pub struct Engines {
    runtime: Runtime,
    vgg: Arc<Vgg>,
    /// Its shallow taps, where it has deeper ones.
    shallow: Option<Arc<Vgg>>,
    kind: Kind,
}

/// Taps are shallow down to the last one up to which this share of the network's work is done: the third of `compact` and VGG-19, the
/// second of `tiny` and `plus`.
const SHALLOW: f64 = 0.55;
/// Bytes of their maps, at most, that the time saved is worth: VGG-19 up to 1430 x 800 pixels, `compact` up to 3400 x 1900.
const SHALLOW_MEMORY: usize = 1 << 30;

#[derive(Clone)]
enum Kind {
    Host,
    Standard,
    Resident,
    Operators(Arc<Prepared>),
}

impl Engines {
    /// Chooses, and prepares the network for the kernels where they are used.
    ///
    /// Rust operators apply on the CPU, with more than plain instructions, to networks that [`Prepared::supports`] (in the runtime's
    /// precision); one
    /// graph of standard operators applies anywhere, and whole steps are taken on every device but the CPU. Each is used
    /// only after this ONNX Runtime solved a small network of random weights with it, in which every operator occurs, and
    /// came to the host engine's gradient. Any difference, or an error, leaves the next slower engine.
    pub fn new(runtime: Runtime, vgg: Arc<Vgg>, choice: Choice) -> Self {
        // The trials below are nobody's step.
        let trial = runtime.clone().inspected(Inspection::default());
        let supported = runtime.device() == Device::Cpu && Prepared::supports(&vgg);
        let sets = match choice {
            _ if !supported => Vec::new(),
            Choice::Auto => {
                let rounding = Isa::rounding().filter(|_| runtime.precision() == Precision::Bf16);
                rounding.into_iter().chain(Some(Isa::best()).filter(|&isa| isa != Isa::PLAIN)).collect()
            }
            Choice::Operators(isa) => vec![isa],
            Choice::Host | Choice::Standard | Choice::Resident => Vec::new(),
        };
        let operators = sets.into_iter().find(|&isa| {
            let prepare = |vgg: &Vgg| Kind::Operators(Arc::new(Prepared::new(vgg, isa, runtime.threads())));
            proves_itself(&trial, "of Rust operators", if isa.rounds() { ROUNDED } else { EXACT }, prepare)
        });
        let stays = choice == Choice::Resident || (choice == Choice::Auto && runtime.device() != Device::Cpu);
        let tolerance = if runtime.device() == Device::Cpu { EXACT } else { FEWER_BITS };
        let kind = match operators {
            Some(isa) => Kind::Operators(Arc::new(Prepared::new(&vgg, isa, runtime.threads()))),
            None if choice == Choice::Host => Kind::Host,
            None if stays && proves_itself(&trial, "of whole steps", tolerance, |_| Kind::Resident) => Kind::Resident,
            None if proves_itself(&trial, "of standard operators", tolerance, |_| Kind::Standard) => Kind::Standard,
            None => Kind::Host,
        };
        let shallow = shallow(&vgg).map(Arc::new);
        Engines { runtime, vgg, shallow, kind }
    }

    /// An engine for pictures of this size.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the size is too small for the network's pools,
    /// [`Error::Runtime`](crate::Error::Runtime) if ONNX Runtime fails.
    pub fn objective(&self, size: Size, units: Units) -> Result<Box<dyn Objective + Send>> {
        self.kind.objective(&self.runtime, &self.vgg, size, units)
    }

    /// The style cost of the shallow taps alone, and how many they are: an evaluation costs a fifth to a half of one in full. Its
    /// content weight must be 0. None where no tap is shallow, and for pictures so large that its maps would be dear.
    ///
    /// # Errors
    /// As [`Engines::objective`].
    pub fn shallow(&self, size: Size, units: Units) -> Result<Option<(usize, Box<dyn Objective + Send>)>> {
        let fits = |vgg: &&Arc<Vgg>| {
            let values: usize = vgg.shapes(size).iter().map(|map| map.channels * map.size.area()).sum();
            values * size_of::<f32>() <= SHALLOW_MEMORY
        };
        let Some(vgg) = self.shallow.as_ref().filter(fits) else { return Ok(None) };
        // Profile and graph are those of the whole step. What is prepared for the whole network holds for its first layers.
        let runtime = self.runtime.clone().inspected(Inspection::default());
        let objective = self.kind.objective(&runtime, vgg, size, units)?;
        Ok(Some((vgg.taps.len(), objective)))
    }

    /// The whole objective on half of a picture of this size: an evaluation costs a quarter. Its style targets are those of half the
    /// size.
    ///
    /// # Errors
    /// As [`Engines::objective`], of half the size.
    pub fn reduced(&self, size: Size, units: Units) -> Result<Box<dyn Objective + Send>> {
        let runtime = self.runtime.clone().inspected(Inspection::default());
        let inner = self.kind.objective(&runtime, &self.vgg, reduced::half(size), units)?;
        Ok(Box::new(Reduced::new(inner, size)))
    }

    /// Whole steps on the device for pictures of this size, where that is the engine that was chosen.
    ///
    /// # Errors
    /// As [`Engines::objective`].
    pub fn resident(&self, size: Size, units: Units) -> Result<Option<Resident>> {
        match self.kind {
            Kind::Resident => Resident::new(&self.runtime, Arc::clone(&self.vgg), size, units).map(Some),
            _ => Ok(None),
        }
    }

    /// The engine's name, with its instruction set where that matters: `operators (avx512)`, `resident`, `standard` or `host`.
    pub fn name(&self) -> String {
        match &self.kind {
            Kind::Host => "host".to_owned(),
            Kind::Standard => "standard".to_owned(),
            Kind::Resident => "resident".to_owned(),
            Kind::Operators(network) => format!("operators ({})", network.isa),
        }
    }
}

impl Kind {
    fn objective(
        &self,
        runtime: &Runtime,
        vgg: &Arc<Vgg>,
        size: Size,
        units: Units,
    ) -> Result<Box<dyn Objective + Send>> {
        let vgg = Arc::clone(vgg);
        Ok(match self {
            Kind::Host => Box::new(HostEngine::new(runtime, vgg, size, units)?),
            // Where the steps are not taken on the device after all, for L-BFGS say, its graphs still give the gradient.
            Kind::Standard | Kind::Resident => Box::new(FusedEngine::standard(runtime, vgg, size, units)?),
            Kind::Operators(network) => Box::new(FusedEngine::new(runtime, vgg, network, size, units)?),
        })
    }
}

/// The network down to the last shallow tap; None where no tap is shallow.
fn shallow(vgg: &Vgg) -> Option<Vgg> {
    let work = |vgg: &Vgg| vgg.operations(Size::new(256, 256)) as f64;
    let within = |part: &Vgg| work(part) <= SHALLOW * work(vgg);
    (1..vgg.taps.len()).rev().filter_map(|count| vgg.up_to_tap(count)).find(within)
}

/// Relative distances of the trial's gradients, at most: in `f32` engines differ by about 1e-6, GPUs multiply with fewer bits (TF32), and
/// bfloat16 with fewer still; the trial's random weights show it most (0.09).
const EXACT: f64 = 1e-3;
const FEWER_BITS: f64 = 3e-2;
const ROUNDED: f64 = 0.2;

/// Whether a kind of engine comes to the host engine's gradient; says so in the log if not.
fn proves_itself(runtime: &Runtime, name: &str, tolerance: f64, prepare: impl Fn(&Vgg) -> Kind) -> bool {
    match check(runtime, prepare) {
        Ok(distance) if distance < tolerance => return true,
        Ok(distance) => {
            log::warn!("the graph {name} is not used: its gradient is {distance:.1e} off (relative)");
        }
        Err(error) => log::warn!("the graph {name} is not used: {error}"),
    }
    false
}

const TRIAL: Weights = Weights { content: 1.0, style: 1.0, tv: Variation::ZERO };

/// A kind of engine and the host engine on a small network; returns the relative distance of the gradients.
fn check(runtime: &Runtime, prepare: impl Fn(&Vgg) -> Kind) -> Result<f64> {
    let vgg = Arc::new(sample());
    let size = Size::new(21, 19);
    let [x, content, painting] = [1, 2, 3].map(|seed| {
        let mut random = numbers(seed);
        Array3::from_shape_simple_fn((3, size.height, size.width), || 0.5 + 0.5 * random())
    });
    let grams = super::host::grams(runtime, &vgg, painting.view())?;
    let targets: Vec<StyleTarget> =
        grams.into_iter().zip(&vgg.taps).map(|(gram, tap)| StyleTarget::relative(gram, tap.head.as_ref())).collect();
    let [found, expected] = [prepare(&vgg), Kind::Host].map(|kind| {
        if let Kind::Resident = kind {
            let mut engine = Resident::with_gradient(runtime, Arc::clone(&vgg), size, Units::Relative)?;
            engine.set_weights(TRIAL);
            engine.set_style(&targets)?;
            engine.begin(content.view(), x.view())?;
            engine.step(0.01, 0.0)?;
            return engine.gradient();
        }
        let mut engine = kind.objective(runtime, &vgg, size, Units::Relative)?;
        gradient(engine.as_mut(), &targets, content.view(), x.view())
    });
    Ok(distance(&found?, &expected?))
}

fn gradient(
    engine: &mut dyn Objective,
    targets: &[StyleTarget],
    content: ArrayView3<f32>,
    x: ArrayView3<f32>,
) -> Result<Array3<f32>> {
    engine.set_weights(TRIAL);
    engine.set_style(targets.to_vec());
    engine.set_content(content)?;
    let mut gradient = Array3::zeros(x.dim());
    engine.evaluate(x, gradient.view_mut())?;
    Ok(gradient)
}

/// Reproducible numbers in -1..1 (xorshift).
fn numbers(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// A small network with random weights: taps with and without a head, before a pool and not, layers without costs.
fn sample() -> Vgg {
    let mut random = numbers(4);
    let mut conv = |name: &str, outputs: usize, inputs: usize| {
        let scale = (6.0 / (9 * inputs) as f32).sqrt();
        let weight = Array4::from_shape_simple_fn((outputs, inputs, 3, 3), || scale * random());
        Layer::Conv(Conv { name: name.into(), weight, bias: Array1::from_shape_simple_fn(outputs, || 0.1 * random()) })
    };
    let layers = vec![
        conv("conv1_1", 16, 3),
        Layer::Pool,
        conv("conv2_1", 32, 16),
        conv("conv2_2", 16, 32),
        Layer::Pool,
        conv("conv3_1", 16, 16),
        conv("conv3_2", 32, 16),
    ];
    let head = Array2::from_shape_simple_fn((20, 32), numbers(5));
    let taps =
        vec![Tap { layer: 0, lambda: 0.5, head: None }, Tap { layer: 6, lambda: 0.5, head: Some(Head::new(head)) }];
    Vgg { name: "check".into(), mean: [0.5; 3], layers, taps, content: 5 }
}
