//! [`FrontEnd`] on device-mapper.

use std::path::PathBuf;
use std::time::Duration;

use lvshift_core::mover::{Live, Mapping};
use lvshift_core::table;
use lvshift_core::units::{DeviceNumber, LvIndex, MoveIndex};
use lvshift_frontend_common::cli::spec::split_dm_name;
use lvshift_frontend_common::device::{OWN_DM_PREFIX, sysfs};
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::front_end::{ActiveLv, CopyStatus, FrontEnd, View, Wake};
use lvshift_frontend_common::links;
use lvshift_frontend_common::lvm2::mapper::Mapper;

use crate::kernel::{Info, Kernel};
use crate::names::{self, Role};
use crate::tables::{self, Numbers};
use crate::{events, nodes, shadow, status};
use lvshift_frontend_common::vg::Vg;

/// The device-mapper front end. The kernel is asked only when something needs it.
#[derive(Default)]
pub(crate) struct Dm {
    kernel: Option<Kernel>,
    /// For a report: what an administrator has suspended stays so.
    look_only: bool,
}

impl Dm {
    fn kernel(&mut self) -> Result<&Kernel> {
        let opened = match self.kernel.take() {
            Some(kernel) => kernel,
            None => Kernel::open(self.look_only)?,
        };
        Ok(self.kernel.insert(opened))
    }
}

/// The LV's dm name and UUID.
fn identity(vg: &Vg, lv: LvIndex) -> Result<(String, String)> {
    let record = vg
        .lv(lv)
        .ok_or_else(|| Error::new(Kind::Inconsistent, "the LV is not in the VG any more"))?;
    let name = names::name(vg.name().as_str(), record.name.as_str(), Role::Lv)?;
    Ok((name, names::uuid(vg.uuid(), record.uuid, Role::Lv)))
}

fn active_lv(info: &Info) -> ActiveLv {
    ActiveLv {
        number: info.number,
        node: PathBuf::from(format!("/dev/dm-{}", info.number.minor)),
        open_count: info.open_count,
        suspended: info.suspended,
    }
}

impl Dm {
    /// A report asks no module to be loaded; without device-mapper nothing is active.
    fn nothing_there(&self) -> bool {
        self.look_only && self.kernel.is_none() && !Kernel::is_there()
    }
}

impl FrontEnd for Dm {
    fn name(&self) -> &'static str {
        "lvshift-dm"
    }

    fn look_only(&mut self) {
        self.look_only = true;
    }

    fn lv_at(&mut self, device: DeviceNumber) -> Result<Option<(String, String)>> {
        let own = sysfs::dm_uuid(device).filter(|uuid| uuid.starts_with(OWN_DM_PREFIX));
        let own = own.filter(|uuid| !names::is_helper(uuid));
        Ok(own.and_then(|_| sysfs::dm_name(device)).and_then(|name| split_dm_name(&name)))
    }

    fn check_kernel(&mut self, for_a_move: bool) -> Result<()> {
        self.kernel()?.check(for_a_move)
    }

    fn lvm2(&mut self) -> Result<&mut dyn Mapper> {
        self.kernel()?;
        match &mut self.kernel {
            Some(kernel) => Ok(kernel),
            None => Err(Error::new(Kind::Kernel, "device-mapper went away")),
        }
    }

    fn active(&mut self, vg: &Vg, lv: LvIndex) -> Result<Option<ActiveLv>> {
        if self.nothing_there() {
            return Ok(None);
        }
        let (_, uuid) = identity(vg, lv)?;
        Ok(self.kernel()?.find(&uuid)?.filter(|info| info.live).map(|info| active_lv(&info)))
    }

    fn activate(
        &mut self,
        view: View<'_>,
        lv: LvIndex,
        mapping: Mapping,
        private: bool,
    ) -> Result<ActiveLv> {
        let (name, uuid) = identity(view.vg, lv)?;
        let of = view.vg.move_of_lv(lv);
        let kernel = self.kernel()?;
        let found = kernel.find(&uuid)?;
        if !found.as_ref().is_some_and(|info| info.live) {
            if mapping == Mapping::Mirrored
                && let Some(of) = of
            {
                shadow::create(kernel, view, of, lv)?;
            }
            let numbers = Numbers::look_up(kernel, view, of, lv)?;
            let table = tables::table(&numbers, of.map(|of| (of, mapping)))?;
            if found.is_none() {
                kernel.create(&name, &uuid)?;
            }
            let made =
                kernel.load(&uuid, &name, &table).and_then(|()| kernel.swap(&uuid, &name, &table));
            if let Err(error) = made {
                // A device without a table is of no use to anybody.
                let _ = kernel.remove(&uuid, &name);
                return Err(error.state("the LV is not active, its data were not touched"));
            }
        }
        let info = kernel
            .find(&uuid)?
            .ok_or_else(|| Error::new(Kind::Kernel, "the LV's device went away again"))?;
        if !private {
            kernel.wait_for_udev();
        }
        nodes::make_node(&info.name, info.number)?;
        if !private {
            nodes::make_link(view.vg.name().as_str(), view.lv(lv)?.name.as_str(), &info.name)?;
        }
        Ok(active_lv(&info))
    }

    fn deactivate(&mut self, vg: &Vg, lv: LvIndex) -> Result<()> {
        let (_, uuid) = identity(vg, lv)?;
        let record = vg.lv(lv).map(|record| (record.uuid, record.name.clone()));
        let kernel = self.kernel()?;
        if let Some(info) = kernel.find(&uuid)? {
            kernel
                .remove(&uuid, &info.name)
                .map_err(|error| error.state("the LV is still active"))?;
            kernel.wait_for_udev();
            nodes::remove_node(&info.name)?;
        }
        let Some((lv_uuid, name)) = record else { return Ok(()) };
        for info in kernel.own()? {
            if names::is_helper_of(&info.uuid, vg.uuid(), lv_uuid) {
                shadow::take_down(kernel, &info, None)?;
            }
        }
        links::remove(vg.name().as_str(), name.as_str())
    }

    fn refresh(&mut self, view: View<'_>, lv: LvIndex) -> Result<()> {
        let (name, uuid) = identity(view.vg, lv)?;
        let kernel = self.kernel()?;
        if kernel.find(&uuid)?.is_none() {
            return Ok(());
        }
        let numbers = Numbers::look_up(kernel, view, None, lv)?;
        let table = tables::table(&numbers, None)?;
        kernel.load(&uuid, &name, &table)?;
        kernel.swap(&uuid, &name, &table)
    }

    fn rename(&mut self, vg: &Vg, lv: LvIndex, old: &str) -> Result<()> {
        let (name, uuid) = identity(vg, lv)?;
        let kernel = self.kernel()?;
        let Some(info) = kernel.find(&uuid)? else { return Ok(()) };
        if info.name != name {
            kernel.rename(&info.name, &name)?;
            kernel.wait_for_udev();
            nodes::remove_node(&info.name)?;
        }
        nodes::make_node(&name, info.number)?;
        let had_link = links::exists(vg.name().as_str(), old);
        if had_link {
            links::remove(vg.name().as_str(), old)?;
            let new = vg.lv(lv).map(|record| record.name.as_str().to_owned()).unwrap_or_default();
            nodes::make_link(vg.name().as_str(), &new, &name)?;
        }
        Ok(())
    }

    fn observe(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex) -> Result<Live> {
        let (_, uuid) = identity(view.vg, lv)?;
        if self.nothing_there() {
            return Ok(Live::Absent);
        }
        let look_only = self.look_only;
        let kernel = self.kernel()?;
        let Some(info) = kernel.find(&uuid)? else { return Ok(Live::Absent) };
        if !info.live {
            // Its maker died before it had a table.
            if !look_only {
                kernel.remove(&uuid, &info.name)?;
            }
            return Ok(Live::Absent);
        }
        let loaded = kernel.table(&uuid, false)?;
        let Some(loaded) = loaded.into_iter().collect::<Option<Vec<_>>>() else {
            return Ok(Live::Foreign);
        };
        let numbers = Numbers::look_up(kernel, view, Some(of), lv)?;
        Ok(table::observe(view.vg, lv, of, &numbers, &loaded))
    }

    fn create_shadow(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex) -> Result<()> {
        shadow::create(self.kernel()?, view, of, lv)
    }

    fn load(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex, mapping: Mapping) -> Result<()> {
        let (name, uuid) = identity(view.vg, lv)?;
        let kernel = self.kernel()?;
        let numbers = Numbers::look_up(kernel, view, Some(of), lv)?;
        let table = tables::table(&numbers, Some((of, mapping)))?;
        if kernel.find(&uuid)?.is_none() {
            kernel.create(&name, &uuid)?;
        }
        kernel.load(&uuid, &name, &table)
    }

    fn swap(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex, mapping: Mapping) -> Result<()> {
        let (name, uuid) = identity(view.vg, lv)?;
        let kernel = self.kernel()?;
        let numbers = Numbers::look_up(kernel, view, Some(of), lv)?;
        let table = tables::table(&numbers, Some((of, mapping)))?;
        kernel.swap(&uuid, &name, &table)?;
        match kernel.find(&uuid)? {
            Some(info) => nodes::make_node(&info.name, info.number),
            None => Ok(()),
        }
    }

    fn remove_shadow(&mut self, view: View<'_>, _of: MoveIndex, lv: LvIndex) -> Result<()> {
        shadow::remove(self.kernel()?, view, lv)
    }

    fn copy_status(&mut self, view: View<'_>, of: MoveIndex) -> Result<CopyStatus> {
        let kernel = self.kernel()?;
        // First armed, then read: a change after this reading wakes the next wait.
        kernel.arm()?;
        status::copy_status(kernel, view, of)
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Wake> {
        events::wait(self.kernel()?, timeout)
    }
}
