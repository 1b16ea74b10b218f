//! Little memory, odd sizes, huge sizes, and other commands in the middle of a move.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::conformance::fixture::{self, HANG, Rig, VG, lv_path};
use crate::guest::{Fs, Guest, Region};
use crate::scenario::{Disk, Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "pressure-swap-on-the-lv",
        about: "swap lies on the moved LV while memory is short: the move ends, nothing deadlocks",
        disks: &[Disk::new("pv1", 64), Disk::new("pv2", 64)],
        timeout_s: 480,
        run: swap_on_the_lv,
        cpus: 2,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "pressure-odd-sizes",
        about: "extents of 4 KiB to 1 MiB, LVs of one extent and with a short last chunk",
        disks: &[Disk::new("pv1", 32), Disk::new("pv2", 32)],
        timeout_s: 240,
        run: odd_sizes,
        cpus: 2,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "pressure-mixed-sectors",
        about: "disks with 512 and 4096-byte sectors in one VG: moves that are allowed work",
        disks: &[Disk::new_4k("pv1", 32), Disk::new("pv2", 32), Disk::new_4k("pv3", 32)],
        run: mixed_sectors,
        cpus: 2,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "pressure-16-tib",
        about: "PVs of almost 16 TiB: extents past sector 2^32 are moved to where they belong",
        disks: &[Disk::new("host", 512)],
        timeout_s: 240,
        run: sixteen_tib,
        cpus: 2,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "pressure-commands-meanwhile",
        about: "during a move: its LV is refused by name, another LV comes, reports are quick",
        disks: fixture::TWO,
        run: commands_meanwhile,
        cpus: 2,
        ..Scenario::DEFAULT
    },
];

/// A line `NAME: 123 kB` of a file in /proc.
fn kib(path: &str, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("{path} has no {name}"))
}

fn swapped_out() -> Result<u64> {
    Ok(kib("/proc/meminfo", "SwapTotal")? - kib("/proc/meminfo", "SwapFree")?)
}

fn swap_on_the_lv(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let swap = rig.lv("swap", 32, &[rig.pv(1)])?.display().to_string();
    let lv = rig.lv("lv", 8, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 901)?;
    guest.run("mkswap", &[&swap])?.ok()?;
    guest.run("swapon", &[&swap])?.ok()?;
    // What is free, touched again and again; then a little more at a time, since how much the
    // kernel can give up before it swaps cannot be known.
    let spawn_hog = |mib: u64| {
        let hog = format!(
            "echo 1000 > /proc/self/oom_score_adj; exec dd if=/dev/zero of=/dev/null bs={mib}M"
        );
        guest.spawn_env(&[], "sh", &["-c", &hog])
    };
    let mut hogs = vec![spawn_hog(kib("/proc/meminfo", "MemAvailable")? / 1024 - 32)?];
    let (mut last, limit) = (Instant::now(), Duration::from_secs(120));
    guest.wait_for("memory is short", limit, || {
        if last.elapsed() > Duration::from_secs(2) {
            hogs.push(spawn_hog(8)?);
            last = Instant::now();
        }
        Ok(swapped_out()? > 4 * 1024)
    })?;
    rig.slow_copy(&slow, 100)?;
    let moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    // Whoever the move needs: the command, and on ublk the daemon, its guardian and its standby.
    let mut pids = moving.pid().to_string();
    if guest.frontend() == Frontend::Ublk {
        let servers = guest.sh("pidof @lvshift-ublk")?.stdout;
        ensure!(servers.split_whitespace().count() == 3, "daemon, guardian and standby: {servers}");
        pids = format!("{pids} {servers}");
    }
    for pid in pids.split_whitespace() {
        let status = format!("/proc/{pid}/status");
        let (locked, all) = (kib(&status, "VmLck")?, kib(&status, "VmRSS")?);
        ensure!(locked > 0 && locked >= all / 2, "{locked} KiB of {all} of {pid} are locked");
        let score = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj"))?;
        ensure!(score.trim() == "-1000", "{pid} may be killed for memory: {score}");
    }
    rig.full_speed(&mut slow)?;
    moving.wait(Duration::from_secs(60))?.ok()?;
    let running =
        hogs.iter_mut().try_fold(0, |n, hog| hog.is_running().map(|r| n + usize::from(r)))?;
    ensure!(running > 0, "every hog was killed: the move was not under pressure");
    guest.log(format!("{} KiB are swapped out at the end", swapped_out()?));
    hogs.into_iter().try_for_each(|hog| hog.kill().map(drop))?;
    guest.run("swapoff", &[&swap])?.ok()?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    ensure!(rig.home("swap")? == 2 && rig.home("lv")? == 2, "something stayed behind");
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

fn odd_sizes(guest: &mut Guest) -> Result<()> {
    let devices = vec![guest.disk("pv1")?, guest.disk("pv2")?];
    let rig = Rig::found(guest, devices);
    guest.lvshift(&["pvcreate", &rig.pv(1), &rig.pv(2)])?.ok()?;
    for (number, extent, all) in [(0, "4k", 1357), (1, "64k", 83), (2, "1m", 7)] {
        guest.lvshift(&["vgcreate", "-s", extent, VG, &rig.pv(1), &rig.pv(2)])?.ok()?;
        rig.lv("one", 1, &[rig.pv(1)])?;
        let lv = rig.lv("lv", all, &[rig.pv(1)])?;
        let one = Region::new(lv_path("one"), 0, 8);
        guest.write_sectors(lv_path("one"), 0, &[0x5A; 4096])?;
        let (hash, writer) = (guest.hash_region(&one)?, fixture::writer(&lv, 911 + number)?);
        // One extent from the middle, the last one, then all that is left.
        for range in ["3-3", &format!("{all}-{all}"), "0-"] {
            rig.pvmove(&[&rig.pv_at(1, range), &rig.pv(2)])?.ok()?;
            fixture::served(&writer)?;
            rig.reads_from_its_places("one")?;
        }
        ensure!(rig.home("lv")? == 2 && rig.home("one")? == 2, "{extent}: something stayed");
        rig.pvmove(&["-n", "vg/lv", &rig.pv(2), &rig.pv(1)])?.ok()?;
        ensure!(rig.home("lv")? == 1 && rig.home("one")? == 2, "{extent}: -n moved another");
        fixture::served(&writer)?;
        writer.stop()?.clean()?;
        ensure!(guest.hash_region(&one)? == hash, "{extent}: the LV of one extent changed");
        rig.at_rest()?;
        rig.reads_from_its_places("lv")?;
        guest.lvshift(&["vgchange", "-a", "n", VG])?.ok()?;
        guest.lvshift(&["vgremove", "-y", "-f", VG])?.ok()?;
    }
    Ok(())
}

fn mixed_sectors(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2", "pv3"])?;
    let lv = rig.lv("lv", 6, &[rig.pv(1)])?;
    let block = |lv: &Path| -> Result<String> {
        Ok(guest.run("blockdev", &["--getss", &lv.display().to_string()])?.ok()?.stdout)
    };
    ensure!(block(&lv)?.trim() == "4096", "an LV on a disk with 4096-byte sectors");
    let writer = fixture::writer(&lv, 921)?;
    // From 4096 to 4096, and to 512, which takes anything.
    for to in [3, 2] {
        let from = rig.home("lv")?;
        rig.pvmove(&[&rig.pv(from), &rig.pv(to)])?.ok()?;
        fixture::served(&writer)?;
        rig.lies("lv", &[(to, 0, 6)])?;
    }
    // And an LV over both kinds: whatever its disks are, it keeps its bytes.
    writer.stop()?.clean()?;
    let places =
        ["--allow-mixed-block-sizes".to_owned(), rig.pv_at(1, "0-1"), rig.pv_at(2, "10-11")];
    let both = rig.lv("both", 4, &places)?;
    let writer = fixture::writer(&both, 922)?;
    rig.pvmove(&["-n", "vg/both", &rig.pv(1), &rig.pv(3)])?.ok()?;
    rig.lies("both", &[(3, 0, 2), (2, 10, 2)])?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")?;
    rig.reads_from_its_places("both")
}

fn sixteen_tib(guest: &mut Guest) -> Result<()> {
    guest.modprobe("loop")?;
    let host = guest.disk("host")?;
    guest.mkfs(Fs::Xfs, &host)?;
    let mounted = guest.mount(Fs::Xfs, &host, "host")?;
    let mut devices = Vec::new();
    for name in ["a", "b"] {
        let file = mounted.join(name).display().to_string();
        // A MiB less than 2^44 bytes: sectors beyond 2^32 and 8 times as many.
        guest.sh(&format!("truncate -s {} {file}", (1_u64 << 44) - (1 << 20)))?;
        let run = guest.run("losetup", &["--direct-io=on", "-f", "--show", &file])?.ok()?;
        devices.push(Path::new(run.stdout.trim()).to_owned());
    }
    let rig = Rig::found(guest, devices);
    guest.lvshift(&["pvcreate", &rig.pv(1), &rig.pv(2)])?.ok()?;
    guest.lvshift(&["vgcreate", "-s", "4m", VG, &rig.pv(1), &rig.pv(2)])?.ok()?;
    let free = rig.meta()?.free_on(&rig.devices[0])?;
    let extent = 8192_u64;
    ensure!(u64::from(free) * extent > 1 << 34, "{free} extents are not almost 16 TiB");
    let lv = rig.lv("lv", free, &[rig.pv(1)])?;
    let size = u64::from(free) * extent;
    ensure!(guest.sectors(&lv)? == size, "the LV has {} sectors", guest.sectors(&lv)?);
    // The last eight extents, and what would be hit if a number lost its upper half.
    let (first, from) = (size - 8 * extent, free - 8);
    for (at, byte) in [(first, 0xA1), (size - 8, 0xA2), (first % (1 << 32), 0xB1), (0, 0xB2)] {
        guest.write_sectors(&lv, at, &[byte; 4096])?;
    }
    let far = Region::new(&lv, first, 8 * extent);
    let hash = guest.hash_region(&far)?;
    let there = rig.pv_at(2, &format!("{from}-"));
    rig.pvmove(&[&rig.pv_at(1, &format!("{from}-")), &there])?.ok()?;
    rig.lies("lv", &[(1, 0, from), (2, from, 8)])?;
    ensure!(guest.hash_region(&far)? == hash, "what was moved reads differently");
    let meta = rig.meta()?;
    let on_pv = Region::new(&rig.devices[1], meta.sector_of(&rig.devices[1], from)?, 8 * extent);
    ensure!(on_pv.sector > 1 << 34, "at sector {}", on_pv.sector);
    guest.same_bytes(&far, &on_pv)?;
    for (at, byte) in [(first % (1 << 32), 0xB1), (0, 0xB2)] {
        let found = guest.read_region(&Region::new(&lv, at, 8))?;
        ensure!(found.iter().all(|b| *b == byte), "sector {at} was overwritten");
    }
    // With a writer on an LV that lies far out on its own.
    guest.lvshift(&["lvremove", "-y", "vg/lv"])?.ok()?;
    let lv = rig.lv("far", 2, &[rig.pv_at(1, &format!("{}-", free - 2))])?;
    let writer = fixture::writer(&lv, 931)?;
    rig.pvmove(&[&rig.pv(1), &rig.pv_at(2, &format!("{}-", free - 3))])?.ok()?;
    rig.lies("far", &[(2, free - 3, 2)])?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("far")?;
    guest.lvshift(&["vgchange", "-a", "n", VG])?.ok()?;
    guest.run("losetup", &["-D"])?.ok()?;
    mounted.umount()
}

fn commands_meanwhile(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let lv = rig.lv("lv", 16, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 941)?;
    rig.slow_copy(&slow, 1000)?;
    let moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    for line in [
        "lvremove -y vg/lv",
        "lvremove -y -f vg/lv",
        "lvextend -l +1 vg/lv",
        "lvrename vg lv new",
        "lvchange -a n vg/lv",
        "vgchange -a n vg",
        "vgremove -y -f vg",
    ] {
        let run = guest.lvshift(&line.split(' ').collect::<Vec<_>>())?.fails_with(5)?;
        ensure!(run.took < HANG / 2, "it waits for the move: {run}");
        run.stderr_has("vg/lv")?.stderr_has("move")?;
    }
    // The VG itself is not locked: another LV is made, used, extended and renamed.
    let other = rig.lv("other", 2, &[rig.pv(1)])?;
    let second = fixture::writer(&other, 942)?;
    if fixture::grows_in_use(guest)? {
        guest.lvshift(&["lvextend", "-l", "+1", "vg/other"])?.ok()?;
    } else {
        guest.lvshift(&["lvextend", "-l", "+1", "vg/other"])?.fails_with(5)?.stderr_has("6.16")?;
        guest.lvshift(&["lvcreate", "-n", "idle", "-an", "-l", "1", VG, &rig.pv(1)])?.ok()?;
        guest.lvshift(&["lvextend", "-l", "+1", "vg/idle"])?.ok()?;
    }
    guest.lvshift(&["lvrename", VG, "other", "neighbour"])?.ok()?;
    for report in ["pvs", "vgs", "lvs"] {
        let run = guest.lvshift(&[report])?.ok()?;
        ensure!(run.took < Duration::from_secs(5), "not quick: {run}");
    }
    ensure!(!rig.meta()?.moves.is_empty(), "the move was over before the commands were");
    // Few, since each waits a second for the destination.
    writer.wait_for_writes(2, HANG)?;
    rig.full_speed(&mut slow)?;
    moving.wait(HANG)?.ok()?;
    rig.lies("lv", &[(2, 0, 16)])?;
    ensure!(rig.home("neighbour")? == 1, "the neighbour moved too");
    fixture::served(&second)?;
    writer.stop()?.clean()?;
    second.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")?;
    rig.reads_from_its_places("neighbour")
}
