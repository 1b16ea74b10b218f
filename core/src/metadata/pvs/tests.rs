use super::super::testing::*;
use super::*;
use crate::heap::Vg;
use crate::limits::MAX_PVS;

#[test]
fn a_pv_in_use_stays_and_the_others_move_up() {
    let mut vg = vg(&[10, 10, 10]);
    add_lv(&mut vg, "a", &[run(2, 0, 2)]);
    let error = vg.remove_pv(PvIndex(2)).unwrap_err();
    assert_eq!(error, PvError::InUse { extents: Extents(2) });
    assert_eq!(vg.remove_pv(PvIndex(0)).unwrap().uuid, uuid(1000));
    vg.validate().unwrap();
    assert_eq!(vg.segments()[0].place.pv, PvIndex(1));
    assert_eq!(vg.used_extents(PvIndex(1)), Extents(2));
    assert_eq!(vg.remove_pv(PvIndex(2)), Err(PvError::NoSuchPv));
}

#[test]
fn a_reserved_destination_keeps_its_pv() {
    let mut vg = vg(&[10, 10]);
    add_lv(&mut vg, "a", &[run(0, 0, 2)]);
    plan(&mut vg, &request(&[whole(0)], &[])).unwrap();
    assert_eq!(vg.remove_pv(PvIndex(1)), Err(PvError::InUse { extents: Extents(2) }));
}

#[test]
fn refusals_name_their_reason() {
    let mut vg = vg(&[10]);
    let size = vg.extent_size();
    assert_eq!(vg.add_pv(pv(0, size, 5)), Err(PvError::BadUuid));
    for spoil in [
        (|pv: &mut Pv| pv.pe_count = Extents(0)) as fn(&mut Pv),
        |pv| pv.device_size.0 -= 1,
        |pv| pv.log_start = pv.pe_start,
        |pv| pv.log_size = Sectors(4),
        |pv| pv.pe_start.0 += 1,
        |pv| pv.log_start = Sectors(u64::MAX - 7),
        |pv| pv.device_size = Sectors(u64::MAX),
    ] {
        let mut bad = pv(7, size, 5);
        spoil(&mut bad);
        assert_eq!(vg.add_pv(bad.clone()), Err(PvError::BadSize), "{bad:?}");
    }
    for number in 1..MAX_PVS as u64 {
        vg.add_pv(pv(number, size, 5)).unwrap();
    }
    let error = vg.add_pv(pv(99, size, 5)).unwrap_err();
    assert_eq!(error, PvError::TooManyPvs { limit: MAX_PVS as u32 });
}

#[test]
fn a_label_becomes_a_pv() {
    let geometry = Geometry::for_device(16_384 + 8192 * 3 + 5).unwrap();
    let pv = Pv::new(uuid(5), &geometry, ExtentSize::DEFAULT).unwrap();
    assert_eq!(pv.pe_count, Extents(3));
    assert!(pv.is_sound(ExtentSize::DEFAULT));
    let none = Geometry::for_device(16_384 + 8191).unwrap();
    assert_eq!(Pv::new(uuid(5), &none, ExtentSize::DEFAULT), None);
}

#[test]
fn a_pv_grows_and_shrinks_to_what_is_in_use() {
    let mut vg = vg(&[10, 10]);
    add_lv(&mut vg, "a", &[run(0, 0, 2), run(0, 6, 1)]);
    let with = |vg: &Vg, count| {
        let mut pv = vg.pvs()[0].clone();
        let change = vg.extent_size().span(Extents(20)).0;
        pv.device_size.0 += change;
        pv.pe_count = Extents(count);
        pv
    };
    let larger = with(&vg, 14);
    vg.resize_pv(PvIndex(0), larger).unwrap();
    vg.validate().unwrap();
    assert_eq!(vg.free_extents(PvIndex(0)), Extents(11));
    let smaller = with(&vg, 7);
    vg.resize_pv(PvIndex(0), smaller).unwrap();
    vg.validate().unwrap();
    assert_eq!(vg.free_extents(PvIndex(0)), Extents(4));
    let cut = with(&vg, 6);
    assert_eq!(vg.resize_pv(PvIndex(0), cut), Err(PvError::InUse { extents: Extents(1) }));
    let none = with(&vg, 1);
    assert_eq!(vg.resize_pv(PvIndex(0), none), Err(PvError::InUse { extents: Extents(2) }));
    let other = vg.pvs()[1].clone();
    assert_eq!(vg.resize_pv(PvIndex(0), other.clone()), Err(PvError::BadSize));
    assert_eq!(vg.resize_pv(PvIndex(5), other), Err(PvError::NoSuchPv));
}
