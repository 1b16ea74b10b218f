//! The model as a whole: whatever is done to a VG, it stays valid and survives the disk.

extern crate std;

use std::boxed::Box;
use std::vec::Vec;

use lvshift_on_disk_format::checksum::crc32c;
use lvshift_on_disk_format::layout::{self, slot as at};

use super::testing::*;
use super::*;
use crate::heap::Vg;
use crate::limits::{MAX_PARTS, MAX_SEGMENTS};
use crate::metadata::Change;
use crate::units::{ExtentSize, Extents, LvIndex, Pe, PvIndex};

fn read_back(bytes: &[u8]) -> (Box<Vg>, SlotInfo) {
    let mut vg = Box::new(Vg::empty());
    let info = vg.decode_from(bytes).unwrap();
    (vg, info)
}

/// Three LVs: a move that is being aborted, one that is queued, one that has moved.
fn sample() -> Box<Vg> {
    let mut vg = vg(&[100, 100, 100, 60]);
    add_lv(&mut vg, "home", &[run(0, 0, 20), run(1, 0, 20), run(2, 0, 20)]);
    add_lv(&mut vg, "root", &[run(1, 20, 30), run(0, 50, 5)]);
    add_lv(&mut vg, "swap", &[run(1, 60, 3)]);
    for (text, change) in [("home", 1), ("root", 0), ("swap", 2)] {
        let lv = vg.lv_by_name(text);
        let mut asked = request(&[], &[]);
        let sources = [whole(1)];
        let destinations = [whole(3)];
        asked.sources = &sources;
        asked.destinations = &destinations;
        asked.only_lv = lv;
        vg.bump();
        let planned = plan(&mut vg, &asked).unwrap();
        let of = vg.moves()[planned.first.index()].uuid;
        if change == 2 {
            let first = vg.moves()[0].uuid;
            vg.apply(first, Change::Aborting).unwrap();
            vg.apply(of, Change::Begin).unwrap();
            vg.apply(of, Change::Moved).unwrap();
        } else if change == 1 {
            vg.apply(of, Change::Begin).unwrap();
        }
        vg.validate().unwrap();
    }
    vg
}

#[test]
fn what_is_written_is_read_back() {
    let vg = sample();
    let holder = vg.pvs()[2].uuid;
    let (again, info) = read_back(&encoded(&vg, holder));
    assert!(*vg == *again);
    assert_eq!(info, SlotInfo { pv: holder, sequence: vg.sequence(), writable: true });
}

#[test]
fn golden_metadata_stay_as_they_are() {
    let vg = sample();
    let bytes = encoded(&vg, vg.pvs()[0].uuid);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/slot.bin");
    if std::env::var_os("LVSHIFT_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    assert!(bytes == golden, "{} differs; LVSHIFT_BLESS=1 rewrites it", path.display());
    assert!(*read_back(&golden).0 == *vg);
}

#[test]
#[cfg_attr(miri, ignore = "thousands of VGs")]
fn random_changes_keep_the_vg_valid() {
    for seed in 1..=40 {
        let mut rng = Rng(seed);
        let mut vg = vg(&[40, 30, 50]);
        let mut serial = 0;
        let mut again = Box::new(Vg::empty());
        for step in 0..150 {
            random_change(&mut vg, &mut rng, &mut serial);
            if let Err(invalid) = vg.validate() {
                panic!("seed {seed}, step {step}: {invalid}");
            }
            let mut derived = Box::new(vg.clone());
            derived.rebuild_used();
            assert!(derived.used == vg.used, "seed {seed}, step {step}: used is not up to date");
            if step % 10 == 0 && !vg.pvs().is_empty() {
                vg.bump();
                again.decode_from(&encoded(&vg, vg.pvs()[0].uuid)).unwrap();
                assert!(*again == *vg, "seed {seed}, step {step}");
            }
        }
    }
}

/// Makes the checksums right again after a test changed the payload or the header.
fn repair(slot: &mut [u8]) {
    let size = u32::from_le_bytes(slot[12..16].try_into().unwrap()) as usize;
    let end = (at::HEADER_SIZE + size).min(slot.len());
    let crc = crc32c(&slot[at::HEADER_SIZE..end]);
    slot[at::PAYLOAD_CRC.start()..at::PAYLOAD_CRC.end()].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c(&slot[..at::CRC.start()]);
    slot[at::CRC.start()..at::CRC.end()].copy_from_slice(&crc.to_le_bytes());
}

#[test]
#[cfg_attr(miri, ignore = "thousands of VGs")]
fn a_lying_disk_with_right_checksums_never_gives_an_invalid_vg() {
    let good = encoded(&sample(), uuid(1000));
    let payload = at::HEADER_SIZE..good.len();
    let mut vg = Box::new(Vg::empty());
    let mut rng = Rng(4711);
    let mut refused = 0;
    for round in 0..6000 {
        let mut bad = good.clone();
        for _ in 0..1 + round % 4 {
            let at = payload.start + rng.below(payload.len() as u64) as usize;
            match rng.below(4) {
                0 => bad[at] ^= 1 << rng.below(8),
                1 => bad[at] = rng.below(256) as u8,
                2 => bad[at] = bad[at].wrapping_add(1),
                _ => {
                    // A field from somewhere else.
                    let from = payload.start + rng.below(payload.len() as u64 - 8) as usize;
                    let field: Vec<u8> = bad[from..from + 4].to_vec();
                    let to = (at & !3).min(bad.len() - 4);
                    bad[to..to + 4].copy_from_slice(&field);
                }
            }
        }
        repair(&mut bad);
        match vg.decode_from(&bad) {
            Ok(_) => vg.validate().unwrap(),
            Err(error) => {
                refused += 1;
                assert!(*vg == Vg::empty(), "a VG was left behind by: {error}");
                assert!(!std::string::ToString::to_string(&error).is_empty());
            }
        }
    }
    assert!(refused > 3000, "only {refused} lies were noticed");
}

#[test]
#[cfg_attr(miri, ignore = "every bit of a slot")]
fn every_bit_flip_and_every_cut_is_noticed() {
    let good = encoded(&sample(), uuid(1000));
    let size = u32::from_le_bytes(good[12..16].try_into().unwrap()) as usize;
    let mut vg = Box::new(Vg::empty());
    let mut bad = good.clone();
    for byte in (0..at::HEADER_SIZE).step_by(3).chain(at::HEADER_SIZE..at::HEADER_SIZE + size) {
        let bit = 1 << (byte % 8);
        bad[byte] ^= bit;
        assert!(vg.decode_from(&bad).is_err(), "byte {byte}");
        bad[byte] ^= bit;
    }
    for length in (0..at::HEADER_SIZE + size).step_by(7) {
        assert!(vg.decode_from(&good[..length]).is_err(), "length {length}");
    }
}

#[test]
fn a_blank_slot_is_blank_and_another_vg_or_a_new_feature_is_named() {
    let mut vg = Box::new(Vg::empty());
    assert_eq!(vg.decode_from(&[0; 8192]), Err(MetadataError::Blank));
    let mut slot = encoded(&sample(), uuid(1000));
    let mut other = slot.clone();
    other[at::VG_UUID.start()] ^= 1;
    repair(&mut other);
    assert_eq!(vg.decode_from(&other), Err(MetadataError::OtherVg));
    slot[at::RO_COMPAT.start()] = 1;
    repair(&mut slot);
    assert!(!vg.decode_from(&slot).unwrap().writable);
    slot[at::INCOMPAT.start()] = 4;
    repair(&mut slot);
    let error = vg.decode_from(&slot).unwrap_err();
    assert!(std::string::ToString::to_string(&error).contains("0x4"), "{error}");
    slot[at::VERSION.start()] = layout::VERSION as u8 + 1;
    repair(&mut slot);
    let error = vg.decode_from(&slot).unwrap_err();
    assert!(std::string::ToString::to_string(&error).contains("version 2"), "{error}");
}

/// As many segments as there may be, and many parts: written, read and checked in little time.
#[test]
#[cfg_attr(miri, ignore = "the largest VG, byte by byte")]
fn the_largest_vg_fits_and_is_read_quickly() {
    let mut vg = Box::new(Vg::empty());
    vg.create(uuid(1), name("vg"), ExtentSize::new(8).unwrap());
    vg.bump();
    for number in 0..3 {
        vg.add_pv(pv(number, vg.extent_size(), 40_000)).unwrap();
    }
    // Every second extent, in 12 LVs.
    for lv in 0..12u32 {
        let runs: Vec<Run> = (0..1024).map(|i| run(0, (lv * 1024 + i) * 2, 1)).collect();
        add_lv(&mut vg, &std::format!("lv{lv}"), &runs);
    }
    assert_eq!(vg.segments().len(), MAX_SEGMENTS);
    let error = vg.extend_lv(LvIndex(0), &[run(1, 5, 1)]).unwrap_err();
    assert_eq!(error, LvError::TooManySegments { limit: MAX_SEGMENTS as u32 });
    let sources: Vec<Area> = vec_of_areas();
    let planned = plan(&mut vg, &request(&sources, &[whole(1)])).unwrap();
    assert_eq!(planned.parts as usize, MAX_PARTS);
    let bytes = encoded(&vg, uuid(1000));
    let (again, _) = read_back(&bytes);
    assert!(*again == *vg);
}

fn vec_of_areas() -> Vec<Area> {
    [Area { pv: PvIndex(0), first: Pe(0), count: Extents(2 * MAX_PARTS as u32) }].to_vec()
}
