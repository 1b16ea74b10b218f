//! Worlds to start from: a VG over a few disks, one LV, its move planned. Made once by the real
//! commands' own code, then copied for every run.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use lvshift_core::metadata::{AllocRequest, Area, MoveRequest, Name, Policy, Run};
use lvshift_core::units::{
    DeviceNumber, ExtentSize, Extents, MoveIndex, Pe, PvIndex, Sectors, Uuid,
};
use lvshift_frontend_common::device::{BlockDevice, Medium};
use lvshift_frontend_common::simulation;
use lvshift_on_disk_format::dirty_log;

use super::disk::Disk;
use super::rng::Rng;
use super::view::{SlotView, View};

/// Sectors of an extent and of a chunk.
pub const EXTENT: u32 = 8;
const DATA_START: u64 = 8 * 2048;
/// The slots' places on every disk.
pub const SLOTS: [u64; 2] = [2048, 4096];
/// Where the slots' areas end.
pub const SLOTS_END: u64 = 3 * 2048;

/// The shape of a world.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Disks; the move goes from the first to the second.
    pub disks: usize,
    /// Runs of extents of each LV: disk, first extent, count.
    pub lvs: &'static [&'static [(u16, u32, u32)]],
    /// All that moves is one move; else each LV's has its own.
    pub atomic: bool,
    /// Sectors of a chunk.
    pub chunk: u32,
}

/// The shapes that are tried.
pub const SHAPES: &[Shape] = &[
    // The smallest that has everything: four chunks that move.
    Shape { disks: 2, lvs: &[&[(0, 0, 4)]], atomic: true, chunk: 8 },
    // Only the middle of the LV moves, in two parts.
    Shape {
        disks: 3,
        lvs: &[&[(2, 0, 1), (0, 1, 2), (1, 6, 1), (0, 4, 2)]],
        atomic: true,
        chunk: 8,
    },
    // Chunks of two extents, the last one short.
    Shape { disks: 2, lvs: &[&[(0, 1, 5)]], atomic: true, chunk: 16 },
];

/// Shapes with two LVs.
pub const PAIRS: &[Shape] = &[
    // One move of both.
    Shape { disks: 2, lvs: &[&[(0, 0, 3)], &[(0, 4, 3)]], atomic: true, chunk: 8 },
    // A move for each, one after the other.
    Shape { disks: 2, lvs: &[&[(0, 0, 3)], &[(0, 4, 2)]], atomic: false, chunk: 8 },
    // One move of both, of which one lies on a third disk, too; a stranger lies on the destination.
    Shape {
        disks: 3,
        lvs: &[&[(2, 0, 1), (0, 1, 2)], &[(0, 5, 2), (2, 3, 1)]],
        atomic: true,
        chunk: 16,
    },
    // One LV does not move, and has its home on the destination.
    Shape { disks: 2, lvs: &[&[(0, 2, 3)], &[(1, 4, 3)]], atomic: true, chunk: 8 },
];

/// A world to copy.
#[derive(Clone, Debug)]
pub struct Template {
    /// The disks.
    pub disks: Vec<Disk>,
    /// What their slots mean.
    pub slots: Vec<[SlotView; 2]>,
    /// The VG.
    pub vg: Uuid,
    /// Its LVs.
    pub lvs: Vec<Uuid>,
    /// Where the sectors of each begin, and those of the last end.
    pub bases: Vec<u32>,
    /// The moves.
    pub moves: Vec<Uuid>,
}

thread_local! {
    static MAKING: RefCell<Vec<Disk>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
struct Making(usize, u64);

impl Medium for Making {
    fn size(&self) -> Sectors {
        Sectors(self.1)
    }
    fn read(&self, start: Sectors, buffer: &mut [u8]) -> std::io::Result<()> {
        MAKING.with(|disks| disks.borrow()[self.0].read(start.0, buffer))
    }
    fn write(&self, start: Sectors, buffer: &[u8]) -> std::io::Result<()> {
        MAKING.with(|disks| disks.borrow_mut()[self.0].write(start.0, buffer))
    }
    fn flush(&self) -> std::io::Result<()> {
        MAKING.with(|disks| disks.borrow_mut()[self.0].flush(&mut Rng::new(0), false))
    }
}

/// The number of a simulated disk.
#[must_use]
pub fn number(disk: usize) -> DeviceNumber {
    DeviceNumber { major: 240, minor: disk as u32 }
}

/// The path of a simulated disk.
#[must_use]
pub fn path(disk: usize) -> String {
    format!("/dev/sim{disk}")
}

impl Template {
    /// Makes one. `salt` tells the worlds of different threads apart: they share directories.
    ///
    /// # Panics
    /// If the world cannot be made; then nothing here works.
    #[must_use]
    pub fn make(shape: &Shape, salt: u8) -> Template {
        let sectors = u64::from(EXTENT) * 12;
        MAKING
            .with(|disks| *disks.borrow_mut() = vec![Disk::new(DATA_START, sectors); shape.disks]);
        let count = shape.disks;
        let device = move |disk: usize| {
            let medium = Arc::new(Making(disk, DATA_START + sectors));
            BlockDevice::simulated(Path::new(&path(disk)), number(disk), medium)
        };
        simulation::set_devices(move || (0..count).map(device).collect());
        for disk in 0..count {
            simulation::make_pv(&device(disk), Uuid([1 + disk as u8; 16])).expect("a PV");
        }
        let vg_uuid = Uuid([0xA0 + salt; 16]);
        let lvs: Vec<Uuid> = (0u8..).zip(shape.lvs).map(|(at, _)| Uuid([0xC0 + at; 16])).collect();
        let name = Name::new("vg").expect("a name");
        let size = ExtentSize::new(EXTENT).expect("a size");
        let mut vg = simulation::make_vg(vg_uuid, name, size).expect("a VG");
        let mut moves = Vec::new();
        vg.commit(|vg| {
            let all = |pv| Area { pv: PvIndex(pv), first: Pe(0), count: Extents(12) };
            for (lv, of) in lvs.iter().zip(shape.lvs) {
                let mut runs: Vec<Run> = Vec::new();
                for (pv, first, count) in *of {
                    let area = Area { pv: PvIndex(*pv), first: Pe(*first), count: Extents(*count) };
                    let request = AllocRequest {
                        count: Extents(*count),
                        areas: &[area],
                        avoid: &[],
                        policy: Policy::Normal,
                        grows: None,
                    };
                    runs.extend(vg.allocate(&request).expect("room").iter().copied());
                }
                let name = format!("lv{}", vg.lvs().len());
                vg.add_lv(*lv, Name::new(&name).expect("a name"), &runs).expect("an LV");
            }
            let request = MoveRequest {
                command: Uuid([0x55; 16]),
                sources: &[all(0)],
                only_lv: None,
                destinations: &[all(1)],
                policy: Policy::Normal,
                atomic: shape.atomic,
            };
            let mut made = 0;
            vg.plan(&request, &mut || {
                made += 1;
                let mut uuid = [0xE0 + salt; 16];
                uuid[1] = made;
                Uuid(uuid)
            })
            .expect("a plan");
            for (of, record) in (0u16..).zip(0..vg.moves().len()) {
                moves.push(vg.moves()[record].uuid);
                vg.set_chunk_sectors(MoveIndex(of), shape.chunk);
            }
            Ok(())
        })
        .expect("committed");
        drop(vg);
        let mut disks = MAKING.with(|disks| disks.take());
        // An old log lies there, of just this shape, and calls everything clean.
        let runs = shape.lvs.iter().flat_map(|runs| runs.iter());
        let moving = runs.filter(|run| run.0 == 0).map(|run| run.2);
        for disk in &mut disks {
            for (part, extents) in (0u64..).zip(moving.clone()) {
                let mut image =
                    dirty_log::all_dirty_first_block((extents * EXTENT).div_ceil(shape.chunk));
                image[dirty_log::BITSET_OFFSET as usize..].fill(0xFF);
                disk.write(4 * 2048 + part * 8, &image).expect("written");
            }
            disk.flush(&mut Rng::new(0), false).expect("flushed");
        }
        let mut scratch = lvshift_frontend_common::vg::Vg::empty();
        let slots = disks.iter().map(|disk| {
            SLOTS.map(|start| {
                let mut bytes = vec![0; 64 << 10];
                disk.read(start, &mut bytes).expect("readable");
                SlotView { durable: View::decode(&mut scratch, &bytes), cached: Vec::new() }
            })
        });
        let slots = slots.collect();
        let mut bases = vec![0];
        for runs in shape.lvs {
            let sectors: u32 = runs.iter().map(|run| run.2 * EXTENT).sum();
            bases.push(bases.last().copied().unwrap_or_default() + sectors);
        }
        Template { disks, slots, vg: vg_uuid, lvs, bases, moves }
    }
}
