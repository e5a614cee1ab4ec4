//! The time of day that captures want, from the clock that packets are moved by.

use std::time::{SystemTime, UNIX_EPOCH};

use dp_core::base::Instant;

/// The time of day at the origin of a clock, learned when it is first needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch(Option<u64>);

impl Epoch {
    /// A known one, in nanoseconds since 1970: for repeatable files.
    #[must_use]
    pub const fn at(nanos: u64) -> Self {
        Self(Some(nanos))
    }

    /// What time of day `now` is, in nanoseconds since 1970. The first call asks the system.
    pub fn time_of_day(&mut self, now: Instant) -> u64 {
        let epoch = self.0.get_or_insert_with(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_nanos()).unwrap_or(0).saturating_sub(now.0)
        });
        epoch.saturating_add(now.0)
    }
}
