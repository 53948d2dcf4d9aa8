//! Winograd's minimal filtering F(4x4, 3x3): 36 multiplications for 16 results instead of 144.
//!
//! Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.3, equation 15:
//! `Y = A^T [(G g G^T) . (B^T d B)] A`, with d a 6x6 patch of the input, g the 3x3 filter, Y a 4x4 patch of the output.
//!
//! The paper interpolates at 0, 1, -1, 2, -2 (and infinity); here it is 0, 5/8, -5/8, 3/2, -3/2, which rounds half as much and costs
//! the same (after Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural
//! Networks", 2020: points should neither grow nor shrink fast; among multiples of 1/16 and 1/8 these lose least). In `f32` this
//! loses about half a decimal digit against the direct sum, in bfloat16 two bits.

use std::mem::MaybeUninit;

use super::{
    lanes::{LANES, Lanes, Vector},
    product::floats,
};

/// Side of an output patch.
pub const OUT: usize = 4;
/// Side of an input patch.
pub const IN: usize = 6;
/// Products per patch and channel pair.
pub const POINTS: usize = IN * IN;

/// The points nearer to 0, and those farther from it.
const NEAR: f32 = 5.0 / 8.0;
const FAR: f32 = 3.0 / 2.0;
const NEAR_2: f32 = NEAR * NEAR;
const FAR_2: f32 = FAR * FAR;

/// G of the paper, filter to the transformed domain: powers of each point p over the product of its distances to the others.
const FILTER: [[f64; 3]; IN] = {
    let (near, far) = (NEAR as f64, FAR as f64);
    let (near_2, far_2) = (near * near, far * far);
    let (at_near, at_far) = (2.0 * near_2 * (near_2 - far_2), 2.0 * far_2 * (far_2 - near_2));
    [
        [1.0 / (near_2 * far_2), 0.0, 0.0],
        [1.0 / at_near, near / at_near, near_2 / at_near],
        [1.0 / at_near, -near / at_near, near_2 / at_near],
        [1.0 / at_far, far / at_far, far_2 / at_far],
        [1.0 / at_far, -far / at_far, far_2 / at_far],
        [0.0, 0.0, 1.0],
    ]
};

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

/// `B^T d` for one column d: the coefficients of x (x^2 - near^2) (x^2 - far^2) without each of its factors in turn.
///
/// # Safety
/// The CPU has the instruction set.
#[inline(always)]
unsafe fn input_column<V: Vector>(d: [V; IN]) -> [V; IN] {
    // SAFETY: the caller's promise.
    let (near, far, near_2, far_2, both, sum) = unsafe {
        (
            [V::splat(NEAR), V::splat(-NEAR)],
            [V::splat(FAR), V::splat(-FAR)],
            V::splat(-NEAR_2),
            V::splat(-FAR_2),
            V::splat(NEAR_2 * FAR_2),
            V::splat(-NEAR_2 - FAR_2),
        )
    };
    let (even_near, odd_near) = (far_2.mul_add(d[2], d[4]), far_2.mul_add(d[1], d[3]));
    let (even_far, odd_far) = (near_2.mul_add(d[2], d[4]), near_2.mul_add(d[1], d[3]));
    [
        both.mul_add(d[0], sum.mul_add(d[2], d[4])),
        near[0].mul_add(odd_near, even_near),
        near[1].mul_add(odd_near, even_near),
        far[0].mul_add(odd_far, even_far),
        far[1].mul_add(odd_far, even_far),
        both.mul_add(d[1], sum.mul_add(d[3], d[5])),
    ]
}

/// `A^T m` for one column m: powers of the points.
///
/// # Safety
/// The CPU has the instruction set.
#[inline(always)]
unsafe fn output_column<V: Vector>(m: [V; IN]) -> [V; OUT] {
    // SAFETY: the caller's promise.
    let near = unsafe { [V::splat(NEAR), V::splat(NEAR_2), V::splat(NEAR_2 * NEAR)] };
    // SAFETY: the caller's promise.
    let far = unsafe { [V::splat(FAR), V::splat(FAR_2), V::splat(FAR_2 * FAR)] };
    let (sum_near, difference_near) = (m[1] + m[2], m[1] - m[2]);
    let (sum_far, difference_far) = (m[3] + m[4], m[3] - m[4]);
    [
        m[0] + (sum_near + sum_far),
        far[0].mul_add(difference_far, near[0] * difference_near),
        far[1].mul_add(sum_far, near[1] * sum_near),
        far[2].mul_add(difference_far, near[2].mul_add(difference_near, m[5])),
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

/// The same of pixels, `step` pixels apart, their lanes from `part` on.
///
/// # Safety
/// They can be read at `from`.
#[inline(always)]
unsafe fn six_pixels<L: Lanes>(from: *const f32, step: usize, part: usize) -> [L::Register; IN] {
    // SAFETY: the caller's promise.
    unsafe {
        if !L::ROUNDS {
            return six(from.add(part), step * LANES);
        }
        let from = from.cast::<u16>().add(part);
        let mut pixels = [L::Register::zero(); IN];
        for k in 0..IN {
            pixels[k] = L::Register::load_rounded(from.add(k * step * LANES));
        }
        pixels
    }
}

/// `B^T d B` of a 6x6 patch of pixels of a map, 16 channels, its rows `width` pixels apart; point (u, v) is stored at
/// `to + (6 u + v) * step`, as bfloat16 where `L` rounds. Register by register: six values and what is made of them fit the narrowest set.
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
                let column = input_column(six_pixels::<L>(patch.add(x * floats::<L>()), width, part));
                for u in 0..IN {
                    column[u].store(half[u][x].as_mut_ptr().cast());
                }
            }
            for u in 0..IN {
                let row = input_column(six::<L::Register>(half[u].as_ptr().cast(), LANES));
                for v in 0..IN {
                    let to = to.add((u * IN + v) * step);
                    match L::ROUNDS {
                        true => row[v].store_rounded(to.cast::<u16>().add(part)),
                        false => row[v].store(to.add(part)),
                    }
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
