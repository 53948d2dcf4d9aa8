//! Pictures as tensors: the only place that converts RGB8 rows to planes and back, and that resamples.
//!
//! A tensor is (3, H, W), planes R, G, B, values 0..1 in the frame's own (gamma-coded) RGB. The networks were trained on
//! such values, not on linear light.

use fast_image_resize::{
    FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::{F32, U8x3},
};
use ndarray::{Array3, ArrayView3};

use crate::{
    frame::{Frame, Size},
    threads::{Parallel, Serial, strips},
};

/// The size of a tensor.
pub fn size_of(tensor: ArrayView3<f32>) -> Size {
    let (_, height, width) = tensor.dim();
    Size { width, height }
}

/// The planes of three channels, (3, h, w).
///
/// # Panics
/// If there are not three.
pub(crate) fn channels_of(planes: &[f32]) -> [&[f32]; 3] {
    let area = planes.len() / 3;
    assert_eq!(planes.len(), 3 * area, "three planes");
    let (red, rest) = planes.split_at(area);
    let (green, blue) = rest.split_at(area);
    [red, green, blue]
}

/// The same, to be written.
///
/// # Panics
/// Likewise.
pub(crate) fn channels(planes: &mut [f32]) -> [&mut [f32]; 3] {
    let area = planes.len() / 3;
    assert_eq!(planes.len(), 3 * area, "three planes");
    let (red, rest) = planes.split_at_mut(area);
    let (green, blue) = rest.split_at_mut(area);
    [red, green, blue]
}

/// A black tensor.
pub fn zeros(size: Size) -> Array3<f32> {
    Array3::zeros((3, size.height, size.width))
}

/// RGB8 rows to planes.
///
/// # Panics
/// If the sizes differ.
pub fn from_rgb8(pixels: &[u8], tensor: &mut Array3<f32>) {
    from_rgb8_on(&Serial, pixels, tensor);
}

/// The same by several threads.
pub(crate) fn from_rgb8_on(threads: &dyn Parallel, pixels: &[u8], tensor: &mut Array3<f32>) {
    let width = tensor.dim().2;
    let planes = tensor.as_slice_mut().expect("tensors here are contiguous");
    assert_eq!(pixels.len(), planes.len());
    strips(threads, channels(planes), width, |range, [red, green, blue]| {
        let pixels = pixels[3 * range.start..3 * range.end].chunks_exact(3);
        for (((pixel, r), g), b) in pixels.zip(red).zip(green).zip(blue) {
            *r = f32::from(pixel[0]) * (1.0 / 255.0);
            *g = f32::from(pixel[1]) * (1.0 / 255.0);
            *b = f32::from(pixel[2]) * (1.0 / 255.0);
        }
    });
}

/// Planes to RGB8 rows, rounded; values outside 0..1 are clipped.
///
/// # Panics
/// If the sizes differ.
pub fn to_rgb8(tensor: &Array3<f32>, pixels: &mut [u8]) {
    to_rgb8_on(&Serial, tensor, pixels);
}

/// The same by several threads.
pub(crate) fn to_rgb8_on(threads: &dyn Parallel, tensor: &Array3<f32>, pixels: &mut [u8]) {
    let planes = tensor.as_slice().expect("tensors here are contiguous");
    assert_eq!(pixels.len(), planes.len());
    let [red, green, blue] = channels_of(planes);
    // `as` saturates: clipping is part of the conversion.
    let byte = |value: f32| (value * 255.0 + 0.5) as u8;
    strips(threads, [pixels], 3 * tensor.dim().2, |range, [pixels]| {
        let values = range.start / 3..range.end / 3;
        let planes = red[values.clone()].iter().zip(&green[values.clone()]).zip(&blue[values]);
        for (pixel, ((&r, &g), &b)) in pixels.chunks_exact_mut(3).zip(planes) {
            pixel.copy_from_slice(&[byte(r), byte(g), byte(b)]);
        }
    });
}

/// How pixels are weighed when the size changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Area average: for making smaller.
    Area,
    /// Cubic (Catmull-Rom): for making larger.
    Cubic,
}

/// Resamples RGB8 pictures, keeping its buffers.
#[derive(Default)]
pub struct Resampler {
    resizer: Resizer,
    /// Rows of the new width, before there are more of them.
    widened: Vec<u8>,
}

impl Resampler {
    pub fn new() -> Self {
        Self::default()
    }

    /// `pixels` of size `from` to `out` of size `to`.
    ///
    /// # Panics
    /// If a buffer does not fit its size.
    pub fn resample(&mut self, pixels: &[u8], from: Size, out: &mut [u8], to: Size, filter: Filter) {
        assert_eq!((pixels.len(), out.len()), (3 * from.area(), 3 * to.area()));
        if from == to {
            out.copy_from_slice(pixels);
            return;
        }
        let filter = match filter {
            Filter::Area => FilterType::Box,
            Filter::Cubic => FilterType::CatmullRom,
        };
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
        if to.width > from.width && to.height > from.height {
            // The library begins with the columns. Rows are the slower way for packed pixels, so they come first, where
            // there are fewer of them.
            let wide = Size::new(to.width, from.height);
            self.widened.resize(3 * wide.area(), 0);
            resize::<U8x3>(&mut self.resizer, pixels, from, &mut self.widened, wide, &options);
            resize::<U8x3>(&mut self.resizer, &self.widened, wide, out, to, &options);
            return;
        }
        resize::<U8x3>(&mut self.resizer, pixels, from, out, to, &options);
    }

    /// The planes of one tensor in the size of another; values outside 0..1 are kept.
    pub fn planes(&mut self, from: &Array3<f32>, to: &mut Array3<f32>) {
        let (source_size, target_size) = (size_of(from.view()), size_of(to.view()));
        let filter = if target_size.area() <= source_size.area() { FilterType::Box } else { FilterType::CatmullRom };
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
        let from = bytemuck::cast_slice::<f32, u8>(from.as_slice().expect("tensors here are contiguous"));
        let to = bytemuck::cast_slice_mut::<f32, u8>(to.as_slice_mut().expect("tensors here are contiguous"));
        let planes = from.chunks_exact(4 * source_size.area()).zip(to.chunks_exact_mut(4 * target_size.area()));
        for (from, to) in planes {
            resize::<F32>(&mut self.resizer, from, source_size, to, target_size, &options);
        }
    }

    /// A frame as a tensor of another size, on its own: for style pictures.
    pub fn tensor(&mut self, frame: &Frame, size: Size) -> Array3<f32> {
        let mut pixels = vec![0; 3 * size.area()];
        let filter = if size.area() <= frame.size().area() { Filter::Area } else { Filter::Cubic };
        self.resample(frame.pixels(), frame.size(), &mut pixels, size, filter);
        let mut tensor = zeros(size);
        from_rgb8(&pixels, &mut tensor);
        tensor
    }
}

/// Typed, so that the library's code is made for two kinds of pixels and not for all thirteen.
fn resize<P: PixelTrait>(
    resizer: &mut Resizer,
    pixels: &[u8],
    from: Size,
    out: &mut [u8],
    to: Size,
    options: &ResizeOptions,
) {
    let (width, height) = sides(from);
    let source = TypedImageRef::<P>::from_buffer(width, height, pixels).expect("a buffer of this size");
    let (width, height) = sides(to);
    let mut target = TypedImage::<P>::from_buffer(width, height, out).expect("a buffer of this size");
    resizer.resize_typed(&source, &mut target, options).expect("pictures are not empty");
}

fn sides(size: Size) -> (u32, u32) {
    let side = |side: usize| u32::try_from(side).expect("a side fits 32 bits");
    (side(size.width), side(size.height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_the_round_trip() {
        let pixels: Vec<u8> = (0..3 * 35).map(|i| (i * 37 % 256) as u8).collect();
        let mut tensor = zeros(Size::new(7, 5));
        from_rgb8(&pixels, &mut tensor);
        assert_eq!(tensor[[2, 1, 3]], f32::from(pixels[(7 + 3) * 3 + 2]) / 255.0);
        let mut back = vec![0; pixels.len()];
        to_rgb8(&tensor, &mut back);
        assert_eq!(back, pixels);
    }

    #[test]
    fn values_out_of_range_are_clipped() {
        let tensor = Array3::from_shape_vec((3, 1, 1), vec![-0.5, 1.5, 0.5]).expect("three values");
        let mut pixel = [9; 3];
        to_rgb8(&tensor, &mut pixel);
        assert_eq!(pixel, [0, 255, 128]);
    }

    #[test]
    fn area_keeps_the_mean() {
        let pixels: Vec<u8> = (0..3 * 64).map(|i| (i * 97 % 256) as u8).collect();
        let mut small = vec![0; 3 * 4];
        Resampler::new().resample(&pixels, Size::new(8, 8), &mut small, Size::new(2, 2), Filter::Area);
        let mean = |values: &[u8]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        assert!((mean(&pixels) - mean(&small)).abs() < 0.6);
    }

    #[test]
    fn enlarging_in_two_steps_is_enlarging_but_for_rounding() {
        let (from, to) = (Size::new(13, 9), Size::new(40, 31));
        let pixels: Vec<u8> = (0..3 * from.area()).map(|i| 70 + (i * 89 % 120) as u8).collect();
        let (mut twice, mut once) = (vec![0; 3 * to.area()], vec![0; 3 * to.area()]);
        Resampler::new().resample(&pixels, from, &mut twice, to, Filter::Cubic);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
        resize::<U8x3>(&mut Resizer::new(), &pixels, from, &mut once, to, &options);
        let apart = |(a, b): (&u8, &u8)| a.abs_diff(*b);
        assert!(twice.iter().zip(&once).map(apart).max() <= Some(1), "{twice:?} {once:?}");
    }
}
