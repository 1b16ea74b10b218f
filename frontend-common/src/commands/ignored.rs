//! Options of LVM's that are taken because what they ask for is what is done anyway: refused where they ask
//! for something else.

use lvshift_core::units::Sectors;
use lvshift_on_disk_format::layout::defaults::DATA_START;

use super::lookup::refuse;
use crate::cli::values::YesNo;
use crate::cli::vg_args::FormatArgs;
use crate::error::{Kind, Result};
use crate::size::Long;

/// How a PV is laid out.
///
/// # Errors
/// `Kind::Unsupported` for an alignment that the start of the data has not.
pub(super) fn check_format(args: &FormatArgs) -> Result<()> {
    let Some(wanted) = args.dataalignment.map(|size| size.0) else { return Ok(()) };
    if wanted.0 != 0 && DATA_START.is_multiple_of(wanted.0) {
        return Ok(());
    }
    let start = Long(Sectors(DATA_START));
    let what =
        format!("data start at {start} on every PV, which is no multiple of what is asked for");
    Err(refuse(Kind::Unsupported, what).next("leave --dataalignment out, or ask for a part of it"))
}

/// No LV has the flag.
///
/// # Errors
/// `Kind::Unsupported` for y.
pub(super) fn check_activation_skip(wanted: Option<YesNo>) -> Result<()> {
    if wanted.is_none_or(|wanted| !wanted.0) {
        return Ok(());
    }
    Err(refuse(Kind::Unsupported, "no LV keeps a flag that its activation is to be skipped")
        .next("activate the others by name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_done_is_not_taken() {
        let aligned = |size: &str| {
            let dataalignment = Some(size.parse().expect("a size"));
            check_format(&FormatArgs { dataalignment, ..FormatArgs::default() })
        };
        for size in ["1m", "8m", "64k", "512b"] {
            assert!(aligned(size).is_ok(), "{size}");
        }
        for size in ["16m", "3m", "0"] {
            assert_eq!(aligned(size).expect_err(size).kind, Kind::Unsupported);
        }
        assert!(check_activation_skip(Some(YesNo(false))).is_ok());
        assert!(check_activation_skip(Some(YesNo(true))).is_err());
    }
}
