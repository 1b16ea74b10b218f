//! What goes wrong with the disks of a world, and which requests may fail of it.

use super::client::{Kind, Op};
use super::view::{PartView, View};
use super::world::Inner;

impl Inner {
    /// A part of a move that is being copied.
    fn one_of(&mut self, view: &View) -> Option<PartView> {
        let of: Vec<&PartView> = view.copying().collect();
        // Faults were always of the first part where one LV moves.
        let at = if self.bases.len() > 2 && of.len() > 1 { self.rng.index(of.len()) } else { 0 };
        of.get(at).map(|part| PartView::clone(part))
    }

    /// A disk goes bad, while the source is in charge: the application must not notice where the
    /// destination does, and only at the very sectors where the source does.
    pub(super) fn break_something(&mut self) -> bool {
        let Some(Some(view)) = self.newest.first().cloned() else { return false };
        let source_leads = self.newest.len() == 1 && view.copying().next().is_some();
        if self.plan.faults == 0 || self.broken || !source_leads {
            return false;
        }
        if !self.rng.one_in(self.plan.faults) {
            return false;
        }
        let Some(part) = self.one_of(&view) else { return false };
        let at = self.rng.below(u64::from(part.count));
        let (source, destination) = (part.source, part.destination);
        let bit = |start: u32| 1u128 << (u64::from(start) + at);
        let to = usize::from(destination.disk);
        let what = self.rng.below(6);
        // Where the LV lies on that disk, too, its flush is no matter of the copy alone.
        let alone = view.homes.iter().all(|spot| spot.disk != destination.disk);
        if matches!(what, 2 | 3) && !alone {
            return false;
        }
        match what {
            0 => self.disks[to].faults.write = bit(destination.at),
            1 => self.disks[to].faults.write = u128::MAX,
            2 => self.disks[to].faults.flushes = 1,
            3 => self.disks[to].faults.flushes = 3,
            4 => self.disks[to].faults.log_write = true,
            _ => self.disks[usize::from(source.disk)].faults.read = bit(source.at),
        }
        let kinds = [
            "a sector cannot be written",
            "nothing can be written",
            "one flush fails",
            "three flushes fail",
            "the log cannot be written",
            "a sector of the source cannot be read",
        ];
        self.say(|| format!("FAULT: on the destination {to}: {} ({at})", kinds[what as usize]));
        (self.broken, self.ever_broken) = (true, true);
        true
    }

    /// The destination answers nothing any more, while the source is in charge.
    pub(super) fn fall_silent(&mut self) -> bool {
        let Some(Some(view)) = self.newest.first().cloned() else { return false };
        if !self.plan.silent
            || self.fell_silent
            || self.broken
            || view.copying().next().is_none()
            || !self.rng.one_in(8)
        {
            return false;
        }
        let Some(part) = self.one_of(&view) else { return false };
        let to = usize::from(part.destination.disk);
        // Where the LV lies on that disk, too, it waits for it with or without a move.
        if view.homes.iter().any(|spot| usize::from(spot.disk) == to) {
            return false;
        }
        self.say(|| format!("FAULT: the destination {to} answers nothing"));
        self.disks[to].faults.silent = true;
        (self.broken, self.fell_silent) = (true, true);
        true
    }

    /// Somebody sees to the disks.
    pub(super) fn repair(&mut self) {
        self.say(|| "the disks are repaired".to_owned());
        self.excuse();
        self.disks.iter_mut().for_each(|disk| disk.faults = super::disk::Faults::default());
        self.broken = false;
    }

    /// What is under way may have failed below already, and be told so later: to be called before
    /// another side is in charge, or a disk gets well.
    pub(super) fn excuse(&mut self) {
        let excused: Vec<bool> = self.ops.iter().map(|op| self.may_fail(op)).collect();
        for (op, excused) in self.ops.iter_mut().zip(excused) {
            op.excused |= excused;
        }
    }

    /// Whether a request may have failed: only where the side that is in charge is bad.
    pub(super) fn may_fail(&self, op: &Op) -> bool {
        op.excused
            || self.newest.iter().flatten().any(|view| {
                view.homes.iter().enumerate().any(|(sector, spot)| {
                    let disk = &self.disks[usize::from(spot.disk)];
                    // Of a side that is in charge and silent the deadline is that of any disk.
                    let bad = disk.faults.silent
                        || match op.kind {
                            Kind::Read => disk.faults.read >> spot.at & 1 == 1,
                            Kind::Flush => {
                                disk.faults.flushes > 0 || disk.flush_failed >= op.issued
                            }
                            _ => disk.faults.write >> spot.at & 1 == 1,
                        };
                    let here = if op.kind == Kind::Flush {
                        self.sectors_of(op.lv)
                    } else {
                        op.first..op.first + op.count
                    };
                    bad && here.contains(&(sector as u32))
                })
            })
    }
}
