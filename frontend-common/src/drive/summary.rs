//! How a move that did not move is told: what happened, who is in charge now, what to do next.

use lvshift_core::mover::{AbortReason, InCharge, Outcome};
use lvshift_core::units::Uuid;
use lvshift_core::{Leg, LegFault};

use super::facts::Facts;
use crate::error::{Error, Kind};
use crate::front_end::BadPlace;

/// What happened on the way.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// The first leg that failed.
    pub(crate) leg: Option<(Leg, LegFault)>,
    /// The sectors that could not be read or written.
    pub(crate) bad_places: Vec<BadPlace>,
    /// The errors of the steps that failed, in order.
    pub(crate) errors: Vec<Error>,
}

/// What PVs and LVs are called.
pub(crate) trait Names {
    /// The path of the PV's device, if it is there.
    fn pv(&self, pv: Uuid) -> Option<String>;
    /// The LV as VG/LV, if it is there.
    fn lv(&self, lv: Uuid) -> Option<String>;
}

/// The one error for the person.
pub(crate) fn summary(
    facts: &Facts,
    outcome: Outcome,
    failures: &Failures,
    names: &dyn Names,
) -> Error {
    let mut error = Error::new(Kind::MoveFailed, what(facts, outcome, failures.leg));
    if let [bad, ..] = failures.bad_places.as_slice() {
        if let Some(path) = names.pv(bad.pv) {
            error = error.device(path);
        }
        let same = failures.bad_places.iter().filter(|other| other.pv == bad.pv);
        error = error.sectors(same.map(|bad| bad.device_sectors.clone()).collect());
    }
    let places: Vec<String> = failures.bad_places.iter().map(|bad| describe(bad, names)).collect();
    if !places.is_empty() {
        error = error.because(places.join("; "));
    } else if let Some(cause) = failures.errors.first() {
        error = error.because(cause.to_string());
    }
    let (state, next) = state_and_next(outcome, failures.leg);
    error.state(state).next(next)
}

fn what(facts: &Facts, outcome: Outcome, leg: Option<(Leg, LegFault)>) -> String {
    let names = facts.names.join(", ");
    let Some((leg, fault)) = leg else {
        let why = match outcome {
            Outcome::Aborted(AbortReason::Earlier) => {
                ": undoing its move had begun before, and is finished now"
            }
            _ => "",
        };
        return format!("LV {names} was not moved{why}");
    };
    let (side, devices) = match leg {
        Leg::Source => ("source", &facts.from),
        Leg::Destination => ("destination", &facts.to),
    };
    let fault = match fault {
        LegFault::Read => "could not be read",
        LegFault::Write => "could not be written",
        LegFault::Flush => "could not be flushed",
        LegFault::Copy => "failed in the copy",
        LegFault::Gone => "is gone, or its dirty log is",
        LegFault::Silent => "did not answer within its deadline",
    };
    format!("LV {names} was not moved: the {side} {} {fault}", devices.join(", "))
}

fn state_and_next(outcome: Outcome, leg: Option<(Leg, LegFault)>) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Stuck { in_charge: InCharge::Source, .. } => {
            ("the source is in charge", "pvmove carries on, pvmove --abort undoes")
        }
        Outcome::Stuck { in_charge: InCharge::Destination, .. } => {
            ("the destination is in charge and holds everything", "pvmove tidies up")
        }
        Outcome::Stuck { in_charge: InCharge::Either, .. } => (
            "both sides are equal and mirrored; the PVs may not agree which is in charge",
            "see to the PVs that cannot be written, then pvmove",
        ),
        Outcome::Refused => (
            "nothing was touched",
            "the LV's device is not what its move left; look at it with dmsetup table",
        ),
        Outcome::Aborted(AbortReason::Earlier) => {
            ("the source is in charge, nothing was switched", "pvmove SRC [DST] begins anew")
        }
        _ => ("the source is still in charge, nothing was switched", after_undoing(leg)),
    }
}

fn after_undoing(leg: Option<(Leg, LegFault)>) -> &'static str {
    match leg {
        Some((Leg::Source, LegFault::Read)) => {
            "pvmove --read-check names all sectors that cannot be read before it changes anything; \
             then move what can be read (ranges SRC:PE-PE, or -n), and restore the rest from a backup"
        }
        Some((Leg::Source, LegFault::Write)) => {
            "what writes to the LV wrote what the source does not take any more: once it has stopped, as a file system \
             does by itself, pvmove -y moves all that can be read"
        }
        Some((Leg::Source, LegFault::Flush)) => {
            "a mirror flushes both sides, so a source that fails its flushes cannot be left in use: copy the LV elsewhere, \
             say with ddrescue"
        }
        _ => "see to the device, or move to another PV",
    }
}

/// What is said of a place that was compared, differed, and is copied again.
pub(crate) fn copied_again(place: &BadPlace, names: &dyn Names) -> String {
    format!("copied again and compared once more: {}", describe(place, names))
}

fn describe(bad: &BadPlace, names: &dyn Names) -> String {
    format!(
        "{} sectors {}-{} (LV {} sectors {}-{}): {}",
        names.pv(bad.pv).unwrap_or_else(|| bad.pv.to_string()),
        bad.device_sectors.start,
        bad.device_sectors.end.saturating_sub(1),
        names.lv(bad.lv).unwrap_or_else(|| bad.lv.to_string()),
        bad.lv_sectors.start,
        bad.lv_sectors.end.saturating_sub(1),
        bad.error
    )
}
