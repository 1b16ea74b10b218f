//! Moves in a VG of LVM2's own, as it is: live, refreshed by LVM2 at each step, undone, cut off and carried on.

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::rig::{self, FOUR, Lvm2, THREE, VG};
use crate::conformance::fixture::{self, HANG};
use crate::guest::Guest;
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lvm2-move",
        about: "LVM2's linear LVs move, one of them in pieces; under a writer; LVM2 finds nothing to change",
        frontends: Frontend::BOTH,
        disks: THREE,
        timeout_s: 300,
        run: moves,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-refresh",
        about: "lvchange --refresh at every step of a move in an LVM2 VG: nothing to change, our next step, or refused",
        frontends: Frontend::BOTH,
        disks: THREE,
        timeout_s: 600,
        run: refresh,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-beside",
        about: "LVM2's commands beside a move in the same VG: each goes on or is refused, the move lives",
        frontends: Frontend::BOTH,
        disks: FOUR,
        timeout_s: 300,
        run: beside,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-refusals",
        about: "what is not handled in an LVM2 VG is refused by name, and nothing is changed",
        frontends: Frontend::BOTH,
        disks: THREE,
        timeout_s: 300,
        run: refusals,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-striped",
        about: "one stripe of an LVM2 LV moves, from the middle of it; and inactive LVs move",
        frontends: Frontend::BOTH,
        disks: THREE,
        timeout_s: 300,
        run: striped,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-abort",
        about: "--abort in mid-copy in an LVM2 VG, by the mover and by another process",
        frontends: Frontend::BOTH,
        disks: THREE,
        timeout_s: 300,
        run: abort,
        ..Scenario::DEFAULT
    },
];

pub(super) fn moves(guest: &mut Guest) -> Result<()> {
    let rig = Lvm2::new(guest, &["pv1", "pv2", "pv3"])?;
    let home = rig.lv("home", &[(1, 7), (2, 3), (1, 5)])?;
    let opt = rig.lv("opt", &[(1, 4)])?;
    let writers = [rig::writer(&home, 901)?, rig::writer(&opt, 902)?];
    let run = rig.pvmove(&["-n", "home", &rig.pv(1), &rig.pv(3)])?.ok()?;
    ensure!(run.stdout.contains("100"), "no progress: {run}");
    rig.at_rest()?;
    let lies = rig.lies("home")?;
    let expected =
        [format!("{}(0)", rig.pv(3)), format!("{}(0)", rig.pv(2)), format!("{}(7)", rig.pv(3))];
    ensure!(lies == expected, "home lies at {lies:?}");
    rig.is_on("opt", 1)?;
    // Both, and where the range ends in the middle of a segment.
    rig.pvmove(&["--atomic", &rig.pv(3), &rig.pv(1)])?.ok()?;
    rig.at_rest()?;
    rig.pvmove(&[&format!("{}:2-4", rig.pv(1)), &rig.pv(2)])?.ok()?;
    rig.at_rest()?;
    rig.pvmove(&[&rig.pv(1)])?.ok()?;
    rig.at_rest()?;
    rig.end(writers, &["home", "opt"])
}

/// Where a refresh has nothing to change.
const STEADY: &[&str] =
    &["init-log", "commit-begin", "await-copy", "flush-destination", "commit-moved"];
/// Where a refresh does what the mover is about to do, since the text says so already.
const AHEAD: &[&str] = &[
    "load-mirrored",
    "swap-mirrored",
    "load-final",
    "swap-final",
    "remove-shadow",
    "commit-forget",
];

/// Where a daemon of ours has the log, so that LVM2 cannot load its mirror.
const HELD: &[&str] = &["await-copy", "flush-destination", "commit-moved"];

pub(super) fn refresh(guest: &mut Guest) -> Result<()> {
    let rig = Lvm2::new(guest, &["pv1", "pv2"])?;
    let home = rig.lv("home", &[(1, 6)])?;
    let writer = rig::writer(&home, 911)?;
    let (mut from, mut to) = (1, 2);
    for step in STEADY.iter().chain(AHEAD) {
        let trial = || -> Result<()> {
            let mut points = format!("stop:{step}");
            if *step == "load-mirrored" {
                points.push_str(",stop:await-copy");
            }
            let moving = rig.spawn_move(&points, &[&rig.pv(from), &rig.pv(to)])?;
            stopped(guest, moving.pid())?;
            if guest.frontend() == Frontend::Ublk && HELD.contains(step) {
                refused(&rig, &["lvchange", "--refresh", &format!("{VG}/home")])?;
            } else if STEADY.contains(step) && *step != "init-log" {
                rig.refresh_changes_nothing()?;
            } else {
                rig.lvm(&["lvchange", "--refresh", &format!("{VG}/home")])?;
            }
            fixture::served(&writer)?;
            moving.signal(Signal::CONT)?;
            if *step == "load-mirrored" {
                // LVM2 has made its mirror, which has cleared bits of the log by now: it is left at work.
                stopped(guest, moving.pid())?;
                ensure!(!rig.is_served()?, "a daemon has taken over from the kernel's mirror");
                moving.signal(Signal::CONT)?;
            }
            moving.wait(HANG * 3)?.ok()?;
            rig.at_rest()?;
            rig.is_on("home", to)
        };
        trial().with_context(|| format!("stopped before {step}"))?;
        (from, to) = (to, from);
    }
    // At any moment, and again and again.
    let again = "while :; do lvm vgchange --refresh lvg; done";
    let refreshing = guest.spawn_env(&[], "sh", &["-c", again])?;
    for _ in 0..2 {
        rig.pvmove(&[&rig.pv(from), &rig.pv(to)])?.ok()?;
        (from, to) = (to, from);
    }
    refreshing.kill()?;
    rig.end([writer], &["home"])
}

/// A command of LVM2 that must be refused and leave every table as it is.
pub(super) fn refused(rig: &Lvm2<'_>, args: &[&str]) -> Result<()> {
    let before = rig.tables()?;
    let run = rig.lvm_may_fail(args)?;
    ensure!(run.status.is_some_and(|status| status != 0), "it was not refused: {run}");
    let after = rig.tables()?;
    ensure!(before == after, "{args:?} was refused, and changed\n{before}\nto\n{after}");
    Ok(())
}

/// Waits until the process is stopped.
pub(super) fn stopped(guest: &Guest, pid: u32) -> Result<()> {
    guest.wait_for("the mover stops", HANG * 3, || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(text.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T')))
    })
}

pub(super) fn abort(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let rig = Lvm2::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let home = rig.lv("home", &[(1, 20)])?;
    let writer = rig::writer(&home, 921)?;
    // dm-mirror's one thread waits for the log, which is there, too: slower, and nobody would be served.
    // A daemon of ours copies several regions at once, and is slowed by its own means.
    let rate: &[&str] = match guest.frontend() {
        Frontend::Dm => {
            rig.slow(&slow, 200)?;
            &[]
        }
        Frontend::Ublk => &["--max-rate=512k"],
    };
    let (one, two) = (rig.pv(1), rig.pv(2));
    let slowly = [rate, &[&one, &two]].concat();
    let moving = rig.spawn_move("", &slowly)?;
    rig.wait_for_mid_copy()?;
    rig.pvmove(&["--abort"])?.ok()?;
    let run = moving.wait(HANG)?.fails_with(5)?;
    ensure!(run.stderr.contains("asked for"), "does not say why: {run}");
    fixture::served(&writer)?;
    rig.at_rest()?;
    rig.is_on("home", 1)?;
    // The mover is dead: another process undoes it.
    let moving = rig.spawn_move("", &slowly)?;
    rig.wait_for_mid_copy()?;
    moving.kill()?;
    fixture::served(&writer)?;
    rig.pvmove(&["--abort", &rig.pv(1)])?.ok()?;
    rig.at_rest()?;
    rig.is_on("home", 1)?;
    rig.slow(&slow, 0)?;
    rig.pvmove(&[&rig.pv(1), &rig.pv(2)])?.ok()?;
    rig.at_rest()?;
    rig.is_on("home", 2)?;
    rig.end([writer], &["home"])
}

fn beside(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let devices = vec![guest.disk("pv1")?, slow.path(), guest.disk("pv3")?, guest.disk("pv4")?];
    let rig = Lvm2::over(guest, devices)?;
    let fourth = rig.pv(4);
    rig.lvm(&["vgreduce", VG, &fourth])?;
    let home = rig.lv("home", &[(1, 20)])?;
    let opt = rig.lv("opt", &[(3, 2)])?;
    let writers = [rig::writer(&home, 981)?, rig::writer(&opt, 982)?];
    let mut moving = rig.spawn_move_slowly(&slow, 1500, &[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    rig.hold_copy()?;
    let (full, third) = (format!("{VG}/home"), rig.pv(3));
    for args in [
        &["lvcreate", "-an", "-Zn", "-Wn", "-l1", "-n", "new", VG, &third][..],
        &["lvextend", "-l+1", "lvg/opt", &third],
        &["lvs", "-a", VG],
        &["vgck", VG],
        &["vgchange", "-ay", VG],
        &["lvremove", "-f", "lvg/new"],
        &["vgchange", "--addtag", "beside", VG],
        // The next commit of ours finds another PV in the VG.
        &["vgextend", VG, &fourth],
    ] {
        rig.lvm(args)?;
        ensure!(moving.is_running()?, "the move ended: it was too fast, or {args:?} ended it");
    }
    let refresh = ["lvchange", "--refresh", &full];
    match guest.frontend() {
        Frontend::Dm => drop(rig.lvm(&refresh)?),
        Frontend::Ublk => refused(&rig, &refresh)?,
    }
    for args in [
        &["lvextend", "-l+1", &full, &third][..],
        &["lvreduce", "-f", "-l-1", &full],
        &["lvremove", "-f", &full],
        &["lvrename", VG, "home", "other"],
        &["lvconvert", "-y", "--type", "raid1", "-m1", &full],
        &["lvremove", "-f", "lvg/lvshift0"],
        &["lvremove", "-f", "lvg/lvshift0_mimage_1"],
        &["pvmove", "-i1", &rig.pv(1)],
    ] {
        let run = rig.lvm_may_fail(args)?;
        ensure!(run.status != Some(0), "it was not refused: {run}");
    }
    // A second mover of ours is refused, too.
    rig.pvmove(&[&rig.pv(3), &rig.pv(1)])?.fails_with(5)?.stderr_has("moved by")?;
    ensure!(moving.is_running()?, "the move ended");
    rig.full_speed(&slow)?;
    writers.iter().try_for_each(fixture::served)?;
    moving.wait(HANG * 3)?.ok()?;
    rig.at_rest()?;
    rig.is_on("home", 2)?;
    rig.end(writers, &["home", "opt"])
}

fn refusals(guest: &mut Guest) -> Result<()> {
    let rig = Lvm2::new(guest, &["pv1", "pv2", "pv3"])?;
    for module in ["dm-snapshot", "dm-raid", "raid1", "dm-integrity"] {
        guest.modprobe(module)?;
    }
    let one = rig.pv(1);
    rig.lv("plain", &[(1, 2)])?;
    rig.lvm(&["lvcreate", "-y", "-l2", "-n", "base", VG, &one])?;
    rig.lvm(&["lvcreate", "-y", "-s", "-l2", "-n", "snap", "lvg/base", &one])?;
    // While the origin is in use a merge begins when it is activated next.
    let held = std::fs::File::open(rig::path("base"))?;
    rig.lvm(&["lvconvert", "-y", "--merge", "lvg/snap"])?;
    rig.lvm(&["lvcreate", "-y", "-pr", "-Zn", "-Wn", "-l1", "-n", "ro", VG, &one])?;
    let images = ["--type", "raid1", "-m1", "-l2", "-n", "sound", VG, &one, &rig.pv(2)];
    rig.lvm(&[&["lvcreate", "-y", "-Zn", "-Wn", "--raidintegrity", "y"], &images[..]].concat())?;
    let before = rig.lvm(&["vgs", "--noheadings", "-o", "vg_seqno", VG])?.stdout;
    rig.pvmove(&[&one, &rig.pv(2)])?.fails_with(5)?.stderr_has("not")?;
    rig.pvmove(&["-n", "base", &one])?.fails_with(5)?.stderr_has("a merge is under way")?;
    rig.pvmove(&["-n", "snap", &one])?.fails_with(5)?.stderr_has("a merge is under way")?;
    rig.pvmove(&["-n", "ro", &one])?.fails_with(5)?.stderr_has("read-only")?;
    rig.pvmove(&["-n", "sound", &one])?.fails_with(5)?.stderr_has("integrity")?;
    drop(held);
    rig.pvmove(&["-n", "nobody", &one])?.fails_with(5)?.stderr_has("no LV nobody")?;
    rig.pvmove(&[&rig.pv(3)])?.fails_with(5)?.stderr_has("No data to move")?;
    rig.pvmove(&["--abort"])?.ok()?.stdout_has("nothing to undo")?;
    // All else is LVM2's: the line to type is said.
    let run = guest.lvshift(&["lvcreate", "-n", "x", "-l", "1", VG])?.fails_with(5)?;
    ensure!(run.stderr.contains("type `lvcreate -n x -l 1 lvg`"), "{run}");
    let after = rig.lvm(&["vgs", "--noheadings", "-o", "vg_seqno", VG])?.stdout;
    ensure!(before == after, "something was committed");
    rig.pvmove(&["-n", "plain", &one, &rig.pv(2)])?.ok()?;
    rig.is_on("plain", 2)?;
    // A refresh would begin the merge.
    rig.nothing_is_left()
}

pub(super) fn striped(guest: &mut Guest) -> Result<()> {
    let rig = Lvm2::new(guest, &["pv1", "pv2", "pv3"])?;
    let (one, two, three) = (rig.pv(1), rig.pv(2), rig.pv(3));
    rig.lvm(&[
        "lvcreate", "-y", "-Zn", "-Wn", "-i2", "-I64k", "-l12", "-n", "fast", VG, &one, &two,
    ])?;
    let writer = rig::writer(&rig::path("fast"), 991)?;
    rig.pvmove(&[&format!("{one}:2-4"), &three])?.ok()?;
    rig.at_rest()?;
    rig.pvmove(&[&two, &three])?.ok()?;
    rig.at_rest()?;
    rig.pvmove(&[&one, &two])?.ok()?;
    rig.at_rest()?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    // One that is not active moves as well, and LVM2 finds it where it is.
    let home = rig.lv("home", &[(1, 3)])?;
    let hash = guest.hash_device(&home)?;
    rig.lvm(&["lvchange", "-an", "lvg/home"])?;
    rig.pvmove(&[&one, &two])?.ok()?;
    rig.is_on("home", 2)?;
    rig.at_rest()?;
    let home = rig.activate("home")?;
    ensure!(guest.hash_device(&home)? == hash, "the LV holds something else");
    rig.lvm(&["vgchange", "-an", VG]).map(drop)
}
