//! The reading of the source before a move makes way for the LV's users, in a VG of either kind.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::rig::{HEAD, Lvm2};
use crate::conformance::fixture::{self, DATA, Rig};
use crate::guest::{Faulty, Guest, Run};
use crate::scenario::{Disk, DiskLimit, Frontend, Scenario};
use crate::writer::{Config, Writer};

/// One read of the check keeps it busy for an eighth of a second, in which its users have nothing.
const SLOW: DiskLimit = DiskLimit { mib: 16, requests: 2000 };

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "read-check-polite",
    about: "the source is read bit by bit beside an application, and as fast as can be without, in both kinds of VG",
    frontends: Frontend::DM,
    disks: &[
        Disk::new("own1", 32).limited(SLOW),
        Disk::new("own2", 32),
        Disk::new("lvm1", 32).limited(SLOW),
        Disk::new("lvm2", 32),
    ],
    timeout_s: 300,
    run: polite,
    ..Scenario::DEFAULT
}];

const EXTENTS: u32 = 24;
/// Bytes of the LV that its users read.
const USED: u64 = 4 << 20;
/// So many times longer the check takes beside users who are made way for than beside others: it is twice
/// or more, and as long without stages.
const LONGER: f64 = 1.4;
/// What the users keep of their requests, at least: 0.9 is aimed at, 0.84 was seen, and 0.21 without stages.
const KEPT: f64 = 0.5;

fn polite(guest: &mut Guest) -> Result<()> {
    let mut bad = guest.faulty("own1")?;
    let own = Rig::over(guest, vec![bad.path(), guest.disk("own2")?])?;
    let lv = own.lv("lv", EXTENTS, &[own.pv(1)])?;
    Check { guest, lv: &lv, source: own.pv(1), destination: own.pv(2) }
        .is_polite(&mut bad, DATA)?;
    own.at_rest()?;

    let mut bad = guest.faulty("lvm1")?;
    let lvm2 = Lvm2::over(guest, vec![bad.path(), guest.disk("lvm2")?])?;
    let lv = lvm2.lv("lv", &[(1, EXTENTS)])?;
    Check { guest, lv: &lv, source: lvm2.pv(1), destination: lvm2.pv(2) }
        .is_polite(&mut bad, HEAD)?;
    lvm2.at_rest()
}

/// An LV whose move is refused after its source was read, so that nothing else is measured.
struct Check<'a> {
    guest: &'a Guest,
    lv: &'a Path,
    source: String,
    destination: String,
}

impl Check<'_> {
    fn is_polite(&self, bad: &mut Faulty<'_>, data: u64) -> Result<()> {
        bad.bad_reads(data + u64::from(EXTENTS) * fixture::EXTENT - 8, 8)?;
        let config = Config {
            size: Some(USED),
            read_percent: 100,
            threads: 1,
            pace: Duration::from_millis(2),
            ..Config::new(self.lv, 1717)
        };
        let users = Writer::start(config)?;
        let (begun, before) = (Instant::now(), users.counters().reads);
        std::thread::sleep(Duration::from_secs(3));
        let quiet = rate(&users, before, begun);

        let free = self.took(&["--pace=none"])?;
        let (begun, before) = (Instant::now(), users.counters().reads);
        let beside = self.took(&[])?;
        let kept = rate(&users, before, begun) / quiet;
        users.stop()?.clean()?;
        let alone = self.took(&[])?;
        self.guest.log(format!(
            "the check of {} took {free} s unpaced, {beside} s beside users, who kept {kept:.2} of {quiet:.0} reads \
             a second, and {alone} s alone",
            self.source
        ));
        ensure!(
            beside > LONGER * free,
            "{beside} s beside users, and {free} s when they do not count"
        );
        ensure!(kept > KEPT, "the users kept {kept:.2} of their reads");
        ensure!(alone < 2.0 * free, "{alone} s where the LV is not used, and {free} s unpaced");
        Ok(())
    }

    /// Seconds that the check says it took.
    fn took(&self, args: &[&str]) -> Result<f64> {
        let all = ["pvmove", "-v", "--read-check", "--atomic"];
        let run = self.guest.lvshift(&[&all, args, &[&self.source, &self.destination]].concat())?;
        seconds(&run.fails_with(5)?)
    }
}

fn rate(users: &Writer, before: u64, begun: Instant) -> f64 {
    (users.counters().reads - before) as f64 / begun.elapsed().as_secs_f64()
}

fn seconds(run: &Run) -> Result<f64> {
    let line = run.stdout.lines().find(|line| line.contains("the source was read once"));
    let words = line.and_then(|line| line.rsplit(' ').nth(1));
    words.and_then(|word| word.parse().ok()).with_context(|| format!("no time in {run}"))
}
