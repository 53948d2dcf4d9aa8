//! Another source where the motion is not to be believed: what looks alike in the previous frame.
//!
//! What was covered, came in over the border or moved too fast has no place in the previous frame that flow can tell.
//! But something there looks like it, and paint that suited that place suits this one. So each block of the unreliable
//! area searches the previous frame for its likeness, as PatchMatch does (Barnes et al., SIGGRAPH 2009): offsets of its
//! neighbours, and random ones ever nearer.
//!
//! A source is never near the place that the flow tells: a strip that comes in over the border would be filled from the strip
//! beside it, frame after frame, and the paint would run into streaks. And where a place was filled before, the same
//! distance from flow to source is preferred, so that what enters bit by bit continues one source.

use super::FlowField;
use crate::{
    dispatch::wide,
    frame::Size,
    threads::{Parallel, strips},
};

/// Side of a block.
const BLOCK: usize = 8;
/// Reliability below which a pixel takes its block's offset.
const DOUBTFUL: f32 = 0.1;
/// Mean reliability of a block below which it looks for an offset.
const SEARCHED: f32 = 0.8;
/// Random offsets tried around no motion, each half as far as the one before, twice over.
const TRIALS: usize = 6;
/// A source is at least this many pixels, across or down, from where the flow points.
const APART: i32 = 20;
/// RMS difference of colour up to which two blocks look the same.
const SAME: f32 = 0.04;
/// Factor on the cost of the source that continues the last frame's.
const LOYALTY: f32 = 0.5;

/// Searches for likenesses in frames of one size.
pub struct Rematch {
    size: Size,
    columns: usize,
    rows: usize,
    /// The block's offset to its source, and how unlike that is; infinite where none was looked for.
    offsets: Vec<(i32, i32)>,
    costs: Vec<f32>,
    /// Where the flow points from each block, and the way from there to the source that was taken, in this frame or earlier.
    flow: Vec<(i32, i32)>,
    usual: Vec<Option<(i32, i32)>>,
    random: u32,
}

impl Rematch {
    pub fn new(size: Size) -> Self {
        let (columns, rows) = (size.width.div_ceil(BLOCK), size.height.div_ceil(BLOCK));
        let count = columns * rows;
        Rematch {
            size,
            columns,
            rows,
            offsets: vec![(0, 0); count],
            costs: vec![f32::INFINITY; count],
            flow: vec![(0, 0); count],
            usual: vec![None; count],
            random: 1,
        }
    }

    /// The next frames are of another scene.
    pub fn forget(&mut self) {
        self.usual.fill(None);
    }

    /// Replaces `backward` where `mask` is low. Both frames are RGB, (3, h, w).
    pub fn replace(
        &mut self,
        threads: &dyn Parallel,
        before: &[f32],
        now: &[f32],
        mask: &[f32],
        backward: &mut FlowField,
    ) {
        if self.size.width.min(self.size.height) < 4 * BLOCK {
            return;
        }
        // The same sequence for every frame: a video painted twice is the same twice.
        self.random = 1;
        search(self, before, now, mask, backward);
        for (block, cost) in self.costs.iter().enumerate() {
            self.usual[block] = cost.is_finite().then(|| {
                let ((u, v), (fu, fv)) = (self.offsets[block], self.flow[block]);
                (u - fu, v - fv)
            });
        }
        let (this, width) = (&*self, self.size.width);
        strips(threads, [&mut backward.u, &mut backward.v], width, |range, [u, v]| {
            let rows =
                u.chunks_exact_mut(width).zip(v.chunks_exact_mut(width)).zip(mask[range.clone()].chunks_exact(width));
            for (y, ((u, v), mask)) in (range.start / width..).zip(rows) {
                let first = (y / BLOCK) * this.columns;
                for (x, ((u, v), mask)) in u.iter_mut().zip(v).zip(mask).enumerate() {
                    if *mask < DOUBTFUL && this.costs[first + x / BLOCK].is_finite() {
                        // The offset belongs to the block as it was compared, inside the frame; so does every pixel's source.
                        let (across, down) = this.offsets[first + x / BLOCK];
                        (*u, *v) = (across as f32, down as f32);
                    }
                }
            }
        });
    }

    /// A number below `limit` in magnitude.
    fn random(&mut self, limit: i32) -> i32 {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((i64::from(self.random >> 8) * i64::from(2 * limit + 1)) >> 24) as i32 - limit
    }
}

wide! {
    fn search(state: &mut Rematch, before: &[f32], now: &[f32], mask: &[f32], backward: &FlowField) {
        state.costs.fill(f32::INFINITY);
        for row in 0..state.rows {
            for column in 0..state.columns {
                if mean(mask, state.size, column, row) < SEARCHED {
                    begin(state, before, now, backward, column, row);
                }
            }
        }
        for row in (0..state.rows).rev() {
            for column in (0..state.columns).rev() {
                let block = row * state.columns + column;
                if state.costs[block].is_finite() {
                    let right = (column + 1 < state.columns).then_some(block + 1);
                    let below = (row + 1 < state.rows).then(|| block + state.columns);
                    for near in [right, below].into_iter().flatten() {
                        if state.costs[near].is_finite() {
                            attempt(state, before, now, (column, row), state.offsets[near]);
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn begin(state: &mut Rematch, before: &[f32], now: &[f32], backward: &FlowField, column: usize, row: usize) {
    let Size { width, height } = state.size;
    let block = row * state.columns + column;
    let at = ((row * BLOCK + BLOCK / 2).min(height - 1)) * width + (column * BLOCK + BLOCK / 2).min(width - 1);
    let (fu, fv) = (backward.u[at].round() as i32, backward.v[at].round() as i32);
    state.flow[block] = (fu, fv);
    if explained(state.size, before, now, (column, row), (fu, fv)) {
        return;
    }
    if let Some((u, v)) = state.usual[block] {
        attempt(state, before, now, (column, row), (fu + u, fv + v));
        state.costs[block] *= LOYALTY;
    }
    let left = (column > 0).then(|| block - 1);
    let above = (row > 0).then(|| block - state.columns);
    for near in [left, above].into_iter().flatten() {
        if state.costs[near].is_finite() {
            attempt(state, before, now, (column, row), state.offsets[near]);
        }
    }
    let mut reach = (width.max(height) / 3) as i32;
    for trial in 0..TRIALS {
        let (u, v) = (state.random(reach), state.random(reach));
        // Far enough across or down, in turn.
        let away = |by: i32| if by < 0 { by - APART } else { by + APART };
        let (u, v) = if trial % 2 == 0 { (away(u), v) } else { (u, away(v)) };
        attempt(state, before, now, (column, row), (fu + u, fv + v));
        let (u, v) = (state.random(reach), state.random(reach));
        let (bu, bv) = if state.costs[block].is_finite() { state.offsets[block] } else { (fu, fv) };
        attempt(state, before, now, (column, row), (bu + u, bv + v));
        reach = (reach / 2).max(4);
    }
}

/// The upper left corner of a block; the last of a row or column is moved inside.
#[inline(always)]
fn corner(size: Size, column: usize, row: usize) -> (usize, usize) {
    ((column * BLOCK).min(size.width - BLOCK), (row * BLOCK).min(size.height - BLOCK))
}

#[inline(always)]
fn mean(mask: &[f32], size: Size, column: usize, row: usize) -> f32 {
    let (x, y) = corner(size, column, row);
    let rows = (y..y + BLOCK).map(|y| mask[y * size.width + x..][..BLOCK].iter().sum::<f32>());
    rows.sum::<f32>() / (BLOCK * BLOCK) as f32
}

/// Whether the flow points into the frame and to what looks the same: on flat ground flow cannot be checked there and
/// back, and need not be.
#[inline(always)]
fn explained(size: Size, before: &[f32], now: &[f32], at: (usize, usize), flow: (i32, i32)) -> bool {
    let (x, y) = corner(size, at.0, at.1);
    let (sx, sy) = (x as i64 + i64::from(flow.0), y as i64 + i64::from(flow.1));
    let fits = |start: i64, side: usize| (0..=(side - BLOCK) as i64).contains(&start);
    if !fits(sx, size.width) || !fits(sy, size.height) {
        return false;
    }
    unlikeness(size, before, now, (x, y), (sx as usize, sy as usize)) < SAME * SAME * (3 * BLOCK * BLOCK) as f32
}

/// Sum of squared differences of two blocks.
#[inline(always)]
fn unlikeness(size: Size, before: &[f32], now: &[f32], (x, y): (usize, usize), (sx, sy): (usize, usize)) -> f32 {
    let Size { width, height } = size;
    let mut lanes = [0.0f32; BLOCK];
    for channel in 0..3 {
        let plane = channel * width * height;
        for j in 0..BLOCK {
            let here = &now[plane + (y + j) * width + x..][..BLOCK];
            let there = &before[plane + (sy + j) * width + sx..][..BLOCK];
            for i in 0..BLOCK {
                lanes[i] += (here[i] - there[i]) * (here[i] - there[i]);
            }
        }
    }
    lanes.iter().sum()
}

/// Takes an offset, moved so that the source lies inside the frame, if it is better than what the block has.
#[inline(always)]
fn attempt(state: &mut Rematch, before: &[f32], now: &[f32], at: (usize, usize), offset: (i32, i32)) {
    let Size { width, height } = state.size;
    let (x, y) = corner(state.size, at.0, at.1);
    let inside =
        |start: usize, by: i32, side: usize| (start as i64 + i64::from(by)).clamp(0, (side - BLOCK) as i64) as usize;
    let (sx, sy) = (inside(x, offset.0, width), inside(y, offset.1, height));
    let block = at.1 * state.columns + at.0;
    let found = (sx as i32 - x as i32, sy as i32 - y as i32);
    let (fu, fv) = state.flow[block];
    if (found.0 - fu).abs().max((found.1 - fv).abs()) < APART {
        return;
    }
    let cost = unlikeness(state.size, before, now, (x, y), (sx, sy));
    if cost < state.costs[block] {
        state.costs[block] = cost;
        state.offsets[block] = found;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::{Scoped, Serial};

    /// Two materials, each with a pattern of its own.
    fn frame(size: Size, border: usize, shift: usize) -> Vec<f32> {
        let at = |i: usize| {
            let (x, y) = ((i % size.width + shift) as f32, (i / size.width) as f32);
            let wave = 0.1 * (x * 0.9).sin() * (y * 0.7).cos();
            if i % size.width < border { 0.2 + wave } else { 0.8 - wave }
        };
        let plane: Vec<f32> = (0..size.area()).map(at).collect();
        [plane.clone(), plane.clone(), plane].concat()
    }

    #[test]
    fn a_doubtful_place_is_given_a_source_of_its_own_material() {
        let size = Size::new(96, 64);
        let (before, now) = (frame(size, 40, 0), frame(size, 56, 0));
        // The flow of the strip that changed hands points into the other material.
        let mut flow = FlowField::new(size);
        let mask: Vec<f32> = (0..size.area()).map(|i| if (40..56).contains(&(i % 96)) { 0.0 } else { 1.0 }).collect();
        Rematch::new(size).replace(&Scoped(2), &before, &now, &mask, &mut flow);
        for y in 0..64 {
            for x in 0..96 {
                let at = y * 96 + x;
                let (sx, sy) = (x as f32 + flow.u[at], y as f32 + flow.v[at]);
                assert!((0.0..96.0).contains(&sx) && (0.0..64.0).contains(&sy), "({x}, {y}) from ({sx}, {sy})");
                if (40..56).contains(&x) {
                    assert!(sx < 40.0, "({x}, {y}) from ({sx}, {sy})");
                } else {
                    assert_eq!((flow.u[at], flow.v[at]), (0.0, 0.0));
                }
            }
        }
    }

    #[test]
    fn what_was_taken_in_another_scene_is_forgotten() {
        let size = Size::new(96, 64);
        let doubtful: Vec<f32> =
            (0..size.area()).map(|i| if (40..56).contains(&(i % 96)) { 0.0 } else { 1.0 }).collect();
        let matched = |rematch: &mut Rematch, (before, now): (usize, usize)| {
            let mut flow = FlowField::new(size);
            rematch.replace(&Serial, &frame(size, 40, before), &frame(size, 56, now), &doubtful, &mut flow);
            flow
        };
        let mut rematch = Rematch::new(size);
        matched(&mut rematch, (0, 0));
        let loyal = matched(&mut rematch, (9, 3));
        rematch.forget();
        let fresh = matched(&mut rematch, (9, 3));
        assert_eq!(fresh, matched(&mut Rematch::new(size), (9, 3)));
        assert_ne!(fresh, loyal, "an example in which it matters");
    }

    #[test]
    fn tiny_frames_are_left_alone() {
        let size = Size::new(9, 7);
        let mut flow = FlowField::new(size);
        let frame = vec![0.5; 3 * size.area()];
        Rematch::new(size).replace(&Serial, &frame, &frame, &vec![0.0; size.area()], &mut flow);
        assert_eq!(flow, FlowField::new(size));
    }
}
