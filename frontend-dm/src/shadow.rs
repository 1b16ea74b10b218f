//! The shadow of an LV and the dirty-log devices of its parts.

use lvshift_core::mover::Mapping;
use lvshift_core::table::{Segment, Target};
use lvshift_core::units::{LvIndex, MoveIndex, Sectors};
use lvshift_frontend_common::error::{Kind, Result};
use lvshift_frontend_common::front_end::View;

use crate::kernel::{Info, Kernel, same};
use crate::names::{self, Role};
use crate::nodes;
use crate::tables::{self, Numbers};

/// Makes the shadow with the LV's source table, and a log device for each part. What is there and
/// right is left.
pub(crate) fn create(kernel: &Kernel, view: View<'_>, of: MoveIndex, lv: LvIndex) -> Result<()> {
    let numbers = Numbers::look_up(kernel, view, None, lv)?;
    let table = tables::table(&numbers, Some((of, Mapping::Source)))?;
    ensure(kernel, view, lv, Role::Shadow, &table)?;
    for (number, (_, part)) in tables::parts(view, of, lv).into_iter().enumerate() {
        let table = tables::log_table(view, &part)?;
        ensure(kernel, view, lv, Role::Log(number), &table)?;
    }
    Ok(())
}

fn ensure(
    kernel: &Kernel,
    view: View<'_>,
    lv: LvIndex,
    role: Role,
    table: &[Segment],
) -> Result<()> {
    let record = view.lv(lv)?;
    let name = names::name(view.vg.name().as_str(), record.name.as_str(), role)?;
    let uuid = names::uuid(view.vg.uuid(), record.uuid, role);
    match kernel.find(&uuid)? {
        Some(info) if info.live && !info.suspended => {
            if same(table, &kernel.table(&uuid, false)?, &name).is_ok() {
                return Ok(());
            }
        }
        Some(_) => {}
        None => kernel.create(&name, &uuid)?,
    }
    kernel.load(&uuid, &name, table)?;
    kernel.swap(&uuid, &name, table)?;
    match kernel.find(&uuid)? {
        Some(info) => nodes::make_node(&info.name, info.number),
        None => Ok(()),
    }
}

/// Points the shadow at nothing and takes it and the logs down; what is held open goes when
/// it is closed.
pub(crate) fn remove(kernel: &Kernel, view: View<'_>, lv: LvIndex) -> Result<()> {
    let record = view.lv(lv)?;
    let (vg, lv_uuid) = (view.vg.uuid(), record.uuid);
    let mut helpers: Vec<Info> = kernel
        .own()?
        .into_iter()
        .filter(|info| names::is_helper_of(&info.uuid, vg, lv_uuid))
        .collect();
    // The shadow holds nothing of the logs, nor they of it: any order does; this one reads well.
    helpers.sort_by(|a, b| b.name.cmp(&a.name));
    for info in &helpers {
        let table = if info.uuid == names::uuid(vg, lv_uuid, Role::Shadow) {
            tables::error_table(view, lv)?
        } else {
            let live = kernel.table(&info.uuid, false)?;
            let len = live.iter().flatten().map(|line| line.len.0).sum::<u64>().max(8);
            vec![Segment { start: Sectors(0), len: Sectors(len), target: Target::Error }]
        };
        take_down(kernel, info, Some(&table))?;
    }
    Ok(())
}

/// Takes one helper device down.
pub(crate) fn take_down(kernel: &Kernel, info: &Info, nothing: Option<&[Segment]>) -> Result<()> {
    if let Some(table) = nothing {
        kernel.load(&info.uuid, &info.name, table)?;
        kernel.swap(&info.uuid, &info.name, table)?;
    }
    match kernel.remove(&info.uuid, &info.name) {
        Err(error) if error.kind == Kind::InUse => {
            tracing::warn!(
                name = info.name,
                "it is held open; it maps to nothing and goes when it is closed"
            );
            kernel.remove_deferred(&info.uuid, &info.name)?;
        }
        other => other?,
    }
    nodes::remove_node(&info.name)
}
