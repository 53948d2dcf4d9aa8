//! Where the pixels of a stretch of a row come from, worked out together before their values are fetched.

use crate::frame::Size;

/// Pixels that are worked on together.
pub(crate) const TOGETHER: usize = 64;

/// For each pixel of a stretch: the pixel at or before the place that the flow tells, and the way on from there, in `[0, 1)`.
///
/// Without a branch: where nothing much moves a snapped place is a matter of chance, which no processor predicts.
pub(crate) struct Places {
    pub left: [i32; TOGETHER],
    pub top: [i32; TOGETHER],
    pub fx: [f32; TOGETHER],
    pub fy: [f32; TOGETHER],
    /// Of that pixel in its plane; and how far from it the next to the right and the one below are, 0 at the border.
    from: [i32; TOGETHER],
    right: [i32; TOGETHER],
    below: [i32; TOGETHER],
}

impl Places {
    pub fn new() -> Self {
        let (whole, fraction) = ([0; TOGETHER], [0.0; TOGETHER]);
        let (left, top, from, right, below) = (whole, whole, whole, whole, whole);
        Places { left, top, fx: fraction, fy: fraction, from, right, below }
    }

    /// Of the pixels from `(x, y)` on, as many as `u` and `v` have. What is nearer than `snap` to a pixel's centre is that pixel.
    #[inline(always)]
    pub fn find(&mut self, (x, y): (usize, usize), u: &[f32], v: &[f32], size: Size, snap: f32) {
        let (width, height) = (size.width as i32, size.height as i32);
        let count = u.len().min(v.len()).min(TOGETHER);
        for k in 0..count {
            let (left, fx) = split((x + k) as f32 + u[k], width, snap);
            let (top, fy) = split(y as f32 + v[k], height, snap);
            (self.left[k], self.top[k], self.fx[k], self.fy[k]) = (left, top, fx, fy);
            self.from[k] = top * width + left;
            self.right[k] = i32::from(left + 1 < width);
            self.below[k] = if top + 1 < height { width } else { 0 };
        }
    }

    /// Indices of the two by two pixels around a place: upper left and right, lower left and right.
    #[inline(always)]
    pub fn four(&self, k: usize) -> [usize; 4] {
        let (from, right, below) = (self.from[k] as usize, self.right[k] as usize, self.below[k] as usize);
        [from, from + right, from + below, from + below + right]
    }

    /// The value of a plane there, bilinear.
    #[inline(always)]
    pub fn bilinear(&self, plane: &[f32], k: usize) -> f32 {
        let [a, b, c, d] = self.four(k);
        let (a, b, c, d) = (plane[a], plane[b], plane[c], plane[d]);
        let (upper, lower) = (a + (b - a) * self.fx[k], c + (d - c) * self.fx[k]);
        upper + (lower - upper) * self.fy[k]
    }

    /// The same of planes that lie side by side.
    #[inline(always)]
    pub fn bilinear_pixel<const N: usize>(&self, pixels: &[[f32; N]], k: usize) -> [f32; N] {
        let [a, b, c, d] = self.four(k);
        let upper = between(&pixels[a], &pixels[b], self.fx[k]);
        let lower = between(&pixels[c], &pixels[d], self.fx[k]);
        between(&upper, &lower, self.fy[k])
    }

    /// Whether the place is a pixel.
    #[inline(always)]
    pub fn is_pixel(&self, k: usize) -> bool {
        self.fx[k] == 0.0 && self.fy[k] == 0.0
    }

    /// Whether the four by four pixels around the place are all inside.
    #[inline(always)]
    pub fn is_inner(&self, k: usize, size: Size) -> bool {
        let (left, top) = (self.left[k], self.top[k]);
        left >= 1 && left + 2 < size.width as i32 && top >= 1 && top + 2 < size.height as i32
    }
}

/// `a + (b - a) * t`, plane by plane.
#[inline(always)]
fn between<const N: usize>(a: &[f32; N], b: &[f32; N], t: f32) -> [f32; N] {
    let mut out = [0.0; N];
    for lane in 0..N {
        out[lane] = a[lane] + (b[lane] - a[lane]) * t;
    }
    out
}

/// A position split into the pixel at or before it and the way from there, snapped.
#[inline(always)]
fn split(position: f32, side: i32, snap: f32) -> (i32, f32) {
    let position = position.clamp(0.0, (side - 1) as f32);
    let (nearest, way) = nearest(position);
    if way.abs() < snap { (nearest, 0.0) } else { floor(position) }
}

/// The whole number at or before a position from 0 to 2^22, and the way from there, in `[0, 1)`.
#[inline(always)]
pub(crate) fn floor(position: f32) -> (i32, f32) {
    let (nearest, way) = nearest(position);
    if way < 0.0 { (nearest - 1, way + 1.0) } else { (nearest, way) }
}

/// The whole number nearest to a position from 0 to 2^22, and the way from there.
///
/// Without a cast from float to integer: that one keeps within the integer's range, which compilers do value by value.
#[inline(always)]
pub(crate) fn nearest(position: f32) -> (i32, f32) {
    // The sum has no room for what follows the point; the rest are its lower bits.
    const WHOLE: f32 = (1 << 23) as f32;
    let sum = position + WHOLE;
    ((sum.to_bits() & ((1 << 23) - 1)) as i32, position - (sum - WHOLE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_split_as_a_cast_would() {
        let positions =
            (0..4000).map(|k| k as f32 * 0.37).chain([0.0, 0.5, 1.5, 2.4999998, 1919.75, 4_194_303.5, 4_194_304.0]);
        for position in positions {
            let whole = position as i32;
            assert_eq!(floor(position), (whole, position - whole as f32), "{position}");
            let (near, way) = nearest(position);
            assert!(way.abs() <= 0.5 && near as f32 + way == position, "{position}: {near} and {way}");
        }
        // On the border, beyond it, and as near to a pixel as makes no difference.
        let snapped = [(-3.0, (0, 0.0)), (9.0, (7, 0.0)), (2.99, (3, 0.0)), (3.01, (3, 0.0)), (3.25, (3, 0.25))];
        for (position, expected) in snapped {
            assert_eq!(split(position, 8, 1.0 / 64.0), expected, "{position}");
        }
    }
}
