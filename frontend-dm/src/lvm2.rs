//! [`Mapper`] on device-mapper: the devices of LVM2's own VGs, tables word for word.

use std::time::Duration;

use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::front_end::Wake;
use lvshift_frontend_common::lvm2::mapper::{Device, Mapper};
use lvshift_frontend_common::lvm2::table::Line;

use crate::kernel::{Kernel, RawLine};
use crate::{events, nodes};

fn line((start, len, kind, params): RawLine) -> Line {
    Line { start, len, kind, params: params.trim_end().to_owned() }
}

fn raw(line: &Line) -> RawLine {
    (line.start, line.len, line.kind.clone(), line.params.clone())
}

impl Kernel {
    fn lines_of(&self, uuid: &str, inactive: bool) -> Result<Vec<Line>> {
        Ok(self.raw_table(uuid, inactive)?.into_iter().map(line).collect())
    }

    /// Refuses a table that is not word for word what was meant.
    fn word_for_word(&self, uuid: &str, shown: &str, inactive: bool, meant: &[Line]) -> Result<()> {
        let loaded = self.lines_of(uuid, inactive)?;
        if loaded == meant {
            return Ok(());
        }
        let text =
            |lines: &[Line]| lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Err(Error::new(
            Kind::Inconsistent,
            format!("the kernel has another table for {shown} than was meant"),
        )
        .device(format!("/dev/mapper/{shown}"))
        .because(format!("`{}` was meant, `{}` is loaded", text(meant), text(&loaded))))
    }
}

impl Mapper for Kernel {
    fn check(&mut self) -> Result<()> {
        Kernel::check(self, true)
    }

    fn find(&mut self, uuid: &str) -> Result<Option<Device>> {
        let found = Kernel::find(self, uuid)?;
        Ok(found.map(|info| Device {
            name: info.name,
            number: info.number,
            open_count: info.open_count,
            live: info.live,
            loaded: info.loaded,
        }))
    }

    fn create(&mut self, name: &str, uuid: &str) -> Result<()> {
        Kernel::create(self, name, uuid)
    }

    fn table(&mut self, uuid: &str) -> Result<Vec<Line>> {
        self.lines_of(uuid, false)
    }

    fn status(&mut self, uuid: &str) -> Result<Vec<Line>> {
        Ok(Kernel::status(self, uuid)?.into_iter().map(line).collect())
    }

    fn load(&mut self, uuid: &str, shown: &str, table: &[Line]) -> Result<()> {
        self.load_raw(uuid, shown, &table.iter().map(raw).collect::<Vec<_>>())?;
        self.word_for_word(uuid, shown, true, table)
    }

    fn swap(&mut self, uuid: &str, shown: &str, table: &[Line]) -> Result<()> {
        let done = self.resume(uuid, shown);
        let checked = self.word_for_word(uuid, shown, false, table);
        done.and(checked)?;
        // As LVM2 without udev: a node for each device, of which its own commands make use.
        match Kernel::find(self, uuid)? {
            Some(info) => nodes::make_node(&info.name, info.number),
            None => Ok(()),
        }
    }

    fn remove(&mut self, uuid: &str, shown: &str) -> Result<()> {
        Kernel::remove(self, uuid, shown)?;
        nodes::remove_node(shown)
    }

    fn remove_deferred(&mut self, uuid: &str, shown: &str) -> Result<()> {
        Kernel::remove_deferred(self, uuid, shown)?;
        nodes::remove_node(shown)
    }

    fn arm(&mut self) -> Result<()> {
        Kernel::arm(self)
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Wake> {
        events::wait(self, timeout)
    }
}
