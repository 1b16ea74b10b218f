//! `pvmove --fill-unreadable zero`: what stays since it cannot be read is given up, after a question that shows
//! all of it, and moved with zeroes in its place.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::Context;
use super::Way;
use super::around::Around;
use super::rounds::{Asked, Rounds, driven};
use crate::error::{Error, Kind, Result};
use crate::journal;

/// Moves the extents that stayed. What cannot be read though it was not in the list undoes that; the list is
/// then a longer one, and asked about anew.
pub(super) fn move_it(
    context: &mut Context<'_>,
    asked: Asked<'_>,
    vg: &mut dyn Rounds,
    around: &mut Around,
) -> Result<()> {
    loop {
        let list = text(around, &vg.vg_name());
        let question = format!(
            "{list}Zeroes will stand in the place of what cannot be read of these sectors once more, for good. \
             Give them up, and move the rest of their extents?"
        );
        if let Err(no) = context.ask(&question) {
            if let Some(error) = around.error(asked.source) {
                context.fail(&error);
            }
            return Err(no.state("these extents stay; all else that was asked for is moved"));
        }
        let kept = keep(&vg.vg_name(), &list)?;
        around.give_up();
        context.front_end.give_up(&around.places())?;
        let moves = vg.record(context, asked, around)?;
        let ended = driven(context, asked, vg, around, &moves)?;
        if around.is_worth_another_round(&ended.reports) && vg.look_again(context, asked, around)? {
            context.warn("more sectors cannot be read than were given up: nothing of these extents was moved");
            continue;
        }
        ended.conclude(context, Way::Run);
        if context.status == 0 {
            around.tell(context, Some(&kept));
            context.say(format!(
                "pvmove: what could not be read is given up; the list of it is in {}",
                kept.display()
            ));
        }
        return Ok(());
    }
}

fn text(around: &Around, vg: &str) -> String {
    let mut text = format!("Sectors of VG {vg} that cannot be read:\n");
    for run in around.list() {
        let _ = writeln!(text, "  {run}");
    }
    text
}

/// Keeps the list, durably, before anything of it is lost.
fn keep(vg: &str, list: &str) -> Result<PathBuf> {
    let directory = journal::state_directory()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let path = directory.join(format!("unreadable-{vg}-{now}"));
    let write = |path: &Path| {
        // The list of a second try within the second is a longer one.
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        file.write_all(list.as_bytes())?;
        file.sync_all()?;
        File::open(&directory)?.sync_all()
    };
    write(&path).map_err(|error| {
        Error::new(Kind::Io, format!("the list cannot be kept in {}", path.display()))
            .because(error)
            .state("nothing was given up, and these extents stay")
    })?;
    Ok(path)
}
