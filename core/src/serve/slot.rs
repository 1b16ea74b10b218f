//! A request's slot for life, its tag: how far it is, and what happens to it next.

use super::leg::{LegWork, Task};
use super::operation::{IoTag, Of, Operation};
use super::request::{Answer, Failure, Kind, Request};
use super::volume::{Served, part_at};
use crate::Leg;
use crate::chunk::{Authority, Cells, Effects, FlushTicket, QueueId, WriteTicket};
use crate::device::{DeviceIndex, DeviceSet};
use crate::io::{FlushProgress, FlushResult, LegOp, ReadPlan, WriteOp, WriteProgress};
use crate::mirror::{Ended, Part, PartIndex, flush_failed};
use crate::table::{Area, Target};
use crate::units::{SECTOR_SIZE, Sectors};

/// Legs of a piece; one on a single device uses the first.
const LEGS: [Leg; 2] = [Leg::Source, Leg::Destination];

/// What a slot's request has in common with the queue's others.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) id: QueueId,
    /// Sectors of data in a request at most.
    pub(super) most: Sectors,
    /// Pieces may be begun.
    pub(super) open: bool,
    /// Slots with something on its way below.
    pub(super) busy: usize,
    /// What others have to do, and have not been told.
    pub(super) effects: Effects,
}

/// A slot.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) request: Request,
    /// Sectors that are done.
    pub(super) done: u64,
    /// Sectors of the piece that is on its way.
    pub(super) piece: u64,
    pub(super) legs: [LegWork; 2],
    pub(super) work: Work,
    /// How often it was read again from the source.
    pub(super) rereads: u8,
    /// While a flush of a device may be on its way for it: neither settle rounds nor the seal overtake
    /// it.
    flush: Option<FlushTicket>,
    /// Devices that are to be flushed, whose flush has ended, and of these the failed.
    pub(super) to_flush: DeviceSet,
    pub(super) flushed: DeviceSet,
    pub(super) unflushed: DeviceSet,
    /// Devices that are asked to flush and have not answered.
    pub(super) flushing: DeviceSet,
    /// What it waits for is past its deadline, if a destination has to answer it.
    pub(super) overdue: bool,
    /// I/O that was given up and has not ended, and which round of I/O came after it.
    pub(super) late: u8,
    pub(super) round: u8,
    /// It stands in the queue's list of those that are looked at next.
    pub(super) listed: bool,
}

/// What the request's I/O is for, or what it waits for.
#[derive(Debug)]
pub(super) enum Work {
    /// There is no request.
    Free,
    /// The next piece is to be begun.
    Serve,
    /// The same, and the tracker or the table does not allow it now.
    Parked,
    Plain,
    /// A read that failed on the source and that the destination does not answer. Only the
    /// application waits for it, whose buffer it may still fill. It is not on its way below.
    LateRead,
    Read {
        part: PartIndex,
        plan: ReadPlan,
    },
    Write {
        part: PartIndex,
        ticket: Option<WriteTicket>,
        progress: WriteProgress,
    },
    Flush {
        progress: FlushProgress,
    },
    /// A piece that waits for the commit that decides what it is told. It is not on its way below.
    Held {
        /// Where its source was, which tells who is in charge once the table has changed.
        source: Area<DeviceIndex>,
    },
    /// A flush that waits for it.
    HeldFlush {
        result: FlushResult,
        /// By a table that is gone.
        before: bool,
    },
    Answer(Answer),
}

/// What is to be done with a slot now.
pub(super) enum Turn {
    /// This, and then another look.
    Yield(Operation),
    /// Another look.
    Again,
    /// Nothing until something ends.
    Over,
    /// Nothing until the queue is woken.
    Wait,
}

impl Slot {
    pub(super) const fn new() -> Slot {
        Slot {
            request: Request { kind: Kind::Flush, start: Sectors(0), count: Sectors(0) },
            done: 0,
            piece: 0,
            legs: [LegWork::NONE; 2],
            work: Work::Free,
            rereads: 0,
            flush: None,
            to_flush: DeviceSet::EMPTY,
            flushed: DeviceSet::EMPTY,
            unflushed: DeviceSet::EMPTY,
            flushing: DeviceSet::EMPTY,
            overdue: false,
            late: 0,
            round: 0,
            listed: false,
        }
    }

    /// A request is put in.
    pub(super) fn begin(&mut self, request: Request) {
        self.request = request;
        self.done = 0;
        self.piece = 0;
        self.rereads = 0;
        self.legs = [LegWork::NONE; 2];
        self.work = Work::Serve;
    }

    /// An I/O has ended; false where there was none.
    pub(super) fn take(&mut self, io: IoTag, ended: Ended) -> bool {
        if io.round() != self.round {
            self.late = self.late.saturating_sub(1);
            return false;
        }
        match io.of() {
            Of::Leg(leg) => match self.legs.get_mut(usize::from(leg)) {
                Some(leg) => leg.ended = Some(ended),
                None => return false,
            },
            Of::Flush(device) => {
                self.flushing.remove(device);
                self.flushed.insert(device);
                if !matches!(ended, Ended::Done(_)) {
                    self.unflushed.insert(device);
                }
            }
        }
        true
    }

    /// What comes next.
    pub(super) fn turn<V: Served + ?Sized>(
        &mut self,
        tag: u16,
        common: &mut Common,
        volume: &V,
    ) -> Turn {
        if let Some(operation) = self.next_io(tag) {
            return Turn::Yield(operation);
        }
        for leg in 0..LEGS.len() {
            if let Some(ended) = self.legs.get_mut(leg).and_then(|leg| leg.ended.take()) {
                return self.leg_ended(leg, ended, common, volume);
            }
        }
        if let Some(device) = self.flushed.pop() {
            return self.flush_ended(device, common, volume);
        }
        if core::mem::take(&mut self.overdue)
            && let Some(turn) = self.give_up(common, volume)
        {
            return turn;
        }
        match self.work {
            Work::Serve => self.serve(common, volume),
            Work::Held { source } => self.held_again(source, volume),
            Work::HeldFlush { result, before } => self.flush_decided(result, before, volume),
            Work::Answer(answer) => {
                self.work = Work::Free;
                Turn::Yield(Operation::Answer { tag, answer })
            }
            _ => Turn::Over,
        }
    }

    fn next_io(&mut self, tag: u16) -> Option<Operation> {
        if let Some(device) = self.to_flush.pop() {
            let io = IoTag::new(tag, self.round, Of::Flush(device));
            self.flushing.insert(device);
            return Some(Operation::Flush { io, device });
        }
        self.next_of(tag, 0).or_else(|| self.next_of(tag, 1))
    }

    fn next_of(&mut self, tag: u16, number: u8) -> Option<Operation> {
        let round = self.round;
        let work = self.legs.get_mut(usize::from(number))?;
        if !work.due {
            return None;
        }
        work.due = false;
        let io = IoTag::new(tag, round, Of::Leg(number));
        let (at, count) = (work.at, Sectors(self.piece));
        let skip = Sectors(work.bytes / SECTOR_SIZE);
        let rest = Area { offset: Sectors(at.offset.0.saturating_add(skip.0)), ..at };
        let bytes = |sectors: u64| usize::try_from(sectors.saturating_mul(SECTOR_SIZE)).ok();
        let data = || {
            let first = self.done.saturating_add(skip.0);
            Some(bytes(first)?..bytes(self.done.saturating_add(self.piece))?)
        };
        let operation = match work.task {
            Task::Read => Operation::Read { io, at: rest, into: data()? },
            Task::Do(LegOp::Write { fua }) => {
                Operation::Write { io, at: rest, from: data()?, durable: fua }
            }
            Task::Do(LegOp::WriteZeroes { unmap, .. }) => {
                Operation::WriteZeroes { io, at, count, unmap }
            }
            Task::PlainZeroes { .. } => Operation::WriteZeroes { io, at, count, unmap: false },
            Task::Do(LegOp::Discard) => Operation::Discard { io, at, count },
            Task::Flush => Operation::Flush { io, device: at.device },
        };
        Some(operation)
    }

    /// Goes on with a request that has nothing on its way.
    fn serve<V: Served + ?Sized>(&mut self, common: &mut Common, volume: &V) -> Turn {
        let Request { kind, start, count } = self.request;
        let left = count.0.saturating_sub(self.done);
        if left == 0 && kind != Kind::Flush {
            return self.answer(Answer::Done);
        }
        if !common.open {
            self.work = Work::Parked;
            return Turn::Wait;
        }
        if kind == Kind::Flush {
            return self.begin_flush(common, volume);
        }
        if kind.has_data() && count > common.most {
            return self.fail(Failure::Unsupported);
        }
        let Some(sector) = start.checked_add(Sectors(self.done)) else {
            return self.fail(Failure::NotMapped);
        };
        let writes = kind != Kind::Read;
        let pieces = volume.table().split(sector, Sectors(left), writes);
        let Some(piece) = pieces.ok().and_then(|mut pieces| pieces.next()) else {
            return self.fail(Failure::NotMapped);
        };
        match piece.segment.target {
            Target::Error => self.fail(Failure::NotMapped),
            Target::Linear(_) => match piece.read_area() {
                Some(area) => self.begin_plain(area, piece.len, common, volume),
                None => self.fail(Failure::NotMapped),
            },
            Target::Mirror(_) => {
                let Some((number, part)) = part_at(volume.parts(), piece.segment.start) else {
                    return self.fail(Failure::NotMapped);
                };
                self.begin_mirrored((number, part), piece.into, piece.len, common, volume)
            }
        }
    }

    /// Begins a piece that lies on one device.
    fn begin_plain<V: Served + ?Sized>(
        &mut self,
        at: Area<DeviceIndex>,
        len: Sectors,
        common: &mut Common,
        volume: &V,
    ) -> Turn {
        let task = match self.request.kind {
            Kind::Change(WriteOp::Write { fua }) => Task::Do(LegOp::Write { fua }),
            Kind::Change(WriteOp::WriteZeroes { unmap, fua }) => {
                Task::Do(LegOp::WriteZeroes { unmap, fua })
            }
            Kind::Change(WriteOp::Discard) => Task::Do(LegOp::Discard),
            Kind::Read | Kind::Flush => Task::Read,
        };
        self.piece = len.0;
        self.work = Work::Plain;
        self.enter_below(self.request.kind.is_durable(), common, volume);
        self.put(Leg::Source, LegWork::new(at, task));
        Turn::Again
    }

    fn leg_ended<V: Served + ?Sized>(
        &mut self,
        number: usize,
        ended: Ended,
        common: &mut Common,
        volume: &V,
    ) -> Turn {
        let all = self.piece.saturating_mul(SECTOR_SIZE);
        let (Some(&leg), Some(work)) = (LEGS.get(number), self.legs.get_mut(number)) else {
            return Turn::Again;
        };
        if !matches!(self.work, Work::LateRead) && work.goes_on(all, ended) {
            return Turn::Again;
        }
        let (device, verdict) = (work.at.device, work.verdict(all, ended));
        if verdict.is_err() && !matches!(self.work, Work::Read { .. }) {
            self.look_at_durable(device, common, volume);
        }
        match (&self.work, verdict) {
            (Work::Plain, Ok(())) => self.piece_done(common, volume),
            (Work::Plain, Err(failure)) => self.piece_failed(failure, common, volume),
            (Work::Read { .. }, verdict) => self.mirror_read_ended(verdict, common, volume),
            (Work::Write { .. }, verdict) => {
                self.mirror_write_ended(leg, verdict.is_ok(), common, volume)
            }
            (Work::LateRead, _) => {
                self.late = self.late.saturating_sub(1);
                // What it has read may be old by now.
                self.fail(Failure::Mirror)
            }
            // An answer that is not waited for.
            _ => Turn::Again,
        }
    }

    /// After a failure of a leg: if it was to be durable, the failure may be that of a flush, and
    /// the device may have dropped what it held of a copy. Of a source that is only assumed where a
    /// flush says so by itself: a bad sector elsewhere must not end the move that saves the rest.
    fn look_at_durable<V: Served + ?Sized>(
        &self,
        device: DeviceIndex,
        common: &mut Common,
        volume: &V,
    ) {
        if self.request.kind.is_durable() {
            let effects = flush_failed(volume, device, &[Leg::Destination]);
            common.tell(Effects { copier: true, ..effects });
        }
    }

    pub(super) fn put(&mut self, leg: Leg, work: LegWork) {
        let [source, destination] = &mut self.legs;
        *match leg {
            Leg::Source => source,
            Leg::Destination => destination,
        } = work;
    }

    /// The present piece is done: the next one, if any.
    pub(super) fn piece_done<V: Served + ?Sized>(
        &mut self,
        common: &mut Common,
        volume: &V,
    ) -> Turn {
        self.leave_below(common, volume);
        self.go_on()
    }

    /// Goes on behind the present piece.
    pub(super) fn go_on(&mut self) -> Turn {
        self.done = self.done.saturating_add(self.piece);
        self.piece = 0;
        self.work = Work::Serve;
        Turn::Again
    }

    /// The present piece has failed, and with it the request.
    pub(super) fn piece_failed<V: Served + ?Sized>(
        &mut self,
        failure: Failure,
        common: &mut Common,
        volume: &V,
    ) -> Turn {
        self.leave_below(common, volume);
        self.fail(failure)
    }

    pub(super) fn fail(&mut self, failure: Failure) -> Turn {
        self.answer(Answer::Failed(failure))
    }

    pub(super) fn answer(&mut self, answer: Answer) -> Turn {
        self.work = Work::Answer(answer);
        Turn::Again
    }

    /// Something of the request is about to be on its way, by this volume's table, `flushing` a device
    /// perhaps.
    pub(super) fn enter_below<V: Served + ?Sized>(
        &mut self,
        flushing: bool,
        common: &mut Common,
        volume: &V,
    ) {
        common.busy = common.busy.saturating_add(1);
        self.flush = flushing.then(|| volume.flushes().begin());
    }

    /// Nothing of it is on its way any more, and what failed has been told to the trackers.
    pub(super) fn leave_below<V: Served + ?Sized>(&mut self, common: &mut Common, volume: &V) {
        common.busy = common.busy.saturating_sub(1);
        if let Some(ticket) = self.flush.take() {
            volume.flushes().end(ticket);
        }
    }
}

impl Common {
    /// Others have to do this.
    pub(super) fn tell(&mut self, effects: Effects) {
        self.effects = self.effects.and(effects);
    }
}

/// Who is in charge, as far as any part says that it is not simply the source.
pub(super) fn authority<S: Cells>(parts: &[Part<S>]) -> Authority {
    let all = parts.iter().map(|part| part.tracker().authority());
    all.fold(Authority::Source, |so_far, here| match (so_far, here) {
        (Authority::Destination, _) | (_, Authority::Destination) => Authority::Destination,
        (Authority::Undecided, _) | (_, Authority::Undecided) => Authority::Undecided,
        _ => Authority::Source,
    })
}
