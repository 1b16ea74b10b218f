//! Everything that belongs to a move is killed at 90 %: what is copied again?

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::contestant::{Tool, Volume};
use super::disk;
use super::lab::{Lab, succeed};
use super::moves::{Slow, real};
use super::watch::bytes_written;
use crate::processes;

const MIB: u64 = 1 << 20;
/// How much longer each I/O takes.
const LATENCY: Duration = Duration::from_millis(5);
const LIMIT: Duration = Duration::from_secs(600);

/// In a VG of the contestant's own.
pub(super) fn at_90_percent(lab: &mut Lab) -> Result<()> {
    for_each(lab, &Tool::ALL, Volume::new, "")
}

/// In a VG of LVM2's. Not with lvshift-ublk: what is left of a daemon that was killed is on the disks until the
/// next boot or command, so that no kill is like a crash of the machine.
pub(super) fn in_lvm2(lab: &mut Lab) -> Result<()> {
    for_each(lab, &[Tool::Lvm, Tool::Dm], Volume::in_lvm2, "at 90 %, ")
}

/// Makes a volume.
type Make = fn(Tool, &[PathBuf; 2], u64, &str) -> Result<Volume>;

/// The disks are slow, so that there is a 90 % to be met.
fn for_each(lab: &mut Lab, tools: &[Tool], make: Make, when: &str) -> Result<()> {
    let mib = lab.scale.mib(512);
    lab.noise(mib)?;
    let slow = [Slow::over(&lab.disks[0], LATENCY)?, Slow::over(&lab.disks[1], LATENCY)?];
    let devices = [slow[0].path(), slow[1].path()];
    for tool in lab.turns(tools) {
        one(lab, make(tool, &devices, mib / 4, "")?, &devices, mib, when)?;
    }
    Ok(())
}

/// The LV is taken down after the kill, as a crash of the machine would: else the kernel's mirror copies on by
/// itself.
fn one(lab: &Lab, volume: Volume, devices: &[PathBuf; 2], mib: u64, when: &str) -> Result<()> {
    let tool = volume.tool;
    let print = disk::fingerprint(&volume.node, mib * MIB)?;
    let below = real(&devices[1])?;
    let before = bytes_written(&below)?;
    let options = tool.quickly();
    let mut mover = volume.begin_move(options)?;
    let start = Instant::now();
    while bytes_written(&below)? - before < mib * MIB / 10 * 9 {
        if let Some(status) = mover.try_wait().context("looking at the move")? {
            bail!("{}: the move ended before 90 %: {status}", tool.name());
        }
        ensure!(start.elapsed() < LIMIT, "{}: 90 % never came", tool.name());
        std::thread::sleep(Duration::from_millis(5));
    }
    kill_all(tool)?;
    mover.wait().context("waiting for what was killed")?;
    volume.activate(false)?;
    let at_crash = bytes_written(&below)? - before;
    volume.activate(true)?;
    succeed(&mut volume.carry_on(options))?;
    let all = bytes_written(&below)? - before;
    volume.lies_on(1)?;
    volume.holds(&print, mib * MIB)?;
    volume.remove()?;
    let share = |bytes: u64| bytes as f64 / (mib * MIB) as f64 * 100.0;
    let down = format!("{when}written when it was down");
    lab.sample(tool.name(), &down, "% of the LV", share(at_crash));
    let again = all.saturating_sub(mib * MIB);
    lab.sample(tool.name(), &format!("{when}copied again"), "% of the LV", share(again));
    Ok(())
}

/// Kills every process of a tool with SIGKILL, and those that these have started meanwhile.
fn kill_all(tool: Tool) -> Result<()> {
    let name = tool.program();
    let start = Instant::now();
    while kill_those_there_are(name)? {
        ensure!(start.elapsed() < LIMIT, "{name} cannot be killed");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether there were any that were not dead yet.
fn kill_those_there_are(name: &str) -> Result<bool> {
    let mut any = false;
    for (pid, of) in processes::all()? {
        // Not by its command line: a daemon is started as `/proc/self/exe`. One that is dead has none.
        let program = std::fs::read_link(of.join("exe")).unwrap_or_default();
        if program.file_name().is_some_and(|file| file == name)
            && let Some(pid) = Pid::from_raw(pid)
        {
            // It may have ended just now.
            kill_process(pid, Signal::KILL).ok();
            any = true;
        }
    }
    Ok(any)
}
