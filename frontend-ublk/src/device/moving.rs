//! How far is the copy of an LV's moving parts, and may a move be committed behind it?

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lvshift_core::chunk::{Authority, Sealed};
use lvshift_core::mirror::check_destinations;

use super::Device;
use crate::live::LiveTable;
use crate::mirror::{Differs, Unreadable, Verified, Worker};
use crate::platform::{Instant, sleep};
use crate::protocol::{Tuning, WireCopy, WireCounted};
use crate::queues::Queues;

/// How long the answers of flushes under way are waited for before a move looks again.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A part that has just been sealed: no commit can have been tried behind this seal yet.
pub(crate) struct FreshSeal<'a> {
    table: Arc<LiveTable>,
    part: usize,
    queues: &'a Queues,
}

impl FreshSeal<'_> {
    /// There will be no commit: the source is in charge as before.
    pub(crate) fn undo(self) {
        if let Some(part) = self.table.parts.get(self.part) {
            self.table.pass_on(part.tracker().decided(Authority::Source), self.queues);
        }
    }
}

impl Device {
    /// Tells held results who is in charge now.
    pub(crate) fn decided(&self, authority: Authority) {
        let table = self.quiesce.table();
        for part in &table.parts {
            table.pass_on(part.tracker().decided(authority), self.quiesce.queues());
        }
    }

    /// What was counted of its requests.
    pub(crate) fn counted(&self, lv: [u8; 16]) -> WireCounted {
        self.quiesce.queues().counted(lv)
    }

    /// How far the copy is.
    pub(crate) fn copy_status(&self) -> WireCopy {
        let table = self.quiesce.table();
        let mut copy = WireCopy::default();
        for part in &table.parts {
            let geometry = part.tracker().geometry();
            let left = u64::from(part.tracker().left());
            let total = u64::from(geometry.chunks());
            let bytes = geometry.length().0 * 512;
            let chunk = u64::from(geometry.chunk_sectors()) * 512;
            copy.chunks_total += total;
            copy.chunks_done += total - left;
            copy.bytes_total += bytes;
            copy.bytes_done += bytes.saturating_sub(left * chunk);
            let fault = part.tracker().fault().map(crate::status::fault);
            copy.failed = copy.failed.or(fault);
        }
        if let Some(Verified { is_content, answered, compared, aside }) = self.verified() {
            (copy.answered, copy.compared, copy.aside) = (answered, compared, aside);
            copy.unverified = !is_content && copy.chunks_done == copy.chunks_total;
        }
        if copy.unverified {
            // What is not compared is not known equal.
            copy.chunks_done = copy.chunks_done.saturating_sub(1);
            copy.bytes_done = copy.bytes_done.saturating_sub(1);
        }
        copy
    }

    fn verified(&self) -> Option<Verified> {
        let mut verified = self.worker.as_ref()?.verified();
        // It may not have heard of what was asked just now.
        if self.tuning.verify != Some(true) {
            verified.is_content = true;
        }
        Some(verified)
    }

    /// Has both sides of what is mirrored compared, and says the number of that; `None` where nothing is.
    pub(crate) fn compare(&self) -> Option<u64> {
        self.worker.as_ref().map(Worker::compare)
    }

    /// What was compared and differs: sectors of the LV, and whether it does after it was copied again.
    pub(crate) fn differs(&self) -> impl Iterator<Item = (Range<u64>, bool)> {
        let table = self.quiesce.table();
        table.differs().into_iter().filter_map(move |Differs { part, sectors, again }| {
            let start = table.parts.get(part.index())?.place().start.0;
            Some((start + sectors.start..start + sectors.end, again))
        })
    }

    /// Seals every part: a write that the destination does not take is not acknowledged any more
    /// until it is decided who is in charge. False if a part is not equal or not healthy. Parts that
    /// were not sealed before are added to `fresh`.
    ///
    /// Only the mover may ask for it, right before its commit. A part that is sealed while no mover
    /// drives the move holds the application's writes as soon as the destination fails.
    pub(crate) fn seal<'a>(&'a self, fresh: &mut Vec<FreshSeal<'a>>) -> bool {
        let table = self.quiesce.table();
        table.parts.iter().enumerate().all(|(number, part)| {
            if part.tracker().authority() != Authority::Source {
                return true;
            }
            let (sealed, effects) = part.tracker().seal();
            table.pass_on(effects, self.quiesce.queues());
            let sealed = sealed == Sealed::Sealed;
            if sealed {
                let (table, queues) = (Arc::clone(&table), self.quiesce.queues());
                fresh.push(FreshSeal { table, part: number, queues });
            }
            sealed
        })
    }

    /// From now on no flush is acknowledged until it is decided who is in charge; false gives that
    /// up. Returns what it was before.
    pub(crate) fn set_committing(&self, committing: bool) -> bool {
        let before = self.quiesce.table().committing.swap(committing, Ordering::SeqCst);
        if before && !committing {
            self.quiesce.queues().wake(u16::MAX);
        }
        before
    }

    /// Whether a commit is under way that is not decided.
    pub(crate) fn is_committing(&self) -> bool {
        let table = self.quiesce.table();
        let mut authorities = table.parts.iter().map(|part| part.tracker().authority());
        table.committing.load(Ordering::SeqCst)
            && authorities.any(|authority| authority == Authority::Undecided)
    }

    /// Waits until every flush that is on its way has been answered, and what failed was told.
    /// False if one takes too long.
    pub(crate) fn answer_flushes(&self) -> bool {
        match &self.worker {
            Some(worker) => worker.confirm(ANSWER_LIMIT),
            // Without a copier no other thread counts turns.
            None => {
                let table = self.quiesce.table();
                let turn = table.flushes.turn();
                let start = Instant::now();
                while !table.flushes.is_over(turn) {
                    if start.elapsed() > ANSWER_LIMIT {
                        return false;
                    }
                    sleep(Duration::from_millis(1));
                }
                true
            }
        }
    }

    /// Whether no part has failed, with what other LVs have found out about the destinations.
    pub(crate) fn is_healthy(&self) -> bool {
        let table = self.quiesce.table();
        table.pass_on(check_destinations(&*table), self.quiesce.queues());
        self.verified().is_none_or(|verified| verified.is_content) && self.has_no_fault()
    }

    /// Whether no part has failed: then nothing was given up that may still land.
    pub(crate) fn has_no_fault(&self) -> bool {
        self.quiesce.table().parts.iter().all(|part| part.tracker().fault().is_none())
    }

    /// Whether it has something on one of the devices to which `other` copies.
    pub(crate) fn flushes_destinations_of(&self, other: &Device) -> bool {
        let table = self.quiesce.table();
        let others = other.quiesce.table();
        others.parts.iter().any(|part| {
            let destination = others.backing(part.place().destination.device);
            destination.is_some_and(|to| table.devices.iter().any(|own| own.slot == to.slot))
        })
    }

    /// What the copy could not read: sectors of the LV, and the error.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = (Range<u64>, i32)> {
        let table = self.quiesce.table();
        table.unreadable().into_iter().filter_map(move |Unreadable { part, sectors, errno }| {
            let start = table.parts.get(part.index())?.place().start.0;
            Some((start + sectors.start..start + sectors.end, errno))
        })
    }

    /// Changes how the copy is made.
    pub(crate) fn tune(&mut self, tuning: Tuning) {
        let verify = tuning.verify == Some(true) && self.tuning.verify != Some(true);
        self.tuning = tuning;
        self.quiesce.table().deadline.store(tuning.deadline().0, Ordering::Relaxed);
        // They look as often as their deadline asks for.
        self.quiesce.queues().wake(u16::MAX);
        if let Some(worker) = &self.worker {
            worker.tune(self.tuning, verify);
        }
    }
}
