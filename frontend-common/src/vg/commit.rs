//! Changing a VG's metadata: read anew, change, write everywhere.

use lvshift_core::metadata::{
    Commit, CommitAction, CommitResult, CommitTarget, Lag, Pv, newest_here,
};
use lvshift_core::units::{PvIndex, Sectors, Uuid};
use lvshift_on_disk_format::SlotIndex;
use lvshift_on_disk_format::layout::bounds::MIN_SLOT_SIZE;

use super::{OpenVg, Vg};
use crate::device::Aligned;
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::lock;
use crate::pv::{Member, Members, repair_label};
use crate::system_id;

/// Which PVs a commit may do without.
pub(crate) type MayLack<'a> = &'a dyn Fn(&Vg, Uuid) -> bool;

impl OpenVg {
    /// Reads the metadata again under the lock, lets `change` alter it, and writes it with the
    /// next sequence number to every PV. A PV that is missing or fails, and that the change does not concern,
    /// is left behind where more than half hold it. Those left behind before are brought up to date first: the change
    /// may concern them, and they may be what makes more than half where another fails now. Those for which too few
    /// PVs take a change are, after it: it may have taken out what is missing.
    /// An error of `change` leaves all as it was.
    ///
    /// # Errors
    /// `Kind::Missing` when a PV is missing; `Kind::Stale` when one is back after more than one
    /// commit that it was not left behind by; `Kind::Io` naming the PVs that could not be written, and saying what holds now;
    /// whatever `change` returned.
    pub fn commit<T>(&mut self, change: impl FnOnce(&mut Vg) -> Result<T>) -> Result<T> {
        let _lock = self.lock_unless_held()?;
        self.attended(true, |vg| {
            vg.reread_locked()?;
            vg.check_writable()?;
            vg.bring_back_first(false)?;
            let behind = vg.behind();
            let result = vg.write(change, &|_, _| false, false)?;
            vg.bring_back(&behind, false);
            Ok(result)
        })
    }

    /// Writes the present metadata once more everywhere: after this every PV holds them, also one
    /// that came back old.
    ///
    /// # Errors
    /// As [`OpenVg::commit`], except `Kind::Stale`.
    pub fn update_metadata(&mut self) -> Result<()> {
        let _lock = self.lock_unless_held()?;
        self.attended(true, |vg| {
            vg.reread_locked()?;
            vg.check_writable()?;
            // One that is being left, or was away for long, may fail in that: the others do not need it.
            vg.bring_back_first(false)?;
            if vg.check_missing().is_err() {
                vg.bring_back_first(true)?;
            }
            let behind = vg.behind();
            vg.write(|_| Ok(()), &|_, _| false, true)?;
            vg.bring_back(&behind, true);
            Ok(())
        })
    }

    /// As [`OpenVg::commit`], but does without the PVs that `may_lack` names when they are missing
    /// or fail.
    pub(crate) fn commit_without<T>(
        &mut self,
        change: impl FnOnce(&mut Vg) -> Result<T>,
        may_lack: MayLack<'_>,
    ) -> Result<T> {
        let _lock = self.lock_unless_held()?;
        self.attended(true, |vg| {
            vg.reread_locked()?;
            vg.check_writable()?;
            vg.leave_where_late_ones_are_needed()?;
            vg.write(change, may_lack, false)
        })
    }

    pub(super) fn lock_unless_held(&self) -> Result<Option<lock::Lock>> {
        match self.held {
            Some(_) => Ok(None),
            None => lock::metadata(self.vg.uuid()).map(Some),
        }
    }

    pub(super) fn write<T>(
        &mut self,
        change: impl FnOnce(&mut Vg) -> Result<T>,
        may_lack: MayLack<'_>,
        take_stale: bool,
    ) -> Result<T> {
        self.check_writable()?;
        self.write_as_any_host(change, may_lack, take_stale)
    }

    /// Whether this host and this program may change the VG.
    pub(super) fn check_writable(&self) -> Result<()> {
        system_id::check(&self.vg)?;
        self.check_features()
    }

    /// For whoever takes the VG over from another host.
    pub(super) fn write_as_any_host<T>(
        &mut self,
        change: impl FnOnce(&mut Vg) -> Result<T>,
        may_lack: MayLack<'_>,
        take_stale: bool,
    ) -> Result<T> {
        self.check_features()?;
        let mut new = self.vg.clone();
        let result = change(&mut new)?;
        new.bump();
        let missing = self.leave_missing(&mut new, may_lack)?;
        if !take_stale {
            self.refuse_stale(&new, may_lack)?;
        }
        self.write_out(new, may_lack)?;
        for pv in missing {
            let vg = self.vg.name();
            tracing::warn!(%pv, %vg, "this PV is missing: the VG was changed without it");
        }
        Ok(result)
    }

    fn check_features(&self) -> Result<()> {
        if self.writable {
            return Ok(());
        }
        let what = format!("VG {} uses features that this program may only read", self.vg.name());
        Err(Error::new(Kind::Unsupported, what).state("nothing was changed"))
    }

    /// Writes new metadata to every PV that is not left behind, and records what then has to be.
    pub(super) fn write_out(&mut self, new: Vg, may_lack: MayLack<'_>) -> Result<()> {
        self.attended(true, |vg| vg.write_out_attended(new, may_lack))
    }

    fn write_out_attended(&mut self, mut new: Vg, may_lack: MayLack<'_>) -> Result<()> {
        let ended = loop {
            let all = |_: &Pv| true;
            match self.write_everywhere(&new, &all, may_lack)? {
                Written::Ended(ended) => break ended,
                Written::Without(pv, error) => {
                    self.leave(&mut new, &[pv]).map_err(|_| *error)?;
                }
            }
        };
        let failed: Vec<Uuid> = match ended.result {
            Some(CommitResult::Committed) => Vec::new(),
            Some(CommitResult::Partial(failed)) => {
                failed.iter().filter_map(|pv| Some(new.pv(*pv)?.uuid)).collect()
            }
            Some(CommitResult::Unknown) | None => {
                let (_, first) = ended.errors.into_iter().next().unzip();
                return Err(unknown(self, first));
            }
        };
        let (lacked, failed): (Vec<Uuid>, Vec<Uuid>) =
            failed.into_iter().partition(|uuid| may_lack(&self.vg, *uuid));
        let left = failed.iter().all(|uuid| self.may_be_left(&new, *uuid));
        if !left {
            return Err(self.partial(&failed, ended.errors));
        }
        for (path, error) in &ended.errors {
            tracing::warn!(%path, %error, "this PV was not written; the others hold the change");
        }
        self.repair_labels();
        self.settle(new);
        if failed.is_empty() {
            return Ok(());
        }
        // They may hold it or not: only now is it known that they fail, and the next metadata say so.
        let mut next = self.vg.clone();
        next.bump();
        let recorded = self.leave(&mut next, &failed);
        let recorded = recorded.and_then(|()| self.write_out(next, &|_, pv| lacked.contains(&pv)));
        recorded.map_err(|_| self.partial(&failed, ended.errors))
    }

    /// These metadata stand: from now on they are what was read.
    pub(super) fn settle(&mut self, new: Vg) {
        let mut pool = std::mem::take(&mut self.members).into_pool();
        pool.append(&mut self.spare);
        pool.iter_mut().for_each(|member| member.pv.refresh());
        let (members, spare) = Members::arrange(&new, pool);
        self.members = members;
        self.spare = spare;
        self.vg = new;
    }

    /// A label copy that was found bad is written again; that it cannot be is no failure of the
    /// commit, which rests on the good copy.
    fn repair_labels(&self) {
        for (_, member) in self.members.iter() {
            if member.pv.warnings.is_empty() || member.pv.unread || !member.pv.label.is_writable() {
                continue;
            }
            match repair_label(&member.pv.device, &member.pv.label) {
                Ok(repaired) => tracing::debug!(path = %member.path.display(), repaired, "label"),
                Err(error) => {
                    tracing::warn!(path = %member.path.display(), %error, "label not repaired")
                }
            }
        }
    }

    pub(super) fn device_of(&self, uuid: Uuid) -> Option<&Member> {
        self.members.by_uuid(uuid).or_else(|| self.spare.iter().find(|m| m.uuid == uuid))
    }

    /// Where a PV holds its newest metadata of this VG, and how many commits they are behind.
    pub(super) fn newest_on(&self, member: &Member) -> Option<(SlotIndex, u64)> {
        let (slot, header) = newest_here(self.vg.uuid(), &member.pv.found)?;
        Some((slot, self.vg.sequence().saturating_sub(header.sequence)))
    }

    /// A PV one commit behind was cut off by a crash; one further behind was away, and what is on
    /// it may be old, too.
    fn refuse_stale(&self, new: &Vg, may_lack: MayLack<'_>) -> Result<()> {
        for (at, member) in self.members.iter() {
            let Some((_, behind)) = self.newest_on(member) else { continue };
            let lag = self.vg.lag(at, self.vg.sequence().saturating_sub(behind));
            // Where nothing is allocated nothing can be old: the commit brings the PV up to date.
            let listed = new
                .pv_by_uuid(member.uuid)
                .is_some_and(|pv| new.used_extents(pv).0 > 0 && !new.is_behind(pv));
            if lag == Lag::Unknown && listed && !may_lack(&self.vg, member.uuid) {
                return Err(Error::new(
                    Kind::Stale,
                    format!(
                        "the PV is {behind} commits behind VG {}: it was away, or its contents are old",
                        self.vg.name()
                    ),
                )
                .device(member.path.display())
                .state("nothing was changed")
                .next(format!(
                    "attach the right device; if this is it, vgck --updatemetadata {}",
                    self.vg.name()
                )));
            }
        }
        Ok(())
    }

    /// Writes the metadata to those of the PVs that are there and not left behind.
    pub(super) fn write_everywhere(
        &self,
        new: &Vg,
        those: &dyn Fn(&Pv) -> bool,
        may_lack: MayLack<'_>,
    ) -> Result<Written> {
        let targets: Vec<CommitTarget> = new
            .pv_indices()
            .zip(new.pvs())
            .filter(|(_, pv)| pv.behind.is_none() && those(pv))
            .filter_map(|(index, pv)| {
                let member = self.device_of(pv.uuid)?;
                let newest = self.newest_on(member);
                // One that joins with this commit has missed none.
                let joins = self.vg.pv_by_uuid(pv.uuid).is_none();
                let lags = !joins && newest.is_none_or(|(_, behind)| behind > 0);
                Some(CommitTarget::new(index, newest.map(|(slot, _)| slot), lags))
            })
            .collect();
        let mut commit = Commit::new(&targets)
            .ok_or_else(|| Error::new(Kind::Limit, "there is no PV to write to, or too many"))?;
        let mut buffer = Aligned::zeroed(usize::try_from(MIN_SLOT_SIZE * 512).unwrap_or(1 << 20));
        let mut errors = Vec::new();
        let mut written = 0;
        let mut begun = false;
        while let Some(action) = commit.poll_action() {
            let (pv, done) = match action {
                CommitAction::CatchUp(target) => {
                    (target.pv, self.write_slot(&self.vg, target, &mut buffer))
                }
                CommitAction::WriteSlot(target) => {
                    begun = true;
                    let done = self.write_slot(new, target, &mut buffer);
                    (target.pv, done.map(|()| written += 1))
                }
                CommitAction::Flush(pv) => (pv, self.flush(new, pv)),
            };
            // What this PV holds for certain may be old: with one more commit it would be taken for
            // one that was away.
            if let (Err((path, error)), false, Some(pv)) = (&done, begun, new.pv(pv))
                && !may_lack(&self.vg, pv.uuid)
            {
                let told = self.not_begun(path, error);
                if !self.may_be_left(new, pv.uuid) {
                    return Err(told);
                }
                tracing::warn!(%path, %error, "this PV fails: it is done without where that can be");
                return Ok(Written::Without(pv.uuid, Box::new(told)));
            }
            if let Err((path, error)) = &done {
                tracing::debug!(path, %error, "a step of the commit failed");
            }
            commit.handle(done.is_ok());
            match done {
                Ok(()) if matches!(action, CommitAction::WriteSlot(_)) => {
                    failpoint::slot_written(written)?;
                }
                Ok(()) => {}
                Err(error) => errors.push(error),
            }
        }
        Ok(Written::Ended(Ended { result: commit.result(), errors }))
    }

    pub(super) fn write_slot(
        &self,
        new: &Vg,
        target: CommitTarget,
        buffer: &mut Aligned,
    ) -> std::result::Result<(), (String, Error)> {
        let member = self.target(new, target.pv)?;
        let path = member.path.display().to_string();
        let size = new.encode(member.uuid, buffer).map_err(|error| {
            (
                path.clone(),
                Error::new(Kind::Limit, format!("the metadata cannot be written: {error}")),
            )
        })?;
        let area = member.pv.label.geometry().slot(target.slot);
        let bytes = buffer.get(..size).unwrap_or_default();
        let start = Sectors(area.start);
        member.pv.device.write(start, bytes).map_err(|error| (path, error))
    }

    pub(super) fn flush(&self, new: &Vg, pv: PvIndex) -> std::result::Result<(), (String, Error)> {
        let member = self.target(new, pv)?;
        let flushed = member.pv.device.flush();
        flushed.map_err(|error| (member.path.display().to_string(), error))
    }

    fn target(&self, new: &Vg, pv: PvIndex) -> std::result::Result<&Member, (String, Error)> {
        let member = new.pv(pv).and_then(|pv| self.device_of(pv.uuid)).ok_or_else(|| {
            (String::new(), Error::new(Kind::Missing, "a PV went away during the commit"))
        })?;
        if member.pv.unread {
            let error = Error::new(Kind::Io, "a PV that cannot be read is not written");
            return Err((member.path.display().to_string(), error));
        }
        Ok(member)
    }

    /// A PV that the commit needs does not hold the newest metadata for certain, and cannot be made to.
    fn not_begun(&self, path: &str, cause: &Error) -> Error {
        let name = self.vg.name();
        let what = format!("the metadata of VG {name} cannot be made durable on this PV");
        Error::new(Kind::Io, what)
            .device(path)
            .state("nothing was changed; the metadata before count")
            .next("see to the device, then try again")
            .because(cause.to_string())
    }

    fn partial(&self, failed: &[Uuid], errors: Vec<(String, Error)>) -> Error {
        let names: Vec<String> = failed
            .iter()
            .map(|uuid| {
                self.device_of(*uuid)
                    .map_or_else(|| uuid.to_string(), |member| member.path.display().to_string())
            })
            .collect();
        let error = Error::new(
            Kind::Io,
            format!("the metadata of VG {} could not be written to every PV", self.vg.name()),
        )
        .device(names.join(", "))
        .state("the other PVs hold the change, and it counts from now on")
        .next("see to the device; the next change writes it again");
        match errors.into_iter().next() {
            Some((_, cause)) => error.because(cause),
            None => error,
        }
    }
}

pub(super) enum Written {
    Ended(Ended),
    /// Nothing new was written yet, since this PV fails; it may be left behind. What is to be told where
    /// too few are left for that.
    Without(Uuid, Box<Error>),
}

pub(super) struct Ended {
    pub(super) result: Option<CommitResult>,
    errors: Vec<(String, Error)>,
}

fn unknown(vg: &OpenVg, cause: Option<Error>) -> Error {
    let error = Error::new(
        Kind::Io,
        format!("the metadata of VG {} could not be written to any PV", vg.vg.name()),
    )
    .state("the metadata before still count, unless a device kept what it reported as failed")
    .next("see to the devices, then look with vgck");
    match cause {
        Some(cause) => error.because(cause),
        None => error,
    }
}
