//! The measures over time as an SVG: a chart for each, written by hand.

use std::fmt::Write;

use super::{
    EVERY,
    report::{Curve, MEASURES, Measure, Score, number},
};

/// The page, and where a chart's axes lie in its strip of the page, in pixels.
const WIDTH: f64 = 800.0;
const HEAD: f64 = 58.0;
const STRIP: f64 = 168.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 22.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 34.0;

/// Of the stylized video, of the content video, of lines to be near to, of cuts. The first two differ in brightness too,
/// so that every eye can tell them apart.
const STYLIZED: &str = "#c2410c";
const CONTENT: &str = "#0369a1";
const IDEAL: &str = "#6b7280";
const CUT: &str = "#a3a3a3";

/// More points than that are averaged in runs: no screen shows more.
const MOST_POINTS: usize = 1200;

/// The whole page. `title` is plain text.
pub fn svg(score: &Score, title: &str) -> String {
    let shown: Vec<&Measure> =
        MEASURES.iter().filter(|measure| !(measure.curve)(&score.series).value.is_empty()).collect();
    let height = HEAD + STRIP * shown.len() as f64;
    let mut page = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" fill="#1f2937">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
<text x="{LEFT}" y="26" font-size="16" font-weight="bold">{}</text>
<text x="{LEFT}" y="45" fill="#4b5563">{} frames at {}x{}, judged by {}</text>
"##,
        escape(title),
        score.frames,
        score.width,
        score.height,
        escape(&score.model),
    );
    for (row, measure) in shown.into_iter().enumerate() {
        chart(&mut page, measure, score, HEAD + STRIP * row as f64);
    }
    page.push_str("</svg>\n");
    page
}

/// Where values lie on the page.
struct Scale {
    last_frame: f64,
    low: f64,
    high: f64,
    top: f64,
}

impl Scale {
    fn x(&self, frame: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * frame / self.last_frame
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.top + STRIP - BOTTOM - (STRIP - TOP - BOTTOM) * share
    }
}

/// One measure's chart, its strip beginning at `top`.
fn chart(page: &mut String, measure: &Measure, score: &Score, top: f64) {
    let curve = (measure.curve)(&score.series);
    let of_content = measure.of_content.as_ref().map(|of_content| (of_content.curve)(&score.series));
    // A measure without a value to be near is read from zero.
    let anchor = [measure.ideal.unwrap_or(0.0)];
    let values = curve.value.iter().chain(of_content.iter().flat_map(|curve| &curve.value)).chain(&anchor).copied();
    let step = step(values.clone());
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
    let scale =
        Scale { last_frame: score.frames.saturating_sub(1).max(1) as f64, low, high: high.max(low + step), top };

    open_strip(page, measure, top);
    axes(page, &scale, step);
    for &cut in &score.cuts {
        dashed(page, (scale.x(cut as f64), scale.y(scale.low)), (scale.x(cut as f64), scale.y(scale.high)), CUT);
    }
    if let Some(ideal) = measure.ideal {
        dashed(page, (LEFT, scale.y(ideal)), (WIDTH - RIGHT, scale.y(ideal)), IDEAL);
    }
    if let Some(curve) = of_content {
        line(page, curve, &scale, CONTENT);
    }
    line(page, curve, &scale, STYLIZED);
    legend(page, measure, score, top);
    page.push_str("</g>\n");
}

fn open_strip(page: &mut String, measure: &Measure, top: f64) {
    put(page, format_args!("<g id=\"{}\">\n<title>{}</title>\n", measure.name, escape(measure.meaning)));
    let (name, title) = (measure.name, escape(measure.title));
    put(page, format_args!("<text x=\"{LEFT}\" y=\"{:.1}\">{name}: {title}</text>\n", top + 18.0));
}

/// Grid, ticks and their numbers; frames below, values at the left.
fn axes(page: &mut String, scale: &Scale, step: f64) {
    let (right, bottom) = (WIDTH - RIGHT, scale.y(scale.low));
    let ticks = ((scale.high - scale.low) / step).round() as usize;
    for tick in 0..=ticks {
        let value = scale.low + tick as f64 * step;
        // Sums of steps miss zero by a hair.
        let value = if value.abs() < 1e-9 * step { 0.0 } else { value };
        let y = scale.y(value);
        put(
            page,
            format_args!(
                "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#e5e7eb\"/>\n<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-size=\"11\">{}</text>\n",
                LEFT - 6.0,
                y + 4.0,
                tick_label(value, step),
            ),
        );
    }
    let step = self::step([0.0, scale.last_frame].into_iter()).max(1.0);
    let mut frame = 0.0;
    while frame <= scale.last_frame {
        let x = scale.x(frame);
        put(
            page,
            format_args!(
                "<path d=\"M{x:.1} {bottom:.1}v4\" stroke=\"#4b5563\"/>\n<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\">{frame}</text>\n",
                bottom + 16.0,
            ),
        );
        frame += step;
    }
    let top = scale.y(scale.high);
    put(page, format_args!("<path d=\"M{LEFT} {top:.1}V{bottom:.1}H{right}\" fill=\"none\" stroke=\"#4b5563\"/>\n"));
    put(
        page,
        format_args!(
            "<text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\" font-size=\"11\" fill=\"#4b5563\">frame</text>\n",
            bottom + 28.0
        ),
    );
}

/// The values joined, with gaps where frames were not measured.
fn line(page: &mut String, curve: &Curve, scale: &Scale, colour: &str) {
    let run = curve.value.len().div_ceil(MOST_POINTS).max(1);
    let mut path = String::new();
    let mut before: Option<usize> = None;
    for (frames, values) in curve.frame.chunks(run).zip(curve.value.chunks(run)) {
        let frame = frames.iter().sum::<usize>() as f64 / frames.len() as f64;
        let value = values.iter().sum::<f64>() / values.len() as f64;
        let joined = before.is_some_and(|before| frames[0] - before <= EVERY);
        let (x, y) = (scale.x(frame), scale.y(value));
        put(&mut path, format_args!("{}{x:.1} {y:.1}", if joined { 'L' } else { 'M' }));
        if !joined {
            // A dot of the line's width, so that a value alone is seen.
            path.push_str("h.01");
        }
        before = frames.last().copied();
    }
    put(
        page,
        format_args!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/>\n"
        ),
    );
}

/// What the lines are, with their numbers; from the right, above the chart.
fn legend(page: &mut String, measure: &Measure, score: &Score, top: f64) {
    let value = |value: Option<f64>| value.map(number).unwrap_or_default();
    let mut entries = Vec::new();
    if !score.cuts.is_empty() {
        entries.push(("cut".to_owned(), CUT, true));
    }
    if let Some(ideal) = measure.ideal {
        entries.push((format!("ideal {ideal}"), IDEAL, true));
    }
    if let Some(of_content) = &measure.of_content {
        entries.push((format!("content video {}", value((of_content.value)(&score.summary))), CONTENT, false));
    }
    entries.push((format!("stylized {}", value((measure.value)(&score.summary))), STYLIZED, false));
    let (mut x, y) = (WIDTH - RIGHT, top + 18.0);
    for (text, colour, dashes) in entries {
        put(page, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\" font-size=\"11\">{text}</text>\n"));
        // About six pixels a letter at this size.
        x -= 6.2 * text.len() as f64 + 4.0;
        if dashes {
            dashed(page, (x - 18.0, y - 4.0), (x, y - 4.0), colour);
        } else {
            put(
                page,
                format_args!(
                    "<path d=\"M{:.1} {:.1}h18\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
                    x - 18.0,
                    y - 4.0
                ),
            );
        }
        x -= 32.0;
    }
}

fn dashed(page: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    put(
        page,
        format_args!(
            "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"{colour}\" stroke-dasharray=\"4 3\"/>\n",
            from.0, from.1, to.0, to.1
        ),
    );
}

fn put(page: &mut String, text: std::fmt::Arguments) {
    page.write_fmt(text).expect("a string takes any text");
}

/// The distance of ticks: 1, 2 or 5 times a power of ten, three to six of them over the values.
fn step(values: impl Iterator<Item = f64>) -> f64 {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let largest = low.abs().max(high.abs());
    // Values that are all alike still need an axis.
    let span = (high - low).max(0.02 * largest).max(1e-9);
    let rough = span / 4.0;
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(10.0 * power)
}

/// As many decimals as the step needs.
fn tick_label(value: f64, step: f64) -> String {
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    if decimals > 4 && value != 0.0 {
        format!("{value:.1e}")
    } else if value == 0.0 {
        "0".to_owned()
    } else {
        format!("{value:.decimals$}")
    }
}

/// Text for XML: markup escaped, what XML cannot hold replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let of = |low: f64, high: f64| step([low, high].into_iter());
        for ((low, high), expected) in
            [((0.0, 1.0), 0.5), ((0.0, 47.0), 20.0), ((0.0, 3.1e-4), 1e-4), ((-3.0, 5.0), 2.0), ((1.0, 1.0), 0.005)]
        {
            let step = of(low, high);
            assert!((step / expected - 1.0).abs() < 1e-9, "{low} {high}: {step}");
        }
        assert_eq!(tick_label(0.5, 0.5), "0.5");
        assert_eq!(tick_label(20.0, 20.0), "20");
        assert_eq!(tick_label(2e-5, 1e-5), "2.0e-5");
    }

    #[test]
    fn names_cannot_break_the_page() {
        assert_eq!(escape("a<b> & \"c\"\n\u{7}"), "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}\u{fffd}");
    }

    #[test]
    fn lines_break_where_nothing_was_measured_and_long_ones_are_thinned() {
        let scale = Scale { last_frame: 10.0, low: 0.0, high: 1.0, top: 0.0 };
        let mut curve = Curve::default();
        [0, 1, 2, 9].into_iter().for_each(|frame| curve.push(frame, 0.5));
        let mut page = String::new();
        line(&mut page, &curve, &scale, CONTENT);
        assert_eq!((page.matches('M').count(), page.matches('L').count()), (2, 2), "{page}");
        let mut curve = Curve::default();
        (0..50_000).for_each(|frame| curve.push(frame, 0.5));
        page.clear();
        line(&mut page, &curve, &scale, CONTENT);
        assert!(page.matches('L').count() <= MOST_POINTS && page.matches('M').count() == 1);
    }
}
