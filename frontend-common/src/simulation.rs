//! What the simulator puts in the place of this host: its disks and its directories.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use lvshift_core::metadata::{Name, SystemId};
use lvshift_core::units::{DeviceNumber, ExtentSize, Uuid};

use crate::device::BlockDevice;
use crate::error::Result;
use crate::pv::{Scan, write_label};
use crate::vg::OpenVg;

type Host = Box<dyn Fn() -> Vec<BlockDevice>>;

thread_local! {
    static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
    /// Devices that this thread's process asks nothing any more.
    static SILENT: RefCell<Vec<DeviceNumber>> = const { RefCell::new(Vec::new()) };
    /// Which host this is.
    static SYSTEM_ID: RefCell<Option<SystemId>> = const { RefCell::new(None) };
    /// Where its locks lie, if not where those of all hosts do.
    static DIRECTORY: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
}

/// From now on this thread is a host of this system id.
pub fn set_system_id(id: Option<SystemId>) {
    SYSTEM_ID.with(|cell| *cell.borrow_mut() = id);
}

/// The system id of the host that this thread is; `None` where it is a host of no simulation.
pub(crate) fn host() -> Option<Option<SystemId>> {
    HOST.with(|cell| cell.borrow().is_some()).then(|| SYSTEM_ID.with(|cell| cell.borrow().clone()))
}

pub(crate) fn directory() -> Option<PathBuf> {
    DIRECTORY.with(|cell| cell.borrow().clone())
}

/// What a process of another host does, which has the disks in common with this one and nothing else.
pub fn on_another_host<T>(id: SystemId, locks: &Path, does: impl FnOnce() -> T) -> T {
    /// Puts back what the thread was, whatever ends it.
    struct Back(Option<SystemId>, Vec<DeviceNumber>);
    impl Drop for Back {
        fn drop(&mut self) {
            set_system_id(self.0.take());
            SILENT.with(|cell| *cell.borrow_mut() = std::mem::take(&mut self.1));
            DIRECTORY.with(|cell| *cell.borrow_mut() = None);
        }
    }
    let _back = Back(SYSTEM_ID.with(|cell| cell.borrow().clone()), SILENT.with(|cell| cell.take()));
    set_system_id(Some(id));
    DIRECTORY.with(|cell| *cell.borrow_mut() = Some(locks.to_owned()));
    does()
}

/// From now on a scan of this thread finds these devices and no others.
pub fn set_devices(host: impl Fn() -> Vec<BlockDevice> + 'static) {
    HOST.with(|cell| *cell.borrow_mut() = Some(Box::new(host)));
    new_process();
}

/// From now on this thread is another process, which remembers nothing of the one before.
pub fn new_process() {
    SILENT.with(|cell| cell.borrow_mut().clear());
}

/// Whether this thread's process has waited for the device in vain; `None` where this is no simulation.
pub(crate) fn is_silent(device: DeviceNumber) -> Option<bool> {
    HOST.with(|cell| cell.borrow().is_some())
        .then(|| SILENT.with(|cell| cell.borrow().contains(&device)))
}

/// It has; false where this is no simulation.
pub(crate) fn remember_silent(device: DeviceNumber) -> bool {
    let simulated = HOST.with(|cell| cell.borrow().is_some());
    if simulated {
        SILENT.with(|cell| cell.borrow_mut().push(device));
    }
    simulated
}

pub(crate) fn devices() -> Option<Vec<BlockDevice>> {
    HOST.with(|cell| cell.borrow().as_ref().map(|host| host()))
}

/// Where locks and the journal lie, for all threads of this process.
pub fn set_directory(path: &Path) {
    crate::lock::set_run_directory_for_tests(path);
}

/// Whether the VG's metadata lock is free.
#[must_use]
pub fn metadata_lock_is_free(vg: Uuid) -> bool {
    crate::lock::metadata_is_free(vg)
}

/// The step of a move that this thread has begun last.
#[must_use]
pub fn step() -> &'static str {
    crate::failpoint::step()
}

/// Makes a device a PV.
///
/// # Errors
/// As `pvcreate`.
pub fn make_pv(device: &BlockDevice, uuid: Uuid) -> Result<()> {
    write_label(device, uuid)
}

/// Records that a PV takes no changes and is being left, as `pvmove` does after its question.
///
/// # Errors
/// As there.
pub fn leave(vg: &mut OpenVg, pv: Uuid) -> Result<()> {
    vg.begin_leaving(pv)
}

/// Makes a VG of this UUID over all devices of the host.
///
/// # Errors
/// As `vgcreate`.
pub fn make_vg(uuid: Uuid, name: Name, extent_size: ExtentSize) -> Result<OpenVg> {
    OpenVg::create_uuid(uuid, name, extent_size, Scan::run()?.pvs)
}
