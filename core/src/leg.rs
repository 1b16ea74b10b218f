//! The two sides of a mirror, and how one can fail.

/// Which side of the mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leg {
    /// The side that is authoritative until the commit of `Moved`.
    Source,
    /// The side that is copied to.
    Destination,
}

/// How a leg failed, as far as the front end can tell before the diagnosis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LegFault {
    /// A read failed (dm status `R`, or `S` with the source to blame).
    Read,
    /// A write failed (dm status `D`, or `S` with the destination to blame).
    Write,
    /// A flush failed (dm status `F`).
    Flush,
    /// The copy of a chunk failed and the front end cannot say on which side (dm status `S`).
    Copy,
    /// The device, or the dirty log on it, is gone.
    Gone,
    /// The device has not answered within its deadline.
    Silent,
}
