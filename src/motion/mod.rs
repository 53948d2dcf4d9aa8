//! Motion between two frames: where every pixel came from, how far that can be believed, and when the scene changed.
//!
//! Nothing here knows of networks or costs. Planes are luma in `[0, 1]`; flow is in pixels of the plane it was computed
//! for; positions are pixel centres, `(0, 0)` being the centre of the top left pixel.

pub(crate) mod box_mean;
pub mod flow;
pub(crate) mod gradient;
mod mean;
pub mod observer;
pub mod reliability;
pub mod rematch;
pub mod scale;
pub mod scene_cut;
pub mod view;
pub mod warp;

pub use flow::{DisFlow, DisSettings, Flow, FlowField, FlowPair};
pub use observer::{Observer, Seen, Sight};
pub use reliability::{Reliability, ReliabilitySettings};
pub use rematch::Rematch;
pub use scale::Scale;
pub use scene_cut::SceneCut;
pub use warp::{BundleWarp, Kernel, SplineWarp, warp};

use crate::{
    dispatch::wide,
    error::{Error, Result},
    frame::Size,
    tensor,
    threads::{Parallel, Serial, strips},
};

/// The weights of red, green and blue in luma (Rec. 601).
pub(crate) const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// One channel of a picture, row by row from the top: `height * width` values.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    size: Size,
    data: Vec<f32>,
}

impl Plane {
    /// A plane of zeros.
    pub fn new(size: Size) -> Self {
        Plane { size, data: vec![0.0; size.area()] }
    }

    /// A plane of given values, `height * width` of them.
    ///
    /// # Panics
    /// If their number does not fit the size.
    pub fn from_vec(size: Size, data: Vec<f32>) -> Self {
        assert_eq!(data.len(), size.area(), "values of a {size} plane");
        Plane { size, data }
    }

    pub fn size(&self) -> Size {
        self.size
    }

    pub fn data(&self) -> &[f32] {
        &self.data
    }

    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Overwrites this plane with the luma (Rec. 601 weights) of a planar RGB picture, shape (3, h, w).
    ///
    /// # Panics
    /// If `rgb` does not hold three planes of this size.
    pub fn set_luma(&mut self, rgb: &[f32]) {
        self.set_luma_on(&Serial, rgb);
    }

    /// The same by several threads.
    pub(crate) fn set_luma_on(&mut self, threads: &dyn Parallel, rgb: &[f32]) {
        assert_eq!(rgb.len(), 3 * self.size.area(), "an RGB picture of {}", self.size);
        let channels = tensor::channels_of(rgb);
        strips(threads, [&mut self.data], self.size.width, |range, [luma]| {
            weigh(channels.map(|channel| &channel[range.clone()]), luma);
        });
    }

    fn expect_size(&self, expected: Size) -> Result<()> {
        if self.size == expected { Ok(()) } else { Err(Error::SizeMismatch { expected, found: self.size }) }
    }
}

wide! {
    fn weigh(rgb: [&[f32]; 3], luma: &mut [f32]) {
        let [red, green, blue] = rgb;
        for (((y, &r), &g), &b) in luma.iter_mut().zip(red).zip(green).zip(blue) {
            *y = LUMA[0] * r + LUMA[1] * g + LUMA[2] * b;
        }
    }
}
