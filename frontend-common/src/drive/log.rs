//! The first writing of a move's dirty logs: all dirty. And reading them for a diagnosis.

use lvshift_core::metadata::MovePart;
use lvshift_core::units::{LvIndex, MoveIndex, Sectors};
use lvshift_on_disk_format::dirty_log;

use crate::device::Aligned;
use crate::error::{Error, Kind, Result};
use crate::front_end::View;
use crate::pv::Member;

/// Where a part's image is, and for how many chunks.
pub(super) struct Image<'a> {
    pub(super) member: &'a Member,
    pub(super) start: Sectors,
    pub(super) chunks: u32,
}

impl<'a> Image<'a> {
    pub(super) fn of(view: View<'a>, part: &MovePart) -> Result<Image<'a>> {
        let wrong = || Error::new(Kind::Inconsistent, "a dirty log is outside its area");
        let member = view
            .members
            .get(part.destination.pv)
            .ok_or_else(|| Error::new(Kind::Missing, "the PV with the dirty log is missing"))?;
        let chunk = view.vg.move_at(part.of).ok_or_else(wrong)?.chunk_sectors;
        let sectors = view.vg.extent_size().span(part.count).0;
        let chunks = u32::try_from(sectors.div_ceil(u64::from(chunk))).map_err(|_| wrong())?;
        let end = part.log_offset.0.checked_add(dirty_log::image_size(chunks) / 512);
        if end.is_none_or(|end| end > member.log_size.0) {
            return Err(wrong());
        }
        let start = member.log_start.checked_add(part.log_offset).ok_or_else(wrong)?;
        Ok(Image { member, start, chunks })
    }

    fn bytes(&self) -> usize {
        usize::try_from(dirty_log::image_size(self.chunks)).unwrap_or(dirty_log::BLOCK_SIZE)
    }

    /// The image as it is on the device.
    pub(super) fn read(&self) -> Result<Aligned> {
        let mut image = Aligned::zeroed(self.bytes());
        self.member.pv.device.read(self.start, &mut image)?;
        Ok(image)
    }
}

/// Writes and flushes the images of this LV's parts of the move.
pub(super) fn write_all_dirty(view: View<'_>, of: MoveIndex, lv: LvIndex) -> Result<()> {
    let mut written: Vec<&Member> = Vec::new();
    for part in view.vg.parts_of(of).iter().filter(|part| part.lv == lv) {
        let image = Image::of(view, part)?;
        let mut bytes = Aligned::zeroed(image.bytes());
        let first = dirty_log::all_dirty_first_block(image.chunks);
        if let Some(block) = bytes.get_mut(..first.len()) {
            block.copy_from_slice(&first);
        }
        image.member.pv.device.write(image.start, &bytes)?;
        if written.iter().all(|other| other.uuid != image.member.uuid) {
            written.push(image.member);
        }
    }
    // The commit that follows flushes first, too; neither is to rest on the other.
    written.into_iter().try_for_each(|member| member.pv.device.flush())
}
