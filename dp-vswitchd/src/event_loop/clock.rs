//! The time by which the switch ages, retries and times out: the system's, or a test's.
//!
//! With `--enable-dummy` an operator may stop the clock and move it by hand (`time/stop`,
//! `time/warp`), so that an hour of ageing takes a millisecond. Everything that waits asks this
//! clock; only what concerns the real machine (a peer that does not read, how long a turn took)
//! asks the system.
//!
//! # Threads
//!
//! Handles are cheap to copy and may be read by any thread. A reader sees time go forward only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{self, Duration},
};

use dp_core::base::Instant;

/// A handle to the clock of a switch.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    origin: time::Instant,
    /// Nanoseconds by which a running clock was moved forward.
    ahead: AtomicU64,
    /// What a stopped clock shows, or [`RUNNING`].
    stopped: AtomicU64,
}

impl Clock {
    /// A clock that runs, and starts at zero.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Hands {
            origin: time::Instant::now(),
            ahead: AtomicU64::new(0),
            stopped: AtomicU64::new(RUNNING),
        }))
    }

    /// The moment of the system's clock at which this one showed zero.
    #[must_use]
    pub fn origin(&self) -> time::Instant {
        self.0.origin
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Instant {
        match self.0.stopped.load(Ordering::Acquire) {
            RUNNING => self.running(),
            stopped => Instant(stopped),
        }
    }

    /// Stops the clock where it is. It stays stopped.
    pub fn stop(&self) {
        let now = self.running();
        let _ =
            self.0.stopped.compare_exchange(RUNNING, now.0, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether the clock stands still.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire) != RUNNING
    }

    /// Moves the clock forward, stopped or not.
    pub fn warp(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let add = |at: &AtomicU64, end: u64| {
            let _ = at.fetch_update(Ordering::AcqRel, Ordering::Acquire, |value| {
                Some(value.saturating_add(by).min(end))
            });
        };
        if self.is_stopped() {
            add(&self.0.stopped, RUNNING - 1);
        } else {
            add(&self.0.ahead, RUNNING / 2);
        }
    }

    fn running(&self) -> Instant {
        Instant(self.0.ahead.load(Ordering::Acquire)).after(self.0.origin.elapsed())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// What no stopped clock shows: five hundred years.
const RUNNING: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::{Clock, RUNNING};

    #[test]
    fn a_stopped_clock_moves_by_hand_only() {
        let clock = Clock::new();
        let before = clock.now();
        thread::sleep(Duration::from_millis(2));
        assert!(clock.now() > before);
        clock.stop();
        let stopped = clock.now();
        thread::sleep(Duration::from_millis(2));
        assert_eq!(clock.now(), stopped);
        clock.warp(Duration::from_secs(3_600));
        assert_eq!(clock.now().since(stopped), Duration::from_secs(3_600));
        clock.stop();
        assert_eq!(clock.now().since(stopped), Duration::from_secs(3_600));
        clock.warp(Duration::from_secs(u64::MAX));
        assert!(clock.is_stopped() && clock.now().0 == RUNNING - 1);
    }

    #[test]
    fn a_running_clock_can_be_moved_too() {
        let clock = Clock::new();
        let other = clock.clone();
        let before = clock.now();
        other.warp(Duration::from_secs(60));
        assert!(clock.now().since(before) >= Duration::from_secs(60));
        assert!(!clock.is_stopped());
    }
}
