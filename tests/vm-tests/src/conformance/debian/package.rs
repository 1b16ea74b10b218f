//! The package: what it brings, and that it leaves nothing.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::{IN_DEBIAN, SOON, apt, is_installed, moves};
use crate::guest::Guest;
use crate::scenario::Scenario;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "debian-package",
    about: "apt installs the package on a bare Debian, units, rules and completions are valid, lsblk and udisks know what \
            a PV is, a VG works, and purge leaves nothing behind",
    run: package,
    ..IN_DEBIAN
}];

/// Every file of the root but of what always changes.
pub(super) fn files(guest: &Guest) -> Result<BTreeSet<String>> {
    let list = "/run/files";
    guest.sh(&format!(
        "{{ find / -xdev \\( -path /proc -o -path /sys -o -path /var/cache -o -path /var/log -o -path /tmp \
         -o -path /var/tmp -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/udisks2 -o -path /run \\) -prune -o -print; \
         find /run/lvshift /run/udev/rules.d /run/systemd/system 2>/dev/null || true; }} > {list}",
    ))?;
    Ok(std::fs::read_to_string(list)?.lines().map(str::to_owned).collect())
}

/// What systemd, udevd and a shell say of what was installed.
fn valid(guest: &Guest) -> Result<()> {
    let units = guest
        .sh("dpkg -L lvshift | grep -E '^/usr/lib/systemd/system/[^/]+\\.(service|socket|timer)$'")?
        .ok()?;
    let units: Vec<String> = units.stdout.lines().map(|unit| unit.replace('@', "@vg0")).collect();
    ensure!(units.len() >= 4, "units: {units:?}");
    let words: Vec<&str> =
        ["verify", "--man=no"].into_iter().chain(units.iter().map(String::as_str)).collect();
    let told = guest.spawn_env(&[], "systemd-analyze", &words)?.wait(SOON)?.ok()?;
    ensure!(!told.stderr.contains("lvshift"), "systemd-analyze verify: {told}");
    guest.sh("udevadm control --reload && udevadm trigger --settle /dev/nvme0n1")?.ok()?;
    let told =
        guest.run("sh", &["-c", "journalctl --no-pager -u systemd-udevd | grep 69-lvshift"])?;
    ensure!(told.stdout.is_empty(), "udevd: {told}");
    for program in ["lvshift-dm", "lvshift-ublk"] {
        let completions = format!("/usr/share/bash-completion/completions/{program}");
        let ask = format!(
            "source {completions} && of=$(complete -p {program} | sed 's/.*-F \\([^ ]*\\).*/\\1/') && \
             COMP_WORDS=({program} pvm) COMP_CWORD=1 && $of {program} pvm {program}; echo ${{COMPREPLY[@]}}"
        );
        guest.run("bash", &["-c", &ask])?.ok()?.stdout_has("pvmove")?;
        for place in ["zsh/vendor-completions/_", "fish/vendor_completions.d/"] {
            guest.sh(&format!("ls /usr/share/{place}{program}*"))?.ok()?;
        }
    }
    Ok(())
}

/// What others see of a PV and an LV.
fn seen(guest: &Guest, pv: &str) -> Result<()> {
    guest.sh("udevadm settle")?.ok()?;
    let told = guest.sh(&format!("lsblk -n -o FSTYPE,LABEL {pv}"))?.ok()?;
    let words: Vec<&str> = told.stdout.split_whitespace().take(2).collect();
    ensure!(words == ["lvshift_member", "vg0"], "lsblk: {told}");
    let told = guest.sh(&format!("udevadm info -q property -n {pv}"))?.ok()?;
    told.stdout_has("ID_FS_TYPE=lvshift_member")?.stdout_has("ID_FS_LABEL=vg0")?;
    let told = guest.spawn_env(&[], "udisksctl", &["info", "-b", pv])?.wait(SOON)?.ok()?;
    let has = |name: &str, value: &str| {
        let mut lines = told.stdout.lines().filter_map(|line| line.trim().split_once(':'));
        lines.any(|(of, is)| of == name && is.trim() == value)
    };
    ensure!(has("IdType", "lvshift_member") && has("IdLabel", "vg0"), "udisks: {told}");
    let uuid = guest.lvshift(&["pvs", "--noheadings", "-o", "pv_uuid", pv])?.ok()?;
    let of_pv = format!("/dev/disk/by-id/lvshift-pv-{}", uuid.stdout.trim());
    for (link, device) in [(&*of_pv, pv), ("/dev/disk/by-id/lvshift-lv-vg0-home", "/dev/vg0/home")]
    {
        let same = format!("test -b {link} -a $(readlink -f {link}) = $(readlink -f {device})");
        guest.sh(&same)?.ok()?;
    }
    Ok(())
}

/// The line of the README that keeps LVM2 off our PVs.
const FILTER: &str = r#"devices { global_filter = [ "r|^/dev/disk/by-id/lvshift-pv-|" ] }"#;

/// LVM2 takes a PV of ours without a question, also one that its devices file does not name, unless that line is there.
fn lvm2_is_kept_off(guest: &Guest, pv: &str) -> Result<()> {
    let made = "/etc/lvm/devices/system.devices";
    guest.sh(&format!("mkdir -p /etc/lvm/devices && touch {made}"))?;
    for config in ["", "--config devices/use_devicesfile=1"] {
        guest.sh(&format!("lvm pvcreate --test -y {config} {pv}"))?.ok()?;
    }
    guest.sh(&format!("rm -f {made} && rmdir --ignore-fail-on-non-empty /etc/lvm/devices"))?;
    let run = guest.run("lvm", &["pvcreate", "--test", "-y", "--config", FILTER, pv])?;
    ensure!(run.status != Some(0) && run.stderr.contains("filter"), "LVM2 took it: {run}");
    Ok(())
}

fn package(guest: &mut Guest) -> Result<()> {
    let before = files(guest)?;
    guest.sh("cp /payload/lvshift.deb /var/tmp/lvshift_0_amd64.deb")?;
    apt(guest, &["install", "-y", "/var/tmp/lvshift_0_amd64.deb"])?;
    is_installed(guest)?;
    for page in ["man7/lvshift.7", "man8/lvshift-pvmove.8", "man8/lvshift-tune.8"] {
        // A minimal Debian leaves manual pages out of what it unpacks; the package has them.
        guest.sh(&format!("dpkg -L lvshift | grep -q /usr/share/man/{page}.gz"))?;
    }
    valid(guest)?;
    let (pv1, pv2) = (guest.disk("pv1")?, guest.disk("pv2")?);
    let (pv1, pv2) = (pv1.display().to_string(), pv2.display().to_string());
    guest.lvshift(&["vgcreate", "vg0", &pv1, &pv2])?.ok()?;
    lvm2_is_kept_off(guest, &pv2)?;
    guest.lvshift(&["lvcreate", "-n", "home", "-L", "32m", "vg0", &pv1])?.ok()?;
    seen(guest, &pv1)?;
    guest
        .sh("mkfs.ext4 -q /dev/vg0/home && mkdir -p /mnt/home && mount /dev/vg0/home /mnt/home")?;
    guest.sh("cp /usr/bin/perl /mnt/home/before")?;
    let told = guest.lvshift(&["pvmove", "--test", &pv1, &pv2])?.ok()?;
    let told = told.stdout_has(&format!("from {pv1}:0 to {pv2}:0"))?;
    told.stdout_has("32.00m in 8 extents")?.stdout_has("nothing was changed")?;
    ensure!(!moves(guest)?, "--test has recorded a move");
    guest.lvshift(&["pvmove", "--test", "-n", "none", &pv1])?.fails_with(5)?;
    guest.lvshift(&["metrics"])?.ok()?.stdout_has("lvshift_vg_active_lvs{vg=\"vg0\"} 1")?;
    guest.lvshift(&["pvmove", &pv1, &pv2])?.ok()?;
    guest.sh("cmp /usr/bin/perl /mnt/home/before && umount /mnt/home")?;
    guest.lvshift(&["vgchange", "-an"])?.ok()?;
    guest.lvshift(&["vgremove", "-f", "-y", "vg0"])?.ok()?;
    guest.sh("rmdir /mnt/home")?;
    apt(guest, &["purge", "-y", "lvshift"])?;
    let left: Vec<String> = files(guest)?.difference(&before).cloned().collect();
    ensure!(left.is_empty(), "purge leaves {left:?}");
    Ok(())
}
