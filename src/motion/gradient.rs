//! The gradient of a plane: central differences, the border repeated.

use crate::{dispatch::wide, frame::Size};

/// Squared length of the gradient at one pixel, the one `at` column `x` of row `y`.
#[inline(always)]
pub(crate) fn slope(plane: &[f32], at: usize, x: usize, y: usize, size: Size) -> f32 {
    let (left, right) = (at - usize::from(x > 0), at + usize::from(x + 1 < size.width));
    let above = if y > 0 { at - size.width } else { at };
    let below = if y + 1 < size.height { at + size.width } else { at };
    let (dx, dy) = (0.5 * (plane[right] - plane[left]), 0.5 * (plane[below] - plane[above]));
    dx * dx + dy * dy
}

wide! {
    /// Length of the gradient at each pixel of the rows from `top` on.
    pub(crate) fn gradient(plane: &[f32], top: usize, out: &mut [f32], size: Size) {
        for (y, out) in (top..).zip(out.chunks_exact_mut(size.width)) {
            gradient_of_row(plane, y, out, size);
        }
    }
}

/// The same in one row.
#[inline(always)]
pub(crate) fn gradient_of_row(plane: &[f32], y: usize, out: &mut [f32], size: Size) {
    let Size { width, height } = size;
    let here = &plane[y * width..][..width];
    let above = &plane[y.saturating_sub(1) * width..][..width];
    let below = &plane[(y + 1).min(height - 1) * width..][..width];
    for x in [0, width - 1] {
        out[x] = slope(plane, y * width + x, x, y, size).sqrt();
    }
    let inner = width.saturating_sub(2);
    if inner == 0 {
        return;
    }
    let (left, right) = (&here[..inner], &here[2..]);
    let (above, below, out) = (&above[1..=inner], &below[1..=inner], &mut out[1..=inner]);
    for x in 0..inner {
        let (dx, dy) = (0.5 * (right[x] - left[x]), 0.5 * (below[x] - above[x]));
        out[x] = (dx * dx + dy * dy).sqrt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_what_their_pixels_are() {
        for (width, height) in [(1, 1), (2, 3), (37, 5)] {
            let size = Size::new(width, height);
            let plane: Vec<f32> = (0..size.area()).map(|i| (0.7 * (i * i) as f32).sin()).collect();
            for top in 0..height {
                let mut out = vec![0.0; (height - top) * width];
                gradient(&plane, top, &mut out, size);
                let pixel = |i: usize| slope(&plane, i, i % width, i / width, size).sqrt();
                assert!((top * width..size.area()).map(pixel).eq(out), "{size} from row {top}");
            }
        }
    }
}
