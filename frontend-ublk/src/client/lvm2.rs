//! Moves in VGs of LVM2's own: device-mapper does what it does for everybody, and the daemon mirrors.

use std::ops::Range;
use std::time::Duration;

use lvshift_core::table::{Area, Log, Mirror, Segment, Target};
use lvshift_core::units::{DeviceNumber, SECTOR_SIZE, Sectors, Uuid};
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::front_end::{CopyStatus, FrontEnd, Wake};
use lvshift_frontend_common::lvm2::engine::{Engine, HEAD, Wanted};
use lvshift_frontend_common::lvm2::mapper::{Device, Mapper};
use lvshift_frontend_common::lvm2::table::Line;

use super::tables::disk_sequence;
use super::{Ublk, given_up, not_understood};
use crate::channel::Start;
use crate::platform::{Control, disk_number};
use crate::protocol::{Answer, Dev, Request, WirePv, WireTable};

impl Ublk {
    fn dm(&mut self) -> Result<&mut (dyn Mapper + Send + 'static)> {
        let gone = || Error::new(Kind::Kernel, "device-mapper went away");
        self.mapper.as_deref_mut().ok_or_else(gone)
    }
}

impl Mapper for Ublk {
    fn engine(&mut self) -> Option<&mut dyn Engine> {
        Some(self)
    }

    fn check(&mut self) -> Result<()> {
        Control::open()?;
        self.dm()?.check()
    }

    fn find(&mut self, uuid: &str) -> Result<Option<Device>> {
        self.dm()?.find(uuid)
    }

    fn create(&mut self, name: &str, uuid: &str) -> Result<()> {
        self.dm()?.create(name, uuid)
    }

    fn table(&mut self, uuid: &str) -> Result<Vec<Line>> {
        self.dm()?.table(uuid)
    }

    fn status(&mut self, uuid: &str) -> Result<Vec<Line>> {
        self.watched = false;
        self.dm()?.status(uuid)
    }

    fn load(&mut self, uuid: &str, shown: &str, table: &[Line]) -> Result<()> {
        self.dm()?.load(uuid, shown, table)
    }

    fn swap(&mut self, uuid: &str, shown: &str, table: &[Line]) -> Result<()> {
        self.dm()?.swap(uuid, shown, table)
    }

    fn remove(&mut self, uuid: &str, shown: &str) -> Result<()> {
        self.dm()?.remove(uuid, shown)
    }

    fn remove_deferred(&mut self, uuid: &str, shown: &str) -> Result<()> {
        self.dm()?.remove_deferred(uuid, shown)
    }

    fn arm(&mut self) -> Result<()> {
        self.dm()?.arm()
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Wake> {
        if self.watched { FrontEnd::wait(self, timeout) } else { self.dm()?.wait(timeout) }
    }
}

impl Engine for Ublk {
    fn serve(&mut self, wanted: &Wanted<'_>) -> Result<()> {
        let (vg, lv) = (wanted.vg, wanted.of.0);
        let (name, table) = (wanted.name.to_owned(), table(wanted)?.on_source());
        let (shadow, undecided, lvm2) = (None, false, Some(wanted.vg_id.to_owned()));
        self.do_it(vg, &Request::Activate { lv, name, table, shadow, undecided, lvm2 })
    }

    fn mirror(&mut self, wanted: &Wanted<'_>) -> Result<()> {
        let (vg, lv) = (wanted.vg, wanted.of.0);
        // A daemon that was replaced meanwhile has nothing loaded.
        for _ in 0..2 {
            if self.mirrors(vg, wanted.of)? {
                return Ok(());
            }
            let tuning = self.asked(1);
            self.do_it(vg, &Request::Tune { lvs: vec![lv], tuning })?;
            let (name, mut table) = (wanted.name.to_owned(), table(wanted)?);
            table.given_up = given_up::of_mirror(&wanted.lies, HEAD, &self.given_up);
            self.do_it(vg, &Request::Load { lv, name, table })?;
            self.do_it(vg, &Request::Swap { lv })?;
        }
        if self.mirrors(vg, wanted.of)? {
            return Ok(());
        }
        Err(Error::new(Kind::State, "the daemon does not mirror")
            .state("the LV is on its source, through the daemon"))
    }

    fn mirrors(&mut self, vg: Uuid, of: Uuid) -> Result<bool> {
        Ok(self.tables(vg, of)?.live.is_some_and(|live| live.is_mirrored()))
    }

    fn is_on_destination(&mut self, wanted: &Wanted<'_>) -> Result<bool> {
        let meant = table(wanted)?.on_side(true).segments();
        Ok(self.tables(wanted.vg, wanted.of)?.live.is_some_and(|live| live.segments() == meant))
    }

    fn device(&mut self, vg: Uuid, of: Uuid) -> Result<Option<DeviceNumber>> {
        self.find(vg, of)?.map(|device| disk_number(device.id)).transpose()
    }

    fn status(&mut self, vg: Uuid, of: Uuid) -> Result<CopyStatus> {
        self.tune_once(vg, Some(of), &[of.0])?;
        // A copy that is not made would look like one that has nothing to do.
        if !self.mirrors(vg, of)? {
            return Err(Error::new(Kind::State, "the move is not mirrored"));
        }
        self.watched = true;
        self.read_status(vg, vec![of.0])
    }

    fn seal(&mut self, vg: Uuid, of: Uuid) -> Result<bool> {
        match self.ask(vg, &Request::Seal { lvs: vec![of.0], commit: false })? {
            Answer::Sealed(sealed) => Ok(sealed),
            _ => Err(not_understood()),
        }
    }

    fn seal_again(&mut self, vg: Uuid, of: Uuid) -> bool {
        let request = Request::Seal { lvs: vec![of.0], commit: true };
        let channel = self.channel.as_mut().filter(|other| other.vg() == vg);
        let answer = channel.map(|channel| channel.ask(&request));
        matches!(answer, Some(Ok(Answer::Sealed(true))))
    }

    fn decide(&mut self, vg: Uuid, of: Uuid, destination: bool) -> Result<()> {
        let request = Request::Decide { lv: of.0, destination };
        self.ask_if_there(vg, &request, Start::ToTakeOver)?;
        let live = self.tables(vg, of)?.live.filter(WireTable::is_mirrored);
        let (Some(live), Some(device)) = (live, self.find(vg, of)?) else { return Ok(()) };
        // A write that waits for a log that cannot be written would keep `lvshiftN` from being switched. From now on all
        // goes to the side that the record has in charge already, and nothing to the log.
        let (lv, name, table) = (of.0, device.name, live.on_side(destination));
        self.do_it(vg, &Request::Load { lv, name, table })?;
        self.do_it(vg, &Request::Swap { lv })
    }

    fn hand_over(&mut self, vg: Uuid, of: Uuid) -> Result<bool> {
        // A mover that was killed may have left it sealed.
        self.do_it(vg, &Request::Decide { lv: of.0, destination: false })?;
        match self.ask(vg, &Request::HandOver { lv: of.0, over: true })? {
            Answer::Sealed(still) => Ok(still),
            _ => Err(not_understood()),
        }
    }

    fn keep(&mut self, vg: Uuid, of: Uuid) -> Result<()> {
        let request = Request::HandOver { lv: of.0, over: false };
        self.ask_if_there(vg, &request, Start::ToTakeOver).map(drop)
    }

    fn end(&mut self, vg: Uuid, of: Uuid) -> Result<()> {
        self.watched = false;
        let request = Request::Deactivate { lv: of.0 };
        self.when_answered(vg, &request)
    }

    fn differing(&mut self) -> Vec<Range<u64>> {
        self.differ_anew().map(|run| behind_head(run.sectors)).collect()
    }

    fn differing_still(&self) -> Vec<Range<u64>> {
        self.differs.iter().filter(|run| run.again).map(|run| behind_head(run.sectors)).collect()
    }

    fn unreadable(&self) -> Vec<(Range<u64>, i32)> {
        let runs = self.unreadable.iter();
        runs.map(|run| (behind_head(run.sectors), run.errno)).collect()
    }
}

/// Sectors of the mirror, of those of the device that is served.
fn behind_head((first, end): (u64, u64)) -> Range<u64> {
    first.saturating_sub(HEAD)..end.saturating_sub(HEAD)
}

/// An error in front, then the mirror.
fn table(wanted: &Wanted<'_>) -> Result<WireTable> {
    let Wanted { source, destination, log, sectors, region_size, .. } = *wanted;
    let dev = |number: DeviceNumber| Dev::Pv { major: number.major, minor: number.minor };
    let area = |number| Area { device: dev(number), offset: Sectors(0) };
    let mirror = Mirror {
        source: area(source),
        destination: area(destination),
        log: Log::Disk(Dev::Log { major: log.major, minor: log.minor, sector: 0 }),
        chunk_sectors: region_size,
        sync: None,
        handle_errors: true,
        keep_log: false,
    };
    let target = Target::Mirror(mirror);
    let lines = [
        Segment { start: Sectors(0), len: Sectors(HEAD), target: Target::Error },
        Segment { start: Sectors(HEAD), len: Sectors(sectors), target },
    ];
    let below = |number: DeviceNumber, sectors| WirePv {
        uuid: [0; 16],
        path: format!("/dev/dm-{}", number.minor),
        major: number.major,
        minor: number.minor,
        disk_sequence: disk_sequence(number.major, number.minor),
        sectors,
    };
    let log_sectors = log_sectors(sectors, region_size)?;
    let below = vec![below(source, sectors), below(destination, sectors), below(log, log_sectors)];
    Ok(WireTable::new(below, &lines))
}

fn log_sectors(sectors: u64, region_size: u32) -> Result<u64> {
    let regions = sectors.div_ceil(u64::from(region_size.max(1)));
    let regions = u32::try_from(regions)
        .map_err(|_| Error::new(Kind::Limit, "the move has too many regions"))?;
    Ok(lvshift_on_disk_format::dirty_log::image_size(regions).div_ceil(SECTOR_SIZE))
}
