//! A VG of LVM2's own as the host of a move.

use std::time::Duration;

use lvshift_core::LegFault;
use lvshift_core::metadata::{Change, MoveState};
use lvshift_core::mover::{Action, Event, Live, Mapping};
use lvshift_core::units::Uuid;
use lvshift_driver::{CopyStatus, Goal, Host, Observed, Report as Driven, Request, Wake, drive};
use lvshift_on_disk_format::dirty_log;

use super::lock::VgLock;
use super::mapper::Mapper;
use super::stack::Stack;
use super::text::{Record, State};
use super::vg::LvmVg;
use super::{each, fenced, id, unreadable, vg};
use crate::device::{Aligned, DEADLINE};
use crate::drive::{Account, Facts, MoveReport, Names, Place, Report, Watch, Wishes, copied_again};
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::requests::Requests;

/// How long a switch that the application may wait for waits for a command of LVM2.
pub(super) const SOON: Duration = Duration::from_secs(5);

/// What the moves of a command have in common.
pub(super) struct Means<'a> {
    pub(super) vg: &'a mut LvmVg,
    pub(super) mapper: &'a mut dyn Mapper,
    pub(super) requests: &'a mut dyn Requests,
    pub(super) wishes: &'a mut Wishes,
    pub(super) tell: &'a mut dyn FnMut(Report<'_>),
    pub(super) verify: bool,
}

struct LvmHost<'a> {
    means: Means<'a>,
    of: Uuid,
    account: Account,
    /// Both sides compared, where the mirror is the kernel's.
    watch: Watch,
}

/// Drives the move from wherever it stands to its end.
pub(super) fn run(
    means: Means<'_>,
    of: Uuid,
    place: Place,
    interval: Option<Duration>,
) -> MoveReport {
    let facts = facts(means.vg, of);
    let goal = if means.wishes.abort(of) { Goal::Abort } else { Goal::Move };
    let account = Account::new(of, place, interval);
    let watch = Watch::new(means.verify);
    let mut host = LvmHost { means, of, account, watch };
    let outcome = drive(&mut host, goal);
    host.account.close(outcome, &facts, host.means.vg)
}

/// Bytes that a move is to move.
pub(super) fn bytes(vg: &LvmVg, record: &Record) -> u64 {
    u64::from(record.extents) * u64::from(vg.text().extent_size()) * 512
}

fn facts(vg: &LvmVg, of: Uuid) -> Facts {
    let mut facts = Facts::default();
    let Ok(record) = vg.record(of) else { return facts };
    facts.bytes = bytes(vg, record);
    let parts = || record.parts.iter();
    facts.names = each(parts().map(|part| format!("{}/{}", vg.name(), part.lv)));
    facts.from = each(parts().map(|part| vg.path_of(&part.source.of)));
    facts.to = each(parts().map(|part| vg.path_of(&part.destination.of)));
    facts
}

impl LvmHost<'_> {
    fn record(&self) -> Result<&Record> {
        self.means.vg.record(self.of)
    }

    fn stack(&mut self) -> Result<(Stack<'_>, Record)> {
        let record = self.record()?.clone();
        let Means { vg, mapper, .. } = &mut self.means;
        Ok((Stack::new(&mut **mapper, vg.text(), vg.moves(), vg.members()), record))
    }

    /// What the front end's own mirror knows of the failure, before it is ended.
    fn ask_for_bad_places(&mut self) {
        let Ok(record) = self.record().cloned() else { return };
        let Means { vg, mapper, .. } = &mut self.means;
        let runs = mapper.engine().map(|engine| engine.unreadable()).unwrap_or_default();
        let places = runs
            .into_iter()
            .flat_map(|(run, errno)| unreadable::places(vg.text(), &record, run, errno));
        let differ = mapper.engine().map(|engine| engine.differing_still()).unwrap_or_default();
        let differ =
            differ.into_iter().flat_map(|run| unreadable::differing(vg.text(), &record, run, true));
        let outside = self.watch.differs();
        let outside = outside.flat_map(|run| unreadable::differing(vg.text(), &record, run, false));
        self.account.failures.bad_places = places.chain(differ).chain(outside).collect();
    }

    /// LVM2's lock for a switch of `lvshiftN`: a refresh suspends and resumes the same device, and whoever resumes it
    /// between our suspend and our resume makes ours fail. Where the application may be waiting for the switch,
    /// a command of LVM2 that does not end is not waited for: it may be waiting for the application.
    fn lock_for(&self, mapping: Mapping) -> Result<Option<VgLock>> {
        match mapping {
            Mapping::Mirrored => self.means.vg.lock().map(Some),
            Mapping::Source | Mapping::Final => self.means.vg.lock_soon(SOON),
        }
    }

    /// Goes on with the copy of an LV that LVM2 has deactivated in the middle of it.
    fn put_back(&mut self) -> Result<()> {
        self.means.vg.reread()?;
        // LVM2 may be activating it again.
        let _lock = self.means.vg.lock()?;
        let (stack, record) = self.stack()?;
        if stack.is_gone(&record)? { stack.put_back(&record) } else { Ok(()) }
    }

    fn lv(&self, lv: Uuid) -> Result<String> {
        let record = self.record()?;
        let text = self.means.vg.text();
        let mut lvs = record.lvs().into_iter();
        lvs.find(|name| text.lv_id(name).is_some_and(|known| id::uuid(known) == lv))
            .map(str::to_owned)
            .ok_or_else(|| Error::new(Kind::State, "the LV is not in the move any more"))
    }

    /// All-dirty, on the medium.
    fn write_log(&self) -> Result<()> {
        let (vg, record) = (&*self.means.vg, self.record()?);
        let inconsistent = || Error::new(Kind::Inconsistent, "the dirty log has no place");
        let sectors = u64::from(record.extents) * u64::from(vg.text().extent_size());
        let regions = u32::try_from(sectors.div_ceil(u64::from(record.region_size)))
            .map_err(|_| inconsistent())?;
        let size = usize::try_from(dirty_log::image_size(regions)).map_err(|_| inconsistent())?;
        // One run: the planner asks for no other.
        let (extents, area) = vg.text().log_place(record).ok_or_else(inconsistent)?;
        let room = u64::from(extents) * u64::from(vg.text().extent_size()) * 512;
        if size as u64 > room {
            return Err(inconsistent());
        }
        let mut image = Aligned::zeroed(size);
        let first = dirty_log::all_dirty_first_block(regions);
        if let Some(block) = image.get_mut(..first.len()) {
            block.copy_from_slice(&first);
        }
        fenced::write(vg.text(), vg.members(), &area, &image)
    }
}

impl Host for LvmHost<'_> {
    type Error = Error;

    fn observe(&mut self, found: &mut Observed) -> Result<MoveState> {
        self.means.vg.reread()?;
        let (stack, record) = self.stack()?;
        stack.refuse_another(&record)?;
        let distrusted = record.state == State::Copying && stack.is_unattended(&record)?;
        if distrusted {
            // A refresh would make it once more, on the log that is not to be believed.
            let _lock = self.lock_for(Mapping::Source)?;
            let (stack, record) = self.stack()?;
            stack.distrust(&record)?;
            self.write_log()?;
        }
        let (stack, record) = self.stack()?;
        let mut shown = Vec::new();
        for lv in record.lvs() {
            let live = stack.observe(&record, lv)?;
            tracing::debug!(lv, ?live, recorded = ?record.state, "found");
            shown.push((lv.to_owned(), live));
        }
        if distrusted {
            (self.means.tell)(Report::Note(
                "the mirror did not handle errors (`--monitor n` does that): the copy begins anew",
            ));
        }
        for (lv, live) in shown {
            let known = self.means.vg.text().lv_id(&lv).map(id::uuid);
            found.add(known.unwrap_or_default(), live);
        }
        Ok(record.state)
    }

    fn begin(&mut self, action: &Action) -> Result<()> {
        self.account.begin(action)
    }

    fn end(&mut self, action: &Action, event: Event) {
        self.account.end(action, event);
    }

    fn commit(&mut self, change: Change) -> Result<()> {
        let of = self.of;
        let Means { vg, mapper, tell, .. } = &mut self.means;
        if change != Change::Aborting {
            vg.commit(&mut |locked| change_text(locked, &mut **mapper, of, change))?;
        } else if !commit_aborting(vg, &mut **mapper, of)? {
            tell(Report::Note(
                "the destination took no metadata: the move goes back without it, and its PV has left the VG",
            ));
        }
        if change == Change::Moved {
            // LVM2, to which the VG is open again, may refresh the LV and wait for what the mirror holds back.
            let (stack, record) = self.stack()?;
            if let Err(error) = stack.decide(&record, true) {
                tracing::warn!(%error, "the mirror is told once more with the switch");
            }
        }
        failpoint::slot_written(1)
    }

    fn is_of_destination(&self, error: &Error) -> bool {
        let Ok(record) = self.record() else { return true };
        let Some(device) = error.device.as_deref() else { return error.kind == Kind::Io };
        record.parts.iter().any(|part| self.means.vg.path_of(&part.destination.of) == device)
    }

    fn init_log(&mut self, lv: Uuid) -> Result<()> {
        let lv = self.lv(lv)?;
        // A refresh of LVM2's makes the same devices, since the text says so already.
        let lock = self.means.vg.lock()?;
        let (stack, record) = self.stack()?;
        stack.pass_through(&record, &lv)?;
        drop(lock);
        self.write_log()
    }

    fn create_shadow(&mut self, _lv: Uuid) -> Result<()> {
        let _lock = self.means.vg.lock()?;
        let (stack, record) = self.stack()?;
        stack.build(&record)
    }

    fn load(&mut self, _lv: Uuid, mapping: Mapping) -> Result<()> {
        // A command of LVM2 that has the lock may wait for what a daemon holds back.
        let (stack, record) = self.stack()?;
        stack.prepare(&record, mapping)?;
        let _lock = self.lock_for(mapping)?;
        let (stack, record) = self.stack()?;
        stack.load_prepared(&record, mapping)
    }

    fn swap(&mut self, _lv: Uuid, mapping: Mapping) -> Result<()> {
        let _lock = self.lock_for(mapping)?;
        let (stack, record) = self.stack()?;
        stack.swap(&record, mapping)
    }

    /// All LVs at once, and under LVM2's lock: a refresh puts an LV back onto `lvshiftN`, as the text says still, and
    /// whoever took that away meanwhile would fail the application's requests.
    fn remove_shadow(&mut self, _lv: Uuid) -> Result<()> {
        let (stack, record) = self.stack()?;
        if stack.is_straight(&record)? {
            return Ok(());
        }
        if let Err(error) = self.means.vg.reread() {
            tracing::warn!(%error, "the VG has the name that it had, for all that is known");
        }
        let _lock = self.means.vg.lock()?;
        let (stack, record) = self.stack()?;
        record.lvs().into_iter().try_for_each(|lv| stack.straighten(&record, lv))
    }

    fn copy_status(&mut self) -> Result<CopyStatus> {
        let (stack, record) = self.stack()?;
        if stack.is_gone(&record)? {
            self.put_back()?;
        }
        let (stack, record) = self.stack()?;
        let status = stack.copy_status(&record)?;
        let served = stack.is_served(&record)?;
        let Means { vg, mapper, tell, .. } = &mut self.means;
        let news = mapper.engine().map(|engine| engine.differing()).unwrap_or_default();
        for place in
            news.into_iter().flat_map(|run| unreadable::differing(vg.text(), &record, run, false))
        {
            tell(Report::Note(&copied_again(&place, &**vg)));
        }
        if served {
            return Ok(status);
        }
        let pieces = || unreadable::pieces(vg.text(), &record);
        self.watch.looked(status, pieces, &|pv| vg.device(pv))
    }

    fn wait(&mut self) -> Result<Wake> {
        let Means { mapper, vg, .. } = &mut self.means;
        if self.watch.goes_on(&|pv| vg.device(pv))? {
            // One look at signals and other commands, and on.
            let woken = mapper.wait(Some(Duration::ZERO))?;
            return Ok(if woken == Wake::Timeout { Wake::Changed } else { woken });
        }
        mapper.wait(Some(self.account.ticker.until()))
    }

    /// Flushes are held back from the second seal on: LVM2's lock, for which the commit waits, may be held by
    /// whoever waits for one.
    fn seal(&mut self, _for_commit: bool) -> Result<bool> {
        let (stack, record) = self.stack()?;
        stack.seal(&record)
    }

    fn check_destination(&mut self) -> Result<Option<LegFault>> {
        let (stack, record) = self.stack()?;
        // A daemon holds each flush until the commit is decided.
        if stack.is_served(&record)? {
            return Ok(None);
        }
        Ok(stack.copy_status(&record)?.fault_of_destination())
    }

    fn flush_destination(&mut self) -> Result<()> {
        let record = self.record()?;
        let mut flushed: Vec<&str> = Vec::new();
        for part in &record.parts {
            let pv = part.destination.of.as_str();
            if flushed.contains(&pv) {
                continue;
            }
            let member = self.means.vg.members().get(pv).ok_or_else(|| {
                Error::new(Kind::Missing, "the destination of the move is missing")
            })?;
            member.device.flush_in_time(DEADLINE)?;
            flushed.push(pv);
        }
        Ok(())
    }

    fn requests(&mut self, each: &mut dyn FnMut(Request)) {
        let Means { requests, wishes, tell, .. } = &mut self.means;
        wishes.hear(self.of, *requests, *tell, each);
    }

    fn report(&mut self, report: Driven<Error>) {
        let asks = matches!(report, Driven::LegFailed(..));
        let Means { vg, tell, .. } = &mut self.means;
        self.account.hear(report, || facts(vg, self.of), *tell);
        if asks {
            self.ask_for_bad_places();
        }
    }
}

impl Names for LvmVg {
    fn pv(&self, pv: Uuid) -> Option<String> {
        let text = self.text().pvs().into_iter().find(|other| id::uuid(&other.id) == pv)?;
        Some(self.path_of(&text.key))
    }

    fn lv(&self, lv: Uuid) -> Option<String> {
        let names = self.text().lv_names();
        let known =
            |name: &&str| self.text().lv_id(name).is_some_and(|known| id::uuid(known) == lv);
        names.into_iter().find(known).map(|name| format!("{}/{name}", self.name()))
    }
}

/// Under LVM2's lock: no command of LVM2 reads the text or loads a table meanwhile, so what the devices show
/// now they show until the change is committed.
pub(super) fn change_text(
    locked: vg::Locked<'_>,
    mapper: &mut dyn Mapper,
    of: Uuid,
    change: Change,
) -> Result<()> {
    let Some(record) = locked.moves.iter().find(|record| id::uuid(&record.id) == of) else {
        let gone = Error::new(Kind::State, "the move is not recorded any more");
        return if change == Change::Forget { Ok(()) } else { Err(gone) };
    };
    let before = locked.text.clone();
    let stack = Stack::new(mapper, &before, locked.moves, locked.members);
    let not_now = |what: &str| {
        Error::new(Kind::State, what.to_owned())
            .state("nothing was committed; it is looked at once more")
    };
    match change {
        Change::Begin if !stack.is_through(record)? => {
            return Err(not_now("the LV does not pass through the device that is to mirror it"));
        }
        // Another program may have loaded another table, or a leg may have failed, since the last look.
        Change::Moved if record.state == State::Copying => {
            if !stack.is_equal(record)? {
                return Err(not_now("the sides are not equal right now"));
            }
            for lv in record.lvs() {
                let live = stack.observe(record, lv)?;
                if !matches!(live, Live::Absent | Live::Is(Mapping::Mirrored)) {
                    return Err(not_now("an LV of the move has another table by now"));
                }
            }
        }
        // LVM2 may have put the devices back, as the text says, since they were taken down.
        Change::Forget => {
            for lv in record.lvs() {
                stack.straighten(record, lv)?;
            }
            if !stack.is_straight(record)? {
                return Err(not_now("devices of the move are still there"));
            }
            if let Some((_, area)) = before.log_place(record) {
                fenced::may_be_freed(&before, locked.members, &area)?;
            }
        }
        _ => {}
    }
    let done = match change {
        Change::Confirm => Ok(()),
        Change::Begin => locked.text.set_move(record, State::Copying),
        Change::Moved => locked.text.set_move(record, State::Moved),
        Change::Aborting => locked.text.set_move(record, State::Aborting),
        Change::Forget => locked.text.end_move(record),
    };
    done.map_err(|error| Error::new(Kind::State, error.to_string()))
}

/// Commits that a move goes back, for which the application's writes wait. Whether all PVs took it: where they do not,
/// the VG does without the destination.
pub(super) fn commit_aborting(vg: &mut LvmVg, mapper: &mut dyn Mapper, of: Uuid) -> Result<bool> {
    let change = Change::Aborting;
    match vg.commit(&mut |locked| change_text(locked, &mut *mapper, of, change)) {
        Err(error) if error.kind != Kind::Locked => {
            tracing::warn!(%error, "the way back cannot be committed on all PVs");
            vg.commit_without_destination(of).map(|()| false)
        }
        done => done.map(|()| true),
    }
}

/// Takes a move that nothing was done of out of the text.
pub(super) fn forget(vg: &mut LvmVg, mapper: &mut dyn Mapper, of: Uuid) -> Result<()> {
    vg.commit(&mut |locked| change_text(locked, &mut *mapper, of, Change::Forget))
}
