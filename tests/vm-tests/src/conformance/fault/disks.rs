//! Disks that fail. LVM2's own pvmove gets the first two in `control.rs`.

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{self, DATA, EXTENT, FAIL, HANG, Rig, lv_path};
use crate::guest::{Faulty, Guest, Run};
use crate::scenario::{Disk, Frontend, Scenario};
use crate::writer::Writer;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "fault-source-unreadable",
        about: "8 unreadable source sectors: named before anything changes, and all else moves",
        disks: fixture::THREE,
        run: source_unreadable,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "fault-source-mid-copy",
        about: "8 source sectors go bad in mid-copy: named, they stay, and all else moves",
        disks: fixture::THREE,
        run: source_mid_copy,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "fault-destination-unwritable",
        about: "8 unwritable destination sectors: named, the application sees nothing, retry works",
        disks: fixture::THREE,
        run: destination_unwritable,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "fault-destination-after-copy",
        about: "the destination fails after the copy while the application writes",
        disks: fixture::THREE,
        run: destination_after_copy,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "fault-destination-vanishes",
        about: "the destination vanishes in mid-copy and comes back later",
        disks: fixture::THREE,
        run: destination_vanishes,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "fault-log-area",
        about: "the dirty log on the destination cannot be written, from the start or in mid-copy",
        disks: fixture::THREE,
        run: log_area,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "fault-metadata-area",
        about: "the metadata of the destination cannot be written when the move is to be recorded",
        disks: fixture::THREE,
        run: metadata_area,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "fault-4k-destination",
        about: "a destination with 4096-byte sectors under an LV used with 512 is refused",
        disks: &[Disk::new("pv1", 32), Disk::new_4k("pv2", 32)],
        run: larger_sectors,
        ..Scenario::DEFAULT
    },
];

/// The extents of the LV: all of them on `pv1` from extent 0, so that sector s of the LV is
/// sector `DATA + s` of its PV, and of the destination if that was empty.
const EXTENTS: u32 = 12;
/// Eight sectors of the LV, a block of 4096 bytes, in its third extent...
pub(crate) const EARLY: u64 = 2 * EXTENT + 800;
/// ... and in its last.
const LATE: u64 = 11 * EXTENT + 800;

/// An LV on the first of three PVs, of which the first two can fail, and an application on it.
pub(crate) struct Bench<'g> {
    pub(crate) rig: Rig<'g>,
    pub(crate) source: Faulty<'g>,
    pub(crate) destination: Faulty<'g>,
    pub(crate) writer: Writer,
}

impl<'g> Bench<'g> {
    pub(crate) fn new(guest: &'g Guest, seed: u64) -> Result<Bench<'g>> {
        let (source, destination) = (guest.faulty("pv1")?, guest.faulty("pv2")?);
        let rig = Rig::over(guest, vec![source.path(), destination.path(), guest.disk("pv3")?])?;
        let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
        let writer = fixture::writer(&lv, seed)?;
        Ok(Bench { rig, source, destination, writer })
    }

    pub(crate) fn move_to_pv2(&self) -> Result<Run> {
        self.move_to_pv2_with(&[])
    }

    pub(crate) fn move_to_pv2_with(&self, options: &[&str]) -> Result<Run> {
        self.rig.pvmove(&[options, &[&self.rig.pv(1), &self.rig.pv(2)]].concat())
    }

    /// The source is in charge, nothing is left over, the application is served.
    pub(crate) fn on_the_source(&self) -> Result<()> {
        fixture::served(&self.writer)?;
        self.rig.at_rest()?;
        self.rig.lies("lv", &[(1, 0, EXTENTS)])
    }

    /// To another PV it works, and every sector is right.
    pub(crate) fn retry_and_end(self) -> Result<()> {
        self.rig.pvmove(&[&self.rig.pv(1), &self.rig.pv(3)])?.ok()?;
        self.rig.at_rest()?;
        self.rig.lies("lv", &[(3, 0, EXTENTS)])?;
        fixture::served(&self.writer)?;
        let outcome = self.writer.stop()?.intact()?;
        ensure!(outcome.counters.write_errors == 0, "the application's writes: {outcome:?}");
        self.rig.reads_from_its_places("lv")
    }

    /// The application saw no error but of reads of these eight sectors.
    pub(crate) fn only_these_reads_failed(&self, sector: u64) -> Result<()> {
        let outcome = self.writer.outcome().intact()?;
        let wrong = outcome.faults.iter().find(|f| f.write || f.sector != sector);
        ensure!(wrong.is_none(), "the application saw {wrong:?}");
        Ok(())
    }

    pub(crate) fn no_error_seen(&self) -> Result<()> {
        self.writer.outcome().clean().map(drop)
    }
}

/// Status 5, and standard error names the PV, the LV, and these eight sectors of the PV.
pub(crate) fn names(run: Run, pv: &str, sector: u64) -> Result<Run> {
    let run = run.fails_with(5)?.stderr_has(pv)?.stderr_has("vg/lv")?;
    let range = format!("{}-{}", DATA + sector, DATA + sector + 7);
    run.stderr_has(&range)?.stderr_has("in charge")
}

fn source_unreadable(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 501)?;
    bench.source.bad_reads(DATA + EARLY, 8)?;
    let heads = bench.rig.heads()?;
    // What lvshift-dm does unless told not to, lvshift-ublk does only if told to.
    let told: &[&str] = match guest.frontend() {
        Frontend::Dm => &["--atomic"],
        Frontend::Ublk => &["--atomic", "--read-check"],
    };
    let run = bench.move_to_pv2_with(told)?.fails_with(5)?;
    let range = format!("{}-{}", DATA + EARLY, DATA + EARLY + 7);
    run.stderr_has(&bench.rig.pv(1))?.stderr_has("vg/lv")?.stderr_has(&range)?;
    ensure!(bench.rig.heads()? == heads, "a move that could not succeed changed something");
    bench.only_these_reads_failed(EARLY)?;
    bench.on_the_source()?;
    // Unless all or nothing was asked for, everything else moves: nobody is held hostage.
    let run = bench.rig.pvmove(&[&bench.rig.pv(1), &bench.rig.pv(3)])?.fails_with(5)?;
    run.stderr_has("1 extent stay")?.stderr_has("vg/lv")?.stderr_has(&range)?;
    bench.rig.at_rest()?;
    bench.rig.lies("lv", &[(3, 0, 2), (1, 2, 1), (3, 2, 9)])?;
    bench.only_these_reads_failed(EARLY)?;
    bench.source.good()?;
    bench.rig.pvmove(&[&bench.rig.pv(1), &bench.rig.pv(3)])?.ok()?;
    bench.rig.at_rest()?;
    let outcome = bench.writer.stop()?.intact()?;
    ensure!(outcome.counters.write_errors == 0, "the application's writes: {outcome:?}");
    bench.rig.reads_from_its_places("lv")
}

fn source_mid_copy(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 511)?;
    bench.rig.slow_copy(&bench.destination, 300)?;
    let moving = bench.rig.spawn_move(&[&bench.rig.pv(1), &bench.rig.pv(2)])?;
    bench.rig.wait_for_mid_copy()?;
    bench.source.bad_reads(DATA + LATE, 8)?;
    bench.rig.full_speed(&mut bench.destination)?;
    // It is undone, and begun again without what cannot be read.
    let range = format!("{}-{}", DATA + LATE, DATA + LATE + 7);
    if guest.frontend() == Frontend::Ublk {
        // Its second copy is limited as the first one was.
        guest
            .wait_for("it is begun again", HANG, || Ok(moving.stderr().contains("extent stays")))?;
        bench.rig.wait_for_mid_copy()?;
        guest.lvshift(&["tune", "vg", "--max-rate", "none"])?.ok()?;
    }
    let run = moving.wait(HANG)?.fails_with(5)?;
    run.stderr_has(&bench.rig.pv(1))?.stderr_has("vg/lv")?.stderr_has(&range)?;
    if guest.frontend() == Frontend::Dm {
        // From its failed copy until it is taken away, for milliseconds, dm-mirror fails reads of
        // every region that it has not copied (README, ADR 1). No write, and no wrong byte.
        let outcome = bench.writer.outcome().intact()?;
        let wrong = outcome.faults.iter().find(|fault| fault.write);
        ensure!(wrong.is_none(), "the application saw {wrong:?}");
    } else {
        bench.only_these_reads_failed(LATE)?;
    }
    fixture::served(&bench.writer)?;
    bench.rig.at_rest()?;
    bench.rig.lies("lv", &[(2, 0, 11), (1, 11, 1)])?;
    bench.source.good()?;
    bench.rig.pvmove(&[&bench.rig.pv(1), &bench.rig.pv(2)])?.ok()?;
    bench.rig.at_rest()?;
    ensure!(bench.rig.home("lv")? == 2, "the LV did not move");
    fixture::served(&bench.writer)?;
    let outcome = bench.writer.stop()?.intact()?;
    ensure!(outcome.counters.write_errors == 0, "the application's writes: {outcome:?}");
    bench.rig.reads_from_its_places("lv")
}

fn destination_unwritable(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 521)?;
    // An `error` target and not dm-flakey, which would fail every flush of the disk as well.
    bench.destination.bad_sectors(DATA + EARLY, 8)?;
    names(bench.move_to_pv2()?, &bench.rig.pv(2), EARLY)?;
    bench.no_error_seen()?;
    bench.on_the_source()?;
    bench.retry_and_end()
}

fn destination_after_copy(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 531)?;
    let pvs = [bench.rig.pv(1), bench.rig.pv(2)];
    for step in ["check-legs", "flush-destination", "commit-moved"] {
        let point = format!("stop:{step}");
        let mut moving = guest.spawn_env(
            &[(FAIL, &point)],
            guest.frontend().binary(),
            &["pvmove", &pvs[0], &pvs[1]],
        )?;
        stopped_at(guest, &mut moving)?;
        fixture::served(&bench.writer)?;
        let data = bench.destination.sectors() - DATA;
        bench.destination.bad_writes(DATA, data)?;
        // Some write has failed on the destination by now, or will before the switch.
        std::thread::sleep(std::time::Duration::from_millis(200));
        moving.signal(Signal::CONT)?;
        let run = moving.wait(HANG)?;
        let late = step == "commit-moved" && guest.frontend() == Frontend::Ublk;
        if late && run.status == Some(0) {
            // The daemon has answered what the destination did not take until it was in charge; from then on its failures
            // are the application's. The kernel's mirror is looked at once more.
            bench.destination.good()?;
            bench.rig.at_rest()?;
            bench.rig.lies("lv", &[(2, 0, EXTENTS)])?;
            bench.rig.pvmove(&[&pvs[1], &pvs[0]])?.ok()?;
            continue;
        }
        run.fails_with(5)?.stderr_has(&pvs[1])?.stderr_has("in charge")?;
        bench.no_error_seen()?;
        bench.on_the_source()?;
        bench.destination.good()?;
    }
    bench.retry_and_end()
}

fn destination_vanishes(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 541)?;
    bench.rig.slow_copy(&bench.destination, 300)?;
    let moving = bench.rig.spawn_move(&[&bench.rig.pv(1), &bench.rig.pv(2)])?;
    bench.rig.wait_for_mid_copy()?;
    bench.destination.dead()?;
    bench.rig.unlimited()?;
    let run = moving.wait(HANG)?.fails_with(5)?;
    run.stderr_has(&bench.rig.pv(2))?.stderr_has("in charge")?;
    fixture::served(&bench.writer)?;
    bench.no_error_seen()?;
    // It is still gone: the LV works, is listed, and the survivors' metadata can be read.
    guest.lvshift(&["lvs", "--noheadings", "-o", "lv_name"])?.stdout_has("lv")?;
    ensure!(guest.lvshift(&["vgck", "vg"])?.status == Some(5), "vgck misses no PV");
    bench.destination.good()?;
    bench.rig.pvmove(&[])?.ok()?;
    // It was away and is old: taken back when asked.
    guest.lvshift(&["vgck", "--updatemetadata", "vg"])?.ok()?;
    bench.on_the_source()?;
    bench.retry_and_end()
}

fn log_area(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 551)?;
    let (log, sectors) = (4 * 2048, 4 * 2048);
    bench.destination.bad_sectors(log, sectors)?;
    let run = bench.move_to_pv2()?.fails_with(5)?;
    run.stderr_has(&bench.rig.pv(2))?.stderr_has("in charge")?;
    bench.no_error_seen()?;
    bench.destination.good()?;
    bench.on_the_source()?;

    bench.rig.slow_copy(&bench.destination, 300)?;
    let moving = bench.rig.spawn_move(&[&bench.rig.pv(1), &bench.rig.pv(2)])?;
    bench.rig.wait_for_mid_copy()?;
    bench.destination.bad_sectors(log, sectors)?;
    // lvshift-ublk writes its log when a chunk is idle, and again when it is written to after that. A
    // move that ends before either needs no log and may succeed, so the copy goes on being slow.
    let ublk = guest.frontend() == Frontend::Ublk;
    if ublk {
        bench.writer.pause();
    }
    let run = moving.wait(2 * HANG)?.fails_with(5)?;
    if ublk {
        bench.writer.unpause();
        bench.rig.limit.set(&[]);
    }
    run.stderr_has(&bench.rig.pv(2))?.stderr_has("in charge")?;
    fixture::served(&bench.writer)?;
    bench.no_error_seen()?;
    bench.destination.good()?;
    bench.on_the_source()?;
    bench.retry_and_end()
}

fn metadata_area(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 561)?;
    let pvs = [bench.rig.pv(1), bench.rig.pv(2)];
    for step in ["commit-begin", "commit-moved", "commit-forget"] {
        let from = bench.rig.home("lv")?;
        let point = format!("stop:{step}");
        let mut moving = guest.spawn_env(
            &[(FAIL, &point)],
            guest.frontend().binary(),
            &["pvmove", &pvs[from - 1], &pvs[2 - from]],
        )?;
        stopped_at(guest, &mut moving)?;
        // Both slots of the second PV, which is the destination at first and then the source.
        bench.destination.bad_writes(2048, 2 * 2048)?;
        moving.signal(Signal::CONT)?;
        let run = moving.wait(HANG)?.fails_with(5)?;
        run.stderr_has(&pvs[1])?;
        fixture::served(&bench.writer)?;
        bench.no_error_seen()?;
        bench.destination.good()?;
        guest.lvshift(&["vgck", "--updatemetadata", "vg"])?.ok()?;
        bench.rig.pvmove(&[])?.ok()?;
        bench.rig.at_rest()?;
        bench.rig.home("lv")?;
        fixture::served(&bench.writer)?;
    }
    if bench.rig.home("lv")? == 2 {
        bench.rig.pvmove(&[&pvs[1], &pvs[0]])?.ok()?;
    }
    bench.retry_and_end()
}

fn larger_sectors(guest: &mut Guest) -> Result<()> {
    // Made while there was no other PV: extending or moving is what must be refused.
    let rig = Rig::new(guest, &["pv1"])?;
    let lv = rig.lv("lv", 4, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 571)?;
    let large = guest.disk("pv2")?.display().to_string();
    guest.lvshift(&["pvcreate", &large])?.ok()?;
    let extended = guest.lvshift(&["vgextend", fixture::VG, &large])?;
    if extended.status == Some(0) {
        let rig = Rig::found(guest, vec![rig.devices[0].clone(), guest.disk("pv2")?]);
        let heads = rig.heads()?;
        let run = rig.pvmove(&[&rig.pv(1), &large])?.fails_with(5)?;
        run.stderr_has(&large)?.stderr_has("4096")?.stderr_has("512")?;
        ensure!(rig.heads()? == heads, "a refused move wrote something");
        rig.at_rest()?;
    } else {
        extended.fails_with(5)?.stderr_has(&large)?.stderr_has("4096")?;
        rig.at_rest()?;
    }
    let sector = guest.run("blockdev", &["--getss", &lv_path("lv").display().to_string()])?.ok()?;
    ensure!(sector.stdout.trim() == "512", "the LV's sector size became {}", sector.stdout);
    fixture::served(&writer)?;
    writer.stop()?.clean().map(drop)
}
