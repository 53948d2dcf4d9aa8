//! The composing stage: every frame of the source at full size, with the newest paint on it, as the user wants to see it.
//!
//! It never waits for the painter: the window runs at the source's rate, if need be with older paint.

use std::{sync::Arc, time::Instant};

use super::{
    Shot, Shown, TICK,
    carry::Carry,
    paint::Painted,
    panel::{Controls, Panel, View},
};
use crate::{
    error::Result,
    frame::{Frame, FramePool, Size},
    pipeline::link::{Newest, Receiver, Sender},
    post::Compositor,
    tensor::{Filter, Resampler},
};

pub(super) struct Compose {
    pub panel: Arc<Panel>,
    pub detail: f64,
    /// How many there are for all the work; 0 is one for each core.
    pub threads: usize,
    pub began: Instant,
    pub inbox: Receiver<Arc<Shot>>,
    pub painted: Receiver<Painted>,
    /// Who gets the newest: the window, the virtual camera.
    pub outlets: Vec<Newest<Arc<Shown>>>,
    /// Who gets every one, as long as it keeps up.
    pub recorder: Sender<Arc<Shown>>,
    /// Who gets the one that is seen when the user wants to keep it.
    pub album: Sender<Arc<Shown>>,
}

/// What the controls say of how a frame looks.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    view: View,
    mirror: bool,
    keep_colours: bool,
}

impl Look {
    fn of(controls: &Controls) -> Self {
        Look { view: controls.view, mirror: controls.mirror, keep_colours: controls.keep_colours }
    }
}

/// Buffers and tools that stay from frame to frame.
struct Tools {
    resampler: Resampler,
    compositor: Compositor,
    carry: Option<Carry>,
    threads: usize,
    content: Vec<u8>,
    picture: Vec<u8>,
    half: [Vec<u8>; 2],
}

impl Compose {
    pub fn run(self) -> Result<()> {
        let pool = FramePool::new();
        let mut tools = Tools {
            resampler: Resampler::new(),
            compositor: Compositor::new(self.detail),
            carry: None,
            threads: self.threads,
            content: Vec::new(),
            picture: Vec::new(),
            half: Default::default(),
        };
        let mut newest: Option<Painted> = None;
        let mut still: Option<(Arc<Shot>, Look)> = None;
        let mut seen: Option<Arc<Shown>> = None;
        let (mut last_pts, mut skipped, mut snapshots) = (-1, 0, 0);
        while !self.panel.is_stopping() {
            let Ok(arrived) = self.inbox.receive_within(TICK) else { break };
            let missed = self.inbox.replaced_since(&mut skipped);
            self.panel.meter.drop_count(|drops| drops.compose += missed);
            let controls = self.panel.controls();
            let look = Look::of(&controls);
            self.keep(seen.as_ref(), &controls, &mut snapshots);
            // While paused, the same frame is shown again if it is to look different.
            let (shot, at) = match (arrived, &still) {
                (Some(shot), _) if !controls.paused => (Arc::clone(&shot), shot.at),
                (_, Some((shot, before))) if controls.paused && *before != look => (Arc::clone(shot), Instant::now()),
                _ => continue,
            };
            if !controls.paused
                && let Ok(Some(painted)) = self.painted.try_receive()
            {
                newest = Some(painted);
            }
            let began = Instant::now();
            let mut frame = pool.frame(shot.frame.size(), 0);
            tools.compose(&shot, newest.as_ref(), &controls, &mut frame)?;
            // Microseconds since the start, never twice the same.
            let time = at.saturating_duration_since(self.began).as_micros() as i64;
            last_pts = time.max(last_pts + 1);
            frame.pts = last_pts;
            frame.duration = shot.period.as_micros() as i64;
            let age = newest.as_ref().map(|painted| at.saturating_duration_since(painted.at) + at.elapsed());
            self.panel.meter.composed(began.elapsed(), age);
            let shown = Arc::new(Shown { frame, captured: at, record: controls.recording });
            self.hand_on(&shown);
            seen = Some(shown);
            still = Some((shot, look));
        }
        // A snapshot that was asked for just before the end.
        self.keep(seen.as_ref(), &self.panel.controls(), &mut snapshots);
        Ok(())
    }

    /// Hands on what is seen if one more snapshot was asked for; before the first frame it is of that one.
    fn keep(&self, seen: Option<&Arc<Shown>>, controls: &Controls, snapshots: &mut u64) {
        if let Some(seen) = seen.filter(|_| controls.snapshots != *snapshots) {
            *snapshots = controls.snapshots;
            // Where there is no room, many were asked for within a moment.
            let _ = self.album.offer(Arc::clone(seen));
        }
    }

    fn hand_on(&self, shown: &Arc<Shown>) {
        if self.recorder.offer(Arc::clone(shown)) == Ok(false) {
            self.panel.meter.drop_count(|drops| drops.record += 1);
        }
        self.outlets.iter().for_each(|outlet| outlet.put(Arc::clone(shown)));
    }
}

impl Tools {
    fn compose(&mut self, shot: &Shot, painted: Option<&Painted>, controls: &Controls, out: &mut Frame) -> Result<()> {
        let frame = &shot.frame;
        out.pixels_mut().copy_from_slice(frame.pixels());
        if let Some(painted) = painted.filter(|_| controls.view != View::Original) {
            self.compositor.keep_colours = controls.keep_colours;
            self.paint(shot, painted, out)?;
            match controls.view {
                View::Split => left_half(frame, out),
                View::SideBySide => self.side_by_side(frame, out),
                View::Painted | View::Original => {}
            }
        }
        if controls.mirror {
            mirror(out);
        }
        Ok(())
    }

    /// The paint on the frame: as it was painted if it is that very frame, otherwise carried.
    fn paint(&mut self, shot: &Shot, painted: &Painted, out: &mut Frame) -> Result<()> {
        let (full, small) = (out.size(), painted.content.size());
        if painted.at == shot.at {
            self.compositor.compose(out, painted.picture.pixels(), painted.content.pixels(), small);
            return Ok(());
        }
        self.content.resize(3 * small.area(), 0);
        self.picture.resize(3 * small.area(), 0);
        self.resampler.resample(shot.frame.pixels(), full, &mut self.content, small, Filter::Area);
        let carry = match self.carry.take().filter(|carry| carry.size() == small) {
            Some(carry) => self.carry.insert(carry),
            None => self.carry.insert(Carry::new(small, self.threads)),
        };
        carry.carry(painted, &self.content, &mut self.picture)?;
        self.compositor.compose(out, &self.picture, &self.content, small);
        Ok(())
    }

    /// The frame on the left and what is painted on the right, each at half its size, on black.
    fn side_by_side(&mut self, frame: &Frame, out: &mut Frame) {
        let full = out.size();
        let half = Size::new((full.width / 2).max(1), (full.height / 2).max(1));
        let [left, right] = &mut self.half;
        for (from, to) in [(frame.pixels(), &mut *left), (out.pixels(), &mut *right)] {
            to.resize(3 * half.area(), 0);
            self.resampler.resample(from, full, to, half, Filter::Area);
        }
        let pixels = out.pixels_mut();
        pixels.fill(0);
        let (row, stride) = (3 * half.width, 3 * full.width);
        let top = (full.height - half.height) / 2;
        for (y, (left, right)) in left.chunks_exact(row).zip(right.chunks_exact(row)).enumerate() {
            let to = &mut pixels[(top + y) * stride..][..stride];
            to[..row].copy_from_slice(left);
            to[stride - row..].copy_from_slice(right);
        }
    }
}

/// The frame as it is on the left, with a white line where the painted half begins.
fn left_half(frame: &Frame, out: &mut Frame) {
    let row = 3 * out.size().width;
    let half = 3 * (out.size().width / 2);
    for (to, from) in out.pixels_mut().chunks_exact_mut(row).zip(frame.pixels().chunks_exact(row)) {
        to[..half].copy_from_slice(&from[..half]);
        to[half..].iter_mut().take(3).for_each(|value| *value = 255);
    }
}

fn mirror(frame: &mut Frame) {
    let row = 3 * frame.size().width;
    for row in frame.pixels_mut().chunks_exact_mut(row) {
        let width = row.len() / 3;
        for x in 0..width / 2 {
            for channel in 0..3 {
                row.swap(3 * x + channel, 3 * (width - 1 - x) + channel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirrored_row_is_reversed_by_pixels() {
        let mut frame = Frame::new(Size::new(3, 1), vec![1, 2, 3, 4, 5, 6, 7, 8, 9], 0);
        mirror(&mut frame);
        assert_eq!(frame.pixels(), [7, 8, 9, 4, 5, 6, 1, 2, 3]);
    }

    #[test]
    fn the_split_shows_the_frame_on_the_left() {
        let frame = Frame::new(Size::new(4, 1), vec![9; 12], 0);
        let mut out = Frame::new(Size::new(4, 1), vec![1; 12], 0);
        left_half(&frame, &mut out);
        assert_eq!(out.pixels(), [9, 9, 9, 9, 9, 9, 255, 255, 255, 1, 1, 1]);
    }
}
