//! Bit flips and zeroed sectors on all PVs but one, between the commits of a move.

use lvshift_checks::sim::rng::Rng;
use lvshift_core::metadata::FoundSlot;
use lvshift_frontend_common::error::Error;
use lvshift_frontend_common::vg::{Hold, OpenVg};
use lvshift_on_disk_format::{Label, LabelCopy};

use super::disk::{self, Disk, SECTOR, SLOTS};
use super::findings::Findings;
use super::history::{History, PVS, Step, same};

/// Bytes of a slot that the small VGs use.
const SLOT: usize = 8192;

/// What is changed on a PV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    None,
    /// This sector reads as zeroes.
    Zeroed(u64),
    /// This bit of this sector is the other.
    Flipped(u64, usize),
}

/// The sectors of a PV that hold anything.
fn sectors() -> Vec<u64> {
    let labels = LabelCopy::ALL.into_iter().flat_map(|copy| copy.start()..copy.start() + 8);
    let slots = SLOTS.into_iter().flat_map(|start| start..start + (SLOT / SECTOR) as u64);
    labels.chain(slots).collect()
}

impl Damage {
    fn to(self, disk: &mut Disk) {
        match self {
            Damage::None => {}
            Damage::Zeroed(sector) => disk.write(sector, &[0; SECTOR]),
            Damage::Flipped(sector, bit) => {
                let mut bytes = disk.raw(sector, SECTOR);
                bytes[bit / 8] ^= 1 << (bit % 8);
                disk.write(sector, &bytes);
            }
        }
    }
}

/// Every bit of both labels and both slots of every PV, one at a time, through the decoders: what is
/// damaged is not believed, what is believed is what was written.
pub(crate) fn every_bit(history: &History, step: &Step, findings: &mut Findings) {
    for (pv, disk) in step.after.iter().enumerate() {
        let broken = |findings: &mut Findings, what: &str, bit: usize| {
            findings.broken(|| {
                format!("{}, {}, PV {pv}: bit {bit} of {what}", history.name, step.name)
            });
        };
        for copy in LabelCopy::ALL {
            let mut bytes = disk.raw(copy.start(), Label::SIZE);
            for bit in 0..Label::SIZE * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                let found = bytes.first_chunk().map(Label::decode);
                bytes[bit / 8] ^= 1 << (bit % 8);
                if !matches!(found, Some(Err(_))) {
                    broken(findings, "a label is not noticed", bit);
                }
                findings.add("metadata-flips", 1);
            }
        }
        for start in SLOTS {
            let mut bytes = disk.raw(start, SLOT);
            let right = FoundSlot::read(&bytes);
            let used = match right {
                FoundSlot::Valid(header) => 4096 + header.payload_size as usize,
                _ => 4096,
            };
            for bit in 0..SLOT * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                let found = FoundSlot::read(&bytes);
                bytes[bit / 8] ^= 1 << (bit % 8);
                // What stands behind the payload means nothing.
                let fine = if bit / 8 < used {
                    matches!(found, FoundSlot::Bad(_))
                } else {
                    found == right
                };
                if !fine {
                    broken(findings, "a slot is not noticed", bit);
                }
                findings.add("metadata-flips", 1);
            }
        }
    }
}

/// Opens the VG of these disks as every command does.
fn open() -> Result<OpenVg, Error> {
    OpenVg::open("vg", Hold::Release)
}

/// The mapping is right whatever is damaged on these PVs; with `mend` also after the next commit.
fn opens(
    history: &History,
    step: &Step,
    damage: [(usize, Damage); 2],
    mend: bool,
    findings: &mut Findings,
) {
    let mut disks = step.after.clone();
    for (pv, what) in damage {
        what.to(&mut disks[pv]);
    }
    disk::show(disks);
    let say = |what: String| format!("{}, {}, {damage:?}: {what}", history.name, step.name);
    findings.add("metadata-damage-opened", 1);
    let mut vg = match open() {
        Ok(vg) if *vg.vg() == step.new && vg.missing().is_empty() => vg,
        Ok(_) => return findings.broken(|| say("opens with another mapping".into())),
        Err(error) => return findings.broken(|| say(format!("does not open: {error}"))),
    };
    if mend {
        let done = vg.commit(|_| Ok(())).and_then(|()| vg.commit(|_| Ok(()))).and_then(|()| open());
        match done {
            Ok(vg) if vg.health().is_sound() && same(vg.vg(), &step.new) => {
                findings.add("metadata-damage-mended", 1);
            }
            Ok(vg) => {
                let health = vg.health().clone();
                findings.broken(|| say(format!("two commits do not mend it: {health:?}")));
            }
            Err(error) => findings.broken(|| say(format!("two commits do not mend it: {error}"))),
        }
    }
}

/// Every zeroed sector on one PV, mended; every pair of them on each two PVs; a bit flipped on each of
/// two PVs, `flips` times at random.
pub(crate) fn whole(history: &History, step: &Step, flips: u64, findings: &mut Findings) {
    let sectors = sectors();
    let zeroed = || sectors.iter().map(|sector| Damage::Zeroed(*sector));
    for pv in 0..PVS {
        for one in zeroed() {
            opens(history, step, [(pv, one), (pv, Damage::None)], true, findings);
        }
    }
    let mut rng = Rng::new(step.new.sequence());
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        for one in zeroed() {
            for two in zeroed() {
                opens(history, step, [(a, one), (b, two)], false, findings);
            }
        }
        for _ in 0..flips / 3 {
            let mut flip = || Damage::Flipped(rng.pick(&sectors), rng.index(SECTOR * 8));
            let (one, two) = (flip(), flip());
            opens(history, step, [(a, one), (b, two)], false, findings);
        }
    }
}

/// Every bit of one PV, the VG opened each time.
pub(crate) fn every_bit_opened(history: &History, step: &Step, pv: usize, findings: &mut Findings) {
    for sector in sectors() {
        for bit in 0..SECTOR * 8 {
            let damage = [(pv, Damage::Flipped(sector, bit)), (pv, Damage::None)];
            opens(history, step, damage, false, findings);
        }
    }
}
