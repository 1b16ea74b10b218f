//! What this program writes on a PV of LVM2's by itself, a dirty log, has a limit; and the extents of what was given up are not
//! freed before that has ended, since it would come over what they hold by then.

use std::collections::HashMap;

use lvshift_core::units::Sectors;

use super::id;
use super::text::{Area, Metadata};
use super::vg::Member;
use crate::device::DEADLINE;
use crate::error::{Error, Kind, Result};
use crate::lock::Fence;

/// Writes at the start of an area, and flushes.
///
/// # Errors
/// The device's, `Kind::Missing`, or `Kind::State` where something that was given up may still be written there.
pub(super) fn write(
    text: &Metadata,
    members: &HashMap<String, Member>,
    area: &Area,
    bytes: &[u8],
) -> Result<()> {
    let start = text
        .sector_of(area)
        .ok_or_else(|| Error::new(Kind::Inconsistent, "the dirty log has no place"))?;
    let (Some(member), Some(mut fence)) = (members.get(&area.of), fence(text, area)?) else {
        return Err(Error::new(Kind::Missing, "the PV with the dirty log is missing"));
    };
    if !fence.pass(true)? {
        return Err(may_be_written(member));
    }
    member.device.attend(true, Some(fence), Some(DEADLINE));
    let written = member.device.write(Sectors(start), bytes).and_then(|()| member.device.flush());
    member.device.dismiss();
    written
}

/// Whether nothing that was given up may still be written in an area.
///
/// # Errors
/// `Kind::State` if it may.
pub(super) fn may_be_freed(
    text: &Metadata,
    members: &HashMap<String, Member>,
    area: &Area,
) -> Result<()> {
    // What is gone writes nothing.
    let (Some(member), Some(mut fence)) = (members.get(&area.of), fence(text, area)?) else {
        return Ok(());
    };
    if fence.pass(false)? { Ok(()) } else { Err(may_be_written(member)) }
}

fn fence(text: &Metadata, area: &Area) -> Result<Option<Fence>> {
    let pv = text.pvs().into_iter().find(|pv| pv.key == area.of);
    pv.map(|pv| Fence::of(id::uuid(&pv.id))).transpose()
}

fn may_be_written(member: &Member) -> Error {
    Error::new(Kind::State, "what was to be written to a move's dirty log may still be written")
        .device(member.path.display())
        .state("its extents stay taken, and the move recorded, until that has ended")
        .next("when the device answers again, end the move by `pvmove` or `pvmove --abort`")
}
