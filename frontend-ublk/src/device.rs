//! One LV's ublk device: made or taken over, its queue threads, its change of tables, its end.

mod kernel;
mod moving;

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use lvshift_core::chunk::{Authority, Fault, QueueId};
use lvshift_core::mirror::{fail_all, may_be_built_anew};
use lvshift_core::table::Segment;
use lvshift_core::{Leg, LegFault};
use lvshift_frontend_common::error::{Error, Kind, Result};

use crate::backing::BackingDevice;
use crate::events::Events;
use crate::failpoint::{self, Point};
use crate::limits::{DEPTH, MAX_IO_BYTES};
use crate::live::LiveTable;
use crate::mirror::{Worker, WorkerSetting};
use crate::platform::{self, Control, Thread, Wakeup, disk_path, open_char};
use crate::protocol::{Dev, Tuning, WireTable};
use crate::queue::{Queue, QueueSetting};
use crate::queues::Queues;
use crate::quiesce::Quiesce;

use kernel::{RELEASE_LIMIT, no_thread, params, take_over};

pub(crate) use kernel::{can_grow, cannot_grow};
pub(crate) use moving::FreshSeal;

/// Queue threads of a device at most.
const MAX_QUEUES: u16 = 4;
/// How long what is on its way below may take when the table is to change.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
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
