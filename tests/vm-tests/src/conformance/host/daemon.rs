//! The ublk daemon on a host that is not alone: what stands on its LVs, who hangs beside them, and whose cgroup
//! it was started in.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::conformance::fixture::copy::slow_data;
use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{self, HANG, Rig, VG, lv_path};
use crate::conformance::ublk::daemon::{
    Deep, Victims, all_there, daemon, die_at, finished, kill, log_daemons, points_left, spawn_move,
};
use crate::guest::{Fs, Guest};
use crate::scenario::{Disk, Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "host-take-over",
        about: "kill -9 of the daemon in mid-move: a loop and a dm device stand on the LV, a stranger hangs",
        disks: fixture::THREE,
        run: take_over,
        ..UBLK
    },
    Scenario {
        name: "host-again",
        about: "a daemon that ends by an error, or by a bug in any of its threads, is followed by another",
        run: again,
        ..UBLK
    },
    Scenario {
        name: "host-cgroup",
        about: "the cgroup in which an LV was activated is killed, and the LV is served",
        run: cgroup,
        ..UBLK
    },
    Scenario {
        name: "host-mounts",
        about: "no daemon keeps a file system mounted, whatever its mount point is called",
        disks: &[Disk::new("pv1", 48), Disk::new("pv2", 32)],
        run: mounts,
        ..UBLK
    },
];

const UBLK: Scenario = Scenario {
    frontends: Frontend::UBLK,
    disks: fixture::TWO,
    cpus: 4,
    timeout_s: 400,
    ..Scenario::DEFAULT
};

const EXTENTS: u32 = 8;

/// What all daemons of this guest have said.
fn said(guest: &Guest) -> Result<String> {
    Ok(guest.run("sh", &["-c", "cat /run/lvshift/ublk/*.log"])?.stdout)
}

fn take_over(guest: &mut Guest) -> Result<()> {
    guest.modprobe("loop")?;
    guest.modprobe("dm-delay")?;
    let second = guest.faulty("pv2")?;
    let deep = Deep::over(guest, vec![guest.disk("pv1")?, second.path()], EXTENTS, 701)?;
    let rig = &deep.rig;
    let lv = lv_path("lv");
    // Somebody reads each of these as soon as the LV is served again, and waits until then.
    guest.dm_create("upon", &format!("0 {} linear {} 0", guest.sectors(&lv)?, lv.display()))?;
    guest
        .sh(&format!(
            "losetup -r /dev/loop6 {} && losetup -r /dev/loop7 /dev/mapper/upon",
            lv.display()
        ))?
        .ok()?;
    slow_data(guest, &second, 100)?;
    let mut moving = spawn_move(guest, "stop:await-copy", &[&rig.pv(1), &rig.pv(2)])?;
    stopped_at(guest, &mut moving)?;
    // From now on a stranger answers nobody.
    let stranger = guest.disk("pv3")?;
    let sectors = guest.sectors(&stranger)?;
    let hung = format!("0 {sectors} delay {} 0 600000", stranger.display());
    guest.dm_create("hung", &hung)?;
    let start = Instant::now();
    kill(guest, Victims::Daemon)?;
    deep.served()?;
    guest.log(format!("served after {:.2?}", start.elapsed()));
    let text = said(guest)?;
    ensure!(!text.contains("has not answered"), "the daemon asked a stranger: {text}");
    // The move is taken back.
    moving.kill()?;
    slow_data(guest, &second, 0)?;
    let only = format!("--devices={},{}", rig.pv(1), rig.pv(2));
    guest.lvshift(&["pvmove", &only, "--abort"])?.ok()?;
    guest.dm_reload("hung", &format!("0 {sectors} linear {} 0", stranger.display()))?;
    guest.dm_remove("hung")?;
    guest.sh("losetup -d /dev/loop7; losetup -d /dev/loop6")?.ok()?;
    guest.dm_remove("upon")?;
    ensure!(deep.settled()? == 1, "it is not on the source");
    deep.end()
}

fn again(guest: &mut Guest) -> Result<()> {
    let deep = Deep::new(guest, EXTENTS, 711)?;
    let rig = &deep.rig;
    // One dies, and so do those that follow, each in a way of its own; then there is one that stays.
    let ways: &[&[&str]] = &[
        &["orphans-found 1 exit"],
        &["orphans-found 1 panic"],
        &["pvs-held 1 exit", "queues-ready 1 panic", "recovery-begun 1 exit"],
    ];
    for ways in ways {
        let trial = || -> Result<()> {
            let before = daemon(guest)?;
            die_at(ways)?;
            kill(guest, Victims::Daemon)?;
            let died = || Ok(points_left()?.is_empty());
            guest.wait_for("all have died", HANG, died).inspect_err(|_| log_daemons(guest))?;
            deep.served()?;
            ensure!(daemon(guest)? != before, "it is the same daemon");
            all_there(guest)
        };
        trial().with_context(|| format!("daemons end by {ways:?}"))?;
    }
    // A bug in the copier's thread.
    die_at(&["copy-done 2 panic"])?;
    let moving = spawn_move(guest, "", &[&rig.pv(1), &rig.pv(2)])?;
    finished(moving)?.ok()?;
    ensure!(points_left()?.is_empty(), "nobody died");
    ensure!(said(guest)?.contains("a bug ends this process"), "nothing was said");
    ensure!(deep.settled()? == 2, "it did not arrive");
    deep.end()
}

fn cgroup(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
    guest.lvshift(&["vgchange", "-an", VG])?.ok()?;
    guest.sh("mount -t cgroup2 cgroup2 /sys/fs/cgroup && mkdir /sys/fs/cgroup/caller")?.ok()?;
    let program = guest.frontend().binary();
    let line = format!(
        "echo 0 > /sys/fs/cgroup/caller/cgroup.procs && {program} vgchange -ay {VG} && touch /run/typed && exec sleep 500"
    );
    let mut caller = guest.spawn_env(&[], "sh", &["-c", &line])?;
    guest.wait_for("it was typed", HANG, || Ok(Path::new("/run/typed").exists()))?;
    all_there(guest)?;
    fs::write("/sys/fs/cgroup/caller/cgroup.kill", "1").context("killing the cgroup")?;
    guest.wait_for("the caller is gone", HANG, || Ok(!caller.is_running()?))?;
    let before = daemon(guest)?;
    all_there(guest)?;
    let read = guest.spawn_env(
        &[],
        "dd",
        &[&format!("if={}", lv.display()), "of=/dev/null", "bs=4096", "count=8", "iflag=direct"],
    )?;
    read.wait(HANG)?.ok()?;
    ensure!(daemon(guest)? == before, "it was killed, too");
    guest.sh("rmdir /sys/fs/cgroup/caller && umount /sys/fs/cgroup")?.ok()?;
    Ok(())
}

fn mounts(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1"])?;
    let lv = rig.lv("lv", 8, &[])?;
    guest.mkfs(Fs::Ext4, &lv)?;
    let place = "'/tmp/a b'";
    guest.sh(&format!("mkdir -p {place} && mount {} {place}", lv.display()))?.ok()?;
    // The daemon of another VG begins now.
    let other = guest.disk("pv2")?;
    let other = other.to_string_lossy();
    guest.lvshift(&["vgcreate", "other", &other])?.ok()?;
    guest.lvshift(&["lvcreate", "-n", "lv", "-l", "2", "other"])?.ok()?;
    guest.sh(&format!("umount {place}"))?.ok()?;
    guest.lvshift(&["lvchange", "-an", "vg/lv"])?.ok()?;
    guest.lvshift(&["lvchange", "-an", "other/lv"])?.ok()?;
    Ok(())
}
