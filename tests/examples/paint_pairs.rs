//! Paints pairs of pictures with a network and nothing around it: Adam on the pixels from the content picture, one size, one
//! rate. What `scripts/judge-model` does in PyTorch, for comparing the two.
//!
//! ```text
//! scripts/judge-model --assets DIR --export pairs
//! cargo run --release --example paint_pairs -- --model compact pairs painted
//! scripts/judge-model --assets DIR --painted painted
//! ```
//!
//! It is also the library in one page: runtime, network, engine, targets, optimizer.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use ndarray::{Array3, ArrayView3, ArrayViewMut3};
use stylize::{
    cli::NetworkArgs,
    cost::{style::StyleTarget, tv::Variation},
    engine::{Choice, Engines, Objective, Units, Weights, host},
    frame::Size,
    net::{session::Runtime, vgg::Vgg},
    optim::{Optimizer, adam::Adam},
    source::picture,
    tensor,
};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    network: NetworkArgs,

    /// Folder with pairs.txt: a line for each pair, the names of a content and a style picture beside it
    pairs: PathBuf,

    /// Folder for CONTENT-STYLE-STEPS.png
    out: PathBuf,

    /// After how many steps to write the picture
    #[arg(long, value_delimiter = ',', default_values_t = [10, 20, 40])]
    steps: Vec<usize>,

    /// Weight of the content cost, relative to its target's energy
    #[arg(long, default_value_t = 1.0)]
    alpha: f64,

    /// Weight of the style cost, alike
    #[arg(long, default_value_t = 10.0)]
    beta: f64,

    /// Adam's step size, in units of the full range of a colour
    #[arg(long, default_value_t = 0.03)]
    rate: f32,

    /// Only this many pairs
    #[arg(long, default_value_t = usize::MAX)]
    first: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let (runtime, vgg) = (args.network.runtime()?, args.network.network()?);
    let engines = Engines::new(runtime.clone(), Arc::clone(&vgg), Choice::Auto);
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let list = args.pairs.join("pairs.txt");
    let list = fs::read_to_string(&list)
        .with_context(|| format!("cannot read {}: scripts/judge-model --export writes it", list.display()))?;
    for line in list.lines().take(args.first) {
        let Some((content, style)) = line.split_once(' ') else {
            bail!("pairs.txt: {line:?}; expected the names of two pictures");
        };
        let (x, weights) = (
            picture(&args.pairs.join(content))?,
            Weights { content: args.alpha, style: args.beta, tv: Variation::ZERO },
        );
        let mut objective = engines.objective(tensor::size_of(x.view()), Units::Relative)?;
        objective.set_style(targets(&runtime, &vgg, &picture(&args.pairs.join(style))?)?);
        objective.set_weights(weights);
        objective.set_content(x.view())?;
        let name = format!("{}-{}", stem(content), stem(style));
        let begin = Instant::now();
        paint(objective.as_mut(), x, &args, &name)?;
        println!("{name}: {:.2} s", begin.elapsed().as_secs_f64());
    }
    Ok(())
}

/// A picture as planes: RGB, 0..1, (3, H, W).
fn picture(path: &Path) -> Result<Array3<f32>> {
    let frame = picture::load(path)?;
    let mut planes = tensor::zeros(frame.size());
    tensor::from_rgb8(frame.pixels(), &mut planes);
    Ok(planes)
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The painting's Grams, by tap.
fn targets(runtime: &Runtime, vgg: &Vgg, painting: &Array3<f32>) -> Result<Vec<StyleTarget>> {
    let grams = host::grams(runtime, vgg, painting.view())?;
    Ok(grams.into_iter().zip(&vgg.taps).map(|(gram, tap)| StyleTarget::relative(gram, tap.head.as_ref())).collect())
}

/// Optimizes `x`, and writes it after the steps that were asked for.
fn paint(objective: &mut dyn Objective, mut x: Array3<f32>, args: &Args, name: &str) -> Result<()> {
    let shape = x.dim();
    let mut adam = Adam::new(x.len(), args.rate);
    for step in 1..=args.steps.iter().copied().max().unwrap_or(0) {
        let mut evaluate = |x: &[f32], gradient: &mut [f32]| {
            let x = ArrayView3::from_shape(shape, x).expect("x is the picture");
            let gradient = ArrayViewMut3::from_shape(shape, gradient).expect("alike to the picture");
            Ok(objective.evaluate(x, gradient)?.total as f32)
        };
        adam.step(x.as_slice_mut().expect("tensors here are contiguous"), &mut evaluate)?;
        x.mapv_inplace(|value| value.clamp(0.0, 1.0));
        if args.steps.contains(&step) {
            write(&x, &args.out.join(format!("{name}-{step}.png")))?;
        }
    }
    Ok(())
}

fn write(x: &Array3<f32>, path: &Path) -> Result<()> {
    let Size { width, height } = tensor::size_of(x.view());
    let mut pixels = vec![0; x.len()];
    tensor::to_rgb8(x, &mut pixels);
    image::save_buffer(path, &pixels, width as u32, height as u32, image::ColorType::Rgb8)
        .with_context(|| format!("cannot write {}", path.display()))
}
