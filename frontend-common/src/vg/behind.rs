//! PVs that a commit does without since they are missing or fail, and how they are brought up to date. What may
//! be done without is core's to say: `core/src/metadata/behind.rs`; why, docs/on-disk-format.md.

use lvshift_core::metadata::{
    Area, Choice, CommitResult, CommitTarget, Found, FoundSlot, Lag, Pv, choose_on, newest_here,
    rivals,
};
use lvshift_core::units::{PvIndex, Uuid};
use lvshift_on_disk_format::layout::bounds::MIN_SLOT_SIZE;

use super::commit::{MayLack, Written};
use super::read::decode;
use super::{OpenVg, Vg};
use crate::device::Aligned;
use crate::error::{Error, Kind, Result};
use crate::pv::{Member, probe};

#[cfg(test)]
mod tests;

/// Whether the newest metadata that PVs hold are those that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Yes,
    /// Others were begun, and some PVs may hold them.
    No,
}

impl OpenVg {
    /// The PVs that commits were made without, and that do not hold them yet.
    pub(super) fn behind(&self) -> Vec<Uuid> {
        let behind = self.vg.pvs().iter().filter(|pv| pv.behind.is_some());
        behind.map(|pv| pv.uuid).collect()
    }

    /// What [`OpenVg::update_metadata`] has done, in words: they are on every PV, or on all but those that are left behind.
    #[must_use]
    pub fn was_updated(&self) -> String {
        let name = |pv: Uuid| match self.device_of(pv) {
            Some(member) => member.path.display().to_string(),
            None => format!("PV {pv}, which is missing"),
        };
        let left: Vec<String> = self.behind().into_iter().map(name).collect();
        let but = if left.is_empty() { String::new() } else { format!(" but {}", left.join(", ")) };
        format!("VG {}: the newest metadata were written to every PV{but}", self.vg.name())
    }

    /// Whether a PV that is missing or fails does not need to hold the change to `new`.
    pub(super) fn may_be_left(&self, new: &Vg, pv: Uuid) -> bool {
        self.becomes_left(new, pv)
            || !self.vg.concerns(new, pv) && !self.lacks_what_concerns_it(new, pv)
    }

    /// Whether a PV that is there does not hold, since a commit was cut off, what concerns it: its LVs can be
    /// in use as that commit made them, and it alone would not tell. Those on a missing one are not in use.
    ///
    /// It keeps no PV from being left that takes no changes: it can never be told, and alone it may be wrong from then on
    /// anyhow (docs/adr/0009).
    fn lacks_what_concerns_it(&self, new: &Vg, pv: Uuid) -> bool {
        if new.pv_by_uuid(pv).is_some_and(|at| new.is_leaving(at)) {
            return false;
        }
        let there = self.vg.pv_by_uuid(pv).filter(|at| !self.vg.is_behind(*at));
        let Some((at, member)) = there.zip(self.device_of(pv)) else { return false };
        let Some((slot, behind @ 1..)) = self.newest_on(member) else { return false };
        if self.vg.lag(at, self.vg.sequence().saturating_sub(behind)) != Lag::Known {
            return false;
        }
        let Ok(bytes) = probe::read_slot(&member.pv.device, &member.pv.label, slot) else {
            return true;
        };
        let mut held = Vg::empty();
        held.decode_from(&bytes).map_or(true, |_| held.concerns(new, pv))
    }

    /// Records in `new` that it is made without these PVs.
    ///
    /// # Errors
    /// `Kind::Missing` where too few are left.
    pub(super) fn leave(&self, new: &mut Vg, pvs: &[Uuid]) -> Result<()> {
        for pv in pvs {
            if let Some(at) = new.pv_by_uuid(*pv) {
                new.set_behind(at, Some(self.vg.sequence()));
                if self.becomes_left(new, *pv) {
                    new.set_leaving(at, self.vg.sequence());
                }
            }
        }
        self.check_majority(new)
    }

    /// The PVs on which nothing new is to be put: those that are missing, cannot be read, or are behind.
    #[must_use]
    pub fn unusable(&self) -> Vec<Area> {
        let usable = |pv: &PvIndex| {
            self.members.get(*pv).is_some_and(|member| !member.pv.unread) && !self.vg.is_behind(*pv)
        };
        self.vg.pv_indices().filter(|pv| !usable(pv)).map(Area::whole).collect()
    }

    /// Whether the VG can be changed without the PVs that are missing now.
    ///
    /// # Errors
    /// `Kind::Missing` where too few are left.
    pub fn check_missing(&self) -> Result<()> {
        self.leave_missing(&mut self.vg.clone(), &|_, _| false).map(drop)
    }

    /// Leaves behind what is missing, and names what was not left before; refuses a change that concerns a PV
    /// which is missing or behind.
    pub(super) fn leave_missing(&self, new: &mut Vg, may_lack: MayLack<'_>) -> Result<Vec<Uuid>> {
        let (mut lacking, mut missing) = (Vec::new(), Vec::new());
        for pv in new.pvs() {
            let device = self.device_of(pv.uuid);
            if (device.is_some() && pv.behind.is_none()) || may_lack(&self.vg, pv.uuid) {
                continue;
            }
            match (self.may_be_left(new, pv.uuid), device) {
                (true, _) if pv.behind.is_none() => missing.push(pv.uuid),
                (true, _) => {}
                (false, None) => lacking.push(pv.uuid),
                (false, Some(member)) => return Err(self.is_behind(member)),
            }
        }
        if !lacking.is_empty() {
            return Err(self.missing_error(&lacking));
        }
        self.leave(new, &missing)?;
        Ok(missing)
    }

    /// Brings those that were left behind up to date, and records with that that this PV is being left: they may be what makes
    /// more than half without it. One commit says both: the PV, which takes no changes, would keep one that says
    /// only the first from being made.
    pub(super) fn bring_back_as_it_leaves(&mut self, leaves: Uuid) -> Known {
        let left = self.vg.sequence();
        let at = self.vg.pv_by_uuid(leaves).filter(|at| self.vg.may_be_leaving(*at));
        let behind = self.late_beside(leaves);
        at.map_or(Known::Yes, |at| {
            self.bring_back_and(&behind, false, |new| {
                new.set_leaving(at, left);
            })
        })
    }

    /// The PVs that commits were made without, but for this one.
    fn late_beside(&self, pv: Uuid) -> Vec<Uuid> {
        let mut behind = self.behind();
        behind.retain(|late| *late != pv);
        behind
    }

    /// Before a commit that brings none back: where the PV that everything is being moved away from takes no changes any more, and the others
    /// are too few without those that are late, it is recorded now that it is being left, and these are brought up to date with that. What the
    /// commit is to say cannot be said in one with it: it concerns PVs that have to hold what is before.
    pub(super) fn leave_where_late_ones_are_needed(&mut self) -> Result<()> {
        let ceases = self.leaves.filter(|pv| !self.is_leaving(*pv) && self.can_be_read(*pv));
        let Some(pv) = ceases.filter(|pv| !self.late_beside(*pv).is_empty()) else {
            return Ok(());
        };
        if self.leave(&mut self.vg.clone(), &[pv]).is_ok() || self.rewrite(pv).is_ok() {
            return Ok(());
        }
        match self.bring_back_as_it_leaves(pv) {
            Known::Yes => Ok(()),
            Known::No => self.reread_locked(),
        }
    }

    /// Writes these metadata to every PV that is there, also to what was left behind, since a person chose them: no
    /// number of PVs is asked for. What is missing is left behind.
    ///
    /// # Errors
    /// `Kind::Missing` where a side of a move that has begun is; as [`OpenVg::commit`].
    pub(super) fn write_as_chosen(&mut self, above: u64) -> Result<()> {
        let mut new = self.vg.clone();
        new.bump_above(above);
        let mut lacking = Vec::new();
        for (pv, at) in self.vg.pvs().iter().zip(self.vg.pv_indices()) {
            if pv.leaving {
                continue;
            }
            let there = self.device_of(pv.uuid).is_some_and(|member| !member.pv.unread);
            if !there && !self.may_be_left(&new, pv.uuid) {
                lacking.push(pv.uuid);
            }
            let left = pv.behind.or(Some(self.vg.sequence()));
            new.set_behind(at, left.filter(|_| !there));
        }
        if !lacking.is_empty() {
            return Err(self.missing_error(&lacking));
        }
        self.write_out(new, &|_, _| false)
    }

    fn is_behind(&self, member: &Member) -> Error {
        let (name, path) = (self.vg.name(), member.path.display());
        if self.vg.pv_by_uuid(member.uuid).is_some_and(|at| self.vg.is_leaving(at)) {
            let what = format!("this PV of VG {name} takes no changes and is being left");
            return Error::new(Kind::State, what).device(&path).state("nothing was changed").next(format!(
                "pvmove {path}, then vgreduce {name} {path}; vgck --updatemetadata {name} if it takes changes again"
            ));
        }
        let what = format!("VG {name} was changed without this PV, which does not hold that yet");
        Error::new(Kind::Stale, what)
            .device(path)
            .state("nothing was changed")
            .next(format!("vgck --updatemetadata {name} brings it up to date"))
    }

    /// Where a PV is left behind, more than half of the VG's PVs hold the change, by the list before it and by
    /// that after it: whoever finds the others alone cannot do the same.
    fn check_majority(&self, new: &Vg) -> Result<()> {
        let takes = |pv: Uuid| {
            let listed = new.pv_by_uuid(pv).is_some_and(|at| !new.is_behind(at));
            let joins = self.vg.pv_by_uuid(pv).is_none();
            listed && self.device_of(pv).is_some_and(|member| joins || self.is_sure_of(member))
        };
        let nothing_left = new.pvs().iter().all(|pv| pv.behind.is_none());
        let is_left = |pv| new.pv_by_uuid(pv).is_some_and(|at| new.is_leaving(at));
        let old_too = self.vg.pvs().is_empty() || self.vg.is_majority_without(is_left, takes);
        if nothing_left || self.asked || (old_too && new.is_majority(takes)) {
            return Ok(());
        }
        let counts = new.pvs().iter().filter(|pv| !pv.leaving).map(|pv| pv.uuid);
        let all = counts.clone().count();
        let absent: Vec<Uuid> = counts.filter(|pv| !takes(*pv)).collect();
        let count = all - absent.len();
        let names: Vec<String> = absent.iter().map(ToString::to_string).collect();
        let name = self.vg.name();
        // One that is being left, or is to be, is not asked to take changes again.
        let late = |pv: &Uuid| {
            !is_left(*pv) && self.vg.pv_by_uuid(*pv).is_none_or(|at| !self.vg.is_leaving(at))
        };
        let late =
            self.behind().iter().filter(|pv| late(pv)).any(|pv| self.device_of(*pv).is_some());
        let late = if late { format!("vgck --updatemetadata {name}, or ") } else { String::new() };
        let mut error = self.missing_error(&absent).next(format!(
            "{late}attach the device, then try again; or give up what is missing: vgreduce --removemissing {name}"
        ));
        error.what = format!(
            "{count} of the {all} PVs of VG {name} can take the change, and more than half have to; not PV {}",
            names.join(", ")
        );
        Err(error)
    }

    /// Whether a PV could not hold newer metadata that are only not seen.
    fn is_sure_of(&self, member: &Member) -> bool {
        !member.pv.unread
            && self.newest_on(member).is_some()
            && !member.pv.found.slots.contains(&FoundSlot::Bad(None))
    }

    /// Brings PVs up to date that commits before the last were made without. One that still fails, or is
    /// not there, stays behind; `any`: also one that was away for longer than is recorded.
    ///
    /// First it gets the metadata as they are, in which it is behind; then those in which it is not are
    /// written to the PVs that lack nothing, and to it last. So it counts again only once the others say so.
    pub(super) fn bring_back(&mut self, pvs: &[Uuid], any: bool) -> Known {
        self.bring_back_and(pvs, any, |_| {})
    }

    /// The same before a change. What was begun and not ended is read first, as by the next command: the change would be
    /// written with its number.
    pub(super) fn bring_back_first(&mut self, any: bool) -> Result<()> {
        match self.bring_back(&self.behind(), any) {
            Known::Yes => Ok(()),
            Known::No => self.reread_locked(),
        }
    }

    /// The same, in metadata that say something else, too.
    fn bring_back_and(&mut self, pvs: &[Uuid], any: bool, change: impl FnOnce(&mut Vg)) -> Known {
        let back: Vec<Uuid> = pvs.iter().copied().filter(|pv| self.catch_up(*pv, any)).collect();
        if back.is_empty() {
            return Known::Yes;
        }
        self.settle(self.vg.clone());
        let mut new = self.vg.clone();
        new.bump();
        for pv in &back {
            if let Some(at) = new.pv_by_uuid(*pv) {
                new.set_behind(at, None);
            }
        }
        change(&mut new);
        // Those that are back may be what makes more than half, where another is missing now.
        if let Err(error) = self.leave_missing(&mut new, &|_, _| false) {
            tracing::debug!(%error, "not brought up to date");
            return Known::Yes;
        }
        for theirs in [false, true] {
            let those = |pv: &Pv| back.contains(&pv.uuid) == theirs;
            let mut written = self.write_everywhere(&new, &those, &|_, _| false);
            // Nothing of it is written yet, and those that are back may be what makes more than half without one that fails.
            while let (false, Ok(Written::Without(pv, _))) = (theirs, &written)
                && self.leave(&mut new, &[*pv]).is_ok()
            {
                written = self.write_everywhere(&new, &those, &|_, _| false);
            }
            let result = match written {
                Ok(Written::Ended(ended)) => ended.result,
                _ => None,
            };
            if let (false, Some(CommitResult::Partial(failed))) = (theirs, &result) {
                let failed: Vec<Uuid> =
                    failed.iter().filter_map(|pv| Some(new.pv(*pv)?.uuid)).collect();
                if failed.iter().all(|pv| self.may_be_left(&new, *pv)) {
                    return self.bring_back_without(new, &failed);
                }
            }
            if result != Some(CommitResult::Committed) {
                // The next commit finds out who fails, and makes the rest agree.
                tracing::debug!(?back, "not brought up to date");
                return Known::No;
            }
        }
        self.settle(new);
        for pv in back {
            let path = self.device_of(pv).map(|member| member.path.display().to_string());
            tracing::info!(path = path.unwrap_or_default(), "this PV is up to date again");
        }
        Known::Yes
    }

    /// Metadata in which PVs are back were written to the others, of which these failed. That they do is recorded with the
    /// next, which the PVs that are back take, too: they may be what makes more than half without these.
    fn bring_back_without(&mut self, new: Vg, failed: &[Uuid]) -> Known {
        self.settle(new);
        let mut next = self.vg.clone();
        next.bump();
        let recorded = self.leave(&mut next, failed);
        match recorded.and_then(|()| self.write_out(next, &|_, _| false)) {
            Ok(()) => Known::Yes,
            Err(error) => {
                tracing::debug!(%error, "not brought up to date");
                Known::No
            }
        }
    }

    fn catch_up(&self, pv: Uuid, any: bool) -> bool {
        let Some(at) = self.vg.pv_by_uuid(pv).filter(|at| self.vg.is_behind(*at)) else {
            return false;
        };
        let Some(member) = self.members.get(at) else { return false };
        if member.pv.unread || !member.pv.label.is_writable() {
            return false;
        }
        if self.vg.is_leaving(at) && !any {
            return false;
        }
        let newest = self.newest_on(member);
        let sequence = newest.map(|(_, behind)| self.vg.sequence().saturating_sub(behind));
        let known = sequence.is_none_or(|sequence| self.vg.lag(at, sequence) != Lag::Unknown);
        if !known && !any && self.vg.used_extents(at).0 > 0 {
            let vg = self.vg.name();
            let path = member.path.display();
            tracing::warn!(%path, "this PV was away for longer than VG {vg} knows, or was changed apart from it: it is left as it is; vgck --updatemetadata {vg} takes it as it is");
            return false;
        }
        let target = CommitTarget::new(at, newest.map(|(slot, _)| slot), true);
        let mut buffer = Aligned::zeroed(usize::try_from(MIN_SLOT_SIZE * 512).unwrap_or(1 << 20));
        // What is read of it may stand in its cache alone, and its other slot is written over.
        let done = self
            .flush(&self.vg, at)
            .and_then(|()| self.write_slot(&self.vg, target, &mut buffer))
            .and_then(|()| self.flush(&self.vg, at));
        match done {
            Ok(()) => true,
            Err((path, error)) => {
                tracing::debug!(path, %error, "still fails");
                false
            }
        }
    }
}

/// Of different metadata of one age those that count, where that can be told: made without every PV that holds others,
/// which were then cut off before more than half of the PVs had them. Where two are so, one of which more than half
/// cannot have counts for nothing; `None` where both may stand.
pub(super) fn made_without_the_others(
    uuid: Uuid,
    found: &[Found],
    pool: &[Member],
) -> Option<Choice> {
    let contents = |device: &Found| {
        let (_, header) = newest_here(uuid, device)?;
        Some((header.sequence, header.payload_size, header.payload_crc))
    };
    let newest = found.iter().filter_map(contents).map(|(sequence, ..)| sequence).max()?;
    let mut without_others = Vec::new();
    for device in rivals(uuid, found) {
        let choice = choose_on(uuid, found, device).ok()?;
        let (vg, _) = decode(pool, choice).ok()?;
        let own = contents(found.get(device)?);
        let mut others = found.iter().filter(|other| {
            contents(other).is_some_and(|(sequence, ..)| sequence == newest)
                && contents(other) != own
        });
        let left = |other: &Found| vg.pv_by_uuid(other.pv).is_some_and(|at| vg.is_behind(at));
        if others.all(left) {
            let may_hold = |pv: Uuid| {
                let there = found.iter().find(|device| device.pv == pv);
                there.is_none_or(|device| contents(device) == own)
            };
            without_others.push((choice, vg.is_majority(may_hold)));
        }
    }
    let mut standing = without_others.iter().filter(|(_, may_stand)| *may_stand);
    match (standing.next(), standing.next()) {
        (Some((choice, _)), None) => Some(*choice),
        (Some(_), Some(_)) => None,
        // None of them does: it is all one which is gone on from.
        (None, _) => without_others.first().map(|(choice, _)| *choice),
    }
}
