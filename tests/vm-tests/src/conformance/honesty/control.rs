//! The control of the matrix in `honesty/mod.rs`: LVM2's own pvmove under the same faults.
//!
//! What it lost is counted, and what it called done though something had failed. Nothing is required of
//! a single cell; but if it loses nothing at all, the faults are none.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::lvm2::{EXTENTS, HEAD, Lvm2};
use super::space::{BLOCK, Pool, provision};
use crate::conformance::honesty::{Extent, Fault};
use crate::guest::{Faulty, Guest, Run};
use crate::writer::Writer;

/// Where eight sectors of the LV are.
const PLACE: u64 = 10_000;
/// How long a pvmove may take; then it is killed, and counted as hanging.
const LIMIT: Duration = Duration::from_secs(12);
/// How long a disk is gone that comes back.
const MOMENT: Duration = Duration::from_millis(500);

pub(super) fn sectors(guest: &mut Guest) -> Result<()> {
    let faults = [Fault::SourceRead, Fault::CopyWrite, Fault::ApplicationWrite, Fault::Flush];
    let mut control = Control::new(guest)?;
    for fault in faults {
        Extent::ALL.iter().try_for_each(|extent| control.cell(fault, *extent))?;
    }
    ensure!(
        control.lossy > 0,
        "LVM2's pvmove lost nothing: the injection does not work, or LVM2 has learnt"
    );
    control.figures();
    Ok(())
}

pub(super) fn disks(guest: &mut Guest) -> Result<()> {
    let mut control = Control::new(guest)?;
    for fault in [Fault::DestinationGone, Fault::SourceGone, Fault::NoSpace] {
        Extent::ALL.iter().try_for_each(|extent| control.cell(fault, *extent))?;
    }
    control.figures();
    Ok(())
}

/// Two disks that can fail, and the numbers so far.
struct Control<'g> {
    guest: &'g Guest,
    one: Faulty<'g>,
    two: Faulty<'g>,
    cells: u64,
    /// Cells in which something was lost.
    lossy: u64,
    /// Sectors that hold something else than what was written there last.
    lost: u64,
    /// Cells that ended with status 0.
    done: u64,
    hung: u64,
}

impl<'g> Control<'g> {
    fn new(guest: &'g Guest) -> Result<Control<'g>> {
        let (one, two) = (guest.faulty("pv1")?, guest.faulty("pv2")?);
        guest.modprobe("dm-mirror")?;
        Ok(Control { guest, one, two, cells: 0, lossy: 0, lost: 0, done: 0, hung: 0 })
    }

    fn figures(&self) {
        let Control { cells, lossy, lost, done, hung, .. } = self;
        self.guest.log(format!("figure=honesty-control-cells {cells}"));
        self.guest.log(format!("figure=honesty-control-lossy {lossy}"));
        self.guest.log(format!("figure=honesty-control-lost-sectors {lost}"));
        self.guest.log(format!("figure=honesty-control-said-done {done}"));
        self.guest.log(format!("figure=honesty-control-hung {hung}"));
    }

    /// One fault under a pvmove on a new VG; whatever comes of it is counted, and taken away.
    fn cell(&mut self, fault: Fault, extent: Extent) -> Result<()> {
        let what = format!("{}, {extent:?}", fault.says());
        let pool = match fault {
            Fault::NoSpace => Some(self.thin(extent)?),
            _ => None,
        };
        let second = if pool.is_some() { "/dev/mapper/thin".to_owned() } else { self.two.arg() };
        let lvm = Lvm2 { guest: self.guest, pvs: [self.one.arg(), second] };
        let writer = lvm.begin(1600 + self.cells)?;
        let run = self.under_fault(&lvm, &writer, fault, extent);
        let run = run.with_context(|| what.clone())?;
        self.one.good()?;
        self.two.good()?;
        lvm.resume_all()?;
        self.guest.drop_caches()?;
        let outcome = writer.stop()?;
        let (lost, status) = (outcome.counters.mismatches, run.as_ref().and_then(|r| r.status));
        self.guest.log(format!("control: {what}: {lost} sectors lost, status {status:?}"));
        self.cells += 1;
        self.lossy += u64::from(lost > 0);
        self.lost += lost;
        self.done += u64::from(status == Some(0));
        self.hung += u64::from(run.is_none());
        lvm.end()?;
        if pool.is_some() {
            ["thin", "pool", "tdata", "tmeta"].iter().try_for_each(|n| self.guest.dm_remove(n))?;
        }
        Ok(())
    }

    /// What pvmove ended with; `None` if it had to be killed.
    fn under_fault(
        &mut self,
        lvm: &Lvm2<'_>,
        writer: &Writer,
        fault: Fault,
        extent: Extent,
    ) -> Result<Option<Run>> {
        let eight = extent == Extent::Eight;
        let (at, count) = if eight { (HEAD + PLACE, 8) } else { (HEAD, EXTENTS * 2048) };
        match fault {
            Fault::SourceRead => self.one.bad_reads(at, count)?,
            Fault::CopyWrite => self.two.bad_writes(at, count)?,
            // The last sectors of the disk are nobody's. A flakey target there fails flushes alone.
            Fault::Flush => self.two.bad_writes(self.two.sectors() - 8, 8)?,
            Fault::NoSpace => {}
            Fault::ApplicationWrite => {
                let moving = lvm.spawn_move(&["-i", "+3"])?;
                lvm.wait_for_chunks(|done, all| done == all)?;
                self.two.bad_writes(at, count)?;
                let all = || (0..EXTENTS * 2048).step_by(512).collect();
                let places: Vec<u64> = if eight { vec![PLACE] } else { all() };
                return std::thread::scope(|scope| {
                    scope.spawn(|| places.into_iter().for_each(|at| writer.write_now(at)));
                    Ok(moving.wait(LIMIT).ok())
                });
            }
            Fault::DestinationGone | Fault::SourceGone => {
                self.two.delay_writes(300)?;
                let moving = lvm.spawn_move(&["-i1"])?;
                lvm.wait_for_chunks(|done, _| done > 0)?;
                let gone = fault == Fault::DestinationGone;
                let gone = if gone { &mut self.two } else { &mut self.one };
                writer.unpause();
                gone.dead()?;
                if eight {
                    std::thread::sleep(MOMENT);
                    gone.good()?;
                }
                return Ok(moving.wait(LIMIT).ok());
            }
        }
        Ok(lvm.spawn_move(&["-i1"])?.wait(LIMIT).ok())
    }

    /// A thin device on the second disk with room for all but one block of what a move needs, or for
    /// nothing but LVM2's own.
    fn thin(&self, extent: Extent) -> Result<Pool<'g>> {
        let data = if extent == Extent::Eight { EXTENTS * 2048 - BLOCK } else { 0 };
        let pool = Pool::on(self.guest, &self.two.arg(), HEAD + data)?;
        provision(self.guest, "/dev/mapper/thin", HEAD)?;
        Ok(pool)
    }
}
