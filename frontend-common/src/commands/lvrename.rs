//! `lvrename`.

use super::Context;
use super::lookup::{self, refuse};
use super::take_down::not_moving;
use crate::cli::lv_args::Lvrename;
use crate::error::{Error, Kind, Result};
use crate::exclusive;
use crate::vg::{Hold, OpenVg};

pub(super) fn run(context: &mut Context<'_>, args: &Lvrename) -> Result<()> {
    let (vg, old, new) = names(&args.names)?;
    let new = lookup::name(&new)?;
    let mut open = OpenVg::open(&vg, Hold::Keep)?;
    let lv = lookup::lv(open.vg(), &old)?;
    if open.vg().lv_by_name(new.as_str()).is_some() {
        return Err(refuse(
            Kind::Exists,
            format!("Logical Volume \"{new}\" already exists in volume group \"{vg}\""),
        ));
    }
    exclusive::check(context.front_end.name(), open.vg(), lv)?;
    not_moving(context.program, &open, lv)?;
    let active = context.front_end.active(open.vg(), lv)?.is_some();
    let index = open.commit(|vg| {
        let lv = lookup::lv(vg, &old)?;
        vg.rename_lv(lv, new.clone())
            .map_err(|e| refuse(Kind::State, format!("{old} cannot be renamed")).because(e))?;
        Ok(lv)
    })?;
    if active {
        context.front_end.rename(open.vg(), index, &old).map_err(|error| {
            Error::new(Kind::Kernel, format!("the device of {vg}/{old} could not be renamed"))
                .because(error)
                .state(format!("the metadata have the name {new}; the device has the old one"))
                .next(format!("lvchange -a n {vg}/{new}, then lvchange -a y {vg}/{new}"))
        })?;
    }
    context.say(format!("Renamed \"{old}\" to \"{new}\" in volume group \"{vg}\""));
    Ok(())
}

/// `VG OLD NEW` or `VG/OLD NEW`, where each name may be written with its VG.
fn names(words: &[String]) -> Result<(String, String, String)> {
    let (vg, old, new) = match words {
        [old, new] => {
            let (vg, old) = lookup::lv_name(old)?;
            (vg, old, new)
        }
        [vg, old, new] => {
            let vg = lookup::vg_name(vg)?;
            let old = short(&vg, old)?;
            (vg, old, new)
        }
        _ => return Err(refuse(Kind::Usage, "VG/OLD NEW or VG OLD NEW was expected")),
    };
    let new = short(&vg, new)?;
    Ok((vg, old, new))
}

/// The LV's own name, of `LV` or `VG/LV`, which must be the VG already named.
fn short(vg: &str, text: &str) -> Result<String> {
    if !text.contains('/') {
        return Ok(text.to_owned());
    }
    let (other, lv) = lookup::lv_name(text)?;
    if other != vg {
        return Err(refuse(Kind::Usage, format!("an LV cannot move from VG {vg} to VG {other}")));
    }
    Ok(lv)
}

#[cfg(test)]
mod tests {
    use super::names;

    fn parse(line: &str) -> Option<(String, String, String)> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        names(&words).ok()
    }

    #[test]
    fn the_three_ways_to_write_it() {
        let expected = Some(("vg0".to_owned(), "a".to_owned(), "b".to_owned()));
        for line in ["vg0 a b", "vg0/a b", "/dev/vg0/a vg0/b", "vg0 vg0/a /dev/vg0/b"] {
            assert_eq!(parse(line), expected, "{line}");
        }
        for line in ["a b", "vg0/a vg1/b", "vg0 vg1/a b"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
