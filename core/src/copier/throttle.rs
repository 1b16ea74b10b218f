//! A token bucket of bytes: how fast the copy may be.

/// A moment, or a span, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

const SECOND: u64 = 1_000_000_000;
/// The bucket holds what a tenth of a second brings: a late timer loses nothing, and idleness is
/// not saved up.
const BURST_DIVISOR: u64 = 10;

/// Bytes that may be copied. What must not wait may take more than there is; the debt is paid back
/// before anything else is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// `None`: as fast as it goes.
    bytes_per_second: Option<u64>,
    /// Bytes times `SECOND`, so that no fraction is lost however often it is asked.
    credit: i128,
    last: Nanos,
}

impl Throttle {
    /// A limit, or none; 0 counts as 1 byte per second.
    pub const fn new(bytes_per_second: Option<u64>, now: Nanos) -> Throttle {
        Throttle { bytes_per_second: at_least_1(bytes_per_second), credit: 0, last: now }
    }

    /// Changes the limit from now on. Debt stays a debt of bytes.
    pub fn set_rate(&mut self, bytes_per_second: Option<u64>, now: Nanos) {
        self.refill(now);
        self.bytes_per_second = at_least_1(bytes_per_second);
        self.credit = self.credit.min(self.burst());
    }

    /// The limit.
    pub const fn rate(&self) -> Option<u64> {
        self.bytes_per_second
    }

    /// Whether a copy may be begun now, or when to ask again. A copy may be begun whenever there is
    /// no debt, however large it is: it makes the debt.
    pub fn ready(&mut self, now: Nanos) -> Result<(), Nanos> {
        self.refill(now);
        let Some(rate) = self.bytes_per_second else { return Ok(()) };
        if self.credit >= 0 {
            return Ok(());
        }
        // It is never 0; the compiler does not know that.
        let wait = self.credit.unsigned_abs().div_ceil(u128::from(rate.max(1)));
        Err(Nanos(now.0.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX))))
    }

    /// So many bytes are copied.
    pub fn charge(&mut self, bytes: u64, now: Nanos) {
        self.refill(now);
        if self.bytes_per_second.is_some() {
            let cost = i128::from(bytes) * i128::from(SECOND);
            self.credit = self.credit.saturating_sub(cost);
        }
    }

    fn refill(&mut self, now: Nanos) {
        let passed = now.0.saturating_sub(self.last.0);
        self.last = self.last.max(now);
        match self.bytes_per_second {
            Some(rate) => {
                let gain = i128::from(rate) * i128::from(passed);
                self.credit = self.credit.saturating_add(gain).min(self.burst());
            }
            None => self.credit = 0,
        }
    }

    fn burst(&self) -> i128 {
        i128::from(self.bytes_per_second.unwrap_or(0) / BURST_DIVISOR) * i128::from(SECOND)
    }
}

const fn at_least_1(rate: Option<u64>) -> Option<u64> {
    match rate {
        Some(0) => Some(1),
        other => other,
    }
}
