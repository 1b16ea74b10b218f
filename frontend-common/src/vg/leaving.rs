//! A PV that takes no changes and is moved away from: recorded as such, so that no commit waits for it any more. What that
//! means for the others: docs/adr/0009.

use lvshift_core::metadata::CommitTarget;
use lvshift_core::units::Uuid;
use lvshift_on_disk_format::layout::bounds::MIN_SLOT_SIZE;

use super::{OpenVg, Vg};
use crate::device::Aligned;
use crate::error::{Error, Kind, Result};

impl OpenVg {
    /// Whether a PV becomes one that is being left where it does not take the change to `new`.
    pub(super) fn becomes_left(&self, new: &Vg, pv: Uuid) -> bool {
        let is_source = self.leaves == Some(pv) && self.can_be_read(pv);
        is_source && new.pv_by_uuid(pv).is_some_and(|at| new.may_be_leaving(at))
    }

    /// Whether a PV is there and gives its label: what gives nothing is not left but lost.
    pub(crate) fn can_be_read(&self, pv: Uuid) -> bool {
        self.device_of(pv).is_some_and(|member| !member.pv.unread && !member.pv.is_unreadable())
    }

    /// From now on a commit that this PV does not take is made without it, also where it concerns it.
    pub(crate) fn leaves(&mut self, pv: Uuid) {
        self.leaves = Some(pv);
    }

    /// Whether a commit that this PV does not take is made without it.
    pub(crate) fn is_left_if_it_fails(&self, pv: Uuid) -> bool {
        self.leaves == Some(pv)
    }

    /// Whether the VG records that the PV takes no changes and is being left.
    #[must_use]
    pub fn is_leaving(&self, pv: Uuid) -> bool {
        self.vg.pv_by_uuid(pv).is_some_and(|at| self.vg.is_leaving(at))
    }

    /// Writes the metadata that count once more to a PV, into the slot that does not hold its newest. It is what a commit
    /// does first on a PV that is late.
    ///
    /// # Errors
    /// What the PV does not take; `Kind::Missing` where it is not there.
    pub(crate) fn try_write(&mut self, pv: Uuid) -> Result<()> {
        let _lock = self.lock_unless_held()?;
        self.attended(true, |vg| vg.try_write_attended(pv))
    }

    fn try_write_attended(&mut self, pv: Uuid) -> Result<()> {
        self.reread_locked()?;
        self.rewrite(pv)
    }

    /// The same of metadata that were just read.
    pub(super) fn rewrite(&mut self, pv: Uuid) -> Result<()> {
        let at = self.vg.pv_by_uuid(pv).ok_or_else(|| self.missing_error(&[pv]))?;
        let member = self.members.get(at).ok_or_else(|| self.missing_error(&[pv]))?;
        let newest = self.newest_on(member).map(|(slot, _)| slot);
        let target = CommitTarget::new(at, newest, true);
        let mut buffer = Aligned::zeroed(usize::try_from(MIN_SLOT_SIZE * 512).unwrap_or(1 << 20));
        self.flush(&self.vg, at)
            .and_then(|()| self.write_slot(&self.vg, target, &mut buffer))
            .and_then(|()| self.flush(&self.vg, at))
            .map_err(|(_, error)| error)?;
        self.settle(self.vg.clone());
        Ok(())
    }

    /// Records that a PV takes no changes and is being left. Other PVs that are late and well are brought up to date with that,
    /// since they may be what makes more than half without this one.
    ///
    /// # Errors
    /// `Kind::State` where something is being moved to it; as [`OpenVg::commit`].
    pub(crate) fn begin_leaving(&mut self, pv: Uuid) -> Result<()> {
        if !self.can_be_read(pv) {
            return Err(self.missing_error(&[pv]));
        }
        {
            let _lock = self.lock_unless_held()?;
            self.attended(true, |vg| {
                vg.reread_locked()?;
                vg.check_writable()?;
                vg.bring_back_as_it_leaves(pv);
                Ok::<(), Error>(())
            })?;
        }
        // Whether or not that was done: this reads what came of it, and writes it to all that take it.
        self.commit(|vg| {
            let at = vg.pv_by_uuid(pv).ok_or_else(|| Error::changed_meanwhile("the VG"))?;
            if vg.set_leaving(at, vg.sequence()) {
                return Ok(());
            }
            Err(Error::new(Kind::State, "something is being moved to this PV")
                .state("nothing was changed")
                .next("undo that first: pvmove --abort"))
        })
    }
}
