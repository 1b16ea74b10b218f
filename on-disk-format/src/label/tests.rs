extern crate std;

use std::string::ToString;

use super::*;
use crate::layout::ALIGNMENT;

fn label() -> Label {
    Label::new(Uuid([7; 16]), Geometry::for_device(1 << 20).unwrap()).unwrap()
}

fn encoded(label: &Label) -> [u8; Label::SIZE] {
    let mut bytes = [0xEE; Label::SIZE];
    label.encode(&mut bytes);
    bytes
}

fn repaired(mut bytes: [u8; Label::SIZE]) -> [u8; Label::SIZE] {
    let crc = checksum(&bytes);
    at::CRC.put(&mut bytes, crc.to_le_bytes());
    bytes
}

/// A label that says what no label should say, with a right checksum.
fn lie<const N: usize>(field: layout::Field<N>, bytes: [u8; N]) -> Result<Label, LabelError> {
    let mut label = encoded(&label());
    field.put(&mut label, bytes);
    Label::decode(&repaired(label))
}

#[test]
fn what_is_written_is_read_back() {
    for copy in LabelCopy::ALL {
        let label = label().as_copy(copy);
        assert_eq!(Label::decode(&encoded(&label)), Ok(label));
    }
}

#[test]
#[cfg_attr(miri, ignore = "every bit of a label")]
fn every_bit_flip_is_noticed() {
    let mut bytes = encoded(&label());
    for bit in 0..Label::SIZE * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Label::decode(&bytes).is_err(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn blank_foreign_and_damaged_are_told_apart() {
    assert_eq!(Label::decode(&[0; Label::SIZE]), Err(LabelError::Blank));
    assert_eq!(Label::decode(&[1; Label::SIZE]), Err(LabelError::NotALabel));
    let mut bytes = encoded(&label());
    bytes[4000] = 1;
    assert!(matches!(Label::decode(&bytes), Err(LabelError::BadChecksum { .. })));
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let error = lie(at::VERSION, 2u32.to_le_bytes()).unwrap_err();
    assert_eq!(error, LabelError::UnsupportedVersion { found: 2 });
    assert!(error.to_string().contains("version 2"), "{error}");
    let error = lie(at::INCOMPAT, 0x50u64.to_le_bytes()).unwrap_err();
    assert_eq!(
        error,
        LabelError::UnsupportedFeatures { bits: crate::features::Incompat::from_bits_retain(0x50) }
    );
    assert!(error.to_string().contains("0x50"), "{error}");
    let label = lie(at::RO_COMPAT, 1u64.to_le_bytes()).unwrap();
    assert!(!label.is_writable());
    let label = lie(at::COMPAT, 1u64.to_le_bytes()).unwrap();
    assert!(label.is_writable());
    assert_eq!(Label::decode(&encoded(&label)), Ok(label), "an unknown compatible bit is kept");
}

#[test]
fn lies_with_right_checksums_are_refused() {
    assert_eq!(lie(at::COPY, 2u32.to_le_bytes()), Err(LabelError::BadCopy { found: 2 }));
    assert_eq!(lie(at::PV_UUID, [0; 16]), Err(LabelError::NilUuid));
    let mut reserved = [0; 3980];
    reserved[3979] = 1;
    assert_eq!(lie(at::RESERVED, reserved), Err(LabelError::ReservedNotZero));
    let geometry = |error| Err(LabelError::Geometry(error));
    let sector = |value: u64| value.to_le_bytes();
    let unaligned = GeometryError::Unaligned { value: 2049 };
    assert_eq!(lie(at::SLOT_0_START, sector(2049)), geometry(unaligned));
    let overlap = |start| geometry(GeometryError::Overlap { start });
    assert_eq!(lie(at::SLOT_0_START, sector(2040)), overlap(2040));
    assert_eq!(lie(at::SLOT_1_START, sector(4088)), overlap(4088));
    assert_eq!(lie(at::SLOT_1_START, sector(!7)), overlap(!7));
    assert_eq!(lie(at::LOG_START, sector(6136)), overlap(6136));
    assert_eq!(lie(at::LOG_SIZE, sector(8200)), overlap(8192));
    assert_eq!(lie(at::DATA_START, sector(16_376)), overlap(8192));
    let size = |size| geometry(GeometryError::BadSlotSize { size });
    assert_eq!(lie(at::SLOT_SIZE, sector(2040)), size(2040));
    assert_eq!(lie(at::SLOT_SIZE, sector(!0)), size(!0));
    let size = |size| geometry(GeometryError::BadLogSize { size });
    assert_eq!(lie(at::LOG_SIZE, sector(0)), size(0));
    assert_eq!(lie(at::LOG_SIZE, sector(!7)), size(!7));
    let large = GeometryError::DeviceTooLarge { size: (1 << 54) + 1 };
    assert_eq!(lie(at::DEVICE_SIZE, sector((1 << 54) + 1)), geometry(large));
    let small = GeometryError::DeviceTooSmall { size: 16_383, needed: 16_384 };
    assert_eq!(lie(at::DEVICE_SIZE, sector(16_383)), geometry(small));
}

#[test]
fn a_device_that_shrank_is_refused_and_a_larger_one_is_not() {
    let geometry = label().geometry();
    assert_eq!(geometry.check_device(1 << 20), Ok(()));
    assert_eq!(geometry.check_device(1 << 21), Ok(()));
    let error = GeometryError::DeviceTooSmall { size: (1 << 20) - 1, needed: 1 << 20 };
    assert_eq!(geometry.check_device((1 << 20) - 1), Err(error));
}

#[test]
fn the_second_copy_ends_where_the_areas_start() {
    assert_eq!(LabelCopy::Second.start() * 512, (1 << 20) - ALIGNMENT);
}
