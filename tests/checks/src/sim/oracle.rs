//! What each sector of the LV may hold: between the last flushed and the last issued write, and
//! never going back.
//!
//! A write is *over* for a moment when a later one, begun after its end, was acknowledged or seen
//! by a read before that moment. A read may return no write that was over when it began; a disk
//! after a power cut may hold none that was over by a write that a flush (or FUA) made durable.
//! What a write that failed leaves behind is either, from read to read, as on any disk.

use std::ops::Range;

/// A moment: a count of what has happened.
pub type Moment = u64;
const NEVER: Moment = Moment::MAX;

/// One write to one sector.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Which request.
    op: u32,
    value: u64,
    /// Nobody knows what it leaves behind: a discard.
    any: bool,
    issued: Moment,
    /// It has no effect any more after this.
    ended: Moment,
    /// From when on everybody sees it, or something newer.
    seen: Moment,
    acknowledged: Moment,
    durable: bool,
    /// The application was told that it has failed.
    failed: bool,
    /// A read has seen it, and a later read something that was under way together with it.
    outdated: Moment,
    /// Until it is answered it may be done a second time: its daemon has died.
    again: bool,
}

/// The whole LV.
#[derive(Clone, Debug)]
pub struct Oracle {
    sectors: Vec<Vec<Entry>>,
    /// When the oldest request under way was begun.
    pub oldest: Moment,
}

impl Oracle {
    /// An LV that holds these values for certain.
    #[must_use]
    pub fn new(values: impl Iterator<Item = u64>) -> Oracle {
        Oracle { sectors: values.map(|value| vec![Entry::certain(value)]).collect(), oldest: 0 }
    }

    /// Sectors of the LV.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sectors.len()
    }

    /// Whether the LV has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sectors.is_empty()
    }

    /// A request begins to write `value` to a sector.
    pub fn issue(&mut self, sector: usize, op: u32, value: u64, any: bool, now: Moment) {
        let entry =
            Entry { op, any, issued: now, ended: NEVER, seen: NEVER, ..Entry::certain(value) };
        let entry = Entry { acknowledged: NEVER, durable: false, failed: false, ..entry };
        self.sectors[sector].push(entry);
    }

    /// It has ended, well or not; `durable`: it was a write with FUA.
    pub fn end(&mut self, sector: usize, op: u32, good: bool, durable: bool, now: Moment) {
        for entry in self.sectors[sector].iter_mut().filter(|entry| entry.op == op) {
            entry.ended = now;
            if good {
                entry.acknowledged = now;
                entry.seen = entry.seen.min(now);
                entry.durable |= durable;
            } else {
                (entry.failed, entry.seen) = (true, NEVER);
            }
        }
        if !good {
            self.sectors[sector].iter_mut().for_each(|entry| entry.outdated = NEVER);
        }
        if good && durable {
            self.forget(sector);
        }
    }

    /// A flush of the LV with these sectors that was begun at this moment has succeeded.
    pub fn flushed(&mut self, sectors: Range<u32>, begun: Moment) {
        for sector in sectors.start as usize..sectors.end as usize {
            let mut changed = false;
            for entry in &mut self.sectors[sector] {
                if entry.acknowledged <= begun && !entry.durable {
                    entry.durable = true;
                    changed = true;
                }
            }
            if changed {
                self.forget(sector);
            }
        }
    }

    /// The application was told that a flush of the LV with these sectors has failed: what was not durable may be lost, and what
    /// was before it may be seen again.
    pub fn flush_failed(&mut self, sectors: Range<u32>) {
        let of = sectors.start as usize..sectors.end as usize;
        for entry in self.sectors[of].iter_mut().flatten() {
            entry.outdated = NEVER;
            if !entry.durable {
                (entry.acknowledged, entry.seen) = (NEVER, NEVER);
            }
        }
    }

    /// The daemon has died: what was not answered the kernel hands to the next one, which does it again. So
    /// what such a write has left may come back after a write to the same sectors that did not wait for
    /// it, as with every layer that sends requests again.
    pub fn done_again(&mut self) {
        for entry in self.sectors.iter_mut().flatten().filter(|entry| entry.ended == NEVER) {
            (entry.again, entry.outdated) = (true, NEVER);
        }
    }

    /// Forgets what can be seen no more, not even after a power cut: a write that a later one has
    /// replaced for good, before the oldest read under way was begun.
    fn forget(&mut self, sector: usize) {
        let oldest = self.oldest;
        let entries = &mut self.sectors[sector];
        let newest = entries
            .iter()
            .filter(|entry| entry.durable && entry.seen <= oldest)
            .map(|entry| (entry.issued, entry.op))
            .max();
        let Some((issued, op)) = newest else { return };
        entries.retain(|entry| entry.op == op || entry.ended > issued);
    }

    /// A read of one sector, from `begun` until `now`, gave `value`.
    ///
    /// # Errors
    /// When it must not.
    pub fn read(
        &mut self,
        sector: usize,
        value: u64,
        begun: Moment,
        now: Moment,
    ) -> Result<(), String> {
        let entries = &mut self.sectors[sector];
        let over = |entry: &Entry| {
            entry.outdated < begun
                || entries.iter().any(|newer| newer.seen <= begun && entry.is_before(newer))
        };
        let good: Vec<usize> = entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| (entry.any || entry.value == value) && !over(entry))
            .map(|(at, _)| at)
            .collect();
        if good.is_empty() {
            return Err(self.complaint(sector, value));
        }
        if let [only] = good[..]
            && !entries[only].any
            && !entries[only].failed
        {
            entries[only].seen = entries[only].seen.min(now);
            for (at, entry) in entries.iter_mut().enumerate() {
                // Perhaps for the last time after the read had looked.
                let comes_again = entry.again && entry.ended >= begun;
                let other = at != only && !entry.any && entry.value != value;
                if other && entry.seen < begun && !comes_again {
                    entry.outdated = entry.outdated.min(now);
                }
            }
        }
        Ok(())
    }

    /// Whether a disk may hold this value after a power cut now.
    #[must_use]
    pub fn survives(&self, sector: usize, value: u64) -> bool {
        let entries = &self.sectors[sector];
        entries.iter().any(|entry| {
            (entry.any || entry.value == value)
                && !entries.iter().any(|newer| newer.durable && entry.is_before(newer))
        })
    }

    /// After a power cut: the sector holds this for certain.
    pub fn found(&mut self, sector: usize, value: u64) {
        self.sectors[sector].clear();
        self.sectors[sector].push(Entry::certain(value));
    }

    /// What a sector may hold, in words.
    #[must_use]
    pub fn complaint(&self, sector: usize, value: u64) -> String {
        format!("LV sector {sector} holds {value:#x}; known writes: {:x?}", self.sectors[sector])
    }
}

impl Entry {
    /// It had ended when the other was begun.
    fn is_before(&self, other: &Entry) -> bool {
        self.ended <= other.issued && self.op != other.op
    }

    const fn certain(value: u64) -> Entry {
        Entry {
            op: 0,
            value,
            any: false,
            issued: 0,
            ended: 0,
            seen: 0,
            acknowledged: 0,
            durable: true,
            failed: false,
            outdated: NEVER,
            again: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oracle() -> Oracle {
        let mut oracle = Oracle::new([7].into_iter());
        oracle.issue(0, 1, 8, false, 10);
        oracle
    }

    #[test]
    fn an_old_value_is_not_read_after_the_acknowledgement() {
        let mut oracle = oracle();
        assert!(oracle.read(0, 7, 11, 12).is_ok());
        oracle.end(0, 1, true, false, 20);
        assert!(oracle.read(0, 7, 19, 22).is_ok(), "the read was begun before");
        assert!(oracle.read(0, 7, 21, 22).is_err());
        assert!(oracle.read(0, 8, 21, 22).is_ok());
    }

    #[test]
    fn a_value_that_was_seen_does_not_go_back() {
        let mut oracle = oracle();
        assert!(oracle.read(0, 8, 11, 12).is_ok());
        assert!(oracle.read(0, 7, 13, 14).is_err());
    }

    #[test]
    fn of_two_writes_under_way_one_is_last() {
        let mut oracle = oracle();
        oracle.issue(0, 2, 9, false, 11);
        assert!(oracle.read(0, 8, 12, 13).is_ok());
        assert!(oracle.read(0, 9, 14, 15).is_ok());
        assert!(oracle.read(0, 8, 16, 17).is_err());
    }

    /// The simulator's seed 146626.
    #[test]
    fn a_write_that_is_done_again_may_come_back_until_it_is_answered() {
        let mut oracle = oracle();
        assert!(oracle.read(0, 8, 11, 12).is_ok());
        oracle.done_again();
        assert!(oracle.read(0, 7, 13, 14).is_err(), "what it has replaced does not come back");
        oracle.issue(0, 2, 9, false, 15);
        oracle.end(0, 2, true, true, 17);
        assert!(oracle.read(0, 9, 18, 19).is_ok());
        assert!(oracle.read(0, 8, 20, 21).is_ok());
        assert!(oracle.read(0, 9, 22, 23).is_err(), "the other one is not done again");
        oracle.end(0, 1, true, false, 24);
        assert!(oracle.read(0, 8, 25, 26).is_ok());
    }

    #[test]
    fn a_write_that_failed_may_be_seen_and_not_be_seen() {
        let mut oracle = oracle();
        assert!(oracle.read(0, 8, 12, 13).is_ok());
        oracle.end(0, 1, false, false, 20);
        assert!(oracle.read(0, 7, 21, 22).is_ok());
        assert!(oracle.read(0, 8, 23, 24).is_ok());
        assert!(oracle.read(0, 7, 25, 26).is_ok());
    }

    #[test]
    fn a_flush_that_failed_lets_go_of_what_was_not_durable_and_of_nothing_else() {
        let mut oracle = oracle();
        oracle.end(0, 1, true, false, 20);
        assert!(oracle.read(0, 7, 21, 22).is_err(), "acknowledged");
        oracle.flush_failed(0..1);
        assert!(oracle.read(0, 7, 23, 24).is_ok(), "lost, and somebody was told");
        oracle.issue(0, 2, 9, false, 30);
        oracle.end(0, 2, true, true, 31);
        oracle.flush_failed(0..1);
        assert!(oracle.read(0, 7, 33, 34).is_err(), "durable before");
    }

    #[test]
    fn what_was_flushed_survives_and_what_was_not_may() {
        let mut oracle = oracle();
        oracle.end(0, 1, true, false, 20);
        assert!(oracle.survives(0, 7) && oracle.survives(0, 8) && !oracle.survives(0, 9));
        oracle.flushed(0..1, 15);
        assert!(oracle.survives(0, 7), "the flush was begun before the end of the write");
        oracle.flushed(0..1, 21);
        assert!(!oracle.survives(0, 7) && oracle.survives(0, 8));
    }
}
