//! Tests of building a table and of the search in it.

extern crate std;

use std::vec::Vec;

use super::*;
use crate::table::{Area, Log, Mirror};

fn device(minor: u32) -> DeviceNumber {
    DeviceNumber { major: 254, minor }
}

fn linear(start: u64, len: u64) -> Segment {
    let area = Area { device: device(0), offset: Sectors(2048) };
    Segment { start: Sectors(start), len: Sectors(len), target: Target::Linear(area) }
}

/// A table of `count` segments of various lengths.
fn many(count: u64) -> Vec<Segment> {
    let mut start = 0;
    (0..count)
        .map(|i| {
            let len = 1 + i.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 9000;
            start += len;
            linear(start - len, len)
        })
        .collect()
}

#[test]
fn a_table_starts_at_0_without_gap_overlap_or_empty_line() {
    let new = |segments: &[Segment]| Table::new(segments).map(|table| table.len().0);
    assert_eq!(new(&[linear(0, 8), linear(8, 8)]), Ok(16));
    assert_eq!(new(&[]), Err(TableError::Empty));
    let not_contiguous = |index, expected, found| {
        let (expected, found) = (Sectors(expected), Sectors(found));
        Err(TableError::NotContiguous { index, expected, found })
    };
    assert_eq!(new(&[linear(8, 8)]), not_contiguous(0, 0, 8));
    assert_eq!(new(&[linear(0, 8), linear(9, 8)]), not_contiguous(1, 8, 9));
    assert_eq!(new(&[linear(0, 8), linear(7, 8)]), not_contiguous(1, 8, 7));
    assert_eq!(new(&[linear(0, 8), linear(8, 0)]), Err(TableError::ZeroLength { index: 1 }));
}

#[test]
fn numbers_near_the_largest_are_refused_not_wrapped() {
    let huge = Segment { len: Sectors(u64::MAX), ..linear(0, 1) };
    assert_eq!(Table::new(&[huge]).err(), Some(TableError::Overflow { index: 0 }));
    let huge = [linear(0, 8), Segment { len: Sectors(u64::MAX - 4), ..linear(8, 1) }];
    assert_eq!(Table::new(&huge).err(), Some(TableError::Overflow { index: 1 }));
    let far = Area { device: device(0), offset: Sectors(u64::MAX - 7) };
    let far = [Segment { target: Target::Linear(far), ..linear(0, 8) }];
    assert_eq!(Table::new(&far).err(), Some(TableError::Overflow { index: 0 }));
    let error = [Segment { len: Sectors(u64::MAX), target: Target::Error, ..linear(0, 1) }];
    let table = Table::new(&error).unwrap();
    assert!(table.lookup(Sectors(u64::MAX - 1)).is_some());
    assert!(table.lookup(Sectors(u64::MAX)).is_none());
}

#[test]
fn a_mirror_has_a_chunk_that_is_a_power_of_two() {
    let leg = Area { device: device(1), offset: Sectors(0) };
    for (chunk_sectors, right) in [(0, false), (1, true), (12, false), (4096, true)] {
        let mirror = Mirror {
            source: leg,
            destination: leg,
            log: Log::Core,
            chunk_sectors,
            sync: None,
            handle_errors: true,
            keep_log: false,
        };
        let segments = [Segment { target: Target::Mirror(mirror), ..linear(0, 8) }];
        let expected = (!right).then_some(TableError::BadChunk { index: 0, chunk_sectors });
        assert_eq!(Table::new(&segments).err(), expected);
    }
}

#[test]
fn the_lookup_equals_a_search_from_the_front() {
    for count in [1, 2, 3, 4, 5, 7, 8, 9, 100] {
        let segments = many(count);
        let table = Table::new(&segments).unwrap();
        let edges = segments.iter().map(|segment| segment.start.0);
        let around = edges.flat_map(|edge| [edge.wrapping_sub(1), edge, edge + 1]);
        for sector in around.chain([table.len().0 - 1, table.len().0, u64::MAX]) {
            let from_front = segments.iter().find(|segment| {
                segment.start.0 <= sector && sector < segment.start.0 + segment.len.0
            });
            assert_eq!(table.lookup(Sectors(sector)), from_front, "{sector} of {count}");
        }
    }
}

#[test]
fn the_search_finds_it_wherever_the_short_segments_lie() {
    let few = [0usize, 1, 2, NEAR - 1, NEAR, NEAR + 1, 3 * NEAR, 400];
    let shapes: [fn(u64) -> u64; 5] = [
        |_| 1,
        |_| 4096,
        |i| if i == 0 { 1 << 40 } else { 1 },
        |i| 1 << (i / 12),
        |i| 1 << (40 - i / 12),
    ];
    for count in few {
        for shape in shapes {
            let mut start = 0;
            let mut segments = Vec::new();
            for i in 0..=count as u64 {
                segments.push(linear(start, shape(i)));
                start += shape(i);
            }
            let table = Table::new(&segments).expect("contiguous");
            for (index, segment) in segments.iter().enumerate() {
                for sector in [
                    segment.start.0,
                    segment.start.0 + segment.len.0 / 2,
                    segment.start.0 + segment.len.0 - 1,
                ] {
                    assert_eq!(table.position(Sectors(sector)), Some(index), "of {count}");
                }
            }
            assert_eq!(table.position(Sectors(start)), None);
        }
    }
}
