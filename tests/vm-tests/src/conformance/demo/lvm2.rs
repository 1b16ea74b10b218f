//! The demo in a volume group of LVM2's own: the same move, cut off in mid-copy. LVM2 brings the LV up again, with what
//! was copied, and the move goes on.

use anyhow::{Context as _, Result, ensure};

use super::{EACH_MIB, LIMIT, check, one_device, say, seen, started, two_devices};
use crate::guest::{Background, Fs, Guest, Mounted, THROTTLE};
use crate::scenario::Frontend;
use crate::writer::{Config, Writer};

const LV: &str = "/dev/vg/lv";
const MIRROR: &str = "vg-lvshift0";
const FIELDS: &str = "lv_name,lv_attr,lv_size,copy_percent,devices";

/// The PVs, with their paths and numbers.
struct Pvs {
    paths: [String; 4],
    numbers: [String; 4],
}

impl Pvs {
    fn find(guest: &Guest) -> Result<Pvs> {
        let [a, b, c, d] = ["pv1", "pv2", "pv3", "pv4"].map(|name| guest.disk(name));
        let paths = [a?, b?, c?, d?].map(|path| path.display().to_string());
        let [a, b, c, d] = paths.each_ref().map(|path| guest.major_minor(path));
        Ok(Pvs { numbers: [a?, b?, c?, d?], paths })
    }
}

pub(super) fn demo(guest: &mut Guest) -> Result<()> {
    let pvs = Pvs::find(guest)?;
    // Loaded on demand else: the throttle is a parameter of it.
    guest.modprobe("dm-mirror")?;
    if guest.boot() == 1 {
        return until_the_cut(guest, &pvs);
    }
    after_the_cut(guest, &pvs)
}

fn until_the_cut(guest: &Guest, pvs: &Pvs) -> Result<()> {
    let [pv1, pv2, pv3, pv4] = pvs.paths.each_ref().map(String::as_str);
    let [n1, n2, n3, n4] = pvs.numbers.each_ref().map(String::as_str);
    say(guest, "LVM2 makes a VG of four PVs, and in it an LV of three segments. PV4 stays empty.");
    shown(guest, &["vgcreate", "-s", "1m", "vg", pv1, pv2, pv3, pv4])?;
    let (each, more) = (EACH_MIB.to_string(), format!("+{EACH_MIB}"));
    shown(guest, &["lvcreate", "-y", "-n", "lv", "-l", &each, "vg", pv1])?;
    shown(guest, &["lvextend", "-l", &more, "vg/lv", pv2])?;
    shown(guest, &["lvextend", "-l", &more, "vg/lv", pv3])?;

    say(guest, "ext4 on it is mounted. Its files are hashed, and a program now writes and reads");
    guest.show("without a pause, and checks every sector that it reads.\n");
    guest.mkfs(Fs::Ext4, LV)?;
    let mounted = guest.mount(Fs::Ext4, LV, "demo")?;
    mounted.fill("files", 40, 2_000_000, 1)?;
    let hashes = guest.state("hashes")?;
    let dir = mounted.dir().display().to_string();
    guest.sh(&format!("cd {dir} && sha256sum files/* > {} && sync", hashes.display()))?;
    let file = mounted.join("written-all-the-time");
    guest.sh(&format!("dd if=/dev/zero of={} bs=1M count=24 conv=fsync", file.display()))?;
    let writer = Writer::start(Config::new(&file, 1))?;
    writer.wait_for_writes(50, LIMIT)?;
    let lv = guest.major_minor(LV)?;
    say(guest, "This is the LV before the move, with the kernel's major:minor numbers:");
    guest.show(one_device(&lv, [("PV1", n1), ("PV2", n2), ("PV3", n3)]));
    as_it_is(guest)?;

    say(guest, "Now lvshift moves PV2 to PV4, in LVM2's VG as it is.");
    slow(guest, true)?;
    let mut moving = started(guest, &[&["pvmove"], seen::rate(guest), &[pv2, pv4]].concat())?;
    let mirror = wait_for_the_copy(guest, &mut moving)?;
    guest.show(
        "\nThe LV's moving piece lies on a hidden LV, lvshift0, that LVM2 knows as a mirror of the\n\
         old place and the new one; its log of what is equal is on PV4. The file system stayed\n\
         mounted. Every table is the one that LVM2 itself would make:\n",
    );
    let mirror = format!("PV2 by way of lvshift0, {mirror}");
    guest.show(two_devices(&lv, &mirror, [("PV1", n1), ("PV2", n2), ("PV3", n3), ("PV4", n4)]));
    as_it_is(guest)?;
    if guest.frontend() == Frontend::Dm {
        guest.wait_for("a third is copied", LIMIT, || {
            let (done, all) = regions(guest)?.context("the mirror is gone before the cut")?;
            ensure!(done < all, "the copy is over before the power could be cut");
            Ok(done * 3 >= all)
        })?;
    } else {
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
    writer.checkpoint(&guest.state("writer")?)?;
    if let Some((done, all)) = regions(guest)? {
        ensure!(done < all, "the copy is over before the power could be cut");
        std::fs::write(guest.state("done")?, done.to_string())?;
        say(guest, &format!("{done} of {all} regions are equal, the program is writing,"));
    }
    guest.show("and NOW THE POWER FAILS.\n\n");
    guest.power_cut()
}

fn after_the_cut(guest: &Guest, pvs: &Pvs) -> Result<()> {
    let [n1, n2, n3, n4] = pvs.numbers.each_ref().map(String::as_str);
    say(
        guest,
        "The machine boots. LVM2 activates the LV, as an initramfs does: nothing of lvshift runs.",
    );
    slow(guest, true)?;
    shown(guest, &["vgchange", "-aay", "--sysinit", "vg"])?;
    let (now, all) = regions(guest)?.context("LVM2 did not make a mirror of lvshift0")?;
    let before = std::fs::read_to_string(guest.state("done")?).ok();
    if let Some(before) = before {
        let before: u64 = before.parse()?;
        ensure!(now >= before, "{before} were copied at the cut, {now} are now");
        check(
            guest,
            &format!("{before} regions were equal at the cut, {now} of {all} are at once now"),
        );
    }
    as_it_is(guest)?;
    let mounted = guest.mount(Fs::Ext4, LV, "demo")?;
    same_files(guest, &mounted)?;
    let config = Config::new(mounted.join("written-all-the-time"), 1);
    let writer = Writer::resume(config, &guest.state("writer")?)?;
    check(guest, "the program finds every sector that was acknowledged, and goes on writing");
    writer.wait_for_writes(50, LIMIT)?;
    let lv = guest.major_minor(LV)?;

    say(guest, "lvshift carries the move on, from where it was:");
    slow(guest, false)?;
    let run = started(guest, &["pvmove"])?.wait(LIMIT)?.ok()?;
    guest.show(format!("{}\n", run.stdout.trim_end()));
    say(
        guest,
        "Both sides were equal and flushed, so LVM2's metadata now say PV4, and nothing of lvshift",
    );
    guest.show("is left, neither in the metadata nor in the kernel:\n");
    guest.show(one_device(&lv, [("PV1", n1), ("PV4", n4), ("PV3", n3)]));
    as_it_is(guest)?;

    say(guest, "Is it all true?");
    writer.wait_for_writes(50, LIMIT)?;
    let outcome = writer.stop()?.clean()?;
    let writes = outcome.counters.writes;
    check(guest, &format!("the program wrote {writes} times since the boot and saw no error"));
    check(guest, "every sector that it wrote holds what was last acknowledged");
    same_files(guest, &mounted)?;
    mounted.umount()?;
    guest.fsck(Fs::Ext4, LV)?;
    check(guest, "e2fsck finds nothing wrong");
    let table = guest.dm_table("vg-lv")?;
    ensure!(table.contains(&format!("linear {n4} ")), "PV4 is not in the table:\n{table}");
    ensure!(!table.contains(&format!(" {n2} ")), "PV2 is still in the table:\n{table}");
    check(guest, "the LV's table names PV4 and no longer PV2");
    let left = guest.dm_devices()?;
    ensure!(left.len() == 1, "helper devices are left: {left:?}");
    let before = guest.dm_table("vg-lv")?;
    shown(guest, &["lvchange", "--refresh", "vg/lv"])?;
    ensure!(guest.dm_table("vg-lv")? == before, "a refresh changed the table");
    check(guest, "LVM2 finds nothing to change in it");
    shown(guest, &["vgck", "vg"])?;
    check(guest, "and its metadata sound");
    Ok(())
}

/// What `sha256sum` said before.
fn same_files(guest: &Guest, mounted: &Mounted<'_>) -> Result<()> {
    let (dir, hashes) = (mounted.dir().display().to_string(), guest.state("hashes")?);
    guest.drop_caches()?;
    guest.sh(&format!("cd {dir} && sha256sum -c {} > /dev/null", hashes.display()))?;
    check(guest, "the 40 files have the hashes they had");
    Ok(())
}

/// Makes the kernel's copy slow, or as fast as it can be.
fn slow(guest: &Guest, slow: bool) -> Result<()> {
    let percent = if slow { "10" } else { "100" };
    guest.sh(&format!("echo {percent} > {THROTTLE}")).map(drop)
}

/// Equal regions and all, if the kernel mirrors.
fn regions(guest: &Guest) -> Result<Option<(u64, u64)>> {
    if guest.dm_device(MIRROR)?.is_none() {
        return Ok(None);
    }
    Ok(seen::chunks(&guest.dm_status(MIRROR)?))
}

/// Waits until something is copied; gives the number of the device that mirrors.
fn wait_for_the_copy(guest: &Guest, moving: &mut Background<'_>) -> Result<String> {
    let mut number = None;
    guest.wait_for("the copy has begun", LIMIT, || {
        ensure!(moving.is_running()?, "pvmove ended: {}{}", moving.stdout(), moving.stderr());
        let Some(device) = guest.dm_device(MIRROR)? else { return Ok(false) };
        number = Some(device.number);
        if guest.frontend() == Frontend::Ublk {
            return Ok(guest.dm_table("vg-lv")?.lines().count() == 3
                && guest.dm_table(MIRROR)?.contains(" linear 259:"));
        }
        Ok(regions(guest)?.is_some_and(|(done, _)| done > 0))
    })?;
    number.context("a mirror without a number")
}

/// `lvs -a`, and the tables.
fn as_it_is(guest: &Guest) -> Result<()> {
    shown(guest, &["lvs", "-a", "-o", FIELDS, "vg"])?;
    let mut devices = guest.dm_devices()?;
    devices.retain(|device| device.name.starts_with("vg-"));
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    guest.show("  # dmsetup table\n");
    for device in devices {
        for line in guest.dm_table(&device.name)?.lines() {
            guest.show(format!("  {} {}: {line}\n", device.name, device.number));
        }
    }
    Ok(())
}

/// A command of LVM2's, and what it says.
fn shown(guest: &Guest, args: &[&str]) -> Result<()> {
    guest.show(format!("  # {}\n", args.join(" ")));
    let run = guest.spawn_env(&[], "lvm", args)?.wait(LIMIT)?.ok()?;
    run.stdout.lines().for_each(|line| guest.show(format!("  {line}\n")));
    Ok(())
}
