//! What one front end has begun the other carries on: the bytes on disk are the same for both.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use lvshift_on_disk_format::record::MoveState;

use crate::conformance::fixture::copy::slow_data;
use crate::conformance::fixture::{self, EXTENT, HANG, Rig, VG, lv_path};
use crate::guest::{Guest, Run};
use crate::scenario::{Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "handover-volume",
        about: "an LV made and written under this front end is served by the other, and back",
        disks: fixture::TWO,
        timeout_s: 600,
        run: volume,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "handover-mid-copy",
        about: "a move begun under this front end is carried on by the other; no clean chunk is copied",
        disks: fixture::TWO,
        timeout_s: 600,
        run: |guest| mid_copy(guest, false),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "handover-power",
        about: "the power fails in mid-copy, and the other front end carries the move on",
        disks: fixture::TWO,
        state_disk: true,
        boots: 2,
        timeout_s: 600,
        run: |guest| mid_copy(guest, true),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "handover-active",
        about: "while this front end serves an LV the other refuses it, and says why",
        disks: fixture::TWO,
        timeout_s: 600,
        run: active,
        ..Scenario::DEFAULT
    },
];

const EXTENTS: u32 = 24;

/// The front end that is not under test.
fn other(guest: &Guest) -> Frontend {
    match guest.frontend() {
        Frontend::Dm => Frontend::Ublk,
        Frontend::Ublk => Frontend::Dm,
    }
}

fn checkpoint(guest: &Guest, survives: bool) -> Result<PathBuf> {
    if survives { guest.state("lv.checkpoint") } else { Ok("/run/lv.checkpoint".into()) }
}

/// Ends a writer so that another one knows what it has written.
fn leave(writer: Writer, checkpoint: &std::path::Path) -> Result<()> {
    writer.pause();
    writer.checkpoint(checkpoint)?;
    writer.stop_unverified()?.clean()?;
    Ok(())
}

/// Verifies every sector, and writes on with this many threads.
fn resume(seed: u64, threads: usize, checkpoint: &std::path::Path) -> Result<Writer> {
    let config = Config { threads, ..Config::new(lv_path("lv"), seed) };
    Writer::resume(config, checkpoint)
}

fn volume(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 6, &[rig.pv_at(1, "3-5"), rig.pv_at(2, "7-9")])?;
    let at = checkpoint(guest, false)?;
    leave(fixture::writer(&lv, 491)?, &at)?;
    let both = [guest.frontend(), other(guest)];
    for n in 0..4 {
        let (from, to) = (both[n % 2], both[(n + 1) % 2]);
        let trial = || -> Result<()> {
            guest.lvshift_as(from, &["vgchange", "-a", "n", VG])?.ok()?;
            guest.lvshift_as(to, &["vgchange", "-a", "y", VG])?.ok()?;
            let writer = resume(491, 2, &at)?;
            fixture::served(&writer)?;
            leave(writer, &at)?;
            rig.reads_from_its_places("lv")
        };
        trial().with_context(|| format!("from {} to {}", from.binary(), to.binary()))?;
    }
    resume(491, 0, &at)?.stop()?.clean()?;
    rig.at_rest()?;
    Ok(())
}

/// Sectors written to a disk since boot.
fn sectors_written(guest: &Guest, disk: &str) -> Result<u64> {
    let device = guest.disk(disk)?;
    let name = device.file_name().context("a disk has a name")?.to_string_lossy().into_owned();
    let stat = std::fs::read_to_string(format!("/sys/block/{name}/stat"))?;
    Ok(stat.split_whitespace().nth(6).context("a seventh number")?.parse()?)
}

fn mid_copy(guest: &mut Guest, power: bool) -> Result<()> {
    let (first, second) = (guest.frontend(), other(guest));
    let slow = guest.faulty("pv2")?;
    let devices = vec![guest.disk("pv1")?, slow.path()];
    let at = checkpoint(guest, power)?;
    let rig = if guest.boot() == 1 {
        let rig = Rig::over(guest, devices)?;
        let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
        let writer = fixture::writer(&lv, 501)?;
        leave(writer, &at)?;
        rig.slow_copy(&slow, 800)?;
        if first == Frontend::Ublk {
            rig.limit.set(&["--max-rate", "1m"]);
        }
        let moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
        guest.wait_for("chunks are clean in the log", HANG, || {
            let log = rig.meta().and_then(|meta| meta.log(guest)).unwrap_or_default();
            Ok(log.iter().filter(|clean| **clean).count() >= 2)
        })?;
        if power {
            rustix::fs::sync();
            guest.power_cut();
        }
        // The mover leaves the move as it is; the LV is taken down with the copy half done.
        moving.signal(rustix::process::Signal::TERM)?;
        moving.wait(HANG)?;
        guest.lvshift_as(first, &["vgchange", "-a", "n", VG])?.ok()?;
        slow_data(guest, &slow, 0)?;
        rig
    } else {
        Rig::found(guest, devices)
    };
    let meta = rig.meta()?;
    ensure!(meta.states() == [MoveState::Copying], "recorded: {:?}", meta.states());
    let (clean, all) = meta.clean_chunks(guest)?;
    guest.log(format!("{clean} of {all} chunks are clean in the log of {}", first.binary()));
    ensure!(clean > 0 && clean < all, "the log remembers {clean} of {all} chunks");
    let chunk = u64::from(meta.moves[0].chunk_sectors);
    ensure!(u64::from(all) * chunk >= u64::from(EXTENTS) * EXTENT, "{all} chunks");

    // Nobody writes to the LV, so all that the destination gets is copied, log, or metadata.
    let before = sectors_written(guest, "pv2")?;
    let run = guest.lvshift_as(second, &["vgchange", "-a", "y", VG])?.ok()?;
    ensure!(format!("{}{}", run.stdout, run.stderr).contains("goes on"), "silent: {run}");
    let reader = resume(501, 0, &at)?;
    guest.lvshift_as(second, &["pvmove"])?.ok()?;
    let written = sectors_written(guest, "pv2")? - before;
    let dirty = u64::from(all - clean) * chunk;
    guest.log(format!("{written} sectors written for {dirty} dirty ones by {}", second.binary()));
    // The rest is some commits of 8 KiB each and some blocks of the log: below one chunk.
    ensure!(written < dirty + chunk, "{written} sectors written for {dirty} dirty ones");
    ensure!(written >= dirty, "{written} sectors cannot hold {dirty} dirty ones");
    reader.stop()?.clean()?;
    rig.lies("lv", &[(2, 0, EXTENTS)])?;
    rig.reads_from_its_places("lv")?;

    // And back, to the front end that began it.
    guest.lvshift_as(second, &["vgchange", "-a", "n", VG])?.ok()?;
    guest.lvshift_as(first, &["vgchange", "-a", "y", VG])?.ok()?;
    let writer = resume(501, 2, &at)?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

fn active(guest: &mut Guest) -> Result<()> {
    let (first, second) = (guest.frontend(), other(guest));
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 6, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 511)?;
    let before = rig.meta()?;
    let refused: &[&[&str]] = &[
        &["vgchange", "-a", "y", VG],
        &["lvchange", "-a", "y", "vg/lv"],
        &["pvmove", &rig.pv(1), &rig.pv(2)],
        &["lvremove", "--yes", "vg/lv"],
        &["vgremove", "--yes", "--force", VG],
        &["lvextend", "-l", "+1", "vg/lv"],
        &["lvrename", VG, "lv", "other"],
    ];
    for args in refused {
        let trial = || -> Result<Run> {
            let run = guest.lvshift_as(second, args)?.fails_with(5)?;
            // Who has it is what the reader has to know.
            run.stderr_has("vg/lv")?.stderr_has(first.binary())
        };
        trial().with_context(|| format!("{} {args:?}", second.binary()))?;
        fixture::served(&writer)?;
        ensure!(rig.meta()? == before, "{args:?} was refused and has changed the metadata");
    }
    // Taking down what is not up is no error, and takes nothing from the one who has it.
    guest.lvshift_as(second, &["vgchange", "-a", "n", VG])?.ok()?;
    fixture::served(&writer)?;
    ensure!(lv.exists(), "the link of the other front end's LV is gone");
    writer.stop()?.clean()?;
    guest.lvshift_as(first, &["vgchange", "-a", "n", VG])?.ok()?;
    guest.lvshift_as(second, &["vgchange", "-a", "y", VG])?.ok()?;
    Ok(())
}
