//! Doing the job of this boot: a scenario, or a shell.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lvshift_vm_tests::conformance;
use lvshift_vm_tests::guest::boot::Job;
use lvshift_vm_tests::guest::{Channel, EXIT_REBOOT};
use lvshift_vm_tests::report::Report;
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};

use crate::{epilogue, setup};

/// What every process of the guest inherits.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/bbin"),
    ("HOME", "/root"),
    ("LC_ALL", "C"),
    ("DM_DISABLE_UDEV", "1"),
    ("LVM_SUPPRESS_FD_WARNINGS", "1"),
];

/// Does the job.
///
/// # Errors
/// Whatever keeps it from being started.
pub(crate) fn run(job: &Job, channel: Option<&Channel>) -> Result<()> {
    match (&job.scenario, channel) {
        (None, _) => shell(job),
        (Some(name), Some(channel)) => scenario(job, name, channel),
        (Some(_), None) => bail!("a scenario without a report port"),
    }
}

fn scenario(job: &Job, name: &str, channel: &Channel) -> Result<()> {
    channel.send(&Report::Hello(job.boot));
    let limit = conformance::find(name).with_context(|| format!("no scenario {name}"))?.timeout_s;
    setup::state_disk(job.boot == 1)?;
    let child = Command::new("/proc/self/exe")
        .arg0("scenario")
        .arg("scenario")
        .args(job.to_cmdline().split(' '))
        .env_clear()
        .envs(ENVIRONMENT.iter().copied())
        .stdin(Stdio::from(channel.duplicate()?))
        .spawn()
        .context("starting the scenario's process")?;
    let pid = Pid::from_child(&child);
    watch_the_clock(limit, channel.clone());
    let status = reap_until(pid)?;
    if status.exit_status() == Some(EXIT_REBOOT) {
        epilogue::check(channel);
        setup::wind_down();
        channel.send(&Report::Reboot);
        return Ok(());
    }
    let mut good = match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) => true,
        (Some(_), _) => false,
        (None, signal) => {
            let text = format!("the scenario's process was killed by signal {signal:?}");
            channel.send(&Report::Fail(text));
            false
        }
    };
    good &= epilogue::check(channel);
    if good {
        channel.send(&Report::Pass);
    }
    channel.send(&Report::End);
    Ok(())
}

/// PID 1 inherits every orphan, so it waits for all of them.
fn reap_until(wanted: Pid) -> Result<WaitStatus> {
    loop {
        match waitpid(None, WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == wanted => return Ok(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for the scenario"),
        }
    }
}

/// The guest's own limit, so that a hang comes with the stacks of what hangs.
fn watch_the_clock(limit_s: u32, channel: Channel) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(limit_s.into()));
        channel.send(&Report::Fail(format!("no verdict within {limit_s} s")));
        epilogue::show_stuck_tasks(&channel);
        // Blocked tasks, on the console.
        std::fs::write("/proc/sysrq-trigger", "w").ok();
        std::thread::sleep(Duration::from_millis(300));
        channel.send(&Report::End);
    });
}

fn shell(job: &Job) -> Result<()> {
    setup::state_disk(true)?;
    println!(
        "\nlvshift test VM ({} front end). Disks: /dev/disk/by-serial/. `poweroff -f` or Ctrl-D ends it.\n",
        job.frontend.word()
    );
    let child = Command::new("/bbin/setsid")
        .args(["/bbin/cttyhack", "/bbin/sh", "-i"])
        .env_clear()
        .envs(ENVIRONMENT.iter().copied())
        .env("TERM", "xterm")
        .env("PS1", "guest# ")
        .spawn()
        .context("starting the shell")?;
    reap_until(Pid::from_child(&child))?;
    setup::wind_down();
    Ok(())
}
