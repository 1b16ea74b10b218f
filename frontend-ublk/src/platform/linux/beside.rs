//! A daemon whose guardian was killed, and nothing else, begins another: it would serve on, and when it died, too, its devices
//! would wait for the next command that a person types.
//!
//! That one is no parent of the daemon and does not hear how it ends. So the daemon says it, through a pipe, before it ends by
//! its own will; a pipe that ends without a word is a daemon that was killed.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lvshift_core::units::Uuid;
use lvshift_frontend_common::output;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};

/// The pause after which a guardian is followed: whatever ended it may be about to end this process as well.
const PAUSE: Duration = Duration::from_secs(1);
/// The stack of the thread that watches.
const STACK: usize = 256 << 10;

/// This process has become a daemon.
static SERVES: AtomicBool = AtomicBool::new(false);
/// Where the guardian that this daemon has begun hears of its end.
static WORD: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// Has a thread wait for the end of the guardian, which has started this process. A standby ends with it anyhow.
pub(super) fn watch(vg: Uuid) {
    let Some(guardian) = getppid().and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return;
    };
    let watching = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        end_of(&guardian, None);
        while SERVES.load(Ordering::Acquire) {
            std::thread::sleep(PAUSE);
            output::err(&format!(
                "lvshift-ublk: the daemon of VG {vg} has lost its guardian and begins another\n"
            ));
            match begin(vg) {
                // It ends when it is killed, or with this process.
                Ok(mut guardian) => drop(guardian.wait()),
                Err(error) => output::err(&format!("lvshift-ublk: there is none: {error}\n")),
            }
        }
    });
    if let Err(error) = watching {
        output::err(&format!("lvshift-ublk: no thread that watches the guardian: {error}\n"));
    }
}

/// From now on a guardian that is gone is followed.
pub(super) fn serves() {
    SERVES.store(true, Ordering::Release);
}

fn begin(vg: Uuid) -> std::io::Result<Child> {
    let mut guardian = Command::new("/proc/self/exe")
        // A leading @ tells a system that shuts down to leave it alive: it serves disks.
        .arg0("@lvshift-ublk")
        .args(["daemon", "--vg", &vg.to_string(), "--beside"])
        .stdin(Stdio::piped())
        .spawn()?;
    *WORD.lock().unwrap_or_else(PoisonError::into_inner) = guardian.stdin.take();
    Ok(guardian)
}

/// The daemon ends by its own will, with this exit status.
pub(super) fn say_why(code: u8) {
    SERVES.store(false, Ordering::Release);
    if let Some(word) = WORD.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        // A guardian that is gone does not need it.
        let _ = word.write_all(&[code]);
    }
}

/// For a guardian that a daemon has begun: waits for the end of the daemon, and hears the exit status where that has
/// one. It returns, too, when its standby has ended: `false`.
pub(super) fn end_of_daemon(standby: Option<Pid>, code: &mut Option<u8>) -> bool {
    let standby = standby.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let Some(standby) = standby else { return hear(code) };
    if end_of(&standby, Some(&std::io::stdin())) { hear(code) } else { false }
}

fn hear(code: &mut Option<u8>) -> bool {
    let mut word = [0];
    *code = std::io::stdin().read_exact(&mut word).ok().map(|()| word[0]);
    true
}

/// Waits for the end of a process; true where the other thing was there first.
fn end_of(process: &OwnedFd, other: Option<&std::io::Stdin>) -> bool {
    loop {
        let mut fds = vec![PollFd::new(process, PollFlags::IN)];
        fds.extend(other.map(|other| PollFd::new(other, PollFlags::IN)));
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            _ => return fds.get(1).is_some_and(|fd| !fd.revents().is_empty()),
        }
    }
}
