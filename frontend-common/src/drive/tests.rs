//! The driver over PVs in files and a front end that only keeps books.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use lvshift_core::metadata::{AllocRequest, Area, MoveRequest, MoveState, Name, Policy};
use lvshift_core::mover::{AbortReason, Live, Mapping, Outcome};
use lvshift_core::units::{DeviceNumber, ExtentSize, Extents, LvIndex, MoveIndex, PvIndex, Uuid};
use lvshift_core::{Leg, LegFault};

use super::*;
use crate::device::BlockDevice;
use crate::error::{Error, Kind, Result};
use crate::front_end::{ActiveLv, CopyStatus, FrontEnd, View, Wake};
use crate::pv::{Scan, write_label};
use crate::testing::{Scratch, scratch};
use crate::vg::{OpenVg, Vg};

/// What a device of the fake shows, and what waits in its inactive slot.
#[derive(Default)]
struct Fake {
    live: HashMap<Uuid, Mapping>,
    loaded: HashMap<Uuid, Mapping>,
    shadows: Vec<Uuid>,
    steps: Vec<String>,
    looks: u32,
    /// Fails this operation the first so many times.
    fails: Option<(&'static str, u32)>,
    leg: Option<(Leg, LegFault)>,
}

impl Fake {
    fn step(&mut self, name: &str) -> Result<()> {
        self.steps.push(name.to_owned());
        match &mut self.fails {
            Some((failing, left)) if *failing == name && *left > 0 => {
                *left -= 1;
                Err(Error::new(Kind::Kernel, format!("{name} fails")))
            }
            _ => Ok(()),
        }
    }
}

fn uuid(view: View<'_>, lv: LvIndex) -> Uuid {
    view.vg.lv(lv).expect("an LV").uuid
}

impl FrontEnd for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }
    fn check_kernel(&mut self, _: bool) -> Result<()> {
        Ok(())
    }
    fn active(&mut self, vg: &Vg, lv: LvIndex) -> Result<Option<ActiveLv>> {
        let live = self.live.contains_key(&vg.lv(lv).expect("an LV").uuid);
        Ok(live.then(|| ActiveLv {
            number: DeviceNumber::default(),
            node: PathBuf::new(),
            open_count: 1,
            suspended: false,
        }))
    }
    fn activate(&mut self, _: View<'_>, _: LvIndex, _: Mapping, _: bool) -> Result<ActiveLv> {
        Err(Error::new(Kind::Kernel, "not here"))
    }
    fn deactivate(&mut self, _: &Vg, _: LvIndex) -> Result<()> {
        Ok(())
    }
    fn refresh(&mut self, _: View<'_>, _: LvIndex) -> Result<()> {
        Ok(())
    }
    fn rename(&mut self, _: &Vg, _: LvIndex, _: &str) -> Result<()> {
        Ok(())
    }
    fn observe(&mut self, view: View<'_>, _: MoveIndex, lv: LvIndex) -> Result<Live> {
        Ok(self.live.get(&uuid(view, lv)).map_or(Live::Absent, |mapping| Live::Is(*mapping)))
    }
    fn create_shadow(&mut self, view: View<'_>, _: MoveIndex, lv: LvIndex) -> Result<()> {
        self.step("create-shadow")?;
        self.shadows.push(uuid(view, lv));
        Ok(())
    }
    fn load(&mut self, view: View<'_>, _: MoveIndex, lv: LvIndex, m: Mapping) -> Result<()> {
        self.step(&format!("load {m:?}"))?;
        self.loaded.insert(uuid(view, lv), m);
        Ok(())
    }
    fn swap(&mut self, view: View<'_>, _: MoveIndex, lv: LvIndex, m: Mapping) -> Result<()> {
        self.step(&format!("swap {m:?}"))?;
        let lv = uuid(view, lv);
        assert_eq!(self.loaded.remove(&lv), Some(m));
        self.live.insert(lv, m);
        Ok(())
    }
    fn remove_shadow(&mut self, view: View<'_>, _: MoveIndex, lv: LvIndex) -> Result<()> {
        self.step("remove-shadow")?;
        let lv = uuid(view, lv);
        assert_ne!(self.live.get(&lv), Some(&Mapping::Mirrored));
        self.shadows.retain(|other| *other != lv);
        Ok(())
    }
    fn copy_status(&mut self, _: View<'_>, _: MoveIndex) -> Result<CopyStatus> {
        self.step("copy-status")?;
        self.looks += 1;
        let chunks_done = u64::from(self.looks.min(2));
        let failed = self.leg.filter(|_| self.looks > 1);
        Ok(CopyStatus {
            chunks_done,
            chunks_total: 2,
            bytes_done: chunks_done << 20,
            bytes_total: 2 << 20,
            failed,
            ..CopyStatus::default()
        })
    }
    fn wait(&mut self, _: Option<Duration>) -> Result<Wake> {
        self.step("wait")?;
        Ok(Wake::Changed)
    }
}

pub(super) struct Rig {
    pub(super) vg: OpenVg,
    pub(super) moves: Vec<Uuid>,
    lv: Uuid,
    _scratch: Scratch,
}

/// A VG of two PVs, an LV of two extents on the first, its move to the second planned.
pub(super) fn rig(number: u8) -> Rig {
    crate::testing::use_scratch_locks();
    let scratch = scratch("drive");
    let devices: Vec<PathBuf> = ["a", "b"].iter().map(|name| scratch.path().join(name)).collect();
    for (path, pv) in devices.iter().zip([2 * number, 2 * number + 1]) {
        std::fs::File::create(path).and_then(|file| file.set_len(16 << 20)).expect("a file");
        write_label(&BlockDevice::on_file(path), Uuid([pv; 16])).expect("labelled");
    }
    let open = devices.iter().map(|path| (BlockDevice::on_file(path), Vec::new()));
    let name = Name::new("vg").expect("a name");
    let size = ExtentSize::new(2048).expect("a size");
    let mut vg = OpenVg::create_over(name, size, Scan::of(open).pvs).expect("created");
    let lv = Uuid([0x99; 16]);
    let moves = vg
        .commit(|vg| {
            let whole =
                |pv| Area { pv: PvIndex(pv), first: lvshift_core::units::Pe(0), count: Extents(8) };
            let request = AllocRequest {
                count: Extents(2),
                areas: &[whole(0)],
                avoid: &[],
                policy: Policy::Normal,
                grows: None,
            };
            let runs = vg.allocate(&request).expect("room");
            vg.add_lv(lv, Name::new("lv").expect("a name"), &runs).expect("added");
            let request = MoveRequest {
                command: Uuid([0x55; 16]),
                sources: &[whole(0)],
                only_lv: None,
                destinations: &[whole(1)],
                policy: Policy::Normal,
                atomic: false,
            };
            vg.plan(&request, &mut || Uuid([0x66; 16])).expect("planned");
            Ok(vg.moves().iter().map(|entry| entry.uuid).collect::<Vec<_>>())
        })
        .expect("committed");
    Rig { vg, moves, lv, _scratch: scratch }
}

impl Rig {
    fn active(&self) -> Fake {
        let mut fake = Fake::default();
        fake.live.insert(self.lv, Mapping::Source);
        fake
    }

    fn run(&mut self, fake: &mut Fake) -> MoveReport {
        let moves = self.moves.clone();
        let mut report = |_: Report<'_>| {};
        let options = Options { interval: None, verify: false, report: &mut report };
        run(&mut self.vg, fake, &moves, options).expect("ran").remove(0)
    }

    /// On which PV the LV lies by the metadata on disk.
    fn home(&mut self) -> PvIndex {
        self.vg.reread().expect("read");
        self.vg.vg().segments()[0].place.pv
    }
}

#[test]
fn a_move_that_goes_well_ends_on_the_destination_and_leaves_nothing() {
    let mut rig = rig(1);
    let mut fake = rig.active();
    let report = rig.run(&mut fake);
    assert_eq!(report.outcome, Outcome::Moved, "{:?}", report.errors);
    assert!(report.error().is_none());
    assert_eq!(rig.home(), PvIndex(1));
    assert!(rig.vg.vg().moves().is_empty() && fake.shadows.is_empty());
    assert_eq!(fake.live.get(&rig.lv), Some(&Mapping::Final));
}

#[test]
fn a_failed_leg_ends_on_the_source_and_the_error_names_the_device() {
    let mut rig = rig(2);
    let mut fake = rig.active();
    fake.leg = Some((Leg::Destination, LegFault::Write));
    let report = rig.run(&mut fake);
    let expected = AbortReason::LegFailed(Leg::Destination, LegFault::Write);
    assert_eq!(report.outcome, Outcome::Aborted(expected));
    let error = report.error().expect("an error");
    assert!(error.what.contains("destination") && error.what.contains("/b"), "{error}");
    assert!(error.to_string().contains("the source is still in charge"), "{error}");
    assert_eq!(rig.home(), PvIndex(0));
    assert!(rig.vg.vg().moves().is_empty() && fake.shadows.is_empty());
    assert_eq!(fake.live.get(&rig.lv), Some(&Mapping::Source));
}

#[test]
fn whoever_met_a_bad_sector_is_told_how_to_find_all_of_them() {
    let mut rig = rig(6);
    let mut fake = rig.active();
    fake.leg = Some((Leg::Source, LegFault::Read));
    let report = rig.run(&mut fake);
    let error = report.error().expect("an error");
    assert!(error.what.contains("source") && error.what.contains("/a"), "{error}");
    assert!(error.to_string().contains("--read-check"), "{error}");
    assert_eq!(rig.home(), PvIndex(0));
}

#[test]
fn any_step_that_fails_once_leaves_one_side_in_charge_and_nothing_behind() {
    let steps = [
        "create-shadow",
        "load Mirrored",
        "swap Mirrored",
        "copy-status",
        "wait",
        "load Final",
        "swap Final",
        "remove-shadow",
    ];
    for (step, number) in steps.into_iter().zip(10..) {
        let mut rig = rig(number);
        let mut fake = rig.active();
        fake.fails = Some((step, 1));
        let report = rig.run(&mut fake);
        let home = rig.home();
        match report.outcome {
            Outcome::Moved => {
                assert_eq!((home, fake.live[&rig.lv]), (PvIndex(1), Mapping::Final), "{step}");
            }
            Outcome::Aborted(AbortReason::StepFailed) => {
                assert_eq!((home, fake.live[&rig.lv]), (PvIndex(0), Mapping::Source), "{step}");
                assert!(report.error().is_some());
            }
            other => panic!("{step}: {other:?}"),
        }
        assert!(rig.vg.vg().moves().is_empty() && fake.shadows.is_empty(), "{step}");
    }
}

#[test]
fn a_way_out_that_keeps_failing_is_told_and_carried_on_later() {
    let mut rig = rig(3);
    let mut fake = rig.active();
    fake.fails = Some(("swap Final", 100));
    let report = rig.run(&mut fake);
    assert!(matches!(report.outcome, Outcome::Stuck { .. }), "{:?}", report.outcome);
    assert!(report.error().expect("an error").to_string().contains("destination is in charge"));
    assert_eq!(rig.vg.vg().moves()[0].state, MoveState::Moved);
    fake.fails = None;
    fake.loaded.clear();
    let mut report = |_: Report<'_>| {};
    let options = Options { interval: None, verify: false, report: &mut report };
    let reports = carry_on(&mut rig.vg, &mut fake, None, options).expect("ran");
    assert_eq!(reports[0].outcome, Outcome::Moved, "{:?}", reports[0].errors);
    assert_eq!(rig.home(), PvIndex(1));
}

#[test]
fn an_abort_of_a_queued_move_touches_no_device() {
    let mut rig = rig(4);
    let mut fake = rig.active();
    rig.vg.release();
    let mut report = |_: Report<'_>| {};
    let options = Options { interval: None, verify: false, report: &mut report };
    let reports = abort(&mut rig.vg, &mut fake, None, options).expect("ran");
    assert_eq!(reports[0].outcome, Outcome::Aborted(AbortReason::Requested));
    assert!(rig.vg.vg().moves().is_empty());
    assert!(!fake.steps.iter().any(|step| step.starts_with("load")), "{:?}", fake.steps);
}

#[test]
fn a_second_mover_is_refused_and_told_by_whom() {
    let mut rig = rig(5);
    let mut fake = rig.active();
    rig.vg.release();
    let _held = crate::lock::mover(rig.vg.vg().uuid(), "moves something").expect("free");
    let moves = rig.moves.clone();
    let mut report = |_: Report<'_>| {};
    let options = Options { interval: None, verify: false, report: &mut report };
    let error = run(&mut rig.vg, &mut fake, &moves, options).expect_err("refused");
    assert_eq!(error.kind, Kind::Locked);
    assert!(error.what.contains(&std::process::id().to_string()), "{error}");
    assert!(fake.steps.is_empty());
}
