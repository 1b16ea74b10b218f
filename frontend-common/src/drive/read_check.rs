//! Can the source be read at all? Asked of every sector before anything is changed.
//!
//! dm-mirror answers a source sector that it cannot copy by failing *every* read of a chunk that is
//! not yet copied (`do_reads` in the kernel's `dm-raid1.c`), until the mirror is taken away again. A
//! failing disk is the common reason to move; so its sectors are read once before the mirror is
//! put under the application, and a bad one is named while nothing has been changed yet. The price
//! is that the source is read twice; a [`Gate`] says how fast.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lvshift_core::Leg;
use lvshift_core::metadata::Segment;
use lvshift_core::units::{SECTOR_SIZE, Sectors};

use super::bisect::{Bad, Bisect, note};
use super::gate::Gate;
use crate::device::{Aligned, BlockDevice};
use crate::front_end::{BadPlace, View};
use crate::vg::Vg;

/// Sectors in one read.
const STRIDE: u64 = 4096;
/// The same in bytes.
pub(crate) const READ_BYTES: u64 = STRIDE * SECTOR_SIZE;
/// Reads in flight.
const READERS: usize = 4;
/// Bad runs that are named one by one; past that the disk as a whole is the news.
const MAX_BAD: usize = 64;

/// Reads all of `pieces` once, each read when the gate lets it; tells `progress` the bytes read so far and in all. Answers the
/// places that cannot be read, at most 64 for each piece, and stops early when `progress`
/// answers `false`.
pub(crate) fn read_check(
    view: View<'_>,
    pieces: &[Segment],
    gate: &Gate,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Vec<BadPlace> {
    let extent = view.vg.extent_size();
    let total = pieces.iter().map(|piece| extent.span(piece.count).0 * SECTOR_SIZE).sum();
    let mut done = 0;
    let mut bad = Vec::new();
    for piece in pieces {
        let Some(range) = on_device(view.vg, piece) else { continue };
        let Some(member) = view.members.get(piece.place.pv) else { continue };
        let mut go_on = true;
        let runs = unreadable(&member.pv.device, range.clone(), gate, &mut |sectors| {
            go_on = progress(done + sectors * SECTOR_SIZE, total);
            go_on
        });
        let lv_start = u64::from(piece.first.0) * u64::from(extent.sectors());
        bad.extend(runs.into_iter().map(|(sectors, error)| BadPlace {
            leg: Leg::Source,
            pv: member.uuid,
            lv: view.vg.lvs().get(usize::from(piece.lv.0)).map(|lv| lv.uuid).unwrap_or_default(),
            lv_sectors: lv_start + (sectors.start - range.start)
                ..lv_start + (sectors.end - range.start),
            device_sectors: sectors,
            error,
        }));
        if !go_on {
            break;
        }
        done += (range.end - range.start) * SECTOR_SIZE;
    }
    bad
}

/// The device sectors of a piece.
fn on_device(vg: &Vg, piece: &Segment) -> Option<Range<u64>> {
    let pv = vg.pvs().get(usize::from(piece.place.pv.0))?;
    let sectors = u64::from(vg.extent_size().sectors());
    let start = pv.pe_start.0.checked_add(u64::from(piece.place.pe.0).checked_mul(sectors)?)?;
    Some(start..start.checked_add(vg.extent_size().span(piece.count).0)?)
}

/// The sectors of `range` that cannot be read, merged, in order, at most [`MAX_BAD`] runs. Tells
/// `progress` how many sectors are done and stops early when it answers `false`.
pub(crate) fn unreadable(
    device: &BlockDevice,
    range: Range<u64>,
    gate: &Gate,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Bad {
    let next = AtomicU64::new(range.start);
    let stop = AtomicBool::new(false);
    let found = Mutex::new(Vec::new());
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            let (tell, next, stop, found, range) =
                (tell.clone(), &next, &stop, &found, range.clone());
            scope.spawn(move || {
                let mut buffer = Aligned::zeroed(usize::try_from(READ_BYTES).expect("2 MiB"));
                while !stop.load(Ordering::Relaxed) {
                    let start = next.fetch_add(STRIDE, Ordering::Relaxed);
                    if start >= range.end {
                        break;
                    }
                    let end = range.end.min(start + STRIDE);
                    let pass = gate.enter();
                    let mut runs = narrow(device, start..end, &mut buffer);
                    drop(pass);
                    if !runs.is_empty() {
                        let mut found = found.lock().expect("no reader panics holding it");
                        found.append(&mut runs);
                        if found.len() >= MAX_BAD * READERS {
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                    // The receiver outlives the readers.
                    let _ = tell.send(end - start);
                }
            });
        }
        drop(tell);
        let mut done = 0;
        for sectors in told {
            done += sectors;
            if !progress(done) {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    merged(found.into_inner().expect("no reader panics holding it"))
}

/// What of `range` cannot be read, down to a logical block.
fn narrow(device: &BlockDevice, range: Range<u64>, buffer: &mut [u8]) -> Bad {
    let step = u64::from(device.logical_block()).max(SECTOR_SIZE) / SECTOR_SIZE;
    let mut attempt = |range: &Range<u64>| {
        let bytes = usize::try_from((range.end - range.start) * SECTOR_SIZE).ok();
        // A range is never longer than the buffer.
        let Some(part) = bytes.and_then(|len| buffer.get_mut(..len)) else { return Ok(()) };
        device
            .read(Sectors(range.start), part)
            .map_err(|error| error.source.map_or(error.what, |source| source.to_string()))
    };
    let mut bad = Bad::new();
    Bisect { step, most: MAX_BAD, deadline: None }.search(range, &mut attempt, &mut bad);
    bad
}

/// In order, with neighbours that failed alike joined.
fn merged(mut runs: Bad) -> Bad {
    runs.sort_by_key(|(sectors, _)| sectors.start);
    let mut all = Bad::new();
    for (sectors, error) in runs {
        note(&mut all, sectors, &error);
    }
    all.truncate(MAX_BAD);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that ends early is a device whose last sectors cannot be read.
    fn truncated(name: &str, sectors: u64) -> BlockDevice {
        let path =
            std::env::temp_dir().join(format!("lvshift-read-check-{}-{name}", std::process::id()));
        std::fs::File::create(&path).unwrap().set_len(sectors * SECTOR_SIZE).unwrap();
        let device = BlockDevice::on_file(&path);
        std::fs::remove_file(&path).unwrap();
        device
    }

    #[test]
    fn a_sound_device_has_no_bad_sectors_and_all_of_it_is_read() {
        let device = truncated("sound", 20_000);
        let mut done = 0;
        let bad = unreadable(&device, 100..20_000, &Gate::open(), &mut |sectors| {
            done = sectors;
            true
        });
        assert_eq!(bad, []);
        assert_eq!(done, 19_900);
    }

    #[test]
    fn unreadable_sectors_are_named_exactly() {
        let device = truncated("bad", 9_001);
        let bad = unreadable(&device, 0..9_010, &Gate::open(), &mut |_| true);
        assert_eq!(bad.len(), 1, "{bad:?}");
        assert_eq!(bad[0].0, 9_001..9_010);
    }

    #[test]
    fn it_stops_when_told_to() {
        let device = truncated("stop", STRIDE * 400);
        let mut calls = 0;
        unreadable(&device, 0..STRIDE * 400, &Gate::open(), &mut |_| {
            calls += 1;
            false
        });
        assert!(calls < 400, "it read on to the end");
    }

    #[test]
    fn neighbours_are_joined_and_gaps_kept() {
        let run = |sectors: Range<u64>, error: &str| (sectors, error.to_owned());
        let joined = merged(vec![run(8..16, "EIO"), run(0..8, "EIO"), run(24..32, "EIO")]);
        assert_eq!(joined, [run(0..16, "EIO"), run(24..32, "EIO")]);
    }
}
