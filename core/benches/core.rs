//! What the core costs: lookup, split, admission of a write, the search for the next chunk to copy,
//! and the largest metadata. `cargo bench -p lvshift-core`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lvshift_core::chunk::{
    Admission, Borrowed, Cells, ChunkCell, ChunkIndex, Content, CopyOutcome, Geometry, Group,
    Piece, QueueId, Tracker, WriteOutcome, WritePolicy,
};
use lvshift_core::limits::{MAX_LVS, MAX_SEGMENTS};
use lvshift_core::metadata::{Fixed, Name, Place, Pv, Run, Vg};
use lvshift_core::table::{Area, Segment, Table, Target};
use lvshift_core::units::{DeviceNumber, ExtentSize, Extents, Pe, PvIndex, Sectors, Uuid};

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

/// A tracker all of whose chunks were copied, so that every write goes to both legs.
fn mirrored(chunks: u64) -> impl Drive {
    let (cells, groups, geometry) = memory(chunks);
    let storage = Owned { cells, groups };
    let tracker = Box::new(Tracker::new(geometry, storage).expect("enough memory"));
    for chunk in 0..u32::try_from(chunks).expect("few chunks") {
        let ticket = tracker.begin_copy(ChunkIndex(chunk), false).expect("no write is under way");
        let _ = ticket.complete(&tracker, CopyOutcome::Copied);
    }
    tracker
}

/// Memory that a tracker owns.
struct Owned {
    cells: Vec<ChunkCell>,
    groups: Vec<Group>,
}

impl Cells for Owned {
    fn cells(&self) -> &[ChunkCell] {
        &self.cells
    }

    fn groups(&self) -> &[Group] {
        &self.groups
    }
}

/// One write of 4 KiB, let in and ended.
trait Drive: Sync {
    fn write(&self, sector: u64, queue: QueueId);
}

impl<S: Cells + Sync> Drive for Box<Tracker<S>> {
    fn write(&self, sector: u64, queue: QueueId) {
        let piece = Piece { first: Sectors(sector), count: Sectors(8) };
        let admission = self.admit(piece, Content::Known, queue, WritePolicy::CopyFirst);
        match admission {
            Ok(Admission::Admitted(ticket, _)) => {
                let _ = black_box(ticket.complete(self, WriteOutcome::Done));
            }
            // Of two writers of one block the second waits; here it gives up.
            Ok(Admission::Parked(..)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

const CHUNKS: u64 = 1024;

fn admit_and_end(c: &mut Criterion) {
    let tracker = mirrored(CHUNKS);
    let mut group = c.benchmark_group("admit and end");
    let queues = [0, 1].map(|n| QueueId::new(n).expect("below the limit"));
    // Random: blocks all over the part. Hot: blocks of one chunk, another half for each thread.
    let random: fn(u64) -> u64 = |seed| (seed >> 20) % (CHUNKS * 512) * 8;
    let hot: [fn(u64) -> u64; 2] =
        [|seed| (seed >> 20) % 256 * 8, |seed| 2048 + (seed >> 20) % 256 * 8];
    for (what, place) in [("random", [random, random]), ("one hot chunk", hot)] {
        group.bench_function(BenchmarkId::new(what, "1 thread"), |b| {
            let mut seed = 1;
            b.iter(|| tracker.write(place[0](step(&mut seed)), queues[0]));
        });
        group.bench_function(BenchmarkId::new(what, "2 threads"), |b| {
            b.iter_custom(|count| {
                let start = std::time::Instant::now();
                std::thread::scope(|scope| {
                    for n in 0..2 {
                        let (tracker, place, queue) = (&tracker, place[n], queues[n]);
                        scope.spawn(move || {
                            let mut seed = 1 + n as u64;
                            for _ in 0..count {
                                tracker.write(place(step(&mut seed)), queue);
                            }
                        });
                    }
                });
                // Each thread made `count` writes in this time.
                start.elapsed()
            });
        });
    }
    group.finish();
}

fn step(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    *seed
}

fn split(c: &mut Criterion) {
    let segments = segments(1_000);
    let table = Table::new(&segments).expect("the segments follow on one another");
    let mut seed = 1u64;
    c.bench_function("split of 256 KiB, 1,000 segments", |b| {
        b.iter(|| {
            let at = (u128::from(step(&mut seed)) * u128::from(table.len().0 - 512)) >> 64;
            let pieces = table.split(Sectors(at as u64), Sectors(512), true);
            pieces.expect("inside of the table").for_each(|piece| {
                black_box(piece);
            });
        });
    });
}

/// A VG with as many LVs and segments as the limits allow, on two PVs in turn.
fn decode(c: &mut Criterion) {
    let uuid = |n: u64| {
        let mut bytes = [0xA5; 16];
        bytes[8..].copy_from_slice(&n.to_le_bytes());
        Uuid(bytes)
    };
    let name = |text: &str| Name::new(text).expect("a good name");
    let mut vg = Box::new(Vg::<Fixed>::empty());
    vg.create(uuid(1), name("vg"), ExtentSize::DEFAULT);
    vg.bump();
    for n in 0..2 {
        let pe_count = Extents(MAX_SEGMENTS as u32);
        let pv = Pv {
            uuid: uuid(1000 + n),
            device_size: Sectors(16_384 + ExtentSize::DEFAULT.span(pe_count).0),
            pe_start: Sectors(16_384),
            pe_count,
            log_start: Sectors(8192),
            log_size: Sectors(8192),
            behind: None,
            leaving: false,
        };
        vg.add_pv(pv).expect("a good PV");
    }
    let each = (MAX_SEGMENTS / MAX_LVS) as u32;
    for lv in 0..MAX_LVS as u32 {
        let run = |n: u32| Run {
            place: Place { pv: PvIndex((n % 2) as u16), pe: Pe(lv * each + n) },
            count: Extents(1),
        };
        let runs: Vec<Run> = (0..each).map(run).collect();
        vg.add_lv(uuid(2000 + u64::from(lv)), name(&format!("lv{lv}")), &runs).expect("room");
    }
    let mut slot = vec![0; 1 << 20];
    vg.encode(uuid(1000), &mut slot).expect("it fits a slot");
    c.bench_function("decode of 256 LVs in 12,288 segments", |b| {
        b.iter(|| black_box(vg.decode_from(&slot)).expect("it was just encoded"));
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

criterion_group!(benches, lookup, split, admit_and_end, next_chunk, decode);
criterion_main!(benches);
