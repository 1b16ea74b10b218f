//! Whose file is it that has sectors which cannot be read? What the tools of the file system on the LV have to
//! be asked: they can be, since an LV is named by blocks and not by files.

use std::ops::Range;

/// Bytes at the start of an LV that say which file system it has.
pub(super) const HEAD: usize = 4096;
/// Bytes of a sector.
const SECTOR: u64 = 512;
/// Blocks that are given to a tool one by one.
const SHOWN: u64 = 16;

/// A file system, as far as it says where its blocks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileSystem {
    /// ext2, ext3 and ext4: blocks are counted from the start.
    Ext { block: u64, blocks: u64 },
    /// XFS: an allocation group and a block in it make a number with a gap after each group.
    Xfs { block: u64, blocks: u64, group: u64, group_bits: u32 },
}

impl FileSystem {
    /// The one that begins with these bytes.
    pub(super) fn of(head: &[u8]) -> Option<FileSystem> {
        ext(head).or_else(|| xfs(head))
    }

    fn name(self) -> &'static str {
        match self {
            FileSystem::Ext { .. } => "ext4",
            FileSystem::Xfs { .. } => "XFS",
        }
    }

    /// The numbers of the blocks that hold sectors of the LV, as the tools count them, and whether there are more.
    fn blocks(self, sectors: &Range<u64>) -> (Vec<u64>, bool) {
        let (block, all) = match self {
            FileSystem::Ext { block, blocks } | FileSystem::Xfs { block, blocks, .. } => {
                (block, blocks)
            }
        };
        let first = sectors.start.saturating_mul(SECTOR) / block;
        let end = sectors.end.saturating_mul(SECTOR).div_ceil(block);
        // What is past its end, the file system does not use.
        let end = end.min(all);
        let shown = first..end.min(first.saturating_add(SHOWN));
        let number = |at: u64| match self {
            FileSystem::Ext { .. } => at,
            FileSystem::Xfs { group, group_bits, .. } => (at / group) << group_bits | (at % group),
        };
        (shown.clone().map(number).collect(), end > shown.end)
    }

    /// How the file is found that has these sectors of the LV at `path`; `None` where no file can have them.
    pub(super) fn how_to_find(self, sectors: &Range<u64>, path: &str) -> Option<String> {
        let (blocks, more) = self.blocks(sectors);
        if blocks.is_empty() {
            return None;
        }
        let joined = |with: &str| {
            let listed: Vec<String> = blocks.iter().map(u64::to_string).collect();
            listed.join(with)
        };
        let (listed, name) = (joined(" "), self.name());
        let which = if blocks.len() == 1 { "block" } else { "blocks" };
        let and = if more { " and those that follow" } else { "" };
        let how = match self {
            FileSystem::Ext { .. } => format!(
                "`debugfs -R \"icheck {listed}\" {path}` names the inodes, and `debugfs -R \"ncheck INODE\" {path}` the files"
            ),
            FileSystem::Xfs { .. } => format!(
                "with it unmounted, `xfs_db -r -c \"blockget -n -b {}\" {path}` names the inodes, and \
                 `xfs_db -r -c \"blockget -n\" -c \"ncheck -i INODE\" {path}` the files",
                joined(" -b ")
            ),
        };
        Some(format!("{name} {which} {listed}{and}: {how}"))
    }
}

fn bytes<const N: usize>(head: &[u8], at: usize) -> Option<[u8; N]> {
    head.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn ext(head: &[u8]) -> Option<FileSystem> {
    let at = |offset: usize| Some(u32::from_le_bytes(bytes(head, 1024 + offset)?));
    if bytes(head, 1024 + 56)? != [0x53, 0xef] {
        return None;
    }
    let log = at(24)?;
    let wide = at(96)? & 0x80 != 0;
    let high = if wide { at(336)? } else { 0 };
    let blocks = u64::from(high) << 32 | u64::from(at(4)?);
    (log <= 6).then(|| FileSystem::Ext { block: 1024 << log, blocks })
}

#[expect(clippy::big_endian_bytes, reason = "XFS stores its numbers so")]
fn xfs(head: &[u8]) -> Option<FileSystem> {
    if head.get(..4)? != b"XFSB" {
        return None;
    }
    let block = u64::from(u32::from_be_bytes(bytes(head, 4)?));
    let blocks = u64::from_be_bytes(bytes(head, 8)?);
    let group = u64::from(u32::from_be_bytes(bytes(head, 84)?));
    let [group_bits] = bytes(head, 124)?;
    let sane = block.is_power_of_two() && (512..=65536).contains(&block) && group > 0;
    let group_bits = u32::from(group_bits);
    (sane && group_bits <= 32).then_some(FileSystem::Xfs { block, blocks, group, group_bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ext4(log: u8, blocks: u32) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        head[1024 + 4..1024 + 8].copy_from_slice(&blocks.to_le_bytes());
        head[1024 + 24] = log;
        head[1024 + 56..1024 + 58].copy_from_slice(&[0x53, 0xef]);
        head
    }

    #[test]
    fn blocks_of_ext4_are_counted_from_the_start_of_the_lv() {
        let fs = FileSystem::of(&ext4(2, 1000)).expect("ext4");
        assert_eq!(fs, FileSystem::Ext { block: 4096, blocks: 1000 });
        assert_eq!(fs.blocks(&(8..16)), (vec![1], false));
        assert_eq!(fs.blocks(&(15..17)), (vec![1, 2], false));
        let text = fs.how_to_find(&(8..16), "/dev/vg/lv").expect("in it");
        assert!(text.starts_with("ext4 block 1: `debugfs -R \"icheck 1\" /dev/vg/lv`"), "{text}");
        let (blocks, more) = fs.blocks(&(0..8000));
        assert_eq!((blocks.len(), more), (16, true));
        assert_eq!(fs.how_to_find(&(9000..9008), "/dev/vg/lv"), None, "it ends before");
        let small = FileSystem::of(&ext4(0, 1000)).expect("ext2");
        assert_eq!(small.blocks(&(8..10)), (vec![4], false));
    }

    #[test]
    #[expect(clippy::big_endian_bytes, reason = "XFS stores its numbers so")]
    fn blocks_of_xfs_have_their_group_in_front() {
        let mut head = vec![0; HEAD];
        head[..4].copy_from_slice(b"XFSB");
        head[4..8].copy_from_slice(&4096u32.to_be_bytes());
        head[8..16].copy_from_slice(&76_800u64.to_be_bytes());
        head[84..88].copy_from_slice(&19_200u32.to_be_bytes());
        head[124] = 15;
        let fs = FileSystem::of(&head).expect("XFS");
        assert_eq!(fs.blocks(&(80..88)), (vec![10], false));
        // The third block of the second group.
        let sector = (19_200 + 2) * 8;
        assert_eq!(fs.blocks(&(sector..sector + 8)), (vec![(1 << 15) + 2], false));
        let text = fs.how_to_find(&(sector..sector + 8), "/dev/vg/lv").expect("in it");
        assert!(text.contains("blockget -n -b 32770\""), "{text}");
    }

    #[test]
    fn what_is_no_file_system_gives_no_advice() {
        assert_eq!(FileSystem::of(&[0; HEAD]), None);
        assert_eq!(FileSystem::of(b"XFSB"), None, "too short");
        let mut lied = ext4(200, 10);
        assert_eq!(FileSystem::of(&lied), None);
        lied.truncate(1030);
        assert_eq!(FileSystem::of(&lied), None);
    }
}
