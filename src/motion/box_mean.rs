//! Means over squares.

use crate::{
    dispatch::wide,
    frame::Size,
    threads::{Parallel, strips},
};

/// Means of a plane over squares of side `2 radius + 1`, the border repeated.
pub(crate) fn box_mean(threads: &dyn Parallel, from: &[f32], out: &mut [f32], size: Size, radius: usize) {
    box_mean_in_rows(threads, None, from, out, size, radius);
}

/// The same in the rows in which something of `wanted`, (h, w), is not zero; the others are left as they are.
pub(crate) fn box_mean_where(
    threads: &dyn Parallel,
    wanted: &[f32],
    from: &[f32],
    out: &mut [f32],
    size: Size,
    radius: usize,
) {
    box_mean_in_rows(threads, Some(wanted), from, out, size, radius);
}

fn box_mean_in_rows(
    threads: &dyn Parallel,
    wanted: Option<&[f32]>,
    from: &[f32],
    out: &mut [f32],
    size: Size,
    radius: usize,
) {
    let width = size.width.max(1);
    strips(threads, [out], width, |range, [out]| {
        means(from, range.start / width, out, width, radius, wanted.map(|wanted| &wanted[range]));
    });
}

wide! {
    /// Of a strip of rows, the first of them `top`. Sums down the columns begin anew with each: between, each is the last one's with a row
    /// more and a row less, and what rounding leaves adds up.
    fn means(from: &[f32], top: usize, out: &mut [f32], width: usize, radius: usize, wanted: Option<&[f32]>) {
        let side = 2 * radius + 1;
        let share = 1.0 / (side * side) as f32;
        let mut buffer = vec![0.0; 3 * (width + 2 * radius)];
        let (columns, runs) = buffer.split_at_mut(width + 2 * radius);
        // The row whose columns have been summed up last.
        let mut summed = None;
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            if wanted.is_some_and(|wanted| wanted[row * width..][..width].iter().all(|&wanted| wanted == 0.0)) {
                continue;
            }
            let y = top + row;
            down(&mut columns[radius..][..width], from, y, radius, y > top && summed == Some(y - 1));
            summed = Some(y);
            let (first, last) = (columns[radius], columns[radius + width - 1]);
            columns[..radius].fill(first);
            columns[radius + width..].fill(last);
            across(columns, runs, out, side);
            out.iter_mut().for_each(|mean| *mean *= share);
        }
    }
}

/// Sums down the columns around a row, which `follows` the one that they are of now.
#[inline(always)]
fn down(sums: &mut [f32], from: &[f32], y: usize, radius: usize, follows: bool) {
    let width = sums.len();
    let last = from.len() / width - 1;
    // The row that is so many below the first of those around.
    let row = |below: usize| &from[(y + below).saturating_sub(radius).min(last) * width..][..width];
    if follows {
        let gone = &from[(y - 1).saturating_sub(radius) * width..][..width];
        for ((sum, come), gone) in sums.iter_mut().zip(row(2 * radius)).zip(gone) {
            *sum += come - gone;
        }
    } else {
        sums.copy_from_slice(row(0));
        for below in 1..=2 * radius {
            sums.iter_mut().zip(row(below)).for_each(|(sum, value)| *sum += value);
        }
    }
}

/// Sums of `count` values from each on, of runs of one, two, four and so on: as many as `count` has bits, not as it says.
#[inline(always)]
fn across(values: &[f32], runs: &mut [f32], out: &mut [f32], count: usize) {
    let (mut run, mut twice) = runs.split_at_mut(values.len());
    run.copy_from_slice(values);
    out.fill(0.0);
    // Of the length of a run, and of what is summed up already.
    let (mut length, mut done) = (1, 0);
    while length <= count {
        if count & length > 0 {
            out.iter_mut().zip(&run[done..]).for_each(|(sum, run)| *sum += run);
            done += length;
        }
        // Those that reach over the end are of no use.
        let (here, there) = (&run[..run.len() - length], &run[length..]);
        for ((twice, here), there) in twice.iter_mut().zip(here).zip(there) {
            *twice = here + there;
        }
        (run, twice) = (twice, run);
        length *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::{Scoped, Serial};

    #[test]
    fn it_is_the_mean_of_the_square_with_the_border_repeated() {
        for (size, radius) in [
            (Size::new(5, 7), 1),
            (Size::new(70, 9), 4),
            (Size::new(3, 2), 5),
            (Size::new(33, 1), 2),
            (Size::new(9, 40), 2),
        ] {
            let mut random = fastrand::Rng::with_seed(size.width as u64);
            let plane: Vec<f32> = (0..size.area()).map(|_| random.f32()).collect();
            let mut out = vec![0.0; size.area()];
            box_mean(&Scoped(3), &plane, &mut out, size, radius);
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

    #[test]
    fn where_it_is_wanted_it_is_the_same() {
        let (size, radius) = (Size::new(150, 12), 4);
        let mut random = fastrand::Rng::with_seed(1);
        let plane: Vec<f32> = (0..size.area()).map(|_| random.f32()).collect();
        let mut everywhere = vec![0.0; size.area()];
        box_mean(&Serial, &plane, &mut everywhere, size, radius);
        for wanted in [0..1, 149..150, 70..71, 30..34, 3..140] {
            let mut mask = vec![0.0; size.area()];
            mask[5 * size.width..][wanted.clone()].fill(0.3);
            let mut out = vec![7.0; size.area()];
            box_mean_where(&Serial, &mask, &plane, &mut out, size, radius);
            let (row, others) = (5 * size.width..6 * size.width, 6 * size.width..size.area());
            let apart = out[row.clone()].iter().zip(&everywhere[row]).map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f32::max) < 1e-6, "{wanted:?}");
            assert!(out[others].iter().all(|&left| left == 7.0));
        }
    }
}
