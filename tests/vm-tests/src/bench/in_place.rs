//! Moves inside a VG of LVM2's: its own pvmove, and both front ends in place.

use std::time::Instant;

use anyhow::Result;

use super::contestant::{Tool, Volume};
use super::lab::{Lab, succeed};
use super::{crash, disk};

const MIB: u64 = 1 << 20;

/// One segment, eight small ones, and everything killed at 90 %.
pub(super) fn in_lvm2(lab: &mut Lab) -> Result<()> {
    let mib = lab.scale.mib(1024);
    lab.noise(mib)?;
    for tool in lab.turns(&Tool::ALL) {
        one_move(lab, tool, mib / 4, "", "one segment")?;
        one_move(lab, tool, 8, ":0:2:4:6:8:10:12:14", "eight segments of 4 MiB")?;
    }
    crash::in_lvm2(lab)
}

/// Moves so many extents, and says how long it took.
fn one_move(lab: &Lab, tool: Tool, extents: u64, places: &str, what: &str) -> Result<()> {
    let disks = lab.disks.clone();
    let volume = Volume::in_lvm2(tool, &disks, extents, places)?;
    let print = disk::fingerprint(&volume.node, extents * 4 * MIB)?;
    let start = Instant::now();
    succeed(&mut volume.pvmove(tool.quickly()))?;
    let took = start.elapsed().as_secs_f64();
    volume.lies_on(1)?;
    volume.holds(&print, extents * 4 * MIB)?;
    volume.remove()?;
    lab.sample(tool.name(), &format!("{what}, time"), "s", took);
    Ok(())
}
