//! What the messages about a move need to know, kept for when its record is gone.

use lvshift_core::units::Uuid;

use crate::vg::OpenVg;

/// A move in the words of those who read of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Its LVs.
    pub(crate) lvs: Vec<Uuid>,
    /// Their names, as VG/LV.
    pub(crate) names: Vec<String>,
    /// The paths of the PVs that it reads.
    pub(crate) from: Vec<String>,
    /// The paths of the PVs that it writes.
    pub(crate) to: Vec<String>,
    /// How much it is to move.
    pub(crate) bytes: u64,
}

impl Facts {
    /// As the metadata read last have it; nothing at all of a move that they do not record.
    pub(crate) fn of(vg: &OpenVg, of: Uuid) -> Facts {
        let mut facts = Facts::default();
        let model = vg.vg();
        let Some(of) = model.move_by_uuid(of) else { return facts };
        for lv in model.lvs_of_move(of) {
            if let Some(record) = model.lv(lv) {
                facts.lvs.push(record.uuid);
                facts.names.push(format!("{}/{}", model.name(), record.name));
            }
        }
        let path = |pv| match (vg.members().get(pv), model.pv(pv)) {
            (Some(member), _) => member.path.display().to_string(),
            (None, Some(pv)) => format!("missing PV {}", pv.uuid),
            (None, None) => String::new(),
        };
        for part in model.parts_of(of) {
            for (list, pv) in
                [(&mut facts.from, part.source.pv), (&mut facts.to, part.destination.pv)]
            {
                let path = path(pv);
                if !list.contains(&path) {
                    list.push(path);
                }
            }
            facts.bytes += model.extent_size().span(part.count).bytes().unwrap_or(0);
        }
        facts
    }
}
