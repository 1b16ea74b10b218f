//! [`FrontEnd`] on device-mapper.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lvshift_core::LegFault;
use lvshift_core::mover::{Live, Mapping};
use lvshift_core::table;
use lvshift_core::units::{DeviceNumber, LvIndex, MoveIndex, SECTOR_SIZE, Uuid};
use lvshift_frontend_common::cli::spec::split_dm_name;
use lvshift_frontend_common::device::{OWN_DM_PREFIX, sysfs};
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::front_end::{self, ActiveLv, CopyStatus, FrontEnd, Pace, View, Wake};
use lvshift_frontend_common::lvm2::mapper::Mapper;
use lvshift_frontend_common::stages::{Look, Next, Stage, Stages};
use lvshift_frontend_common::{drive, links};

use crate::kernel::{Info, Kernel};
use crate::names::{self, Role};
use crate::reach::Reach;
use crate::tables::{self, Numbers};
use crate::{events, nodes, reach, shadow, status};
use lvshift_frontend_common::vg::Vg;

/// The device-mapper front end. The kernel is asked only when something needs it.
#[derive(Default)]
pub(crate) struct Dm {
    kernel: Option<Kernel>,
    /// For a report: what an administrator has suspended stays so.
    look_only: bool,
    /// How the copy of the move that is driven is given to the kernel.
    stages: Option<(Uuid, Stages)>,
    /// All of it at once.
    unpaced: bool,
    /// This process waits for the copy, so it is the one that gives more.
    waits: bool,
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
    /// The requests to the LVs of a move so far.
    fn requests(&mut self, view: View<'_>, of: MoveIndex) -> Result<Look> {
        let kernel = self.kernel()?;
        let mut requests = 0;
        for lv in view.vg.lvs_of_move(of) {
            let (_, uuid) = identity(view.vg, lv)?;
            if let Some(info) = kernel.find(&uuid)? {
                requests += sysfs::stat(info.number).unwrap_or_default().requests();
            }
        }
        Ok(Look { at: Instant::now(), requests })
    }

    /// Begins to watch what the LVs of a move are used for, once for all of them.
    fn watch(&mut self, view: View<'_>, of: MoveIndex) -> Result<()> {
        let Some(record) = view.vg.move_at(of) else { return Ok(()) };
        if self.stages.as_ref().is_some_and(|(watched, _)| *watched == record.uuid) {
            return Ok(());
        }
        let mut stages = Stages::with_exchanges(u64::from(record.chunk_sectors) * SECTOR_SIZE);
        stages.watch(self.requests(view, of)?);
        self.stages = Some((record.uuid, stages));
        Ok(())
    }

    /// How far the mirrors reach in a table that is loaded for the first time; `None`: as far as the move does.
    fn first_reach(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex) -> Result<Option<Reach>> {
        if self.unpaced || self.observe(view, of, lv)? == Live::Is(Mapping::Mirrored) {
            return Ok(None);
        }
        for (_, part) in tables::parts(view, of, lv) {
            // What a log calls equal was under a mirror, and must not be written past it.
            if !drive::log_is_all_dirty(view, &part)? {
                return Ok(None);
            }
        }
        let look = self.requests(view, of)?;
        let Some((_, stages)) = &mut self.stages else { return Ok(None) };
        Ok(reach::grown(view, of, lv, &Reach::new(), stages.first(look)))
    }

    /// The mirrors have done all that they were given: gives them more, or not yet.
    fn give_more(&mut self, view: View<'_>, of: MoveIndex) -> Result<()> {
        self.watch(view, of)?;
        let look = self.requests(view, of)?;
        let Some((_, stages)) = &mut self.stages else { return Ok(()) };
        let stage = match stages.next(look) {
            Next::Rest(_) => return Ok(()),
            Next::Give(_) if self.unpaced => Stage { chunks: u64::MAX, one_by_one: false },
            Next::Give(stage) => stage,
        };
        let kernel = self.kernel()?;
        for lv in view.vg.lvs_of_move(of) {
            let (name, uuid) = identity(view.vg, lv)?;
            let live: Vec<_> = kernel.table(&uuid, false)?.into_iter().flatten().collect();
            let now = reach::in_table(view, of, lv, &live).unwrap_or_default();
            let Some(grown) = reach::grown(view, of, lv, &now, stage) else { continue };
            let numbers = Numbers::look_up(kernel, view, Some(of), lv)?.reaching(Some(grown));
            let table = tables::table(&numbers, Some((of, Mapping::Mirrored)))?;
            kernel.load(&uuid, &name, &table)?;
            kernel.swap(&uuid, &name, &table)?;
            if stage.one_by_one {
                break;
            }
        }
        Ok(())
    }

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
        let reach = reach::in_table(view, of, lv, &loaded);
        let numbers = Numbers::look_up(kernel, view, Some(of), lv)?.reaching(reach);
        let live = table::observe(view.vg, lv, of, &numbers, &loaded);
        if !look_only {
            self.watch(view, of)?;
        }
        Ok(live)
    }

    fn create_shadow(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex) -> Result<()> {
        shadow::create(self.kernel()?, view, of, lv)
    }

    fn load(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex, mapping: Mapping) -> Result<()> {
        let (name, uuid) = identity(view.vg, lv)?;
        let reach = match mapping {
            Mapping::Mirrored => self.first_reach(view, of, lv)?,
            _ => None,
        };
        let kernel = self.kernel()?;
        let numbers = Numbers::look_up(kernel, view, Some(of), lv)?.reaching(reach);
        let table = tables::table(&numbers, Some((of, mapping)))?;
        if kernel.find(&uuid)?.is_none() {
            kernel.create(&name, &uuid)?;
        }
        kernel.load(&uuid, &name, &table)
    }

    fn swap(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex, mapping: Mapping) -> Result<()> {
        let (name, uuid) = identity(view.vg, lv)?;
        let kernel = self.kernel()?;
        let loaded: Vec<_> = kernel.table(&uuid, true)?.into_iter().flatten().collect();
        let reach = reach::in_table(view, of, lv, &loaded);
        let numbers = Numbers::look_up(kernel, view, Some(of), lv)?.reaching(reach);
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
        let found = status::copy_status(kernel, view, of)?;
        if self.waits && found.wants_more() {
            self.give_more(view, of)?;
        }
        Ok(found.status)
    }

    fn check_destination(&mut self, view: View<'_>, of: MoveIndex) -> Result<Option<LegFault>> {
        Ok(status::copy_status(self.kernel()?, view, of)?.status.fault_of_destination())
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Wake> {
        if !std::mem::replace(&mut self.waits, true) {
            // What was looked at before gave out nothing, and a first stage that had ended by then tells nothing more.
            return Ok(Wake::Changed);
        }
        let rest = self.stages.as_ref().and_then(|(_, stages)| stages.rest(Instant::now()));
        let shorter = rest.filter(|rest| timeout.is_none_or(|timeout| *rest < timeout));
        match events::wait(self.kernel()?, shorter.or(timeout))? {
            Wake::Timeout if shorter.is_some() => Ok(Wake::Changed),
            woken => Ok(woken),
        }
    }

    fn set_pace(&mut self, pace: Pace) -> Result<()> {
        self.unpaced = !pace.is_polite();
        front_end::by_the_kernel(self.name(), pace)
    }
}
