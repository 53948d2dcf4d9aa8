//! The command line, as typed.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use stylize::{
    cli::{self, BalanceArgs, InspectArgs, NetworkArgs, StyleArgs},
    motion::DisSettings,
    settings::{OptimizerKind, Preset, Settings},
    stylizer::DebugView,
    warm_start::WarmStart,
};

/// Paint a video in the style of a picture
///
/// Every frame is a solution of Gatys' objective: its VGG features near the frame's, its Gram matrices near the
/// painting's. No training; each frame starts from the last one's result.
#[derive(Parser, Debug)]
#[command(name = "stylize-video", version, about, after_help = PRESETS)]
pub struct Args {
    /// A video, a picture, or a numbered sequence (frames/%05d.png)
    pub input: PathBuf,

    /// What to write: a video, a PNG or JPEG, or a numbered sequence
    pub output: PathBuf,

    #[command(flatten)]
    pub style: StyleArgs,

    /// Settings under one name; see below
    #[arg(long, value_enum, default_value_t = PresetArg::Balanced)]
    pub preset: PresetArg,

    /// The longer side of the picture that is optimized; the output keeps the input's size
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub size: Option<usize>,

    /// Optimizer steps for each frame
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub steps: Option<usize>,

    /// Take these steps every N frames; those between have the paint carried to them and no more: faster
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub step_every: Option<usize>,

    /// Optimizer steps for the first frame, after a cut, and for a picture
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub first_steps: Option<usize>,

    /// Passes over the whole video, backward and forward in turn, the last forward (Ruder et al. 2016): what comes into view is
    /// painted before it comes. Each takes the time of a run; six bytes for each pixel of each frame at the working size are
    /// kept in a nameless file beside the output meanwhile
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub multi_pass: Option<usize>,

    /// Also carry paint from two and four frames ago, where the last frame hides what it was on (Ruder et al. 2016)
    #[arg(long)]
    pub long_term: bool,

    /// What a frame starts from: all but `full` are there to compare with
    #[arg(long, value_enum, value_name = "START", hide_short_help = true)]
    pub warm_start: Option<WarmStartArg>,

    #[command(flatten)]
    pub balance: BalanceArgs,

    /// Total variation against single-pixel noise [default: 5; 28 with VGG-19]
    #[arg(long, value_name = "TAU", allow_negative_numbers = true)]
    pub tv: Option<f64>,

    /// The same of colours alone, against coloured specks and fringes [default: 45; 84 with VGG-19]
    #[arg(long, value_name = "TAU", allow_negative_numbers = true, hide_short_help = true)]
    pub tv_colour: Option<f64>,

    /// How strongly a frame is held to the one before it, carried along the motion (Ruder et al. 2016) [default: 30]
    #[arg(long, value_name = "GAMMA", allow_negative_numbers = true)]
    pub temporal_weight: Option<f64>,

    /// Which optimizer moves the pixels
    #[arg(long, value_enum)]
    pub optimizer: Option<OptimizerArg>,

    /// The optimizer's step size, of a colour's full range 1
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    pub rate: Option<f64>,

    /// Of the faint noise that the first frame starts with
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<u64>,

    /// How much of the frame's fine detail the enlarged output shows, 0 to 1
    #[arg(long, value_name = "D", allow_negative_numbers = true)]
    pub detail: Option<f64>,

    /// Keep the frame's colours: paint brightness only
    #[arg(long, visible_alias = "keep-colors")]
    pub keep_colours: bool,

    /// Write what the stylizer saw instead of what it painted: where paint came from, how far the motion is believed, the
    /// painted difference
    #[arg(long, value_enum, value_name = "VIEW")]
    pub debug_view: Option<DebugViewArg>,

    #[command(flatten)]
    pub network: NetworkArgs,

    #[command(flatten)]
    pub inspect: InspectArgs,

    /// Show the newest painted frame in a window; closing it ends the run cleanly
    #[arg(long)]
    pub preview: bool,

    /// How much to skip at the beginning: seconds, or 1:30
    #[arg(long, value_name = "T", value_parser = cli::seconds, allow_negative_numbers = true)]
    pub start: Option<f64>,

    /// How much to paint: seconds, or 1:30
    #[arg(long, value_name = "T", value_parser = cli::seconds, allow_negative_numbers = true)]
    pub duration: Option<f64>,

    /// Frames per second of a numbered sequence [default: 25]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub fps: Option<f64>,

    /// Quality of the encoding, lower is better and larger
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub crf: Option<u8>,

    /// FFmpeg's name of the encoder, such as libx264, libx265, libvpx-vp9
    #[arg(long, value_name = "NAME")]
    pub codec: Option<String>,

    /// Replace an existing output
    #[arg(short = 'y', long = "overwrite")]
    pub overwrite: bool,

    /// Print errors only
    #[arg(short, long)]
    pub quiet: bool,

    /// How much to log: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub log_level: log::LevelFilter,
}

const PRESETS: &str = "\
Presets (each can be overridden by its options):
  draft     --size 256 --steps 1 --first-steps 60
  balanced  --size 400 --steps 3 --first-steps 100
  best      --size 720 --steps 4 --first-steps 200 --multi-pass 3 --long-term";

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PresetArg {
    Draft,
    Balanced,
    Best,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum OptimizerArg {
    Adam,
    Lbfgs,
}

/// As [`WarmStart`], by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum WarmStartArg {
    Content,
    Previous,
    Warped,
    WarpedMoments,
    Difference,
    Full,
}

impl WarmStartArg {
    fn setting(self) -> WarmStart {
        match self {
            WarmStartArg::Content => WarmStart::Content,
            WarmStartArg::Previous => WarmStart::Previous,
            WarmStartArg::Warped => WarmStart::Warped,
            WarmStartArg::WarpedMoments => WarmStart::WarpedMoments,
            WarmStartArg::Difference => WarmStart::Difference,
            WarmStartArg::Full => WarmStart::Full,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DebugViewArg {
    Flow,
    Reliability,
    Difference,
}

impl Args {
    /// What to show in the picture's place.
    pub fn view(&self) -> Option<DebugView> {
        self.debug_view.map(|view| match view {
            DebugViewArg::Flow => DebugView::Flow,
            DebugViewArg::Reliability => DebugView::Reliability,
            DebugViewArg::Difference => DebugView::Difference,
        })
    }

    /// The preset with what was given in its place.
    pub fn settings(&self) -> Settings {
        let preset = match self.preset {
            PresetArg::Draft => Preset::Draft,
            PresetArg::Balanced => Preset::Balanced,
            PresetArg::Best => Preset::Best,
        };
        let preset = preset.settings();
        let optimizer = self.optimizer.map(|optimizer| match optimizer {
            OptimizerArg::Adam => OptimizerKind::Adam,
            OptimizerArg::Lbfgs => OptimizerKind::Lbfgs,
        });
        let steps = self.steps.unwrap_or(preset.steps);
        Settings {
            size: self.size.unwrap_or(preset.size),
            steps,
            step_every: self.step_every.unwrap_or(preset.step_every),
            flow: DisSettings { threads: self.network.threads, ..DisSettings::for_steps(steps) },
            first_steps: self.first_steps.unwrap_or(preset.first_steps),
            long_term: self.long_term || preset.long_term,
            warm_start: self.warm_start.map_or(preset.warm_start, WarmStartArg::setting),
            passes: self.multi_pass.unwrap_or(preset.passes),
            balance: self.balance.balance(preset.balance),
            tv: self.tv.or(preset.tv),
            tv_colour: self.tv_colour.or(preset.tv_colour),
            optimizer: optimizer.unwrap_or(preset.optimizer),
            rate: self.rate.unwrap_or(preset.rate),
            seed: self.seed.unwrap_or(preset.seed),
            detail: self.detail.unwrap_or(preset.detail),
            temporal: self.temporal_weight.unwrap_or(preset.temporal),
            ..preset
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_tells_what_the_presets_set() {
        Args::command().debug_assert();
        for (name, preset) in [("draft", Preset::Draft), ("balanced", Preset::Balanced), ("best", Preset::Best)] {
            let Settings { size, steps, first_steps, passes, long_term, .. } = preset.settings();
            let mut line = format!("  {name:9} --size {size} --steps {steps} --first-steps {first_steps}");
            if passes > 1 {
                line += &format!(" --multi-pass {passes}");
            }
            if long_term {
                line += " --long-term";
            }
            assert!(PRESETS.contains(&line), "{line}");
        }
    }
}
