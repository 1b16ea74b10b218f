//! Window, throttle and pause together: may a copy be begun now?

use super::schedule::Allowed;
use super::throttle::{Nanos, Throttle};
use super::window::Window;
use crate::chunk::WritePolicy;

/// The pace of one move, over all its parts.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    window: Window,
    throttle: Throttle,
    paused: bool,
    /// The application's latencies are being measured without a copy.
    resting: bool,
    /// The application's latencies set the rate.
    paced: bool,
}

/// Whether a copy may be begun.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// One may: ask the parts' schedules in turn with this.
    Begin {
        /// Which chunks may be begun.
        allowed: Allowed,
        /// When to ask again if the schedules have nothing: then more may be allowed.
        ask_again: Option<Nanos>,
    },
    /// The window is full: when a copy has ended.
    NotBefore,
}

impl Pacer {
    /// So many chunks at once, so many bytes per second.
    pub const fn new(window: u16, bytes_per_second: Option<u64>, now: Nanos) -> Pacer {
        Pacer {
            window: Window::new(window),
            throttle: Throttle::new(bytes_per_second, now),
            paused: false,
            resting: false,
            paced: false,
        }
    }

    /// Stops the scan, or lets it go on. What a parked write waits for is copied all the same.
    pub const fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Whether the scan is stopped.
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// Stops the scan for as long as a measurement takes; no pause was asked for.
    pub const fn set_rest(&mut self, resting: bool) {
        self.resting = resting;
    }

    /// Whether a [`Pace`](super::Pace) sets rate and window, be it that they are without limit now.
    pub const fn set_paced(&mut self, paced: bool) {
        self.paced = paced;
    }

    /// Changes how many chunks are copied at once.
    pub const fn set_window(&mut self, limit: u16) {
        self.window.set_limit(limit);
    }

    /// Changes the rate from now on.
    pub fn set_rate(&mut self, bytes_per_second: Option<u64>, now: Nanos) {
        self.throttle.set_rate(bytes_per_second, now);
    }

    /// The window, for reports.
    pub const fn window(&self) -> Window {
        self.window
    }

    /// The limit in bytes per second, for reports.
    pub const fn rate(&self) -> Option<u64> {
        self.throttle.rate()
    }

    /// Whether and what may be begun now.
    pub fn may_begin(&mut self, now: Nanos) -> May {
        if !self.window.has_room() {
            return May::NotBefore;
        }
        match self.throttle.ready(now) {
            _ if self.paused || self.resting => {
                May::Begin { allowed: Allowed::Wanted, ask_again: None }
            }
            Ok(()) => May::Begin { allowed: Allowed::All, ask_again: None },
            Err(at) => May::Begin { allowed: Allowed::Wanted, ask_again: Some(at) },
        }
    }

    /// A copy of so many bytes was begun, or its retry was.
    pub fn began(&mut self, bytes: u64, now: Nanos) {
        self.window.began();
        self.throttle.charge(bytes, now);
    }

    /// A copy has ended, well or not.
    pub const fn ended(&mut self) {
        self.window.ended();
    }

    /// The policy that new writes are admitted under where `configured` is asked for. While the
    /// copy is paused, limited or paced, a write that waited for a chunk would wait for tokens, or would
    /// break the limit; so it goes to the source alone then.
    pub const fn write_policy(&self, configured: WritePolicy) -> WritePolicy {
        if self.paused || self.paced || self.throttle.rate().is_some() {
            WritePolicy::SourceFirst
        } else {
            configured
        }
    }
}
