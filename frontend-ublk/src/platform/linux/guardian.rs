//! Somebody who starts the daemon again when it is killed: without systemd nobody else would, and
//! every user of its devices would wait for the next command that a person types.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use lvshift_core::units::Uuid;
use lvshift_frontend_common::output;

use super::protect;

/// A daemon that lived shorter than this is started again with a pause in between.
const SHORT_LIFE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);

/// Starts the daemon and stays until it ends by its own will.
pub(super) fn guard(vg: Uuid) -> ExitCode {
    // A command may have started us: its end is not ours.
    let _ = rustix::process::setsid();
    protect::protect();
    loop {
        let started = Instant::now();
        let ended = Command::new("/proc/self/exe")
            // A leading @ tells a system that shuts down to leave it alive: it serves disks.
            .arg0("@lvshift-ublk")
            .args(["daemon", "--vg", &vg.to_string(), "--foreground"])
            .status();
        match ended {
            Ok(status) if status.signal().is_some() => {
                output::err(&format!(
                    "lvshift-ublk: the daemon of VG {vg} died ({status}); starting another\n"
                ));
                if started.elapsed() < SHORT_LIFE {
                    std::thread::sleep(PAUSE);
                }
            }
            Ok(status) => {
                return ExitCode::from(u8::try_from(status.code().unwrap_or(5)).unwrap_or(5));
            }
            Err(error) => {
                output::err(&format!(
                    "lvshift-ublk: the daemon of VG {vg} cannot be started: {error}\n"
                ));
                return ExitCode::from(5);
            }
        }
    }
}
