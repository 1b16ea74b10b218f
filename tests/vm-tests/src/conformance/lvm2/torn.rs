//! Commits of LVM2's own tool that are broken off: killed, or cut off over disks that lose and tear what was not flushed.
//! LVM2 flushes nothing, so any of what it has written may be lost.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};

use super::rig::{self, Lvm2, TWO, VG};
use crate::conformance::fixture::{self, HANG};
use crate::guest::Guest;
use crate::processes;
use crate::scenario::Scenario;
use crate::writer::{Aligned, Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "lvm2-torn",
    about: "LVM2's tool dies, or the power fails, in the middle of its commits, and unflushed writes are lost or torn",
    disks: TWO,
    state_disk: true,
    volatile: true,
    // Not seen to its end yet: run by name.
    hidden: true,
    boots: 1 + CUTS.len() as u32,
    timeout_s: 300,
    run: torn,
    ..Scenario::DEFAULT
}];

/// LVM2's tool is killed when the head of a PV has changed so often since the move began. Each commit changes it twice:
/// what is to be read, and that it counts.
const KILLS: &[u32] = &[3, 4, 6, 8];

/// Where the power fails, and what that leaves of what was not flushed.
const CUTS: &[(u32, &str)] = &[
    (4, "some 1 1000"),
    (6, "some 1 1000"),
    (5, "torn 11 500"),
    (6, "torn 12 500"),
    (6, "nothing"),
    (8, "torn 13 500"),
];

const SEED: u64 = 2401;

fn torn(guest: &mut Guest) -> Result<()> {
    let devices = vec![guest.disk("pv1")?, guest.disk("pv2")?];
    let side = guest.side()?;
    let boot = usize::try_from(guest.boot())?;
    let config =
        || Config { pace: Duration::from_millis(5), ..Config::new(rig::path("home"), SEED) };
    let (rig, writer) = if boot == 1 {
        let rig = Lvm2::over(guest, devices)?;
        let home = rig.lv("home", &[(1, 4)])?;
        let writer = rig::writer(&home, SEED)?;
        for (at, change) in KILLS.iter().enumerate() {
            let slow = 1 + at % 2;
            side.command(format!("delay pv{slow} write 0+{} 300", rig::HEAD))?;
            let moving = begin(&rig)?;
            changes(&rig, 3 - slow, *change)?;
            let killed = kill_tool()?;
            guest.log(format!("change {change}: killed {killed:?}"));
            side.command(format!("clear pv{slow}"))?;
            let run = moving.wait(HANG * 3)?;
            guest.log(format!("the mover: {run}"));
            fixture::served(&writer)?;
            carried_on(&rig, &writer).with_context(|| format!("killed at change {change}"))?;
        }
        (rig, writer)
    } else {
        let rig = Lvm2::found(guest, devices)?;
        // As an initramfs does.
        rig.lvm(&["vgchange", "-aay", "--sysinit", VG])?;
        guest.log(rig.tables()?);
        let writer = Writer::resume(config(), &guest.state("writer")?)?;
        writer.wait_for_writes(10, HANG)?;
        carried_on(&rig, &writer).with_context(|| format!("cut off at {:?}", CUTS[boot - 2]))?;
        (rig, writer)
    };
    let Some((change, left)) = CUTS.get(boot - 1) else { return rig.end([writer], &["home"]) };
    // What the application has flushed is not what this is about, but must be there.
    writer.checkpoint(&guest.state("writer")?)?;
    let slow = 1 + boot % 2;
    side.command(format!("delay pv{slow} write 0+{} 300", rig::HEAD))?;
    side.command(format!("cut {left}"))?;
    let _moving = begin(&rig)?;
    changes(&rig, 3 - slow, *change)?;
    guest.power_cut();
}

/// A move of all to the other PV.
fn begin<'g>(rig: &Lvm2<'g>) -> Result<crate::guest::Background<'g>> {
    let from = if rig.is_on("home", 1).is_ok() { 1 } else { 2 };
    rig.spawn_move("", &[&rig.pv(from), &rig.pv(3 - from)])
}

/// Whoever comes next carries on, or finds that there is nothing.
fn carried_on(rig: &Lvm2<'_>, writer: &Writer) -> Result<()> {
    let run = rig.pvmove(&[])?;
    rig.guest.log(format!("pvmove: {run}"));
    rig.at_rest()?;
    ensure!(rig.is_on("home", 1).is_ok() || rig.is_on("home", 2).is_ok(), "it lies in two places");
    fixture::served(writer)
}

/// Returns right after the head of this PV has changed so often.
fn changes(rig: &Lvm2<'_>, pv: usize, wanted: u32) -> Result<()> {
    let device = rig.pv(pv);
    let direct = OFlags::DIRECT.bits().cast_signed();
    let file = File::options().read(true).custom_flags(direct).open(Path::new(&device))?;
    let head = || -> Result<Vec<u8>> {
        let mut buffer = Aligned::new(8192);
        file.read_exact_at(buffer.bytes_mut(), 0).with_context(|| format!("reading {device}"))?;
        Ok(buffer.bytes().to_vec())
    };
    let (mut before, mut seen, began) = (head()?, 0, Instant::now());
    while began.elapsed() < HANG * 4 {
        let now = head()?;
        if now != before {
            before = now;
            seen += 1;
            if seen == wanted {
                return Ok(());
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    bail!("{device} has changed {seen} times only")
}

/// `kill -9` of the command that commits.
fn kill_tool() -> Result<Option<i32>> {
    for (pid, of) in processes::all()? {
        let line = std::fs::read(of.join("cmdline")).unwrap_or_default();
        if line.split(|byte| *byte == 0).any(|word| word.ends_with(b"vgcfgrestore")) {
            let victim = Pid::from_raw(pid).context("a process number")?;
            // It may just have ended by itself.
            kill_process(victim, Signal::KILL).ok();
            return Ok(Some(pid));
        }
    }
    Ok(None)
}
