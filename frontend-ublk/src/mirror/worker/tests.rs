//! What holds when a worker is ready.

use std::sync::atomic::AtomicU32;

use lvshift_core::units::DeviceNumber;

use super::*;
use crate::backing::{BackingDevice, Limits};
use crate::limits::FIRST_BACKING;
use crate::mirror::PartPlace;
use crate::platform::Slot;

const SECTORS: u64 = 4096;

/// A part on a scratch file, which no request has reached.
fn setting(tuning: Tuning) -> WorkerSetting {
    let path = std::env::temp_dir().join(format!("lvshift-worker-{}", std::process::id()));
    let file =
        std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path);
    let file = file.expect("a scratch file");
    std::fs::remove_file(&path).expect("it is there");
    let limits =
        Limits { logical_block: 512, physical_block: 512, zeroes: true, discard_granularity: 0 };
    let device = Arc::new(BackingDevice {
        number: DeviceNumber { major: 0, minor: 0 },
        path,
        sectors: 3 * SECTORS,
        limits,
        file: Arc::new(file),
        slot: Slot(FIRST_BACKING),
        flush_failures: AtomicU32::new(0),
    });
    let wakeup = Arc::new(Wakeup::new().expect("an eventfd"));
    let at = |sector| PartPlace { device: Arc::clone(&device), sector };
    let places = (at(0), at(SECTORS), at(2 * SECTORS));
    let part = Part::new(0, SECTORS, 2048, places.0, places.1, places.2, Arc::clone(&wakeup));
    let mut table = LiveTable::default();
    table.parts = vec![Arc::new(part.expect("a sound part"))];
    table.devices = vec![device];
    let table = Arc::new(table);
    let queues = Arc::new(Queues::new(Vec::new()));
    WorkerSetting { table, queues, wakeup, events: Arc::new(Events::new()), tuning }
}

fn policy_when_ready(tuning: Tuning) -> Option<WritePolicy> {
    let setting = setting(tuning);
    let part = Arc::clone(&setting.table.parts[0]);
    let (stop, tuning) = (AtomicBool::new(false), Mutex::new(Some(tuning)));
    let shared = Arc::new(Shared { stop, tuning, confirm: Confirm::new() });
    let _running = crate::platform::unless_forbidden(Running::new(setting, shared))?;
    Some(part.policy())
}

// Found by `fault-source-mid-copy`: the first write came before the policy, and the last chunk was
// copied at once where a limit of a chunk in eight seconds stood.
#[test]
fn the_first_write_finds_the_policy_set() {
    let limited = Tuning { max_rate: Some(256 << 10), ..Tuning::default() };
    let Some(policy) = policy_when_ready(limited) else { return };
    assert_eq!(policy, WritePolicy::SourceFirst);
    assert_eq!(policy_when_ready(Tuning::default()), Some(WritePolicy::CopyFirst));
}
