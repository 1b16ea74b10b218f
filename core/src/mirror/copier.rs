//! The copier: copies the chunks of one volume's moving parts, keeps their dirty logs, settles them.

mod rescue;
mod steps;

use core::mem;

use super::confirm::Confirm;
use super::copy::Slot;
use super::operation::{Buffers, COPY_SLOTS, Ended, Next, Of, Operation, Tag};
use super::pacing::{DEADLINE, Pacing, Tuning};
use super::settle::Settle;
use super::state::PartState;
use super::verify::Verify;
use super::volume::Volume;
use crate::chunk::{Effects, QueueMask, WritePolicy};
use crate::copier::{Latencies, Nanos, Pacer, Stats, Widen};

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
            || self.verify.is_late()
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
