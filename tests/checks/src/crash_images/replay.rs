//! Walks through a log and knows at each point what is durable, what is not, and what the
//! application knows.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};

use super::image::Image;
use super::known::Known;
use super::sectors::{Id, Sectors, ZERO};
use crate::disk_server::SECTOR;
use crate::disk_server::cache::{Cache, Cached};
use crate::disk_server::contents::Contents;
use crate::disk_server::log::{Change, Event, Log};
use crate::disk_server::survive::Survive;
use lvshift_vm_tests::side_disk::{self, Note};

/// A log, walked through up to a point.
#[derive(Debug)]
pub struct Replay<'a> {
    log: &'a Log,
    at: usize,
    sectors: Sectors,
    /// What a power cut leaves for certain.
    durable: Image,
    caches: Vec<Cache<Arc<[Id]>>>,
    known: Known,
    side: Option<usize>,
}

/// What was overlaid, to be taken off again.
#[derive(Debug)]
pub struct Overlay(Vec<(usize, u64, Id)>);

impl<'a> Replay<'a> {
    /// Before the first entry.
    #[must_use]
    pub fn new(log: &'a Log) -> Self {
        Self {
            log,
            at: 0,
            sectors: Sectors::new(),
            durable: Image::new(log.disks.iter().map(|disk| disk.sectors)),
            caches: log.disks.iter().map(|_| Cache::default()).collect(),
            known: Known::default(),
            side: log.disks.iter().position(|disk| disk.name == side_disk::NAME),
        }
    }

    /// How many entries are behind it.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }

    /// What is known here.
    #[must_use]
    pub const fn known(&self) -> &Known {
        &self.known
    }

    /// The contents of all sectors so far.
    #[must_use]
    pub const fn sectors(&self) -> &Sectors {
        &self.sectors
    }

    /// The disks, as they are left after [`Replay::overlay`], or with what is durable alone.
    #[must_use]
    pub const fn image(&self) -> &Image {
        &self.durable
    }

    /// What is not durable here, by disk.
    pub fn pending(&self) -> impl Iterator<Item = (usize, &Cached<Arc<[Id]>>)> {
        let each = self.caches.iter().enumerate();
        each.flat_map(|(disk, cache)| cache.changes().iter().map(move |change| (disk, change)))
    }

    /// Goes over the next entry. True if a power cut here can leave something that one before
    /// could not, or more is known; `None` at the end.
    ///
    /// # Errors
    /// If the log makes no sense.
    pub fn step(&mut self) -> Result<Option<bool>> {
        let log = self.log;
        let Some(entry) = log.entries.get(self.at) else { return Ok(None) };
        let position = self.at as u64;
        self.at += 1;
        match &entry.event {
            Event::Change { disk, first, sectors, change, .. } => {
                let what: Arc<[Id]> = match change {
                    Change::Write(bytes) => self.sectors.ids(bytes),
                    Change::Zero | Change::Discard => vec![ZERO; usize::try_from(*sectors)?].into(),
                };
                let (first, sectors) = (*first, *sectors);
                let cached = Cached { position, first, sectors, answered: None, what };
                self.caches[*disk].receive(cached);
                if Some(*disk) == self.side {
                    self.learn(change)?;
                }
                Ok(Some(true))
            }
            Event::Flush { .. } => Ok(Some(false)),
            Event::Answered { of, ok } => self.answered(*of, *ok, position),
            Event::PowerCut => bail!("the log goes on after a power cut"),
        }
    }

    fn learn(&mut self, change: &Change) -> Result<()> {
        let Change::Write(bytes) = change else { return Ok(()) };
        for block in bytes.chunks(side_disk::BLOCK) {
            if let Some(note) = Note::decode(block)? {
                self.known.learn(note)?;
            }
        }
        Ok(())
    }

    fn answered(&mut self, of: u64, ok: bool, now: u64) -> Result<Option<bool>> {
        let asked = self.log.entries.get(usize::try_from(of)?).context("an answer to nothing")?;
        let (disk, durable) = match asked.event {
            Event::Change { disk, .. } if !ok => {
                self.caches[disk].drop_failed(of);
                return Ok(Some(false));
            }
            Event::Change { disk, fua, .. } => {
                self.caches[disk].answered(of, now);
                let forced = fua || Some(disk) == self.side;
                (disk, if forced { self.caches[disk].forced(of) } else { Vec::new() })
            }
            Event::Flush { disk } if ok => (disk, self.caches[disk].flushed(of)),
            Event::Flush { .. } => return Ok(Some(false)),
            Event::Answered { .. } | Event::PowerCut => bail!("an answer to an answer"),
        };
        for change in &durable {
            for (id, sector) in change.what.iter().zip(change.first..) {
                self.durable.set(disk, sector, *id);
            }
        }
        Ok(Some(!durable.is_empty()))
    }

    /// Lays over the image what `survive` keeps of what is not durable.
    pub fn overlay(&mut self, survive: Survive) -> Overlay {
        let mut under = Vec::new();
        for (disk, cache) in self.caches.iter().enumerate() {
            let unit = u64::from(self.log.disks[disk].sector) / SECTOR as u64;
            for change in cache.changes() {
                for (id, sector) in change.what.iter().zip(change.first..) {
                    let kept = survive.keeps(disk, change.position, sector, unit);
                    if kept || Some(disk) == self.side {
                        under.push((disk, sector, self.durable.set(disk, sector, *id)));
                    }
                }
            }
        }
        Overlay(under)
    }

    /// Takes it off again.
    pub fn remove(&mut self, overlay: Overlay) {
        for (disk, sector, id) in overlay.0.into_iter().rev() {
            self.durable.set(disk, sector, id);
        }
    }

    /// The bytes of a disk of the image.
    #[must_use]
    pub fn contents(&self, disk: usize) -> Contents {
        let mut contents = Contents::new(self.durable.sectors(disk));
        for sector in 0..self.durable.sectors(disk) {
            let id = self.durable.get(disk, sector);
            if id != ZERO {
                contents.write(sector, self.sectors.bytes(id));
            }
        }
        contents
    }
}
