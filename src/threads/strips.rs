//! Planes cut into strips of a few rows.

use std::ops::Range;

use super::{Parallel, bands, each};

/// Rows of a strip: they stay in a core's cache, and are the same whatever the number of threads, so that sums are too.
pub const STRIP: usize = 16;

/// Cuts planes of `stride` values a row into strips, and does the work of each on any thread. It gets which values of a plane the strip
/// has, and these of every plane.
pub fn strips<T: Send, const N: usize>(
    threads: &dyn Parallel,
    planes: [&mut [T]; N],
    stride: usize,
    work: impl Fn(Range<usize>, [&mut [T]; N]) + Sync,
) {
    let rows = planes.first().map_or(0, |plane| plane.len() / stride.max(1));
    let cuts: Vec<usize> = (0..rows).step_by(STRIP).chain([rows]).collect();
    let ranges = cuts.windows(2).map(|cut| cut[0] * stride..cut[1] * stride);
    each(threads, ranges.zip(bands(planes, stride, &cuts)), |(range, parts)| work(range, parts));
}

/// The same for any number of planes.
pub fn strips_of<T: Send>(
    threads: &dyn Parallel,
    planes: &mut [&mut [T]],
    stride: usize,
    work: impl Fn(Range<usize>, &mut [&mut [T]]) + Sync,
) {
    let mut rest: Vec<_> = planes.iter_mut().map(|plane| plane.chunks_mut(STRIP * stride.max(1))).collect();
    let mut start = 0;
    let pieces = std::iter::from_fn(|| {
        let parts: Vec<_> = rest.iter_mut().filter_map(Iterator::next).collect();
        let range = start..start + parts.first()?.len();
        start = range.end;
        Some((range, parts))
    });
    each(threads, pieces, |(range, mut parts)| work(range, &mut parts));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::{Scoped, Serial};

    #[test]
    fn strips_are_all_of_the_planes_once() {
        let threads: [&dyn Parallel; 2] = [&Serial, &Scoped(3)];
        for threads in threads {
            for rows in [0, 1, STRIP, 2 * STRIP + 3] {
                let (mut a, mut b) = (vec![0; 5 * rows], vec![0; 5 * rows]);
                let number = |range: Range<usize>, part: &mut [usize]| {
                    part.iter_mut().zip(range).for_each(|(value, at)| *value += at);
                };
                strips(threads, [&mut a, &mut b], 5, |range, [a, b]| {
                    number(range.clone(), a);
                    number(range, b);
                });
                strips_of(threads, &mut [&mut a, &mut b], 5, |range, parts| {
                    parts.iter_mut().for_each(|part| number(range.clone(), part));
                });
                let twice: Vec<usize> = (0..5 * rows).map(|at| 2 * at).collect();
                assert!(a == twice && b == twice, "{a:?}");
            }
        }
    }
}
