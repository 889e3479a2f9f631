//! What many measurements say together. Pure.

use serde::Serialize;

/// Values of one thing, measured several times: the middle one, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// How many values.
    pub(crate) count: usize,
    /// The least.
    pub(crate) min: f64,
    /// A quarter of them is below.
    pub q1: f64,
    /// Half of them is below.
    pub(crate) median: f64,
    /// A quarter of them is above.
    pub q3: f64,
    /// The greatest.
    pub(crate) max: f64,
}

impl Spread {
    /// `None` without a single finite value.
    pub(crate) fn of(values: &[f64]) -> Option<Spread> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        Some(Spread {
            count: sorted.len(),
            min: *sorted.first()?,
            q1: quantile(&sorted, 0.25)?,
            median: quantile(&sorted, 0.5)?,
            q3: quantile(&sorted, 0.75)?,
            max: *sorted.last()?,
        })
    }
}

/// The value below which the fraction `q` of `sorted` lies, between two values by straight line.
/// `None` for no values.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = q.clamp(0.0, 1.0) * to_f64(last);
    let below = sorted.get(floor(at).min(last))?;
    let above = sorted.get((floor(at) + 1).min(last))?;
    Some(below + (above - below) * at.fract())
}

/// A quantile of unsorted values; `NaN` for no values, which every table shows as a dash.
pub(crate) fn quantile_of(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, q).unwrap_or(f64::NAN)
}

/// The middle of unsorted values; `NaN` for no values.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile_of(values, 0.5)
}

/// Ratios of paired measurements: first with first, second with second. Interleaving makes that
/// honest: the two of a pair had the same neighbours on the machine.
pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter()
        .zip(theirs)
        .filter(|(_, theirs)| **theirs != 0.0)
        .map(|(ours, theirs)| ours / theirs)
        .collect()
}

/// How a figure grows with size: the slope of a straight line through the points in logarithmic
/// scales, by least squares. 0: flat. 1: proportional. `None` with less than two sizes.
pub(crate) fn growth(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points
        .iter()
        .filter(|(size, value)| *size > 0.0 && *value > 0.0)
        .map(|(size, value)| (size.ln(), value.ln()))
        .collect();
    let count = to_f64(logs.len());
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|p| p.0), mean(|p| p.1));
    let across: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let along: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (logs.len() > 1 && across > 0.0).then(|| along / across)
}

/// Order of sides in one run: A B B A A B B A ..., so that neither side always comes first and a
/// drift of the machine hits both alike. `true` is side A.
pub(crate) fn interleaved(rounds: usize) -> impl Iterator<Item = bool> {
    (0..rounds).flat_map(|round| {
        let a_first = round % 2 == 0;
        [a_first, !a_first]
    })
}

/// A count as a number to compute with. Counts here are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn to_f64(count: usize) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index: not negative, and below the length of a vector"
)]
fn floor(at: f64) -> usize {
    at as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.5, 4.0));
        assert_eq!((spread.q1, spread.q3), (1.75, 3.25));
    }

    #[test]
    fn nothing_measured_has_no_spread_and_a_failed_measurement_does_not_count() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[f64::NAN]), None);
        assert_eq!(Spread::of(&[f64::NAN, 2.0]).unwrap().count, 1);
    }

    #[test]
    fn quantiles_reach_both_ends() {
        let sorted = [1.0, 2.0, 10.0];
        assert_eq!(quantile(&sorted, 0.0), Some(1.0));
        assert_eq!(quantile(&sorted, 1.0), Some(10.0));
        assert_eq!(quantile(&[7.0], 0.99), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn what_doubles_with_size_grows_with_slope_one_and_what_stays_with_zero() {
        let grown = |value: fn(f64) -> f64| {
            let points: Vec<_> = [100.0, 1000.0, 10_000.0].map(|n| (n, value(n))).into();
            growth(&points).unwrap()
        };
        assert!((grown(|n| 3.0 * n) - 1.0).abs() < 1e-9);
        assert!(grown(|_| 5.0).abs() < 1e-9);
        assert!((grown(|n| n * n) - 2.0).abs() < 1e-9);
        assert_eq!(growth(&[(1.0, 1.0)]), None);
        assert_eq!(growth(&[(1.0, 1.0), (1.0, 2.0)]), None);
    }

    #[test]
    fn sides_take_turns_at_being_first() {
        let order: Vec<bool> = interleaved(2).collect();
        assert_eq!(order, [true, false, false, true]);
        let a = interleaved(10).filter(|side| *side).count();
        assert_eq!(a, 10);
    }

    #[test]
    fn ratios_pair_what_ran_together() {
        assert_eq!(ratios(&[2.0, 9.0], &[1.0, 3.0]), [2.0, 3.0]);
        assert_eq!(ratios(&[2.0], &[0.0]), [] as [f64; 0]);
    }
}
