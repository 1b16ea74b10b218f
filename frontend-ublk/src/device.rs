//! One LV's ublk device: made or taken over, its queue threads, its change of tables, its end.

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use lvshift_core::chunk::{Authority, Fault, QueueId, Sealed};
use lvshift_core::mirror::{check_destinations, fail_all, may_be_built_anew};
use lvshift_core::table::Segment;
use lvshift_core::{Leg, LegFault};
use lvshift_frontend_common::error::{Error, Kind, Result};

use crate::backing::BackingDevice;
use crate::events::Events;
use crate::failpoint::{self, Point};
use crate::limits::{DEPTH, MAX_IO_BYTES};
use crate::live::LiveTable;
use crate::mirror::{Differs, Unreadable, Verified, Worker, WorkerSetting};
use crate::platform::{
    self, Control, Instant, Thread, Wakeup, disk_path, make_ready, open_char, sleep,
};
use crate::protocol::{Dev, Tuning, WireCopy, WireCounted, WireTable};
use crate::queue::{Queue, QueueSetting};
use crate::queues::Queues;
use crate::quiesce::Quiesce;
use crate::uapi::{Features, Params, STATE_QUIESCED};

/// Queue threads of a device at most.
const MAX_QUEUES: u16 = 4;
/// How long what is on its way below may take when the table is to change.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// How long the kernel may take to let a dead daemon's device go.
const RELEASE_LIMIT: Duration = Duration::from_secs(60);
/// How long the answers of flushes under way are waited for before a move looks again.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(20);
/// What becomes of parts that are left to their sources.
const LEFT: Fault = Fault { leg: Leg::Destination, fault: LegFault::Copy };

/// What a device is to be.
pub(crate) struct Wanted<'a> {
    /// The number of the one to take over.
    pub(crate) existing: Option<u32>,
    /// How its copies are made.
    pub(crate) tuning: Tuning,
    pub(crate) table: WireTable,
    /// Whether the source is in charge of what is mirrored is not certain.
    pub(crate) undecided: bool,
    /// Where a table is noted that could not be served, and whose destinations have not answered all.
    pub(crate) left: &'a mut Vec<Weak<LiveTable>>,
}

/// A device that is served.
pub(crate) struct Device {
    /// The N of `/dev/ublkbN`.
    pub(crate) id: u32,
    quiesce: Arc<Quiesce<LiveTable>>,
    threads: Vec<Thread>,
    worker: Option<Worker>,
    left: Vec<Weak<LiveTable>>,
    events: Arc<Events>,
    pub(crate) tuning: Tuning,
    /// The live table as it was sent, for whoever asks.
    pub(crate) live: WireTable,
}

/// A part that has just been sealed: no commit can have been tried behind this seal yet.
pub(crate) struct FreshSeal<'a> {
    table: Arc<LiveTable>,
    part: usize,
    queues: &'a Queues,
}

impl FreshSeal<'_> {
    /// There will be no commit: the source is in charge as before.
    pub(crate) fn undo(self) {
        if let Some(part) = self.table.parts.get(self.part) {
            self.table.pass_on(part.tracker().decided(Authority::Source), self.queues);
        }
    }
}

impl Device {
    /// Makes a device with this table, or takes over the one of this number.
    pub(crate) fn start(
        control: &mut Control,
        Wanted { existing, tuning, table: wire, undecided, left }: Wanted<'_>,
        shadow: Option<&WireTable>,
        devices: &[Arc<BackingDevice>],
        events: &Arc<Events>,
        made: &mut dyn FnMut(u32) -> Result<()>,
    ) -> Result<Device> {
        let table = Arc::new(compile(&wire, shadow, devices)?);
        if undecided {
            // No request parks here yet, so none is to be woken.
            table.parts.iter().for_each(|part| {
                let _ = part.tracker().decided(Authority::Undecided);
            });
        }
        let (id, queues) = match existing {
            Some(id) => (id, take_over(control, id, table.sectors())?),
            None => {
                let queues = u16::try_from(platform::cpus()).unwrap_or(MAX_QUEUES).min(MAX_QUEUES);
                let info = control.add(queues, DEPTH, MAX_IO_BYTES)?;
                failpoint::pass(Point::DeviceAdded);
                let described = control.set_params(info.device, params(&table));
                if let Err(error) = described.and_then(|()| made(info.device)) {
                    let _ = control.delete(info.device);
                    return Err(error);
                }
                failpoint::pass(Point::DeviceNoted);
                (info.device, info.queues)
            }
        };
        let wakeups: io::Result<Vec<_>> =
            (0..queues).map(|_| Ok(Arc::new(Wakeup::new()?))).collect();
        let wakeups = wakeups.map_err(no_thread)?;
        let queues = Arc::new(Queues::new(wakeups.clone()));
        let quiesce = Arc::new(Quiesce::new(Arc::clone(&table), queues));
        let mut device = Device {
            id,
            quiesce,
            threads: Vec::new(),
            worker: None,
            left: Vec::new(),
            events: Arc::clone(events),
            tuning,
            live: wire,
        };
        let started = device.run(control, existing.is_some(), &wakeups, &table);
        if let Err(error) = started {
            left.push(Arc::downgrade(&table));
            drop(table);
            match existing {
                None => {
                    let _ = device.end(control);
                }
                // Whoever tries again needs the device to be free.
                Some(_) => device.let_go(),
            }
            return Err(error);
        }
        Ok(device)
    }

    fn run(
        &mut self,
        control: &mut Control,
        recovered: bool,
        wakeups: &[Arc<Wakeup>],
        table: &Arc<LiveTable>,
    ) -> Result<()> {
        self.start_worker(table, true)?;
        let file = Arc::new(open_char(self.id, RELEASE_LIMIT)?);
        for (number, wakeup) in (0u16..).zip(wakeups) {
            let id = QueueId::new(u8::try_from(number).unwrap_or(u8::MAX)).ok_or_else(|| {
                Error::new(Kind::Limit, "the device has more queues than can be served")
            })?;
            let setting = QueueSetting {
                number,
                id,
                device: Arc::clone(&file),
                wakeup: Arc::clone(wakeup),
                quiesce: Arc::clone(&self.quiesce),
            };
            let name = format!("queue-{}-{number}", self.id);
            let thread = platform::spawn(name, move || Queue::new(setting)).map_err(no_thread)?;
            self.threads.push(thread);
        }
        drop(file);
        for thread in &mut self.threads {
            thread.ready().map_err(no_thread)?;
        }
        failpoint::pass(Point::QueuesReady);
        let begun = if recovered { control.end_recovery(self.id) } else { control.start(self.id) };
        failpoint::pass(Point::DeviceServed);
        begun
    }

    /// Looks whether a table could be served.
    pub(crate) fn check(
        &self,
        wire: &WireTable,
        shadow: Option<&WireTable>,
        devices: &[Arc<BackingDevice>],
    ) -> Result<()> {
        compile(wire, shadow, devices).map(|_| ())
    }

    /// Makes another table the live one: suspend, drain, switch, go on.
    pub(crate) fn swap(
        &mut self,
        wire: WireTable,
        shadow: Option<&WireTable>,
        devices: &[Arc<BackingDevice>],
    ) -> Result<()> {
        let table = compile(&wire, shadow, devices)?;
        let old = self.quiesce.table();
        if table.sectors() < old.sectors() {
            return Err(Error::new(Kind::State, "a device in use cannot shrink"));
        }
        let anew = !table.parts.is_empty();
        if anew && !may_be_built_anew(&*old) {
            return Err(failed_mirror());
        }
        // Where the move goes back, nothing waits for its destination. Whatever may still land there, the old
        // table keeps its place.
        let leaves = table.leaves_destinations_of(&old) && self.is_of_source(&old);
        if leaves {
            old.leaving.store(true, Ordering::Release);
            old.pass_on(fail_all(&*old, LEFT), self.quiesce.queues());
            if let Some(worker) = self.worker.take() {
                worker.leave();
            }
        }
        self.quiesce.suspend(DRAIN_LIMIT).map_err(|_| {
            old.leaving.store(false, Ordering::Release);
            Error::new(Kind::Io, "the I/O under way did not finish, so the table was not switched")
                .device(disk_path(self.id).display())
                .state("the old table is in use and I/O goes on")
        })?;
        failpoint::pass(Point::Suspended);
        let over = self.worker.take().is_none_or(Worker::stop);
        failpoint::pass(Point::CopierStopped);
        if anew && !may_be_built_anew(&*old) {
            // Given up in the last moment. A copier of its own only where no write of the log may still land.
            if !over || self.start_worker(&old, false).is_err() {
                old.pass_on(fail_all(&*old, LEFT), self.quiesce.queues());
            }
            self.quiesce.resume(None);
            self.events.happened();
            return Err(failed_mirror());
        }
        let table = Arc::new(table);
        if let Err(error) = self.start_worker(&table, true) {
            // What was mirrored must stay mirrored: the old parts with a copier of their own.
            let revived = self.start_worker(&old, false);
            self.quiesce.resume(None);
            return Err(match revived {
                Ok(()) => error.state("the old table is in use and I/O goes on"),
                Err(_) => error.state("the old table is in use without its copier"),
            });
        }
        if leaves || !over {
            self.left.push(Arc::downgrade(&old));
        }
        drop(old);
        failpoint::pass(Point::CopierStarted);
        self.quiesce.resume(Some(table));
        failpoint::pass(Point::Resumed);
        self.live = wire;
        self.events.happened();
        Ok(())
    }

    /// Whether the source is in charge of all that is mirrored.
    fn is_of_source(&self, table: &LiveTable) -> bool {
        table.parts.iter().all(|part| part.tracker().authority() == Authority::Source)
    }

    /// Takes the tables of before, on whose destinations something may still land that was given up.
    pub(crate) fn left(&mut self) -> Vec<Weak<LiveTable>> {
        std::mem::take(&mut self.left)
    }

    /// The table that it is served by, to see whether anything of it is left when it is not any more.
    pub(crate) fn table(&self) -> Weak<LiveTable> {
        Arc::downgrade(&self.quiesce.table())
    }

    /// Tells held results who is in charge now.
    pub(crate) fn decided(&self, authority: Authority) {
        let table = self.quiesce.table();
        for part in &table.parts {
            table.pass_on(part.tracker().decided(authority), self.quiesce.queues());
        }
    }

    /// What was counted of its requests.
    pub(crate) fn counted(&self, lv: [u8; 16]) -> WireCounted {
        self.quiesce.queues().counted(lv)
    }

    /// How far the copy is.
    pub(crate) fn copy_status(&self) -> WireCopy {
        let table = self.quiesce.table();
        let mut copy = WireCopy::default();
        for part in &table.parts {
            let geometry = part.tracker().geometry();
            let left = u64::from(part.tracker().left());
            let total = u64::from(geometry.chunks());
            let bytes = geometry.length().0 * 512;
            let chunk = u64::from(geometry.chunk_sectors()) * 512;
            copy.chunks_total += total;
            copy.chunks_done += total - left;
            copy.bytes_total += bytes;
            copy.bytes_done += bytes.saturating_sub(left * chunk);
            let fault = part.tracker().fault().map(crate::status::fault);
            copy.failed = copy.failed.or(fault);
        }
        if let Some(Verified { is_content, answered, compared, aside }) = self.verified() {
            (copy.answered, copy.compared, copy.aside) = (answered, compared, aside);
            copy.unverified = !is_content && copy.chunks_done == copy.chunks_total;
        }
        if copy.unverified {
            // What is not compared is not known equal.
            copy.chunks_done = copy.chunks_done.saturating_sub(1);
            copy.bytes_done = copy.bytes_done.saturating_sub(1);
        }
        copy
    }

    fn verified(&self) -> Option<Verified> {
        let mut verified = self.worker.as_ref()?.verified();
        // It may not have heard of what was asked just now.
        if self.tuning.verify != Some(true) {
            verified.is_content = true;
        }
        Some(verified)
    }

    /// Has both sides of what is mirrored compared, and says the number of that; `None` where nothing is.
    pub(crate) fn compare(&self) -> Option<u64> {
        self.worker.as_ref().map(Worker::compare)
    }

    /// What was compared and differs: sectors of the LV, and whether it does after it was copied again.
    pub(crate) fn differs(&self) -> impl Iterator<Item = (Range<u64>, bool)> {
        let table = self.quiesce.table();
        table.differs().into_iter().filter_map(move |Differs { part, sectors, again }| {
            let start = table.parts.get(part.index())?.place().start.0;
            Some((start + sectors.start..start + sectors.end, again))
        })
    }

    /// Seals every part: a write that the destination does not take is not acknowledged any more
    /// until it is decided who is in charge. False if a part is not equal or not healthy. Parts that
    /// were not sealed before are added to `fresh`.
    ///
    /// Only the mover may ask for it, right before its commit. A part that is sealed while no mover
    /// drives the move holds the application's writes as soon as the destination fails.
    pub(crate) fn seal<'a>(&'a self, fresh: &mut Vec<FreshSeal<'a>>) -> bool {
        let table = self.quiesce.table();
        table.parts.iter().enumerate().all(|(number, part)| {
            if part.tracker().authority() != Authority::Source {
                return true;
            }
            let (sealed, effects) = part.tracker().seal();
            table.pass_on(effects, self.quiesce.queues());
            let sealed = sealed == Sealed::Sealed;
            if sealed {
                let (table, queues) = (Arc::clone(&table), self.quiesce.queues());
                fresh.push(FreshSeal { table, part: number, queues });
            }
            sealed
        })
    }

    /// From now on no flush is acknowledged until it is decided who is in charge; false gives that
    /// up. Returns what it was before.
    pub(crate) fn set_committing(&self, committing: bool) -> bool {
        let before = self.quiesce.table().committing.swap(committing, Ordering::SeqCst);
        if before && !committing {
            self.quiesce.queues().wake(u16::MAX);
        }
        before
    }

    /// Whether a commit is under way that is not decided.
    pub(crate) fn is_committing(&self) -> bool {
        let table = self.quiesce.table();
        let mut authorities = table.parts.iter().map(|part| part.tracker().authority());
        table.committing.load(Ordering::SeqCst)
            && authorities.any(|authority| authority == Authority::Undecided)
    }

    /// Waits until every flush that is on its way has been answered, and what failed was told.
    /// False if one takes too long.
    pub(crate) fn answer_flushes(&self) -> bool {
        match &self.worker {
            Some(worker) => worker.confirm(ANSWER_LIMIT),
            // Without a copier no other thread counts turns.
            None => {
                let table = self.quiesce.table();
                let turn = table.flushes.turn();
                let start = Instant::now();
                while !table.flushes.is_over(turn) {
                    if start.elapsed() > ANSWER_LIMIT {
                        return false;
                    }
                    sleep(Duration::from_millis(1));
                }
                true
            }
        }
    }

    /// Whether no part has failed, with what other LVs have found out about the destinations.
    pub(crate) fn is_healthy(&self) -> bool {
        let table = self.quiesce.table();
        table.pass_on(check_destinations(&*table), self.quiesce.queues());
        self.verified().is_none_or(|verified| verified.is_content) && self.has_no_fault()
    }

    /// Whether no part has failed: then nothing was given up that may still land.
    pub(crate) fn has_no_fault(&self) -> bool {
        self.quiesce.table().parts.iter().all(|part| part.tracker().fault().is_none())
    }

    /// Whether it has something on one of the devices to which `other` copies.
    pub(crate) fn flushes_destinations_of(&self, other: &Device) -> bool {
        let table = self.quiesce.table();
        let others = other.quiesce.table();
        others.parts.iter().any(|part| {
            let destination = others.backing(part.place().destination.device);
            destination.is_some_and(|to| table.devices.iter().any(|own| own.slot == to.slot))
        })
    }

    /// What the copy could not read: sectors of the LV, and the error.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = (Range<u64>, i32)> {
        let table = self.quiesce.table();
        table.unreadable().into_iter().filter_map(move |Unreadable { part, sectors, errno }| {
            let start = table.parts.get(part.index())?.place().start.0;
            Some((start + sectors.start..start + sectors.end, errno))
        })
    }

    /// Changes how the copy is made.
    pub(crate) fn tune(&mut self, tuning: Tuning) {
        let verify = tuning.verify == Some(true) && self.tuning.verify != Some(true);
        self.tuning = tuning;
        self.quiesce.table().deadline.store(tuning.deadline().0, Ordering::Relaxed);
        // They look as often as their deadline asks for.
        self.quiesce.queues().wake(u16::MAX);
        if let Some(worker) = &self.worker {
            worker.tune(self.tuning, verify);
        }
    }

    /// Whether the device still has its queue threads.
    pub(crate) fn is_served(&self) -> bool {
        self.quiesce.gone() == 0
    }

    /// Lets a device go that could not be taken over: no thread of ours keeps it.
    fn let_go(mut self) {
        self.quiesce.end();
        self.join();
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            thread.join();
        }
        if let Some(worker) = self.worker.take() {
            worker.stop();
        }
    }

    /// Takes the device down. It is not open.
    pub(crate) fn end(mut self, control: &mut Control) -> Result<()> {
        let stopped = control.stop(self.id);
        self.join();
        stopped?;
        failpoint::pass(Point::DeviceStopped);
        control.delete(self.id)
    }

    fn start_worker(&mut self, table: &Arc<LiveTable>, from_log: bool) -> Result<()> {
        if table.parts.is_empty() {
            return Ok(());
        }
        table.deadline.store(self.tuning.deadline().0, Ordering::Relaxed);
        let setting = WorkerSetting {
            table: Arc::clone(table),
            queues: Arc::clone(self.quiesce.queues()),
            wakeup: Arc::clone(&table.wakeup),
            events: Arc::clone(&self.events),
            tuning: self.tuning,
        };
        let worker = Worker::start(setting, from_log);
        self.worker = Some(worker.map_err(|error| {
            Error::new(Kind::Io, "the mirror of a move cannot be started").because(error)
        })?);
        Ok(())
    }
}

fn failed_mirror() -> Error {
    Error::new(
        Kind::State,
        "the mirror of the move has failed, and is not built anew before its move was taken back",
    )
    .state("the old table is in use and I/O goes on")
    .next("pvmove takes the move back")
}

/// Begins the recovery of a device whose daemon has died, and says how many queues it has.
fn take_over(control: &mut Control, id: u32, sectors: u64) -> Result<u16> {
    let start = Instant::now();
    let mut ready = false;
    loop {
        let Some(info) = control.info(id)? else {
            return Err(Error::new(Kind::NotFound, "the device to take over is gone")
                .device(disk_path(id).display()));
        };
        if info.state == STATE_QUIESCED {
            let has = control.sectors(id)?;
            if has > sectors {
                let what = format!("the device has {has} sectors, its table {sectors}");
                return Err(Error::new(Kind::Inconsistent, what).device(disk_path(id).display()));
            }
            if info.depth != DEPTH || info.max_io_bytes != MAX_IO_BYTES {
                return Err(Error::new(
                    Kind::Unsupported,
                    "the device was made by a version whose queues are of another size",
                )
                .device(disk_path(id).display())
                .next("take it over with that version, or deactivate it"));
            }
            if !ready {
                let device = open_char(id, RELEASE_LIMIT)?;
                make_ready(device, info.queues, info.depth).map_err(no_thread)?;
                failpoint::pass(Point::QueuesPrepared);
                ready = true;
            }
            match control.start_recovery(id) {
                Ok(()) => {
                    failpoint::pass(Point::RecoveryBegun);
                    return Ok(info.queues);
                }
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                Err(error) => {
                    return Err(Error::new(Kind::Kernel, "the device cannot be taken over")
                        .device(disk_path(id).display())
                        .because(error));
                }
            }
        }
        if start.elapsed() > RELEASE_LIMIT {
            return Err(Error::new(Kind::Kernel, "the kernel does not let the dead daemon go")
                .device(disk_path(id).display())
                .state("its requests wait"));
        }
        sleep(STEP);
    }
}

fn compile(
    wire: &WireTable,
    shadow: Option<&WireTable>,
    devices: &[Arc<BackingDevice>],
) -> Result<LiveTable> {
    let shadow: Option<Vec<Segment<Dev>>> = shadow.map(WireTable::segments);
    let mut table = LiveTable::new(&wire.segments(), shadow.as_deref(), devices)?;
    table.give_up(&wire.given_up)?;
    Ok(table)
}

/// What the block layer is told: the coarsest of what is below.
fn params(table: &LiveTable) -> Params {
    let most = |of: fn(&BackingDevice) -> u32| {
        table.devices.iter().map(|device| of(device)).max().unwrap_or(512).max(512)
    };
    let shift = |bytes: u32| u8::try_from(bytes.ilog2()).unwrap_or(12).clamp(9, 12);
    let logical_shift = shift(most(|device| device.below.sector_bytes()));
    let all_discard = table.devices.iter().all(|device| device.limits.discard_granularity > 0);
    let all_zero = table.devices.iter().all(|device| device.below.zeroes());
    // Long discards are cut: one must not keep a chunk's other writes waiting for seconds.
    let at_once = if all_discard || all_zero { 1 << 17 } else { 0 };
    Params {
        sectors: table.sectors(),
        logical_shift,
        physical_shift: shift(most(|device| device.limits.physical_block)).max(logical_shift),
        max_sectors: MAX_IO_BYTES / 512,
        max_discard_sectors: at_once,
        max_zeroes_sectors: if all_zero { 1 << 17 } else { 0 },
        discard_granularity: most(|device| device.limits.discard_granularity),
    }
}

/// What is said where [`can_grow`] is false.
pub(crate) fn cannot_grow() -> Error {
    Error::new(
        Kind::Unsupported,
        "this kernel's ublk driver cannot resize a device that is there (Linux 6.16 can)",
    )
}

/// Whether this driver lets a device in use grow.
pub(crate) fn can_grow(control: &mut Control) -> Result<bool> {
    Ok(control.features()?.contains(Features::UPDATE_SIZE))
}

fn no_thread(error: io::Error) -> Error {
    Error::new(Kind::Kernel, "a queue of the device cannot be set up").because(error)
}
