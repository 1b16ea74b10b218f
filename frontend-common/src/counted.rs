//! What a front end that serves LVs itself has counted of their requests.

use lvshift_core::units::Uuid;

/// Of one VG.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// The LVs that are served.
    pub lvs: Vec<LvCounted>,
    /// The PVs that are held for them.
    pub pvs: Vec<PvErrors>,
}

/// Of one LV, since the process that serves it does so.
#[derive(Clone, Debug, Default)]
pub struct LvCounted {
    /// The LV.
    pub lv: Uuid,
    /// How long its reads took.
    pub reads: Latency,
    /// How long its writes took.
    pub writes: Latency,
    /// How many requests of each kind were answered with an error.
    pub errors: Vec<(&'static str, u64)>,
}

/// How long requests took.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    /// How many took less than so many nanoseconds.
    pub below: Vec<(u64, u64)>,
    /// How many there were.
    pub count: u64,
    /// What they took together, in nanoseconds.
    pub nanoseconds: u64,
}

/// I/Os of one kind that have failed on a PV.
#[derive(Clone, Debug)]
pub struct PvErrors {
    /// The PV's path.
    pub path: String,
    /// What the PV is to the move of the LV: `source`, `destination`, or `none`.
    pub side: &'static str,
    /// What was asked for.
    pub op: &'static str,
    /// How many.
    pub count: u64,
}
