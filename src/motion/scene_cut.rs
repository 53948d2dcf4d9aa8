//! Finds where one scene ends and another begins: the motion explains nothing any more, and the picture is another one.
//!
//! The first alone would take a flash of light for a cut, the second alone a fast pan.

use super::{Plane, Reliability};
use crate::{dispatch::wide, error::Result, frame::Size};

/// Size of the thumbnails whose likeness is measured.
const GRID: Size = Size::new(16, 12);
/// Mean difference of luma, over what is not still, that no motion explains. On the test clips cuts have 0.11 and more,
/// everything else 0.025 and less.
const UNEXPLAINED: f32 = 0.05;
/// The same against its running mean: wild scenes must not be cut at every frame.
const SURPRISE: f32 = 2.5;
/// (1 - correlation of the thumbnails) / 2: cuts 0.044 and more, flashes near 0.
const DISSIMILAR: f32 = 0.025;
/// Share of a frame in its running mean.
const MEMORY: f32 = 0.2;
/// The least part of a picture that is judged: what little moves in a still scene may do so badly.
const LEAST_MOVING: f32 = 0.3;

/// A detector of cuts in a sequence of luma planes.
pub struct SceneCut {
    previous: Vec<f32>,
    current: Vec<f32>,
    /// Running mean of what was unexplained; none before a scene's first pair.
    usual: Option<f32>,
}

impl Default for SceneCut {
    fn default() -> Self {
        Self::new()
    }
}

impl SceneCut {
    pub fn new() -> Self {
        SceneCut { previous: vec![0.0; GRID.area()], current: vec![0.0; GRID.area()], usual: None }
    }

    /// The next pair begins a scene.
    pub fn forget(&mut self) {
        self.usual = None;
    }

    /// Whether a cut lies between two neighbouring frames (luma in `[0, 1]`), given what `reliability` found between
    /// them. Pairs are to be shown in order.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`](crate::Error::SizeMismatch) when the planes differ in size.
    pub fn between(&mut self, previous: &Plane, current: &Plane, reliability: &Reliability) -> Result<bool> {
        current.expect_size(previous.size())?;
        shrink(previous, &mut self.previous);
        shrink(current, &mut self.current);
        let moving = (1.0 - reliability.mean_still()).max(LEAST_MOVING);
        let unexplained = reliability.mean_residual() / moving;
        let usual = *self.usual.get_or_insert(unexplained.min(UNEXPLAINED / SURPRISE));
        let cut = unexplained > UNEXPLAINED.max(SURPRISE * usual)
            && dissimilarity(&self.previous, &self.current) > DISSIMILAR;
        self.usual = if cut { None } else { Some(usual + MEMORY * (unexplained - usual)) };
        Ok(cut)
    }
}

/// Half of 1 - correlation: 0 for the same picture at any brightness and contrast, 1/2 for unrelated ones.
fn dissimilarity(a: &[f32], b: &[f32]) -> f32 {
    let mean = |t: &[f32]| t.iter().sum::<f32>() / t.len() as f32;
    let (ma, mb) = (mean(a), mean(b));
    let (ab, aa, bb) = a.iter().zip(b).fold((0.0, 0.0, 0.0), |(ab, aa, bb), (x, y)| {
        let (x, y) = (x - ma, y - mb);
        (ab + x * y, aa + x * x, bb + y * y)
    });
    // Two flat pictures are alike; a variance under (1/255)^2 a cell is flat.
    let flat = GRID.area() as f32 / (255.0 * 255.0);
    0.5 * (1.0 - (ab + flat) / ((aa + flat) * (bb + flat)).sqrt())
}

/// Means over the cells of the grid; pixel `x` of a row belongs to cell `x * GRID.width / width`, rows alike.
fn shrink(plane: &Plane, thumbnail: &mut [f32]) {
    let Size { width, height } = plane.size();
    let first = |cell: usize, cells: usize, side: usize| (cell * side).div_ceil(cells);
    let mut columns = vec![0.0; width];
    for (row, cells) in thumbnail.chunks_exact_mut(GRID.width).enumerate() {
        let rows = first(row, GRID.height, height)..first(row + 1, GRID.height, height);
        columns.fill(0.0);
        down(&plane.data()[rows.start * width..rows.end * width], &mut columns);
        for (cell, mean) in cells.iter_mut().enumerate() {
            let columns = &columns[first(cell, GRID.width, width)..first(cell + 1, GRID.width, width)];
            *mean = columns.iter().sum::<f32>() / (columns.len() * rows.len()).max(1) as f32;
        }
    }
}

wide! {
    /// Adds rows to the sums of their columns.
    fn down(rows: &[f32], columns: &mut [f32]) {
        for row in rows.chunks_exact(columns.len()) {
            for (sum, value) in columns.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        motion::{DisFlow, DisSettings, Flow, ReliabilitySettings},
        threads::Serial,
    };

    const SIZE: Size = Size::new(160, 90);

    fn scene(seed: f32, shift: f32, light: f32) -> Plane {
        let at = |i: usize| {
            let (x, y) = ((i % SIZE.width) as f32 + shift, (i / SIZE.width) as f32);
            let waves = (1..7).map(|k| {
                let k = k as f32;
                let (fx, fy) = ((seed * 12.9 + k * 4.1).sin() * 0.08 * k, (seed * 7.7 + k * 2.3).cos() * 0.08 * k);
                (x * fx + y * fy + seed * k).sin() / k
            });
            0.45 + 0.15 * waves.sum::<f32>() + light
        };
        Plane::from_vec(SIZE, (0..SIZE.area()).map(at).collect())
    }

    fn cuts(frames: &[Plane]) -> Vec<usize> {
        let mut flow = DisFlow::new(SIZE, DisSettings::FAST);
        let mut reliability = Reliability::new(SIZE, ReliabilitySettings::default());
        let mut detector = SceneCut::new();
        let mut found = Vec::new();
        for (index, pair) in frames.windows(2).enumerate() {
            reliability.compute(&Serial, &pair[0], &pair[1], flow.compute(&pair[0], &pair[1]).unwrap()).unwrap();
            if detector.between(&pair[0], &pair[1], &reliability).unwrap() {
                found.push(index + 1);
            }
        }
        found
    }

    #[test]
    fn cuts_are_found_where_they_are() {
        let frame = |i: usize| scene((i / 5) as f32 + 1.0, 2.0 * i as f32, 0.0);
        assert_eq!(cuts(&(0..20).map(frame).collect::<Vec<_>>()), [5, 10, 15]);
    }

    #[test]
    fn a_fast_pan_and_a_flash_are_no_cuts() {
        let pan: Vec<_> = (0..12).map(|i| scene(1.0, 11.0 * i as f32, 0.0)).collect();
        assert!(cuts(&pan).is_empty());
        let flash: Vec<_> = (0..12).map(|i| scene(1.0, i as f32, if i == 6 { 0.25 } else { 0.0 })).collect();
        assert!(cuts(&flash).is_empty());
    }
}
