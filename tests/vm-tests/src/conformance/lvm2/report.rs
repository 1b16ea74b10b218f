//! LVM2's VGs in lvshift's reports, and what is refused there.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::rig::{Lvm2, THREE, VG};
use crate::conformance::fixture::HANG;
use crate::guest::{Guest, Run};
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lvm2-report",
        about: "reports, *display and *scan of both programs show LVM2's VGs beside ours, moves too, and do not hang \
                with LVM2",
        frontends: Frontend::DM,
        disks: THREE,
        timeout_s: 300,
        run: report,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-only-pvmove",
        about: "every other command on LVM2's VGs and PVs is refused with the line to type, and changes nothing",
        frontends: Frontend::DM,
        disks: THREE,
        timeout_s: 300,
        run: only_pvmove,
        ..Scenario::DEFAULT
    },
];

const BOTH: [Frontend; 2] = [Frontend::Dm, Frontend::Ublk];

/// The cell of a report in JSON, of the row whose first field is this.
fn cell(run: &Run, list: &str, row: (&str, &str), field: &str) -> Result<String> {
    let json: Value = serde_json::from_str(&run.stdout).with_context(|| run.to_string())?;
    let rows = json["report"][0][list].as_array().with_context(|| run.to_string())?;
    let found = rows.iter().find(|r| r[row.0] == row.1).with_context(|| run.to_string())?;
    found[field].as_str().map(str::to_owned).with_context(|| format!("no {field}: {run}"))
}

fn report(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let rig = Lvm2::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let (one, two) = (rig.pv(1), rig.pv(2));
    let third = guest.disk("pv3")?.display().to_string();
    guest.lvshift(&["pvcreate", &third])?.ok()?;
    guest.lvshift(&["vgcreate", "-s", "1m", "ours", &third])?.ok()?;
    guest.lvshift(&["lvcreate", "-an", "-n", "mine", "-l", "3", "ours"])?.ok()?;
    rig.lv("home", &[(1, 20)])?;
    rig.lv("opt", &[(1, 2)])?;
    for program in BOTH {
        let ask = |args: &[&str]| guest.lvshift_as(program, args)?.ok();
        let vgs = ask(&["vgs", "--reportformat", "json", "-o", "vg_name,lv_count,vg_size,vg_fmt"])?;
        ensure!(cell(&vgs, "vg", ("vg_name", VG), "lv_count")? == "2", "{vgs}");
        ensure!(cell(&vgs, "vg", ("vg_name", VG), "vg_fmt")? == "lvm2", "{vgs}");
        ensure!(cell(&vgs, "vg", ("vg_name", "ours"), "lv_count")? == "1", "{vgs}");
        ensure!(vgs.stderr.is_empty(), "{vgs}");
        let pvs = ask(&["pvs", "--reportformat", "json", "--units", "m", "-o+pv_used"])?;
        ensure!(cell(&pvs, "pv", ("pv_name", &one), "pv_used")? == "22.00m", "{pvs}");
        ensure!(cell(&pvs, "pv", ("pv_name", &third), "vg_name")? == "ours", "{pvs}");
        // Sorted together, as text.
        let lvs = ask(&["lvs", "--noheadings", "-o", "lv_name,lv_size", "-O", "-lv_size"])?;
        let names: Vec<&str> = lvs.stdout.split_whitespace().step_by(2).collect();
        ensure!(names == ["home", "mine", "opt"], "{lvs}");
        let lvs = ask(&["lvs", "--noheadings", "-o", "name", "-S", "lv_size>2m", VG, "ours/mine"])?;
        ensure!(lvs.stdout.split_whitespace().eq(["home", "mine"]), "{lvs}");
        let lvs = ask(&["lvs", "--segments", "--noheadings", "-o+devices", "/dev/lvg/opt"])?;
        ensure!(lvs.stdout.contains(&format!("{one}(20)")), "{lvs}");
        ensure!(!lvs.stdout.contains("home"), "{lvs}");
        let run = guest.lvshift_as(program, &["lvs", "lvg/nobody"])?.fails_with(5)?;
        ensure!(run.stderr.contains("Failed to find logical volume \"lvg/nobody\""), "{run}");
    }
    paragraphs_and_lists(&rig, &third)?;
    rig.slow(&slow, 1500)?;
    let moving = rig.spawn_move("", &["--map", "-n", "home", &one, &two])?;
    rig.wait_for_mid_copy()?;
    // What is not asked for, and what is free, is in the picture as well.
    guest.wait_for("the disk is drawn", HANG, || {
        let drawn = moving.stdout();
        let row = drawn.lines().rev().find_map(|line| line.strip_prefix("    [")).unwrap_or("");
        let home = row.get(..20).unwrap_or_default();
        let only = |signs: &str| home.chars().all(|sign| signs.contains(sign));
        let rest = row.get(20..).unwrap_or_default();
        Ok(only("#+.")
            && home.contains(['#', '+'])
            && home.contains(['.', '+'])
            && rest.starts_with("--_"))
    })?;
    for program in BOTH {
        while_it_copies(&rig, program)?;
    }
    moving.kill()?;
    for program in BOTH {
        let run = guest.lvshift_as(program, &["lvs", "-o+move_state", VG])?.ok()?;
        ensure!(run.stdout.contains("interrupted"), "{run}");
        let said = format!("move of lvg/home from {one} to {two} is interrupted: run `");
        ensure!(run.stderr.contains(&said), "{run}");
    }
    rig.slow(&slow, 0)?;
    rig.pvmove(&[])?.ok()?;
    rig.is_on("home", 2)?;
    rig.at_rest()?;
    let run = guest.lvshift(&["lvs", "-a"])?.ok()?;
    ensure!(!run.stdout.contains("lvshift") && run.stderr.is_empty(), "{run}");
    a_hung_lvm2(&rig)?;
    rig.lvm(&["vgchange", "-an", VG]).map(drop)
}

/// What shows all that there is: both kinds of VGs, or those that are named.
fn paragraphs_and_lists(rig: &Lvm2<'_>, third: &str) -> Result<()> {
    let one = rig.pv(1);
    for program in BOTH {
        let ask = |args: &[&str]| rig.guest.lvshift_as(program, args)?.ok();
        ask(&["vgdisplay"])?
            .stdout_has("VG Name                lvg")?
            .stdout_has("VG Name                ours")?;
        let run = ask(&["vgdisplay", VG])?.stdout_has("Format                 lvm2")?;
        ensure!(!run.stdout.contains("ours"), "{run}");
        let run = ask(&["lvdisplay", "--units", "m", "lvg/opt"])?
            .stdout_has("LV Size                2.00m")?;
        run.stdout_has("/dev/lvg/opt")?.stdout_has("available")?;
        ask(&["pvdisplay", &one])?.stdout_has(&format!("PV Name                {one}"))?;
        let run = ask(&["fullreport", "--reportformat", "json", VG])?;
        let json: Value = serde_json::from_str(&run.stdout).with_context(|| run.to_string())?;
        let of = &json["report"][0];
        for (list, rows) in [("vg", 1), ("pv", 2), ("lv", 2), ("seg", 2)] {
            ensure!(of[list].as_array().map(Vec::len) == Some(rows), "{rows} {list}: {run}");
        }
        ensure!(json["report"].as_array().map(Vec::len) == Some(1), "{run}");
        let run = ask(&["fullreport", "--reportformat", "json"])?;
        let json: Value = serde_json::from_str(&run.stdout).with_context(|| run.to_string())?;
        let names = ["ours", VG].map(|vg| {
            let all = json["report"].as_array().map(Vec::as_slice).unwrap_or_default();
            all.iter().filter(|of| of["vg"][0]["vg_name"] == vg).count()
        });
        ensure!(names == [1, 1], "{names:?}: {run}");
        let run = ask(&["pvscan"])?.stdout_has(&format!("PV {one}   VG lvg   lvm2 ["))?;
        run.stdout_has(&format!("PV {third}   VG ours   lvshift ["))?
            .stdout_has("Total: 3 / in use: 3")?;
        ask(&["vgscan"])?.stdout_has("\"lvg\" using metadata type lvm2")?;
        ask(&["lvscan"])?.stdout_has("'/dev/lvg/home'")?.stdout_has("'/dev/ours/mine'")?;
        let run = rig.guest.lvshift_as(program, &["vgdisplay", "none"])?.fails_with(5)?;
        ensure!(run.stderr.contains("Volume group \"none\" not found"), "{run}");
    }
    Ok(())
}

/// What LVM2 says and what only we know, of the same moment.
fn while_it_copies(rig: &Lvm2<'_>, program: Frontend) -> Result<()> {
    let (one, two) = (rig.pv(1), rig.pv(2));
    let percent = |what: &str| -> Result<f64> {
        let (done, all) = rig.regions()?.with_context(|| format!("no mirror {what}"))?;
        ensure!(done < all, "it has ended {what}");
        Ok(100.0 * done as f64 / all as f64)
    };
    let before = percent("before")?;
    let fields = "lv_name,move_pv,move_to,move_state,copy_percent";
    let json = ["lvs", "-a", "--reportformat", "json", "-o", fields, VG];
    let run = rig.guest.lvshift_as(program, &json)?.ok()?;
    let after = percent("after")?;
    for lv in ["home", "[lvshift0]"] {
        let field = |name: &str| cell(&run, "lv", ("lv_name", lv), name);
        ensure!(field("move_pv")? == one && field("move_to")? == two, "{run}");
        ensure!(field("move_state")? == "copying", "{run}");
        let said: f64 = field("copy_percent")?.parse().with_context(|| run.to_string())?;
        ensure!(said > before - 0.01 && said < after + 0.01, "{before} to {after}: {run}");
    }
    ensure!(cell(&run, "lv", ("lv_name", "opt"), "move_state")?.is_empty(), "{run}");
    ensure!(run.stdout.contains("[lvshift0_mimage_1]"), "{run}");
    // Who drives it is seen, so nothing is said to be interrupted.
    ensure!(run.stderr.is_empty(), "{run}");
    let visible = rig.guest.lvshift_as(program, &["lvs", VG])?.ok()?;
    ensure!(!visible.stdout.contains("lvshift0"), "{visible}");
    let vgs = rig.guest.lvshift_as(program, &["vgs", "--noheadings", "-o", "vg_move_count", VG])?;
    ensure!(vgs.ok()?.stdout.trim() == "1", "the move is not counted");
    Ok(())
}

/// Somebody holds LVM2's lock and never lets go.
fn a_hung_lvm2(rig: &Lvm2<'_>) -> Result<()> {
    let lock = "/run/lock/lvm/V_lvg";
    let holder = rig.guest.spawn_env(&[], "flock", &["-F", lock, "sleep", "600"])?;
    rig.guest.wait_for("the lock is taken", HANG, || {
        Ok(rig.guest.run("flock", &["-n", lock, "true"])?.status != Some(0))
    })?;
    for program in BOTH {
        let begun = Instant::now();
        let run = rig.guest.lvshift_as(program, &["lvs"])?.fails_with(5)?;
        ensure!(begun.elapsed() < Duration::from_secs(50), "it took {:?}", begun.elapsed());
        ensure!(run.stdout.contains("mine"), "ours are not shown: {run}");
        ensure!(run.stderr.contains("VGs of LVM2's are left out"), "not named: {run}");
        let holder = ["LVM2's lock is held by process ", "(sleep 600)"];
        ensure!(holder.iter().all(|part| run.stderr.contains(part)), "no reason: {run}");
        // Who wants ours alone does not wait.
        let run = rig.guest.lvshift_as(program, &["lvs", "ours"])?.ok()?;
        ensure!(run.stderr.is_empty(), "{run}");
    }
    holder.kill()?;
    rig.guest.lvshift(&["lvs", VG])?.ok()?.stdout_has("home")?;
    Ok(())
}

fn only_pvmove(guest: &mut Guest) -> Result<()> {
    let rig = Lvm2::new(guest, &["pv1", "pv2"])?;
    let (one, third) = (rig.pv(1), guest.disk("pv3")?.display().to_string());
    rig.lv("home", &[(1, 4)])?;
    let text = || rig.lvm(&["vgs", "--noheadings", "-o", "vg_seqno,vg_attr,pv_count", VG]);
    let (before, tables) = (text()?.stdout, rig.tables()?);
    for line in [
        "lvcreate -n x -l 1 lvg",
        "lvextend -l +1 lvg/home",
        "lvextend -l +1 /dev/lvg/home",
        "lvresize -l +1 lvg/home",
        "lvrename lvg home other",
        "lvremove -y lvg/home",
        "lvremove -f lvg",
        "lvchange -an lvg/home",
        "vgchange -an lvg",
        "vgchange -ay lvg",
        "vgextend lvg THIRD",
        "vgreduce lvg ONE",
        "vgreduce --removemissing lvg",
        "vgremove -f lvg",
        "vgrename lvg other",
        "vgck lvg",
        "vgcfgbackup lvg",
        "vgcfgrestore lvg",
        "pvresize ONE",
        "pvck ONE",
        "pvremove ONE",
        "lvconvert -m1 lvg/home",
        "vgchange --addtag x lvg",
    ] {
        let line = line.replace("ONE", &one).replace("THIRD", &third);
        let words: Vec<&str> = line.split(' ').collect();
        for program in BOTH {
            let run = guest.lvshift_as(program, &words)?.fails_with(5)?;
            ensure!(run.stderr.contains(&format!("type `{line}`")), "no line to type: {run}");
        }
    }
    // Nobody may take a PV of a VG of LVM2's away, whatever is said.
    rig.lvm(&["vgchange", "-an", VG])?;
    for (words, said) in [
        (&["pvremove", "-ff", "-y", &one][..], "PV of LVM2's"),
        (&["pvcreate", "-y", &one], "PV of VG lvg"),
        (&["vgcreate", "-y", "other", &one], "PV of VG lvg"),
        (&["vgcreate", VG, &third], "LVM2 has a volume group called lvg"),
    ] {
        let run = guest.lvshift(words)?.fails_with(5)?;
        ensure!(run.stderr.contains(said), "{run}");
    }
    ensure!(text()?.stdout == before, "LVM2's metadata are not what they were");
    rig.lvm(&["pvck", &one])?;
    rig.lvm(&["vgck", VG])?;
    rig.activate("home")?;
    ensure!(rig.tables()? == tables, "other tables");
    rig.lvm(&["vgchange", "-an", VG]).map(drop)
}
