//! The mirror of a move: how far it is, and, where the front end has one of its own, its beginning and its
//! end. The kernel's is a table of `lvshiftN`, and needs neither.

use lvshift_core::mover::{Event, Mapping};
use lvshift_core::table::dm::{Judgement, MirrorStatus};
use lvshift_core::units::{DeviceNumber, Uuid};
use lvshift_driver::CopyStatus;

use super::engine::{Engine, HEAD, PRIVATE_NAME, PRIVATE_UUID, Wanted};
use super::id::{self, dm_name};
use super::stack::Stack;
use super::table::{self, Line};
use super::text::Record;
use super::unreadable;
use crate::error::{Error, Kind, Result};

impl Stack<'_> {
    fn ids(&self, record: &Record) -> (Uuid, Uuid) {
        (id::uuid(self.text.id()), id::uuid(&record.id))
    }

    /// Asks the front end's own mirror; `None` where there is none.
    pub(super) fn ask<T>(
        &self,
        record: &Record,
        what: impl FnOnce(&mut dyn Engine, Uuid, Uuid) -> Result<T>,
    ) -> Result<Option<T>> {
        let (vg, of) = self.ids(record);
        let mut mapper = self.mapper.borrow_mut();
        mapper.engine().map(|engine| what(engine, vg, of)).transpose()
    }

    fn sectors(&self, record: &Record) -> u64 {
        u64::from(record.extents) * u64::from(self.text.extent_size())
    }

    /// The table of `lvshiftN` onto the device that a daemon of this front end serves.
    pub(super) fn served(&self, record: &Record) -> Result<Option<Vec<Line>>> {
        let device = self.ask(record, |engine, vg, of| engine.device(vg, of))?.flatten();
        Ok(device.map(|number| {
            vec![Line {
                start: 0,
                len: self.sectors(record),
                kind: "linear".to_owned(),
                params: format!("{number} {HEAD}"),
            }]
        }))
    }

    /// The daemon's own way to an image, or that of the log while it is handed over: UUID and name.
    pub(super) fn private(&self, image: &str) -> Result<(String, String)> {
        let name = dm_name(self.text.name(), image);
        Ok((format!("{}{PRIVATE_UUID}", self.uuid(image)?), format!("{name}{PRIVATE_NAME}")))
    }

    fn private_number(&self, record: &Record, image: &str) -> Result<DeviceNumber> {
        let (uuid, name) = self.private(image)?;
        let missing = || {
            Error::new(Kind::Missing, "the devices of the move are not all there")
                .because(image.to_owned())
        };
        let lines = table::onto(self.text, image, record.extents, self).ok_or_else(missing)?;
        let found = self.mapper.borrow_mut().find(&uuid)?;
        let is_so = match &found {
            Some(device) if device.live && !device.loaded => {
                self.mapper.borrow_mut().table(&uuid)? == lines
            }
            _ => false,
        };
        if !is_so {
            self.make_so(&uuid, &name, &lines)?;
        }
        let found = self.mapper.borrow_mut().find(&uuid)?;
        Ok(found.ok_or_else(missing)?.number)
    }

    /// Has the front end's own mirror ready, if it has one: a device that passes through to the source, and has the log
    /// alone, so that the kernel's cannot be loaded from now on.
    pub(super) fn serve(&self, record: &Record) -> Result<()> {
        if self.ask(record, |_, _, _| Ok(()))?.is_none() {
            return Ok(());
        }
        if self.is_kernels(record)? {
            return self.end_served(record);
        }
        match self.serve_at_once(record) {
            Err(error) if error.kind == Kind::InUse => {}
            served => return served,
        }
        // LVM2 loads the kernel's mirror as soon as the text says so. Where that waits to be switched to, it is taken
        // back; where it is at work, the move is left to it.
        let mirror = &record.names.mirror;
        if self.find(mirror)?.is_some_and(|device| device.loaded) {
            let (uuid, name) = (self.uuid(mirror)?, dm_name(self.text.name(), mirror));
            let source = self.of_kernel(record, Mapping::Source)?;
            self.mapper.borrow_mut().load(&uuid, &name, &source)?;
        }
        if self.is_kernels(record)? {
            return self.end_served(record);
        }
        self.serve_at_once(record)
    }

    fn serve_at_once(&self, record: &Record) -> Result<()> {
        let wanted = self.wanted(record)?;
        self.ask(record, |engine, _, _| engine.serve(&wanted)).map(drop)
    }

    /// Whether the kernel's mirror is at work.
    pub(super) fn is_kernels(&self, record: &Record) -> Result<bool> {
        let live = self.live_table(&record.names.mirror)?;
        Ok(live.is_some() && live == self.of_kernel(record, Mapping::Mirrored).ok())
    }

    /// Has it mirror, now that `lvshiftN` is on it.
    pub(super) fn mirror(&self, record: &Record) -> Result<()> {
        if self.ask(record, |_, _, _| Ok(()))?.is_none() || !self.is_on_served(record)? {
            return Ok(());
        }
        let wanted = self.wanted(record)?;
        self.ask(record, |engine, _, _| engine.mirror(&wanted)).map(drop)
    }

    fn wanted<'w>(&'w self, record: &'w Record) -> Result<Wanted<'w>> {
        let names = &record.names;
        let log = self.find(&names.log)?.map(|device| device.number);
        let log = log.ok_or_else(|| {
            Error::new(Kind::Missing, "the devices of the move are not all there")
                .because(names.log.clone())
        })?;
        let (vg, of) = self.ids(record);
        Ok(Wanted {
            vg,
            vg_id: self.text.id(),
            of,
            name: &names.mirror,
            source: self.private_number(record, &names.source)?,
            destination: self.private_number(record, &names.destination)?,
            log,
            sectors: self.sectors(record),
            region_size: record.region_size,
            lies: unreadable::lies(self.text, record),
        })
    }

    pub(super) fn decide(&self, record: &Record, destination: bool) -> Result<()> {
        self.ask(record, |engine, vg, of| engine.decide(vg, of, destination)).map(drop)
    }

    /// Ends the front end's own mirror. That of another front end, whose daemon may be at work, is no business
    /// of this one.
    pub(super) fn end_served(&self, record: &Record) -> Result<()> {
        let ended = self.ask(record, |engine, vg, of| engine.end(vg, of))?;
        let names = &record.names;
        let of_log = (!self.is_half_handed_over(record)?).then_some(&names.log);
        for image in [&names.source, &names.destination].into_iter().chain(of_log) {
            let (uuid, _) = self.private(image)?;
            let Some(device) = self.mapper.borrow_mut().find(&uuid)? else { continue };
            if ended.is_none() && device.open_count > 0 {
                return Err(self.of_another());
            }
            self.remove(&uuid)?;
        }
        Ok(())
    }

    fn of_another(&self) -> Error {
        Error::new(
            Kind::State,
            format!("a daemon of lvshift-ublk mirrors a move in VG {}", self.text.name()),
        )
        .state("it goes on; nothing was switched")
        .next(
            "carry it on with `lvshift-ublk pvmove`, or undo it with `lvshift-ublk pvmove --abort`",
        )
    }

    /// Whether the mirror of a move is a daemon of another front end, be it alive or not.
    pub(super) fn is_of_another(&self, record: &Record) -> Result<bool> {
        if self.ask(record, |_, _, _| Ok(()))?.is_some() {
            return Ok(false);
        }
        let live = self.live_table(&record.names.mirror)?.unwrap_or_default();
        let on_served =
            |line: &Line| line.kind == "linear" && line.params.ends_with(&format!(" {HEAD}"));
        if live.iter().any(on_served) || self.is_half_handed_over(record)? {
            return Ok(true);
        }
        for image in [&record.names.source, &record.names.destination] {
            let (uuid, _) = self.private(image)?;
            let found = self.mapper.borrow_mut().find(&uuid)?;
            if found.is_some_and(|device| device.open_count > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses a move whose mirror is a daemon of another front end.
    ///
    /// # Errors
    /// `Kind::State`.
    pub fn refuse_another(&self, record: &Record) -> Result<()> {
        if self.is_of_another(record)? { Err(self.of_another()) } else { Ok(()) }
    }

    /// Whether `lvshiftN` is on the device of the front end's own mirror, whatever that does.
    pub(super) fn is_on_served(&self, record: &Record) -> Result<bool> {
        let Some(lines) = self.served(record)? else { return Ok(false) };
        Ok(self.live_table(&record.names.mirror)? == Some(lines))
    }

    /// Whether the front end's own mirror is at work in this move, and not the kernel's.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    pub fn is_served(&self, record: &Record) -> Result<bool> {
        if !self.is_on_served(record)? {
            return Ok(false);
        }
        Ok(self.ask(record, |engine, vg, of| engine.mirrors(vg, of))?.unwrap_or(false))
    }

    /// The side that a daemon passes through to; `None` where it mirrors, or serves nothing.
    pub(super) fn passes(&self, record: &Record) -> Result<Option<Mapping>> {
        if !self.is_on_served(record)? || self.is_served(record)? {
            return Ok(None);
        }
        let wanted = self.wanted(record)?;
        let on = self.ask(record, |engine, _, _| engine.is_on_destination(&wanted))?;
        Ok(Some(if on == Some(true) { Mapping::Final } else { Mapping::Source }))
    }

    /// See [`lvshift_driver::Host::seal`].
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn seal(&self, record: &Record) -> Result<bool> {
        // The kernel acknowledges no write that a side has not taken.
        if !self.is_served(record)? {
            return Ok(true);
        }
        let sealed = self.ask(record, |engine, vg, of| engine.seal(vg, of))?;
        Ok(sealed.unwrap_or(false))
    }

    /// Whether all is equal and healthy, right before *Moved* is committed.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn is_equal(&self, record: &Record) -> Result<bool> {
        if self.copy_status(record)?.verdict() != Some(Event::CopyEqual) {
            return Ok(false);
        }
        if !self.is_served(record)? {
            return Ok(true);
        }
        let sealed = self.ask(record, |engine, vg, of| Ok(engine.seal_again(vg, of)))?;
        Ok(sealed.unwrap_or(false))
    }

    /// How far the mirror is.
    ///
    /// # Errors
    /// `Kind::Inconsistent` when `lvshiftN` is no mirror.
    pub fn copy_status(&self, record: &Record) -> Result<CopyStatus> {
        if self.is_served(record)? {
            let status = self.ask(record, |engine, vg, of| engine.status(vg, of))?;
            return status.ok_or_else(|| Error::new(Kind::State, "the mirror has no status"));
        }
        let line = self.mirror_status(record)?;
        let status: MirrorStatus = line.params.parse().map_err(|error| {
            Error::new(
                Kind::Kernel,
                format!("the mirror status {:?} is not understood", line.params),
            )
            .because(error)
        })?;
        let failed = match status.judge() {
            Judgement::LegFailed(leg, fault) => Some((leg, fault)),
            _ => None,
        };
        Ok(CopyStatus {
            chunks_done: status.in_sync,
            chunks_total: status.total,
            bytes_done: (status.in_sync * u64::from(record.region_size)).min(line.len) * 512,
            bytes_total: line.len * 512,
            failed,
            ..CopyStatus::default()
        })
    }

    /// The status of the kernel's mirror: its line.
    fn mirror_status(&self, record: &Record) -> Result<Line> {
        let mirror = &record.names.mirror;
        let live = self.live_table(mirror)?;
        let meant = self.of_kernel(record, Mapping::Mirrored)?;
        if live.as_ref() != Some(&meant) {
            let loaded = live.unwrap_or_default();
            let loaded: Vec<String> = loaded.iter().map(ToString::to_string).collect();
            return Err(Error::new(
                Kind::Inconsistent,
                format!("{}/{mirror} is not mirrored as its move says", self.text.name()),
            )
            .because(format!("`{}` is loaded", loaded.join("; "))));
        }
        self.mapper.borrow_mut().arm()?;
        let status = self.mapper.borrow_mut().status(&self.uuid(mirror)?)?;
        status
            .into_iter()
            .next()
            .ok_or_else(|| Error::new(Kind::Kernel, format!("{mirror} has no status")))
    }
}
