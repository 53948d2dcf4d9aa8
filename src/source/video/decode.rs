//! Packets in, pictures out: the loop around FFmpeg's decoder, with its bookkeeping of time and of damage.

use std::ops::RangeTo;

use ffmpeg_next::{Packet, Rational, Stream, decoder, ffi, format::context::Input, frame};

use super::container;
use crate::{
    error::{Error, Result},
    ffmpeg,
};

/// So many unreadable packets in a row are the end of the file.
const HOPELESS: u32 = 10_000;

/// A stream being decoded.
pub(super) struct Decoding {
    input: Input,
    index: usize,
    decoder: decoder::Video,
    base: Rational,
    /// Ticks of a frame at the stream's average rate, at least one.
    nominal: i64,
    /// Time stamp of the picture delivered last.
    time: Option<i64>,
    sent_all: bool,
    packets: u64,
    frames: u64,
    /// Packets that could not be read or that the decoder refused.
    lost: u64,
    /// Pictures decoded from incomplete data.
    patched: u64,
}

impl Decoding {
    pub fn new(input: Input, index: usize, decoder: decoder::Video, rate: Option<f64>) -> Self {
        let base = input.stream(index).expect("the index of a stream of this input").time_base();
        let ticks = f64::from(base.denominator()) / f64::from(base.numerator().max(1)) / rate.unwrap_or(25.0);
        Decoding {
            input,
            index,
            decoder,
            base,
            nominal: (ticks.round() as i64).max(1),
            time: None,
            sent_all: false,
            packets: 0,
            frames: 0,
            lost: 0,
            patched: 0,
        }
    }

    pub fn input(&self) -> &Input {
        &self.input
    }

    pub fn stream(&self) -> Stream<'_> {
        self.input.stream(self.index).expect("the index of a stream of this input")
    }

    /// Packets read so far, pictures decoded so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Time stamp of the last decoded picture, in ticks of the stream.
    pub fn time(&self) -> i64 {
        self.time.unwrap_or(0)
    }

    pub fn nominal_duration(&self) -> i64 {
        self.nominal
    }

    /// To the keyframe at or before `target` microseconds.
    pub fn seek(&mut self, target: i64) -> Result<(), ffmpeg_next::Error> {
        let range: RangeTo<i64> = ..target;
        self.input.seek(target, range)?;
        self.restart();
        Ok(())
    }

    /// To the beginning, which is at `begin` microseconds.
    pub fn rewind(&mut self, begin: i64) -> Result<()> {
        let failed = |error: ffmpeg_next::Error| Error::Ffmpeg {
            action: "go back to the beginning of the video",
            reason: error.to_string(),
        };
        self.input.seek(begin, ..).map_err(failed)?;
        self.restart();
        Ok(())
    }

    fn restart(&mut self) {
        self.decoder.flush();
        self.sent_all = false;
        self.time = None;
    }

    /// Decodes the next picture; false at the end.
    pub fn next(&mut self, picture: &mut frame::Video) -> Result<bool> {
        let mut failures = 0;
        loop {
            match self.decoder.receive_frame(picture) {
                Ok(()) => {
                    self.frames += 1;
                    self.patched += u64::from(picture.is_corrupt() || picture.has_decode_errors());
                    self.time = Some(self.time_of(picture));
                    return Ok(true);
                }
                Err(error) if ffmpeg::is_again(error) && !self.sent_all => self.feed()?,
                Err(ffmpeg_next::Error::Eof) => return Ok(false),
                Err(error) if ffmpeg::is_again(error) => return Ok(false),
                // Decoders with threads report a bad packet only here; the next call goes on behind it.
                Err(_) if failures < HOPELESS => {
                    failures += 1;
                    self.lost += 1;
                }
                Err(_) => return Ok(false),
            }
        }
    }

    /// Later than the picture before in any case: some files repeat time stamps or have none.
    fn time_of(&self, picture: &frame::Video) -> i64 {
        let stated = picture.timestamp().or(picture.pts());
        match (stated, self.time) {
            (Some(time), Some(last)) if time > last => time,
            (Some(time), None) => time,
            (_, Some(last)) => last + self.nominal,
            (None, None) => 0,
        }
    }

    /// Gives the decoder one packet, or the news that there are no more.
    fn feed(&mut self) -> Result<()> {
        let mut unreadable = 0;
        loop {
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() != self.index => continue,
                Ok(()) => {
                    self.packets += 1;
                    // A packet marked corrupt is decoded all the same: part of a picture is better than none.
                    match self.decoder.send_packet(&packet) {
                        Ok(()) => return Ok(()),
                        Err(_) => self.lost += 1,
                    }
                }
                Err(ffmpeg_next::Error::InvalidData) if unreadable < HOPELESS => {
                    unreadable += 1;
                    self.lost += 1;
                }
                Err(error) if ffmpeg::is_again(error) && unreadable < HOPELESS => unreadable += 1,
                // The end, or an error of the disk or the network that every further call would repeat.
                Err(error) => {
                    self.lost += u64::from(error != ffmpeg_next::Error::Eof);
                    self.sent_all = true;
                    // Only fails if it was said before.
                    let _ = self.decoder.send_eof();
                    return Ok(());
                }
            }
        }
    }

    /// One sentence on what was lost. `complete`: the whole stream was read, so what is missing is known too.
    pub fn damage(&self, complete: bool) -> Option<String> {
        let early_end = if complete { self.early_end() } else { None };
        if self.lost == 0 && self.patched == 0 && early_end.is_none() {
            return None;
        }
        let expected = container::frame_count(&self.input, &self.stream()).unwrap_or(0).max(self.frames + self.lost);
        // A damaged container may swallow packets without a word; one frame is the estimate's own uncertainty.
        // (AVI counts places on its time line, which may be empty.)
        let countable = complete && self.input.format().name() != "avi";
        let missing = if countable { expected - self.frames } else { 0 };
        let missing = if missing > 1 { missing.max(self.lost) } else { self.lost };
        let mut parts = Vec::new();
        if missing > 0 {
            let (frames, are) = plural(missing);
            parts.push(format!("{missing} of {expected} {frames} could not be decoded and {are} left out"));
        }
        if self.patched > 0 {
            let (frames, are) = plural(self.patched);
            parts.push(format!("{} {frames} {are} incomplete", self.patched));
        }
        if let Some((end, length)) = early_end {
            parts.push(format!("the video ends after {end:.2} s of {length:.2} s"));
        }
        Some(parts.join("; "))
    }

    /// If pictures end clearly before the stream does: where, and where it should end, in seconds from its beginning.
    fn early_end(&self) -> Option<(f64, f64)> {
        let stream = self.stream();
        let seconds = |ticks: i64| ticks as f64 * f64::from(self.base.numerator()) / f64::from(self.base.denominator());
        let start = if stream.start_time() == ffi::AV_NOPTS_VALUE { 0 } else { stream.start_time() };
        let end = seconds(self.time? + self.nominal - start);
        let length = container::length(&self.input, &stream)?;
        // The container's length may be that of its sound, or an estimate.
        (length - end > (0.05 * length).max(1.0)).then_some((end, length))
    }
}

fn plural(count: u64) -> (&'static str, &'static str) {
    if count == 1 { ("frame", "is") } else { ("frames", "are") }
}
