//! From "move what lies there" to new moves in the text: the core's planner over a model made from the text.
//!
//! The model knows extents and whose they are, not LVM2's shapes: the areas of an LV's segments, in their
//! order, are its runs. So a stripe that lies on the source moves as a linear segment does.

use std::collections::HashMap;

use lvshift_core::limits::{DEFAULT_CHUNK_SECTORS, MAX_LVS_PER_MOVE};
use lvshift_core::metadata::{self as core, MoveRequest, Name, Place, PlanError, Policy, Run, Vg};
use lvshift_core::units::{ExtentSize, Extents, LvIndex, Pe, PvIndex, Sectors, Uuid};
use lvshift_on_disk_format::dirty_log;

use super::id;
use super::text::edit::NewMove;
use super::text::roles::Uses;
use super::text::{Area, Metadata, Part, Shape, moves, refuse};
use crate::error::{Error, Kind, Result};

/// Where the extents of the model's PVs start: behind a dirty-log area that is not used. The model's sectors
/// are not LVM2's.
const HEAD: u64 = 1 << 20;
/// Sectors of the model's extents, whatever LVM2's have; those may be no power of two.
const MODEL_EXTENT: u32 = 8192;
/// A move takes further LVs in until it has this many sectors: as one it costs four commits of LVM2's, but shares
/// its fate. An LV of its own with more is a move alone.
const BATCH_SECTORS: u64 = 8 << 21;

/// A text as the core's planner sees it.
pub struct Model {
    /// Its extents, and whose they are.
    pub vg: Box<Vg>,
    /// The text's keys of the PVs, by index.
    pub pvs: Vec<String>,
    /// The names of the LVs, by index.
    pub lvs: Vec<String>,
}

/// Extents in the text's words: key of the PV, first, how many.
pub type Places = Vec<(String, u32, u32)>;

/// What is to move, in the text's words.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where from.
    pub sources: Places,
    /// Only this LV's.
    pub lv: Option<String>,
    /// Where to, in this order; empty: anywhere else.
    pub destinations: Places,
    /// How extents are chosen.
    pub policy: Policy,
    /// All in one move.
    pub atomic: bool,
}

/// A move that was planned.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its UUID.
    pub uuid: Uuid,
    /// What moves.
    pub parts: Vec<Part>,
    /// Sectors of a region.
    pub region_size: u32,
    /// Where its log lies.
    pub log: (Area, u32),
}

fn refused(kind: Kind, what: impl Into<String>) -> Error {
    Error::new(kind, what).state("nothing was changed")
}

impl Model {
    /// Makes it.
    ///
    /// # Errors
    /// `Kind::Limit` or `Kind::Unsupported` where the text says what the core has no room or word for;
    /// `Kind::Damaged` where extents are used twice.
    pub fn of(text: &Metadata) -> Result<Model> {
        // Only extents are counted in the model, so their size there is any.
        let size = ExtentSize::new(MODEL_EXTENT)
            .ok_or_else(|| refused(Kind::Unsupported, "the model's extents have no such size"))?;
        let name = Name::new(text.name())
            .map_err(|error| refused(Kind::Unsupported, error.to_string()))?;
        let mut vg = Box::new(Vg::empty());
        vg.create(id::uuid(text.id()), name, size);
        let mut model = Model { vg, pvs: Vec::new(), lvs: Vec::new() };
        for pv in text.pvs() {
            let extents = Extents(pv.pe_count);
            // A PV without extents holds metadata alone.
            let room = Extents(pv.pe_count.max(1));
            let added = model.vg.add_pv(core::Pv {
                uuid: id::uuid(&pv.id),
                device_size: Sectors(HEAD + size.span(room).0),
                pe_start: Sectors(HEAD),
                pe_count: extents.max(Extents(1)),
                log_start: Sectors(8),
                log_size: Sectors(HEAD - 8),
                behind: None,
                leaving: false,
            });
            added.map_err(|error| refused(Kind::Limit, format!("PV {}: {error}", pv.id)))?;
            model.pvs.push(pv.key);
        }
        for lv in text.lv_names() {
            let runs = model.runs(text, lv)?;
            if runs.is_empty() {
                continue;
            }
            let short = Name::new(lv).map_err(|e| refused(Kind::Unsupported, e.to_string()))?;
            let uuid = id::uuid(text.lv_id(lv).unwrap_or_default());
            model.vg.add_lv(uuid, short, &runs).map_err(|error| {
                refused(Kind::Limit, format!("LV {}/{lv}: {error}", text.name()))
            })?;
            model.lvs.push(lv.to_owned());
        }
        Ok(model)
    }

    fn runs(&self, text: &Metadata, lv: &str) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        for segment in text.segments(lv) {
            let areas = match &segment.shape {
                Shape::Striped { areas, .. } | Shape::Mirror { areas, .. } => areas,
                // Whatever it is, it uses extents only through other LVs; those that name PVs themselves
                // (an old snapshot of a form that we do not know) are refused.
                Shape::Other(kind) => {
                    if text.segment_names_pv(lv, &self.pvs) {
                        let what = format!(
                            "LV {}/{lv} has a segment of type {kind} on a PV, which is not understood",
                            text.name()
                        );
                        return Err(refused(Kind::Unsupported, what));
                    }
                    continue;
                }
            };
            let Some(count) = segment.shape.area_len(segment.count) else {
                let what = format!("the stripes of LV {}/{lv} are not even", text.name());
                return Err(refused(Kind::Unsupported, what));
            };
            for area in areas {
                if let Some(pv) = self.pv(&area.of) {
                    let place = Place { pv, pe: Pe(area.extent) };
                    runs.push(Run { place, count: Extents(count) });
                }
            }
        }
        Ok(runs)
    }

    /// The index of the PV with this key.
    #[must_use]
    pub fn pv(&self, key: &str) -> Option<PvIndex> {
        self.vg.pv_indices().zip(&self.pvs).find(|(_, other)| *other == key).map(|(pv, _)| pv)
    }

    /// The extents of a PV that nothing has.
    #[must_use]
    pub fn free(&self, key: &str) -> u64 {
        self.pv(key).map_or(0, |pv| u64::from(self.vg.free_extents(pv).0))
    }

    fn key(&self, pv: PvIndex) -> &str {
        self.pvs.get(pv.index()).map_or("", String::as_str)
    }

    fn areas(&self, areas: &[(String, u32, u32)]) -> Vec<core::Area> {
        let area = |(key, first, count): &(String, u32, u32)| {
            Some(core::Area { pv: self.pv(key)?, first: Pe(*first), count: Extents(*count) })
        };
        areas.iter().filter_map(area).collect()
    }

    /// Plans what is wanted. Everything that can be refused is refused here.
    ///
    /// # Errors
    /// Why there is no plan, in a person's words.
    pub fn plan(
        &mut self,
        text: &Metadata,
        wanted: &Wanted,
        fresh: &mut dyn FnMut() -> Uuid,
    ) -> Result<Vec<Planned>> {
        if let Some(why) = refuse::vg(text) {
            return Err(refused(Kind::Unsupported, why));
        }
        let sources = self.areas(&wanted.sources);
        let pieces = self.wanted(text, wanted, &sources)?;
        let destinations = self.destinations(text, wanted)?;
        let groups = self.groups(text, wanted, &pieces, &destinations)?;
        let command = fresh();
        let before = self.vg.moves().len();
        for (pieces, destinations) in groups {
            let request = MoveRequest {
                command,
                sources: &pieces,
                only_lv: None,
                destinations: &self.areas(&destinations),
                policy: wanted.policy,
                atomic: false,
            };
            self.vg.plan(&request, fresh).map_err(|error| explain(error, &self.vg))?;
        }
        let mut taken: HashMap<u16, u32> = HashMap::new();
        self.batches(text, before, wanted.atomic)?
            .into_iter()
            .map(|(uuid, parts)| self.planned(text, uuid, parts, &sources, &mut taken))
            .collect()
    }

    /// The pieces of LVs that shall move, or why they cannot.
    fn wanted(
        &self,
        text: &Metadata,
        wanted: &Wanted,
        sources: &[core::Area],
    ) -> Result<Vec<(LvIndex, core::Area)>> {
        let below = match &wanted.lv {
            Some(name) => Some(self.below(text, name)?),
            None => None,
        };
        let mut pieces = Vec::new();
        for piece in self.vg.moving_pieces(sources, None) {
            let name = self.name(piece.lv);
            if below.as_ref().is_some_and(|below| !below.iter().any(|lv| lv == name)) {
                continue;
            }
            let area = core::Area { pv: piece.place.pv, first: piece.place.pe, count: piece.count };
            pieces.push((piece.lv, area));
        }
        let mut seen: Vec<LvIndex> = Vec::new();
        for (lv, _) in &pieces {
            if seen.contains(lv) {
                continue;
            }
            seen.push(*lv);
            let name = self.name(*lv);
            if let Some(why) = self.moving(text, name) {
                return Err(refused(Kind::State, why));
            }
            if let Some(why) = refuse::lv(text, name) {
                return Err(refused(Kind::Unsupported, why)
                    .next("move the others with -n LV, and this one with LVM2's own pvmove"));
            }
        }
        match (&wanted.lv, pieces.is_empty()) {
            (Some(name), true) => {
                let what = format!("no extents of LV {}/{name} lie there", text.name());
                Err(refused(Kind::State, what))
            }
            (None, true) => Err(explain(PlanError::NothingToMove, &self.vg)),
            _ => Ok(pieces),
        }
    }

    fn name(&self, lv: LvIndex) -> &str {
        self.lvs.get(lv.index()).map_or("", String::as_str)
    }

    /// An LV and all that it is made of.
    fn below(&self, text: &Metadata, name: &str) -> Result<Vec<String>> {
        if text.lv_id(name).is_none() {
            let what = format!("there is no LV {name} in VG {}", text.name());
            return Err(refused(Kind::NotFound, what));
        }
        let uses = Uses::of(text);
        let pool = uses.from(name).find(|one| one.kind == "thin" && one.key == "thin_pool");
        if let Some(pool) = pool {
            let what = format!("LV {}/{name} is thin: its extents are its pool's", text.name());
            return Err(refused(Kind::Unsupported, what)
                .next(format!("pvmove -n {} moves the whole pool", pool.used)));
        }
        if let Some(why) = self.moving(text, name).or_else(|| refuse::lv(text, name)) {
            return Err(refused(Kind::Unsupported, why));
        }
        Ok(uses.below(name))
    }

    /// The pieces, by where they may go: not to a PV with another image of the same LV.
    fn groups(
        &self,
        text: &Metadata,
        wanted: &Wanted,
        pieces: &[(LvIndex, core::Area)],
        destinations: &Places,
    ) -> Result<Vec<(Vec<core::Area>, Places)>> {
        let uses = Uses::of(text);
        let mut groups: Vec<(Vec<String>, Vec<core::Area>)> = Vec::new();
        let mut forbidden: HashMap<usize, Vec<String>> = HashMap::new();
        for (lv, area) in pieces {
            let not_there = forbidden.entry(lv.index()).or_insert_with(|| {
                if wanted.policy == Policy::Anywhere {
                    return Vec::new();
                }
                let siblings = uses.siblings(self.name(*lv));
                let lies = |pv: &&String| {
                    siblings.iter().any(|lv| text.segment_names_pv(lv, &[(*pv).clone()]))
                };
                self.pvs.iter().filter(lies).cloned().collect()
            });
            match groups.iter_mut().find(|(known, _)| known == not_there) {
                Some((_, areas)) => areas.push(*area),
                None => groups.push((not_there.clone(), vec![*area])),
            }
        }
        let group = |(not_there, areas): (Vec<String>, Vec<core::Area>)| {
            let mut left = destinations.clone();
            left.retain(|(key, ..)| !not_there.contains(key));
            if left.is_empty() {
                let what = "each destination has another image of the same LV: its redundancy would be lost";
                return Err(refused(Kind::NoSpace, what)
                    .next("add a PV with vgextend, or say --alloc anywhere if that is wanted"));
            }
            Ok((areas, left))
        };
        groups.into_iter().map(group).collect()
    }

    /// The parts that the core has planned since, in the moves that they make here, each with its UUID.
    fn batches(
        &self,
        text: &Metadata,
        before: usize,
        atomic: bool,
    ) -> Result<Vec<(Uuid, Vec<Part>)>> {
        let mut batches: Vec<(Uuid, Vec<Part>)> = Vec::new();
        let (mut lvs, mut sectors): (Vec<LvIndex>, u64) = (Vec::new(), 0);
        for of in self.vg.move_indices().skip(before) {
            let uuid = self.vg.move_at(of).map_or(Uuid::NIL, |entry| entry.uuid);
            for part in self.vg.parts_of(of) {
                let new = !lvs.contains(&part.lv);
                let full = sectors >= BATCH_SECTORS && !atomic || lvs.len() >= MAX_LVS_PER_MOVE;
                if new && full {
                    if atomic {
                        let limit = MAX_LVS_PER_MOVE as u32;
                        return Err(explain(PlanError::TooManyLvs { limit }, &self.vg));
                    }
                    (lvs, sectors) = (Vec::new(), 0);
                }
                if batches.is_empty() || new && lvs.is_empty() {
                    // The core's own moves are smaller or as large, so each gives its UUID once at most.
                    batches.push((uuid, Vec::new()));
                }
                if new {
                    lvs.push(part.lv);
                }
                sectors += u64::from(part.count.0) * u64::from(text.extent_size());
                if let Some((_, parts)) = batches.last_mut() {
                    self.add(parts, part);
                }
            }
        }
        Ok(batches)
    }

    /// Adds a part to others; the core cuts for several mirrors side by side, and here there is one.
    fn add(&self, parts: &mut Vec<Part>, part: &core::MovePart) {
        let area = |place: Place| Area { of: self.key(place.pv).to_owned(), extent: place.pe.0 };
        let part = Part {
            lv: self.name(part.lv).to_owned(),
            source: area(part.source),
            destination: area(part.destination),
            count: part.count.0,
        };
        let behind = |a: &Area, b: &Area, count: u32| {
            a.of == b.of && a.extent.checked_add(count) == Some(b.extent)
        };
        match parts.last_mut() {
            Some(last)
                if last.lv == part.lv
                    && behind(&last.source, &part.source, last.count)
                    && behind(&last.destination, &part.destination, last.count) =>
            {
                last.count += part.count;
            }
            _ => parts.push(part),
        }
    }

    fn moving(&self, text: &Metadata, name: &str) -> Option<String> {
        let on_ours = text.segments(name).iter().any(|segment| match &segment.shape {
            Shape::Striped { areas, .. } => areas.iter().any(|area| moves::is_ours(&area.of)),
            _ => false,
        });
        (on_ours || moves::is_ours(name)).then(|| {
            format!(
                "a move of LV {}/{name} is recorded already; `pvmove` carries it on, \
                 `pvmove --abort` undoes it",
                text.name()
            )
        })
    }

    /// As LVM2: a PV that is not allocatable is no destination.
    fn destinations(&self, text: &Metadata, wanted: &Wanted) -> Result<Places> {
        let allocatable = |key: &str| {
            let pvs = text.pvs();
            pvs.iter().any(|pv| pv.key == key && pv.status.iter().any(|word| word == "ALLOCATABLE"))
        };
        if let Some((key, ..)) = wanted.destinations.iter().find(|area| !allocatable(&area.0)) {
            let pv = text.pvs().into_iter().find(|pv| pv.key == *key);
            let device = pv.map_or_else(|| key.clone(), |pv| pv.device);
            return Err(refused(Kind::State, "the PV is not allocatable")
                .device(device)
                .next("pvchange -x y DEVICE"));
        }
        if !wanted.destinations.is_empty() {
            return Ok(wanted.destinations.clone());
        }
        let source = |key: &str| wanted.sources.iter().any(|area| area.0 == key);
        let pvs = text.pvs().into_iter().filter(|pv| allocatable(&pv.key) && !source(&pv.key));
        let all: Vec<_> = pvs.map(|pv| (pv.key, 0, pv.pe_count)).collect();
        if all.is_empty() {
            return Err(refused(Kind::NoSpace, "there is no other allocatable PV in the VG")
                .next("vgextend adds one"));
        }
        Ok(all)
    }

    fn planned(
        &self,
        text: &Metadata,
        uuid: Uuid,
        parts: Vec<Part>,
        sources: &[core::Area],
        taken: &mut HashMap<u16, u32>,
    ) -> Result<Planned> {
        let extents: u64 = parts.iter().map(|part| u64::from(part.count)).sum();
        let sectors = extents * u64::from(text.extent_size());
        // The kernel and LVM2 want a power of two that is no larger than the mirror; LVM2 makes its own
        // smaller until it divides the mirror's size, and so is left nothing to change.
        let region_size = (0..=DEFAULT_CHUNK_SECTORS.ilog2())
            .rev()
            .map(|shift| 1_u32 << shift)
            .find(|size| sectors.is_multiple_of(u64::from(*size)))
            .filter(|size| *size >= 8)
            .ok_or_else(|| refused(Kind::Unsupported, "the extents are too small for a mirror"))?;
        let regions = u32::try_from(sectors / u64::from(region_size)).map_err(|_| {
            refused(Kind::Limit, "that is too much for one dirty log").next("use -n")
        })?;
        let extent_bytes = u64::from(text.extent_size()) * 512;
        let log_extents = u32::try_from(dirty_log::image_size(regions).div_ceil(extent_bytes))
            .map_err(|_| refused(Kind::Limit, "the dirty log is too large"))?;
        let log = self.log_place(text, &parts, log_extents, sources, taken)?;
        Ok(Planned { uuid, parts, region_size, log: (log, log_extents) })
    }

    /// On a PV that the move goes to; else on any but a source.
    fn log_place(
        &self,
        text: &Metadata,
        parts: &[Part],
        extents: u32,
        sources: &[core::Area],
        taken: &mut HashMap<u16, u32>,
    ) -> Result<Area> {
        let mut pvs: Vec<PvIndex> =
            parts.iter().filter_map(|part| self.pv(&part.destination.of)).collect();
        let listed = text.pvs();
        pvs.extend(self.vg.pv_indices().filter(|pv| {
            let words = listed.get(pv.index()).map(|pv| pv.status.as_slice()).unwrap_or_default();
            words.iter().any(|word| word == "ALLOCATABLE")
        }));
        pvs.retain(|pv| sources.iter().all(|area| area.pv != *pv));
        for pv in pvs {
            // Behind the logs that this plan has put there.
            let after = taken.get(&pv.0).copied().unwrap_or(0);
            for run in self.vg.free_runs(pv) {
                let first = run.place.pe.0.max(after);
                let end = u64::from(run.place.pe.0) + u64::from(run.count.0);
                if u64::from(first) + u64::from(extents) <= end {
                    taken.insert(pv.0, first + extents);
                    return Ok(Area { of: self.key(pv).to_owned(), extent: first });
                }
            }
        }
        Err(refused(
            Kind::NoSpace,
            format!("{extents} free extents are needed for the dirty log of the move"),
        )
        .next("move a part (ranges, or -n LV), or add a PV with vgextend"))
    }
}

impl Planned {
    /// Writes it into a text.
    ///
    /// # Errors
    /// `Kind::State` where the text has changed since it was planned for.
    pub fn write(
        &self,
        text: &mut Metadata,
        command: &str,
        fresh: &mut dyn FnMut() -> Uuid,
    ) -> Result<()> {
        let mut ids = [id::id(self.uuid), String::new(), String::new(), String::new()];
        for other in ids.iter_mut().skip(1) {
            *other = id::id(fresh());
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let new = NewMove {
            number: moves::free_number(text),
            ids,
            command,
            region_size: self.region_size,
            parts: &self.parts,
            log: self.log.clone(),
            now: now.map_or(0, |now| now.as_secs()),
            host: host.trim(),
        };
        text.begin_move(&new).map_err(|error| Error::changed_meanwhile("the VG").because(error))
    }
}

fn explain(error: PlanError, vg: &Vg) -> Error {
    let kind = match error {
        PlanError::NothingToMove => {
            return refused(Kind::State, "No data to move: no extents are in use there");
        }
        PlanError::SourceIsDestination { .. } => {
            return refused(Kind::Usage, "the source is a destination, too")
                .next("say --alloc anywhere if extents shall move within one PV");
        }
        PlanError::NoSource => Kind::NotFound,
        PlanError::Alloc(_) => Kind::NoSpace,
        _ => Kind::Limit,
    };
    refused(kind, format!("VG {}: {error}", vg.name()))
}
