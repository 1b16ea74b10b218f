extern crate std;

use std::vec;
use std::vec::Vec;

use super::*;

const VG: Uuid = Uuid([1; 16]);
const PV: Uuid = Uuid([2; 16]);

fn sealed(payload: &[u8]) -> Vec<u8> {
    let mut slot = vec![0xEE; 3 * 4096];
    payload_mut(&mut slot, payload.len()).unwrap().copy_from_slice(payload);
    let size = seal(&mut slot, VG, PV, 9, payload.len()).unwrap();
    slot.truncate(size);
    slot
}

#[test]
fn what_is_written_is_read_back() {
    for size in [0, 1, 4095, 4096, 4097, 8192] {
        let payload: Vec<u8> = (0..size).map(|i| i as u8).collect();
        let slot = sealed(&payload);
        assert_eq!(slot.len() % 4096, 0);
        assert!(slot[4096 + size..].iter().all(|&byte| byte == 0), "padding is zero");
        let (header, found) = open(&slot).unwrap().unwrap();
        assert_eq!((header.vg, header.pv, header.sequence), (VG, PV, 9));
        assert_eq!(found, payload);
        assert!(header.is_writable());
    }
}

#[test]
#[cfg_attr(miri, ignore = "every bit of a slot")]
fn every_bit_flip_and_every_cut_is_noticed() {
    let mut slot = sealed(&[0x5A; 100]);
    for bit in 0..(4096 + 100) * 8 {
        slot[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&slot).is_err(), "bit {bit}");
        slot[bit / 8] ^= 1 << (bit % 8);
    }
    for length in 0..4096 + 100 {
        assert!(matches!(open(&slot[..length]), Err(SlotError::TooShort { .. })), "{length}");
    }
}

#[test]
fn a_torn_write_is_noticed() {
    // Every mix of old and new sectors; the payloads differ in each sector.
    let (old, new) = (sealed(&[1; 1500]), sealed(&[2; 1500]));
    for torn in 1u32..(1 << 3) - 1 {
        let mut slot = old.clone();
        for (sector, at) in [(0, 4096), (1, 4608), (2, 5120)] {
            if torn & (1 << sector) != 0 {
                slot[at..at + 512].copy_from_slice(&new[at..at + 512]);
            }
        }
        assert!(matches!(open(&slot), Err(SlotError::BadPayloadChecksum { .. })), "{torn:b}");
    }
}

#[test]
fn lies_with_right_checksums_are_refused() {
    let lie = |place: usize, value: u8, wipe: usize| {
        let mut slot = sealed(&[3; 10]);
        slot[place..place + wipe].fill(value);
        let crc = crc32c(&slot[..at::CRC.start()]);
        slot[at::CRC.start()..at::CRC.end()].copy_from_slice(&crc.to_le_bytes());
        open(&slot).unwrap_err()
    };
    let found = 2;
    assert_eq!(lie(at::VERSION.start(), 2, 1), SlotError::UnsupportedVersion { found });
    let bits = crate::features::Incompat::from_bits_retain(8);
    assert_eq!(lie(at::INCOMPAT.start(), 8, 1), SlotError::UnsupportedFeatures { bits });
    assert_eq!(lie(at::RESERVED.start(), 1, 1), SlotError::ReservedNotZero);
    assert_eq!(lie(at::RESERVED.end() - 1, 1, 1), SlotError::ReservedNotZero);
    assert_eq!(lie(at::VG_UUID.start(), 0, 16), SlotError::NilUuid);
    assert_eq!(lie(at::PV_UUID.start(), 0, 16), SlotError::NilUuid);
    assert_eq!(lie(at::SEQUENCE.start(), 0, 8), SlotError::NoSequence);
    let long = lie(at::PAYLOAD_SIZE.start(), 0xFF, 4);
    assert_eq!(long, SlotError::TooShort { needed: 4096 + 0xFFFF_FFFF, found: 8192 });
}

#[test]
fn blank_is_no_error_and_foreign_is() {
    assert_eq!(open(&[0; 4096]), Ok(None));
    assert_eq!(open(&[7; 4096]), Err(SlotError::NotASlot));
}

#[test]
fn nothing_is_sealed_that_could_not_be_opened() {
    let mut slot = [0; 8192];
    assert_eq!(seal(&mut slot, Uuid::NIL, PV, 1, 0), Err(SlotError::NilUuid));
    assert_eq!(seal(&mut slot, VG, PV, 0, 0), Err(SlotError::NoSequence));
    assert!(matches!(seal(&mut slot, VG, PV, 1, 4097), Err(SlotError::TooShort { .. })));
    assert!(matches!(seal(&mut slot, VG, PV, 1, usize::MAX), Err(SlotError::TooShort { .. })));
    assert!(payload_mut(&mut slot, 4097).is_err());
    assert!(payload_mut(&mut slot, usize::MAX).is_err());
}

#[test]
fn the_higher_sequence_wins() {
    assert_eq!(newest([None, None]), None);
    assert_eq!(newest([Some(1), None]), Some(SlotIndex::Zero));
    assert_eq!(newest([None, Some(1)]), Some(SlotIndex::One));
    assert_eq!(newest([Some(1), Some(2)]), Some(SlotIndex::One));
    assert_eq!(newest([Some(3), Some(2)]), Some(SlotIndex::Zero));
}
