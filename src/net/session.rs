//! ONNX Runtime: finding the library, choosing the device, running graphs. The only user of ort's sessions.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ort::{
    environment::{Environment, GlobalThreadPoolOptions},
    ep,
    memory::Allocator,
    operator::OperatorDomain,
    session::{
        IoBinding, Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
    value::Tensor,
};

use crate::error::{Error, Result};

/// Where the network runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Device {
    /// The first that loads of TensorRT, CUDA, OpenVINO and the CPU.
    #[default]
    Auto,
    Cpu,
    Cuda,
    TensorRt,
    OpenVino,
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

/// ONNX Runtime, loaded, with the device that was chosen.
#[derive(Clone)]
pub struct Runtime {
    environment: Environment,
    library: PathBuf,
    device: Device,
    threads: usize,
    profile: Option<PathBuf>,
}

/// ONNX Runtime allows one environment in a process, and with it one thread pool: the first load decides the threads.
static ENVIRONMENT: Mutex<Option<(Environment, PathBuf)>> = Mutex::new(None);

impl Runtime {
    /// Loads the library on first use and settles the device: `Auto` takes the first that loads, any other must load.
    /// `threads` of 0 means one for each core.
    ///
    /// # Errors
    /// [`Error::RuntimeMissing`] if no library is found or it is too old, [`Error::Device`] if the device does not load.
    pub fn load(device: Device, threads: usize) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { cores } else { threads };
        let mut loaded = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.is_none() {
            *loaded = Some(load_library(threads)?);
        }
        let (environment, library) = loaded.clone().expect("it was just loaded");
        drop(loaded);
        let mut runtime = Runtime { environment, library, device: Device::Cpu, threads, profile: None };
        runtime.device = match device {
            Device::Cpu => Device::Cpu,
            Device::Auto => [Device::TensorRt, Device::Cuda, Device::OpenVino]
                .into_iter()
                .find(|&candidate| runtime.try_device(candidate).is_ok())
                .unwrap_or(Device::Cpu),
            asked => {
                let failed = |reason: String| Error::Device { device: asked.to_string(), reason };
                runtime.try_device(asked).map_err(|error| failed(explain(asked, &error.to_string())))?;
                asked
            }
        };
        Ok(runtime)
    }

    /// The device in use; never `Auto`.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The library file that was loaded.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// ONNX Runtime's version, as far as the library tells: `1.32.0`, or `1.32` where its file name does not say more.
    pub fn version(&self) -> String {
        let file = self.library.canonicalize().unwrap_or_else(|_| self.library.clone());
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match name.split_once(".so.") {
            Some((_, version)) if version.contains('.') => version.to_owned(),
            _ => ort::util::probe(&self.library).map_or("of unknown version".to_owned(), |minor| format!("1.{minor}")),
        }
    }

    /// Threads of the pool that all sessions share.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The same, but every session made from now on writes ONNX Runtime's own profile (JSON in Chrome's trace format: the
    /// time of every node of every run) to `PREFIX_<time>.json` when it ends.
    pub fn profiled(mut self, prefix: impl Into<PathBuf>) -> Self {
        self.profile = Some(prefix.into());
        self
    }

    /// Builds a session with this device from an ONNX model in bytes.
    pub fn session(&self, model: &[u8]) -> Result<Session> {
        Ok(self.builder(self.device)?.commit_from_memory(model)?)
    }

    /// A session builder with everything but the model: the device, the shared pool, all graph optimizations.
    pub(crate) fn builder(&self, device: Device) -> Result<SessionBuilder> {
        let builder = Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_flush_to_zero()?;
        let builder = match &self.profile {
            Some(prefix) => builder.with_profiling(prefix)?,
            None => builder,
        };
        // A provider that cannot load falls back to the CPU in silence unless it is told not to.
        Ok(match device {
            Device::Auto | Device::Cpu => builder,
            Device::Cuda => builder.with_execution_providers([ep::CUDA::default().build().error_on_failure()])?,
            Device::TensorRt => builder.with_execution_providers([
                ep::TensorRT::default().build().error_on_failure(),
                ep::CUDA::default().build().error_on_failure(),
            ])?,
            Device::OpenVino => {
                builder.with_execution_providers([ep::OpenVINO::default().build().error_on_failure()])?
            }
        })
    }

    /// Whether a provider really loads: registering it opens its libraries.
    pub fn try_device(&self, device: Device) -> Result<()> {
        if matches!(device, Device::Cuda | Device::TensorRt)
            && let Some(folder) = self.library.parent()
        {
            open_nvidia_libraries(folder);
        }
        self.builder(device).map(drop)
    }
}

/// Opens CUDA and cuDNN where scripts/setup --gpu lays them: beside ONNX Runtime, a place in which its CUDA provider does not
/// search. Each after those it needs. What is not there is left to the system's search path.
fn open_nvidia_libraries(folder: &Path) {
    let names = ["cudart", "nvJitLink", "nvrtc", "cublasLt", "cublas", "cufft", "curand", "cudnn"];
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

fn explain(device: Device, reason: &str) -> String {
    let cure = match device {
        Device::OpenVino => "scripts/setup --openvino installs an ONNX Runtime that has it",
        _ => "scripts/setup --gpu installs an ONNX Runtime that has it, with the NVIDIA libraries that it needs",
    };
    format!("{reason}\n  {cure}; `stylize-check doctor` shows what loads; --device auto takes what is there")
}

fn load_library(threads: usize) -> Result<(Environment, PathBuf)> {
    let (library, source) = find_library();
    let missing = |reason: String| Error::RuntimeMissing {
        reason: format!(
            "{reason}\n  scripts/setup installs it; ORT_DYLIB_PATH names a libonnxruntime.so of your own (1.24 or newer)"
        ),
    };
    log::debug!("ONNX Runtime from {} ({source})", library.display());
    let builder = ort::init_from(&library).map_err(|error| missing(error.to_string()))?;
    // One pool for all sessions: pools that spin against each other double the time of both.
    let pool = GlobalThreadPoolOptions::default().with_intra_threads(threads)?.with_spin_control(false)?;
    let environment = builder.with_name("stylize").with_telemetry(false).with_global_thread_pool(pool).build()?;
    Ok((environment, library))
}

/// The library file, and why it was chosen.
fn find_library() -> (PathBuf, &'static str) {
    let name = if cfg!(target_os = "windows") {
        "onnxruntime.dll"
    } else if cfg!(target_os = "macos") {
        "libonnxruntime.dylib"
    } else {
        "libonnxruntime.so"
    };
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return (path.into(), "ORT_DYLIB_PATH");
    }
    let executable = std::env::current_exe().unwrap_or_default();
    if let Some(place) = executable.parent().map(|folder| folder.join(name)).filter(|place| place.is_file()) {
        return (place, "beside the program");
    }
    if let Some(place) =
        data_folder().map(|folder| folder.join("onnxruntime").join(name)).filter(|place| place.is_file())
    {
        return (place, "the user's data folder");
    }
    (name.into(), "the system's search path")
}

/// Where scripts/setup and scripts/fetch-vgg19 put what they install: `$XDG_DATA_HOME/stylize-video`, by default
/// `~/.local/share/stylize-video`.
pub fn data_folder() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_DATA_HOME").filter(|base| !base.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| std::env::home_dir().map(|home| home.join(".local/share")));
    base.map(|base| base.join("stylize-video"))
}

/// A graph with its inputs and outputs in buffers that are allocated once.
pub struct BoundGraph {
    session: Session,
    binding: IoBinding,
}

impl BoundGraph {
    pub fn new(runtime: &Runtime, model: &[u8]) -> Result<Self> {
        let session = runtime.session(model)?;
        let binding = session.create_binding()?;
        Ok(BoundGraph { session, binding })
    }

    /// A graph with operators of ours, which run on the CPU.
    pub fn with_operators(runtime: &Runtime, model: &[u8], operators: OperatorDomain) -> Result<Self> {
        let session = runtime.builder(Device::Cpu)?.with_operators(operators)?.commit_from_memory(model)?;
        let binding = session.create_binding()?;
        Ok(BoundGraph { session, binding })
    }

    /// Binds the buffer that every run writes an output to.
    pub fn bind_output(&mut self, name: &str, tensor: &mut Tensor<f32>) -> Result<()> {
        Ok(self.binding.bind_output(name, tensor.view_mut())?)
    }

    /// Binds an input's present values: on the CPU the buffer itself, elsewhere a copy on the device, so that it has to be
    /// bound again before each run in which it differs.
    pub fn bind_input(&mut self, name: &str, tensor: &Tensor<f32>) -> Result<()> {
        Ok(self.binding.bind_input(name, tensor)?)
    }

    pub fn run(&mut self) -> Result<()> {
        self.session.run_binding(&self.binding)?;
        Ok(())
    }
}

/// A buffer of zeros that graphs can be bound to.
pub fn tensor<const RANK: usize>(shape: [usize; RANK]) -> Result<Tensor<f32>> {
    let mut tensor = Tensor::<f32>::new(&Allocator::default(), shape)?;
    tensor.extract_tensor_mut().1.fill(0.0);
    Ok(tensor)
}
