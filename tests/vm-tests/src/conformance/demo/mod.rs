//! The demo: one live move, drawn as it happens. `cargo xtask demo` shows it.

mod lvm2;
mod seen;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::guest::{Background, Fs, Guest};
use crate::scenario::{Disk, Frontend, Scenario};
use crate::writer::{Config, Writer};

const DISKS: &[Disk] = &[
    Disk::new("pv1", EACH_MIB + 16),
    Disk::new("pv2", EACH_MIB + 16),
    Disk::new("pv3", EACH_MIB + 16),
    Disk::new("pv4", EACH_MIB + 16),
];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "demo",
        about: "one live move on a mounted file system under load, drawn and explained",
        disks: DISKS,
        timeout_s: 360,
        hidden: true,
        run: demo,
        cpus: 2,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "demo-lvm2",
        about: "the same in a VG of LVM2's own; the power fails, LVM2 brings it up, the move goes on",
        frontends: Frontend::DM,
        disks: DISKS,
        state_disk: true,
        boots: 2,
        timeout_s: 360,
        hidden: true,
        run: lvm2::demo,
        cpus: 2,
        ..Scenario::DEFAULT
    },
];

/// What lies on each PV: enough that the copy can be watched.
const EACH_MIB: u32 = 160;
/// How long a move may take.
const LIMIT: Duration = Duration::from_secs(120);

fn demo(guest: &mut Guest) -> Result<()> {
    let disks = ["pv1", "pv2", "pv3", "pv4"].map(|name| guest.disk(name));
    let [pv1, pv2, pv3, pv4] = disks;
    let paths = [pv1?, pv2?, pv3?, pv4?].map(|path| path.display().to_string());
    let [pv1, pv2, pv3, pv4] = paths.each_ref().map(String::as_str);
    let number = |pv: &str| guest.major_minor(pv);
    let numbers = [number(pv1)?, number(pv2)?, number(pv3)?, number(pv4)?];

    say(guest, "An LV of three segments on three PVs. A fourth PV is in the VG and empty.");
    let range = |pv: &str| format!("{pv}:0-{}", EACH_MIB - 1);
    let extents = (3 * EACH_MIB).to_string();
    shown(guest, &["pvcreate", pv1, pv2, pv3, pv4])?;
    shown(guest, &["vgcreate", "-s", "1m", "vg", pv1, pv2, pv3, pv4])?;
    let places = [range(pv1), range(pv2), range(pv3)];
    let [a, b, c] = places.each_ref().map(String::as_str);
    shown(guest, &["lvcreate", "-n", "lv", "-l", &extents, "vg", a, b, c])?;

    say(guest, "ext4 on it is mounted. Its files are hashed, and a program now writes and reads");
    guest.show("without a pause, and checks every sector that it reads.\n");
    guest.mkfs(Fs::Ext4, "/dev/vg/lv")?;
    let mounted = guest.mount(Fs::Ext4, "/dev/vg/lv", "demo")?;
    mounted.fill("files", 40, 2_000_000, 1)?;
    let hashes = mounted.hash("files")?;
    let file = mounted.join("written-all-the-time");
    guest.sh(&format!("dd if=/dev/zero of={} bs=1M count=24 conv=fsync", file.display()))?;
    let writer = Writer::start(Config::new(&file, 1))?;
    writer.wait_for_writes(50, LIMIT)?;

    let lv = guest.major_minor("/dev/vg/lv")?;
    let [n1, n2, n3, n4] = numbers.each_ref().map(String::as_str);
    say(guest, "This is the LV before the move, with the kernel's major:minor numbers:");
    guest.show(one_device(&lv, [("PV1", n1), ("PV2", n2), ("PV3", n3)]));
    seen::tables_shown(guest)?;

    say(guest, "Now PV2 moves to PV4.");
    let worst_before = writer.counters().worst;
    let writes_before = writer.counters().writes;
    let start = Instant::now();
    let mut moving = started(guest, &[&["pvmove"], seen::rate(guest), &[pv2, pv4]].concat())?;
    let shadow = wait_for_the_mirror(guest, &mut moving)?;
    guest.show(seen::words(guest).swapped);
    guest.show(two_devices(&lv, &shadow, [("PV1", n1), ("PV2", n2), ("PV3", n3), ("PV4", n4)]));
    seen::tables_shown(guest)?;
    say(guest, seen::words(guest).copies);
    watch_the_copy(guest, &mut moving, &writer)?;
    let run = moving.wait(LIMIT)?.ok()?;
    guest.show(format!("{}\n", run.stdout.trim_end()));
    let took = start.elapsed();
    let writes = writer.counters().writes - writes_before;

    say(
        guest,
        "Both sides were equal and flushed, so the metadata now says PV4, and the table was",
    );
    guest.show(seen::words(guest).gone);
    guest.show(one_device(&lv, [("PV1", n1), ("PV4", n4), ("PV3", n3)]));
    seen::tables_shown(guest)?;
    let after = guest.major_minor("/dev/vg/lv")?;
    ensure!(after == lv, "the LV was {lv} and is {after}");

    say(guest, "Is it all true?");
    writer.wait_for_writes(50, LIMIT)?;
    let outcome = writer.stop()?.clean()?;
    let worst = outcome.counters.worst;
    check(guest, &format!("the LV is {lv}, as before"));
    check(guest, &format!("the program wrote {writes} times during the move and saw no error"));
    let ms = |time: Duration| time.as_millis();
    check(
        guest,
        &format!("its slowest request took {} ms ({} before)", ms(worst), ms(worst_before)),
    );
    check(guest, "every sector that it wrote holds what was last acknowledged");
    mounted.same_tree("files", &hashes)?;
    check(guest, &format!("the {} files have the hashes they had", hashes.len()));
    mounted.umount()?;
    guest.fsck(Fs::Ext4, "/dev/vg/lv")?;
    check(guest, "e2fsck finds nothing wrong");
    let table = seen::live(guest)?;
    ensure!(table.contains(&format!("linear {n4} ")), "PV4 is not in the table:\n{table}");
    ensure!(!table.contains(&format!(" {n2} ")), "PV2 is still in the table:\n{table}");
    check(guest, "the LV's table names PV4 and no longer PV2");
    seen::nothing_left(guest)?;
    check(
        guest,
        &format!("no helper is left; {EACH_MIB} MiB moved in {:.1} s", took.as_secs_f64()),
    );
    shown(guest, &["pvs"])
}

/// Waits for the LV's table to name a mirror; gives the number of the shadow.
fn wait_for_the_mirror(guest: &Guest, moving: &mut Background<'_>) -> Result<String> {
    let mut shadow = None;
    guest.wait_for("the LV's table has a mirror", LIMIT, || {
        let table = seen::live(guest)?;
        if table.contains(" mirror ") {
            // START LENGTH linear MAJOR:MINOR OFFSET
            let word = table.lines().next().and_then(|line| line.split(' ').nth(3));
            shadow = word.map(str::to_owned);
            return Ok(true);
        }
        ensure!(moving.is_running()?, "pvmove ended: {}{}", moving.stdout(), moving.stderr());
        Ok(false)
    })?;
    shadow.context("a table without a device")
}

/// Draws how much is copied, until all is.
fn watch_the_copy(guest: &Guest, moving: &mut Background<'_>, writer: &Writer) -> Result<()> {
    let mut last = None;
    while moving.is_running()? {
        let Some((done, all)) = seen::copied(guest, EACH_MIB.into())? else { break };
        if last != Some(done) {
            last = Some(done);
            let filled = usize::try_from(done * 40 / all.max(1)).unwrap_or(40).min(40);
            let bar = format!("{}{}", "#".repeat(filled), ".".repeat(40 - filled));
            let writes = writer.counters().writes;
            let line = format!(
                "  [{bar}] {done:4} of {all} {}   {writes:6} writes",
                seen::words(guest).unit
            );
            let (before, after) = if guest.on_terminal() { ("\r", "") } else { ("", "\n") };
            guest.show(format!("{before}{line}{after}"));
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    guest.show(if guest.on_terminal() { "\n" } else { "" });
    Ok(())
}

fn say(guest: &Guest, text: &str) {
    guest.show(format!("\n{text}\n"));
}

fn check(guest: &Guest, text: &str) {
    guest.show(format!("  yes: {text}\n"));
}

fn started<'g>(guest: &'g Guest, args: &[&str]) -> Result<Background<'g>> {
    guest.show(format!("  # {} {}\n", guest.frontend().binary(), args.join(" ")));
    guest.spawn(args)
}

fn shown(guest: &Guest, args: &[&str]) -> Result<()> {
    let run = started(guest, args)?.wait(LIMIT)?.ok()?;
    for line in run.stdout.lines() {
        guest.show(format!("  {line}\n"));
    }
    Ok(())
}

/// The first and the third picture.
fn one_device(lv: &str, [left, middle, right]: [(&str, &str); 3]) -> String {
    let cell = |(name, number): (&str, &str)| format!("{name} {number}");
    let mut text = String::from("\n  +--------------------------------+\n");
    let (a, b, c) = (cell(left), cell(middle), cell(right));
    writeln!(text, "  |{a:^10}|{b:^10}|{c:^10}| {lv}").expect("a string grows");
    text + "  +----------+----------+----------+\n\n"
}

/// The second picture.
fn two_devices(lv: &str, shadow: &str, [a, b, c, d]: [(&str, &str); 4]) -> String {
    let [a, b, c, d] = [a, b, c, d].map(|(name, number)| format!("{name} {number}"));
    let gap = " ".repeat(lv.len());
    format!(
        r"
                      destination of copy
                  +---------->-----{gap}-------+
                  |                {gap}       |
  +--------------------------------+ {gap} +-----------+
  | Identity |  mirror  |  Ident.  | {lv} |{d:^11}|
  +----------+----------+----------+ {gap} +-----------+
       |          |          |
       \/         \/         \/
  +--------------------------------+
  |{a:^10}|{b:^10}|{c:^10}| {shadow}
  +----------+----------+----------+

",
    )
    .replace(&format!("-----{gap}-"), &format!("-----{}-", "-".repeat(gap.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_picture_is_the_outlines() {
        let pvs = [("PV1", "254:0"), ("PV2", "254:1"), ("PV3", "254:2"), ("PV4", "254:3")];
        let expected = r"
                      destination of copy
                  +---------->-----------------+
                  |                            |
  +--------------------------------+       +-----------+
  | Identity |  mirror  |  Ident.  | 253:0 | PV4 254:3 |
  +----------+----------+----------+       +-----------+
       |          |          |
       \/         \/         \/
  +--------------------------------+
  |PV1 254:0 |PV2 254:1 |PV3 254:2 | 253:1
  +----------+----------+----------+

";
        assert_eq!(two_devices("253:0", "253:1", pvs), expected);
    }
}
