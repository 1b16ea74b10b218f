//! When an LV may be taken down, and how.

use std::time::Duration;

use lvshift_core::units::{LvIndex, Uuid};

use super::Context;
use super::lookup::{full_name, refuse};
use crate::activation;
use crate::device::users;
use crate::error::{Kind, Result};
use crate::exclusive;
use crate::vg::OpenVg;

/// How often, and after what pauses, an open LV that nothing is known to use is looked at again:
/// whoever looks for file systems on every new device has it open for a moment.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Refuses an LV that is open or has a recorded move.
pub(super) fn check_idle(context: &mut Context<'_>, open: &OpenVg, lv: LvIndex) -> Result<()> {
    let name = full_name(open.vg(), lv);
    exclusive::check(context.front_end.name(), open.vg(), lv)?;
    not_moving(context.program, open, lv)?;
    let mut looks = 1;
    loop {
        let Some(device) = context.front_end.active(open.vg(), lv)? else { return Ok(()) };
        if device.open_count == 0 {
            return Ok(());
        }
        let user = users::in_use(device.number);
        if looks == LOOKS || user.is_some() {
            let mut error = refuse(Kind::InUse, format!("logical volume {name} is in use"))
                .device(device.node.display())
                .next("unmount it, or stop what holds it open");
            if let Some(user) = user {
                error = error.because(user);
            }
            return Err(error);
        }
        std::thread::sleep(PAUSE);
        looks += 1;
    }
}

/// Refuses an LV of which a move is recorded.
pub(super) fn not_moving(program: &str, open: &OpenVg, lv: LvIndex) -> Result<()> {
    if open.vg().move_of_lv(lv).is_none() {
        return Ok(());
    }
    let what = format!("a move of LV {} is recorded", full_name(open.vg(), lv));
    Err(refuse(Kind::State, what).next(format!(
        "let it end, carry it on with `{program} pvmove`, or undo it with `{program} pvmove --abort`"
    )))
}

/// Takes the LV's device down if it has one.
pub(super) fn take_down(context: &mut Context<'_>, open: &OpenVg, lv: Uuid) -> Result<()> {
    let Some(index) = open.vg().lv_by_uuid(lv) else { return Ok(()) };
    if let Some(device) = context.front_end.active(open.vg(), index)? {
        // Whoever is known to stay is not waited for.
        if let Some(user) = users::in_use(device.number) {
            let what = format!("logical volume {} is in use", full_name(open.vg(), index));
            return Err(refuse(Kind::InUse, what)
                .device(device.node.display())
                .because(user)
                .next("unmount it, or stop what holds it open"));
        }
        activation::deactivate(open, context.front_end, lv)?;
    }
    Ok(())
}
