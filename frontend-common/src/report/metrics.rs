//! `metrics`: what is known of VGs and moves as Prometheus text, in base units (bytes, ratios of none).
//! The format: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write as _;

use lvshift_core::metadata::MoveState;
use lvshift_core::units::Extents;

use super::{Facts, VgFacts};

/// One metric: its name, what it tells, and its samples (labels, value).
struct Metric {
    name: &'static str,
    help: &'static str,
    samples: Vec<(String, u64)>,
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
pub fn metrics(facts: &Facts<'_>) -> String {
    let mut text = String::new();
    for metric in of_vgs(facts).into_iter().chain(of_moves(facts)) {
        let Metric { name, help, samples } = metric;
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{{{labels}}} {value}");
        }
    }
    text
}

fn of_vgs(facts: &Facts<'_>) -> Vec<Metric> {
    let per_vg = |value: &dyn Fn(&VgFacts<'_>) -> u64| {
        facts.vgs.iter().map(|vg| (label("vg", vg.vg.name().as_str()), value(vg))).collect()
    };
    let of_pvs = |vg: &VgFacts<'_>, of: &dyn Fn(lvshift_core::units::PvIndex) -> Extents| {
        vg.pv_indices().map(|pv| bytes(vg, of(pv))).sum()
    };
    vec![
        Metric {
            name: "lvshift_vg_size_bytes",
            help: "Bytes of all extents of the VG.",
            samples: per_vg(&|vg| {
                of_pvs(vg, &|pv| vg.vg.pv(pv).map_or(Extents(0), |pv| pv.pe_count))
            }),
        },
        Metric {
            name: "lvshift_vg_free_bytes",
            help: "Bytes of the extents that no LV and no move has.",
            samples: per_vg(&|vg| of_pvs(vg, &|pv| vg.vg.free_extents(pv))),
        },
        Metric {
            name: "lvshift_vg_missing_pvs",
            help: "PVs of the VG that are not there.",
            samples: per_vg(&|vg| vg.pv_indices().filter(|pv| vg.is_missing(*pv)).count() as u64),
        },
        Metric {
            name: "lvshift_vg_active_lvs",
            help: "LVs of the VG that have a device.",
            samples: per_vg(&|vg| vg.active.iter().flatten().count() as u64),
        },
        Metric {
            name: "lvshift_vg_moves_driven",
            help: "1 if a process carries the moves of the VG on, or none is recorded; 0 if one waits.",
            samples: per_vg(&|vg| u64::from(vg.driven || vg.vg.moves().is_empty())),
        },
    ]
}

fn of_moves(facts: &Facts<'_>) -> Vec<Metric> {
    let mut size = Vec::new();
    let mut copied = Vec::new();
    let mut failed = Vec::new();
    let mut states = Vec::new();
    for vg in &facts.vgs {
        for of in vg.move_indices() {
            let Some(record) = vg.vg.move_at(of) else { continue };
            let parts = vg.vg.parts_of(of);
            let labels = format!(
                "{},{},{},{}",
                label("vg", vg.vg.name().as_str()),
                label("move", &record.uuid.to_string()),
                label("source", &vg.side(parts.iter(), |part| part.source.pv).join(" ")),
                label("destination", &vg.side(parts.iter(), |part| part.destination.pv).join(" ")),
            );
            let extents = parts.iter().map(|part| part.count.0).sum();
            size.push((labels.clone(), bytes(vg, Extents(extents))));
            if let Some(copy) = vg.copy(of) {
                copied.push((labels.clone(), copy.bytes_done));
                failed.push((labels.clone(), u64::from(copy.failed.is_some())));
            }
            for (state, word) in STATES {
                let labels = format!("{labels},{}", label("state", word));
                states.push((labels, u64::from(record.state == *state)));
            }
        }
    }
    vec![
        Metric {
            name: "lvshift_move_size_bytes",
            help: "Bytes that the move moves.",
            samples: size,
        },
        Metric {
            name: "lvshift_move_copied_bytes",
            help: "Bytes that are equal on both sides; only while it copies and its devices are there.",
            samples: copied,
        },
        Metric {
            name: "lvshift_move_failed",
            help: "1 if a side of the move has failed, which undoes it.",
            samples: failed,
        },
        Metric {
            name: "lvshift_move_state",
            help: "1 for the recorded state of the move, 0 for the others.",
            samples: states,
        },
    ]
}

fn bytes(vg: &VgFacts<'_>, extents: Extents) -> u64 {
    vg.vg.extent_size().span(extents).bytes().unwrap_or(u64::MAX)
}

fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}
