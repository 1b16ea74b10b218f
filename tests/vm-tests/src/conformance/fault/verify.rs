//! A disk that silently stores other bytes than it was given.

use anyhow::{Result, ensure};

use crate::conformance::fixture::{self, DATA, EXTENT, Rig};
use crate::guest::{Guest, Region};
use crate::scenario::Scenario;
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "fault-flipping-destination",
    about: "a destination flips bits: moved without a word; with --verify undone and named, under a writer",
    disks: fixture::TWO,
    run: flipping,
    ..Scenario::DEFAULT
}];

/// The extents of the LV that is verified, at the start of `pv1`, and on `pv2` behind one extent.
const EXTENTS: u32 = 4;

fn flipping(guest: &mut Guest) -> Result<()> {
    let mut bad = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, bad.path()])?;
    let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
    let plain = rig.lv("plain", 1, &[rig.pv(1)])?;
    let (from, to) = (rig.pv(1), rig.pv(2));
    guest.fill(&plain, 1)?;
    guest.fill(&lv, 4)?;
    // What is flipped lies behind what the writer has.
    let writer = Writer::start(Config { size: Some(3 * EXTENT * 512), ..Config::new(&lv, 941) })?;
    writer.wait_for_writes(10, fixture::HANG)?;

    // The control: a move that is not verified ends well, with a wrong byte.
    bad.flipping_writes(DATA + 800, 8)?;
    let bytes = |lv: &std::path::Path, first: u32| -> Result<u64> {
        guest.drop_caches()?;
        guest.hash_region(&Region::new(lv, u64::from(first) * EXTENT, EXTENT))
    };
    let before = bytes(&plain, 0)?;
    rig.pvmove(&["-n", "plain", &from, &to])?.ok()?;
    ensure!(bytes(&plain, 0)? != before, "the disk flips no byte: nothing below is tested");

    let before = bytes(&lv, 3)?;
    let sector = DATA + 4 * EXTENT + 800;
    bad.good()?;
    bad.flipping_writes(sector, 8)?;
    let run = rig.pvmove(&["--verify", "-n", "lv", &from, &to])?.fails_with(5)?;
    let run = run.stderr_has("from the source")?.stderr_has(&format!("{to} sectors {sector}-"))?;
    run.stderr_has("nothing was switched")?.stderr_has("vg/lv")?;
    rig.at_rest()?;
    rig.lies("lv", &[(1, 0, EXTENTS)])?;
    writer.outcome().clean()?;

    bad.good()?;
    rig.pvmove(&["--verify", "-n", "lv", &from, &to])?.ok()?;
    rig.at_rest()?;
    rig.lies("lv", &[(2, 1, EXTENTS)])?;
    ensure!(bytes(&lv, 3)? == before, "what was verified is not the same");
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.reads_from_its_places("lv")
}
