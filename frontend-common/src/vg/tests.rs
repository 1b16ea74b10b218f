use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use lvshift_core::metadata::{AllocRequest, Area, Name, Policy};
use lvshift_core::units::{ExtentSize, Extents, Uuid};

use super::*;
use crate::device::BlockDevice;
use crate::error::{Error, Kind};
use crate::pv::{Scan, write_label};
use crate::testing::{Scratch, scratch};

pub(super) struct Disks {
    paths: Vec<PathBuf>,
    _scratch: Scratch,
}

impl Disks {
    pub(super) fn new(count: u8) -> Disks {
        crate::testing::use_scratch_locks();
        let scratch = scratch("vg");
        let paths: Vec<PathBuf> =
            (1..=count).map(|number| scratch.path().join(format!("pv{number}"))).collect();
        for (path, number) in paths.iter().zip(1..) {
            std::fs::File::create(path).and_then(|file| file.set_len(16 << 20)).expect("a file");
            write_label(&BlockDevice::on_file(path), Uuid([number; 16])).expect("labelled");
        }
        Disks { paths, _scratch: scratch }
    }

    pub(super) fn scan(&self, which: &[usize]) -> Scan {
        Scan::of(which.iter().map(|at| (BlockDevice::on_file(&self.paths[*at]), Vec::new())))
    }

    pub(super) fn vg(&self, which: &[usize]) -> OpenVg {
        let name = Name::new("vg").expect("a name");
        let size = ExtentSize::new(2048).expect("a size");
        OpenVg::create_over(name, size, self.scan(which).pvs).expect("created")
    }

    pub(super) fn path(&self, disk: usize) -> &std::path::Path {
        &self.paths[disk]
    }

    /// The same, where this disk takes no writes.
    pub(super) fn open_though(&self, fails: usize, which: &[usize]) -> Result<OpenVg, Error> {
        let device = |at: &usize| match *at == fails {
            true => BlockDevice::on_file_that_takes_no_writes(&self.paths[*at]),
            false => BlockDevice::on_file(&self.paths[*at]),
        };
        let scan = Scan::of(which.iter().map(|at| (device(at), Vec::new())));
        OpenVg::open_in(scan, "vg", Hold::Release)
    }

    pub(super) fn open(&self, which: &[usize]) -> Result<OpenVg, Error> {
        OpenVg::open_in(self.scan(which), "vg", Hold::Release)
    }

    fn zero(&self, disk: usize, sector: u64) {
        let file = std::fs::OpenOptions::new().write(true).open(&self.paths[disk]).expect("a file");
        file.write_all_at(&[0xee; 512], sector * 512).expect("written");
    }
}

pub(super) fn make_lv(vg: &mut OpenVg, name: &str) {
    vg.commit(|vg| {
        let pvs: Vec<Area> = Vec::new();
        let runs = vg
            .allocate(&AllocRequest {
                count: Extents(2),
                areas: &pvs,
                avoid: &[],
                policy: Policy::Normal,
                grows: None,
            })
            .map_err(|error| Error::new(Kind::NoSpace, error.to_string()))?;
        let mut uuid = [0x77; 16];
        uuid[..name.len()].copy_from_slice(name.as_bytes());
        vg.add_lv(Uuid(uuid), Name::new(name).expect("a name"), &runs)
            .map_err(|error| Error::new(Kind::State, error.to_string()))?;
        Ok(())
    })
    .expect("committed");
}

#[test]
fn what_was_committed_is_read_back_from_any_one_pv() {
    let disks = Disks::new(3);
    let mut vg = disks.vg(&[0, 1, 2]);
    make_lv(&mut vg, "one");
    let sequence = vg.vg().sequence();
    drop(vg);
    for disk in 0..3 {
        let vg = disks.open(&[disk]).expect("opened");
        assert_eq!(vg.vg().sequence(), sequence);
        assert!(vg.vg().lv_by_name("one").is_some());
        assert_eq!(vg.missing().len(), 2);
    }
    let vg = disks.open(&[0, 1, 2]).expect("opened");
    assert!(vg.missing().is_empty() && vg.health().is_sound(), "{:?}", vg.health());
}

#[test]
fn a_commit_refuses_a_missing_pv_and_names_it() {
    let disks = Disks::new(2);
    drop(disks.vg(&[0, 1]));
    let mut vg = disks.open(&[0]).expect("opened");
    let error = vg.commit(|_| Ok(())).expect_err("refused");
    assert_eq!(error.kind, Kind::Missing);
    assert!(error.what.contains(&Uuid([2; 16]).to_string()), "{error}");
}

#[test]
fn a_damaged_slot_is_named_and_repaired_by_the_next_commit() {
    let disks = Disks::new(2);
    let mut vg = disks.vg(&[0, 1]);
    make_lv(&mut vg, "one");
    drop(vg);
    disks.zero(0, 2048); // Slot 0 of the first PV.
    disks.zero(0, 4096); // Slot 1.
    let mut vg = disks.open(&[0, 1]).expect("opened");
    assert!(!vg.health().is_sound());
    assert!(vg.health().pvs[0].findings.iter().any(|finding| finding.contains("slot 0")));
    vg.update_metadata().expect("committed");
    vg.update_metadata().expect("committed");
    drop(vg);
    let vg = disks.open(&[0, 1]).expect("opened");
    assert!(vg.health().is_sound(), "{:?}", vg.health());
}

#[test]
fn a_system_id_is_read_back_and_another_hosts_vg_is_not_changed() {
    let disks = Disks::new(2);
    let mut vg = disks.vg(&[0, 1]);
    let there = lvshift_core::metadata::SystemId::new("there").expect("legal");
    // A test has no system id: from here on the VG is another host's.
    vg.set_system_id(Some(there.clone()), false).expect("given away");
    drop(vg);
    let mut vg = disks.open(&[0, 1]).expect("opened");
    assert_eq!(vg.vg().system_id(), Some(&there));
    for refused in [vg.commit(|_| Ok(())), vg.update_metadata(), vg.set_system_id(None, false)] {
        let error = refused.expect_err("it is another host's");
        assert_eq!(error.kind, Kind::State);
        assert!(error.what.contains("belongs to another host"), "{error}");
    }
    vg.set_system_id(None, true).expect("taken over");
    vg.commit(|_| Ok(())).expect("it is everybody's");
}

#[test]
fn a_damaged_label_copy_is_repaired_by_the_next_commit() {
    for sector in [0, 2048 - 8] {
        let disks = Disks::new(2);
        drop(disks.vg(&[0, 1]));
        disks.zero(0, sector);
        let mut vg = disks.open(&[0, 1]).expect("opened");
        assert!(!vg.health().is_sound(), "the label copy at sector {sector} is bad");
        make_lv(&mut vg, "one");
        drop(vg);
        let vg = disks.open(&[0, 1]).expect("opened");
        assert!(vg.health().is_sound(), "{:?}", vg.health());
    }
}

#[test]
fn metadata_damaged_on_every_pv_are_refused_by_name() {
    let disks = Disks::new(2);
    drop(disks.vg(&[0, 1]));
    for disk in 0..2 {
        disks.zero(disk, 2048);
        disks.zero(disk, 4096);
    }
    let error = disks.open(&[0, 1]).expect_err("refused");
    assert_eq!(error.kind, Kind::Damaged);
}

#[test]
fn an_old_pv_that_comes_back_does_not_win_and_is_refused_until_asked_for() {
    let disks = Disks::new(2);
    let mut vg = disks.vg(&[0, 1]);
    let old = std::fs::read(&disks.paths[0]).expect("read");
    make_lv(&mut vg, "one");
    make_lv(&mut vg, "two");
    drop(vg);
    std::fs::write(&disks.paths[0], old).expect("written");
    let mut vg = disks.open(&[1, 0]).expect("opened");
    assert!(vg.vg().lv_by_name("two").is_some());
    assert_eq!(vg.commit(|_| Ok(())).expect_err("refused").kind, Kind::Stale);
    vg.update_metadata().expect("asked for");
    vg.commit(|_| Ok(())).expect("committed");
}

#[test]
fn a_failing_change_leaves_the_metadata_as_they_were() {
    let disks = Disks::new(1);
    let mut vg = disks.vg(&[0]);
    let sequence = vg.vg().sequence();
    let error = vg.commit(|_| Err::<(), _>(Error::new(Kind::State, "no"))).expect_err("no");
    assert_eq!((error.what.as_str(), vg.vg().sequence()), ("no", sequence));
}

#[test]
fn a_pv_taken_out_is_free_again() {
    let disks = Disks::new(2);
    let mut vg = disks.vg(&[0, 1]);
    vg.reduce(Uuid([2; 16])).expect("reduced");
    drop(vg);
    let scan = disks.scan(&[0, 1]);
    assert!(scan.pvs[0].vg.is_some());
    assert!(scan.pvs[1].vg.is_none());
}
