//! What the user can set about the painting, its presets and its limits. No command line, no files.

use crate::{
    cost::tv::Variation,
    error::{Error, Result},
    frame::Size,
    motion::{DisSettings, Observer, ReliabilitySettings},
    net::vgg::Vgg,
    warm_start::{Detail, Pace, WarmStart},
};

/// How content and style are weighed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Balance {
    /// One knob, 0 (the frame) to 1 (the painting), that means the same at any size and with any network.
    Strength(f64),
    /// alpha and beta of the course: `J = alpha J_content + beta J_style` with the course's constants.
    Course { content: f64, style: f64 },
}

impl Balance {
    /// The largest of the course's weights that is taken.
    pub const MOST: f64 = 1e12;
    /// alpha and beta of the course's example, 10 and 40.
    pub const COURSE: Balance = Balance::Course { content: 10.0, style: 40.0 };

    /// beta for an alpha of 1, both costs relative to their targets' energy: from 0.16, a hint of colour, over 5 in the
    /// middle to 160, textures that nearly ignore the frame.
    pub fn style_weight(strength: f64) -> f64 {
        10f64.powf(3.0 * strength - 0.8)
    }
}

/// Which optimizer moves the pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OptimizerKind {
    #[default]
    Adam,
    Lbfgs,
}

/// Settings of the painting.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The longer side of the picture that is optimized, in pixels; the output keeps the input's size.
    pub size: usize,
    /// Optimizer steps for each frame.
    pub steps: usize,
    /// Every so many frames one takes these steps; the frames between have its paint carried to them and no more.
    pub step_every: usize,
    /// Optimizer steps for the first frame, and after a cut: half of them spent on smaller pictures.
    pub first_steps: usize,
    /// Passes over a video, forward and backward in turn; each takes `steps` for each frame.
    pub passes: usize,
    pub balance: Balance,
    /// tau, the weight of total variation beside an alpha of 1, 0 or more; None: what suits the network ([`Settings::tv_for`]).
    pub tv: Option<f64>,
    /// The same of colours alone ([`crate::cost::tv`]).
    pub tv_colour: Option<f64>,
    pub optimizer: OptimizerKind,
    /// Adam's step size, in units of the full range of a colour (0..1).
    pub rate: f64,
    /// What a frame starts from.
    pub warm_start: WarmStart,
    /// gamma, the weight of the temporal cost beside an alpha of 1.
    pub temporal: f64,
    /// Whether paint that the last frame hides is looked for two and four frames ago; costs two more flows a frame.
    pub long_term: bool,
    /// How carefully motion is looked for, and when it is believed.
    pub flow: DisSettings,
    pub reliability: ReliabilitySettings,
    /// How fast paint of what age may change; None: as suits the network ([`Settings::pace_for`]).
    pub pace: Option<Pace>,
    /// How much of a moving thing's fine detail shows through its paint.
    pub fresh_detail: Detail,
    /// Of the faint noise that gives flat areas of the first frame something to paint on.
    pub seed: u64,
    /// How much of the frame's fine detail comes back in the enlarged output: 0 none, 1 all; between, strong edges first.
    pub detail: f64,
}

/// Settings under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Preset {
    Draft,
    #[default]
    Balanced,
    Best,
}

impl Preset {
    pub fn settings(self) -> Settings {
        let (size, steps, first_steps, passes) = match self {
            Preset::Draft => (256, 1, 60, 1),
            Preset::Balanced => (400, 3, 100, 1),
            Preset::Best => (720, 4, 200, 3),
        };
        let flow = DisSettings::for_steps(steps);
        Settings { size, steps, first_steps, passes, long_term: self == Preset::Best, flow, ..Settings::default() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            size: 400,
            steps: 3,
            step_every: 1,
            first_steps: 100,
            passes: 1,
            balance: Balance::Strength(0.5),
            tv: None,
            tv_colour: None,
            optimizer: OptimizerKind::Adam,
            rate: 0.02,
            warm_start: WarmStart::default(),
            temporal: 30.0,
            long_term: false,
            flow: DisSettings::for_steps(3),
            reliability: ReliabilitySettings::default(),
            pace: None,
            fresh_detail: Detail::default(),
            seed: 0,
            detail: 0.5,
        }
    }
}

impl Settings {
    /// Optimizer steps for each frame, on average.
    pub fn steps_a_frame(&self) -> f32 {
        self.steps as f32 / self.step_every as f32
    }

    /// tau with a network: what was set, or what keeps single pixels from standing out and leaves strokes. Steps down a grainy
    /// network need more of it ([`Vgg::is_grainy`]).
    pub fn tv_for(&self, vgg: &Vgg) -> Variation {
        let (all, colour) = if vgg.is_grainy() { (28.0, 84.0) } else { (5.0, 45.0) };
        Variation { all: self.tv.unwrap_or(all), colour: self.tv_colour.unwrap_or(colour) }
    }

    /// The pace with a network.
    pub fn pace_for(&self, vgg: &Vgg) -> Pace {
        self.pace.unwrap_or(if vgg.is_grainy() { Pace::GRAINY } else { Pace::SMOOTH })
    }

    /// One who looks at frames of this size.
    pub fn observer(&self, size: Size) -> Observer {
        Observer::new(size, self.flow, self.reliability)
    }

    /// Checks every setting against its range.
    ///
    /// # Errors
    /// [`Error::Setting`] with the name, the range and what was found.
    pub fn validate(&self) -> Result<()> {
        within("size", self.size as f64, 32.0, 8192.0, "between 32 and 8192 pixels")?;
        within("steps", self.steps as f64, 1.0, 1e5, "between 1 and 100000")?;
        within("step-every", self.step_every as f64, 1.0, 100.0, "between 1 and 100")?;
        within("first-steps", self.first_steps as f64, 1.0, 1e5, "between 1 and 100000")?;
        within("multi-pass", self.passes as f64, 1.0, 100.0, "between 1 and 100")?;
        within("tv", self.tv.unwrap_or(0.0), 0.0, 1e6, "between 0 and 1e6")?;
        within("tv-colour", self.tv_colour.unwrap_or(0.0), 0.0, 1e6, "between 0 and 1e6")?;
        within("temporal-weight", self.temporal, 0.0, 1e9, "between 0 and 1e9")?;
        within("rate", self.rate, 1e-5, 1.0, "between 0.00001 and 1")?;
        within("detail", self.detail, 0.0, 1.0, "between 0 and 1")?;
        match self.balance {
            Balance::Strength(strength) => within("strength", strength, 0.0, 1.0, "between 0 and 1"),
            Balance::Course { content, style } => {
                within("content-weight", content, 0.0, Balance::MOST, "between 0 and 1e12")?;
                within("style-weight", style, 0.0, Balance::MOST, "between 0 and 1e12")?;
                if content == 0.0 && style == 0.0 {
                    let expected = "positive where --content-weight is 0";
                    return Err(Error::Setting { name: "style-weight", expected, found: "0".into() });
                }
                Ok(())
            }
        }
    }
}

/// NaN is in no range.
fn within(name: &'static str, value: f64, least: f64, most: f64, expected: &'static str) -> Result<()> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(Error::Setting { name, expected, found: value.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{embedded, net::vgg::Layer};

    #[test]
    fn what_was_not_set_suits_the_network() {
        let settings = Settings::default();
        let mut vgg = embedded::network("tiny").expect("it is inside").expect("it is sound");
        let tau = |all, colour| Variation { all, colour };
        assert_eq!((settings.tv_for(&vgg), settings.pace_for(&vgg)), (tau(5.0, 45.0), Pace::SMOOTH));
        // A second convolution at the full size, as VGG-19 has it.
        let first = vgg.layers[0].clone();
        assert!(matches!((&vgg.layers[0], &vgg.layers[1]), (Layer::Conv(_), Layer::Pool)));
        vgg.layers.insert(1, first);
        assert_eq!((settings.tv_for(&vgg), settings.pace_for(&vgg)), (tau(28.0, 84.0), Pace::GRAINY));
        let set = Settings { tv: Some(1.0), pace: Some(Pace::SMOOTH), ..settings };
        assert_eq!((set.tv_for(&vgg), set.pace_for(&vgg)), (tau(1.0, 84.0), Pace::SMOOTH));
    }

    #[test]
    fn presets_are_valid() {
        for preset in [Preset::Draft, Preset::Balanced, Preset::Best] {
            preset.settings().validate().expect("a preset");
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let wrong = [
            (Settings { size: 0, ..Settings::default() }, "--size"),
            (Settings { steps: 0, ..Settings::default() }, "--steps"),
            (Settings { step_every: 0, ..Settings::default() }, "--step-every"),
            (Settings { detail: f64::NAN, ..Settings::default() }, "--detail"),
            (Settings { balance: Balance::Strength(-0.1), ..Settings::default() }, "--strength"),
            (
                Settings { balance: Balance::Course { content: 0.0, style: 0.0 }, ..Settings::default() },
                "--style-weight",
            ),
        ];
        for (settings, name) in wrong {
            let message = settings.validate().expect_err(name).to_string();
            assert!(message.starts_with(name), "{message}");
        }
    }
}
