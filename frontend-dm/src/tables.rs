//! Which numbers the metadata's names have on this host, and the tables made from them.

use lvshift_core::mover::Mapping;
use lvshift_core::table::{Area, Devices, Log, Segment, Shadow, Target, build};
use lvshift_core::units::{DeviceNumber, Extents, LvIndex, MoveIndex, PvIndex, Sectors};
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::front_end::View;

use crate::kernel::Kernel;
use crate::names::{self, Role};
use crate::reach::Reach;

/// The devices that the tables of one LV name.
pub(crate) struct Numbers<'a> {
    view: View<'a>,
    lv: LvIndex,
    shadow: Option<DeviceNumber>,
    /// The log of each part of the LV, by its index among all parts.
    logs: Vec<(usize, DeviceNumber)>,
    reach: Option<Reach>,
}

impl<'a> Numbers<'a> {
    /// Looks the helper devices up, where a move is meant.
    pub(crate) fn look_up(
        kernel: &Kernel,
        view: View<'a>,
        of: Option<MoveIndex>,
        lv: LvIndex,
    ) -> Result<Numbers<'a>> {
        let mut numbers = Numbers { view, lv, shadow: None, logs: Vec::new(), reach: None };
        let Some(of) = of else { return Ok(numbers) };
        let (vg_uuid, lv_uuid) = (view.vg.uuid(), view.lv(lv)?.uuid);
        let find = |role| kernel.find(&names::uuid(vg_uuid, lv_uuid, role));
        numbers.shadow = find(Role::Shadow)?.map(|info| info.number);
        for (number, (index, _)) in parts(view, of, lv).into_iter().enumerate() {
            if let Some(info) = find(Role::Log(number))? {
                numbers.logs.push((index, info.number));
            }
        }
        Ok(numbers)
    }

    /// The mirror reaches that far; all of each part without it.
    pub(crate) fn reaching(self, reach: Option<Reach>) -> Numbers<'a> {
        Numbers { reach, ..self }
    }
}

impl Devices for Numbers<'_> {
    type Device = DeviceNumber;

    fn pv(&self, pv: PvIndex) -> Option<DeviceNumber> {
        self.view.members.get(pv).map(|member| member.number)
    }

    fn shadow(&self, lv: LvIndex) -> Option<Shadow> {
        self.shadow.filter(|_| lv == self.lv).map(Shadow::Device)
    }

    fn log(&self, part: usize) -> Option<Log> {
        self.logs.iter().find(|(index, _)| *index == part).map(|(_, number)| Log::Disk(*number))
    }

    fn mirrored(&self, part: usize) -> Option<Sectors> {
        let reach = self.reach.as_ref()?;
        let found = reach.iter().find(|(index, _)| *index == part);
        Some(found.map_or(Sectors(0), |(_, sectors)| *sectors))
    }
}

/// The parts of a move that move this LV, each with its index among all parts.
pub(crate) fn parts(
    view: View<'_>,
    of: MoveIndex,
    lv: LvIndex,
) -> Vec<(usize, lvshift_core::metadata::MovePart)> {
    view.vg
        .parts()
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, part)| part.of == of && part.lv == lv)
        .collect()
}

/// The lines of the LV's table.
pub(crate) fn table(
    numbers: &Numbers<'_>,
    mapping: Option<(MoveIndex, Mapping)>,
) -> Result<Vec<Segment>> {
    build(numbers.view.vg, numbers.lv, mapping, numbers).collect::<Result<_, _>>().map_err(
        |error| {
            Error::new(Kind::Missing, "the table of the LV cannot be made")
                .because(error.to_string())
        },
    )
}

/// The table of a dirty-log device: its image in the log area of the destination's PV.
pub(crate) fn log_table(
    view: View<'_>,
    part: &lvshift_core::metadata::MovePart,
) -> Result<Vec<Segment>> {
    let (member, place) = view.log_image(part)?;
    let target = Target::Linear(Area { device: member.number, offset: place.start });
    Ok(vec![Segment { start: Sectors(0), len: place.sectors, target }])
}

/// A table of the LV's size that maps to nothing.
pub(crate) fn error_table(view: View<'_>, lv: LvIndex) -> Result<Vec<Segment>> {
    let count: Extents = view.lv(lv)?.le_count;
    let len = view.vg.extent_size().span(count);
    Ok(vec![Segment { start: Sectors(0), len, target: Target::Error }])
}
