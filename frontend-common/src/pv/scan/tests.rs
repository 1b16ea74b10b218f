use std::os::unix::fs::FileExt;

use lvshift_on_disk_format::LabelCopy;

use super::*;
use crate::pv::write_label;
use crate::testing::{Scratch, scratch};

struct Disk {
    path: PathBuf,
    _scratch: Scratch,
}

fn disk(mebibytes: u64) -> Disk {
    let scratch = scratch("scan");
    let path = scratch.path().join("device");
    std::fs::File::create(&path).and_then(|file| file.set_len(mebibytes << 20)).expect("a file");
    Disk { path, _scratch: scratch }
}

fn pv(uuid: u8) -> Disk {
    let disk = disk(16);
    write_label(&BlockDevice::on_file(&disk.path), Uuid([uuid; 16])).expect("labelled");
    disk
}

fn overwrite(disk: &Disk, offset: u64, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(&disk.path).expect("a file");
    file.write_all_at(bytes, offset).expect("written");
}

fn scan(disks: &[&Disk]) -> Scan {
    Scan::of(disks.iter().map(|disk| (BlockDevice::on_file(&disk.path), Vec::new())))
}

#[test]
fn a_fresh_pv_is_found_without_a_vg_and_a_blank_disk_is_not() {
    let (blank, labelled) = (disk(16), pv(1));
    let scan = scan(&[&blank, &labelled]);
    assert_eq!(scan.pvs.len(), 1);
    assert_eq!((scan.pvs[0].uuid, &scan.pvs[0].vg), (Uuid([1; 16]), &None));
    assert!(scan.pvs[0].warnings.is_empty() && scan.refused.is_empty());
}

#[test]
fn one_bad_label_copy_is_a_warning_that_names_it() {
    for (copy, name) in [(LabelCopy::First, "first"), (LabelCopy::Second, "second")] {
        let disk = pv(1);
        overwrite(&disk, copy.start() * 512 + 100, &[0xff; 64]);
        let scan = scan(&[&disk]);
        assert_eq!(scan.pvs.len(), 1, "{:?}", scan.refused);
        assert!(scan.pvs[0].warnings[0].contains(name), "{:?}", scan.pvs[0].warnings);
    }
}

#[test]
fn two_bad_label_copies_are_refused_as_damaged() {
    let disk = pv(1);
    for copy in LabelCopy::ALL {
        overwrite(&disk, copy.start() * 512 + 100, &[0xff; 64]);
    }
    let scan = scan(&[&disk]);
    assert!(scan.pvs.is_empty());
    assert_eq!(scan.refused[0].kind, Kind::Damaged);
}

#[test]
fn a_file_system_over_the_first_label_is_not_taken_for_damage() {
    let disk = pv(1);
    overwrite(&disk, 0, &[0; 4096]);
    overwrite(&disk, 0, b"XFSB");
    let scan = scan(&[&disk]);
    assert!(scan.pvs.is_empty());
    assert!(scan.refused[0].what.contains("XFS"));
}

#[test]
fn a_clone_is_refused_on_both_devices() {
    let (one, two) = (pv(1), disk(16));
    std::fs::copy(&one.path, &two.path).expect("copied");
    let scan = scan(&[&one, &two]);
    assert!(scan.pvs.is_empty());
    assert_eq!(scan.refused.len(), 2);
    for error in &scan.refused {
        assert_eq!(error.kind, Kind::Cloned);
        assert!(error.what.contains(one.path.to_str().expect("text")), "{error}");
        assert!(error.what.contains(two.path.to_str().expect("text")), "{error}");
    }
}

#[test]
fn a_shrunk_device_is_refused_and_a_grown_one_is_not() {
    let (small, large) = (pv(1), pv(2));
    let resize = |disk: &Disk, mebibytes: u64| {
        let file = std::fs::OpenOptions::new().write(true).open(&disk.path).expect("a file");
        file.set_len(mebibytes << 20).expect("resized");
    };
    resize(&small, 15);
    resize(&large, 17);
    let scan = scan(&[&small, &large]);
    assert_eq!(scan.pvs.len(), 1);
    assert_eq!(scan.pvs[0].uuid, Uuid([2; 16]));
    assert_eq!(scan.refused[0].kind, Kind::Shrunk);
}
