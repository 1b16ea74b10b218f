//! What the server does to its disks, one thing at a time.

use std::sync::Arc;
use std::time::Instant;

use super::cache::{Cache, Cached};
use super::contents::Contents;
use super::log::{Change, Entry, Event, Log};
use super::rules::{Op, Rules};
use super::survive::Survive;
use super::{SECTOR, Served};
use lvshift_vm_tests::side_disk::{self, Note};

/// A request as it arrives, checked against its disk's size.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Read { first: u64, sectors: u64 },
    Change { first: u64, sectors: u64, fua: bool, change: Change },
    Flush,
}

/// A request that was received and is to be answered when it is due.
#[derive(Clone, Debug)]
pub(super) struct Receipt {
    pub(super) position: u64,
    pub(super) due: Instant,
    fails: bool,
    what: Waiting,
}

#[derive(Clone, Debug)]
enum Waiting {
    Read { first: u64, sectors: u64 },
    Change { fua: bool },
    Flush,
}

/// The answer to a request: the bytes that were read, or that it failed.
pub(super) type Answer = Result<Vec<u8>, ()>;

#[derive(Debug)]
struct Disk {
    served: Served,
    /// What a power cut leaves for certain.
    media: Contents,
    /// What is read.
    view: Contents,
    cache: Cache<Change>,
}

/// Everything, behind one lock.
#[derive(Debug)]
pub(super) struct State {
    disks: Vec<Disk>,
    rules: Rules,
    log: Option<Vec<Entry>>,
    position: u64,
    start: Instant,
    /// Counts power cuts: a request that was sent before one has no effect after it.
    pub(super) epoch: u64,
}

impl State {
    pub(super) fn new(disks: Vec<Served>, record: bool) -> Self {
        let disk = |served: Served| Disk {
            media: Contents::new(served.sectors),
            view: Contents::new(served.sectors),
            cache: Cache::default(),
            served,
        };
        Self {
            disks: disks.into_iter().map(disk).collect(),
            rules: Rules::default(),
            log: record.then(Vec::new),
            position: 0,
            start: Instant::now(),
            epoch: 0,
        }
    }

    pub(super) fn served(&self, disk: usize) -> &Served {
        &self.disks[disk].served
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.disks.iter().position(|disk| disk.served.name == name)
    }

    pub(super) fn command(&mut self, line: &str) -> anyhow::Result<()> {
        let disks = &self.disks;
        self.rules.set(line, |name| disks.iter().position(|disk| disk.served.name == name))
    }

    pub(super) fn log(&self) -> Log {
        Log {
            disks: self.disks.iter().map(|disk| disk.served.clone()).collect(),
            entries: self.log.clone().unwrap_or_default(),
        }
    }

    /// The bytes that would be read now.
    pub(super) fn view(&self, disk: usize) -> &Contents {
        &self.disks[disk].view
    }

    /// Puts other bytes in a disk's place, all durable.
    pub(super) fn replace(&mut self, disk: usize, contents: Contents) {
        let disk = &mut self.disks[disk];
        disk.media = contents.clone();
        disk.view = contents;
        disk.cache.take_all();
    }

    fn note(&mut self, event: Event) -> u64 {
        let at_us = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        if let Some(log) = &mut self.log {
            log.push(Entry { at_us, event });
        }
        self.position += 1;
        self.position - 1
    }

    /// Takes a request in. A change may be on the disk from now on.
    pub(super) fn receive(&mut self, number: usize, request: Request) -> Receipt {
        let (op, first, sectors) = match &request {
            Request::Read { first, sectors } => (Op::Read, *first, *sectors),
            Request::Change { first, sectors, change: Change::Write(_), .. } => {
                (Op::Write, *first, *sectors)
            }
            Request::Change { first, sectors, .. } => (Op::Zero, *first, *sectors),
            Request::Flush => (Op::Flush, 0, 0),
        };
        let mut fate = self.rules.fate(number, op, first, sectors);
        let (position, what) = match request {
            Request::Read { first, sectors } => (0, Waiting::Read { first, sectors }),
            Request::Flush => (self.note(Event::Flush { disk: number }), Waiting::Flush),
            Request::Change { first, sectors, fua, change } => {
                if self.disks[number].served.name == side_disk::NAME
                    && let Err(error) = self.obey(&change)
                {
                    eprintln!("disk server: {error:#}");
                    fate.fails = true;
                }
                let copy = change.clone();
                let event = Event::Change { disk: number, first, sectors, fua, change };
                let position = self.note(event);
                if !fate.fails {
                    let disk = &mut self.disks[number];
                    apply(&mut disk.view, first, sectors, &copy);
                    let what = copy;
                    disk.cache.receive(Cached { position, first, sectors, answered: None, what });
                }
                (position, Waiting::Change { fua })
            }
        };
        Receipt { position, due: fate.due, fails: fate.fails, what }
    }

    fn obey(&mut self, change: &Change) -> anyhow::Result<()> {
        let Change::Write(bytes) = change else { return Ok(()) };
        for block in bytes.chunks(side_disk::BLOCK) {
            if let Some(Note::Command(line)) = Note::decode(block)? {
                self.command(&line)?;
            }
        }
        Ok(())
    }

    /// Does the rest of it.
    pub(super) fn answer(&mut self, number: usize, receipt: &Receipt) -> Answer {
        let ok = !receipt.fails;
        if let Waiting::Read { first, sectors } = receipt.what {
            let mut bytes = vec![0; usize::try_from(sectors).map_err(drop)? * SECTOR];
            self.disks[number].view.read(first, &mut bytes);
            return if ok { Ok(bytes) } else { Err(()) };
        }
        let now = self.note(Event::Answered { of: receipt.position, ok });
        if !ok {
            return Err(());
        }
        let disk = &mut self.disks[number];
        let keeps_all = disk.served.name == side_disk::NAME;
        let durable = match receipt.what {
            Waiting::Flush => disk.cache.flushed(receipt.position),
            Waiting::Change { fua } => {
                disk.cache.answered(receipt.position, now);
                if fua || keeps_all { disk.cache.forced(receipt.position) } else { Vec::new() }
            }
            Waiting::Read { .. } => Vec::new(),
        };
        for change in durable {
            apply(&mut disk.media, change.first, change.sectors, &change.what);
        }
        Ok(Vec::new())
    }

    /// Cuts the power: what `survive` does not keep of what was not durable is gone. Faults are, too.
    pub(super) fn power_cut(&mut self, survive: Survive) -> usize {
        self.note(Event::PowerCut);
        self.epoch += 1;
        let survive = self.rules.cut.unwrap_or(survive);
        self.rules.clear();
        let mut lost = 0;
        for (number, disk) in self.disks.iter_mut().enumerate() {
            let unit = u64::from(disk.served.sector) / SECTOR as u64;
            for change in disk.cache.take_all() {
                for sector in change.first..change.first + change.sectors {
                    if survive.keeps(number, change.position, sector, unit) {
                        apply_one(&mut disk.media, &change, sector);
                    } else {
                        lost += 1;
                    }
                }
            }
            disk.view = disk.media.clone();
        }
        lost
    }
}

fn apply(contents: &mut Contents, first: u64, sectors: u64, change: &Change) {
    match change {
        Change::Write(bytes) => contents.write(first, bytes),
        Change::Zero | Change::Discard => contents.zero(first, sectors),
    }
}

fn apply_one(contents: &mut Contents, change: &Cached<Change>, sector: u64) {
    match &change.what {
        Change::Write(bytes) => {
            let at = usize::try_from(sector - change.first).expect("in memory") * SECTOR;
            contents.write(sector, &bytes[at..at + SECTOR]);
        }
        Change::Zero | Change::Discard => contents.zero(sector, 1),
    }
}

/// The bytes of a write, shared between the cache and the log.
pub(super) fn shared(bytes: Vec<u8>) -> Arc<[u8]> {
    bytes.into()
}
