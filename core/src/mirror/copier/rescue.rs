//! A source that does not give everything at once: what the copier keeps in mind of it.

use super::super::copy::Slot;
use super::super::part::PartIndex;
use super::super::state::PartState;
use super::super::volume::Volume;
use super::Copier;
use crate::chunk::{ChunkIndex, CopyOutcome, CopyTicket, Effects, Fault, WritePolicy};
use crate::copier::{Aside, Nanos, SetAside};
use crate::{Leg, LegFault};

impl<P: AsMut<[PartState]> + AsRef<[PartState]>> Copier<P> {
    /// What is set aside since the source did not give it at once, and the bytes of that.
    pub fn set_aside<V: Volume + ?Sized>(&self, volume: &V) -> (SetAside, u64) {
        let (mut all, mut bytes) = (SetAside::default(), 0_u64);
        for (state, part) in self.parts.as_ref().iter().zip(volume.parts()) {
            let SetAside { areas, chunks, time } = state.schedule.rescue().set_aside();
            all.areas = all.areas.saturating_add(areas);
            all.chunks = all.chunks.saturating_add(chunks);
            all.time = Nanos(all.time.0.saturating_add(time.0));
            let chunk = u64::from(part.tracker().geometry().chunk_sectors()).saturating_mul(512);
            bytes = bytes.saturating_add(chunks.saturating_mul(chunk));
        }
        (all, bytes)
    }

    /// Keeps in mind what a copy says of its source. A chunk that cannot be read ends the move when nothing else is left
    /// to be read: so that all of them are named.
    pub(super) fn rescue<V: Volume + ?Sized>(
        &mut self,
        (part, chunk): (PartIndex, ChunkIndex),
        outcome: CopyOutcome,
        aside: Option<Aside>,
        slowest: Nanos,
        volume: &V,
    ) -> CopyOutcome {
        let state = self.parts.as_mut().get_mut(part.index());
        let (Some(state), Some(part)) = (state, volume.parts().get(part.index())) else {
            return outcome;
        };
        let (rescue, end) = (state.schedule.rescue_mut(), part.tracker().geometry().chunks());
        match (outcome, aside) {
            (CopyOutcome::Copied, _) => rescue.was_good(chunk, slowest, end),
            (CopyOutcome::NotTried, Some(why))
            | (CopyOutcome::SourceFailed, Some(why @ Aside::Lost)) => {
                rescue.was_bad(chunk, why, slowest, end);
            }
            _ => {}
        }
        if !rescue.is_empty() {
            part.set_policy(WritePolicy::SourceFirst);
        }
        let lost = outcome == CopyOutcome::SourceFailed && aside == Some(Aside::Lost);
        if lost && !rescue.is_hopeless() { CopyOutcome::NotTried } else { outcome }
    }

    /// Nothing is left that could be read: parts of which something cannot be have failed.
    pub(super) fn end_rescue<V: Volume + ?Sized>(&mut self, volume: &V) {
        if !self.slots.iter().all(Slot::is_idle) {
            return;
        }
        let fault = Fault { leg: Leg::Source, fault: LegFault::Read };
        let mut effects = Effects::NONE;
        for (state, part) in self.parts.as_ref().iter().zip(volume.parts()) {
            let tracker = part.tracker();
            if state.schedule.rescue().has_lost() && tracker.left() > 0 && !tracker.is_abandoned() {
                self.stats.chunk_failed();
                effects = effects.and(tracker.fail(fault));
                self.more = true;
            }
        }
        self.follow(effects);
    }

    /// The next chunk of what is set aside, of all parts what is best first: they may lie on one disk.
    pub(super) fn pick_aside<V: Volume + ?Sized>(
        &mut self,
        volume: &V,
    ) -> Option<(PartIndex, CopyTicket)> {
        let (parts, states) = (volume.parts(), self.parts.as_mut());
        if states.iter().any(|state| state.schedule.rescue().is_out()) {
            return None;
        }
        loop {
            let asides = (0..).zip(parts.iter().zip(states.iter()));
            let left = asides.filter(|(_, (part, _))| !part.tracker().is_abandoned());
            let left =
                left.filter_map(|(at, (_, state))| Some((state.schedule.rescue().next()?, at)));
            let (_, number) = left.min()?;
            let state = states.get_mut(usize::from(number))?;
            let tracker = parts.get(usize::from(number))?.tracker();
            if let Some(ticket) = state.schedule.next_aside(tracker) {
                return Some((PartIndex(number), ticket));
            }
        }
    }
}
