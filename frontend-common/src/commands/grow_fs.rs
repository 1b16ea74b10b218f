//! `lvextend -r`: the file system on an LV is grown with its own tool, after the LV. What could refuse
//! that is found out before the LV is changed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::lookup::refuse;
use crate::device::{Access, BlockDevice, sysfs};
use crate::error::{Error, Kind, Result};
use crate::signature;

/// How a file system is grown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Growth {
    /// What to run, one after the other.
    steps: Vec<(&'static str, Vec<String>)>,
    node: PathBuf,
}

/// Finds out what is on the device and how that is grown.
pub(super) fn plan(node: &Path) -> Result<Growth> {
    let device = BlockDevice::open(node, Access::Read)?;
    let found = signature::find(&device)?;
    let names: Vec<&str> = found.iter().map(|found| found.name).collect();
    let place = sysfs::mounted_at(device.number());
    let steps = steps(&names, node, place.as_deref()).map_err(|what| {
        refuse(Kind::Unsupported, what)
            .device(node.display())
            .next("leave -r out, and grow it yourself")
    })?;
    for (tool, _) in &steps {
        if !in_path(tool) {
            return Err(refuse(Kind::NotFound, format!("there is no {tool} on this host"))
                .next("install it, or leave -r out"));
        }
    }
    Ok(Growth { steps, node: node.to_owned() })
}

fn steps(
    found: &[&str],
    node: &Path,
    place: Option<&str>,
) -> std::result::Result<Vec<(&'static str, Vec<String>)>, String> {
    let node = node.display().to_string();
    let place = place.map(str::to_owned);
    match (found, place) {
        ([], _) => Err("no file system was found on the LV".to_owned()),
        (["ext2/ext3/ext4"], Some(_)) => Ok(vec![("resize2fs", vec![node])]),
        (["ext2/ext3/ext4"], None) => Ok(vec![
            ("e2fsck", vec!["-f".to_owned(), "-p".to_owned(), node.clone()]),
            ("resize2fs", vec![node]),
        ]),
        (["XFS"], Some(place)) => Ok(vec![("xfs_growfs", vec![place])]),
        (["btrfs"], Some(place)) => {
            let words = ["filesystem", "resize", "max"].map(str::to_owned);
            Ok(vec![("btrfs", [&words[..], &[place]].concat())])
        }
        ([one @ ("XFS" | "btrfs")], None) => Err(format!("{one} grows only while it is mounted")),
        (several, _) => {
            Err(format!("what is on the LV is not grown by us: {}", several.join(", ")))
        }
    }
}

fn in_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).any(|directory| directory.join(tool).is_file())
}

impl Growth {
    /// Grows it. The LV has its new size already.
    pub(super) fn run(&self) -> Result<()> {
        for (tool, args) in &self.steps {
            let failed = |why: String| {
                Error::new(Kind::Kernel, format!("{tool} failed: {why}"))
                    .device(self.node.display())
                    .state(
                        "the LV has its new size, the file system on it has the old one and works",
                    )
                    .next(format!("{tool} {}", args.join(" ")))
            };
            let ran = Command::new(tool).args(args).output().map_err(|e| failed(e.to_string()))?;
            // e2fsck says 1 of what it has put right.
            let corrected = *tool == "e2fsck" && ran.status.code() == Some(1);
            if !ran.status.success() && !corrected {
                let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
                return Err(failed(format!("{}, {said}", ran.status)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_system_has_its_tool_and_its_order() {
        let node = Path::new("/dev/vg0/a");
        let tools = |found: &[&str], place| {
            let steps = steps(found, node, place)?;
            Ok::<_, String>(steps.iter().map(|(tool, _)| *tool).collect::<Vec<_>>())
        };
        assert_eq!(tools(&["ext2/ext3/ext4"], Some("/mnt")), Ok(vec!["resize2fs"]));
        assert_eq!(tools(&["ext2/ext3/ext4"], None), Ok(vec!["e2fsck", "resize2fs"]));
        assert_eq!(tools(&["XFS"], Some("/mnt")), Ok(vec!["xfs_growfs"]));
        for (found, place) in [
            (&[][..], None),
            (&["XFS"][..], None),
            (&["swap"][..], None),
            (&["XFS", "LUKS"][..], Some("/m")),
        ] {
            assert!(tools(found, place).is_err(), "{found:?}");
        }
    }
}
