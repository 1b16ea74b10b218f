//! Which I/Os an admitted piece becomes.

use super::discard::Discards;
use crate::Leg;
use crate::chunk::{Content, Route};
use crate::list::{Bounded, List};

/// I/Os that one piece becomes at most.
pub const MAX_LEG_IOS: usize = 2;

/// A request that changes the volume, as the application makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteOp {
    /// Data.
    Write {
        /// Durable before it is acknowledged.
        fua: bool,
    },
    /// Zeroes; `unmap` where the space may be given back.
    WriteZeroes {
        /// The device may deallocate.
        unmap: bool,
        /// Durable before it is acknowledged.
        fua: bool,
    },
    /// The bytes are not needed any more.
    Discard,
}

/// What one leg is asked to do with the piece's sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LegOp {
    /// Write the request's buffer, the same one for both legs; it stays as it is until both are
    /// done.
    Write {
        /// Durable before it is done: the device's FUA, or a flush after it.
        fua: bool,
    },
    /// Make the sectors read as zeroes.
    WriteZeroes {
        /// The device may deallocate.
        unmap: bool,
        /// Durable before it is done.
        fua: bool,
    },
    /// Discard them.
    Discard,
}

/// One I/O of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LegIo {
    /// The leg.
    pub leg: Leg,
    /// What it does there.
    pub op: LegOp,
}

/// The I/Os of one piece, to be issued together.
pub type Plan = Bounded<LegIo, MAX_LEG_IOS>;

impl WriteOp {
    /// What the request leaves behind in a part of these abilities: for
    /// [`Tracker::admit`](crate::chunk::Tracker::admit).
    pub const fn content(self, discards: Discards) -> Content {
        match (self, discards) {
            (WriteOp::Discard, Discards::SourceOnly) => Content::Undefined,
            _ => Content::Known,
        }
    }

    /// What a leg is asked to do for it.
    fn on_leg(self, discards: Discards) -> LegOp {
        match (self, discards) {
            (WriteOp::Write { fua }, _) => LegOp::Write { fua },
            (WriteOp::WriteZeroes { unmap, fua }, _) => LegOp::WriteZeroes { unmap, fua },
            (WriteOp::Discard, Discards::AsZeroes) => {
                LegOp::WriteZeroes { unmap: true, fua: false }
            }
            (WriteOp::Discard, Discards::SourceOnly) => LegOp::Discard,
        }
    }
}

/// The I/Os of a piece that was let in along `route`, under the same `discards` as it was.
pub fn plan_write(op: WriteOp, route: Route, discards: Discards) -> Plan {
    let op = op.on_leg(discards);
    let legs: &[Leg] = match route {
        Route::Source => &[Leg::Source],
        Route::BothLegs | Route::WholeChunk => &[Leg::Source, Leg::Destination],
    };
    let mut plan = Plan::new();
    for &leg in legs {
        let _ = plan.push(LegIo { leg, op }); // Room for both; collecting could panic.
    }
    plan
}
