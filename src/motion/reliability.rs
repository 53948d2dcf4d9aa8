//! How far the motion can be believed at each pixel, and where nothing moved at all.
//!
//! The thresholds are those of Ruder, Dosovitskiy, Brox, "Artistic style transfer for videos" (2016), after Sundaram et
//! al. (2010), but each is the centre of a soft ramp; and there is a photometric check as well: both flows can be
//! wrong alike, and then agree.

mod estimate;

use self::estimate::{blocks, samples};
use super::{
    FlowField, FlowPair, Plane,
    box_mean::box_mean,
    gradient::{gradient_of_row, slope},
    mean::mean,
    warp::{Kernel, Places, TOGETHER, warp_on},
};
use crate::{
    dispatch::wide,
    error::Result,
    frame::Size,
    threads::{Parallel, strips},
};

/// Thresholds of [`Reliability`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilitySettings {
    /// Factor on Ruder's tolerance of the way there and back again.
    pub consistency: f32,
    /// Factor on Ruder's tolerance of motion boundaries; infinite to not look at them. Anything that bends or turns has such
    /// boundaries all over; where they matter, the other checks see them too.
    pub boundary: f32,
    /// Difference of luma after the motion that is too much on flat ground, beside noise (0..1).
    pub photometric: f32,
    /// Mean difference of luma, in standard deviations of the noise, up to which a place is still.
    pub still: f32,
    /// Motion of the camera, pixels a frame, above 0, from which on nothing is still: flat ground looks alike wherever it is, and
    /// paint held there would stay on the screen while the scene moves on.
    pub camera: f32,
}

impl Default for ReliabilitySettings {
    fn default() -> Self {
        ReliabilitySettings { consistency: 3.0, boundary: f32::INFINITY, photometric: 0.06, still: 2.2, camera: 0.2 }
    }
}

/// What is known of the motion at each pixel of the current frame.
pub struct Reliability {
    size: Size,
    settings: ReliabilitySettings,
    mask: Vec<f32>,
    still: Vec<f32>,
    /// Standard deviation of the sensor's noise, luma 0..1.
    noise: f32,
    /// Luma of the previous frame after the motion; differences; buffers for box means.
    warped: Vec<f32>,
    residual: Vec<f32>,
    change: Vec<f32>,
    buffer: Vec<f32>,
    blocks: Vec<f32>,
    /// Median length of the flow where the picture has something to follow, pixels.
    camera: f32,
    lengths: Vec<f32>,
}

/// Least and greatest noise believed (standard deviation of luma 0..1).
const NOISE: (f32, f32) = (0.6 / 255.0, 10.0 / 255.0);
/// Share of a frame in the noise believed.
const MEMORY: f32 = 0.2;
/// A frame counts as at most so many times as noisy as those before: a cut or a flash of light is not another camera.
const LEAP: f32 = 3.0;

impl Reliability {
    /// For planes of this size.
    pub fn new(size: Size, settings: ReliabilitySettings) -> Self {
        let plane = || vec![0.0; size.area()];
        Reliability {
            size,
            settings,
            mask: plane(),
            still: plane(),
            noise: NOISE.0,
            warped: plane(),
            residual: plane(),
            change: plane(),
            buffer: plane(),
            blocks: Vec::with_capacity(blocks(size)),
            camera: 0.0,
            lengths: Vec::with_capacity(samples(size)),
        }
    }

    /// In `[0, 1]` at each pixel of the current frame: 1 where the backward flow can be believed.
    pub fn mask(&self) -> &[f32] {
        &self.mask
    }

    /// In `[0, 1]` at each pixel: 1 where nothing moved but the sensor's noise.
    pub fn still(&self) -> &[f32] {
        &self.still
    }

    /// The noise's standard deviation as estimated, luma 0..1.
    pub fn noise(&self) -> f32 {
        self.noise
    }

    /// Starts with this estimate of the noise, luma 0..1.
    pub fn expect_noise(&mut self, noise: f32) {
        self.noise = noise.clamp(NOISE.0, NOISE.1);
    }

    /// Mean absolute difference of luma that the motion leaves unexplained, 0..1.
    pub fn mean_residual(&self) -> f32 {
        mean(&self.residual)
    }

    /// Mean of the mask.
    pub fn mean(&self) -> f32 {
        mean(&self.mask)
    }

    /// Mean of [`Reliability::still`].
    pub fn mean_still(&self) -> f32 {
        mean(&self.still)
    }

    /// Looks at a pair of luma planes in `[0, 1]` and the flow between them.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`](crate::Error::SizeMismatch) when a plane has another size.
    pub fn compute(
        &mut self,
        threads: &dyn Parallel,
        previous: &Plane,
        current: &Plane,
        pair: &FlowPair,
    ) -> Result<()> {
        previous.expect_size(self.size)?;
        current.expect_size(self.size)?;
        let (size, stride, settings) = (self.size, self.size.width, self.settings);
        let (previous, current) = (previous.data(), current.data());
        warp_on(threads, previous, &pair.backward, Kernel::Bicubic, &mut self.warped);
        let Reliability { warped, residual, change, .. } = self;
        strips(threads, [residual, change], stride, |range, [residual, change]| {
            differences(&current[range.clone()], &warped[range.clone()], residual);
            differences(&current[range.clone()], &previous[range], change);
        });
        let noise = self.estimate_noise().min(LEAP * self.noise);
        self.noise = (self.noise + MEMORY * (noise - self.noise)).clamp(NOISE.0, NOISE.1);
        for (plane, radius) in [(&mut self.residual, 1), (&mut self.change, 2)] {
            box_mean(threads, plane, &mut self.buffer, size, radius);
            std::mem::swap(plane, &mut self.buffer);
        }
        self.camera = self.estimate_camera(current, &pair.backward);
        let Reliability { mask, still, residual, change, noise, camera, .. } = self;
        let floor = settings.photometric + 2.0 * *noise;
        // Mean absolute difference that noise alone makes.
        let expected = 1.13 * *noise * settings.still;
        // 1 up to half of the limit, 0 from there on.
        let rest = (2.0 - 2.0 * *camera / settings.camera).clamp(0.0, 1.0);
        strips(threads, [mask, still], stride, |range, [mask, still]| {
            let top = range.start / stride;
            consistency(pair, top, mask, settings.consistency);
            if settings.boundary.is_finite() {
                boundaries(&pair.backward, top, mask, settings.boundary);
            }
            photometric(current, &residual[range.clone()], top, mask, floor, size);
            let (u, v) = (&pair.backward.u[range.clone()], &pair.backward.v[range.clone()]);
            hold(&change[range], u, v, still, expected, rest);
        });
        Ok(())
    }
}

wide! {
    /// Absolute differences.
    fn differences(now: &[f32], then: &[f32], out: &mut [f32]) {
        for (out, (now, then)) in out.iter_mut().zip(now.iter().zip(then)) {
            *out = (now - then).abs();
        }
    }
}

/// 1 well below the threshold (`ratio` to it below 1/2), 0 well above (3/2), straight between.
#[inline(always)]
fn ramp(ratio: f32) -> f32 {
    (1.5 - ratio).clamp(0.0, 1.0)
}

wide! {
    /// The way there and back, and the frame's border, in the rows from `top` on; `factor` is on the tolerance.
    fn consistency(pair: &FlowPair, top: usize, mask: &mut [f32], factor: f32) {
        let FlowPair { forward, backward } = pair;
        let Size { width, height } = backward.size;
        let (right, bottom) = ((width - 1) as f32, (height - 1) as f32);
        let mut places = Places::new();
        let (mut there_u, mut there_v) = ([0.0f32; TOGETHER], [0.0f32; TOGETHER]);
        for (y, mask) in (top..).zip(mask.chunks_exact_mut(width)) {
            for start in (0..width).step_by(TOGETHER) {
                let at = y * width + start;
                let count = (width - start).min(TOGETHER);
                let (u, v) = (&backward.u[at..][..count], &backward.v[at..][..count]);
                places.find((start, y), u, v, backward.size, 0.0);
                for k in 0..count {
                    there_u[k] = places.bilinear(&forward.u, k);
                    there_v[k] = places.bilinear(&forward.v, k);
                }
                let mask = &mut mask[start..][..count];
                for k in 0..count {
                    let (fu, fv, u, v) = (there_u[k], there_v[k], u[k], v[k]);
                    // Ruder: |w~ + w^|^2 > 0.01 (|w~|^2 + |w^|^2) + 0.5.
                    let apart = (fu + u) * (fu + u) + (fv + v) * (fv + v);
                    let tolerance = 0.01 * (fu * fu + fv * fv + u * u + v * v) + 0.5;
                    let (px, py) = ((start + k) as f32 + u, y as f32 + v);
                    let outside = (-px).max(px - right).max((-py).max(py - bottom)).max(0.0);
                    mask[k] = ramp(apart / (factor * tolerance)) * (1.0 - outside).max(0.0);
                }
            }
        }
    }
}

wide! {
    /// Motion boundaries, likewise.
    fn boundaries(flow: &FlowField, top: usize, mask: &mut [f32], factor: f32) {
        let width = flow.size.width;
        for (y, mask) in (top..).zip(mask.chunks_exact_mut(width)) {
            for (x, mask) in mask.iter_mut().enumerate() {
                let at = y * width + x;
                let (u, v) = (flow.u[at], flow.v[at]);
                // Ruder: |grad u|^2 + |grad v|^2 > 0.01 |w^|^2 + 0.002.
                let slope = slope(&flow.u, at, x, y, flow.size) + slope(&flow.v, at, x, y, flow.size);
                let edge = 0.01 * (u * u + v * v) + 0.002;
                *mask *= ramp(slope / (factor * edge));
            }
        }
    }
}

wide! {
    /// The photometric check: what is left after the motion, against noise and against what a misfit of a fraction of a
    /// pixel makes of the local contrast. `residual` and `mask` are of the rows from `top` on.
    fn photometric(current: &[f32], residual: &[f32], top: usize, mask: &mut [f32], floor: f32, size: Size) {
        let rows = residual.chunks_exact(size.width).zip(mask.chunks_exact_mut(size.width));
        let mut contrast = vec![0.0; size.width];
        for (y, (residual, mask)) in (top..).zip(rows) {
            gradient_of_row(current, y, &mut contrast, size);
            for ((residual, mask), contrast) in residual.iter().zip(mask).zip(&contrast) {
                *mask *= ramp(residual / (floor + 0.3 * contrast));
            }
        }
    }
}

wide! {
    /// Still: no more change than noise makes, and no flow to speak of (noise alone makes some on flat ground). Firmly 1 up
    /// to well above what noise does on average, `expected`: what is held must be held to the bit.
    fn hold(change: &[f32], u: &[f32], v: &[f32], still: &mut [f32], expected: f32, rest: f32) {
        for ((still, change), (u, v)) in still.iter_mut().zip(change).zip(u.iter().zip(v)) {
            let moved = (u * u + v * v).sqrt();
            let quiet = ((1.4 - change / expected) * 2.0).clamp(0.0, 1.0);
            *still = rest * quiet * (2.0 - moved).clamp(0.0, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        motion::{DisFlow, DisSettings, Flow},
        threads::{Scoped, Serial},
    };

    fn noise(seed: usize) -> f32 {
        let mut h = (seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        h = (h ^ (h >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (h >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    }

    /// Soft spots.
    fn texture(x: f32, y: f32) -> f32 {
        0.5 + 0.2 * (x * 0.23).sin() * (y * 0.19).cos()
            + 0.15 * (x * 0.07 + y * 0.31).sin()
            + 0.1 * (x * 0.5 - y * 0.4).cos()
    }

    fn plane(size: Size, at: impl Fn(usize, usize) -> f32) -> Plane {
        Plane::from_vec(size, (0..size.area()).map(|i| at(i % size.width, i / size.width)).collect())
    }

    fn look(before: &Plane, after: &Plane) -> Reliability {
        let size = before.size();
        let mut flow = DisFlow::new(size, DisSettings::GOOD);
        let mut reliability = Reliability::new(size, ReliabilitySettings::default());
        let pair = flow.compute(before, after).unwrap();
        for _ in 0..20 {
            reliability.compute(&Serial, before, after, pair).unwrap();
        }
        reliability
    }

    #[test]
    fn a_still_scene_with_sensor_noise_is_reliable_and_still() {
        let size = Size::new(96, 72);
        let frame =
            |seed: usize| plane(size, move |x, y| texture(x as f32, y as f32) + 0.03 * noise(seed + y * 96 + x));
        let result = look(&frame(0), &frame(100_000));
        let still = result.still().iter().sum::<f32>() / size.area() as f32;
        assert!(result.mean() > 0.95 && still > 0.9, "{} {still}", result.mean());
        // Uniform noise of width 0.03 has a standard deviation of 0.0087.
        assert!((result.noise() - 0.0087).abs() < 0.002, "{}", result.noise());
    }

    #[test]
    fn another_scene_is_not_taken_for_noise() {
        let size = Size::new(96, 72);
        let scene = |shift: f32| plane(size, move |x, y| texture(x as f32 + shift, y as f32 - 2.0 * shift));
        let mut flow = DisFlow::new(size, DisSettings::FAST);
        let mut reliability = Reliability::new(size, ReliabilitySettings::default());
        let (before, after) = (scene(0.0), scene(40.0));
        reliability.compute(&Scoped(3), &before, &after, flow.compute(&before, &after).unwrap()).unwrap();
        assert!(reliability.noise() < 1.5 * NOISE.0, "{} levels", 255.0 * reliability.noise());
    }

    #[test]
    fn what_moves_is_not_still_and_what_was_covered_is_not_reliable() {
        let size = Size::new(128, 96);
        // A textured square moves 6 pixels to the right over a textured ground.
        let frame = |left: usize| {
            plane(size, move |x, y| {
                let inside = (left..left + 36).contains(&x) && (30..66).contains(&y);
                let (x, y) = (x as f32, y as f32);
                if inside { texture(1.7 * (x - left as f32), 1.9 * y + 40.0) * 0.6 + 0.4 } else { texture(x, y) * 0.6 }
            })
        };
        let result = look(&frame(40), &frame(46));
        let mean = |values: &[f32], xs: std::ops::Range<usize>| {
            let sum: f32 = (36..60).flat_map(|y| xs.clone().map(move |x| y * 128 + x)).map(|i| values[i]).sum();
            sum / (24 * xs.len()) as f32
        };
        assert!(mean(result.mask(), 50..78) > 0.8, "square {}", mean(result.mask(), 50..78));
        assert!(mean(result.mask(), 100..120) > 0.9, "ground {}", mean(result.mask(), 100..120));
        assert!(mean(result.mask(), 40..46) < 0.4, "uncovered {}", mean(result.mask(), 40..46));
        assert!(mean(result.still(), 50..78) < 0.1);
        assert!(mean(result.still(), 100..120) > 0.9);
    }

    #[test]
    fn flat_ground_is_not_still_before_a_camera_that_moves() {
        let size = Size::new(128, 96);
        // Flat below, textured above; the camera moves a little less than half a pixel.
        let frame = |shift: f32| {
            plane(size, move |x, y| if y < 48 { texture(2.0 * (x as f32 - shift), 2.0 * y as f32) } else { 0.4 })
        };
        let ground = |result: &Reliability| result.still()[70 * size.width..].iter().sum::<f32>() / (26 * 128) as f32;
        let (rests, moves) = (look(&frame(0.0), &frame(0.0)), look(&frame(0.0), &frame(0.4)));
        assert!(ground(&rests) > 0.99 && ground(&moves) < 0.01, "{} {}", ground(&rests), ground(&moves));
    }

    #[test]
    fn what_comes_from_outside_is_not_reliable() {
        let size = Size::new(96, 64);
        let before = plane(size, |x, y| texture(x as f32, y as f32));
        let after = plane(size, |x, y| texture(x as f32 - 7.0, y as f32));
        let result = look(&before, &after);
        let column = |x: usize| (0..64).map(|y| result.mask()[y * 96 + x]).sum::<f32>() / 64.0;
        assert!(column(2) < 0.3 && column(40) > 0.9, "{} {}", column(2), column(40));
    }
}
