//! The job of this boot as a service of a whole Debian: another init has PID 1, and udevd runs.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lvshift_vm_tests::conformance;
use lvshift_vm_tests::guest::boot::Job;
use lvshift_vm_tests::guest::{Channel, EXIT_REBOOT};
use lvshift_vm_tests::report::Report;

use crate::epilogue;

/// How long the report port may take to appear: udevd loads its driver.
const PORT_LIMIT: Duration = Duration::from_secs(60);
/// The lines of the journal that are shown when something is wrong.
const LINES: &str = "150";

const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"),
    ("HOME", "/root"),
    ("LC_ALL", "C"),
    ("DEBIAN_FRONTEND", "noninteractive"),
];

/// Runs the scenario and reports; the exit status of the service.
pub(crate) fn main() -> i32 {
    let channel = match port() {
        Ok(channel) => channel,
        Err(error) => {
            eprintln!("agent: {error:#}");
            return 1;
        }
    };
    if let Err(error) = run(&channel) {
        channel.send(&Report::Fail(format!("agent: {error:#}")));
        channel.send(&Report::End);
        return 1;
    }
    0
}

fn port() -> Result<Channel> {
    let start = Instant::now();
    loop {
        match Channel::open() {
            Err(_) if start.elapsed() < PORT_LIMIT => {
                std::thread::sleep(Duration::from_millis(100));
            }
            opened => return opened,
        }
    }
}

fn run(channel: &Channel) -> Result<()> {
    let job = Job::from_cmdline(&std::fs::read_to_string("/proc/cmdline")?)?;
    channel.send(&Report::Hello(job.boot));
    let name = job.scenario.as_deref().context("no scenario was named")?;
    let limit = conformance::find(name).with_context(|| format!("no scenario {name}"))?.timeout_s;
    let mut child = Command::new("/proc/self/exe")
        .arg0("scenario")
        .arg("scenario")
        .args(job.to_cmdline().split(' '))
        .env_clear()
        .envs(ENVIRONMENT.iter().copied())
        .stdin(Stdio::from(channel.duplicate()?))
        .spawn()
        .context("starting the scenario's process")?;
    watch_the_clock(limit, channel.clone());
    let status = child.wait().context("waiting for the scenario")?;
    if status.code() == Some(EXIT_REBOOT) {
        // The host waits for the machine's end.
        let asked = Command::new("systemctl").args(["--no-block", "reboot"]).status();
        anyhow::ensure!(asked.context("systemctl reboot")?.success(), "systemctl reboot");
        return Ok(());
    }
    if status.success() && nothing_failed(channel) {
        channel.send(&Report::Pass);
    } else {
        if status.code().is_none() {
            channel.send(&Report::Fail(format!("the scenario's process: {status}")));
        }
        show_the_journal(channel);
    }
    channel.send(&Report::End);
    Ok(())
}

/// Whether no unit of ours has failed; else it has reported.
fn nothing_failed(channel: &Channel) -> bool {
    let listed = Command::new("systemctl")
        .args(["list-units", "--failed", "--plain", "--no-legend", "lvshift*"])
        .output();
    let text = match listed {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => format!("systemctl: {error}"),
    };
    if text.trim().is_empty() {
        return true;
    }
    channel.send(&Report::Fail(format!("after the scenario: units failed: {}", text.trim())));
    false
}

fn show_the_journal(channel: &Channel) {
    let arguments = ["-b", "--no-pager", "-o", "short-monotonic", "-n", LINES];
    if let Ok(output) = Command::new("journalctl").args(arguments).output() {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        channel.send(&Report::Log(format!("--- journal\n{text}")));
    }
}

fn watch_the_clock(limit_s: u32, channel: Channel) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(limit_s.into()));
        channel.send(&Report::Fail(format!("no verdict within {limit_s} s")));
        epilogue::show_stuck_tasks(&channel);
        show_the_journal(&channel);
        channel.send(&Report::End);
    });
}
