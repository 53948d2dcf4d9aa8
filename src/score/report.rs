//! What a comparison found: a number for each measure, its values over time, and what each number means.

use serde::Serialize;

/// A stylized video measured against its content video. As JSON the fields of [`Summary`] stand beside these.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Frames compared.
    pub frames: usize,
    /// Size at which both were compared.
    pub width: usize,
    pub height: usize,
    /// The network whose features were compared.
    pub model: String,
    #[serde(flatten)]
    pub summary: Summary,
    /// Frames, counted from 0, that begin another scene of the content video.
    pub cuts: Vec<usize>,
    /// What the reader of the numbers should know: frames left over, damage of the files.
    pub notes: Vec<String>,
    pub series: Series,
}

/// A number for each measure (see [`super`] for the formulas); None where the clip has nothing to measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    pub style: Option<f64>,
    pub content: Option<f64>,
    pub e_warp: Option<f64>,
    /// e_warp of the content video.
    pub e_warp_in: Option<f64>,
    pub lag: Option<f64>,
    pub paint: Option<f64>,
    pub sharp: Option<f64>,
    /// sharp of the content video.
    pub sharp_in: Option<f64>,
    pub drift: Option<f64>,
}

/// The measures over time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Series {
    pub style: Curve,
    pub content: Curve,
    pub e_warp: Curve,
    pub e_warp_in: Curve,
    pub lag: Curve,
    pub paint: Curve,
    pub sharp: Curve,
    pub sharp_in: Curve,
    pub drift: Curve,
}

/// Values at frames, counted from 0, in order; both have the same length.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Curve {
    pub frame: Vec<usize>,
    pub value: Vec<f64>,
}

impl Curve {
    /// Appends a value, if there is one that is a number.
    pub fn push(&mut self, frame: usize, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into().filter(|value| value.is_finite()) {
            self.frame.push(frame);
            self.value.push(value);
        }
    }

    /// Its mean; None if it is empty.
    pub fn mean(&self) -> Option<f64> {
        mean(&self.value)
    }

    /// The mean of its last third.
    fn late_mean(&self) -> Option<f64> {
        let count = self.value.len();
        mean(&self.value[count - (count / 3).max(1).min(count)..])
    }

    /// The value furthest from zero, without its sign.
    fn largest(&self) -> Option<f64> {
        self.value.iter().map(|value| value.abs()).max_by(f64::total_cmp)
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

impl Series {
    /// One number for each curve.
    pub fn summary(&self) -> Summary {
        Summary {
            style: self.style.mean(),
            content: self.content.mean(),
            e_warp: self.e_warp.mean(),
            e_warp_in: self.e_warp_in.mean(),
            lag: self.lag.mean(),
            paint: self.paint.mean(),
            sharp: self.sharp.late_mean(),
            sharp_in: self.sharp_in.late_mean(),
            drift: self.drift.largest(),
        }
    }
}

/// A measure as it is shown.
pub struct Measure {
    pub name: &'static str,
    /// A few words: the title of its chart.
    pub title: &'static str,
    /// What its number says, in a line.
    pub meaning: &'static str,
    /// Why there may be no value.
    pub absent: &'static str,
    /// The value to be near, where there is one.
    pub ideal: Option<f64>,
    pub value: fn(&Summary) -> Option<f64>,
    pub curve: fn(&Series) -> &Curve,
    /// The same measured on the content video alone.
    pub of_content: Option<OfContent>,
}

/// A measure of the content video itself, which a good stylization comes near.
pub struct OfContent {
    pub value: fn(&Summary) -> Option<f64>,
    pub curve: fn(&Series) -> &Curve,
}

/// Every measure, in the order in which they are shown.
pub const MEASURES: [Measure; 7] = [
    Measure {
        name: "e_warp",
        title: "flicker (squared difference along the motion)",
        meaning: "flicker: change along the motion; near the content's own is steady",
        absent: "there is no motion that can be followed",
        ideal: None,
        value: |summary| summary.e_warp,
        curve: |series| &series.e_warp,
        of_content: Some(OfContent { value: |summary| summary.e_warp_in, curve: |series| &series.e_warp_in }),
    },
    Measure {
        name: "lag",
        title: "ghosts (distance to now / to 6 frames ago)",
        meaning: "ghosts: below 0.75 is right; near or above 1 it still shows what was there before",
        absent: "nothing changed within six frames",
        ideal: None,
        value: |summary| summary.lag,
        curve: |series| &series.lag,
        of_content: None,
    },
    Measure {
        name: "paint",
        title: "paint on what moves / on what is still",
        meaning: "1: what moves is painted like the rest; well below 1 it runs around unpainted",
        absent: "it needs parts that move beside parts that are still",
        ideal: Some(1.0),
        value: |summary| summary.paint,
        curve: |series| &series.paint,
        of_content: None,
    },
    Measure {
        name: "sharp",
        title: "sharpness, relative to the first frame",
        meaning: "sharpness of the last third / of the first frame; below 1 (and the content's own) blur piles up",
        absent: "the first frame has no detail",
        ideal: Some(1.0),
        value: |summary| summary.sharp,
        curve: |series| &series.sharp,
        of_content: Some(OfContent { value: |summary| summary.sharp_in, curve: |series| &series.sharp_in }),
    },
    Measure {
        name: "drift",
        title: "change of brightness that the content does not have, in 1/255",
        meaning: "largest change of brightness that the content does not have, in 1/255; under 1 is invisible",
        absent: "no frame",
        ideal: Some(0.0),
        value: |summary| summary.drift,
        curve: |series| &series.drift,
        of_content: None,
    },
    Measure {
        name: "content",
        title: "distance to the content",
        meaning: "how far it went from the content: 0 untouched, 1 as far as the content is from nothing",
        absent: "no frame",
        ideal: None,
        value: |summary| summary.content,
        curve: |series| &series.content,
        of_content: None,
    },
    Measure {
        name: "style",
        title: "distance to the style picture",
        meaning: "distance to the style picture: 1 not stylized at all, 0 the picture's own statistics",
        absent: "name the style picture with --style",
        ideal: None,
        value: |summary| summary.style,
        curve: |series| &series.style,
        of_content: None,
    },
];

/// A value with three significant digits.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e5).contains(&size) {
        format!("{value:.2e}")
    } else {
        let digits = (2 - size.log10().floor() as i32).max(0) as usize;
        format!("{value:.digits$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let shown = [0.0, 0.00031234, 0.0123456, 0.5, 1.2345, 17.26, 1234.5, -0.75].map(number);
        assert_eq!(shown, ["0", "3.12e-4", "0.0123", "0.500", "1.23", "17.3", "1234", "-0.750"]);
    }

    #[test]
    fn curves_keep_numbers_only_and_know_their_summary() {
        let mut series = Series::default();
        assert_eq!(series.summary(), Summary::default());
        for (frame, value) in [1.0, f64::NAN, 2.0, -6.0, f64::INFINITY, 3.0].into_iter().enumerate() {
            series.drift.push(frame, value);
            series.sharp.push(frame, value);
        }
        assert_eq!(series.drift.frame, [0, 2, 3, 5]);
        assert_eq!((series.summary().drift, series.summary().sharp), (Some(6.0), Some(3.0)));
    }
}
