//! What was found, part by part. One line a finding: ok, or what is missing and its cure.

use stylize::{
    cli::describe,
    embedded,
    machine::Card,
    net::{
        providers,
        session::{Device, Runtime, data_folder},
        weights,
    },
};

/// Prints everything; false if something is missing that every run needs.
pub fn examine() -> bool {
    println!("stylize-video {}", env!("CARGO_PKG_VERSION"));
    let runtime = runtime();
    let video = video();
    let networks = networks();
    cameras();
    display();
    runtime && video && networks
}

fn title(name: &str) {
    println!("\n{name}");
}

fn good(text: &str) {
    println!("  ok       {text}");
}

/// Something that not every run needs.
fn absent(text: &str, cure: &str) {
    println!("  -        {text}\n           {cure}");
}

fn missing(text: &str, cure: &str) {
    println!("  MISSING  {text}\n           {cure}");
}

fn runtime() -> bool {
    title("ONNX Runtime");
    let runtime = match Runtime::load(Device::Cpu, 0) {
        Ok(runtime) => runtime,
        Err(error) => {
            missing(&describe(&error), "scripts/setup installs it");
            return false;
        }
    };
    good(&format!("version {}, {}", runtime.version(), runtime.library().display()));
    let mut cpu = false;
    match Card::first() {
        Some(card) => good(&format!("{}, driver {}", card.name, card.driver)),
        None => absent(
            "no NVIDIA card: nvidia-smi, which comes with its driver, tells of none",
            "not needed for --device cpu",
        ),
    }
    for (device, cure) in [
        (Device::Cpu, "scripts/setup --cpu installs another library"),
        (Device::Cuda, "with an NVIDIA card and its driver (580 or newer): scripts/setup --gpu"),
        (Device::TensorRt, "as for cuda, and NVIDIA's TensorRT 10 (libnvinfer.so.10) on the library path"),
        (Device::OpenVino, "on Intel hardware: scripts/setup --openvino"),
    ] {
        match runtime.try_device(device) {
            Ok(()) => {
                good(&format!("--device {device}"));
                cpu |= device == Device::Cpu;
            }
            Err(error) => absent(&format!("--device {device}: {}", providers::reason(&describe(&error))), cure),
        }
    }
    println!("           {} threads", runtime.threads());
    cpu
}

#[cfg(feature = "video")]
fn video() -> bool {
    use ffmpeg_next::encoder;

    title("FFmpeg");
    if let Err(error) = ffmpeg_next::init() {
        missing(&error.to_string(), "scripts/setup installs FFmpeg's libraries");
        return false;
    }
    good(&format!("version {}", stylize::ffmpeg::version()));
    let has = |name: &&&str| encoder::find_by_name(name).is_some();
    let known = ["libx264", "libx265", "libvpx-vp9", "libsvtav1", "libaom-av1", "mpeg4"];
    let found: Vec<&str> = known.iter().filter(has).copied().collect();
    good(&format!("encoders: {}", found.join(", ")));
    if !found.contains(&"libx264") {
        absent(
            "no encoder libx264: MP4 files are then written with another",
            "a FFmpeg that was built with libx264 has it",
        );
    }
    true
}

#[cfg(not(feature = "video"))]
fn video() -> bool {
    title("FFmpeg");
    absent("this build reads and writes pictures only", "cargo build --release --features video");
    true
}

fn networks() -> bool {
    title("Networks");
    let mut all = true;
    for name in embedded::NETWORKS {
        match embedded::network(name).expect("a network of the list") {
            Ok(network) => good(&format!("--model {name} (built in, {} layers)", network.layers.len())),
            Err(error) => {
                missing(&describe(&error), "this program is damaged: build it again");
                all = false;
            }
        }
    }
    let Some(path) = data_folder().map(|folder| folder.join("vgg19.safetensors")) else {
        absent("no data folder (HOME is not set)", "set HOME or XDG_DATA_HOME");
        return all;
    };
    if !path.is_file() {
        absent("--model vgg19: its weights are not installed", "scripts/fetch-vgg19 gets them (80 to 550 MB)");
        return all;
    }
    match weights::load(&path) {
        Ok(_) => good(&format!("--model vgg19: {}", path.display())),
        Err(error) => absent(&describe(&error), "scripts/fetch-vgg19 gets it again"),
    }
    all
}

#[cfg(feature = "camera")]
fn cameras() {
    title("Cameras");
    let cure = "for stylize-live: plug one in; on Linux it is /dev/video0, and you must be in the group video";
    match stylize::source::webcam::list() {
        Ok(cameras) if !cameras.is_empty() => {
            cameras.iter().for_each(|camera| good(&format!("{}: {} ({})", camera.number, camera.name, camera.path)));
        }
        Ok(_) => absent("none", cure),
        Err(error) => absent(&describe(&error), cure),
    }
}

#[cfg(not(feature = "camera"))]
fn cameras() {}

#[cfg(feature = "window")]
fn display() {
    title("Display");
    // Opening a window would flash on the screen: whether one is announced is enough here.
    let set = |name: &&&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match ["WAYLAND_DISPLAY", "DISPLAY"].iter().find(set) {
        Some(name) => good(&format!("{name} is {}", std::env::var(name).unwrap_or_default())),
        None if cfg!(target_os = "linux") => {
            absent("none: --preview and stylize-live need one", "run them on a desktop, or over ssh -X");
        }
        None => good("the desktop's"),
    }
}

#[cfg(not(feature = "window"))]
fn display() {}
