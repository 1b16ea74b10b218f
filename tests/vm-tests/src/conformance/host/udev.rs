//! With udev and without: the same nodes and links, and never a wait for a udevd that does not answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::conformance::fixture::copy::slow_data;
use crate::conformance::fixture::{self, HANG, Rig, VG, lv_path};
use crate::guest::{Background, Guest};
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "udev-nodes",
        about: "from vgcreate to lvremove the same nodes and links with udevd as without it",
        frontends: Frontend::DM,
        disks: fixture::TWO,
        run: nodes,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "udev-openers",
        about: "moves and removals while udevd and blkid open every device again and again",
        disks: fixture::TWO,
        timeout_s: 180,
        run: openers,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "udev-silent",
        about: "udevd without dm's rules, stopped and killed in mid-copy: nothing hangs",
        frontends: Frontend::DM,
        disks: fixture::TWO,
        timeout_s: 240,
        run: silent,
        ..Scenario::DEFAULT
    },
];

/// The longest that one command may take when udevd does not answer.
const BOUND: Duration = Duration::from_secs(15);

/// The distribution's udevd.
struct Udevd<'g> {
    guest: &'g Guest,
    daemon: Background<'g>,
}

impl<'g> Udevd<'g> {
    fn start(guest: &'g Guest) -> Result<Udevd<'g>> {
        let daemon =
            guest.spawn_env(&[], "/usr/lib/systemd/systemd-udevd", &["--resolve-names=never"])?;
        guest.wait_for("udevd listens", HANG, || Ok(Path::new("/run/udev/control").exists()))?;
        let udevd = Udevd { guest, daemon };
        guest.run("udevadm", &["trigger", "--action=add"])?.ok()?;
        udevd.settle()?;
        Ok(udevd)
    }

    fn settle(&self) -> Result<()> {
        self.guest.run("udevadm", &["settle", "--timeout=30"])?.ok().map(drop)
    }

    fn stop(self) -> Result<()> {
        self.daemon.signal(Signal::TERM)?;
        self.daemon.wait(HANG)?;
        std::fs::remove_file("/run/udev/control").ok();
        Ok(())
    }
}

/// What stands in `/dev/mapper` and `/dev/vg`, each with the name of the dm device it leads to.
fn seen(guest: &Guest) -> Result<BTreeMap<PathBuf, String>> {
    let devices = guest.dm_devices()?;
    let mut seen = BTreeMap::new();
    for dir in [Path::new("/dev/mapper"), &Path::new("/dev").join(VG)] {
        let Ok(entries) = std::fs::read_dir(dir) else { continue };
        for entry in entries {
            let path = entry?.path();
            // udevd makes its links under a name of this kind and renames them.
            let is_scratch =
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".#"));
            if path.ends_with("control") || is_scratch {
                continue;
            }
            // A link that leads nowhere is a leftover, and seen as such.
            let number = guest.major_minor(&path).unwrap_or_else(|_| "nowhere".to_owned());
            let device = devices.iter().find(|device| device.number == number);
            seen.insert(path, device.map_or(number.clone(), |device| device.name.clone()));
        }
    }
    Ok(seen)
}

/// The life of a VG; what is seen after each step.
fn life(guest: &Guest, udev: bool) -> Result<Vec<(String, BTreeMap<PathBuf, String>)>> {
    let mut steps = Vec::new();
    let mut look = |what: &str| -> Result<()> {
        steps.push((what.to_owned(), seen(guest)?));
        Ok(())
    };
    let mut slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    look("vgcreate")?;
    let lv = rig.lv("a-b", 8, &[rig.pv(1)])?;
    rig.lv("other", 2, &[rig.pv(1)])?;
    look("lvcreate")?;
    if udev {
        let by_id = Path::new("/dev/disk/by-id/dm-name-vg-a--b");
        ensure!(by_id.exists(), "lvcreate did not wait for udev's own links");
    }
    let writer = fixture::writer(&lv, 701)?;
    slow_data(guest, &slow, 200)?;
    let moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    look("in mid-copy")?;
    slow.good()?;
    moving.wait(HANG)?.ok()?;
    look("pvmove")?;
    writer.stop()?.clean()?;
    for (line, what) in [
        ("lvrename vg a-b c", "lvrename"),
        ("vgchange -a n vg", "vgchange -a n"),
        ("vgchange -a y vg", "vgchange -a y"),
        ("lvremove -y vg/c", "lvremove"),
        ("lvcreate -n c -l 3 vg", "lvcreate of the same name"),
        ("vgchange -a n vg", "vgchange -a n again"),
        ("vgremove -y -f vg", "vgremove"),
    ] {
        guest.lvshift(&line.split(' ').collect::<Vec<_>>())?.ok()?;
        look(what)?;
    }
    guest.lvshift(&["pvremove", &rig.pv(1), &rig.pv(2)])?.ok()?;
    slow.remove()?;
    look("the end")?;
    Ok(steps)
}

fn nodes(guest: &mut Guest) -> Result<()> {
    let without = life(guest, false)?;
    let last = without.last().context("no steps")?;
    ensure!(last.1.is_empty(), "left over without udev: {:?}", last.1);
    let udevd = Udevd::start(guest)?;
    let with = life(guest, true)?;
    for (without, with) in without.iter().zip(&with) {
        ensure!(without == with, "without udev {without:?}\nwith udev {with:?}");
    }
    udevd.settle()?;
    ensure!(seen(guest)?.is_empty(), "left over after udev: {:?}", seen(guest)?);
    udevd.stop()
}

fn openers(guest: &mut Guest) -> Result<()> {
    let udevd = Udevd::start(guest)?;
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 8, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 711)?;
    let looping = guest.spawn_env(
        &[],
        "sh",
        &[
            "-c",
            "while :; do blkid -p /dev/dm-* /dev/ublkb* /dev/vd?; udevadm trigger -s block; done",
        ],
    )?;
    // The LV's link, and on device-mapper its node.
    let names = if guest.frontend() == Frontend::Dm { 2 } else { 1 };
    for (from, to) in [(1, 2), (2, 1), (1, 2)] {
        rig.pvmove(&[&rig.pv(from), &rig.pv(to)])?.ok()?;
        fixture::served(&writer)?;
        let left = seen(guest)?;
        ensure!(left.len() == names, "after a move there is {left:?}");
    }
    writer.stop()?.clean()?;
    rig.reads_from_its_places("lv")?;
    rig.at_rest()?;
    guest.lvshift(&["lvrename", VG, "lv", "new"])?.ok()?;
    guest.lvshift(&["vgchange", "-a", "n", VG])?.ok()?;
    guest.lvshift(&["vgchange", "-a", "y", VG])?.ok()?;
    ensure!(lv_path("new").exists(), "no /dev/vg/new");
    guest.lvshift(&["lvremove", "-y", "vg/new"])?.ok()?;
    looping.kill()?;
    udevd.settle()?;
    ensure!(seen(guest)?.is_empty(), "left over: {:?}", seen(guest)?);
    udevd.stop()
}

/// Creates, renames, takes down, brings back and removes an LV, each in bounded time, and with nodes.
fn bounded(guest: &Guest, of: &str) -> Result<()> {
    for (line, there) in [
        (format!("lvcreate -n {of} -l 1 vg"), Some(of.to_owned())),
        (format!("lvrename vg {of} {of}2"), Some(format!("{of}2"))),
        (format!("lvchange -a n vg/{of}2"), None),
        (format!("lvchange -a y vg/{of}2"), Some(format!("{of}2"))),
        (format!("lvremove -y vg/{of}2"), None),
    ] {
        let run = guest.lvshift(&line.split(' ').collect::<Vec<_>>())?.ok()?;
        ensure!(run.took < BOUND, "it waits for udev: {run}");
        let found: Vec<PathBuf> = seen(guest)?.into_keys().collect();
        let ours = found.iter().filter(|path| path.to_string_lossy().contains(of)).count();
        match there {
            Some(name) => {
                ensure!(lv_path(&name).exists(), "{line}: no /dev/vg/{name}");
                ensure!(ours == 2, "{line}: {found:?}");
            }
            None => ensure!(ours == 0, "{line}: left over in {found:?}"),
        }
    }
    Ok(())
}

fn silent(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let lv = rig.lv("lv", 12, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 721)?;
    // Rules that never say that they are done, then no rules of dm at all.
    let rules = "cd /usr/lib/udev/rules.d && mkdir -p /root/rules && mv";
    for (which, name) in [("95-dm-notify.rules", "xx"), ("*dm*.rules", "yy")] {
        guest.sh(&format!("{rules} {which} /root/rules"))?;
        let udevd = Udevd::start(guest)?;
        bounded(guest, name)?;
        let from = rig.home("lv")?;
        let run = rig.pvmove(&[&rig.pv(from), &rig.pv(3 - from)])?.ok()?;
        ensure!(run.took < BOUND, "the move waited for udev: {run}");
        fixture::served(&writer)?;
        udevd.stop()?;
    }
    guest.sh("mv /root/rules/* /usr/lib/udev/rules.d")?;
    // Stopped in mid-copy, and then killed in mid-copy, which leaves its socket behind.
    for signal in [Signal::STOP, Signal::KILL] {
        let udevd = Udevd::start(guest)?;
        ensure!(rig.home("lv")? == 1, "the move is to go to the slow disk");
        slow_data(guest, &slow, 300)?;
        let moving = rig.spawn_move(&[&rig.pv(1), &rig.pv(2)])?;
        rig.wait_for_mid_copy()?;
        udevd.daemon.signal(signal)?;
        slow.good()?;
        let run = moving.wait(BOUND)?.ok()?;
        guest.log(format!("{signal:?}: the move took {:?}", run.took));
        fixture::served(&writer)?;
        rig.at_rest()?;
        bounded(guest, "zz")?;
        let run = rig.pvmove(&[&rig.pv(2), &rig.pv(1)])?.ok()?;
        ensure!(run.took < BOUND, "the move waited for udev: {run}");
        if signal == Signal::STOP {
            udevd.daemon.signal(Signal::CONT)?;
            udevd.settle()?;
            udevd.stop()?;
        } else {
            udevd.daemon.wait(HANG)?;
            std::fs::remove_file("/run/udev/control").ok();
        }
        let left: Vec<PathBuf> = seen(guest)?.into_keys().collect();
        ensure!(left.len() == 3, "the LV's node and link and the slow disk's, not {left:?}");
    }
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.reads_from_its_places("lv")
}
