//! Is this image right? Every sector of every LV, and every chunk that the log calls clean.

use lvshift_core::metadata::MoveState;
use lvshift_on_disk_format::dirty_log::Log;

use super::image::Image;
use super::known::{Known, OfLv};
use super::open::{OpenLv, Opener, Part};
use super::sectors::Sectors;
use lvshift_vm_tests::writer::stamp::Found;

/// What was looked at in all images together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Sectors of LVs compared with what the application knows.
    pub sectors: u64,
    /// Chunks that a dirty log calls clean, compared on both legs.
    pub clean_chunks: u64,
    /// Chunks that it calls dirty.
    pub dirty_chunks: u64,
    /// Images by what is recorded: nothing, queued, copying, aborting, moved.
    pub records: [u64; 5],
}

/// Checks images.
#[derive(Debug, Default)]
pub struct Checker {
    /// Opens them.
    pub opener: Opener,
    /// What was looked at so far.
    pub looked: Looked,
}

impl Checker {
    /// Checks one.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(
        &mut self,
        image: &Image,
        sectors: &Sectors,
        known: &Known,
        disk_names: &[&str],
    ) -> Result<(), String> {
        let opened = self.opener.open(image, sectors)?;
        let mut record = None;
        for (name, of) in &known.lvs {
            let lv = opened.lvs.iter().find(|lv| lv.name == *name);
            let lv = lv.ok_or_else(|| format!("LV {name} is gone"))?;
            homes(lv, of, disk_names)?;
            self.every_sector(lv, of, image, sectors)?;
        }
        for lv in &opened.lvs {
            record = record.or(lv.record);
            lv.parts.iter().try_for_each(|part| self.clean_chunks(lv, part, image, sectors))?;
        }
        let at = match record {
            None => 0,
            Some(MoveState::Queued) => 1,
            Some(MoveState::Copying) => 2,
            Some(MoveState::Aborting) => 3,
            Some(MoveState::Moved) => 4,
        };
        self.looked.records[at] += 1;
        Ok(())
    }

    fn every_sector(
        &mut self,
        lv: &OpenLv,
        of: &OfLv,
        image: &Image,
        sectors: &Sectors,
    ) -> Result<(), String> {
        for run in &lv.runs {
            let ids = image.run(run.disk, run.first, run.sectors);
            for (n, id) in ids.iter().enumerate() {
                let sector = run.start + n as u64;
                let Some(&floor) = of.floors.get(sector as usize) else { continue };
                let found = match sectors.stamp(*id) {
                    Ok(stamp) if stamp.seed == of.seed && stamp.sector == sector => {
                        if stamp.version >= floor {
                            continue;
                        }
                        format!("version {}", stamp.version)
                    }
                    Ok(stamp) => format!("seed {} sector {}", stamp.seed, stamp.sector),
                    Err(Found::Zero | Found::Foreign) if floor == 0 => continue,
                    Err(found) => format!("{found:?}"),
                };
                let at = run.first + n as u64;
                return Err(format!(
                    "LV {} ({:?}) sector {sector}, on disk {} sector {at}: version {floor} was \
                     flushed, found {found}",
                    lv.name, lv.record, run.disk
                ));
            }
            self.looked.sectors += run.sectors;
        }
        Ok(())
    }

    fn clean_chunks(
        &mut self,
        lv: &OpenLv,
        part: &Part,
        image: &Image,
        sectors: &Sectors,
    ) -> Result<(), String> {
        let chunks = part.chunks();
        let log = part.log_image(image, sectors);
        let Ok(log) = Log::of(&log, chunks) else {
            self.looked.dirty_chunks += u64::from(chunks);
            return Ok(());
        };
        for chunk in 0..chunks {
            if !log.is_clean(chunk) {
                self.looked.dirty_chunks += 1;
                continue;
            }
            self.looked.clean_chunks += 1;
            let start = u64::from(chunk) * u64::from(part.chunk_sectors);
            let count = u64::from(part.chunk_sectors).min(part.source.sectors - start);
            let one = image.run(part.source.disk, part.source.first + start, count);
            let two = image.run(part.destination.0, part.destination.1 + start, count);
            if let Some(at) = one.iter().zip(two).position(|(a, b)| a != b) {
                return Err(format!(
                    "LV {}: the log calls chunk {chunk} of the part at sector {} clean; its sector \
                     {at} is {:?} on the source and {:?} on the destination",
                    lv.name,
                    part.source.start,
                    sectors.stamp(one[at]),
                    sectors.stamp(two[at])
                ));
            }
        }
        Ok(())
    }
}

/// What a command said to have moved is where it said, and nothing is left to be done.
fn homes(lv: &OpenLv, of: &OfLv, disk_names: &[&str]) -> Result<(), String> {
    let Some(homes) = &of.homes else { return Ok(()) };
    let mut on: Vec<&str> = lv.runs.iter().map(|run| disk_names[run.disk]).collect();
    on.dedup();
    let lies = matches!(on.as_slice(), [one] if homes.iter().any(|home| home == one));
    if !lies {
        return Err(format!("LV {} ({:?}) lies on {on:?}, not on {homes:?}", lv.name, lv.record));
    }
    match (homes.as_slice(), lv.record) {
        ([_], Some(record)) => Err(format!(
            "LV {} lies on {on:?} for good, and a move of it is still recorded as {record:?}",
            lv.name
        )),
        _ => Ok(()),
    }
}
