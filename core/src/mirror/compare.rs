//! Comparing both legs of some sectors, while no write can be between: read, compared, copied again where they
//! differ, and compared once more.

use core::ops::Range;

use super::operation::{Buffer, Buffers, COPY_BLOCK, Ended, Of, Operation, Tag};
use super::part::{Part, PartIndex};
use super::volume::Volume;
use crate::chunk::{Authority, Cells, Effects, Fault, Held, Piece};
use crate::copier::Nanos;
use crate::units::Sectors;
use crate::{Leg, LegFault};

/// Bytes of a sector.
const SECTOR: usize = 512;
/// Sectors that are held at once at most.
const MOST: u64 = (COPY_BLOCK / SECTOR) as u64;
/// The fewest that are held at once: the guard counts blocks of so many.
const LEAST: u64 = 8;
/// How long until it is looked again where a write is in flight.
const SOON: u64 = 1_000_000;

/// A comparison at a time, with two of the copies' buffers.
pub(super) struct Comparer {
    number: u8,
    job: Option<Job>,
    /// I/O that was given up, which may still use its buffers.
    late: u8,
}

struct Job {
    part: PartIndex,
    /// What is left to compare, counted from the part's start.
    left: Range<u64>,
    /// How many sectors are tried at once.
    unit: u64,
    /// The sectors that writes are held off.
    held: Option<Held>,
    /// They were copied again.
    again: bool,
    /// When its last I/O was asked for.
    asked: Nanos,
    doing: Doing,
}

enum Doing {
    /// Writes are in flight there: not before this.
    Hold(Nanos),
    Read([Side; 2]),
    Write {
        issued: bool,
        written: usize,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// So many bytes are read.
    ToRead(usize),
    Reading(usize),
    Read,
    Failed(i32),
}

/// What a comparison leaves for the copier.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) effects: Effects,
    /// Something to tell,
    pub(super) told: Option<Operation>,
    /// and only after that what the part has failed by.
    pub(super) fails: Option<(PartIndex, Fault)>,
    /// Sectors that were found equal, or that cannot be read and are given up.
    pub(super) equal: u64,
    /// Sectors that are not mirrored right now.
    pub(super) skipped: bool,
}

impl Comparer {
    pub(super) const fn new(number: u8) -> Comparer {
        Comparer { number, job: None, late: 0 }
    }

    /// Whether a comparison may begin with its buffers.
    pub(super) const fn is_free(&self) -> bool {
        self.job.is_none() && self.late == 0
    }

    /// Whether I/O that was given up may still use its buffers, or land.
    pub(super) const fn is_late(&self) -> bool {
        self.late > 0
    }

    /// Gives up what a leg has not answered that was asked for at the moment that `before` says of its part, or earlier.
    /// Writes are held off no more: the part fails.
    pub(super) fn give_up<V: Volume + ?Sized>(
        &mut self,
        volume: &V,
        before: &dyn Fn(PartIndex) -> Option<Nanos>,
    ) -> Seen {
        let mut seen = Seen::default();
        let Some(job) = &mut self.job else { return seen };
        let Some(part) = volume.parts().get(job.part.index()) else { return seen };
        if before(job.part).is_none_or(|before| job.asked > before) {
            return seen;
        }
        let is_reading = |side: &Side| matches!(side, Side::Reading(_));
        let (leg, late) = match &job.doing {
            Doing::Read(sides) if sides.iter().any(is_reading) => {
                let [source, _] = sides;
                let leg = if is_reading(source) { Leg::Source } else { Leg::Destination };
                (leg, sides.iter().filter(|side| is_reading(side)).count())
            }
            Doing::Write { issued: true, .. } => (Leg::Destination, 1),
            _ => return seen,
        };
        self.late = u8::try_from(late).unwrap_or(u8::MAX);
        job.fails(part, leg, LegFault::Silent, None, &mut seen);
        seen.skipped = true;
        self.job = None;
        seen
    }

    pub(super) const fn is_idle(&self) -> bool {
        self.job.is_none()
    }

    /// Begins with these sectors of a part.
    pub(super) fn begin(&mut self, part: PartIndex, sectors: Range<u64>, now: Nanos) {
        let doing = Doing::Hold(now);
        let (unit, held, again, asked) = (MOST, None, false, now);
        self.job = Some(Job { part, left: sectors, unit, held, again, asked, doing });
    }

    const fn buffer(&self, side: u8) -> Buffer {
        Buffer::Copy(self.number.saturating_mul(2).saturating_add(side))
    }

    /// The next I/O; `None` while everything is in flight, or nothing may be done before `until`. `stops`: what
    /// is not in flight is given up.
    pub(super) fn next_operation<V: Volume + ?Sized>(
        &mut self,
        volume: &V,
        stops: bool,
        now: Nanos,
        seen: &mut Seen,
        until: &mut Nanos,
    ) -> Option<Operation> {
        let (number, buffers) = (self.number, [self.buffer(0), self.buffer(1)]);
        let job = self.job.as_mut()?;
        let Some(part) = volume.parts().get(job.part.index()) else {
            self.job = None;
            return None;
        };
        loop {
            let Some(held) = &job.held else {
                if stops || job.left.is_empty() || !may_compare(part) {
                    seen.skipped = !job.left.is_empty();
                    self.job = None;
                    return None;
                }
                if !job.hold(part, now, seen, until) {
                    return None;
                }
                continue;
            };
            let (piece, bytes) = (held.piece(), bytes(held.piece()));
            match &mut job.doing {
                Doing::Hold(_) => return None,
                Doing::Read(sides) => {
                    let to_read = |side: &Side| matches!(side, Side::ToRead(_));
                    let at = sides.iter().position(to_read)?;
                    let leg = if at == 0 { Leg::Source } else { Leg::Destination };
                    let (Some(side), Some(&buffer)) = (sides.get_mut(at), buffers.get(at)) else {
                        return None;
                    };
                    let Side::ToRead(done) = *side else { return None };
                    *side = Side::Reading(done);
                    job.asked = now;
                    let tag = Tag::new(Of::Compare { number, what: u8::from(at == 1) });
                    let at = after(part, leg, piece, done);
                    return Some(Operation::Read { tag, at, buffer, into: done..bytes });
                }
                Doing::Write { issued: true, .. } => return None,
                Doing::Write { issued, written } => {
                    if !may_compare(part) {
                        // Who is in charge by now may have more than the source.
                        job.let_go(part, seen);
                        self.job = None;
                        return None;
                    }
                    *issued = true;
                    job.asked = now;
                    let tag = Tag::new(Of::Compare { number, what: 2 });
                    let (at, from) =
                        (after(part, Leg::Destination, piece, *written), *written..bytes);
                    let [buffer, _] = buffers;
                    return Some(Operation::Write { tag, at, buffer, from, durable: true });
                }
            }
        }
    }

    /// An I/O has ended.
    pub(super) fn was_done<V: Volume + ?Sized>(
        &mut self,
        what: u8,
        ended: Ended,
        volume: &V,
        buffers: &impl Buffers,
    ) -> Seen {
        let mut seen = Seen::default();
        if self.late > 0 {
            self.late -= 1;
            return seen;
        }
        let (source, destination) = (self.buffer(0), self.buffer(1));
        let Some(job) = &mut self.job else { return seen };
        let Some(part) = volume.parts().get(job.part.index()) else { return seen };
        let Some(piece) = job.held.as_ref().map(Held::piece) else { return seen };
        let all = bytes(piece);
        match &mut job.doing {
            Doing::Write { issued, written } if what == 2 && *issued => {
                *issued = false;
                match ended {
                    Ended::Again => return seen,
                    Ended::Done(bytes) if bytes >= SECTOR => {
                        *written = written.saturating_add(bytes / SECTOR * SECTOR);
                        if *written < all {
                            return seen;
                        }
                        job.again = true;
                        job.doing = Doing::Read([Side::ToRead(0); 2]);
                    }
                    _ => job.fails(part, Leg::Destination, LegFault::Write, None, &mut seen),
                }
                return seen;
            }
            Doing::Read(sides) => {
                let Some(side) = sides.get_mut(usize::from(what)) else { return seen };
                let Side::Reading(done) = *side else { return seen };
                *side = match ended {
                    Ended::Again => Side::ToRead(done),
                    Ended::Done(bytes) if bytes >= SECTOR => {
                        match done.saturating_add(bytes / SECTOR * SECTOR) {
                            done if done >= all => Side::Read,
                            done => Side::ToRead(done),
                        }
                    }
                    Ended::Failed(error) => Side::Failed(error),
                    _ => Side::Failed(0),
                };
            }
            _ => return seen,
        }
        let Doing::Read(sides) = &job.doing else { return seen };
        match *sides {
            [Side::Read, Side::Read] => {
                let (ours, theirs) = (buffers.bytes(source), buffers.bytes(destination));
                let same = |at: &usize| ours.get(*at..at + SECTOR) == theirs.get(*at..at + SECTOR);
                let mut differ = (0..all).step_by(SECTOR).filter(|at| !same(at));
                let Some(first) = differ.next() else {
                    job.is_equal(part, &mut seen);
                    return seen;
                };
                let last = differ.next_back().unwrap_or(first);
                let sector = |at: usize| piece.first.0.saturating_add((at / SECTOR) as u64);
                let sectors = sector(first)..sector(last).saturating_add(1);
                job.differs(part, sectors, &mut seen);
            }
            [Side::Failed(error), Side::Read | Side::Failed(_)] => {
                job.source_failed(part, volume, error, &mut seen);
            }
            [Side::Read, Side::Failed(_)] => {
                job.fails(part, Leg::Destination, LegFault::Read, None, &mut seen);
            }
            _ => {}
        }
        seen
    }
}

impl Job {
    /// Holds writes off the next sectors; false where that has to wait.
    fn hold<S: Cells>(
        &mut self,
        part: &Part<S>,
        now: Nanos,
        seen: &mut Seen,
        until: &mut Nanos,
    ) -> bool {
        if let Doing::Hold(moment) = self.doing
            && now < moment
        {
            *until = (*until).min(moment);
            return false;
        }
        let end = self.left.start.saturating_add(self.unit).min(self.left.end);
        let count = Sectors(end.saturating_sub(self.left.start));
        let piece = Piece { first: Sectors(self.left.start), count };
        let (held, effects) = part.tracker().hold(piece);
        seen.effects = seen.effects.and(effects);
        match held {
            Some(held) if part.tracker().is_mirrored(piece) => {
                self.held = Some(held);
                self.again = false;
                self.doing = Doing::Read([Side::ToRead(0); 2]);
            }
            // The copy will come to it.
            Some(held) => {
                seen.effects = seen.effects.and(part.tracker().release(held));
                seen.skipped = true;
                self.left.start = end;
            }
            // The fewer sectors, the fewer writes are in the way.
            None if self.unit > LEAST => self.unit = (self.unit / 2).max(LEAST),
            None => {
                let moment = Nanos(now.0.saturating_add(SOON));
                self.doing = Doing::Hold(moment);
                *until = (*until).min(moment);
                return false;
            }
        }
        true
    }

    fn let_go<S: Cells>(&mut self, part: &Part<S>, seen: &mut Seen) {
        if let Some(held) = self.held.take() {
            let end = held.piece().first.0.saturating_add(held.piece().count.0);
            self.left.start = end;
            seen.effects = seen.effects.and(part.tracker().release(held));
        }
        self.doing = Doing::Hold(Nanos(0));
    }

    fn is_equal<S: Cells>(&mut self, part: &Part<S>, seen: &mut Seen) {
        seen.equal = self.held.as_ref().map_or(0, |held| held.piece().count.0);
        self.let_go(part, seen);
        self.unit = self.unit.saturating_mul(2).min(MOST);
    }

    fn differs<S: Cells>(&mut self, part: &Part<S>, sectors: Range<u64>, seen: &mut Seen) {
        // Of a part that has failed meanwhile, writes go to the source alone.
        if part.tracker().is_abandoned() {
            self.let_go(part, seen);
            return;
        }
        let again = self.again;
        let told = Operation::Differs { part: self.part, sectors, again };
        if again {
            self.fails(part, Leg::Destination, LegFault::Copy, Some(told), seen);
        } else {
            seen.told = Some(told);
            self.doing = Doing::Write { issued: false, written: 0 };
        }
    }

    /// The source cannot be read: in smaller pieces, until it is known where. What is given up there is not
    /// compared with anything.
    fn source_failed<V: Volume + ?Sized>(
        &mut self,
        part: &Part<V::Cells>,
        volume: &V,
        error: i32,
        seen: &mut Seen,
    ) {
        let device = volume.device(part.leg(Leg::Source).device);
        let least = device.map_or(1, |device| u64::from(device.sector_bytes()) / 512).max(1);
        let Some(piece) = self.held.as_ref().map(Held::piece) else { return };
        let sectors = piece.first.0..piece.first.0.saturating_add(piece.count.0);
        if part.is_given_up(&sectors) {
            self.is_equal(part, seen);
            self.unit = least;
        } else if piece.count.0 > least {
            // Held anew: the sectors stay those that are left.
            let start = self.left.start;
            self.let_go(part, seen);
            self.left.start = start;
            self.unit = least;
        } else {
            let told = Operation::Unreadable { part: self.part, sectors, error };
            self.fails(part, Leg::Source, LegFault::Read, Some(told), seen);
        }
    }

    fn fails<S: Cells>(
        &mut self,
        part: &Part<S>,
        leg: Leg,
        fault: LegFault,
        told: Option<Operation>,
        seen: &mut Seen,
    ) {
        seen.told = told;
        seen.fails = Some((self.part, Fault { leg, fault }));
        self.let_go(part, seen);
    }
}

/// Whether what is seen on the legs of this part means something, and the source is in charge.
fn may_compare<S: Cells>(part: &Part<S>) -> bool {
    !part.tracker().is_abandoned() && part.tracker().authority() == Authority::Source
}

fn bytes(piece: Piece) -> usize {
    usize::try_from(piece.count.0).unwrap_or(0).saturating_mul(SECTOR).min(COPY_BLOCK)
}

fn after<S: Cells>(
    part: &Part<S>,
    leg: Leg,
    piece: Piece,
    done: usize,
) -> crate::table::Area<crate::device::DeviceIndex> {
    part.at(leg, Sectors(piece.first.0.saturating_add((done / SECTOR) as u64)))
}
