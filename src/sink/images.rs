//! Pictures and numbered sequences of them.

use std::{
    collections::HashSet,
    fs,
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
};

use image::{ExtendedColorType, ImageEncoder, ImageFormat, codecs::jpeg::JpegEncoder};

use super::{FrameSink, SinkOptions, part::Part};
use crate::{
    error::{Error, Result},
    frame::{Frame, Size},
    reads,
    source::images::Pattern,
};

/// JPEG quality of 100: nothing visible is lost.
const JPEG_QUALITY: u8 = 95;

/// Writes sRGB pictures: one under its name when it is finished, or a sequence, each when it is written.
#[derive(Debug)]
pub struct ImageSink {
    size: Size,
    format: ImageFormat,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Single { part: Part, written: bool },
    Sequence { pattern: Pattern, next: u64, overwrite: bool },
}

impl ImageSink {
    /// `output` is a name or a pattern such as `frames/%05d.png`, which is numbered from 1.
    ///
    /// # Errors
    /// As of [`create`](super::create); also if a single picture is to take several frames.
    pub fn create(output: &Path, options: &SinkOptions) -> Result<Self> {
        let refuse = |reason: String| Error::Output { path: output.to_owned(), reason };
        let format = ImageFormat::from_path(output)
            .map_err(|_| refuse("its format is unknown; use .png, .jpg, .webp, .bmp or .tiff".to_owned()))?;
        let place = match Pattern::parse(output) {
            Some(pattern) => {
                if !pattern.folder().is_dir() {
                    let folder = pattern.folder().display();
                    return Err(refuse(format!("the folder {folder} does not exist; make it first")));
                }
                expect_unread(&pattern, options)?;
                if !options.overwrite
                    && let Some(&number) = pattern.existing()?.first()
                {
                    let name = pattern.path(number);
                    return Err(refuse(format!("{} exists; use --overwrite (-y) to replace it", name.display())));
                }
                Place::Sequence { pattern, next: 1, overwrite: options.overwrite }
            }
            None => {
                if let Some(frames @ 2..) = options.frames {
                    let reason = format!(
                        "it is a single picture, but there are {frames} frames; name a video, or a sequence such as \
                         frames/%05d.png"
                    );
                    return Err(refuse(reason));
                }
                let part = Part::create(output, &options.reads, options.overwrite)?;
                Place::Single { part, written: false }
            }
        };
        Ok(ImageSink { size: options.size, format, place })
    }
}

/// None of the files that are there and will be written is one that the run reads.
fn expect_unread(pattern: &Pattern, options: &SinkOptions) -> Result<()> {
    let real = |path: &PathBuf| fs::canonicalize(path).ok();
    let read: HashSet<_> = options.reads.iter().filter_map(real).collect();
    let will_be_written = 1..=options.frames.unwrap_or(u64::MAX);
    let existing = pattern.existing()?.into_iter().filter(|number| will_be_written.contains(number));
    let twice =
        existing.map(|number| pattern.path(number)).find(|path| real(path).is_some_and(|path| read.contains(&path)));
    twice.map_or(Ok(()), |path| reads::expect_unread(&path, &options.reads))
}

impl FrameSink for ImageSink {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        if frame.size() != self.size {
            return Err(Error::SizeMismatch { expected: self.size, found: frame.size() });
        }
        match &mut self.place {
            Place::Single { part, written } => {
                if *written {
                    return Err(Error::Output {
                        path: part.target().to_owned(),
                        reason: "it is a single picture, but there is more than one frame".to_owned(),
                    });
                }
                *written = true;
                encode(part, self.format, frame)
            }
            Place::Sequence { pattern, next, overwrite } => {
                let part = Part::create(&pattern.path(*next), &[], *overwrite)?;
                *next += 1;
                encode(&part, self.format, frame)?;
                part.complete()
            }
        }
    }

    fn finish(self: Box<Self>) -> Result<()> {
        match self.place {
            Place::Single { part, written: true } => part.complete(),
            Place::Single { part, written: false } => {
                Err(Error::Output { path: part.target().to_owned(), reason: "there was no frame to write".to_owned() })
            }
            Place::Sequence { .. } => Ok(()),
        }
    }
}

fn encode(part: &Part, format: ImageFormat, frame: &Frame) -> Result<()> {
    let failed = |error: image::ImageError| match error {
        image::ImageError::IoError(source) => Error::io("write", part.target())(source),
        other => Error::Output { path: part.target().to_owned(), reason: other.to_string() },
    };
    let file = File::create(part.path()).map_err(Error::io("write", part.target()))?;
    let mut writer = BufWriter::new(file);
    let Size { width, height } = frame.size();
    let (width, height, colour) = (width as u32, height as u32, ExtendedColorType::Rgb8);
    if format == ImageFormat::Jpeg {
        let encoder = JpegEncoder::new_with_quality(&mut writer, JPEG_QUALITY);
        encoder.write_image(frame.pixels(), width, height, colour).map_err(failed)?;
    } else {
        image::write_buffer_with_format(&mut writer, frame.pixels(), width, height, colour, format).map_err(failed)?;
    }
    // A full disk shows when the buffer is emptied.
    writer.into_inner().map_err(|error| Error::io("write", part.target())(error.into_error()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frame::TimeBase,
        source::{FrameSource, SourceOptions, images::ImageSource},
    };

    const SIZE: Size = Size::new(6, 4);

    fn frame(value: u8) -> Frame {
        Frame::new(SIZE, (0..3 * SIZE.area()).map(|index| value + index as u8).collect(), 0)
    }

    fn options() -> SinkOptions {
        SinkOptions { frame_rate: Some(25.0), ..SinkOptions::srgb(SIZE, TimeBase::per_frame(25.0)) }
    }

    #[test]
    fn a_sequence_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let pattern = folder.path().join("a%03d.png");
        let mut sink = ImageSink::create(&pattern, &options()).unwrap();
        for value in [10, 20, 30] {
            sink.write(&frame(value)).unwrap();
        }
        Box::new(sink).finish().unwrap();
        assert!(folder.path().join("a001.png").exists());
        let mut source = ImageSource::open(&pattern, &SourceOptions::default()).unwrap();
        for value in [10, 20, 30] {
            assert_eq!(source.next().unwrap().unwrap().pixels(), frame(value).pixels());
        }
        assert!(source.next().unwrap().is_none());
        let error = ImageSink::create(&pattern, &options()).unwrap_err().to_string();
        assert!(error.contains("a001.png exists"), "{error}");
        let reading = |names: &[&str], frames| SinkOptions {
            reads: names.iter().flat_map(|name| reads::files(&folder.path().join(name))).collect(),
            overwrite: true,
            frames,
            ..options()
        };
        for read in ["a%03d.png", "./a%03d.png", "a002.png"] {
            let error = ImageSink::create(&pattern, &reading(&["other.png", read], None)).unwrap_err().to_string();
            assert!(error.contains("it is the input"), "{read}: {error}");
        }
        // One frame makes a001.png.
        ImageSink::create(&pattern, &reading(&["a002.png"], Some(1))).unwrap();
    }

    #[test]
    fn a_single_picture_takes_one_frame() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "a.jpg", "a.bmp", "a.webp", "a.tiff"] {
            let path = folder.path().join(name);
            let mut sink = Box::new(ImageSink::create(&path, &options()).unwrap());
            sink.write(&frame(50)).unwrap();
            assert!(sink.write(&frame(60)).unwrap_err().to_string().contains("more than one frame"));
            assert!(!path.exists(), "not before it is finished");
            sink.finish().unwrap();
            let picture = crate::source::picture::load(&path).unwrap();
            let difference = picture.pixels().iter().zip(frame(50).pixels()).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(difference <= Some(if name == "a.jpg" { 6 } else { 0 }), "{name}: {difference:?}");
        }
        let wrong = Frame::new(Size::new(1, 1), vec![0; 3], 0);
        let mut sink = ImageSink::create(&folder.path().join("b.png"), &options()).unwrap();
        assert!(matches!(sink.write(&wrong), Err(Error::SizeMismatch { .. })));
        assert!(Box::new(sink).finish().unwrap_err().to_string().contains("no frame"));
        assert!(!folder.path().join("b.png").exists());
    }
}
