//! Moves of the parts of LVM2's other kinds of LVs: images, pools, origins, caches, snapshots. Each under a writer on
//! the LV that an application sees.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::rig::{self, Lvm2, VG};
use crate::conformance::fixture::{self, HANG};
use crate::guest::{Faulty, Guest, Run};
use crate::scenario::{Disk, Frontend, Scenario};
use crate::writer::{Config, Writer};

const FOUR: &[Disk] =
    &[Disk::new("pv1", 48), Disk::new("pv2", 48), Disk::new("pv3", 48), Disk::new("pv4", 48)];

/// A kind of LV: how it is made, and what of it lies where.
struct Kind {
    modules: &'static [&'static str],
    /// Commands of LVM2; `PV1` stands for a path.
    make: &'static [&'static str],
    /// The LV that the application sees.
    top: &'static str,
    /// The parts on the first PV.
    parts: &'static [&'static str],
    /// Two parts that hold the same, when all is at rest.
    same: Option<[&'static str; 2]>,
    seed: u64,
}

const RAID1: Kind = Kind {
    modules: &["dm-raid", "raid1"],
    make: &["lvcreate -y -Zn -Wn --type raid1 -m1 -l 12 -n top lvg PV1 PV3"],
    top: "top",
    parts: &["top_rimage_0", "top_rmeta_0"],
    same: Some(["top_rimage_0", "top_rimage_1"]),
    seed: 2001,
};
const RAID5: Kind = Kind {
    modules: &["dm-raid", "raid456"],
    make: &["lvcreate -y -Zn -Wn --type raid5 -i2 -I64k -l 16 -n top lvg PV1 PV3 PV4"],
    top: "top",
    parts: &["top_rimage_0", "top_rmeta_0"],
    same: None,
    seed: 2002,
};
const MIRROR: Kind = Kind {
    modules: &[],
    make: &["lvcreate -y -Zn -Wn --type mirror -m1 -l 12 -n top lvg PV1 PV3 PV4"],
    top: "top",
    parts: &["top_mimage_0"],
    same: Some(["top_mimage_0", "top_mimage_1"]),
    seed: 2003,
};
const THIN: Kind = Kind {
    modules: &["dm-thin-pool"],
    make: &[
        "lvcreate -y --type thin-pool --poolmetadatasize 2m -l 14 -n pool lvg PV1",
        "lvcreate -y -Wn -V 12m -T lvg/pool -n top",
        "lvcreate -y -Wn -V 20m -T lvg/pool -n other",
    ],
    top: "top",
    parts: &["pool_tdata", "pool_tmeta", "lvol0_pmspare"],
    same: None,
    seed: 2004,
};
const CACHE_ORIGIN: Kind = Kind {
    modules: &["dm-cache", "dm-cache-smq"],
    make: &[
        "lvcreate -y -Zn -Wn -l 12 -n top lvg PV1",
        "lvcreate -y --type cache-pool -l 4 --poolmetadatasize 8m --poolmetadataspare n -n fast lvg PV3",
        "lvconvert -y --type cache --cachemode writeback --poolmetadataspare n --cachepool fast lvg/top",
    ],
    top: "top",
    parts: &["top_corig"],
    same: None,
    seed: 2005,
};
const CACHE_POOL: Kind = Kind {
    modules: &["dm-cache", "dm-cache-smq"],
    make: &[
        "lvcreate -y -Zn -Wn -l 12 -n top lvg PV3",
        "lvcreate -y --type cache-pool -l 4 --poolmetadatasize 8m --poolmetadataspare n -n fast lvg PV1",
        "lvconvert -y --type cache --cachemode writeback --poolmetadataspare n --cachepool fast lvg/top",
    ],
    top: "top",
    parts: &["fast_cpool_cdata", "fast_cpool_cmeta"],
    same: None,
    seed: 2006,
};
const WRITECACHE: Kind = Kind {
    modules: &["dm-writecache"],
    make: &[
        "lvcreate -y -Zn -Wn -l 12 -n top lvg PV1",
        "lvcreate -y -an -Zn -Wn -l 4 -n fast lvg PV1",
        "lvconvert -y --type writecache --cachevol fast lvg/top",
    ],
    top: "top",
    parts: &["top_wcorig", "fast_cvol"],
    same: None,
    seed: 2007,
};
const SNAPSHOT: Kind = Kind {
    modules: &["dm-snapshot"],
    make: &["lvcreate -y -Zn -Wn -l 10 -n top lvg PV1", "lvcreate -y -s -l 10 -n snap lvg/top PV1"],
    top: "top",
    parts: &["top", "snap"],
    same: None,
    seed: 2008,
};

/// A first boot with a whole move and half a one, and a second after the cut.
macro_rules! kind {
    ($name:literal, $about:literal, $kind:expr) => {
        Scenario {
            name: $name,
            about: $about,
            frontends: Frontend::BOTH,
            disks: FOUR,
            state_disk: true,
            boots: 2,
            timeout_s: 300,
            run: |guest| kind(guest, &$kind),
            ..Scenario::DEFAULT
        }
    };
}

pub(super) const SCENARIOS: &[Scenario] = &[
    kind!("lvm2-raid1", "an image of a raid1 LV moves; cut in mid-copy, LVM2 activates it", RAID1),
    kind!("lvm2-raid5", "an image of a raid5 LV moves; cut in mid-copy, LVM2 activates it", RAID5),
    kind!(
        "lvm2-mirror",
        "an image of a mirror LV moves; cut in mid-copy, LVM2 activates it",
        MIRROR
    ),
    kind!(
        "lvm2-thin",
        "a thin pool moves, data and metadata; cut in mid-copy, LVM2 activates it",
        THIN
    ),
    kind!(
        "lvm2-cache",
        "the origin of a cached LV moves; cut in mid-copy, LVM2 activates it",
        CACHE_ORIGIN
    ),
    kind!("lvm2-cache-pool", "a cache pool moves; cut in mid-copy, LVM2 activates it", CACHE_POOL),
    kind!(
        "lvm2-writecache",
        "a writecache and its origin move; cut in mid-copy, LVM2 activates it",
        WRITECACHE
    ),
    kind!(
        "lvm2-snapshot",
        "a snapshot and its origin move; cut in mid-copy, LVM2 activates it",
        SNAPSHOT
    ),
    Scenario {
        name: "lvm2-many",
        about: "64 segments of one LV and another LV are one move of four commits, with extents of 384 KiB",
        frontends: Frontend::DM,
        disks: FOUR,
        timeout_s: 300,
        run: many,
        ..Scenario::DEFAULT
    },
];

fn config(kind: &Kind) -> Config {
    Config { pace: Duration::from_millis(5), ..Config::new(rig::path(kind.top), kind.seed) }
}

fn kind(guest: &mut Guest, kind: &Kind) -> Result<()> {
    for module in kind.modules {
        guest.modprobe(module)?;
    }
    let slow = guest.faulty("pv2")?;
    let devices = vec![guest.disk("pv1")?, slow.path(), guest.disk("pv3")?, guest.disk("pv4")?];
    if guest.boot() == 1 {
        let rig = Lvm2::over(guest, devices)?;
        make(&rig, kind)?;
        before_the_cut(&rig, kind, &slow)?;
        guest.power_cut();
    }
    let rig = Lvm2::found(guest, devices)?;
    after_the_cut(&rig, kind)
}

/// A command of LVM2; `PV1` stands for a path.
fn lvm(rig: &Lvm2<'_>, line: &str) -> Result<Run> {
    let pv = |word: &str| match word.strip_prefix("PV").map(str::parse::<usize>) {
        Some(Ok(number)) => rig.pv(number),
        _ => word.to_owned(),
    };
    let words: Vec<String> = line.split(' ').map(pv).collect();
    rig.lvm_may_fail(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

fn make(rig: &Lvm2<'_>, kind: &Kind) -> Result<()> {
    for line in kind.make {
        lvm(rig, line)?.ok()?;
    }
    rig.lvm(&["vgchange", "-ay", VG])?;
    for part in kind.parts {
        lies_on(rig, part, 1)?;
    }
    Ok(())
}

/// Fails unless all of this LV, which may be a hidden one, lies on this PV.
fn lies_on(rig: &Lvm2<'_>, part: &str, pv: usize) -> Result<()> {
    let fields = "lv_name,devices";
    let run = rig.lvm(&["lvs", "-a", "--noheadings", "--segments", "-o", fields, VG])?;
    let start = format!("{}(", rig.pv(pv));
    let rows = run.rows();
    let mut places = rows.iter().filter(|row| {
        row.first().is_some_and(|name| name.trim_matches(|c| "[]".contains(c)) == part)
    });
    let all = places.clone().count();
    ensure!(all > 0, "there is no {part}: {run}");
    ensure!(
        places.all(|row| row.get(1).is_some_and(|place| place.starts_with(&start))),
        "{part} is not on {start}...): {run}"
    );
    Ok(())
}

/// A whole move there and back again, then one that is cut off.
fn before_the_cut(rig: &Lvm2<'_>, kind: &Kind, slow: &Faulty<'_>) -> Result<()> {
    let guest = rig.guest;
    let writer = Writer::start(config(kind))?;
    writer.wait_for_writes(10, HANG)?;
    for (from, to) in [(1, 2), (2, 1)] {
        rig.pvmove(&[&rig.pv(from), &rig.pv(to)])?.ok()?;
        fixture::served(&writer)?;
        rig.nothing_is_left()?;
        for part in kind.parts {
            lies_on(rig, part, to)?;
        }
    }
    let moving = rig.spawn_move_slowly(slow, 500, &[&rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    writer.pause();
    // What was written last is not clean yet where a daemon mirrors.
    let (done, all) = rig.wait_for_mid_copy()?;
    let daemon = guest.frontend() == Frontend::Ublk;
    ensure!(rig.is_served()? == daemon, "it is not mirrored by whom it should be");
    rig.note("done", &format!("{done} {all}"))?;
    moving.kill()?;
    writer.checkpoint(&guest.state("writer")?)?;
    writer.stop()?.clean().map(drop)
}

fn after_the_cut(rig: &Lvm2<'_>, kind: &Kind) -> Result<()> {
    let guest = rig.guest;
    // As an initramfs does, which has no udev and no dmeventd either.
    rig.lvm(&["vgchange", "-aay", "--sysinit", VG])?;
    guest.log(rig.tables()?);
    let text = std::fs::read_to_string(guest.state("done")?)?;
    let mut numbers = text.split(' ').map(str::parse::<u64>);
    let mut number = || numbers.next().context("two numbers");
    let (done, all) = (number()??, number()??);
    let (now, of) = rig.regions()?.context("LVM2 did not make a mirror of it")?;
    guest.log(format!("regions equal: {done} of {all} at the cut, {now} of {of} at once after it"));
    ensure!(of == all && done > 0 && now >= done, "the progress is lost: {now} after {done}");
    let writer = Writer::resume(config(kind), &guest.state("writer")?)?;
    writer.wait_for_writes(10, HANG)?;
    rig.pvmove(&[])?.ok()?;
    fixture::served(&writer)?;
    rig.nothing_is_left()?;
    for part in kind.parts {
        lies_on(rig, part, 2)?;
    }
    writer.checkpoint(&guest.state("writer")?)?;
    writer.stop()?.clean()?;
    if let Some([one, other]) = kind.same {
        let (one, other) = (rig::path(one), rig::path(other));
        in_sync(rig, kind)?;
        ensure!(guest.hash_device(&one)? == guest.hash_device(&other)?, "the images differ");
    }
    // The old extents are of no use to anybody: all that counts is on the new ones.
    rig.lvm(&["vgchange", "-an", VG])?;
    overwrite(rig, 1)?;
    rig.lvm(&["vgchange", "-ay", VG])?;
    let writer = Writer::resume(config(kind), &guest.state("writer")?)?;
    writer.wait_for_writes(10, HANG)?;
    writer.stop()?.clean()?;
    rig.lvm(&["vgchange", "-an", VG]).map(drop)
}

/// Waits until LVM2 says that the images of the top LV are equal.
fn in_sync(rig: &Lvm2<'_>, kind: &Kind) -> Result<()> {
    let full = format!("{VG}/{}", kind.top);
    rig.guest.wait_for("the images are equal", HANG * 3, || {
        let run = rig.lvm(&["lvs", "--noheadings", "-o", "copy_percent", &full])?;
        Ok(run.stdout.trim() == "100.00")
    })
}

/// Overwrites all extents of a PV on which nothing lies.
fn overwrite(rig: &Lvm2<'_>, pv: usize) -> Result<()> {
    let free = ["pvs", "--noheadings", "-o", "pv_pe_alloc_count", &rig.pv(pv)];
    let used = rig.lvm(&free)?;
    ensure!(used.stdout.trim() == "0", "something lies on PV {pv}: {used}");
    let device = PathBuf::from(rig.pv(pv));
    let script = format!(
        "dd if=/dev/urandom of={} bs=1M seek=1 count=46 oflag=direct conv=notrunc",
        device.display()
    );
    rig.guest.sh(&script).map(drop)
}

/// Many segments and LVs, with extents of 384 KiB, are one move and four commits.
fn many(guest: &mut Guest) -> Result<()> {
    let devices: Result<Vec<_>> =
        ["pv1", "pv2", "pv3", "pv4"].iter().map(|pv| guest.disk(pv)).collect();
    let rig = Lvm2::found(guest, devices?)?;
    let names: Vec<String> = (1..=4).map(|n| rig.pv(n)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    rig.lvm(&[&["vgcreate", "-s", "384k", VG], &names[..]].concat())?;
    let (one, two, three) = (rig.pv(1), rig.pv(2), rig.pv(3));
    rig.lvm(&["lvcreate", "-an", "-Zn", "-Wn", "-l1", "-n", "home", VG, &format!("{one}:0")])?;
    let text = Path::new("/run/many.text");
    rig.lvm(&["vgcfgbackup", "-f", &text.display().to_string(), VG])?;
    let before = std::fs::read_to_string(text)?;
    // 64 segments on the first PV and as many on the third, in turns: as LVM2 would have it after years.
    let segment = |n: usize| {
        let pv = if n % 2 == 1 { key(&before, &one) } else { key(&before, &three) };
        format!(
            "segment{n} {{\nstart_extent = {}\nextent_count = 1\ntype = \"striped\"\nstripe_count = 1\nstripes = [\"{}\", {}]\n}}\n",
            n - 1,
            pv.unwrap_or_default(),
            // Backwards, so that no two go on from one to the next.
            64 - n.div_ceil(2),
        )
    };
    let segments: String = (1..=SEGMENTS).map(segment).collect();
    let start = before.find("segment_count = 1").context("an LV")?;
    let closing = before[start..].find("\n\t\t}").context("the end of the LV")? + start;
    let changed =
        format!("{}segment_count = {SEGMENTS}\n{segments}{}", &before[..start], &before[closing..]);
    std::fs::write(text, changed)?;
    rig.lvm(&["vgcfgrestore", "-y", "--force", "-f", &text.display().to_string(), VG])?;
    rig.lvm(&["lvcreate", "-an", "-Zn", "-Wn", "-l5", "-n", "opt", VG, &one])?;
    let (home, opt) = (rig.activate("home")?, rig.activate("opt")?);
    let writers = [rig::writer(&home, 2101)?, rig::writer(&opt, 2102)?];
    let seqno = || -> Result<u64> {
        let run = rig.lvm(&["vgs", "--noheadings", "-o", "vg_seqno", VG])?;
        run.stdout.trim().parse().with_context(|| format!("a number: {run}"))
    };
    let first = seqno()?;
    rig.pvmove(&[&one, &two])?.ok()?;
    let commits = seqno()? - first;
    guest.log(format!("{commits} commits for 64 segments of one LV and another LV"));
    ensure!(commits == 4, "{commits} commits");
    rig.at_rest()?;
    rig.is_on("opt", 2)?;
    let lies = rig.lies("home")?;
    ensure!(lies.iter().all(|place| !place.starts_with(&format!("{one}("))), "{lies:?}");
    for writer in writers {
        fixture::served(&writer)?;
        writer.stop()?.clean()?;
    }
    rig.lvm(&["vgchange", "-an", VG]).map(drop)
}

const SEGMENTS: usize = 128;

/// What a text of LVM2 calls the PV on this device.
fn key(text: &str, device: &str) -> Option<String> {
    let at = text.find(&format!("device = \"{device}\""))?;
    let head = text[..at].rfind(" {")?;
    text[..head].rsplit(|c: char| c.is_whitespace()).next().map(str::to_owned)
}
