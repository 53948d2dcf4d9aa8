//! The mean of a plane, summed up in lanes: one sum would wait for each addition.

use crate::dispatch::wide;

/// Sums that go on at the same time.
const SUMS: usize = 32;

/// The mean of some values, 0 of none.
pub(crate) fn mean(values: &[f32]) -> f32 {
    let mut sums = [0.0; SUMS];
    add(values, &mut sums);
    sums.iter().sum::<f32>() / values.len().max(1) as f32
}

wide! {
    fn add(values: &[f32], sums: &mut [f32; SUMS]) {
        let (rows, rest) = values.as_chunks::<SUMS>();
        for row in rows {
            for k in 0..SUMS {
                sums[k] += row[k];
            }
        }
        for (sum, value) in sums.iter_mut().zip(rest) {
            *sum += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::in_each_code;

    #[test]
    fn every_value_counts_once() {
        for count in [1, 31, 32, 100] {
            let values: Vec<f32> = (0..count).map(|i| i as f32).collect();
            let means = in_each_code(|| mean(&values));
            assert!(means.iter().all(|mean| *mean == (count - 1) as f32 / 2.0), "{count}: {means:?}");
        }
        assert_eq!(mean(&[]), 0.0);
    }
}
