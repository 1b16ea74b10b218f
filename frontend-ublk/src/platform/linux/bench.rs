//! `lvshift-ublk bench-copy SOURCE DESTINATION BYTES`: the copier alone, on two files.
//!
//! Only in builds with the feature `bench`, which measure it against other copiers on the same files:
//! the worker's thread as it runs in the daemon, its tracker and its dirty log, no ublk device.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lvshift_core::device::Device;
use lvshift_core::table::{Area, Log, Mirror, Segment, Target};
use lvshift_core::units::{DeviceNumber, SECTOR_SIZE, Sectors};
use lvshift_frontend_common::output;

use crate::backing::{BackingDevice, Limits};
use crate::errors::DeviceErrors;
use crate::events::Events;
use crate::limits::FIRST_BACKING;
use crate::live::LiveTable;
use crate::mirror::{Worker, WorkerSetting};
use crate::platform::{Slot, Wakeup};
use crate::protocol::{Dev, Tuning};
use crate::queues::Queues;

/// Sectors of a chunk: 1 MiB, as moves of large LVs have.
const CHUNK: u32 = 2048;

/// Copies, and prints how many seconds it took.
pub(crate) fn copy(source: &str, destination: &str, bytes: &str) -> ExitCode {
    let bytes: u64 = match bytes.parse() {
        Ok(bytes) => bytes,
        Err(error) => {
            output::err(&format!("{bytes}: {error}\n"));
            return ExitCode::from(3);
        }
    };
    match timed(Path::new(source), Path::new(destination), bytes) {
        Ok(took) => {
            output::out(&format!("{}\n", took.as_secs_f64()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::err(&format!("{source} to {destination}: {error}\n"));
            ExitCode::from(5)
        }
    }
}

fn timed(
    source: &Path,
    destination: &Path,
    bytes: u64,
) -> Result<Duration, Box<dyn std::error::Error>> {
    let start = Instant::now();
    let source = device(source, 0)?;
    let destination = device(destination, 1)?;
    let wakeup = Arc::new(Wakeup::new()?);
    let sectors = bytes / SECTOR_SIZE;
    let pv = |minor| Dev::Pv { major: 0, minor };
    let area = |device| Area { device, offset: Sectors(0) };
    let mirror = Mirror {
        source: area(pv(0)),
        destination: area(pv(1)),
        // The log lies behind the data.
        log: Log::Disk(Dev::Log { major: 0, minor: 1, sector: sectors }),
        chunk_sectors: CHUNK,
        sync: None,
        handle_errors: true,
        keep_log: false,
    };
    let line = Segment { start: Sectors(0), len: Sectors(sectors), target: Target::Mirror(mirror) };
    let devices = [source, Arc::clone(&destination)];
    let table = LiveTable::new(&[line], None, &devices)?;
    let table = Arc::new(table);
    let queues = Arc::new(Queues::new(Vec::new()));
    let events = Arc::new(Events::new());
    let mut happened = events.watch();
    let tracker = table.parts[0].tracker();
    let setting = WorkerSetting {
        table: Arc::clone(&table),
        queues,
        wakeup,
        events,
        tuning: Tuning::default(),
    };
    let worker = Worker::start(setting, false)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    while tracker.left() > 0 && tracker.fault().is_none() {
        runtime.block_on(happened.changed())?;
    }
    if let Some(fault) = tracker.fault() {
        return Err(format!("the copy failed: {fault:?}").into());
    }
    destination.file.sync_data()?;
    let took = start.elapsed();
    worker.stop();
    Ok(took)
}

fn device(path: &Path, number: u32) -> std::io::Result<Arc<BackingDevice>> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).custom_flags(libc::O_DIRECT).open(path)?;
    let limits = Limits { physical_block: 4096, discard_granularity: 0 };
    Ok(Arc::new(BackingDevice {
        number: DeviceNumber { major: 0, minor: number },
        path: path.to_owned(),
        sectors: file.metadata()?.len() / SECTOR_SIZE,
        limits,
        file: Arc::new(file),
        slot: Slot(FIRST_BACKING + number),
        below: Device::new(4096, true),
        errors: DeviceErrors::default(),
    }))
}
