//! What is checked after every scenario, whatever it was about.

use std::process::Command;
use std::time::{Duration, Instant};

use lvshift_tests::guest::Channel;
use lvshift_tests::report::Report;

/// A task may be in uninterruptible sleep this long before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// True if no device is suspended and no task is stuck; else it has reported.
pub(crate) fn check(channel: &Channel) -> bool {
    let mut good = true;
    for wrong in suspended_devices().into_iter().chain(stuck_tasks()) {
        channel.send(&Report::Fail(format!("after the scenario: {wrong}")));
        good = false;
    }
    good
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
