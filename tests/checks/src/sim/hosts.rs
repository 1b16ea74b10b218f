//! Two hosts that see the same disks: one has the VG, and the other one may look and nothing else, until it is told that
//! the first one is gone.

use std::path::Path;

use lvshift_core::metadata::SystemId;
use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::Kind;
use lvshift_frontend_common::vg::{Hold, OpenVg};
use lvshift_frontend_common::{activation, drive, simulation};

use super::host::{Ears, World};

/// A host's system id.
#[must_use]
pub fn id(host: u8) -> SystemId {
    SystemId::new(if host == 0 { "here" } else { "there" }).expect("an id")
}

/// The other host, at a moment of its own choice, tries all that changes a VG.
pub(super) fn stranger(world: &World, lvs: &[Uuid]) {
    let (us, locks) = {
        let mut inner = world.inner.borrow_mut();
        inner.stranger = true;
        inner.say(|| "the other host tries its luck".to_owned());
        (inner.host, format!("/dev/shm/lvshift-sim-{}-stranger", std::process::id()))
    };
    let refused = simulation::on_another_host(id(1 - us), Path::new(&locks), || {
        lvshift_ublk::platform::sim::without_daemon(|| refused(lvs))
    });
    let mut inner = world.inner.borrow_mut();
    inner.stranger = false;
    inner.say(|| format!("the other host: {refused:?}"));
    if let Err(what) = refused {
        inner.fail(format!("another host's VG: {what}"));
    }
}

/// Everything that is refused to a host that the VG does not belong to.
///
/// # Errors
/// What was not.
pub(super) fn refused(lvs: &[Uuid]) -> Result<(), String> {
    // What is being written at this moment may not be readable.
    let Ok(mut vg) = OpenVg::open("vg", Hold::Release) else { return Ok(()) };
    let mut front_end = lvshift_ublk::platform::sim::front_end();
    let mut tried = vec![
        ("a change", vg.commit(|_| Ok(()))),
        ("updatemetadata", vg.update_metadata()),
        ("giving it away", vg.set_system_id(None, false)),
    ];
    for lv in lvs {
        tried.push(("activation", activation::activate(&mut vg, &mut *front_end, *lv).map(|_| ())));
    }
    if let Some(of) = vg.vg().moves().first().map(|entry| entry.uuid) {
        for (what, abort) in [("pvmove", false), ("pvmove --abort", true)] {
            let done = drive::one(&mut vg, &mut *front_end, of, abort, &mut Ears, &mut |_| {});
            tried.push((what, done.map(|_| ())));
        }
    }
    for (what, done) in tried {
        match done {
            Err(error) if error.kind == Kind::State => {}
            // It cannot be read at this moment.
            Err(error) if matches!(error.kind, Kind::Missing | Kind::NotFound) => {}
            other => return Err(format!("{what} is not refused: {other:?}")),
        }
    }
    Ok(())
}
