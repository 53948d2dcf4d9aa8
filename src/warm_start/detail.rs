//! Fine detail at the start of a frame: how much of the frame's own shows through the paint, and of the paint's is carried.

use super::{Carrier, trust};
use crate::motion::{Seen, box_mean::box_mean};

/// How much of the fine detail of what the motion does not explain shows at once, 0 to 1; all of what is coarse does. At 1 the
/// frame's own edges and pores show through the paint of whatever moves, frame after frame, and one step cannot paint
/// over them; at 0 detail comes in by the optimizer alone, a few frames late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detail {
    /// Where the motion is reliable.
    pub reliable: f32,
    /// Where it is not, and the paint comes from what looks alike.
    pub doubtful: f32,
    /// Share of the carried paint's own fine detail that is left out where the motion is not reliable: it was made for another
    /// place, and what is pieced together from many places frame after frame turns into specks.
    pub smoothed: f32,
    /// The same share where the paint has outlived what it was made for; all of the frame's own detail shows there.
    pub outlived: f32,
}

impl Default for Detail {
    fn default() -> Self {
        Detail { reliable: 0.1, doubtful: 0.5, smoothed: 0.6, outlived: 0.12 }
    }
}

/// What differs from its mean over a square of side `2 FINE + 1` pixels is fine detail.
pub(crate) const FINE: usize = 4;

impl Carrier {
    /// As [`Detail`] says; what is still is held to the bit.
    pub(super) fn set_detail(&mut self, seen: &Seen) {
        let Detail { reliable, doubtful, smoothed, outlived } = self.detail;
        let planes = self.cover.iter_mut().zip(&mut self.softness).zip(&self.stale);
        for ((((cover, softness), stale), mask), still) in planes.zip(seen.mask).zip(seen.still) {
            let trust = trust(*mask);
            *cover = (1.0 - still) * (1.0 - stale) * (1.0 - doubtful - (reliable - doubtful) * trust);
            *softness = (smoothed * (1.0 - trust)).max(outlived * stale);
        }
    }

    /// Takes from the carried difference its own fine detail, as far as [`Carrier::softness`] says.
    pub(super) fn soften(&mut self) {
        for carried in self.carried.chunks_exact_mut(self.size.area()) {
            box_mean(carried, &mut self.coarse, &mut self.row, self.size, FINE);
            for ((d, coarse), softness) in carried.iter_mut().zip(&self.coarse).zip(&self.softness) {
                *d += softness * (coarse - *d);
            }
        }
    }

    /// Takes from the carried difference the fine detail that the frame has and the motion does not explain, where the paint
    /// covers it.
    pub(super) fn cover_detail(&mut self, seen: &Seen) {
        let area = self.size.area();
        let planes = self.explained.chunks_exact_mut(area).zip(seen.frame.chunks_exact(area));
        for ((residual, frame), carried) in planes.zip(self.carried.chunks_exact_mut(area)) {
            for (residual, frame) in residual.iter_mut().zip(frame) {
                *residual = frame - *residual;
            }
            box_mean(residual, &mut self.coarse, &mut self.row, self.size, FINE);
            for (((d, residual), coarse), cover) in carried.iter_mut().zip(residual).zip(&self.coarse).zip(&self.cover)
            {
                *d -= cover * (*residual - coarse);
            }
        }
    }
}
