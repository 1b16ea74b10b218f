//! The ublk daemon on a host that is not alone: what stands on its LVs, who hangs beside them, and whose cgroup
//! it was started in.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::conformance::fixture::copy::slow_data;
use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{self, HANG, Rig, VG, lv_path};
use crate::conformance::ublk::daemon::{
    DAEMON_FAIL, Deep, Role, Victims, all_there, daemon, die_at, finished, kill, log_daemons,
    points_left, servers, spawn_move,
};
use crate::guest::memory::page_out;
use crate::guest::{Fs, Guest};
use crate::scenario::{Disk, Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "host-take-over",
        about: "kill -9 of the daemon in mid-move: a loop and a dm device stand on the LV, a stranger hangs, the destination fails",
        disks: fixture::THREE,
        run: take_over,
        ..UBLK
    },
    Scenario {
        name: "host-again",
        about: "a daemon that ends by an error, or by a bug in any of its threads, is followed by another; so is a guardian alone",
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
        name: "host-files",
        about: "a daemon that may open too few files to take over serves as soon as it may open more",
        run: files,
        ..UBLK
    },
    Scenario {
        name: "host-swap",
        about: "kill -9 of the daemon that serves the swap, while memory is short: the standby serves it",
        disks: &[Disk::new("pv1", 192)],
        run: swap,
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
    let mut second = guest.faulty("pv2")?;
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
    for failing in ["nothing else", "its destination"] {
        if failing == "its destination" {
            second.dead()?;
        }
        let start = Instant::now();
        kill(guest, Victims::Daemon)?;
        if failing == "its destination" {
            // The log, too, cannot be read: only the mover can say that it means nothing.
            moving.signal(Signal::CONT)?;
        }
        deep.served().with_context(|| format!("the daemon was killed; failing: {failing}"))?;
        guest.log(format!("failing: {failing}; served after {:.2?}", start.elapsed()));
        let text = said(guest)?;
        ensure!(!text.contains("has not answered"), "the daemon asked a stranger: {text}");
    }
    // The application goes on from the source, and the move is taken back.
    finished(moving)?.fails_with(5)?;
    second.good()?;
    let only = format!("--devices={},{}", rig.pv(1), rig.pv(2));
    guest.lvshift(&["vgck", &only, "--updatemetadata", VG])?.ok()?;
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
    // Its guardian alone is killed: it begins another, which knows a daemon that is killed from one that goes.
    for upgraded in [false, true] {
        all_there(guest)?;
        let (before, guardian) = (daemon(guest)?, guardian()?);
        kill_process(Pid::from_raw(guardian).context("a guardian")?, Signal::KILL)?;
        guest.wait_for("the daemon begins another guardian", HANG, || {
            Ok(self::guardian().is_ok_and(|now| now != guardian))
        })?;
        all_there(guest)?;
        ensure!(daemon(guest)? == before, "the daemon was replaced, too");
        if upgraded {
            guest.lvshift_env(&[DAEMON_FAIL], &["upgrade", VG])?.ok()?;
        } else {
            kill(guest, Victims::Daemon)?;
        }
        deep.served()?;
        all_there(guest)?;
        ensure!(daemon(guest)? != before, "it is the same daemon");
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

/// The process that sees to it that there is a daemon.
fn guardian() -> Result<i32> {
    let guardian = servers()?.into_iter().find(|server| server.role == Role::Guardian);
    Ok(guardian.context("a guardian")?.pid)
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

/// A take-over fails at one open after the other: whatever it has begun must not stand in its own way.
fn files(guest: &mut Guest) -> Result<()> {
    let deep = Deep::new(guest, EXTENTS, 731)?;
    for more in (2..34).step_by(2) {
        all_there(guest)?;
        let standby = servers()?.into_iter().find(|server| server.role == Role::Standby);
        let standby = standby.context("a standby")?.pid;
        let open = fs::read_dir(format!("/proc/{standby}/fd")).context("its files")?.count() as u64;
        let may_open = |count: u64| {
            let limit = Rlimit { current: Some(count), maximum: Some(4096) };
            prlimit(Pid::from_raw(standby), Resource::Nofile, limit)
        };
        may_open(open + more)?;
        kill(guest, Victims::Daemon)?;
        // It tries, and tries again.
        std::thread::sleep(Duration::from_millis(500));
        // It may have ended over it, and been followed.
        let _ = may_open(1024);
        let start = Instant::now();
        deep.served().with_context(|| format!("{more} more files could be opened"))?;
        let same = daemon(guest)? == standby;
        guest.log(format!("{more} files: served after {:.1?}; the same: {same}", start.elapsed()));
    }
    deep.end()
}

fn swap(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1"])?;
    let swap = rig.lv("swap", 120, &[])?;
    let lv = rig.lv("lv", 4, &[])?;
    guest
        .sh(&format!(
            "mkswap {0} && swapon {0} && echo 0 > /proc/sys/vm/page-cluster",
            swap.display()
        ))?
        .ok()?;
    all_there(guest)?;
    // Most of the memory is taken; the rest is not enough for what is written now.
    let memory: u64 = guest
        .sh("awk '/MemFree/ {print int($2 / 1024)}' /proc/meminfo")?
        .ok()?
        .stdout
        .trim()
        .parse()?;
    let pages = memory.saturating_sub(160) / 2;
    guest.sh(&format!("echo {pages} > /proc/sys/vm/nr_hugepages; mkdir -p /tmp/full && mount -t tmpfs -o size=90% none /tmp/full"))?
        .ok()?;
    let fill = "i=0; while [ $i -lt 250 ]; do dd if=/dev/urandom of=/tmp/full/$i bs=1M count=1 2>/dev/null; \
                i=$((i+1)); used=$(awk '/SwapTotal/ {t=$2} /SwapFree/ {print t-$2}' /proc/meminfo); \
                [ $used -gt 60000 ] && break; done; grep -E 'MemFree|MemAvail|Swap' /proc/meminfo";
    let filled = guest.sh(fill)?.ok()?;
    guest.log(filled.stdout);
    let used = guest.sh("awk '/SwapTotal/ {t=$2} /SwapFree/ {print t-$2}' /proc/meminfo")?.ok()?;
    ensure!(used.stdout.trim().parse::<u64>()? > 30_000, "nothing is swapped out");
    // A program goes on needing what is there and what is not.
    let churn =
        guest.spawn_env(&[], "sh", &["-c", "while :; do cat /tmp/full/* > /dev/null; done"])?;
    std::thread::sleep(Duration::from_millis(300));
    // What the next daemon reads lies in a file system in memory: it is what the kernel may swap out next.
    for directory in ["/run/lvshift", "/run/lvshift/ublk"] {
        for entry in fs::read_dir(directory)?.flatten() {
            if entry.file_type()?.is_file() && entry.metadata()?.len() > 0 {
                let out = page_out(&entry.path())?;
                guest.log(format!("{}: {out} kB swapped out", entry.path().display()));
            }
        }
    }
    // They stay in memory as the swap's cache until that is needed.
    let more = "dd if=/dev/urandom of=/tmp/full/more bs=1M count=40 2>/dev/null; grep -E 'MemFree|Swap' /proc/meminfo";
    let filled = guest.sh(more)?.ok()?;
    guest.log(filled.stdout);
    let start = Instant::now();
    kill(guest, Victims::Daemon)?;
    let from = format!("if={}", lv.display());
    let read = guest.spawn_env(
        &[],
        "dd",
        &[&from, "of=/dev/null", "bs=4096", "count=8", "iflag=direct"],
    )?;
    read.wait(HANG)?.ok().context("the swap is not served")?;
    guest.log(format!("served after {:.2?}", start.elapsed()));
    ensure!(start.elapsed() < Duration::from_secs(10), "it took too long");
    churn.kill()?;
    guest.sh("for p in $(pidof cat); do kill -9 $p; done; rm -f /tmp/full/*; umount -l /tmp/full; echo 0 > /proc/sys/vm/nr_hugepages; echo 3 > /proc/sys/vm/page-cluster")?;
    guest.sh(&format!("swapoff {}", swap.display()))?.ok()?;
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
