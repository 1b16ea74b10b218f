//! What the core costs on a request path: lookup, admission of a write, the search for the next
//! chunk to copy. `cargo bench -p lvshift-core`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lvshift_core::chunk::{
    Admission, Borrowed, ChunkCell, ChunkIndex, Content, Geometry, Group, Piece, QueueId, Tracker,
    WriteOutcome, WritePolicy,
};
use lvshift_core::table::{Area, Segment, Table, Target};
use lvshift_core::units::{DeviceNumber, Sectors};

/// Segments of uneven lengths, as a table that grew over years has.
fn segments(count: u64) -> Vec<Segment> {
    let mut start = 0;
    (0..count)
        .map(|n| {
            let len = Sectors(8192 * (1 + n * 7 % 5));
            let device = DeviceNumber { major: 254, minor: (n % 7) as u32 };
            let target = Target::Linear(Area { device, offset: Sectors(start) });
            let segment = Segment { start: Sectors(start), len, target };
            start += len.0;
            segment
        })
        .collect()
}

fn lookup(c: &mut Criterion) {
    let mut group = c.benchmark_group("lookup");
    for count in [10, 1_000, 10_000] {
        let segments = segments(count);
        let table = Table::new(&segments).expect("the segments follow on one another");
        let mut seed = 1u64;
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (u128::from(seed) * u128::from(table.len().0)) >> 64;
                black_box(table.lookup(Sectors(at as u64)))
            });
        });
    }
    group.finish();
}

/// The memory that a tracker of this many chunks of 2 MiB borrows.
fn memory(chunks: u64) -> (Vec<ChunkCell>, Vec<Group>, Geometry) {
    let geometry = Geometry::new(Sectors(chunks * 4096), 4096).expect("a legal part");
    let cells = (0..geometry.chunks()).map(|_| ChunkCell::default()).collect();
    let groups = (0..geometry.groups()).map(|_| Group::default()).collect();
    (cells, groups, geometry)
}

fn admit_and_end(c: &mut Criterion) {
    let (cells, groups, geometry) = memory(1024);
    let storage = Borrowed { cells: &cells, groups: &groups };
    let tracker = Box::new(Tracker::new(geometry, storage).expect("enough memory"));
    // Not yet copied, and the policy that sends the write to the source alone: no parking.
    let queue = QueueId::new(0).expect("below the limit");
    let mut at = 0u64;
    c.bench_function("admit and end, one thread", |b| {
        b.iter(|| {
            at = (at + 4096 * 37 + 8) % (1024 * 4096 - 8) / 8 * 8;
            let piece = Piece { first: Sectors(at), count: Sectors(8) };
            let admission = tracker.admit(piece, Content::Known, queue, WritePolicy::SourceFirst);
            if let Ok(Admission::Admitted(ticket, _)) = admission {
                let _ = black_box(ticket.complete(&tracker, WriteOutcome::Done));
            }
        });
    });
}

fn next_chunk(c: &mut Criterion) {
    const CHUNKS: u32 = 1 << 24;
    let (cells, groups, geometry) = memory(u64::from(CHUNKS));
    let storage = Borrowed { cells: &cells, groups: &groups };
    let tracker = Box::new(Tracker::new(geometry, storage).expect("enough memory"));
    let clean = vec![0xFF; (CHUNKS - CHUNKS / 100) as usize / 8];
    tracker.load_log_bits(ChunkIndex(0), &clean);
    c.bench_function("next chunk, 1 % of 16 million left", |b| {
        b.iter(|| black_box(tracker.next_unmirrored(ChunkIndex(0), false)));
    });
}

criterion_group!(benches, lookup, admit_and_end, next_chunk);
criterion_main!(benches);
