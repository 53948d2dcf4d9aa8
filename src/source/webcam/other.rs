//! Cameras of macOS and Windows: which there are. Not tested on a real machine yet.

use nokhwa::{
    query,
    utils::{ApiBackend, CameraIndex},
};

use super::{
    Listing, Wanted,
    decode::Coding,
    device::{Choice, Format, Way},
    select,
};
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
    let format = Format { coding: Coding::Mjpg, size: wanted.size, rate: wanted.rate };
    let way = Way::Nokhwa { index: CameraIndex::Index(camera.number as u32), exact: false };
    Ok(Choice { name: camera.name.clone(), format, way })
}
