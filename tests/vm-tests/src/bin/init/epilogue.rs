//! What is checked after every scenario, whatever it was about.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lvshift_vm_tests::guest::Channel;
use lvshift_vm_tests::report::Report;

/// A task may be in uninterruptible sleep this long before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a daemon that died at the very end may take to be replaced, and how long the LVs' devices
/// may take to go.
const LIMIT: Duration = Duration::from_secs(20);

/// True if no device is suspended or without its daemon, every LV answers and can be deactivated, and
/// no task is stuck; else it has reported.
pub(crate) fn check(channel: &Channel) -> bool {
    let mut good = true;
    // While the daemons live: without them whoever uses their devices hangs, and so does this.
    let suspended = suspended_devices();
    let mut wrong = unserved_devices();
    if wrong.is_empty() && suspended.is_empty() {
        wrong = silent_devices();
    }
    if wrong.is_empty() {
        wrong = take_down();
    }
    let wrong = wrong.into_iter().chain(suspended).chain(stuck_tasks());
    for wrong in wrong {
        channel.send(&Report::Fail(format!("after the scenario: {wrong}")));
        good = false;
    }
    good
}

/// The ublk devices that are there.
fn ublk_devices() -> Vec<String> {
    let names = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("ublkb")).collect()
}

/// The ublk devices that no process serves. A daemon that was just killed may be replaced first.
fn unserved_devices() -> Vec<String> {
    let start = Instant::now();
    loop {
        let unserved: Vec<String> = ublk_devices()
            .into_iter()
            .filter(|name| !is_open(&Path::new("/dev").join(name.replace("ublkb", "ublkc"))))
            .map(|name| format!("device {name} has no daemon"))
            .collect();
        if unserved.is_empty() || start.elapsed() > LIMIT {
            return unserved;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The nodes of all devices of ours, of either front end.
fn our_nodes() -> Vec<String> {
    let names = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let ours = names.filter(|entry| {
        let uuid = std::fs::read_to_string(entry.path().join("dm/uuid")).unwrap_or_default();
        uuid.starts_with("LVSHIFT-")
    });
    let ours = ours.map(|entry| entry.file_name().to_string_lossy().into_owned());
    ours.chain(ublk_devices()).map(|name| format!("/dev/{name}")).collect()
}

/// The devices of ours that do not answer a read, be it with an error.
fn silent_devices() -> Vec<String> {
    let read = |node: String| {
        let child = Command::new("dd")
            .args([&format!("if={node}"), "of=/dev/null", "bs=4096", "count=1", "iflag=direct"])
            .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/bbin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        (node, child)
    };
    let start = Instant::now();
    let reads: Vec<_> = our_nodes().into_iter().map(read).collect();
    let mut silent = Vec::new();
    for (node, child) in reads {
        match child {
            Ok(mut child) => {
                while start.elapsed() < LIMIT && matches!(child.try_wait(), Ok(None)) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                if matches!(child.try_wait(), Ok(None)) {
                    silent.push(format!("device {node} answers no read"));
                }
            }
            Err(error) => silent.push(format!("dd of {node}: {error}")),
        }
    }
    silent
}

/// Whether a process has it open.
fn is_open(path: &Path) -> bool {
    let entries = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
    entries("/proc".into()).any(|process| {
        let mut fds = entries(process.path().join("fd"));
        fds.any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == path))
    })
}

/// Deactivates what the ublk front end serves. Nobody uses an LV any more, so none may be left.
fn take_down() -> Vec<String> {
    if ublk_devices().is_empty() {
        return Vec::new();
    }
    let child = Command::new("/usr/local/bin/lvshift-ublk")
        .args(["vgchange", "-a", "n"])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return vec![format!("lvshift-ublk: {error}")],
    };
    let start = Instant::now();
    while start.elapsed() < LIMIT && matches!(child.try_wait(), Ok(None)) {
        std::thread::sleep(Duration::from_millis(20));
    }
    // If it has not ended it never will.
    child.kill().ok();
    let said = child.wait_with_output().map_or_else(
        |error| error.to_string(),
        |output| format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)),
    );
    let left = ublk_devices().into_iter();
    left.map(|name| format!("{name} is left after `vgchange -a n`: {said}")).collect()
}

fn suspended_devices() -> Vec<String> {
    let output = Command::new("/usr/sbin/dmsetup")
        .args(["info", "-c", "--noheadings", "--separator", "|", "-o", "name,suspended"])
        .env("DM_DISABLE_UDEV", "1")
        .output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.split_once('|'))
            .filter(|(_, state)| state.trim().eq_ignore_ascii_case("suspended"))
            .map(|(name, _)| format!("device {} is suspended", name.trim()))
            .collect(),
        Ok(output) => vec![format!("dmsetup info: {}", output.status)],
        Err(error) => vec![format!("dmsetup info: {error}")],
    }
}

/// Tasks that are in state D and stay there.
fn stuck_tasks() -> Vec<String> {
    let start = Instant::now();
    let mut suspects = sleeping_tasks();
    while !suspects.is_empty() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
        let now = sleeping_tasks();
        suspects.retain(|task| now.contains(task));
    }
    suspects
        .into_iter()
        .map(|(pid, name)| {
            let stack = std::fs::read_to_string(format!("/proc/{pid}/stack")).unwrap_or_default();
            format!("task {pid} ({name}) hangs in\n{stack}")
        })
        .collect()
}

/// Logs what hangs and where, for a scenario that ran out of time.
pub(crate) fn show_stuck_tasks(channel: &Channel) {
    for (pid, name) in sleeping_tasks() {
        let stack = std::fs::read_to_string(format!("/proc/{pid}/stack")).unwrap_or_default();
        channel.send(&Report::Log(format!("task {pid} ({name}) is in state D, in\n{stack}")));
    }
}

fn sleeping_tasks() -> Vec<(u32, String)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // PID (NAME) STATE ...; the name may hold anything, so look from its end.
            let (head, rest) = stat.rsplit_once(')')?;
            let name = head.split_once('(')?.1.to_owned();
            rest.trim_start().starts_with('D').then_some((pid, name))
        })
        .collect()
}
