//! Reads what makes a device a PV: two label copies, two metadata slots.

use lvshift_core::metadata::{Found, FoundSlot, Name};
use lvshift_core::units::{Sectors, Uuid};
use lvshift_on_disk_format::payload::Payload;
use lvshift_on_disk_format::{Label, LabelCopy, LabelError, SlotHeader, SlotIndex, slot};

use crate::device::{Aligned, BlockDevice};
use crate::error::{Error, Kind, Result};
use crate::signature;

/// What a device is.
pub(super) enum Probe {
    /// No PV, and nothing that looks like one.
    Nothing,
    /// A PV: its label, and what is wrong with it although it can be used.
    Pv(Box<Label>, Vec<String>),
    /// It looks like a PV and must not be used.
    Refused(Error),
}

/// Reads the labels.
pub(super) fn labels(device: &BlockDevice) -> Probe {
    let copies = LabelCopy::ALL.map(|copy| (copy, read_label(device, copy)));
    let [(_, first), (_, second)] = &copies;
    let is_none = |read: &ReadLabel| {
        matches!(
            read,
            ReadLabel::Bad(LabelError::Blank | LabelError::NotALabel) | ReadLabel::Unread
        )
    };
    if is_none(first) && is_none(second) {
        return Probe::Nothing;
    }
    let refuse = |kind, what: String| {
        Probe::Refused(
            Error::new(kind, what).device(device.path().display()).state("nothing was changed"),
        )
    };
    for (copy, read) in &copies {
        if let ReadLabel::Bad(
            error
            @ (LabelError::UnsupportedFeatures { .. } | LabelError::UnsupportedVersion { .. }),
        ) = read
        {
            return refuse(Kind::Unsupported, format!("{}: {error}", place(*copy)));
        }
    }
    if let (ReadLabel::Good(_), Ok(Some(whole))) = (first, signature::part_of(device)) {
        let what = format!("it is a part of {whole}: the PV is inside that, not here");
        return refuse(Kind::Damaged, what);
    }
    match (first, second) {
        (ReadLabel::Good(one), ReadLabel::Good(two)) => {
            if one.pv() != two.pv() {
                return refuse(Kind::Damaged, "the two label copies name different PVs".into());
            }
            if one.geometry() == two.geometry() {
                return Probe::Pv(Box::new(*one), Vec::new());
            }
            match smaller(one, two) {
                Some(label) => Probe::Pv(
                    Box::new(label),
                    vec!["the label copies differ in size: pvresize was cut short".to_owned()],
                ),
                None => refuse(Kind::Damaged, "the two label copies name different areas".into()),
            }
        }
        (ReadLabel::Good(label), bad) => {
            Probe::Pv(Box::new(*label), vec![complaint(LabelCopy::Second, bad)])
        }
        (bad, ReadLabel::Good(label)) => {
            // Another program may have made something else of the device; the second copy survives that.
            let foreign = signature::find(device).unwrap_or_default();
            match foreign.iter().find(|found| !found.name.starts_with("lvshift")) {
                Some(found) => refuse(
                    Kind::Damaged,
                    format!("{} stands where the first label of a PV was", found.name),
                ),
                None => Probe::Pv(Box::new(*label), vec![complaint(LabelCopy::First, bad)]),
            }
        }
        (one, two) => refuse(
            Kind::Damaged,
            format!("{}; {}", complaint(LabelCopy::First, one), complaint(LabelCopy::Second, two)),
        ),
    }
}

/// Whether neither place of a label can be read.
pub(super) fn is_unreadable(device: &BlockDevice) -> bool {
    LabelCopy::ALL.iter().all(|copy| matches!(read_label(device, *copy), ReadLabel::Unread))
}

/// Of two labels that differ in the size of their device and in nothing else, the one that claims less.
fn smaller(one: &Label, two: &Label) -> Option<Label> {
    let (a, b) = (one.geometry(), two.geometry());
    let alike = a.with_device_size(b.device_size()).is_ok_and(|resized| resized == b);
    alike.then_some(if a.device_size() < b.device_size() { *one } else { *two })
}

enum ReadLabel {
    Good(Label),
    Bad(LabelError),
    /// A good label of the other copy: it was moved here.
    Moved,
    Unread,
}

fn read_label(device: &BlockDevice, copy: LabelCopy) -> ReadLabel {
    let mut bytes = Aligned::zeroed(Label::SIZE);
    if device.read(Sectors(copy.start()), &mut bytes).is_err() {
        return ReadLabel::Unread;
    }
    let Some(bytes) = bytes.first_chunk() else { return ReadLabel::Unread };
    match Label::decode(bytes) {
        Ok(label) if label.copy() == copy => ReadLabel::Good(label),
        Ok(_) => ReadLabel::Moved,
        Err(error) => ReadLabel::Bad(error),
    }
}

fn place(copy: LabelCopy) -> String {
    let which = match copy {
        LabelCopy::First => "first",
        LabelCopy::Second => "second",
    };
    format!("{which} label copy (sectors {}-{})", copy.start(), copy.start() + 7)
}

fn complaint(copy: LabelCopy, read: &ReadLabel) -> String {
    let what = match read {
        ReadLabel::Good(_) => "is good".to_owned(),
        ReadLabel::Bad(error) => error.to_string(),
        ReadLabel::Moved => "it is the other copy".to_owned(),
        ReadLabel::Unread => "it cannot be read".to_owned(),
    };
    format!("{}: {what}", place(copy))
}

/// A VG as a slot names it: UUID, name, sequence number.
pub(crate) type VgName = (Uuid, String, u64);

/// What the slots hold, the VG that the newest names, and complaints.
pub(crate) struct Slots {
    pub(crate) found: Found,
    pub(crate) vg: Option<VgName>,
    pub(crate) complaints: Vec<String>,
}

/// Reads both slots.
pub(crate) fn slots(device: &BlockDevice, label: &Label) -> Slots {
    let pv = label.pv();
    let mut found = Found { pv, slots: [FoundSlot::Blank; 2] };
    let mut vg: Option<VgName> = None;
    let mut complaints = Vec::new();
    for (at, index) in SlotIndex::ALL.into_iter().enumerate() {
        let area = label.geometry().slot(index);
        let what = match read_slot(device, label, index) {
            Ok(bytes) => {
                let what = FoundSlot::read(&bytes);
                match what {
                    FoundSlot::Valid(header) => {
                        let newer =
                            vg.as_ref().is_none_or(|(.., sequence)| header.sequence > *sequence);
                        if let Some(name) = vg_name(&bytes)
                            && header.pv == pv
                            && newer
                        {
                            vg = Some((header.vg, name, header.sequence));
                        }
                    }
                    FoundSlot::Bad(Some(error)) => complaints.push(format!(
                        "metadata slot {at} (sectors {}-{}): {error}",
                        area.start,
                        area.start + area.size - 1
                    )),
                    FoundSlot::Blank | FoundSlot::Bad(None) => {}
                }
                what
            }
            Err(error) => {
                complaints.push(format!("metadata slot {at}: {}", error.what));
                FoundSlot::Bad(None)
            }
        };
        if let Some(slot) = found.slots.get_mut(at) {
            *slot = what;
        }
    }
    Slots { found, vg, complaints }
}

fn vg_name(bytes: &[u8]) -> Option<String> {
    let (_, payload) = slot::open(bytes).ok()??;
    let payload = Payload::decode(payload).ok()?;
    // It is printed and becomes a path: only what the metadata themselves would be taken with.
    let name = std::str::from_utf8(payload.vg.name.as_bytes()).ok()?;
    Name::new(name).ok().map(|name| name.as_str().to_owned())
}

/// What is read of a slot at once: most metadata end before it. A command reads slots dozens of times,
/// and each read is a wait for the disk.
const FIRST_READ: u64 = 16 << 10;

/// The bytes of a slot: all that mean something by its header, perhaps more.
pub(crate) fn read_slot(device: &BlockDevice, label: &Label, index: SlotIndex) -> Result<Aligned> {
    let area = label.geometry().slot(index);
    let first = usize::try_from(FIRST_READ.min(area.size * 512)).unwrap_or(SlotHeader::SIZE);
    let mut head = Aligned::zeroed(first);
    if device.read(Sectors(area.start), &mut head).is_err() {
        // What cannot be read may lie behind what means something.
        head = Aligned::zeroed(SlotHeader::SIZE);
        device.read(Sectors(area.start), &mut head)?;
    }
    let header = head.first_chunk().map(SlotHeader::decode);
    let Some(Ok(Some(header))) = header else { return Ok(head) };
    let wanted = SlotHeader::SIZE as u64 + u64::from(header.payload_size);
    let size = wanted.next_multiple_of(4096).min(area.size * 512);
    if size <= head.len() as u64 {
        return Ok(head);
    }
    let mut all = Aligned::zeroed(usize::try_from(size).unwrap_or(SlotHeader::SIZE));
    device.read(Sectors(area.start), &mut all)?;
    Ok(all)
}
