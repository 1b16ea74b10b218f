//! The copy of one chunk: block by block, read, cut into runs, written or made zeroes.

use core::ops::Range;

use super::operation::{Buffer, Buffers, COPY_BLOCK, Ended, Of, Operation, Tag};
use super::part::{Part, PartIndex};
use super::volume::Volume;
use super::zeroes::{MAX_RUNS, Run, cut};
use crate::Leg;
use crate::chunk::{Cells, CopyOutcome, CopyTicket};
use crate::copier::{Aside, Nanos};
use crate::table::Area;
use crate::units::Sectors;

/// Bytes in a sector.
const SECTOR: usize = 512;
/// The step between a block and a sector when what cannot be read is looked for.
const MIDDLE: usize = 32 << 10;
/// How long the end of a run of unreadable sectors is looked for: each may take the disk seconds.
const PATIENCE: u64 = 2_000_000_000;

/// What a device says of a sector that it cannot read: `EIO`, `ENODATA`, `EILSEQ`, `EREMOTEIO`.
const MEDIUM: [i32; 4] = [5, 61, 84, 121];

/// What is said of sectors that were not answered: `ETIMEDOUT`.
const TIMED_OUT: i32 = 110;

/// A place for one copy in flight, with a buffer of its own.
pub(crate) struct Slot {
    number: u8,
    job: Option<Job>,
    /// I/O of copies that were given up, which may still use the buffer.
    late: u8,
}

struct Job {
    part: PartIndex,
    ticket: CopyTicket,
    /// Sectors of the chunk that are copied.
    done: u64,
    /// Bytes of the present block, and how many of them are read.
    block: usize,
    read: usize,
    /// Bytes of one read: smaller after a failure, since whatever is readable is not given up.
    unit: usize,
    /// The smallest unit: a sector of the source's device.
    least: usize,
    bad: Option<Bad>,
    doing: Doing,
    /// What fails is read in smaller pieces at once, and not set aside.
    patient: bool,
    /// Why it was not copied, if the source is why.
    aside: Option<Aside>,
    /// What the slowest read took.
    slowest: u64,
    /// When the source has answered last before the read in flight, whatever it was: before that it was busy with that.
    answered: Nanos,
    /// When the last I/O of it was asked for.
    asked: Nanos,
    /// The present block on its way to the destination.
    runs: heapless::Vec<Writing, MAX_RUNS>,
    zeroed: u64,
}

/// Sectors that could not be read one by one.
struct Bad {
    sectors: Range<u64>,
    error: i32,
    since: Nanos,
}

/// What is to be done, or in flight, for the present block.
enum Doing {
    Read { issued: bool },
    Write { failed: bool },
    Over(CopyOutcome),
}

/// A run on its way to the destination.
struct Writing {
    run: Run,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    ToIssue,
    Issued,
    Done,
}

/// A copy that has ended.
pub(crate) struct Copied {
    pub(super) part: PartIndex,
    pub(crate) ticket: CopyTicket,
    pub(crate) outcome: CopyOutcome,
    /// Bytes written as data, and as zeroes.
    pub(super) data: u64,
    pub(super) zeroed: u64,
    /// Why it was not copied, if the source is why, and what the slowest read took.
    pub(super) aside: Option<Aside>,
    pub(super) slowest: Nanos,
}

/// What is done about a read that is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The chunk is set aside.
    Aside,
    /// It was set aside before: the source has failed.
    Failed,
}

impl Slot {
    pub(crate) const fn new(number: u8) -> Slot {
        Slot { number, job: None, late: 0 }
    }

    /// Whether a copy may begin here.
    pub(super) const fn is_free(&self) -> bool {
        self.job.is_none() && self.late == 0
    }

    /// Whether nothing of it is waited for.
    pub(super) const fn is_idle(&self) -> bool {
        self.job.is_none()
    }

    /// Whether I/O that was given up may still use its buffer.
    pub(super) const fn is_late(&self) -> bool {
        self.late > 0
    }

    /// The part whose chunk is copied here.
    pub(super) fn part(&self) -> Option<PartIndex> {
        self.job.as_ref().map(|job| job.part)
    }

    /// Gives up a copy whose destination has not answered since `before`; false if it has not to answer, or
    /// was asked later.
    pub(super) fn give_up(&mut self, before: Nanos) -> bool {
        let Some(job) = &self.job else { return false };
        let silent = matches!(job.doing, Doing::Write { .. }) && job.asked <= before;
        silent && self.leave(CopyOutcome::DestinationFailed)
    }

    /// Has it set aside where a read fails or is not answered, if it is a copy that has just begun.
    pub(super) const fn set_aside(&mut self) {
        if let Some(job) = &mut self.job {
            job.patient = false;
        }
    }

    /// The source has answered something, perhaps another read.
    pub(super) const fn source_answered(&mut self, now: Nanos) {
        if let Some(job) = &mut self.job {
            job.answered = now;
        }
    }

    /// Gives up a copy whose source has not answered since `before`.
    pub(super) fn give_up_read(&mut self, before: Nanos, now: Nanos) -> Option<Unanswered> {
        let job = self.job.as_mut()?;
        if !matches!(job.doing, Doing::Read { issued: true })
            || job.asked.max(job.answered) > before
        {
            return None;
        }
        job.slowest = now.0.saturating_sub(job.asked.max(job.answered).0);
        job.aside = Some(Aside::Slow);
        if !job.patient {
            self.leave(CopyOutcome::NotTried);
            return Some(Unanswered::Aside);
        }
        let least = job.least;
        job.least = job.read_end().saturating_sub(job.read);
        job.unreadable(TIMED_OUT, now);
        job.least = least;
        self.leave(CopyOutcome::SourceFailed);
        Some(Unanswered::Failed)
    }

    /// Ends the copy whatever is in flight, with this outcome; false if nothing is.
    pub(super) fn leave(&mut self, outcome: CopyOutcome) -> bool {
        let Some(job) = &mut self.job else { return false };
        let issued = match &job.doing {
            Doing::Read { issued } => u8::from(*issued),
            Doing::Write { .. } => {
                let issued = job.runs.iter().filter(|writing| writing.state == State::Issued);
                u8::try_from(issued.count()).unwrap_or(u8::MAX)
            }
            Doing::Over(_) => return false,
        };
        self.late = self.late.saturating_add(issued);
        job.runs.clear();
        job.doing = Doing::Over(outcome);
        true
    }

    /// An I/O of this slot has ended; true where it was one that was given up.
    pub(super) const fn was_late(&mut self) -> bool {
        let late = self.late > 0;
        self.late = self.late.saturating_sub(1);
        late
    }

    /// Begins a copy; ask [`Slot::next_operation`] next. A slot that is not free leaves its old copy
    /// unfinished.
    pub(crate) fn begin(&mut self, part: PartIndex, ticket: CopyTicket, least: u32) {
        let least = usize::try_from(least).unwrap_or(SECTOR).clamp(SECTOR, COPY_BLOCK);
        let mut job = Job {
            part,
            ticket,
            done: 0,
            block: 0,
            read: 0,
            unit: COPY_BLOCK,
            least,
            bad: None,
            doing: Doing::Read { issued: false },
            patient: true,
            aside: None,
            slowest: 0,
            answered: Nanos(0),
            asked: Nanos(0),
            runs: heapless::Vec::new(),
            zeroed: 0,
        };
        job.next_block();
        self.job = Some(job);
    }

    /// The next I/O, or what could not be read; `None` while everything is in flight or the copy is over.
    pub(crate) fn next_operation<V: Volume + ?Sized>(
        &mut self,
        volume: &V,
        now: Nanos,
    ) -> Option<Operation> {
        let number = self.number;
        let job = self.job.as_mut()?;
        let buffer = Buffer::Copy(number);
        let part = volume.parts().get(job.part.index())?;
        match &mut job.doing {
            Doing::Read { issued } if !*issued => {
                *issued = true;
                job.asked = now;
                let into = job.read..job.read_end();
                let tag = Tag::new(Of::CopyRead { slot: number });
                Some(Operation::Read {
                    tag,
                    at: job.at(part, Leg::Source, into.start),
                    buffer,
                    into,
                })
            }
            Doing::Write { failed: false } => {
                let (run, writing) = (0u8..)
                    .zip(job.runs.iter_mut())
                    .find(|(_, writing)| writing.state == State::ToIssue)?;
                writing.state = State::Issued;
                job.asked = now;
                let (zero, bytes) = (writing.run.zero, writing.run.bytes.clone());
                let tag = Tag::new(Of::CopyWrite { slot: number, run });
                let at = job.at(part, Leg::Destination, bytes.start);
                Some(if zero {
                    let count = Sectors((bytes.len() / SECTOR) as u64);
                    Operation::WriteZeroes { tag, at, count }
                } else {
                    Operation::Write { tag, at, buffer, from: bytes, durable: false }
                })
            }
            Doing::Read { .. } | Doing::Write { .. } => None,
            Doing::Over(_) => {
                let bad = job.bad.take()?;
                let (part, sectors) = (job.part, bad.sectors);
                Some(Operation::Unreadable { part, sectors, error: bad.error })
            }
        }
    }

    /// The copy if it is over, after [`Slot::next_operation`] has nothing more; the slot is free then.
    pub(crate) fn take_over(&mut self) -> Option<Copied> {
        let Doing::Over(outcome) = self.job.as_ref()?.doing else { return None };
        let job = self.job.take()?;
        let data = job.done.saturating_mul(SECTOR as u64).saturating_sub(job.zeroed);
        let Job { part, ticket, zeroed, aside, .. } = job;
        let slowest = Nanos(job.slowest);
        Some(Copied { part, ticket, outcome, data, zeroed, aside, slowest })
    }

    /// The read has ended.
    pub(crate) fn was_read<V: Volume + ?Sized>(
        &mut self,
        ended: Ended,
        volume: &V,
        buffers: &mut impl Buffers,
        now: Nanos,
    ) {
        let buffer = Buffer::Copy(self.number);
        let Some(job) = &mut self.job else { return };
        if !matches!(job.doing, Doing::Read { issued: true }) {
            return;
        }
        job.doing = Doing::Read { issued: false };
        let since = job.asked.max(job.answered);
        job.slowest = job.slowest.max(now.0.saturating_sub(since.0));
        match ended {
            Ended::Again => {}
            Ended::Done(bytes) if bytes >= SECTOR && job.bad.is_none() => {
                let bytes = bytes.min(job.read_end() - job.read);
                job.read += bytes / SECTOR * SECTOR;
                if job.unit < MIDDLE && job.read.is_multiple_of(MIDDLE) {
                    job.unit = MIDDLE;
                }
                job.write_if_read(buffers.bytes(buffer), volume);
            }
            // Here the run of unreadable sectors ends.
            Ended::Done(bytes) if bytes >= SECTOR => job.give_up(),
            _ if !job.patient => {
                job.aside = Some(Aside::Failed);
                job.doing = Doing::Over(CopyOutcome::NotTried);
            }
            _ if job.unit > job.least => {
                job.unit = if job.unit > MIDDLE { MIDDLE.max(job.least) } else { job.least };
            }
            Ended::Failed(error) if job.may_fill(error, volume) => {
                let lost = job.read..job.read.saturating_add(job.least).min(job.block);
                if let Some(bytes) = buffers.bytes_mut(buffer).get_mut(lost.clone()) {
                    bytes.fill(0);
                    job.read = lost.end;
                }
                job.write_if_read(buffers.bytes(buffer), volume);
            }
            _ => {
                // It is lost; where it ends is worth a look, for the message.
                let error = if let Ended::Failed(error) = ended { error } else { 0 };
                let since = job.unreadable(error, now);
                if job.read >= job.block || now.0.saturating_sub(since.0) >= PATIENCE {
                    job.give_up();
                }
            }
        }
    }

    /// The write of a run has ended.
    pub(crate) fn was_written(&mut self, run: u8, ended: Ended) {
        let Some(job) = &mut self.job else { return };
        let Doing::Write { failed } = &mut job.doing else { return };
        let Some(writing) = job.runs.get_mut(usize::from(run)) else { return };
        if writing.state != State::Issued {
            return;
        }
        let len = writing.run.bytes.len();
        let run = &mut writing.run;
        writing.state = State::Done;
        match ended {
            Ended::Again => writing.state = State::ToIssue,
            // The device has found out only now that it cannot. The buffer holds the zeroes.
            Ended::Unsupported if run.zero => {
                run.zero = false;
                writing.state = State::ToIssue;
            }
            Ended::Done(_) if run.zero => job.zeroed = job.zeroed.saturating_add(len as u64),
            Ended::Done(bytes) if bytes == len => {}
            Ended::Done(bytes) if bytes > 0 && bytes < len => {
                // A short write: the rest once more, which gets on or says why not.
                run.bytes.start += bytes / SECTOR * SECTOR;
                writing.state = State::ToIssue;
            }
            _ => *failed = true,
        }
        if job.runs.iter().any(|writing| writing.state == State::Issued) {
            return;
        }
        if *failed {
            job.doing = Doing::Over(CopyOutcome::DestinationFailed);
        } else if job.runs.iter().all(|writing| writing.state == State::Done) {
            job.done = job.done.saturating_add((job.block / SECTOR) as u64);
            job.next_block();
        }
    }
}

impl Job {
    /// Goes on with the next block, or is over.
    fn next_block(&mut self) {
        let left = self.ticket.piece().count.0.saturating_sub(self.done);
        let bytes = usize::try_from(left.saturating_mul(SECTOR as u64));
        self.block = bytes.map_or(COPY_BLOCK, |bytes| bytes.min(COPY_BLOCK));
        self.read = 0;
        self.unit = COPY_BLOCK;
        self.doing = match left {
            0 => Doing::Over(CopyOutcome::Copied),
            _ => Doing::Read { issued: false },
        };
    }

    /// Where in the block the next read ends: at a multiple of its unit.
    fn read_end(&self) -> usize {
        // Never 0, and the compiler sees that.
        let unit = self.unit.max(SECTOR);
        ((self.read / unit + 1) * unit).min(self.block)
    }

    /// Whether the sector at `read`, which could not be read alone, is one that was given up, and not a
    /// device that is gone, or that has no time or memory right now.
    fn may_fill<V: Volume + ?Sized>(&self, error: i32, volume: &V) -> bool {
        let Some(part) = volume.parts().get(self.part.index()) else { return false };
        let at = self.ticket.piece().first.0.saturating_add(self.done);
        let first = at.saturating_add((self.read / SECTOR) as u64);
        let lost = first..first.saturating_add((self.least / SECTOR) as u64);
        MEDIUM.contains(&error) && self.bad.is_none() && part.is_given_up(&lost)
    }

    /// Goes on to writing once all of the block is read.
    fn write_if_read<V: Volume + ?Sized>(&mut self, buffer: &[u8], volume: &V) {
        if self.read >= self.block {
            self.write(buffer.get(..self.block), volume);
        }
    }

    /// The block is read: writes it, but for what reads as zeroes where the destination can be told so.
    fn write<V: Volume + ?Sized>(&mut self, block: Option<&[u8]>, volume: &V) {
        let (Some(block), Some(part)) = (block, volume.parts().get(self.part.index())) else {
            self.doing = Doing::Over(CopyOutcome::NotTried);
            return;
        };
        let destination = volume.device(part.leg(Leg::Destination).device);
        let zeroes = destination.is_some_and(|device| device.zeroes());
        let runs = cut(block);
        self.runs.clear();
        for run in &runs {
            let run = Run { zero: run.zero && zeroes, bytes: run.bytes.clone() };
            // There is room: no more of them than runs. Collecting could panic.
            let _ = self.runs.push(Writing { run, state: State::ToIssue });
        }
        self.doing = Doing::Write { failed: false };
    }

    /// The sector at `read` cannot be read. Says since when that is known of the run it belongs to.
    fn unreadable(&mut self, error: i32, now: Nanos) -> Nanos {
        let at = self.ticket.piece().first.0 + self.done + (self.read / SECTOR) as u64;
        let end = at + (self.least / SECTOR) as u64;
        self.read += self.least;
        let bad = self.bad.get_or_insert(Bad { sectors: at..end, error, since: now });
        bad.sectors.end = end;
        bad.since
    }

    /// The copy cannot be made; what could not be read is told first.
    fn give_up(&mut self) {
        self.aside = Some(Aside::Lost);
        self.doing = Doing::Over(CopyOutcome::SourceFailed);
    }

    /// Where a byte of the present block is on a leg.
    fn at<S: Cells>(
        &self,
        part: &Part<S>,
        leg: Leg,
        byte: usize,
    ) -> Area<crate::device::DeviceIndex> {
        let first = self.ticket.piece().first.0.saturating_add(self.done);
        part.at(leg, Sectors(first.saturating_add((byte / SECTOR) as u64)))
    }
}
