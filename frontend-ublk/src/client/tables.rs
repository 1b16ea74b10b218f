//! The tables of an LV, made from the metadata, for the daemon.

use lvshift_core::mover::Mapping;
use lvshift_core::table::{Devices, Log, Segment, Shadow, build};
use lvshift_core::units::{DeviceNumber, LvIndex, MoveIndex, PvIndex};
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::front_end::View;

use crate::protocol::{Dev, WirePv, WireTable};

/// What the metadata's names are in tables of ours.
pub(super) struct Names<'a>(pub(super) View<'a>);

impl Devices for Names<'_> {
    type Device = Dev;

    fn pv(&self, pv: PvIndex) -> Option<Dev> {
        let number = self.0.members.get(pv)?.number;
        Some(Dev::Pv { major: number.major, minor: number.minor })
    }

    fn shadow(&self, _lv: LvIndex) -> Option<Shadow<Dev>> {
        Some(Shadow::Device(Dev::Shadow))
    }

    fn log(&self, part: usize) -> Option<Log<Dev>> {
        let (member, place) = self.0.log_image(self.0.vg.parts().get(part)?).ok()?;
        let DeviceNumber { major, minor } = member.number;
        Some(Log::Disk(Dev::Log { major, minor, sector: place.start.0 }))
    }
}

/// The LV's table in one mapping of a move, or as the metadata has it now.
pub(super) fn wire(
    view: View<'_>,
    lv: LvIndex,
    mapping: Option<(MoveIndex, Mapping)>,
) -> Result<WireTable> {
    let names = Names(view);
    let lines: Result<Vec<Segment<Dev>>, _> = build(view.vg, lv, mapping, &names).collect();
    let lines = lines.map_err(|error| {
        Error::new(Kind::Missing, "the table of the LV cannot be made").because(error.to_string())
    })?;
    Ok(WireTable::new(pvs(view), &lines))
}

/// The devices of all the VG's PVs: a daemon that takes over waits for each of them.
fn pvs(view: View<'_>) -> Vec<WirePv> {
    let members = view.members.iter();
    let pvs = members.map(|(index, member)| WirePv {
        uuid: member.uuid.0,
        path: member.path.to_string_lossy().into_owned(),
        major: member.number.major,
        minor: member.number.minor,
        disk_sequence: disk_sequence(member.number.major, member.number.minor),
        sectors: view.vg.pvs().get(index.index()).map_or(0, |pv| pv.device_size.0),
    });
    pvs.collect()
}

pub(super) fn disk_sequence(major: u32, minor: u32) -> Option<u64> {
    let path = format!("/sys/dev/block/{major}:{minor}/diskseq");
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}
