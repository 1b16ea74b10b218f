//! What the daemon serves, and how each request changes it.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use lvshift_core::chunk::Authority;
use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::output;

use super::held::Held;
use crate::backing::BackingDevice;
use crate::device::{Device, FreshSeal, Wanted, can_grow, cannot_grow};
use crate::events::Events;
use crate::failpoint::{self, Point};
use crate::live::LiveTable;
use crate::platform::{Control, Instant, Note, files, sleep};
use crate::protocol::{
    Answer, Kept, Request, Tuning, VERSION, WireCopy, WireDevice, WireDiffers, WirePv,
    WirePvErrors, WireTable, WireTables, WireUnreadable,
};
use crate::uapi::STATE_DEAD;

type Id = [u8; 16];

/// How long what was given up may take before a command is told so: everybody else waits meanwhile.
const LATE_PATIENCE: Duration = Duration::from_millis(200);
const STEP: Duration = Duration::from_millis(5);

/// One LV.
#[derive(Default)]
struct Entry {
    name: String,
    device: Option<Device>,
    inactive: Option<WireTable>,
    shadow: Option<WireTable>,
    /// What no other process may have as long as this is served, whatever its table is.
    alone: Vec<Arc<BackingDevice>>,
}

/// Everything.
pub(super) struct State {
    vg: Uuid,
    control: Control,
    held: Held,
    entries: BTreeMap<Id, Entry>,
    /// Devices of a dead daemon that wait to be taken over.
    orphans: BTreeMap<Id, u32>,
    events: Arc<Events>,
    /// The PVs as they were noted last.
    noted: Vec<WirePv>,
    /// Tables that were left while their destinations had not answered: what was given up may still land there.
    left: Vec<(Id, Weak<LiveTable>)>,
}

impl State {
    /// Nothing served yet; looks which devices a dead daemon has left.
    pub(super) fn new(vg: Uuid, events: Arc<Events>) -> Result<State> {
        let mut control = Control::open()?;
        let mut orphans = BTreeMap::new();
        for note in files::notes(vg)? {
            match control.info(note.device)? {
                // Its daemon died before the disk appeared: it cannot have been used.
                Some(info) if info.state == STATE_DEAD => {
                    control.delete(note.device)?;
                    files::forget(note.device)?;
                }
                Some(_) => {
                    orphans.insert(note.lv, note.device);
                }
                None => files::forget(note.device)?,
            }
        }
        Ok(State {
            vg,
            control,
            held: Held::default(),
            entries: BTreeMap::new(),
            orphans,
            events,
            noted: Vec::new(),
            left: Vec::new(),
        })
    }

    /// The LVs whose devices wait to be taken over.
    pub(super) fn orphans(&self) -> Vec<Uuid> {
        self.orphans.keys().map(|id| Uuid(*id)).collect()
    }

    /// Whether there is nothing to serve, and nothing that waits to be.
    pub(super) fn is_idle(&self) -> bool {
        self.orphans.is_empty()
            && self.entries.values().all(|entry| entry.device.is_none())
            && self.left.iter().all(|(_, table)| table.strong_count() == 0)
    }

    /// Does what a command asks.
    pub(super) fn answer(&mut self, request: Request) -> Result<Answer> {
        match request {
            Request::Hello { .. } => {
                return Ok(Answer::Hello { version: VERSION, pid: std::process::id() });
            }
            Request::List => return Ok(Answer::Devices(self.list())),
            Request::Activate { lv, name, table, shadow, undecided, lvm2 } => {
                return match lvm2 {
                    Some(vg_id) => self.serve(lv, Kept { vg_id, name, table }, undecided),
                    None => self.activate(lv, name, (table, shadow), undecided),
                };
            }
            Request::Deactivate { lv } => self.deactivate(lv)?,
            Request::Refresh { lv, table } => self.refresh(lv, table)?,
            Request::Rename { lv, name } => self.entry(lv)?.name = name,
            Request::CreateShadow { lv, table } => {
                self.hold(&[&table], false)?;
                self.entries.entry(lv).or_default().shadow = Some(table);
            }
            Request::RemoveShadow { lv } => {
                self.refuse_late(lv)?;
                self.held.release();
                if let Some(entry) = self.entries.get_mut(&lv) {
                    entry.shadow = None;
                    // The move is over, and what was asked of it is not asked of the next one.
                    if let Some(device) = &mut entry.device {
                        device.tune(Tuning::default());
                    }
                    files::forget_tuning(Uuid(lv))?;
                }
            }
            Request::Load { lv, name, table } => self.load(lv, name, table)?,
            Request::Swap { lv } => self.swap(lv)?,
            Request::Decide { lv, destination } => {
                let in_charge =
                    if destination { Authority::Destination } else { Authority::Source };
                if let Some(device) = self.entries.get(&lv).and_then(|e| e.device.as_ref()) {
                    device.decided(in_charge);
                }
            }
            Request::Tables { lv } => return Ok(Answer::Tables(self.tables(lv))),
            Request::CopyStatus { lvs } => return Ok(self.copy_status(&lvs)),
            Request::Seal { lvs, commit } => {
                return Ok(Answer::Sealed(self.seal(&lvs, commit)));
            }
            Request::HandOver { lv, over } => {
                self.tune(lv, Tuning { hands_over: Some(over), ..Tuning::default() })?;
                let device = self.entries.get(&lv).and_then(|entry| entry.device.as_ref());
                if !over {
                    return Ok(Answer::Done);
                }
                let still = device.is_some_and(|one| one.answer_flushes() && one.has_no_fault());
                return Ok(Answer::Sealed(still));
            }
            Request::Verify { lv } => {
                let device = self.entries.get(&lv).and_then(|entry| entry.device.as_ref());
                let number = device.and_then(Device::compare);
                return number.map(Answer::Events).ok_or_else(|| {
                    Error::new(Kind::State, "the LV is not mirrored: there is nothing to compare")
                });
            }
            Request::Count => return Ok(self.counted()),
            Request::Tune { lvs, tuning } => {
                lvs.into_iter().try_for_each(|lv| self.tune(lv, tuning))?;
            }
            // These two are the server's own.
            Request::Wait { .. } | Request::Shutdown { .. } => {}
        }
        Ok(Answer::Done)
    }

    /// Seals all of them, or none.
    fn seal(&self, lvs: &[Id], commit: bool) -> bool {
        let device = |lv| self.entries.get(lv).and_then(|entry| entry.device.as_ref());
        let devices: Option<Vec<&Device>> = lvs.iter().map(device).collect();
        let Some(devices) = devices else { return false };
        // From the seal on no thread makes chunks clean, so that no flush of our own follows those
        // that are waited for. A flush of another LV on the same disk may be the one that fails.
        let neighbours = || {
            let all = self.entries.values().filter_map(|entry| entry.device.as_ref());
            all.filter(|one| devices.iter().any(|other| one.flushes_destinations_of(other)))
        };
        let mut fresh = Vec::new();
        let all_sealed = devices.iter().all(|device| device.seal(&mut fresh));
        let mut committing = Vec::new();
        if all_sealed && commit {
            committing = devices.iter().filter(|device| !device.set_committing(true)).collect();
        }
        let sealed = all_sealed
            && neighbours().all(Device::answer_flushes)
            && devices.iter().all(|device| device.is_healthy());
        if !sealed {
            // Only what this call has sealed: behind an older seal a commit may have been tried, and
            // whether it stands is for the mover to find out.
            fresh.into_iter().for_each(FreshSeal::undo);
            for device in committing {
                device.set_committing(false);
            }
        }
        sealed
    }

    /// Whether the commit of a move of these LVs is under way, for all that is known here.
    pub(super) fn is_committing(&self, lvs: &[Id]) -> bool {
        let devices = lvs.iter().filter_map(|lv| self.entries.get(lv)?.device.as_ref());
        devices.into_iter().any(Device::is_committing)
    }

    /// Kept for the next daemon, too.
    fn tune(&mut self, lv: Id, tuning: Tuning) -> Result<()> {
        let Some(entry) = self.entries.get_mut(&lv) else { return Ok(()) };
        let tuning = files::tuning(Uuid(lv)).changed_by(tuning);
        files::keep_tuning(Uuid(lv), &tuning)?;
        if let Some(device) = &mut entry.device {
            device.tune(tuning);
        }
        Ok(())
    }

    fn entry(&mut self, lv: Id) -> Result<&mut Entry> {
        self.entries.get_mut(&lv).ok_or_else(|| Error::new(Kind::State, "the LV is not active"))
    }

    fn list(&self) -> Vec<WireDevice> {
        self.entries.iter().filter_map(|(lv, entry)| wire_device(*lv, entry)).collect()
    }

    /// The mirror of a move in a VG of LVM2's. All that it will ever need is held from the beginning: who has the log
    /// alone is the one mirror, and LVM2 may load the kernel's at any time.
    fn serve(&mut self, lv: Id, kept: Kept, undecided: bool) -> Result<Answer> {
        let there = self.entries.get(&lv).is_some_and(|entry| entry.device.is_some());
        let Kept { name, table, .. } = &kept;
        if !there {
            let alone = self.held.hold_all(table, self.orphans.contains_key(&lv))?;
            // One that is served may mirror by now.
            files::keep_mirror(Uuid(lv), &kept)?;
            self.entries.entry(lv).or_default().alone = alone;
        }
        let done = self.activate(lv, name.clone(), (table.clone(), None), undecided);
        if done.is_err() && !there && !self.orphans.contains_key(&lv) {
            files::forget_mirror(Uuid(lv))?;
        }
        done
    }

    fn activate(
        &mut self,
        lv: Id,
        name: String,
        (table, shadow): (WireTable, Option<WireTable>),
        undecided: bool,
    ) -> Result<Answer> {
        let there = self.entries.get(&lv).is_some_and(|entry| entry.device.is_some());
        if !there {
            let entry = self.entries.entry(lv).or_default();
            entry.name = name;
            if shadow.is_some() {
                entry.shadow = shadow;
            }
            self.start(lv, table, undecided)?;
        }
        let entry = self.entry(lv)?;
        match wire_device(lv, entry) {
            Some(device) => Ok(Answer::Device(device)),
            None => Err(Error::new(Kind::State, "the LV is not active")),
        }
    }

    fn start(&mut self, lv: Id, table: WireTable, undecided: bool) -> Result<()> {
        if table.is_mirrored() {
            // What an earlier mirror of ours has given up may land on this one: another process would wait for it.
            self.refuse_late(lv).map_err(|error| {
                error.state("the LV is not active; its move is recorded as it was").next(
                    "activate it again when the device has answered, or after lvshift-ublk upgrade",
                )
            })?;
        }
        let existing = self.orphans.get(&lv).copied();
        let shadow = self.entries.get(&lv).and_then(|entry| entry.shadow.clone());
        let tables: Vec<&WireTable> = std::iter::once(&table).chain(shadow.as_ref()).collect();
        self.hold(&tables, existing.is_some())?;
        failpoint::pass(Point::PvsHeld);
        let (vg, tuning) = (self.vg.0, files::tuning(Uuid(lv)));
        let mut left = Vec::new();
        let started = Device::start(
            &mut self.control,
            Wanted { existing, tuning, table, undecided, left: &mut left },
            shadow.as_ref(),
            &self.held.devices,
            &self.events,
            &mut |device| files::note(&Note { vg, lv, device }),
        );
        self.left.extend(left.into_iter().map(|table| (lv, table)));
        let device = match started {
            Ok(device) => device,
            Err(error) => {
                if existing.is_none() {
                    self.entries.remove(&lv);
                }
                self.held.release();
                return Err(error);
            }
        };
        self.orphans.remove(&lv);
        if let Ok(entry) = self.entry(lv) {
            entry.device = Some(device);
        }
        self.held.release();
        Ok(())
    }

    /// Refuses what would make the destination of a move that was taken back free, as long as anything may
    /// still land there.
    fn refuse_late(&mut self, lv: Id) -> Result<()> {
        let start = Instant::now();
        loop {
            let device = self.entries.get_mut(&lv).and_then(|entry| entry.device.as_mut());
            self.left.extend(device.into_iter().flat_map(Device::left).map(|table| (lv, table)));
            self.left.retain(|(_, table)| table.strong_count() > 0);
            let of = self.left.iter().filter(|(of, _)| *of == lv);
            let Some(table) = of.filter_map(|(_, table)| table.upgrade()).next() else {
                return Ok(());
            };
            if start.elapsed() >= LATE_PATIENCE {
                let to = table.parts.first().map(|part| part.place().destination.device);
                let device = to.and_then(|to| table.backing(to));
                let path =
                    device.map_or_else(String::new, |device| device.path.display().to_string());
                let what =
                    "the destination has not answered what was written to it, which may still land";
                return Err(Error::new(Kind::InUse, what)
                    .device(path)
                    .state("the LV is on its source; the move stays recorded, so that its extents are not given away")
                    .next("pvmove tidies up when the device has answered or is gone"));
            }
            drop(table);
            sleep(STEP);
        }
    }

    fn deactivate(&mut self, lv: Id) -> Result<()> {
        if files::mirror(Uuid(lv)).is_some() {
            self.refuse_late(lv)?;
        }
        if let Some(device) = self.entries.get_mut(&lv).and_then(|entry| entry.device.as_mut()) {
            let tables = device.left().into_iter().chain([device.table()]);
            self.left.extend(tables.map(|table| (lv, table)));
        }
        if let Some(entry) = self.entries.get_mut(&lv)
            && let Some(device) = entry.device.take()
        {
            let id = device.id;
            device.end(&mut self.control)?;
            failpoint::pass(Point::DeviceDeleted);
            files::forget(id)?;
        }
        self.entries.remove(&lv);
        files::forget_tuning(Uuid(lv))?;
        files::forget_mirror(Uuid(lv))?;
        self.held.release();
        Ok(())
    }

    /// Holds what these tables need, and notes which devices the PVs are for whoever takes over.
    fn hold(&mut self, tables: &[&WireTable], fence: bool) -> Result<()> {
        self.held.hold(tables, fence)?;
        let Some(table) = tables.first().filter(|table| table.pvs != self.noted) else {
            return Ok(());
        };
        self.noted.clone_from(&table.pvs);
        if let Err(error) = files::note_pvs(self.vg, &self.noted) {
            output::err(&format!("lvshift-ublk: who takes over will look for the PVs: {error}\n"));
            files::forget_pvs(self.vg);
        }
        Ok(())
    }

    fn load(&mut self, lv: Id, name: String, table: WireTable) -> Result<()> {
        self.hold(&[&table], false)?;
        let entry = self.entries.entry(lv).or_default();
        if let Some(device) = &entry.device {
            device.check(&table, entry.shadow.as_ref(), &self.held.devices)?;
        } else {
            entry.name = name;
        }
        entry.inactive = Some(table);
        Ok(())
    }

    fn swap(&mut self, lv: Id) -> Result<()> {
        let devices = self.held.devices.clone();
        let entry = self.entry(lv)?;
        // As with device-mapper, a swap with nothing loaded changes nothing.
        let Some(table) = entry.inactive.take() else { return Ok(()) };
        // Before: who takes over a mirror must mirror, and one that has not begun has a log without a clean bit.
        if let Some(kept) = files::mirror(Uuid(lv)) {
            files::keep_mirror(Uuid(lv), &Kept { table: table.clone(), ..kept })?;
        }
        match &mut entry.device {
            Some(device) => device.swap(table, entry.shadow.as_ref(), &devices)?,
            None => self.start(lv, table, false)?,
        }
        drop(devices);
        self.held.release();
        Ok(())
    }

    fn refresh(&mut self, lv: Id, table: WireTable) -> Result<()> {
        self.hold(&[&table], false)?;
        let devices = self.held.devices.clone();
        let Some(entry) = self.entries.get_mut(&lv) else { return Ok(()) };
        let Some(device) = &mut entry.device else { return Ok(()) };
        let (before, after) = (device.live.sectors(), table.sectors());
        if before != after && !can_grow(&mut self.control)? {
            return Err(cannot_grow()
                .state("the LV is longer in the metadata; its device keeps its size for now")
                .next("deactivate the LV and activate it again"));
        }
        let id = device.id;
        device.swap(table, entry.shadow.as_ref(), &devices)?;
        if before != after {
            self.control.update_size(id, after)?;
        }
        Ok(())
    }

    fn tables(&self, lv: Id) -> WireTables {
        let Some(entry) = self.entries.get(&lv) else { return WireTables::default() };
        WireTables {
            live: entry.device.as_ref().map(|device| device.live.clone()),
            inactive: entry.inactive.clone(),
            shadow: entry.shadow.clone(),
        }
    }

    fn counted(&self) -> Answer {
        let of = |(lv, entry): (&Id, &Entry)| Some(entry.device.as_ref()?.counted(*lv));
        let pvs = self.held.devices.iter().map(|device| WirePvErrors {
            path: device.path.display().to_string(),
            sides: device.errors.counts(),
        });
        Answer::Counted { lvs: self.entries.iter().filter_map(of).collect(), pvs: pvs.collect() }
    }

    fn copy_status(&self, lvs: &[Id]) -> Answer {
        // First the count: a change after this reading ends the next wait.
        let events = self.events.count();
        let mut all = WireCopy::default();
        let (mut unreadable, mut differs) = (Vec::new(), Vec::new());
        for lv in lvs {
            let Some(device) = self.entries.get(lv).and_then(|entry| entry.device.as_ref()) else {
                continue;
            };
            let copy = device.copy_status();
            all.chunks_done += copy.chunks_done;
            all.chunks_total += copy.chunks_total;
            all.bytes_done += copy.bytes_done;
            all.bytes_total += copy.bytes_total;
            all.failed = all.failed.or(copy.failed);
            all.unverified |= copy.unverified;
            all.answered = copy.answered;
            all.compared += copy.compared;
            all.aside.0 += copy.aside.0;
            all.aside.1 += copy.aside.1;
            all.aside.2 += copy.aside.2;
            differs.extend(device.differs().map(|(sectors, again)| WireDiffers {
                lv: *lv,
                sectors: (sectors.start, sectors.end),
                again,
            }));
            unreadable.extend(device.unreadable().map(|(sectors, errno)| WireUnreadable {
                lv: *lv,
                sectors: (sectors.start, sectors.end),
                errno,
            }));
        }
        Answer::Copy { copy: all, unreadable, differs, events }
    }
}

fn wire_device(lv: Id, entry: &Entry) -> Option<WireDevice> {
    let device = entry.device.as_ref()?;
    let suspended = !device.is_served();
    Some(WireDevice { lv, name: entry.name.clone(), id: device.id, suspended })
}
