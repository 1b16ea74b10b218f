//! What a disk has acknowledged and may still lose.

use std::collections::BTreeSet;

/// A change that a disk took and has not made durable. What it changes, `T`, is bytes in the server
/// and numbers of sector contents where crash images are rebuilt.
#[derive(Clone, Debug)]
pub struct Cached<T> {
    /// Its place in the one order of everything that the server did.
    pub position: u64,
    /// Its first 512-byte sector.
    pub first: u64,
    /// How many.
    pub sectors: u64,
    /// When it was answered, in the same order.
    pub answered: Option<u64>,
    /// What it changes.
    pub what: T,
}

impl<T> Cached<T> {
    fn overlaps(&self, other: &Cached<T>) -> bool {
        self.first < other.first + other.sectors && other.first < self.first + self.sectors
    }
}

/// The volatile cache of one disk: changes in the order in which they were received.
#[derive(Clone, Debug)]
pub struct Cache<T>(Vec<Cached<T>>);

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Cache<T> {
    /// Takes a change in.
    pub fn receive(&mut self, change: Cached<T>) {
        self.0.push(change);
    }

    /// The change at this position was answered at `now`.
    pub fn answered(&mut self, position: u64, now: u64) {
        if let Some(change) = self.0.iter_mut().find(|change| change.position == position) {
            change.answered = Some(now);
        }
    }

    /// A flush received at `flush` has succeeded: what becomes durable, in order. That is only what was
    /// answered before the flush was asked for; more may not be hoped for.
    pub fn flushed(&mut self, flush: u64) -> Vec<Cached<T>> {
        self.take(|change| change.answered.is_some_and(|at| at < flush))
    }

    /// The change at this position has become durable by itself (FUA).
    pub fn forced(&mut self, position: u64) -> Vec<Cached<T>> {
        self.take(|change| change.position == position)
    }

    /// Forgets the change at this position: it failed.
    pub fn drop_failed(&mut self, position: u64) {
        self.0.retain(|change| change.position != position);
    }

    /// What is in it.
    #[must_use]
    pub fn changes(&self) -> &[Cached<T>] {
        &self.0
    }

    /// Takes everything out.
    pub fn take_all(&mut self) -> Vec<Cached<T>> {
        std::mem::take(&mut self.0)
    }

    fn take(&mut self, chosen: impl Fn(&Cached<T>) -> bool) -> Vec<Cached<T>> {
        let mut taken: BTreeSet<u64> = BTreeSet::new();
        for (at, change) in self.0.iter().enumerate().rev() {
            // An older change below one that is taken goes first, so that it can never come later and
            // cover what is newer.
            let below = self.0[at + 1..]
                .iter()
                .any(|later| taken.contains(&later.position) && later.overlaps(change));
            if below || chosen(change) {
                taken.insert(change.position);
            }
        }
        let (durable, rest) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|change| taken.contains(&change.position));
        self.0 = rest;
        durable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(position: u64, first: u64, sectors: u64) -> Cached<()> {
        Cached { position, first, sectors, answered: None, what: () }
    }

    fn positions(changes: &[Cached<()>]) -> Vec<u64> {
        changes.iter().map(|change| change.position).collect()
    }

    #[test]
    fn a_flush_covers_only_what_was_answered_before_it() {
        let mut cache = Cache::default();
        (0..4).for_each(|n| cache.receive(change(n, n * 8, 8)));
        cache.answered(0, 4);
        cache.answered(1, 6);
        assert_eq!(
            positions(&cache.flushed(5)),
            [0],
            "1 was answered after the flush was asked for"
        );
        assert_eq!(positions(&cache.flushed(7)), [1]);
        assert_eq!(positions(cache.changes()), [2, 3]);
    }

    #[test]
    fn an_older_change_never_comes_up_again_over_a_newer_durable_one() {
        let mut cache = Cache::default();
        cache.receive(change(0, 0, 16));
        cache.receive(change(1, 8, 8));
        cache.receive(change(2, 0, 8));
        assert_eq!(positions(&cache.forced(1)), [0, 1]);
        assert_eq!(positions(cache.changes()), [2]);
    }
}
