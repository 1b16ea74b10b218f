//! VGs of LVM2's own: read, planned in and committed through LVM2's tools and in LVM2's words, so that at
//! every instant the LVM2 of the machine activates each LV rightly. See `docs/lvm2.md`.

mod command;
pub mod engine;
mod fenced;
mod hand_over;
mod heads;
mod host;
pub mod id;
pub mod lock;
pub mod mapper;
mod patience;
pub mod plan;
#[cfg(test)]
mod plan_tests;
mod served;
pub mod stack;
pub mod table;
pub mod text;
pub mod tools;
mod unreadable;
pub mod vg;
pub(crate) mod waiting;

use std::path::Path;
use std::time::Duration;

use lvshift_core::units::Uuid;

use crate::device::{self, Access, BlockDevice};
use crate::error::{Error, Kind, Result};
use crate::signature;

pub use command::{abort, forget, run};
pub use hand_over::hand_over;
pub(crate) use unreadable::sector_on;

/// LVM2, if it is here and there is a PV of its own. It looks at every device, also at such as block whoever
/// reads them: where it has nothing it is not asked.
pub(crate) fn in_use() -> Option<tools::Lvm> {
    let candidates = device::candidates().unwrap_or_default();
    let writable = candidates.iter().filter(|at| !at.read_only);
    let open = writable.filter_map(|at| BlockDevice::open(&at.path, Access::Read).ok());
    // None that hangs is read.
    let answering = device::answering(open.collect(), |device| device);
    answering.iter().any(signature::is_lvm2).then(tools::Lvm::find)?
}

/// Says under LVM2's lock in which state this move is, `None` where it is none any more: no commit of it is
/// under way then, whoever made it.
///
/// # Errors
/// What LVM2 says; `Kind::Unsupported` without it.
pub fn state_of(
    vg_id: &str,
    of: Uuid,
    see: &mut dyn FnMut(Option<text::moves::State>),
) -> Result<()> {
    let lvm = tools::Lvm::find()
        .ok_or_else(|| Error::new(Kind::Unsupported, "LVM2 is not here any more"))?;
    let mut vg = vg::LvmVg::open(&lvm, &lvm.vg_name(vg_id)?)?;
    vg.look(&mut |moves| {
        let found = moves.iter().find(|record| id::uuid(&record.id) == of);
        see(found.map(|record| record.state));
    })
}

/// What the moves in LVM2's VG of this name are called, and the VG; `None` where there is no such VG.
///
/// # Errors
/// What LVM2 says.
pub fn moves_of(name: &str) -> Result<Option<(Uuid, Vec<Uuid>)>> {
    let Some(lvm) = in_use() else { return Ok(None) };
    if !is_vg(&lvm, name)? {
        return Ok(None);
    }
    let vg = vg::LvmVg::open(&lvm, name)?;
    Ok(Some((vg.uuid(), vg.moves().iter().map(|record| id::uuid(&record.id)).collect())))
}

/// How long LVM2 may take for one answer where nothing depends on it: it waits for its locks, and for every device
/// that it looks at.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Whether LVM2 has a VG of this name. What it cannot tell, or not in time, is no.
pub fn has_vg(name: &str) -> bool {
    let lvm = in_use().map(|lvm| lvm.within(PATIENCE));
    lvm.is_some_and(|lvm| is_vg(&lvm, name).unwrap_or(false))
}

fn is_vg(lvm: &tools::Lvm, name: &str) -> Result<bool> {
    Ok(lvm.pvs(None, &[])?.iter().any(|pv| pv.vg.as_deref() == Some(name)))
}

/// The VG of the PV at this path if both are LVM2's: what it cannot tell, or not in time, is none.
pub(crate) fn vg_of_pv(path: &Path) -> Option<String> {
    let device = BlockDevice::open(path, Access::Read).ok()?;
    let lvm = signature::is_lvm2(&device).then(tools::Lvm::find)??.within(PATIENCE);
    let pvs = lvm.pvs(None, &[]).ok()?;
    pvs.into_iter().find(|pv| pv.number == Some(device.number()))?.vg
}

/// Whether LVM2's label is on the device at this path.
pub(crate) fn is_pv(path: &Path) -> bool {
    BlockDevice::open(path, Access::Read).is_ok_and(|device| signature::is_lvm2(&device))
}

/// Each once, in order.
pub(crate) fn each(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    words.for_each(|word| {
        if !all.contains(&word) {
            all.push(word);
        }
    });
    all
}

/// The refusal of what is LVM2's to do, with the line to type.
pub(crate) fn not_ours(what: impl Into<String>) -> Error {
    Error::new(Kind::Unsupported, what)
        .state("nothing was changed")
        .next(format!("LVM2 does this: type `{}`", line_to_type()))
}

/// What was typed, as LVM2 takes it: its commands have our names and options.
pub(crate) fn line_to_type() -> String {
    let mut words = std::env::args();
    let called = words.next().unwrap_or_default();
    line(&called, words)
}

fn line(called: &str, words: impl Iterator<Item = String>) -> String {
    let called = called.rsplit('/').next().unwrap_or_default();
    let words = words.map(|word| quoted(&word));
    // Called by LVM2's name, which may be found before LVM2 is.
    let first = match called {
        "lvm" => vec!["lvm".to_owned()],
        _ if called.starts_with("lvshift") || called.is_empty() => Vec::new(),
        _ => vec!["lvm".to_owned(), called.to_owned()],
    };
    first.into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it back.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=+,%@".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn the_line_to_type_is_lvm2s_and_a_shell_takes_it() {
        let said =
            |called: &str, words: &[&str]| line(called, words.iter().map(|w| (*w).to_owned()));
        let create = ["lvcreate", "-n", "x", "-l", "1", "lvg"];
        assert_eq!(said("/usr/sbin/lvshift-dm", &create), "lvcreate -n x -l 1 lvg");
        assert_eq!(said("/sbin/lvcreate", &create[1..]), "lvm lvcreate -n x -l 1 lvg");
        assert_eq!(said("lvm", &create), "lvm lvcreate -n x -l 1 lvg");
        let hard = ["vgs", "-S", "vg_size>1g && it's", ""];
        assert_eq!(said("lvshift-dm", &hard), "vgs -S 'vg_size>1g && it'\\''s' ''");
    }
}
