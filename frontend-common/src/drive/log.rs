//! The first writing of a move's dirty logs: all dirty. And reading them for a diagnosis.

use lvshift_core::metadata::{LogImage, MovePart};
use lvshift_core::units::{LvIndex, MoveIndex};
use lvshift_on_disk_format::dirty_log;

use crate::device::{Aligned, DEADLINE};
use crate::error::Result;
use crate::front_end::View;
use crate::pv::Member;

/// A part's image as it is on the device.
pub(crate) fn read(view: View<'_>, part: &MovePart) -> Result<Aligned> {
    let (member, place) = view.log_image(part)?;
    let mut image = Aligned::zeroed(bytes(place));
    member.pv.device.read_in_time(place.start, &mut image, DEADLINE)?;
    Ok(image)
}

/// Whether the log on the device calls no chunk of a part equal.
///
/// # Errors
/// The PV's, where it cannot be read.
pub fn log_is_all_dirty(view: View<'_>, part: &MovePart) -> Result<bool> {
    let (_, place) = view.log_image(part)?;
    Ok(dirty_log::count_clean(&read(view, part)?, place.chunks) == 0)
}

fn bytes(place: LogImage) -> usize {
    place.sectors.bytes().and_then(|bytes| bytes.try_into().ok()).unwrap_or(dirty_log::BLOCK_SIZE)
}

/// Writes and flushes the images of this LV's parts of the move.
pub(super) fn write_all_dirty(view: View<'_>, of: MoveIndex, lv: LvIndex) -> Result<()> {
    let mut written: Vec<&Member> = Vec::new();
    for part in view.vg.parts_of(of).iter().filter(|part| part.lv == lv) {
        let (member, place) = view.log_image(part)?;
        let mut image = Aligned::zeroed(bytes(place));
        let first = dirty_log::all_dirty_first_block(place.chunks);
        if let Some(block) = image.get_mut(..first.len()) {
            block.copy_from_slice(&first);
        }
        member.pv.device.write(place.start, &image)?;
        if written.iter().all(|other| other.uuid != member.uuid) {
            written.push(member);
        }
    }
    // The commit that follows flushes first, too; neither is to rest on the other.
    written.into_iter().try_for_each(|member| member.pv.device.flush())
}
