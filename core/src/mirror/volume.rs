//! What the copier shares with those who serve requests: one volume's parts and devices.

use super::part::Part;
use crate::Leg;
use crate::chunk::{Cells, Effects, Fault, FlushEpochs};
use crate::device::{Device, DeviceIndex};

/// One volume with its moving parts, as the front end keeps it. All of it may be shared by threads.
pub trait Volume {
    /// The memory of its trackers.
    type Cells: Cells;

    /// Its moving parts; always the same ones.
    fn parts(&self) -> &[Part<Self::Cells>];

    /// One of the devices below; always the same one for an index.
    fn device(&self, device: DeviceIndex) -> Option<&Device>;

    /// The application's flushes in flight.
    fn flushes(&self) -> &FlushEpochs;

    /// The copier passes a moment at which a test may want to stop it.
    fn passes(&self, moment: Moment) {
        let _ = moment;
    }
}

/// Moments of a copier that matter to crash tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Moment {
    /// A chunk's copy begins.
    CopyBegun,
    /// A chunk's copy is done, and the tracker does not know.
    CopyDone,
    /// A block of a dirty log is about to be written.
    LogWriting,
    /// It is written, and who waits for it does not know.
    LogWritten,
    /// The legs are about to be flushed for a settle round.
    SettleBegun,
    /// They are flushed, and the log does not say so.
    SettleDone,
}

/// A flush of a device has failed, and the device may have dropped any of what was written there: the
/// parts that have one of these `legs` there do not believe that leg any more. For every volume that
/// has something on the device.
pub fn flush_failed<V: Volume + ?Sized>(volume: &V, device: DeviceIndex, legs: &[Leg]) -> Effects {
    if let Some(device) = volume.device(device) {
        device.flush_has_failed();
    }
    let mut effects = Effects::NONE;
    for part in volume.parts() {
        for &leg in legs {
            if part.leg(leg).device == device {
                effects = effects.and(part.tracker().flush_failed(leg));
            }
        }
    }
    effects
}

/// Fails the parts whose destination's device has failed to make something durable, for whichever
/// volume: it may have dropped what they had written.
pub fn check_destinations<V: Volume + ?Sized>(volume: &V) -> Effects {
    let mut effects = Effects::NONE;
    for part in volume.parts() {
        let device = volume.device(part.leg(Leg::Destination).device);
        if device.is_some_and(|device| part.may_have_lost(device)) && !part.tracker().is_abandoned()
        {
            effects = effects.and(part.tracker().flush_failed(Leg::Destination));
        }
    }
    effects
}

/// Whether a mirror may be built anew over what `before` has mirrored, its copier stopped and its queues drained:
/// where none of its parts has failed. Whatever is given up fails its part first, and a part that has failed stays
/// so: therefore nothing of `before` is under way. A write that was given up, and that lands after the log was read
/// anew, could call a chunk clean that is written on the source alone by then, or put old bytes on the
/// destination.
pub fn may_be_built_anew<V: Volume + ?Sized>(before: &V) -> bool {
    before.parts().iter().all(|part| part.tracker().fault().is_none())
}

/// Fails every part: whoever copied them does so no more, and without a copier none becomes equal.
pub fn fail_all<V: Volume + ?Sized>(volume: &V, fault: Fault) -> Effects {
    let parts = volume.parts().iter();
    parts.fold(Effects::NONE, |all, part| all.and(part.tracker().fail(fault)))
}
