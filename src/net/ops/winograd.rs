//! Winograd's minimal filtering F(4x4, 3x3): 36 multiplications for 16 results instead of 144.
//!
//! Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.3, equation 15:
//! `Y = A^T [(G g G^T) . (B^T d B)] A`, with d a 6x6 patch of the input, g the 3x3 filter, Y a 4x4 patch of the output.
//! The interpolation points are 0, 1, -1, 2, -2. In `f32` this loses about one decimal digit against the direct sum.

use std::mem::MaybeUninit;

use super::lanes::{LANES, Lanes, Vector};

/// Side of an output patch.
pub const OUT: usize = 4;
/// Side of an input patch.
pub const IN: usize = 6;
/// Products per patch and channel pair.
pub const POINTS: usize = IN * IN;

/// G of the paper: filter to the transformed domain.
const FILTER: [[f64; 3]; IN] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// `G g G^T` of one 3x3 filter (row by row), in `f64`: point (u, v) is at `6 u + v`.
pub fn transform_filter(filter: [f64; 9]) -> [f64; POINTS] {
    let mut half = [[0.0; 3]; IN];
    for (u, row) in half.iter_mut().enumerate() {
        for (x, value) in row.iter_mut().enumerate() {
            *value = (0..3).map(|y| FILTER[u][y] * filter[3 * y + x]).sum();
        }
    }
    std::array::from_fn(|k| (0..3).map(|x| half[k / IN][x] * FILTER[k % IN][x]).sum())
}

/// `B^T d` for one column d.
///
/// # Safety
/// The CPU has the instruction set.
#[inline(always)]
unsafe fn input_column<V: Vector>(d: [V; IN]) -> [V; IN] {
    // SAFETY: the caller's promise.
    let (two, four) = unsafe { (V::splat(2.0), V::splat(4.0)) };
    // SAFETY: the caller's promise.
    let (minus_four, minus_five) = unsafe { (V::splat(-4.0), V::splat(-5.0)) };
    let even = minus_four.mul_add(d[2], d[4]);
    let odd = minus_four.mul_add(d[1], d[3]);
    let (difference, slope) = (d[4] - d[2], two * (d[3] - d[1]));
    [
        four.mul_add(d[0], minus_five.mul_add(d[2], d[4])),
        even + odd,
        even - odd,
        difference + slope,
        difference - slope,
        four.mul_add(d[1], minus_five.mul_add(d[3], d[5])),
    ]
}

/// `A^T m` for one column m.
///
/// # Safety
/// The CPU has the instruction set.
#[inline(always)]
unsafe fn output_column<V: Vector>(m: [V; IN]) -> [V; OUT] {
    // SAFETY: the caller's promise.
    let (two, four, eight) = unsafe { (V::splat(2.0), V::splat(4.0), V::splat(8.0)) };
    let (sum_1, difference_1) = (m[1] + m[2], m[1] - m[2]);
    let (sum_2, difference_2) = (m[3] + m[4], m[3] - m[4]);
    [
        m[0] + (sum_1 + sum_2),
        two.mul_add(difference_2, difference_1),
        four.mul_add(sum_2, sum_1),
        m[5] + eight.mul_add(difference_2, difference_1),
    ]
}

/// A vector after one of the two passes of a transform, in memory that nobody has to clear.
type Half = MaybeUninit<[f32; LANES]>;

/// Six vectors, `step` floats apart.
///
/// # Safety
/// They can be read at `from`.
#[inline(always)]
unsafe fn six<V: Vector>(from: *const f32, step: usize) -> [V; IN] {
    // SAFETY: the caller's promise. Written out: a closure would be a function without the instruction set.
    unsafe {
        [
            V::load(from),
            V::load(from.add(step)),
            V::load(from.add(2 * step)),
            V::load(from.add(3 * step)),
            V::load(from.add(4 * step)),
            V::load(from.add(5 * step)),
        ]
    }
}

/// `B^T d B` of a 6x6 patch of pixels of 16 channels, its rows `width` pixels apart; point (u, v) is stored at
/// `to + (6 u + v) * step`. Register by register: six values and what is made of them fit the narrowest set.
///
/// # Safety
/// The CPU has the instruction set; the patch can be read, and 36 vectors of 16 lanes, `step` floats apart, written.
#[inline(always)]
pub unsafe fn transform_input<L: Lanes>(patch: *const f32, width: usize, to: *mut f32, step: usize) {
    let mut half = [[Half::uninit(); IN]; IN];
    for part in (0..LANES).step_by(L::Register::LEN) {
        // SAFETY: the caller's promise; the second pass reads what the first has written.
        unsafe {
            for x in 0..IN {
                let column = input_column(six::<L::Register>(patch.add(x * LANES + part), width * LANES));
                for u in 0..IN {
                    column[u].store(half[u][x].as_mut_ptr().cast());
                }
            }
            for u in 0..IN {
                let row = input_column(six::<L::Register>(half[u].as_ptr().cast(), LANES));
                for v in 0..IN {
                    row[v].store(to.add((u * IN + v) * step + part));
                }
            }
        }
    }
}

/// `A^T m A` of the points stored at `from + (6 u + v) * step`: the 4x4 patch, row by row.
///
/// # Safety
/// The CPU has the instruction set; 36 vectors of 16 lanes, `step` floats apart, can be read at `from`.
#[inline(always)]
pub unsafe fn transform_output<L: Lanes>(from: *const f32, step: usize, patch: &mut Patch) {
    let mut half = [[Half::uninit(); IN]; OUT];
    for part in (0..LANES).step_by(L::Register::LEN) {
        // SAFETY: the caller's promise; the second pass reads what the first has written.
        unsafe {
            for v in 0..IN {
                let column = output_column(six::<L::Register>(from.add(v * step + part), IN * step));
                for y in 0..OUT {
                    column[y].store(half[y][v].as_mut_ptr().cast());
                }
            }
            for y in 0..OUT {
                let row = output_column(six::<L::Register>(half[y].as_ptr().cast(), LANES));
                for x in 0..OUT {
                    row[x].store(patch.0[y][x].as_mut_ptr().add(part));
                }
            }
        }
    }
}

/// A 4x4 patch of the output, 16 channels.
#[repr(C, align(64))]
pub struct Patch([[[f32; LANES]; OUT]; OUT]);

impl Patch {
    pub const ZERO: Patch = Patch([[[0.0; LANES]; OUT]; OUT]);

    /// # Safety
    /// The CPU has the instruction set.
    #[inline(always)]
    pub unsafe fn get<L: Lanes>(&self, y: usize, x: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load(self.0[y][x].as_ptr()) }
    }
}

/// Filters in the transformed domain, `[out / 16][36][in][16]`.
///
/// `filter(o, i)` gives the 3x3 filter from input channel `i` to output channel `o`.
pub fn transform_filters(out: usize, inputs: usize, filter: impl Fn(usize, usize) -> [f64; 9]) -> Vec<f32> {
    let mut transformed = vec![0.0; POINTS * out * inputs];
    for block in 0..out / LANES {
        for i in 0..inputs {
            // 16 filters side by side, so that whole vectors are written.
            let mut points = [[0.0; LANES]; POINTS];
            for lane in 0..LANES {
                let values = transform_filter(filter(block * LANES + lane, i));
                for (point, value) in values.into_iter().enumerate() {
                    points[point][lane] = value as f32;
                }
            }
            for (point, values) in points.iter().enumerate() {
                let at = ((block * POINTS + point) * inputs + i) * LANES;
                transformed[at..at + LANES].copy_from_slice(values);
            }
        }
    }
    transformed
}

#[cfg(test)]
mod tests {
    use super::{super::lanes::Plain, *};

    #[test]
    fn one_patch_is_the_direct_sum() {
        let patch: [[f32; IN]; IN] =
            std::array::from_fn(|y| std::array::from_fn(|x| ((y * 7 + x * 3) % 11) as f32 - 5.0));
        let filter: [f64; 9] = std::array::from_fn(|k| (k * 5 % 7) as f64 - 3.0);
        // SAFETY: plain lanes need no instructions, and the buffer has 36 vectors.
        let result = unsafe {
            let pixels: Vec<f32> = patch.iter().flatten().flat_map(|&value| [value; LANES]).collect();
            let mut points = vec![0.0f32; POINTS * LANES];
            transform_input::<Plain>(pixels.as_ptr(), IN, points.as_mut_ptr(), LANES);
            for (point, value) in transform_filter(filter).into_iter().enumerate() {
                points[point * LANES..][..LANES].iter_mut().for_each(|p| *p *= value as f32);
            }
            let mut result = Patch::ZERO;
            transform_output::<Plain>(points.as_ptr(), LANES, &mut result);
            result
        };
        for y in 0..OUT {
            for x in 0..OUT {
                let direct: f64 = (0..9).map(|k| filter[k] * f64::from(patch[y + k / 3][x + k % 3])).sum();
                // SAFETY: as above.
                let found = f64::from(unsafe { result.get::<Plain>(y, x) }.sum()) / LANES as f64;
                assert!((found - direct).abs() < 1e-3, "({y}, {x}): {found} for {direct}");
            }
        }
    }
}
