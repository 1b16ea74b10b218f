//! What the file says of a VG.

use lvshift_core::units::LvIndex;
use serde::{Deserialize, Serialize};

use crate::vg::{OpenVg, Vg};

/// The first words of a file that is one of these.
pub(super) const FORMAT: &str = "lvshift VG, text 1";

#[derive(Deserialize, Serialize)]
pub(super) struct VgText {
    pub(super) format: String,
    pub(super) name: String,
    pub(super) uuid: String,
    pub(super) sequence: u64,
    pub(super) extent_sectors: u32,
    #[serde(default)]
    pub(super) system_id: Option<String>,
    #[serde(default = "yes")]
    pub(super) autoactivation: bool,
    pub(super) pvs: Vec<PvText>,
    pub(super) lvs: Vec<LvText>,
    pub(super) moves_recorded: usize,
}

#[derive(Deserialize, Serialize)]
pub(super) struct PvText {
    pub(super) uuid: String,
    pub(super) device: Option<String>,
    pub(super) device_sectors: u64,
    pub(super) data_start_sector: u64,
    pub(super) extents: u32,
}

#[derive(Deserialize, Serialize)]
pub(super) struct LvText {
    pub(super) name: String,
    pub(super) uuid: String,
    pub(super) extents: u32,
    #[serde(default = "yes")]
    pub(super) autoactivation: bool,
    pub(super) segments: Vec<SegmentText>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct SegmentText {
    pub(super) first_extent: u32,
    pub(super) extents: u32,
    pub(super) pv: String,
    pub(super) pv_first_extent: u32,
}

/// What a file from before there was the word means.
fn yes() -> bool {
    true
}

pub(super) fn of(open: &OpenVg) -> VgText {
    let vg: &Vg = open.vg();
    let pvs = vg.pvs().iter().map(|pv| PvText {
        uuid: pv.uuid.to_string(),
        device: open.members().by_uuid(pv.uuid).map(|m| m.path.display().to_string()),
        device_sectors: pv.device_size.0,
        data_start_sector: pv.pe_start.0,
        extents: pv.pe_count.0,
    });
    VgText {
        format: FORMAT.to_owned(),
        name: vg.name().to_string(),
        uuid: vg.uuid().to_string(),
        sequence: vg.sequence(),
        extent_sectors: vg.extent_size().sectors(),
        system_id: vg.system_id().map(|id| id.as_str().to_owned()),
        autoactivation: vg.autoactivation(),
        pvs: pvs.collect(),
        lvs: lvs(vg),
        moves_recorded: vg.moves().len(),
    }
}

/// The LVs of a VG.
pub(super) fn lvs(vg: &Vg) -> Vec<LvText> {
    let text = |(at, lv): (LvIndex, &lvshift_core::metadata::Lv)| LvText {
        name: lv.name.to_string(),
        uuid: lv.uuid.to_string(),
        extents: lv.le_count.0,
        autoactivation: !lv.no_autoactivation,
        segments: segments(vg, at),
    };
    vg.lv_indices().zip(vg.lvs()).map(text).collect()
}

fn segments(vg: &Vg, lv: LvIndex) -> Vec<SegmentText> {
    let text = |segment: &lvshift_core::metadata::Segment| SegmentText {
        first_extent: segment.first.0,
        extents: segment.count.0,
        pv: vg.pv(segment.place.pv).map(|pv| pv.uuid.to_string()).unwrap_or_default(),
        pv_first_extent: segment.place.pe.0,
    };
    vg.segments_of(lv).iter().map(text).collect()
}
