//! After a failed move: which sectors cannot be read on the source or written on the destination?
//! Looks only at chunks that are not clean, and only for a bounded time; the destination's extents
//! hold nothing that counts any more.

use std::ops::Range;
use std::time::{Duration, Instant};

use lvshift_core::Leg;
use lvshift_core::metadata::{MovePart, Place};
use lvshift_core::units::{MoveIndex, Sectors};
use lvshift_on_disk_format::dirty_log::Log;

use super::bisect::{Bad, Bisect, note};
use super::log;
use crate::device::Aligned;
use crate::front_end::{BadPlace, View};
use crate::pv::Member;

/// How long all the probing may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many places spread over a part, all bad, and the whole part is taken for bad.
const SAMPLES: u64 = 8;
/// This many chunks without one good sector in a row, and the rest is taken for as bad.
const DEAD_CHUNKS: u32 = 4;
/// More places than this are not worth a message.
const MAX_PLACES: usize = 64;

/// The bad places that were found.
pub(super) fn bad_places(view: View<'_>, of: MoveIndex) -> Vec<BadPlace> {
    let deadline = Instant::now() + PATIENCE;
    let mut found = Vec::new();
    for part in view.vg.parts_of(of) {
        let Some(probe) = Probe::new(view, part) else { continue };
        probe.run(deadline, &mut found);
        if found.len() >= MAX_PLACES || Instant::now() >= deadline {
            break;
        }
    }
    found
}

struct Probe<'a> {
    view: View<'a>,
    part: &'a MovePart,
    source: &'a Member,
    destination: &'a Member,
    from: Sectors,
    to: Sectors,
    sectors: u64,
    chunk: u64,
    /// The bytes where the part's dirty log lies, and how many chunks it is of.
    image: Option<(Aligned, u32)>,
}

#[derive(Default)]
struct Side {
    dead: u32,
    bad: Bad,
}

impl<'a> Probe<'a> {
    fn new(view: View<'a>, part: &'a MovePart) -> Option<Probe<'a>> {
        let at = |place: Place| view.vg.sector_of(place);
        let chunks = view.vg.log_image(part).map(|image| image.chunks);
        Some(Probe {
            view,
            part,
            source: view.members.get(part.source.pv)?,
            destination: view.members.get(part.destination.pv)?,
            from: at(part.source)?,
            to: at(part.destination)?,
            sectors: view.vg.extent_size().span(part.count).0,
            chunk: u64::from(view.vg.move_at(part.of)?.chunk_sectors),
            image: log::read(view, part).ok().zip(chunks),
        })
    }

    fn run(&self, deadline: Instant, found: &mut Vec<BadPlace>) {
        let (mut source, mut destination) = (Side::default(), Side::default());
        let block = self.source.logical_block.max(self.destination.logical_block).max(512);
        let step = u64::from(block / 512);
        if !self.all_dead(step, &mut source, &mut destination) {
            self.scan(step, deadline, &mut source, &mut destination);
        }
        for (leg, side, base, member) in [
            (Leg::Source, source, self.from, self.source),
            (Leg::Destination, destination, self.to, self.destination),
        ] {
            for (range, error) in side.bad {
                found.extend(self.place(leg, member, base, range, error));
            }
        }
    }

    /// A device that is gone is told by a few probes, not by one for each sector.
    fn all_dead(&self, step: u64, source: &mut Side, destination: &mut Side) -> bool {
        let (mut read, mut wrote) = (0, 0);
        let (mut read_error, mut write_error) = (String::new(), String::new());
        for sample in 0..SAMPLES {
            let at = (self.sectors / SAMPLES * sample) / step * step;
            let mut block = Aligned::zeroed(usize::try_from(step * 512).unwrap_or(4096));
            match self.source.pv.device.read(Sectors(self.from.0 + at), &mut block) {
                Ok(()) => read += 1,
                Err(error) => {
                    read_error = cause(&error);
                    continue;
                }
            }
            match self.destination.pv.device.write(Sectors(self.to.0 + at), &block) {
                Ok(()) => wrote += 1,
                Err(error) => write_error = cause(&error),
            }
        }
        if read == 0 {
            note(&mut source.bad, 0..self.sectors, &format!("wherever it was tried: {read_error}"));
        } else if wrote == 0 {
            let why = format!("wherever it was tried: {write_error}");
            note(&mut destination.bad, 0..self.sectors, &why);
        }
        read == 0 || wrote == 0
    }

    /// The source first: reading it is quick even where the destination is slow.
    fn scan(&self, step: u64, deadline: Instant, source: &mut Side, destination: &mut Side) {
        self.each_dirty_chunk(step, deadline, source, &|range| self.try_read(range));
        self.each_dirty_chunk(step, deadline, destination, &|range| self.try_write(range, step));
    }

    fn each_dirty_chunk(
        &self,
        step: u64,
        deadline: Instant,
        side: &mut Side,
        attempt: &Attempt<'_>,
    ) {
        let image = self.image.as_ref();
        let log = image.and_then(|(bytes, chunks)| Log::of(bytes, *chunks).ok());
        let mut start = 0;
        let mut number = 0;
        while start < self.sectors && Instant::now() < deadline {
            let end = self.sectors.min(start + self.chunk);
            if !log.is_some_and(|log| log.is_clean(number)) {
                let mut bad = Vec::new();
                let bisect = Bisect { step, most: MAX_PLACES, deadline: Some(deadline) };
                bisect.search(start..end, &mut |range| attempt(range), &mut bad);
                let whole = bad.first().is_some_and(|(range, _)| *range == (start..end));
                side.dead = if whole { side.dead + 1 } else { 0 };
                for (range, why) in bad {
                    note(&mut side.bad, range, &why);
                }
            }
            if side.dead >= DEAD_CHUNKS {
                let why = side.bad.last().map_or_else(String::new, |(_, why)| why.clone());
                note(&mut side.bad, end..self.sectors, &why);
                break;
            }
            start = end;
            number += 1;
        }
    }

    fn read_source(&self, range: &Range<u64>) -> Result<Aligned, String> {
        let bytes = (range.end - range.start) * 512;
        let mut data = Aligned::zeroed(usize::try_from(bytes).unwrap_or(0));
        let place = Sectors(self.from.0 + range.start);
        self.source.pv.device.read(place, &mut data).map_err(|error| cause(&error))?;
        Ok(data)
    }

    fn try_read(&self, range: &Range<u64>) -> Result<(), String> {
        self.read_source(range).map(drop)
    }

    /// Nothing is ever written in place of what cannot be read.
    fn try_write(&self, range: &Range<u64>, step: u64) -> Result<(), String> {
        let data = match self.read_source(range) {
            Ok(data) => data,
            Err(_) if range.end - range.start <= step => return Ok(()),
            Err(why) => return Err(why),
        };
        let (device, place) = (&self.destination.pv.device, Sectors(self.to.0 + range.start));
        let mut back = Aligned::zeroed(data.len());
        device
            .write(place, &data)
            .and_then(|()| device.read(place, &mut back))
            .map_err(|error| cause(&error))?;
        if *back == *data { Ok(()) } else { Err("it reads back other bytes".to_owned()) }
    }

    fn place(
        &self,
        leg: Leg,
        member: &Member,
        base: Sectors,
        range: Range<u64>,
        error: String,
    ) -> Option<BadPlace> {
        let lv_base = self.view.vg.extent_size().sectors();
        let lv_start = u64::from(self.part.first.0) * u64::from(lv_base);
        Some(BadPlace {
            leg,
            pv: member.uuid,
            device_sectors: base.0 + range.start..base.0 + range.end,
            lv: self.view.vg.lv(self.part.lv)?.uuid,
            lv_sectors: lv_start + range.start..lv_start + range.end,
            error,
        })
    }
}

/// Does something to sectors of the part; the error in words.
type Attempt<'a> = dyn Fn(&Range<u64>) -> Result<(), String> + 'a;

fn cause(error: &crate::error::Error) -> String {
    match &error.source {
        Some(source) => format!("{}: {source}", error.what),
        None => error.what.clone(),
    }
}
