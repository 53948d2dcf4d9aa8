//! Turning pictures upright: a container's display matrix says how a phone was held.

use crate::frame::Size;

/// One of the eight ways to lay a picture on its sides: first transposed (rows become columns), then mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orientation {
    transpose: bool,
    mirror_x: bool,
    mirror_y: bool,
}

impl Orientation {
    /// From a display matrix as containers store it: nine 32-bit numbers a, b, u, c, d, v, x, y, w in native byte order
    /// that take a stored point (p, q) to (a p + c q + x, b p + d q + y). Angles between the right ones go to the nearest.
    pub fn from_display_matrix(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes
            .chunks_exact(4)
            .map(|chunk| i64::from(i32::from_ne_bytes(chunk.try_into().expect("chunks of four bytes"))));
        let matrix: [i64; 9] = std::array::from_fn(|_| numbers.next().unwrap_or_default());
        let [a, b, _, c, d, ..] = matrix;
        if bytes.len() < 36 || (a, b, c, d) == (0, 0, 0, 0) {
            return None;
        }
        let transpose = b.abs() + c.abs() > a.abs() + d.abs();
        let (x, y) = if transpose { (c, b) } else { (a, d) };
        Some(Orientation { transpose, mirror_x: x < 0, mirror_y: y < 0 })
    }

    pub fn is_transposed(self) -> bool {
        self.transpose
    }

    /// The size of an upright picture whose stored size is `stored`.
    pub fn apply_to_size(self, stored: Size) -> Size {
        if self.transpose { Size::new(stored.height, stored.width) } else { stored }
    }

    /// Copies a stored RGB8 picture, whose rows are `stride` bytes apart, into an upright one without padding.
    pub fn copy(self, stored: &[u8], stride: usize, size: Size, upright: &mut [u8]) {
        let target = self.apply_to_size(size);
        debug_assert_eq!(upright.len(), 3 * target.area());
        for (y, row) in upright.chunks_exact_mut(3 * target.width).enumerate() {
            let y = if self.mirror_y { target.height - 1 - y } else { y };
            if self.transpose {
                // An upright row is a stored column.
                for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                    let x = if self.mirror_x { target.width - 1 - x } else { x };
                    pixel.copy_from_slice(&stored[x * stride + 3 * y..][..3]);
                }
            } else {
                let from = &stored[y * stride..][..row.len()];
                if self.mirror_x {
                    for (to, from) in row.chunks_exact_mut(3).zip(from.chunks_exact(3).rev()) {
                        to.copy_from_slice(from);
                    }
                } else {
                    row.copy_from_slice(from);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(a: i32, b: i32, c: i32, d: i32) -> Orientation {
        let numbers = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30];
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        Orientation::from_display_matrix(&bytes).unwrap()
    }

    /// The upright picture of one with the gray values 1 2 3 / 4 5 6, stored with two bytes of padding a row.
    fn upright(orientation: Orientation) -> Vec<u8> {
        let stored: Vec<u8> = [[1, 2, 3], [4, 5, 6]]
            .iter()
            .flat_map(|row| row.iter().flat_map(|&gray| [gray; 3]).chain([0, 0]))
            .collect();
        let mut pixels = vec![0; 18];
        orientation.copy(&stored, 11, Size::new(3, 2), &mut pixels);
        pixels.chunks_exact(3).map(|pixel| pixel[0]).collect()
    }

    #[test]
    fn all_eight_orientations() {
        assert_eq!(upright(matrix(1, 0, 0, 1)), [1, 2, 3, 4, 5, 6]);
        assert_eq!(upright(matrix(-1, 0, 0, 1)), [3, 2, 1, 6, 5, 4], "mirrored");
        assert_eq!(upright(matrix(-1, 0, 0, -1)), [6, 5, 4, 3, 2, 1], "half a turn");
        assert_eq!(upright(matrix(1, 0, 0, -1)), [4, 5, 6, 1, 2, 3], "upside down, mirrored");
        assert_eq!(upright(matrix(0, 1, -1, 0)), [4, 1, 5, 2, 6, 3], "a quarter turn clockwise");
        assert_eq!(upright(matrix(0, -1, 1, 0)), [3, 6, 2, 5, 1, 4], "a quarter turn counter-clockwise");
        assert_eq!(upright(matrix(0, 1, 1, 0)), [1, 4, 2, 5, 3, 6], "transposed");
        assert_eq!(upright(matrix(0, -1, -1, 0)), [6, 3, 5, 2, 4, 1], "transposed across the other diagonal");
    }

    #[test]
    fn a_short_or_empty_matrix_is_none() {
        assert_eq!(Orientation::from_display_matrix(&[0; 36]), None);
        assert_eq!(Orientation::from_display_matrix(&[1; 8]), None);
    }
}
