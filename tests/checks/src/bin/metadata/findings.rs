//! What was counted, and what was wrong.

use std::collections::BTreeMap;

/// The findings of one part.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    counts: BTreeMap<&'static str, u64>,
    notes: Vec<String>,
    broken: Vec<String>,
    wrong: u64,
}

impl Findings {
    /// Counts.
    pub(crate) fn add(&mut self, what: &'static str, count: u64) {
        *self.counts.entry(what).or_default() += count;
    }

    /// Says how something was enumerated.
    pub(crate) fn note(&mut self, line: String) {
        self.notes.push(line);
    }

    /// Whether there was something that must not be.
    pub(crate) fn is_wrong(&self) -> bool {
        self.wrong > 0
    }

    /// Something that must not be.
    pub(crate) fn broken(&mut self, what: impl FnOnce() -> String) {
        self.wrong += 1;
        if self.broken.len() < 10 {
            self.broken.push(what());
        }
    }

    /// The counts on one line.
    pub(crate) fn counts(&self) -> String {
        let counts: Vec<String> =
            self.counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
        counts.join(", ")
    }

    /// Takes another part's findings in.
    pub(crate) fn join(&mut self, other: Findings) {
        for (what, count) in other.counts {
            self.add(what, count);
        }
        self.notes.extend(other.notes);
        self.broken.extend(other.broken);
        self.wrong += other.wrong;
    }

    /// Prints all; true if nothing was wrong.
    pub(crate) fn print(&self) -> bool {
        for note in &self.notes {
            println!("metadata: {note}");
        }
        for broken in &self.broken {
            println!("BROKEN {broken}");
        }
        for (what, count) in &self.counts {
            println!("figure={what} {count}");
        }
        println!("figure=metadata-wrong {}", self.wrong);
        self.wrong == 0
    }
}
