//! `vgcfgbackup` and `vgcfgrestore`.

use anyhow::{Result, ensure};

use crate::conformance::fixture::{self, VG, lv_path};
use crate::guest::Guest;
use crate::scenario::Scenario;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "commands-vgcfgrestore",
    about: "an LV that was removed, and a VG of which nothing is left, come back from vgcfgbackup's file with what was on them",
    disks: fixture::TWO,
    run: restore,
    ..Scenario::DEFAULT
}];

const FILE: &str = "/run/backup.json";

fn restore(guest: &mut Guest) -> Result<()> {
    let disks = [guest.disk("pv1")?, guest.disk("pv2")?].map(|path| path.display().to_string());
    let [pv1, pv2] = &disks;
    let run = |line: &str| {
        let line = line.replace("PV1", pv1).replace("PV2", pv2);
        guest.lvshift(&line.split(' ').collect::<Vec<_>>())
    };
    run("vgcreate -s 1m vg PV1 PV2")?.ok()?;
    run("lvcreate -n home -L 8m vg PV1:0-3 PV2:5-8")?.ok()?;
    run("lvcreate -n opt --setautoactivation n -L 4m vg PV1")?.ok()?;
    let (home, opt) = (lv_path("home"), lv_path("opt"));
    for (lv, mib) in [(&home, 8), (&opt, 4)] {
        let lv = lv.display();
        guest.sh(&format!("dd if=/dev/urandom of={lv} bs=1M count={mib} conv=fsync"))?;
    }
    let bytes = [guest.hash_device(&home)?, guest.hash_device(&opt)?];
    let same = || -> Result<()> {
        run("vgchange -ay vg")?.ok()?;
        ensure!([guest.hash_device(&home)?, guest.hash_device(&opt)?] == bytes, "other bytes");
        let told = run("lvs --noheadings -S lv_autoactivation=enabled -o lv_name")?.ok()?;
        ensure!(told.stdout.trim() == "home", "autoactivation: {told}");
        run("vgck")?.ok()?;
        run("vgchange -an vg")?.ok().map(drop)
    };
    run(&format!("vgcfgbackup -f {FILE} vg"))?.ok()?;
    let put_back = format!("vgcfgrestore -f {FILE} vg");
    run(&put_back)?.fails_with(5)?.stderr_has("is active")?;
    run("vgchange -an vg")?.ok()?;
    run("lvremove -f vg/opt")?.ok()?;
    run(&put_back)?.ok()?.stdout_has("Restored volume group \"vg\"")?;
    same()?;

    // What lies elsewhere now is not given up without a word.
    run("lvremove -f vg/opt")?.ok()?;
    run("lvcreate -an -n other -l 4 vg PV1:4-7")?.ok()?;
    let asked = run(&put_back)?.fails_with(5)?;
    asked.stderr_has("What is on vg/other now is given up")?.stderr_has("nothing was changed")?;
    run("lvs vg/other")?.ok()?;
    run(&format!("{put_back} --force"))?.ok()?;
    same()?;

    // Nothing is left of the VG.
    run("vgremove -f vg")?.ok()?;
    run(&put_back)?.fails_with(5)?.stderr_has("No PV knows of VG vg any more")?;
    run("pvremove PV2")?.ok()?;
    let missing = run(&format!("{put_back} -y"))?.fails_with(5)?;
    let line = missing.stderr.split("pvcreate --uuid ").nth(1).unwrap_or_default();
    let uuid = line.split(' ').next().unwrap_or_default();
    run(&format!("pvcreate --uuid {uuid} PV2"))?.ok()?;
    run(&format!("{put_back} -y"))?.ok()?;
    same()?;

    guest.sh(&format!("sed -i 's/\"pv_first_extent\": 0/\"pv_first_extent\": 1/' {FILE}"))?;
    run(&format!("{put_back} --force"))?.fails_with(5)?.stderr_has("cannot be put back")?;
    same()?;
    ensure!(VG == "vg", "lv_path is of another VG");
    Ok(())
}
