//! `vgcfgbackup` and `vgcfgrestore`: the metadata of a VG as text, complete, and back.

mod restore;
mod text;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Context;
use super::lookup;
use crate::cli::day_args::Vgcfgbackup;
use crate::error::{Error, Kind, Result};
use crate::vg::{Hold, OpenVg};

pub(super) use restore::restore;

const DIRECTORY: &str = "/etc/lvshift/backup";

/// The file of a VG.
fn place(file: Option<&str>, vg: &str) -> PathBuf {
    match file {
        Some(file) => PathBuf::from(file.replace("%s", vg)),
        None => Path::new(DIRECTORY).join(format!("{vg}.json")),
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
            let path = place(args.file.as_deref(), &name);
            let text = serde_json::to_string_pretty(&text::of(&open)).unwrap_or_default();
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
