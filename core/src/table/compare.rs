//! What is loaded against what was meant.

use core::convert::Infallible;
use core::fmt;

use super::{BuildError, Devices, Segment, build, merge};
use crate::metadata::{Store, Vg};
use crate::mover::{Live, Mapping};
use crate::units::{DeviceNumber, LvIndex, MoveIndex, Sectors};

#[cfg(test)]
mod tests;

/// The first place where two tables differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference<D = DeviceNumber> {
    /// The first sector of the line in which they differ.
    pub at: Sectors,
    /// The line that was meant, or `None` past the end.
    pub meant: Option<Segment<D>>,
    /// The line that is loaded, or `None` past the end.
    pub loaded: Option<Segment<D>>,
}

/// Do both lists of lines map alike? Linear lines may be cut differently.
///
/// # Errors
/// [`Difference`] shows the first lines that do not agree.
pub fn compare<D: Copy + PartialEq>(
    meant: impl Iterator<Item = Segment<D>>,
    loaded: impl Iterator<Item = Segment<D>>,
) -> Result<(), Difference<D>> {
    match compare_fallible(meant.map(Ok::<_, Infallible>), loaded) {
        Ok(same) => same,
        Err(never) => match never {},
    }
}

/// What the live table `loaded` of an LV is to a move: the observation that the mover's recovery
/// starts from. An LV without a device is [`Live::Absent`], which no table can show.
pub fn observe<R: Devices, S: Store>(
    vg: &Vg<S>,
    lv: LvIndex,
    of: MoveIndex,
    devices: &R,
    loaded: &[Segment<R::Device>],
) -> Live {
    for mapping in [Mapping::Mirrored, Mapping::Source, Mapping::Final] {
        let meant = build(vg, lv, Some((of, mapping)), devices);
        // A table that cannot be built (no shadow, no log) cannot be the one that is loaded.
        if let Ok(Ok(())) = compare_fallible::<_, BuildError>(meant, loaded.iter().copied()) {
            return Live::Is(mapping);
        }
    }
    Live::Foreign
}

fn compare_fallible<D: Copy + PartialEq, E>(
    meant: impl Iterator<Item = Result<Segment<D>, E>>,
    loaded: impl Iterator<Item = Segment<D>>,
) -> Result<Result<(), Difference<D>>, E> {
    let mut meant = merge(meant);
    let mut loaded = merge(loaded.map(Ok::<_, Infallible>));
    loop {
        let meant = meant.next().transpose()?;
        let loaded = match loaded.next().transpose() {
            Ok(loaded) => loaded,
            Err(never) => match never {},
        };
        match (meant, loaded) {
            (None, None) => return Ok(Ok(())),
            (meant, loaded) if meant == loaded => {}
            (meant, loaded) => {
                let at = meant.or(loaded).map_or(Sectors(0), |segment| segment.start);
                return Ok(Err(Difference { at, meant, loaded }));
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at sector {} ", self.at)?;
        match self.meant {
            Some(meant) => write!(f, "`{meant}` was meant, ")?,
            None => write!(f, "no line was meant, ")?,
        }
        match self.loaded {
            Some(loaded) => write!(f, "`{loaded}` is loaded"),
            None => write!(f, "none is loaded"),
        }
    }
}

impl core::error::Error for Difference {}
