//! Rounds of flushing: dirty chunks become clean, whole batches of them by one flush of each leg.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lvshift_core::Leg;
use lvshift_core::chunk::{Effects, SettleRound, Turn};
use lvshift_core::copier::{Nanos, SettlePace};

use super::Part;
use crate::failpoint::{self, Point};
use crate::live::LiveTable;
use crate::platform::{Ring, Slot};
use crate::queues::Queues;

/// How soon the answers of application flushes are looked for again: those that were in flight when
/// the legs had been flushed.
const LOOK_AGAIN: u64 = 5_000_000;

/// The settle rounds of one LV: all its parts together, so that no leg is flushed twice in one.
pub(super) struct Settler {
    table: Arc<LiveTable>,
    pace: SettlePace,
    /// Each part's round, while one is under way.
    rounds: Vec<Option<SettleRound>>,
    /// The devices that are flushed in this round.
    flushed: Vec<Slot>,
    waiting: usize,
    /// Those whose flush has failed.
    failed: Vec<Slot>,
    /// The legs are flushed; the application flushes of before are not all answered.
    turn: Option<Turn>,
}

impl Settler {
    pub(super) fn new(table: Arc<LiveTable>, now: Nanos) -> Settler {
        Settler {
            pace: SettlePace::new(now),
            rounds: table.parts.iter().map(|_| None).collect(),
            flushed: Vec::with_capacity(table.devices.len()),
            waiting: 0,
            failed: Vec::with_capacity(table.devices.len()),
            turn: None,
            table,
        }
    }

    /// Whether nothing of a round is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting == 0 && self.turn.is_none()
    }

    /// Clean chunks are written again.
    pub(super) fn marked(&mut self, chunks: usize) {
        self.pace.marked(u32::try_from(chunks).unwrap_or(u32::MAX));
    }

    /// Begins a round where one is due and brings something. Says when to look again; `None`: when
    /// something has happened.
    pub(super) fn begin(
        &mut self,
        now: Nanos,
        ring: &mut Ring,
        user: impl Fn(usize) -> u64,
    ) -> io::Result<Option<Nanos>> {
        if self.turn.is_some() {
            return Ok(Some(Nanos(now.0.saturating_add(LOOK_AGAIN))));
        }
        if self.waiting > 0 {
            return Ok(None);
        }
        if now < self.pace.next() {
            return Ok(Some(self.pace.next()));
        }
        self.pace.began(now);
        self.flushed.clear();
        self.failed.clear();
        for (round, part) in self.rounds.iter_mut().zip(&self.table.parts) {
            *round = part.tracker.begin_settle();
            if round.is_some() {
                for slot in [part.source.device.slot, part.destination.device.slot] {
                    let left_out = slot == part.destination.device.slot
                        && lvshift_core::planted::is("settle-flushes-the-source-only");
                    if !left_out && !self.flushed.contains(&slot) {
                        self.flushed.push(slot);
                    }
                }
            }
        }
        if self.flushed.is_empty() {
            self.pace.ended(0, now);
            let more = self.table.parts.iter().any(|part| part.tracker.has_dirty());
            return Ok(more.then(|| self.pace.next()));
        }
        failpoint::pass(Point::SettleBegun);
        self.waiting = self.flushed.len();
        for (index, slot) in self.flushed.iter().enumerate() {
            ring.flush(*slot, user(index))?;
        }
        Ok(None)
    }

    /// A device has answered its flush.
    pub(super) fn answer(&mut self, index: usize, result: i32) {
        if result < 0
            && let Some(slot) = self.flushed.get(index)
        {
            self.failed.push(*slot);
            if let Some(device) = self.table.devices.iter().find(|device| device.slot == *slot) {
                device.flush_failures.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.waiting = self.waiting.saturating_sub(1);
        if self.waiting == 0 {
            failpoint::pass(Point::SettleDone);
            self.turn = Some(self.table.flushes.turn());
        }
    }

    /// Ends the round where everything it waits for is answered. `each` passes on what follows for
    /// a part, and learns whether chunks of it have become clean.
    pub(super) fn end(
        &mut self,
        now: Nanos,
        queues: &Queues,
        mut each: impl FnMut(usize, &Part, bool, Effects),
    ) {
        let Some(turn) = self.turn else { return };
        self.table.parts.iter().for_each(|part| part.look_at_destination(queues));
        let abandoned = self.table.parts.iter().all(|part| part.tracker.is_abandoned());
        // On an abandoned part nothing becomes clean, whatever is waited for.
        if !abandoned && !self.table.flushes.is_over(turn) {
            return;
        }
        self.turn = None;
        let mut all = 0u32;
        for (number, (round, part)) in self.rounds.iter_mut().zip(&self.table.parts).enumerate() {
            let failed = |slot| self.failed.contains(&slot);
            // If both fail, the source's failure is the one to know.
            let flushed =
                match (failed(part.source.device.slot), failed(part.destination.device.slot)) {
                    (true, _) => Err(Leg::Source),
                    (_, true) => Err(Leg::Destination),
                    _ => Ok(()),
                };
            let Some(round) = round.take() else {
                if let Err(leg) = flushed {
                    each(number, part, false, part.tracker.flush_failed(leg));
                }
                continue;
            };
            let (cleaned, effects) = part.tracker.finish_settle(round, flushed);
            all = all.saturating_add(cleaned);
            each(number, part, cleaned > 0, effects);
        }
        self.pace.ended(all, now);
    }
}
