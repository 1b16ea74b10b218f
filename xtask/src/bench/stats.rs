//! Medians and spreads, and ratios of what was measured in one and the same round.

use lvshift_vm_tests::bench::record::Sample;

/// What several rounds say about one thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

/// The middle of some numbers and their ends; `None` of none.
pub(super) fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let (first, last) = (*values.first()?, *values.last()?);
    let half = values.len() / 2;
    let median =
        if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 };
    Some(Spread { median, least: first, most: last })
}

/// The values of a contestant, by round.
pub(super) fn of(samples: &[Sample], contestant: &str, metric: &str) -> Vec<(u32, f64)> {
    samples
        .iter()
        .filter(|s| s.contestant == contestant && s.metric == metric)
        .map(|s| (s.round, s.value))
        .collect()
}

/// How many times `against` a contestant is, round by round: what slowed a whole round down cancels
/// out. Where the two have no round in common, their medians are compared.
pub(super) fn ratio(values: &[(u32, f64)], against: &[(u32, f64)]) -> Option<Spread> {
    let of_round = |round: u32| against.iter().find(|other| other.0 == round).map(|o| o.1);
    let pairs = values.iter().filter_map(|(round, value)| Some(value / of_round(*round)?));
    spread(pairs.collect()).or_else(|| {
        let middle = |list: &[(u32, f64)]| spread(list.iter().map(|v| v.1).collect());
        spread(vec![middle(values)?.median / middle(against)?.median])
    })
}

/// Three digits that count.
pub(super) fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 99.95 || v == 0.0 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_ends() {
        assert_eq!(spread(vec![]), None);
        let three = Spread { median: 2.0, least: 1.0, most: 9.0 };
        assert_eq!(spread(vec![9.0, 1.0, 2.0]), Some(three));
        assert_eq!(spread(vec![1.0, 2.0]).map(|s| s.median), Some(1.5));
    }

    #[test]
    fn a_slow_round_cancels_out() {
        let (fast, slow) = ([(1, 1.0), (2, 10.0)], [(1, 2.0), (2, 20.0)]);
        let twice = Spread { median: 2.0, least: 2.0, most: 2.0 };
        assert_eq!(ratio(&slow, &fast), Some(twice));
        assert_eq!(ratio(&[(3, 4.0)], &[(1, 2.0)]).map(|s| s.median), Some(2.0));
        assert_eq!(ratio(&[], &[(1, 2.0)]), None);
    }
}
