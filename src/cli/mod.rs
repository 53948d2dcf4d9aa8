//! What the programs share of their command lines and what they say: network, device, styles, the balance of content and style.

pub mod interrupt;

use std::{io::Write, path::PathBuf, sync::Arc};

use clap::{Args, ValueEnum};

use crate::{
    embedded,
    error::{Error, Result},
    net::{
        inspect::Inspection,
        session::{Device, Precision, Runtime, data_folder},
        vgg::Vgg,
        weights,
    },
    settings::Balance,
    source::picture,
    stylizer::Painting,
};

/// More threads than any machine has cores: creating them would only exhaust it.
const MOST_THREADS: usize = 1024;

/// An error with its causes, each said once: a message that already ends in its cause is not repeated.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

/// Seconds, or minutes and seconds, or hours too, with colons between them: `90`, `1:30`, `0:01:30.5`.
///
/// # Errors
/// What is expected instead, where it is none of these. The program's settings say which values are allowed.
pub fn seconds(text: &str) -> std::result::Result<f64, String> {
    let refused = || "expected seconds (90.5), minutes:seconds (1:30.5) or hours:minutes:seconds".to_owned();
    if !text.contains(':') {
        return text.parse().map_err(|_| refused());
    }
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 || !parts.iter().copied().all(digits) || parts[..parts.len() - 1].concat().contains('.') {
        return Err(refused());
    }
    parts.iter().try_fold(0.0, |sum, part| Ok(60.0 * sum + part.parse::<f64>().map_err(|_| refused())?))
}

/// Shows what is logged, from this level on, as errors and warnings are shown.
pub fn show_log(level: log::LevelFilter) {
    let line = |out: &mut env_logger::fmt::Formatter, record: &log::Record| {
        writeln!(out, "{}: {}", record.level().as_str().to_lowercase(), record.args())
    };
    env_logger::Builder::new().filter_level(level).format(line).init();
}

/// The network and where it runs.
#[derive(Args, Clone, Debug)]
pub struct NetworkArgs {
    /// The network: compact, tiny or plus (built in), vgg19 (scripts/fetch-vgg19 gets it), or a FILE.safetensors
    #[arg(long, value_name = "NAME|FILE", default_value = "compact")]
    pub model: String,

    /// Where the network runs; auto takes the first that loads
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    pub device: DeviceArg,

    /// How products are computed: tf32 (NVIDIA) with ten bits of mantissa, bf16 (CPUs with AVX512-BF16) with eight, fp16 (GPUs);
    /// the last two keep features so as well; auto takes tf32 or bf16 where there is one
    #[arg(long, value_enum, default_value_t = PrecisionArg::Auto)]
    pub precision: PrecisionArg,

    /// Threads for the network and for motion; 0 for one each core
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub threads: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DeviceArg {
    Auto,
    Cpu,
    Cuda,
    #[value(name = "tensorrt")]
    TensorRt,
    #[value(name = "openvino")]
    OpenVino,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PrecisionArg {
    Auto,
    Fp32,
    Tf32,
    Bf16,
    Fp16,
}

impl From<PrecisionArg> for Precision {
    fn from(precision: PrecisionArg) -> Self {
        match precision {
            PrecisionArg::Auto => Precision::Auto,
            PrecisionArg::Fp32 => Precision::Fp32,
            PrecisionArg::Tf32 => Precision::Tf32,
            PrecisionArg::Bf16 => Precision::Bf16,
            PrecisionArg::Fp16 => Precision::Fp16,
        }
    }
}

impl From<DeviceArg> for Device {
    fn from(device: DeviceArg) -> Self {
        match device {
            DeviceArg::Auto => Device::Auto,
            DeviceArg::Cpu => Device::Cpu,
            DeviceArg::Cuda => Device::Cuda,
            DeviceArg::TensorRt => Device::TensorRt,
            DeviceArg::OpenVino => Device::OpenVino,
        }
    }
}

impl NetworkArgs {
    /// Loads ONNX Runtime with the device that was asked for.
    pub fn runtime(&self) -> Result<Runtime> {
        if self.threads > MOST_THREADS {
            let (expected, found) = ("at most 1024", self.threads.to_string());
            return Err(Error::Setting { name: "threads", expected, found });
        }
        Runtime::load(self.device.into(), self.threads)?.with_precision(self.precision.into())
    }

    /// The file that the network is loaded from; none if it is inside the program.
    pub fn file(&self) -> Option<PathBuf> {
        embedded::network(&self.model).is_none().then(|| installed(&self.model)).flatten()
    }

    /// Loads the network: one inside the program, VGG-19 from the user's data folder, or a file.
    pub fn network(&self) -> Result<Arc<Vgg>> {
        network(&self.model)
    }
}

/// A look inside, for those who tune.
#[derive(Args, Clone, Debug)]
pub struct InspectArgs {
    /// Write ONNX Runtime's own profile of the steps (Chrome's trace format), a file for each picture size, its margin
    /// included: trace.json becomes trace-336x196.json
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,

    /// Write the graph of a step (ONNX, for Netron), a file for each picture size
    #[arg(long, value_name = "FILE")]
    pub dump_graph: Option<PathBuf>,
}

impl InspectArgs {
    /// `reads` are the files that the run reads.
    pub fn inspection(&self, reads: &[PathBuf]) -> Inspection {
        Inspection { profile: self.profile.clone(), graph: self.dump_graph.clone(), reads: reads.to_vec() }
    }
}

/// Loads the network of this name: one inside the program, VGG-19 from the user's data folder, or a file.
///
/// # Errors
/// [`Error::Weights`] if there is none.
pub fn network(name: &str) -> Result<Arc<Vgg>> {
    if let Some(network) = embedded::network(name) {
        return network.map(Arc::new);
    }
    let path = installed(name).ok_or_else(|| Error::Weights {
        name: name.to_owned(),
        reason: "its weights are not installed; scripts/fetch-vgg19 gets them".into(),
    })?;
    if !path.is_file() {
        let names = embedded::NETWORKS.join(", ");
        let reason = format!("it is no file, and no network of that name is known; known are {names} and vgg19");
        return Err(Error::Weights { name: name.to_owned(), reason });
    }
    weights::load(&path).map(Arc::new)
}

/// Where a network that is not inside the program should be; none if it is VGG-19 and not installed.
fn installed(name: &str) -> Option<PathBuf> {
    match name {
        "vgg19" => data_folder().map(|folder| folder.join("vgg19.safetensors")).filter(|path| path.is_file()),
        file => Some(PathBuf::from(file)),
    }
}

/// The style pictures.
#[derive(Args, Clone, Debug)]
pub struct StyleArgs {
    /// A style picture, with a weight among several (sky.jpg:2); repeatable; by default a built-in style
    #[arg(long = "style", value_name = "FILE[:WEIGHT]")]
    pub styles: Vec<String>,
}

impl StyleArgs {
    /// Reads every style picture; the built-in one if none was named.
    pub fn paintings(&self) -> Result<Vec<Painting>> {
        if self.styles.is_empty() {
            return Ok(vec![Painting { picture: embedded::style()?, weight: 1.0 }]);
        }
        self.styles.iter().map(|style| painting(style)).collect()
    }

    /// The pictures' files.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        self.styles.iter().map(|style| split_weight(style).map(|(path, _)| path)).collect()
    }
}

fn painting(style: &str) -> Result<Painting> {
    let (path, weight) = split_weight(style)?;
    Ok(Painting { picture: picture::load(&path)?, weight })
}

/// `FILE:WEIGHT`, unless a file of the whole name exists: colons are legal in names.
fn split_weight(style: &str) -> Result<(PathBuf, f32)> {
    let whole = PathBuf::from(style);
    if whole.exists() {
        return Ok((whole, 1.0));
    }
    let Some((path, weight)) = style.rsplit_once(':') else { return Ok((whole, 1.0)) };
    let Ok(weight) = weight.parse::<f32>() else { return Ok((whole, 1.0)) };
    if !(weight > 0.0 && weight.is_finite()) {
        let expected = "FILE or FILE:WEIGHT with a positive weight";
        return Err(Error::Setting { name: "style", expected, found: style.to_owned() });
    }
    Ok((path.into(), weight))
}

/// How content and style are weighed.
#[derive(Args, Clone, Debug)]
pub struct BalanceArgs {
    /// How strong the style is, 0 to 1; means the same at any size and with any network [default: 0.5]
    #[arg(long, value_name = "S", allow_negative_numbers = true, conflicts_with_all = ["content_weight", "style_weight"])]
    pub strength: Option<f64>,

    /// alpha of Andrew Ng's course, with its constants (10 there); takes the place of --strength
    #[arg(long, value_name = "A", allow_negative_numbers = true)]
    pub content_weight: Option<f64>,

    /// beta of Andrew Ng's course, with its constants (40 there); takes the place of --strength
    #[arg(long, value_name = "B", allow_negative_numbers = true)]
    pub style_weight: Option<f64>,
}

impl BalanceArgs {
    /// What was asked for, or the default; a course weight that is not given has the course's value.
    pub fn balance(&self, default: Balance) -> Balance {
        match (self.strength, self.content_weight, self.style_weight) {
            (Some(strength), ..) => Balance::Strength(strength),
            (None, None, None) => default,
            (None, content, style) => {
                Balance::Course { content: content.unwrap_or(10.0), style: style.unwrap_or(40.0) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_colons() {
        let times = ["90.5", "1:30.5", "0:01:30.5", "01:02:03", "75:00", "-1"].map(seconds);
        assert_eq!(times, [90.5, 90.5, 90.5, 3723.0, 4500.0, -1.0].map(Ok));
        for wrong in ["", "x", "1:", ":30", "1:-30", "1.5:30", "0:0:0:1", "1:2.3.4", "1m30s"] {
            assert!(seconds(wrong).is_err_and(|error| error.contains("1:30.5")), "{wrong}");
        }
    }

    #[test]
    fn a_weight_follows_the_last_colon() {
        assert_eq!(split_weight("a.jpg").expect("valid"), ("a.jpg".into(), 1.0));
        assert_eq!(split_weight("a.jpg:2.5").expect("valid"), ("a.jpg".into(), 2.5));
        assert_eq!(split_weight("c:/a.jpg").expect("valid"), ("c:/a.jpg".into(), 1.0));
        for wrong in ["a.jpg:0", "a.jpg:-1", "a.jpg:nan", "a.jpg:inf"] {
            assert!(split_weight(wrong).is_err(), "{wrong}");
        }
    }
}
