//! Means over squares.

use super::dispatch::wide;
use crate::frame::Size;

/// Pixels whose sums stay in registers.
const ABREAST: usize = 32;

wide! {
    /// Means of a plane over squares of side `2 radius + 1`, the border repeated. `row` is a buffer.
    pub(crate) fn box_mean(from: &[f32], out: &mut [f32], row: &mut Vec<f32>, size: Size, radius: usize) {
        let Size { width, height } = size;
        let share = 1.0 / ((2 * radius + 1) * (2 * radius + 1)) as f32;
        row.resize(width + 2 * radius, 0.0);
        for (y, out) in out.chunks_exact_mut(width.max(1)).enumerate() {
            // Down the columns around this row, which is then continued to either side.
            for x in (0..width).step_by(ABREAST) {
                let count = (width - x).min(ABREAST);
                let mut sums = [0.0; ABREAST];
                for near in 0..=2 * radius {
                    let near = (y + near).saturating_sub(radius).min(height - 1);
                    add(&mut sums, &from[near * width + x..], count);
                }
                row[radius + x..][..count].copy_from_slice(&sums[..count]);
            }
            let (first, last) = (row[radius], row[radius + width - 1]);
            row[..radius].fill(first);
            row[radius + width..].fill(last);
            for x in (0..width).step_by(ABREAST) {
                let count = (width - x).min(ABREAST);
                let mut sums = [0.0; ABREAST];
                for near in 0..=2 * radius {
                    add(&mut sums, &row[x + near..], count);
                }
                for (out, sum) in out[x..x + count].iter_mut().zip(&sums) {
                    *out = share * sum;
                }
            }
        }
    }
}

/// Adds the first `count` values.
#[inline(always)]
fn add(sums: &mut [f32; ABREAST], values: &[f32], count: usize) {
    match values.first_chunk::<ABREAST>() {
        Some(values) if count == ABREAST => {
            for i in 0..ABREAST {
                sums[i] += values[i];
            }
        }
        _ => sums.iter_mut().zip(&values[..count]).for_each(|(sum, value)| *sum += value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_mean_of_the_square_with_the_border_repeated() {
        for (size, radius) in [(Size::new(5, 7), 1), (Size::new(70, 9), 4), (Size::new(3, 2), 5), (Size::new(33, 1), 2)]
        {
            let mut random = fastrand::Rng::with_seed(size.width as u64);
            let plane: Vec<f32> = (0..size.area()).map(|_| random.f32()).collect();
            let mut out = vec![0.0; size.area()];
            box_mean(&plane, &mut out, &mut Vec::new(), size, radius);
            for (i, found) in out.iter().enumerate() {
                let near = |at: usize, side: usize| {
                    (0..=2 * radius).map(move |k| (at + k).saturating_sub(radius).min(side - 1))
                };
                let (x, y) = (i % size.width, i / size.width);
                let sum: f32 = near(y, size.height)
                    .flat_map(|y| near(x, size.width).map(move |x| y * size.width + x))
                    .map(|at| plane[at])
                    .sum();
                let expected = sum / ((2 * radius + 1) as f32).powi(2);
                assert!((found - expected).abs() < 1e-5, "{size}, radius {radius}, ({x}, {y}): {found} for {expected}");
            }
        }
    }
}
