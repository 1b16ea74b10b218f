//! How far the copy is: the kernel's mirror statuses of all LVs of a move, summed.

use lvshift_core::table::dm::{Judgement, MirrorStatus};
use lvshift_core::units::MoveIndex;
use lvshift_core::{Leg, LegFault};
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::front_end::{CopyStatus, View};

use crate::kernel::Kernel;
use crate::names::{self, Role};
use crate::tables::parts;

/// What the mirrors say.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Of all that is to move, whether it is under a mirror yet or not.
    pub(crate) status: CopyStatus,
    /// Chunks that are under a mirror.
    under: u64,
}

impl Found {
    /// The mirrors have done all that they were given, and that is not all there is.
    pub(crate) fn wants_more(&self) -> bool {
        let CopyStatus { chunks_done, chunks_total, failed, .. } = self.status;
        failed.is_none() && chunks_done == self.under && chunks_done < chunks_total
    }
}

/// The status now.
pub(crate) fn copy_status(kernel: &Kernel, view: View<'_>, of: MoveIndex) -> Result<Found> {
    let chunk = view.vg.move_at(of).map_or(0, |record| u64::from(record.chunk_sectors));
    let mut found = Found::default();
    for lv in view.vg.lvs_of_move(of) {
        let record = view.lv(lv)?;
        let uuid = names::uuid(view.vg.uuid(), record.uuid, Role::Lv);
        let parts = parts(view, of, lv);
        for (_, part) in &parts {
            let sectors = view.vg.extent_size().span(part.count).0;
            found.status.chunks_total += sectors.div_ceil(chunk.max(1));
            found.status.bytes_total += sectors * 512;
        }
        let mut mirrors = 0;
        for (_, len, kind, text) in kernel.status(&uuid)? {
            if kind == "mirror" {
                found.add(len, chunk, &text)?;
                mirrors += 1;
            }
        }
        if mirrors == 0 || mirrors > parts.len() {
            return Err(Error::new(
                Kind::Inconsistent,
                format!("LV {} is not mirrored as its move says", record.name),
            ));
        }
    }
    Ok(found)
}

impl Found {
    fn add(&mut self, len: u64, chunk: u64, text: &str) -> Result<()> {
        let status: MirrorStatus = text.parse().map_err(|error| {
            Error::new(Kind::Kernel, format!("the mirror status {text:?} is not understood"))
                .because(error)
        })?;
        self.under += status.total;
        let sum = &mut self.status;
        sum.chunks_done += status.in_sync;
        sum.bytes_done += (status.in_sync * chunk).min(len) * 512;
        if let Judgement::LegFailed(leg, fault) = status.judge() {
            worst(&mut sum.failed, (leg, fault));
        }
        Ok(())
    }
}

/// Of several failures the first stands.
fn worst(failed: &mut Option<(Leg, LegFault)>, new: (Leg, LegFault)) {
    failed.get_or_insert(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_add_up_and_a_short_last_chunk_counts_its_own_bytes() {
        let mut found = Found::default();
        found.status.chunks_total = 9;
        found.add(10_000, 4096, "2 254:1 254:2 3/3 1 AA 3 disk 254:3 A").expect("a status");
        assert!(found.wants_more());
        found.add(8192, 4096, "2 254:1 254:2 1/2 1 AA 3 disk 254:4 A").expect("a status");
        assert_eq!((found.status.chunks_done, found.under), (4, 5));
        assert_eq!(found.status.bytes_done, (10_000 + 4096) * 512);
        assert_eq!(found.status.failed, None);
        assert!(!found.wants_more());
        found.add(8192, 4096, "2 254:1 254:2 1/2 1 AD 3 disk 254:4 A").expect("a status");
        assert_eq!(found.status.failed, Some((Leg::Destination, LegFault::Write)));
        assert!(found.add(8192, 4096, "nonsense").is_err());
    }
}
