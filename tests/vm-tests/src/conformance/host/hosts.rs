//! Two hosts and one VG: which of them it belongs to, and what becomes of it when both changed it.

use anyhow::{Context as _, Result, ensure};
use lvshift_core::metadata::MoveState;

use crate::conformance::fixture::{self, Rig, VG, lv_path};
use crate::guest::{Guest, Region};
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "host-two-hosts",
        about: "a VG of another host is looked at and nothing else, until somebody takes it over",
        disks: fixture::THREE,
        timeout_s: 240,
        run: two_hosts,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "host-choose",
        about: "metadata that two hosts changed apart from each other: both are shown, one is kept",
        frontends: Frontend::DM,
        disks: fixture::TWO,
        timeout_s: 240,
        run: choose,
        ..Scenario::DEFAULT
    },
];

/// From now on this machine is the host with this system id, as far as any command can tell.
fn become_host(guest: &Guest, id: &str) -> Result<()> {
    std::fs::create_dir_all("/etc/lvshift").context("making /etc/lvshift")?;
    std::fs::write("/etc/lvshift/system_id", format!("{id}  # for this test\n"))?;
    // What a host remembers of the moves that began on it.
    guest.sh("rm -rf /var/lib/lvshift")?.ok().map(drop)
}

fn two_hosts(guest: &mut Guest) -> Result<()> {
    become_host(guest, "alpha")?;
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", 8, &[rig.pv(1)])?;
    let ids = ["vgs", "--noheadings", "-o", "vg_systemid"];
    guest.lvshift(&ids)?.ok()?.stdout_has("alpha")?;
    let writer = fixture::writer(&lv, 24)?;
    writer.stop()?.clean()?;
    let (pv1, pv2) = (rig.pv(1), rig.pv(2));
    // Alpha dies in the middle of a move.
    rig.pvmove_at("after:swap-mirrored", &[&pv1, &pv2])?;
    guest.lvshift(&["vgchange", "-an", VG])?.ok()?;
    ensure!(rig.newest_meta()?.states() == [MoveState::Copying], "no interrupted move");
    let written = guest.hash_region(&Region::new(&pv1, 0, 16_384))?;

    become_host(guest, "beta")?;
    let third = guest.disk("pv3")?.display().to_string();
    guest.lvshift(&ids)?.ok()?.stdout_has("alpha")?;
    guest.lvshift(&["lvs"])?.ok()?.stdout_has("lv")?;
    for command in [
        &["vgchange", "-ay", VG][..],
        &["lvchange", "-ay", "vg/lv"],
        &["lvcreate", "-n", "other", "-l", "1", VG],
        &["vgextend", VG, &third],
        &["pvmove", &pv1],
        &["pvmove", "--abort", &pv1],
        &["vgck", "--updatemetadata", VG],
        &["vgchange", "--systemid", "beta", VG],
    ] {
        let run = guest.lvshift(command)?.fails_with(5)?;
        ensure!(run.stderr.contains("belongs to another host"), "{run}");
        ensure!(run.stderr.contains("vgchange --systemid beta --force vg"), "{run}");
    }
    // What means every VG passes over it.
    for command in [&["vgchange", "-ay"][..], &["pvmove"], &["pvmove", "--abort"]] {
        guest.lvshift(command)?.ok()?;
    }
    ensure!(!lv_path("lv").exists(), "another host's LV was activated");
    let pvs = guest.lvshift(&["pvs"])?.ok()?;
    ensure!(!pvs.stdout.contains(&third), "the disk was made a PV all the same: {pvs}");
    ensure!(rig.newest_meta()?.states() == [MoveState::Copying], "the move was touched");
    let now = guest.hash_region(&Region::new(&pv1, 0, 16_384))?;
    ensure!(now == written, "the metadata were written");

    // Taking it over is one step of its own, and asks.
    let take = ["vgchange", "--systemid", "beta", "--force", VG];
    guest.lvshift(&take)?.fails_with(5)?.stderr_has("--yes")?;
    guest.lvshift(&["vgchange", "--yes", "--systemid", "beta", "--force", VG])?.ok()?;
    guest.lvshift(&ids)?.ok()?.stdout_has("beta")?;
    guest.lvshift(&["vgchange", "-ay", VG])?.ok()?.stdout_has("it began on another host")?;
    guest.lvshift(&["pvmove"])?;
    ensure!(rig.meta()?.states().is_empty(), "the move was not undone");
    rig.lies("lv", &[(1, 0, 8)])?;

    // What is in use here is not given away; what is not, is, and stays away.
    guest
        .lvshift(&["vgchange", "-y", "--systemid", "alpha", VG])?
        .fails_with(5)?
        .stderr_has("active")?;
    guest.lvshift(&["vgchange", "-an", VG])?.ok()?;
    guest.lvshift(&["vgchange", "-y", "--systemid", "alpha", VG])?.ok()?;
    guest.lvshift(&["vgchange", "-ay", VG])?.fails_with(5)?;
    become_host(guest, "alpha")?;
    guest.lvshift(&["vgchange", "-ay", VG])?.ok()?;
    // A VG of no host is everybody's, as all were before there were system ids.
    guest.lvshift(&["vgchange", "-y", "--systemid", "", VG])?.ok()?;
    become_host(guest, "beta")?;
    guest.lvshift(&["lvcreate", "-n", "other", "-l", "1", VG])?.ok()?;

    // Alpha dies, and a disk with it: what is said then leads on.
    guest.lvshift(&["vgextend", VG, &third])?.ok()?;
    guest.lvshift(&["vgchange", "-an", VG])?.ok()?;
    guest.lvshift(&["vgchange", "-y", "--systemid", "alpha", VG])?.ok()?;
    let left = format!("--devices={pv1},{pv2}");
    let take = ["vgchange", &left, "--yes", "--systemid", "beta", "--force", VG];
    let run = guest.lvshift(&take)?.fails_with(5)?;
    for word in ["write alpha into /etc/lvshift/system_id", "vgreduce --removemissing vg"] {
        ensure!(run.stderr.contains(word), "{run}");
    }
    become_host(guest, "alpha")?;
    guest.lvshift(&["vgreduce", &left, "--removemissing", VG])?.ok()?;
    guest.lvshift(&["vgchange", &left, "--yes", "--systemid", "beta", VG])?.ok()?;
    become_host(guest, "beta")?;
    guest.lvshift(&["lvcreate", &left, "-n", "last", "-l", "1", VG])?.ok()?;
    Ok(())
}

/// Where a PV keeps its metadata: the first 4 MiB, in the file.
fn keep(guest: &Guest, pv: &str, file: &str) -> Result<()> {
    guest.sh(&format!("dd if={pv} of={file} bs=1M count=4 iflag=direct 2>&1"))?.ok().map(drop)
}

fn put_back(guest: &Guest, file: &str, pv: &str) -> Result<()> {
    guest.sh(&format!("dd if={file} of={pv} bs=1M oflag=direct conv=fsync 2>&1"))?.ok().map(drop)
}

fn choose(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let (pv1, pv2) = (rig.pv(1), rig.pv(2));
    let create = |name: &str| -> Result<()> {
        guest.lvshift(&["lvcreate", "-an", "-Zn", "-n", name, "-l", "2", VG])?.ok().map(drop)
    };
    for (pv, file) in [(&pv1, "/tmp/one"), (&pv2, "/tmp/two")] {
        keep(guest, pv, file)?;
    }
    create("theirs")?;
    keep(guest, &pv2, "/tmp/apart")?;
    for (pv, file) in [(&pv1, "/tmp/one"), (&pv2, "/tmp/two")] {
        put_back(guest, file, pv)?;
    }
    create("ours")?;
    put_back(guest, "/tmp/apart", &pv2)?;

    let torn = guest.lvshift(&["lvs"])?.fails_with(5)?;
    ensure!(torn.stderr.contains("apart from each other"), "{torn}");
    ensure!(torn.stderr.contains("vgck --choose vg"), "the next step is not told: {torn}");
    // Without an answer both are shown and nothing is changed.
    let shown = guest.lvshift(&["vgck", "--choose", VG])?.fails_with(5)?;
    for word in ["LV ours", "LV theirs", &pv1, &pv2] {
        ensure!(shown.stdout.contains(word), "{word} is not shown: {shown}");
    }
    ensure!(shown.stderr.contains(&format!("vgck --choose={pv1} vg")), "{shown}");
    guest.lvshift(&["vgck", "--choose", "--yes", VG])?.fails_with(3)?;
    guest.lvshift(&["lvs"])?.fails_with(5)?;
    let chosen = format!("--choose={pv2}");
    guest.lvshift(&["vgck", &chosen, VG])?.fails_with(5)?.stderr_has("--yes")?;
    guest.lvshift(&["vgck", &chosen, "--yes", VG])?.ok()?;
    let lvs = guest.lvshift(&["lvs", "--noheadings", "-o", "lv_name"])?.ok()?;
    ensure!(lvs.rows() == [["theirs"]], "not the one chosen: {lvs}");
    guest.lvshift(&["vgck", VG])?.ok()?.stdout_has("everything is sound")?;
    guest.lvshift(&["vgck", &chosen, "--yes", VG])?.ok()?.stdout_has("nothing to choose")?;
    rig.lv("after", 2, &[])?;
    Ok(())
}
