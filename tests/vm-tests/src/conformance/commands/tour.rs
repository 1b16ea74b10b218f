//! A tour of every command, as an administrator would use it.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::conformance::fixture::{self, Rig, VG, lv_path};
use crate::guest::{Fs, Guest, Run};
use crate::scenario::{Disk, Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "commands-tour",
        about: "every command from pvcreate to pvremove, with an LV mounted and growing meanwhile",
        disks: &[
            Disk::new("pv1", 48),
            Disk::new("pv2", 48),
            Disk::new("pv3", 48),
            Disk::new("pv4", 48),
        ],
        run: tour,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "commands-reports",
        about: "pvs, vgs, lvs: fields, units, JSON",
        disks: fixture::TWO,
        run: reports,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "commands-progress",
        about: "pvmove tells how far it is: lines, JSON, in the background; reports show the move",
        disks: fixture::TWO,
        run: progress,
        ..Scenario::DEFAULT
    },
];

fn tour(guest: &mut Guest) -> Result<()> {
    let pvs: Vec<String> = ["pv1", "pv2", "pv3", "pv4"]
        .iter()
        .map(|disk| Ok(guest.disk(disk)?.display().to_string()))
        .collect::<Result<_>>()?;
    let run = |line: &str| -> Result<Run> {
        let mut words = Vec::new();
        for word in line.split(' ') {
            words.push(match word.strip_prefix('@') {
                Some(rest) => {
                    let (n, range) = rest.split_at(1);
                    format!("{}{range}", pvs[n.parse::<usize>()? - 1])
                }
                None => word.to_owned(),
            });
        }
        guest.lvshift(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    run("--version")?.ok()?;
    run("pvmove --help")?.ok()?.stdout_has("--abort")?;
    run("pvcreate -u 01234567-89ab-4def-8123-456789abcdef @1")?.ok()?;
    run("pvcreate @2 @3")?.ok()?;
    run("pvs --noheadings -o pv_name,pv_uuid")?
        .ok()?
        .stdout_has("01234567-89ab-4def-8123-456789abcdef")?;
    run("vgcreate -s 1m vg @1 @2")?.ok()?;
    run("lvcreate -n home -L 16m vg @1")?.ok()?;
    run("lvcreate -n half -l 50%FREE vg")?.ok()?;
    run("lvcreate -n off -an -l 1 vg")?.ok()?;
    ensure!(!lv_path("off").exists(), "made active though told not to");
    let home = lv_path("home");
    ensure!(guest.sectors(&home)? == 16 * 2048, "home has the wrong size");

    guest.mkfs(Fs::Ext4, &home)?;
    let mounted = guest.mount(Fs::Ext4, &home, "home")?;
    mounted.fill("data", 8, 300_000, 9)?;
    let tree = mounted.hash("data")?;
    let writer = fixture::writer(&lv_path("half"), 901)?;

    run("vgextend vg @3")?.ok()?;
    let mounted = if fixture::grows_in_use(guest)? {
        run("lvextend -L +8m vg/home @3")?.ok()?;
        ensure!(guest.sectors(&home)? == 24 * 2048, "home did not grow");
        guest.sh(&format!("resize2fs {}", home.display()))?;
        run("lvextend -l 26 /dev/vg/home")?.ok()?;
        mounted
    } else {
        // The driver cannot do it: refused before anything is changed, and the way round is said.
        let refused = run("lvextend -L +8m vg/home @3")?.fails_with(5)?;
        refused.stderr_has("vg/home")?.stderr_has("6.16")?.stderr_has("lvchange -a n vg/home")?;
        ensure!(guest.sectors(&home)? == 16 * 2048, "home changed its size");
        run("lvs --noheadings --units m --nosuffix -o lv_size vg/home")?
            .ok()?
            .stdout_has("16.00")?;
        mounted.same_tree("data", &tree)?;
        mounted.umount()?;
        run("lvchange -a n vg/home")?.ok()?;
        run("lvextend -L +8m vg/home @3")?.ok()?;
        run("lvextend -l 26 /dev/vg/home")?.ok()?;
        run("lvchange -a y vg/home")?.ok()?;
        let mounted = guest.mount(Fs::Ext4, &home, "home")?;
        guest.sh(&format!("resize2fs {}", home.display()))?;
        mounted
    };
    ensure!(guest.sectors(&home)? == 26 * 2048, "home did not grow again");
    run("lvextend -L 1m vg/home")?.fails_with(3)?; // It would shrink.
    mounted.same_tree("data", &tree)?;

    let number = guest.major_minor(&home)?;
    run("lvrename vg/home users")?.ok()?;
    ensure!(!home.exists(), "the old link is still there");
    let users = lv_path("users");
    ensure!(guest.major_minor(&users)? == number, "renaming changed the number");
    run("pvmove @1")?.ok()?;
    run("vgreduce vg @1")?.ok()?;
    run("pvremove @1")?.ok()?;
    run("pvs @1")?.fails_with(5)?;
    run("vgck vg")?.ok()?;
    mounted.same_tree("data", &tree)?;
    mounted.umount()?;
    guest.fsck(Fs::Ext4, &users)?;

    run("lvchange -a n vg/users")?.ok()?;
    ensure!(!users.exists(), "an inactive LV has a link");
    run("lvchange -a y vg/users")?.ok()?;
    run("lvrename vg users home")?.ok()?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    run("lvremove -y vg/home")?.ok()?;
    ensure!(!home.exists(), "a removed LV has a link");
    run("vgchange -a n")?.ok()?;
    run("vgchange -a y vg")?.ok()?;
    run("vgremove vg")?.fails_with(5)?; // Nobody is there to ask.
    run("vgremove --yes vg")?.ok()?;
    ensure!(!lv_path("half").exists(), "a link is left over");
    run("pvremove @2 @3")?.ok()?;
    run("pvs --noheadings")?.ok()?;
    for pv in pvs.iter().take(3) {
        let blkid = guest.run("blkid", &["-p", pv])?;
        ensure!(blkid.stdout.trim().is_empty(), "a signature is left over: {blkid}");
    }
    Ok(())
}

/// The rows of LVM's JSON: `{"report":[{"KIND":[{...}]}]}`.
fn rows(run: &Run, kind: &str) -> Result<Vec<Value>> {
    let json: Value = serde_json::from_str(&run.stdout).with_context(|| format!("JSON: {run}"))?;
    let rows = json["report"][0][kind].as_array();
    Ok(rows.with_context(|| format!("no report[0].{kind}: {run}"))?.clone())
}

fn reports(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 6, &[rig.pv_at(1, "0-3"), rig.pv_at(2, "5-6")])?;
    let writer = fixture::writer(&lv, 911)?;
    let report = |args: &[&str]| -> Result<Run> { guest.lvshift(args)?.ok() };
    let json = |command: &str, fields: &str| -> Result<Run> {
        report(&[command, "--reportformat", "json", "--units", "b", "--nosuffix", "-o", fields])
    };
    let pvs = rows(&json("pvs", "pv_name,vg_name,pv_size,pv_free,pv_pe_count")?, "pv")?;
    ensure!(pvs.len() == 2, "{} PVs", pvs.len());
    ensure!(pvs[0]["pv_name"] == rig.pv(1) && pvs[0]["vg_name"] == VG, "{:?}", pvs[0]);
    ensure!(pvs[0]["pv_free"] == "20971520", "{:?}", pvs[0]);
    ensure!(pvs[0]["pv_pe_count"] == "24", "{:?}", pvs[0]);
    let vgs = rows(&json("vgs", "vg_name,vg_extent_size,vg_free_count,pv_count,lv_count")?, "vg")?;
    ensure!(vgs[0]["vg_name"] == VG && vgs[0]["vg_free_count"] == "42", "{vgs:?}");
    ensure!(vgs[0]["vg_extent_size"] == "1048576", "{vgs:?}");
    ensure!(vgs[0]["pv_count"] == "2" && vgs[0]["lv_count"] == "1", "{vgs:?}");
    let lvs = rows(&json("lvs", "lv_name,vg_name,lv_size,lv_path,lv_uuid")?, "lv")?;
    ensure!(lvs[0]["lv_name"] == "lv" && lvs[0]["lv_size"] == "6291456", "{lvs:?}");
    ensure!(lvs[0]["lv_path"] == lv.display().to_string(), "{lvs:?}");

    let segments =
        report(&["lvs", "--segments", "--noheadings", "-o", "lv_name,seg_pe_ranges", VG])?;
    let expected = [rig.pv_at(1, "0-3"), rig.pv_at(2, "5-6")];
    let found: Vec<String> = segments.rows().iter().map(|row| row[1..].join(" ")).collect();
    ensure!(found == expected, "{segments}");
    let sizes = report(&["lvs", "--noheadings", "--units", "s", "-o", "lv_size", "vg/lv"])?;
    ensure!(sizes.stdout.trim() == "12288S", "{sizes}");
    let apart = report(&["pvs", "--noheadings", "--separator", "|", "-o", "pv_name,vg_name"])?;
    ensure!(apart.stdout.contains(&format!("{}|{VG}", rig.pv(1))), "{apart}");
    report(&["lvs"])?.stdout_has("LV")?;
    report(&["lvs", "-a", "-o", "+devices"])?.stdout_has(&rig.pv(2))?;
    guest.lvshift(&["lvs", "-o", "no_such_field"])?.fails_with(3)?.stderr_has("no_such_field")?;
    guest.lvshift(&["lvs", "nobody"])?.fails_with(5)?.stderr_has("nobody")?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.at_rest().map(drop)
}

fn progress(guest: &mut Guest) -> Result<()> {
    let mut slow = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let lv = rig.lv("lv", 20, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 921)?;
    let (one, two) = (rig.pv(1), rig.pv(2));
    rig.slow_copy(&slow, 300)?;
    let moving = rig.spawn_move(&["-i", "1", &one, &two])?;
    rig.wait_for_mid_copy()?;
    let shown = guest.lvshift(&["lvs", "-a", "--noheadings"])?.ok()?;
    ensure!(shown.stdout.contains("lv"), "{shown}");
    rig.full_speed(&mut slow)?;
    let run = moving.wait(fixture::HANG)?.ok()?;
    let percents: Vec<f64> = run
        .stdout
        .lines()
        .filter_map(|line| line.split("Moved: ").nth(1)?.split('%').next()?.parse().ok())
        .collect();
    ensure!(percents.len() >= 2, "fewer than two lines of progress: {run}");
    ensure!(percents.is_sorted(), "progress goes back: {percents:?}");
    ensure!(percents.last() == Some(&100.0), "it does not end at 100: {run}");

    let run = rig.pvmove(&["--json", "-i", "1", &two, &one])?.ok()?;
    let mut events = Vec::new();
    for line in run.stdout.lines() {
        let event: Value = serde_json::from_str(line).with_context(|| format!("JSON: {run}"))?;
        let kind = event["event"].as_str().with_context(|| format!("no event: {line}"))?;
        events.push(kind.to_owned());
    }
    ensure!(events.last().is_some_and(|last| last == "finished"), "{events:?}");
    ensure!(events.iter().any(|kind| kind == "started"), "{events:?}");

    // A failure in JSON is JSON too.
    let run = rig.pvmove(&["--json", &two, &one])?.fails_with(5)?;
    let last = run.stdout.lines().last().with_context(|| format!("no word: {run}"))?;
    let error: Value = serde_json::from_str(last).with_context(|| format!("JSON: {run}"))?;
    ensure!(error["event"] == "error", "{run}");

    rig.slow_copy(&slow, 200)?;
    let run = rig.pvmove(&[&["-b", &one, &two], rig.rate_limit()].concat())?.ok()?;
    ensure!(run.took < std::time::Duration::from_secs(5), "-b waited {:?}", run.took);
    ensure!(!rig.meta()?.moves.is_empty(), "-b came back when nothing was recorded");
    if guest.frontend() == Frontend::Ublk {
        // The limit goes with whoever made it: only once it is set can it be taken away.
        rig.wait_for_mid_copy()?;
        rig.unlimited()?;
    }
    guest.wait_for("the background mover is done", fixture::HANG, || {
        Ok(rig.newest_meta()?.moves.is_empty())
    })?;
    guest.wait_for("its last step is done", fixture::HANG, || Ok(rig.at_rest().is_ok()))?;
    rig.lies("lv", &[(2, 0, 20)])?;
    rig.full_speed(&mut slow)?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.reads_from_its_places("lv")
}
