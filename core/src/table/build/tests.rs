//! Tests of the tables that are built from the metadata: the outline's three pictures, and that
//! every LV's tables map all of it, each sector to the place that the metadata names.

extern crate std;

use std::boxed::Box;
use std::string::{String, ToString};
use std::vec::Vec;

use super::*;
use crate::heap::Vg;
use crate::metadata::{Area as PvArea, Change, MoveRequest, Name, Policy, Pv, Run};
use crate::mover::Live;
use crate::table::{Table, observe};
use crate::units::{ExtentSize, Pe, Uuid};

/// PVs are 8:0, 8:1, ...; the shadow of LV n is 254:(100 + n), the log of part n 254:(200 + n).
struct Numbers;

fn device(major: u32, minor: u32) -> DeviceNumber {
    DeviceNumber { major, minor }
}

impl Devices for Numbers {
    type Device = DeviceNumber;

    fn pv(&self, pv: PvIndex) -> Option<DeviceNumber> {
        Some(device(8, u32::from(pv.0)))
    }
    fn shadow(&self, lv: LvIndex) -> Option<Shadow> {
        Some(Shadow::Device(device(254, 100 + u32::from(lv.0))))
    }
    fn log(&self, part: usize) -> Option<Log> {
        Some(Log::Disk(device(254, 200 + part as u32)))
    }
}

/// No device-mapper: the source is read directly, the log is in memory.
struct Direct;

impl Devices for Direct {
    type Device = PvIndex;

    fn pv(&self, pv: PvIndex) -> Option<PvIndex> {
        Some(pv)
    }
    fn shadow(&self, _: LvIndex) -> Option<Shadow<PvIndex>> {
        Some(Shadow::Through)
    }
    fn log(&self, _: usize) -> Option<Log<PvIndex>> {
        Some(Log::Core)
    }
}

fn uuid(number: u8) -> Uuid {
    Uuid([number; 16])
}

fn run(pv: u16, pe: u32, count: u32) -> Run {
    Run { place: Place { pv: PvIndex(pv), pe: Pe(pe) }, count: Extents(count) }
}

/// Four PVs with data from sector 16384 and extents of 8192 sectors, and one LV.
fn vg(runs: &[Run]) -> Box<Vg> {
    let mut vg = Box::new(Vg::empty());
    vg.create(uuid(1), Name::new("vg").unwrap(), ExtentSize::DEFAULT);
    vg.bump();
    for number in 0..4 {
        let pv = Pv {
            uuid: uuid(10 + number),
            device_size: Sectors(16_384 + 100 * 8192),
            pe_start: Sectors(16_384),
            pe_count: Extents(100),
            log_start: Sectors(8192),
            log_size: Sectors(8192),
            behind: None,
            leaving: false,
        };
        vg.add_pv(pv).unwrap();
    }
    vg.add_lv(uuid(20), Name::new("lv").unwrap(), runs).unwrap();
    vg
}

/// Plans the move of everything on `source` to `destination` and begins it.
fn begin(vg: &mut Vg, source: u16, destination: u16) {
    let sources = [PvArea::whole(PvIndex(source))];
    let destinations = [PvArea::whole(PvIndex(destination))];
    let request = MoveRequest {
        command: uuid(77),
        sources: &sources,
        only_lv: None,
        destinations: &destinations,
        policy: Policy::Normal,
        atomic: true,
    };
    let mut next = 30;
    vg.plan(&request, &mut || {
        next += 1;
        uuid(next)
    })
    .unwrap();
    let of = vg.moves()[0].uuid;
    vg.apply(of, Change::Begin).unwrap();
}

const LV: LvIndex = LvIndex(0);
const MOVE: MoveIndex = MoveIndex(0);

fn lines(vg: &Vg, view: Option<Mapping>) -> Vec<String> {
    let view = view.map(|mapping| (MOVE, mapping));
    build(vg, LV, view, &Numbers).map(|line| line.unwrap().to_string()).collect()
}

/// The outline: an LV over three PVs, the middle one moves to a fourth.
fn outline() -> Box<Vg> {
    let mut vg = vg(&[run(0, 0, 2), run(1, 5, 1), run(2, 0, 3)]);
    begin(&mut vg, 1, 3);
    vg
}

#[test]
fn the_outlines_three_pictures() {
    let vg = outline();
    let before = ["0 16384 linear 8:0 16384", "16384 8192 linear 8:1 57344"];
    let behind = "24576 24576 linear 8:2 16384";
    assert_eq!(lines(&vg, None), [before[0], before[1], behind]);
    assert_eq!(lines(&vg, Some(Mapping::Source)), [before[0], before[1], behind]);
    let mirror = "16384 8192 mirror disk 2 254:200 4096 2 254:100 16384 8:3 16384 1 handle_errors";
    let during = ["0 16384 linear 254:100 0", mirror, "24576 24576 linear 254:100 24576"];
    assert_eq!(lines(&vg, Some(Mapping::Mirrored)), during);
    let after = "16384 8192 linear 8:3 16384";
    assert_eq!(lines(&vg, Some(Mapping::Final)), [before[0], after, behind]);
}

#[test]
fn without_a_shadow_device_the_mirror_reads_the_source_pvs() {
    let vg = outline();
    let lines: Vec<_> =
        build(&vg, LV, Some((MOVE, Mapping::Mirrored)), &Direct).map(Result::unwrap).collect();
    let [first, Segment { target: Target::Mirror(mirror), .. }, _] = lines[..] else {
        panic!("{lines:?}");
    };
    let area = |pv, offset| Area { device: PvIndex(pv), offset: Sectors(offset) };
    assert_eq!(first.target, Target::Linear(area(0, 16_384)));
    assert_eq!(mirror.source, area(1, 57_344));
    assert_eq!(mirror.destination, area(3, 16_384));
}

#[test]
fn linear_lines_that_go_on_are_one_and_others_are_not() {
    // Mapped onto the shadow, what lies on several PVs is one line.
    let mut vg = vg(&[run(0, 0, 2), run(2, 0, 1), run(0, 7, 2), run(1, 0, 1)]);
    begin(&mut vg, 1, 3);
    let mirrored = lines(&vg, Some(Mapping::Mirrored));
    assert_eq!(mirrored.len(), 2);
    assert_eq!(mirrored[0], "0 40960 linear 254:100 0");
    assert_eq!(lines(&vg, Some(Mapping::Source)).len(), 4);
    // What a move brings together on the destination is one line too.
    let mut vg = self::vg(&[run(1, 0, 1), run(1, 9, 1)]);
    begin(&mut vg, 1, 3);
    assert_eq!(lines(&vg, Some(Mapping::Mirrored)).len(), 2);
    assert_eq!(lines(&vg, Some(Mapping::Final)), ["0 16384 linear 8:3 16384"]);
}

#[test]
fn every_table_maps_all_of_the_lv_to_the_places_of_the_metadata() {
    let layouts: [&[Run]; 4] = [
        &[run(1, 0, 100)],
        &[run(1, 3, 2), run(0, 0, 1), run(1, 0, 2)],
        &[run(0, 0, 1), run(1, 0, 1), run(0, 1, 1), run(1, 50, 40)],
        &[run(2, 99, 1), run(1, 99, 1), run(1, 98, 1)],
    ];
    for runs in layouts {
        let mut vg = vg(runs);
        begin(&mut vg, 1, 3);
        for mapping in [Mapping::Source, Mapping::Mirrored, Mapping::Final] {
            let built = build(&vg, LV, Some((MOVE, mapping)), &Direct);
            let segments: Vec<_> = built.map(Result::unwrap).collect();
            let table = Table::new(&segments).unwrap();
            let mut le = 0u32;
            for extent in runs.iter().flat_map(|run| (0..run.count.0).map(move |i| (run, i))) {
                let (run, i) = extent;
                let at = Sectors(u64::from(le) * 8192 + 17);
                let piece = table.split(at, Sectors(1), false).unwrap().next().unwrap();
                let source = Area {
                    device: run.place.pv,
                    offset: Sectors(16_384 + u64::from(run.place.pe.0 + i) * 8192 + 17),
                };
                let moves = run.place.pv == PvIndex(1);
                let to_source = piece.read_area() == Some(source);
                assert_eq!(to_source, !moves || mapping != Mapping::Final, "{mapping:?} {le}");
                let mirrored = piece.mirror_area().map(|area| area.device);
                let expected = (moves && mapping == Mapping::Mirrored).then_some(PvIndex(3));
                assert_eq!(mirrored, expected);
                le += 1;
            }
            assert_eq!(table.len(), Sectors(u64::from(le) * 8192));
        }
    }
}

#[test]
fn what_is_loaded_is_recognised_in_every_state_of_the_record() {
    let mut vg = outline();
    let of = vg.moves()[0].uuid;
    let table = |vg: &Vg, mapping| -> Vec<Segment> {
        build(vg, LV, Some((MOVE, mapping)), &Numbers).map(Result::unwrap).collect()
    };
    let all = [Mapping::Source, Mapping::Mirrored, Mapping::Final];
    let before = all.map(|mapping| table(&vg, mapping));
    for change in [None, Some(Change::Moved), Some(Change::Aborting)] {
        if let Some(change) = change {
            vg.apply(of, change).unwrap();
        }
        for (mapping, loaded) in all.into_iter().zip(&before) {
            assert_eq!(&table(&vg, mapping), loaded, "a record's state changes no mapping");
            assert_eq!(observe(&vg, LV, MOVE, &Numbers, loaded), Live::Is(mapping));
            // As read back from the kernel's text.
            let read: Vec<Segment> =
                loaded.iter().map(|line| line.to_string().parse().unwrap()).collect();
            assert_eq!(observe(&vg, LV, MOVE, &Numbers, &read), Live::Is(mapping));
            let mut foreign = loaded.clone();
            foreign[1].target = Target::Error;
            assert_eq!(observe(&vg, LV, MOVE, &Numbers, &foreign), Live::Foreign);
            assert_eq!(observe(&vg, LV, MOVE, &Numbers, &loaded[..2]), Live::Foreign);
        }
    }
}

#[test]
fn a_part_is_mirrored_as_far_as_the_devices_say_and_the_rest_is_the_source() {
    /// So many sectors of each part.
    struct Upto(u64);
    impl Devices for Upto {
        type Device = DeviceNumber;
        fn pv(&self, pv: PvIndex) -> Option<DeviceNumber> {
            Numbers.pv(pv)
        }
        fn shadow(&self, lv: LvIndex) -> Option<Shadow> {
            Numbers.shadow(lv)
        }
        fn log(&self, part: usize) -> Option<Log> {
            Numbers.log(part)
        }
        fn mirrored(&self, _: usize) -> Option<Sectors> {
            Some(Sectors(self.0))
        }
    }
    let vg = outline();
    let lines = |upto| -> Vec<String> {
        let upto = Upto(upto);
        let built = build(&vg, LV, Some((MOVE, Mapping::Mirrored)), &upto);
        built.map(|line| line.unwrap().to_string()).collect()
    };
    let mirror = "16384 4096 mirror disk 2 254:200 4096 2 254:100 16384 8:3 16384 1 handle_errors";
    let half = ["0 16384 linear 254:100 0", mirror, "20480 28672 linear 254:100 20480"];
    assert_eq!(lines(4096), half);
    assert_eq!(lines(0), ["0 49152 linear 254:100 0"]);
    let whole: Vec<String> = self::lines(&vg, Some(Mapping::Mirrored));
    assert_eq!((lines(8192), lines(u64::MAX)), (whole.clone(), whole));
    // A table is taken for mirrored by those alone who know how far.
    let loaded: Vec<Segment> = half.iter().map(|line| line.parse().unwrap()).collect();
    assert_eq!(observe(&vg, LV, MOVE, &Upto(4096), &loaded), Live::Is(Mapping::Mirrored));
    assert_eq!(observe(&vg, LV, MOVE, &Upto(2048), &loaded), Live::Foreign);
    assert_eq!(observe(&vg, LV, MOVE, &Numbers, &loaded), Live::Foreign);
}

#[test]
fn what_is_missing_is_named() {
    struct Without(u8);
    impl Devices for Without {
        type Device = DeviceNumber;
        fn pv(&self, pv: PvIndex) -> Option<DeviceNumber> {
            (self.0 != 0 || pv != PvIndex(3)).then(|| device(8, u32::from(pv.0)))
        }
        fn shadow(&self, lv: LvIndex) -> Option<Shadow> {
            if self.0 == 1 { None } else { Numbers.shadow(lv) }
        }
        fn log(&self, part: usize) -> Option<Log> {
            if self.0 == 2 { None } else { Numbers.log(part) }
        }
    }
    let vg = outline();
    for (missing, error) in [
        (0, BuildError::NoPv(PvIndex(3))),
        (1, BuildError::NoShadow(LV)),
        (2, BuildError::NoLog(0)),
    ] {
        let found = build(&vg, LV, Some((MOVE, Mapping::Mirrored)), &Without(missing))
            .find_map(Result::err);
        assert_eq!(found, Some(error));
    }
    // A table that could not be built is not mistaken for one that is loaded.
    let source: Vec<Segment> = build(&vg, LV, None, &Numbers).map(Result::unwrap).collect();
    assert_eq!(observe(&vg, LV, MOVE, &Without(1), &source), Live::Is(Mapping::Source));
}
