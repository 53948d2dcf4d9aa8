//! Cameras of macOS and Windows: which there are. Not tested on a real machine yet.

use nokhwa::{
    query,
    utils::{ApiBackend, CameraFormat, CameraIndex, FrameFormat, Resolution},
};

use super::{Listing, Wanted, reader::Choice, select};
use crate::error::{Error, Result};

pub fn list() -> Result<Vec<Listing>> {
    let failed = |error: nokhwa::NokhwaError| Error::Camera { camera: "(any)".to_owned(), reason: error.to_string() };
    let cameras = query(ApiBackend::Auto).map_err(failed)?;
    let listing = |(number, info): (usize, nokhwa::utils::CameraInfo)| Listing {
        number,
        name: info.human_name(),
        path: info.misc(),
        modes: Vec::new(),
    };
    Ok(cameras.into_iter().enumerate().map(listing).collect())
}

/// The system chooses the mode that is nearest.
pub fn choose(wanted: &Wanted) -> Result<Choice> {
    let cameras = list()?;
    let camera = select(&cameras, wanted.camera.as_deref())?;
    let resolution = Resolution::new(wanted.size.width as u32, wanted.size.height as u32);
    let format = CameraFormat::new(resolution, FrameFormat::MJPEG, wanted.rate.round().max(1.0) as u32);
    Ok(Choice { index: CameraIndex::Index(camera.number as u32), name: camera.name.clone(), format, exact: false })
}
