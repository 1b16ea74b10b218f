//! A move over arrays, while they are written; what a host brings: metadata, disks, a table, a copier.

use lvshift_core::Shared;
use lvshift_core::chunk::{
    Admission, Borrowed, ChunkCell, ChunkIndex, Content, CopyOutcome, Geometry, Group, Piece,
    QueueId, Route, Sealed, Tracker, WriteOutcome, WritePolicy,
};
use lvshift_core::metadata::{Area, Change, Fixed, MoveRequest, MoveState};
use lvshift_core::metadata::{Name, Place, Policy, Pv, Run, Vg};
use lvshift_core::mover::{Live, Mapping, MoverError, Outcome};
use lvshift_core::units::{ExtentSize, Extents, Pe, PvIndex, Sectors, Uuid};
use lvshift_driver::{CopyStatus, Goal, Host, Observed, Report, Wake, drive};

const LV: Uuid = Uuid([1; 16]);
const MOVE: Uuid = Uuid([2; 16]);
const EXTENTS: u32 = 8;
const SECTORS: usize = 4096 * EXTENTS as usize;
/// Room for 2 PVs, 1 LV, 4 segments, 1 move, 8 parts: less than 2 KiB, and no heap.
static VG: Shared<Vg<Fixed<2, 1, 4, 1, 8, 12>>> = Shared::new(Vg::empty());

struct Machine {
    disks: [Vec<u8>; 2],
    live: Mapping,
    loaded: Option<Mapping>,
    tracker: Tracker<Borrowed<'static>>,
    expected: Vec<u8>,
    writes: usize,
}
impl Machine {
    fn write(&mut self) {
        self.writes += 1;
        let (first, data) = (self.writes * 7919 % SECTORS, [self.writes as u8; 512]);
        let at = first * 512..first * 512 + 512;
        self.expected[at.clone()].copy_from_slice(&data);
        let [source, destination] = &mut self.disks;
        match self.live {
            Mapping::Source => source[at].copy_from_slice(&data),
            Mapping::Final => destination[at].copy_from_slice(&data),
            Mapping::Mirrored => {
                let piece = Piece { first: Sectors(first as u64), count: Sectors(1) };
                let (queue, policy) = (QueueId::new(0).expect("one"), WritePolicy::SourceFirst);
                let admitted = self.tracker.admit(piece, Content::Known, queue, policy);
                let Ok(Admission::Admitted(ticket, _)) = admitted else { panic!("{admitted:?}") };
                source[at.clone()].copy_from_slice(&data);
                if ticket.route() != Route::Source {
                    destination[at].copy_from_slice(&data);
                }
                let _ = ticket.complete(&self.tracker, WriteOutcome::Done);
            }
        }
    }
}

#[derive(Debug)]
struct Trouble(#[expect(dead_code, reason = "printed")] String);

impl From<MoverError> for Trouble {
    fn from(error: MoverError) -> Trouble {
        Trouble(error.to_string())
    }
}

impl Host for Machine {
    type Error = Trouble;
    fn observe(&mut self, found: &mut Observed) -> Result<MoveState, Trouble> {
        found.add(LV, Live::Is(self.live));
        Ok(VG.with(|vg| vg.moves()[0].state))
    }
    fn commit(&mut self, change: Change) -> Result<(), Trouble> {
        VG.with(|vg| vg.apply(MOVE, change)).map_err(|error| Trouble(error.to_string()))
    }
    fn load(&mut self, _: Uuid, mapping: Mapping) -> Result<(), Trouble> {
        self.loaded = Some(mapping);
        Ok(())
    }
    fn swap(&mut self, _: Uuid, _: Mapping) -> Result<(), Trouble> {
        self.live = self.loaded.take().ok_or(Trouble("nothing is loaded".to_owned()))?;
        Ok(())
    }
    fn copy_status(&mut self) -> Result<CopyStatus, Trouble> {
        let (all, left) = (u64::from(EXTENTS), u64::from(self.tracker.left()));
        Ok(CopyStatus { chunks_done: all - left, chunks_total: all, ..CopyStatus::default() })
    }
    fn wait(&mut self) -> Result<Wake, Trouble> {
        self.write();
        let chunk = self.tracker.next_unmirrored(ChunkIndex(0), false);
        if let Some(ticket) = chunk.and_then(|chunk| self.tracker.begin_copy(chunk, false)) {
            let piece = ticket.piece();
            let at = piece.first.0 as usize * 512..(piece.first.0 + piece.count.0) as usize * 512;
            let [source, destination] = &mut self.disks;
            destination[at.clone()].copy_from_slice(&source[at]);
            let _ = ticket.complete(&self.tracker, CopyOutcome::Copied);
        }
        Ok(Wake::Changed)
    }
    fn seal(&mut self, _: bool) -> Result<bool, Trouble> {
        Ok(matches!(self.tracker.seal(), (Sealed::Sealed, _)))
    }
    fn report(&mut self, report: Report<Trouble>) {
        println!("{report:?}");
    }
    // Nothing of this outlives the process: no log to write, no cache to flush, no shadow to make.
    fn init_log(&mut self, _: Uuid) -> Result<(), Trouble> {
        Ok(())
    }
    fn create_shadow(&mut self, _: Uuid) -> Result<(), Trouble> {
        Ok(())
    }
    fn remove_shadow(&mut self, _: Uuid) -> Result<(), Trouble> {
        Ok(())
    }
    fn flush_destination(&mut self) -> Result<(), Trouble> {
        Ok(())
    }
}

fn main() {
    let chunk = VG.with(|vg| {
        let (size, name) =
            (ExtentSize::new(4096).expect("2 MiB"), |n| Name::new(n).expect("a name"));
        vg.create(Uuid([9; 16]), name("vg"), size);
        for n in 10..12 {
            let (pe_start, device_size) = (Sectors(2048), Sectors(2048 + SECTORS as u64));
            let (log_start, log_size, pe_count) = (Sectors(1024), Sectors(1024), Extents(EXTENTS));
            let uuid = Uuid([n; 16]);
            let (behind, leaving) = (None, false);
            let pv =
                Pv { uuid, device_size, pe_start, pe_count, log_start, log_size, behind, leaving };
            vg.add_pv(pv).expect("a PV");
        }
        let run = Run { place: Place { pv: PvIndex(0), pe: Pe(0) }, count: Extents(EXTENTS) };
        vg.add_lv(LV, name("lv"), &[run]).expect("an LV");
        let (sources, destinations) = (&[Area::whole(PvIndex(0))], &[Area::whole(PvIndex(1))]);
        let (command, policy) = (Uuid([3; 16]), Policy::Normal);
        let request =
            MoveRequest { command, sources, only_lv: None, destinations, policy, atomic: false };
        vg.plan(&request, &mut || MOVE).expect("room");
        vg.moves()[0].chunk_sectors
    });
    let geometry = Geometry::new(Sectors(SECTORS as u64), chunk);
    let cells: Vec<_> = (0..EXTENTS).map(|_| ChunkCell::default()).collect();
    let memory = Borrowed { cells: cells.leak(), groups: vec![Group::default()].leak() };
    let tracker = Tracker::new(geometry.expect("a part"), memory).expect("memory");
    let disks = [vec![0xAA; SECTORS * 512], vec![0; SECTORS * 512]];
    let (expected, live) = (disks[0].clone(), Mapping::Source);
    let mut machine = Machine { disks, live, loaded: None, tracker, expected, writes: 0 };
    assert_eq!(drive(&mut machine, Goal::Move), Outcome::Moved);
    machine.write();
    assert_eq!(VG.with(|vg| vg.segments()[0].place.pv), PvIndex(1));
    assert!(machine.disks[1] == machine.expected, "the destination holds something else");
}
