//! Whole moves, made by the commands' own commits, with everything each commit wrote.

use lvshift_core::metadata::{
    AllocRequest, ApplyError, Area, Change, MoveRequest, Name, Policy, Pv, SlotInfo,
};
use lvshift_core::units::{ExtentSize, Extents, MoveIndex, Pe, PvIndex, Uuid};
use lvshift_frontend_common::error::{Error, Kind};
use lvshift_frontend_common::simulation;
use lvshift_frontend_common::vg::{OpenVg, Vg};

use super::disk::{self, Disk, Op};

/// The PVs: source, destination, and one that only holds other extents.
pub(crate) const PVS: usize = 3;
/// Sectors of an extent and of a chunk.
const EXTENT: u32 = 8;

/// One commit.
pub(crate) struct Step {
    /// What it does.
    pub(crate) name: &'static str,
    /// The disks before it.
    pub(crate) before: Vec<Disk>,
    /// What it did to them.
    pub(crate) ops: Vec<Op>,
    /// The disks after it.
    pub(crate) after: Vec<Disk>,
    /// The VG before it; none before the first.
    pub(crate) old: Option<Vg>,
    /// The VG after it.
    pub(crate) new: Vg,
}

/// A move from the first commit of its VG to the last.
pub(crate) struct History {
    /// Which way it went.
    pub(crate) name: &'static str,
    /// Its VG.
    pub(crate) vg: Uuid,
    /// Its commits.
    pub(crate) steps: Vec<Step>,
}

/// A way that a move may go, as changes of its record.
pub(crate) const WAYS: &[(&str, &[Change])] = &[
    ("forward", &[Change::Begin, Change::Confirm, Change::Moved, Change::Forget]),
    ("back", &[Change::Begin, Change::Aborting, Change::Confirm, Change::Forget]),
    (
        "back after a commit that failed",
        &[Change::Begin, Change::Moved, Change::Aborting, Change::Forget],
    ),
];

/// What a change of a move's record is called.
pub(crate) fn name_of(change: Change) -> &'static str {
    match change {
        Change::Confirm => "confirm",
        Change::Begin => "begin",
        Change::Moved => "moved",
        Change::Aborting => "aborting",
        Change::Forget => "forget",
    }
}

/// Applies a change as the driver does.
pub(crate) fn apply(vg: &mut Vg, of: Uuid, change: Change) -> Result<(), Error> {
    match vg.apply(of, change) {
        Ok(()) | Err(ApplyError::AlreadyDone { .. }) => Ok(()),
        Err(error) => Err(Error::new(Kind::State, error.to_string())),
    }
}

/// The UUID of the first move of every history.
pub(crate) const MOVE: Uuid = Uuid([0xE1; 16]);

/// Whether two VGs mean the same; the sequence number may differ, and which PVs were left behind.
pub(crate) fn same(one: &Vg, two: &Vg) -> bool {
    let pv = |pv: &Pv| Pv { behind: None, leaving: false, ..pv.clone() };
    one.uuid() == two.uuid()
        && one.name() == two.name()
        && one.extent_size() == two.extent_size()
        && one.pvs().iter().map(pv).eq(two.pvs().iter().map(pv))
        && one.lvs() == two.lvs()
        && one.segments() == two.segments()
        && one.moves() == two.moves()
        && one.parts() == two.parts()
}

/// A slot's bytes to a VG, if they are one.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Vg, SlotInfo)> {
    let mut vg = Vg::empty();
    let info = vg.decode_from(bytes).ok()?;
    Some((vg, info))
}

/// Makes the history of a move of `lvs` LVs of two extents each, of which the first also has one
/// elsewhere. `salt` tells the VGs of different threads apart: they share a directory of locks.
pub(crate) fn make(way: usize, lvs: u8, salt: u8) -> Result<History, Error> {
    disk::show(vec![Disk::default(); PVS]);
    for at in 0..PVS {
        simulation::make_pv(&disk::device(at), Uuid([1 + at as u8; 16]))?;
    }
    let uuid = Uuid([0xA0 + salt; 16]);
    let (name, changes) = WAYS[way];
    let mut steps = Vec::new();
    let mut before = disk::now();
    let _ = disk::done();
    let text = Name::new("vg").expect("a name");
    let mut open = simulation::make_vg(uuid, text, ExtentSize::new(EXTENT).expect("a size"))?;
    let mut record = |name, open: &OpenVg, old: Option<Vg>| {
        let after = disk::now();
        let new = open.vg().clone();
        let before = std::mem::replace(&mut before, after.clone());
        steps.push(Step { name, before, ops: disk::done(), after, old, new });
    };
    record("create", &open, None);
    let mut commit = |name, change: &dyn Fn(&mut Vg) -> Result<(), Error>| {
        let old = Some(open.vg().clone());
        open.commit(|vg| change(vg))?;
        record(name, &open, old);
        Ok::<(), Error>(())
    };
    commit("lvcreate", &|vg| (0..lvs).try_for_each(|lv| add_lv(vg, lv)))?;
    commit("plan", &plan)?;
    for change in changes {
        commit(name_of(*change), &|vg| apply(vg, MOVE, *change))?;
    }
    Ok(History { name, vg: uuid, steps })
}

fn add_lv(vg: &mut Vg, lv: u8) -> Result<(), Error> {
    let wrong = |what: String| Error::new(Kind::State, what);
    let mut runs = Vec::new();
    // With holes between them, so that nothing is merged.
    let places = [(0u16, u32::from(lv) * 2, 1u32), (2, u32::from(lv), 1)];
    for (pv, first, count) in places.into_iter().take(if lv == 0 { 2 } else { 1 }) {
        let area = Area { pv: PvIndex(pv), first: Pe(first), count: Extents(count) };
        let request = AllocRequest {
            count: Extents(count),
            areas: &[area],
            avoid: &[],
            policy: Policy::Normal,
            grows: None,
        };
        let found = vg.allocate(&request).map_err(|error| wrong(error.to_string()))?;
        runs.extend(found.iter().copied());
    }
    let mut uuid = [0xC0; 16];
    uuid[0] = lv;
    let name = Name::new(&format!("lv{lv}")).map_err(|error| wrong(error.to_string()))?;
    vg.add_lv(Uuid(uuid), name, &runs).map_err(|error| wrong(error.to_string()))?;
    Ok(())
}

fn plan(vg: &mut Vg) -> Result<(), Error> {
    let all = |pv| Area { pv: PvIndex(pv), first: Pe(0), count: Extents(400) };
    let request = MoveRequest {
        command: Uuid([0x55; 16]),
        sources: &[all(0)],
        only_lv: None,
        destinations: &[all(1)],
        policy: Policy::Normal,
        atomic: false,
    };
    let mut next = MOVE;
    let mut fresh = || {
        let uuid = next;
        next.0[15] += 1;
        uuid
    };
    let planned = vg
        .plan(&request, &mut fresh)
        .map_err(|error| Error::new(Kind::State, error.to_string()))?;
    for at in 0..planned.moves {
        vg.set_chunk_sectors(MoveIndex(at as u16), EXTENT);
    }
    Ok(())
}
