//! Reboots with nothing interrupted.

use anyhow::{Result, ensure};

use crate::conformance::fixture::{self, Rig, VG, lv_path};
use crate::guest::{Fs, Guest};
use crate::scenario::{Disk, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "reboot",
    about: "after a reboot vgchange -a y brings back every LV, with nodes, links and data",
    disks: &[Disk::new("pv1", 32), Disk::new("pv2", 32), Disk::new("pv3", 64)],
    state_disk: true,
    boots: 2,
    run: reboot,
    ..Scenario::DEFAULT
}];

const NAMES: &[&str] = &["a", "b-with-hyphens", "c.d_e+f"];

fn reboot(guest: &mut Guest) -> Result<()> {
    let disks = ["pv1", "pv2", "pv3"];
    if guest.boot() == 1 {
        let rig = Rig::new(guest, &disks)?;
        for (n, name) in (0u64..).zip(NAMES) {
            let lv = rig.lv(name, 5, &[rig.pv_at(1, "0-"), rig.pv_at(2, "0-")])?;
            let writer = fixture::writer(&lv, 401 + n)?;
            writer.pause();
            writer.checkpoint(&guest.state(name)?)?;
            writer.stop()?.clean()?;
        }
        let fs = rig.lv("fs", 30, &[rig.pv(3)])?;
        guest.mkfs(Fs::Ext4, &fs)?;
        let mounted = guest.mount(Fs::Ext4, &fs, "fs")?;
        mounted.fill("data", 8, 200_000, 5)?;
        let tree = format!("{:?}", mounted.hash("data")?);
        std::fs::write(guest.state("tree")?, tree)?;
        mounted.umount()?;
        rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
        std::fs::write(guest.state("sequence")?, rig.at_rest()?.sequence.to_string())?;
        guest.reboot();
    }
    let rig = Rig::found(guest, disks.iter().map(|d| guest.disk(d)).collect::<Result<_>>()?);
    for name in NAMES {
        ensure!(!lv_path(name).exists(), "{name} is there before it was activated");
    }
    guest.lvshift(&["vgchange", "-a", "y"])?.ok()?;
    let sequence = std::fs::read_to_string(guest.state("sequence")?)?;
    ensure!(rig.at_rest()?.sequence.to_string() == sequence, "activation changed the metadata");
    for (n, name) in (0u64..).zip(NAMES) {
        ensure!(rig.home(name)? == 2, "{name} is not where it was moved to");
        let joined = format!("/dev/mapper/{VG}-{}", name.replace('-', "--"));
        let link = guest.major_minor(lv_path(name))?;
        if guest.frontend() == crate::scenario::Frontend::Dm {
            ensure!(guest.major_minor(&joined)? == link, "{joined} and the link differ");
        }
        let writer = Writer::resume(Config::new(lv_path(name), 401 + n), &guest.state(name)?)?;
        fixture::served(&writer)?;
        writer.stop()?.clean()?;
        rig.reads_from_its_places(name)?;
    }
    guest.fsck(Fs::Ext4, lv_path("fs"))?;
    let mounted = guest.mount(Fs::Ext4, lv_path("fs"), "fs")?;
    let tree = std::fs::read_to_string(guest.state("tree")?)?;
    ensure!(format!("{:?}", mounted.hash("data")?) == tree, "files differ");
    mounted.umount()?;
    // Twice is once.
    guest.lvshift(&["vgchange", "-a", "y", VG])?.ok()?;
    guest.lvshift(&["vgchange", "-a", "n", VG])?.ok()?;
    ensure!(!lv_path("a").exists(), "a link is left over");
    guest.lvshift(&["vgchange", "-a", "y", VG])?.ok()?;
    ensure!(lv_path("a").exists(), "no link");
    rig.at_rest().map(drop)
}
