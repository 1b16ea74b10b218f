//! A flush of the volume: every device below, both legs of every moving part among them.

use super::request::{Answer, Failure};
use super::slot::{Common, Slot, Turn, Work, authority};
use super::volume::{Below, Served};
use crate::Leg;
use crate::chunk::{AppResult, Authority, Effects};
use crate::device::{DeviceIndex, DeviceSet};
use crate::io::{FlushProgress, FlushResult};
use crate::mirror::flush_failed;

impl Slot {
    pub(super) fn begin_flush<V: Served + ?Sized>(
        &mut self,
        common: &mut Common,
        volume: &V,
    ) -> Turn {
        let devices = needed(volume);
        if devices.is_empty() {
            return self.answer(Answer::Done);
        }
        let progress = FlushProgress::new(devices.len());
        self.work = Work::Flush { progress };
        self.to_flush = devices;
        self.enter_below(true, common, volume);
        Turn::Again
    }

    pub(super) fn flush_ended<V: Served + ?Sized>(
        &mut self,
        device: DeviceIndex,
        common: &mut Common,
        volume: &V,
    ) -> Turn {
        let failed = self.unflushed.remove(device);
        let Work::Flush { progress } = &mut self.work else { return Turn::Again };
        if failed {
            let effects = flush_failed(volume, device, &[Leg::Source, Leg::Destination]);
            common.tell(Effects { copier: true, ..effects });
        }
        let below = volume.below();
        let leg = if below.source.contains(device) { Leg::Source } else { Leg::Destination };
        let Some(result) = progress.device_done(leg, !failed) else { return Turn::Again };
        self.leave_below(common, volume);
        self.flush_decided(result, false, volume)
    }

    /// Tells the application how its flush has ended, as soon as that is decided. A destination that
    /// failed it has lost what it was to save: if the destination comes to be in charge, a second flush
    /// that went well would prove nothing.
    pub(super) fn flush_decided<V: Served + ?Sized>(
        &mut self,
        result: FlushResult,
        before: bool,
        volume: &V,
    ) -> Turn {
        // The table of before was left undecided, and this one has no part that could tell what came of
        // it: the destination may be what is mapped now.
        let authority = match volume.parts() {
            [] if before => Authority::Destination,
            parts => authority(parts),
        };
        match result.app(authority, volume.is_committing()) {
            AppResult::Done => self.answer(Answer::Done),
            AppResult::Failed => self.fail(Failure::Mirror),
            AppResult::Held => {
                self.work = Work::HeldFlush { result, before };
                Turn::Wait
            }
        }
    }
}

/// The devices that have to be flushed: all of them, but for those on which nothing lies but what is not
/// believed any more.
fn needed<V: Served + ?Sized>(volume: &V) -> DeviceSet {
    let Below { all, source } = volume.below();
    let parts = volume.parts();
    if !parts.iter().any(|part| part.tracker().is_abandoned()) {
        return all;
    }
    // In this order: a part that has failed before the source was in charge is never sealed.
    let mut needed = source;
    let mut is_left = false;
    for part in parts {
        let abandoned = part.tracker().is_abandoned();
        if abandoned && part.tracker().authority_after() == Authority::Source {
            is_left = true;
            continue;
        }
        needed.insert(part.leg(Leg::Destination).device);
        needed.insert(part.place().log.device);
    }
    if is_left { needed } else { all }
}
