//! The changes that a move makes to the text: begin, from state to state, end. Each changes what it names
//! and leaves every other word of the VG as it was.

use super::moves::{
    ABORTING, Broken, COMMAND, LOCKED, LOST_DESTINATION, LOST_LOG, Names, Part, QUEUED, REGION,
    Record, Run, State, TAG, lvs_of, runs,
};
use super::roles::{Uses, kind_of};
use super::tree::{Node, Section, Value};
use super::volumes::{Area, Metadata, Segment, Shape};

/// What a new move is made of.
#[derive(Clone, Debug)]
pub struct NewMove<'a> {
    /// The N of `lvshiftN`, see [`super::moves::free_number`].
    pub number: u32,
    /// 32 letters or digits, hyphens apart: ids for the mirror, the source, the destination, the log.
    pub ids: [String; 4],
    /// Names the command that planned it.
    pub command: &'a str,
    /// Sectors of a region.
    pub region_size: u32,
    /// What moves.
    pub parts: &'a [Part],
    /// Where the log lies, and how many extents it has.
    pub log: (Area, u32),
    /// Seconds since 1970, for people.
    pub now: u64,
    /// This machine's name, for people.
    pub host: &'a str,
}

/// Why a change cannot be made; the text is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// A part does not lie where its LV says.
    NotThere {
        /// The LV.
        lv: String,
    },
    /// The change does not follow from the state.
    State {
        /// The state that the record has.
        found: State,
    },
    /// Something else lies on a PV that is to leave the VG.
    InUse {
        /// The LV.
        lv: String,
    },
    /// The text is not as a move leaves it.
    Broken(Broken),
}

impl std::fmt::Display for EditError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EditError::NotThere { lv } => {
                write!(f, "LV {lv} does not lie where the plan found it")
            }
            EditError::InUse { lv } => write!(f, "LV {lv} lies on it, too"),
            EditError::State { found } => write!(f, "the move is {found:?}"),
            EditError::Broken(broken) => broken.fmt(f),
        }
    }
}

impl std::error::Error for EditError {}

/// A segment with the section it was read from, whose other keys stay.
type Piece = (Section, Segment);

fn pieces(metadata: &Metadata, lv: &str) -> Vec<Piece> {
    let sections = metadata.lv(lv).into_iter().flat_map(Section::sections);
    let mut all: Vec<Piece> =
        sections.filter_map(|section| Some((section.clone(), Segment::read(section)?))).collect();
    all.sort_by_key(|(_, segment)| segment.start);
    all
}

fn put_pieces(metadata: &mut Metadata, lv: &str, pieces: Vec<Piece>) {
    let Some(section) = metadata.lv_mut(lv) else { return };
    section.drop_sections(|_| true);
    section.set("segment_count", (pieces.len() as u64).into());
    for (number, (mut piece, segment)) in pieces.into_iter().enumerate() {
        piece.name = format!("segment{}", number + 1);
        segment.write(&mut piece);
        section.nodes.push(Node::Section(piece));
    }
}

/// Cuts a piece at these offsets, counted in extents of one area.
fn cut(piece: Piece, mut at: Vec<u32>) -> Vec<Piece> {
    let (section, segment) = piece;
    let Shape::Striped { stripe_size, areas } = &segment.shape else {
        return vec![(section, segment)];
    };
    let Some(len) = segment.shape.area_len(segment.count) else { return vec![(section, segment)] };
    at.extend([0, len]);
    at.retain(|cut| *cut <= len);
    at.sort_unstable();
    at.dedup();
    let stripes = segment.count / len.max(1);
    let piece = |pair: &[u32]| {
        let &[from, to] = pair else { return None };
        let moved = |area: &Area| Area { of: area.of.clone(), extent: area.extent + from };
        let areas = areas.iter().map(moved).collect();
        let shape = Shape::Striped { stripe_size: *stripe_size, areas };
        let start = segment.start + from * stripes;
        Some((section.clone(), Segment { start, count: (to - from) * stripes, shape }))
    };
    at.windows(2).filter_map(piece).collect()
}

/// Cuts the pieces of an LV and puts other areas in place: `runs` says for an area, from its first extent
/// and its length, what stands for which of its extents.
fn substitute(pieces: Vec<Piece>, runs: &dyn Fn(&Area, u32) -> Vec<Run>) -> (Vec<Piece>, u64) {
    let mut done = Vec::new();
    let mut replaced = 0_u64;
    for piece in pieces {
        let Shape::Striped { areas, .. } = &piece.1.shape else {
            done.push(piece);
            continue;
        };
        let len = piece.1.shape.area_len(piece.1.count).unwrap_or(0);
        let cuts = areas.iter().flat_map(|area| runs(area, len));
        let cuts = cuts.flat_map(|(from, count, _)| [from, from + count]).collect();
        for (section, mut segment) in cut(piece, cuts) {
            let len = segment.shape.area_len(segment.count).unwrap_or(0);
            if let Shape::Striped { areas, .. } = &mut segment.shape {
                for area in areas {
                    if let [(0, count, new)] = runs(area, len).as_slice()
                        && *count == len
                    {
                        *area = new.clone();
                        replaced += u64::from(len);
                    }
                }
            }
            done.push((section, segment));
        }
    }
    (done, replaced)
}

/// What `on` maps of the `len` extents from `area`: offset in the area, how many, where to.
fn overlap(area: &Area, len: u32, on: &Area, count: u32, to: &Area) -> Option<(u32, u32, Area)> {
    if area.of != on.of {
        return None;
    }
    let from = area.extent.max(on.extent);
    let end = area.extent.checked_add(len)?.min(on.extent.checked_add(count)?);
    let there =
        Area { of: to.of.clone(), extent: to.extent.checked_add(from.checked_sub(on.extent)?)? };
    (from < end).then(|| (from - area.extent, end - from, there))
}

fn add_word(section: &mut Section, key: &str, word: &str) {
    let mut words: Vec<String> = section.texts(key).into_iter().map(str::to_owned).collect();
    if !words.iter().any(|other| other == word) {
        words.push(word.to_owned());
    }
    section.set(key, list(&words));
}

fn drop_word(section: &mut Section, key: &str, word: &str) {
    let words: Vec<String> =
        section.texts(key).into_iter().filter(|w| *w != word).map(str::to_owned).collect();
    if words.is_empty() && key == "tags" {
        section.unset(key);
    } else {
        section.set(key, list(&words));
    }
}

fn list(words: &[String]) -> Value {
    Value::List(words.iter().map(|word| Value::Text(word.clone())).collect())
}

impl Metadata {
    /// Records a move as *Queued*: its extents on the destination and its log's are taken from here on.
    ///
    /// # Errors
    /// [`EditError::NotThere`].
    pub fn begin_move(&mut self, new: &NewMove<'_>) -> Result<(), EditError> {
        let names = Names::of(new.number);
        let mut changed = self.clone();
        let mut offsets = Vec::new();
        let mut extents = 0_u32;
        for part in new.parts {
            offsets.push(extents);
            extents = extents.saturating_add(part.count);
        }
        let lvs = lvs_of(new.parts);
        for &lv in &lvs {
            let parts: Vec<(&Part, u32)> =
                new.parts.iter().zip(offsets.iter().copied()).filter(|(p, _)| p.lv == lv).collect();
            let runs = |area: &Area, len: u32| {
                let onto = |(part, offset): &(&Part, u32)| {
                    let to = Area { of: names.mirror.clone(), extent: *offset };
                    overlap(area, len, &part.source, part.count, &to)
                };
                parts.iter().filter_map(onto).collect()
            };
            let (pieces, replaced) = substitute(pieces(&changed, lv), &runs);
            if replaced != parts.iter().map(|(part, _)| u64::from(part.count)).sum::<u64>() {
                return Err(EditError::NotThere { lv: lv.to_owned() });
            }
            put_pieces(&mut changed, lv, pieces);
        }
        for lv in locked(&changed, &lvs) {
            if let Some(section) = changed.lv_mut(&lv) {
                add_word(section, "status", LOCKED);
            }
        }
        let linear = |start, count, area: &Area| Segment {
            start,
            count,
            shape: Shape::Striped { stripe_size: 0, areas: vec![area.clone()] },
        };
        let source = Area { of: names.source.clone(), extent: 0 };
        let mirror = vec![linear(0, extents, &source)];
        let image = |side: fn(&Part) -> &Area| {
            let runs = new.parts.iter().zip(&offsets);
            join(runs.map(|(part, at)| linear(*at, part.count, side(part))).collect())
        };
        let images = [image(|part| &part.source), image(|part| &part.destination)];
        let log = vec![linear(0, new.log.1, &new.log.0)];
        let [source, destination] = images;
        let tags = vec![
            format!("{COMMAND}{}", new.command),
            format!("{REGION}{}", new.region_size),
            QUEUED.to_owned(),
        ];
        let mut add = |name: &str, id: &str, segments, tags| {
            changed.add_lv(hidden(name, id, segments, tags, new));
        };
        let [id_mirror, id_source, id_destination, id_log] = &new.ids;
        add(&names.mirror, id_mirror, mirror, tags);
        add(&names.source, id_source, source, Vec::new());
        add(&names.destination, id_destination, destination, Vec::new());
        add(&names.log, id_log, log, Vec::new());
        *self = changed;
        Ok(())
    }

    /// Brings a recorded move into another state.
    ///
    /// # Errors
    /// [`EditError::State`] where that state does not follow; a state that stands already is none.
    pub fn set_move(&mut self, record: &Record, state: State) -> Result<(), EditError> {
        let follows = match (record.state, state) {
            (from, to) if from == to => return Ok(()),
            (State::Queued, State::Copying) | (State::Copying, State::Moved) => true,
            // A commit of Moved that failed may stand; nothing has been switched then.
            (State::Queued | State::Copying | State::Moved, State::Aborting) => true,
            _ => false,
        };
        let names = &record.names;
        let wrong = EditError::State { found: record.state };
        let Some(section) = self.lv_mut(&names.mirror).filter(|_| follows) else {
            return Err(wrong);
        };
        let at = |of: &str| Area { of: of.to_owned(), extent: 0 };
        let shape = match state {
            State::Copying => Shape::Mirror {
                log: Some(names.log.clone()),
                region_size: record.region_size,
                areas: vec![at(&names.source), at(&names.destination)],
            },
            State::Queued | State::Aborting => {
                Shape::Striped { stripe_size: 0, areas: vec![at(&names.source)] }
            }
            State::Moved => Shape::Striped { stripe_size: 0, areas: vec![at(&names.destination)] },
        };
        section.drop_sections(|_| true);
        let segment = Segment { start: 0, count: record.extents, shape };
        section.nodes.push(Node::Section(segment.section(1)));
        drop_word(section, "tags", QUEUED);
        drop_word(section, "tags", ABORTING);
        if state == State::Aborting {
            add_word(section, "tags", ABORTING);
        }
        Ok(())
    }

    /// Sends a move back that has lost these PVs for good: they leave the VG, and with them its destination and
    /// its log. So do all moves that wait for their turn and have something there.
    ///
    /// # Errors
    /// [`EditError::InUse`] where something else lies on one of them.
    pub fn lose_pvs(&mut self, lost: &[String]) -> Result<(), EditError> {
        let mut changed = self.clone();
        let found = super::moves::find(&changed).map_err(EditError::Broken)?;
        for record in &found.moves {
            let names = &record.names;
            let there = [&names.destination, &names.log]
                .into_iter()
                .any(|lv| lost.iter().any(|pv| changed.lies_on(lv, pv)));
            if !there || record.lost.is_some() {
                continue;
            }
            changed.set_move(record, State::Aborting)?;
            let id = |lv: &str| changed.lv_id(lv).unwrap_or_default().to_owned();
            let tags = [
                format!("{LOST_DESTINATION}{}", id(&names.destination)),
                format!("{LOST_LOG}{}", id(&names.log)),
            ];
            if let Some(section) = changed.lv_mut(&names.mirror) {
                tags.iter().for_each(|tag| add_word(section, "tags", tag));
            }
            changed.drop_lvs(|name| name == names.destination || name == names.log);
        }
        for pv in lost {
            let names = changed.lv_names();
            let other = names.into_iter().find(|lv| changed.lies_on(lv, pv)).map(str::to_owned);
            if let Some(lv) = other {
                return Err(EditError::InUse { lv });
            }
        }
        if let Some(pvs) = changed.vg_mut().section_mut("physical_volumes") {
            pvs.drop_sections(|key| lost.iter().any(|pv| pv == key));
        }
        *self = changed;
        Ok(())
    }

    fn lies_on(&self, lv: &str, pv: &str) -> bool {
        self.segment_names_pv(lv, &[pv.to_owned()])
    }

    /// Takes a move out of the text: its LVs lie where the state says, and the other side is free.
    ///
    /// # Errors
    /// [`EditError::State`] for a move that is copying.
    pub fn end_move(&mut self, record: &Record) -> Result<(), EditError> {
        let names = &record.names;
        let image = match record.state {
            State::Queued | State::Aborting => &names.source,
            State::Moved => &names.destination,
            State::Copying => return Err(EditError::State { found: record.state }),
        };
        let lies: Vec<Run> = runs(self, image).map_err(EditError::Broken)?;
        let lvs = record.lvs();
        for &lv in &lvs {
            let runs = |area: &Area, len: u32| {
                let on = |run: &Run| {
                    let on = Area { of: names.mirror.clone(), extent: run.0 };
                    overlap(area, len, &on, run.1, &run.2)
                };
                lies.iter().filter_map(on).collect()
            };
            let (pieces, _) = substitute(pieces(self, lv), &runs);
            put_pieces(self, lv, merge(pieces));
        }
        self.drop_lvs(|name| names.all().contains(&name));
        // What another move has to do with stays LOCKED.
        let on_ours = |lv: &&str| {
            self.segments(lv).iter().any(|segment| match &segment.shape {
                Shape::Striped { areas, .. } => {
                    areas.iter().any(|area| super::moves::is_ours(&area.of))
                }
                _ => false,
            })
        };
        let moving: Vec<&str> = self.lv_names().into_iter().filter(on_ours).collect();
        let kept = locked(self, &moving);
        for lv in locked(self, &lvs).into_iter().filter(|lv| !kept.contains(lv)) {
            if let Some(section) = self.lv_mut(&lv) {
                drop_word(section, "status", LOCKED);
            }
        }
        Ok(())
    }
}

/// What is LOCKED while these LVs move: they, and all that LVM2 could change them through. What stands for a
/// snapshot in the text is no LV.
fn locked(metadata: &Metadata, lvs: &[&str]) -> Vec<String> {
    let uses = Uses::of(metadata);
    let is_lv = |name: &String| {
        let segments = metadata.lv(name).into_iter().flat_map(Section::sections);
        segments.into_iter().all(|segment| kind_of(segment) != "snapshot")
    };
    let mut all: Vec<String> = lvs.iter().flat_map(|lv| uses.family(lv)).filter(is_lv).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn hidden(
    name: &str,
    id: &str,
    segments: Vec<Segment>,
    tags: Vec<String>,
    new: &NewMove<'_>,
) -> Section {
    let mut lv = Section { name: name.to_owned(), nodes: Vec::new() };
    let words = |words: &[&str]| Value::List(words.iter().map(|word| Value::from(*word)).collect());
    lv.set("id", id.into());
    lv.set("status", words(&["READ", "WRITE", LOCKED]));
    lv.set("flags", words(&[]));
    let mut all = vec![TAG.to_owned()];
    all.extend(tags);
    lv.set("tags", list(&all));
    lv.set("creation_time", new.now.into());
    lv.set("creation_host", new.host.into());
    lv.set("segment_count", (segments.len() as u64).into());
    for (number, segment) in segments.iter().enumerate() {
        lv.nodes.push(Node::Section(segment.section(number + 1)));
    }
    lv
}

/// Makes one of two linear runs that go on from one to the next.
fn join(segments: Vec<Segment>) -> Vec<Segment> {
    let pieces = segments.into_iter().map(|segment| (Section::default(), segment)).collect();
    merge(pieces).into_iter().map(|(_, segment)| segment).collect()
}

/// Makes one of each two pieces that go on from one to the next and say the same otherwise.
fn merge(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut merged: Vec<Piece> = Vec::new();
    for piece in pieces {
        match merged.last_mut() {
            Some(last) if goes_on(last, &piece) => last.1.count += piece.1.count,
            _ => merged.push(piece),
        }
    }
    merged
}

fn goes_on((first, before): &Piece, (second, after): &Piece) -> bool {
    let (
        Shape::Striped { stripe_size: one, areas: from },
        Shape::Striped { stripe_size: two, areas: to },
    ) = (&before.shape, &after.shape)
    else {
        return false;
    };
    let Some(len) = before.shape.area_len(before.count) else { return false };
    let follows =
        |(a, b): (&Area, &Area)| a.of == b.of && a.extent.checked_add(len) == Some(b.extent);
    let own = ["start_extent", "extent_count", "stripes"];
    let rest = |section: &Section| -> Vec<Node> {
        let kept = section
            .nodes
            .iter()
            .filter(|node| !matches!(node, Node::Value(key, _) if own.contains(&key.as_str())));
        kept.cloned().collect()
    };
    one == two
        && from.len() == to.len()
        && from.iter().zip(to).all(follows)
        && before.start.checked_add(before.count) == Some(after.start)
        && rest(first) == rest(second)
}
