//! [`FrontEnd`] by asking the VG's daemon.

mod counted;
mod given_up;
mod lvm2;
mod tables;
mod unreadable;

use std::sync::Arc;
use std::time::Duration;

use lvshift_core::mover::{Live, Mapping};
use lvshift_core::table;
use lvshift_core::units::{DeviceNumber, LvIndex, MoveIndex, Uuid};
use lvshift_frontend_common::counted::Counted;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::front_end::{
    ActiveLv, Aside, BadPlace, CopyStatus, Felt, FrontEnd, Pace, PvSectors, View, Wake,
};
use lvshift_frontend_common::lvm2::mapper;

use self::tables::{Names, wire};
use crate::channel::{Answers, Channel, Start};
use crate::device::{can_grow, cannot_grow};
use crate::platform::{self, Control, Instant, disk_number, disk_path, in_use, links, sleep};
use crate::protocol::{
    Answer, Request, Tuning, WireDevice, WireDiffers, WireTable, WireTables, WireUnreadable,
};
use crate::status;
use lvshift_frontend_common::vg::Vg;

/// How many daemons may die over one request before it counts as their killer.
const TRIES: u32 = 8;
/// How long a destination that has not answered is waited for before a move that was taken back is left
/// recorded.
const LATE_PATIENCE: Duration = Duration::from_millis(1500);
const LATE_STEP: Duration = Duration::from_millis(100);
/// The longest the daemon keeps a waiting command without an answer.
const WAIT_LIMIT: Duration = Duration::from_secs(3600);

/// The ublk front end, as commands use it.
#[derive(Default)]
pub(crate) struct Ublk {
    channel: Option<Channel>,
    /// The daemon of this VG is this process: it is its own client.
    own: Option<(Uuid, Arc<dyn Answers>)>,
    /// A second channel, on which a wait may be under way.
    waiting: Option<Channel>,
    /// The count of events when the copy's status was last read.
    seen: u64,
    /// What the copy could not read when its status was last read.
    unreadable: Vec<WireUnreadable>,
    /// What it had compared by then and differs, and how much of that was told.
    differs: Vec<WireDiffers>,
    told: usize,
    /// Both sides are compared before a move counts as equal.
    verify: bool,
    /// How the copies are to be made.
    pace: Pace,
    /// What is given up where it cannot be read.
    given_up: Vec<PvSectors>,
    /// The move whose daemon has been told so.
    paced: Option<Uuid>,
    /// Device-mapper, for VGs of LVM2's own.
    mapper: Option<Box<dyn mapper::Mapper + Send>>,
    /// The other front end, to look at what it serves.
    beside: Option<Box<dyn FrontEnd + Send>>,
    /// The copy's status was last read from a daemon, and so the wait is for that.
    watched: bool,
    /// A commit may be under way while LVs are taken over: who is in charge is decided by it.
    pub(crate) in_doubt: bool,
}

impl Ublk {
    /// The client of a daemon that is this process.
    pub(crate) fn of(vg: Uuid, daemon: Arc<dyn Answers>) -> Ublk {
        Ublk { own: Some((vg, daemon)), ..Ublk::default() }
    }

    fn connect(&self, vg: Uuid, start: Start) -> Result<Option<Channel>> {
        match &self.own {
            Some((of, daemon)) if *of == vg => {
                Ok(Some(Channel::in_process(vg, Arc::clone(daemon))))
            }
            _ => platform::connect(vg, start),
        }
    }

    /// Asks the VG's daemon; `None` if there is none and `start` is not to make one.
    fn ask_if_there(
        &mut self,
        vg: Uuid,
        request: &Request,
        start: Start,
    ) -> Result<Option<Answer>> {
        if self.channel.as_ref().is_some_and(|channel| channel.vg() != vg) {
            self.channel = None;
        }
        // A daemon that dies is replaced, and the request asked again: each may be asked twice.
        for _ in 0..TRIES {
            if self.channel.is_none() {
                self.channel = self.connect(vg, start)?;
            }
            let Some(channel) = &mut self.channel else { return Ok(None) };
            match channel.ask(request) {
                Ok(Answer::Failed(error)) => return Err(error.into_error()),
                Ok(answer) => return Ok(Some(answer)),
                Err(_) => {
                    self.channel = None;
                    // The next daemon has not been told.
                    self.paced = None;
                }
            }
        }
        Err(Error::new(Kind::Kernel, "the daemon of the VG ends without an answer")
            .next("look at its log under /run/lvshift/ublk"))
    }

    fn ask(&mut self, vg: Uuid, request: &Request) -> Result<Answer> {
        match self.ask_if_there(vg, request, Start::Always)? {
            Some(answer) => Ok(answer),
            None => Err(Error::new(Kind::Kernel, "the VG has no daemon")),
        }
    }

    pub(crate) fn do_it(&mut self, vg: Uuid, request: &Request) -> Result<()> {
        self.ask(vg, request).map(|_| ())
    }

    /// Asks for what would make a move's destination free. Where that has not answered all that was written
    /// to it, it is waited for, and then the move stays recorded.
    fn when_answered(&mut self, vg: Uuid, request: &Request) -> Result<()> {
        let start = Instant::now();
        loop {
            match self.ask_if_there(vg, request, Start::ToTakeOver) {
                Err(error) if error.kind == Kind::InUse && start.elapsed() < LATE_PATIENCE => {
                    sleep(LATE_STEP);
                }
                other => return other.map(drop),
            }
        }
    }

    /// Whether the VG has a daemon now, after taking over what a dead one has left.
    pub(crate) fn is_served(&mut self, vg: Uuid) -> Result<bool> {
        Ok(self.ask_if_there(vg, &Request::List, Start::ToTakeOver)?.is_some())
    }

    /// Replaces the VG's daemon by this program's own version.
    pub(crate) fn replace_daemon(&mut self, vg: Uuid) -> Result<()> {
        let before = platform::daemon_of(vg)?;
        if let Some(pid) = before {
            platform::shut_down(vg)?;
            // Its lock is free when it is gone; who comes next is asked for its number.
            platform::wait_for_end(vg, pid)?;
        }
        self.channel = None;
        self.is_served(vg).map(|_| ())
    }

    fn find(&mut self, vg: Uuid, lv: Uuid) -> Result<Option<WireDevice>> {
        match self.ask_if_there(vg, &Request::List, Start::ToTakeOver)? {
            Some(Answer::Devices(devices)) => {
                Ok(devices.into_iter().find(|device| device.lv == lv.0))
            }
            _ => Ok(None),
        }
    }

    pub(crate) fn tables(&mut self, vg: Uuid, lv: Uuid) -> Result<WireTables> {
        match self.ask_if_there(vg, &Request::Tables { lv: lv.0 }, Start::ToTakeOver)? {
            Some(Answer::Tables(tables)) => Ok(tables),
            _ => Ok(WireTables::default()),
        }
    }

    /// How far the copies of these LVs are.
    fn read_status(&mut self, vg: Uuid, lvs: Vec<[u8; 16]>) -> Result<CopyStatus> {
        let answer = self.ask(vg, &Request::CopyStatus { lvs })?;
        let Answer::Copy { copy, unreadable, differs, events } = answer else {
            return Err(not_understood());
        };
        self.told = self.told.min(differs.len());
        self.differs = differs;
        self.seen = events;
        self.unreadable = unreadable;
        Ok(CopyStatus {
            chunks_done: copy.chunks_done,
            chunks_total: copy.chunks_total,
            bytes_done: copy.bytes_done,
            bytes_total: copy.bytes_total,
            aside: Aside { areas: copy.aside.0, bytes: copy.aside.1, nanos: copy.aside.2 },
            failed: copy.failed.map(status::leg_fault),
        })
    }

    /// Whether anything is asked of the copies.
    fn asks(&self) -> bool {
        self.pace != Pace::default() || self.verify
    }

    /// What is asked of a move of so many LVs, for each of them.
    fn asked(&self, lvs: usize) -> Tuning {
        let verify = self.verify.then_some(true);
        Tuning { verify, ..paced(self.pace, lvs) }
    }

    /// Tells the daemon of a move what is asked of it, if it was not told yet: what is left out may have been tuned
    /// meanwhile.
    fn tune_once(&mut self, vg: Uuid, of: Option<Uuid>, lvs: &[[u8; 16]]) -> Result<()> {
        if self.asks() && self.paced != of {
            let tuning = self.asked(lvs.len());
            self.do_it(vg, &Request::Tune { lvs: lvs.to_vec(), tuning })?;
            self.paced = of;
        }
        Ok(())
    }

    /// What was found to differ since this was asked last, and is copied again.
    fn differ_anew(&mut self) -> impl Iterator<Item = &WireDiffers> {
        let news = self.differs.get(self.told..).unwrap_or_default();
        self.told = self.differs.len();
        news.iter().filter(|run| !run.again)
    }

    /// Has both sides of what is mirrored of an LV compared, and waits for that. How many bytes were found equal,
    /// and the sectors that were not.
    pub(crate) fn compare(&mut self, vg: Uuid, lv: Uuid) -> Result<(u64, Vec<WireDiffers>)> {
        let before = match self.ask(vg, &Request::CopyStatus { lvs: vec![lv.0] })? {
            Answer::Copy { differs, .. } => differs.len(),
            _ => return Err(not_understood()),
        };
        let Answer::Events(number) = self.ask(vg, &Request::Verify { lv: lv.0 })? else {
            return Err(not_understood());
        };
        loop {
            let answer = self.ask(vg, &Request::CopyStatus { lvs: vec![lv.0] })?;
            let Answer::Copy { copy, differs, events, .. } = answer else {
                return Err(not_understood());
            };
            self.seen = events;
            if copy.answered >= number {
                return Ok((copy.compared, differs.get(before..).unwrap_or_default().to_vec()));
            }
            if copy.chunks_total == 0 {
                return Err(Error::new(
                    Kind::State,
                    "the mirror has ended before all was compared",
                ));
            }
            FrontEnd::wait(self, None)?;
        }
    }

    /// The tables' lines of one mapping, and of the shadow if it needs one.
    fn made(
        view: View<'_>,
        lv: LvIndex,
        of: Option<MoveIndex>,
        mapping: Mapping,
    ) -> Result<(WireTable, Option<WireTable>)> {
        let table = wire(view, lv, of.map(|of| (of, mapping)))?;
        let shadow = match (mapping, of) {
            (Mapping::Mirrored, Some(of)) => Some(wire(view, lv, Some((of, Mapping::Source)))?),
            _ => None,
        };
        Ok((table, shadow))
    }
}

impl FrontEnd for Ublk {
    fn name(&self) -> &'static str {
        "lvshift-ublk"
    }

    fn counted(&mut self, vg: Uuid) -> Option<Counted> {
        counted::ask(self, vg)
    }

    fn beside(&mut self) -> Option<&mut dyn FrontEnd> {
        if self.beside.is_none() {
            self.beside = platform::beside();
        }
        Some(self.beside.as_deref_mut()?)
    }

    fn lv_at(&mut self, device: DeviceNumber) -> Result<Option<(String, String)>> {
        Ok(links::lv_at(device))
    }

    fn has_daemon(&self) -> bool {
        true
    }

    fn check_kernel(&mut self, _for_a_move: bool) -> Result<()> {
        Control::open().map(|_| ())
    }

    fn active(&mut self, vg: &Vg, lv: LvIndex) -> Result<Option<ActiveLv>> {
        let Some(record) = vg.lv(lv) else { return Ok(None) };
        let uuid = record.uuid;
        self.find(vg.uuid(), uuid)?.map(|device| active_lv(&device)).transpose()
    }

    fn activate(
        &mut self,
        view: View<'_>,
        lv: LvIndex,
        mapping: Mapping,
        private: bool,
    ) -> Result<ActiveLv> {
        let vg = view.vg.uuid();
        let record = view.lv(lv)?;
        let (uuid, name) = (record.uuid, record.name.as_str().to_owned());
        let device = match self.find(vg, uuid)? {
            Some(device) => device,
            None => {
                let of = view.vg.move_of_lv(lv);
                let (table, shadow) = Self::made(view, lv, of, mapping)?;
                let (name, undecided) = (name.clone(), self.in_doubt);
                let request =
                    Request::Activate { lv: uuid.0, name, table, shadow, undecided, lvm2: None };
                match self.ask(vg, &request)? {
                    Answer::Device(device) => device,
                    _ => return Err(not_understood()),
                }
            }
        };
        if !private {
            links::make(view.vg.name().as_str(), &name, &disk_path(device.id))?;
        }
        active_lv(&device)
    }

    fn deactivate(&mut self, vg: &Vg, lv: LvIndex) -> Result<()> {
        let Some(record) = vg.lv(lv) else { return Ok(()) };
        let uuid = record.uuid;
        if let Some(device) = self.find(vg.uuid(), uuid)? {
            in_use::refuse(&disk_path(device.id))?;
        }
        let request = Request::Deactivate { lv: uuid.0 };
        self.ask_if_there(vg.uuid(), &request, Start::ToTakeOver)?;
        links::remove(vg.name().as_str(), record.name.as_str())
    }

    fn check_growth(&mut self) -> Result<()> {
        if can_grow(&mut Control::open()?)? { Ok(()) } else { Err(cannot_grow()) }
    }

    fn refresh(&mut self, view: View<'_>, lv: LvIndex) -> Result<()> {
        let record = view.lv(lv)?;
        if self.find(view.vg.uuid(), record.uuid)?.is_none() {
            return Ok(());
        }
        let table = wire(view, lv, None)?;
        self.do_it(view.vg.uuid(), &Request::Refresh { lv: record.uuid.0, table })
    }

    fn rename(&mut self, vg: &Vg, lv: LvIndex, old: &str) -> Result<()> {
        let Some(record) = vg.lv(lv) else { return Ok(()) };
        let name = record.name.as_str().to_owned();
        let Some(device) = self.find(vg.uuid(), record.uuid)? else { return Ok(()) };
        self.do_it(vg.uuid(), &Request::Rename { lv: record.uuid.0, name: name.clone() })?;
        if links::exists(vg.name().as_str(), old) {
            links::remove(vg.name().as_str(), old)?;
            links::make(vg.name().as_str(), &name, &disk_path(device.id))?;
        }
        Ok(())
    }

    fn observe(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex) -> Result<Live> {
        let record = view.lv(lv)?;
        let tables = self.tables(view.vg.uuid(), record.uuid)?;
        let Some(live) = tables.live else { return Ok(Live::Absent) };
        Ok(table::observe(view.vg, lv, of, &Names(view), &live.segments()))
    }

    fn create_shadow(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex) -> Result<()> {
        let record = view.lv(lv)?;
        let table = wire(view, lv, Some((of, Mapping::Source)))?;
        self.do_it(view.vg.uuid(), &Request::CreateShadow { lv: record.uuid.0, table })
    }

    fn load(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex, mapping: Mapping) -> Result<()> {
        let vg = view.vg.uuid();
        let record = view.lv(lv)?;
        let name = record.name.as_str().to_owned();
        let lv_uuid = record.uuid.0;
        match mapping {
            // A daemon that was replaced meanwhile has no shadow.
            Mapping::Mirrored => {
                self.create_shadow(view, of, lv)?;
                let tuning = self.asked(lvs_of(view.vg, of).len());
                self.do_it(vg, &Request::Tune { lvs: vec![lv_uuid], tuning })?;
            }
            Mapping::Source => {
                self.do_it(vg, &Request::Decide { lv: lv_uuid, destination: false })?;
            }
            Mapping::Final => {
                self.do_it(vg, &Request::Decide { lv: lv_uuid, destination: true })?;
            }
        }
        let mut table = wire(view, lv, Some((of, mapping)))?;
        if mapping == Mapping::Mirrored {
            table.given_up = given_up::of_lv(view, of, lv, &self.given_up);
        }
        self.do_it(vg, &Request::Load { lv: lv_uuid, name, table })
    }

    fn swap(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex, mapping: Mapping) -> Result<()> {
        let vg = view.vg.uuid();
        let uuid = view.lv(lv)?.uuid;
        self.do_it(vg, &Request::Swap { lv: uuid.0 })?;
        if self.observe(view, of, lv)? != Live::Is(mapping) {
            // A daemon that was replaced meanwhile has nothing loaded.
            self.load(view, of, lv, mapping)?;
            self.do_it(vg, &Request::Swap { lv: uuid.0 })?;
        }
        match self.observe(view, of, lv)? {
            Live::Is(live) if live == mapping => Ok(()),
            live => Err(Error::new(
                Kind::Inconsistent,
                format!("after the switch the LV shows {live:?}, not {mapping:?}"),
            )),
        }
    }

    fn remove_shadow(&mut self, view: View<'_>, _of: MoveIndex, lv: LvIndex) -> Result<()> {
        let uuid = view.lv(lv)?.uuid;
        let (vg, request) = (view.vg.uuid(), Request::RemoveShadow { lv: uuid.0 });
        self.when_answered(vg, &request)
    }

    fn copy_status(&mut self, view: View<'_>, of: MoveIndex) -> Result<CopyStatus> {
        let lvs = lvs_of(view.vg, of);
        let vg = view.vg.uuid();
        let of_uuid = view.vg.move_at(of).map(|record| record.uuid);
        self.tune_once(vg, of_uuid, &lvs)?;
        for lv in &lvs {
            // A copy that is not made would look like one that has nothing to do.
            let live = self.tables(vg, Uuid(*lv))?.live;
            let mirrored = live.is_some_and(|table| table.is_mirrored());
            if !mirrored {
                return Err(Error::new(Kind::State, "an LV of the move is not mirrored"));
            }
        }
        self.read_status(vg, lvs)
    }

    fn seal(&mut self, view: View<'_>, of: MoveIndex, commit: bool) -> Result<bool> {
        let lvs = lvs_of(view.vg, of);
        match self.ask(view.vg.uuid(), &Request::Seal { lvs, commit })? {
            Answer::Sealed(sealed) => Ok(sealed),
            _ => Err(not_understood()),
        }
    }

    fn seal_again(&mut self, vg: &Vg, of: MoveIndex) -> bool {
        // On the channel that there is: the daemon behind another may wait for the lock.
        let request = Request::Seal { lvs: lvs_of(vg, of), commit: true };
        let channel = self.channel.as_mut().filter(|other| other.vg() == vg.uuid());
        let answer = channel.map(|channel| channel.ask(&request));
        matches!(answer, Some(Ok(Answer::Sealed(true))))
    }

    /// The daemon copies, and reads and writes of the LV's users know nothing of its failures.
    fn isolates_read_errors(&self) -> bool {
        true
    }

    fn bad_places(&mut self, view: View<'_>, of: MoveIndex) -> Vec<BadPlace> {
        let unreadable = self.unreadable.iter().filter_map(|run| unreadable::place(view, of, run));
        let differ = self.differs.iter().filter(|run| run.again);
        unreadable.chain(differ.filter_map(|run| unreadable::differs(view, of, run))).collect()
    }

    fn differing(&mut self, view: View<'_>, of: MoveIndex) -> Vec<BadPlace> {
        self.differ_anew().filter_map(|run| unreadable::differs(view, of, run)).collect()
    }

    fn verify(&mut self) {
        self.verify = true;
    }

    fn verifies(&self) -> bool {
        true
    }

    fn revive(&mut self) {
        // One that does not start is told by whoever needs it.
        for vg in platform::files::mirrored() {
            let _ = self.is_served(vg);
        }
    }

    fn lvm2(&mut self) -> Result<&mut dyn mapper::Mapper> {
        if self.mapper.is_none() {
            self.mapper = Some(platform::mapper()?);
        }
        Ok(self)
    }

    fn give_up(&mut self, places: &[PvSectors]) -> Result<()> {
        self.given_up = places.to_vec();
        Ok(())
    }

    fn set_pace(&mut self, pace: Pace) -> Result<()> {
        self.pace = pace;
        Ok(())
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Wake> {
        let Some(vg) = self.channel.as_ref().map(Channel::vg) else {
            return Ok(Wake::Changed);
        };
        if self.waiting.is_none() {
            let mut channel = platform::connect(vg, Start::ToTakeOver)?;
            let timeout_ms = u64::try_from(WAIT_LIMIT.as_millis()).unwrap_or(u64::MAX);
            let request = Request::Wait { seen: self.seen, timeout_ms };
            let sent = channel.as_mut().is_some_and(|c| c.send(&request).is_ok());
            if !sent {
                // No daemon at this moment: look again, which makes one.
                sleep(Duration::from_millis(100));
                return Ok(Wake::Changed);
            }
            self.waiting = channel;
        }
        let Some(channel) = &self.waiting else { return Ok(Wake::Changed) };
        let wake = channel.answered(timeout)?;
        if wake == Wake::Changed {
            // Answered, or its daemon is gone: either way the next wait is a new one.
            self.waiting = None;
        }
        Ok(wake)
    }
}

/// What is asked of a move, for each of its LVs, whose copies know nothing of each other.
fn paced(pace: Pace, lvs: usize) -> Tuning {
    let share = u64::try_from(lvs.max(1)).unwrap_or(1);
    let shared = |rate: u64| (rate / share).max(1);
    let felt = |felt| match felt {
        Felt::Any => 0,
        Felt::Within(factor) => factor.hundredths(),
    };
    Tuning {
        max_rate: pace.max_rate.map(shared),
        pace: pace.felt.map(felt),
        min_rate: pace.min_rate.map(shared),
        source_first: pace.source_first,
        deadline: pace.deadline,
        ..Tuning::default()
    }
}

fn lvs_of(vg: &Vg, of: MoveIndex) -> Vec<[u8; 16]> {
    let mut lvs = Vec::new();
    for part in vg.parts_of(of) {
        if let Some(lv) = vg.lv(part.lv)
            && !lvs.contains(&lv.uuid.0)
        {
            lvs.push(lv.uuid.0);
        }
    }
    lvs
}

fn active_lv(device: &WireDevice) -> Result<ActiveLv> {
    let node = disk_path(device.id);
    let number = disk_number(device.id)?;
    let open_count = in_use::count(number, &node);
    Ok(ActiveLv { number, node, open_count, suspended: device.suspended })
}

fn not_understood() -> Error {
    Error::new(Kind::Unsupported, "the daemon's answer is not understood")
        .next("run `lvshift-ublk upgrade`: it may be another version")
}
