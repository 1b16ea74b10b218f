//! How many chunks are copied at once.

/// Chunks in flight at most, whatever is asked for.
pub const MAX_WINDOW: u16 = 256;

/// The chunks in flight and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    limit: u16,
    in_flight: u16,
}

impl Window {
    /// So many chunks at once, at least 1 and at most [`MAX_WINDOW`].
    pub const fn new(limit: u16) -> Window {
        Window { limit: clamp(limit), in_flight: 0 }
    }

    /// Changes the limit; what is in flight above it ends by itself.
    pub const fn set_limit(&mut self, limit: u16) {
        self.limit = clamp(limit);
    }

    /// The limit.
    pub const fn limit(&self) -> u16 {
        self.limit
    }

    /// Chunks in flight.
    pub const fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// Whether one more may be begun.
    pub const fn has_room(&self) -> bool {
        self.in_flight < self.limit
    }

    /// A copy was begun.
    pub const fn began(&mut self) {
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// A copy has ended.
    pub const fn ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

const fn clamp(limit: u16) -> u16 {
    if limit == 0 {
        1
    } else if limit > MAX_WINDOW {
        MAX_WINDOW
    } else {
        limit
    }
}
