//! Every function that reads foreign bytes or maps a request, as the root of a graph of calls.
//!
//! `cargo xtask scorecard --only panics` builds this and looks at which symbols each root
//! reaches: none may belong to the panic machinery. Nothing here is ever run.
#![no_std]
#![forbid(unsafe_code)]
#![expect(clippy::type_complexity, reason = "a root has the type of its function")]

mod copier;
mod serve;

use core::sync::atomic::{AtomicBool, Ordering};

use lvshift_core::Leg;
use lvshift_core::chunk::{self, Borrowed, ChunkIndex, QueueId, RangeError, Word};
use lvshift_core::copier::{Latencies, Nanos};
use lvshift_core::device::DeviceIndex;
use lvshift_core::io::{Discards, Plan, ReadPlan, ReadStep, WriteOp, WriteProgress, plan_write};
use lvshift_core::metadata::{
    ApplyError, Change, Choice, ChooseError, Commit, CommitAction, CommitResult, Found, FoundSlot,
    MetadataError, MoveState, Place, SlotInfo, Standing, Vg, choose, newest_here,
};
use lvshift_core::mirror::{Copier, Ended, LogLoad, Next, Part, PartState, Tag, Tuning};
use lvshift_core::mover::{self, Live, Mapping};
use lvshift_core::serve::{IoTag, Operation, Queue, Request, TagInUse};
use lvshift_core::table::dm::{MirrorStatus, ParseError};
use lvshift_core::table::{
    Area, BuildError, Devices, Difference, Log, OutOfRange, Piece, Segment, Shadow, Split, Table,
    TableError, build, compare,
};
use lvshift_core::units::{DeviceNumber, Le, LvIndex, MoveIndex, PvIndex, Sectors, Uuid};
use lvshift_on_disk_format::dirty_log::{self, CleanCounter, DirtyLogError};
use lvshift_on_disk_format::label::{Geometry, GeometryError};
use lvshift_on_disk_format::payload::{Payload, PayloadError};
use lvshift_on_disk_format::record::{
    LvRecord, MoveRecord, PartRecord, PvRecord, RecordError, SegmentRecord, VgRecord,
};
use lvshift_on_disk_format::{Label, LabelError, SlotError, SlotHeader, SlotIndex, checksum, slot};

/// Something that the compiler must not leave out.
static PANICKED: AtomicBool = AtomicBool::new(false);

#[panic_handler]
#[inline(never)]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    PANICKED.store(true, Ordering::SeqCst);
    loop {}
}

/// Keeps each function in the library, with a symbol whose name says what it is.
macro_rules! roots {
    ($($name:ident: $kind:ty = $function:expr;)*) => {
        $(#[used] static $name: $kind = $function;)*
    };
}

roots! {
    // Bytes on disk.
    ROOT_CHECKSUM: fn(&[u8]) -> u32 = checksum::crc32c;
    ROOT_LABEL: fn(&[u8; 4096]) -> Result<Label, LabelError> = Label::decode;
    ROOT_LABEL_ENCODE: fn(&Label, &mut [u8; 4096]) = Label::encode;
    ROOT_GEOMETRY: fn(u64) -> Result<Geometry, GeometryError> = Geometry::for_device;
    ROOT_SLOT_HEADER: fn(&[u8; 4096]) -> Result<Option<SlotHeader>, SlotError> = SlotHeader::decode;
    ROOT_SLOT: fn(&[u8]) -> Result<Option<(SlotHeader, &[u8])>, SlotError> = slot::open;
    ROOT_SLOT_SEAL: fn(&mut [u8], Uuid, Uuid, u64, usize) -> Result<usize, SlotError> = slot::seal;
    ROOT_SLOT_NEWEST: fn([Option<u64>; 2]) -> Option<SlotIndex> = slot::newest;
    ROOT_PAYLOAD: fn(&[u8]) -> Result<Payload<'_>, PayloadError> = |bytes| Payload::decode(bytes);
    ROOT_VG_RECORD: fn(&[u8; VgRecord::SIZE]) -> Result<VgRecord, RecordError> = VgRecord::decode;
    ROOT_PV_RECORD: fn(&[u8; PvRecord::SIZE]) -> Result<PvRecord, RecordError> = PvRecord::decode;
    ROOT_LV_RECORD: fn(&[u8; LvRecord::SIZE]) -> Result<LvRecord, RecordError> = LvRecord::decode;
    ROOT_SEGMENT_RECORD: fn(&[u8; SegmentRecord::SIZE]) -> Result<SegmentRecord, RecordError> =
        SegmentRecord::decode;
    ROOT_MOVE_RECORD: fn(&[u8; MoveRecord::SIZE]) -> Result<MoveRecord, RecordError> =
        MoveRecord::decode;
    ROOT_PART_RECORD: fn(&[u8; PartRecord::SIZE]) -> Result<PartRecord, RecordError> =
        PartRecord::decode;
    ROOT_LOG_HEADER: fn(&[u8; 16], u32) -> Result<u32, DirtyLogError> = dirty_log::check_header;
    ROOT_LOG: fn(&[u8], u32) -> Result<dirty_log::Log<'_>, DirtyLogError> =
        |bytes, chunks| dirty_log::Log::of(bytes, chunks);
    ROOT_LOG_SAYS: fn(dirty_log::Log<'_>, u32) -> bool = |log, chunk| log.is_clean(chunk);
    ROOT_LOG_IS_CLEAN: fn(&[u8], u32) -> Option<bool> = dirty_log::is_clean;
    ROOT_LOG_SET_CLEAN: fn(&mut [u8], u32, bool) -> Option<()> = dirty_log::set_clean;
    ROOT_LOG_COUNT: fn(&mut CleanCounter, &[u8]) = CleanCounter::feed;
    ROOT_LOG_FIRST_BLOCK: fn(u32) -> [u8; 4096] = dirty_log::all_dirty_first_block;

    // What the bytes mean.
    ROOT_VG: fn(&mut Vg, &[u8]) -> Result<SlotInfo, MetadataError> = Vg::decode_from;
    ROOT_VG_ENCODE: fn(&Vg, Uuid, &mut [u8]) -> Result<usize, MetadataError> = Vg::encode;
    ROOT_VG_APPLY: fn(&mut Vg, Uuid, Change) -> Result<(), ApplyError> = Vg::apply;
    ROOT_FOUND_SLOT: fn(&[u8]) -> FoundSlot = FoundSlot::read;
    ROOT_CHOOSE: fn(Uuid, &[Found]) -> Result<Choice, ChooseError> = choose;
    ROOT_NEWEST: fn(Uuid, &Found) -> Option<(SlotIndex, SlotHeader)> = newest_here;
    ROOT_STANDING: fn(&Vg, Uuid, &[Found]) -> Standing = Vg::standing_of_pv;
    ROOT_COMMIT_NEXT: fn(&mut Commit) -> Option<CommitAction> = Commit::poll_action;
    ROOT_COMMIT_HANDLE: fn(&mut Commit, bool) = Commit::handle;
    ROOT_COMMIT_RESULT: fn(&Commit) -> Option<CommitResult> = Commit::result;
    ROOT_PLACE: fn(&Vg, LvIndex, Le) -> Option<Place> = Vg::place_of;
    ROOT_SECTOR: fn(&Vg, Place) -> Option<Sectors> = Vg::sector_of;

    // Requests.
    ROOT_TABLE: for<'a> fn(&'a [Segment]) -> Result<Table<'a>, TableError> = |segments| Table::new(segments);
    ROOT_LOOKUP: for<'a, 'b> fn(&'b Table<'a>, Sectors) -> Option<&'a Segment> = |table, sector| table.lookup(sector);
    ROOT_SPLIT: for<'a, 'b> fn(&'b Table<'a>, Sectors, Sectors, bool) -> Result<Split<'a>, OutOfRange> = |table, start, len, at_chunks| table.split(start, len, at_chunks);
    ROOT_SPLIT_NEXT: for<'a, 'b> fn(&'b mut Split<'a>) -> Option<Piece<'a>> = |split| split.next();
    ROOT_READ_AREA: for<'a, 'b> fn(&'b Piece<'a>) -> Option<Area> = |piece| piece.read_area();
    ROOT_MIRROR_AREA: for<'a, 'b> fn(&'b Piece<'a>) -> Option<Area> = |piece| piece.mirror_area();
    ROOT_BUILD: fn(&Vg, LvIndex, Option<(MoveIndex, Mapping)>, &Names, &mut [Option<Segment>])
        -> Result<usize, BuildError> = build_into;
    ROOT_COMPARE: fn(&[Segment], &[Segment]) -> Option<Difference<DeviceNumber>> = compare_tables;
    ROOT_DM_TABLE: fn(&str) -> Result<Segment, ParseError> = str::parse;
    ROOT_DM_STATUS: fn(&str) -> Result<MirrorStatus, ParseError> = str::parse;
    ROOT_DM_DEVICE: fn(&str) -> Result<DeviceNumber, ParseError> = str::parse;

    // The tracker and the mover.
    ROOT_CHUNK_STEP: fn(Word, chunk::Event) -> chunk::Step = chunk::step;
    ROOT_CHUNK_LOCATE: fn(chunk::Geometry, chunk::Piece) -> Result<(ChunkIndex, bool), RangeError> =
        chunk::Geometry::locate;
    ROOT_CHUNK_APPLY: fn(&chunk::ChunkCell, chunk::Event) -> chunk::Step = chunk::ChunkCell::apply;
    ROOT_QUEUE: fn(u8) -> Option<QueueId> = QueueId::new;
    ROOT_PLAN_WRITE: fn(WriteOp, chunk::Route, Discards) -> Plan = plan_write;
    ROOT_WRITE_DONE: fn(&mut WriteProgress, Leg, bool) -> Option<chunk::WriteOutcome> =
        WriteProgress::leg_done;
    ROOT_READ_DONE: fn(&mut ReadPlan, bool) -> ReadStep = ReadPlan::leg_done;
    ROOT_MOVER_START: fn(MoveState, &[Live]) -> mover::State = mover::start;
    ROOT_MOVER_STEP: fn(mover::State, mover::Event) -> mover::State = mover::step;
    ROOT_SERVE_CAME: fn(&mut Queue<4>, u16, Request) -> Result<(), TagInUse> = serve::came;
    ROOT_SERVE_ENDED: fn(&mut Queue<4>, IoTag, Ended) = serve::ended;
    ROOT_SERVE_NEXT: fn(&mut Queue<4>, &serve::Mapped<'_>) -> Option<Operation> = serve::next;
    ROOT_SERVE_CHANGE: fn(&mut Queue<4>, &serve::Mapped<'_>) = serve::change;
    ROOT_COPIER: fn(&copier::Lent<'_>, Tuning, Nanos) -> Copier<[PartState; 4]> = copier::new;
    ROOT_COPIER_NEXT: fn(&mut Copier<[PartState; 4]>, &copier::Lent<'_>, &mut copier::Memory<'_>, Nanos) -> Next = copier::next;
    ROOT_COPIER_ENDED: fn(&mut Copier<[PartState; 4]>, Tag, Ended, &copier::Lent<'_>, &mut copier::Memory<'_>, Nanos) = copier::ended;
    ROOT_COPIER_TUNE: fn(&mut Copier<[PartState; 4]>, Tuning, &copier::Lent<'_>, Nanos) = copier::tune;
    ROOT_COPIER_LATENCIES: fn(&mut Copier<[PartState; 4]>, &Latencies, Nanos) = copier::latencies;
    ROOT_LOG_LOAD_NEXT: fn(&LogLoad) -> Option<(Area<DeviceIndex>, usize)> = copier::load_next;
    ROOT_LOG_LOAD_TAKE: fn(&mut LogLoad, &Part<Borrowed<'_>>, &[u8]) -> Result<(), dirty_log::DirtyLogError> = copier::load_take;
    ROOT_MOVER_ISSUE: fn(mover::State) -> mover::State = mover::issue;
}

/// Devices by number, as a front end has them.
pub struct Names {
    pvs: [Option<DeviceNumber>; 64],
    shadow: Option<Shadow>,
    log: Option<Log>,
}

impl Devices for Names {
    type Device = DeviceNumber;

    fn pv(&self, pv: PvIndex) -> Option<DeviceNumber> {
        self.pvs.get(usize::from(pv.0)).copied().flatten()
    }

    fn shadow(&self, _: LvIndex) -> Option<Shadow> {
        self.shadow
    }

    fn log(&self, _: usize) -> Option<Log> {
        self.log
    }
}

fn build_into(
    vg: &Vg,
    lv: LvIndex,
    view: Option<(MoveIndex, Mapping)>,
    names: &Names,
    out: &mut [Option<Segment>],
) -> Result<usize, BuildError> {
    let mut count = 0;
    for (place, line) in out.iter_mut().zip(build(vg, lv, view, names)) {
        *place = Some(line?);
        count += 1;
    }
    Ok(count)
}

fn compare_tables(wanted: &[Segment], found: &[Segment]) -> Option<Difference<DeviceNumber>> {
    compare(wanted.iter().copied(), found.iter().copied()).err()
}

/// Panics, and must be found: it shows that the check can fail.
#[used]
static CONTROL_PANICS: fn(&[u8], usize) -> u8 = |bytes, at| bytes[at];
