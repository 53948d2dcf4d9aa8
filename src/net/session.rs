//! ONNX Runtime: finding the library, choosing the device, running graphs. The only user of ort's sessions.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ort::{
    environment::{Environment, GlobalThreadPoolOptions},
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
};

pub use super::{
    bound::{BoundGraph, PingPong, tensor},
    providers::{Device, Precision},
};
use super::{
    inspect::{Inspection, Profile},
    ops::Isa,
    providers::{self, Wish},
};
use crate::{
    error::{Error, Result},
    frame::Size,
};

/// ONNX Runtime, loaded, with the device that was chosen.
#[derive(Clone)]
pub struct Runtime {
    environment: Environment,
    library: PathBuf,
    device: Device,
    precision: Precision,
    threads: usize,
    inspection: Inspection,
    /// Devices that `auto` did not take, each with the reason.
    passed_over: Vec<String>,
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
        let mut runtime = Runtime {
            environment,
            library,
            device: Device::Cpu,
            precision: Precision::default(),
            threads,
            inspection: Inspection::default(),
            passed_over: Vec::new(),
        };
        match device {
            Device::Cpu => {}
            Device::Auto => {
                for candidate in Device::BY_ITSELF {
                    match runtime.try_device(candidate) {
                        Ok(()) => {
                            runtime.device = candidate;
                            break;
                        }
                        Err(error) => {
                            let reason = providers::reason(&error.to_string());
                            runtime.passed_over.push(format!("no {candidate}: {reason}"));
                        }
                    }
                }
            }
            asked => {
                runtime.try_device(asked).map_err(|error| providers::refused(asked, &error))?;
                runtime.device = asked;
            }
        }
        Ok(runtime)
    }

    /// The same with another precision.
    ///
    /// # Errors
    /// [`Error::Setting`] where bfloat16 is asked of what cannot multiply it.
    pub fn with_precision(mut self, precision: Precision) -> Result<Self> {
        if precision == Precision::Bf16 && !(self.device == Device::Cpu && Isa::rounding().is_some()) {
            let expected = "auto or fp32 here: bf16 is for a CPU with AVX512-BF16";
            return Err(Error::Setting { name: "precision", expected, found: precision.to_string() });
        }
        self.precision = precision;
        Ok(self)
    }

    /// The precision in use, never `Auto`; half precision is only imitated on the CPU.
    pub fn precision(&self) -> Precision {
        match self.precision {
            Precision::Auto if self.device.is_nvidia() => Precision::Tf32,
            Precision::Auto if self.device == Device::Cpu && Isa::rounding().is_some() => Precision::Bf16,
            Precision::Auto => Precision::Fp32,
            asked => asked,
        }
    }

    /// Device and precision in a few words, with what `auto` passed over and why.
    pub fn description(&self) -> String {
        // On the CPU single precision is what one expects.
        let plain = self.device == Device::Cpu && self.precision() != Precision::Bf16;
        let precision = (!plain).then(|| self.precision().to_string());
        let remarks: Vec<String> = precision.into_iter().chain(self.passed_over.iter().cloned()).collect();
        match remarks.is_empty() {
            true => self.device.to_string(),
            false => format!("{} ({})", self.device, remarks.join("; ")),
        }
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

    /// The same, but from now on every step graph is looked into.
    pub fn inspected(mut self, inspection: Inspection) -> Self {
        self.inspection = inspection;
        self
    }

    /// What is wanted of step graphs.
    pub(super) fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// Builds a session with this device from an ONNX model in bytes.
    pub fn session(&self, model: &[u8]) -> Result<Session> {
        Ok(self.builder(self.device)?.commit_from_memory(model)?)
    }

    /// A graph that is run again and again from one set of buffers to another and back.
    ///
    /// # Errors
    /// [`Error::Runtime`] if ONNX Runtime does not take it.
    pub(crate) fn replayed(&self, model: &[u8], size: Size) -> Result<PingPong> {
        let profile = self.inspection.begin(size, model)?;
        let cached = || providers::engine_cache(&self.version(), self.precision(), model);
        let cache = if self.device == Device::TensorRt { cached() } else { None };
        let wish = Wish { precision: self.precision(), replayed: true, cache };
        let builder = Profile::taken_by(self.plain_builder()?, profile.as_ref())?;
        let session = providers::register(builder, self.device, &wish)?.commit_from_memory(model);
        let session = match session {
            Ok(session) => session,
            // Launches can only be recorded where the provider takes every node.
            Err(error) if self.device.is_nvidia() => {
                log::debug!("the step cannot be recorded: {error}");
                Profile::taken_by(self.builder(self.device)?, profile.as_ref())?.commit_from_memory(model)?
            }
            Err(error) => return Err(error.into()),
        };
        PingPong::new(session, self.device, profile)
    }

    /// A session builder with everything but the model: the device, the shared pool, all graph optimizations.
    pub(crate) fn builder(&self, device: Device) -> Result<SessionBuilder> {
        let wish = Wish { precision: self.precision(), ..Wish::default() };
        providers::register(self.plain_builder()?, device, &wish)
    }

    fn plain_builder(&self) -> Result<SessionBuilder> {
        Ok(Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_flush_to_zero()?)
    }

    /// Whether a device really loads: opens its libraries, and the device itself.
    pub fn try_device(&self, device: Device) -> Result<()> {
        if device.is_nvidia()
            && let Some(folder) = self.library.parent()
        {
            providers::open_nvidia_libraries(folder);
        }
        self.builder(device)?.commit_from_memory(&providers::trial())?;
        Ok(())
    }
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
