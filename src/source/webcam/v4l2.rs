//! Cameras of Linux (V4L2): which there are, and setting one up before it is opened.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use nokhwa::utils::CameraIndex;
use v4l::{
    Device, Format, FourCC, Fraction,
    capability::Flags,
    frameinterval::FrameIntervalEnum,
    framesize::FrameSizeEnum,
    video::{Capture, capture::Parameters},
};

use super::{
    FORBIDDEN, Listing, TAKEN, UNPLUGGED, Wanted,
    decode::Coding,
    device::{self, Choice, Way},
    mode::{self, Mode},
    select,
};
use crate::{
    error::{Error, Result},
    frame::Size,
};

pub fn list() -> Result<Vec<Listing>> {
    let mut paths: Vec<(usize, std::path::PathBuf)> = std::fs::read_dir("/dev")
        .map_err(Error::io("read", "/dev"))?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number = path.file_name()?.to_str()?.strip_prefix("video")?.parse().ok()?;
            Some((number, path))
        })
        .collect();
    paths.sort();
    Ok(paths.into_iter().filter_map(|(number, path)| describe(number, &path)).collect())
}

/// None for what is no camera: outputs, metadata nodes, codecs. One that may not be opened is listed all the same, so
/// that choosing it tells why.
fn describe(number: usize, path: &Path) -> Option<Listing> {
    let shown = path.display().to_string();
    let device = match Device::with_path(path) {
        Ok(device) => device,
        Err(error) if error.kind() == ErrorKind::PermissionDenied || error.kind() == ErrorKind::ResourceBusy => {
            let modes = vec![explain(&error)];
            return Some(Listing { number, name: "unknown".to_owned(), path: shown, modes });
        }
        Err(_) => return None,
    };
    let capabilities = device.query_caps().ok()?;
    if !is_camera(capabilities.capabilities) {
        return None;
    }
    let modes = modes(&device, None).unwrap_or_default();
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for mode in &modes {
        let head = format!("{} {}", mode.coding, mode.size);
        let rate = mode.rate().map_or("unknown".to_owned(), |rate| format!("{}", (100.0 * rate).round() / 100.0));
        match lines.iter_mut().find(|(known, _)| *known == head) {
            Some((_, rates)) => rates.push(rate),
            None => lines.push((head, vec![rate])),
        }
    }
    let modes = lines.into_iter().map(|(head, rates)| format!("{head} at {} fps", rates.join(", "))).collect();
    Some(Listing { number, name: capabilities.card, path: shown, modes })
}

fn is_camera(capabilities: Flags) -> bool {
    capabilities.contains(Flags::VIDEO_CAPTURE | Flags::STREAMING) && !capabilities.contains(Flags::VIDEO_M2M)
}

/// The modes that can be decoded. Where a driver takes any size in a range, the one nearest to `wanted` stands for it, or
/// the largest.
fn modes(device: &Device, wanted: Option<Size>) -> io::Result<Vec<Mode>> {
    let mut modes = Vec::new();
    for description in device.enum_formats()? {
        let Some(coding) = Coding::from_fourcc(&description.fourcc.repr) else { continue };
        for found in device.enum_framesizes(description.fourcc).unwrap_or_default() {
            let mut listed = true;
            let size = match found.size {
                FrameSizeEnum::Discrete(size) => Size::new(size.width as usize, size.height as usize),
                FrameSizeEnum::Stepwise(range) => {
                    listed = false;
                    let wanted = wanted.unwrap_or(Size::new(range.max_width as usize, range.max_height as usize));
                    Size::new(
                        on_grid(wanted.width, range.min_width, range.max_width, range.step_width),
                        on_grid(wanted.height, range.min_height, range.max_height, range.step_height),
                    )
                }
            };
            let (width, height) = (size.width as u32, size.height as u32);
            let found = device.enum_frameintervals(description.fourcc, width, height).unwrap_or_default();
            let mut intervals = Vec::new();
            for interval in found {
                match interval.interval {
                    FrameIntervalEnum::Discrete(interval) => intervals.push(interval),
                    FrameIntervalEnum::Stepwise(range) => {
                        listed = false;
                        intervals.extend([range.min, range.max, Fraction::new(1, 30)])
                    }
                }
            }
            let known = intervals.iter().map(|interval| Some((interval.numerator, interval.denominator)));
            listed &= !intervals.is_empty();
            let known: Vec<_> = if intervals.is_empty() { vec![None] } else { known.collect() };
            modes.extend(known.into_iter().map(|interval| Mode { coding, size, interval, listed }));
        }
    }
    Ok(modes)
}

/// The value in a stepped range that is nearest to `wanted`, from below.
fn on_grid(wanted: usize, least: u32, most: u32, step: u32) -> usize {
    let wanted = (wanted as u32).clamp(least, most.max(least));
    (wanted - (wanted - least) % step.max(1)) as usize
}

/// Chooses camera and mode, and sets the device to it.
pub fn choose(wanted: &Wanted) -> Result<Choice> {
    let path = match &wanted.camera {
        // A device is taken by its path even where it cannot be listed: the reason shows when it is opened.
        Some(path) if path.starts_with('/') => path.clone(),
        other => select(&list()?, other.as_deref())?.path.clone(),
    };
    let refuse = |reason: String| Error::Camera { camera: path.clone(), reason };
    let failed = |error: io::Error| refuse(explain(&error));
    let device = Device::with_path(&path).map_err(failed)?;
    let capabilities = device.query_caps().map_err(|_| refuse("it is no video device".to_owned()))?;
    if !is_camera(capabilities.capabilities) {
        let card = capabilities.card;
        return Err(refuse(format!("{card} is no camera (a v4l2loopback device is one while it is fed)")));
    }
    // Links such as /dev/v4l/by-id lead to the numbered node.
    let node = std::fs::canonicalize(&path).map_err(failed)?;
    let number = node.file_name().and_then(|name| name.to_str()?.strip_prefix("video")?.parse().ok());
    let number = number.ok_or_else(|| refuse("it is not a /dev/videoN".to_owned()))?;
    let modes = modes(&device, Some(wanted.size)).map_err(failed)?;
    let Some(mode) = mode::choose(&modes, wanted) else {
        let (card, offers) = (capabilities.card, offers(&device));
        return Err(refuse(format!("{card} offers no format that can be used here; {offers}")));
    };
    let settled = set_mode(&device, &mode, wanted).map_err(refuse)?;
    let format =
        device::Format { coding: settled.coding, size: settled.size, rate: settled.rate().unwrap_or(wanted.rate) };
    let way = match settled.plain() && modes.contains(&settled) {
        true => Way::Nokhwa { index: CameraIndex::Index(number), exact: true },
        false => Way::V4l(path.clone()),
    };
    Ok(Choice { name: format!("{} ({path})", capabilities.card), format, way })
}

/// Sets format and interval. Returns what the device has settled for.
fn set_mode(device: &Device, mode: &Mode, wanted: &Wanted) -> Result<Mode, String> {
    let format = Format::new(mode.size.width as u32, mode.size.height as u32, FourCC::new(mode.coding.fourcc()));
    // Format before interval: setting the format may reset the interval.
    let set = device.set_format(&format).map_err(|error| explain(&error))?;
    let coding = Coding::from_fourcc(&set.fourcc.repr)
        .ok_or_else(|| format!("it was set to {mode} and is in {}, which cannot be used here", set.fourcc))?;
    let (numerator, denominator) = mode.interval.unwrap_or((1, wanted.rate.round().max(1.0) as u32));
    let asked = Parameters::new(Fraction::new(numerator, denominator));
    // Some drivers know one rate and nothing to set.
    let taken = device.set_params(&asked).or_else(|_| device.params()).map_err(|error| explain(&error))?.interval;
    let size = Size::new(set.width as usize, set.height as usize);
    let known = taken.numerator > 0 && taken.denominator > 0;
    Ok(Mode { coding, size, interval: known.then_some((taken.numerator, taken.denominator)), listed: mode.listed })
}

/// What a camera offers that cannot be decoded.
fn offers(device: &Device) -> String {
    let formats = device.enum_formats().unwrap_or_default();
    let names: Vec<String> = formats.iter().map(|format| format.fourcc.to_string()).collect();
    if names.is_empty() { "it offers none at all".to_owned() } else { format!("it offers {}", names.join(", ")) }
}

/// Cause and cure.
pub(super) fn explain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such device; --list-cameras shows which there are".to_owned(),
        ErrorKind::PermissionDenied => FORBIDDEN.to_owned(),
        ErrorKind::ResourceBusy => TAKEN.to_owned(),
        _ if is_gone(error) => UNPLUGGED.to_owned(),
        _ => format!("its driver failed: {error}"),
    }
}

/// ENODEV, which has no kind of its own in the standard library; ENXIO comes from nodes whose device has gone.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(19 | 6))
}
