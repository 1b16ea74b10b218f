//! Tests of splitting.

extern crate std;

use std::vec::Vec;

use super::*;
use crate::table::{Log, Mirror};

fn area(minor: u32, offset: u64) -> Area {
    Area { device: DeviceNumber { major: 254, minor }, offset: Sectors(offset) }
}

/// Linear 0..10, mirror with chunks of 8 over 10..35, error 35..40.
fn three() -> [Segment; 3] {
    let mirror = Mirror {
        source: area(1, 100),
        destination: area(2, 200),
        log: Log::Core,
        chunk_sectors: 8,
        sync: None,
        handle_errors: true,
        keep_log: false,
    };
    let line = |start, len, target| Segment { start: Sectors(start), len: Sectors(len), target };
    [
        line(0, 10, Target::Linear(area(0, 50))),
        line(10, 25, Target::Mirror(mirror)),
        line(35, 5, Target::Error),
    ]
}

#[test]
fn pieces_cover_every_request_exactly_and_stay_in_one_segment_and_chunk() {
    let segments = three();
    let table = Table::new(&segments).unwrap();
    for start in 0..=40 {
        for len in 0..=40 - start {
            for at_chunks in [false, true] {
                let mut at = start;
                for piece in table.split(Sectors(start), Sectors(len), at_chunks).unwrap() {
                    assert_eq!(piece.segment.start.0 + piece.into.0, at);
                    assert!(piece.len.0 > 0);
                    let last = piece.into.0 + piece.len.0 - 1;
                    assert!(last < piece.segment.len.0);
                    if at_chunks && let Some(chunk) = piece.chunk() {
                        assert_eq!(chunk, piece.into.0 / 8);
                        assert_eq!(chunk, last / 8);
                    }
                    at += piece.len.0;
                }
                assert_eq!(at, start + len);
            }
        }
    }
}

#[test]
fn a_request_is_not_cut_where_it_need_not_be() {
    let segments = three();
    let table = Table::new(&segments).unwrap();
    let lens = |at_chunks| -> Vec<u64> {
        table.split(Sectors(0), Sectors(40), at_chunks).unwrap().map(|piece| piece.len.0).collect()
    };
    assert_eq!(lens(false), [10, 25, 5]);
    assert_eq!(lens(true), [10, 8, 8, 8, 1, 5]);
}

#[test]
fn a_piece_knows_its_place_on_both_legs() {
    let segments = three();
    let table = Table::new(&segments).unwrap();
    let places = |start| {
        let piece = table.split(Sectors(start), Sectors(1), true).unwrap().next().unwrap();
        (piece.read_area(), piece.mirror_area(), piece.chunk())
    };
    assert_eq!(places(9), (Some(area(0, 59)), None, None));
    assert_eq!(places(10), (Some(area(1, 100)), Some(area(2, 200)), Some(0)));
    assert_eq!(places(34), (Some(area(1, 124)), Some(area(2, 224)), Some(3)));
    assert_eq!(places(35), (None, None, None));
}

#[test]
fn a_request_past_the_end_is_refused_whole() {
    let segments = three();
    let table = Table::new(&segments).unwrap();
    for (start, len) in [(40, 1), (39, 2), (0, 41), (u64::MAX, 1), (1, u64::MAX), (41, 0)] {
        let (start, len) = (Sectors(start), Sectors(len));
        let error = OutOfRange { start, len, limit: Sectors(40) };
        assert_eq!(table.split(start, len, true).map(|_| ()), Err(error));
    }
}
