//! Where the dirty-log image of a part lies.

use lvshift_on_disk_format::dirty_log;

use super::{MovePart, Store, Vg};
use crate::units::{PvIndex, SECTOR_SIZE, Sectors};

/// The image of one part's dirty log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogImage {
    /// The PV it lies on: the destination's.
    pub pv: PvIndex,
    /// Its first sector on that PV's device.
    pub start: Sectors,
    /// Its length.
    pub sectors: Sectors,
    /// The chunks that it has a bit for.
    pub chunks: u32,
}

impl<S: Store> Vg<S> {
    /// Where the dirty log of a part lies; `None` where that would be outside of the log area of the
    /// destination's PV, which a valid VG's never is.
    pub fn log_image(&self, part: &MovePart) -> Option<LogImage> {
        let pv = self.pv(part.destination.pv)?;
        let chunks = self.part_chunks(part)?;
        let sectors = Sectors(dirty_log::image_size(chunks) / SECTOR_SIZE);
        let end = part.log_offset.checked_add(sectors)?;
        let start = pv.log_start.checked_add(part.log_offset)?;
        (end <= pv.log_size).then_some(LogImage { pv: part.destination.pv, start, sectors, chunks })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MovePart, Place, testing};
    use crate::units::PvIndex;

    #[test]
    fn an_image_lies_inside_of_its_area_or_nowhere() {
        let mut vg = testing::vg(&[10, 10]);
        testing::add_lv(&mut vg, "lv", &[testing::run(0, 0, 4)]);
        testing::plan(&mut vg, &testing::request(&[testing::whole(0)], &[]))
            .expect("there is room");
        let part = *vg.parts().first().expect("it has a move");
        let image = vg.log_image(&part).expect("a valid VG has one");
        let pv = vg.pv(image.pv).expect("its PV").clone();
        assert_eq!(image.start, pv.log_start.checked_add(part.log_offset).expect("small"));
        assert!(image.sectors.0 >= 8 && image.chunks > 0);
        let outside = MovePart { log_offset: pv.log_size, ..part };
        assert_eq!(vg.log_image(&outside), None);
        let destination = Place { pv: PvIndex(2), ..part.destination };
        assert_eq!(vg.log_image(&MovePart { destination, ..part }), None);
    }
}
