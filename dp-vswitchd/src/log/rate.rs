//! How often one place in the code may log.
//!
//! A peer that sends rubbish, or a link that flaps, must not fill the disk. A message asks for a
//! limit where it is written, by two values beside its text, so that libraries need to know the
//! `log` facade only:
//!
//! ```
//! # let peer = "unix#3";
//! log::warn!(target: "jsonrpc", rate = 5, burst = 5; "{peer}: received bad JSON-RPC message");
//! ```
//!
//! `rate` is in messages a minute; `burst`, which may be left out, is how many may come at once
//! after a silence. What was withheld is said with the next message that passes.
//!
//! # Cost
//!
//! One look-up in a map with an entry for each such place in the code, behind a lock; nothing for
//! messages without a limit.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// What a message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// Messages a minute.
    pub(super) rate: u32,
    /// Messages at once, at most.
    pub(super) burst: u32,
}

impl Limit {
    /// The limit that a record carries, if it carries one.
    pub(super) fn of(record: &log::Record<'_>) -> Option<Self> {
        let number = |key: &str| {
            let value = record.key_values().get(log::kv::Key::from_str(key))?;
            value.to_u64().and_then(|value| u32::try_from(value).ok())
        };
        let rate = number("rate")?;
        Some(Self { rate, burst: number("burst").unwrap_or(rate) })
    }
}

/// A place in the code: the file's name and the line.
pub(super) type Place = (String, u32);

/// Whether a message may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Yes, after saying what was withheld since the last one.
    Pass(Option<Withheld>),
    /// No.
    Drop,
}

/// What was withheld at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Withheld {
    count: u32,
    since: Duration,
    last: Duration,
}

impl Withheld {
    /// The line that tells of it.
    pub(super) fn text(self) -> String {
        format!(
            "Dropped {} log messages in last {} seconds (most recently, {} seconds ago) due to \
             excessive rate",
            self.count,
            self.since.as_secs(),
            self.last.as_secs()
        )
    }
}

/// The limits of all places that asked for one.
#[derive(Debug, Default)]
pub(super) struct Limits {
    buckets: HashMap<Place, Bucket>,
}

impl Limits {
    /// Whether a message from `place` may pass at `now`.
    pub(super) fn ask(&mut self, place: Place, limit: Limit, now: Instant) -> Verdict {
        self.buckets.entry(place).or_insert_with(|| Bucket::full(limit, now)).ask(limit, now)
    }
}

/// A token bucket; a message costs [`MESSAGE`] tokens.
#[derive(Debug)]
struct Bucket {
    tokens: u64,
    filled: Instant,
    dropped: u32,
    first_dropped: Instant,
    last_dropped: Instant,
}

impl Bucket {
    fn full(limit: Limit, now: Instant) -> Self {
        Self {
            tokens: u64::from(limit.burst) * MESSAGE,
            filled: now,
            dropped: 0,
            first_dropped: now,
            last_dropped: now,
        }
    }

    fn ask(&mut self, limit: Limit, now: Instant) -> Verdict {
        let elapsed = now.saturating_duration_since(self.filled);
        let earned = u64::try_from(elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .saturating_mul(limit.rate.into());
        self.tokens = self.tokens.saturating_add(earned).min(u64::from(limit.burst) * MESSAGE);
        self.filled = now;
        if self.tokens < MESSAGE {
            if self.dropped == 0 {
                self.first_dropped = now;
            }
            self.last_dropped = now;
            self.dropped = self.dropped.saturating_add(1);
            return Verdict::Drop;
        }
        self.tokens -= MESSAGE;
        let withheld = (self.dropped > 0).then(|| Withheld {
            count: self.dropped,
            since: now.saturating_duration_since(self.first_dropped),
            last: now.saturating_duration_since(self.last_dropped),
        });
        self.dropped = 0;
        Verdict::Pass(withheld)
    }
}

/// Tokens a message costs: with one token earned a millisecond for each message a minute.
const MESSAGE: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Limit, Limits, Verdict};

    const LIMIT: Limit = Limit { rate: 5, burst: 3 };

    #[test]
    fn a_burst_passes_and_the_rest_is_told_of_later() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut limits = Limits::default();
        let mut ask = |seconds| limits.ask(("file.rs".into(), 7), LIMIT, at(seconds));
        for _ in 0..3 {
            assert_eq!(ask(0), Verdict::Pass(None));
        }
        assert_eq!(ask(1), Verdict::Drop);
        assert_eq!(ask(4), Verdict::Drop);
        // Five a minute: the next token is whole after twelve seconds.
        assert_eq!(ask(11), Verdict::Drop);
        let Verdict::Pass(Some(withheld)) = ask(13) else { panic!("twelve seconds are over") };
        assert_eq!(
            withheld.text(),
            "Dropped 3 log messages in last 12 seconds (most recently, 2 seconds ago) due to \
             excessive rate"
        );
        assert_eq!(ask(30), Verdict::Pass(None));
    }

    #[test]
    fn places_do_not_share_a_limit() {
        let now = Instant::now();
        let mut limits = Limits::default();
        for line in 0..20 {
            assert_eq!(limits.ask(("file.rs".into(), line), LIMIT, now), Verdict::Pass(None));
        }
    }
}
