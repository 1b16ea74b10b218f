//! Signatures that stand at a fixed place from the start of the device.

/// A name, where the bytes stand, and the bytes.
pub(super) struct Magic {
    pub(super) name: &'static str,
    pub(super) offset: usize,
    pub(super) bytes: &'static [u8],
}

const fn magic(name: &'static str, offset: usize, bytes: &'static [u8]) -> Magic {
    Magic { name, offset, bytes }
}

pub(super) const MAGICS: &[Magic] = &[
    magic("ext2/ext3/ext4", 0x438, &[0x53, 0xef]),
    magic("XFS", 0, b"XFSB"),
    magic("btrfs", 0x10040, b"_BHRfS_M"),
    magic("f2fs", 0x400, &[0x10, 0x20, 0xf5, 0xf2]),
    magic("JFS", 0x8000, b"JFS1"),
    magic("ReiserFS", 0x10034, b"ReIsEr"),
    magic("squashfs", 0, b"hsqs"),
    magic("ISO 9660", 0x8001, b"CD001"),
    magic("FAT", 0x36, b"FAT12   "),
    magic("FAT", 0x36, b"FAT16   "),
    magic("FAT", 0x52, b"FAT32   "),
    magic("exFAT", 3, b"EXFAT   "),
    magic("NTFS", 3, b"NTFS    "),
    magic("LUKS", 0, b"LUKS\xba\xbe"),
    magic("LUKS2 (second header)", 0x4000, b"SKUL\xba\xbe"),
    magic("md RAID 1.1", 0, &[0xfc, 0x4e, 0x2b, 0xa9]),
    magic("md RAID 1.2", 4096, &[0xfc, 0x4e, 0x2b, 0xa9]),
    magic("swap", 4096 - 10, b"SWAPSPACE2"),
    magic("swap", 4096 - 10, b"SWAP-SPACE"),
    magic("swap", 65536 - 10, b"SWAPSPACE2"),
    magic("GPT", 512, b"EFI PART"),
    magic("GPT", 4096, b"EFI PART"),
    magic(
        "bcache",
        0x1018,
        &[
            0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba,
            0x6d, 0x81,
        ],
    ),
    magic("LVM1 PV", 0, b"HM\x01\x00"),
    magic("DRBD", 0, b"drbd"),
    magic("lvshift PV", 0, b"LVSHIFT\0"),
    magic("lvshift PV (second label)", 1024 * 1024 - 4096, b"LVSHIFT\0"),
];
