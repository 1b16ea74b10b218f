//! Whether a VG's text is still the one read last, told without LVM2. Its commands cost more than all else that a small
//! move does, and wait for whoever holds its lock.
//!
//! Nothing of LVM2's format is read here. A commit of ours, made under LVM2's lock, shows which PVs hold metadata in use:
//! the first [`HEAD`] bytes of these are other than before, since that is where LVM2 says which text counts. Another
//! commit, whoever makes it, changes them again. As long as all of them are what they were, so is the text.

use std::time::Duration;

use lvshift_core::units::Sectors;

use crate::device::{Aligned, BlockDevice, is_silent};

/// The label, and the head of the metadata area behind it.
const HEAD: usize = 8192;

/// How long a PV is waited for; past it LVM2 is asked, as ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// The heads of a VG's PVs as they were at one time, by the PVs' ids. None: it is not known which tell anything.
#[derive(Debug, Default)]
pub(super) struct Heads(Vec<(String, Aligned)>);

impl Heads {
    /// Those of these PVs, as far as they can be read.
    pub(super) fn of<'a>(pvs: impl Iterator<Item = (String, &'a BlockDevice)>) -> Heads {
        Heads(pvs.filter_map(|(id, device)| Some((id, read(device)?))).collect())
    }

    /// Those that a commit has changed since `before`: each tells of the next.
    pub(super) fn changed_since(self, before: &Heads) -> Heads {
        let other =
            |id: &str, head: &Aligned| before.of_pv(id).is_some_and(|was| was[..] != head[..]);
        Heads(self.0.into_iter().filter(|(id, head)| other(id, head)).collect())
    }

    /// Whether nothing is known that could tell anything.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the text that they belong to still counts, with the heads as they are `now`. No, where that cannot be told.
    pub(super) fn still_stand(&self, now: &Heads) -> bool {
        let stands =
            |(id, head): &(String, Aligned)| now.of_pv(id).is_some_and(|is| is[..] == head[..]);
        !self.is_empty() && self.0.iter().all(stands)
    }

    fn of_pv(&self, id: &str) -> Option<&Aligned> {
        self.0.iter().find(|(known, _)| known == id).map(|(_, head)| head)
    }
}

fn read(device: &BlockDevice) -> Option<Aligned> {
    if is_silent(device.number()) {
        return None;
    }
    let mut head = Aligned::zeroed(HEAD);
    device.read_in_time(Sectors(0), &mut head, PATIENCE).ok()?;
    Some(head)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    fn disks(count: usize) -> (crate::testing::Scratch, Vec<(String, BlockDevice)>) {
        let scratch = crate::testing::scratch("heads");
        let disks = (0..count).map(|at| {
            let path = scratch.path().join(format!("disk{at}"));
            std::fs::write(&path, vec![0; HEAD * 2]).expect("a file");
            (format!("id{at}"), BlockDevice::on_file(&path))
        });
        let disks = disks.collect();
        (scratch, disks)
    }

    fn heads(disks: &[(String, BlockDevice)]) -> Heads {
        Heads::of(disks.iter().map(|(id, device)| (id.clone(), device)))
    }

    fn stand(heads: &Heads, disks: &[(String, BlockDevice)]) -> bool {
        heads.still_stand(&self::heads(disks))
    }

    fn change(disk: &BlockDevice, at: u64, byte: u8) {
        let file = std::fs::File::options().write(true).open(disk.path()).expect("a file");
        file.write_all_at(&[byte], at).expect("written");
    }

    #[test]
    fn only_what_a_commit_has_changed_tells_of_another() {
        let (_scratch, disks) = disks(3);
        let before = heads(&disks);
        assert!(!stand(&heads(&disks).changed_since(&before), &disks), "nothing is known yet");
        change(&disks[0].1, 4096, 1);
        change(&disks[1].1, 4096, 1);
        let known = heads(&disks).changed_since(&before);
        assert!(stand(&known, &disks));
        // One without metadata in use.
        change(&disks[2].1, 4096, 1);
        assert!(stand(&known, &disks));
        change(&disks[1].1, 4100, 2);
        assert!(!stand(&known, &disks));
        change(&disks[1].1, 4100, 0);
        assert!(stand(&known, &disks), "it is the same as before");
        assert!(!stand(&known, &disks[..1]), "one of them is gone");
    }
}
