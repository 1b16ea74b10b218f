//! Others on the host: a device that hangs, a lock that is held, an output that nobody takes, whoever uses
//! an LV in ways of his own, and names under /dev that are somebody else's.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::conformance::fixture::{self, HANG, Rig, VG, lv_path};
use crate::guest::Guest;
use crate::scenario::{Disk, Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "host-hung-stranger",
        about: "a device that stands on an LV is not read; one that never answers keeps nobody for long, once noted not at all, also beside a destination that fails",
        disks: fixture::THREE,
        timeout_s: 240,
        run: hung_stranger,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "host-lock",
        about: "whoever holds the VG's lock for long is named, and nobody waits for ever",
        frontends: Frontend::DM,
        disks: fixture::TWO,
        timeout_s: 180,
        run: lock,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "host-output",
        about: "a move whose messages nobody takes: a full FIFO, a full disk",
        frontends: Frontend::DM,
        disks: fixture::TWO,
        run: output,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "host-names",
        about: "a directory under /dev that was there before a VG of its name is left alone",
        frontends: Frontend::DM,
        disks: &[Disk::new("pv1", 32)],
        run: names,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "host-in-use",
        about: "an LV under a loop device, or mounted in another namespace: refused at once, user named",
        frontends: Frontend::DM,
        disks: &[Disk::new("pv1", 48)],
        run: in_use,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "host-report",
        about: "what an administrator has suspended, a report leaves suspended",
        frontends: Frontend::DM,
        disks: &[Disk::new("pv1", 32)],
        run: report,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "host-blocks",
        about: "an LV with blocks of 512 bytes does not come onto a PV with blocks of 4096",
        frontends: Frontend::DM,
        disks: &[Disk::new("pv1", 32), Disk { sector: 4096, ..Disk::new("pv2", 32) }],
        run: blocks,
        ..Scenario::DEFAULT
    },
];

/// Five seconds for the one that hangs, and what an emulated machine and a slow destination take besides. Whoever
/// is kept by it is kept for ten minutes.
const PASSED_OVER: Duration = Duration::from_secs(40);
/// Whoever comes later finds it noted.
const NOTED: Duration = Duration::from_secs(10);

fn hung_stranger(guest: &mut Guest) -> Result<()> {
    guest.modprobe("dm-delay")?;
    let mut slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let lv = rig.lv("lv", 20, &[rig.pv(1)])?;
    // One that stands on the LV is not even asked.
    let delayed = |device: &Path| -> Result<String> {
        let sectors = guest.sectors(device)?;
        Ok(format!("0 {sectors} delay {} 0 600000", device.display()))
    };
    guest.dm_create("upon", &delayed(&lv)?)?;
    let beside = guest.lvshift(&["lvs"])?.ok()?;
    ensure!(!beside.stderr.contains("has not answered"), "it was asked: {beside}");
    guest.dm_remove("upon")?;
    let stranger = guest.disk("pv3")?;
    guest.dm_create("hung", &delayed(&stranger)?)?;
    // Whoever looks at all devices passes over it in time, says so, and can end.
    let within = |args: &[&str], limit: Duration| -> Result<crate::guest::Run> {
        let run = guest.lvshift(args)?.stderr_has("has not answered")?;
        guest.log(format!("{args:?} beside it took {:.1?}", run.took));
        ensure!(run.took < limit, "it took too long: {run}");
        Ok(run)
    };
    within(&["lvs"], PASSED_OVER)?.ok()?.stdout_has("lv")?;
    let again = within(&["lvs"], NOTED)?.ok()?.stdout_has("lv")?;
    ensure!(again.stderr.contains("an earlier command"), "it was asked once more: {again}");
    // So does whoever undoes a move, and the move itself.
    rig.slow_copy(&slow, 300)?;
    let moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    within(&["pvmove", "--abort"], NOTED)?.ok()?;
    moving.wait(HANG)?.fails_with(5)?;
    slow.good()?;
    rig.lies("lv", &[(1, 0, 20)])?;
    // A destination that fails at the same time changes nothing of that, whatever can be undone without it.
    rig.slow_copy(&slow, 300)?;
    let moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    slow.dead()?;
    within(&["pvmove", "--abort"], NOTED)?;
    within(&["lvs"], NOTED)?;
    moving.wait(HANG)?.fails_with(5)?;
    slow.good()?;
    guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok()?;
    guest.lvshift(&["pvmove", "--abort"])?.ok()?;
    rig.at_rest()?;
    rig.lies("lv", &[(1, 0, 20)])?;
    // Told of the devices to look at, nobody is kept waiting at all.
    let devices = format!("--devices={},{}", rig.pv(1), rig.pv(2));
    guest.lvshift(&["pvmove", &devices, &rig.pv(1), &rig.pv(2)])?.ok()?;
    rig.lies("lv", &[(2, 0, 20)])?;
    let run = guest.lvshift(&["lvs", &devices])?.ok()?.stdout_has("lv")?;
    ensure!(!run.stderr.contains("has not answered"), "asked all the same: {run}");
    std::fs::create_dir_all("/etc/lvshift").context("making /etc/lvshift")?;
    std::fs::write("/etc/lvshift/devices", format!("{}\n", rig.pv(1)))?;
    let run = guest.lvshift(&["pvs", "--noheadings"])?.ok()?;
    ensure!(!run.stdout.contains(&rig.pv(2)), "looked at although it is not listed: {run}");
    std::fs::remove_file("/etc/lvshift/devices")?;
    // The late answer: the kernel hands it to nobody.
    let sectors = guest.sectors(&stranger)?;
    guest.dm_reload("hung", &format!("0 {sectors} linear {} 0", stranger.display()))?;
    guest.dm_remove("hung")
}

fn lock(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    rig.lv("lv", 8, &[rig.pv(1)])?;
    let file = "ls /run/lvshift/*.metadata | grep -v 00000000-0000";
    let held = format!("flock $({file}) sleep 100");
    let holder = guest.spawn_env(&[], "sh", &["-c", &held])?;
    guest.wait_for("the lock is held", HANG, || {
        Ok(std::fs::read_to_string("/proc/locks")?.contains("FLOCK"))
    })?;
    let start = Instant::now();
    let refused = guest.lvshift(&["lvcreate", "-n", "other", "-l", "1", VG])?.fails_with(5)?;
    ensure!(start.elapsed() < Duration::from_secs(60), "it waited too long: {refused}");
    ensure!(refused.stderr.contains("process ") && refused.stderr.contains("flock"), "{refused}");
    holder.kill()?;
    guest.sh("for p in $(pidof sleep); do kill $p; done")?;
    guest.lvshift(&["lvcreate", "-n", "other", "-l", "1", VG])?.ok()?;
    // At a prompt (there is no terminal, so it is refused) nothing is held and nothing is changed.
    guest.lvshift(&["lvremove", "vg/other"])?.fails_with(5)?.stderr_has("--yes")?;
    Ok(())
}

fn output(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 16, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 140)?;
    let program = guest.frontend().binary();
    let (from, to) = (rig.pv(1), rig.pv(2));
    // The FIFO is full before the first line.
    let line = format!(
        "mkfifo /tmp/full && exec 3<>/tmp/full && dd if=/dev/zero bs=4096 count=16 >&3 2>/dev/null && \
         {program} pvmove -i1 --json {from} {to} >/tmp/full 2>/dev/full"
    );
    guest.sh(&line)?.ok()?;
    rig.lies("lv", &[(2, 0, 16)])?;
    let back = format!("{program} pvmove -vv {to} {from} >/dev/null 2>/dev/full");
    guest.sh(&back)?.ok()?;
    rig.lies("lv", &[(1, 0, 16)])?;
    writer.stop()?.clean()?;
    rig.at_rest().map(drop)
}

fn names(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1"])?;
    rig.lv("lv", 4, &[rig.pv(1)])?;
    guest.lvshift(&["vgchange", "-an", VG])?.ok()?;
    // Since then somebody else keeps something there.
    let theirs = Path::new("/dev").join(VG);
    std::fs::create_dir(&theirs)?;
    std::fs::write(theirs.join("lv"), b"theirs")?;
    guest.lvshift(&["vgchange", "-ay", VG])?.fails_with(5)?.stderr_has("is not lvshift's")?;
    guest.lvshift(&["lvchange", "-ay", "vg/lv"])?.fails_with(5)?;
    ensure!(std::fs::read(theirs.join("lv"))? == b"theirs", "it was replaced");
    std::fs::remove_dir_all(&theirs)?;
    guest.lvshift(&["vgchange", "-ay", VG])?.ok()?;
    ensure!(lv_path("lv").exists(), "no link");
    for name in ["mapper", "disk", "null"] {
        guest.lvshift(&["vgrename", VG, name])?.fails_with(5)?;
    }
    ensure!(Path::new("/dev/mapper/control").exists() && lv_path("lv").exists(), "harmed");
    Ok(())
}

fn in_use(guest: &mut Guest) -> Result<()> {
    guest.modprobe("loop")?;
    let rig = Rig::new(guest, &["pv1"])?;
    let lv = rig.lv("lv", 20, &[])?;
    let refused = |who: &str| -> Result<()> {
        for command in [&["lvchange", "-an", "vg/lv"][..], &["lvremove", "-f", "-y", "vg/lv"]] {
            let run = guest.lvshift(command)?.fails_with(5)?;
            ensure!(run.took < Duration::from_secs(8), "not at once: {run}");
            ensure!(run.stderr.contains(who), "{who} is not named: {run}");
        }
        Ok(())
    };
    let shown = lv.display();
    guest.sh(&format!("losetup /dev/loop7 {shown}"))?.ok()?;
    refused("loop7")?;
    guest.sh("losetup -d /dev/loop7")?.ok()?;
    guest.mkfs(crate::guest::Fs::Ext4, &lv)?;
    let line = format!("mkdir -p /tmp/away && mount {shown} /tmp/away && exec sleep 200");
    let away = guest.spawn_env(
        &[],
        "unshare",
        &["--mount", "--propagation", "private", "sh", "-c", &line],
    )?;
    guest.wait_for("it is mounted there", HANG, || {
        let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", away.pid()))?;
        Ok(mounts.contains("/tmp/away"))
    })?;
    refused("namespace")?;
    away.kill()?;
    guest.lvshift(&["lvremove", "-f", "-y", "vg/lv"])?.ok()?;
    Ok(())
}

fn report(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1"])?;
    rig.lv("lv", 4, &[])?;
    guest.run("dmsetup", &["suspend", "vg-lv"])?.ok()?;
    for command in [&["lvs"][..], &["vgs"], &["pvs"], &["vgck"], &["lvdisplay"]] {
        guest.lvshift(command)?.ok()?;
        guest.run("dmsetup", &["info", "vg-lv"])?.ok()?.stdout_has("SUSPENDED")?;
    }
    guest.lvshift(&["lvs", "--noheadings", "-o", "lv_suspended"])?.ok()?.stdout_has("suspended")?;
    guest.run("dmsetup", &["resume", "vg-lv"])?.ok()?;
    Ok(())
}

fn blocks(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    rig.lv("lv", 4, &[rig.pv(1)])?;
    let (pv1, pv2) = (rig.pv(1), rig.pv(2));
    let refused = |args: &[&str]| -> Result<()> {
        guest.lvshift(args)?.fails_with(5)?.stderr_has("blocks of 4096")?;
        Ok(())
    };
    refused(&["lvextend", "-l", "+2", "vg/lv", &pv2])?;
    refused(&["pvmove", &pv1, &pv2])?;
    refused(&[
        "lvcreate",
        "-n",
        "both",
        "-l",
        "4",
        VG,
        &format!("{pv1}:10-11"),
        &format!("{pv2}:0-1"),
    ])?;
    guest.lvshift(&["lvcreate", "-n", "large", "-l", "2", VG, &pv2])?.ok()?;
    Ok(())
}
