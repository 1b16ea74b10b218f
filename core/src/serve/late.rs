//! Giving up what a destination does not answer.
//!
//! The source is in charge and has all that the request needs: so the part fails, and the request goes on
//! without the destination. What was given up may still land there. Those sectors are not read any more,
//! and whoever owns the queue gives them to no other use before [`Queue::has_late`](super::Queue::has_late)
//! is false. The buffer may be read by it meanwhile, never written to.

use super::leg::LegWork;
use super::operation::ROUNDS;
use super::slot::{Common, Slot, Turn, Work};
use super::volume::Served;
use crate::chunk::{Authority, Effects, Fault};
use crate::device::DeviceSet;
use crate::mirror::flush_failed;
use crate::{Leg, LegFault};

/// I/O of one slot that may be late at once: fewer than there are rounds, so that no two are taken for one another.
const MOST: u8 = ROUNDS / 2;

impl Slot {
    /// Whether something of it is on its way below.
    pub(super) const fn is_below(&self) -> bool {
        matches!(self.work, Work::Read { .. } | Work::Write { .. } | Work::Flush { .. })
    }

    /// Gives up what can be; `None` where that is nothing.
    pub(super) fn give_up<V: Served + ?Sized>(
        &mut self,
        common: &mut Common,
        volume: &V,
    ) -> Option<Turn> {
        if self.late >= MOST {
            return None;
        }
        match &self.work {
            Work::Write { part, progress, .. } if progress.only_destination_awaited() => {
                let part = volume.parts().get(part.index())?;
                if part.tracker().authority() == Authority::Destination {
                    return None;
                }
                if self.request.kind.is_durable() {
                    // Its flush may fail later, unheard.
                    let device = part.leg(Leg::Destination).device;
                    common.tell(flush_failed(volume, device, &[]));
                }
                common.tell(part.tracker().fail(SILENT));
                self.leave_behind(1);
                self.put(Leg::Destination, LegWork::NONE);
                Some(self.mirror_write_ended(Leg::Destination, false, common, volume))
            }
            Work::Read { part, plan } if plan.leg() == Leg::Destination => {
                if let Some(part) = volume.parts().get(part.index()) {
                    common.tell(part.tracker().fail(SILENT));
                }
                self.late = self.late.saturating_add(1);
                self.work = Work::LateRead;
                self.leave_below(common, volume);
                Some(Turn::Over)
            }
            Work::Flush { .. } => self.give_up_flush(common, volume),
            _ => None,
        }
    }

    fn give_up_flush<V: Served + ?Sized>(
        &mut self,
        common: &mut Common,
        volume: &V,
    ) -> Option<Turn> {
        let below = volume.below();
        let mut silent = self.flushing;
        let mut awaited = DeviceSet::EMPTY;
        while let Some(device) = silent.pop() {
            if below.source.contains(device) {
                // No flush can do without it.
                return None;
            }
            awaited.insert(device);
        }
        let in_charge = volume.parts().iter().map(|part| part.tracker().authority());
        if awaited.is_empty() || in_charge.into_iter().any(|leg| leg == Authority::Destination) {
            return None;
        }
        let count = u8::try_from(awaited.len()).ok()?;
        for part in volume.parts() {
            if awaited.contains(part.leg(Leg::Destination).device) {
                common.tell(part.tracker().fail(SILENT));
            }
        }
        self.leave_behind(count);
        self.flushing = DeviceSet::EMPTY;
        while let Some(device) = awaited.pop() {
            self.flushed.insert(device);
            self.unflushed.insert(device);
        }
        common.tell(Effects { copier: true, ..Effects::NONE });
        Some(Turn::Again)
    }

    /// So many I/Os of the round that is over have not ended.
    fn leave_behind(&mut self, count: u8) {
        self.late = self.late.saturating_add(count);
        self.round = self.round.wrapping_add(1) % ROUNDS;
    }
}

const SILENT: Fault = Fault { leg: Leg::Destination, fault: LegFault::Silent };
