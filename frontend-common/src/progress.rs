//! Tells how a move goes: a bar on a terminal, lines elsewhere, or one JSON object a line.

mod disk;
mod events;
mod lines;
mod map;

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lvshift_core::mover::Outcome;
use lvshift_core::units::Uuid;

use crate::drive::{MoveReport, Progress, Report};
use crate::error::Error;
use crate::output::Term;
use crate::report::LogLine;

pub use disk::DiskMap;
pub use events::{Event, UnreadableJson};
pub use map::ChunkMap;

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A bar that is drawn again and again, on stderr.
    Bar,
    /// A line now and then, on stdout.
    Lines,
    /// A JSON object a line, on stdout.
    Json,
    /// Not at all.
    Quiet,
}

impl Style {
    /// What suits the terminal and the options.
    #[must_use]
    pub fn choose(json: bool, quiet: bool) -> Style {
        match (json, quiet) {
            (true, _) => Style::Json,
            (false, true) => Style::Quiet,
            (false, false) if std::io::stderr().is_terminal() => Style::Bar,
            (false, false) => Style::Lines,
        }
    }

    /// How often the driver should report: a bar moves smoothly, lines come when asked for.
    #[must_use]
    pub fn interval(self, seconds: u32) -> Option<Duration> {
        match self {
            Style::Bar => Some(Duration::from_millis(250)),
            Style::Quiet => None,
            // 0 asks for "as soon as something changes": that is what the bar's pace is.
            Style::Lines | Style::Json if seconds == 0 => Some(Duration::from_millis(250)),
            Style::Lines | Style::Json => Some(Duration::from_secs(u64::from(seconds))),
        }
    }
}

/// What is known of a source to be unreadable when a move of it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bad {
    /// Runs of sectors.
    pub areas: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the extents that stay for that.
    pub stays: u64,
}

/// Listens to a driver and tells the person.
pub struct Teller<W: Write> {
    style: Style,
    program: String,
    out: W,
    bar: Option<ProgressBar>,
    from: Vec<String>,
    to: Vec<String>,
    begun: Instant,
    /// What the first report said was done already: not moved by this run.
    at_start: Option<u64>,
    last: Option<Progress>,
    /// The picture that was told last, as it is drawn below a bar.
    below: String,
    /// What is known to be bad.
    bad: Bad,
}

impl<W: Write> Teller<W> {
    /// A teller that writes lines and JSON to `out`.
    pub fn new(style: Style, program: &str, out: W) -> Teller<W> {
        Teller {
            style,
            program: program.to_owned(),
            out,
            bar: None,
            from: Vec::new(),
            to: Vec::new(),
            begun: Instant::now(),
            at_start: None,
            last: None,
            below: String::new(),
            bad: Bad::default(),
        }
    }

    /// Has it said with the progress what is known to be bad.
    pub fn set_bad(&mut self, bad: Bad) {
        self.bad = bad;
    }

    /// Takes what the driver has to tell.
    pub fn hear(&mut self, report: Report<'_>) {
        match report {
            Report::Started { of, again, from, to } => self.started(of, again, from, to),
            Report::Copied(progress) => self.copied(progress),
            Report::Note(text) => self.note(text),
            Report::Ended(report) => self.ended(report),
        }
    }

    fn started(&mut self, of: Uuid, again: bool, from: &[String], to: &[String]) {
        // A command may have several moves.
        for (all, some) in [(&mut self.from, from), (&mut self.to, to)] {
            let new = some.iter().filter(|path| !all.contains(path)).cloned().collect::<Vec<_>>();
            all.extend(new);
        }
        match self.style {
            Style::Json => {
                self.event(&Event::Started { r#move: of.to_string(), again, from, to });
            }
            Style::Bar | Style::Lines if again => {
                let text =
                    format!("carrying on the move from {} to {}", from.join(", "), to.join(", "));
                self.note(&text);
            }
            _ => {}
        }
    }

    /// A move that is watched is in this state now, in the words of the field `move_state`.
    pub fn state(&mut self, of: Uuid, state: &'static str) {
        match self.style {
            Style::Json => self.event(&Event::State { r#move: of.to_string(), state }),
            _ => self.note(&format!("the move from {} is {state}", self.source())),
        }
    }

    /// Which chunks of a move are equal now.
    pub fn chunks(&mut self, of: Uuid, map: &ChunkMap) {
        let picture = map.picture();
        let below = format!("pvmove: chunks [{picture}]");
        if picture.is_empty() || below == self.below {
            return;
        }
        match self.style {
            Style::Json => {
                let (chunks, equal) = (map.chunks(), map.equal());
                self.event(&Event::Chunks { r#move: of.to_string(), chunks, equal, map: &picture });
            }
            Style::Lines => {
                let text = format!("pvmove: {}: chunks [{picture}]", self.source());
                self.line(&text);
            }
            // Drawn below the bar.
            Style::Bar | Style::Quiet => {}
        }
        self.below = below;
    }

    /// What the disks that are being left look like now.
    pub fn disks(&mut self, maps: &[DiskMap]) {
        let drawn = |colour| maps.iter().map(|map| map.drawn(colour)).collect::<Vec<_>>();
        let below = drawn(self.style == Style::Bar && has_colours()).join("\n  ");
        if below == self.below {
            return;
        }
        match self.style {
            Style::Json => {
                for map in maps {
                    let (device, extents) = (map.device(), map.extents());
                    self.event(&Event::Map { device, extents, map: &map.picture() });
                }
            }
            Style::Lines => {
                drawn(false).iter().for_each(|text| self.line(&format!("pvmove: {text}")));
            }
            // Drawn below the bar.
            Style::Bar | Style::Quiet => {}
        }
        self.below = below;
    }

    fn copied(&mut self, progress: &Progress) {
        self.at_start.get_or_insert(progress.bytes_done);
        match self.style {
            Style::Json => self.event(&Event::progress(progress, self.bad)),
            Style::Lines => {
                let text = lines::progress(&self.source(), progress, self.bad);
                self.line(&text);
            }
            Style::Bar => self.draw(progress),
            Style::Quiet => {}
        }
        self.last = Some(progress.clone());
    }

    fn note(&mut self, text: &str) {
        match (self.style, &self.bar) {
            (Style::Json, _) => self.event(&Event::Note { text }),
            (Style::Quiet, _) => {}
            (_, Some(bar)) => bar.println(format!("  pvmove: {text}")),
            (_, None) => self.line(&format!("pvmove: {text}")),
        }
    }

    fn ended(&mut self, report: &MoveReport) {
        if self.style == Style::Json {
            self.event(&Event::ended(report));
        }
        if let Some(bar) = &self.bar
            && report.outcome != Outcome::Moved
        {
            bar.abandon();
        }
    }

    /// The last line: what happened in all.
    pub fn finish(&mut self, reports: &[MoveReport]) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let summary = lines::Summary::new(reports, self.last.as_ref(), self.at_start);
        let took = self.begun.elapsed();
        match self.style {
            Style::Json => self.event(&Event::finished(&summary, took)),
            Style::Quiet => {}
            Style::Bar | Style::Lines => {
                for text in summary.sentences(&self.program, &self.from, &self.to, took) {
                    self.line(&text);
                }
            }
        }
    }

    /// An error, for programs; people read it on stderr.
    pub fn error(&mut self, error: &Error) {
        if self.style == Style::Json {
            let line = LogLine {
                log_type: "error",
                log_message: error.what.clone(),
                error: Some(error.into()),
            };
            self.event(&Event::Error { error: line.error });
        }
    }

    fn source(&self) -> String {
        self.from.join(", ")
    }

    fn draw(&mut self, progress: &Progress) {
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(
                Some(progress.bytes_total),
                ProgressDrawTarget::term_like_with_hz(Box::<Term>::default(), 20),
            );
            let template = "  pvmove: {prefix} [{bar:30}] {percent:>3}%  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        bar.set_prefix(self.from.join(", "));
        bar.set_length(progress.bytes_total);
        let below = match self.below.as_str() {
            "" => String::new(),
            below => format!("\n  {below}"),
        };
        let what_is_bad = lines::bad(progress, self.bad);
        bar.set_message(format!("{}{what_is_bad}{below}", lines::amounts(progress)));
        bar.set_position(progress.bytes_done);
    }

    fn event(&mut self, event: &Event<'_>) {
        let text = crate::report::to_json(event);
        self.raw(&text);
    }

    fn line(&mut self, text: &str) {
        self.raw(&format!("  {text}"));
    }

    /// A reader that went away must not end a move.
    fn raw(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
        let _ = self.out.flush();
    }
}

/// Whether the terminal of stderr shows colours, and the person wants them.
fn has_colours() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_some_and(|term| term != "dumb")
}

#[cfg(test)]
mod tests;
