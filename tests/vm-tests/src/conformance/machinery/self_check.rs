//! Scenarios about the test machinery itself.
//!
//! The hidden ones must fail, each in its own way; `cargo xtask test` checks that.

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::guest::{Fs, Guest, Region};
use crate::scenario::{Disk, Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "self-boot",
        about: "the guest boots with its processors, disks, modules, tools and both front ends",
        cpus: 4,
        disks: &[Disk::new("pv1", 64), Disk::new_4k("pv2", 32)],
        run: boot,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "self-power-cut",
        about: "the power goes off under a writer, later the guest reboots in order; each boot is another",
        disks: &[Disk::new("pv1", 32)],
        state_disk: true,
        boots: 3,
        run: power_cut,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "self-writer",
        about: "the writer sees errors, lost writes and misplaced sectors, and nothing else",
        disks: &[Disk::new("pv1", 32)],
        run: writer,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "self-file-systems",
        about: "ext4 and xfs can be made, filled, hashed, checked and found damaged",
        disks: &[Disk::new("pv1", 64), Disk::new("pv2", 320)],
        run: file_systems,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "self-error",
        about: "must fail: the scenario returns an error",
        hidden: true,
        must_fail: Some("this scenario returns an error"),
        run: |_| bail!("this scenario returns an error"),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "self-panic",
        about: "must fail: the scenario panics",
        hidden: true,
        must_fail: Some("this scenario panics"),
        run: |_| panic!("this scenario panics"),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "self-abort",
        about: "must fail: the scenario's process dies",
        hidden: true,
        must_fail: Some("killed by signal"),
        run: |_| std::process::abort(),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "self-hang",
        about: "must fail: the scenario never ends",
        hidden: true,
        must_fail: Some("no verdict within 4 s"),
        timeout_s: 4,
        run: |_| loop {
            std::thread::sleep(Duration::from_secs(60));
        },
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "self-silent",
        about: "must fail: the guest powers off without a verdict",
        hidden: true,
        must_fail: Some("the guest ended without a verdict"),
        run: |_| {
            rustix::system::reboot(rustix::system::RebootCommand::PowerOff)?;
            Ok(())
        },
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "self-kernel-panic",
        about: "must fail: the kernel panics",
        hidden: true,
        must_fail: Some("Kernel panic"),
        run: |_| {
            std::fs::write("/proc/sysrq-trigger", "c")?;
            Ok(())
        },
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "self-suspended",
        about: "must fail: a device stays suspended",
        hidden: true,
        must_fail: Some("device faulty-pv1 is suspended"),
        disks: &[Disk::new("pv1", 32)],
        run: |guest| {
            guest.faulty("pv1")?;
            guest.sh("dmsetup suspend faulty-pv1")?;
            Ok(())
        },
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "self-silent-device",
        about: "must fail: an LV has a daemon, and that answers nothing",
        hidden: true,
        must_fail: Some("answers no read"),
        disks: &[Disk::new("pv1", 32)],
        run: silent_device,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "self-stuck-task",
        about: "must fail: a task hangs in uninterruptible sleep",
        hidden: true,
        must_fail: Some("hangs in"),
        disks: &[Disk::new("pv1", 32)],
        run: |guest| {
            let mut disk = guest.faulty("pv1")?;
            disk.delay(60_000)?;
            let line = format!("dd if={} of=/dev/null bs=4k count=1 &", disk.arg());
            guest.sh(&line)?;
            Ok(())
        },
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "self-no-daemon",
        about: "must fail: a ublk device stays without a daemon",
        hidden: true,
        must_fail: Some("device ublkb0 has no daemon"),
        disks: &[Disk::new("pv1", 32)],
        run: |guest| {
            let pv1 = guest.disk("pv1")?.display().to_string();
            for words in
                [&["pvcreate", &pv1][..], &["vgcreate", "vg", &pv1], &["lvcreate", "-l", "1", "vg"]]
            {
                guest.lvshift_as(Frontend::Ublk, words)?.ok()?;
            }
            // The daemon, and who starts it again.
            guest.sh("kill -9 $(pidof @lvshift-ublk)")?;
            Ok(())
        },
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "self-boots-for-ever",
        about: "must fail: more power cuts than it said",
        hidden: true,
        must_fail: Some("wants to boot again"),
        run: |guest| guest.power_cut(),
        ..Scenario::DEFAULT
    },
];

/// Those that scenarios ask for by name; others come when the kernel wants them.
const MODULES: &[&str] = &[
    "dm-mirror",
    "dm-flakey",
    "dm-delay",
    "dm-thin-pool",
    "dm-log-writes",
    "dm-snapshot",
    "ublk_drv",
    "null_blk",
    "scsi_debug",
    "brd",
    "nbd",
    "xfs",
    "btrfs",
];

fn boot(guest: &mut Guest) -> Result<()> {
    ensure!(guest.sectors(guest.disk("pv1")?)? == 64 * 2048, "pv1 has the wrong size");
    ensure!(guest.disk("pv9").is_err(), "a disk that nobody asked for");
    let processors = guest.sh("nproc")?.stdout;
    ensure!(processors.trim() == "4", "{processors} processors and not 4");
    for frontend in Frontend::ALL {
        guest.lvshift_as(*frontend, &["--version"])?.ok()?.stdout_has(frontend.binary())?;
    }
    let block_size = guest.run("blockdev", &["--getss", "/dev/disk/by-serial/pv2"])?.ok()?;
    ensure!(block_size.stdout.trim() == "4096", "pv2 has sectors of {}", block_size.stdout);
    for module in MODULES {
        guest.modprobe(module)?;
    }
    ensure!(guest.modprobe("no-such-module").is_err(), "a module out of nowhere");
    let targets = guest.run("dmsetup", &["targets"])?.ok()?;
    for target in ["linear", "mirror", "flakey", "delay", "thin-pool", "log-writes", "error"] {
        ensure!(
            targets.stdout.lines().any(|l| l.split_whitespace().next() == Some(target)),
            "the kernel has no target {target}"
        );
    }
    for tool in ["lvm", "mkfs.ext4", "mkfs.xfs", "xfs_io", "blkdiscard", "writer"] {
        guest.sh(&format!("command -v {tool}"))?;
    }
    ensure!(guest.run("sh", &["-c", "exit 5"])?.fails_with(5).is_ok(), "an exit status was lost");
    Ok(())
}

/// Boots are copies of one guest that has booted: what a boot makes anew must be new in each.
fn a_boot_of_its_own(guest: &mut Guest) -> Result<()> {
    let id = guest.sh("cat /proc/sys/kernel/random/boot_id")?.stdout;
    let random = guest.sh("head -c 16 /dev/urandom | od -A n -t x1")?.stdout;
    let now = guest.sh("date +%s")?.stdout.trim().parse::<u64>()?;
    // 2026: not the time since the machine came up.
    ensure!(now > 1_767_225_600, "it is {now} s after 1970");
    let notes = guest.state("boots")?;
    let before = match guest.boot() {
        1 => String::new(),
        _ => std::fs::read_to_string(&notes)?,
    };
    for word in [&id, &random] {
        ensure!(
            !before.contains(word.trim()),
            "{word} was there in an earlier boot, too: {before}"
        );
    }
    let last = before.lines().rev().find_map(|line| line.strip_prefix("now ")?.parse().ok());
    ensure!(last.is_none_or(|last: u64| last <= now), "it is {now}, and was {last:?} before");
    std::fs::write(&notes, format!("{before}{}\n{}\nnow {now}\n", id.trim(), random.trim()))?;
    std::fs::File::open(&notes)?.sync_all()?;
    Ok(())
}

fn power_cut(guest: &mut Guest) -> Result<()> {
    a_boot_of_its_own(guest)?;
    let config = Config::new(guest.disk("pv1")?, 11);
    let checkpoint = guest.state("writer.checkpoint")?;
    let writer = match guest.boot() {
        1 => Writer::start(config)?,
        _ => Writer::resume(config, &checkpoint)?,
    };
    writer.wait_for_writes(100, Duration::from_secs(20))?;
    writer.checkpoint(&checkpoint)?;
    writer.wait_for_writes(20, Duration::from_secs(20))?;
    match guest.boot() {
        1 => guest.power_cut(),
        2 => {
            std::fs::write(guest.state("in-order")?, "not synced by the scenario")?;
            guest.reboot()
        }
        _ => {
            ensure!(guest.state("in-order")?.exists(), "an orderly reboot lost a file");
            writer.stop()?.clean()?;
            Ok(())
        }
    }
}

fn writer(guest: &mut Guest) -> Result<()> {
    let mut disk = guest.faulty("pv1")?;
    let writer = Writer::start(Config::new(disk.path(), 7))?;
    writer.wait_for_writes(200, Duration::from_secs(20))?;
    disk.bad_writes(8192, 2048)?;
    writer.wait_for_writes(200, Duration::from_secs(20))?;
    disk.good()?;
    writer.wait_for_writes(50, Duration::from_secs(20))?;
    let outcome = writer.stop()?.intact()?;
    ensure!(outcome.counters.write_errors > 0, "2048 bad sectors and the writer saw nothing");
    let inside = |sector: u64| (8192..8192 + 2048).contains(&sector);
    ensure!(outcome.faults.iter().all(|f| f.write && inside(f.sector)), "{:?}", outcome.faults);

    // A lost write, a misplaced sector and an unreadable one must all be seen.
    let writer = Writer::start(Config { threads: 1, ..Config::new(disk.path(), 8) })?;
    writer.wait_for_writes(20, Duration::from_secs(20))?;
    writer.pause();
    let elsewhere = guest.read_region(&Region::new(disk.lower(), 100, 1))?;
    guest.write_sectors(disk.lower(), 200, &elsewhere)?;
    guest.write_sectors(disk.lower(), 300, &[0; 512])?;
    disk.bad_reads(4096, 8)?;
    let outcome = writer.stop()?;
    disk.good()?;
    ensure!(outcome.counters.mismatches == 2, "two wrong sectors: {:?}", outcome.mismatches);
    ensure!(outcome.mismatches[0].contains("sector 200: "), "{:?}", outcome.mismatches);
    ensure!(outcome.mismatches[0].contains("OtherSector(100)"), "{:?}", outcome.mismatches);
    ensure!(outcome.mismatches[1].contains("sector 300: "), "{:?}", outcome.mismatches);
    ensure!(outcome.counters.read_errors >= 1, "an unreadable block was read");
    disk.remove()
}

fn file_systems(guest: &mut Guest) -> Result<()> {
    for (fs, disk) in [(Fs::Ext4, "pv1"), (Fs::Xfs, "pv2")] {
        let device = guest.disk(disk)?;
        guest.mkfs(fs, &device)?;
        let mounted = guest.mount(fs, &device, "fs")?;
        mounted.fill("data", 8, 300_000, 5)?;
        let before = mounted.hash("data")?;
        ensure!(before.len() == 8, "eight files and not {}", before.len());
        mounted.same_tree("data", &before)?;
        std::fs::write(mounted.join("data/file-3"), "changed")?;
        let error = mounted.same_tree("data", &before).expect_err("a file was changed");
        ensure!(error.to_string().contains("file-3"), "{error}");
        mounted.umount()?;
        guest.fsck(fs, &device)?;
        let line = format!("dd if=/dev/urandom of={} bs=64k seek=1 count=64", device.display());
        guest.sh(&line)?;
        ensure!(guest.fsck(fs, &device).is_err(), "{} damaged, and fsck is content", fs.word());
    }
    Ok(())
}

fn silent_device(guest: &mut Guest) -> Result<()> {
    let disk = guest.disk("pv1")?.display().to_string();
    let ublk = |args: &[&str]| guest.lvshift_as(Frontend::Ublk, args)?.ok().map(drop);
    ublk(&["pvcreate", &disk])?;
    ublk(&["vgcreate", "-s", "1m", "vg", &disk])?;
    ublk(&["lvcreate", "-n", "lv", "-l", "2", "vg"])?;
    // The guardian first: it would see that the daemon has stopped.
    guest.sh("kill -STOP $(pidof @lvshift-ublk lvshift-ublk)")?;
    Ok(())
}
