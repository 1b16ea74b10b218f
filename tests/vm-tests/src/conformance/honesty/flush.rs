//! A destination whose flushes fail: see the matrix in `honesty/mod.rs`. The disks are a program's, since no
//! target of device-mapper fails a flush and takes every write.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::disks::said;
use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{self, FAIL, HANG, Rig, VG, served};
use crate::guest::{Background, Guest, Run, Side};
use crate::scenario::Frontend;
use crate::writer::Writer;

const EXTENTS: u32 = 8;

pub(super) fn flush(guest: &mut Guest) -> Result<()> {
    let side = guest.side()?;
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 1521)?;

    // One flush, after the last copy. Whose it is does not matter: what it was to save may be lost.
    let moving = held(&rig)?;
    let run = failing(&rig, &side, &writer, moving, "error pv2 flush 0+1 1")?;
    said(run, &rig.pv(2))?;
    side.command("clear pv2")?;
    on_the_source(&rig, &writer)?;

    if guest.frontend() == Frontend::Dm {
        side_by_side(&rig, &side, &writer)?;
    }

    // Every flush: of the log and of the metadata, too.
    let moving = held(&rig)?;
    let run = failing(&rig, &side, &writer, moving, "error pv2 flush 0+1")?;
    said(run, &rig.pv(2))?;
    served(&writer)?;
    writer.outcome().clean()?;
    side.command("clear pv2")?;
    guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok()?;
    rig.pvmove(&[])?.ok()?;
    on_the_source(&rig, &writer)?;

    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    rig.lies("lv", &[(2, 0, EXTENTS)])?;
    served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}

/// One flush, while the source takes its time over its own: the kernel's mirror tells of neither before both are done. By
/// then the mover has flushed the destination well, and looked at the legs for the last time before the commit.
fn side_by_side(rig: &Rig<'_>, side: &Side, writer: &Writer) -> Result<()> {
    let moving = held(rig)?;
    writer.pause();
    // The mirror calls its regions clean, so that the next flush is the application's.
    std::thread::sleep(Duration::from_secs(2));
    side.command("delay pv1 flush 0+1 1000")?;
    let run = failing(rig, side, writer, moving, "error pv2 flush 0+1 1")?;
    side.command("clear pv1")?;
    side.command("clear pv2")?;
    said(run, &rig.pv(2))?;
    writer.unpause();
    on_the_source(rig, writer)
}

/// A move that has copied everything and stands before its first look at the legs.
fn held<'g>(rig: &Rig<'g>) -> Result<Background<'g>> {
    let env = [(FAIL, "stop:check-legs")];
    let args = ["pvmove", "--pace=none", &rig.pv(1), &rig.pv(2)];
    let mut moving = rig.guest.spawn_env(&env, rig.guest.frontend().binary(), &args)?;
    stopped_at(rig.guest, &mut moving)?;
    Ok(moving)
}

/// Sets the fault, lets the application flush, and then the mover go on.
fn failing(
    rig: &Rig<'_>,
    side: &Side,
    writer: &Writer,
    moving: Background<'_>,
    rule: &str,
) -> Result<Run> {
    side.command(rule)?;
    // A daemon holds the flush back until the mover goes on; the kernel's mirror does not.
    let patience = match rig.guest.frontend() {
        Frontend::Dm => HANG,
        Frontend::Ublk => Duration::from_secs(3),
    };
    std::thread::scope(|scope| {
        let flushed = scope.spawn(|| writer.flushed());
        let begun = Instant::now();
        while side.command("hit pv2").is_err() && begun.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(50));
        }
        moving.signal(Signal::CONT)?;
        let run = moving.wait(HANG * 3)?;
        let flushed = flushed.join().expect("a thread that does not panic");
        ensure!(flushed.is_ok(), "the source flushed well, and the application's failed");
        Ok(run)
    })
}

/// The source is in charge, nothing is left over, and the application has seen nothing.
fn on_the_source(rig: &Rig<'_>, writer: &Writer) -> Result<()> {
    served(writer)?;
    writer.outcome().clean()?;
    rig.at_rest()?;
    rig.lies("lv", &[(1, 0, EXTENTS)])
}
