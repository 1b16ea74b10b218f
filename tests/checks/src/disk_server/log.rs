//! The one log of everything that was done to the disks.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};

use super::Served;

/// What a change does to its sectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These bytes.
    Write(Arc<[u8]>),
    /// Zeroes.
    Zero,
    /// Nothing is promised of them; they read as zeroes here.
    Discard,
}

/// One thing that happened. Its index in the log is its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A change was received: from here on it may be on the disk.
    Change {
        /// The number of the disk.
        disk: usize,
        /// Its first 512-byte sector.
        first: u64,
        /// How many.
        sectors: u64,
        /// Whether it is durable when it is answered.
        fua: bool,
        /// What it does.
        change: Change,
    },
    /// A flush was received.
    Flush {
        /// The number of the disk.
        disk: usize,
    },
    /// A change or flush was answered.
    Answered {
        /// Its position.
        of: u64,
        /// Whether it succeeded. A change that failed has changed nothing.
        ok: bool,
    },
    /// The power was cut.
    PowerCut,
}

/// An event and when it was, in microseconds since the server started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at_us: u64,
    /// What.
    pub event: Event,
}

/// A log with the disks that it is about, which were all zeroes at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The disks, by number.
    pub disks: Vec<Served>,
    /// Everything, in order.
    pub entries: Vec<Entry>,
}

const MAGIC: &[u8; 8] = b"LVSHLOG1";

impl Log {
    /// Writes it to a file, to be checked again later.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn save(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
        let mut file = BufWriter::new(file);
        self.write_to(&mut file).with_context(|| format!("writing {}", path.display()))
    }

    fn write_to(&self, file: &mut impl Write) -> std::io::Result<()> {
        file.write_all(MAGIC)?;
        words(file, &[self.disks.len() as u64])?;
        for disk in &self.disks {
            words(file, &[disk.name.len() as u64, disk.sectors, u64::from(disk.sector)])?;
            file.write_all(disk.name.as_bytes())?;
        }
        for Entry { at_us, event } in &self.entries {
            match event {
                Event::Change { disk, first, sectors, fua, change } => {
                    let kind = match change {
                        Change::Write(_) => 0,
                        Change::Zero => 1,
                        Change::Discard => 2,
                    };
                    let fua = u64::from(*fua);
                    words(file, &[kind, *at_us, *disk as u64, *first, *sectors, fua])?;
                    if let Change::Write(bytes) = change {
                        file.write_all(bytes)?;
                    }
                }
                Event::Flush { disk } => words(file, &[3, *at_us, *disk as u64])?,
                Event::Answered { of, ok } => words(file, &[4, *at_us, *of, u64::from(*ok)])?,
                Event::PowerCut => words(file, &[5, *at_us])?,
            }
        }
        file.flush()
    }

    /// Reads it back.
    ///
    /// # Errors
    /// If it is none.
    pub fn load(path: &Path) -> Result<Log> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        Log::read_from(&mut BufReader::new(file))
            .with_context(|| format!("reading the log {}", path.display()))
    }

    fn read_from(file: &mut impl Read) -> Result<Log> {
        let mut magic = [0; 8];
        file.read_exact(&mut magic)?;
        ensure!(&magic == MAGIC, "this is no log of the disk server");
        let mut disks = Vec::new();
        for _ in 0..word(file)? {
            let (len, sectors, sector) = (word(file)?, word(file)?, word(file)?);
            let mut name = vec![0; usize::try_from(len)?.min(64)];
            file.read_exact(&mut name)?;
            let name = String::from_utf8(name)?;
            disks.push(Served { name, sectors, sector: u32::try_from(sector)? });
        }
        let mut entries = Vec::new();
        loop {
            let kind = match word(file) {
                Ok(kind) => kind,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error.into()),
            };
            let at_us = word(file)?;
            let event = match kind {
                0..=2 => {
                    let disk = usize::try_from(word(file)?)?;
                    let (first, sectors, fua) = (word(file)?, word(file)?, word(file)? != 0);
                    let change = match kind {
                        0 => {
                            let mut bytes = vec![0; usize::try_from(sectors)? * super::SECTOR];
                            file.read_exact(&mut bytes)?;
                            Change::Write(bytes.into())
                        }
                        1 => Change::Zero,
                        _ => Change::Discard,
                    };
                    Event::Change { disk, first, sectors, fua, change }
                }
                3 => Event::Flush { disk: usize::try_from(word(file)?)? },
                4 => Event::Answered { of: word(file)?, ok: word(file)? != 0 },
                5 => Event::PowerCut,
                other => bail!("there is no entry of kind {other}"),
            };
            entries.push(Entry { at_us, event });
        }
        Ok(Log { disks, entries })
    }
}

fn words(file: &mut impl Write, words: &[u64]) -> std::io::Result<()> {
    words.iter().try_for_each(|word| file.write_all(&word.to_le_bytes()))
}

fn word(file: &mut impl Read) -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_comes_back_from_its_file() {
        let change = |change| Event::Change { disk: 0, first: 8, sectors: 2, fua: true, change };
        let events = [
            change(Change::Write(vec![7; 1024].into())),
            change(Change::Zero),
            change(Change::Discard),
            Event::Flush { disk: 1 },
            Event::Answered { of: 3, ok: false },
            Event::PowerCut,
        ];
        let entries =
            events.into_iter().zip(0..).map(|(event, at_us)| Entry { at_us, event }).collect();
        let served = |name: &str| Served { name: name.to_owned(), sectors: 64, sector: 512 };
        let log = Log { disks: vec![served("pv1"), served("side")], entries };
        let mut bytes = Vec::new();
        log.write_to(&mut bytes).expect("memory");
        assert_eq!(Log::read_from(&mut &bytes[..]).expect("just written"), log);
    }
}
