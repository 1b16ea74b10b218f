//! How far the copy is: the kernel's mirror statuses of all LVs of a move, summed.

use lvshift_core::table::dm::{Judgement, MirrorStatus};
use lvshift_core::units::MoveIndex;
use lvshift_core::{Leg, LegFault};
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::front_end::{CopyStatus, View};

use crate::kernel::Kernel;
use crate::names::{self, Role};
use crate::tables::parts;

/// The status now.
pub(crate) fn copy_status(kernel: &Kernel, view: View<'_>, of: MoveIndex) -> Result<CopyStatus> {
    let chunk = view.vg.move_at(of).map_or(0, |record| u64::from(record.chunk_sectors));
    let mut sum = CopyStatus::default();
    for lv in view.vg.lvs_of_move(of) {
        let record = view.lv(lv)?;
        let uuid = names::uuid(view.vg.uuid(), record.uuid, Role::Lv);
        let mut mirrors = 0;
        for (_, len, kind, text) in kernel.status(&uuid)? {
            if kind == "mirror" {
                add(&mut sum, len, chunk, &text)?;
                mirrors += 1;
            }
        }
        if mirrors != parts(view, of, lv).len() {
            return Err(Error::new(
                Kind::Inconsistent,
                format!("LV {} is not mirrored as its move says", record.name),
            ));
        }
    }
    Ok(sum)
}

fn add(sum: &mut CopyStatus, len: u64, chunk: u64, text: &str) -> Result<()> {
    let status: MirrorStatus = text.parse().map_err(|error| {
        Error::new(Kind::Kernel, format!("the mirror status {text:?} is not understood"))
            .because(error)
    })?;
    sum.chunks_done += status.in_sync;
    sum.chunks_total += status.total;
    sum.bytes_total += len * 512;
    sum.bytes_done += (status.in_sync * chunk).min(len) * 512;
    if let Judgement::LegFailed(leg, fault) = status.judge() {
        worst(&mut sum.failed, (leg, fault));
    }
    Ok(())
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
        let mut sum = CopyStatus::default();
        add(&mut sum, 10_000, 4096, "2 254:1 254:2 3/3 1 AA 3 disk 254:3 A").expect("a status");
        add(&mut sum, 8192, 4096, "2 254:1 254:2 1/2 1 AA 3 disk 254:4 A").expect("a status");
        assert_eq!((sum.chunks_done, sum.chunks_total), (4, 5));
        assert_eq!((sum.bytes_done, sum.bytes_total), ((10_000 + 4096) * 512, 18_192 * 512));
        assert_eq!(sum.failed, None);
        add(&mut sum, 8192, 4096, "2 254:1 254:2 1/2 1 AD 3 disk 254:4 A").expect("a status");
        assert_eq!(sum.failed, Some((Leg::Destination, LegFault::Write)));
        assert!(add(&mut sum, 8192, 4096, "nonsense").is_err());
    }
}
