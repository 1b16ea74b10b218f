//! One move from wherever it stands to its end.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use lvshift_core::metadata::{ApplyError, Change, MoveState, Vg};
use lvshift_core::mover::{AbortReason, Action, Event, InCharge, Live, Mover, Outcome};
use lvshift_core::planted;
use lvshift_core::units::{LvIndex, MoveIndex, Uuid};
use lvshift_core::{Leg, LegFault};

use super::{MoveReport, Report, diagnose, failpoint, log};
use crate::control::{Request, Requests};
use crate::error::{Error, Kind, Result};
use crate::front_end::{BadPlace, FrontEnd};
use crate::journal::Journal;
use crate::vg::OpenVg;

/// Where a move stands among those of its command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) number: usize,
    pub(super) count: usize,
    /// Bytes of the moves before it.
    pub(super) before: u64,
    /// Bytes of all.
    pub(super) total: u64,
}

pub(super) struct Driver<'a> {
    pub(super) vg: &'a mut OpenVg,
    pub(super) front_end: &'a mut dyn FrontEnd,
    journal: &'a Journal,
    control: &'a mut dyn Requests,
    pub(super) of: Uuid,
    pub(super) place: Place,
    pub(super) interval: Option<Duration>,
    /// Moves that somebody wants back on their source.
    pub(super) unwanted: Vec<Uuid>,
    /// All of them.
    pub(super) unwanted_all: bool,
    /// The destination has been flushed since the copy was waited for: what comes is the commit.
    pub(super) flushed: bool,
    failed: Option<(Leg, LegFault)>,
    bad_places: Vec<BadPlace>,
    errors: Vec<Error>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        vg: &'a mut OpenVg,
        front_end: &'a mut dyn FrontEnd,
        journal: &'a Journal,
        control: &'a mut dyn Requests,
        of: Uuid,
        place: Place,
    ) -> Driver<'a> {
        Driver {
            vg,
            front_end,
            journal,
            control,
            of,
            place,
            interval: None,
            unwanted: Vec::new(),
            unwanted_all: false,
            flushed: false,
            failed: None,
            bad_places: Vec::new(),
            errors: Vec::new(),
        }
    }

    pub(super) fn drive(&mut self, tell: &mut dyn FnMut(Report<'_>)) -> MoveReport {
        let facts = Facts::of(self.vg, self.of);
        let outcome = match self.begin(tell) {
            Ok(mover) => self.act(mover, tell),
            Err(error) => {
                self.errors.push(error);
                Outcome::Refused
            }
        };
        if matches!(outcome, Outcome::Moved | Outcome::Aborted(_)) {
            self.take_private_down(&facts.lvs);
        }
        if !matches!(outcome, Outcome::Moved | Outcome::Left) {
            let summary = self.summary(&facts, outcome);
            self.errors.push(summary);
        }
        MoveReport {
            of: self.of,
            outcome,
            bytes_total: facts.bytes,
            bad_places: std::mem::take(&mut self.bad_places),
            errors: std::mem::take(&mut self.errors),
        }
    }

    fn begin(&mut self, tell: &mut dyn FnMut(Report<'_>)) -> Result<Mover> {
        self.vg.reread()?;
        let (of, recorded) = self.record()?;
        let mut observed = Vec::new();
        for lv in self.vg.vg().lvs_of_move(of) {
            let live = self.front_end.observe(self.vg.view(), of, lv)?;
            let record = self.vg.vg().lv(lv).ok_or_else(gone)?;
            tracing::debug!(lv = %record.name, ?live, ?recorded, "found");
            observed.push((record.uuid, live));
        }
        let facts = Facts::of(self.vg, self.of);
        let again = recorded != MoveState::Queued;
        tell(Report::Started { of: self.of, again, from: &facts.from, to: &facts.to });
        if recorded == MoveState::Copying && observed.iter().any(|(_, live)| *live == Live::Absent)
        {
            // The dirty log is about to be believed by this host: from now on it knows the move.
            self.journal.add(self.of, self.vg.vg().uuid())?;
        }
        let mut mover = Mover::recover(recorded, &observed)
            .map_err(|error| Error::new(Kind::Inconsistent, format!("{error:?}")))?;
        if self.unwanted.contains(&self.of) {
            mover.handle(Event::AbortRequested);
        }
        Ok(mover)
    }

    /// The move's index and state in the metadata read last.
    pub(super) fn record(&self) -> Result<(MoveIndex, MoveState)> {
        let of = self.vg.vg().move_by_uuid(self.of).ok_or_else(gone)?;
        let record = self.vg.vg().move_at(of).ok_or_else(gone)?;
        Ok((of, record.state))
    }

    fn act(&mut self, mut mover: Mover, tell: &mut dyn FnMut(Report<'_>)) -> Outcome {
        loop {
            for event in self.requests(tell) {
                mover.handle(event);
            }
            let Some(action) = mover.poll_action() else {
                // Cannot be: every action was answered. Leaving is the one harmless thing to do.
                return Outcome::Left;
            };
            if let Action::Finish(outcome) = action {
                // There is nothing to do, so nothing that could be failed.
                let _ = failpoint::before(action.name());
                failpoint::after(action.name());
                return outcome;
            }
            let event = self.answer(action, tell);
            tracing::debug!(action = action.name(), ?event, "done");
            mover.handle(event);
        }
    }

    /// Does the action and says what happened.
    fn answer(&mut self, action: Action, tell: &mut dyn FnMut(Report<'_>)) -> Event {
        failpoint::enter(action.name());
        let done = failpoint::before(action.name()).and_then(|()| self.perform(action, tell));
        match done {
            Ok(event) => {
                failpoint::after(action.name());
                if let Event::LegFailed(leg, fault) = event {
                    self.failed.get_or_insert((leg, fault));
                    self.ask_for_bad_places();
                }
                event
            }
            Err(error) => {
                tracing::debug!(action = action.name(), %error, "failed");
                self.errors.push(error);
                Event::Failed
            }
        }
    }

    fn perform(&mut self, action: Action, tell: &mut dyn FnMut(Report<'_>)) -> Result<Event> {
        match action {
            Action::Commit(change) => match self.commit(change) {
                Err(error) if change == Change::Moved && self.is_of_destination(&error) => {
                    self.errors.push(error);
                    return Ok(Event::LegFailed(Leg::Destination, LegFault::Flush));
                }
                committed => committed?,
            },
            Action::AwaitCopy => return self.await_copy(tell),
            Action::CheckLegs => return self.check_legs(),
            Action::FlushDestination => {
                self.flush_destination()?;
                self.flushed = true;
            }
            Action::InitLog { lv } => {
                let (of, lv) = self.locate(lv)?;
                log::write_all_dirty(self.vg.view(), of, lv)?;
            }
            Action::CreateShadow { lv } => {
                let (of, lv) = self.locate(lv)?;
                self.front_end.create_shadow(self.vg.view(), of, lv)?;
            }
            Action::Load { lv, mapping } => {
                let (of, lv) = self.locate(lv)?;
                self.front_end.load(self.vg.view(), of, lv, mapping)?;
            }
            Action::Swap { lv, mapping } => {
                let (of, lv) = self.locate(lv)?;
                self.front_end.swap(self.vg.view(), of, lv, mapping)?;
            }
            Action::RemoveShadow { lv } => {
                let (of, lv) = self.locate(lv)?;
                self.front_end.remove_shadow(self.vg.view(), of, lv)?;
            }
            Action::Diagnose => {
                self.vg.reread()?;
                let (of, _) = self.record()?;
                // Whoever made the copy knows best what it could not read.
                if self.bad_places.is_empty() {
                    self.bad_places = diagnose::bad_places(self.vg.view(), of);
                }
            }
            Action::Finish(_) => {}
        }
        Ok(Event::Done)
    }

    /// What the front end knows of the failure, before the LV is switched back and it forgets.
    fn ask_for_bad_places(&mut self) {
        if let Ok((of, _)) = self.record() {
            self.bad_places = self.front_end.bad_places(self.vg.view(), of);
        }
    }

    /// Others may have changed the VG since: indices are looked up anew for every action.
    fn locate(&mut self, lv: Uuid) -> Result<(MoveIndex, LvIndex)> {
        self.vg.reread()?;
        let (of, _) = self.record()?;
        Ok((of, self.vg.vg().lv_by_uuid(lv).ok_or_else(gone)?))
    }

    fn commit(&mut self, change: Change) -> Result<()> {
        if change == Change::Begin {
            self.journal.add(self.of, self.vg.vg().uuid())?;
        }
        if change == Change::Aborting && planted::is("aborting-not-committed") {
            return Ok(());
        }
        let of = self.of;
        let one_side = OneSide::default();
        let front_end = &mut *self.front_end;
        let may_commit = |vg: &Vg| {
            change != Change::Moved
                || vg.move_by_uuid(of).is_some_and(|index| front_end.is_sealed(vg, index))
        };
        self.vg.commit_without(
            |vg| match if_so(may_commit, vg)?.apply(of, change) {
                // Written once more all the same: perhaps not every PV holds it.
                Ok(()) | Err(ApplyError::AlreadyDone { .. }) => Ok(()),
                Err(ApplyError::NoSuchMove) if change == Change::Forget => Ok(()),
                Err(error) => Err(Error::new(Kind::State, error.to_string())),
            },
            &|vg, pv| way_back(vg, of, change) && one_side.may_lack(vg, of, pv),
        )?;
        if change == Change::Forget {
            self.journal.remove(of)?;
        }
        Ok(())
    }

    /// Whether a commit has failed on a destination, for all that is known: its flush may have
    /// dropped what the application had written there.
    fn is_of_destination(&self, error: &Error) -> bool {
        let Ok((of, _)) = self.record() else { return true };
        let Some(devices) = error.device.as_deref() else { return error.kind == Kind::Io };
        self.vg.vg().parts_of(of).iter().any(|part| {
            let member = self.vg.members().get(part.destination.pv);
            member.is_none_or(|member| {
                let path = member.path.display().to_string();
                devices.split(", ").any(|device| device == path)
            })
        })
    }

    fn flush_destination(&mut self) -> Result<()> {
        let (of, _) = self.record()?;
        if planted::is("destination-not-flushed") {
            return Ok(());
        }
        let mut flushed = Vec::new();
        for part in self.vg.vg().parts_of(of) {
            let pv = part.destination.pv;
            if !flushed.contains(&pv) {
                let member = self.vg.members().get(pv).ok_or_else(|| {
                    Error::new(Kind::Missing, "the destination of the move is missing")
                })?;
                member.pv.device.flush()?;
                flushed.push(pv);
            }
        }
        Ok(())
    }

    fn requests(&mut self, tell: &mut dyn FnMut(Report<'_>)) -> Vec<Event> {
        let mut events = Vec::new();
        for request in self.control.requests() {
            match request {
                Request::Leave(signal) => {
                    tell(Report::Note(&format!(
                        "{signal}: the move is left as it is and loses nothing; pvmove carries it on"
                    )));
                    events.push(Event::LeaveRequested);
                }
                Request::Abort(moves) => {
                    self.unwanted_all |= moves.is_empty();
                    if moves.is_empty() || moves.contains(&self.of) {
                        tell(Report::Note("another command wants the move undone"));
                        events.push(Event::AbortRequested);
                    }
                    self.unwanted.extend(moves);
                }
            }
        }
        events
    }

    /// For [`Driver::await_copy`]: what somebody wants now, as the event that ends the waiting.
    pub(super) fn interrupted(&mut self, tell: &mut dyn FnMut(Report<'_>)) -> Option<Event> {
        let events = self.requests(tell);
        let abort = events.iter().find(|event| **event == Event::AbortRequested);
        abort.or(events.first()).copied()
    }

    /// An LV that was inactive got a device for the time of the move.
    fn take_private_down(&mut self, lvs: &[Uuid]) {
        for lv in lvs {
            let vg = self.vg.vg();
            let Some(index) = vg.lv_by_uuid(*lv) else { continue };
            let Some(record) = vg.lv(index) else { continue };
            let link = Path::new("/dev").join(vg.name().as_str()).join(record.name.as_str());
            let unused = self
                .front_end
                .active(vg, index)
                .is_ok_and(|active| active.is_some_and(|active| active.open_count == 0));
            if unused && link.symlink_metadata().is_err() {
                let done = self.front_end.deactivate(vg, index);
                tracing::debug!(lv = %record.name, ?done, "the private device is taken down");
            }
        }
    }

    fn summary(&self, facts: &Facts, outcome: Outcome) -> Error {
        let what = match self.failed {
            Some((leg, fault)) => {
                let (side, devices) = match leg {
                    Leg::Source => ("source", &facts.from),
                    Leg::Destination => ("destination", &facts.to),
                };
                let fault = match fault {
                    LegFault::Read => "could not be read",
                    LegFault::Write => "could not be written",
                    LegFault::Flush => "could not be flushed",
                    LegFault::Copy => "failed in the copy",
                    LegFault::Gone => "is gone, or its dirty log is",
                };
                format!(
                    "LV {} was not moved: the {side} {} {fault}",
                    facts.names.join(", "),
                    devices.join(", ")
                )
            }
            None => {
                let why = match outcome {
                    Outcome::Aborted(AbortReason::Earlier) => {
                        ": undoing its move had begun before, and is finished now"
                    }
                    _ => "",
                };
                format!("LV {} was not moved{why}", facts.names.join(", "))
            }
        };
        let mut error = Error::new(Kind::MoveFailed, what);
        let paths: Vec<String> = self.bad_places.iter().map(|bad| self.describe(bad)).collect();
        if let [bad, ..] = self.bad_places.as_slice() {
            if let Some(member) = self.vg.members().by_uuid(bad.pv) {
                error = error.device(member.path.display());
            }
            let same = self.bad_places.iter().filter(|other| other.pv == bad.pv);
            error = error.sectors(same.map(|bad| bad.device_sectors.clone()).collect());
        }
        if !paths.is_empty() {
            error = error.because(paths.join("; "));
        } else if let Some(cause) = self.errors.first() {
            error = error.because(cause.to_string());
        }
        let (state, next) = match outcome {
            Outcome::Stuck { in_charge: InCharge::Source, .. } => {
                ("the source is in charge", "pvmove carries on, pvmove --abort undoes")
            }
            Outcome::Stuck { in_charge: InCharge::Destination, .. } => {
                ("the destination is in charge and holds everything", "pvmove tidies up")
            }
            Outcome::Stuck { in_charge: InCharge::Either, .. } => (
                "both sides are equal and mirrored; the PVs may not agree which is in charge",
                "see to the PVs that cannot be written, then pvmove",
            ),
            Outcome::Refused => (
                "nothing was touched",
                "the LV's device is not what its move left; look at it with dmsetup table",
            ),
            Outcome::Aborted(AbortReason::Earlier) => {
                ("the source is in charge, nothing was switched", "pvmove SRC [DST] begins anew")
            }
            _ => ("the source is still in charge, nothing was switched", self.after_undoing()),
        };
        error.state(state).next(next)
    }

    fn after_undoing(&self) -> &'static str {
        match self.failed {
            Some((Leg::Source, LegFault::Read)) => {
                "pvmove --read-check names all sectors that cannot be read before it changes anything; \
                 then move what can be read (ranges SRC:PE-PE, or -n), and restore the rest from a backup"
            }
            _ => "see to the device, or move to another PV",
        }
    }

    fn describe(&self, bad: &BadPlace) -> String {
        let name = |lv: Uuid| {
            let vg = self.vg.vg();
            vg.lv_by_uuid(lv)
                .and_then(|at| vg.lv(at))
                .map(|lv| format!("{}/{}", vg.name(), lv.name))
        };
        let path =
            self.vg.members().by_uuid(bad.pv).map(|member| member.path.display().to_string());
        format!(
            "{} sectors {}-{} (LV {} sectors {}-{}): {}",
            path.unwrap_or_else(|| bad.pv.to_string()),
            bad.device_sectors.start,
            bad.device_sectors.end.saturating_sub(1),
            name(bad.lv).unwrap_or_else(|| bad.lv.to_string()),
            bad.lv_sectors.start,
            bad.lv_sectors.end.saturating_sub(1),
            bad.error
        )
    }
}

/// On the way back a device that is gone must not stand in the way: until the LV is switched back,
/// dm-mirror holds the application's writes.
fn way_back(vg: &Vg, of: Uuid, change: Change) -> bool {
    let state = vg.move_by_uuid(of).and_then(|at| vg.move_at(at)).map(|record| record.state);
    match change {
        Change::Aborting => true,
        Change::Forget | Change::Confirm => state == Some(MoveState::Aborting),
        Change::Begin | Change::Moved => false,
    }
}

/// Nothing is committed behind the back of whoever serves the LV.
fn if_so(may_commit: impl FnOnce(&Vg) -> bool, vg: &mut Vg) -> Result<&mut Vg> {
    if may_commit(vg) {
        return Ok(vg);
    }
    Err(Error::new(Kind::State, "who serves the LV was replaced right before the commit")
        .state("nothing was committed; the legs are looked at again"))
}

/// Which side of a move a commit of its way back did without. One side may be gone: without the
/// destination the source alone decides what the LV is; without the source the destination, which
/// holds the dirty log, says that the log is void, so nobody will believe it. Were the commit to
/// stand on neither, a source and a destination that come back together would still agree on a log
/// that lies.
#[derive(Default)]
pub(super) struct OneSide(Cell<Option<Leg>>);

impl OneSide {
    pub(super) fn may_lack(&self, vg: &Vg, of: Uuid, pv: Uuid) -> bool {
        let (Some(of), Some(pv)) = (vg.move_by_uuid(of), vg.pv_by_uuid(pv)) else { return false };
        let parts = vg.parts_of(of);
        let reads = parts.iter().any(|part| part.source.pv == pv);
        let writes = parts.iter().any(|part| part.destination.pv == pv);
        let side = match (reads, writes) {
            (true, false) => Leg::Source,
            (false, true) => Leg::Destination,
            _ => return false,
        };
        if self.0.get().is_none() {
            self.0.set(Some(side));
        }
        self.0.get() == Some(side)
    }
}

pub(super) fn gone() -> Error {
    Error::new(Kind::State, "the move is not recorded any more")
}

/// What the messages need to know, kept for when the record is gone.
struct Facts {
    lvs: Vec<Uuid>,
    names: Vec<String>,
    from: Vec<String>,
    to: Vec<String>,
    bytes: u64,
}

impl Facts {
    fn of(vg: &OpenVg, of: Uuid) -> Facts {
        let mut facts = Facts { lvs: vec![], names: vec![], from: vec![], to: vec![], bytes: 0 };
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
