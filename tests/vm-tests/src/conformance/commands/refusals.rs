//! Bad input: refused by name, and nothing written.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::conformance::fixture::{self, DATA, EXTENT, Rig, VG};
use crate::guest::{Fs, Guest, Region};
use crate::scenario::{Disk, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "refuse-signatures",
        about: "pvcreate refuses ext4, xfs, swap, LVM2, a partition table and its own VG's PV",
        disks: &[Disk::new("pv1", 32), Disk::new("pv2", 32), Disk::new("big", 320)],
        run: signatures,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "refuse-in-use",
        about: "a mounted or held device, an LV, and no device at all are refused, --force or not",
        disks: fixture::THREE,
        run: in_use,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "refuse-shrunk",
        about: "a PV that became smaller than it says is refused; larger is no matter",
        disks: fixture::TWO,
        run: shrunk,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "refuse-names",
        about: "names that are taken or not allowed, bad arguments: status and text",
        disks: fixture::THREE,
        run: names,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "refuse-second-mover",
        about: "a second mover on the VG is refused and told who holds it; other VGs move",
        disks: fixture::FOUR,
        run: second_mover,
        ..Scenario::DEFAULT
    },
];

/// Bytes of a whole disk, as a hash.
fn whole(guest: &Guest, device: &Path) -> Result<u64> {
    guest.drop_caches()?;
    guest.hash_device(device)
}

fn signatures(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1"])?;
    let writer = fixture::writer(&rig.lv("lv", 4, &[])?, 701)?;
    let (disk, big) = (guest.disk("pv2")?, guest.disk("big")?);
    let (path, big_path) = (disk.display().to_string(), big.display().to_string());
    let make: &[(&str, &Path, String)] = &[
        ("ext4", &disk, format!("mkfs.ext4 -q -F {path}")),
        ("xfs", &big, format!("mkfs.xfs -q -f {big_path}")),
        ("swap", &disk, format!("mkswap {path}")),
        ("lvm2", &disk, format!("lvm pvcreate -ff -y {path}")),
        // Nothing that is built in knows this.
        ("ubi", &disk, format!("printf 'UBI#' | dd of={path} conv=notrunc,fsync")),
        ("gpt", &disk, format!("printf 'label: gpt\\n' | sfdisk -q {path}")),
    ];
    for (name, device, line) in make {
        guest.sh(&format!("dd if=/dev/zero of={} bs=1M count=2 conv=fsync", device.display()))?;
        guest.sh(line)?;
        let before = whole(guest, device)?;
        let text = device.display().to_string();
        for args in
            [&["pvcreate", &text][..], &["vgcreate", "other", &text], &["vgextend", VG, &text]]
        {
            let run = guest.lvshift(args)?.fails_with(5)?.stderr_has(&text)?;
            ensure!(run.stderr.to_lowercase().contains(name), "does not say {name}: {run}");
        }
        ensure!(whole(guest, device)? == before, "a refusal wrote to the {name} device");
    }
    // Not without being told, and then it does.
    guest.lvshift(&["pvcreate", "--force", "--yes", &path])?.ok()?;
    guest.lvshift(&["vgextend", VG, &path])?.ok()?;
    // Its own PV, in its own VG.
    let rig = Rig::found(guest, vec![rig.devices[0].clone(), disk.clone()]);
    let heads = rig.heads()?;
    for n in [1, 2] {
        let pv = rig.pv(n);
        guest.lvshift(&["pvcreate", &pv])?.fails_with(5)?.stderr_has(VG)?;
        guest.lvshift(&["pvremove", &pv])?.fails_with(5)?.stderr_has(VG)?;
        guest.lvshift(&["vgcreate", "other", &pv])?.fails_with(5)?.stderr_has(&pv)?;
    }
    ensure!(rig.heads()? == heads, "a refusal wrote something");
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest().map(drop)
}

fn in_use(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1"])?;
    let lv = rig.lv("lv", 4, &[])?;
    let writer = fixture::writer(&lv, 711)?;
    let mounted = guest.disk("pv2")?;
    guest.mkfs(Fs::Ext4, &mounted)?;
    let mount = guest.mount(Fs::Ext4, &mounted, "busy")?;
    let faulty = guest.faulty("pv3")?;
    let held = faulty.lower().to_path_buf();
    let refuse = |device: &Path, text: &str| -> Result<()> {
        let device = device.display().to_string();
        for args in [
            &["pvcreate", &device][..],
            &["pvcreate", "--force", "--yes", &device],
            &["pvremove", "--force", "--yes", &device],
        ] {
            let run = guest.lvshift(args)?.fails_with(5)?.stderr_has(&device)?;
            ensure!(run.stderr.contains(text), "does not say {text:?}: {run}");
        }
        Ok(())
    };
    let before = guest.hash_region(&Region::new(&held, 0, DATA))?;
    refuse(&mounted, "mounted")?;
    refuse(&held, "use")?;
    refuse(&lv, "LV")?;
    refuse(&rig.devices[0], "use")?;
    refuse(Path::new("/dev/no-such-disk"), "no device")?;
    refuse(Path::new("/dev/null"), "block device")?;
    refuse(Path::new("/etc/passwd"), "block device")?;
    ensure!(guest.hash_region(&Region::new(&held, 0, DATA))? == before, "a refusal wrote");
    mount.umount()?;
    guest.fsck(Fs::Ext4, &mounted)?;
    faulty.remove()?;
    // Of an LV that is in use nothing is taken away.
    for args in [
        &["lvremove", "-f", "-y", "vg/lv"][..],
        &["lvchange", "-a", "n", "vg/lv"],
        &["vgchange", "-a", "n", VG],
        &["vgremove", "-f", "-y", VG],
    ] {
        let run = guest.lvshift(args)?.fails_with(5)?;
        ensure!(run.stderr.contains("use") || run.stderr.contains("open"), "{run}");
        fixture::served(&writer)?;
    }
    writer.stop()?.clean()?;
    rig.at_rest().map(drop)
}

fn shrunk(guest: &mut Guest) -> Result<()> {
    let mut small = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, small.path()])?;
    let lv = rig.lv("lv", 4, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 721)?;
    let heads = rig.heads()?;
    let full = small.sectors();
    small.shrink(full - EXTENT)?;
    for args in [&["pvmove", &rig.pv(1), &rig.pv(2)][..], &["lvcreate", "-n", "x", "-l", "1", VG]] {
        let run = guest.lvshift(args)?.fails_with(5)?.stderr_has(&rig.pv(2))?;
        ensure!(run.stderr.contains("smaller"), "does not say why: {run}");
    }
    guest.lvshift(&["vgck", VG])?.fails_with(5)?.stderr_has("smaller")?;
    fixture::served(&writer)?;
    small.good()?;
    ensure!(rig.heads()? == heads, "a refusal wrote something");
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.lies("lv", &[(2, 0, 4)])
}

fn names(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 4, &[rig.pv(1)])?;
    rig.lv("other", 1, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 731)?;
    let spare = guest.disk("pv3")?.display().to_string();
    guest.lvshift(&["pvcreate", &spare])?.ok()?;
    let all: Vec<PathBuf> = [&rig.devices[..], &[guest.disk("pv3")?]].concat();
    let all = Rig::found(guest, all);
    let heads = all.heads()?;
    let long = "x".repeat(128);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["vgcreate", VG, &spare], 5, VG),
        (&["lvcreate", "-n", "lv", "-l", "1", VG], 5, "lv"),
        (&["lvrename", "vg/lv", "other"], 5, "other"),
        (&["lvrename", "vg/lv", "b@d"], 3, "b@d"),
        (&["lvcreate", "-n", "a/b", "-l", "1", VG], 3, "a/b"),
        (&["lvcreate", "-n", "..", "-l", "1", VG], 3, ".."),
        (&["lvcreate", "-n", &long, "-l", "1", VG], 3, "x"),
        (&["lvcreate", "-n", "x", VG], 3, ""),
        (&["lvcreate", "-n", "x", "-l", "0", VG], 3, ""),
        (&["lvcreate", "-n", "x", "-L", "1q", VG], 3, "1q"),
        (&["lvcreate", "-n", "x", "-l", "1000", VG], 5, "1000"),
        (&["lvcreate", "-n", "x", "-l", "1", "nobody"], 5, "nobody"),
        (&["lvcreate", "-n", "x", "-l", "1", VG, &spare], 5, &spare),
        (&["lvextend", "-l", "+1000", "vg/lv"], 5, ""),
        (&["lvextend", "-l", "+1", "vg/nobody"], 5, "nobody"),
        (&["lvremove", "-f", "vg/nobody"], 5, "nobody"),
        (&["vgcreate", "-s", "3m", "new", &spare], 3, "extent size"),
        (&["vgreduce", VG, &rig.pv(1)], 5, &rig.pv(1)),
        (&["vgextend", "nobody", &spare], 5, "nobody"),
        (&["vgck", "nobody"], 5, "nobody"),
        (&["vgchange", "-a", "maybe", VG], 3, "maybe"),
        (&["no-such-command"], 3, "no-such-command"),
        (&[], 3, ""),
    ];
    for (args, status, text) in cases {
        let run = guest.lvshift(args)?.fails_with(*status)?.stderr_has(text)?;
        ensure!(!run.stderr.is_empty(), "refused without a word: {run}");
        ensure!(all.heads()? == heads, "a refusal wrote something: {run}");
    }
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest().map(drop)
}

fn second_mover(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let lv = rig.lv("lv", 20, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 741)?;
    let others = ["pv3", "pv4"].map(|disk| guest.disk(disk).map(|d| d.display().to_string()));
    let [three, four] = others;
    let (three, four) = (three?, four?);
    guest.lvshift(&["pvcreate", &three, &four])?.ok()?;
    guest.lvshift(&["vgcreate", "-s", "1m", "other", &three, &four])?.ok()?;
    guest.lvshift(&["lvcreate", "-n", "lv", "-l", "2", "other", &three])?.ok()?;

    rig.slow_copy(&slow, 500)?;
    let mut moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    let holder = moving.pid().to_string();
    for args in [&[&rig.pv(1)[..], &rig.pv(2)][..], &[&rig.pv(2), &rig.pv(1)]] {
        rig.pvmove(args)?.fails_with(5)?.stderr_has(&holder)?;
    }
    // What is being moved is left alone by the other commands.
    for args in [
        &["lvremove", "-f", "-y", "vg/lv"][..],
        &["lvextend", "-l", "+1", "vg/lv"],
        &["vgreduce", VG, &rig.pv(2)],
        &["vgremove", "-f", "-y", VG],
    ] {
        guest.lvshift(args)?.fails_with(5)?;
    }
    guest.lvshift(&["pvmove", &three, &four])?.ok()?;
    // LVs of the same VG that do not move can be made and removed meanwhile.
    guest.lvshift(&["lvcreate", "-n", "new", "-l", "1", VG])?.ok()?;
    guest.lvshift(&["lvremove", "-f", "-y", "vg/new"])?.ok()?;
    ensure!(moving.is_running()?, "the first mover gave up: {}", moving.stderr());
    rig.full_speed(&mut slow)?;
    moving.wait(fixture::HANG)?.ok()?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.lies("lv", &[(2, 0, 20)])?;
    rig.reads_from_its_places("lv")
}
