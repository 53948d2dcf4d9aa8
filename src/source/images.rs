//! Pictures and numbered sequences of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{FrameSource, SourceInfo, SourceOptions, picture};
use crate::{
    colour::Colour,
    error::{Error, Result},
    frame::{Frame, TimeBase},
};

/// File name extensions of still pictures. A GIF is a video to us: it may move.
const EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff"];

/// Frames per second of a sequence, where nothing else is asked for.
const DEFAULT_RATE: f64 = 25.0;

/// Whether the name is that of a still picture.
pub fn is_picture(path: &Path) -> bool {
    has_pictures_extension(path) && !is_sequence(path)
}

fn has_pictures_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
    EXTENSIONS.contains(&extension.as_str())
}

/// Whether the name stands for a numbered sequence of pictures: `%d` or `%05d` in the file's name, and no file has that very name.
pub fn is_sequence(path: &Path) -> bool {
    Pattern::parse(path).is_some()
}

/// A name with a place for a number: `frames/%05d.png`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    folder: PathBuf,
    before: String,
    /// Least number of digits, filled up with zeros.
    digits: usize,
    after: String,
}

impl Pattern {
    pub fn parse(path: &Path) -> Option<Self> {
        if !has_pictures_extension(path) || path.is_file() {
            return None;
        }
        let name = path.file_name()?.to_str()?;
        for (position, _) in name.match_indices('%') {
            let rest = &name[position + 1..];
            let length = rest.bytes().take_while(u8::is_ascii_digit).count();
            if rest[length..].starts_with('d') {
                let digits =
                    if length == 0 { 1 } else { rest[..length].parse().ok().filter(|&digits| digits <= 18)? };
                return Some(Pattern {
                    folder: path.parent().map(Path::to_owned).unwrap_or_default(),
                    before: name[..position].to_owned(),
                    digits: digits.max(1),
                    after: rest[length + 1..].to_owned(),
                });
            }
        }
        None
    }

    /// The folder to look into.
    pub fn folder(&self) -> &Path {
        if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder }
    }

    pub fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{}{number:0digits$}{}", self.before, self.after, digits = self.digits))
    }

    /// The number in a file's name, if the pattern gives this name for it.
    fn number(&self, name: &str) -> Option<u64> {
        let number = name.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        if number.len() < self.digits || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let value = number.parse().ok()?;
        (format!("{value:0digits$}", digits = self.digits) == number).then_some(value)
    }

    /// The numbers of the files that are there, in order.
    pub fn existing(&self) -> Result<Vec<u64>> {
        let folder = self.folder();
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
            let name = entry.map_err(Error::io("read", folder))?.file_name();
            numbers.extend(name.to_str().and_then(|name| self.number(name)));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// A picture as a video of one frame, or a numbered sequence as a video of constant rate.
pub struct ImageSource {
    info: SourceInfo,
    /// What is still to be read, the next one last.
    files: Vec<PathBuf>,
    next_pts: i64,
    damage: Option<String>,
}

impl ImageSource {
    /// `input` is a picture or a pattern such as `frames/%05d.png`, whose files are taken in order from the lowest number.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Picture`] as of [`picture::load`] for the first picture; [`Error::Input`] if no file fits the
    /// pattern.
    pub fn open(input: &Path, options: &SourceOptions) -> Result<Self> {
        let rate = options.frame_rate.unwrap_or(DEFAULT_RATE);
        if !rate.is_finite() || !(0.01..=1000.0).contains(&rate) {
            return Err(Error::Setting { name: "fps", expected: "between 0.01 and 1000", found: rate.to_string() });
        }
        let (mut files, damage) = match Pattern::parse(input) {
            Some(pattern) => sequence(input, &pattern, rate, options)?,
            None => (vec![input.to_owned()], None),
        };
        let size = picture::load(&files[0])?.size();
        let description = match files.len() {
            1 => format!("{size} picture"),
            count => format!("{size} sequence of {count} pictures, {rate} fps"),
        };
        let frames = Some(files.len() as u64);
        files.reverse();
        Ok(ImageSource {
            info: SourceInfo {
                size,
                time_base: TimeBase::per_frame(rate),
                frame_rate: Some(rate),
                frames,
                pixel_aspect: (1, 1),
                colour: Colour::srgb(size),
                description,
            },
            files,
            next_pts: 0,
            damage,
        })
    }
}

/// The files of a sequence, at least one, and a word on missing numbers.
fn sequence(
    input: &Path,
    pattern: &Pattern,
    rate: f64,
    options: &SourceOptions,
) -> Result<(Vec<PathBuf>, Option<String>)> {
    let refuse = |reason: String| Error::Input { path: input.to_owned(), reason };
    let numbers = pattern.existing()?;
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
        return Err(refuse(format!(
            "no file there fits the pattern; the first would be {}",
            pattern.path(1).display()
        )));
    };
    let missing = last - first + 1 - numbers.len() as u64;
    let damage = (missing > 0).then(|| {
        let gap = numbers.iter().zip(*first..).find(|&(&number, expected)| number != expected);
        let gap = gap.map(|(_, expected)| pattern.path(expected)).unwrap_or_default();
        match missing {
            1 => format!("{} of the sequence is missing", gap.display()),
            _ => format!("{missing} pictures of the sequence are missing, {} the first", gap.display()),
        }
    });
    let count = |seconds: f64| (seconds * rate - 1e-6).ceil().max(0.0) as usize;
    let skip = options.start.map_or(0, count);
    let take = options.duration.map_or(usize::MAX, |duration| count(duration).max(1));
    let files: Vec<_> = numbers.iter().skip(skip).take(take).map(|&number| pattern.path(number)).collect();
    if files.is_empty() {
        return Err(refuse(format!("--start lies behind its end; it has {} pictures", numbers.len())));
    }
    Ok((files, damage))
}

impl FrameSource for ImageSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>> {
        let Some(path) = self.files.pop() else { return Ok(None) };
        let mut frame = picture::load(&path)?;
        if frame.size() != self.info.size {
            let reason = format!("it is {}, but the sequence began with {}", frame.size(), self.info.size);
            return Err(Error::Input { path, reason });
        }
        frame.pts = self.next_pts;
        frame.duration = 1;
        self.next_pts += 1;
        Ok(Some(frame))
    }

    fn damage(&self) -> Option<String> {
        self.damage.clone()
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::frame::Size;

    #[test]
    fn a_sequence_is_one_of_pictures_and_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_sequence(&folder.path().join("a%03d.png")));
        assert!(!is_sequence(&folder.path().join("a%03d.mp4")));
        let literal = folder.path().join("100%d.png");
        fs::write(&literal, b"a picture").unwrap();
        assert!(!is_sequence(&literal) && is_picture(&literal));
    }

    #[test]
    fn names_say_what_they_stand_for() {
        assert!(is_picture(Path::new("a.PNG")) && is_picture(Path::new("x/a.jpeg")) && !is_picture(Path::new("a.mp4")));
        assert!(
            is_sequence(Path::new("x/%05d.png")) && !is_sequence(Path::new("a%d")) && !is_picture(Path::new("%d.png"))
        );
        assert!(!is_sequence(Path::new("100% done.png")) && !is_sequence(Path::new("%s.png")));
        let pattern = Pattern::parse(Path::new("x/a%03d_b.png")).unwrap();
        assert_eq!(pattern.path(7), Path::new("x/a007_b.png"));
        assert_eq!(pattern.path(1234), Path::new("x/a1234_b.png"));
        let numbers = ["a007_b.png", "a1234_b.png", "a7_b.png", "a0007_b.png", "a_b.png", "a00x_b.png"];
        assert_eq!(numbers.map(|name| pattern.number(name)), [Some(7), Some(1234), None, None, None, None]);
    }

    #[test]
    fn a_sequence_begins_at_its_lowest_number_and_reports_gaps() {
        let folder = tempfile::tempdir().unwrap();
        let pattern = folder.path().join("%02d.png");
        let open = |options: &SourceOptions| ImageSource::open(&pattern, options);
        let message = open(&SourceOptions::default()).err().unwrap().to_string();
        assert!(message.contains("no file there fits") && message.contains("01.png"), "{message}");
        for number in [3, 4, 6] {
            let picture = RgbImage::from_pixel(4, 2, Rgb([number; 3]));
            picture.save(folder.path().join(format!("{number:02}.png"))).unwrap();
        }
        let mut source = open(&SourceOptions { frame_rate: Some(12.5), ..Default::default() }).unwrap();
        assert_eq!((source.info().frames, source.info().size), (Some(3), Size::new(4, 2)));
        let base = source.info().time_base;
        let mut seen = Vec::new();
        while let Some(frame) = source.next().unwrap() {
            assert!((base.seconds(frame.duration) - 0.08).abs() < 1e-9);
            seen.push((frame.pixels()[0], base.seconds(frame.pts)));
        }
        assert_eq!(seen, [(3, 0.0), (4, 0.08), (6, 0.16)]);
        assert!(source.damage().unwrap().contains("05.png"));
        let part = SourceOptions { start: Some(0.04), duration: Some(0.04), frame_rate: None };
        let mut part = open(&part).unwrap();
        assert_eq!(part.next().unwrap().unwrap().pixels()[0], 4);
        assert!(part.next().unwrap().is_none());
        RgbImage::new(5, 2).save(folder.path().join("07.png")).unwrap();
        let mut source = open(&SourceOptions::default()).unwrap();
        let error = std::iter::from_fn(|| source.next().transpose()).find_map(Result::err).unwrap().to_string();
        assert!(error.contains("07.png") && error.contains("5x2"), "{error}");
    }
}
