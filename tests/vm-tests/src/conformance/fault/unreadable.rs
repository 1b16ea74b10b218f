//! What cannot be read and stays: whose file it is, and how it is given up.

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{self, DATA, EXTENT, FAIL, HANG, Rig, lv_path};
use crate::guest::{Fs, Guest, Region};
use crate::scenario::{Disk, Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "unreadable-file",
        about: "the list of what stays leads to the files on ext4 and XFS, by the commands that it prints",
        disks: &[Disk::new("pv1", 352), Disk::new("pv2", 32)],
        run: file,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "unreadable-given-up",
        about: "what cannot be read is given up after a question: zeroes there, and no other byte is lost",
        disks: fixture::TWO,
        run: given_up,
        ..Scenario::DEFAULT
    },
];

/// What follows a word in a text, up to the end of its line.
fn after<'t>(text: &'t str, word: &str) -> Result<&'t str> {
    let found = text.split(word).nth(1).and_then(|rest| rest.lines().next());
    found.with_context(|| format!("no {word:?} in {text}"))
}

/// The command between the first two backticks that begins with this word.
fn command<'t>(text: &'t str, program: &str) -> Result<&'t str> {
    let found = text.split('`').find(|part| part.starts_with(program));
    found.with_context(|| format!("no command {program} in {text}"))
}

fn file(guest: &mut Guest) -> Result<()> {
    let mut bad = guest.faulty("pv1")?;
    let rig = Rig::over(guest, vec![bad.path(), guest.disk("pv2")?])?;
    let small = rig.lv("small", 8, &[rig.pv(1)])?;
    let large = rig.lv("large", 320, &[rig.pv(1)])?;

    guest.mkfs(Fs::Ext4, &small)?;
    let mounted = guest.mount(Fs::Ext4, &small, "small")?;
    mounted.fill("dir", 3, 100_000, 7)?;
    mounted.umount()?;
    let shown = small.display();
    let stats = guest.sh(&format!("debugfs -R stats {shown}"))?;
    let block: u64 = after(&stats.stdout, "Block size:")?.trim().parse()?;
    let found = guest.sh(&format!("debugfs -R 'bmap /dir/file-1 5' {shown}"))?;
    let sector = found.stdout.trim().parse::<u64>()? * block / 512;

    guest.mkfs(Fs::Xfs, &large)?;
    let mounted = guest.mount(Fs::Xfs, &large, "large")?;
    // Directories are spread over the groups: so the last of these is not in the first one.
    for n in 0..4 {
        mounted.fill(&format!("dir-{n}"), 1, 100_000, n)?;
    }
    let path = mounted.join("dir-3/file-0");
    let map = guest.run("xfs_io", &["-r", "-c", "fiemap -v", &path.to_string_lossy()])?.ok()?;
    let first = map.rows().into_iter().find(|row| row.first().is_some_and(|n| *n == "0:"));
    let first = first.and_then(|row| row.get(2)?.split("..").next()?.parse::<u64>().ok());
    let on_large = first.with_context(|| format!("no place of the file in {map}"))?;
    mounted.umount()?;
    guest.log(format!("sector {sector} of small, {on_large} of large"));

    let eight = |sector: u64| sector / 8 * 8;
    bad.bad_reads(DATA + eight(sector), 8)?;
    bad.bad_reads(DATA + 8 * EXTENT + eight(on_large), 8)?;
    let stays = on_large / EXTENT;
    let range = format!("0-7:{}-{}", 8 + stays, 8 + stays);
    let run = rig.pvmove(&[&rig.pv_at(1, &range), &rig.pv(2)])?.fails_with(5)?;
    let run = run.stderr_has("2 extents stay")?;
    let at = eight(sector);
    let run = run.stderr_has(&format!("which are sectors {at}-{} of LV vg/small", at + 7))?;
    let at = eight(on_large);
    let run = run.stderr_has(&format!("which are sectors {at}-{} of LV vg/large", at + 7))?;

    let icheck =
        guest.sh(&format!("{} 2>/dev/null", command(&run.stderr, "debugfs -R \"icheck")?))?;
    let inode = icheck.stdout.split_whitespace().last().context("an inode")?.to_owned();
    let ncheck = command(&run.stderr, "debugfs -R \"ncheck")?.replace("INODE", &inode);
    guest.sh(&ncheck)?.stdout_has("/dir/file-1")?;
    let used = guest.sh(command(&run.stderr, "xfs_db -r -c \"blockget -n -b")?)?;
    let inode = after(&used.stdout, "setting inode to ")?.split(' ').next().context("an inode")?;
    let ncheck = command(&run.stderr, "xfs_db -r -c \"blockget -n\" -c \"ncheck")?;
    guest.sh(&ncheck.replace("INODE", inode))?.stdout_has("dir-3/file-0")?;

    // Tried again, they move once they can be read.
    bad.good()?;
    rig.pvmove(&[&rig.pv_at(1, &range), &rig.pv(2)])?.ok()?;
    rig.at_rest()?;
    guest.fsck(Fs::Ext4, &small)?;
    guest.fsck(Fs::Xfs, &large).map(drop)
}

fn given_up(guest: &mut Guest) -> Result<()> {
    let mut bad = guest.faulty("pv1")?;
    let rig = Rig::over(guest, vec![bad.path(), guest.disk("pv2")?])?;
    let lv = rig.lv("lv", 6, &[rig.pv(1)])?;
    // The writer checks every byte of the first four extents; what is lost lies in the fifth.
    let config = Config { size: Some(4 * EXTENT * 512), ..Config::new(&lv, 931) };
    guest.sh("dd if=/dev/urandom of=/dev/vg/lv bs=1M seek=4 count=2 oflag=direct")?;
    let writer = Writer::start(config)?;
    writer.wait_for_writes(10, HANG)?;
    let lower = bad.lower().to_owned();
    let on_pv = |sector: u64, sectors| Region::new(&lower, DATA + sector, sectors);
    let lost = 4 * EXTENT + 800;
    bad.bad_reads(DATA + lost, 8)?;
    let args = ["--fill-unreadable", "zero", "--read-check", &rig.pv(1), &rig.pv(2)];
    if guest.frontend() == Frontend::Dm {
        // The kernel's mirror gives nothing up: said before anything is changed.
        let heads = rig.heads()?;
        rig.pvmove(&args)?.fails_with(5)?.stderr_has("lvshift-ublk pvmove --fill-unreadable")?;
        ensure!(rig.heads()? == heads, "something was changed");
        return writer.stop()?.clean().map(drop);
    }
    // Without an answer all else moves, and it stays.
    let run = rig.pvmove(&args)?.fails_with(5)?;
    let sectors = format!("sectors {}-{}", DATA + lost, DATA + lost + 7);
    run.stderr_has(&sectors)?.stderr_has("say yes with --yes")?.stderr_has("1 extent stays")?;
    rig.lies("lv", &[(2, 0, 4), (1, 4, 1), (2, 4, 1)])?;

    // Half of it can be read again when it is copied.
    let program = guest.frontend().binary();
    let all = [&["pvmove", "-y", "--pace=none"], &args[..]].concat();
    let mut moving = guest.spawn_env(&[(FAIL, "stop:load-mirrored")], program, &all)?;
    stopped_at(guest, &mut moving)?;
    bad.good()?;
    bad.bad_reads(DATA + lost, 4)?;
    moving.signal(Signal::CONT)?;
    moving.wait(HANG)?.ok()?.stdout_has("the list of it is in /var/lib/lvshift/unreadable-vg-")?;
    guest.sh("cat /var/lib/lvshift/unreadable-vg-*")?.stdout_has(&sectors)?;
    rig.at_rest()?;
    ensure!(rig.home("lv")? == 2, "it did not move");
    let on_lv = |sector: u64, sectors| Region::new(lv_path("lv"), sector, sectors);
    guest.drop_caches()?;
    let zeroes = guest.read_region(&on_lv(lost, 4))?;
    ensure!(zeroes.iter().all(|byte| *byte == 0), "what was given up is not zeroes");
    for (first, sectors) in [(4 * EXTENT, 800), (lost + 4, EXTENT - 804)] {
        guest.same_bytes(&on_lv(first, sectors), &on_pv(first, sectors))?;
    }
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.reads_from_its_places("lv")
}
