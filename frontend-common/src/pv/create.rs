//! `pvcreate` and `pvremove`: the label on a device.

use std::path::Path;

use lvshift_core::metadata::FoundSlot;
use lvshift_core::units::{Sectors, Uuid};
use lvshift_on_disk_format::{Geometry, Label, LabelCopy, SlotIndex};

use super::Scan;
use crate::device::{Access, Aligned, BlockDevice, is_own_lv, is_silent, users};
use crate::error::{Error, Kind, Result};
use crate::{lock, signature};

/// What `pvcreate` may be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct CreateOptions {
    /// Overwrite a foreign signature (never a mounted or held device).
    pub force: bool,
    /// The UUID to use instead of a random one.
    pub uuid: Option<Uuid>,
}

/// A new random UUID.
///
/// # Errors
/// `Kind::Kernel` when the kernel gives no random bytes.
pub fn new_uuid() -> Result<Uuid> {
    let mut bytes = [0; 16];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match got {
        Ok(16) => {
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            Ok(Uuid(bytes))
        }
        _ => Err(Error::new(Kind::Kernel, "the kernel gives no random bytes for a UUID")),
    }
}

/// Makes the device a PV without a VG and returns its UUID.
///
/// # Errors
/// `Kind::InUse` when mounted or held, `Kind::ForeignSignature` naming what was found and where,
/// `Kind::Exists` when it is a PV of a VG, `Kind::Io`; nothing is written in any of the first three.
pub fn create(path: &Path, options: CreateOptions) -> Result<Uuid> {
    let _lock = lock::orphans()?;
    let device = open_exclusive(path)?;
    let scan = Scan::run()?;
    refuse_silent(&device)?;
    if let Some(pv) = scan.pvs.iter().find(|pv| pv.number == device.number())
        && let Some((_, name, _)) = &pv.vg
        && !options.force
    {
        return Err(Error::new(Kind::Exists, format!("this is a PV of VG {name}"))
            .device(path.display())
            .state("nothing was changed")
            .next("vgreduce takes it out of its VG; --force destroys what is on it"));
    }
    if !options.force {
        refuse_ours(&scan, path)?;
    }
    let uuid = match options.uuid {
        Some(uuid) if scan.pvs.iter().any(|pv| pv.uuid == uuid && pv.number != device.number()) => {
            return Err(Error::new(Kind::Exists, format!("another PV has the UUID {uuid}"))
                .state("nothing was changed"));
        }
        Some(uuid) => uuid,
        None => new_uuid()?,
    };
    refuse_foreign(&device, options.force)?;
    write_label(&device, uuid)?;
    Ok(uuid)
}

/// What an earlier command has asked of a device that does not answer may still be written over what is put there now.
fn refuse_silent(device: &BlockDevice) -> Result<()> {
    if !is_silent(device.number()) {
        return Ok(());
    }
    Err(Error::new(Kind::Io, "the device does not answer")
        .device(device.path().display())
        .state("nothing was changed")
        .next("try again when it does"))
}

/// A label or metadata of ours that this program does not understand, or may not use, may be worth
/// as much as a foreign file system.
fn refuse_ours(scan: &Scan, path: &Path) -> Result<()> {
    match scan.at(path) {
        Ok(pv) if pv.vg.is_none() && pv.found.slots.iter().any(|s| *s != FoundSlot::Blank) => {
            Err(Error::new(Kind::Damaged, "this PV holds metadata that cannot be believed")
                .device(path.display())
                .state("nothing was changed")
                .next("--force destroys what is on it"))
        }
        Err(error) if error.kind != Kind::NotFound => {
            Err(error.next("--force destroys what is on it"))
        }
        _ => Ok(()),
    }
}

fn refuse_foreign(device: &BlockDevice, force: bool) -> Result<()> {
    let found = signature::find_any(device)?;
    let foreign = found.iter().find(|found| !found.name.starts_with("lvshift"));
    match foreign {
        Some(found) if !force => Err(Error::new(
            Kind::ForeignSignature,
            format!("the device carries a signature of {} at byte {}", found.name, found.offset),
        )
        .device(device.path().display())
        .sector_run(found.offset / 512..found.offset / 512 + 1)
        .state("nothing was changed")
        .next("--force overwrites it")),
        _ => Ok(()),
    }
}

/// Wipes what was there, then writes the labels: the first one last, so that a torn `pvcreate` is
/// no PV.
pub(crate) fn write_label(device: &BlockDevice, uuid: Uuid) -> Result<()> {
    let no_room = |error: &dyn std::fmt::Display| {
        Error::new(Kind::NoSpace, format!("the device cannot be a PV: {error}"))
            .device(device.path().display())
            .state("nothing was changed")
    };
    let geometry = Geometry::for_device(device.size().0).map_err(|error| no_room(&error))?;
    if geometry.data_size() == 0 {
        return Err(no_room(&"it has no room for data"));
    }
    let label = Label::new(uuid, geometry)
        .ok_or_else(|| Error::new(Kind::Usage, "the UUID of a PV must not be zero"))?;
    for found in signature::find_any(device)? {
        let block = Aligned::zeroed(4096);
        let start = (found.offset & !4095) / 512;
        let len = (device.size().0.saturating_sub(start) * 512).min(4096);
        device.write(Sectors(start), &block[..usize::try_from(len).unwrap_or(0)])?;
    }
    let mebibyte = Aligned::zeroed(1 << 20);
    for start in (0..geometry.data_start()).step_by(2048) {
        let sectors = (geometry.data_start() - start).min(2048);
        device.write(Sectors(start), &mebibyte[..usize::try_from(sectors * 512).unwrap_or(0)])?;
    }
    device.flush()?;
    for copy in [LabelCopy::Second, LabelCopy::First] {
        let mut bytes = Aligned::zeroed(Label::SIZE);
        if let Some(bytes) = bytes.first_chunk_mut() {
            label.as_copy(copy).encode(bytes);
        }
        device.write(Sectors(copy.start()), &bytes)?;
        device.flush()?;
    }
    Ok(())
}

/// Writes those copies of a PV's label again that are not what they should be; says whether there
/// were any.
pub(crate) fn repair_label(device: &BlockDevice, label: &Label) -> Result<bool> {
    let mut repaired = false;
    for copy in LabelCopy::ALL {
        let (mut good, mut there) = (Aligned::zeroed(Label::SIZE), Aligned::zeroed(Label::SIZE));
        if let Some(bytes) = good.first_chunk_mut() {
            label.as_copy(copy).encode(bytes);
        }
        let read = device.read(Sectors(copy.start()), &mut there);
        if read.is_err() || *there != *good {
            device.write(Sectors(copy.start()), &good)?;
            device.flush()?;
            repaired = true;
        }
    }
    Ok(repaired)
}

/// Wipes the labels and metadata slots of a PV that belongs to no VG (`force`: of any PV that
/// nothing holds).
///
/// # Errors
/// `Kind::State` naming the VG when it belongs to one, `Kind::InUse`, `Kind::NotFound`, `Kind::Io`.
pub fn remove(path: &Path, force: bool) -> Result<()> {
    let _lock = lock::orphans()?;
    let device = open_exclusive(path)?;
    let scan = Scan::run()?;
    refuse_silent(&device)?;
    let found = scan.pvs.iter().find(|pv| pv.number == device.number());
    match found.and_then(|pv| pv.vg.as_ref()) {
        Some((_, name, _)) if !force => {
            return Err(Error::new(Kind::State, format!("the PV belongs to VG {name}"))
                .device(path.display())
                .state("nothing was changed")
                .next(format!("vgreduce {name} {} takes it out", path.display())));
        }
        _ => {}
    }
    if !force {
        scan.at(path)?;
    }
    // Whatever was forced: it is not ours to wipe, and our labels would stand in its metadata.
    if found.is_none() && signature::is_lvm2(&device) {
        return Err(crate::lvm2::not_ours("this is a PV of LVM2's").device(path.display()));
    }
    let zeros = Aligned::zeroed(4096);
    for copy in LabelCopy::ALL {
        device.write(Sectors(copy.start()), &zeros)?;
    }
    if let Some(pv) = found {
        for index in SlotIndex::ALL {
            let start = Sectors(pv.label.geometry().slot(index).start);
            // Without a label nothing looks for them: a PV that was left for its bad slots can be wiped.
            if let Err(error) = device.write(start, &zeros) {
                let path = path.display();
                tracing::warn!(%path, %error, "its labels are wiped, old metadata stay where they cannot be written over");
            }
        }
    }
    device.flush()
}

fn open_exclusive(path: &Path) -> Result<BlockDevice> {
    let in_use = |why: String| {
        Error::new(Kind::InUse, format!("the device is in use: {why}"))
            .device(path.display())
            .state("nothing was changed")
    };
    let look = BlockDevice::open(path, Access::Read)?;
    if let Some(why) = users::in_use(look.number()) {
        return Err(in_use(why));
    }
    if is_own_lv(look.number()) {
        return Err(in_use("it is an LV".to_owned()));
    }
    let device = claim(path)?;
    if device.number() != look.number() {
        return Err(in_use("its path came to name another device".to_owned()));
    }
    Ok(device)
}

/// Opens a device for itself alone. Of one that is held it says which VG it belongs to, if any: a
/// process that serves LVs shows as no user in sysfs.
///
/// # Errors
/// `Kind::InUse`, and those of [`BlockDevice::open`].
pub(crate) fn claim(path: &Path) -> Result<BlockDevice> {
    BlockDevice::open(path, Access::Exclusive).map_err(|error| {
        if error.kind != Kind::InUse {
            return error;
        }
        let scan = Scan::run();
        let vg = scan.as_ref().ok().and_then(|scan| scan.at(path).ok()?.vg.as_ref());
        match vg {
            Some((_, name, _)) => Error::new(
                Kind::InUse,
                format!("the device is in use: it is a PV of VG {name}, and LVs on it are active"),
            )
            .device(path.display())
            .state("nothing was changed")
            .next(format!("pvmove empties it, then vgreduce {name} takes it out of the VG")),
            None => error,
        }
    })
}
