//! The copy of one chunk: block by block, read, cut into runs, written or zeroed.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lvshift_core::Leg;
use lvshift_core::chunk::{CopyOutcome, CopyTicket};

use super::Part;
use super::zeroes::{GRAIN, Run, cut};
use crate::platform::{At, Ring};

/// Bytes that one read or write of a copy moves at most.
pub(super) const BLOCK: usize = 1 << 20;
/// The step between a block and a sector when what cannot be read is looked for.
const MIDDLE: usize = 32 << 10;
/// How long the end of a run of unreadable sectors is looked for: each may take the disk seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// A place for one copy in flight, with its share of the ring's memory.
pub(super) struct CopySlot {
    memory: Range<usize>,
    runs: Vec<Run>,
    job: Option<Job>,
}

struct Job {
    part: Arc<Part>,
    ticket: CopyTicket,
    /// Sectors of the chunk that are copied.
    done: u64,
    /// Bytes of the present block, and how many of them are read.
    block: usize,
    read: usize,
    /// Bytes of one read: smaller after a failure, since whatever is readable is not given up.
    unit: usize,
    /// Sectors that could not be read one by one, their error, and since when that is known.
    bad: Option<(Range<u64>, i32, Instant)>,
    /// Writes in flight.
    waiting: usize,
    failed: Option<CopyOutcome>,
    zeroed: u64,
}

/// A copy that has ended.
pub(super) struct Ended {
    pub(super) part: Arc<Part>,
    pub(super) ticket: CopyTicket,
    pub(super) outcome: CopyOutcome,
    /// Bytes written as data, and as zeroes.
    pub(super) data: u64,
    pub(super) zeroed: u64,
}

impl Job {
    /// The sector at `read` cannot be read.
    fn unreadable(&mut self, bytes: usize, result: i32) {
        let at = self.ticket.piece().first.0 + self.done + (self.read / 512) as u64;
        let end = at + (bytes / 512) as u64;
        self.read += bytes;
        match &mut self.bad {
            Some((range, ..)) => range.end = end,
            None => self.bad = Some((at..end, -result, Instant::now())),
        }
    }

    /// The copy cannot be made; what could not be read is told.
    fn give_up(&mut self) {
        if let Some((range, errno, _)) = self.bad.take() {
            self.part.note_unreadable(range, errno);
        }
        self.failed = Some(CopyOutcome::SourceFailed);
    }
}

impl CopySlot {
    pub(super) fn new(memory: Range<usize>) -> CopySlot {
        CopySlot { memory, runs: Vec::with_capacity(BLOCK / GRAIN + 1), job: None }
    }

    pub(super) fn is_free(&self) -> bool {
        self.job.is_none()
    }

    /// Begins a copy.
    pub(super) fn begin(
        &mut self,
        part: Arc<Part>,
        ticket: CopyTicket,
        ring: &mut Ring,
        user: impl Fn(usize) -> u64,
    ) -> io::Result<()> {
        let job = Job {
            part,
            ticket,
            done: 0,
            block: 0,
            read: 0,
            unit: BLOCK,
            bad: None,
            waiting: 0,
            failed: None,
            zeroed: 0,
        };
        self.job = Some(job);
        self.next_block(ring, &user)
    }

    /// Takes the answer to I/O number `index` of this slot: 0 is the read, others are runs.
    pub(super) fn answer(
        &mut self,
        index: usize,
        result: i32,
        ring: &mut Ring,
        user: impl Fn(usize) -> u64,
    ) -> io::Result<Option<Ended>> {
        if index == 0 {
            self.was_read(result, ring, &user)?
        } else {
            self.was_written(index - 1, result, ring, &user)?
        }
        let Some(job) = &self.job else { return Ok(None) };
        let all = job.ticket.piece().count.0;
        if job.waiting > 0 || (job.failed.is_none() && job.done < all) {
            return Ok(None);
        }
        let Some(job) = self.job.take() else { return Ok(None) };
        let outcome = job.failed.unwrap_or(CopyOutcome::Copied);
        let data = (job.done * 512).saturating_sub(job.zeroed);
        Ok(Some(Ended { part: job.part, ticket: job.ticket, outcome, data, zeroed: job.zeroed }))
    }

    fn next_block(&mut self, ring: &mut Ring, user: &dyn Fn(usize) -> u64) -> io::Result<()> {
        let Some(job) = &mut self.job else { return Ok(()) };
        let left = (job.ticket.piece().count.0 - job.done) * 512;
        job.block = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
        job.read = 0;
        job.unit = BLOCK;
        self.read_on(ring, user)
    }

    fn read_on(&mut self, ring: &mut Ring, user: &dyn Fn(usize) -> u64) -> io::Result<()> {
        let Some(job) = &mut self.job else { return Ok(()) };
        let end = ((job.read / job.unit + 1) * job.unit).min(job.block);
        let sector = job.ticket.piece().first.0 + job.done;
        let at = job.part.at(Leg::Source, sector);
        let at = At { offset: at.offset + job.read as u64, ..at };
        job.waiting = 1;
        ring.read(at, self.memory.start + job.read..self.memory.start + end, user(0))
    }

    fn was_read(
        &mut self,
        result: i32,
        ring: &mut Ring,
        user: &dyn Fn(usize) -> u64,
    ) -> io::Result<()> {
        let Some(job) = &mut self.job else { return Ok(()) };
        job.waiting = 0;
        let sector = usize::try_from(job.part.source.device.limits.logical_block).unwrap_or(512);
        match usize::try_from(result) {
            Ok(bytes) if bytes >= 512 && job.bad.is_none() => {
                job.read += bytes / 512 * 512;
                if job.unit < MIDDLE && job.read.is_multiple_of(MIDDLE) {
                    job.unit = MIDDLE;
                }
                if job.read < job.block { self.read_on(ring, user) } else { self.write(ring, user) }
            }
            _ if matches!(-result, libc::EINTR | libc::EAGAIN) => self.read_on(ring, user),
            Ok(bytes) if bytes >= 512 => {
                job.give_up();
                Ok(())
            }
            _ if job.unit > sector => {
                job.unit = if job.unit > MIDDLE { MIDDLE.max(sector) } else { sector };
                self.read_on(ring, user)
            }
            _ => {
                // It is lost; where it ends is worth a look, for the message.
                job.unreadable(sector, result);
                let waited = job.bad.as_ref().map_or(PATIENCE, |(_, _, since)| since.elapsed());
                if job.read < job.block && waited < PATIENCE {
                    return self.read_on(ring, user);
                }
                job.give_up();
                Ok(())
            }
        }
    }

    fn write(&mut self, ring: &mut Ring, user: &dyn Fn(usize) -> u64) -> io::Result<()> {
        let Some(job) = &mut self.job else { return Ok(()) };
        let start = self.memory.start;
        cut(ring.memory().bytes(start..start + job.block), &mut self.runs);
        if lvshift_core::planted::is("copy-skips-last-sector")
            && let Some(last) = self.runs.last_mut()
        {
            last.bytes.end -= 512;
        }
        job.waiting = self.runs.len();
        for index in 0..self.runs.len() {
            self.write_run(index, true, ring, user)?;
        }
        Ok(())
    }

    fn write_run(
        &self,
        index: usize,
        may_zero: bool,
        ring: &mut Ring,
        user: &dyn Fn(usize) -> u64,
    ) -> io::Result<()> {
        let (Some(job), Some(run)) = (&self.job, self.runs.get(index)) else { return Ok(()) };
        let sector = job.ticket.piece().first.0 + job.done;
        let at = job.part.at(Leg::Destination, sector);
        let at = At { offset: at.offset + run.bytes.start as u64, ..at };
        let user = user(index + 1);
        if run.zero && may_zero && job.part.destination.device.limits.zeroes {
            return ring.zero(at, run.bytes.len() as u64, true, user);
        }
        let start = self.memory.start;
        ring.write(at, start + run.bytes.start..start + run.bytes.end, false, user)
    }

    fn was_written(
        &mut self,
        index: usize,
        result: i32,
        ring: &mut Ring,
        user: &dyn Fn(usize) -> u64,
    ) -> io::Result<()> {
        let again = matches!(-result, libc::EINTR | libc::EAGAIN);
        let (Some(job), Some(run)) = (&mut self.job, self.runs.get_mut(index)) else {
            return Ok(());
        };
        let zeroed = run.zero && job.part.destination.device.limits.zeroes;
        if zeroed && result == -libc::EOPNOTSUPP {
            // The kernel has found out only now. The buffer holds the zeroes.
            run.zero = false;
            return self.write_run(index, false, ring, user);
        }
        if again {
            return self.write_run(index, true, ring, user);
        }
        if zeroed && result == 0 {
            job.zeroed += run.bytes.len() as u64;
        } else if !zeroed && usize::try_from(result).is_ok_and(|n| n > 0 && n < run.bytes.len()) {
            // A short write: the rest once more, which gets on or says why not.
            run.bytes.start += result as usize / 512 * 512;
            return self.write_run(index, true, ring, user);
        } else if zeroed || usize::try_from(result) != Ok(run.bytes.len()) {
            job.failed = Some(CopyOutcome::DestinationFailed);
        }
        job.waiting -= 1;
        if job.waiting > 0 || job.failed.is_some() {
            return Ok(());
        }
        job.done += (job.block / 512) as u64;
        if job.done < job.ticket.piece().count.0 { self.next_block(ring, user) } else { Ok(()) }
    }
}
