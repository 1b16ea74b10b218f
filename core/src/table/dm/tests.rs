//! Tests of the kernel's texts. The lines of `AS_THE_KERNEL_WRITES` are what `dmsetup table`
//! and `dmsetup status` show.

extern crate std;

use std::string::ToString;

use super::*;
use crate::table::{Log, Mirror, SyncHint};
use crate::units::Sectors;
use crate::{Leg, LegFault};

const AS_THE_KERNEL_WRITES: [&str; 9] = [
    "0 8192 linear 254:0 2048",
    "8192 1 error",
    "18446744073709551615 18446744073709551615 linear 4294967295:4294967295 18446744073709551615",
    "0 8192 mirror core 1 4096 2 254:0 0 254:1 2048",
    "0 8192 mirror core 2 4096 sync 2 254:0 0 254:1 2048 1 handle_errors",
    "0 8192 mirror core 2 4096 nosync 2 254:0 0 254:1 2048 1 keep_log",
    "0 8192 mirror disk 2 254:2 4096 2 254:0 0 254:1 2048 1 handle_errors",
    "0 8192 mirror disk 3 254:2 4096 sync 2 254:0 0 254:1 2048",
    "0 8192 mirror disk 3 254:2 4096 nosync 2 254:0 0 254:1 2048 2 handle_errors keep_log",
];

#[test]
fn what_the_kernel_writes_is_read_and_written_alike() {
    for text in AS_THE_KERNEL_WRITES {
        let segment: Segment = text.parse().unwrap();
        assert_eq!(segment.to_string(), text);
        let (kind, params) = (segment.target.dm_kind(), segment.target.dm_params().to_string());
        assert_eq!(Target::from_dm(kind, &params), Ok(segment.target));
    }
}

#[test]
fn every_mirror_survives_the_way_through_text() {
    let area = |minor, offset| Area {
        device: DeviceNumber { major: 254, minor },
        offset: Sectors(offset),
    };
    let log_device = DeviceNumber { major: 253, minor: 9 };
    for log in [Log::Core, Log::Disk(log_device)] {
        for sync in [None, Some(SyncHint::Sync), Some(SyncHint::NoSync)] {
            for flags in 0..4 {
                let (handle_errors, keep_log) = (flags & 1 == 1, flags & 2 == 2);
                let (source, destination) = (area(1, 17), area(2, u64::MAX));
                let chunk_sectors = u32::MAX;
                let mirror = Mirror {
                    source,
                    destination,
                    log,
                    chunk_sectors,
                    sync,
                    handle_errors,
                    keep_log,
                };
                let target = Target::Mirror(mirror);
                let params = target.dm_params().to_string();
                assert_eq!(Target::from_dm("mirror", &params), Ok(target), "{params}");
            }
        }
    }
}

#[test]
fn what_the_kernel_would_not_write_is_refused_by_name() {
    use ParseError::{Bad, Missing, NotTwoLegs, TooLong, UnknownTarget};
    for (kind, params, error) in [
        ("striped", "1 8 254:0 0", UnknownTarget),
        ("linear", "", Missing("a device number")),
        ("linear", "254:0", Missing("an offset")),
        ("linear", "254:0 0 0", TooLong),
        ("linear", "/dev/sda 0", Bad("a device number")),
        ("linear", "254: 0", Bad("a device number")),
        ("linear", "254:0:1 0", Bad("a device number")),
        ("linear", "254:+1 0", Bad("a device number")),
        ("linear", "254:0 +1", Bad("an offset")),
        ("linear", "254:0 -1", Bad("an offset")),
        ("linear", "254:0 18446744073709551616", Bad("an offset")),
        ("error", "0", TooLong),
        ("mirror", "", Missing("the log")),
        ("mirror", "clustered 1 8 2 1:0 0 1:1 0", Bad("the log")),
        ("mirror", "core 0 8 2 1:0 0 1:1 0", Bad("the number of log arguments")),
        ("mirror", "core 3 8 sync 2 1:0 0 1:1 0", Bad("the number of log arguments")),
        ("mirror", "core 2 8 maybe 2 1:0 0 1:1 0", Bad("sync or nosync")),
        ("mirror", "disk 1 1:2 8 2 1:0 0 1:1 0", Bad("the number of log arguments")),
        ("mirror", "core 1 8 3 1:0 0 1:1 0 1:2 0", NotTwoLegs),
        ("mirror", "core 1 8 2 1:0 0 1:1", Missing("an offset")),
        ("mirror", "core 1 8 2 1:0 0 1:1 0 1", Missing("a feature")),
        ("mirror", "core 1 8 2 1:0 0 1:1 0 1 other", Bad("a feature")),
        ("mirror", "core 1 8 2 1:0 0 1:1 0 2 keep_log keep_log", Bad("a feature")),
        ("mirror", "core 1 8 2 1:0 0 1:1 0 3 a b c", Bad("the number of features")),
        ("mirror", "core 1 8 2 1:0 0 1:1 0 1 keep_log x", TooLong),
    ] {
        assert_eq!(Target::from_dm(kind, params), Err(error), "{kind} {params}");
    }
    assert_eq!("".parse::<Segment>(), Err(Missing("the first sector")));
    assert_eq!("0 8".parse::<Segment>(), Err(Missing("the target")));
}

#[test]
#[cfg_attr(miri, ignore = "every cut of a long text")]
fn no_truncated_or_damaged_text_panics() {
    let statuses = ["2 254:0 254:1 3/32 1 AA 3 disk 254:2 A", "2 254:0 254:1 32/32 1 AA 1 core"];
    for text in AS_THE_KERNEL_WRITES.into_iter().chain(statuses) {
        for cut in 0..text.len() {
            let _ = text[..cut].parse::<Segment>();
            let _ = text[..cut].parse::<MirrorStatus>();
            for byte in ["9", " ", ":", "/", "-", "x"] {
                let mut damaged = text.to_string();
                damaged.replace_range(cut..cut + 1, byte);
                let _ = damaged.parse::<Segment>();
                let _ = damaged.parse::<MirrorStatus>();
            }
        }
    }
}

#[test]
fn a_status_line_is_read() {
    let status: MirrorStatus = "2 254:0 254:1 3/32 1 AD 3 disk 254:2 F".parse().unwrap();
    let device = |minor| DeviceNumber { major: 254, minor };
    let expected = MirrorStatus {
        legs: [device(0), device(1)],
        in_sync: 3,
        total: 32,
        health: [LegHealth::Alive, LegHealth::Dead],
        log: LogStatus::Disk(device(2), LogHealth::Flush),
    };
    assert_eq!(status, expected);
    let status: MirrorStatus = "2 254:0 254:1 32/32 1 SU 1 core".parse().unwrap();
    assert_eq!(status.health, [LegHealth::Sync, LegHealth::Unknown]);
    assert_eq!(status.log, LogStatus::Core);
}

#[test]
fn a_status_line_that_lies_is_refused() {
    for text in [
        "3 254:0 254:1 254:2 3/32 1 AAA 1 core",
        "2 254:0 254:1 33/32 1 AA 1 core",
        "2 254:0 254:1 0/0 1 AA 1 core",
        "2 254:0 254:1 32 1 AA 1 core",
        "2 254:0 254:1 3/32 2 AA 1 core",
        "2 254:0 254:1 3/32 1 A 1 core",
        "2 254:0 254:1 3/32 1 AAA 1 core",
        "2 254:0 254:1 3/32 1 Aa 1 core",
        "2 254:0 254:1 3/32 1 AA",
        "2 254:0 254:1 3/32 1 AA 2 core",
        "2 254:0 254:1 3/32 1 AA 3 disk 254:2",
        "2 254:0 254:1 3/32 1 AA 3 disk 254:2 X",
        "2 254:0 254:1 3/32 1 AA 3 disk 254:2 A A",
    ] {
        assert!(text.parse::<MirrorStatus>().is_err(), "{text}");
    }
}

#[test]
fn a_status_is_equal_only_if_complete_and_nothing_ever_failed() {
    use Judgement::{Copying, Equal, LegFailed};
    use Leg::{Destination, Source};
    use LegFault::{Copy, Flush, Gone, Read, Write};
    for (progress, legs, log, judgement) in [
        ("3/32", "AA", "A", Copying { done: 3, total: 32 }),
        ("32/32", "AA", "A", Equal { total: 32 }),
        ("32/32", "SA", "A", LegFailed(Source, Read)),
        ("32/32", "RA", "A", LegFailed(Source, Read)),
        ("32/32", "DA", "A", LegFailed(Source, Write)),
        ("32/32", "FA", "A", LegFailed(Source, Flush)),
        ("32/32", "UA", "A", LegFailed(Source, Copy)),
        ("32/32", "AS", "A", LegFailed(Destination, Write)),
        ("32/32", "AD", "A", LegFailed(Destination, Write)),
        ("32/32", "AR", "A", LegFailed(Destination, Read)),
        ("32/32", "AF", "A", LegFailed(Destination, Flush)),
        ("32/32", "AU", "A", LegFailed(Destination, Copy)),
        ("32/32", "AA", "D", LegFailed(Destination, Gone)),
        ("32/32", "AA", "F", LegFailed(Destination, Flush)),
        ("32/32", "DD", "D", LegFailed(Source, Write)),
    ] {
        let text = std::format!("2 254:0 254:1 {progress} 1 {legs} 3 disk 254:2 {log}");
        assert_eq!(text.parse::<MirrorStatus>().unwrap().judge(), judgement, "{text}");
    }
}

#[test]
fn several_statuses_are_judged_as_one() {
    use Judgement::{Copying, Equal, LegFailed};
    let failed = LegFailed(Leg::Source, LegFault::Read);
    assert_eq!(Equal { total: 3 }.and(Equal { total: 4 }), Equal { total: 7 });
    assert_eq!(
        Equal { total: 3 }.and(Copying { done: 1, total: 4 }),
        Copying { done: 4, total: 7 }
    );
    assert_eq!(Equal { total: 3 }.and(failed), failed);
    assert_eq!(failed.and(Copying { done: 1, total: 4 }), failed);
    let huge = Copying { done: u64::MAX, total: u64::MAX };
    assert_eq!(huge.and(huge), huge);
}
