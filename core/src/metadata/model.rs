//! The types of the model. `Vg` keeps its parts private behind accessors so that it can only be
//! changed by the operations of this module's siblings, each of which leaves it valid.

use super::{Fixed, MoveState, Name, Store, SystemId};
use crate::list::List;
use crate::units::{ExtentSize, Extents, Le, LvIndex, MoveIndex, Pe, PvIndex, Sectors, Uuid};

/// A physical extent of a PV of this VG.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The PV.
    pub pv: PvIndex,
    /// The extent on it.
    pub pe: Pe,
}

/// Consecutive physical extents of a PV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first.
    pub place: Place,
    /// How many.
    pub count: Extents,
}

impl Run {
    /// The extent number after its last.
    pub const fn end(self) -> u64 {
        self.place.pe.0 as u64 + self.count.0 as u64
    }
}

/// A physical volume as the VG metadata knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pv {
    /// Its name for ever.
    pub uuid: Uuid,
    /// The size of the device when it joined; a smaller device is refused.
    pub device_size: Sectors,
    /// Where extent 0 starts on the device.
    pub pe_start: Sectors,
    /// How many extents it has.
    pub pe_count: Extents,
    /// Where the dirty-log area starts on the device.
    pub log_start: Sectors,
    /// The size of the dirty-log area.
    pub log_size: Sectors,
    /// Commits were made without it: the newest that it may hold. `None` if it lacks none.
    pub behind: Option<u64>,
    /// It takes no changes and is being left: what concerns it is committed without it, too. It is behind then.
    pub leaving: bool,
}

/// A logical volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lv {
    /// Its name for ever.
    pub uuid: Uuid,
    /// Its name for people, unique in the VG.
    pub name: Name,
    /// How many extents it has; its segments cover exactly these.
    pub le_count: Extents,
    /// It is activated by a command that names it, and not because the disks of its VG appeared.
    pub no_autoactivation: bool,
}

/// A run of logical extents of one LV on consecutive physical extents of one PV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The LV it belongs to.
    pub lv: LvIndex,
    /// The first logical extent.
    pub first: Le,
    /// How many extents; never 0.
    pub count: Extents,
    /// Where the first extent lies.
    pub place: Place,
}

impl Segment {
    /// The logical extent number after its last.
    pub const fn end(self) -> u64 {
        self.first.0 as u64 + self.count.0 as u64
    }

    /// The physical extents.
    pub const fn run(self) -> Run {
        Run { place: self.place, count: self.count }
    }

    /// Whether `next` goes on where this ends, logically and physically.
    pub fn continues_in(self, next: Segment) -> bool {
        self.lv == next.lv
            && self.end() == u64::from(next.first.0)
            && self.place.pv == next.place.pv
            && self.run().end() == u64::from(next.place.pe.0)
    }
}

/// The record of a move in the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Its name for ever.
    pub uuid: Uuid,
    /// Moves planned by one `pvmove` command share this.
    pub command: Uuid,
    /// How far it has come.
    pub state: MoveState,
    /// Sectors of a chunk (dm: region): a power of two, at least 8.
    pub chunk_sectors: u32,
}

/// One contiguous piece of a move: one mirror target, one dirty-log image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MovePart {
    /// The move it belongs to.
    pub of: MoveIndex,
    /// The LV whose extents move.
    pub lv: LvIndex,
    /// The first logical extent that moves.
    pub first: Le,
    /// How many extents; never 0.
    pub count: Extents,
    /// Where they lie before.
    pub source: Place,
    /// Where they lie after.
    pub destination: Place,
    /// Where this part's dirty-log image starts, in sectors from the start of the dirty-log area
    /// of the destination's PV; a multiple of 8.
    pub log_offset: Sectors,
}

impl MovePart {
    /// The logical extent number after its last.
    pub const fn end(self) -> u64 {
        self.first.0 as u64 + self.count.0 as u64
    }

    /// Its physical extents before the move.
    pub const fn source_run(self) -> Run {
        Run { place: self.source, count: self.count }
    }

    /// Its physical extents after the move.
    pub const fn destination_run(self) -> Run {
        Run { place: self.destination, count: self.count }
    }
}

/// A volume group: everything its metadata says. How large it may be and where it keeps that is
/// the [`Store`]'s to say. With the default it is large: keep it in a static and fill it in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vg<S: Store = Fixed> {
    pub(super) uuid: Uuid,
    pub(super) name: Name,
    pub(super) sequence: u64,
    pub(super) extent_size: ExtentSize,
    /// The host that it belongs to.
    pub(super) system_id: Option<SystemId>,
    /// Its LVs are activated by a command, and not because its disks appeared.
    pub(super) no_autoactivation: bool,
    pub(super) pvs: S::Pvs,
    pub(super) lvs: S::Lvs,
    /// Sorted by LV, then by first extent.
    pub(super) segments: S::Segments,
    /// In the order in which they run.
    pub(super) moves: S::Moves,
    /// Sorted by move, then LV, then first extent.
    pub(super) parts: S::Parts,
    /// Derived from the others: every extent that is not free, sorted by place. An extent that
    /// two runs claim makes the VG invalid.
    pub(super) used: S::Used,
}

impl<S: Store> Vg<S> {
    /// No VG yet: no name, no PVs. It is filled with [`Vg::create`] or [`Vg::decode_from`].
    pub const fn empty() -> Vg<S> {
        const {
            let needed = S::Segments::LIMIT + S::Parts::LIMIT;
            assert!(S::Used::LIMIT >= needed, "no room for all segments and parts");
            assert!(S::Order::LIMIT >= S::Parts::LIMIT, "no room for the numbers of all parts");
        }
        Vg {
            uuid: Uuid::NIL,
            name: Name::none(),
            sequence: 0,
            extent_size: ExtentSize::DEFAULT,
            system_id: None,
            no_autoactivation: false,
            pvs: S::Pvs::EMPTY,
            lvs: S::Lvs::EMPTY,
            segments: S::Segments::EMPTY,
            moves: S::Moves::EMPTY,
            parts: S::Parts::EMPTY,
            used: S::Used::EMPTY,
        }
    }

    /// Back to [`Vg::empty`].
    pub fn clear(&mut self) {
        self.uuid = Uuid::NIL;
        self.name = Name::none();
        self.sequence = 0;
        self.extent_size = ExtentSize::DEFAULT;
        self.system_id = None;
        self.no_autoactivation = false;
        self.pvs.clear();
        self.lvs.clear();
        self.segments.clear();
        self.moves.clear();
        self.parts.clear();
        self.used.clear();
    }

    /// A new VG without PVs in place of what was here. Its first commit has sequence number 1,
    /// after [`Vg::bump`].
    pub fn create(&mut self, uuid: Uuid, name: Name, extent_size: ExtentSize) {
        self.clear();
        self.uuid = uuid;
        self.name = name;
        self.extent_size = extent_size;
    }

    /// Gives the VG another name.
    pub fn rename(&mut self, name: Name) {
        self.name = name;
    }

    /// Counts the next commit; call it once before the metadata are encoded for the PVs.
    pub fn bump(&mut self) {
        // 2^64 commits cannot happen; metadata that claims them is refused when decoded.
        self.sequence = self.sequence.saturating_add(1);
    }

    /// The same, above a number that stands elsewhere.
    pub fn bump_above(&mut self, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
        self.bump();
    }

    /// The VG's name for ever.
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }
    /// The VG's name for people.
    pub fn name(&self) -> &Name {
        &self.name
    }
    /// Rises by one with every commit.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
    /// The size of every extent of this VG.
    pub fn extent_size(&self) -> ExtentSize {
        self.extent_size
    }
    /// The PVs in the order in which they joined.
    pub fn pvs(&self) -> &[Pv] {
        &self.pvs
    }
    /// The LVs in the order in which they were made.
    pub fn lvs(&self) -> &[Lv] {
        &self.lvs
    }
    /// All segments, sorted by LV, then by first extent.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
    /// The recorded moves in the order in which they run.
    pub fn moves(&self) -> &[Move] {
        &self.moves
    }
    /// The parts of all moves, sorted by move, then LV, then first extent.
    pub fn parts(&self) -> &[MovePart] {
        &self.parts
    }

    /// Gives a move other chunks than the plan has, for the simulator's small worlds.
    #[cfg(feature = "__sim")]
    pub fn set_chunk_sectors(&mut self, of: MoveIndex, sectors: u32) {
        if let Some(entry) = self.moves.get_mut(of.index()) {
            entry.chunk_sectors = sectors;
        }
    }
}
