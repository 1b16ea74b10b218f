//! One move as the simulator drives it: all of [`run`](super::run) but what needs a real process
//! (signals, locked memory).

use lvshift_core::units::Uuid;

use super::host::{self, Means};
use super::ticker::Place;
use super::wishes::Wishes;
use super::{MoveReport, Report};
use crate::error::Result;
use crate::front_end::FrontEnd;
use crate::journal::Journal;
use crate::lock;
use crate::requests::Requests;
use crate::system_id;
use crate::vg::OpenVg;

/// Drives the move to its end, or with `abort` back to its source.
///
/// # Errors
/// When it could not be started.
pub fn one(
    vg: &mut OpenVg,
    front_end: &mut dyn FrontEnd,
    of: Uuid,
    abort: bool,
    requests: &mut dyn Requests,
    tell: &mut dyn FnMut(Report<'_>),
) -> Result<MoveReport> {
    vg.release();
    let _lock = lock::mover(vg.vg().uuid(), "simulated")?;
    system_id::check(vg.vg())?;
    let journal = Journal::open()?;
    let place = Place { number: 1, count: 1, before: 0, total: 0 };
    let mut wishes = if abort { Wishes::to_abort(&[of]) } else { Wishes::default() };
    let (journal, wishes, verify) = (&journal, &mut wishes, false);
    let means = Means { vg, front_end, journal, requests, wishes, tell, verify };
    Ok(host::run(means, of, place, None))
}
