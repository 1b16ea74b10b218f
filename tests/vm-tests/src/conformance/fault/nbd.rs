//! The destination is a disk behind the network: its export dies in mid-copy and comes back.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::conformance::fixture::{self, DATA, HANG, Rig};
use crate::guest::{Background, Guest, Nbd};
use crate::scenario::{Frontend, Scenario};
use crate::writer::Writer;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "nbd-dies",
        about: "a move to a network disk: its export dies in mid-copy, comes back, the move is made",
        disks: fixture::TWO,
        timeout_s: 600,
        run: dies,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "nbd-waits",
        about: "a move to a network disk waits while the export is away and then goes on",
        disks: fixture::TWO,
        timeout_s: 600,
        run: waits,
        ..Scenario::DEFAULT
    },
];

const EXTENTS: u32 = 16;

/// How much each write to the data area of the export takes longer.
const SLOW: Duration = Duration::from_millis(25);

struct Bench<'g> {
    rig: Rig<'g>,
    nbd: Nbd<'g>,
    writer: Writer,
}

impl<'g> Bench<'g> {
    /// The second disk is behind the network.
    fn new(guest: &'g Guest, reconnect_s: u64, seed: u64) -> Result<Bench<'g>> {
        let nbd = guest.nbd("pv2", reconnect_s)?;
        let rig = Rig::over(guest, vec![guest.disk("pv1")?, nbd.path()])?;
        let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
        let writer = fixture::writer(&lv, seed)?;
        Ok(Bench { rig, nbd, writer })
    }

    /// A move in the background, of which some chunks are equal and some are not.
    fn in_mid_copy(&self) -> Result<Background<'g>> {
        match self.rig.guest.frontend() {
            Frontend::Dm => self.nbd.slow_writes(DATA, SLOW),
            Frontend::Ublk => self.rig.limit.set(&["--max-rate", "1m"]),
        }
        let moving = self.rig.spawn_move(&[&self.rig.pv(1), &self.rig.pv(2)])?;
        self.rig.wait_for_mid_copy()?;
        Ok(moving)
    }

    fn full_speed(&self) -> Result<()> {
        self.nbd.slow_writes(DATA, Duration::ZERO);
        self.rig.unlimited()
    }

    /// Everything is on the network disk, and no request of the application has failed.
    fn arrived(self) -> Result<()> {
        self.rig.at_rest()?;
        self.rig.lies("lv", &[(2, 0, EXTENTS)])?;
        fixture::served(&self.writer)?;
        self.writer.stop()?.clean()?;
        self.rig.reads_from_its_places("lv")?;
        self.rig.guest.lvshift(&["vgchange", "-a", "n", fixture::VG])?.ok()?;
        Ok(())
    }
}

fn dies(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 0, 471)?;
    let moving = bench.in_mid_copy()?;
    bench.nbd.die();
    let run = moving.wait(HANG * 2)?.fails_with(5)?;
    run.stderr_has(&bench.rig.pv(2))?.stderr_has("in charge")?;
    fixture::served(&bench.writer)?;
    bench.writer.outcome().clean()?;

    bench.nbd.come_back()?;
    bench.full_speed()?;
    // What is left of the first attempt is tidied up; then the PV, which was away, is taken back.
    bench.rig.pvmove(&[])?.ok()?;
    guest.lvshift(&["vgck", "--updatemetadata", fixture::VG])?.ok()?;
    bench.rig.lies("lv", &[(1, 0, EXTENTS)])?;
    bench.rig.pvmove(&[&bench.rig.pv(1), &bench.rig.pv(2)])?.ok()?;
    bench.arrived()
}

fn waits(guest: &mut Guest) -> Result<()> {
    let mut bench = Bench::new(guest, 120, 481)?;
    let mut moving = bench.in_mid_copy()?;
    bench.nbd.die();
    let written = bench.nbd.bytes_written();
    std::thread::sleep(Duration::from_secs(2));
    ensure!(moving.is_running()?, "it ended: {}{}", moving.stdout(), moving.stderr());
    ensure!(bench.nbd.bytes_written() == written, "a dead export was written");
    bench.nbd.come_back()?;
    bench.full_speed()?;
    moving.wait(HANG * 2)?.ok()?;
    ensure!(bench.nbd.bytes_written() > written, "the move ended without its destination");
    bench.arrived()
}
