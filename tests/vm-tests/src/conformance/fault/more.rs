//! More disks that fail: the source in the middle of a move, a destination that never answers or is
//! full, a helper device that somebody holds open, a kernel that lacks a target.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use rustix::process::Signal;

use crate::conformance::fixture::copy::slow_data;
use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{self, DATA, FAIL, HANG, Rig, VG, lv_path};
use crate::guest::{Guest, Region};
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "fault-helper-held-open",
        about: "somebody holds shadow and logs open: the move ends, and freed extents are out of reach",
        frontends: Frontend::DM,
        disks: fixture::TWO,
        run: helper_held_open,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "fault-source-vanishes",
        about: "the source vanishes in mid-copy: other LVs and the metadata live on; it comes back",
        disks: fixture::THREE,
        run: source_vanishes,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "fault-source-write",
        about: "a write fails on the source while mirrored: EIO, nothing commits on it, undone",
        disks: fixture::THREE,
        run: source_write,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "fault-destination-stuck",
        about: "the destination takes seconds for each request: reports are quick, --abort works",
        frontends: Frontend::DM,
        disks: fixture::TWO,
        timeout_s: 240,
        run: destination_stuck,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "fault-thin-destination-full",
        about: "a thin destination runs out of space: undone, the application sees nothing",
        disks: fixture::TWO,
        run: thin_full,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "fault-no-mirror-target",
        about: "a kernel without dm-mirror: said before the first change",
        frontends: Frontend::DM,
        disks: fixture::TWO,
        run: no_mirror,
        ..Scenario::DEFAULT
    },
];

/// `/dev/mapper/NAME` of every shadow and log device.
fn helpers(guest: &Guest) -> Result<Vec<PathBuf>> {
    let devices = guest.dm_devices()?.into_iter();
    let helper = |uuid: &str| uuid.contains("-shadow") || uuid.contains("-log");
    Ok(devices
        .filter(|device| device.uuid.starts_with("LVSHIFT-") && helper(&device.uuid))
        .map(|device| Path::new("/dev/mapper").join(device.name))
        .collect())
}

fn helper_held_open(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let lv = rig.lv("lv", 8, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 801)?;
    rig.slow_copy(&slow, 200)?;
    let moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    let paths = helpers(guest)?;
    ensure!(paths.len() >= 2, "a shadow and a log at least, not {paths:?}");
    let open = |path: &PathBuf| File::options().read(true).write(true).open(path);
    let held: Vec<File> = paths.iter().map(open).collect::<std::io::Result<_>>()?;
    rig.full_speed(&mut slow)?;
    moving.wait(HANG)?.ok()?;
    fixture::served(&writer)?;
    rig.lies("lv", &[(2, 0, 8)])?;
    ensure!(rig.meta()?.free_on(&rig.devices[0])? == 24, "the source extents are not free");
    // Another LV takes the freed extents; nobody can reach it through what is held open.
    let other = rig.lv("other", 8, &[rig.pv(1)])?;
    let second = fixture::writer(&other, 802)?;
    for (file, path) in held.iter().zip(&paths) {
        let wrote = file.write_all_at(&[0xEE; 4096], 0).and_then(|()| file.sync_all());
        ensure!(wrote.is_err(), "a write through {} was taken", path.display());
        ensure!(!path.exists(), "{} is still there", path.display());
    }
    // Back again while the old ones are held: the names are taken, the UUIDs too.
    let run = rig.pvmove(&[&rig.pv(2), &rig.pv_at(1, "8-")])?.ok()?;
    guest.log(format!("the second move took {:?}", run.took));
    rig.lies("lv", &[(1, 8, 8)])?;
    drop(held);
    guest
        .wait_for("the helpers go when they are closed", HANG, || Ok(helpers(guest)?.is_empty()))?;
    writer.stop()?.clean()?;
    second.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")?;
    rig.reads_from_its_places("other")
}

fn source_vanishes(guest: &mut Guest) -> Result<()> {
    let (mut source, mut slow) = (guest.faulty("pv1")?, guest.faulty("pv2")?);
    let rig = Rig::over(guest, vec![source.path(), slow.path(), guest.disk("pv3")?])?;
    let lv = rig.lv("lv", 12, &[rig.pv(1)])?;
    let other = rig.lv("other", 4, &[rig.pv(3)])?;
    let (writer, second) = (fixture::writer(&lv, 811)?, fixture::writer(&other, 812)?);
    rig.slow_copy(&slow, 300)?;
    let moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    source.dead()?;
    let run = moving.wait(HANG)?.fails_with(5)?;
    run.stderr_has(&rig.pv(1))?.stderr_has("vg/lv")?;
    // Its LV answers, with errors; nothing hangs, and the rest of the VG does not notice.
    let last = Region::new(&lv, 11 * fixture::EXTENT, 8);
    ensure!(guest.read_region(&last).is_err(), "a read of a disk that is gone was answered");
    let failed = || writer.outcome().counters.write_errors;
    let so_far = failed();
    guest.wait_for("the application's writes are answered", HANG, || Ok(failed() > so_far))?;
    second.wait_for_writes(10, HANG)?;
    guest.lvshift(&["lvs", "--noheadings", "-o", "lv_name"])?.ok()?.stdout_has("other")?;
    guest.lvshift(&["pvs"])?.ok()?;
    rig.full_speed(&mut slow)?;
    source.good()?;
    rig.pvmove(&[])?;
    guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok()?;
    rig.pvmove(&[])?.ok()?;
    rig.at_rest()?;
    let home = rig.home("lv")?;
    fixture::served(&writer)?;
    rig.pvmove(&[&rig.pv(home), &rig.pv(3)])?.ok()?;
    rig.lies("lv", &[(3, 4, 12)])?;
    writer.stop()?.intact()?;
    second.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

fn source_write(guest: &mut Guest) -> Result<()> {
    let (mut source, destination) = (guest.faulty("pv1")?, guest.faulty("pv2")?);
    let rig = Rig::over(guest, vec![source.path(), destination.path(), guest.disk("pv3")?])?;
    let lv = rig.lv("lv", 12, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 821)?;
    for step in ["await-copy", "check-legs", "commit-moved"] {
        let mut moving = guest.spawn_env(
            &[(FAIL, &format!("stop:{step}"))],
            guest.frontend().binary(),
            &["pvmove", "--atomic", &rig.pv(1), &rig.pv(2)],
        )?;
        stopped_at(guest, &mut moving)?;
        fixture::served(&writer)?;
        writer.pause();
        // Nothing is in flight, so the next write of this place is the one that fails.
        std::thread::sleep(Duration::from_millis(300));
        let bad = 5 * fixture::EXTENT + 64;
        let before = guest.read_region(&Region::new(&lv, bad, 8))?;
        source.bad_sectors(DATA + bad, 8)?;
        let program = format!(
            "dd if=/dev/zero of={} bs=4096 seek={} count=1 oflag=direct",
            lv.display(),
            bad / 8
        );
        let write = guest.spawn_env(&[], "sh", &["-c", &program])?;
        std::thread::sleep(Duration::from_millis(500));
        moving.signal(Signal::CONT)?;
        let wrote = write.wait(HANG)?;
        let run = moving.wait(HANG)?;
        source.good()?;
        let place = Region::new(&lv, bad, 8);
        if step == "commit-moved" && run.status == Some(0) {
            // The failure came after the last look, when both legs were equal. dm-mirror's write
            // waits until the destination alone is in charge, and is there. lvshift-ublk has
            // answered it already with an error, as a disk would: then the block may be either.
            rig.lies("lv", &[(2, 0, 12)])?;
            let there = guest.read_region(&place)?;
            match (guest.frontend(), wrote.status) {
                (_, Some(0)) => ensure!(there == [0; 4096], "an acknowledged write is lost"),
                (Frontend::Ublk, _) => {
                    ensure!(there == [0; 4096] || there == before, "neither the old nor the new");
                }
                (Frontend::Dm, _) => bail!("the write has failed: {wrote}"),
            }
            guest.write_sectors(&lv, bad, &before)?;
        } else {
            ensure!(wrote.status != Some(0), "a write that the source refused was acknowledged");
            run.fails_with(5)?.stderr_has(&rig.pv(1))?.stderr_has("in charge")?;
            rig.lies("lv", &[(1, 0, 12)])?;
            ensure!(guest.read_region(&place)? == before, "{step}: the failed write is there");
        }
        rig.at_rest()?;
        writer.unpause();
        fixture::served(&writer)?;
    }
    writer.stop()?.clean()?;
    rig.reads_from_its_places("lv")
}

fn destination_stuck(guest: &mut Guest) -> Result<()> {
    const STUCK: Duration = Duration::from_secs(3);
    let mut slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let lv = rig.lv("lv", 12, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 831)?;
    rig.slow_copy(&slow, 300)?;
    let moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    slow_data(guest, &slow, u32::try_from(STUCK.as_millis())?)?;
    // The application may wait with the destination now: dm-mirror has one thread, and that flushes
    // the log (docs/move-protocol.md, Limits). Whoever looks at the VG does not.
    for report in ["lvs", "pvs", "vgs"] {
        let run = guest.lvshift(&[report])?.ok()?;
        ensure!(run.took < STUCK, "it waits for the destination: {run}");
    }
    // What the kernel has sent to the destination it cannot take back: the way back waits for that.
    rig.pvmove(&["--abort"])?.ok()?;
    moving.wait(HANG)?.fails_with(5)?;
    fixture::served(&writer)?;
    rig.full_speed(&mut slow)?;
    rig.at_rest()?;
    rig.lies("lv", &[(1, 0, 12)])?;
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

fn thin_full(guest: &mut Guest) -> Result<()> {
    // 4 MiB of pool metadata, 20 MiB of data behind a PV of 32 MiB.
    let disk = guest.disk("pv2")?.display().to_string();
    guest.dm_create("tmeta", &format!("0 8192 linear {disk} 0"))?;
    let data = |mib: u64| format!("0 {} linear {disk} 8192", mib * 2048);
    let pool = |mib: u64| {
        let sectors = mib * 2048;
        format!(
            "0 {sectors} thin-pool /dev/mapper/tmeta /dev/mapper/tdata 128 0 1 error_if_no_space"
        )
    };
    guest.dm_create("tdata", &data(10))?;
    guest.dm_create("pool", &pool(10))?;
    guest.run("dmsetup", &["message", "pool", "0", "create_thin 0"])?.ok()?;
    let thin = guest.dm_create("thin", "0 65536 thin /dev/mapper/pool 0")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, thin])?;
    let lv = rig.lv("lv", 12, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 841)?;
    let run = rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.fails_with(5)?;
    run.stderr_has(&rig.pv(2))?.stderr_has("vg/lv")?.stderr_has("in charge")?;
    fixture::served(&writer)?;
    writer.outcome().clean()?;
    guest.dm_reload("tdata", &data(24))?;
    guest.dm_reload("pool", &pool(24))?;
    guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok()?;
    rig.pvmove(&[])?.ok()?;
    rig.at_rest()?;
    rig.lies("lv", &[(1, 0, 12)])?;
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    rig.lies("lv", &[(2, 0, 12)])?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

fn no_mirror(guest: &mut Guest) -> Result<()> {
    guest.sh(
        "cp /lib/modules/list /root/list && grep -v '^dm_mirror' /root/list > /lib/modules/list",
    )?;
    ensure!(!Path::new("/sys/module/dm_mirror").exists(), "dm-mirror is loaded already");
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 4, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 851)?;
    let heads = rig.heads()?;
    for args in [&[rig.pv(1), rig.pv(2)][..], &[rig.pv(1)]] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let run = rig.pvmove(&args)?.fails_with(5)?;
        run.stderr_has("mirror")?.stderr_has("nothing was changed")?;
        ensure!(rig.heads()? == heads, "a move that this kernel cannot do wrote something");
    }
    ensure!(lv_path("lv").exists(), "the LV is gone");
    guest.sh("cp /root/list /lib/modules/list")?;
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest().map(drop)
}
