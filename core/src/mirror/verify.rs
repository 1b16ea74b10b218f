//! A pass over all that is mirrored, which compares both legs: before a copy counts as equal, or when a
//! command asks for it.

use heapless::Vec;

use super::compare::{Comparer, Seen};
use super::operation::{Buffers, COPY_BLOCK, COPY_SLOTS, Ended, Operation};
use super::part::{Part, PartIndex};
use super::volume::Volume;
use crate::chunk::{Authority, Cells, Effects, Fault};
use crate::copier::Nanos;

/// Comparisons at once. Each has the buffers of two copies, and some are left for copies.
const COMPARERS: usize = 3;
const _: () = assert!(2 * COMPARERS < COPY_SLOTS, "copies keep a buffer");
/// Sectors that a comparison begins with.
const STRETCH: u64 = (COPY_BLOCK / 512) as u64;

/// The passes over one volume.
pub(super) struct Verify {
    comparers: [Comparer; COMPARERS],
    /// What was found out and is not told yet.
    news: Vec<News, COMPARERS>,
    /// The copy counts as equal only after a pass that found it so,
    wanted: bool,
    /// which has been made.
    verified: bool,
    /// The newest pass that a command asked for, and the newest that is done; 0 is none.
    asked: u64,
    answered: u64,
    pass: Option<Pass>,
    compared: u64,
}

/// What was found out: an operation to tell it, and how a part has failed.
type News = (Option<Operation>, Option<(PartIndex, Fault)>);

/// The pass under way.
#[derive(Clone, Copy, Debug)]
struct Pass {
    /// Its number if a command asked for it; 0: it is the one before the copy is equal.
    number: u64,
    /// Where it goes on.
    part: usize,
    at: u64,
    /// Something was not mirrored when it came there, or was copied since: another pass follows.
    again: bool,
}

/// Whether the source of a part is in charge: else nothing may be copied from it.
fn in_charge<S: Cells>(part: &Part<S>) -> bool {
    part.tracker().authority() == Authority::Source
}

impl Verify {
    pub(super) fn new() -> Verify {
        let mut numbers = 0u8..;
        Verify {
            comparers: [(); COMPARERS].map(|()| Comparer::new(numbers.next().unwrap_or(u8::MAX))),
            news: Vec::new(),
            wanted: false,
            verified: false,
            asked: 0,
            answered: 0,
            pass: None,
            compared: 0,
        }
    }

    /// From now on the copy counts as equal only after a pass, or again without.
    pub(super) const fn set_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// Asks for the pass of this number, counted from 1 on. True if that is news.
    pub(super) fn ask(&mut self, number: u64) -> bool {
        let is_new = number > self.asked;
        self.asked = self.asked.max(number);
        is_new
    }

    /// Whether a command asked for the pass under way.
    pub(super) fn is_asked(&self) -> bool {
        self.pass.is_some_and(|pass| pass.number > 0)
    }

    /// Whether nothing is to be compared before the copy counts as equal.
    pub(super) const fn is_content(&self) -> bool {
        !self.wanted || self.verified
    }

    /// The newest pass that a command asked for and that is done.
    pub(super) const fn answered(&self) -> u64 {
        self.answered
    }

    /// Bytes that the last pass, or the one under way, found equal.
    pub(super) const fn compared(&self) -> u64 {
        self.compared.saturating_mul(512)
    }

    /// Whether nothing of it is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.news.is_empty() && self.comparers.iter().all(Comparer::is_idle)
    }

    /// Whether a comparison uses the buffer of this copy.
    pub(super) fn uses(&self, slot: usize) -> bool {
        self.comparers.get(slot / 2).is_some_and(|comparer| !comparer.is_free())
    }

    /// Whether anything that was given up has not ended.
    pub(super) fn is_late(&self) -> bool {
        self.comparers.iter().any(Comparer::is_late)
    }

    /// Gives up what a leg has not answered since the moment that `before` says of its part.
    pub(super) fn give_up<V: Volume + ?Sized>(
        &mut self,
        volume: &V,
        before: &dyn Fn(PartIndex) -> Option<Nanos>,
    ) -> Effects {
        let mut effects = Effects::NONE;
        for number in 0..COMPARERS {
            if let Some(comparer) = self.comparers.get_mut(number) {
                let seen = comparer.give_up(volume, before);
                effects = effects.and(self.take(seen));
            }
        }
        effects
    }

    /// A chunk was copied: what a pass has found before says nothing of it.
    pub(super) const fn copied(&mut self) {
        self.verified = false;
        if let Some(pass) = &mut self.pass {
            pass.again = true;
        }
    }

    /// What was found out: an operation, or how a part has failed.
    pub(super) fn next_news(&mut self) -> Option<News> {
        self.news.pop()
    }

    /// How a part has failed, once what there was to tell of it is told.
    pub(super) fn failed_after(&mut self, fails: Option<(PartIndex, Fault)>) {
        if fails.is_some() {
            // There is room: it was taken out just now.
            let _ = self.news.push((None, fails));
        }
    }

    /// Begins or ends a pass where it is time. True where one has ended.
    pub(super) fn go_on<V: Volume + ?Sized>(&mut self, volume: &V) -> bool {
        let parts = volume.parts();
        let failed = parts.iter().any(|part| part.tracker().is_abandoned());
        if let Some(pass) = self.pass {
            let over = pass.part >= parts.len() || failed;
            if !over || !self.is_idle() {
                return false;
            }
            self.pass = None;
            if pass.number > 0 {
                self.answered = pass.number;
            } else if !failed && !pass.again {
                self.verified = true;
            }
            return true;
        }
        let begun = |number| Some(Pass { number, part: 0, at: 0, again: false });
        if self.asked > self.answered {
            self.pass = begun(self.asked);
            self.compared = 0;
        } else if !self.is_content()
            && !failed
            && parts.iter().all(|part| part.tracker().left() == 0 && in_charge(part))
        {
            self.pass = begun(0);
            self.compared = 0;
        }
        false
    }

    /// The comparison of this number, if it may begin with something: its buffers are not those of a copy.
    pub(super) fn wants<V: Volume + ?Sized>(&self, number: usize, volume: &V) -> Option<u64> {
        let pass = self.pass.as_ref()?;
        let free = self.comparers.get(number).is_some_and(Comparer::is_free);
        let part = volume.parts().get(pass.part).filter(|part| free && in_charge(part))?;
        let length = part.tracker().geometry().length().0;
        Some(length.saturating_sub(pass.at).min(STRETCH))
    }

    /// Begins the comparison of this number with what comes next.
    pub(super) fn begin<V: Volume + ?Sized>(&mut self, number: usize, volume: &V, now: Nanos) {
        let Some(count) = self.wants(number, volume) else { return };
        let (Some(pass), Some(comparer)) = (&mut self.pass, self.comparers.get_mut(number)) else {
            return;
        };
        let end = pass.at.saturating_add(count);
        if let Ok(part) = u16::try_from(pass.part) {
            comparer.begin(PartIndex(part), pass.at..end, now);
        }
        let length = volume.parts().get(pass.part).map(|part| part.tracker().geometry().length().0);
        (pass.part, pass.at) = if length.is_none_or(|length| end >= length) {
            (pass.part + 1, 0)
        } else {
            (pass.part, end)
        };
    }

    /// How many comparisons there can be at once.
    pub(super) const fn count() -> usize {
        COMPARERS
    }

    /// The next I/O of the comparison of this number, what others have to do, and whether it is over.
    pub(super) fn next_operation<V: Volume + ?Sized>(
        &mut self,
        number: usize,
        volume: &V,
        stops: bool,
        now: Nanos,
        until: &mut Nanos,
    ) -> (Option<Operation>, Effects, bool) {
        let mut seen = Seen::default();
        let Some(comparer) = self.comparers.get_mut(number) else {
            return (None, Effects::NONE, false);
        };
        let was_idle = comparer.is_idle();
        let operation = comparer.next_operation(volume, stops, now, &mut seen, until);
        let over = !was_idle && comparer.is_idle();
        let effects = self.take(seen);
        (operation, effects, over)
    }

    /// An I/O of a comparison has ended.
    pub(super) fn was_done<V: Volume + ?Sized>(
        &mut self,
        number: u8,
        what: u8,
        ended: Ended,
        volume: &V,
        buffers: &impl Buffers,
    ) -> Effects {
        let Some(comparer) = self.comparers.get_mut(usize::from(number)) else {
            return Effects::NONE;
        };
        let seen = comparer.was_done(what, ended, volume, buffers);
        self.take(seen)
    }

    fn take(&mut self, seen: Seen) -> Effects {
        self.compared = self.compared.saturating_add(seen.equal);
        if let Some(pass) = &mut self.pass {
            pass.again |= seen.skipped;
        }
        if seen.told.is_some() || seen.fails.is_some() {
            // There is room: no comparison has more than one.
            let _ = self.news.push((seen.told, seen.fails));
        }
        seen.effects
    }
}
