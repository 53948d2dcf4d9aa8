//! Sound in a coding that the output's container does not hold: decoded, and encoded in one that it does.

use std::{collections::VecDeque, ptr::NonNull};

use ffmpeg_next::{
    ChannelLayout, Codec, Packet, Rational, Rescale, StreamMut, codec, decoder, encoder, ffi, format::Sample, frame,
    software::resampling,
};

use super::muxer::Container;
use crate::ffmpeg::check;

/// Codings that are tried after the container's usual one.
const OTHERS: [codec::Id; 5] =
    [codec::Id::AAC, codec::Id::OPUS, codec::Id::VORBIS, codec::Id::MP3, codec::Id::PCM_S16LE];
/// Formats of samples, the best liked first.
const FORMATS: [Sample; 4] = [
    Sample::F32(ffmpeg_next::format::sample::Type::Planar),
    Sample::F32(ffmpeg_next::format::sample::Type::Packed),
    Sample::I16(ffmpeg_next::format::sample::Type::Planar),
    Sample::I16(ffmpeg_next::format::sample::Type::Packed),
];
/// Bits a second for each channel: hard to tell from the original in all of these codings.
const BITS: usize = 96_000;
/// Samples of a packet where the coding does not say.
const BATCH: usize = 1024;
/// Seconds by which time stamps may be off what the samples before come to: more is a gap, or sound that there is already.
const LOOSE: f64 = 0.1;
/// Seconds of silence at most that a gap is filled with.
const LONGEST: f64 = 60.0;
/// Seconds by which sound may lie back and count as there already; further back the clock was set anew.
const OVERLAP: f64 = 10.0;

/// One stream of sound on its way to another coding.
pub(super) struct Recoder {
    decoder: decoder::Audio,
    /// Made for what the decoder gives, which may change.
    resampler: Option<resampling::Context>,
    encoder: encoder::audio::Encoder,
    /// Samples that do not fill a packet yet.
    waiting: Fifo,
    /// Samples of a packet.
    batch: usize,
    /// When the first that waits is heard, in samples; None before the first.
    time: Option<i64>,
    ready: VecDeque<Packet>,
}

impl Recoder {
    /// For a stream of sound; None if FFmpeg cannot decode it, or has no encoder that the container would take.
    pub fn open(stream: &StreamMut, container: Container) -> Option<Self> {
        let mut context = codec::Context::from_parameters(stream.parameters()).ok()?;
        context.set_time_base(stream.time_base());
        let mut opening = context.decoder();
        opening.set_packet_time_base(stream.time_base());
        let decoder = opening.audio().ok()?;
        let encoder = codings(container).find_map(|codec| open_encoder(codec, &decoder, container))?;
        let waiting = Fifo::new(encoder.format(), encoder.channel_layout().channels())?;
        let batch = match encoder.frame_size() {
            0 => BATCH,
            samples => samples as usize,
        };
        Some(Recoder { decoder, resampler: None, encoder, waiting, batch, time: None, ready: VecDeque::new() })
    }

    /// What the container is told of the new stream.
    pub fn context(&self) -> &codec::Context {
        self.encoder.as_ref()
    }

    /// The new coding's name.
    pub fn name(&self) -> &'static str {
        self.encoder.id().name()
    }

    /// The unit of the new packets' times: a sample.
    pub fn time_base(&self) -> Rational {
        Rational::new(1, self.encoder.rate() as i32)
    }

    /// Takes a packet whose times are in `base`; one that cannot be decoded is left out, as players do.
    pub fn send(&mut self, packet: &Packet, base: Rational) -> Result<(), ffmpeg_next::Error> {
        if let Err(error) = self.decoder.send_packet(packet) {
            log::warn!("a packet of the input's sound is damaged and left out: {error}");
            return Ok(());
        }
        self.take_decoded(base)
    }

    /// No more packets come.
    pub fn send_end(&mut self, base: Rational) -> Result<(), ffmpeg_next::Error> {
        // A decoder that was never fed refuses, and has nothing to say.
        if self.decoder.send_eof().is_ok() {
            self.take_decoded(base)?;
        }
        if let Some(resampler) = &mut self.resampler {
            let rest = resample(resampler, None)?;
            self.waiting.write(&rest)?;
        }
        while self.waiting.len() > 0 {
            self.encode(self.batch.min(self.waiting.len()))?;
        }
        self.encoder.send_eof()?;
        self.take_encoded();
        Ok(())
    }

    /// The next packet that is done.
    pub fn packet(&mut self) -> Option<Packet> {
        self.ready.pop_front()
    }

    fn take_decoded(&mut self, base: Rational) -> Result<(), ffmpeg_next::Error> {
        let mut decoded = frame::Audio::empty();
        while self.decoder.receive_frame(&mut decoded).is_ok() {
            if decoded.channel_layout().is_empty() {
                decoded.set_channel_layout(ChannelLayout::default(i32::from(decoded.channels())));
            }
            if let Some(time) = decoded.timestamp().or(decoded.pts())
                && !self.keep_time(time.rescale(base, self.time_base()))?
            {
                continue;
            }
            let resampler = self.resampler_of(&decoded)?;
            let samples = resample(resampler, Some(&decoded))?;
            self.waiting.write(&samples)?;
            while self.waiting.len() >= self.batch {
                self.encode(self.batch)?;
            }
        }
        Ok(())
    }

    /// Makes room for sound that is heard at `time`. False where there is sound already.
    fn keep_time(&mut self, time: i64) -> Result<bool, ffmpeg_next::Error> {
        let waiting = self.waiting.len() as i64;
        let missing = self.time.map(|start| time - start - waiting);
        match place(missing, f64::from(self.encoder.rate())) {
            Place::Next => {}
            Place::Later => {
                for _ in 0..missing.unwrap_or(0) / self.batch as i64 {
                    self.waiting.write(&silence(&self.encoder, self.batch))?;
                    self.encode(self.batch)?;
                }
            }
            Place::Anew => self.time = Some(time - waiting),
            Place::There => return Ok(false),
        }
        Ok(true)
    }

    fn resampler_of(&mut self, decoded: &frame::Audio) -> Result<&mut resampling::Context, ffmpeg_next::Error> {
        let (format, layout, rate) = (decoded.format(), decoded.channel_layout(), decoded.rate());
        let fits = |resampler: &resampling::Context| {
            let input = resampler.input();
            (input.format, input.rate) == (format, rate) && input.channel_layout == layout
        };
        let resampler = match self.resampler.take().filter(fits) {
            Some(resampler) => resampler,
            None => {
                let to = &self.encoder;
                resampling::Context::get(format, layout, rate, to.format(), to.channel_layout(), to.rate())?
            }
        };
        Ok(self.resampler.insert(resampler))
    }

    /// So many of the samples that wait, as a packet.
    fn encode(&mut self, samples: usize) -> Result<(), ffmpeg_next::Error> {
        let mut frame = silence(&self.encoder, samples);
        self.waiting.read(&mut frame)?;
        let time = self.time.unwrap_or(0);
        frame.set_pts(Some(time));
        self.time = Some(time + samples as i64);
        self.encoder.send_frame(&frame)?;
        self.take_encoded();
        Ok(())
    }

    fn take_encoded(&mut self) {
        let mut packet = Packet::empty();
        while self.encoder.receive_packet(&mut packet).is_ok() {
            self.ready.push_back(std::mem::replace(&mut packet, Packet::empty()));
        }
    }
}

/// Where sound belongs, after the sound before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Next,
    /// After silence.
    Later,
    /// At its own time, with nothing before: the first, or after very long.
    Anew,
    /// Where there is sound already.
    There,
}

/// `missing` samples lie between the sound before, if there was any, and this.
fn place(missing: Option<i64>, rate: f64) -> Place {
    match missing.map(|samples| samples as f64 / rate) {
        Some(seconds) if seconds > LONGEST => Place::Anew,
        Some(seconds) if seconds > LOOSE => Place::Later,
        Some(seconds) if (-OVERLAP..-LOOSE).contains(&seconds) => Place::There,
        Some(_) => Place::Next,
        None => Place::Anew,
    }
}

/// Codings of sound for a container, the best first, as far as this FFmpeg has encoders.
fn codings(container: Container) -> impl Iterator<Item = Codec> {
    let takes = move |id: &codec::Id| container.holds(*id).unwrap_or(*id == container.usual_sound());
    [container.usual_sound()].into_iter().chain(OTHERS).filter(takes).filter_map(encoder::find)
}

/// None if the encoder refuses this sound, or is one that FFmpeg's makers do not trust yet.
fn open_encoder(codec: Codec, from: &decoder::Audio, container: Container) -> Option<encoder::audio::Encoder> {
    let known = codec.audio().ok()?;
    let formats: Vec<Sample> = known.formats().into_iter().flatten().collect();
    let format = FORMATS.into_iter().find(|format| formats.contains(format)).or(formats.first().copied())?;
    let rates: Vec<u32> = known.rates().into_iter().flatten().map(|rate| rate as u32).collect();
    let rate = nearest_rate(&rates, from.rate())?;
    let usual = ChannelLayout::default(i32::from(from.channels()));
    // As many channels as there are where the encoder takes them, in the source's places or in the usual ones.
    [from.channel_layout(), usual, ChannelLayout::STEREO].into_iter().filter(|layout| !layout.is_empty()).find_map(
        |layout| {
            let mut audio = codec::Context::new_with_codec(codec).encoder().audio().ok()?;
            audio.set_format(format);
            audio.set_rate(rate as i32);
            audio.set_channel_layout(layout);
            audio.set_bit_rate(BITS * layout.channels() as usize);
            audio.set_time_base(Rational::new(1, rate as i32));
            if container.wants_global_header() {
                audio.set_flags(codec::Flags::GLOBAL_HEADER);
            }
            audio.open_as(codec).ok()
        },
    )
}

/// The rate itself, or the next higher one, or the highest; any will do where there is no list.
fn nearest_rate(rates: &[u32], wanted: u32) -> Option<u32> {
    if rates.is_empty() {
        return (wanted > 0).then_some(wanted);
    }
    rates.iter().copied().filter(|&rate| rate >= wanted).min().or(rates.iter().copied().max())
}

/// What the resampler makes of a frame; what it still holds, without one.
fn resample(
    resampler: &mut resampling::Context,
    input: Option<&frame::Audio>,
) -> Result<frame::Audio, ffmpeg_next::Error> {
    let output = *resampler.output();
    let mut resampled = frame::Audio::empty();
    resampled.set_format(output.format);
    resampled.set_channel_layout(output.channel_layout);
    resampled.set_rate(output.rate);
    // SAFETY: valid frames; one without memory gets as much as the samples need.
    unsafe {
        let input = input.map_or(std::ptr::null(), |frame| frame.as_ptr());
        check(ffi::swr_convert_frame(resampler.as_mut_ptr(), resampled.as_mut_ptr(), input))?;
    }
    Ok(resampled)
}

/// So many silent samples for an encoder.
fn silence(encoder: &encoder::audio::Encoder, samples: usize) -> frame::Audio {
    let mut frame = frame::Audio::new(encoder.format(), samples, encoder.channel_layout());
    frame.set_rate(encoder.rate());
    // SAFETY: the frame was made with memory for so many samples.
    unsafe {
        let raw = frame.as_mut_ptr();
        let channels = encoder.channel_layout().channels();
        ffi::av_samples_set_silence((*raw).extended_data, 0, samples as i32, channels, encoder.format().into());
    }
    frame
}

/// Samples in waiting.
struct Fifo(NonNull<ffi::AVAudioFifo>);

// SAFETY: owned by one at a time; the library keeps nothing of it elsewhere.
unsafe impl Send for Fifo {}

impl Fifo {
    fn new(format: Sample, channels: i32) -> Option<Self> {
        // SAFETY: the answer is null or owned by this.
        NonNull::new(unsafe { ffi::av_audio_fifo_alloc(format.into(), channels, BATCH as i32) }).map(Fifo)
    }

    fn len(&self) -> usize {
        // SAFETY: alive as long as this.
        unsafe { ffi::av_audio_fifo_size(self.0.as_ptr()) as usize }
    }

    /// Adds a frame's samples, of the format and channels that this was made for.
    fn write(&mut self, frame: &frame::Audio) -> Result<(), ffmpeg_next::Error> {
        // SAFETY: the frame has as many samples in each of its planes.
        let written = unsafe {
            let raw = frame.as_ptr();
            ffi::av_audio_fifo_write(self.0.as_ptr(), (*raw).extended_data.cast(), (*raw).nb_samples)
        };
        check(written).map(|_| ())
    }

    /// Fills a frame of the same format and channels with the oldest samples.
    fn read(&mut self, frame: &mut frame::Audio) -> Result<(), ffmpeg_next::Error> {
        // SAFETY: as above.
        let read = unsafe {
            let raw = frame.as_mut_ptr();
            ffi::av_audio_fifo_read(self.0.as_ptr(), (*raw).extended_data.cast(), (*raw).nb_samples)
        };
        check(read).map(|_| ())
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        // SAFETY: owned by this, and not used again.
        unsafe { ffi::av_audio_fifo_free(self.0.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_overlaps_have_their_place() {
        let place = |seconds: f64| place(Some((seconds * 48_000.0) as i64), 48_000.0);
        assert_eq!([-0.05, 0.0, 0.05].map(place), [Place::Next; 3]);
        assert_eq!([0.5, 59.0, 61.0].map(place), [Place::Later, Place::Later, Place::Anew]);
        // A clock that was set back by hours does not end the sound.
        assert_eq!([-0.5, -9.0, -7200.0].map(place), [Place::There, Place::There, Place::Next]);
        assert_eq!(super::place(None, 48_000.0), Place::Anew);
    }

    #[test]
    fn a_rate_is_kept_or_raised_where_it_can_be() {
        let opus = [48_000, 24_000, 16_000, 12_000, 8_000];
        assert_eq!(nearest_rate(&opus, 44_100), Some(48_000));
        assert_eq!(nearest_rate(&opus, 16_000), Some(16_000));
        assert_eq!(nearest_rate(&opus, 96_000), Some(48_000));
        assert_eq!(nearest_rate(&[], 22_050), Some(22_050));
        assert_eq!(nearest_rate(&[], 0), None);
    }
}
