//! An application's flush: every device below, both legs of every moving part among them.

use std::io;
use std::sync::Arc;

use lvshift_core::chunk::{AppResult, Authority};
use lvshift_core::io::FlushProgress;
use lvshift_core::mover::Leg;

use super::Queue;
use super::tag::{User, What, Work};
use crate::live::LiveTable;

impl Queue {
    pub(super) fn begin_flush(&mut self, tag: u16) -> io::Result<()> {
        let table = Arc::clone(&self.table);
        let source_only = lvshift_core::planted::is("flush-skips-destination");
        let skip = |slot| source_only && !table.flushed.contains(&slot);
        let count = table.lowers.iter().filter(|lower| !skip(lower.slot)).count();
        if count == 0 {
            return self.finish(tag, 0);
        }
        let progress = FlushProgress::new(u32::try_from(count).unwrap_or(u32::MAX));
        let ticket = table.flushes.begin();
        self.tags[usize::from(tag)].work = Work::Flush { progress, ticket };
        self.busy += 1;
        for (index, lower) in table.lowers.iter().enumerate() {
            if skip(lower.slot) {
                continue;
            }
            let user = User::new(What::Flush, tag, u8::try_from(index).unwrap_or(u8::MAX));
            self.ring.flush(lower.slot, user.0)?;
        }
        Ok(())
    }

    pub(super) fn flush_done(&mut self, tag: u16, index: usize, result: i32) -> io::Result<()> {
        let table = Arc::clone(&self.table);
        let Some(lower) = table.lowers.get(index) else { return Ok(()) };
        let leg = if table.flushed.contains(&lower.slot) { Leg::Source } else { Leg::Destination };
        if result < 0 {
            for part in &table.parts {
                for (leg, place) in
                    [(Leg::Source, &part.source), (Leg::Destination, &part.destination)]
                {
                    if place.lower.slot == lower.slot {
                        part.pass_on(part.tracker.flush_failed(leg), &self.gate);
                        part.bell.ring();
                    }
                }
            }
        }
        let slot = &mut self.tags[usize::from(tag)];
        let Work::Flush { progress, .. } = &mut slot.work else { return Ok(()) };
        let Some(result) = progress.device_done(leg, result >= 0) else { return Ok(()) };
        if let Work::Flush { ticket, .. } = std::mem::take(&mut slot.work) {
            table.flushes.end(ticket);
        }
        self.busy -= 1;
        match result.app(authority(&table)) {
            AppResult::Done => self.finish(tag, 0),
            AppResult::Failed => self.finish(tag, -libc::EIO),
            AppResult::Held => {
                // Asked again under the next table, on which the destination is in charge or gone.
                self.waiting.push(tag);
                Ok(())
            }
        }
    }
}

/// Who is in charge, as far as any part says that it is not simply the source.
fn authority(table: &LiveTable) -> Authority {
    let all = table.parts.iter().map(|part| part.tracker.authority());
    all.fold(Authority::Source, |so_far, here| match (so_far, here) {
        (Authority::Destination, _) | (_, Authority::Destination) => Authority::Destination,
        (Authority::Undecided, _) | (_, Authority::Undecided) => Authority::Undecided,
        _ => Authority::Source,
    })
}
