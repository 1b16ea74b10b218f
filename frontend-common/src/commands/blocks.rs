//! Every way onto a PV: an LV does not come to have larger blocks under its users. A file system that
//! writes 512 or 1024 bytes fails on an LV that takes only 4096.

use lvshift_core::units::PvIndex;

use super::lookup::refuse;
use crate::error::{Kind, Result};
use crate::pv::Members;

/// What LVM and everybody else takes for granted.
const USUAL: u32 = 512;

fn block(members: &Members, pv: PvIndex) -> u32 {
    members.get(pv).map_or(USUAL, |member| member.logical_block)
}

/// Refuses PVs whose blocks are larger than those of the PVs on which the LV lies now; a new LV is
/// to lie on PVs of one size of blocks.
pub(super) fn check(
    members: &Members,
    lv: &str,
    now: impl Iterator<Item = PvIndex>,
    then: impl Iterator<Item = PvIndex>,
) -> Result<()> {
    let then: Vec<(PvIndex, u32)> = then.map(|pv| (pv, block(members, pv))).collect();
    let smallest = then.iter().map(|(_, block)| *block).min();
    let Some(old) = now.map(|pv| block(members, pv)).max().or(smallest) else { return Ok(()) };
    let Some((pv, new)) = larger(old, &then) else { return Ok(()) };
    let path = members.get(pv).map(|m| m.path.display().to_string());
    let path = path.unwrap_or_else(|| "[unknown]".to_owned());
    let what = format!("{path} has blocks of {new} bytes, LV {lv} has blocks of {old}");
    Err(refuse(Kind::State, what).device(path).next(
        "choose PVs with smaller blocks, or say --allow-mixed-block-sizes if nothing that uses the LV \
         writes smaller ones",
    ))
}

fn larger(old: u32, then: &[(PvIndex, u32)]) -> Option<(PvIndex, u32)> {
    then.iter().copied().find(|(_, new)| *new > old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_blocks_are_found_and_smaller_ones_are_welcome() {
        let at = |blocks: &[u32]| {
            (0..).map(PvIndex).zip(blocks.iter().copied()).collect::<Vec<(PvIndex, u32)>>()
        };
        assert_eq!(larger(512, &at(&[512, 4096])), Some((PvIndex(1), 4096)));
        assert_eq!(larger(4096, &at(&[512, 4096])), None);
        assert_eq!(larger(512, &at(&[])), None);
    }
}
