//! What LVs are for one another: image, pool, origin, log; which of them go together, and what LVM2 calls the
//! device of each.

use super::tree::{Node, Section, Value};
use super::volumes::Metadata;

/// Keys of LVM2's segments that name no LV, whatever they say.
const NO_LV: &[&str] = &["type", "tags", "discards", "cache_mode", "policy"];

/// One LV uses another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use<'a> {
    /// The LV that uses.
    pub user: &'a str,
    /// Its segment's type, without LVM2's flags: `raid1`, `thin-pool`, `cache`.
    pub kind: &'a str,
    /// What for, as the segment's key says: `raids`, `metadata`, `origin`.
    pub key: &'a str,
    /// Which of those that the key lists, from 0.
    pub at: usize,
    /// The LV that is used.
    pub used: &'a str,
}

/// All uses in a VG.
#[derive(Clone, Debug)]
pub struct Uses<'a> {
    all: Vec<Use<'a>>,
}

/// The type of a segment, without flags (`cache+METADATA_FORMAT` is `cache`).
#[must_use]
pub fn kind_of(section: &Section) -> &str {
    section.text("type").and_then(|kind| kind.split('+').next()).unwrap_or_default()
}

fn names(value: &Value) -> Vec<&str> {
    match value {
        Value::Text(text) => vec![text.as_str()],
        Value::List(values) => values
            .iter()
            .filter_map(|value| match value {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect(),
        Value::Number(_) => Vec::new(),
    }
}

impl<'a> Uses<'a> {
    /// Those of this VG.
    #[must_use]
    pub fn of(metadata: &'a Metadata) -> Uses<'a> {
        let known: std::collections::HashSet<&str> = metadata.lv_names().into_iter().collect();
        let mut all = Vec::new();
        for lv in metadata.lv_sections() {
            for segment in lv.sections() {
                let values = segment.nodes.iter().filter_map(|node| match node {
                    Node::Value(key, value) if !NO_LV.contains(&key.as_str()) => Some((key, value)),
                    _ => None,
                });
                for (key, value) in values {
                    for (at, used) in names(value).into_iter().enumerate() {
                        if known.contains(used) && used != lv.name {
                            let (user, kind) = (lv.name.as_str(), kind_of(segment));
                            all.push(Use { user, kind, key: key.as_str(), at, used });
                        }
                    }
                }
            }
        }
        Uses { all }
    }

    /// Who uses this LV, and what for.
    pub fn by(&self, lv: &str) -> impl Iterator<Item = &Use<'a>> {
        self.all.iter().filter(move |one| one.used == lv)
    }

    /// What this LV uses.
    pub fn from(&self, lv: &str) -> impl Iterator<Item = &Use<'a>> {
        self.all.iter().filter(move |one| one.user == lv)
    }

    /// The LV, and all that use it, directly or not: a command of LVM2 on one of them may change the devices of
    /// this one. The snapshots of an origin are among them, as those whose end takes a device away.
    #[must_use]
    pub fn family(&self, lv: &str) -> Vec<String> {
        let mut found = vec![lv.to_owned()];
        let mut at = 0;
        while let Some(name) = found.get(at).cloned() {
            at += 1;
            let users = self.by(&name).map(|one| one.user);
            let snapshots = self.by(&name).filter(|one| one.kind == "snapshot").flat_map(|one| {
                let of = one.user;
                self.from(of).map(|one| one.used)
            });
            for other in users.chain(snapshots) {
                if !found.iter().any(|known| known == other) {
                    found.push(other.to_owned());
                }
            }
        }
        found
    }

    /// The LV, and all that it uses, directly or not. A thin LV's extents are its pool's, and not its own.
    #[must_use]
    pub fn below(&self, lv: &str) -> Vec<String> {
        let mut found = vec![lv.to_owned()];
        let mut at = 0;
        while let Some(name) = found.get(at).cloned() {
            at += 1;
            for one in self.from(&name).filter(|one| one.kind != "thin") {
                if !found.iter().any(|known| known == one.used) {
                    found.push(one.used.to_owned());
                }
            }
        }
        found
    }

    /// What LVM2 puts behind an LV's UUID and, for some, name to say which device maps its segments; nothing for
    /// most LVs.
    #[must_use]
    pub fn layer(&self, lv: &str) -> Option<Layer> {
        self.by(lv).find_map(|one| match (one.kind, one.key) {
            ("snapshot", "origin") => Some(Layer { suffix: "real", named: true }),
            ("snapshot", "cow_store") => Some(Layer { suffix: "cow", named: true }),
            ("thin-pool", "pool") => Some(Layer { suffix: "tdata", named: false }),
            ("thin-pool", "metadata") => Some(Layer { suffix: "tmeta", named: false }),
            ("cache-pool", "data") => Some(Layer { suffix: "cdata", named: false }),
            ("cache-pool", "metadata") => Some(Layer { suffix: "cmeta", named: false }),
            ("cache" | "writecache", "origin") => Some(Layer { suffix: "real", named: false }),
            ("cache", "cache_pool") | ("writecache", "writecache") => {
                // A cache pool has no segments on PVs and no device of its own.
                Some(Layer { suffix: "cvol", named: false })
            }
            _ => None,
        })
    }

    /// What the other images of a RAID or mirror LV of which this is an image (or lies below one) lie on: two of
    /// them must not come to lie on one PV.
    #[must_use]
    pub fn siblings(&self, lv: &str) -> Vec<String> {
        // RAID images are listed as rmeta, rimage, rmeta, rimage; those of a mirror plainly.
        let image = |one: &Use<'_>| if one.key == "raids" { one.at / 2 } else { one.at };
        let mut found = Vec::new();
        for name in &self.family(lv) {
            for one in self.by(name).filter(|one| matches!(one.key, "raids" | "mirrors")) {
                let others = self.from(one.user);
                let others = others.filter(|it| it.key == one.key && image(it) != image(one));
                found.extend(others.flat_map(|other| self.below(other.used)));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// How LVM2 tells the device of an LV's segments from others of the same LV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// What stands behind the UUID.
    pub suffix: &'static str,
    /// It stands behind the device's name, too.
    pub named: bool,
}
