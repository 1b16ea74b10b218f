//! Progress for programs. docs/json.md describes each field.

use std::time::Duration;

use lvshift_core::Leg;
use lvshift_core::mover::Outcome;
use serde::Serialize;

use super::Bad;
use super::lines::{Summary, percent};
use crate::drive::{MoveReport, Progress};
use crate::front_end::BadPlace;
use crate::report::ErrorJson;

/// One line of `--json`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
#[expect(missing_docs, reason = "docs/json.md documents each field for those who read them")]
pub enum Event<'a> {
    /// The moves of a command are recorded on disk.
    Planned { vg: &'a str, moves: usize, bytes_total: u64, background: bool },
    /// Every sector that is to move was read once, before anything was changed.
    Checked {
        bytes_total: u64,
        seconds: f64,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        bad_places: Vec<BadPlaceJson<'a>>,
    },
    /// A move begins or is taken up again.
    Started { r#move: String, again: bool, from: &'a [String], to: &'a [String] },
    /// A move that is watched is in another state than before.
    State { r#move: String, state: &'static str },
    /// The copy went on.
    Progress {
        r#move: String,
        number: usize,
        count: usize,
        bytes_done: u64,
        bytes_total: u64,
        percent: f64,
        bytes_per_second: Option<u64>,
        seconds_left: Option<u64>,
        seconds_left_with_bad: Option<u64>,
        bytes_safe: u64,
        bytes_left: u64,
        bytes_aside: u64,
        areas_aside: u64,
        bytes_bad: u64,
        areas_bad: u64,
        bytes_stay: u64,
    },
    /// With `--watch`: which chunks of a move are equal.
    Chunks { r#move: String, chunks: usize, equal: usize, map: &'a str },
    /// With `--map`: what a disk that is being left looks like.
    Map { device: &'a str, extents: usize, map: &'a str },
    /// A sentence worth reading.
    Note { text: &'a str },
    /// A move ended.
    Ended {
        r#move: String,
        outcome: &'static str,
        bytes_total: u64,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        bad_places: Vec<BadPlaceJson<'a>>,
    },
    /// What stays since it cannot be read, or was given up for that reason.
    Unreadable {
        given_up: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        list: Option<String>,
        places: Vec<UnreadableJson<'a>>,
    },
    /// The command ended.
    Finished {
        outcome: &'static str,
        bytes_moved: u64,
        bytes_copied: u64,
        seconds: f64,
        bytes_per_second: Option<u64>,
    },
    /// A failure, as people see it on stderr.
    Error {
        #[serde(flatten)]
        error: Option<ErrorJson>,
    },
}

/// Sectors of a source that cannot be read.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/json.md documents each field for those who read them")]
pub struct UnreadableJson<'a> {
    pub device: &'a str,
    pub device_first_sector: u64,
    pub device_last_sector: u64,
    pub lv: &'a str,
    pub lv_first_sector: u64,
    pub lv_last_sector: u64,
    pub error: &'a str,
    pub file: Option<&'a str>,
}

/// Sectors that could not be read or written.
#[derive(Debug, Serialize)]
pub struct BadPlaceJson<'a> {
    leg: &'static str,
    pv: String,
    device_first_sector: u64,
    device_last_sector: u64,
    lv: String,
    lv_first_sector: u64,
    lv_last_sector: u64,
    error: &'a str,
}

impl<'a> BadPlaceJson<'a> {
    fn new(bad: &'a BadPlace) -> BadPlaceJson<'a> {
        BadPlaceJson {
            leg: match bad.leg {
                Leg::Source => "source",
                Leg::Destination => "destination",
            },
            pv: bad.pv.to_string(),
            device_first_sector: bad.device_sectors.start,
            device_last_sector: bad.device_sectors.end.saturating_sub(1),
            lv: bad.lv.to_string(),
            lv_first_sector: bad.lv_sectors.start,
            lv_last_sector: bad.lv_sectors.end.saturating_sub(1),
            error: &bad.error,
        }
    }
}

impl<'a> Event<'a> {
    pub(super) fn progress(progress: &Progress, bad: Bad) -> Event<'static> {
        Event::Progress {
            r#move: progress.of.to_string(),
            number: progress.number,
            count: progress.count,
            bytes_done: progress.bytes_done,
            bytes_total: progress.bytes_total,
            percent: percent(progress.bytes_done, progress.bytes_total),
            bytes_per_second: progress.rate.map(|rate| rate as u64),
            seconds_left: progress.left.map(|left| left.as_secs()),
            seconds_left_with_bad: progress.left_with_bad.map(|left| left.as_secs()),
            bytes_safe: progress.bytes_done,
            bytes_left: progress.bytes_left(),
            bytes_aside: progress.aside.bytes,
            areas_aside: progress.aside.areas,
            bytes_bad: bad.bytes,
            areas_bad: bad.areas,
            bytes_stay: bad.stays,
        }
    }

    pub(super) fn ended(report: &'a MoveReport) -> Event<'a> {
        Event::Ended {
            r#move: report.of.to_string(),
            outcome: match report.outcome {
                Outcome::Moved => "moved",
                Outcome::Aborted(_) => "aborted",
                Outcome::Left => "left",
                Outcome::Stuck { .. } => "stuck",
                Outcome::Refused => "refused",
            },
            bytes_total: report.bytes_total,
            bad_places: report.bad_places.iter().map(BadPlaceJson::new).collect(),
        }
    }

    pub(crate) fn checked(bytes_total: u64, took: Duration, bad: &'a [BadPlace]) -> Event<'a> {
        Event::Checked {
            bytes_total,
            seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0,
            bad_places: bad.iter().map(BadPlaceJson::new).collect(),
        }
    }

    pub(super) fn finished(summary: &Summary, took: Duration) -> Event<'static> {
        Event::Finished {
            outcome: summary.outcome,
            bytes_moved: summary.bytes_moved,
            bytes_copied: summary.bytes_copied,
            seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0,
            bytes_per_second: summary.rate(took).map(|rate| rate as u64),
        }
    }
}
