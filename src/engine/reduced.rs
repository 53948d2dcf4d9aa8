//! The objective on half of the picture: large figures need no more, and it costs a quarter.
//!
//! `J(A x)`, A the reduction to half of the width and height, has the gradient `A^T J'(A x)`. A is the tent
//! `(1, 3, 3, 1) / 8` across and down, the border repeated: its transpose is smooth, where that of a mean over two by two
//! pixels would leave squares in the picture.

use ndarray::{Array3, ArrayView3, ArrayViewMut3};

use super::{Losses, Objective, Weights};
use crate::{cost::style::StyleTarget, dispatch::wide, error::Result, frame::Size, tensor};

/// An objective for pictures of twice the width and height.
pub struct Reduced {
    inner: Box<dyn Objective + Send>,
    size: Size,
    picture: Array3<f32>,
    gradient: Array3<f32>,
    /// Scratch: rows at half of the height, and one with what is beside it.
    rows: Vec<f32>,
    row: Vec<f32>,
}

/// The size of half the picture, at least one pixel of it.
pub fn half(size: Size) -> Size {
    Size::new(size.width.div_ceil(2), size.height.div_ceil(2))
}

impl Reduced {
    /// For pictures of this size; `inner` is for [`half`](half()) of it.
    pub fn new(inner: Box<dyn Objective + Send>, size: Size) -> Self {
        let small = half(size);
        Reduced {
            inner,
            size,
            picture: tensor::zeros(small),
            gradient: tensor::zeros(small),
            rows: vec![0.0; size.width * small.height],
            row: vec![0.0; 2 * small.width + 2],
        }
    }

    /// A x
    fn reduce(&mut self, picture: ArrayView3<f32>) {
        let picture = picture.as_standard_layout();
        let small = half(self.size);
        let planes = picture.as_slice().expect("standard layout").chunks_exact(self.size.area());
        let out = self.picture.as_slice_mut().expect("tensors here are contiguous").chunks_exact_mut(small.area());
        for (from, to) in planes.zip(out) {
            shrink(from, to, &mut self.rows, &mut self.row, self.size);
        }
    }
}

impl Objective for Reduced {
    fn set_weights(&mut self, weights: Weights) {
        self.inner.set_weights(weights);
    }

    /// The painting's Grams at half of the size.
    fn set_style(&mut self, targets: Vec<StyleTarget>) {
        self.inner.set_style(targets);
    }

    fn set_content(&mut self, frame: ArrayView3<f32>) -> Result<()> {
        self.reduce(frame);
        self.inner.set_content(self.picture.view())
    }

    fn evaluate(&mut self, picture: ArrayView3<f32>, mut gradient: ArrayViewMut3<f32>) -> Result<&Losses> {
        self.reduce(picture);
        let losses = self.inner.evaluate(self.picture.view(), self.gradient.view_mut())?;
        let small = half(self.size);
        let planes = self.gradient.as_slice().expect("tensors here are contiguous").chunks_exact(small.area());
        let out = gradient.as_slice_mut().expect("a gradient in standard layout").chunks_exact_mut(self.size.area());
        for (from, to) in planes.zip(out) {
            spread(from, to, &mut self.rows, self.size);
        }
        Ok(losses)
    }
}

/// The weights of the tent: of the two pixels that a small one covers, and of those beside them.
const COVERED: f32 = 0.375;
const BESIDE: f32 = 0.125;

wide! {
    /// A plane times A.
    fn shrink(from: &[f32], to: &mut [f32], rows: &mut [f32], row: &mut [f32], size: Size) {
        let (Size { width, height }, small) = (size, half(size));
        for (y, out) in rows.chunks_exact_mut(width).enumerate() {
            let line = |at: usize| &from[at.min(height - 1) * width..][..width];
            let (above, upper) = (line((2 * y).saturating_sub(1)), line(2 * y));
            let (lower, below) = (line(2 * y + 1), line(2 * y + 2));
            for x in 0..width {
                out[x] = COVERED * (upper[x] + lower[x]) + BESIDE * (above[x] + below[x]);
            }
        }
        for (from, to) in rows.chunks_exact(width).zip(to.chunks_exact_mut(small.width)) {
            // With the border repeated: pixel x is at x + 1.
            row[1..=width].copy_from_slice(from);
            row[0] = from[0];
            row[width + 1..].fill(from[width - 1]);
            let pairs = row[1..].chunks_exact(2).zip(row.chunks_exact(2)).zip(row[2..].chunks_exact(2));
            // Two by two: (x, x + 1), (x - 1, x), (x + 1, x + 2).
            for (out, ((covered, before), after)) in to.iter_mut().zip(pairs) {
                *out = COVERED * (covered[0] + covered[1]) + BESIDE * (before[0] + after[1]);
            }
        }
    }
}

wide! {
    /// A plane times A^T: what each pixel gave, the border's repetitions included.
    fn spread(from: &[f32], to: &mut [f32], rows: &mut [f32], size: Size) {
        let (Size { width, height }, small) = (size, half(size));
        for (from, out) in from.chunks_exact(small.width).zip(rows.chunks_exact_mut(width)) {
            spread_row(from, out);
        }
        for (y, out) in to.chunks_exact_mut(width).enumerate() {
            let line = |at: usize| &rows[at * width..][..width];
            let (own, weight) = (line(y / 2), share(y, height));
            let near = if y % 2 == 0 { (y / 2).checked_sub(1) } else { Some(y / 2 + 1).filter(|&at| at < small.height) };
            match near {
                Some(near) => {
                    let near = line(near);
                    for x in 0..width {
                        out[x] = weight * own[x] + BESIDE * near[x];
                    }
                }
                None => out.iter_mut().zip(own).for_each(|(out, own)| *out = weight * own),
            }
        }
    }
}

#[inline(always)]
fn spread_row(from: &[f32], out: &mut [f32]) {
    let (width, last) = (out.len(), from.len() - 1);
    for (k, pair) in out.chunks_mut(2).enumerate() {
        pair[0] = COVERED * from[k] + BESIDE * from[k.saturating_sub(1)];
        if let Some(second) = pair.get_mut(1) {
            *second = COVERED * from[k] + BESIDE * from[(k + 1).min(last)];
        }
    }
    for x in [0, width.saturating_sub(2), width - 1] {
        let near = if x % 2 == 0 { (x / 2).checked_sub(1) } else { Some(x / 2 + 1).filter(|&k| k <= last) };
        out[x] = share(x, width) * from[x / 2] + near.map_or(0.0, |near| BESIDE * from[near]);
    }
}

/// What a pixel of a side of so many gives to the small one that covers it, in all: the border's give for those beyond it too.
#[inline(always)]
fn share(at: usize, side: usize) -> f32 {
    let small = at / 2;
    let reads =
        [(2 * small).saturating_sub(1), 2 * small, (2 * small + 1).min(side - 1), (2 * small + 2).min(side - 1)];
    let weights = [BESIDE, COVERED, COVERED, BESIDE];
    reads.iter().zip(weights).map(|(&read, weight)| if read == at { weight } else { 0.0 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u64, count: usize) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..count).map(|_| random.f32() - 0.5).collect()
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    #[test]
    fn the_way_back_is_the_transpose_of_the_way_there() {
        for size in [(8, 6), (7, 5), (1, 1), (2, 1), (1, 4), (3, 9), (66, 34)].map(|(w, h)| Size::new(w, h)) {
            let small = half(size);
            let (x, y) = (numbers(1, size.area()), numbers(2, small.area()));
            let (mut reduced, mut spread_out) = (vec![0.0; small.area()], vec![f32::NAN; size.area()]);
            let (mut rows, mut row) = (vec![0.0; size.width * small.height], vec![0.0; 2 * small.width + 2]);
            shrink(&x, &mut reduced, &mut rows, &mut row, size);
            spread(&y, &mut spread_out, &mut rows, size);
            let (there, back) = (dot(&reduced, &y), dot(&x, &spread_out));
            assert!((there - back).abs() < 1e-6, "{size}: {there} and {back}");
        }
    }

    #[test]
    fn a_flat_picture_stays_what_it_is() {
        let size = Size::new(9, 4);
        let (mut rows, mut row) = (vec![0.0; 18], vec![0.0; 12]);
        let mut reduced = vec![0.0; 10];
        shrink(&[0.3; 36], &mut reduced, &mut rows, &mut row, size);
        assert!(reduced.iter().all(|value| (value - 0.3).abs() < 1e-6), "{reduced:?}");
    }

    /// Half the sum of squares of a picture, as far from the frame as it is.
    struct Bowl(Array3<f32>, Losses);

    impl Objective for Bowl {
        fn set_weights(&mut self, _: Weights) {}
        fn set_style(&mut self, _: Vec<StyleTarget>) {}
        fn set_content(&mut self, frame: ArrayView3<f32>) -> Result<()> {
            self.0 = frame.to_owned();
            Ok(())
        }
        fn evaluate(&mut self, picture: ArrayView3<f32>, mut gradient: ArrayViewMut3<f32>) -> Result<&Losses> {
            gradient.assign(&(&picture - &self.0));
            self.1.total = gradient.iter().map(|&d| 0.5 * f64::from(d).powi(2)).sum();
            Ok(&self.1)
        }
    }

    #[test]
    fn its_gradient_is_the_slope_of_its_value() {
        let (width, height) = (7, 5);
        let shape = (3, height, width);
        let tensor = |seed| Array3::from_shape_vec(shape, numbers(seed, 3 * width * height)).expect("that many");
        let mut reduced =
            Reduced::new(Box::new(Bowl(Array3::zeros((0, 0, 0)), Losses::default())), Size::new(width, height));
        reduced.set_content(tensor(5).view()).expect("sizes agree");
        let (mut x, way) = (tensor(6), tensor(7));
        let mut gradient = Array3::zeros(shape);
        reduced.evaluate(x.view(), gradient.view_mut()).expect("sizes agree");
        let along = f64::from((&gradient * &way).sum());
        let mut scratch = Array3::zeros(shape);
        let mut value = |x: &Array3<f32>| reduced.evaluate(x.view(), scratch.view_mut()).expect("sizes agree").total;
        let step = 1e-2;
        x.scaled_add(step, &way);
        let after = value(&x);
        x.scaled_add(-2.0 * step, &way);
        let slope = (after - value(&x)) / f64::from(2.0 * step);
        assert!((slope - along).abs() < 1e-3 * along.abs(), "{slope} and {along}");
    }
}
