//! The dm ioctls, one method each, with errors in the person's words.

use std::cell::OnceCell;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use devicemapper::{DM, DevId, DmError, DmFlags, DmName, DmOptions, DmUuid, errors};
use lvshift_core::table::{Segment, Target, compare};
use lvshift_core::units::{DeviceNumber, Sectors};
use lvshift_frontend_common::device::OWN_DM_PREFIX;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::lock;

use crate::ioctl::{Change, change};
use crate::names;
use crate::udev::{self, Cookie};

const ENXIO: i32 = 6;
const EBUSY: i32 = 16;
/// How often, and after what pauses, taking down a device that is open is tried again: whoever
/// looks for file systems on every new device has it open for a moment.
const REMOVE_TRIES: u32 = 10;
/// The same for a shadow or log, which can be left to the kernel to take down later.
const REMOVE_HELPER_TRIES: u32 = 3;
const REMOVE_PAUSE: Duration = Duration::from_millis(200);

/// What the kernel says of a device.
#[derive(Clone, Debug)]
pub(crate) struct Info {
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) number: DeviceNumber,
    pub(crate) open_count: u32,
    pub(crate) suspended: bool,
    pub(crate) live: bool,
    pub(crate) loaded: bool,
}

/// A table as the kernel told it; `None` for a line that no table of ours has.
pub(crate) type KernelTable = Vec<Option<Segment>>;

/// A line as the kernel takes and tells it: first sector, how many, target, arguments.
pub(crate) type RawLine = (u64, u64, String, String);

/// The way to device-mapper.
pub(crate) struct Kernel {
    dm: DM,
    /// By which udev tells that it is done; made when something first changes.
    cookie: OnceCell<Option<Cookie>>,
}

impl Kernel {
    /// Whether there is a device-mapper to ask.
    pub(crate) fn is_there() -> bool {
        Path::new("/dev/mapper/control").exists()
    }

    /// Opens the control device, loading the module where it is not there, and resumes devices of
    /// ours that a dead process left suspended, unless this is only to look.
    pub(crate) fn open(look_only: bool) -> Result<Kernel> {
        if !Kernel::is_there() {
            modprobe("dm-mod");
        }
        let dm = DM::new().map_err(|error| {
            Error::new(Kind::Kernel, "this kernel has no device-mapper")
                .because(error.to_string())
                .state("nothing was changed")
                .next("modprobe dm-mod, as root")
        })?;
        let kernel = Kernel { dm, cookie: OnceCell::new() };
        if !look_only {
            kernel.resume_own()?;
        }
        Ok(kernel)
    }

    /// Refuses a kernel that lacks what is needed.
    pub(crate) fn check(&self, for_a_move: bool) -> Result<()> {
        let version =
            self.dm.version().map_err(|error| failed("version", "device-mapper", error))?;
        if version < (4, 37, 0) {
            return Err(Error::new(
                Kind::Kernel,
                format!("device-mapper {}.{}.{} is too old", version.0, version.1, version.2),
            )
            .state("nothing was changed")
            .next("4.37 (Linux 4.14) or later is needed"));
        }
        let needed: &[(&str, &str)] = if for_a_move {
            &[("linear", "dm-mod"), ("mirror", "dm-mirror")]
        } else {
            &[("linear", "dm-mod")]
        };
        for (target, module) in needed {
            if !self.has_target(target)? {
                modprobe(module);
            }
            if !self.has_target(target)? {
                return Err(Error::new(
                    Kind::Kernel,
                    format!("this kernel has no device-mapper target {target}"),
                )
                .state("nothing was changed")
                .next(format!("modprobe {module}")));
            }
        }
        Ok(())
    }

    fn has_target(&self, name: &str) -> Result<bool> {
        let versions = self
            .dm
            .list_versions()
            .map_err(|error| failed("list the targets of", "the kernel", error))?;
        Ok(versions.iter().any(|(target, ..)| target == name))
    }

    /// All devices whose UUID is ours.
    pub(crate) fn own(&self) -> Result<Vec<Info>> {
        let listed =
            self.dm.list_devices().map_err(|error| failed("list", "the dm devices", error))?;
        let mut own = Vec::new();
        for (name, ..) in listed {
            // A device may go away between the list and this.
            if let Ok(info) = self.dm.device_info(&DevId::Name(&name)) {
                own.extend(
                    Some(info_of(&info)).filter(|info| info.uuid.starts_with(OWN_DM_PREFIX)),
                );
            }
        }
        Ok(own)
    }

    /// A suspended device with a live table was left so by a process that died: nothing of ours
    /// suspends for longer than one ioctl. While a mover lives its devices are left to it.
    fn resume_own(&self) -> Result<()> {
        for info in self.own()? {
            if !info.suspended || !info.live {
                continue;
            }
            let Some(vg) = names::vg_of(&info.uuid) else { continue };
            let Ok(_lock) = lock::mover(vg, lock::RESUMES) else { continue };
            tracing::warn!(name = info.name, "was left suspended, is resumed");
            if info.loaded {
                // Resuming would switch to it.
                self.clear(&info.uuid)?;
            }
            self.resume(&info.uuid, &info.name)?;
        }
        Ok(())
    }

    /// The device with this UUID.
    pub(crate) fn find(&self, uuid: &str) -> Result<Option<Info>> {
        let id = DmUuid::new(uuid).map_err(|error| failed("name", uuid, error))?;
        match self.dm.device_info(&DevId::Uuid(id)) {
            Ok(info) => Ok(Some(info_of(&info))),
            Err(error) if errno(&error) == Some(ENXIO) => Ok(None),
            Err(error) => Err(failed("look at", uuid, error)),
        }
    }

    /// A device without a table.
    pub(crate) fn create(&self, name: &str, uuid: &str) -> Result<()> {
        let dm_name = DmName::new(name).map_err(|error| failed("name", name, error))?;
        let dm_uuid = DmUuid::new(uuid).map_err(|error| failed("name", uuid, error))?;
        match self.dm.device_create(dm_name, Some(dm_uuid), DmOptions::default()) {
            Ok(_) => Ok(()),
            Err(error) if errno(&error) == Some(EBUSY) => Err(Error::new(
                Kind::Exists,
                format!("there is a device-mapper device {name} that is not ours"),
            )
            .device(format!("/dev/mapper/{name}"))
            .state("it was not touched")
            .next("rename or remove it")),
            Err(error) => Err(failed("create", name, error)),
        }
    }

    /// Puts a table into the inactive slot and looks whether the kernel has understood it.
    pub(crate) fn load(&self, uuid: &str, shown: &str, table: &[Segment]) -> Result<()> {
        let lines: Vec<RawLine> = table
            .iter()
            .map(|line| {
                let kind = line.target.dm_kind().to_owned();
                (line.start.0, line.len.0, kind, line.target.dm_params().to_string())
            })
            .collect();
        self.load_raw(uuid, shown, &lines)?;
        same(table, &self.table(uuid, true)?, shown)
    }

    /// Puts lines into the inactive slot.
    pub(crate) fn load_raw(&self, uuid: &str, shown: &str, lines: &[RawLine]) -> Result<()> {
        let id = DmUuid::new(uuid).map_err(|error| failed("name", uuid, error))?;
        for (start, len, kind, params) in lines {
            tracing::debug!(
                device = shown,
                line = format!("{start} {len} {kind} {params}"),
                "load"
            );
        }
        self.dm
            .table_load(&DevId::Uuid(id), lines, DmOptions::default())
            .map(drop)
            .map_err(|error| failed("load a table into", shown, error))
    }

    /// Drops what is in the inactive slot.
    pub(crate) fn clear(&self, uuid: &str) -> Result<()> {
        let id = DmUuid::new(uuid).map_err(|error| failed("name", uuid, error))?;
        self.dm
            .table_clear(&DevId::Uuid(id))
            .map(drop)
            .map_err(|error| failed("clear", uuid, error))
    }

    /// Switches to the loaded table in one ioctl: the kernel suspends, switches and resumes, so no
    /// death of ours can leave the device suspended. I/O in flight is waited for; what the mirror
    /// holds back is queued again for the new table (noflush) instead of failed; no file system is
    /// frozen (skip lockfs), since nothing on the device changes for it.
    pub(crate) fn resume(&self, uuid: &str, shown: &str) -> Result<()> {
        let flags = DmFlags::DM_NOFLUSH | DmFlags::DM_SKIP_LOCKFS;
        self.change(Change::Resume { uuid }, names::is_hidden(uuid, shown), flags)
            .map_err(|error| refused("switch the table of", shown, error))
    }

    /// Makes a change of which udev is told, and does not wait for udev.
    fn change(&self, what: Change<'_>, helper: bool, flags: DmFlags) -> io::Result<()> {
        let cookie = self.cookie.get_or_init(Cookie::new).as_ref();
        udev::told(cookie, helper, |event| change(self.dm.file(), what, flags.bits(), event))
    }

    /// Waits for a while until udev has seen to all changes so far. Not for a move.
    pub(crate) fn wait_for_udev(&self) {
        if let Some(cookie) = self.cookie.get().and_then(Option::as_ref) {
            cookie.wait_for_udev();
        }
    }

    /// [`Kernel::resume`], and then the live table must be `table`.
    pub(crate) fn swap(&self, uuid: &str, shown: &str, table: &[Segment]) -> Result<()> {
        let done = self.resume(uuid, shown);
        let live = self.table(uuid, false)?;
        let checked = same(table, &live, shown);
        done.and(checked)
    }

    /// The live table, or the one in the inactive slot.
    pub(crate) fn table(&self, uuid: &str, inactive: bool) -> Result<KernelTable> {
        Ok(self
            .raw_table(uuid, inactive)?
            .into_iter()
            .map(|(start, len, kind, params)| {
                let target = Target::from_dm(&kind, &params).ok()?;
                Some(Segment { start: Sectors(start), len: Sectors(len), target })
            })
            .collect())
    }

    /// The same, in the kernel's words.
    pub(crate) fn raw_table(&self, uuid: &str, inactive: bool) -> Result<Vec<RawLine>> {
        let mut flags = DmFlags::DM_STATUS_TABLE | DmFlags::DM_NOFLUSH;
        if inactive {
            flags |= DmFlags::DM_QUERY_INACTIVE_TABLE;
        }
        self.lines(uuid, flags)
    }

    /// The status of each line of the live table: start, length, kind, text.
    pub(crate) fn status(&self, uuid: &str) -> Result<Vec<RawLine>> {
        self.lines(uuid, DmFlags::DM_NOFLUSH)
    }

    fn lines(&self, uuid: &str, flags: DmFlags) -> Result<Vec<RawLine>> {
        let id = DmUuid::new(uuid).map_err(|error| failed("name", uuid, error))?;
        self.dm
            .table_status(&DevId::Uuid(id), DmOptions::default().set_flags(flags))
            .map(|(_, lines)| lines)
            .map_err(|error| failed("read the table of", uuid, error))
    }

    /// Takes a device down. `Kind::InUse` when it is open.
    pub(crate) fn remove(&self, uuid: &str, shown: &str) -> Result<()> {
        self.remove_with(uuid, shown, DmFlags::empty())
    }

    /// Takes a device down when the last opener closes it.
    pub(crate) fn remove_deferred(&self, uuid: &str, shown: &str) -> Result<()> {
        self.remove_with(uuid, shown, DmFlags::DM_DEFERRED_REMOVE)
    }

    fn remove_with(&self, uuid: &str, shown: &str, flags: DmFlags) -> Result<()> {
        let mut tries = 1;
        let helper = names::is_hidden(uuid, shown);
        let enough = if helper { REMOVE_HELPER_TRIES } else { REMOVE_TRIES };
        loop {
            let done = self.change(Change::Remove { uuid }, helper, flags);
            let Err(error) = done else { return Ok(()) };
            match error.raw_os_error() {
                Some(ENXIO) => return Ok(()),
                Some(EBUSY) if tries < enough => std::thread::sleep(REMOVE_PAUSE),
                Some(EBUSY) => {
                    return Err(Error::new(Kind::InUse, format!("the device {shown} is open"))
                        .device(format!("/dev/mapper/{shown}"))
                        .next("close or unmount it"));
                }
                _ => return Err(refused("remove", shown, error)),
            }
            tries += 1;
        }
    }

    /// Gives a device another name.
    pub(crate) fn rename(&self, old: &str, new: &str) -> Result<()> {
        self.change(Change::Rename { old, new }, false, DmFlags::empty())
            .map_err(|error| refused("rename", old, error))
    }

    /// From now on a change of any device makes [`Kernel::events`] readable.
    pub(crate) fn arm(&self) -> Result<()> {
        self.dm.arm_poll().map(drop).map_err(|error| failed("wait for", "events", error))
    }

    /// Readable when something changed since [`Kernel::arm`].
    pub(crate) fn events(&self) -> &std::fs::File {
        self.dm.file()
    }
}

fn info_of(info: &devicemapper::DeviceInfo) -> Info {
    let flags = info.flags();
    Info {
        name: info.name().map(ToString::to_string).unwrap_or_default(),
        uuid: info.uuid().map(ToString::to_string).unwrap_or_default(),
        number: DeviceNumber { major: info.device().major, minor: info.device().minor },
        open_count: u32::try_from(info.open_count()).unwrap_or(0),
        suspended: flags.contains(DmFlags::DM_SUSPEND),
        live: flags.contains(DmFlags::DM_ACTIVE_PRESENT),
        loaded: flags.contains(DmFlags::DM_INACTIVE_PRESENT),
    }
}

/// Refuses a table that is not what was meant.
pub(crate) fn same(meant: &[Segment], loaded: &KernelTable, shown: &str) -> Result<()> {
    let differ = |why: String| {
        Err(Error::new(
            Kind::Inconsistent,
            format!("the kernel has another table for {shown} than was meant"),
        )
        .device(format!("/dev/mapper/{shown}"))
        .because(why))
    };
    let Some(loaded) = loaded.iter().copied().collect::<Option<Vec<Segment>>>() else {
        return differ("it has a target that is not ours".to_owned());
    };
    match compare(meant.iter().copied(), loaded.into_iter()) {
        Ok(()) => Ok(()),
        Err(difference) => differ(difference.to_string()),
    }
}

fn modprobe(module: &str) {
    // Without modprobe the check that follows says what is missing.
    let done = Command::new("modprobe").arg("-q").arg(module).status();
    tracing::debug!(module, ?done, "modprobe");
}

fn errno(error: &DmError) -> Option<i32> {
    match error {
        DmError::Core(errors::Error::Ioctl(_, _, _, errno)) => Some(**errno as i32),
        _ => None,
    }
}

fn refused(what: &str, shown: &str, error: io::Error) -> Error {
    Error::new(Kind::Kernel, format!("device-mapper did not {what} {shown}")).because(error)
}

fn failed(what: &str, shown: &str, error: DmError) -> Error {
    let cause: Box<dyn std::error::Error + Send + Sync> = match errno(&error) {
        Some(errno) => Box::new(std::io::Error::from_raw_os_error(errno)),
        None => error.to_string().into(),
    };
    Error::new(Kind::Kernel, format!("device-mapper did not {what} {shown}")).because(cause)
}
