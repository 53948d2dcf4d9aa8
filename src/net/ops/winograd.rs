//! Winograd's minimal filtering F(4x4, 3x3): 36 multiplications for 16 results instead of 144.
//!
//! Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.3, equation 15:
//! `Y = A^T [(G g G^T) . (B^T d B)] A`, with d a 6x6 patch of the input, g the 3x3 filter, Y a 4x4 patch of the output.
//! The interpolation points are 0, 1, -1, 2, -2. In `f32` this loses about one decimal digit against the direct sum.

use super::lanes::{LANES, Lanes};

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
unsafe fn input_column<L: Lanes>(d: [L; IN]) -> [L; IN] {
    // SAFETY: the caller's promise.
    let (two, four) = unsafe { (L::splat(2.0), L::splat(4.0)) };
    // SAFETY: the caller's promise.
    let (minus_four, minus_five) = unsafe { (L::splat(-4.0), L::splat(-5.0)) };
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
unsafe fn output_column<L: Lanes>(m: [L; IN]) -> [L; OUT] {
    // SAFETY: the caller's promise.
    let (two, four, eight) = unsafe { (L::splat(2.0), L::splat(4.0), L::splat(8.0)) };
    let (sum_1, difference_1) = (m[1] + m[2], m[1] - m[2]);
    let (sum_2, difference_2) = (m[3] + m[4], m[3] - m[4]);
    [
        m[0] + (sum_1 + sum_2),
        two.mul_add(difference_2, difference_1),
        four.mul_add(sum_2, sum_1),
        m[5] + eight.mul_add(difference_2, difference_1),
    ]
}

/// `B^T d B` of a patch given by columns (`patch[x][y]`); point (u, v) is stored at `to + (6 u + v) * step`.
///
/// # Safety
/// The CPU has the instruction set; 36 vectors, `step` floats apart, can be written at `to`.
#[inline(always)]
pub unsafe fn transform_input<L: Lanes>(patch: [[L; IN]; IN], to: *mut f32, step: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut rows = [[L::zero(); IN]; IN];
        for x in 0..IN {
            let column = input_column(patch[x]);
            for u in 0..IN {
                rows[u][x] = column[u];
            }
        }
        for u in 0..IN {
            let row = input_column(rows[u]);
            for v in 0..IN {
                row[v].store(to.add((u * IN + v) * step));
            }
        }
    }
}

/// `A^T m A` of the points stored at `from + (6 u + v) * step`: rows of the 4x4 patch.
///
/// # Safety
/// The CPU has the instruction set; 36 vectors, `step` floats apart, can be read at `from`.
#[inline(always)]
pub unsafe fn transform_output<L: Lanes>(from: *const f32, step: usize) -> [[L; OUT]; OUT] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut rows = [[L::zero(); IN]; OUT];
        for v in 0..IN {
            let mut column = [L::zero(); IN];
            for u in 0..IN {
                column[u] = L::load(from.add((u * IN + v) * step));
            }
            let column = output_column(column);
            for y in 0..OUT {
                rows[y][v] = column[y];
            }
        }
        let mut patch = [[L::zero(); OUT]; OUT];
        for y in 0..OUT {
            patch[y] = output_column(rows[y]);
        }
        patch
    }
}

/// Filters in the transformed domain, `[36][out / 16][in][16]`.
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
                let at = ((point * (out / LANES) + block) * inputs + i) * LANES;
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
            let columns = std::array::from_fn(|x| std::array::from_fn(|y| Plain::splat(patch[y][x])));
            let mut points = vec![0.0f32; POINTS * LANES];
            transform_input(columns, points.as_mut_ptr(), LANES);
            for (point, value) in transform_filter(filter).into_iter().enumerate() {
                points[point * LANES..][..LANES].iter_mut().for_each(|p| *p *= value as f32);
            }
            transform_output::<Plain>(points.as_ptr(), LANES)
        };
        for y in 0..OUT {
            for x in 0..OUT {
                let direct: f64 = (0..9).map(|k| filter[k] * f64::from(patch[y + k / 3][x + k % 3])).sum();
                let found = f64::from(result[y][x].sum()) / LANES as f64;
                assert!((found - direct).abs() < 1e-3, "({y}, {x}): {found} for {direct}");
            }
        }
    }
}
