//! `vgcfgbackup`: the metadata of a VG as text, complete.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Context;
use super::lookup;
use crate::cli::day_args::Vgcfgbackup;
use crate::error::{Error, Kind, Result};
use crate::vg::{Hold, OpenVg, Vg};

const DIRECTORY: &str = "/etc/lvshift/backup";

#[derive(Serialize)]
struct VgText {
    format: &'static str,
    name: String,
    uuid: String,
    sequence: u64,
    extent_sectors: u32,
    pvs: Vec<PvText>,
    lvs: Vec<LvText>,
    moves_recorded: usize,
}

#[derive(Serialize)]
struct PvText {
    uuid: String,
    device: Option<String>,
    device_sectors: u64,
    data_start_sector: u64,
    extents: u32,
}

#[derive(Serialize)]
struct LvText {
    name: String,
    uuid: String,
    extents: u32,
    segments: Vec<SegmentText>,
}

#[derive(Serialize)]
struct SegmentText {
    first_extent: u32,
    extents: u32,
    pv: String,
    pv_first_extent: u32,
}

fn text(open: &OpenVg) -> VgText {
    let vg: &Vg = open.vg();
    let pvs = vg.pvs().iter().map(|pv| PvText {
        uuid: pv.uuid.to_string(),
        device: open.members().by_uuid(pv.uuid).map(|m| m.path.display().to_string()),
        device_sectors: pv.device_size.0,
        data_start_sector: pv.pe_start.0,
        extents: pv.pe_count.0,
    });
    let lvs = (0..).zip(vg.lvs()).map(|(at, lv)| LvText {
        name: lv.name.to_string(),
        uuid: lv.uuid.to_string(),
        extents: lv.le_count.0,
        segments: vg
            .segments_of(lvshift_core::units::LvIndex(at))
            .iter()
            .map(|segment| SegmentText {
                first_extent: segment.first.0,
                extents: segment.count.0,
                pv: vg.pv(segment.place.pv).map(|pv| pv.uuid.to_string()).unwrap_or_default(),
                pv_first_extent: segment.place.pe.0,
            })
            .collect(),
    });
    VgText {
        format: "lvshift VG, text 1",
        name: vg.name().to_string(),
        uuid: vg.uuid().to_string(),
        sequence: vg.sequence(),
        extent_sectors: vg.extent_size().sectors(),
        pvs: pvs.collect(),
        lvs: lvs.collect(),
        moves_recorded: vg.moves().len(),
    }
}

pub(super) fn backup(context: &mut Context<'_>, args: &Vgcfgbackup) -> Result<()> {
    context.front_end.look_only();
    let opened = if args.vgs.is_empty() {
        OpenVg::open_all(Hold::Release)?
    } else {
        let names: Vec<String> =
            args.vgs.iter().map(|n| lookup::vg_name(n)).collect::<Result<_>>()?;
        names.iter().map(|name| OpenVg::open(name, Hold::Release)).collect()
    };
    for opened in opened {
        let done = opened.and_then(|open| {
            let name = open.vg().name().to_string();
            let path = match &args.file {
                Some(file) => PathBuf::from(file.replace("%s", &name)),
                None => Path::new(DIRECTORY).join(format!("{name}.json")),
            };
            let text = serde_json::to_string_pretty(&text(&open)).unwrap_or_default();
            write(&path, &text, args.file.is_none()).map_err(|error| {
                Error::new(Kind::Io, "the backup cannot be written")
                    .device(path.display())
                    .because(error)
            })?;
            context.say(format!("Volume group \"{name}\" successfully backed up."));
            Ok(())
        });
        if let Err(error) = done {
            context.fail(&error);
        }
    }
    Ok(())
}

/// A new file in the old one's place, so that a torn write leaves the old one.
fn write(path: &Path, text: &str, make_directory: bool) -> std::io::Result<()> {
    if let Some(directory) = path.parent().filter(|_| make_directory) {
        fs::create_dir_all(directory)?;
    }
    let new = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&new, path)
}
