//! What a command and the daemon say to each other: one JSON object a line, over a unix socket.

mod tuning;

use lvshift_core::table::{Area, Log, Mirror, Segment, SyncHint, Target};
use lvshift_core::units::{DeviceNumber, Sectors, Uuid};
use lvshift_frontend_common::error::{Error, Kind};
use lvshift_frontend_common::pv::KnownPv;
use serde::{Deserialize, Serialize};

pub(crate) use tuning::Tuning;

/// Raised with every change that an older end would misread.
pub(crate) const VERSION: u32 = 8;
/// The longest line either end accepts.
pub(crate) const MAX_LINE: u64 = 16 << 20;

/// What a table line of ours points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Dev {
    /// A PV's device.
    Pv { major: u32, minor: u32 },
    /// The LV's shadow: the table that it had when the shadow was made.
    Shadow,
    /// A dirty-log image that starts at a sector of a PV's device.
    Log { major: u32, minor: u32, sector: u64 },
}

/// A PV's device as a command has identified it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WirePv {
    pub(crate) uuid: [u8; 16],
    pub(crate) path: String,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) disk_sequence: Option<u64>,
    /// The size it must have at least.
    pub(crate) sectors: u64,
}

impl WirePv {
    pub(crate) fn number(&self) -> DeviceNumber {
        DeviceNumber { major: self.major, minor: self.minor }
    }

    /// What a new daemon has to know of it.
    pub(crate) fn known(&self) -> KnownPv {
        KnownPv {
            uuid: Uuid(self.uuid),
            path: self.path.clone().into(),
            number: self.number(),
            disk_sequence: self.disk_sequence,
        }
    }
}

/// One line of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireSegment {
    start: u64,
    len: u64,
    target: WireTarget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum WireTarget {
    Linear { on: Dev, at: u64 },
    Mirror { source: (Dev, u64), destination: (Dev, u64), log: Option<Dev>, chunk: u32 },
    Error,
}

/// A table with the devices that it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireTable {
    pub(crate) pvs: Vec<WirePv>,
    segments: Vec<WireSegment>,
    /// Sectors that are given up, first and one past the last: where one cannot be read, its copy is zeroes.
    #[serde(default)]
    pub(crate) given_up: Vec<(u64, u64)>,
}

impl WireTable {
    pub(crate) fn new(pvs: Vec<WirePv>, segments: &[Segment<Dev>]) -> WireTable {
        let segments = segments
            .iter()
            .map(|segment| WireSegment {
                start: segment.start.0,
                len: segment.len.0,
                target: match segment.target {
                    Target::Linear(area) => {
                        WireTarget::Linear { on: area.device, at: area.offset.0 }
                    }
                    Target::Mirror(mirror) => WireTarget::Mirror {
                        source: (mirror.source.device, mirror.source.offset.0),
                        destination: (mirror.destination.device, mirror.destination.offset.0),
                        log: match mirror.log {
                            Log::Disk(dev) => Some(dev),
                            Log::Core => None,
                        },
                        chunk: mirror.chunk_sectors,
                    },
                    Target::Error => WireTarget::Error,
                },
            })
            .collect();
        WireTable { pvs, segments, given_up: Vec::new() }
    }

    /// How many sectors it maps.
    pub(crate) fn sectors(&self) -> u64 {
        self.segments.last().map_or(0, |line| line.start.saturating_add(line.len))
    }

    /// Whether any line of it is a mirror.
    pub(crate) fn is_mirrored(&self) -> bool {
        self.segments.iter().any(|line| matches!(line.target, WireTarget::Mirror { .. }))
    }

    /// The same with the source of every mirror alone in its place.
    pub(crate) fn on_source(self) -> WireTable {
        self.on_side(false)
    }

    /// The same with one side of every mirror.
    pub(crate) fn on_side(mut self, of_destination: bool) -> WireTable {
        for line in &mut self.segments {
            if let WireTarget::Mirror { source, destination, .. } = line.target {
                let (on, at) = if of_destination { destination } else { source };
                line.target = WireTarget::Linear { on, at };
            }
        }
        self
    }

    /// Every device that its lines name, perhaps more than once.
    pub(crate) fn devices(&self) -> impl Iterator<Item = Dev> + '_ {
        self.segments
            .iter()
            .flat_map(|line| match line.target {
                WireTarget::Linear { on, .. } => [Some(on), None, None],
                WireTarget::Mirror { source, destination, log, .. } => {
                    [Some(source.0), Some(destination.0), log]
                }
                WireTarget::Error => [None; 3],
            })
            .flatten()
    }

    pub(crate) fn segments(&self) -> Vec<Segment<Dev>> {
        let area = |(device, at): (Dev, u64)| Area { device, offset: Sectors(at) };
        let segments = self.segments.iter().map(|segment| Segment {
            start: Sectors(segment.start),
            len: Sectors(segment.len),
            target: match segment.target {
                WireTarget::Linear { on, at } => Target::Linear(area((on, at))),
                WireTarget::Mirror { source, destination, log, chunk } => Target::Mirror(Mirror {
                    source: area(source),
                    destination: area(destination),
                    log: log.map_or(Log::Core, Log::Disk),
                    chunk_sectors: chunk,
                    sync: None::<SyncHint>,
                    handle_errors: true,
                    keep_log: false,
                }),
                WireTarget::Error => Target::Error,
            },
        });
        segments.collect()
    }
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// First of all: do both ends mean the same?
    Hello { version: u32 },
    /// The devices there are.
    List,
    /// Give the LV a device with this table, or take over the one that a dead daemon left.
    /// `undecided`: what is mirrored waits for `Decide`, since a commit may be under way.
    Activate {
        lv: [u8; 16],
        name: String,
        table: WireTable,
        shadow: Option<WireTable>,
        undecided: bool,
        /// The mirror of a move in a VG of LVM2's that has this id there. What to serve is kept for the next
        /// daemon, since LVM2's metadata say nothing of us.
        lvm2: Option<String>,
    },
    /// Take its device down.
    Deactivate { lv: [u8; 16] },
    /// Swap this table in now; it may be longer than the one before.
    Refresh { lv: [u8; 16], table: WireTable },
    /// The LV's name has changed.
    Rename { lv: [u8; 16], name: String },
    /// Keep this table as the LV's shadow.
    CreateShadow { lv: [u8; 16], table: WireTable },
    /// Forget the shadow.
    RemoveShadow { lv: [u8; 16] },
    /// Put this table into the LV's inactive slot.
    Load { lv: [u8; 16], name: String, table: WireTable },
    /// The record says who is in charge now: what was held back can be told.
    Decide { lv: [u8; 16], destination: bool },
    /// Make the inactive table the live one.
    Swap { lv: [u8; 16] },
    /// The LV's tables.
    Tables { lv: [u8; 16] },
    /// How far the copies of these LVs are.
    CopyStatus { lvs: Vec<[u8; 16]> },
    /// Before the commit: acknowledge no write any more that a destination does not take.
    /// `commit`: nothing else comes before it, and no flush is acknowledged until it is decided.
    Seal { lvs: Vec<[u8; 16]>, commit: bool },
    /// Answer when the count of events is not `seen` any more, or after a while.
    Wait { seen: u64, timeout_ms: u64 },
    /// Compare both sides of what is mirrored of an LV; the answer is a number, and [`WireCopy::answered`] is
    /// that when it is done.
    Verify { lv: [u8; 16] },
    /// What was counted of the requests to its LVs, and of the PVs' errors.
    Count,
    /// How copies are to be made from now on.
    Tune { lvs: Vec<[u8; 16]>, tuning: Tuning },
    /// The kernel's mirror is to go on from the log (`over`), or not after all. Nothing is copied from now on and no bit
    /// of the log becomes clean, in the next daemon, too; [`Answer::Sealed`]: all that was under way has ended, and well.
    HandOver { lv: [u8; 16], over: bool },
    /// End if nothing is served, or (`leave`) even so: the devices wait for the next daemon.
    Shutdown { leave: bool },
}

/// A mirror that is served for a move in a VG of LVM2's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The VG's id, in LVM2's spelling.
    pub(crate) vg_id: String,
    pub(crate) name: String,
    pub(crate) table: WireTable,
}

/// One LV that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireDevice {
    pub(crate) lv: [u8; 16],
    pub(crate) name: String,
    /// The N of `/dev/ublkbN`.
    pub(crate) id: u32,
    pub(crate) suspended: bool,
}

/// How far one LV's copy is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireCopy {
    pub(crate) chunks_done: u64,
    pub(crate) chunks_total: u64,
    pub(crate) bytes_done: u64,
    pub(crate) bytes_total: u64,
    pub(crate) failed: Option<WireFault>,
    /// All is copied and has still to be compared, as it was asked for.
    pub(crate) unverified: bool,
    /// The newest comparison that was asked for and is done.
    pub(crate) answered: u64,
    /// Bytes that the last comparison, or the one under way, has found equal.
    pub(crate) compared: u64,
    /// What the source did not give at once and is read at last: areas, bytes, and nanoseconds that it will take.
    #[serde(default)]
    pub(crate) aside: (u64, u64, u64),
}

/// How long requests took, since the daemon serves them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireLatency {
    /// How many took less than each of [`crate::latency::BOUNDS`].
    pub(crate) below: Vec<u64>,
    pub(crate) count: u64,
    /// All of them together.
    pub(crate) nanoseconds: u64,
}

/// What was counted of one LV's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireCounted {
    pub(crate) lv: [u8; 16],
    pub(crate) reads: WireLatency,
    pub(crate) writes: WireLatency,
    /// Requests that have failed, in the order of [`crate::errors::Op::ALL`].
    pub(crate) errors: Vec<u64>,
}

/// I/Os on a PV that have failed, for each [`crate::errors::Side`] in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WirePvErrors {
    pub(crate) path: String,
    pub(crate) sides: Vec<Vec<u64>>,
}

/// Sectors of an LV whose copy could not be read from the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireUnreadable {
    pub(crate) lv: [u8; 16],
    /// The first sector on the LV, and the one after the last.
    pub(crate) sectors: (u64, u64),
    pub(crate) errno: i32,
}

/// Sectors of an LV that were compared and differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireDiffers {
    pub(crate) lv: [u8; 16],
    /// The first sector on the LV, and the one after the last.
    pub(crate) sectors: (u64, u64),
    /// They differ after they were copied again.
    pub(crate) again: bool,
}

/// The first leg that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireFault {
    pub(crate) destination: bool,
    /// `r`ead, `w`rite, `f`lush, `c`opy, `g`one.
    pub(crate) what: char,
}

/// The LV's tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireTables {
    pub(crate) live: Option<WireTable>,
    pub(crate) inactive: Option<WireTable>,
    pub(crate) shadow: Option<WireTable>,
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Hello {
        version: u32,
        pid: u32,
    },
    Devices(Vec<WireDevice>),
    Device(WireDevice),
    Tables(WireTables),
    Copy {
        copy: WireCopy,
        unreadable: Vec<WireUnreadable>,
        differs: Vec<WireDiffers>,
        events: u64,
    },
    /// Whether all was equal and healthy, and is sealed.
    Sealed(bool),
    Events(u64),
    Counted {
        lvs: Vec<WireCounted>,
        pvs: Vec<WirePvErrors>,
    },
    Failed(WireError),
}

/// An error on its way to the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireError {
    pub(crate) kind: String,
    pub(crate) what: String,
    pub(crate) device: Option<String>,
    pub(crate) cause: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) next: Option<String>,
}

/// The kinds of errors and what they are called on the way.
const KINDS: [(Kind, &str); 19] = [
    (Kind::Usage, "usage"),
    (Kind::NotFound, "not-found"),
    (Kind::Exists, "exists"),
    (Kind::ForeignSignature, "foreign-signature"),
    (Kind::InUse, "in-use"),
    (Kind::Cloned, "cloned"),
    (Kind::Missing, "missing"),
    (Kind::Stale, "stale"),
    (Kind::Shrunk, "shrunk"),
    (Kind::Damaged, "damaged"),
    (Kind::Unsupported, "unsupported"),
    (Kind::NoSpace, "no-space"),
    (Kind::Limit, "limit"),
    (Kind::State, "state"),
    (Kind::Locked, "locked"),
    (Kind::Kernel, "kernel"),
    (Kind::Io, "io"),
    (Kind::MoveFailed, "move-failed"),
    (Kind::Inconsistent, "inconsistent"),
];

impl WireError {
    pub(crate) fn of(error: &Error) -> WireError {
        let kind = KINDS.iter().find(|(kind, _)| *kind == error.kind);
        WireError {
            kind: kind.map_or("kernel", |(_, name)| name).to_owned(),
            what: error.what.clone(),
            device: error.device.clone(),
            cause: error.source.as_ref().map(ToString::to_string),
            state: error.state.clone(),
            next: error.next.clone(),
        }
    }

    pub(crate) fn into_error(self) -> Error {
        let kind = KINDS.iter().find(|(_, name)| *name == self.kind);
        let mut error = Error::new(kind.map_or(Kind::Kernel, |(kind, _)| *kind), self.what);
        error.device = self.device;
        error.source = self.cause.map(Into::into);
        error.state = self.state;
        error.next = self.next;
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_back() {
        let on = |minor| Dev::Pv { major: 8, minor };
        let lines = [
            Segment {
                start: Sectors(0),
                len: Sectors(8),
                target: Target::Linear(Area { device: Dev::Shadow, offset: Sectors(0) }),
            },
            Segment {
                start: Sectors(8),
                len: Sectors(16),
                target: Target::Mirror(Mirror {
                    source: Area { device: Dev::Shadow, offset: Sectors(8) },
                    destination: Area { device: on(2), offset: Sectors(2048) },
                    log: Log::Disk(Dev::Log { major: 8, minor: 2, sector: 64 }),
                    chunk_sectors: 8,
                    sync: None,
                    handle_errors: true,
                    keep_log: false,
                }),
            },
            Segment { start: Sectors(24), len: Sectors(8), target: Target::Error },
        ];
        let wire = WireTable::new(Vec::new(), &lines);
        let text = serde_json::to_string(&wire).expect("plain data");
        let back: WireTable = serde_json::from_str(&text).expect("it was just written");
        assert_eq!(back.segments(), lines);
        assert_eq!(back.sectors(), 32);
        assert_eq!(back.devices().count(), 4);
    }

    #[test]
    fn every_kind_of_error_comes_back() {
        for (kind, _) in KINDS {
            let error = Error::new(kind, "x").state("y");
            let back = WireError::of(&error).into_error();
            assert_eq!((back.kind, back.state.as_deref()), (kind, Some("y")));
        }
    }
}
