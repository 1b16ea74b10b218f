//! What the daemon has counted, for `metrics`.

use lvshift_core::units::Uuid;
use lvshift_frontend_common::counted::{Counted, Latency, LvCounted, PvErrors};

use super::Ublk;
use crate::channel::Start;
use crate::errors::{Op, Side};
use crate::latency::BOUNDS;
use crate::protocol::{Answer, Request, WireCounted, WireLatency, WirePvErrors};

/// Asks the VG's daemon, if it has one that can count.
pub(super) fn ask(client: &mut Ublk, vg: Uuid) -> Option<Counted> {
    let answer = client.ask_if_there(vg, &Request::Count, Start::ToTakeOver).ok()??;
    let Answer::Counted { lvs, pvs } = answer else { return None };
    let lvs = lvs.into_iter().map(lv).collect();
    Some(Counted { lvs, pvs: pvs.iter().flat_map(pv).collect() })
}

fn lv(counted: WireCounted) -> LvCounted {
    let WireCounted { lv, reads, writes, errors } = counted;
    let errors = named(&errors);
    LvCounted { lv: Uuid(lv), reads: latency(reads), writes: latency(writes), errors }
}

fn latency(counted: WireLatency) -> Latency {
    let WireLatency { below, count, nanoseconds } = counted;
    let below = BOUNDS.map(|bound| 1 << bound).zip(below).collect();
    Latency { below, count, nanoseconds }
}

fn pv(counted: &WirePvErrors) -> Vec<PvErrors> {
    let sides = Side::ALL.iter().zip(&counted.sides);
    let all = sides.flat_map(|((_, side), counts)| {
        named(counts).into_iter().map(|(op, count)| PvErrors {
            path: counted.path.clone(),
            side,
            op,
            count,
        })
    });
    all.collect()
}

fn named(counts: &[u64]) -> Vec<(&'static str, u64)> {
    Op::ALL.iter().map(|(_, name)| *name).zip(counts.iter().copied()).collect()
}
