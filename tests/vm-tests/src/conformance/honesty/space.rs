//! A thin destination without space: see the matrix in `honesty/mod.rs`.

use anyhow::Result;

use super::disks::said;
use crate::conformance::fixture::{self, DATA, Rig, VG, served};
use crate::guest::Guest;

/// Sectors that the pool gives out at once; there is no less.
pub(super) const BLOCK: u64 = 128;
/// Sectors of the pool's own metadata, at the start of its disk.
const POOL_METADATA: u64 = 8192;
/// Sectors of the thin device.
const THIN: u64 = 65_536;

const EXTENTS: u32 = 4;

/// A thin device `/dev/mapper/thin` over a pool on a disk, whose size is changed under it.
pub(super) struct Pool<'g> {
    guest: &'g Guest,
    disk: String,
}

impl<'g> Pool<'g> {
    /// Makes them; the pool has room for this many sectors.
    pub(super) fn on(guest: &'g Guest, disk: &str, sectors: u64) -> Result<Pool<'g>> {
        let pool = Pool { guest, disk: disk.to_owned() };
        // A pool of an earlier life would be found there.
        guest.sh(&format!("dd if=/dev/zero of={disk} bs=64k count=1 oflag=direct"))?;
        guest.dm_create("tmeta", &format!("0 {POOL_METADATA} linear {} 0", pool.disk))?;
        guest.dm_create("tdata", &pool.data(sectors))?;
        guest.dm_create("pool", &Self::table(sectors))?;
        guest.run("dmsetup", &["message", "pool", "0", "create_thin 0"])?.ok()?;
        guest.dm_create("thin", &format!("0 {THIN} thin /dev/mapper/pool 0"))?;
        Ok(pool)
    }

    /// From now on it has room for this many.
    pub(super) fn grow(&self, sectors: u64) -> Result<()> {
        self.guest.dm_reload("tdata", &self.data(sectors))?;
        self.guest.dm_reload("pool", &Self::table(sectors))
    }

    fn data(&self, sectors: u64) -> String {
        format!("0 {sectors} linear {} {POOL_METADATA}", self.disk)
    }

    fn table(sectors: u64) -> String {
        format!(
            "0 {sectors} thin-pool /dev/mapper/tmeta /dev/mapper/tdata {BLOCK} 0 1 \
             error_if_no_space"
        )
    }
}

/// Gives every block of a device's first sectors its place: they have room from now on.
pub(super) fn provision(guest: &Guest, device: &str, sectors: u64) -> Result<()> {
    let count = sectors / BLOCK;
    let bytes = BLOCK * 512;
    guest.sh(&format!("dd if=/dev/zero of={device} bs={bytes} count={count} oflag=direct"))?;
    Ok(())
}

pub(super) fn space(guest: &mut Guest) -> Result<()> {
    let needed = u64::from(EXTENTS) * fixture::EXTENT;
    let pool = Pool::on(guest, &guest.disk("pv2")?.display().to_string(), DATA)?;
    provision(guest, "/dev/mapper/thin", DATA)?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, "/dev/mapper/thin".into()])?;
    let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 1531)?;

    for room in [0, needed - BLOCK] {
        if room > 0 {
            pool.grow(DATA + room)?;
        }
        let run = rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?;
        said(run, &rig.pv(2))?;
        served(&writer)?;
        writer.outcome().clean()?;
        // Its label, metadata and log have their places: the end of the move could be recorded.
        guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok()?;
        rig.pvmove(&[])?.ok()?;
        rig.at_rest()?;
        rig.lies("lv", &[(1, 0, EXTENTS)])?;
    }

    pool.grow(DATA + needed)?;
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    rig.lies("lv", &[(2, 0, EXTENTS)])?;
    served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}
