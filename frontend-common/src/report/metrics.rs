//! `metrics`: what is known of VGs and moves as Prometheus text, in base units (bytes, ratios of none).
//! The format: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write as _;

use lvshift_core::metadata::MoveState;
use lvshift_core::units::{Extents, Uuid};

mod counted;

use super::{Facts, VgFacts};
use crate::counted::Counted;
use crate::device::sysfs::{self, Stat};
use crate::front_end::CopyStatus;

/// One metric: its name, what it tells, and its samples.
struct Metric {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    samples: Vec<Sample>,
}

struct Sample {
    /// What follows the name, in a histogram.
    suffix: &'static str,
    labels: String,
    value: String,
}

impl Sample {
    fn new(labels: String, value: impl ToString) -> Sample {
        Sample { suffix: "", labels, value: value.to_string() }
    }
}

/// What there is to tell of one recorded move, in a VG of either kind.
#[derive(Clone, Debug)]
pub struct MoveSample {
    /// Its VG.
    pub vg: String,
    /// It.
    pub of: Uuid,
    /// Paths of the PVs, with blanks between.
    pub source: String,
    /// Paths of the PVs, with blanks between.
    pub destination: String,
    /// As recorded.
    pub state: MoveState,
    /// A process carries it on.
    pub driven: bool,
    /// What it moves.
    pub bytes: u64,
    /// How far it is, where that can be said.
    pub copy: Option<CopyStatus>,
}

/// What the kernel has counted of an LV's requests.
#[derive(Clone, Debug)]
pub struct LvSample {
    /// Its VG.
    pub vg: String,
    /// Its name.
    pub lv: String,
    /// The counts.
    pub stat: Stat,
}

/// The states of a move, each a sample of its own that is 0 or 1.
const STATES: &[(MoveState, &str)] = &[
    (MoveState::Queued, "queued"),
    (MoveState::Copying, "copying"),
    (MoveState::Moved, "moved"),
    (MoveState::Aborting, "aborting"),
];

/// The whole text.
#[must_use]
pub fn metrics(
    facts: &Facts<'_>,
    moves: &[MoveSample],
    lvs: &[LvSample],
    counted: &[(String, Counted)],
) -> String {
    let mut text = String::new();
    let of_kernel =
        of_vgs(facts, moves).into_iter().chain(of_moves(moves)).chain(of_lvs(facts, lvs));
    for metric in of_kernel.chain(counted::metrics(facts, counted)) {
        let Metric { name, help, kind, samples } = metric;
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for Sample { suffix, labels, value } in samples {
            let _ = writeln!(text, "{name}{suffix}{{{labels}}} {value}");
        }
    }
    text
}

fn gauge(
    name: &'static str,
    help: &'static str,
    samples: impl IntoIterator<Item = (String, u64)>,
) -> Metric {
    let samples = samples.into_iter().map(|(labels, value)| Sample::new(labels, value)).collect();
    Metric { name, help, kind: "gauge", samples }
}

fn of_vgs(facts: &Facts<'_>, moves: &[MoveSample]) -> Vec<Metric> {
    let per_vg = |value: &dyn Fn(&VgFacts<'_>) -> u64| -> Vec<(String, u64)> {
        facts.vgs.iter().map(|vg| (label("vg", vg.vg.name().as_str()), value(vg))).collect()
    };
    let of_pvs = |vg: &VgFacts<'_>, of: &dyn Fn(lvshift_core::units::PvIndex) -> Extents| {
        vg.pv_indices().map(|pv| bytes(vg, of(pv))).sum()
    };
    let mut driven = per_vg(&|vg| u64::from(vg.driven || vg.vg.moves().is_empty()));
    // Of VGs of LVM2's only those with moves are known.
    for (labels, value) in moves.iter().map(|one| (label("vg", &one.vg), u64::from(one.driven))) {
        if !driven.iter().any(|(known, _)| *known == labels) {
            driven.push((labels, value));
        }
    }
    vec![
        gauge(
            "lvshift_vg_size_bytes",
            "Bytes of all extents of the VG.",
            per_vg(&|vg| of_pvs(vg, &|pv| vg.vg.pv(pv).map_or(Extents(0), |pv| pv.pe_count))),
        ),
        gauge(
            "lvshift_vg_free_bytes",
            "Bytes of the extents that no LV and no move has.",
            per_vg(&|vg| of_pvs(vg, &|pv| vg.vg.free_extents(pv))),
        ),
        gauge(
            "lvshift_vg_missing_pvs",
            "PVs of the VG that are not there.",
            per_vg(&|vg| vg.pv_indices().filter(|pv| vg.is_missing(*pv)).count() as u64),
        ),
        gauge(
            "lvshift_vg_active_lvs",
            "LVs of the VG that have a device.",
            per_vg(&|vg| vg.active.iter().flatten().count() as u64),
        ),
        gauge(
            "lvshift_vg_moves_driven",
            "1 if a process carries the moves of the VG on, or none is recorded; 0 if one waits.",
            driven,
        ),
    ]
}

fn of_moves(moves: &[MoveSample]) -> Vec<Metric> {
    let mut size = Vec::new();
    let mut copied = Vec::new();
    let mut failed = Vec::new();
    let mut states = Vec::new();
    for one in moves {
        let labels = format!(
            "{},{},{},{}",
            label("vg", &one.vg),
            label("move", &one.of.to_string()),
            label("source", &one.source),
            label("destination", &one.destination),
        );
        size.push((labels.clone(), one.bytes));
        if let Some(copy) = one.copy {
            copied.push((labels.clone(), copy.bytes_done));
            failed.push((labels.clone(), u64::from(copy.failed.is_some())));
        }
        for (state, word) in STATES {
            let labels = format!("{labels},{}", label("state", word));
            states.push((labels, u64::from(one.state == *state)));
        }
    }
    vec![
        gauge("lvshift_move_size_bytes", "Bytes that the move moves.", size),
        gauge(
            "lvshift_move_copied_bytes",
            "Bytes that are equal on both sides, only while it copies and its devices are there. \
             deriv() of it is the rate.",
            copied,
        ),
        gauge(
            "lvshift_move_failed",
            "1 if a side of the move has failed, which undoes it.",
            failed,
        ),
        gauge(
            "lvshift_move_state",
            "1 for the recorded state of the move, 0 for the others.",
            states,
        ),
    ]
}

/// What the kernel counts: a rate of the seconds over that of the requests is the mean latency.
fn of_lvs(facts: &Facts<'_>, others: &[LvSample]) -> Vec<Metric> {
    let mut all = others.to_vec();
    for vg in &facts.vgs {
        for (lv, active) in vg.vg.lvs().iter().zip(&vg.active) {
            let stat = active.as_ref().and_then(|active| sysfs::stat(active.number));
            let names = (vg.vg.name().as_str().to_owned(), lv.name.as_str().to_owned());
            all.extend(stat.map(|stat| LvSample { vg: names.0, lv: names.1, stat }));
        }
    }
    let counter = |name, help, value: &dyn Fn(&Stat) -> String| {
        let labels = |one: &LvSample| format!("{},{}", label("vg", &one.vg), label("lv", &one.lv));
        let samples = all.iter().map(|one| Sample::new(labels(one), value(&one.stat))).collect();
        Metric { name, help, kind: "counter", samples }
    };
    let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
    vec![
        counter("lvshift_lv_reads_total", "Reads that the LV has answered.", &|stat| {
            stat.reads.to_string()
        }),
        counter("lvshift_lv_read_seconds_total", "What they took together.", &|stat| {
            seconds(stat.read_ms)
        }),
        counter("lvshift_lv_writes_total", "Writes that the LV has answered.", &|stat| {
            stat.writes.to_string()
        }),
        counter("lvshift_lv_write_seconds_total", "What they took together.", &|stat| {
            seconds(stat.write_ms)
        }),
    ]
}

fn bytes(vg: &VgFacts<'_>, extents: Extents) -> u64 {
    vg.vg.extent_size().span(extents).bytes().unwrap_or(u64::MAX)
}

fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}
