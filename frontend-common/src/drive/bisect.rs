//! Which sectors of a range are bad? Tried whole, then bisected: few attempts for few bad sectors,
//! since on a failing disk each one may take seconds.

use std::ops::Range;
use std::time::Instant;

/// Bad runs of sectors in order, each with its error in words.
pub(crate) type Bad = Vec<(Range<u64>, String)>;

/// How finely and how long is looked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bisect {
    /// Sectors of the smallest attempt.
    pub(super) step: u64,
    /// With so many bad runs, a range that fails is bad as a whole.
    pub(super) most: usize,
    /// Nothing is tried after this.
    pub(super) deadline: Option<Instant>,
}

impl Bisect {
    /// Tries `range`; where that fails, its halves, down to the step.
    pub(super) fn search(
        self,
        range: Range<u64>,
        attempt: &mut dyn FnMut(&Range<u64>) -> Result<(), String>,
        bad: &mut Bad,
    ) {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return;
        }
        let Err(why) = attempt(&range) else { return };
        let sectors = range.end - range.start;
        if sectors <= self.step || bad.len() >= self.most {
            note(bad, range, &why);
            return;
        }
        let half = range.start + (sectors / 2).next_multiple_of(self.step);
        self.search(range.start..half, attempt, bad);
        self.search(half..range.end, attempt, bad);
    }
}

/// Adds a range, joined to the last where it goes on with the same words.
pub(super) fn note(bad: &mut Bad, range: Range<u64>, why: &str) {
    if range.is_empty() {
        return;
    }
    match bad.last_mut() {
        Some((last, reason)) if last.end == range.start && reason == why => last.end = range.end,
        _ => bad.push((range, why.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn few_bad_sectors_take_few_attempts_even_on_a_slow_device() {
        let mut attempts = 0;
        let mut attempt = |range: &Range<u64>| {
            attempts += 1;
            if range.start < 808 && range.end > 800 { Err("EIO".to_owned()) } else { Ok(()) }
        };
        let mut bad = Vec::new();
        let bisect = Bisect { step: 1, most: 64, deadline: None };
        bisect.search(0..4096, &mut attempt, &mut bad);
        assert_eq!(bad, [(800..808, "EIO".to_owned())]);
        assert!(attempts < 40, "{attempts} attempts");
    }

    #[test]
    fn the_deadline_holds_inside_of_a_range() {
        let mut attempt = |_: &Range<u64>| {
            std::thread::sleep(Duration::from_millis(10));
            Err("EIO".to_owned())
        };
        let (start, mut bad) = (Instant::now(), Vec::new());
        let deadline = Some(start + Duration::from_millis(50));
        Bisect { step: 1, most: 64, deadline }.search(0..4096, &mut attempt, &mut bad);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }

    #[test]
    fn with_enough_bad_runs_the_rest_is_not_taken_apart() {
        let mut attempts = 0;
        let mut attempt = |range: &Range<u64>| {
            attempts += 1;
            if (range.start..range.end).any(|n| n % 2 == 0) {
                Err("EIO".to_owned())
            } else {
                Ok(())
            }
        };
        let mut bad = Vec::new();
        Bisect { step: 1, most: 4, deadline: None }.search(0..4096, &mut attempt, &mut bad);
        assert!(attempts < 100, "{attempts} attempts");
        assert_eq!(bad.last().map(|(range, _)| range.end), Some(4096));
    }
}
