//! Both sides compared, over a disk that silently stores other bytes than it was given.

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{self, DATA, EXTENT, FAIL, HANG, Rig, lv_path};
use crate::guest::{Guest, Region};
use crate::scenario::{Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "ublk-verify",
    about: "what a destination has flipped once is copied again and told; what is mirrored is compared at any time",
    frontends: Frontend::UBLK,
    disks: fixture::TWO,
    run: verify,
    cpus: 2,
    ..Scenario::DEFAULT
}];

/// The extents of the LV, from extent 0 of `pv1`.
const EXTENTS: u32 = 6;

fn verify(guest: &mut Guest) -> Result<()> {
    let mut bad = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, bad.path()])?;
    let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
    let (from, to) = (rig.pv(1), rig.pv(2));
    guest.fill(&lv, (u64::from(EXTENTS) * EXTENT) >> 11)?;
    // What is flipped lies behind what the writer has, which would write it anew.
    let writer = Writer::start(Config { size: Some(64 << 10), ..Config::new(&lv, 941) })?;
    writer.wait_for_writes(10, HANG)?;

    // One that was flipped once is copied again and told, and the move ends.
    let at_rest = Region::new(lv_path("lv"), EXTENT, 5 * EXTENT);
    let before = guest.hash_region(&at_rest)?;
    bad.flipping_writes(DATA + EXTENT + 8, 8)?;
    rig.slow_copy(&bad, 0)?;
    // Nor is its chunk to be copied again for a write that met the copy.
    writer.pause();
    let moving = rig.spawn_move(&["--verify", "-n", "lv", &from, &to])?;
    rig.wait_for_mid_copy()?;
    rig.full_speed(&mut bad)?;
    writer.unpause();
    let run = moving.wait(HANG)?.ok()?;
    run.stdout_has(&format!("sectors {}-", DATA + EXTENT + 8))?;
    rig.at_rest()?;
    rig.lies("lv", &[(2, 0, EXTENTS)])?;
    guest.drop_caches()?;
    ensure!(guest.hash_region(&at_rest)? == before, "what was verified is not the same");

    // At any time, what is mirrored can be compared.
    let program = guest.frontend().binary();
    let args = ["pvmove", "--pace=none", "-n", "lv", &to, &from];
    let mut moving = guest.spawn_env(&[(FAIL, "stop:check-legs")], program, &args)?;
    stopped_at(guest, &mut moving)?;
    guest.lvshift(&["verify", "vg/lv"])?.ok()?.stdout_has("bytes are the same on both sides")?;
    // Where the copy of extent 5 of the LV is now: nobody is told of this write.
    let lower = guest.disk("pv1")?;
    guest.write_sectors(&lower, DATA + 5 * EXTENT + 16, &[0x5A; 512])?;
    let run = guest.lvshift(&["verify", "vg"])?.fails_with(5)?;
    run.stdout_has(&format!("sectors {}-{}", 5 * EXTENT + 16, 5 * EXTENT + 16))?;
    guest.lvshift(&["verify", "vg/lv"])?.ok()?;
    moving.signal(Signal::CONT)?;
    moving.wait(HANG)?.ok()?;
    rig.at_rest()?;
    guest.lvshift(&["verify", "vg/lv"])?.fails_with(5)?.stderr_has("is being moved")?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    guest.drop_caches()?;
    ensure!(guest.hash_region(&at_rest)? == before, "what was compared is not the same");
    rig.reads_from_its_places("lv")
}
