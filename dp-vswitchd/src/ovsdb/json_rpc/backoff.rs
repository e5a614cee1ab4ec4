//! When to try a connection again, and how the last one went.
//!
//! The first attempt is immediate. A connection that did not last, or was never made, doubles the
//! wait from 1 to 8 seconds; one that lasted at least as long as the wait was begins from the
//! shortest again.

/// The life of a connection that is made again and again.
#[derive(Clone, Debug)]
pub struct Backoff {
    phase: Phase,
    /// When the phase began.
    since_ms: u64,
    wait_ms: u64,
    max_ms: u64,
    /// When a connection was last made, and last lost.
    last_connected_ms: Option<u64>,
    last_disconnected_ms: Option<u64>,
}

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the next attempt.
    Waiting,
    /// An attempt is under way.
    Connecting,
    /// There is a connection.
    Connected,
}

impl Backoff {
    /// A connection to be made at once. Waits are at most `max_ms`.
    pub fn new(max_ms: u64, now_ms: u64) -> Self {
        Self {
            phase: Phase::Waiting,
            since_ms: now_ms,
            wait_ms: 0,
            max_ms: max_ms.max(MIN_MS),
            last_connected_ms: None,
            last_disconnected_ms: None,
        }
    }

    /// Waits are at most so long from now on, in milliseconds.
    pub fn set_longest(&mut self, max_ms: u64) {
        self.max_ms = max_ms.max(MIN_MS);
        self.wait_ms = self.wait_ms.min(self.max_ms);
    }

    /// What is going on.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// True when the next attempt is due.
    pub fn due(&self, now_ms: u64) -> bool {
        self.phase == Phase::Waiting && now_ms >= self.since_ms + self.wait_ms
    }

    /// Notes that an attempt has begun.
    pub fn connecting(&mut self, now_ms: u64) {
        self.enter(Phase::Connecting, now_ms);
    }

    /// Notes that the attempt succeeded.
    pub fn connected(&mut self, now_ms: u64) {
        self.last_connected_ms = Some(now_ms);
        self.enter(Phase::Connected, now_ms);
    }

    /// Notes that the attempt failed or the connection is lost.
    pub fn disconnected(&mut self, now_ms: u64) {
        if self.phase == Phase::Connected {
            self.last_disconnected_ms = Some(now_ms);
            if now_ms - self.since_ms.min(now_ms) >= self.wait_ms.max(MIN_MS) {
                self.wait_ms = 0;
            }
        }
        self.wait_ms = (self.wait_ms * 2).clamp(MIN_MS, self.max_ms);
        self.enter(Phase::Waiting, now_ms);
    }

    /// True when an attempt has taken so long that it is to be given up.
    pub fn attempt_timed_out(&self, now_ms: u64) -> bool {
        self.phase == Phase::Connecting && now_ms >= self.attempt_deadline()
    }

    /// When something is to be done without anything happening.
    pub fn deadline(&self) -> Option<u64> {
        match self.phase {
            Phase::Waiting => Some(self.since_ms + self.wait_ms),
            Phase::Connecting => Some(self.attempt_deadline()),
            Phase::Connected => None,
        }
    }

    /// How long the last attempt's failure made us wait, in milliseconds.
    pub fn wait_ms(&self) -> u64 {
        self.wait_ms
    }

    /// Whether the wait does not grow any more.
    pub fn is_longest(&self) -> bool {
        self.wait_ms >= self.max_ms
    }

    /// When a connection was last made.
    pub fn last_connected_ms(&self) -> Option<u64> {
        self.last_connected_ms
    }

    /// When a connection was last lost.
    pub fn last_disconnected_ms(&self) -> Option<u64> {
        self.last_disconnected_ms
    }

    /// The state's name in the `status` of a Manager row.
    pub fn state_name(&self) -> &'static str {
        match self.phase {
            Phase::Waiting => "BACKOFF",
            Phase::Connecting => "CONNECTING",
            Phase::Connected => "ACTIVE",
        }
    }

    fn enter(&mut self, phase: Phase, now_ms: u64) {
        self.phase = phase;
        self.since_ms = now_ms;
    }

    fn attempt_deadline(&self) -> u64 {
        self.since_ms + self.wait_ms.max(MIN_MS)
    }
}

/// The shortest wait, and the least time an attempt is given.
const MIN_MS: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::{Backoff, Phase};

    #[test]
    fn waits_double_from_one_second_to_eight() {
        let mut backoff = Backoff::new(8000, 0);
        assert!(backoff.due(0));
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..6 {
            backoff.connecting(now);
            now += 10;
            backoff.disconnected(now);
            waits.push(backoff.wait_ms());
            assert!(!backoff.due(now + backoff.wait_ms() - 1));
            now += backoff.wait_ms();
            assert!(backoff.due(now));
        }
        assert_eq!(waits, [1000, 2000, 4000, 8000, 8000, 8000]);
    }

    #[test]
    fn a_connection_that_lasted_resets_the_wait_and_a_short_one_does_not() {
        let mut backoff = Backoff::new(8000, 0);
        for now in [0, 1010, 3030] {
            backoff.connecting(now);
            backoff.disconnected(now);
        }
        assert_eq!(backoff.wait_ms(), 4000);
        backoff.connecting(8000);
        backoff.connected(8001);
        backoff.disconnected(8100);
        assert_eq!(backoff.wait_ms(), 8000);
        backoff.connecting(20_000);
        backoff.connected(20_001);
        backoff.disconnected(30_000);
        assert_eq!(backoff.wait_ms(), 1000);
        assert_eq!(
            (backoff.last_connected_ms(), backoff.last_disconnected_ms()),
            (Some(20_001), Some(30_000))
        );
    }

    #[test]
    fn an_attempt_is_given_up_in_time() {
        let mut backoff = Backoff::new(8000, 0);
        backoff.connecting(0);
        assert_eq!((backoff.phase(), backoff.deadline()), (Phase::Connecting, Some(1000)));
        assert!(!backoff.attempt_timed_out(999));
        assert!(backoff.attempt_timed_out(1000));
    }
}
