//! What LVM2's words say: the VG, its PVs, its LVs and their segments.

use super::tree::{Node, ParseError, Section, Value};

/// A whole text with one VG in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    tree: Section,
    name: String,
}

/// A PV in the VG's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pv {
    /// What the text calls it: `pv0`.
    pub key: String,
    /// Its id, with hyphens.
    pub id: String,
    /// The device it was on when the text was written; a hint.
    pub device: String,
    /// Sectors of the device.
    pub dev_size: u64,
    /// The first sector of extent 0.
    pub pe_start: u64,
    /// How many extents.
    pub pe_count: u32,
    /// LVM2's words: `ALLOCATABLE`, `MISSING`, `EXPORTED`.
    pub status: Vec<String>,
    /// LVM2's flags: `MISSING` since 2.02.
    pub flags: Vec<String>,
}

/// Where a stripe starts: on a PV, or on another LV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// The key of a PV, or the name of an LV.
    pub of: String,
    /// The first extent on it.
    pub extent: u32,
}

/// What a segment's extents are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One area is LVM2's `linear`.
    Striped {
        /// Sectors of a stripe; 0 with one area.
        stripe_size: u32,
        /// In the order of the stripes.
        areas: Vec<Area>,
    },
    /// Images that are made equal.
    Mirror {
        /// The LV with the log, unless it is in memory.
        log: Option<String>,
        /// Sectors of a region.
        region_size: u32,
        /// The images.
        areas: Vec<Area>,
    },
    /// Another of LVM2's types, or one of these in a form that is not known.
    Other(String),
}

/// A run of an LV's extents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The first logical extent.
    pub start: u32,
    /// How many.
    pub count: u32,
    /// What they are made of.
    pub shape: Shape,
}

impl Shape {
    /// Extents that each area takes of a segment of `count`; `None` if they do not come out even.
    #[must_use]
    pub fn area_len(&self, count: u32) -> Option<u32> {
        match self {
            Shape::Striped { areas, .. } => {
                let stripes = u32::try_from(areas.len()).ok().filter(|n| *n > 0)?;
                count.is_multiple_of(stripes).then_some(count / stripes)
            }
            Shape::Mirror { .. } => Some(count),
            Shape::Other(_) => None,
        }
    }
}

impl Segment {
    pub(super) fn read(section: &Section) -> Option<Segment> {
        let small = |key| section.number(key).and_then(|n| u32::try_from(n).ok());
        let kind = section.text("type")?;
        let areas = |key, count| areas(section, key).filter(|a| Some(a.len()) == count);
        let count_of = |key| small(key).and_then(|n| usize::try_from(n).ok());
        // LVM2 writes segment types with their flags: `striped+FLAG`.
        let shape = match kind {
            "striped" | "linear" => areas("stripes", count_of("stripe_count")).map(|areas| {
                Shape::Striped { stripe_size: small("stripe_size").unwrap_or(0), areas }
            }),
            "mirror" if section.value("extents_moved").is_none() => {
                areas("mirrors", count_of("mirror_count")).and_then(|areas| {
                    let log = section.text("mirror_log").map(str::to_owned);
                    Some(Shape::Mirror { log, region_size: small("region_size")?, areas })
                })
            }
            _ => None,
        };
        Some(Segment {
            start: small("start_extent")?,
            count: small("extent_count")?,
            shape: shape.unwrap_or_else(|| Shape::Other(kind.to_owned())),
        })
    }

    /// Writes what this says into a segment's section, and leaves all else that is there.
    pub(super) fn write(&self, section: &mut Section) {
        section.set("start_extent", u64::from(self.start).into());
        section.set("extent_count", u64::from(self.count).into());
        let list = |areas: &[Area]| {
            let pair =
                |area: &Area| [Value::Text(area.of.clone()), Value::from(u64::from(area.extent))];
            Value::List(areas.iter().flat_map(pair).collect())
        };
        match &self.shape {
            Shape::Striped { stripe_size, areas } => {
                section.set("type", "striped".into());
                section.set("stripe_count", (areas.len() as u64).into());
                if areas.len() > 1 {
                    section.set("stripe_size", u64::from(*stripe_size).into());
                }
                section.set("stripes", list(areas));
            }
            Shape::Mirror { log, region_size, areas } => {
                section.set("type", "mirror".into());
                section.set("mirror_count", (areas.len() as u64).into());
                if let Some(log) = log {
                    section.set("mirror_log", log.as_str().into());
                }
                section.set("region_size", u64::from(*region_size).into());
                section.set("mirrors", list(areas));
            }
            Shape::Other(_) => {}
        }
    }

    /// A new section that says this.
    pub(super) fn section(&self, number: usize) -> Section {
        let mut section = Section { name: format!("segment{number}"), nodes: Vec::new() };
        self.write(&mut section);
        section
    }
}

fn areas(section: &Section, key: &str) -> Option<Vec<Area>> {
    let Some(Value::List(values)) = section.value(key) else { return None };
    let pair = |pair: &[Value]| match pair {
        [Value::Text(of), Value::Number(extent)] => {
            Some(Area { of: of.clone(), extent: extent.parse().ok()? })
        }
        _ => None,
    };
    values.chunks(2).map(pair).collect()
}

impl Metadata {
    /// Reads the text of one VG.
    ///
    /// # Errors
    /// Where it is not LVM2's format, or holds no VG, or several.
    pub fn parse(text: &str) -> Result<Metadata, ParseError> {
        let tree = Section::parse(text)?;
        let none = ParseError { line: 1, what: "the text is not of one VG" };
        let all: Vec<&Section> = tree.sections().collect();
        let [vg] = all.as_slice() else { return Err(none) };
        let whole = vg.text("id").is_some()
            && vg.number("seqno").is_some()
            && vg
                .number("extent_size")
                .is_some_and(|size| u32::try_from(size).is_ok_and(|s| s > 0));
        if !whole {
            return Err(none);
        }
        let name = vg.name.clone();
        let metadata = Metadata { tree, name };
        if metadata.segments_make_sense() {
            return Ok(metadata);
        }
        Err(ParseError { line: 1, what: "the segments of an LV do not cover it" })
    }

    /// The text, as `vgcfgrestore` takes it.
    #[must_use]
    pub fn print(&self) -> String {
        self.tree.to_string()
    }

    pub(super) fn vg(&self) -> &Section {
        // `parse` saw to it, and nothing takes it away.
        self.tree.section(&self.name).expect("a text has its VG")
    }

    pub(super) fn vg_mut(&mut self) -> &mut Section {
        self.tree.section_mut(&self.name).expect("a text has its VG")
    }

    /// The VG's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The VG's id, with hyphens.
    #[must_use]
    pub fn id(&self) -> &str {
        self.vg().text("id").unwrap_or_default()
    }

    /// Rises with every change.
    #[must_use]
    pub fn seqno(&self) -> u64 {
        self.vg().number("seqno").unwrap_or(0)
    }

    /// Sectors of an extent.
    #[must_use]
    pub fn extent_size(&self) -> u32 {
        self.vg().number("extent_size").and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
    }

    /// The PVs, in the order of the text.
    #[must_use]
    pub fn pvs(&self) -> Vec<Pv> {
        let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
        let pv = |section: &Section| {
            Some(Pv {
                key: section.name.clone(),
                id: section.text("id")?.to_owned(),
                device: section.text("device").unwrap_or_default().to_owned(),
                dev_size: section.number("dev_size").unwrap_or(0),
                pe_start: section.number("pe_start")?,
                pe_count: u32::try_from(section.number("pe_count")?).ok()?,
                status: owned(section.texts("status")),
                flags: owned(section.texts("flags")),
            })
        };
        self.vg()
            .section("physical_volumes")
            .map(|all| all.sections().filter_map(pv).collect())
            .unwrap_or_default()
    }

    /// The sections of the LVs, in the order of the text.
    pub(super) fn lv_sections(&self) -> impl Iterator<Item = &Section> {
        self.vg().section("logical_volumes").into_iter().flat_map(Section::sections)
    }

    /// The names of all LVs, hidden ones too.
    #[must_use]
    pub fn lv_names(&self) -> Vec<&str> {
        self.lv_sections().map(|lv| lv.name.as_str()).collect()
    }

    pub(super) fn lv(&self, name: &str) -> Option<&Section> {
        self.vg().section("logical_volumes")?.section(name)
    }

    pub(super) fn lv_mut(&mut self, name: &str) -> Option<&mut Section> {
        self.vg_mut().section_mut("logical_volumes")?.section_mut(name)
    }

    /// The id of an LV, with hyphens.
    #[must_use]
    pub fn lv_id(&self, name: &str) -> Option<&str> {
        self.lv(name)?.text("id")
    }

    /// The LV with this id.
    #[must_use]
    pub fn lv_by_id(&self, id: &str) -> Option<&str> {
        self.lv_sections().find(|lv| lv.text("id") == Some(id)).map(|lv| lv.name.as_str())
    }

    /// LVM2's words for an LV: `READ`, `WRITE`, `VISIBLE`, `LOCKED`, ...
    #[must_use]
    pub fn lv_status(&self, name: &str) -> Vec<&str> {
        self.lv(name).map(|lv| lv.texts("status")).unwrap_or_default()
    }

    /// The tags of an LV.
    #[must_use]
    pub fn lv_tags(&self, name: &str) -> Vec<&str> {
        self.lv(name).map(|lv| lv.texts("tags")).unwrap_or_default()
    }

    /// The segments of an LV, in their order; none where there is no such LV.
    #[must_use]
    pub fn segments(&self, name: &str) -> Vec<Segment> {
        let mut all: Vec<Segment> = self
            .lv(name)
            .into_iter()
            .flat_map(Section::sections)
            .filter_map(Segment::read)
            .collect();
        all.sort_by_key(|segment| segment.start);
        all
    }

    /// Extents of an LV.
    #[must_use]
    pub fn extents(&self, name: &str) -> u32 {
        self.segments(name).last().map_or(0, |last| last.start.saturating_add(last.count))
    }

    fn segments_make_sense(&self) -> bool {
        self.lv_sections().all(|lv| {
            let segments = self.segments(&lv.name);
            let count = lv.number("segment_count");
            let mut next = Some(0_u32);
            for segment in &segments {
                if next != Some(segment.start) || segment.count == 0 {
                    return false;
                }
                next = segment.start.checked_add(segment.count);
            }
            next.is_some()
                && count == u64::try_from(segments.len()).ok()
                && lv.sections().count() == segments.len()
                && lv.text("id").is_some()
        })
    }

    pub(super) fn add_lv(&mut self, lv: Section) {
        let vg = self.vg_mut();
        if vg.section("logical_volumes").is_none() {
            let name = "logical_volumes".to_owned();
            vg.nodes.push(Node::Section(Section { name, nodes: Vec::new() }));
        }
        if let Some(all) = vg.section_mut("logical_volumes") {
            all.nodes.push(Node::Section(lv));
        }
    }

    pub(super) fn drop_lvs(&mut self, unwanted: impl Fn(&str) -> bool) {
        let vg = self.vg_mut();
        if let Some(all) = vg.section_mut("logical_volumes") {
            all.drop_sections(unwanted);
        }
    }
}

impl Metadata {
    /// Whether both say the same of the VG, apart from what LVM2 changes with every commit: the sequence
    /// number, who wrote it, and the devices it saw.
    #[must_use]
    pub fn says_the_same(&self, other: &Metadata) -> bool {
        self.essence() == other.essence()
    }

    fn essence(&self) -> Section {
        let pvs = self.pvs();
        let mut vg = self.vg().clone();
        vg.unset("seqno");
        if let Some(all) = vg.section_mut("physical_volumes") {
            for node in &mut all.nodes {
                if let Node::Section(pv) = node {
                    ["device", "device_id", "device_id_type"].iter().for_each(|key| pv.unset(key));
                }
            }
        }
        by_name(&mut vg, &pvs);
        vg
    }
}

/// Names PVs by their ids, since LVM2 gives the keys anew, and sorts: its order has no meaning.
fn by_name(section: &mut Section, pvs: &[Pv]) {
    let id = |name: &mut String| {
        if let Some(pv) = pvs.iter().find(|pv| pv.key == *name) {
            name.clone_from(&pv.id);
        }
    };
    let is_pvs = section.name == "physical_volumes";
    for node in &mut section.nodes {
        match node {
            Node::Section(inner) => {
                if is_pvs {
                    id(&mut inner.name);
                }
                by_name(inner, pvs);
            }
            Node::Value(key, Value::List(values)) if key != "tags" => {
                for value in values {
                    if let Value::Text(text) = value {
                        id(text);
                    }
                }
            }
            Node::Value(..) => {}
        }
    }
    section.nodes.sort_by(|a, b| name_of(a).cmp(name_of(b)));
}

fn name_of(node: &Node) -> &str {
    match node {
        Node::Section(section) => &section.name,
        Node::Value(key, _) => key,
    }
}

impl Metadata {
    /// Whether a segment of this LV names one of these PVs, in whatever key.
    #[must_use]
    pub fn segment_names_pv(&self, lv: &str, pvs: &[String]) -> bool {
        let names = |segment: &Section| {
            segment.nodes.iter().any(|node| match node {
                Node::Value(_, Value::List(values)) => values.iter().any(
                    |value| matches!(value, Value::Text(text) if pvs.iter().any(|pv| pv == text)),
                ),
                Node::Value(_, Value::Text(text)) => pvs.iter().any(|pv| pv == text),
                _ => false,
            })
        };
        self.lv(lv).is_some_and(|lv| lv.sections().any(names))
    }
}

impl Metadata {
    /// The first sector of an area on its PV's device; `None` where it is on no PV.
    #[must_use]
    pub fn sector_of(&self, area: &Area) -> Option<u64> {
        let pv = self.pvs().into_iter().find(|pv| pv.key == area.of)?;
        let span = u64::from(area.extent).checked_mul(u64::from(self.extent_size()))?;
        pv.pe_start.checked_add(span)
    }
}
