//! What the tests of this module share: small VGs, and a random generator that needs no crate.

extern crate std;

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use super::{Area, LvError, MoveRequest, Name, Place, PlanError, Planned, Policy, Pv, Run};
use crate::heap::Vg;
use crate::units::{ExtentSize, Extents, LvIndex, Pe, PvIndex, Sectors, Uuid};

pub(super) const SLOT: usize = 1 << 20;

/// A UUID that is not zero.
pub(super) fn uuid(number: u64) -> Uuid {
    let mut bytes = [0xA5; 16];
    bytes[8..].copy_from_slice(&number.to_le_bytes());
    Uuid(bytes)
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(super) fn run(pv: u16, pe: u32, count: u32) -> Run {
    Run { place: Place { pv: PvIndex(pv), pe: Pe(pe) }, count: Extents(count) }
}

pub(super) fn area(pv: u16, first: u32, count: u32) -> Area {
    Area { pv: PvIndex(pv), first: Pe(first), count: Extents(count) }
}

pub(super) fn whole(pv: u16) -> Area {
    Area::whole(PvIndex(pv))
}

pub(super) fn pv(number: u64, extent_size: ExtentSize, pe_count: u32) -> Pv {
    let pe_start = Sectors(16_384);
    Pv {
        uuid: uuid(1000 + number),
        device_size: Sectors(pe_start.0 + extent_size.span(Extents(pe_count)).0),
        pe_start,
        pe_count: Extents(pe_count),
        log_start: Sectors(8192),
        log_size: Sectors(8192),
        behind: None,
        leaving: false,
    }
}

/// A VG with extents of 4 MiB and PVs of so many extents.
pub(super) fn vg(pe_counts: &[u32]) -> Box<Vg> {
    let mut vg = Box::new(Vg::empty());
    vg.create(uuid(1), name("vg"), ExtentSize::DEFAULT);
    vg.bump();
    for (number, &count) in pe_counts.iter().enumerate() {
        vg.add_pv(pv(number as u64, ExtentSize::DEFAULT, count)).unwrap();
    }
    vg.validate().unwrap();
    vg
}

pub(super) fn add_lv(vg: &mut Vg, text: &str, runs: &[Run]) -> LvIndex {
    let number = 2000 + text.bytes().fold(0, |sum, b| sum * 31 + u64::from(b));
    let lv = vg.add_lv(uuid(number), name(text), runs).unwrap();
    vg.validate().unwrap();
    lv
}

pub(super) fn request<'a>(sources: &'a [Area], destinations: &'a [Area]) -> MoveRequest<'a> {
    MoveRequest {
        command: uuid(77),
        sources,
        only_lv: None,
        destinations,
        policy: Policy::Inherit,
        atomic: false,
    }
}

/// Plans with fresh UUIDs, and checks that a refusal changes nothing.
pub(super) fn plan(vg: &mut Vg, request: &MoveRequest<'_>) -> Result<Planned, PlanError> {
    let before = Box::new(vg.clone());
    let mut next = 5000 + vg.moves().len() as u64 + vg.sequence() * 1000;
    let result = vg.plan(request, &mut || {
        next += 1;
        uuid(next)
    });
    vg.validate().unwrap();
    if result.is_err() {
        assert!(*before == *vg, "a refused plan changed the VG");
    }
    result
}

/// The VG's bytes for a PV.
pub(super) fn encoded(vg: &Vg, holder: Uuid) -> Vec<u8> {
    let mut slot = vec![0xEE; SLOT];
    let size = vg.encode(holder, &mut slot).unwrap();
    slot.truncate(size);
    slot
}

/// xorshift64*
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % bound.max(1)
    }
}

/// A random change; refusals are fine.
pub(super) fn random_change(vg: &mut Vg, rng: &mut Rng, serial: &mut u64) {
    use crate::metadata::Change;
    *serial += 1;
    let pvs = vg.pvs().len() as u64;
    let lvs = vg.lvs().len() as u64;
    let lv = LvIndex(rng.below(lvs) as u16);
    match rng.below(12) {
        0 => {
            let _ = vg.add_pv(pv(*serial, vg.extent_size(), 1 + rng.below(60) as u32));
        }
        1 => {
            let _ = vg.remove_pv(PvIndex(rng.below(pvs) as u16));
        }
        2..=4 => {
            let areas = [whole(rng.below(pvs) as u16), whole(rng.below(pvs) as u16)];
            let policy = [Policy::Normal, Policy::Contiguous, Policy::Cling, Policy::Anywhere]
                [rng.below(4) as usize];
            let grows = (rng.below(2) == 0 && lvs > 0).then_some(lv);
            let asked = super::AllocRequest {
                count: Extents(1 + rng.below(20) as u32),
                areas: &areas[..rng.below(3) as usize],
                avoid: &[area(0, 3, 2)],
                policy,
                grows,
            };
            if let Ok(runs) = vg.allocate(&asked) {
                let sum: u32 = runs.iter().map(|run| run.count.0).sum();
                assert_eq!(sum, asked.count.0);
                let done: Result<(), LvError> = match grows {
                    Some(lv) => vg.extend_lv(lv, &runs),
                    None => {
                        let text = std::format!("lv{serial}");
                        vg.add_lv(uuid(*serial + 100_000), name(&text), &runs).map(|_| ())
                    }
                };
                done.unwrap();
            }
        }
        5 => {
            let _ = vg.remove_lv(lv);
        }
        6 => {
            let _ = vg.rename_lv(lv, name(&std::format!("renamed{serial}")));
        }
        7 | 8 => {
            let first = rng.below(30) as u32;
            let source = rng.below(pvs) as u16;
            let sources = [area(source, first, 1 + rng.below(40) as u32), area(source, 0, 3)];
            let destinations = [whole(rng.below(pvs) as u16)];
            let mut asked = request(&sources, &destinations[..rng.below(2) as usize]);
            asked.atomic = rng.below(2) == 0;
            asked.only_lv = (rng.below(3) == 0).then_some(lv);
            asked.policy =
                [Policy::Normal, Policy::Anywhere, Policy::Contiguous][rng.below(3) as usize];
            let base = *serial * 1_000_000;
            let mut given = 0;
            let _ = vg.plan(&asked, &mut || {
                given += 1;
                uuid(base + given)
            });
        }
        _ => {
            let Some(entry) = vg.moves().get(rng.below(vg.moves().len() as u64) as usize) else {
                return;
            };
            let change = [Change::Begin, Change::Moved, Change::Aborting, Change::Forget]
                [rng.below(4) as usize];
            let _ = vg.apply(entry.uuid, change);
        }
    }
}
