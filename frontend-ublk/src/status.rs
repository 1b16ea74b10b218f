//! A move's health on its way over the socket and back.

use lvshift_core::chunk::Fault;
use lvshift_core::{Leg, LegFault};

use crate::protocol::WireFault;

const FAULTS: [(LegFault, char); 6] = [
    (LegFault::Read, 'r'),
    (LegFault::Write, 'w'),
    (LegFault::Flush, 'f'),
    (LegFault::Copy, 'c'),
    (LegFault::Gone, 'g'),
    (LegFault::Silent, 's'),
];

pub(crate) fn fault(fault: Fault) -> WireFault {
    let what = FAULTS.iter().find(|(kind, _)| *kind == fault.fault).map_or('c', |(_, what)| *what);
    WireFault { destination: fault.leg == Leg::Destination, what }
}

pub(crate) fn leg_fault(wire: WireFault) -> (Leg, LegFault) {
    let leg = if wire.destination { Leg::Destination } else { Leg::Source };
    let kind = FAULTS.iter().find(|(_, what)| *what == wire.what);
    (leg, kind.map_or(LegFault::Copy, |(kind, _)| *kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_comes_back() {
        for leg in [Leg::Source, Leg::Destination] {
            for (kind, _) in FAULTS {
                assert_eq!(leg_fault(fault(Fault { leg, fault: kind })), (leg, kind));
            }
        }
    }
}
