//! The record of a move on its VG's PVs: committing its changes, and whose failure a failure was.

use std::time::Duration;

use lvshift_core::metadata::{ApplyError, Change, MoveState};
use lvshift_core::units::Uuid;
use lvshift_driver::MayLack;

use crate::device::DEADLINE;
use crate::error::{Error, Kind, Result};
use crate::front_end::FrontEnd;
use crate::vg::{OpenVg, Vg};

/// How long a PV is waited for on the way back.
const WAY_BACK: Duration = Duration::from_secs(10);

/// Commits a change of the record. Nothing is committed behind the back of whoever serves the LV.
pub(super) fn commit(
    vg: &mut OpenVg,
    front_end: &mut dyn FrontEnd,
    of: Uuid,
    change: Change,
) -> Result<()> {
    let lacks = MayLack::new(change);
    let patience = vg.patience;
    // What can do without a PV does not wait for it for long.
    if change == Change::Aborting {
        vg.patience = Some(WAY_BACK);
    }
    let committed = vg.commit_without(
        |vg| {
            let may_commit = change != Change::Moved
                || vg.move_by_uuid(of).is_some_and(|at| front_end.seal_again(vg, at));
            if !may_commit {
                return Err(replaced());
            }
            match vg.apply(of, change) {
                // Written once more all the same: perhaps not every PV holds it.
                Ok(()) | Err(ApplyError::AlreadyDone { .. }) => Ok(()),
                Err(ApplyError::NoSuchMove) if change == Change::Forget => Ok(()),
                Err(error) => Err(Error::new(Kind::State, error.to_string())),
            }
        },
        &|vg, pv| may_lack(&lacks, vg, of, pv),
    );
    vg.patience = patience;
    committed
}

fn replaced() -> Error {
    Error::new(Kind::State, "who serves the LV was replaced right before the commit")
        .state("nothing was committed; the legs are looked at again")
}

fn may_lack(lacks: &MayLack, vg: &Vg, of: Uuid, pv: Uuid) -> bool {
    let (Some(of), Some(pv)) = (vg.move_by_uuid(of), vg.pv_by_uuid(pv)) else { return false };
    if vg.parts_of(of).iter().any(|part| vg.is_leaving(part.source.pv)) {
        // It holds no commit, so the destination has to.
        return false;
    }
    let recorded: Option<MoveState> = vg.move_at(of).map(|record| record.state);
    let parts = vg.parts_of(of);
    let source = parts.iter().any(|part| part.source.pv == pv);
    let destination = parts.iter().any(|part| part.destination.pv == pv);
    lacks.pv(recorded, source, destination)
}

/// Whether a commit has failed on a destination, for all that is known: its flush may have
/// dropped what the application had written there.
pub(super) fn is_of_destination(vg: &OpenVg, of: Uuid, error: &Error) -> bool {
    let Some(of) = vg.vg().move_by_uuid(of) else { return true };
    let Some(devices) = error.device.as_deref() else { return error.kind == Kind::Io };
    vg.vg().parts_of(of).iter().any(|part| {
        let member = vg.members().get(part.destination.pv);
        member.is_none_or(|member| {
            let path = member.path.display().to_string();
            devices.split(", ").any(|device| device == path)
        })
    })
}

/// Flushes every PV that the move writes, once.
pub(super) fn flush_destination(vg: &OpenVg, of: Uuid) -> Result<()> {
    let of = vg.vg().move_by_uuid(of).ok_or_else(gone)?;
    let mut flushed = Vec::new();
    for part in vg.vg().parts_of(of) {
        let pv = part.destination.pv;
        if !flushed.contains(&pv) {
            let member = vg.members().get(pv).ok_or_else(|| {
                Error::new(Kind::Missing, "the destination of the move is missing")
            })?;
            member.pv.device.flush_in_time(DEADLINE)?;
            flushed.push(pv);
        }
    }
    Ok(())
}

pub(super) fn gone() -> Error {
    Error::new(Kind::State, "the move is not recorded any more")
}

#[cfg(test)]
mod tests {
    use lvshift_core::units::PvIndex;

    use super::super::tests::rig;
    use super::*;

    #[test]
    fn the_way_back_does_without_one_side_so_that_a_dead_source_holds_no_write_for_ever() {
        let rig = rig(90);
        let vg = rig.vg.vg();
        let pv = |at| vg.pv(PvIndex(at)).expect("a PV").uuid;
        let (source, destination, of) = (pv(0), pv(1), rig.moves[0]);
        for (gone, left) in [(source, destination), (destination, source)] {
            let lacks = MayLack::new(Change::Aborting);
            assert!(may_lack(&lacks, vg, of, gone));
            assert!(
                !may_lack(&lacks, vg, of, left),
                "no PV is left that says that the log is void"
            );
            assert!(may_lack(&lacks, vg, of, gone));
            // Queued: nothing of it is on any device, and no commit but this goes back.
            assert!(!may_lack(&MayLack::new(Change::Forget), vg, of, gone));
            assert!(!may_lack(&MayLack::new(Change::Moved), vg, of, gone));
        }
        assert!(!may_lack(&MayLack::new(Change::Aborting), vg, of, Uuid([9; 16])));
    }
}
