use lvshift_core::metadata::Change as Step;
use lvshift_core::metadata::{Area, MoveRequest, Name, Place, Policy, Pv, Run, Vg};
use lvshift_core::units::{ExtentSize, Extents, LvIndex, Pe, PvIndex, Uuid};
use lvshift_on_disk_format::dirty_log;
use lvshift_on_disk_format::{Geometry, Label, LabelCopy, SlotIndex};

use super::run::{Figures, Plan, check_all};
use crate::disk_server::log::{Change, Entry, Event, Log};
use crate::disk_server::{SECTOR, Served};
use lvshift_vm_tests::side_disk::{self, Note};
use lvshift_vm_tests::writer::stamp;

/// Something that a mover must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    /// The destination is not flushed before the move counts as done.
    MovedBeforeFlush,
    /// The log calls a chunk clean before the legs are flushed.
    CleanBeforeFlush,
    /// A write to a clean chunk is issued before its bit is zeroed.
    WriteBeforeMark,
    /// An application's flush reaches one leg only.
    FlushOfOneLeg,
    /// A commit is not flushed before the next begins.
    CommitUnflushed,
    /// The command says that it is done before the last commit stands.
    SaidTooEarly,
    /// A chunk is left out by the copy.
    ChunkForgotten,
}

const SEED: u64 = 5;
const SECTORS: u64 = 16_384 + 2 * 2048;
const LV: u64 = 2048;

/// Writes a log by hand.
struct Script {
    log: Log,
    vg: Box<Vg>,
    mistake: Mistake,
    notes: u64,
    versions: Vec<u64>,
    image: Vec<u8>,
}

fn uuid(number: u8) -> Uuid {
    Uuid([number; 16])
}

impl Script {
    fn new(mistake: Mistake) -> Script {
        let served =
            |name: &str| Served { name: name.to_owned(), sectors: SECTORS, sector: SECTOR as u32 };
        let disks = vec![served("pv1"), served("pv2"), served(side_disk::NAME)];
        let mut vg = Box::new(Vg::empty());
        let size = ExtentSize::new(2048).expect("1 MiB");
        vg.create(uuid(1), Name::new("vg").expect("a name"), size);
        let mut script = Script {
            log: Log { disks, entries: Vec::new() },
            vg,
            mistake,
            notes: 0,
            versions: vec![0; LV as usize],
            image: Vec::new(),
        };
        for disk in 0..2 {
            let geometry = Geometry::for_device(SECTORS).expect("large enough");
            let label = Label::new(uuid(10 + disk as u8), geometry).expect("a label");
            for copy in LabelCopy::ALL {
                let mut bytes = [0; Label::SIZE];
                label.as_copy(copy).encode(&mut bytes);
                script.write(disk, copy.start(), &bytes);
            }
            script.flush(disk);
            let pv = Pv::new(label.pv(), &geometry, size).expect("a PV");
            script.vg.add_pv(pv).expect("there is room");
        }
        let run = Run { place: Place { pv: PvIndex(0), pe: Pe(0) }, count: Extents(1) };
        let lv = script.vg.add_lv(uuid(20), Name::new("lv").expect("a name"), &[run]);
        assert_eq!(lv, Ok(LvIndex(0)));
        script.commit(true);
        script
    }

    fn push(&mut self, event: Event) -> u64 {
        self.log.entries.push(Entry { at_us: 0, event });
        self.log.entries.len() as u64 - 1
    }

    fn write(&mut self, disk: usize, first: u64, bytes: &[u8]) {
        let sectors = (bytes.len() / SECTOR) as u64;
        let change = Change::Write(bytes.into());
        let of = self.push(Event::Change { disk, first, sectors, fua: false, change });
        self.push(Event::Answered { of, ok: true });
    }

    fn flush(&mut self, disk: usize) {
        let of = self.push(Event::Flush { disk });
        self.push(Event::Answered { of, ok: true });
    }

    fn note(&mut self, note: &Note) {
        let block = note.encode().expect("it fits");
        let first = self.notes * (side_disk::BLOCK / SECTOR) as u64;
        self.write(2, first, &block);
        self.notes += 1;
    }

    fn mark(&mut self, text: &str) {
        self.note(&Note::Mark(text.to_owned()));
    }

    fn commit(&mut self, flushed: bool) {
        self.vg.bump();
        let geometry = Geometry::for_device(SECTORS).expect("large enough");
        let slot =
            if self.vg.sequence().is_multiple_of(2) { SlotIndex::Zero } else { SlotIndex::One };
        for disk in 0..2 {
            let mut bytes = vec![0; 1 << 20];
            let size = self.vg.encode(uuid(10 + disk as u8), &mut bytes).expect("it fits");
            self.write(disk, geometry.slot(slot).start, &bytes[..size]);
        }
        if flushed {
            (0..2).for_each(|disk| self.flush(disk));
        }
    }

    fn apply(&mut self, change: Step, flushed: bool) {
        let of = self.vg.moves()[0].uuid;
        self.vg.apply(of, change).expect("a legal step");
        self.commit(flushed);
    }

    /// The application writes these sectors of the LV to these disks.
    fn app(&mut self, first: u64, count: u64, disks: &[usize]) {
        let mut bytes = vec![0; count as usize * SECTOR];
        let version = self.versions.iter().max().expect("sectors") + 1;
        for (sector, one) in (first..).zip(bytes.chunks_exact_mut(SECTOR)) {
            stamp::write(one, SEED, sector, version);
            self.versions[sector as usize] = version;
        }
        disks.iter().for_each(|disk| self.write(*disk, 16_384 + first, &bytes));
        let at = first as usize * SECTOR;
        self.image.resize(LV as usize * SECTOR, 0);
        self.image[at..at + bytes.len()].copy_from_slice(&bytes);
    }

    /// It has flushed these disks, and says what it knows.
    fn app_flush(&mut self, disks: &[usize]) {
        disks.iter().for_each(|disk| self.flush(*disk));
        let floors: Vec<_> = (0..).zip(self.versions.clone()).collect();
        for floors in floors.chunks(side_disk::MOST_FLOORS) {
            self.note(&Note::Floors { seed: SEED, floors: floors.to_vec() });
        }
    }

    fn write_log(&mut self, clean: &[u32]) {
        let chunks = (LV / u64::from(self.vg.moves()[0].chunk_sectors)) as u32;
        let mut block = dirty_log::all_dirty_first_block(chunks);
        for chunk in clean {
            dirty_log::set_clean(&mut block, *chunk, true).expect("it has the chunk");
        }
        let pv = &self.vg.pvs()[1];
        let at = pv.log_start.0 + self.vg.parts()[0].log_offset.0;
        self.write(1, at, &block);
        self.flush(1);
    }

    /// The life of an LV that moves from the first disk to the second.
    fn play(mut self) -> Log {
        let does = |mistake| self.mistake == mistake;
        let [moved_early, clean_early, unmarked, one_leg, unflushed, said_early, forgotten] = [
            Mistake::MovedBeforeFlush,
            Mistake::CleanBeforeFlush,
            Mistake::WriteBeforeMark,
            Mistake::FlushOfOneLeg,
            Mistake::CommitUnflushed,
            Mistake::SaidTooEarly,
            Mistake::ChunkForgotten,
        ]
        .map(does);
        self.mark(&format!("writer lv {SEED} {LV}"));
        self.app(0, LV, &[0]);
        self.app_flush(&[0]);
        self.mark("home lv pv1");
        self.mark("begin");
        self.mark("home lv pv1,pv2");
        let (sources, destinations) = ([Area::whole(PvIndex(0))], [Area::whole(PvIndex(1))]);
        let request = MoveRequest {
            command: uuid(30),
            sources: &sources,
            only_lv: None,
            destinations: &destinations,
            policy: Policy::Inherit,
            atomic: false,
        };
        let mut next = 40;
        let planned = self.vg.plan(&request, &mut || {
            next += 1;
            uuid(next)
        });
        assert_eq!(planned.expect("there is room").moves, 1);
        self.commit(!unflushed);
        self.write_log(&[]);
        self.apply(Step::Begin, true);
        let chunk = u64::from(self.vg.moves()[0].chunk_sectors);
        let chunks = (LV / chunk) as u32;
        for n in 0..chunks {
            let (first, at) = (u64::from(n) * chunk, (u64::from(n) * chunk) as usize * SECTOR);
            self.app(first, 8, &[0]);
            let bytes = self.image[at..at + chunk as usize * SECTOR].to_vec();
            if !(forgotten && n + 1 == chunks) {
                self.write(1, 16_384 + first, &bytes);
            }
            if clean_early {
                self.write_log(&(0..=n).collect::<Vec<_>>());
            }
            if !moved_early {
                (0..2).for_each(|disk| self.flush(disk));
                self.write_log(&(0..=n).collect::<Vec<_>>());
            }
        }
        if !moved_early {
            self.app_flush(&[0, 1]);
            if !unmarked {
                self.write_log(&(1..chunks).collect::<Vec<_>>());
            }
            self.app(3, 4, &[0, 1]);
            self.app_flush(if one_leg { &[0] } else { &[0, 1] });
        }
        self.apply(Step::Moved, true);
        self.app(20, 40, &[1]);
        self.app_flush(&[1]);
        self.apply(Step::Forget, !said_early);
        self.mark("home lv pv2");
        (0..2).for_each(|disk| self.flush(disk));
        self.mark("end");
        self.log
    }
}

fn figures(mistake: Mistake) -> Figures {
    let log = Script::new(mistake).play();
    check_all(&log, Plan { images: 1500, seed: 1 }).expect("a log that makes sense")
}

#[test]
fn a_move_done_right_leaves_no_wrong_image() {
    let figures = figures(Mistake::None);
    assert_eq!(figures.wrong, 0, "{:?}", figures.described);
    assert!(figures.images > 500 && figures.distinct > 300, "{figures:?}");
    let looked = figures.looked;
    assert!(looked.clean_chunks > 0 && looked.dirty_chunks > 0, "{looked:?}");
    let [nothing, queued, copying, _, moved] = looked.records;
    assert!(nothing > 0 && queued > 0 && copying > 0 && moved > 0, "{looked:?}");
}

#[test]
fn every_mistake_is_found_and_described() {
    for (mistake, said) in [
        (Mistake::MovedBeforeFlush, "was flushed, found"),
        (Mistake::CleanBeforeFlush, "clean; its sector"),
        (Mistake::WriteBeforeMark, "clean; its sector"),
        (Mistake::FlushOfOneLeg, "was flushed, found"),
        (Mistake::CommitUnflushed, "would be refused"),
        (Mistake::SaidTooEarly, "for good"),
        (Mistake::ChunkForgotten, "clean; its sector"),
    ] {
        let figures = figures(mistake);
        assert!(figures.wrong > 0, "{mistake:?} was not found: {figures:?}");
        let described = figures.described.iter().any(|(_, what)| what.contains(said));
        assert!(described, "{mistake:?}: {:?}", figures.described);
    }
}
