//! A process that sees to it that the VG is served again when its daemon ends, whatever ended it: without
//! systemd no other process would, and every user of its devices would wait for the next command that a person
//! types.
//!
//! Beside the daemon waits a standby, loaded and locked into memory. It takes over at one byte from us: to
//! start a program when the daemon is dead is to read it, and the file, or the swap that has to make room
//! for it, may lie on the very LVs that are not served.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use lvshift_core::units::Uuid;
use lvshift_frontend_common::output;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait, waitpid};

use super::connection::{ANOTHER_SERVES, NOTHING_WAITS};
use super::{beside, files, process};

/// A process that lived shorter than this is followed by the next one after a pause.
const SHORT_LIFE: Duration = Duration::from_secs(5);
/// The first pause; each one that follows a short life is twice as long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Starts the daemon, unless it is one that has started this process, and stays until there is nothing to serve.
pub(super) fn guard(vg: Uuid, beside: bool) -> ExitCode {
    process::call_itself("lvshift-guard");
    process::outlive_the_caller();
    let mut lives = Lives::default();
    if beside {
        let mut standby = load_or_say(vg);
        if let Some(code) = stay_beside(vg, &mut standby) {
            return ExitCode::from(code);
        }
        let daemon = next(vg, standby, &mut lives);
        return stay(vg, daemon, lives);
    }
    let daemon = match Standby::load(vg).and_then(|standby| standby.wake(vg)) {
        Ok(daemon) => daemon,
        Err(error) => {
            output::err(&format!(
                "lvshift-ublk: the daemon of VG {vg} cannot be started: {error}\n"
            ));
            return ExitCode::from(5);
        }
    };
    stay(vg, daemon, lives)
}

/// Waits for the end of a daemon that is no child of this process: the code to end with, where nothing is left to be
/// served.
fn stay_beside(vg: Uuid, standby: &mut Option<Standby>) -> Option<u8> {
    let mut code = None;
    while !beside::end_of_daemon(standby.as_ref().map(|standby| standby.process.pid), &mut code) {
        reload(vg, standby);
    }
    let done = code.filter(|code| is_over(vg, *code));
    if done.is_none() {
        let how = code.map_or_else(|| "killed".to_owned(), |code| format!("exit status {code}"));
        output::err(&format!(
            "lvshift-ublk: the daemon of VG {vg} ended ({how}); another takes over\n"
        ));
    }
    done
}

/// The standby has ended: another one, not too fast.
fn reload(vg: Uuid, standby: &mut Option<Standby>) {
    if let Some(ended) = standby.take() {
        let _ = waitpid(Some(ended.process.pid), WaitOptions::empty());
        if ended.process.born.elapsed() < SHORT_LIFE {
            std::thread::sleep(FIRST_PAUSE);
        }
    }
    *standby = load_or_say(vg);
}

fn stay(vg: Uuid, mut daemon: Process, mut lives: Lives) -> ExitCode {
    let mut standby = load_or_say(vg);
    loop {
        let (pid, status) = match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) => (pid, Some(status)),
            Ok(None) | Err(rustix::io::Errno::INTR) => continue,
            // There is none left, and we were not told.
            Err(_) => (daemon.pid, None),
        };
        if pid == daemon.pid {
            if let Some(code) = is_done(vg, status) {
                return ExitCode::from(code);
            }
            output::err(&format!(
                "lvshift-ublk: the daemon of VG {vg} ended ({}); another takes over\n",
                shown(status)
            ));
            if daemon.has_served(vg) {
                lives = Lives::default();
            }
            std::thread::sleep(lives.pause(daemon.born));
            daemon = next(vg, standby.take(), &mut lives);
            standby = load_or_say(vg);
        } else if standby.as_ref().is_some_and(|standby| standby.process.pid == pid) {
            if standby.take().is_some_and(|standby| standby.process.born.elapsed() < SHORT_LIFE) {
                std::thread::sleep(FIRST_PAUSE);
            }
            standby = load_or_say(vg);
        }
    }
}

/// The code to end with, where nothing is left to be served: the daemon has ended by its own will, or
/// could not begin and has left no device.
fn is_done(vg: Uuid, status: Option<WaitStatus>) -> Option<u8> {
    let code = status?.exit_status().and_then(|code| u8::try_from(code).ok())?;
    is_over(vg, code).then_some(code)
}

fn is_over(vg: Uuid, code: u8) -> bool {
    let nothing_waits = || files::notes(vg).is_ok_and(|notes| notes.is_empty());
    [0, ANOTHER_SERVES, NOTHING_WAITS].contains(&code) || nothing_waits()
}

/// Brings the next daemon to life; goes on until there is one.
fn next(vg: Uuid, mut standby: Option<Standby>, lives: &mut Lives) -> Process {
    loop {
        let began = Instant::now();
        let loaded = standby.take().map_or_else(|| Standby::load(vg), Ok);
        match loaded.and_then(|standby| standby.wake(vg)) {
            Ok(daemon) => return daemon,
            Err(error) => {
                output::err(&format!(
                    "lvshift-ublk: no daemon of VG {vg} can be started: {error}; its I/O waits\n"
                ));
                std::thread::sleep(lives.pause(began).max(FIRST_PAUSE));
            }
        }
    }
}

fn load_or_say(vg: Uuid) -> Option<Standby> {
    let loaded = Standby::load(vg);
    if let Err(error) = &loaded {
        output::err(&format!("lvshift-ublk: no standby for VG {vg}: {error}\n"));
    }
    loaded.ok()
}

fn shown(status: Option<WaitStatus>) -> String {
    let signal = status.and_then(WaitStatus::terminating_signal);
    match (signal, status.and_then(WaitStatus::exit_status)) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit status {code}"),
        (None, None) => "it is not known how".to_owned(),
    }
}

/// A process of ours.
#[derive(Clone, Copy, Debug)]
struct Process {
    pid: Pid,
    born: Instant,
    /// The socket that was there when it became the daemon.
    socket: Option<u64>,
}

impl Process {
    /// Whether it has come to serve all that there is: it opens its socket then. What ended it was not
    /// the taking over, and whoever uses its devices waits for no reason.
    fn has_served(&self, vg: Uuid) -> bool {
        socket(vg).is_some_and(|now| self.socket != Some(now))
    }
}

/// Which file the VG's socket is.
fn socket(vg: Uuid) -> Option<u64> {
    Some(std::fs::metadata(files::socket(vg).ok()?).ok()?.ino())
}

/// One that waits to be the daemon. It ends when it is dropped.
#[derive(Debug)]
struct Standby {
    process: Process,
    word: ChildStdin,
}

impl Standby {
    fn load(vg: Uuid) -> std::io::Result<Standby> {
        let mut child: Child = Command::new("/proc/self/exe")
            // A leading @ tells a system that shuts down to leave it alive: it serves disks.
            .arg0("@lvshift-ublk")
            .args(["daemon", "--vg", &vg.to_string(), "--foreground", "--standby"])
            .stdin(Stdio::piped())
            .spawn()?;
        let word = child.stdin.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
        let process = Process { pid: Pid::from_child(&child), born: Instant::now(), socket: None };
        Ok(Standby { process, word })
    }

    /// Makes it the daemon.
    fn wake(mut self, vg: Uuid) -> std::io::Result<Process> {
        let socket = socket(vg);
        self.word.write_all(&process::WAKE)?;
        Ok(Process { born: Instant::now(), socket, ..self.process })
    }
}

/// How long to wait between one life and the next.
#[derive(Debug, Default)]
struct Lives {
    short: u32,
}

impl Lives {
    /// After a process that was born then: nothing the first time, and longer with each short life.
    fn pause(&mut self, born: Instant) -> Duration {
        if born.elapsed() >= SHORT_LIFE {
            self.short = 0;
        }
        let pause = match self.short {
            0 => Duration::ZERO,
            n => (FIRST_PAUSE * 2_u32.saturating_pow(n - 1)).min(LAST_PAUSE),
        };
        self.short = self.short.saturating_add(1).min(16);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_each_short_life_and_begin_anew_after_a_long_one() {
        let mut lives = Lives::default();
        let pauses: Vec<u128> = (0..9).map(|_| lives.pause(Instant::now()).as_millis()).collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        if let Some(born) = Instant::now().checked_sub(SHORT_LIFE) {
            assert_eq!(lives.pause(born), Duration::ZERO);
        }
    }
}
