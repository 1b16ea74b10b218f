use std::os::unix::fs::FileExt;

use super::*;

const SIZE: u64 = 4 << 20;

fn found_with(writes: &[(u64, &[u8])]) -> Vec<Signature> {
    let scratch = crate::testing::scratch("signature");
    let path = scratch.path().join("device");
    let file = std::fs::File::create(&path).expect("a file");
    file.set_len(SIZE).expect("a size");
    for (offset, bytes) in writes {
        file.write_all_at(bytes, *offset).expect("written");
    }
    find(&BlockDevice::on_file(&path)).expect("read")
}

#[test]
fn a_blank_device_has_none() {
    assert_eq!(found_with(&[]), []);
}

#[test]
fn every_signature_of_the_table_is_found_where_it_stands() {
    for magic in MAGICS {
        let found = found_with(&[(magic.offset as u64, magic.bytes)]);
        let expected = Signature { name: magic.name, offset: magic.offset as u64 };
        assert_eq!(found, [expected]);
    }
}

#[test]
fn an_lvm_label_is_found_in_each_of_the_first_four_sectors() {
    for sector in 0..4 {
        let found = found_with(&[(sector * 512, b"LABELONE"), (sector * 512 + 24, b"LVM2 001")]);
        assert_eq!(found, [Signature { name: "LVM2 PV", offset: sector * 512 }]);
    }
}

#[test]
fn signatures_at_the_end_are_found() {
    let md: &[u8] = &[0xfc, 0x4e, 0x2b, 0xa9];
    assert_eq!(found_with(&[(SIZE - 8192, md)])[0].name, "md RAID 1.0");
    assert_eq!(found_with(&[(SIZE - 65536, md)])[0].name, "md RAID 0.90");
    assert_eq!(found_with(&[(SIZE - 512, b"EFI PART")])[0].name, "GPT (backup)");
}

#[test]
fn an_mbr_counts_only_with_an_entry() {
    assert_eq!(found_with(&[(510, &[0x55, 0xaa])]), []);
    let mut entry = [0; 16];
    entry[4] = 0x83;
    entry[12] = 1;
    let found = found_with(&[(446, &entry), (510, &[0x55, 0xaa])]);
    assert_eq!(found, [Signature { name: "MBR partition table", offset: 510 }]);
}

#[test]
fn zfs_is_found_in_both_byte_orders() {
    let at = 128 * 1024 + 5 * 1024;
    for bytes in [[0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0xba, 0xb1, 0x0c]] {
        assert_eq!(found_with(&[(at, &bytes)]), [Signature { name: "ZFS", offset: at }]);
    }
}

#[test]
fn a_leg_of_an_array_is_told_from_a_pv_whose_last_lv_is_one() {
    let start = SIZE - 8192;
    let mut md = vec![0; 8192];
    md[..4].copy_from_slice(MD);
    md[144..152].copy_from_slice(&(start / 512).to_le_bytes());
    assert!(part_of_tail(&md, start, SIZE).is_some());
    // The same at the end of an LV that begins 4 MiB in says another place.
    md[144..152].copy_from_slice(&(start / 512 - 2048).to_le_bytes());
    assert_eq!(part_of_tail(&md, start, SIZE), None);
    // In DRBD's order of bytes.
    let offered = |bytes: u64| {
        let mut sectors = (bytes / 512).to_le_bytes();
        sectors.reverse();
        sectors
    };
    let mut drbd = vec![0; 8192];
    drbd[4096 + 60..4096 + 64].copy_from_slice(DRBD[0]);
    drbd[4096..4104].copy_from_slice(&offered(SIZE - (64 << 10)));
    assert!(part_of_tail(&drbd, start, SIZE).is_some());
    drbd[4096..4104].copy_from_slice(&offered(SIZE - (2 << 20)));
    assert_eq!(part_of_tail(&drbd, start, SIZE), None);
    assert_eq!(part_of_tail(&[0; 8192], start, SIZE), None);
}

#[test]
fn superblocks_at_the_end_are_found() {
    let end = |before: u64, bytes: &'static [u8]| found_with(&[(SIZE - before, bytes)]);
    assert_eq!(end(4096 - 60, DRBD[2])[0].name, "DRBD");
    assert_eq!(end(1024, b"Intel Raid ISM Cfg Sig. ")[0].name, "Intel RAID");
    assert_eq!(end(512, &[0xde, 0x11, 0xde, 0x11])[0].name, "DDF RAID");
}

#[test]
fn what_lies_in_pieces_is_looked_at_by_its_ends() {
    // 16 TiB.
    let size = Sectors(1 << 35);
    let asked = std::cell::RefCell::new(Vec::new());
    let read = |start: Sectors, buffer: &mut [u8]| {
        asked.borrow_mut().push((start.0, buffer.len()));
        buffer.fill(0);
        if start.0 == 0 {
            buffer[..4].copy_from_slice(b"UBI#");
        }
        Ok(())
    };
    let found = with_blkid_of_ends(Vec::new(), size, &read).expect("a file in memory");
    let ends = ENDS / SECTOR_SIZE;
    assert_eq!(*asked.borrow(), [(0, 4 << 20), (size.0 - ends, 4 << 20)]);
    if blkid::is_here() {
        assert_eq!(found, [Signature { name: "ubi", offset: 0 }]);
    } else {
        eprintln!("NOT TESTED: this system has no libblkid");
    }
}
