//! Settle rounds: dirty chunks become clean, whole batches of them by one flush of each leg's device.

use super::operation::{Ended, Of, Operation, Tag};
use super::state::PartState;
use super::volume::{Moment, Volume, check_destinations};
use crate::chunk::{Effects, Fault, Turn};
use crate::copier::{Nanos, SettlePace};
use crate::device::{DeviceIndex, DeviceSet};
use crate::{Leg, LegFault};

/// How soon the answers of application flushes are looked for again: those that were in flight when
/// the legs had been flushed.
const LOOK_AGAIN: u64 = 5_000_000;

/// What becomes of a part whose destination is past its deadline.
pub(super) const SILENT: Fault = Fault { leg: Leg::Destination, fault: LegFault::Silent };

/// The settle rounds of one volume: all its parts together, so that no device is flushed twice in one.
#[derive(Debug)]
pub(crate) struct Settle {
    pace: SettlePace,
    /// Devices that this round flushes: those to be asked yet,
    to_flush: DeviceSet,
    /// those that were asked and have not answered,
    flushing: DeviceSet,
    /// and those whose flush has failed.
    failed: DeviceSet,
    /// Devices whose flush was given up and has not ended.
    late: DeviceSet,
    /// When this round's flushes were asked for.
    asked: Nanos,
    /// The legs are flushed; the application's flushes of before are not all answered.
    turn: Option<Turn>,
}

impl Settle {
    pub(crate) const fn new(now: Nanos) -> Settle {
        Settle {
            pace: SettlePace::new(now),
            to_flush: DeviceSet::EMPTY,
            flushing: DeviceSet::EMPTY,
            failed: DeviceSet::EMPTY,
            late: DeviceSet::EMPTY,
            asked: now,
            turn: None,
        }
    }

    /// Whether no round is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.to_flush.is_empty() && self.flushing.is_empty() && self.turn.is_none()
    }

    /// Whether a flush that was given up has not ended.
    pub(super) const fn is_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// Gives up the flushes of destinations that were asked for at `before` or earlier. A source that does
    /// not answer keeps its round waiting: nothing becomes clean without it.
    pub(super) fn give_up<V: Volume + ?Sized>(&mut self, before: Nanos, volume: &V) -> Effects {
        let mut effects = Effects::NONE;
        if self.asked > before {
            return effects;
        }
        let mut asked = self.flushing;
        while let Some(device) = asked.pop() {
            let parts = volume.parts();
            if parts.iter().any(|part| part.leg(Leg::Source).device == device) {
                continue;
            }
            self.late.insert(device);
            for part in parts.iter().filter(|part| part.leg(Leg::Destination).device == device) {
                effects = effects.and(part.tracker().fail(SILENT));
            }
            self.was_flushed(device, Ended::Failed(0), volume);
        }
        effects
    }

    /// Drops the round under way.
    pub(super) fn leave(&mut self, parts: &mut [PartState]) {
        while let Some(device) = self.flushing.pop() {
            self.late.insert(device);
        }
        self.to_flush = DeviceSet::EMPTY;
        self.turn = None;
        parts.iter_mut().for_each(|part| part.round = None);
    }

    /// Clean chunks are written again.
    pub(super) const fn marked(&mut self, chunks: u32) {
        self.pace.marked(chunks);
    }

    /// Begins a round where one is due and brings something. Says when to look again; `None`: when
    /// something has happened.
    pub(crate) fn begin<V: Volume + ?Sized>(
        &mut self,
        now: Nanos,
        volume: &V,
        parts: &mut [PartState],
    ) -> Option<Nanos> {
        if self.turn.is_some() {
            return Some(Nanos(now.0.saturating_add(LOOK_AGAIN)));
        }
        if !self.is_idle() {
            return None;
        }
        if now < self.pace.next() {
            return Some(self.pace.next());
        }
        self.pace.began(now);
        self.failed = DeviceSet::EMPTY;
        for (state, part) in parts.iter_mut().zip(volume.parts()) {
            state.round = part.tracker().begin_settle();
            if state.round.is_some() {
                self.to_flush.insert(part.leg(Leg::Destination).device);
                self.to_flush.insert(part.leg(Leg::Source).device);
            }
        }
        if self.to_flush.is_empty() {
            self.pace.ended(0, now);
            let more = volume.parts().iter().any(|part| part.tracker().has_dirty());
            return more.then(|| self.pace.next());
        }
        self.asked = now;
        volume.passes(Moment::SettleBegun);
        None
    }

    /// The next flush of the round under way.
    pub(crate) fn next_operation(&mut self) -> Option<Operation> {
        let device = self.to_flush.pop()?;
        self.flushing.insert(device);
        Some(Operation::Flush { tag: Tag::new(Of::Flush(device)), device })
    }

    /// A device has answered its flush.
    pub(crate) fn was_flushed<V: Volume + ?Sized>(
        &mut self,
        device: DeviceIndex,
        ended: Ended,
        volume: &V,
    ) {
        if !self.flushing.remove(device) {
            self.late.remove(device);
            return;
        }
        if !matches!(ended, Ended::Done(_)) {
            self.failed.insert(device);
            if let Some(device) = volume.device(device) {
                device.flush_has_failed();
            }
        }
        if self.to_flush.is_empty() && self.flushing.is_empty() {
            volume.passes(Moment::SettleDone);
            self.turn = Some(volume.flushes().turn());
        }
    }

    /// Ends the round where everything it waits for is answered.
    pub(crate) fn end<V: Volume + ?Sized>(
        &mut self,
        now: Nanos,
        volume: &V,
        parts: &mut [PartState],
    ) -> Effects {
        let Some(turn) = self.turn else { return Effects::NONE };
        let mut effects = check_destinations(volume);
        let abandoned = volume.parts().iter().all(|part| part.tracker().is_abandoned());
        // On an abandoned part nothing becomes clean, whatever is waited for.
        if !abandoned && !volume.flushes().is_over(turn) {
            return effects;
        }
        self.turn = None;
        let mut all = 0u32;
        for (state, part) in parts.iter_mut().zip(volume.parts()) {
            let failed = |leg| self.failed.contains(part.leg(leg).device);
            // If both fail, the source's failure is the one to know.
            let flushed = match (failed(Leg::Source), failed(Leg::Destination)) {
                (true, _) => Err(Leg::Source),
                (_, true) => Err(Leg::Destination),
                _ => Ok(()),
            };
            let Some(round) = state.round.take() else {
                if let Err(leg) = flushed {
                    effects = effects.and(part.tracker().flush_failed(leg));
                }
                continue;
            };
            let (count, more) = part.tracker().finish_settle(round, flushed);
            all = all.saturating_add(count);
            effects = effects.and(more);
            if count > 0 {
                state.lane.cleaned();
            }
        }
        self.pace.ended(all, now);
        effects
    }
}
