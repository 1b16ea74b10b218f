//! Makes VGs of many kinds with the guest's LVM2 and shows what `vgcfgbackup` says of each: the source of the
//! test data of `frontend-common/src/lvm2/text`. Nothing of ours takes part.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::guest::Guest;
use crate::scenario::{Disk, Frontend, Scenario};

const DISKS: &[Disk] =
    &[Disk::new("pv1", 64), Disk::new("pv2", 64), Disk::new("pv3", 64), Disk::new("pv4", 64)];

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "lvm2-texts",
    about: "prints what LVM2 writes of VGs of many kinds, for test data",
    frontends: Frontend::DM,
    disks: DISKS,
    hidden: true,
    timeout_s: 600,
    run: texts,
    ..Scenario::DEFAULT
}];

/// Of each VG its name and the lines that make it.
const KINDS: &[(&str, &str)] = &[
    ("linear", "L -l 10 -n home vg PV1; L -l 5 -n opt vg PV1; E -l +6 vg/home PV2"),
    (
        "striped",
        "L -i 2 -I 64k -l 12 -n fast vg PV1 PV2; L -i 3 -I 8k -l 9 -n faster vg PV1 PV2 PV3",
    ),
    ("raid1", "L --type raid1 -m 1 -l 8 -n r vg PV1 PV2"),
    ("raid5", "L --type raid5 -i 2 -l 8 -n r vg PV1 PV2 PV3"),
    ("mirror", "L --type mirror -m 1 --nosync -l 8 -n m vg PV1 PV2 PV3"),
    ("thin", "L -l 8 -T vg/pool; L -V 20m -T vg/pool -n t; L -V 30m -T vg/pool -n u"),
    ("snapshot", "L -l 6 -n base vg; L -s -l 3 -n snap vg/base"),
    (
        "cache",
        "L -l 8 -n slow vg PV1; L --type cache-pool -l 4 -n fast vg PV2; lvm lvconvert -y --type cache --cachepool fast vg/slow",
    ),
    (
        "writecache",
        "L -l 8 -n slow vg PV1; L -l 4 -n fast vg PV2; lvm vgchange -an vg; lvm lvconvert -y --type writecache --cachevol fast vg/slow",
    ),
    (
        "tags",
        "L -l 4 -n tagged --addtag one --addtag @two+three vg; lvm vgchange --addtag vgtag vg; lvm pvchange --addtag pvtag PV1; lvm pvchange -xn PV2; L -l 2 -n skip -ky -Zn -Wn vg; L -l 2 -n ro -pr -Zn -Wn vg",
    ),
    ("empty", "true"),
];

fn texts(guest: &mut Guest) -> Result<()> {
    let pvs: Result<Vec<String>> = ["pv1", "pv2", "pv3", "pv4"]
        .iter()
        .map(|pv| Ok(guest.disk(pv)?.display().to_string()))
        .collect();
    let pvs = pvs?;
    for module in [
        "dm-mirror",
        "dm-raid",
        "dm-thin-pool",
        "dm-snapshot",
        "dm-cache",
        "dm-cache-smq",
        "dm-writecache",
    ] {
        let done = guest.modprobe(module);
        guest.log(format!("{module}: {done:?}"));
    }
    for (kind, lines) in KINDS {
        let mut script = lines.to_string();
        for (n, pv) in pvs.iter().enumerate() {
            script = script.replace(&format!("PV{}", n + 1), pv);
        }
        let clean: String = pvs
            .iter()
            .map(|pv| format!("dd if=/dev/zero of={pv} bs=1M count=2 oflag=direct;"))
            .collect();
        let script = format!(
            "L() {{ lvm lvcreate -y \"$@\"; }}\n\
             E() {{ lvm lvextend \"$@\"; }}\n\
             {clean}\nlvm vgcreate -s 1m vg {}\n{script}\n",
            pvs.join(" ")
        );
        let made = guest.spawn_env(&[], "sh", &["-c", &script])?.wait(Duration::from_secs(120))?;
        guest.sh("lvm vgcfgbackup -f /run/text vg")?;
        let text = std::fs::read_to_string("/run/text")?;
        let devices = guest.sh("dmsetup info -c --noheadings -o name,uuid; dmsetup table")?.stdout;
        guest.log(format!("=== devices of {kind}\n{devices}"));
        guest.sh("lvm vgchange -an vg && dmsetup remove_all --force && rm -rf /dev/vg")?;
        guest.log(format!("=== {kind}\n{text}=== end\n{}\n", made.stderr));
    }
    // The log of a scenario that fails is shown.
    bail!("printed")
}
