//! dmeventd beside a move: LVM2 has it watch the mirrors that it makes, and repair what fails in them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::rig::{self, Lvm2, THREE, VG};
use crate::conformance::fixture::{self, HANG};
use crate::guest::Guest;
use crate::processes;
use crate::scenario::{Frontend, Scenario};
use crate::writer::Writer;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "lvm2-dmeventd",
    about: "dmeventd watches a move in an LVM2 VG: it goes on, and back when the destination dies; `--monitor n` is seen",
    frontends: Frontend::BOTH,
    disks: THREE,
    timeout_s: 400,
    run: watched,
    ..Scenario::DEFAULT
}];

fn watched(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let rig = Lvm2::over(guest, vec![guest.disk("pv1")?, slow.path(), guest.disk("pv3")?])?;
    let conf = std::fs::read_to_string("/etc/lvm/lvm.conf")?;
    std::fs::write("/etc/lvm/lvm.conf", conf.replace("monitoring=0", "monitoring=1"))?;
    let home = rig.lv("home", &[(1, 16)])?;
    let writer = rig::writer(&home, 2301)?;
    let (one, two, three) = (rig.pv(1), rig.pv(2), rig.pv(3));
    // A whole move that is watched from mid-copy on, and refreshed once by who watches.
    let mut moving = rig.spawn_move_slowly(&slow, 300, &[&one, &two])?;
    rig.wait_for_mid_copy()?;
    watch(&rig, &writer, true)?;
    rig.lvm_may_fail(&["vgchange", "--refresh", VG])?;
    ensure!(moving.is_running()?, "the move ended: it was too fast, or dmeventd ended it");
    fixture::served(&writer)?;
    rig.full_speed(&slow)?;
    moving.wait(HANG * 3)?.ok()?;
    over(&rig, &writer, 2)?;
    rig.pvmove(&[&two, &one])?.ok()?;
    over(&rig, &writer, 1)?;
    // Told no more, LVM2 makes a mirror without the handling of errors, which is not believed.
    let moving = rig.spawn_move_slowly(&slow, 300, &[&one, &two])?;
    rig.wait_for_mid_copy()?;
    watch(&rig, &writer, true)?;
    watch(&rig, &writer, false)?;
    guest.log(rig.tables()?);
    rig.full_speed(&slow)?;
    let run = moving.wait(HANG * 3)?;
    guest.log(format!("after `--monitor n`: {run}"));
    if run.status != Some(0) {
        rig.pvmove(&[])?;
        rig.pvmove(&[&one, &two])?.ok()?;
    }
    over(&rig, &writer, 2)?;
    rig.pvmove(&[&two, &one])?.ok()?;
    // A destination that dies under its eyes: what it would repair is LOCKED.
    let moving = rig.spawn_move_slowly(&slow, 300, &[&one, &two])?;
    rig.wait_for_mid_copy()?;
    watch(&rig, &writer, true)?;
    writer.forget_worst();
    slow.dead()?;
    moving.wait(HANG * 3)?.fails_with(5)?.stderr_has("destination")?;
    over(&rig, &writer, 1)?;
    let worst = writer.counters().worst;
    guest.log(format!("the longest wait of the application: {worst:?}"));
    ensure!(worst < HANG, "the application waited for {worst:?}");
    rig.pvmove(&[&one, &three])?.ok()?;
    rig.is_on("home", 3)?;
    rig.end([writer], &["home"])
}

/// Has LVM2 tell dmeventd to watch all that it watches of the VG, or to let go of it.
fn watch(rig: &Lvm2<'_>, writer: &Writer, on: bool) -> Result<()> {
    let run = rig.lvm_may_fail(&["vgchange", "--monitor", if on { "y" } else { "n" }, VG])?;
    rig.guest.log(format!("vgchange --monitor: {run}"));
    if on {
        let listening = || Ok(process("dmeventd")?.is_some());
        rig.guest.wait_for("there is a dmeventd", HANG, listening)?;
    }
    writer.wait_for_writes(1, HANG)
}

/// The number of the process of this name.
fn process(name: &str) -> Result<Option<i32>> {
    let called = |of: &Path| std::fs::read_to_string(of.join("comm")).unwrap_or_default();
    Ok(processes::all()?.find(|(_, of)| called(of).trim_end() == name).map(|(pid, _)| pid))
}

fn over(rig: &Lvm2<'_>, writer: &Writer, on: usize) -> Result<()> {
    // dmeventd may just be looking at what has gone.
    std::thread::sleep(Duration::from_millis(500));
    rig.at_rest()?;
    rig.is_on("home", on)?;
    fixture::served(writer)
}
