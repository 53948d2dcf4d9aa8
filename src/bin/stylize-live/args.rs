//! The command line, as typed.

use std::path::PathBuf;

use clap::Parser;
use stylize::{
    cli::{self, BalanceArgs, InspectArgs, NetworkArgs, StyleArgs},
    frame::Size,
    motion::DisSettings,
    settings::{Balance, Settings},
};

use crate::keys;

/// Paint a webcam in the style of a picture, live
///
/// Every frame is a step toward the solution of Gatys' objective: its VGG features near the frame's, its Gram matrices
/// near the painting's. No training; the picture is carried from frame to frame.
#[derive(Parser, Debug)]
#[command(name = "stylize-live", version, about, after_help = keys::help())]
pub struct Args {
    /// The camera: a number, a part of its name, or its path; by default the first that there is
    #[arg(long, value_name = "N|NAME|PATH")]
    pub camera: Option<String>,

    /// List the cameras with their formats, sizes and rates
    #[arg(long)]
    pub list_cameras: bool,

    /// A video file or URL in place of a camera, at its own pace
    #[arg(long, value_name = "FILE|URL", conflicts_with_all = ["camera", "size", "fps", "list_cameras"])]
    pub input: Option<PathBuf>,

    /// Begin the input again when it ends
    #[arg(long = "loop", requires = "input")]
    pub repeat: bool,

    /// Asked of the camera: the nearest size that keeps the rate [default: 640x360]
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    pub size: Option<Size>,

    /// Asked of the camera: frames per second [default: 30]
    #[arg(long, value_name = "N")]
    pub fps: Option<f64>,

    /// Styles to walk through with the arrow keys
    #[command(flatten)]
    pub style: StyleArgs,

    #[command(flatten)]
    pub balance: BalanceArgs,

    /// The longer side of the picture that is optimized; by default what this machine can keep up with
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub work_size: Option<usize>,

    /// Optimizer steps for each frame; by default what this machine can keep up with
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub steps: Option<usize>,

    /// Take these steps every N frames; those between have the paint carried to them and no more
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub step_every: Option<usize>,

    /// How much of the frame's fine detail the enlarged picture shows, 0 to 1
    #[arg(long, value_name = "D", allow_negative_numbers = true)]
    pub detail: Option<f64>,

    /// The optimizer's step size, of a colour's full range 1
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    pub rate: Option<f64>,

    #[command(flatten)]
    pub network: NetworkArgs,

    #[command(flatten)]
    pub inspect: InspectArgs,

    /// Show it as a mirror does
    #[arg(long)]
    pub mirror: bool,

    /// Keep the frame's colours: paint brightness only
    #[arg(long, visible_alias = "keep-colors")]
    pub keep_colours: bool,

    /// Record what is shown, from the start
    #[arg(long, value_name = "FILE.mp4")]
    pub record: Option<PathBuf>,

    /// Replace existing files: --record, --stats
    #[arg(short = 'y', long = "overwrite")]
    pub overwrite: bool,

    /// Send what is shown to a v4l2loopback device, for meetings and OBS
    #[arg(long, value_name = "/dev/videoN")]
    pub virtual_camera: Option<PathBuf>,

    /// No window
    #[arg(long)]
    pub headless: bool,

    /// End after so long: seconds, or 1:30
    #[arg(long, value_name = "T", value_parser = cli::seconds, allow_negative_numbers = true)]
    pub duration: Option<f64>,

    /// Write statistics, a line of JSON for every second
    #[arg(long, value_name = "FILE")]
    pub stats: Option<PathBuf>,

    /// How much to log: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub log_level: log::LevelFilter,
}

/// Where the controller starts: what an ordinary laptop can do.
const START_SIZE: usize = 256;
/// Few: the picture goes on improving with every frame.
const FIRST_STEPS: usize = 24;

impl Args {
    /// The settings where the controller starts.
    pub fn settings(&self) -> Settings {
        let defaults = Settings::default();
        Settings {
            size: self.work_size.unwrap_or(START_SIZE),
            steps: self.steps.unwrap_or(1),
            step_every: self.step_every.unwrap_or(if self.steps.is_some() { 1 } else { 2 }),
            first_steps: FIRST_STEPS,
            flow: DisSettings { threads: self.network.threads, ..DisSettings::FAST },
            balance: self.balance.balance(Balance::Strength(0.5)),
            detail: self.detail.unwrap_or(defaults.detail),
            rate: self.rate.unwrap_or(defaults.rate),
            ..defaults
        }
    }
}

fn parse_size(text: &str) -> Result<Size, String> {
    let sides = text.split_once(['x', 'X']).and_then(|(w, h)| Some((w.trim().parse().ok()?, h.trim().parse().ok()?)));
    match sides {
        Some((width @ 1..=16_384, height @ 1..=16_384)) => Ok(Size { width, height }),
        _ => Err("give WIDTHxHEIGHT, such as 1280x720".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn sizes_are_width_by_height() {
        assert_eq!(parse_size("1280x720"), Ok(Size::new(1280, 720)));
        for wrong in ["1280", "x720", "0x0", "axb", "1280x-1"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
