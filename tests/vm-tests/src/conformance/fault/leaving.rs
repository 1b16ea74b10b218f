//! A source that can be read and takes no changes. The disks are a program's, since no target of device-mapper fails
//! every write and takes a flush, as a drive at the end of its life does.

use anyhow::{Result, ensure};

use crate::conformance::fixture::{self, EXTENT, HANG, Rig, VG, served};
use crate::guest::Guest;
use crate::scenario::Scenario;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "dying-read-only",
        about: "a source takes no writes: it is a PV all the same, is asked about, moved away from and taken out",
        disks: fixture::TWO,
        volatile: true,
        run: read_only,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "dying-turns-read-only",
        about: "a source takes no writes any more in mid-copy, under a writer; then a second one of three PVs does",
        disks: fixture::THREE,
        volatile: true,
        run: turns_read_only,
        ..Scenario::DEFAULT
    },
];

/// From now on this disk takes no writes, and answers all else.
pub(super) fn takes_no_writes(guest: &Guest, disk: &str) -> Result<()> {
    guest.side()?.command(format!("error {disk} write,zero 0+65536"))
}

fn read_only(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let good = Rig::found(guest, vec![slow.path()]);
    let (old, new) = (rig.pv(1), rig.pv(2));
    let lv = rig.lv("lv", 12, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 951)?;
    let second = fixture::writer(&rig.lv("other", 4, &[rig.pv(2)])?, 952)?;
    writer.pause();
    // Nothing is in flight a moment later.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let heads = rig.heads()?;

    takes_no_writes(guest, "pv1")?;
    guest.run("blockdev", &["--setro", &old])?.ok()?;
    guest.lvshift(&["pvs"])?.ok()?.stdout_has(&old)?;
    rig.pvmove(&[&old])?.fails_with(5)?.stderr_has(&old)?.stderr_has("--yes")?;
    ensure!(rig.heads()? == heads, "something was changed before the answer");
    rig.lies("lv", &[(1, 0, 12)])?;

    let mut slow = slow;
    rig.slow_copy(&slow, 300)?;
    let moving = rig.spawn_move(&["-y", &old, &new])?;
    good.wait_for_mid_copy()?;
    // The last of it is not copied yet: a write gets the error that it would have got.
    let errors = writer.outcome().counters.write_errors;
    writer.write_now(11 * EXTENT);
    let now = writer.outcome().counters.write_errors;
    ensure!(now == errors + 1, "a write that the source does not take was answered");
    served(&second)?;
    rig.full_speed(&mut slow)?;
    moving.wait(HANG)?.ok()?;
    good.lies("lv", &[(1, 4, 12)])?;
    writer.unpause();
    served(&writer)?;

    // Nothing is put there, and it is taken out.
    guest.lvshift(&["lvcreate", "-n", "no", "-l", "1", VG, &old])?.fails_with(5)?;
    guest.lvshift(&["lvcreate", "-n", "all", "-l", "100%FREE", VG])?.ok()?;
    guest.lvshift(&["lvremove", "-y", "vg/all"])?.ok()?;
    guest.lvshift(&["vgreduce", VG, &old])?.ok()?.stderr_has("stay on this PV")?;
    // It is still attached, and what stands on it counts for nothing.
    let check = || guest.lvshift(&["vgck", VG])?.fails_with(5)?.stderr_has("detach it");
    check()?.stderr_has(&format!("pvremove --force {old}"))?;
    guest.lvshift(&["pvremove", &old])?.fails_with(5)?.stderr_has("pvremove --force")?;
    guest.lvshift(&["pvremove", "--force", "-y", &old])?.fails_with(5)?;
    good.lies("lv", &[(1, 4, 12)])?;
    served(&writer)?;
    // It takes changes again: what is printed leads on.
    guest.side()?.command("clear pv1")?;
    guest.run("blockdev", &["--setrw", &old])?.ok()?;
    check()?;
    guest.lvshift(&["vgck", "--updatemetadata", VG])?.fails_with(5)?.stderr_has("detach it")?;
    guest.lvshift(&["pvremove", "--force", "-y", &old])?.ok()?;
    good.at_rest()?;
    second.stop()?.clean()?;
    writer.stop()?.intact()?;
    good.reads_from_its_places("lv")
}

fn turns_read_only(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let devices = vec![guest.disk("pv1")?, slow.path(), guest.disk("pv3")?];
    let rig = Rig::over(guest, devices.clone())?;
    let lv = rig.lv("lv", 8, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 961)?;
    let second = fixture::writer(&rig.lv("other", 4, &[rig.pv(3)])?, 962)?;

    rig.slow_copy(&slow, 300)?;
    let moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    takes_no_writes(guest, "pv1")?;
    // Whoever gets such an error ceases to write, as a file system does.
    guest.wait_for("the application sees it", HANG, || {
        Ok(writer.outcome().counters.write_errors > 0)
    })?;
    writer.pause();
    served(&second)?;
    rig.full_speed(&mut slow)?;
    moving.wait(HANG * 2)?.ok()?.stderr_has(&rig.pv(1))?;
    let others = Rig::found(guest, devices[1..].to_vec());
    others.lies("lv", &[(1, 0, 8)])?;
    writer.unpause();
    served(&writer)?;
    // It would write between the two looks.
    writer.pause();
    others.reads_from_its_places("lv")?;
    writer.unpause();

    // A second one, and the one that is left is all that counts.
    second.pause();
    rig.slow_copy(&slow, 300)?;
    let moving = rig.spawn_move(&[&rig.pv(3), &rig.pv(2)])?;
    others.wait_for_mid_copy()?;
    takes_no_writes(guest, "pv3")?;
    rig.full_speed(&mut slow)?;
    moving.wait(HANG * 2)?.ok()?.stderr_has(&rig.pv(3))?;
    second.unpause();
    served(&second)?;
    let good = Rig::found(guest, vec![slow.path()]);
    good.lies("other", &[(1, 8, 4)])?;
    guest
        .lvshift(&["vgreduce", VG, &rig.pv(1), &rig.pv(3)])?
        .ok()?
        .stderr_has("stay on this PV")?;
    for disk in ["pv1", "pv3"] {
        guest.side()?.command(format!("error {disk} all 0+65536"))?;
    }
    good.at_rest()?;
    served(&writer)?;
    second.stop()?.clean()?;
    writer.stop()?.intact()?;
    good.reads_from_its_places("lv")?;
    good.reads_from_its_places("other")
}
