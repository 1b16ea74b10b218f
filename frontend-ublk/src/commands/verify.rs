//! `verify`: both sides of what is being moved are compared, while it is in use.

use lvshift_core::units::{SECTOR_SIZE, Uuid};
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::lvm2::tools::Lvm;
use lvshift_frontend_common::lvm2::vg::LvmVg;
use lvshift_frontend_common::lvm2::{self, engine, id};
use lvshift_frontend_common::output;
use lvshift_frontend_common::vg::{Hold, OpenVg};

use crate::client::Ublk;

/// Something that is mirrored: what it is called, its UUID with the daemon, and its first sector there.
type Mirrored = (String, Uuid, u64);

pub(super) fn run(name: &str) -> Result<()> {
    let (vg_name, lv) = name.split_once('/').map_or((name, None), |(vg, lv)| (vg, Some(lv)));
    let (vg, all) = if lvm2::has_vg(vg_name) { of_lvm2(vg_name)? } else { of_ours(vg_name, lv)? };
    let mut client = Ublk::default();
    let (mut compared, mut differing) = (0, 0);
    for (name, uuid, start) in all {
        let served =
            client.is_served(vg)? && client.tables(vg, uuid)?.live.is_some_and(|t| t.is_mirrored());
        if !served {
            continue;
        }
        compared += 1;
        let (bytes, differs) = client.compare(vg, uuid)?;
        output::out(&format!("  {name}: {bytes} bytes are the same on both sides\n"));
        for run in differs {
            differing += 1;
            let (first, end) =
                (run.sectors.0.saturating_sub(start), run.sectors.1.saturating_sub(start));
            let sectors = end.saturating_sub(first);
            let what = if run.again {
                "differ after they were copied again"
            } else {
                "differed and were copied again"
            };
            output::out(&format!(
                "  {name}: sectors {first}-{} ({} bytes) {what}\n",
                end.saturating_sub(1),
                sectors * SECTOR_SIZE
            ));
        }
    }
    match (compared, differing) {
        (0, _) => Err(Error::new(Kind::State, format!("nothing of {name} is being moved by lvshift-ublk"))
            .state("nothing was compared")),
        (_, 0) => Ok(()),
        _ => Err(Error::new(Kind::Inconsistent, "the two sides were not the same everywhere")
            .state("the source is in charge; what differed was copied again from it, or its move is undone")
            .next("see to the destination's disk; `lvshift-ublk pvmove --verify` compares all of it before the move ends")),
    }
}

fn of_ours(name: &str, lv: Option<&str>) -> Result<(Uuid, Vec<Mirrored>)> {
    let vg = OpenVg::open(name, Hold::Release)?;
    let lvs = vg.vg().lvs().iter().filter(|record| lv.is_none_or(|lv| record.name.as_str() == lv));
    let lvs: Vec<_> =
        lvs.map(|record| (format!("LV {name}/{}", record.name), record.uuid, 0)).collect();
    if lvs.is_empty() {
        let what = format!("there is no LV {name}/{}", lv.unwrap_or("*"));
        return Err(Error::new(Kind::NotFound, what));
    }
    Ok((vg.vg().uuid(), lvs))
}

/// There a mirror is of a move, which may be of several LVs.
fn of_lvm2(name: &str) -> Result<(Uuid, Vec<Mirrored>)> {
    let lvm = Lvm::find().ok_or_else(|| Error::new(Kind::Unsupported, "LVM2 is not here"))?;
    let vg = LvmVg::open(&lvm, name)?;
    let moves = vg.moves().iter().map(|record| {
        let what = format!("mirror {name}/{}", record.names.mirror);
        (what, id::uuid(&record.id), engine::HEAD)
    });
    Ok((vg.uuid(), moves.collect()))
}
