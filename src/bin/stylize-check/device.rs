//! How fast a device is, and whether what it computes is right, as tables.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use stylize::{
    cli::{self, DeviceArg},
    engine::trial,
    frame::Size,
    machine::Card,
    net::{
        session::{Device, Precision, Runtime},
        vgg::Vgg,
    },
};

/// A picture small enough for the host engine to take all steps in reasonable time.
const CHECKED: Size = Size::new(160, 96);
/// How far the style cost may be from the host engine's after all steps.
const STYLE: f64 = 0.05;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The device; auto takes the first that loads
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    pub device: DeviceArg,

    /// First compare gradients and costs with the host engine on the CPU, and fail if they are too far apart
    #[arg(long)]
    pub check: bool,

    /// Networks, by name or file; what is not installed is left out
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_value = "compact,vgg19")]
    pub networks: Vec<String>,

    /// Picture sizes
    #[arg(long, value_name = "WxH,...", value_delimiter = ',', value_parser = size, default_value = "640x360,1280x720,1920x1080")]
    pub sizes: Vec<Size>,

    /// Seconds of measuring for each line of the table
    #[arg(long, value_name = "S", value_parser = seconds, default_value = "3")]
    pub time: Duration,

    /// Steps after which the costs are compared
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub steps: u32,

    /// Threads for the CPU; 0 for one each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=1024))]
    pub threads: u16,
}

fn size(text: &str) -> Result<Size, String> {
    let parts = text.split_once('x').map(|(width, height)| (width.parse(), height.parse()));
    match parts {
        Some((Ok(width), Ok(height))) if (32..=8192).contains(&width) && (32..=8192).contains(&height) => {
            Ok(Size::new(width, height))
        }
        _ => Err("expected WIDTHxHEIGHT, each between 32 and 8192".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.01..=600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected seconds, 0.01 to 600".into())
}

/// Prints the tables; an error if a check failed.
pub fn run(args: &Args) -> Result<()> {
    let runtime = Runtime::load(args.device.into(), usize::from(args.threads))?;
    let networks = networks(&args.networks)?;
    let card = Card::first().filter(|_| runtime.device().is_nvidia());
    println!("device: {}", runtime.description());
    if let Some(card) = &card {
        println!("card: {}, driver {}", card.name, card.driver);
    }
    println!("ONNX Runtime {}, {} threads", runtime.version(), runtime.threads());
    let right = !args.check || check(args, &runtime, &networks)?;
    bench(args, &runtime, &networks)?;
    if !right {
        bail!("{} does not come to what the host engine comes to; see the first table", runtime.device());
    }
    Ok(())
}

fn networks(names: &[String]) -> Result<Vec<Arc<Vgg>>> {
    let mut networks = Vec::new();
    for name in names {
        match cli::network(name) {
            Ok(network) => networks.push(network),
            Err(error) if name == "vgg19" => eprintln!("left out: {error}"),
            Err(error) => return Err(error.into()),
        }
    }
    if networks.is_empty() {
        bail!("there is no network to measure");
    }
    Ok(networks)
}

/// The precisions that differ on the runtime's device, each with the runtime that computes so.
fn precisions(runtime: &Runtime) -> Vec<(Precision, Runtime)> {
    let all: &[Precision] = match runtime.device() {
        Device::Cuda | Device::TensorRt => &[Precision::Fp32, Precision::Tf32, Precision::Fp16],
        // Not every CPU has bf16.
        Device::Auto | Device::Cpu => &[Precision::Fp32, Precision::Bf16, Precision::Fp16],
        // It chooses between half and single precision by itself unless it is held to single.
        Device::OpenVino => &[Precision::Fp32],
    };
    let with = |&precision| Some((precision, runtime.clone().with_precision(precision).ok()?));
    all.iter().filter_map(with).collect()
}

/// How far gradients may be apart, relative L2. Found on an H200: 1e-6, 0.012 to 0.039, and 0.013 to 0.066, where the styles of what was
/// painted after 50 steps were at most 1.6 % apart; bf16 on an EPYC 0.07 to 0.18, the styles after 20 steps within 0.8 %.
fn limit(precision: Precision) -> f64 {
    match precision {
        Precision::Fp32 => 1e-3,
        Precision::Auto | Precision::Tf32 => 5e-2,
        Precision::Fp16 => 0.1,
        Precision::Bf16 => 0.2,
    }
}

fn check(args: &Args, runtime: &Runtime, networks: &[Arc<Vgg>]) -> Result<bool> {
    let cpu = Runtime::load(Device::Cpu, usize::from(args.threads))?;
    println!("\ncompared with the host engine on the CPU, {CHECKED}, style cost after {} steps", args.steps);
    println!("{:<10} {:<9} {:>9} {:>9} {:>9} {:>6}", "network", "precision", "gradient", "at most", "style", "");
    let mut all = true;
    for vgg in networks {
        for (precision, device) in precisions(runtime) {
            let found = trial::parity(&cpu, &device, vgg, CHECKED, args.steps as usize)?;
            let right = found.gradient <= limit(precision) && found.style.abs() <= STYLE;
            all &= right;
            println!(
                "{:<10} {:<9} {:>9.1e} {:>9.0e} {:>8.2}% {:>6}",
                vgg.name,
                precision.to_string(),
                found.gradient,
                limit(precision),
                100.0 * found.style,
                if right { "ok" } else { "WRONG" }
            );
        }
    }
    Ok(all)
}

fn bench(args: &Args, runtime: &Runtime, networks: &[Arc<Vgg>]) -> Result<()> {
    let mut all = precisions(runtime);
    // The CPU only imitates half precision.
    all.retain(|&(precision, _)| runtime.device() != Device::Cpu || precision != Precision::Fp16);
    println!("\nspeed of whole steps; the peak is that of large matrix products in the same precision");
    println!(
        "{:<10} {:<10} {:<9} {:<18} {:>9} {:>9} {:>9} {:>6} {:>8}",
        "network", "size", "precision", "engine", "steps/s", "ms/step", "GFLOP/s", "peak", "MiB"
    );
    for (precision, device) in all {
        let peak = trial::peak(&device, args.time)?;
        println!("{:<49} {:>29.0} {:>5.0}%", format!("matrix products {precision}"), peak / 1e9, 100.0);
        for vgg in networks {
            for &size in &args.sizes {
                let begin = format!("{:<10} {:<10} {:<9}", vgg.name, size.to_string(), precision.to_string());
                match trial::speed(&device, vgg, size, args.time) {
                    Ok(speed) => println!(
                        "{begin} {:<18} {:>9.2} {:>9.2} {:>9.0} {:>5.0}% {:>8}",
                        speed.engine,
                        speed.steps_per_second,
                        1e3 / speed.steps_per_second,
                        speed.rate / 1e9,
                        100.0 * speed.rate / peak,
                        speed.memory.map_or("-".into(), |memory| format!("{memory:.0}"))
                    ),
                    Err(error) => println!("{begin} {}", cli::describe(&error)),
                }
            }
        }
    }
    Ok(())
}
