//! No move at all: what does an LV cost over its disk?

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::contestant::{OTHER_UBLK, Tool, Volume};
use super::disk;
use super::fio::{Load, iops};
use super::lab::{Lab, command, run, text};

/// libublk's example target, as `cargo xtask bench` builds it from crates.io.
const LOOP: &str = "libublk-loop";

const LOADS: &[(&str, Load)] = &[
    ("4k reads, depth 1", Load { pattern: "randread", block: "4k", depth: 1 }),
    ("4k reads, depth 16", Load { pattern: "randread", block: "4k", depth: 16 }),
    ("4k writes, depth 16", Load { pattern: "randwrite", block: "4k", depth: 16 }),
    ("1m reads, depth 4", Load { pattern: "read", block: "1m", depth: 4 }),
];

#[derive(Clone, Copy)]
enum Over {
    Raw,
    Lv(Tool),
    Loop,
}

/// Raw disk, dm linear, ublk, and libublk's loop, all over the first disk. Beside another build of
/// lvshift-ublk, this and that alone: they are compared with each other, and time is for rounds.
pub(super) fn steady(lab: &mut Lab) -> Result<()> {
    let mib = lab.scale.mib(1024);
    lab.noise(mib)?;
    let disks = lab.disks.clone();
    let all_of_them = [Over::Raw, Over::Lv(Tool::Dm), Over::Lv(Tool::Ublk), Over::Loop];
    let two_builds = [Over::Lv(Tool::Ublk), Over::Lv(Tool::Other)];
    let contestants = if there(OTHER_UBLK) { &two_builds[..] } else { &all_of_them };
    for over in lab.turns(contestants) {
        match over {
            Over::Raw => {
                disk::wait_until_free(&disks[0])?;
                all(lab, "raw disk", &disks[0])?;
            }
            Over::Lv(tool) => {
                let volume = Volume::new(tool, &disks, mib / 4, "")?;
                all(lab, tool.name(), &volume.node)?;
                volume.remove()?;
            }
            Over::Loop if !there(LOOP) => lab.skipped(&format!("no program {LOOP}")),
            Over::Loop => {
                let target = LoopTarget::over(&disks[0])?;
                all(lab, "libublk loop", &target.node)?;
            }
        }
    }
    Ok(())
}

fn all(lab: &Lab, name: &str, target: &Path) -> Result<()> {
    for (what, load) in LOADS {
        let rate = iops(*load, target, lab.scale.seconds(6.0))?;
        lab.sample(name, what, "/s", rate);
    }
    Ok(())
}

fn there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).exists())
}

/// A disk served by libublk's example.
struct LoopTarget {
    number: String,
    node: PathBuf,
}

impl LoopTarget {
    fn over(disk: &Path) -> Result<LoopTarget> {
        let before = disks()?;
        let args = ["add", "-n", "-1", "-q", "2", "-d", "64", "-f", &text(disk)];
        // Its standard output would be ours, which is records; a pipe its daemon would keep open.
        let status = command(LOOP, &args).stdout(Stdio::null()).status();
        let status = status.with_context(|| format!("starting {LOOP}"))?;
        ensure!(status.success(), "{LOOP}: {status}");
        let start = Instant::now();
        loop {
            if let Some(name) = disks()?.difference(&before).next() {
                let number = name.trim_start_matches("ublkb").to_owned();
                let node = Path::new("/dev").join(name);
                return Ok(LoopTarget { number, node });
            }
            ensure!(start.elapsed() < Duration::from_secs(20), "{LOOP} made no device");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for LoopTarget {
    fn drop(&mut self) {
        if let Err(error) = run(LOOP, &["del", "-n", &self.number]) {
            eprintln!("{error:#}");
        }
    }
}

/// The ublk disks that there are.
fn disks() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/sys/block").context("listing the disks")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("ublkb") {
            found.insert(name);
        }
    }
    Ok(found)
}
