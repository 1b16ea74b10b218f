//! What does the copier do at each step of a turn?

use super::super::copy::{Copied, Slot, Unanswered};
use super::super::operation::{Buffers, Operation};
use super::super::part::PartIndex;
use super::super::settle::SILENT;
use super::super::state::PartState;
use super::super::verify::Verify;
use super::super::volume::{Moment, Volume};
use super::{Copier, LOOK_ANYWAY, LOOK_SOON, SHORTEST, Step};
use crate::chunk::{CopyOutcome, CopyTicket, Effects, Fault};
use crate::copier::{Allowed, May, Nanos, Pick};
use crate::{Leg, LegFault};

/// What becomes of a part whose source is past its deadline, twice.
const SILENT_SOURCE: Fault = Fault { leg: Leg::Source, fault: LegFault::Silent };

impl<P: AsMut<[PartState]> + AsRef<[PartState]>> Copier<P> {
    pub(super) fn go_on_copying<V: Volume + ?Sized>(
        &mut self,
        number: usize,
        volume: &V,
        now: Nanos,
    ) -> (Option<Operation>, Step) {
        let Some(slot) = self.slots.get_mut(number) else { return (None, Step::Decide) };
        let operation = slot.next_operation(volume, now);
        if operation.is_some() {
            return (operation, Step::Copies(number));
        }
        if let Some(copied) = slot.take_over() {
            self.copied(copied, volume, now);
        }
        (None, Step::Copies(number + 1))
    }

    fn copied<V: Volume + ?Sized>(&mut self, copied: Copied, volume: &V, now: Nanos) {
        let Copied { part, ticket, outcome, data, zeroed, aside, slowest } = copied;
        volume.passes(Moment::CopyDone);
        self.pacer.ended();
        if outcome == CopyOutcome::Copied {
            self.verify.copied();
            self.stats.chunk_copied(data, zeroed, ticket.is_wanted());
            let widest = self.widen.copied(data.saturating_add(zeroed), now);
            self.pacing.set_window(widest, &mut self.pacer);
        } else if aside.is_none() {
            self.stats.chunk_failed();
        }
        let place = (part, ticket.chunk());
        let outcome = self.rescue(place, outcome, aside, slowest, volume);
        match volume.parts().get(part.index()) {
            Some(part) => {
                let effects = ticket.complete(part.tracker(), outcome);
                self.follow(effects);
            }
            None => ticket.leave_in_flight(),
        }
    }

    /// Gives up what the devices do not answer.
    fn look_for_silence<V: Volume + ?Sized>(&mut self, volume: &V, now: Nanos) {
        let parts = volume.parts();
        let deadline = Nanos(now.0.saturating_sub(self.deadline.0));
        let is_silent = |at: usize| {
            let part = parts.get(at);
            part.and_then(|part| part.tracker().fault()) == Some(SILENT)
        };
        let may_be = now.0 >= self.deadline.0;
        let mut effects = Effects::NONE;
        for slot in &mut self.slots {
            let Some(number) = slot.part() else { continue };
            let gone = if self.leaves {
                slot.leave(CopyOutcome::NotTried)
            } else if is_silent(number.index()) {
                slot.give_up(now)
            } else {
                may_be && slot.give_up(deadline)
            };
            let part = parts.get(number.index());
            if gone && let Some(part) = part {
                effects = effects.and(part.tracker().fail(SILENT));
                self.more = true;
            }
            if may_be && let Some(unanswered) = slot.give_up_read(deadline, now) {
                if unanswered == Unanswered::Failed
                    && let Some(part) = part
                {
                    effects = effects.and(part.tracker().fail(SILENT_SOURCE));
                }
                self.more = true;
            }
        }
        for (number, (state, part)) in self.parts.as_mut().iter_mut().zip(parts).enumerate() {
            let at_once = self.leaves || is_silent(number);
            if (at_once && state.lane.give_up(now)) || (may_be && state.lane.give_up(deadline)) {
                if let Some(device) = volume.device(part.place().log.device) {
                    device.flush_has_failed();
                }
                effects = effects.and(part.tracker().fail(SILENT));
                self.more = true;
            }
        }
        let unanswered = |part: PartIndex| match is_silent(part.index()) {
            true => Some(now),
            false => may_be.then_some(deadline),
        };
        effects = effects.and(self.verify.give_up(volume, &unanswered));
        if self.leaves {
            self.settle.leave(self.parts.as_mut());
        } else if may_be {
            effects = effects.and(self.settle.give_up(deadline, volume));
        }
        self.follow(effects);
    }

    pub(super) fn decide<V: Volume + ?Sized>(
        &mut self,
        volume: &V,
        now: Nanos,
    ) -> (Option<Operation>, Step) {
        self.look_for_silence(volume, now);
        let effects = self.settle.end(now, volume, self.parts.as_mut());
        self.follow(effects);
        let confirmed = self.confirm.go_on(volume, self.is_idle());
        let holds = self.confirm.is_under_way() || self.stops;
        let look = if holds { LOOK_SOON } else { LOOK_ANYWAY };
        self.until = Nanos(now.0.saturating_add(look));
        let next = if holds { Step::Compare(0) } else { Step::Logs(0) };
        (confirmed.map(Operation::Confirmed), next)
    }

    pub(super) fn write_log<V: Volume + ?Sized>(
        &mut self,
        number: usize,
        volume: &V,
        buffers: &mut impl Buffers,
        now: Nanos,
    ) -> (Option<Operation>, Step) {
        let part = self.parts.as_mut().get_mut(number);
        let (Some(part), Ok(index)) = (part, u16::try_from(number)) else {
            return (None, Step::Pace);
        };
        let operation = part.lane.next_operation(PartIndex(index), volume, buffers, now);
        (operation, Step::Logs(number + 1))
    }

    pub(super) fn pace(&self, now: Nanos) -> (Option<Operation>, Step) {
        let due = self.pacing.next_look().is_some_and(|look| now >= look);
        (due.then_some(Operation::CountLatencies), Step::Paced)
    }

    pub(super) fn paced(&mut self, now: Nanos) -> (Option<Operation>, Step) {
        if let Some(look) = self.pacing.next_look().filter(|look| *look > now) {
            self.until = self.until.min(look);
        }
        (None, Step::Settle)
    }

    /// Begins the next settle round where it is time.
    pub(super) fn begin_settle<V: Volume + ?Sized>(
        &mut self,
        volume: &V,
        now: Nanos,
    ) -> (Option<Operation>, Step) {
        if let Some(flush) = self.settle.next_operation() {
            return (Some(flush), Step::Settle);
        }
        if self.log_only_dirties && self.settle.is_idle() {
            return (None, Step::Begin);
        }
        let look = self.settle.begin(now, volume, self.parts.as_mut());
        if let Some(flush) = self.settle.next_operation() {
            return (Some(flush), Step::Settle);
        }
        if let Some(look) = look {
            let soon = Nanos(now.0.saturating_add(SHORTEST));
            self.until = self.until.min(look.max(soon));
        }
        (None, Step::Begin)
    }

    /// Begins a copy where one may be begun.
    pub(super) fn begin_copy<V: Volume + ?Sized>(
        &mut self,
        volume: &V,
        now: Nanos,
    ) -> (Option<Operation>, Step) {
        let May::Begin { allowed, ask_again } = self.pacer.may_begin(now) else {
            return (None, Step::Compare(0));
        };
        let states = self.parts.as_ref().iter();
        let trouble = states.into_iter().any(|state| state.schedule.rescue().is_in_trouble());
        if trouble && !self.slots.iter().all(Slot::is_idle) {
            return (None, Step::Compare(0));
        }
        let mut slots = (0..).zip(&self.slots);
        let free = slots.find(|(number, slot)| slot.is_free() && !self.verify.uses(*number));
        let free = free.map(|(number, _)| number);
        let picked = free.and_then(|free| Some((free, self.pick(volume, allowed)?)));
        let Some((free, (part, ticket))) = picked else {
            if free.is_some() && allowed == Allowed::All {
                self.end_rescue(volume);
            }
            if let Some(again) = ask_again {
                self.until = self.until.min(again);
            }
            return (None, Step::Compare(0));
        };
        self.pacer.began(ticket.piece().count.bytes().unwrap_or(u64::MAX), now);
        let Some(slot) = self.slots.get_mut(free) else { return (None, Step::Tell) };
        let source = volume.parts().get(part.index()).map(|part| part.leg(Leg::Source).device);
        let source = source.and_then(|device| volume.device(device));
        slot.begin(part, ticket, source.map_or(0, |source| source.sector_bytes()));
        let state = self.parts.as_ref().get(part.index());
        if !state.is_some_and(|state| state.schedule.rescue().is_patient()) {
            slot.set_aside();
        }
        volume.passes(Moment::CopyBegun);
        (slot.next_operation(volume, now), Step::Begin)
    }

    /// Goes on with comparing the legs, or begins with it.
    pub(super) fn compare<V: Volume + ?Sized>(
        &mut self,
        number: usize,
        volume: &V,
        now: Nanos,
    ) -> (Option<Operation>, Step) {
        if number >= Verify::count() {
            self.more |= self.verify.go_on(volume);
            return (None, Step::Tell);
        }
        let holds = self.stops || self.confirm.is_under_way();
        let mine = self.slots.iter().skip(number * 2).take(2);
        if !holds
            && let Some(sectors) = self.verify.wants(number, volume)
            && mine.into_iter().all(Slot::is_free)
            && let May::Begin { allowed, ask_again } = self.pacer.may_begin(now)
        {
            // A command that asks for one does not mean the copy, which may rest.
            if allowed == Allowed::All || self.verify.is_asked() {
                self.pacer.began(sectors.saturating_mul(512), now);
                self.verify.begin(number, volume, now);
            } else if let Some(again) = ask_again {
                self.until = self.until.min(again);
            }
        }
        let (operation, effects, over) =
            self.verify.next_operation(number, volume, holds, now, &mut self.until);
        self.follow(effects);
        if over {
            self.pacer.ended();
            self.more = true;
        }
        let next = if operation.is_some() { number } else { number + 1 };
        (operation, Step::Compare(next))
    }

    /// The next chunk to copy, of the parts in turn.
    fn pick<V: Volume + ?Sized>(
        &mut self,
        volume: &V,
        allowed: Allowed,
    ) -> Option<(PartIndex, CopyTicket)> {
        let (parts, states) = (volume.parts(), self.parts.as_mut());
        let count = parts.len().min(states.len()).min(usize::from(u16::MAX));
        for offset in 0..count {
            let number = self.turn.saturating_add(offset).checked_rem(count)?;
            let (state, part) = (states.get_mut(number)?, parts.get(number)?);
            if let Pick::Copy(ticket) = state.schedule.next(part.tracker(), allowed) {
                self.turn = number + 1;
                return Some((PartIndex(u16::try_from(number).ok()?), ticket));
            }
        }
        if allowed == Allowed::All { self.pick_aside(volume) } else { None }
    }
}
