//! Who is in charge of a mirror in a VG of LVM2's that a new daemon serves again? LVM2's text tells.

use std::sync::Arc;

use lvshift_core::metadata::MoveState;
use lvshift_core::units::Uuid;
use lvshift_frontend_common::{lvm2, output};

use super::files;
use crate::channel::Answers;
use crate::client::Ublk;
use crate::protocol::Request;

/// Finds out who is in charge of a mirror that was served again, and says so. Whether that is settled.
pub(super) fn settle(vg: Uuid, daemon: &Arc<dyn Answers>, lv: Uuid) -> bool {
    let Some(kept) = files::mirror(lv) else { return true };
    let mut client = Ublk::of(vg, Arc::clone(daemon));
    let told = lvm2::state_of(&kept.vg_id, lv, &mut |state| match state {
        // Both sides are right, and stay so until the next mover has confirmed what the PVs say.
        Some(MoveState::Moved) | None => {}
        Some(_) => {
            let _ = client.do_it(vg, &Request::Decide { lv: lv.0, destination: false });
        }
    });
    if let Err(error) = &told {
        output::err(&format!("lvshift-ublk: who is in charge: {error}\n"));
    }
    told.is_ok()
}
