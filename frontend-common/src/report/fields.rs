//! What can be shown of a row, under LVM's names and headings.

use lvshift_core::metadata::MoveState;
use lvshift_core::units::Extents;

use super::Value;
use super::rows::Row;

mod lv;
mod pv;
mod segment;
mod vg;

/// What a field is about; decides what one row of the report stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Pv,
    Vg,
    Lv,
    /// A segment of an LV.
    Segment,
    /// A run of extents of a PV.
    Run,
}

/// One field.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) heading: &'static str,
    pub(super) class: Class,
    pub(super) about: &'static str,
    pub(super) get: fn(&Row<'_>) -> Value,
}

const fn field(
    class: Class,
    name: &'static str,
    heading: &'static str,
    about: &'static str,
    get: fn(&Row<'_>) -> Value,
) -> Field {
    Field { name, heading, class, about, get }
}

fn empty(_: &Row<'_>) -> Value {
    Value::Empty
}

fn or_empty(value: Option<Value>) -> Value {
    value.unwrap_or(Value::Empty)
}

/// The state of a move in a word.
pub(crate) fn state_word(state: MoveState, driven: bool) -> &'static str {
    match (state, driven) {
        (MoveState::Queued, _) => "queued",
        (MoveState::Copying, true) => "copying",
        (MoveState::Copying, false) => "interrupted",
        (MoveState::Aborting, _) => "aborting",
        (MoveState::Moved, _) => "finishing",
    }
}

fn sum(extents: impl Iterator<Item = Extents>) -> u64 {
    extents.map(|e| u64::from(e.0)).sum()
}

use Class::{Lv, Pv, Run, Segment, Vg};

/// Every field there is.
#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    field(Pv, "pv_name", "PV", "the device", pv::name),
    field(Pv, "pv_fmt", "Fmt", "the format of the metadata", pv::format),
    field(Pv, "pv_attr", "Attr", "a: extents can be allocated; m: missing", pv::attr),
    field(Pv, "pv_size", "PSize", "the size that can be allocated", pv::size),
    field(Pv, "pv_free", "PFree", "what of it is free", pv::free),
    field(Pv, "pv_used", "Used", "what of it is used", pv::used),
    field(Pv, "pv_uuid", "PV UUID", "its name for ever", pv::uuid),
    field(Pv, "pv_pe_count", "PE", "how many extents it has", pv::pe_count),
    field(Pv, "pv_pe_alloc_count", "Alloc", "how many of them are used", pv::pe_alloc_count),
    field(Pv, "pe_start", "1st PE", "where the first extent starts on the device", pv::pe_start),
    field(Pv, "dev_size", "DevSize", "the size of the device", pv::dev_size),
    field(Pv, "pv_major", "Maj", "the device's major number", pv::major),
    field(Pv, "pv_minor", "Min", "the device's minor number", pv::minor),
    field(Pv, "pv_missing", "Missing", "`missing` if the device was not found", pv::missing),
    field(Pv, "pv_in_use", "PInUse", "`used` if a VG has it", pv::in_use),
    field(Pv, "pv_allocatable", "Allocatable", "`allocatable` if a VG has it", pv::allocatable),
    field(Pv, "pv_exported", "Exported", "nothing: no VG is exported", |_| Value::Word(None)),
    field(Pv, "pv_duplicate", "Duplicate", "nothing: duplicates are refused", |_| Value::Word(None)),
    field(Pv, "pv_device_id", "DeviceID", "nothing: devices go by their labels", empty),
    field(Pv, "pv_mda_count", "#PMda", "2: how often the metadata are on it", |_| Value::Number(2)),
    field(Pv, "pv_tags", "PV Tags", "nothing: there are no tags here", empty),

    field(Vg, "vg_name", "VG", "its name", vg::name),
    field(Vg, "vg_fmt", "Fmt", "the format of the metadata", vg::format),
    field(Vg, "vg_attr", "Attr", "w writable, z resizable, p partial, n normal allocation", vg::attr),
    field(Vg, "vg_size", "VSize", "the size of all PVs", vg::size),
    field(Vg, "vg_free", "VFree", "what of it is free", vg::free),
    field(Vg, "vg_uuid", "VG UUID", "its name for ever", vg::uuid),
    field(Vg, "vg_seqno", "Seq", "rises with every change", vg::seqno),
    field(Vg, "vg_extent_size", "Ext", "the size of an extent", vg::extent_size),
    field(Vg, "vg_extent_count", "#Ext", "how many extents it has", vg::extent_count),
    field(Vg, "vg_free_count", "Free", "how many of them are free", vg::free_count),
    field(Vg, "pv_count", "#PV", "how many PVs", vg::pv_count),
    field(Vg, "vg_missing_pv_count", "#PV Missing", "how many PVs were not found", vg::missing_count),
    field(Vg, "lv_count", "#LV", "how many LVs", vg::lv_count),
    field(Vg, "snap_count", "#SN", "0: there are no snapshots here", |r| or_empty(r.vg.map(|_| Value::Number(0)))),
    field(Vg, "max_pv", "MaxPV", "how many PVs there can be", |_| Value::number(lvshift_core::limits::MAX_PVS)),
    field(Vg, "max_lv", "MaxLV", "how many LVs there can be", |_| Value::number(lvshift_core::limits::MAX_LVS)),
    field(Vg, "vg_mda_count", "#VMda", "on how many PVs its metadata is", vg::pv_count),
    field(Vg, "vg_move_count", "#Move", "how many moves are recorded", vg::move_count),
    field(Vg, "vg_permissions", "VPerms", "writeable", |r| or_empty(r.vg.map(|_| Value::text("writeable")))),
    field(Vg, "vg_extendable", "Extendable", "`extendable`", |r| Value::Word(r.vg.map(|_| "extendable"))),
    field(Vg, "vg_exported", "Exported", "nothing: no VG is exported", |_| Value::Word(None)),
    field(Vg, "vg_partial", "Partial", "`partial` if a PV is missing", vg::partial),
    field(Vg, "vg_allocation_policy", "AllocPol", "normal", |r| or_empty(r.vg.map(|_| Value::text("normal")))),
    field(Vg, "vg_clustered", "Clustered", "nothing: a VG is one host's", |_| Value::Word(None)),
    field(Vg, "vg_shared", "Shared", "nothing: a VG is one host's", |_| Value::Word(None)),
    field(Vg, "vg_lock_type", "VLockType", "none", |r| or_empty(r.vg.map(|_| Value::text("none")))),
    field(Vg, "vg_systemid", "System ID", "the host that it belongs to", vg::system_id),
    field(Vg, "vg_autoactivation", "Auto", "`enabled` if it is activated at boot", vg::autoactivation),
    field(Vg, "vg_profile", "VProfile", "nothing: there are no profiles here", empty),
    field(Vg, "vg_tags", "VG Tags", "nothing: there are no tags here", empty),

    field(Lv, "lv_name", "LV", "its name; helper devices of moves in brackets", lv::name),
    field(Lv, "lv_full_name", "LV", "VG/LV", lv::full_name),
    field(Lv, "lv_attr", "Attr", "LVM's ten letters; p: helper of a move, I: being moved", lv::attr),
    field(Lv, "lv_size", "LSize", "its size", lv::size),
    field(Lv, "lv_uuid", "LV UUID", "its name for ever", lv::uuid),
    field(Lv, "lv_path", "Path", "the link to its device", lv::path),
    field(Lv, "lv_dm_path", "DMPath", "its device-mapper node", lv::dm_path),
    field(Lv, "lv_layout", "Layout", "linear", lv::layout),
    field(Lv, "lv_role", "Role", "public, or private for helper devices", lv::role),
    field(Lv, "lv_autoactivation", "Auto", "`enabled` if it is activated at boot with its VG", lv::autoactivation),
    field(Lv, "lv_active", "Active", "`active` if it has a device", lv::active),
    field(Lv, "lv_active_locally", "ActLocal", "`active locally` if it has a device", lv::active_locally),
    field(Lv, "lv_permissions", "LPerms", "writeable", |r| or_empty(r.lv.map(|_| Value::text("writeable")))),
    field(Lv, "lv_allocation_policy", "AllocPol", "inherit", |r| or_empty(r.lv.map(|_| Value::text("inherit")))),
    field(Lv, "lv_read_ahead", "Rahead", "auto", |r| or_empty(r.lv.map(|_| Value::text("auto")))),
    field(Lv, "lv_skip_activation", "SkipAct", "nothing: no LV is skipped", |_| Value::Word(None)),
    field(Lv, "lv_time", "CTime", "nothing: it is not remembered", empty),
    field(Lv, "lv_host", "Host", "nothing: it is not remembered", empty),
    field(Lv, "lv_modules", "Modules", "nothing", empty),
    field(Lv, "lv_device_open", "DevOpen", "`open` if its device is open", lv::open),
    field(Lv, "lv_suspended", "Suspended", "`suspended` if its I/O is stopped", lv::suspended),
    field(Lv, "lv_kernel_major", "KMaj", "its device's major number, or -1", lv::kernel_major),
    field(Lv, "lv_kernel_minor", "KMin", "its device's minor number, or -1", lv::kernel_minor),
    field(Lv, "lv_health_status", "Health", "`partial` if a PV of it is missing", lv::health),
    field(Lv, "lv_parent", "Parent", "the LV that a helper device serves", lv::parent),
    field(Lv, "seg_count", "#Seg", "how many segments", lv::seg_count),
    field(Lv, "pool_lv", "Pool", "nothing: there are no pools here", empty),
    field(Lv, "origin", "Origin", "nothing: there are no snapshots here", empty),
    field(Lv, "origin_uuid", "Origin UUID", "nothing: there are no snapshots here", empty),
    field(Lv, "origin_size", "OSize", "nothing: there are no snapshots here", empty),
    field(Lv, "snap_percent", "Snap%", "nothing: there are no snapshots here", empty),
    field(Lv, "pool_lv_uuid", "Pool UUID", "nothing: there are no pools here", empty),
    field(Lv, "data_lv", "Data", "nothing: there are no pools here", empty),
    field(Lv, "metadata_lv", "Meta", "nothing: there are no pools here", empty),
    field(Lv, "lv_metadata_size", "MSize", "nothing: there are no pools here", empty),
    field(Lv, "raid_sync_action", "SyncAction", "nothing: there is no RAID here", empty),
    field(Lv, "raid_mismatch_count", "Mismatches", "nothing: there is no RAID here", empty),
    field(Lv, "data_percent", "Data%", "nothing: there are no pools here", empty),
    field(Lv, "metadata_percent", "Meta%", "nothing: there are no pools here", empty),
    field(Lv, "move_pv", "Move", "the PVs that extents of it are moved from", lv::move_pv),
    field(Lv, "move_to", "Move To", "the PVs that extents of it are moved to", lv::move_to),
    field(Lv, "move_state", "MState", "queued, copying, interrupted, aborting, finishing", lv::move_state),
    field(Lv, "mirror_log", "Log", "nothing: a move's logs are devices of their own", empty),
    field(Lv, "copy_percent", "Cpy%Sync", "how much of the move is copied", lv::copy_percent),
    field(Lv, "convert_lv", "Convert", "nothing: there is no conversion here", empty),
    field(Lv, "lv_tags", "LV Tags", "nothing: there are no tags here", empty),

    field(Segment, "segtype", "Type", "linear", segment::kind),
    field(Segment, "stripes", "#Str", "1", segment::stripes),
    field(Segment, "seg_start", "Start", "where it starts in the LV", segment::start),
    field(Segment, "seg_start_pe", "Start", "at which extent of the LV it starts", segment::start_pe),
    field(Segment, "seg_size", "SSize", "its size", segment::size),
    field(Segment, "seg_size_pe", "SSize", "how many extents", segment::size_pe),
    field(Segment, "seg_pe_ranges", "PE Ranges", "PV:first-last", segment::pe_ranges),
    field(Segment, "seg_le_ranges", "LE Ranges", "PV:first-last", segment::pe_ranges),
    field(Segment, "metadata_devices", "Metadata Devs", "nothing: there are no pools here", empty),
    field(Segment, "stripe_size", "Stripe", "0: LVs are linear", |r| or_empty(r.segment.map(|_| Value::Size(Default::default())))),
    field(Segment, "chunk_size", "Chunk", "0: LVs are linear", |r| or_empty(r.segment.map(|_| Value::Size(Default::default())))),
    field(Segment, "devices", "Devices", "PV(first extent)", segment::devices),

    field(Run, "pvseg_start", "Start", "the first extent", segment::run_start),
    field(Run, "pvseg_size", "SSize", "how many extents", segment::run_size),
];
