//! Long-term consistency (Ruder et al. 2016, section 4.3): what was hidden in the last frame may have been seen two or four
//! frames ago, and its paint with it.
//!
//! `c_long^(t-j) = max(c^(t-j) - sum over nearer k of c^(t-k), 0)`: a frame counts only where no nearer one is reliable.
//! Ruder's distances are 1, 2, 4 too. Here they do not only hold the picture in the temporal cost, they are where its paint
//! comes from.

use crate::{
    error::Result,
    frame::Size,
    motion::{DisFlow, DisSettings, Flow, Kernel, Plane, Reliability, ReliabilitySettings, SplineWarp, warp},
    threads::Parallel,
};

/// How many frames back to look, beyond the last one.
const DISTANCES: [usize; 2] = [2, 4];
/// Frames that are kept.
const KEPT: usize = 4;
/// Share of the picture that the nearer frames must leave unexplained for a farther one to be looked at.
const WORTH: f32 = 0.002;

/// A frame of the past.
struct Past {
    luma: Plane,
    /// Its painted difference, (3, h, w), and the age of the paint, (h, w).
    difference: Vec<f32>,
    age: Vec<f32>,
}

/// The last frames with their paint. All buffers are allocated when it is made.
pub struct LongTerm {
    past: [Past; KEPT],
    /// Index of the newest, and how many there are of this scene.
    newest: usize,
    known: usize,
    current: Plane,
    flow: DisFlow,
    reliability: Reliability,
    splines: SplineWarp,
    /// Scratch: (3, h, w).
    carried: Vec<f32>,
}

impl LongTerm {
    pub fn new(size: Size, flow: DisSettings, reliability: ReliabilitySettings) -> Self {
        let planes = || vec![0.0; 3 * size.area()];
        let past = || Past { luma: Plane::new(size), difference: planes(), age: vec![0.0; size.area()] };
        LongTerm {
            past: [past(), past(), past(), past()],
            newest: 0,
            known: 0,
            current: Plane::new(size),
            flow: DisFlow::new(size, flow),
            reliability: Reliability::new(size, reliability),
            splines: SplineWarp::new(size),
            carried: planes(),
        }
    }

    /// A scene begins: there is no past.
    pub fn forget(&mut self) {
        self.known = 0;
    }

    /// Takes in the frame painted last: RGB, (3, h, w), its painted difference alike, and the paint's age, (h, w).
    pub fn remember(&mut self, frame: &[f32], difference: &[f32], age: &[f32]) {
        self.newest = (self.newest + 1) % KEPT;
        let past = &mut self.past[self.newest];
        past.luma.set_luma(frame);
        past.difference.copy_from_slice(difference);
        past.age.copy_from_slice(age);
        self.known = (self.known + 1).min(KEPT);
    }

    /// Where `mask` (h, w) is low and a farther frame is reliable, takes the difference (3, h, w) and the age from there,
    /// and raises the mask. `frame` is the present one, RGB, (3, h, w).
    pub fn fill(
        &mut self,
        threads: &dyn Parallel,
        frame: &[f32],
        mask: &mut [f32],
        difference: &mut [f32],
        age: &mut [f32],
    ) -> Result<()> {
        self.current.set_luma(frame);
        for distance in DISTANCES {
            let unexplained = mask.iter().map(|c| 1.0 - c).sum::<f32>() / mask.len().max(1) as f32;
            if self.known < distance || unexplained < WORTH {
                return Ok(());
            }
            let past = &self.past[(self.newest + KEPT + 1 - distance) % KEPT];
            let pair = self.flow.compute(&past.luma, &self.current)?;
            self.reliability.compute(threads, &past.luma, &self.current, pair)?;
            let found = self.reliability.mask();
            self.splines.warp(threads, &past.difference, &pair.backward, &mut self.carried);
            for (to, from) in difference.chunks_exact_mut(mask.len()).zip(self.carried.chunks_exact(mask.len())) {
                for (((to, from), found), nearer) in to.iter_mut().zip(from).zip(found).zip(&*mask) {
                    *to += (found - nearer).max(0.0) * (from - *to);
                }
            }
            let carried = &mut self.carried[..mask.len()];
            warp(&past.age, &pair.backward, Kernel::Bilinear, carried);
            for (((to, from), found), nearer) in age.iter_mut().zip(carried).zip(found).zip(&mut *mask) {
                let long = (found - *nearer).max(0.0);
                *to += long * (*from - *to);
                *nearer += long;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::Serial;

    const SIZE: Size = Size::new(96, 64);

    fn texture(x: usize, y: usize) -> f32 {
        let (x, y) = (x as f32, y as f32);
        0.5 + 0.2 * (x * 0.23).sin() * (y * 0.19).cos() + 0.15 * (x * 0.07 + y * 0.31).sin()
    }

    /// A still ground; a flat bar stands before it, wide enough to hide what is behind it from the flow.
    fn frame(bar: Option<usize>) -> Vec<f32> {
        let at = |i: usize| {
            let (x, y) = (i % SIZE.width, i / SIZE.width);
            if bar.is_some_and(|left| (left..left + 20).contains(&x)) { 0.95 } else { texture(x, y) }
        };
        let plane: Vec<f32> = (0..SIZE.area()).map(at).collect();
        [plane.clone(), plane.clone(), plane].concat()
    }

    #[test]
    fn paint_comes_back_from_behind_what_hid_it() {
        let mut memory = LongTerm::new(SIZE, DisSettings::GOOD, ReliabilitySettings::default());
        // Two frames ago the ground was free, then the bar stood in the middle.
        let (ground, bar) = (0.3, -0.2);
        memory.remember(&frame(None), &vec![ground; 3 * SIZE.area()], &vec![50.0; SIZE.area()]);
        memory.remember(&frame(Some(40)), &vec![bar; 3 * SIZE.area()], &vec![7.0; SIZE.area()]);
        let hidden = |i: usize| (40..60).contains(&(i % SIZE.width));
        let mut mask: Vec<f32> = (0..SIZE.area()).map(|i| if hidden(i) { 0.0 } else { 1.0 }).collect();
        let (mut difference, mut age) = (vec![bar; 3 * SIZE.area()], vec![7.0; SIZE.area()]);
        memory.fill(&Serial, &frame(None), &mut mask, &mut difference, &mut age).expect("sizes agree");
        for i in 0..SIZE.area() {
            let (paint, years) = if hidden(i) { (ground, 50.0) } else { (bar, 7.0) };
            assert!((difference[i] - paint).abs() < 0.02, "pixel {i}: {} where {paint} was painted", difference[i]);
            assert!((age[i] - years).abs() < 2.0 && mask[i] > 0.9, "pixel {i}: age {}, mask {}", age[i], mask[i]);
        }
    }

    #[test]
    fn there_is_no_past_before_a_scene() {
        let mut memory = LongTerm::new(SIZE, DisSettings::FAST, ReliabilitySettings::default());
        let area = SIZE.area();
        for _ in 0..4 {
            memory.remember(&frame(None), &vec![0.3; 3 * area], &vec![50.0; area]);
        }
        memory.forget();
        memory.remember(&frame(None), &vec![0.3; 3 * area], &vec![50.0; area]);
        let (mut mask, mut difference, mut age) = (vec![0.0; area], vec![0.1; 3 * area], vec![1.0; area]);
        memory.fill(&Serial, &frame(None), &mut mask, &mut difference, &mut age).expect("sizes agree");
        assert!(difference.iter().all(|d| *d == 0.1) && mask.iter().all(|c| *c == 0.0));
    }
}
