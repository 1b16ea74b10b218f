//! A VG of the own format as the host of a move.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use lvshift_core::Leg;
use lvshift_core::LegFault;
use lvshift_core::metadata::{Change, MovePart, MoveState, Place};
use lvshift_core::mover::{Action, Event, Mapping, Outcome};
use lvshift_core::units::{LvIndex, MoveIndex, Uuid};
use lvshift_driver::{CopyStatus, Goal, Host, Observed, Report as Driven, Request, Wake, drive};

use super::account::Account;
use super::compare::{Piece, Watch};
use super::facts::Facts;
use super::record::gone;
use super::summary::{Names, copied_again};
use super::ticker;
use super::wishes::Wishes;
use super::{MoveReport, Report, diagnose, log, record};
use crate::device;
use crate::error::{Error, Result};
use crate::front_end::{BadPlace, FrontEnd, View};
use crate::journal::Journal;
use crate::requests::Requests;
use crate::vg::OpenVg;

/// What the moves of a command have in common.
pub(super) struct Means<'a> {
    pub(super) vg: &'a mut OpenVg,
    pub(super) front_end: &'a mut dyn FrontEnd,
    pub(super) journal: &'a Journal,
    pub(super) requests: &'a mut dyn Requests,
    pub(super) wishes: &'a mut Wishes,
    pub(super) tell: &'a mut dyn FnMut(Report<'_>),
    pub(super) verify: bool,
}

/// One move of a VG.
struct VgHost<'a> {
    means: Means<'a>,
    of: Uuid,
    account: Account,
    /// Both sides compared, where the front end's mirror does not do it.
    watch: Watch,
}

/// Drives the move from wherever it stands to its end.
pub(super) fn run(
    means: Means<'_>,
    of: Uuid,
    place: ticker::Place,
    interval: Option<Duration>,
) -> MoveReport {
    let facts = Facts::of(means.vg, of);
    let goal = if means.wishes.abort(of) { Goal::Abort } else { Goal::Move };
    let account = Account::new(of, place, interval);
    let watch = Watch::new(means.verify && !means.front_end.verifies());
    let mut host = VgHost { means, of, account, watch };
    let outcome = drive(&mut host, goal);
    if matches!(outcome, Outcome::Moved | Outcome::Aborted(_)) {
        host.take_private_down(&facts.lvs);
    }
    host.account.close(outcome, &facts, host.means.vg)
}

impl VgHost<'_> {
    /// The move's index and state in the metadata read last.
    fn record(&self) -> Result<(MoveIndex, MoveState)> {
        let vg = self.means.vg.vg();
        let of = vg.move_by_uuid(self.of).ok_or_else(gone)?;
        Ok((of, vg.move_at(of).ok_or_else(gone)?.state))
    }

    /// Others may have changed the VG since: indices are looked up anew for every action.
    fn locate(&self, lv: Uuid) -> Result<(MoveIndex, LvIndex)> {
        let (of, _) = self.record()?;
        Ok((of, self.means.vg.vg().lv_by_uuid(lv).ok_or_else(gone)?))
    }

    /// An LV that was inactive got a device for the time of the move.
    fn take_private_down(&mut self, lvs: &[Uuid]) {
        for lv in lvs {
            let vg = self.means.vg.vg();
            let Some(index) = vg.lv_by_uuid(*lv) else { continue };
            let Some(record) = vg.lv(index) else { continue };
            let link = Path::new("/dev").join(vg.name().as_str()).join(record.name.as_str());
            let unused = self
                .means
                .front_end
                .active(vg, index)
                .is_ok_and(|active| active.is_some_and(|active| active.open_count == 0));
            if unused && link.symlink_metadata().is_err() {
                let done = self.means.front_end.deactivate(vg, index);
                tracing::debug!(lv = %record.name, ?done, "the private device is taken down");
            }
        }
    }

    /// What waits for the destination from now on may wait for ever.
    fn destination_is_silent(&self) {
        let vg = self.means.vg.vg();
        let Some(of) = vg.move_by_uuid(self.of) else { return };
        for part in vg.parts_of(of) {
            if let Some(member) = self.means.vg.members().get(part.destination.pv) {
                device::remember(member.number);
            }
        }
    }

    /// What the front end knows of the failure, before the LV is switched back and it forgets.
    fn ask_for_bad_places(&mut self) {
        if let Ok((of, _)) = self.record() {
            let view = self.means.vg.view();
            let mut places = self.means.front_end.bad_places(view, of);
            places.extend(self.watch.differs().filter_map(|run| differing(view, of, &run)));
            self.account.failures.bad_places = places;
        }
    }
}

impl Host for VgHost<'_> {
    type Error = Error;

    fn observe(&mut self, found: &mut Observed) -> Result<MoveState> {
        self.means.vg.reread()?;
        let (of, recorded) = self.record()?;
        for lv in self.means.vg.vg().lvs_of_move(of) {
            let live = self.means.front_end.observe(self.means.vg.view(), of, lv)?;
            let record = self.means.vg.vg().lv(lv).ok_or_else(gone)?;
            tracing::debug!(lv = %record.name, ?live, ?recorded, "found");
            found.add(record.uuid, live);
        }
        Ok(recorded)
    }

    fn trust_log(&mut self) -> Result<()> {
        self.means.journal.add(self.of, self.means.vg.vg().uuid())
    }

    fn begin(&mut self, action: &Action) -> Result<()> {
        self.account.begin(action)?;
        match action {
            // A commit rereads under its lock; a flush is of devices that the last look named.
            Action::Commit(_) | Action::FlushDestination | Action::Finish(_) => Ok(()),
            _ => self.means.vg.reread(),
        }
    }

    fn end(&mut self, action: &Action, event: Event) {
        self.account.end(action, event);
    }

    fn commit(&mut self, change: Change) -> Result<()> {
        if change == Change::Begin {
            self.means.journal.add(self.of, self.means.vg.vg().uuid())?;
        }
        record::commit(self.means.vg, self.means.front_end, self.of, change)?;
        if change == Change::Forget {
            self.means.journal.remove(self.of)?;
        }
        Ok(())
    }

    fn is_of_destination(&self, error: &Error) -> bool {
        record::is_of_destination(self.means.vg, self.of, error)
    }

    fn init_log(&mut self, lv: Uuid) -> Result<()> {
        let (of, lv) = self.locate(lv)?;
        self.means.vg.attended(true, |vg| log::write_all_dirty(vg.view(), of, lv))
    }

    fn create_shadow(&mut self, lv: Uuid) -> Result<()> {
        let (of, lv) = self.locate(lv)?;
        self.means.front_end.create_shadow(self.means.vg.view(), of, lv)
    }

    fn load(&mut self, lv: Uuid, mapping: Mapping) -> Result<()> {
        let (of, lv) = self.locate(lv)?;
        self.means.front_end.load(self.means.vg.view(), of, lv, mapping)
    }

    fn swap(&mut self, lv: Uuid, mapping: Mapping) -> Result<()> {
        let (of, lv) = self.locate(lv)?;
        self.means.front_end.swap(self.means.vg.view(), of, lv, mapping)
    }

    fn remove_shadow(&mut self, lv: Uuid) -> Result<()> {
        let (of, lv) = self.locate(lv)?;
        self.means.front_end.remove_shadow(self.means.vg.view(), of, lv)
    }

    fn copy_status(&mut self) -> Result<CopyStatus> {
        let (of, _) = self.record()?;
        let Means { front_end, vg, tell, .. } = &mut self.means;
        let status = front_end.copy_status(vg.view(), of)?;
        for place in front_end.differing(vg.view(), of) {
            tell(Report::Note(&copied_again(&place, &**vg)));
        }
        let pieces = || pieces(vg.view(), of);
        let by_uuid = |pv| Some(&vg.members().by_uuid(pv)?.pv.device);
        self.watch.looked(status, pieces, &by_uuid)
    }

    fn wait(&mut self) -> Result<Wake> {
        let Means { front_end, vg, .. } = &mut self.means;
        let by_uuid = |pv| Some(&vg.members().by_uuid(pv)?.pv.device);
        if self.watch.goes_on(&by_uuid)? {
            // One look at signals and other commands, and on.
            let woken = front_end.wait(Some(Duration::ZERO))?;
            return Ok(if woken == Wake::Timeout { Wake::Changed } else { woken });
        }
        front_end.wait(Some(self.account.ticker.until()))
    }

    fn seal(&mut self, for_commit: bool) -> Result<bool> {
        let (of, _) = self.record()?;
        if for_commit {
            // What is sealed may be the swap.
            self.means.vg.prepare();
        }
        self.means.front_end.seal(self.means.vg.view(), of, for_commit)
    }

    fn check_destination(&mut self) -> Result<Option<LegFault>> {
        let (of, _) = self.record()?;
        self.means.front_end.check_destination(self.means.vg.view(), of)
    }

    fn flush_destination(&mut self) -> Result<()> {
        record::flush_destination(self.means.vg, self.of)
    }

    fn diagnose(&mut self) -> Result<()> {
        let (of, _) = self.record()?;
        // To ask who does not answer is to wait for ever.
        if matches!(self.account.failures.leg, Some((_, LegFault::Silent))) {
            return Ok(());
        }
        // Whoever made the copy knows best what it could not read.
        if self.account.failures.bad_places.is_empty() {
            self.account.failures.bad_places = diagnose::bad_places(self.means.vg.view(), of);
        }
        Ok(())
    }

    fn requests(&mut self, each: &mut dyn FnMut(Request)) {
        let Means { requests, wishes, tell, .. } = &mut self.means;
        wishes.hear(self.of, *requests, *tell, each);
    }

    fn report(&mut self, report: Driven<Error>) {
        let failed = matches!(report, Driven::LegFailed(..));
        if let Driven::LegFailed(Leg::Destination, LegFault::Silent) = report {
            self.destination_is_silent();
        }
        let Means { vg, tell, .. } = &mut self.means;
        self.account.hear(report, || Facts::of(vg, self.of), *tell);
        if failed {
            self.ask_for_bad_places();
        }
    }
}

/// Both sides of the parts of a move; a sector is called by its number over all of them.
fn pieces(view: View<'_>, of: MoveIndex) -> Vec<Piece> {
    let mut first = 0;
    let piece = |part: &MovePart| {
        let place = |place: Place| Some((view.vg.pv(place.pv)?.uuid, view.vg.sector_of(place)?.0));
        let sectors = view.vg.extent_size().span(part.count).0;
        let (source, destination) = (place(part.source)?, place(part.destination)?);
        let piece = Piece { source, destination, sectors, first };
        first += sectors;
        Some(piece)
    };
    view.vg.parts_of(of).iter().filter_map(piece).collect()
}

/// Where sectors of those pieces are.
fn differing(view: View<'_>, of: MoveIndex, run: &Range<u64>) -> Option<BadPlace> {
    let extent = view.vg.extent_size();
    let mut first = 0;
    for part in view.vg.parts_of(of) {
        let sectors = extent.span(part.count).0;
        if run.start >= first && run.start < first + sectors {
            let (into, count) = (run.start - first, run.end - run.start);
            let start = view.vg.sector_of(part.destination)?.0 + into;
            let on_lv = u64::from(part.first.0) * u64::from(extent.sectors()) + into;
            return Some(BadPlace {
                leg: Leg::Destination,
                pv: view.vg.pv(part.destination.pv)?.uuid,
                device_sectors: start..start + count,
                lv: view.vg.lv(part.lv)?.uuid,
                lv_sectors: on_lv..on_lv + count,
                error: BadPlace::differs(false),
            });
        }
        first += sectors;
    }
    None
}

impl Names for OpenVg {
    fn pv(&self, pv: Uuid) -> Option<String> {
        self.members().by_uuid(pv).map(|member| member.path.display().to_string())
    }

    fn lv(&self, lv: Uuid) -> Option<String> {
        let vg = self.vg();
        let lv = vg.lv(vg.lv_by_uuid(lv)?)?;
        Some(format!("{}/{}", vg.name(), lv.name))
    }
}
