//! Fine detail at the start of a frame: how much of the frame's own shows through the paint, and of the paint's is carried.

use super::{Past, trust};
use crate::{
    dispatch::wide,
    motion::Seen,
    threads::{Parallel, strips},
};

/// How much of the fine detail of what the motion does not explain shows at once, 0 to 1; all of what is coarse does. At 1 the
/// frame's own edges and pores show through the paint of whatever moves, frame after frame, and one step cannot paint
/// over them; at 0 detail comes in by the optimizer alone, a few frames late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detail {
    /// Where the motion is reliable.
    pub reliable: f32,
    /// Where it is not, and the paint comes from what looks alike; less with more steps a frame.
    pub doubtful: f32,
    /// Share of the carried paint's own fine detail that is left out where the motion is not reliable: it was made for another
    /// place, and what is pieced together from many places frame after frame turns into specks. Less with more steps a frame.
    pub smoothed: f32,
    /// The same share where the paint has outlived what it was made for; all of the frame's own detail shows there.
    pub outlived: f32,
}

impl Default for Detail {
    fn default() -> Self {
        Detail { reliable: 0.1, doubtful: 0.5, smoothed: 0.4, outlived: 0.12 }
    }
}

impl Past {
    /// As [`Detail`] says, with `rate` steps a frame; what is still is held to the bit.
    pub(super) fn set_detail(&mut self, threads: &dyn Parallel, seen: &Seen, rate: f32) {
        // More steps a frame paint over what does not fit, and need no fresh start for it.
        let alone = rate.max(1.0).recip();
        let detail =
            Detail { doubtful: alone * self.detail.doubtful, smoothed: alone * self.detail.smoothed, ..self.detail };
        let Past { cover, softness, stale, size, .. } = self;
        strips(threads, [cover, softness], size.width, |range, [cover, softness]| {
            let (mask, still) = (&seen.mask[range.clone()], &seen.still[range.clone()]);
            settle(cover, softness, &stale[range], mask, still, detail);
        });
    }
}

wide! {
    /// How far each pixel's paint covers the frame's detail, and is smoothed.
    fn settle(
        cover: &mut [f32],
        softness: &mut [f32],
        stale: &[f32],
        mask: &[f32],
        still: &[f32],
        detail: Detail,
    ) {
        let Detail { reliable, doubtful, smoothed, outlived } = detail;
        let planes = cover.iter_mut().zip(softness).zip(stale);
        for ((((cover, softness), stale), mask), still) in planes.zip(mask).zip(still) {
            let trust = trust(*mask);
            *cover = (1.0 - still) * (1.0 - stale) * (1.0 - doubtful - (reliable - doubtful) * trust);
            *softness = (smoothed * (1.0 - trust)).max(outlived * stale);
        }
    }
}
