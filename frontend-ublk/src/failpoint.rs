//! Fail points of the daemon, for tests: moments at which it kills itself.
//!
//! Commands have `LVSHIFT_FAIL_AT`; a daemon outlives the command that started it, and the next one
//! is not to die at the same place for ever. So the file that `LVSHIFT_DAEMON_FAIL_FILE` names holds
//! lines `NAME`, `NAME COUNT` or `NAME COUNT HOW`: who passes the point of the first line (for the COUNTth
//! time in its life) takes that line away and dies: by SIGKILL, or as HOW says, by `exit` or by `panic`.
//! Nothing on the path of a request is a fail point.
//!
//! They are there in a build with the feature `failpoints`, which the test VM's alone has.

#[cfg(any(test, feature = "failpoints"))]
use std::path::Path;

/// The variable.
#[cfg(feature = "failpoints")]
const VARIABLE: &str = "LVSHIFT_DAEMON_FAIL_FILE";

/// A moment at which a daemon can be made to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// A new daemon has seen which devices wait.
    OrphansFound,
    /// It holds the PVs of a device that it takes over or makes.
    PvsHeld,
    /// Every queue of a dead daemon was made ready once.
    QueuesPrepared,
    /// The driver has agreed to the recovery of a device.
    RecoveryBegun,
    /// Every queue waits for requests, which do not flow yet.
    QueuesReady,
    /// Requests flow, the command that asked for it does not know.
    DeviceServed,
    /// All is taken over, no command can connect yet.
    AllTakenOver,
    /// A device was made and stands in no note.
    DeviceAdded,
    /// It is noted and has no disk yet.
    DeviceNoted,
    /// Its disk is stopped, the device is there.
    DeviceStopped,
    /// It is gone, its note is there.
    DeviceDeleted,
    /// The device is suspended for a change of tables.
    Suspended,
    /// The copier of the table before has ended.
    CopierStopped,
    /// The copier of the next table has read its logs.
    CopierStarted,
    /// The next table is live.
    Resumed,
    /// A chunk's copy begins.
    CopyBegun,
    /// A chunk's copy is done, the tracker does not know.
    CopyDone,
    /// A block of a dirty log is about to be written.
    LogWriting,
    /// It is written, whoever waits for it does not know.
    LogWritten,
    /// Both legs are about to be flushed.
    SettleBegun,
    /// They are flushed, and the log does not say so.
    SettleDone,
}

#[cfg(any(test, feature = "failpoints"))]
impl Point {
    /// All of them, with their names.
    pub(crate) const ALL: [(Point, &'static str); 21] = [
        (Point::OrphansFound, "orphans-found"),
        (Point::PvsHeld, "pvs-held"),
        (Point::QueuesPrepared, "queues-prepared"),
        (Point::RecoveryBegun, "recovery-begun"),
        (Point::QueuesReady, "queues-ready"),
        (Point::DeviceServed, "device-served"),
        (Point::AllTakenOver, "all-taken-over"),
        (Point::DeviceAdded, "device-added"),
        (Point::DeviceNoted, "device-noted"),
        (Point::DeviceStopped, "device-stopped"),
        (Point::DeviceDeleted, "device-deleted"),
        (Point::Suspended, "suspended"),
        (Point::CopierStopped, "copier-stopped"),
        (Point::CopierStarted, "copier-started"),
        (Point::Resumed, "resumed"),
        (Point::CopyBegun, "copy-begun"),
        (Point::CopyDone, "copy-done"),
        (Point::LogWriting, "log-writing"),
        (Point::LogWritten, "log-written"),
        (Point::SettleBegun, "settle-begun"),
        (Point::SettleDone, "settle-done"),
    ];
}

/// The daemon passes this point.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn pass(_point: Point) {}

/// The daemon passes this point.
#[cfg(feature = "failpoints")]
pub(crate) fn pass(point: Point) {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Mutex, OnceLock, PoisonError};

    use lvshift_frontend_common::output;
    use rustix::process::{Signal, getpid, kill_process};

    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(file) = FILE.get_or_init(|| std::env::var_os(VARIABLE).map(PathBuf::from)) else {
        return;
    };
    static PASSED: [AtomicU32; Point::ALL.len()] = [const { AtomicU32::new(0) }; Point::ALL.len()];
    static ALONE: Mutex<()> = Mutex::new(());
    let Some(n) = Point::ALL.iter().position(|(known, _)| *known == point) else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let passed = PASSED[n].fetch_add(1, Ordering::Relaxed) + 1;
    if let Some(how) = take(file, Point::ALL[n].1, passed) {
        output::err(&format!("lvshift-ublk: fail point {}\n", Point::ALL[n].1));
        match how {
            How::Exit => std::process::exit(5),
            How::Panic => panic!("fail point {}", Point::ALL[n].1),
            How::Kill => {}
        }
        // If even this fails, the test that set the point sees that it had no effect.
        let _ = kill_process(getpid(), Signal::KILL);
    }
}

/// How a process dies.
#[cfg(any(test, feature = "failpoints"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Kill,
    Exit,
    Panic,
}

/// Takes the first line away if it is this point's, and says how to die. On any error none dies.
#[cfg(any(test, feature = "failpoints"))]
fn take(file: &Path, name: &str, passed: u32) -> Option<How> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let mut words = first.split_whitespace();
    let wanted = words.next() == Some(name);
    let count = words.next().and_then(|count| count.parse().ok()).unwrap_or(1);
    let how = match words.next() {
        Some("exit") => How::Exit,
        Some("panic") => How::Panic,
        _ => How::Kill,
    };
    (wanted && passed >= count && std::fs::write(file, rest).is_ok()).then_some(how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_once_and_in_its_turn() {
        let file = std::env::temp_dir().join(format!("lvshift-fail-{}", std::process::id()));
        std::fs::write(&file, "copy-begun 2\nsuspended 1 panic\n").expect("a scratch file");
        assert_eq!(take(&file, "suspended", 1), None, "not the first line's");
        assert_eq!(take(&file, "copy-begun", 1), None, "not the second time");
        assert_eq!(take(&file, "copy-begun", 2), Some(How::Kill));
        assert_eq!(take(&file, "copy-begun", 3), None, "it was taken");
        assert_eq!(take(&file, "suspended", 1), Some(How::Panic));
        assert_eq!(take(&file, "suspended", 1), None);
        std::fs::remove_file(&file).expect("it is there");
        assert_eq!(take(&file, "suspended", 1), None, "no file, no effect");
    }

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            Point::ALL.iter().map(|(_, name)| name).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
