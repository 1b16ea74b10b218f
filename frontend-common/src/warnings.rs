//! Where what `tracing` is told goes: to standard error, one line each, as LVM words its warnings.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::Common;
use crate::output;

/// From now on warnings reach standard error; with `-vv` also each step, with `-q` errors alone.
/// Whoever calls it twice, or has a subscriber of its own, keeps the first.
pub fn show(options: Common) {
    let _ = tracing::subscriber::set_global_default(subscriber(options, output::stderr));
}

fn subscriber<W>(options: Common, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_max_level(level(options))
        .with_writer(writer)
        // What cannot be written is lost; tracing would complain on standard error, and panic there.
        .log_internal_errors(false)
        .event_format(Line)
        .finish()
}

fn level(options: Common) -> LevelFilter {
    match (options.quiet, options.verbose) {
        (1.., _) => LevelFilter::ERROR,
        (0, 0) => LevelFilter::WARN,
        (0, 1) => LevelFilter::INFO,
        (0, _) => LevelFilter::DEBUG,
    }
}

/// `  WARNING: what it says (path: /dev/sdb; error: ...)`.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut words = Words::default();
        event.record(&mut words);
        let word = match *event.metadata().level() {
            Level::ERROR => "ERROR: ",
            Level::WARN => "WARNING: ",
            _ => "  ",
        };
        write!(writer, "  {word}{}", words.message)?;
        if words.rest.is_empty() { writeln!(writer) } else { writeln!(writer, " ({})", words.rest) }
    }
}

#[derive(Default)]
struct Words {
    message: String,
    rest: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            let between = if self.rest.is_empty() { "" } else { "; " };
            write!(self.rest, "{between}{}: {value:?}", field.name())
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests;
