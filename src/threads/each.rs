//! Pieces of work that own what they write.

use std::sync::{Mutex, PoisonError};

use super::Parallel;

/// Does the work of every piece, on any thread; returns when all are done. Pieces begin in their order.
pub fn each<P: Send>(threads: &dyn Parallel, pieces: impl IntoIterator<Item = P>, work: impl Fn(P) + Sync) {
    let pieces: Vec<_> = pieces.into_iter().map(|piece| Mutex::new(Some(piece))).collect();
    threads.run(pieces.len(), &|index| {
        let piece = pieces[index].lock().unwrap_or_else(PoisonError::into_inner).take();
        work(piece.expect("a piece is begun once"));
    });
}

/// Cuts planes at the same rows: part `k` of each is its rows `cuts[k]` to `cuts[k + 1]`, of `stride` values each.
pub fn bands<'a, T, const N: usize>(
    planes: [&'a mut [T]; N],
    stride: usize,
    cuts: &[usize],
) -> impl Iterator<Item = [&'a mut [T]; N]> {
    let mut rest = planes.map(|plane| &mut plane[cuts[0] * stride..]);
    cuts.windows(2).map(move |cut| {
        rest.each_mut().map(|plane| {
            let (band, below) = std::mem::take(plane).split_at_mut((cut[1] - cut[0]) * stride);
            *plane = below;
            band
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::{Scoped, Serial};

    #[test]
    fn every_piece_is_done_with_what_it_owns() {
        let threads: [&dyn Parallel; 2] = [&Serial, &Scoped(3)];
        for threads in threads {
            let mut rows = vec![0; 7 * 5];
            let numbered = rows.chunks_exact_mut(5).enumerate();
            each(threads, numbered, |(number, row)| row.fill(number));
            assert!(rows.iter().enumerate().all(|(at, value)| *value == at / 5), "{rows:?}");
        }
    }

    #[test]
    fn bands_are_the_rows_between_the_cuts() {
        let (mut a, mut b): (Vec<usize>, Vec<usize>) = ((0..18).collect(), (100..118).collect());
        let found: Vec<_> = bands([&mut a[..], &mut b[..]], 3, &[1, 2, 2, 5]).collect();
        let expected: [[Vec<usize>; 2]; 3] =
            [[(3..6).collect(), (103..106).collect()], [vec![], vec![]], [(6..15).collect(), (106..115).collect()]];
        assert_eq!(found.len(), 3);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.iter().zip(expected).all(|(found, expected)| **found == expected[..]), "{found:?}");
        }
    }
}
