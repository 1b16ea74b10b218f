//! What else of LVM2 runs on a machine while a move does: a VG that gets another name, events of udev, lvmpolld, LVM2's
//! own pvmove of other LVs. Each goes on or is refused, and the move lives.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::in_place::refused;
use super::rig::{self, FOUR, Lvm2, THREE, VG};
use crate::conformance::fixture::{self, HANG};
use crate::guest::Guest;
use crate::scenario::{Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lvm2-deactivated",
        about: "LVM2 deactivates the LV in mid-copy, activates it again and gives the VG another name: the move goes on",
        frontends: Frontend::BOTH,
        disks: THREE,
        state_disk: true,
        timeout_s: 300,
        run: deactivated,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-services",
        about: "events of udev, lvmpolld and LVM2's own pvmove beside a move: each goes on or is refused",
        frontends: Frontend::BOTH,
        disks: FOUR,
        timeout_s: 300,
        run: services,
        ..Scenario::DEFAULT
    },
];

fn deactivated(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let rig = Lvm2::over(guest, vec![guest.disk("pv1")?, slow.path(), guest.disk("pv3")?])?;
    let home = rig.lv("home", &[(1, 20)])?;
    let before = rig::writer(&home, 2201)?;
    before.checkpoint(&guest.state("writer")?)?;
    before.stop()?.clean()?;
    let mut moving = rig.spawn_move_slowly(&slow, 400, &[&rig.pv(1), &rig.pv(2)])?;
    let (done, all) = rig.wait_for_mid_copy()?;
    rig.slow(&slow, 400)?;
    // Of the log, which a daemon has, LVM2 says that it stays.
    rig.lvm_may_fail(&["lvchange", "-an", "lvg/home"])?;
    ensure!(guest.dm_device("lvg-home")?.is_none(), "LVM2 did not deactivate the LV");
    // While a daemon has the log LVM2 is refused; the mover, which sees that nobody is on it, leaves the move to the kernel.
    guest.wait_for("LVM2 activates the LV again", HANG, || {
        Ok(rig.lvm_may_fail(&["lvchange", "-ay", "lvg/home"])?.status == Some(0))
    })?;
    let (now, of) = rig.regions()?.context("there is no mirror")?;
    guest.log(format!("equal: {done} of {all} when it was deactivated, {now} of {of} after it"));
    ensure!(now >= done && of == all, "the progress is lost: {now} after {done}");
    let config = Config { pace: Duration::from_millis(5), ..Config::new(home, 2201) };
    let writer = Writer::resume(config, &guest.state("writer")?)?;
    writer.wait_for_writes(1, HANG)?;
    ensure!(moving.is_running()?, "the move ended: it was too fast, or the deactivation ended it");
    rig.lvm_may_fail(&["vgrename", VG, "renamed"])?;
    writer.wait_for_writes(1, HANG)?;
    ensure!(moving.is_running()?, "the move ended: it was too fast, or the new name ended it");
    rig.slow(&slow, 0)?;
    moving.wait(HANG * 3)?.ok()?;
    fixture::served(&writer)?;
    for device in guest.dm_devices()? {
        ensure!(!device.name.contains("lvshift"), "a device is left: {device:?}");
    }
    // Under its old name nothing is found any more; so back to that for the last look.
    // LVM2 may have left the directory, whose links nobody follows in this guest, and the device its name.
    guest.sh("rm -rf /dev/lvg")?;
    rig.lvm(&["vgrename", "renamed", VG])?;
    rig.lvm(&["vgchange", "--refresh", VG])?;
    rig.at_rest()?;
    rig.is_on("home", 2)?;
    rig.end([writer], &["home"])
}

const POLLD: &[&str] = &["--config", "global{use_lvmpolld=1}"];

fn services(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let devices = vec![guest.disk("pv1")?, slow.path(), guest.disk("pv3")?, guest.disk("pv4")?];
    let rig = Lvm2::over(guest, devices)?;
    let (home, opt) = (rig.lv("home", &[(1, 20)])?, rig.lv("opt", &[(3, 2)])?);
    let writers = [rig::writer(&home, 2211)?, rig::writer(&opt, 2212)?];
    let polld = guest.spawn_env(&[], "lvmpolld", &["-f"])?;
    let mut moving = rig.spawn_move_slowly(&slow, 1500, &[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    rig.hold_copy()?;
    let (one, two, three, four) = (rig.pv(1), rig.pv(2), rig.pv(3), rig.pv(4));
    let events = ["--config", "global{event_activation=1}"];
    let online = ["pvscan", "--cache", "-aay", "--autoactivation", "event"];
    let goes_on = [
        // What udev's rule runs for each PV that appears or changes, and what activates the VG then.
        [&online[..], &[one.as_str()], &events[..]].concat(),
        [&["vgchange", "-aay", "--autoactivation", "event", VG][..], &events[..]].concat(),
        // What lvm2-monitor does where dmeventd is not there.
        [&["vgchange", "--poll", "y", VG][..], POLLD].concat(),
        // LVM2's own pvmove of an LV that does not move, by itself and by lvmpolld.
        vec!["pvmove", "-i1", "-n", "opt", &three, &four],
        [&["pvmove", "-i1", "-n", "opt", &four, &three][..], POLLD].concat(),
    ];
    for args in goes_on {
        rig.lvm(&args)?;
        ensure!(moving.is_running()?, "the move ended: it was too fast, or {args:?} ended it");
        // The kernel's mirror is slow, too.
        writers.iter().try_for_each(|writer| writer.wait_for_writes(1, HANG))?;
    }
    for args in [
        [&["pvmove", "-i1", &one, &three][..], POLLD].concat(),
        [&["pvmove", "-i1", "-n", "home", &two, &four][..], POLLD].concat(),
    ] {
        refused(&rig, &args)?;
        ensure!(moving.is_running()?, "the move ended: it was too fast, or {args:?} ended it");
    }
    // A question that is not answered holds the VG's lock: the copy goes on, and what has to wait is not lost by it.
    rig.lv("ask", &[(3, 1)])?;
    let ask = "mkfifo /run/answer; exec 3<>/run/answer; exec lvm lvremove lvg/ask <&3";
    let asks = guest.spawn_env(&[], "sh", &["-c", ask])?;
    let question = || Ok(format!("{}{}", asks.stdout(), asks.stderr()).contains("[y/n]"));
    guest.wait_for("LVM2 asks, and has the lock", HANG, question)?;
    let begins = rig.spawn_move("", &["-n", "opt", &three, &four])?;
    writers.iter().try_for_each(|writer| writer.wait_for_writes(1, HANG))?;
    ensure!(moving.is_running()?, "the move ended: it was too fast, or the question ended it");
    asks.kill()?;
    begins.wait(HANG * 3)?.fails_with(5)?.stderr_has("moved by")?;
    // It undoes no move of ours, either: it knows of none.
    rig.lvm_may_fail(&[&["pvmove", "--abort"][..], POLLD].concat())?;
    ensure!(moving.is_running()?, "LVM2's own `pvmove --abort` ended the move");
    rig.full_speed(&slow)?;
    moving.wait(HANG * 3)?.ok()?;
    polld.kill()?;
    rig.at_rest()?;
    rig.is_on("home", 2)?;
    rig.is_on("opt", 3)?;
    rig.end(writers, &["home", "opt"])
}
