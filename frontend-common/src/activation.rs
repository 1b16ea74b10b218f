//! Which mapping an LV is activated with when a move of it is recorded. One rule never breaks: an
//! LV whose record says Copying is never made writable on the source alone before the dirty log
//! is durably void.

use lvshift_core::metadata::{ApplyError, Change, FoundSlot, MoveState};
use lvshift_core::mover::Mapping;
use lvshift_core::units::{LvIndex, MoveIndex, PvIndex, Uuid};

use crate::error::{Error, Kind, Result};
use crate::exclusive;
use crate::front_end::{ActiveLv, FrontEnd};
use crate::journal::Journal;
use crate::links;
use crate::lock;
use crate::system_id;
use crate::vg::OpenVg;

/// What an activation of several LVs did.
#[derive(Debug, Default)]
pub struct Activated {
    /// The LVs that are active now (also those that already were).
    pub active: Vec<(Uuid, ActiveLv)>,
    /// The LVs that are not, and why.
    pub failed: Vec<Error>,
    /// Sentences worth saying: a move that waits for `pvmove`, a log that was voided.
    pub notes: Vec<String>,
}

/// Activates one LV and returns its device with sentences worth saying.
///
/// # Errors
/// `Kind::Missing` when one of its PVs is missing, `Kind::Kernel`, `Kind::Io`.
pub fn activate(
    vg: &mut OpenVg,
    front_end: &mut dyn FrontEnd,
    lv: Uuid,
) -> Result<(ActiveLv, Vec<String>)> {
    with_table(vg, front_end, lv, false)
}

/// As [`activate`], for an LV that this host has served since it was booted and whose server has died:
/// were its move not this host's own, it would have got its table only after the log was void. The
/// journal is not asked, since a daemon may see no file systems.
///
/// # Errors
/// As [`activate`].
pub fn take_over(
    vg: &mut OpenVg,
    front_end: &mut dyn FrontEnd,
    lv: Uuid,
) -> Result<(ActiveLv, Vec<String>)> {
    with_table(vg, front_end, lv, true)
}

fn with_table(
    vg: &mut OpenVg,
    front_end: &mut dyn FrontEnd,
    lv: Uuid,
    served: bool,
) -> Result<(ActiveLv, Vec<String>)> {
    let index = find(vg, lv)?;
    if front_end.active(vg.vg(), index)?.is_some() {
        // The table stays; a link that is missing is made.
        return Ok((front_end.activate(vg.view(), index, Mapping::Source, false)?, Vec::new()));
    }
    exclusive::check(front_end.name(), vg.vg(), index)?;
    if !served {
        system_id::check(vg.vg())?;
        links::check(vg.vg().name().as_str())?;
    }
    let mut notes = Vec::new();
    let (_lock, mapping) = match vg.vg().move_of_lv(index) {
        None => (None, Mapping::Source),
        Some(_) => {
            // No mover may begin or end the move while its LV gets its table.
            let lock = lock::mover(vg.vg().uuid(), lock::ACTIVATES)?;
            vg.reread()?;
            confirm(vg)?;
            match find(vg, lv).map(|index| vg.vg().move_of_lv(index))? {
                Some(of) => (Some(lock), mapping_in_a_move(vg, lv, of, served, &mut notes)?),
                None => (Some(lock), Mapping::Source),
            }
        }
    };
    let index = find(vg, lv)?;
    refuse_missing(vg, index, mapping)?;
    Ok((front_end.activate(vg.view(), index, mapping, false)?, notes))
}

fn find(vg: &OpenVg, lv: Uuid) -> Result<LvIndex> {
    vg.vg().lv_by_uuid(lv).ok_or_else(|| Error::new(Kind::NotFound, format!("there is no LV {lv}")))
}

/// A commit that a crash cut short may stand on one PV alone. An LV under a move that is served by it
/// would be served by the other side when that PV is missing the next time; so the PVs are made to
/// agree first.
fn confirm(vg: &mut OpenVg) -> Result<()> {
    if vg.health().agrees_on(vg.vg().sequence()) {
        return Ok(());
    }
    vg.update_metadata().map_err(|error| {
        error.state("the LV is not active: its PVs do not agree how far its move has come")
    })
}

fn mapping_in_a_move(
    vg: &mut OpenVg,
    lv: Uuid,
    of: MoveIndex,
    served: bool,
    notes: &mut Vec<String>,
) -> Result<Mapping> {
    let Some(record) = vg.vg().move_at(of).cloned() else { return Ok(Mapping::Source) };
    let name = find(vg, lv).ok().and_then(|at| vg.vg().lv(at)).map(|lv| lv.name.to_string());
    let name = name.unwrap_or_default();
    match record.state {
        MoveState::Queued | MoveState::Aborting => {
            notes.push(format!("LV {name}: an interrupted move waits; pvmove sees to it"));
            Ok(Mapping::Source)
        }
        MoveState::Moved => {
            notes.push(format!("LV {name}: its move is done but for the tidying up; see pvmove"));
            Ok(Mapping::Final)
        }
        MoveState::Copying => {
            let known = served || Journal::open()?.knows(record.uuid);
            let sound = are_there(vg, of);
            let read = may_be_read(vg, of);
            if known && sound && read {
                notes.push(format!(
                    "LV {name}: its interrupted move goes on from its dirty log; pvmove finishes it"
                ));
                return Ok(Mapping::Mirrored);
            }
            let why = match (known, sound) {
                (false, _) => "it began on another host",
                (true, false) => "a PV of it is missing",
                (true, true) => "a metadata slot of its PVs cannot be read",
            };
            void_log(vg, record.uuid)?;
            notes.push(format!(
                "LV {name}: its interrupted move cannot go on ({why}); it will be undone by pvmove"
            ));
            Ok(Mapping::Source)
        }
    }
}

/// Whether the PVs of the move are there, and could be read. What is committed of a move they hold, one side at
/// least, and the log is believed only where both are there: no third PV can know better.
fn are_there(vg: &OpenVg, of: MoveIndex) -> bool {
    vg.vg().parts_of(of).iter().flat_map(|part| [part.source.pv, part.destination.pv]).all(|pv| {
        let health = vg
            .vg()
            .pv(pv)
            .and_then(|pv| vg.health().pvs.iter().find(|health| health.uuid == pv.uuid));
        vg.members().get(pv).is_some() && health.is_some_and(|health| health.path.is_some())
    })
}

/// Whether every slot of the PVs of the move could be read. One that could not may hold what voids the log:
/// it is not an absent one.
fn may_be_read(vg: &OpenVg, of: MoveIndex) -> bool {
    vg.vg().parts_of(of).iter().flat_map(|part| [part.source.pv, part.destination.pv]).all(|pv| {
        // One that is being left is given nothing: what voids the log is on the destination.
        if vg.vg().is_leaving(pv) {
            return true;
        }
        let slots = vg.members().get(pv).map(|member| member.pv.found.slots);
        slots.is_none_or(|slots| all_read(&slots))
    })
}

fn all_read(slots: &[FoundSlot]) -> bool {
    !slots.contains(&FoundSlot::Bad(None))
}

/// Commits that the source is in charge and the log means nothing; without the destination if it
/// must be, never without a source.
fn void_log(vg: &mut OpenVg, of: Uuid) -> Result<()> {
    vg.commit_without(
        |vg| match vg.apply(of, Change::Aborting) {
            Ok(()) | Err(ApplyError::AlreadyDone { .. }) => Ok(()),
            Err(error) => Err(Error::new(Kind::State, error.to_string())),
        },
        &|vg, pv| {
            let (Some(of), Some(pv)) = (vg.move_by_uuid(of), vg.pv_by_uuid(pv)) else {
                return false;
            };
            let parts = vg.parts_of(of);
            parts.iter().all(|part| !vg.is_leaving(part.source.pv))
                && parts.iter().any(|part| part.destination.pv == pv)
                && parts.iter().all(|part| part.source.pv != pv)
        },
    )
    .map_err(|error| error.state("the LV is not active: its dirty log could not be made void"))
}

fn refuse_missing(vg: &OpenVg, lv: LvIndex, mapping: Mapping) -> Result<()> {
    let model = vg.vg();
    let mut needed: Vec<PvIndex> = model.segments_of(lv).iter().map(|s| s.place.pv).collect();
    if mapping == Mapping::Mirrored
        && let Some(of) = model.move_of_lv(lv)
    {
        needed.extend(model.parts_of(of).iter().filter(|p| p.lv == lv).map(|p| p.destination.pv));
    }
    let missing: Vec<Uuid> = needed
        .into_iter()
        .filter(|pv| vg.members().get(*pv).is_none())
        .filter_map(|pv| Some(model.pv(pv)?.uuid))
        .collect();
    match (missing.is_empty(), model.lv(lv)) {
        (false, Some(record)) => {
            let mut error = vg.missing_error(&missing);
            error.what = format!("LV {} cannot be activated: {}", record.name, error.what);
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Activates every LV of the VG that can be.
pub fn activate_all(vg: &mut OpenVg, front_end: &mut dyn FrontEnd) -> Activated {
    let mut activated = Activated::default();
    let uuids: Vec<Uuid> = vg.vg().lvs().iter().map(|lv| lv.uuid).collect();
    for lv in uuids {
        match activate(vg, front_end, lv) {
            Ok((device, notes)) => {
                activated.active.push((lv, device));
                activated.notes.extend(notes);
            }
            Err(error) => activated.failed.push(error),
        }
    }
    activated
}

/// Takes the LV's device down; refused while a mover drives a move of it.
///
/// # Errors
/// `Kind::InUse` when it is open, `Kind::Locked` when it is being moved.
pub fn deactivate(vg: &OpenVg, front_end: &mut dyn FrontEnd, lv: Uuid) -> Result<()> {
    let index = find(vg, lv)?;
    if exclusive::other_holder(front_end.name(), vg.vg().uuid(), lv).is_some() {
        // What the other front end serves is not ours to take down, nor is the link to it.
        return Ok(());
    }
    let _lock = match vg.vg().move_of_lv(index) {
        Some(_) => Some(lock::mover(vg.vg().uuid(), lock::DEACTIVATES).map_err(|mut error| {
            let name = vg.vg().lv(index).map(|lv| lv.name.to_string()).unwrap_or_default();
            error.what = format!("LV {}/{name} is being moved: {}", vg.vg().name(), error.what);
            error
        })?),
        None => None,
    };
    front_end.deactivate(vg.vg(), index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_cannot_be_read_is_not_an_absent_one() {
        assert!(all_read(&[FoundSlot::Blank, FoundSlot::Blank]));
        assert!(!all_read(&[FoundSlot::Blank, FoundSlot::Bad(None)]));
        let damaged = lvshift_on_disk_format::slot::open(&[1; 8192]).map(|_| ()).unwrap_err();
        assert!(all_read(&[FoundSlot::Bad(Some(damaged))]), "it was read: it holds no metadata");
    }
}
