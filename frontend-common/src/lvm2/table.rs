//! The tables that LVM2 would load, word for word, so that its `lvchange --refresh` finds nothing to change.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use lvshift_core::units::DeviceNumber;

use super::text::{Area, Metadata, Segment, Shape};

/// One line of a table, as the kernel takes it and tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The first sector.
    pub start: u64,
    /// How many.
    pub len: u64,
    /// The target's name.
    pub kind: String,
    /// Its arguments.
    pub params: String,
}

impl Line {
    /// Whether there is anything behind it.
    #[must_use]
    pub fn maps(&self) -> bool {
        self.kind != "error"
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.start, self.len, self.kind, self.params)
    }
}

/// Which devices the names in a text are on this host.
pub trait Numbers {
    /// The device of the PV with this key.
    fn pv(&self, key: &str) -> Option<DeviceNumber>;
    /// The device of the LV with this name.
    fn lv(&self, name: &str) -> Option<DeviceNumber>;
}

/// The lines of an LV's table; `None` where a device is not there, or a segment is none that we know.
#[must_use]
pub fn lines(metadata: &Metadata, lv: &str, numbers: &dyn Numbers) -> Option<Vec<Line>> {
    let places = Places::of(metadata, numbers);
    metadata.segments(lv).iter().map(|segment| line(&places, segment)).collect()
}

/// A table of one line onto the start of another LV.
#[must_use]
pub fn onto(
    metadata: &Metadata,
    lv: &str,
    extents: u32,
    numbers: &dyn Numbers,
) -> Option<Vec<Line>> {
    let areas = vec![Area { of: lv.to_owned(), extent: 0 }];
    let shape = Shape::Striped { stripe_size: 0, areas };
    let places = Places::of(metadata, numbers);
    Some(vec![line(&places, &Segment { start: 0, count: extents, shape })?])
}

/// A table that maps to nothing.
#[must_use]
pub fn nothing(len: u64) -> Vec<Line> {
    vec![Line { start: 0, len, kind: "error".to_owned(), params: String::new() }]
}

/// Where areas lie. Each device is asked for once: a table may have thousands of lines onto the same.
struct Places<'a> {
    extent: u64,
    /// Where the extents of each PV start.
    starts: HashMap<String, u64>,
    numbers: &'a dyn Numbers,
    known: RefCell<HashMap<String, Option<DeviceNumber>>>,
}

impl<'a> Places<'a> {
    fn of(metadata: &Metadata, numbers: &'a dyn Numbers) -> Self {
        let starts = metadata.pvs().into_iter().map(|pv| (pv.key, pv.pe_start)).collect();
        let extent = u64::from(metadata.extent_size());
        Places { extent, starts, numbers, known: RefCell::default() }
    }

    fn number(&self, of: &str) -> Option<DeviceNumber> {
        if let Some(known) = self.known.borrow().get(of) {
            return *known;
        }
        let is_pv = self.starts.contains_key(of);
        let number = if is_pv { self.numbers.pv(of) } else { self.numbers.lv(of) };
        self.known.borrow_mut().insert(of.to_owned(), number);
        number
    }

    /// A device and a sector on it, as a table has them.
    fn place(&self, area: &Area) -> Option<String> {
        let start = self.starts.get(&area.of).copied().unwrap_or(0);
        let offset = u64::from(area.extent).checked_mul(self.extent)?;
        Some(format!("{} {}", self.number(&area.of)?, start.checked_add(offset)?))
    }
}

/// The line of one segment.
fn line(at: &Places<'_>, segment: &Segment) -> Option<Line> {
    let place = |area: &Area| at.place(area);
    let places = |areas: &[Area]| -> Option<Vec<String>> { areas.iter().map(place).collect() };
    let (kind, params) = match &segment.shape {
        Shape::Striped { areas, .. } if areas.len() == 1 => ("linear", places(areas)?.join(" ")),
        Shape::Striped { stripe_size, areas } => {
            ("striped", format!("{} {stripe_size} {}", areas.len(), places(areas)?.join(" ")))
        }
        Shape::Mirror { log: Some(log), region_size, areas } => {
            let log = at.number(log)?;
            let images = places(areas)?;
            let params = format!(
                "disk 2 {log} {region_size} {} {} 1 handle_errors",
                images.len(),
                images.join(" ")
            );
            ("mirror", params)
        }
        Shape::Mirror { log: None, .. } | Shape::Other(_) => return None,
    };
    let len = u64::from(segment.count).checked_mul(at.extent)?;
    Some(Line {
        start: u64::from(segment.start).checked_mul(at.extent)?,
        len,
        kind: kind.to_owned(),
        params,
    })
}
