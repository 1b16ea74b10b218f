//! The devices of a move: the LV onto `lvshiftN`, that onto its images, and the log; in which order they are
//! made, switched and taken down.
//!
//! The moving pieces of the LV map onto `lvshiftN` for as long as the move is recorded; the switches are of
//! `lvshiftN` alone, from linear to the mirror and on to linear, so that one of them releases whatever the
//! mirror holds back. Every table is the one that LVM2 would make of the text.

use std::cell::RefCell;
use std::collections::HashMap;

use lvshift_core::mover::{Live, Mapping};
use lvshift_core::units::DeviceNumber;

use super::id::{dm_name, dm_uuid};
use super::mapper::{Device, Mapper};
use super::table::{self, Line, Numbers};
use super::text::roles::Uses;
use super::text::{Metadata, Record, State};
use super::vg::Member;
use crate::error::{Error, Kind, Result};

/// The devices of the moves in one text.
pub struct Stack<'a> {
    pub(super) mapper: RefCell<&'a mut dyn Mapper>,
    pub(super) text: &'a Metadata,
    moves: &'a [Record],
    members: &'a HashMap<String, Member>,
    uses: Uses<'a>,
}

impl Numbers for Stack<'_> {
    fn pv(&self, key: &str) -> Option<DeviceNumber> {
        self.members.get(key).map(|member| member.device.number())
    }

    fn lv(&self, name: &str) -> Option<DeviceNumber> {
        self.find(name).ok()?.map(|device| device.number)
    }
}

impl<'a> Stack<'a> {
    /// The devices that this text speaks of.
    pub fn new(
        mapper: &'a mut dyn Mapper,
        text: &'a Metadata,
        moves: &'a [Record],
        members: &'a HashMap<String, Member>,
    ) -> Stack<'a> {
        let uses = Uses::of(text);
        Stack { mapper: RefCell::new(mapper), text, moves, members, uses }
    }

    pub(super) fn uuid(&self, lv: &str) -> Result<String> {
        let lost = || self.moves.iter().find_map(|record| record.lost_id(lv));
        let id = self.text.lv_id(lv).or_else(lost).ok_or_else(|| {
            Error::new(Kind::State, format!("LV {}/{lv} is not there any more", self.text.name()))
        })?;
        let plain = dm_uuid(self.text.id(), id);
        let layer = self.uses.layer(lv);
        Ok(layer.map_or(plain.clone(), |layer| format!("{plain}-{}", layer.suffix)))
    }

    /// The name of the device with an LV's segments.
    fn name(&self, lv: &str) -> String {
        let plain = dm_name(self.text.name(), lv);
        let layer = self.uses.layer(lv).filter(|layer| layer.named);
        layer.map_or(plain.clone(), |layer| format!("{plain}-{}", layer.suffix))
    }

    /// The device of an LV.
    pub(super) fn find(&self, lv: &str) -> Result<Option<Device>> {
        self.mapper.borrow_mut().find(&self.uuid(lv)?)
    }

    pub(super) fn live_table(&self, lv: &str) -> Result<Option<Vec<Line>>> {
        match self.find(lv)? {
            Some(device) if device.live => {
                self.mapper.borrow_mut().table(&self.uuid(lv)?).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Whether this is the live table, and no other waits: whoever resumes the device next would switch to
    /// that.
    fn has(&self, lv: &str, lines: &[Line]) -> Result<bool> {
        let waits = self.find(lv)?.is_some_and(|device| device.loaded);
        Ok(!waits && self.live_table(lv)?.as_deref() == Some(lines))
    }

    /// LVM2's table of an LV as the text has it.
    pub(super) fn as_recorded(&self, lv: &str) -> Option<Vec<Line>> {
        table::lines(self.text, lv, self)
    }

    /// LVM2's table of an LV as it will be when this move has ended on one side; and the same where those of
    /// its moves that wait for their turn have not touched it yet.
    fn as_ended(&self, lv: &str, record: &Record, state: State) -> [Option<Vec<Line>>; 2] {
        let table = |queued_too: bool| {
            let mut after = self.text.clone();
            after.end_move(&Record { state, ..record.clone() }).ok()?;
            let others = self.moves.iter().filter(|other| {
                queued_too && other.number != record.number && other.state == State::Queued
            });
            for other in others {
                after.end_move(other).ok()?;
            }
            table::lines(&after, lv, self)
        };
        [table(false), table(true)]
    }

    fn is_ended(&self, live: &Option<Vec<Line>>, lv: &str, record: &Record, state: State) -> bool {
        live.is_some() && self.as_ended(lv, record, state).contains(live)
    }

    /// The table of `lvshiftN` for a mapping; mirrored, that of the front end's own mirror, if there is one.
    fn of_mirror(&self, record: &Record, mapping: Mapping) -> Result<Vec<Line>> {
        if mapping == Mapping::Mirrored
            && let Some(served) = self.served(record)?
        {
            return Ok(served);
        }
        self.of_kernel(record, mapping)
    }

    /// The same as LVM2 would make it.
    pub(super) fn of_kernel(&self, record: &Record, mapping: Mapping) -> Result<Vec<Line>> {
        let state = match mapping {
            Mapping::Source => State::Aborting,
            Mapping::Mirrored => State::Copying,
            Mapping::Final => State::Moved,
        };
        let mut text = self.text.clone();
        // From Aborting nothing follows but the end; here only the words of the state are wanted.
        let from = Record { state: State::Queued, ..record.clone() };
        let copying = Record { state: State::Copying, ..record.clone() };
        let set = match state {
            State::Moved => text.set_move(&copying, state),
            _ => text.set_move(&from, state),
        };
        set.map_err(|error| Error::new(Kind::Inconsistent, error.to_string()))?;
        table::lines(&text, &record.names.mirror, self).ok_or_else(|| {
            Error::new(Kind::Missing, "the devices of the move are not all there")
                .because(record.names.mirror.clone())
        })
    }

    /// Whether the mirror is one that does not handle errors: LVM2 makes such a one when it is told not to monitor.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    pub fn is_unattended(&self, record: &Record) -> Result<bool> {
        let mirror = &record.names.mirror;
        let Some(live) = self.live_table(mirror)? else { return Ok(false) };
        let mut meant = match self.of_kernel(record, Mapping::Mirrored) {
            Ok(meant) => meant,
            Err(_) => return Ok(false),
        };
        for line in &mut meant {
            line.params = line.params.trim_end_matches(" 1 handle_errors").to_owned();
        }
        Ok(live == meant)
    }

    /// Takes such a mirror away. What its log calls clean may have been lost on the destination, and there is no trace of
    /// it; the source has it all, so the LV is put back onto that, and the copy begins anew.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    pub fn distrust(&self, record: &Record) -> Result<()> {
        if !self.is_unattended(record)? {
            return Ok(());
        }
        self.load(record, Mapping::Source)?;
        self.swap(record, Mapping::Source)
    }

    /// What an LV shows with respect to a move.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    pub fn observe(&self, record: &Record, lv: &str) -> Result<Live> {
        let loaded = self.live_table(lv)?;
        if loaded.is_none() {
            return Ok(Live::Absent);
        }
        let mirror = self.live_table(&record.names.mirror)?;
        let is = |mapping| {
            let is = |meant: Result<Vec<Line>>| meant.ok() == mirror;
            let kernels = || self.of_kernel(record, mapping);
            mirror.is_some() && (is(self.of_mirror(record, mapping)) || is(kernels()))
        };
        // A daemon that passes through: writes reach one side alone.
        let passes = self.passes(record)?;
        if loaded == self.as_recorded(lv) {
            let all = [Mapping::Mirrored, Mapping::Source, Mapping::Final];
            if let Some(side) = passes {
                return Ok(Live::Is(side));
            }
            let shown = all.into_iter().find(|mapping| is(*mapping));
            return Ok(shown.map_or(Live::Foreign, Live::Is));
        }
        if self.is_ended(&loaded, lv, record, State::Moved) {
            return Ok(Live::Is(Mapping::Final));
        }
        // Straight on the source while the mirror works for another LV of the move: writes would pass it by.
        let straight = self.is_ended(&loaded, lv, record, State::Aborting);
        if straight && (mirror.is_none() || is(Mapping::Source)) {
            return Ok(Live::Is(Mapping::Source));
        }
        Ok(Live::Foreign)
    }

    /// Makes the devices of a move that are not there, `lvshiftN` as the record says.
    fn make(&self, record: &Record) -> Result<()> {
        let names = &record.names;
        for lv in [&names.source, &names.destination, &names.log] {
            let lines = self.as_recorded(lv).ok_or_else(|| self.no_table(lv))?;
            self.ensure(lv, &lines)?;
        }
        if self.live_table(&names.mirror)?.is_none() {
            let lines =
                self.as_recorded(&names.mirror).ok_or_else(|| self.no_table(&names.mirror))?;
            self.ensure(&names.mirror, &lines)?;
        }
        Ok(())
    }

    /// Whether LVM2 has taken `lvshiftN` away: it deactivates it with the last LV that is on it.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    pub fn is_gone(&self, record: &Record) -> Result<bool> {
        Ok(self.find(&record.names.mirror)?.is_none())
    }

    /// Makes the kernel's mirror of a move whose `lvshiftN` LVM2 has taken away, as LVM2 does when it activates the
    /// LV again. Since no LV was on it the log is right.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    pub fn put_back(&self, record: &Record) -> Result<()> {
        // LVM2 could not activate the LV while a daemon has the log.
        self.end_served(record)?;
        self.make(record)
    }

    fn no_table(&self, lv: &str) -> Error {
        Error::new(
            Kind::Missing,
            format!("the table of LV {}/{lv} cannot be made", self.text.name()),
        )
    }

    /// A device with this table; one that has it is left.
    fn ensure(&self, lv: &str, lines: &[Line]) -> Result<()> {
        if self.has(lv, lines)? {
            return Ok(());
        }
        self.make_so(&self.uuid(lv)?, &self.name(lv), lines)
    }

    pub(super) fn make_so(&self, uuid: &str, name: &str, lines: &[Line]) -> Result<()> {
        let mut mapper = self.mapper.borrow_mut();
        if mapper.find(uuid)?.is_none() {
            mapper.create(name, uuid)?;
        }
        mapper.load(uuid, name, lines)?;
        mapper.swap(uuid, name, lines)
    }

    /// Puts an LV that is active onto `lvshiftN`, with all devices below it, `lvshiftN` passing through to the
    /// source. After this the log may be written.
    ///
    /// # Errors
    /// `Kind::Inconsistent` when the mirror is at work already: the log is its.
    pub fn pass_through(&self, record: &Record, lv: &str) -> Result<()> {
        // What else of the LV moves is in its table, too.
        let touches = |other: &&Record| other.parts.iter().any(|part| part.lv == lv);
        for other in self.moves.iter().filter(touches) {
            let mirror = &other.names.mirror;
            if other.number != record.number && other.state != State::Queued {
                return Err(Error::new(
                    Kind::Inconsistent,
                    format!("another move of LV {}/{lv} has begun, too", self.text.name()),
                )
                .state("nothing was switched"));
            }
            if other.number == record.number && !self.is_served(other)? {
                // One that is not in use any more would still write to the log. A table that waits to be
                // switched to has its device open.
                if self.is_on_served(other)? {
                    self.load(other, Mapping::Source)?;
                    self.swap(other, Mapping::Source)?;
                }
                let live = self.live_table(mirror)?;
                let source = live.is_some().then(|| self.of_mirror(other, Mapping::Source));
                let source = source.transpose()?;
                if let Some(source) = source.filter(|source| live.as_ref() == Some(source)) {
                    self.ensure(mirror, &source)?;
                }
                self.end_served(other)?;
            }
            if other.number == record.number && self.live_table(mirror)?.is_none() {
                // Linear, whatever the record says: nothing is mirrored before its log is written anew.
                for image in [&other.names.source, &other.names.destination, &other.names.log] {
                    let lines = self.as_recorded(image).ok_or_else(|| self.no_table(image))?;
                    self.ensure(image, &lines)?;
                }
                self.ensure(mirror, &self.of_mirror(other, Mapping::Source)?)?;
            }
            self.make(other)?;
        }
        let mirror = self.live_table(&record.names.mirror)?;
        if mirror != Some(self.of_mirror(record, Mapping::Source)?) {
            return Err(Error::new(
                Kind::Inconsistent,
                format!("{} is at work already", record.names.mirror),
            )
            .state("nothing was switched"));
        }
        if self.live_table(lv)?.is_some() {
            let lines = self.as_recorded(lv).ok_or_else(|| self.no_table(lv))?;
            self.ensure(lv, &lines)?;
        }
        Ok(())
    }

    /// Whether every write to the LVs of the move goes through `lvshiftN`, and from there to the source: right
    /// before the mirror is committed.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    pub fn is_through(&self, record: &Record) -> Result<bool> {
        for lv in record.lvs() {
            let live = self.live_table(lv)?;
            if live.is_some() && live != self.as_recorded(lv) {
                return Ok(false);
            }
        }
        let source = self.of_mirror(record, Mapping::Source)?;
        self.has(&record.names.mirror, &source)
    }

    /// Makes the devices of a move that has none, after a reboot in which LVM2 did not activate the LV.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    pub fn build(&self, record: &Record) -> Result<()> {
        let names = &record.names;
        for image in [&names.source, &names.destination, &names.log] {
            let lines = self.as_recorded(image).ok_or_else(|| self.no_table(image))?;
            self.ensure(image, &lines)?;
        }
        Ok(())
    }

    /// What a daemon does before a table is loaded; needs no lock of LVM2's. Done already it changes nothing.
    ///
    /// # Errors
    /// `Kind::Kernel` when the daemon cannot be started or does not answer.
    pub fn prepare(&self, record: &Record, mapping: Mapping) -> Result<()> {
        match mapping {
            Mapping::Mirrored => self.serve(record),
            // What the daemon holds back must be told first: the switch waits for it.
            Mapping::Source => self.decide(record, false),
            Mapping::Final => self.decide(record, true),
        }
    }

    pub(super) fn load(&self, record: &Record, mapping: Mapping) -> Result<()> {
        self.prepare(record, mapping)?;
        self.load_prepared(record, mapping)
    }

    /// Loads the table of a mapping into `lvshiftN`, unless that is what it has.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    pub fn load_prepared(&self, record: &Record, mapping: Mapping) -> Result<()> {
        let mirror = &record.names.mirror;
        let found = self.find(mirror)?;
        if found.is_none() && mapping != Mapping::Mirrored {
            return Ok(());
        }
        let lines = self.of_mirror(record, mapping)?;
        if self.has(mirror, &lines)? {
            return Ok(());
        }
        let (uuid, name) = (self.uuid(mirror)?, dm_name(self.text.name(), mirror));
        let mut mapper = self.mapper.borrow_mut();
        if found.is_none() {
            mapper.create(&name, &uuid)?;
        }
        mapper.load(&uuid, &name, &lines)
    }

    /// Switches `lvshiftN` to what was loaded.
    ///
    /// # Errors
    /// `Kind::Kernel`; `Kind::Inconsistent` when something else is live afterwards.
    pub fn swap(&self, record: &Record, mapping: Mapping) -> Result<()> {
        let mirror = &record.names.mirror;
        if self.find(mirror)?.is_none() && mapping != Mapping::Mirrored {
            return Ok(());
        }
        let lines = self.of_mirror(record, mapping)?;
        if !self.has(mirror, &lines)? {
            let (uuid, name) = (self.uuid(mirror)?, dm_name(self.text.name(), mirror));
            // A refresh of LVM2's that fails drops what was loaded.
            if !self.find(mirror)?.is_some_and(|device| device.loaded) {
                self.load(record, mapping)?;
            }
            self.mapper.borrow_mut().swap(&uuid, &name, &lines)?;
        }
        if mapping == Mapping::Mirrored { self.mirror(record) } else { Ok(()) }
    }

    /// Puts an LV straight onto the side that the record has in charge, and takes the devices of the move down
    /// that are not in use any more.
    ///
    /// # Errors
    /// `Kind::Kernel`; `Kind::State` for a move that is copying.
    pub fn straighten(&self, record: &Record, lv: &str) -> Result<()> {
        let live = self.live_table(lv)?;
        if live.is_some() {
            let [ended, untouched] = self.as_ended(lv, record, record.state);
            let as_it_is = untouched.filter(|lines| live.as_ref() == Some(lines));
            let lines = as_it_is.or(ended).ok_or_else(|| self.no_table(lv))?;
            self.ensure(lv, &lines)?;
        }
        self.take_down(record)
    }

    fn take_down(&self, record: &Record) -> Result<()> {
        let names = &record.names;
        match self.find(&names.mirror)? {
            // Another LV of the move is on it still.
            Some(device) if device.open_count > 0 && self.any_on_it(record)? => return Ok(()),
            _ => {}
        }
        self.remove(&self.uuid(&names.mirror)?)?;
        self.end_served(record)?;
        for lv in [&names.source, &names.destination, &names.log] {
            self.remove(&self.uuid(lv)?)?;
        }
        Ok(())
    }

    pub(super) fn remove(&self, uuid: &str) -> Result<()> {
        let Some(device) = self.mapper.borrow_mut().find(uuid)? else { return Ok(()) };
        let done = self.mapper.borrow_mut().remove(uuid, &device.name);
        match done {
            Err(error) if error.kind == Kind::InUse => {
                // A process has it open. From now on it maps to nothing, and goes when it is closed.
                let mut mapper = self.mapper.borrow_mut();
                let live = if device.live { mapper.table(uuid)? } else { Vec::new() };
                let len: u64 = live.iter().map(|line| line.len).sum();
                let nothing = table::nothing(len.max(8));
                mapper.load(uuid, &device.name, &nothing)?;
                mapper.swap(uuid, &device.name, &nothing)?;
                mapper.remove_deferred(uuid, &device.name)
            }
            other => other,
        }
    }

    fn any_on_it(&self, record: &Record) -> Result<bool> {
        for lv in record.lvs() {
            let live = self.live_table(lv)?;
            if live.is_some() && live == self.as_recorded(lv) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether all is as a move leaves it right before it is forgotten: the LVs straight, nothing below them.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    pub fn is_straight(&self, record: &Record) -> Result<bool> {
        for lv in record.lvs() {
            let live = self.live_table(lv)?;
            if live.is_some() && !self.is_ended(&live, lv, record, record.state) {
                return Ok(false);
            }
        }
        for lv in record.names.all() {
            // One that is held open maps to nothing, and goes when it is closed.
            let left = self.live_table(lv)?.is_none_or(|lines| lines.iter().any(Line::maps));
            if self.find(lv)?.is_some_and(|device| left || device.loaded) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
