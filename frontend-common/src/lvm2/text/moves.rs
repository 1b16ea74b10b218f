//! What a move of ours is in LVM2's text. Its state is the structure itself, so that LVM2 activates each
//! state rightly without knowing of us, and nothing has to be kept beside it:
//!
//! | state | `lvshiftN` is | LVM2 activates |
//! |---|---|---|
//! | *Queued* | linear on `lvshiftN_mimage_0`, tag `lvshift.queued` | the source |
//! | *Copying* | a mirror of `_mimage_0` and `_mimage_1` with the log `_mlog` | the mirror, clean regions kept |
//! | *Aborting* | linear on `lvshiftN_mimage_0`, tag `lvshift.aborting` | the source |
//! | *Moved* | linear on `lvshiftN_mimage_1` | the destination |
//! | gone | not there | the side that the LV's segments name |
//!
//! In all of them the moving pieces of the LVs lie on pieces of the one `lvshiftN`, `_mimage_0` strings their
//! extents on the source together, `_mimage_1` those on the destination, and all are LOCKED, the LVs too.

use super::volumes::{Area, Metadata, Segment, Shape};
pub use lvshift_core::metadata::MoveState as State;

/// The start of the names of all LVs of ours.
pub const PREFIX: &str = "lvshift";
/// The tag of every LV of ours.
pub const TAG: &str = "lvshift";
/// The tag that names the command which planned the move.
pub const COMMAND: &str = "lvshift.command=";
/// The tag with the sectors of a region, which a linear segment cannot say.
pub const REGION: &str = "lvshift.region=";
/// The tag of a move that waits for its turn.
pub const QUEUED: &str = "lvshift.queued";
/// The tag of a move that is on its way back.
pub const ABORTING: &str = "lvshift.aborting";
/// The tag with the id that `_mimage_1` had, of a move on its way back whose destination is gone for good.
pub const LOST_DESTINATION: &str = "lvshift.lost.destination=";
/// The same of `_mlog`.
pub const LOST_LOG: &str = "lvshift.lost.log=";
/// LVM2's word that keeps its commands off.
pub const LOCKED: &str = "LOCKED";

/// The names of the LVs of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The LV onto which the moving pieces map.
    pub mirror: String,
    /// The source.
    pub source: String,
    /// The destination.
    pub destination: String,
    /// The dirty log.
    pub log: String,
}

impl Names {
    /// Those of move number `number`.
    #[must_use]
    pub fn of(number: u32) -> Names {
        let mirror = format!("{PREFIX}{number}");
        Names {
            source: format!("{mirror}_mimage_0"),
            destination: format!("{mirror}_mimage_1"),
            log: format!("{mirror}_mlog"),
            mirror,
        }
    }

    /// All four.
    #[must_use]
    pub fn all(&self) -> [&str; 4] {
        [&self.mirror, &self.source, &self.destination, &self.log]
    }
}

/// A piece of a move: consecutive extents on the source, and as many on the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The LV.
    pub lv: String,
    /// Where they lie before, on a PV.
    pub source: Area,
    /// Where they lie after.
    pub destination: Area,
    /// How many.
    pub count: u32,
}

/// A move as the text has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The N of `lvshiftN`.
    pub number: u32,
    /// The id of `lvshiftN`: the move's name for ever.
    pub id: String,
    /// What planned it; moves of one command share this.
    pub command: String,
    /// How far it has come.
    pub state: State,
    /// Sectors of a region of the mirror.
    pub region_size: u32,
    /// Extents in all.
    pub extents: u32,
    /// The pieces, in the order in which they lie on the mirror.
    pub parts: Vec<Part>,
    /// The names of its LVs.
    pub names: Names,
    /// The ids that the destination and the log had, of a move that goes back without them; their PVs are
    /// not in the VG any more, and the parts have no place on the destination.
    pub lost: Option<[String; 2]>,
}

impl Record {
    /// The LVs of which pieces move, each once; a move may have hundreds of pieces of one.
    #[must_use]
    pub fn lvs(&self) -> Vec<&str> {
        lvs_of(&self.parts)
    }

    /// The id that an LV of the move had before it was lost.
    #[must_use]
    pub fn lost_id(&self, lv: &str) -> Option<&str> {
        let [destination, log] = self.lost.as_ref()?;
        match lv {
            _ if lv == self.names.destination => Some(destination),
            _ if lv == self.names.log => Some(log),
            _ => None,
        }
    }
}

/// The LVs of these pieces, each once.
pub(super) fn lvs_of(parts: &[Part]) -> Vec<&str> {
    let mut lvs: Vec<&str> = parts.iter().map(|part| part.lv.as_str()).collect();
    lvs.sort_unstable();
    lvs.dedup();
    lvs
}

/// What is in a text of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The moves, by number.
    pub moves: Vec<Record>,
}

/// Why LVs with our names are no move: nothing may be done with such a VG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The LV.
    pub lv: String,
    /// What is wrong with it.
    pub what: &'static str,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LV {} is not as a move leaves it: {}", self.lv, self.what)
    }
}

impl std::error::Error for Broken {}

/// The number in `lvshiftN`.
fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(PREFIX)?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty();
    let canonical = digits == "0" || !digits.starts_with('0');
    if plain && canonical { digits.parse().ok() } else { None }
}

/// Whether an LV's name is one of ours.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    let stem = name.split('_').next().unwrap_or_default();
    number_of(stem).is_some_and(|number| Names::of(number).all().contains(&name))
}

/// A number that no LV of the VG has.
#[must_use]
pub fn free_number(metadata: &Metadata) -> u32 {
    let taken = |number| {
        let names = Names::of(number);
        metadata.lv_names().iter().any(|lv| names.all().contains(lv))
    };
    (0..).find(|number| !taken(*number)).unwrap_or(u32::MAX)
}

/// All moves in the text.
///
/// # Errors
/// [`Broken`] if anything that bears our names or tags is not exactly as a move leaves it.
pub fn find(metadata: &Metadata) -> Result<Found, Broken> {
    let mut numbers: Vec<u32> = metadata.lv_names().into_iter().filter_map(number_of).collect();
    numbers.sort_unstable();
    let moves: Vec<Record> =
        numbers.into_iter().map(|number| record(metadata, number)).collect::<Result<_, _>>()?;
    for name in metadata.lv_names() {
        let known = moves.iter().any(|entry| entry.names.all().contains(&name));
        let tagged = metadata.lv_tags(name).iter().any(|tag| tag.starts_with(TAG));
        if (tagged || is_ours(name)) && !known {
            return Err(broken(name, "it belongs to no move"));
        }
    }
    Ok(Found { moves })
}

fn broken(lv: &str, what: &'static str) -> Broken {
    Broken { lv: lv.to_owned(), what }
}

fn record(metadata: &Metadata, number: u32) -> Result<Record, Broken> {
    let names = Names::of(number);
    let tags = metadata.lv_tags(&names.mirror);
    let tag = |start: &str| tags.iter().find_map(|tag| tag.strip_prefix(start));
    let lost = tag(LOST_DESTINATION).zip(tag(LOST_LOG)).map(|(a, b)| [a, b].map(str::to_owned));
    for name in names.all() {
        let gone = name == names.destination || name == names.log;
        if lost.is_some() && gone {
            if metadata.lv_id(name).is_some() {
                return Err(broken(name, "it is lost and there all the same"));
            }
            continue;
        }
        let status = metadata.lv_status(name);
        if metadata.lv_id(name).is_none() {
            return Err(broken(name, "it is missing"));
        }
        if !metadata.lv_tags(name).contains(&TAG) {
            return Err(broken(name, "it lacks the tag lvshift"));
        }
        if !status.contains(&LOCKED) || status.contains(&"VISIBLE") {
            return Err(broken(name, "it is not LOCKED and hidden"));
        }
    }
    let segments = metadata.segments(&names.mirror);
    let [segment] = segments.as_slice() else {
        return Err(broken(&names.mirror, "it has not one segment"));
    };
    let state = state_of(&names, segment, &tags)
        .ok_or_else(|| broken(&names.mirror, "its segment is none of the four states"))?;
    let region = tag(REGION).and_then(|text| text.parse::<u32>().ok());
    let region_size = region
        .filter(|size| size.is_power_of_two())
        .ok_or_else(|| broken(&names.mirror, "its tag with the size of a region is missing"))?;
    if let Shape::Mirror { region_size: said, .. } = segment.shape
        && said != region_size
    {
        return Err(broken(
            &names.mirror,
            "its segment and its tag disagree on the size of a region",
        ));
    }
    if lost.is_some() && state != State::Aborting {
        return Err(broken(&names.mirror, "its destination is lost and it does not go back"));
    }
    let parts = parts(metadata, &names, segment.count, lost.is_some())?;
    if metadata.segments(&names.log).iter().any(|segment| on_pv(metadata, segment).is_none()) {
        return Err(broken(&names.log, "it is not linear on PVs"));
    }
    Ok(Record {
        number,
        id: metadata.lv_id(&names.mirror).unwrap_or_default().to_owned(),
        command: tag(COMMAND)
            .ok_or_else(|| broken(&names.mirror, "it lacks the tag of its command"))?
            .to_owned(),
        state,
        region_size,
        extents: segment.count,
        parts,
        names,
        lost,
    })
}

fn state_of(names: &Names, segment: &Segment, tags: &[&str]) -> Option<State> {
    let at_start = |area: &Area, of: &str| area.of == of && area.extent == 0;
    let (queued, aborting) = (tags.contains(&QUEUED), tags.contains(&ABORTING));
    match &segment.shape {
        Shape::Mirror { log: Some(log), areas, .. } if !queued && !aborting => {
            let [source, destination] = areas.as_slice() else { return None };
            let right = *log == names.log
                && at_start(source, &names.source)
                && at_start(destination, &names.destination);
            right.then_some(State::Copying)
        }
        Shape::Striped { areas, .. } => match (areas.as_slice(), queued, aborting) {
            ([area], true, false) if at_start(area, &names.source) => Some(State::Queued),
            ([area], false, true) if at_start(area, &names.source) => Some(State::Aborting),
            ([area], false, false) if at_start(area, &names.destination) => Some(State::Moved),
            _ => None,
        },
        _ => None,
    }
}

/// Where a linear segment on a PV starts.
pub(super) fn on_pv(metadata: &Metadata, segment: &Segment) -> Option<Area> {
    let Shape::Striped { areas, .. } = &segment.shape else { return None };
    let [area] = areas.as_slice() else { return None };
    metadata.pvs().iter().any(|pv| pv.key == area.of).then(|| area.clone())
}

/// A run of an image's extents: its first, how many, and where they lie.
pub(super) type Run = (u32, u32, Area);

/// The runs of one image.
pub(super) fn runs(metadata: &Metadata, image: &str) -> Result<Vec<Run>, Broken> {
    let run = |segment: Segment| {
        let area =
            on_pv(metadata, &segment).ok_or_else(|| broken(image, "it is not linear on PVs"))?;
        Ok((segment.start, segment.count, area))
    };
    metadata.segments(image).into_iter().map(run).collect()
}

/// The pieces of LVs that lie on the mirror: where on it, how many extents, whose.
fn users(metadata: &Metadata, names: &Names) -> Result<Vec<(u32, u32, String)>, Broken> {
    let mut users = Vec::new();
    for lv in metadata.lv_names() {
        for segment in metadata.segments(lv) {
            let Some(len) = segment.shape.area_len(segment.count) else { continue };
            let (Shape::Striped { areas, .. } | Shape::Mirror { areas, .. }) = &segment.shape
            else {
                continue;
            };
            for area in areas.iter().filter(|area| area.of == names.mirror) {
                if !metadata.lv_status(lv).contains(&LOCKED) {
                    return Err(broken(lv, "it is not LOCKED"));
                }
                users.push((area.extent, len, lv.to_owned()));
            }
        }
    }
    users.sort();
    Ok(users)
}

fn parts(
    metadata: &Metadata,
    names: &Names,
    extents: u32,
    lost: bool,
) -> Result<Vec<Part>, Broken> {
    let users = users(metadata, names)?;
    let mut next = 0;
    for (start, len, lv) in &users {
        if *start != next {
            return Err(broken(lv, "the pieces on the mirror do not cover it"));
        }
        next = start.saturating_add(*len);
    }
    if next != extents {
        return Err(broken(&names.mirror, "the pieces on it do not cover it"));
    }
    let nowhere = vec![(0, extents, Area { of: String::new(), extent: 0 })];
    let from = runs(metadata, &names.source)?;
    let to = if lost { nowhere } else { runs(metadata, &names.destination)? };
    for (image, runs) in [(&names.source, &from), (&names.destination, &to)] {
        if runs.last().map(|(start, count, _)| start + count) != Some(extents) {
            return Err(broken(image, "it has not the mirror's size"));
        }
    }
    // Cut wherever one of the three lists is cut.
    let mut cuts: Vec<u32> = users.iter().map(|user| user.0).collect();
    cuts.extend(from.iter().chain(&to).map(|run| run.0));
    cuts.push(extents);
    cuts.sort_unstable();
    cuts.dedup();
    let lies = |runs: &[Run], at: u32| {
        let run = runs.iter().rev().find(|run| run.0 <= at)?;
        Some(Area { of: run.2.of.clone(), extent: run.2.extent.checked_add(at - run.0)? })
    };
    let piece = |pair: &[u32]| {
        let &[start, end] = pair else { return None };
        let (.., lv) = users.iter().rev().find(|user| user.0 <= start)?;
        Some(Part {
            lv: lv.clone(),
            source: lies(&from, start)?,
            destination: lies(&to, start)?,
            count: end - start,
        })
    };
    cuts.windows(2)
        .map(piece)
        .collect::<Option<_>>()
        .ok_or_else(|| broken(&names.mirror, "its extents have no place"))
}

impl Metadata {
    /// Where the log of a move lies: how many extents, from where on. `None` unless it is in one piece.
    #[must_use]
    pub fn log_place(&self, record: &Record) -> Option<(u32, Area)> {
        match runs(self, &record.names.log).ok()?.as_slice() {
            [(0, extents, area)] => Some((*extents, area.clone())),
            _ => None,
        }
    }
}
