//! An application's flush: every device below, both legs of every moving part among them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lvshift_core::Leg;
use lvshift_core::chunk::{AppResult, Authority};
use lvshift_core::io::{FlushProgress, FlushResult};

use super::Queue;
use super::tag::{User, What, Work};
use crate::live::LiveTable;

impl Queue {
    pub(super) fn begin_flush(&mut self, tag: u16) -> io::Result<()> {
        let table = Arc::clone(&self.table);
        let source_only = lvshift_core::planted::is("flush-skips-destination");
        let skip = |slot| source_only && !table.flushed.contains(&slot);
        let count = table.devices.iter().filter(|device| !skip(device.slot)).count();
        if count == 0 {
            return self.finish(tag, 0);
        }
        let progress = FlushProgress::new(u32::try_from(count).unwrap_or(u32::MAX));
        self.tags[usize::from(tag)].work = Work::Flush { progress };
        self.enter_below(tag, true);
        for (index, device) in table.devices.iter().enumerate() {
            if skip(device.slot) {
                continue;
            }
            let user = User::new(What::Flush, tag, u8::try_from(index).unwrap_or(u8::MAX));
            self.ring.flush(device.slot, user.0)?;
        }
        Ok(())
    }

    pub(super) fn flush_done(&mut self, tag: u16, index: usize, result: i32) -> io::Result<()> {
        let table = Arc::clone(&self.table);
        let Some(device) = table.devices.get(index) else { return Ok(()) };
        let leg = if table.flushed.contains(&device.slot) { Leg::Source } else { Leg::Destination };
        if result < 0 {
            table.flush_failed(index, &[Leg::Source, Leg::Destination], &self.queues);
        }
        let slot = &mut self.tags[usize::from(tag)];
        let Work::Flush { progress } = &mut slot.work else { return Ok(()) };
        let Some(result) = progress.device_done(leg, result >= 0) else { return Ok(()) };
        self.leave_below(tag);
        self.flush_decided(tag, result, table)
    }

    /// Tells the application how its flush has ended, as soon as that is decided. A destination
    /// that failed it has lost what it was to save: if the destination comes to be in charge, a
    /// second flush that went well would prove nothing.
    pub(super) fn flush_decided(
        &mut self,
        tag: u16,
        result: FlushResult,
        table: Arc<LiveTable>,
    ) -> io::Result<()> {
        match result.app(authority(&table), table.committing.load(Ordering::SeqCst)) {
            AppResult::Done => self.finish(tag, 0),
            AppResult::Failed => self.finish(tag, -libc::EIO),
            AppResult::Held => {
                self.tags[usize::from(tag)].work = Work::HeldFlush { result, table };
                self.waiting.push(tag);
                Ok(())
            }
        }
    }
}

/// Who is in charge, as far as any part says that it is not simply the source.
fn authority(table: &LiveTable) -> Authority {
    let all = table.parts.iter().map(|part| part.tracker().authority());
    all.fold(Authority::Source, |so_far, here| match (so_far, here) {
        (Authority::Destination, _) | (_, Authority::Destination) => Authority::Destination,
        (Authority::Undecided, _) | (_, Authority::Undecided) => Authority::Undecided,
        _ => Authority::Source,
    })
}
