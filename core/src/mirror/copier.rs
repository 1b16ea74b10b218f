//! The copier: copies the chunks of one volume's moving parts, keeps their dirty logs, settles them.

mod rescue;

use core::mem;

use super::confirm::Confirm;
use super::copy::{Copied, Slot, Unanswered};
use super::operation::{Buffers, COPY_SLOTS, Ended, Next, Of, Operation, Tag};
use super::pacing::{DEADLINE, Pacing, Tuning};
use super::part::PartIndex;
use super::settle::{SILENT, Settle};
use super::state::PartState;
use super::verify::Verify;
use super::volume::{Moment, Volume};
use crate::chunk::{CopyOutcome, CopyTicket, Effects, Fault, QueueMask, WritePolicy};
use crate::copier::{Allowed, Latencies, May, Nanos, Pacer, Pick, Stats, Widen};
use crate::{Leg, LegFault};

/// Chunks that are copied at once,
const WINDOW: u16 = 4;
/// and where that makes the copy faster.
const WIDEST: u16 = COPY_SLOTS as u16;
/// How long at most until it looks for work although nothing woke it.
const LOOK_ANYWAY: u64 = 5_000_000_000;
/// How long until it looks whether the application's flushes are answered, or whether it may end.
const LOOK_SOON: u64 = 5_000_000;
/// It does not look twice within this.
const SHORTEST: u64 = 1_000_000;

/// The copier of one volume. `P` is where it keeps the state of the parts, one [`PartState`] for each.
///
/// It is asked with [`Copier::next`] what to do until that says to wait, and told with
/// [`Copier::ended`] how each operation has ended. The host wakes the thread that drives it where
/// [`Effects`] say `copier` or `log`; that it was woken it need not be told, only asked again.
pub struct Copier<P> {
    parts: P,
    slots: [Slot; COPY_SLOTS],
    pacer: Pacer,
    widen: Widen,
    pacing: Pacing,
    stats: Stats,
    policy: WritePolicy,
    settle: Settle,
    confirm: Confirm,
    verify: Verify,
    seen: Seen,
    stops: bool,
    /// No settle round begins, and no bit of a clean chunk is set.
    log_only_dirties: bool,
    /// The parts are left to their sources: nothing is waited for.
    leaves: bool,
    /// How long a destination may take to answer.
    deadline: Nanos,
    /// The part whose turn it is to copy a chunk.
    turn: usize,
    /// Queues to be woken.
    wake: QueueMask,
    step: Step,
    /// Something was told since the present turn has begun: there may be more to do at once.
    more: bool,
    /// The earliest moment that this turn knows of at which there may be something to do.
    until: Nanos,
}

/// What becomes of a part whose source is past its deadline, twice.
const SILENT_SOURCE: Fault = Fault { leg: Leg::Source, fault: LegFault::Silent };

/// What whoever waits for the copy has been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    failed: bool,
    equal: bool,
    /// The newest comparison that was asked for and is done.
    compared: u64,
}

/// How far [`Copier::next`] has come since it said to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Copies in flight go on, from this slot.
    Copies(usize),
    /// A settle round ends, and the last look before a commit goes on.
    Decide,
    /// The dirty logs are written, from this part on.
    Logs(usize),
    /// The latencies of requests are looked at where it is time.
    Pace,
    Paced,
    /// A settle round begins, and its flushes are asked for.
    Settle,
    /// Copies begin.
    Begin,
    /// Both legs are compared, from this comparison on.
    Compare(usize),
    Tell,
}

impl<P: AsMut<[PartState]> + AsRef<[PartState]>> Copier<P> {
    /// A copier that was asked for nothing but `tuning`. Sets the write policy of the parts: so
    /// before a request is served, else one could have the copy of its chunk wanted, which no limit holds
    /// back.
    pub fn new<V: Volume + ?Sized>(parts: P, volume: &V, tuning: Tuning, now: Nanos) -> Copier<P> {
        let mut numbers = 0u8..;
        let mut copier = Copier {
            parts,
            slots: [(); COPY_SLOTS].map(|()| Slot::new(numbers.next().unwrap_or(u8::MAX))),
            pacer: Pacer::new(WINDOW, None, now),
            widen: Widen::new(WINDOW, WIDEST),
            pacing: Pacing::new(),
            stats: Stats::default(),
            policy: WritePolicy::CopyFirst,
            settle: Settle::new(now),
            confirm: Confirm::new(),
            verify: Verify::new(),
            seen: Seen::default(),
            stops: false,
            log_only_dirties: false,
            leaves: false,
            deadline: DEADLINE,
            turn: 0,
            wake: QueueMask::NONE,
            step: Step::Copies(0),
            more: false,
            until: now,
        };
        copier.tune(tuning, volume, now);
        copier
    }

    /// Changes how it copies.
    pub fn tune<V: Volume + ?Sized>(&mut self, tuning: Tuning, volume: &V, now: Nanos) {
        self.more = true;
        self.widen.disturbed();
        self.pacing.tune(tuning, WINDOW, &mut self.pacer, now);
        if let Some(paused) = tuning.paused {
            self.pacer.set_paused(paused);
        }
        if let Some(only) = tuning.log_only_dirties {
            self.log_only_dirties = only;
            self.parts.as_mut().iter_mut().for_each(|part| part.lane.set_only_dirties(only));
        }
        if let Some(verify) = tuning.verify {
            self.verify.set_wanted(verify);
        }
        if let Some(deadline) = tuning.deadline {
            self.deadline = if deadline.0 == 0 { Nanos(u64::MAX) } else { deadline };
        }
        if let Some(source_first) = tuning.source_first {
            self.policy =
                if source_first { WritePolicy::SourceFirst } else { WritePolicy::CopyFirst };
        }
        let policy = self.pacer.write_policy(self.policy);
        for (part, state) in volume.parts().iter().zip(self.parts.as_ref()) {
            // No write waits for what does not come at once.
            let waits = state.schedule.rescue().is_empty();
            part.set_policy(if waits { policy } else { WritePolicy::SourceFirst });
        }
    }

    /// Asks for the last look of this number, counted from 1 on: [`Operation::Confirmed`] says that every
    /// flush that is in flight now has been answered, and that what failed was told to the trackers. Until
    /// then, and afterwards where the parts are sealed, no settle round begins.
    pub fn confirm(&mut self, number: u64) {
        self.more |= self.confirm.ask(number);
    }

    /// Asks for a comparison of the legs in all that is mirrored, by number, counted from 1 on; see
    /// [`Copier::verified`].
    pub fn verify(&mut self, number: u64) {
        self.more |= self.verify.ask(number);
    }

    /// Whether the copy, where it is equal, was compared as it was asked for; the newest comparison that was
    /// asked for and is done; and how many bytes the last one has found equal until now.
    pub const fn verified(&self) -> (bool, u64, u64) {
        (self.verify.is_content(), self.verify.answered(), self.verify.compared())
    }

    /// Lets what is in flight end and begins nothing more.
    pub const fn stop(&mut self) {
        self.more |= !self.stops;
        self.stops = true;
    }

    /// As [`Copier::stop`], and waits for nothing: the parts have failed, the source is in charge, and a table
    /// without their destinations follows. What was given up may still land there until
    /// [`Copier::has_late`] is false.
    pub const fn leave(&mut self) {
        self.stop();
        self.leaves = true;
    }

    /// Whether anything that was given up has not ended.
    pub fn has_late(&self) -> bool {
        self.slots.iter().any(Slot::is_late)
            || self.parts.as_ref().iter().any(|part| part.lane.is_late())
            || self.settle.is_late()
            || (self.leaves && !self.verify.is_idle())
    }

    /// Counts of the copy.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How many chunks may be copied at once now, and how many are.
    pub const fn window(&self) -> crate::copier::Window {
        self.pacer.window()
    }

    /// The latencies that [`Operation::CountLatencies`] has asked for.
    pub fn latencies(&mut self, latencies: &Latencies, now: Nanos) {
        self.pacing.look(latencies, &self.stats, &mut self.pacer, now);
    }

    /// An operation has ended.
    pub fn ended<V: Volume + ?Sized>(
        &mut self,
        tag: Tag,
        ended: Ended,
        volume: &V,
        buffers: &mut impl Buffers,
        now: Nanos,
    ) {
        self.more = true;
        match tag.of() {
            Some(Of::CopyRead { slot }) => {
                if let Some(slot) = self.slots.get_mut(usize::from(slot))
                    && !slot.was_late()
                {
                    slot.was_read(ended, volume, buffers, now);
                }
                self.slots.iter_mut().for_each(|slot| slot.source_answered(now));
            }
            Some(Of::CopyWrite { slot, run }) => {
                if let Some(slot) = self.slots.get_mut(usize::from(slot))
                    && !slot.was_late()
                {
                    slot.was_written(run, ended);
                }
            }
            Some(Of::Log(number)) => {
                let Some(part) = self.parts.as_mut().get_mut(number.index()) else { return };
                let (marked, effects) = part.lane.was_written(number, ended, volume);
                self.settle.marked(marked);
                self.follow(effects);
            }
            Some(Of::Flush(device)) => self.settle.was_flushed(device, ended, volume),
            Some(Of::Compare { number, what }) => {
                let effects = self.verify.was_done(number, what, ended, volume, &*buffers);
                self.follow(effects);
            }
            None => {}
        }
    }

    /// What to do next. Ask again after each operation, and once it has said to wait: when an operation
    /// has ended, when it is woken, and at the moment that it has named.
    pub fn next<V: Volume + ?Sized>(
        &mut self,
        volume: &V,
        buffers: &mut impl Buffers,
        now: Nanos,
    ) -> Next {
        loop {
            if !self.wake.is_empty() {
                return Next::Do(Operation::Wake(mem::take(&mut self.wake)));
            }
            if let Some(told) = self.next_news(volume) {
                return Next::Do(told);
            }
            let (operation, next) = match self.step {
                Step::Copies(slot) => self.go_on_copying(slot, volume, now),
                Step::Decide => self.decide(volume, now),
                Step::Logs(part) => self.write_log(part, volume, buffers, now),
                Step::Pace => self.pace(now),
                Step::Paced => self.paced(now),
                Step::Settle => self.begin_settle(volume, now),
                Step::Begin => self.begin_copy(volume, now),
                Step::Compare(number) => self.compare(number, volume, now),
                Step::Tell => {
                    if self.has_news(volume) {
                        return Next::Do(Operation::Tell);
                    }
                    self.step = Step::Copies(0);
                    if mem::take(&mut self.more) {
                        continue;
                    }
                    let idle = self.is_idle();
                    if !idle {
                        let soon = (self.deadline.0 / 4).max(LOOK_SOON);
                        self.until = self.until.min(Nanos(now.0.saturating_add(soon)));
                    }
                    let stopped = self.stops && idle;
                    return if stopped { Next::Stopped } else { Next::WaitUntil(self.until) };
                }
            };
            self.step = next;
            if let Some(operation) = operation {
                return Next::Do(operation);
            }
        }
    }

    fn go_on_copying<V: Volume + ?Sized>(
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
        if self.leaves {
            self.settle.leave(self.parts.as_mut());
        } else if may_be {
            effects = effects.and(self.settle.give_up(deadline, volume));
        }
        self.follow(effects);
    }

    fn decide<V: Volume + ?Sized>(&mut self, volume: &V, now: Nanos) -> (Option<Operation>, Step) {
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

    fn write_log<V: Volume + ?Sized>(
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

    fn pace(&self, now: Nanos) -> (Option<Operation>, Step) {
        let due = self.pacing.next_look().is_some_and(|look| now >= look);
        (due.then_some(Operation::CountLatencies), Step::Paced)
    }

    fn paced(&mut self, now: Nanos) -> (Option<Operation>, Step) {
        if let Some(look) = self.pacing.next_look().filter(|look| *look > now) {
            self.until = self.until.min(look);
        }
        (None, Step::Settle)
    }

    /// Begins the next settle round where it is time.
    fn begin_settle<V: Volume + ?Sized>(
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
    fn begin_copy<V: Volume + ?Sized>(
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
    fn compare<V: Volume + ?Sized>(
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

    /// What comparing has found out: first it is told, then the part knows.
    fn next_news<V: Volume + ?Sized>(&mut self, volume: &V) -> Option<Operation> {
        while let Some((told, fails)) = self.verify.next_news() {
            if let Some(told) = told {
                self.verify.failed_after(fails);
                return Some(told);
            }
            if let Some((part, fault)) = fails
                && let Some(part) = volume.parts().get(part.index())
            {
                let effects = part.tracker().fail(fault);
                self.follow(effects);
            }
        }
        None
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

    /// Whether the copy has failed or become equal, or is not equal any more, since it was told last.
    fn has_news<V: Volume + ?Sized>(&mut self, volume: &V) -> bool {
        let parts = volume.parts();
        let now = Seen {
            failed: parts.iter().any(|part| part.tracker().fault().is_some()),
            compared: self.verify.answered(),
            equal: self.verify.is_content() && parts.iter().all(|part| part.tracker().left() == 0),
        };
        mem::replace(&mut self.seen, now) != now
    }

    fn is_idle(&self) -> bool {
        self.slots.iter().all(Slot::is_idle)
            && self.parts.as_ref().iter().all(|part| part.lane.is_idle())
            && self.settle.is_idle()
            // Whoever leaves does not wait for what is compared, and what it holds is let go with the table.
            && (self.leaves || self.verify.is_idle())
    }

    fn follow(&mut self, effects: Effects) {
        self.wake |= effects.wake;
    }
}

impl<P> core::fmt::Debug for Copier<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Copier").field("stats", &self.stats).finish_non_exhaustive()
    }
}
