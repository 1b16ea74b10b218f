//! The power goes off, and what was not flushed is lost.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use lvshift_on_disk_format::record::MoveState;
use rustix::fs::OFlags;

use crate::conformance::fixture::{self, DATA, EXTENT, Rig, lv_path};
use crate::guest::{Guest, Region, Side};
use crate::scenario::{Frontend, Scenario};
use crate::writer::{Aligned, Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "power-cache-mid-copy",
        about: "the power fails in mid-copy over disks that lose what was not flushed, and tear it",
        // On ublk zeroes that take 8 s each keep the daemon from answering `lvs` for a minute, and
        // without that delay the copy of nothing but zeroes is over at once: docs/ublk.md.
        frontends: Frontend::DM,
        disks: fixture::THREE,
        state_disk: true,
        volatile: true,
        boots: 3,
        timeout_s: 240,
        run: mid_copy,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "power-cache-steps",
        about: "the power fails after each commit of a move and of an abort; unflushed writes are lost",
        disks: fixture::TWO,
        state_disk: true,
        volatile: true,
        boots: STEPS.len() as u32 + 1,
        timeout_s: 240,
        run: steps,
        ..Scenario::DEFAULT
    },
];

const EXTENTS: u32 = 16;

/// Of each write to the second half of the LV's place on a disk the answer comes late: the first half is
/// soon copied, and the copy is not over soon. The application keeps to the first half.
fn slow_half(side: &Side, disk: &str) -> Result<()> {
    let half = u64::from(EXTENTS / 2) * EXTENT;
    side.command(format!("delay {disk} write,zero {}+{half} 8000", DATA + half))
}

fn half(seed: u64) -> Config {
    let size = Some(u64::from(EXTENTS / 2) << 20);
    Config { size, ..Config::new(lv_path("lv"), seed) }
}

/// `Guest::write_sectors` flushes; this does not.
fn write_unflushed(device: &Path, sector: u64, bytes: &[u8]) -> Result<()> {
    let mut buffer = Aligned::new(bytes.len());
    buffer.bytes_mut().copy_from_slice(bytes);
    let direct = OFlags::DIRECT.bits().cast_signed();
    let file = File::options().write(true).custom_flags(direct).open(device)?;
    file.write_all_at(buffer.bytes(), sector * 512)
        .with_context(|| format!("writing {} at sector {sector}", device.display()))
}

fn resume(guest: &Guest, config: Config) -> Result<Writer> {
    Writer::resume(config, &guest.state("lv.checkpoint")?)
}

fn mid_copy(guest: &mut Guest) -> Result<()> {
    let side = guest.side()?;
    let disks: Result<Vec<_>> = ["pv1", "pv2"].iter().map(|disk| guest.disk(disk)).collect();
    let spare = Region::new(guest.disk("pv3")?, 0, 16);
    if guest.boot() == 1 {
        let rig = Rig::over(guest, disks?)?;
        rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
        let writer = Writer::start(half(311))?;
        fixture::served(&writer)?;
        slow_half(&side, "pv2")?;
        let _moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
        rig.wait_for_mid_copy()?;
        // Of the disks themselves: one write with a flush behind it, one without.
        guest.write_sectors(&spare.device, 0, &[1; 4096])?;
        guest.run("sync", &[&spare.device.to_string_lossy()])?.ok()?;
        write_unflushed(&spare.device, 8, &[2; 4096])?;
        writer.checkpoint(&guest.state("lv.checkpoint")?)?;
        fixture::served(&writer)?;
        side.command("cut nothing")?;
        guest.power_cut();
    }
    if guest.boot() == 2 {
        let bytes = guest.read_region(&spare)?;
        ensure!(
            bytes[..4096].iter().all(|b| *b == 1),
            "what was flushed is lost: the disk server errs"
        );
        ensure!(bytes[4096..].iter().all(|b| *b == 0), "nothing is lost: this was no power cut");
    }
    let rig = Rig::found(guest, disks?);
    let meta = rig.meta().context("a copy ran; no commit was cut short")?;
    ensure!(meta.states() == [MoveState::Copying], "recorded: {:?}", meta.states());
    if guest.boot() == 2 {
        // On device-mapper the copy goes on as soon as the LV is active.
        slow_half(&side, "pv2")?;
    }
    guest.lvshift(&["vgchange", "-a", "y"])?.ok()?;
    let writer = resume(guest, half(311))?;
    if guest.boot() == 2 {
        let _moving = rig.spawn_move(&[])?;
        rig.wait_for_mid_copy()?;
        writer.checkpoint(&guest.state("lv.checkpoint")?)?;
        fixture::served(&writer)?;
        guest.power_cut();
    }
    rig.pvmove(&[])?.ok()?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.lies("lv", &[(2, 0, EXTENTS)])?;
    rig.reads_from_its_places("lv")
}

/// Where the mover is killed before the power fails, and in which command.
const STEPS: &[(&str, bool)] = &[
    ("after:commit-begin", false),
    ("after:commit-moved-slot1", false),
    ("after:commit-moved", false),
    ("after:commit-aborting", true),
];

fn steps(guest: &mut Guest) -> Result<()> {
    let devices = vec![guest.disk("pv1")?, guest.disk("pv2")?];
    let boot = usize::try_from(guest.boot())?;
    let (rig, writer) = if boot == 1 {
        let rig = Rig::over(guest, devices)?;
        let lv = rig.lv("lv", 4, &[rig.pv(1)])?;
        (rig, fixture::writer(&lv, 312)?)
    } else {
        let rig = Rig::found(guest, devices);
        guest.lvshift(&["vgchange", "-a", "y"])?.ok()?;
        let writer = resume(guest, Config::new(lv_path("lv"), 312))?;
        match rig.newest_meta()?.states().as_slice() {
            [] => {}
            [MoveState::Aborting] => drop(rig.pvmove(&[])?.fails_with(5)?),
            _ => drop(rig.pvmove(&[])?.ok()?),
        }
        rig.at_rest()?;
        (rig, writer)
    };
    fixture::served(&writer)?;
    let Some((point, abort)) = STEPS.get(boot - 1) else {
        writer.stop()?.clean()?;
        return rig.reads_from_its_places("lv");
    };
    let from = rig.home("lv")?;
    let (source, destination) = (rig.pv(from), rig.pv(3 - from));
    let first = if *abort { "after:swap-mirrored" } else { point };
    let run = rig.pvmove_at(first, &[&source, &destination])?;
    ensure!(run.signal == Some(9), "not killed at {first}: {run}");
    if *abort {
        let run = rig.pvmove_at(point, &["--abort"])?;
        ensure!(run.signal == Some(9), "not killed at {point}: {run}");
    }
    fixture::served(&writer)?;
    writer.checkpoint(&guest.state("lv.checkpoint")?)?;
    fixture::served(&writer)?;
    guest.power_cut()
}
