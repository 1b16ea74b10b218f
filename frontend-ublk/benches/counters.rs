//! What the counters of `metrics` cost a request: a read of 4 KiB on its way through core's queue, as a queue's
//! thread handles it but for the kernel's part, with and without them.
//! `cargo bench -p lvshift-ublk --features bench --bench counters`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lvshift_core::chunk::{Borrowed, FlushEpochs, QueueId};
use lvshift_core::device::{Device, DeviceIndex};
use lvshift_core::mirror::{Part, Volume};
use lvshift_core::serve::{Below, Ended, Kind, Operation, Queue, Request, Served};
use lvshift_core::table::{Area, Segment, StoredTable, Table, Target};
use lvshift_core::units::Sectors;
use lvshift_ublk::bench::Counters;

/// One device alone: what costs least, so that the counters' share is largest.
struct Disk {
    table: StoredTable<[Segment<DeviceIndex>; 1], DeviceIndex>,
    device: Device,
    flushes: FlushEpochs,
}

impl Volume for Disk {
    type Cells = Borrowed<'static>;

    fn parts(&self) -> &[Part<Borrowed<'static>>] {
        &[]
    }

    fn device(&self, _: DeviceIndex) -> Option<&Device> {
        Some(&self.device)
    }

    fn flushes(&self) -> &FlushEpochs {
        &self.flushes
    }
}

impl Served for Disk {
    fn table(&self) -> Table<'_, DeviceIndex> {
        self.table.table()
    }

    fn below(&self) -> Below {
        Below::of(self.table().segments(), self.parts())
    }
}

const LEN: Sectors = Sectors(1 << 30);
const TAGS: usize = 128;

fn disk() -> Disk {
    let target = Target::Linear(Area { device: DeviceIndex(0), offset: Sectors(2048) });
    let table = StoredTable::new([Segment { start: Sectors(0), len: LEN, target }]);
    let device = Device::new(512, false);
    Disk { table: table.expect("one segment"), device, flushes: FlushEpochs::new() }
}

/// The I/O that a queue asks for, and after its end the answer.
fn serve(queue: &mut Queue<TAGS>, disk: &Disk, tag: u16, at: u64) {
    let request = Request { kind: Kind::Read, start: Sectors(at), count: Sectors(8) };
    queue.came(tag, request).expect("a free tag");
    while let Some(operation) = queue.next(disk) {
        if let Operation::Read { io, into, .. } = black_box(operation) {
            queue.ended(io, Ended::Done(into.len()));
        }
    }
}

fn counters(c: &mut Criterion) {
    let disk = disk();
    let new = || Box::new(Queue::<TAGS>::new(QueueId::new(0).expect("a queue"), Sectors(1024)));
    let mut group = c.benchmark_group("read of 4 KiB");
    for counted in [false, true] {
        let (mut queue, counters) = (new(), Counters::new());
        let (mut seed, mut tag) = (1_u64, 0);
        group.bench_function(if counted { "counted" } else { "not counted" }, |b| {
            b.iter(|| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                tag = (tag + 1) % TAGS as u16;
                if counted {
                    counters.begun();
                }
                serve(&mut queue, &disk, tag, (seed >> 20) % (LEN.0 - 8));
                if counted {
                    // From a microsecond to a millisecond, as latencies are spread.
                    counters.read_ended(1000 + (seed >> 44));
                }
            });
        });
        black_box(&counters);
    }
    group.finish();
}

criterion_group!(benches, counters);
criterion_main!(benches);
