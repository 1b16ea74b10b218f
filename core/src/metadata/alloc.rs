//! Choosing free extents, with LVM's meaning of areas and policies.

use core::fmt;

use super::{Place, Run, Store, Vg};
use crate::limits::MAX_RUNS;
use crate::list::{Bounded, List};
use crate::units::{Extents, LvIndex, Pe, PvIndex};

#[cfg(test)]
mod tests;

/// A range of extents of a PV, as `PV:PE-PE` names it. What reaches past the PV's end is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The PV.
    pub pv: PvIndex,
    /// The first extent.
    pub first: Pe,
    /// How many extents.
    pub count: Extents,
}

impl Area {
    /// All of a PV.
    pub const fn whole(pv: PvIndex) -> Area {
        Area { pv, first: Pe(0), count: Extents(u32::MAX) }
    }

    /// The extent number after its last.
    pub const fn end(self) -> u32 {
        self.first.0.saturating_add(self.count.0)
    }

    /// Whether the extent is in it.
    pub fn contains(self, place: Place) -> bool {
        self.pv == place.pv && (self.first.0..self.end()).contains(&place.pe.0)
    }
}

/// LVM's allocation policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// One run; when an LV grows, the extents right after its last.
    Contiguous,
    /// When an LV grows, only PVs that it already lies on; else as `Normal`.
    Cling,
    /// Free extents of the areas in the order named.
    Normal,
    /// As `Normal`; for a move, the source's own PV is allowed as well.
    Anywhere,
    /// What the VG has: `Normal`.
    #[default]
    Inherit,
}

/// How many extents are wanted, and where.
#[derive(Clone, Copy, Debug)]
pub struct AllocRequest<'a> {
    /// How many; at least 1.
    pub count: Extents,
    /// Where to look, in this order; none means every PV in VG order.
    pub areas: &'a [Area],
    /// What must not be taken.
    pub avoid: &'a [Area],
    /// The policy.
    pub policy: Policy,
    /// The LV that the extents will be added to, where there is one already.
    pub grows: Option<LvIndex>,
}

/// Runs that an allocation chose, in the order in which the LV is to lie on them.
pub type Runs = Bounded<Run, MAX_RUNS>;

/// Why there is no allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocError {
    /// Nothing was asked for.
    Nothing,
    /// An area names a PV that is not in the VG.
    NoSuchPv {
        /// The PV.
        pv: PvIndex,
    },
    /// An area names a PV that takes no changes and is being left.
    IsLeaving {
        /// The PV.
        pv: PvIndex,
    },
    /// Too few free extents in the areas.
    NoSpace {
        /// How many were asked for.
        wanted: Extents,
        /// How many are free there.
        free: Extents,
    },
    /// Enough free extents, but not in one run where `contiguous` needs it.
    NotContiguous {
        /// How many were asked for.
        wanted: Extents,
        /// The longest run that could have been used.
        longest: Extents,
    },
    /// The free extents lie in more runs than one allocation may have.
    TooFragmented {
        /// [`MAX_RUNS`].
        limit: u32,
    },
}

impl<S: Store> Vg<S> {
    /// Chooses free extents. Nothing is changed.
    ///
    /// # Errors
    /// [`AllocError`].
    pub fn allocate(&self, request: &AllocRequest<'_>) -> Result<Runs, AllocError> {
        let wanted = request.count;
        if wanted.0 == 0 {
            return Err(AllocError::Nothing);
        }
        for area in request.areas.iter().chain(request.avoid) {
            self.pv(area.pv).ok_or(AllocError::NoSuchPv { pv: area.pv })?;
        }
        self.refuse_leaving(request.areas)?;
        let mut runs = Runs::new();
        if let Some(run) = self.right_after(request) {
            let _ = runs.push(run); // The first of many fits.
            return Ok(runs);
        }
        if request.policy == Policy::Contiguous {
            return self.one_run(request);
        }
        let clings = |run: &Run| {
            let Some(lv) = request.grows.filter(|_| request.policy == Policy::Cling) else {
                return true;
            };
            self.segments_of(lv).iter().any(|segment| segment.place.pv == run.place.pv)
        };
        let mut left = wanted.0;
        let mut area = usize::MAX;
        for run in self.usable(request.areas, request.avoid).filter(|(_, run)| clings(run)) {
            let (index, mut run) = run;
            if index != area {
                // A run of this area that holds all the rest is better than many in front of it.
                area = index;
                let mut same = self
                    .usable(request.areas, request.avoid)
                    .skip_while(|(other, _)| *other != index)
                    .take_while(|(other, _)| *other == index);
                if let Some((_, whole)) = same.find(|(_, other)| other.count.0 >= left) {
                    run = whole;
                }
            }
            run.count = Extents(run.count.0.min(left));
            left -= run.count.0;
            push(&mut runs, run)?;
            if left == 0 {
                return Ok(runs);
            }
        }
        Err(AllocError::NoSpace { wanted, free: Extents(wanted.0 - left) })
    }

    /// How many extents are free in areas (none means all PVs), counting none twice.
    pub fn free_in(&self, areas: &[Area], avoid: &[Area]) -> Extents {
        let runs = self.usable(areas, avoid);
        Extents(runs.fold(0, |sum, (_, run)| sum.saturating_add(run.count.0)))
    }

    /// The extents right after the LV's last, where the policy prefers them and they are usable.
    fn right_after(&self, request: &AllocRequest<'_>) -> Option<Run> {
        let last = self.segments_of(request.grows?).last()?;
        let pe = Pe(u32::try_from(last.run().end()).ok()?);
        let place = Place { pv: last.place.pv, pe };
        let mut usable = self.usable(request.areas, request.avoid);
        let (_, run) = usable.find(|(_, run)| {
            run.place.pv == place.pv
                && (u64::from(run.place.pe.0)..run.end()).contains(&pe.0.into())
        })?;
        let fits = run.end() - u64::from(pe.0) >= u64::from(request.count.0);
        fits.then_some(Run { place, count: request.count })
    }

    fn one_run(&self, request: &AllocRequest<'_>) -> Result<Runs, AllocError> {
        let wanted = request.count;
        let mut longest = Extents(0);
        let mut free = Extents(0);
        for (_, run) in self.usable(request.areas, request.avoid) {
            if run.count >= wanted && request.grows.is_none() {
                let mut runs = Runs::new();
                push(&mut runs, Run { count: wanted, ..run })?;
                return Ok(runs);
            }
            longest = longest.max(run.count);
            free = Extents(free.0.saturating_add(run.count.0));
        }
        if free < wanted {
            return Err(AllocError::NoSpace { wanted, free });
        }
        Err(AllocError::NotContiguous { wanted, longest })
    }

    /// Nothing new may lie on a PV that is being left.
    pub(super) fn refuse_leaving(&self, areas: &[Area]) -> Result<(), AllocError> {
        match areas.iter().find(|area| self.is_leaving(area.pv)) {
            Some(area) => Err(AllocError::IsLeaving { pv: area.pv }),
            None => Ok(()),
        }
    }

    /// The free runs of the areas in their order, each with the index of its area; an extent of
    /// two areas belongs to the first.
    pub(super) fn usable<'a>(&'a self, areas: &'a [Area], avoid: &'a [Area]) -> Usable<'a, S> {
        Usable { vg: self, areas, avoid, index: 0, at: 0 }
    }
}

fn push(runs: &mut Runs, run: Run) -> Result<(), AllocError> {
    runs.push(run).map_err(|_| AllocError::TooFragmented { limit: MAX_RUNS as u32 })
}

/// See [`Vg::usable`].
#[derive(Clone, Debug)]
pub(super) struct Usable<'a, S: Store> {
    vg: &'a Vg<S>,
    areas: &'a [Area],
    avoid: &'a [Area],
    index: usize,
    at: u32,
}

impl<S: Store> Iterator for Usable<'_, S> {
    type Item = (usize, Run);

    fn next(&mut self) -> Option<(usize, Run)> {
        loop {
            let area = if self.areas.is_empty() {
                let pv = u16::try_from(self.index).ok()?;
                let area = Area::whole(self.vg.pv(PvIndex(pv)).map(|_| PvIndex(pv))?);
                if self.vg.is_leaving(area.pv) {
                    self.index += 1;
                    continue;
                }
                area
            } else {
                *self.areas.get(self.index)?
            };
            let end = area.end().min(self.vg.pv(area.pv).map_or(0, |pv| pv.pe_count.0));
            let from = self.at.max(area.first.0);
            let Some(mut run) = self.vg.next_free(area.pv, from, end) else {
                self.index += 1;
                self.at = 0;
                continue;
            };
            let earlier = self.areas.get(..self.index).unwrap_or_default();
            let mut excluded = earlier.iter().chain(self.avoid).filter(|other| other.pv == area.pv);
            if let Some(other) = excluded.clone().find(|other| other.contains(run.place)) {
                self.at = other.end();
                if self.at == u32::MAX {
                    self.index += 1;
                    self.at = 0;
                }
                continue;
            }
            if let Some(stop) = excluded
                .by_ref()
                .filter(|other| other.count.0 > 0 && other.first.0 > run.place.pe.0)
                .map(|other| other.first.0)
                .min()
            {
                run.count = Extents(run.count.0.min(stop - run.place.pe.0));
            }
            self.at = run.place.pe.0.saturating_add(run.count.0);
            return Some((self.index, run));
        }
    }
}

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AllocError::Nothing => write!(f, "no extents asked for"),
            AllocError::NoSuchPv { pv } => write!(f, "there is no PV {} in the VG", pv.0),
            AllocError::NoSpace { wanted, free } => {
                write!(f, "{} extents wanted, only {} free there", wanted.0, free.0)
            }
            AllocError::IsLeaving { pv } => {
                write!(f, "PV {} takes no changes and is being left", pv.0)
            }
            AllocError::NotContiguous { wanted, longest } => write!(
                f,
                "{} contiguous extents wanted, the longest usable run has {}",
                wanted.0, longest.0
            ),
            AllocError::TooFragmented { limit } => {
                write!(f, "the free extents lie in more than {limit} runs")
            }
        }
    }
}

impl core::error::Error for AllocError {}
