//! The LVs that a command line means: all of them are looked up before the first is changed, and no
//! lock is held while a person is asked about them.

use lvshift_core::units::{LvIndex, Uuid};

use super::lookup::{self, full_name, refuse};
use crate::error::{Error, Kind, Result};
use crate::vg::{Hold, OpenVg};

/// LVs of one VG.
#[derive(Debug)]
pub(super) struct Chosen {
    /// Read without its lock; see [`Chosen::lock`].
    pub(super) open: OpenVg,
    pub(super) lvs: Vec<LvIndex>,
    /// The VG alone was named: all of its LVs are meant.
    pub(super) whole: bool,
}

/// The LVs named, by VG in the order named; a VG alone means all of its LVs.
///
/// # Errors
/// `Kind::NotFound` for whichever name is not there; `Kind::Usage` for a blank in the place of a slash.
pub(super) fn look_up(names: &[String]) -> Result<Vec<Chosen>> {
    let mut found = Vec::new();
    for (vg, lvs) in lookup::by_vg(names)? {
        let open = OpenVg::open(&vg, Hold::Release)?;
        refuse_blank(&open, names)?;
        let whole = lvs.is_empty();
        let lvs = lookup::chosen(&open, &lvs)?;
        found.push(Chosen { open, lvs, whole });
    }
    Ok(found)
}

/// `lvremove vg0 home` where vg0 has an LV home is most likely a slip, even where there is a VG home.
fn refuse_blank(open: &OpenVg, names: &[String]) -> Result<()> {
    let vg = open.vg();
    let slip = slip(vg.name().as_str(), names, |lv| vg.lv_by_name(lv).is_some());
    let Some(lv) = slip else { return Ok(()) };
    let what = format!("`{} {lv}`: {lv} is an LV of that VG", vg.name());
    Err(refuse(Kind::Usage, what)
        .next(format!("write {}/{lv}, or name one of them alone", vg.name())))
}

/// The bare word beside the bare name of this VG that is the name of one of its LVs.
fn slip<'a>(vg: &str, names: &'a [String], has: impl Fn(&str) -> bool) -> Option<&'a str> {
    let bare = |name: &&String| !name.contains('/');
    names.iter().filter(bare).find(|name| *name == vg)?;
    let others = names.iter().filter(bare).filter(|name| *name != vg);
    others.map(String::as_str).find(|name| has(name))
}

impl Chosen {
    pub(super) fn uuids(&self) -> Vec<Uuid> {
        self.lvs.iter().filter_map(|lv| Some(self.open.vg().lv(*lv)?.uuid)).collect()
    }

    /// `VG/LV` of each.
    pub(super) fn names(&self) -> Vec<String> {
        self.lvs.iter().map(|lv| full_name(self.open.vg(), *lv)).collect()
    }

    /// The same VG, read again with its metadata lock held from now on.
    ///
    /// # Errors
    /// `Kind::State` when one of the LVs, or the VG of that name, is not the one that was looked up.
    pub(super) fn lock(self) -> Result<(OpenVg, Vec<Uuid>)> {
        let (uuids, names, vg) = (self.uuids(), self.names(), self.open.vg().uuid());
        let name = self.open.vg().name().as_str().to_owned();
        drop(self.open);
        let open = OpenVg::open(&name, Hold::Keep)?;
        if open.vg().uuid() != vg {
            return Err(Error::changed_meanwhile(&name));
        }
        for (uuid, name) in uuids.iter().zip(&names) {
            let now = open.vg().lv_by_uuid(*uuid).map(|lv| full_name(open.vg(), lv));
            if now.as_ref() != Some(name) {
                return Err(Error::changed_meanwhile(name));
            }
        }
        Ok((open, uuids))
    }
}

#[cfg(test)]
mod tests {
    use super::slip;

    #[test]
    fn a_blank_in_the_place_of_a_slash_is_seen() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let home = |lv: &str| lv == "home";
        assert_eq!(slip("vg0", &words("vg0 home"), home), Some("home"));
        assert_eq!(slip("vg0", &words("home vg0"), home), Some("home"));
        for line in ["vg0", "vg0/home", "vg0 vg1", "vg1 home", "vg0 vg0/home"] {
            assert_eq!(slip("vg0", &words(line), home), None, "{line}");
        }
    }
}
