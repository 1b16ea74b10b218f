//! The kernel's texts.

use lvshift_core::table::Segment;
use lvshift_core::table::dm::{Judgement, MirrorStatus};
use lvshift_core::units::DeviceNumber;

/// A table line: what parses is written and parsed to the same.
pub fn dm_table(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(segment) = text.parse::<Segment>() {
        let again = segment.to_string();
        assert_eq!(again.parse(), Ok(segment), "{again}");
    }
    if let Ok(device) = text.parse::<DeviceNumber>() {
        assert_eq!(device.to_string().parse(), Ok(device));
    }
}

/// A mirror's status: what it is judged to be agrees with its numbers.
pub fn dm_status(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(status) = text.parse::<MirrorStatus>() else { return };
    assert!(status.in_sync <= status.total && status.total > 0);
    let judgement = status.judge();
    match judgement {
        Judgement::Equal { total } => assert_eq!((status.in_sync, total), (status.total, total)),
        Judgement::Copying { done, total } => assert!(done < total),
        Judgement::LegFailed(..) => {}
    }
    let failed = matches!(judgement, Judgement::LegFailed(..));
    for other in [Judgement::Equal { total: u64::MAX }, judgement] {
        assert_eq!(failed, matches!(judgement.and(other), Judgement::LegFailed(..)));
    }
}
