//! Which chunk of a part is copied next.

use super::rescue::Rescue;
use crate::chunk::{Cells, ChunkIndex, CopyTicket, Tracker};

/// Of so many copies begun, one comes from the scan even while chunks are wanted: the move gets on
/// under any load.
pub const SCAN_SHARE: u32 = 4;

/// What may be begun now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Allowed {
    /// Wanted chunks and the next ones in order.
    All,
    /// Wanted chunks only: paused, or the throttle is in debt.
    Wanted,
}

/// What to do next in this part.
#[must_use]
#[derive(Debug)]
pub enum Pick {
    /// Copy this chunk.
    Copy(CopyTicket),
    /// Nothing can be begun until a copy or a write ends, or more is allowed.
    Wait,
    /// Every chunk is mirrored.
    AllMirrored,
    /// A leg has failed: no copy is begun any more.
    Abandoned,
}

/// The copier's place in one part.
#[derive(Debug, Default)]
pub struct Schedule {
    next: ChunkIndex,
    wanted_in_a_row: u32,
    /// Wanted chunks did not fit into the list: look for them from here.
    overflow_from: Option<ChunkIndex>,
    rescue: Rescue,
}

impl Schedule {
    /// At the part's start.
    pub const fn new() -> Schedule {
        let rescue = Rescue::new();
        Schedule { next: ChunkIndex(0), wanted_in_a_row: 0, overflow_from: None, rescue }
    }

    /// What is set aside.
    pub const fn rescue(&self) -> &Rescue {
        &self.rescue
    }

    /// The same, to be told.
    pub const fn rescue_mut(&mut self) -> &mut Rescue {
        &mut self.rescue
    }

    /// Begins the copy of the next chunk that was set aside. Asked for where nothing else can be begun.
    pub fn next_aside<S: Cells>(&mut self, tracker: &Tracker<S>) -> Option<CopyTicket> {
        while let Some(chunk) = self.rescue.take() {
            if let Some(ticket) = tracker.begin_copy(chunk, false) {
                return Some(ticket);
            }
            // It is equal already, or a writer is in and brings it back.
            self.rescue.give_back();
        }
        None
    }

    /// Begins the copy of the next chunk, if one can be begun.
    pub fn next<S: Cells>(&mut self, tracker: &Tracker<S>, allowed: Allowed) -> Pick {
        if tracker.is_abandoned() {
            return Pick::Abandoned;
        }
        let scan_first = allowed == Allowed::All && self.wanted_in_a_row + 1 >= SCAN_SHARE;
        if scan_first && let Some(ticket) = self.scan(tracker) {
            self.wanted_in_a_row = 0;
            return Pick::Copy(ticket);
        }
        if let Some(ticket) = self.wanted(tracker) {
            self.wanted_in_a_row = self.wanted_in_a_row.saturating_add(1);
            return Pick::Copy(ticket);
        }
        self.wanted_in_a_row = 0;
        if allowed == Allowed::All
            && !scan_first
            && let Some(ticket) = self.scan(tracker)
        {
            return Pick::Copy(ticket);
        }
        if tracker.left() == 0 { Pick::AllMirrored } else { Pick::Wait }
    }

    fn wanted<S: Cells>(&mut self, tracker: &Tracker<S>) -> Option<CopyTicket> {
        // Each round takes one out; no chunk is put in twice before it was copied.
        while let Some(chunk) = tracker.next_wanted() {
            if let Some(ticket) = tracker.begin_copy(chunk, true) {
                return Some(ticket);
            }
        }
        if tracker.wanted_overflowed() {
            self.overflow_from = Some(ChunkIndex(0));
        }
        let mut from = self.overflow_from?;
        while let Some(chunk) = tracker.find_drained(from) {
            from = ChunkIndex(chunk.0.saturating_add(1));
            if let Some(ticket) = tracker.begin_copy(chunk, true) {
                self.overflow_from = Some(from);
                return Some(ticket);
            }
        }
        self.overflow_from = None;
        None
    }

    /// The next chunk in order that no writer is in, from the place of the last one round to it
    /// again. Where writers are in all that are left, one chunk is drained: it comes back as wanted.
    fn scan<S: Cells>(&mut self, tracker: &Tracker<S>) -> Option<CopyTicket> {
        for from in [self.next, ChunkIndex(0)] {
            if let Some(chunk) = self.find(tracker, from, false)
                && let Some(ticket) = tracker.begin_copy(chunk, false)
            {
                self.next = ChunkIndex(chunk.0.saturating_add(1));
                return Some(ticket);
            }
        }
        let busy = self.find(tracker, ChunkIndex(0), true)?;
        tracker.begin_copy(busy, false)
    }

    /// The next chunk that is not set aside.
    fn find<S: Cells>(
        &self,
        tracker: &Tracker<S>,
        mut from: ChunkIndex,
        busy: bool,
    ) -> Option<ChunkIndex> {
        loop {
            let chunk = tracker.next_unmirrored(from, busy)?;
            match self.rescue.passes(chunk) {
                Some(end) => from = end,
                None => return Some(chunk),
            }
        }
    }
}
