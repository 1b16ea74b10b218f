//! A model of everything outside the mover that it can do harm to: the record on the PVs, the
//! tables of each LV, its log, and whether each side holds the truth.
//!
//! It is as hostile as the real thing may be: an action that fails may have had its effect, a
//! commit that fails may stand on some PVs, the kernel may drop a loaded table when a swap fails
//! and calls a swap with nothing loaded a success, and the application writes all the time.

extern crate std;

use std::vec;
use std::vec::Vec;

use crate::metadata::MoveState;
use crate::mover::{Event, InCharge, Live, Mapping, Outcome, Phase, State};
use crate::{Leg, LegFault};

/// A set of what a read of the metadata may find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Records(pub(super) u8);

impl Records {
    pub(super) const QUEUED: Records = Records(1);
    pub(super) const COPYING: Records = Records(2);
    pub(super) const ABORTING: Records = Records(4);
    pub(super) const MOVED: Records = Records(8);
    pub(super) const GONE_TO_SOURCE: Records = Records(16);
    pub(super) const GONE_TO_DESTINATION: Records = Records(32);
    const SOURCE_SIDE: Records = Records(1 | 2 | 4 | 16);
    const DESTINATION_SIDE: Records = Records(8 | 32);

    pub(super) fn has(self, other: Records) -> bool {
        self.0 & other.0 != 0
    }

    fn and(self, other: Records) -> Records {
        Records(self.0 | other.0)
    }

    /// The records of the set that a mover can be started over.
    pub(super) fn readable(self) -> impl Iterator<Item = MoveState> {
        [MoveState::Queued, MoveState::Copying, MoveState::Aborting, MoveState::Moved]
            .into_iter()
            .filter(move |&recorded| self.has(Records::from(recorded)))
    }
}

impl From<MoveState> for Records {
    fn from(recorded: MoveState) -> Records {
        match recorded {
            MoveState::Queued => Records::QUEUED,
            MoveState::Copying => Records::COPYING,
            MoveState::Aborting => Records::ABORTING,
            MoveState::Moved => Records::MOVED,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Log {
    /// Has clean bits for chunks that are not equal: to believe it loses data.
    Lies,
    /// Says that nothing is equal.
    Dirty,
    /// Has clean bits, all true.
    Honest,
}

/// One LV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lv {
    pub(super) live: Option<Mapping>,
    pub(super) loaded: Option<Mapping>,
    pub(super) shadow: bool,
    pub(super) log: Log,
    /// The source holds every acknowledged write.
    pub(super) source: bool,
    /// The destination holds every acknowledged write ...
    pub(super) destination: bool,
    /// ... and what was copied to it would survive a power cut.
    pub(super) durable: bool,
}

/// The world around one move.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) records: Records,
    pub(super) lvs: Vec<Lv>,
    /// The destination leg has failed a write since the mirrors were built.
    pub(super) bad: bool,
    /// A write that the destination did not take is held, not acknowledged.
    pub(super) sealed: bool,
    /// The destination has failed a flush: a later one proves nothing. Only the process knows.
    pub(super) poisoned: bool,
}

impl World {
    /// A move that was just planned, with its LVs active or not.
    pub(super) fn planned(lvs: usize, active: bool) -> World {
        let lv = Lv {
            live: active.then_some(Mapping::Source),
            loaded: None,
            shadow: false,
            log: Log::Lies,
            source: true,
            destination: false,
            durable: false,
        };
        World {
            records: Records::QUEUED,
            lvs: vec![lv; lvs],
            bad: false,
            sealed: false,
            poisoned: false,
        }
    }

    fn lv(&mut self, lv: u8) -> &mut Lv {
        &mut self.lvs[usize::from(lv)]
    }

    fn any(&self, mapping: Mapping) -> bool {
        self.lvs.iter().any(|lv| lv.live == Some(mapping))
    }

    /// What the application's writes make of the world, and what must hold in it always.
    pub(super) fn with_writes(mut self) -> World {
        for lv in &mut self.lvs {
            match lv.live {
                Some(Mapping::Source) => {
                    (lv.destination, lv.durable) = (false, false);
                    if lv.log == Log::Honest {
                        lv.log = Log::Lies;
                    }
                }
                Some(Mapping::Final) => lv.source = false,
                Some(Mapping::Mirrored) if self.bad && !self.sealed => {
                    (lv.destination, lv.durable) = (false, false);
                }
                Some(Mapping::Mirrored) | None => {}
            }
        }
        if !self.any(Mapping::Mirrored) {
            (self.bad, self.sealed, self.poisoned) = (false, false, false);
        }
        self.check();
        self
    }

    fn check(&self) {
        for lv in &self.lvs {
            // Invariant 2, one home: whatever record a read may find names a side that is right.
            if self.records.has(Records::SOURCE_SIDE) {
                assert!(lv.source, "one home: the source is stale: {self:?}");
            }
            if self.records.has(Records::DESTINATION_SIDE) {
                assert!(lv.destination && lv.durable, "one home: the destination lacks: {self:?}");
            }
            // Extents are free only when no table, live or loaded, and no shadow maps them.
            let maps = |mapping| lv.live == Some(mapping) || lv.loaded == Some(mapping);
            if self.records.has(Records::GONE_TO_SOURCE) {
                assert!(!maps(Mapping::Final) && !maps(Mapping::Mirrored), "mapped: {self:?}");
                assert!(!lv.shadow, "freed under a shadow: {self:?}");
            }
            if self.records.has(Records::GONE_TO_DESTINATION) {
                assert!(!maps(Mapping::Source) && !maps(Mapping::Mirrored), "mapped: {self:?}");
                assert!(!lv.shadow, "freed under a shadow: {self:?}");
            }
        }
    }

    /// Everything that may come of the action of `state`: the world after it, and the answer.
    pub(super) fn outcomes(&self, state: &State) -> Vec<(World, Event)> {
        use Event::{CopyEqual, Done, Failed, LegFailed, NotEqual};
        let leg_failed = LegFailed(Leg::Destination, LegFault::Write);
        let mut all = vec![(self.clone(), Failed)];
        let mut add = |change: &dyn Fn(&mut World), event| {
            let mut world = self.clone();
            change(&mut world);
            all.push((world.with_writes(), event));
        };
        let equal = !self.bad && self.lvs.iter().all(|lv| lv.destination);
        match state.phase {
            Phase::Confirm => commit(&mut add, state.recorded.into()),
            Phase::Begin => commit(&mut add, Records::COPYING),
            Phase::CommitMoved => {
                let ready = |lv: &Lv| lv.live == Some(Mapping::Mirrored) && lv.durable;
                assert!(self.sealed && self.lvs.iter().all(ready), "invariant 3: {self:?}");
                commit(&mut add, Records::MOVED);
            }
            Phase::CommitAborting => commit(&mut add, Records::ABORTING),
            Phase::Forget if state.abort.is_some() => commit(&mut add, Records::GONE_TO_SOURCE),
            Phase::Forget => commit(&mut add, Records::GONE_TO_DESTINATION),
            Phase::InitLog(i) => {
                assert_ne!(self.lvs[usize::from(i)].live, Some(Mapping::Mirrored));
                add(&|w| w.lv(i).log = Log::Dirty, Done);
                let torn = |w: &mut World| {
                    if w.lv(i).log == Log::Honest {
                        w.lv(i).log = Log::Lies;
                    }
                };
                add(&torn, Failed);
            }
            Phase::CreateShadow(i) => both(&mut add, &|w| w.lv(i).shadow = true),
            Phase::RemoveShadow(i) => {
                let lv = self.lvs[usize::from(i)];
                let held = [lv.live, lv.loaded].contains(&Some(Mapping::Mirrored));
                assert!(!held, "a shadow is taken from under a table: {self:?}");
                both(&mut add, &|w| w.lv(i).shadow = false);
            }
            Phase::LoadMirrored(i) => {
                assert!(self.lvs[usize::from(i)].shadow, "a mirror onto nothing: {self:?}");
                both(&mut add, &|w| w.lv(i).loaded = Some(Mapping::Mirrored));
            }
            Phase::LoadSource(i) => {
                both(&mut add, &|w| w.lv(i).loaded = Some(Mapping::Source));
            }
            Phase::LoadFinal(i) => both(&mut add, &|w| w.lv(i).loaded = Some(Mapping::Final)),
            Phase::SwapMirrored(i) | Phase::SwapSource(i) | Phase::SwapFinal(i) => {
                both(&mut add, &|w| w.swap(i));
                add(&|w| w.lv(i).loaded = None, Failed);
            }
            Phase::AwaitCopy => {
                add(&|w| w.bad = true, leg_failed);
                if !self.bad {
                    add(&World::copied, CopyEqual);
                    // Cut short: some chunks are clean.
                    add(&|w| w.lvs.iter_mut().for_each(|lv| lv.log = Log::Honest), Failed);
                }
            }
            Phase::Check | Phase::CheckFlushed => {
                add(&|w| w.bad = true, leg_failed);
                if equal {
                    let last = state.phase == Phase::CheckFlushed;
                    add(&|w| w.sealed |= last, Done);
                }
                if !self.bad && !self.sealed {
                    let again = |w: &mut World| {
                        for lv in &mut w.lvs {
                            (lv.destination, lv.durable) = (false, false);
                        }
                    };
                    add(&again, NotEqual);
                }
            }
            Phase::CheckMoved => {
                add(&|w| w.bad = true, leg_failed);
                if !self.bad {
                    add(&|_| {}, Done);
                }
            }
            Phase::Flush => {
                let flushed = |w: &mut World| {
                    for lv in &mut w.lvs {
                        lv.durable |= lv.destination && !w.poisoned;
                    }
                };
                add(&flushed, Done);
                add(&|w| w.poisoned = true, Failed);
                add(&|w| w.bad = true, leg_failed);
            }
            Phase::Diagnose => {
                assert!(!self.any(Mapping::Mirrored));
                add(&|_| {}, Done);
            }
            Phase::End(_) => all.clear(),
        }
        all
    }

    fn swap(&mut self, i: u8) {
        let log = self.lv(i).log;
        let Some(mapping) = self.lv(i).loaded.take() else { return };
        if mapping == Mapping::Mirrored {
            assert_ne!(log, Log::Lies, "a lying log is believed: {self:?}");
        }
        self.lv(i).live = Some(mapping);
    }

    fn copied(&mut self) {
        for lv in &mut self.lvs {
            assert_eq!(lv.live, Some(Mapping::Mirrored), "a copy without a mirror");
            lv.durable &= lv.destination;
            lv.destination = true;
            lv.log = Log::Honest;
        }
    }

    /// What happens by itself while something is mirrored.
    pub(super) fn destination_fails(&self) -> World {
        World { bad: self.any(Mapping::Mirrored), ..self.clone() }.with_writes()
    }

    /// The seal may go where the front end is told that it may.
    pub(super) fn unseal_after(&mut self, state: &State) {
        self.sealed &= match state.phase {
            Phase::CommitAborting => false,
            Phase::Confirm => state.recorded != MoveState::Copying,
            _ => true,
        };
    }

    /// The process is gone; the kernel and its devices are not.
    pub(super) fn killed(&self) -> World {
        // That a flush failed is forgotten with the process: see `docs/move-protocol.md`, limits.
        let mut world = World { poisoned: false, ..self.clone() };
        for lv in &mut world.lvs {
            if lv.live.is_none() {
                lv.loaded = None; // A device without a live table is taken down.
            }
        }
        world.with_writes()
    }

    /// The host is gone: no device, no volatile cache.
    pub(super) fn rebooted(&self) -> World {
        let mut world = World { bad: false, sealed: false, ..self.clone() };
        for lv in &mut world.lvs {
            (lv.live, lv.loaded, lv.shadow) = (None, None, false);
            lv.destination &= lv.durable;
        }
        world.with_writes()
    }

    /// What activation by `vgchange` does after reading each possible record: confirm it, then
    /// show the side in charge; an LV of a move that is copying is left to the mover.
    pub(super) fn activated(&self) -> Vec<World> {
        let mut all = Vec::new();
        if self.lvs.iter().any(|lv| lv.live.is_some()) {
            return all;
        }
        for bit in 0..6 {
            let record = Records(1 << bit);
            if !self.records.has(record) || record == Records::COPYING {
                continue;
            }
            let mapping =
                if record.has(Records::SOURCE_SIDE) { Mapping::Source } else { Mapping::Final };
            let mut world = World { records: record, ..self.clone() };
            world.lvs.iter_mut().for_each(|lv| lv.live = Some(mapping));
            all.push(world.with_writes());
        }
        all
    }

    pub(super) fn observed(&self) -> Vec<Live> {
        self.lvs.iter().map(|lv| lv.live.map_or(Live::Absent, Live::Is)).collect()
    }

    /// Is what the mover says at the end true?
    pub(super) fn check_outcome(&self, outcome: Outcome) {
        let all = |mapping| self.lvs.iter().all(|lv| lv.live == Some(mapping));
        let true_word = match outcome {
            Outcome::Moved => self.records == Records::GONE_TO_DESTINATION,
            Outcome::Aborted(_) => self.records == Records::GONE_TO_SOURCE,
            Outcome::Left => self.records == Records::COPYING && all(Mapping::Mirrored),
            Outcome::Refused => false,
            Outcome::Stuck { in_charge, maybe_mirrored } => {
                let side = match in_charge {
                    InCharge::Source => !self.records.has(Records::DESTINATION_SIDE),
                    InCharge::Destination => !self.records.has(Records::SOURCE_SIDE),
                    InCharge::Either => true, // `check` holds for every record there may be.
                };
                side && (maybe_mirrored || !self.any(Mapping::Mirrored))
            }
        };
        assert!(true_word, "{outcome:?} is not true: {self:?}");
    }
}

type Add<'a> = dyn FnMut(&dyn Fn(&mut World), Event) + 'a;

/// Done, or failed after it was done.
fn both(add: &mut Add<'_>, change: &dyn Fn(&mut World)) {
    add(change, Event::Done);
    add(change, Event::Failed);
}

/// As [`both`], or failed with the new record on some PVs and not on others.
fn commit(add: &mut Add<'_>, record: Records) {
    both(add, &|w| w.records = record);
    add(&|w| w.records = w.records.and(record), Event::Failed);
}
