//! ONNX Runtime's execution providers: which there are, with what options they are asked for, what stands in their way.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use ort::{ep, session::builder::SessionBuilder};

use super::onnx::GraphWriter;
use crate::error::{Error, Result};

/// Where the network runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Device {
    /// The first that loads of [`Device::BY_ITSELF`], else the CPU.
    #[default]
    Auto,
    Cpu,
    Cuda,
    TensorRt,
    OpenVino,
}

impl Device {
    /// What `auto` tries before the CPU. TensorRT is not among them: it builds engines for minutes; nor is OpenVINO, which on a
    /// CPU would take the place of the operators of ours, which are faster.
    pub const BY_ITSELF: [Device; 1] = [Device::Cuda];

    /// Whether it computes on an NVIDIA card, and in its memory.
    pub fn is_nvidia(self) -> bool {
        matches!(self, Device::Cuda | Device::TensorRt)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Device::Auto => "auto",
            Device::Cpu => "cpu",
            Device::Cuda => "cuda",
            Device::TensorRt => "tensorrt",
            Device::OpenVino => "openvino",
        })
    }
}

/// How a device computes. Sums, Grams and the optimizer's state are single precision in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision in memory, and products with fewer bits where the device is faster at them: [`Precision::Tf32`] on
    /// NVIDIA's cards, [`Precision::Bf16`] on a CPU that has it, else [`Precision::Fp32`].
    #[default]
    Auto,
    /// Single precision throughout.
    Fp32,
    /// Single precision in memory; NVIDIA's cards multiply with 10 bits of mantissa (TensorFloat-32). Elsewhere as [`Precision::Fp32`].
    Tf32,
    /// CPUs with AVX512-BF16 keep features and cotangents, and multiply, with 8 bits of mantissa (bfloat16).
    Bf16,
    /// Features and cotangents in half precision; not with OpenVINO, which is held to single precision.
    Fp16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::Auto => "auto",
            Precision::Bf16 => "bf16",
            Precision::Fp32 => "fp32",
            Precision::Tf32 => "tf32",
            Precision::Fp16 => "fp16",
        })
    }
}

/// How a provider is asked to run a graph.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub precision: Precision,
    /// The graph is run again and again with the same buffers: it is worth a search for the fastest kernels, and CUDA can
    /// record its launches once and replay them.
    pub replayed: bool,
    /// Where TensorRT keeps its engines and timings.
    pub cache: Option<PathBuf>,
}

/// Registers a device's providers. One that cannot load falls back to the CPU in silence unless it is told not to.
pub(super) fn register(builder: SessionBuilder, device: Device, wish: &Wish) -> Result<SessionBuilder> {
    Ok(match device {
        Device::Auto | Device::Cpu => builder,
        Device::Cuda => builder.with_execution_providers([cuda(wish).build().error_on_failure()])?,
        Device::TensorRt => builder.with_execution_providers([
            tensorrt(wish).build().error_on_failure(),
            // What TensorRT does not take.
            cuda(&Wish { replayed: false, ..wish.clone() }).build().error_on_failure(),
        ])?,
        Device::OpenVino => builder.with_execution_providers([openvino().build().error_on_failure()])?,
    })
}

fn cuda(wish: &Wish) -> ep::CUDA {
    use ep::cuda::ConvAlgorithmSearch::{Exhaustive, Heuristic};
    ep::CUDA::default()
        .with_tf32(wish.precision != Precision::Fp32)
        .with_conv_algorithm_search(if wish.replayed { Exhaustive } else { Heuristic })
        .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
        .with_cuda_graph(wish.replayed)
}

fn tensorrt(wish: &Wish) -> ep::TensorRT {
    // The types in the graph say what may be in half precision.
    let provider = ep::TensorRT::default().with_fp16(wish.precision == Precision::Fp16).with_cuda_graph(wish.replayed);
    match wish.cache.as_ref().map(|folder| folder.to_string_lossy().into_owned()) {
        None => provider,
        Some(folder) => provider
            .with_engine_cache(true)
            .with_engine_cache_path(folder.clone())
            .with_timing_cache(true)
            .with_timing_cache_path(folder),
    }
}

fn openvino() -> ep::OpenVINO {
    // Left to itself it computes in half precision, or bfloat16, wherever it thinks that faster.
    ep::OpenVINO::default().with_dynamic_shapes(false).with_precision("ACCURACY")
}

/// Where TensorRT keeps the engines and timings of a graph: `$XDG_CACHE_HOME/stylize-video/tensorrt`, by default under
/// `~/.cache`, a folder for each of what an engine depends on. None where there is no such place.
pub(super) fn engine_cache(version: &str, precision: Precision, model: &[u8]) -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|base| !base.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| std::env::home_dir().map(|home| home.join(".cache")))?;
    let folder = engine_folder(&base, version, precision, model);
    if !folder.is_dir() {
        log::warn!(
            "TensorRT builds its engine for this network and picture size; that takes minutes, the first time only"
        );
        if let Err(error) = std::fs::create_dir_all(&folder) {
            log::warn!("and it will again: {} cannot be made: {error}", folder.display());
            return None;
        }
    }
    Some(folder)
}

/// A graph has network, picture size and storage in it; the card and its compute capability are in the names that the
/// provider gives its files.
fn engine_folder(base: &Path, version: &str, precision: Precision, model: &[u8]) -> PathBuf {
    // FNV-1a, 64 bits.
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = model.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    base.join("stylize-video/tensorrt").join(format!("{version}-{precision}-{hash:016x}"))
}

/// A graph that any provider runs: enough to make it open its libraries and its device.
pub(super) fn trial() -> Vec<u8> {
    let mut graph = GraphWriter::new();
    graph.input("input", &[1, 1, 4, 4]);
    let kernel = graph.constant("kernel", &[1, 1, 1, 1], &[2.0]);
    graph.node("Conv", &["input", &kernel], "output", &[]);
    graph.output("output", &[1, 1, 4, 4]);
    graph.finish()
}

/// Opens CUDA and cuDNN where scripts/setup --gpu lays them: beside ONNX Runtime, a place in which its CUDA provider does not
/// search. Each after those it needs. What is not there is left to the system's search path.
pub(super) fn open_nvidia_libraries(folder: &Path) {
    let names = ["cudart", "nvJitLink", "nvrtc", "cublasLt", "cublas", "cufft", "curand", "cudnn", "nvinfer"];
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files: Vec<PathBuf> = files.collect();
    for name in names {
        let begin = format!("lib{name}.so.");
        let named = |file: &&PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begin));
        if let Some(file) = files.iter().find(named) {
            match ort::util::preload_dylib(file) {
                Ok(()) => log::debug!("opened {}", file.display()),
                Err(error) => log::debug!("{} cannot be opened: {error}", file.display()),
            }
        }
    }
}

/// The error for a device that was asked for and does not load.
pub(super) fn refused(device: Device, error: &Error) -> Error {
    let cure = match device {
        Device::OpenVino => "scripts/setup --openvino installs an ONNX Runtime that has it",
        Device::TensorRt => {
            "scripts/setup --gpu installs an ONNX Runtime that has it; libnvinfer.so.10 comes from NVIDIA"
        }
        _ => "scripts/setup --gpu installs an ONNX Runtime that has it, with the NVIDIA libraries that it needs",
    };
    let reason = format!(
        "{}\n  {cure}; `stylize-check doctor` shows what loads; --device auto takes what is there",
        reason(&error.to_string())
    );
    Error::Device { device: device.to_string(), reason }
}

/// Why a provider does not load, in few words, from ONNX Runtime's message: the library that is missing, if it is that.
pub fn reason(message: &str) -> String {
    if let Some(library) = missing_library(message) {
        let whose = match library {
            name if name.starts_with("libcuda.so") => " (the NVIDIA driver)",
            name if name.starts_with("libnvinfer") || name.starts_with("libnvonnx") => " (TensorRT)",
            name if name.starts_with("libcudnn") => " (cuDNN)",
            name if name.starts_with("libcu") || name.starts_with("libnv") => " (CUDA)",
            _ => "",
        };
        return format!("the library {library}{whose} is missing");
    }
    let known = [
        ("is not enabled in this build", "this ONNX Runtime was built without it"),
        ("is not supported in this build", "this ONNX Runtime was built without it"),
        ("driver version is insufficient", "there is no NVIDIA driver, or it is too old"),
        ("no CUDA-capable device", "there is no NVIDIA card"),
        ("system has unsupported display driver", "the NVIDIA driver does not go with this card"),
        ("Failed to find symbol", "this ONNX Runtime was built without it"),
    ];
    let matching = |(sign, _): &&(&str, &str)| message.contains(sign);
    let first = message.lines().next().unwrap_or_default();
    let first = first.strip_prefix("ONNX Runtime failed: ").unwrap_or(first);
    match known.iter().find(matching) {
        Some((_, words)) => (*words).to_owned(),
        None => first.to_owned(),
    }
}

/// The file that the dynamic linker did not find, from its message (`NAME: cannot open shared object file`).
fn missing_library(message: &str) -> Option<&str> {
    let end = message.find(": cannot open shared object file")?;
    let begin = message[..end].rfind([' ', ':', '\n', '(', '"']).map_or(0, |space| space + 1);
    let path = &message[begin..end];
    Some(path.rsplit('/').next().unwrap_or(path)).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_kept_apart_by_what_they_depend_on() {
        let folder = |version, precision, model: &[u8]| engine_folder(Path::new("/c"), version, precision, model);
        let one = folder("1.31.1", Precision::Fp16, b"graph");
        assert_eq!(one, Path::new("/c/stylize-video/tensorrt/1.31.1-fp16-32ec982977fe5287"));
        assert_ne!(one, folder("1.32.0", Precision::Fp16, b"graph"));
        assert_ne!(one, folder("1.31.1", Precision::Tf32, b"graph"));
        assert_ne!(one, folder("1.31.1", Precision::Fp16, b"grapi"));
    }

    #[test]
    fn a_missing_library_is_named() {
        let message = "Failed to load library libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open \
            shared object file: No such file or directory";
        assert_eq!(reason(message), "the library libcublasLt.so.13 (CUDA) is missing");
        let message = "error: /opt/x/libnvinfer.so.10: cannot open shared object file: No such file or directory";
        assert_eq!(reason(message), "the library libnvinfer.so.10 (TensorRT) is missing");
        assert_eq!(
            reason("libcuda.so.1: cannot open shared object file"),
            "the library libcuda.so.1 (the NVIDIA driver) is missing"
        );
    }

    #[test]
    fn other_reasons_are_shortened_or_kept() {
        assert_eq!(
            reason("CUDA execution provider is not enabled in this build. "),
            "this ONNX Runtime was built without it"
        );
        assert_eq!(reason("CUDA failure 100: no CUDA-capable device is detected ; GPU=0"), "there is no NVIDIA card");
        assert_eq!(reason("something else\nand more"), "something else");
    }
}
