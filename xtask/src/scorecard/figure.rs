//! A figure: what is counted, what was aimed at, and reading it out of a check's output.

use std::fmt;

use super::Size;

/// What is counted.
pub(super) struct Figure {
    /// As in the line `figure=ID COUNT`.
    pub(super) id: &'static str,
    /// For the table.
    pub(super) says: &'static str,
    /// The target of the quick form.
    pub(super) quick: Target,
    /// The target of the large one.
    pub(super) full: Target,
}

/// What was aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// So much has to be covered.
    AtLeast(u64),
    /// No more than this: a time.
    AtMost(u64),
    /// So much and nothing else: 0 survivors, or as many as were tried.
    Exactly(u64),
}

/// What a check says it reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) id: String,
    pub(super) count: u64,
    pub(super) seed: Option<String>,
    /// Why it is not more, where a check says so.
    pub(super) why: Vec<String>,
}

impl Reached {
    /// So much, and no seed.
    pub(super) fn of(id: &str, count: u64) -> Reached {
        Reached { id: id.to_owned(), count, seed: None, why: Vec::new() }
    }
}

impl Figure {
    pub(super) fn target(&self, size: Size) -> Target {
        match size {
            Size::Quick => self.quick,
            Size::Full => self.full,
        }
    }

    /// Why the target is missed; a figure that was not printed is.
    pub(super) fn missed(&self, size: Size, reached: &[Reached]) -> Option<String> {
        let target = self.target(size);
        let Some(found) = reached.iter().find(|reached| reached.id == self.id) else {
            return Some(format!("it did not print figure={}", self.id));
        };
        let good = match target {
            Target::AtLeast(least) => found.count >= least,
            Target::AtMost(most) => found.count <= most,
            Target::Exactly(count) => found.count == count,
        };
        (!good).then(|| format!("{}: {target} was due, {} is reached", self.says, found.count))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::AtLeast(count) => f.pad(&format!(">= {}", grouped(*count))),
            Target::AtMost(count) => f.pad(&format!("<= {}", grouped(*count))),
            Target::Exactly(count) => f.pad(&grouped(*count)),
        }
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, grouped(self.count))
    }
}

/// Digits in groups of three.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Takes the figure of a line, if it has one, in; figures of one name add up. A line `why=ID TEXT` behind it
/// says why it is not more.
pub(super) fn take(line: &str, reached: &mut Vec<Reached>) {
    if let Some((id, text)) = line.split_once("why=").and_then(|(_, rest)| rest.split_once(' ')) {
        let known = reached.iter_mut().find(|reached| reached.id == id);
        return known.into_iter().for_each(|known| known.why.push(text.to_owned()));
    }
    // The test harness may have written the start of the line.
    let Some((_, rest)) = line.split_once("figure=") else { return };
    let mut words = rest.split_whitespace();
    let (Some(id), Some(Ok(count))) = (words.next(), words.next().map(str::parse)) else { return };
    let seed = words.find_map(|word| word.strip_prefix("seed=")).map(str::to_owned);
    match reached.iter_mut().find(|reached| reached.id == id) {
        Some(known) => known.count += count,
        None => reached.push(Reached { seed, ..Reached::of(id, count) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURE: Figure =
        Figure { id: "torn", says: "t", quick: Target::AtLeast(10), full: Target::Exactly(3) };

    fn read(lines: &[&str]) -> Vec<Reached> {
        let mut reached = Vec::new();
        lines.iter().for_each(|line| take(line, &mut reached));
        reached
    }

    #[test]
    fn figures_are_found_in_any_line_and_added_up() {
        let mut reached =
            read(&["test a ... figure=torn 7 seed=0x12", "figure=torn 4", "figure=bad x"]);
        take("why=torn for want of time", &mut reached);
        take("why=other not asked", &mut reached);
        let why = vec!["for want of time".to_owned()];
        let seed = Some("0x12".to_owned());
        assert_eq!(reached, [Reached { seed, why, ..Reached::of("torn", 11) }]);
        assert_eq!(FIGURE.missed(Size::Quick, &reached), None);
        assert!(FIGURE.missed(Size::Full, &reached).is_some());
    }

    #[test]
    fn a_figure_that_is_not_printed_is_missed() {
        assert!(FIGURE.missed(Size::Quick, &read(&["all is well"])).is_some());
        assert!(FIGURE.missed(Size::Quick, &read(&["figure=torn 9"])).is_some());
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([1, 999, 1000, 1234567].map(grouped), ["1", "999", "1,000", "1,234,567"]);
    }
}
